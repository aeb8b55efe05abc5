/*
 * The state directory: small files, written whole (temporary file, fsync,
 * rename).
 */
#ifndef IPCLUSTERD_IO_STATE_H
#define IPCLUSTERD_IO_STATE_H

#include <stddef.h>
#include <stdint.h>

/* Creates the directory (mode 0700) if it is missing. 0 or -errno. */
int state_prepare(const char *directory);

/* The number in DIRECTORY/incarnation; 0 if there is none or it is damaged. */
uint32_t state_incarnation_read(const char *directory);
int state_incarnation_write(const char *directory, uint32_t incarnation);

/* What the core wants kept (ACTION_STORE), in DIRECTORY/voters. Reading returns the
 * length, 0 if there is none, -EBADMSG if it is damaged, or -errno. */
enum { STATE_STORE_MAX = 32768 };
int state_store_read(const char *directory, uint8_t out[STATE_STORE_MAX]);
int state_store_write(const char *directory, const uint8_t *data, size_t length);

/* A whole small text file: bytes read (NUL-terminated), -ENOENT, -EFBIG, -errno. */
int state_read(const char *directory, const char *file, char *out, size_t size);
int state_write(const char *directory, const char *file, const char *text);
int state_remove(const char *directory, const char *file);

#endif
