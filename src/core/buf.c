/*
 * Bounded reader and writer. Every access goes through take() or room(), which
 * are the only places that look at lengths.
 */
#include "ipclusterd/buf.h"

#include <assert.h>
#include <string.h>

void reader_init(struct reader *r, const void *data, size_t length)
{
    *r = (struct reader){.data = data, .length = length};
}

/* The next `n` bytes, or NULL and a failed reader. */
static const uint8_t *take(struct reader *r, size_t n)
{
    if (r->failed || n > r->length - r->at) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->data + r->at;
    r->at += n;
    return p;
}

static uint64_t read_be(struct reader *r, size_t n)
{
    const uint8_t *p = take(r, n);
    uint64_t v = 0;
    for (size_t i = 0; p != NULL && i < n; i++)
        v = v << 8 | p[i];
    return v;
}

uint8_t read_u8(struct reader *r)
{
    return (uint8_t)read_be(r, 1);
}

uint16_t read_u16(struct reader *r)
{
    return (uint16_t)read_be(r, 2);
}

uint32_t read_u32(struct reader *r)
{
    return (uint32_t)read_be(r, 4);
}

uint64_t read_u64(struct reader *r)
{
    return read_be(r, 8);
}

void read_bytes(struct reader *r, void *out, size_t length)
{
    const uint8_t *p = take(r, length);
    if (p != NULL)
        memcpy(out, p, length);
    else
        memset(out, 0, length);
}

void read_name(struct reader *r, char *out, size_t size)
{
    memset(out, 0, size);
    size_t length = read_u8(r);
    if (length >= size)
        r->failed = true;
    const uint8_t *p = take(r, length);
    if (p == NULL)
        return;
    memcpy(out, p, length);
    if (strlen(out) != length || !name_valid(out)) {
        memset(out, 0, size);
        r->failed = true;
    }
}

bool reader_done(const struct reader *r)
{
    return !r->failed && r->at == r->length;
}

void writer_init(struct writer *w, void *data, size_t size)
{
    *w = (struct writer){.data = data, .size = size};
}

/* Where the next `n` bytes go, or NULL and a failed writer. */
static uint8_t *room(struct writer *w, size_t n)
{
    if (w->failed || n > w->size - w->at) {
        w->failed = true;
        return NULL;
    }
    uint8_t *p = w->data + w->at;
    w->at += n;
    return p;
}

static void write_be(struct writer *w, uint64_t v, size_t n)
{
    uint8_t *p = room(w, n);
    for (size_t i = 0; p != NULL && i < n; i++)
        p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

void write_u8(struct writer *w, uint8_t v)
{
    write_be(w, v, 1);
}

void write_u16(struct writer *w, uint16_t v)
{
    write_be(w, v, 2);
}

void write_u32(struct writer *w, uint32_t v)
{
    write_be(w, v, 4);
}

void write_u64(struct writer *w, uint64_t v)
{
    write_be(w, v, 8);
}

void write_bytes(struct writer *w, const void *data, size_t length)
{
    uint8_t *p = room(w, length);
    if (p != NULL)
        memcpy(p, data, length);
}

void write_name(struct writer *w, const char *name)
{
    size_t length = strlen(name);
    assert(length <= NAME_BYTES_MAX);
    write_u8(w, (uint8_t)length);
    write_bytes(w, name, length);
}

size_t writer_room(const struct writer *w)
{
    return w->failed ? 0 : w->size - w->at;
}

bool name_valid(const char *name)
{
    size_t n = 0;
    for (; name[n] != '\0'; n++) {
        char c = name[n];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_';
        if (!ok || n >= NAME_BYTES_MAX)
            return false;
    }
    return n > 0;
}
