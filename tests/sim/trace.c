/*
 * Multiply and rotate, eight bytes at a time: fast enough to leave on always.
 * Only integers of the simulation go in, never an address or a struct.
 */
#include "trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void trace_init(struct trace *t, uint64_t seed)
{
    t->hash = 0xcbf29ce484222325u;
    trace_number(t, seed);
}

void trace_number(struct trace *t, uint64_t v)
{
    uint64_t h = (t->hash ^ v) * 0x9e3779b97f4a7c15u;
    t->hash = (h << 29 | h >> 35) * 0xff51afd7ed558ccdu ^ h >> 32;
}

void trace_bytes(struct trace *t, const uint8_t *data, size_t length)
{
    trace_number(t, length);
    for (size_t i = 0; i < length; i += 8) {
        uint64_t v = 0;
        for (size_t k = 0; k < 8 && i + k < length; k++)
            v |= (uint64_t)data[i + k] << (8 * k);
        trace_number(t, v);
    }
}

void trace_line(const struct trace *t, int64_t now, int node, const char *format, ...)
{
    if (!t->verbose)
        return;
    printf("%5" PRId64 ".%06" PRId64 " ", now / 1000000, now % 1000000);
    if (node >= 0)
        printf("node%02d ", node);
    else
        printf("world  ");
    va_list ap;
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
}
