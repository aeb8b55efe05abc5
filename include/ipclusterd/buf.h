/*
 * Bounded reader and writer over a byte array, big-endian, with a sticky
 * error: after the first access past the end every further one does nothing,
 * reads give zero, and the error stays. So a caller checks once, at the end.
 */
#ifndef IPCLUSTERD_BUF_H
#define IPCLUSTERD_BUF_H

#include "ipclusterd/types.h"

struct reader {
    const uint8_t *data; /* not owned */
    size_t length, at;
    bool failed;
};

void reader_init(struct reader *r, const void *data, size_t length);
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
/* Copies `length` bytes, or zeroes `out` and fails. */
void read_bytes(struct reader *r, void *out, size_t length);
/* A length byte and that many characters, into a NUL-terminated array of
 * `size` bytes. Fails if it is empty, too long or not a name (name_valid). */
void read_name(struct reader *r, char *out, size_t size);
/* True if nothing failed and every byte was read. */
bool reader_done(const struct reader *r);

struct writer {
    uint8_t *data; /* not owned */
    size_t size, at;
    bool failed;
};

void writer_init(struct writer *w, void *data, size_t size);
void write_u8(struct writer *w, uint8_t v);
void write_u16(struct writer *w, uint16_t v);
void write_u32(struct writer *w, uint32_t v);
void write_u64(struct writer *w, uint64_t v);
void write_bytes(struct writer *w, const void *data, size_t length);
void write_name(struct writer *w, const char *name);
/* Bytes still free. */
size_t writer_room(const struct writer *w);

/* Letters, digits, '.', '-' and '_'; 1 to NAME_BYTES_MAX of them. */
bool name_valid(const char *name);

#endif
