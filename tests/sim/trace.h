/*
 * The trace: a 64-bit hash over everything that happens, and on demand a line
 * for each with its virtual time.
 */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace {
    uint64_t hash;
    bool verbose; /* lines to stdout */
    int watch;    /* also all about this bucket; -1: none */
};

/* Keeps t->verbose and t->watch. */
void trace_init(struct trace *t, uint64_t seed);

/* Mixes a number, or bytes (read in a fixed byte order), into the hash. */
void trace_number(struct trace *t, uint64_t v);
void trace_bytes(struct trace *t, const uint8_t *data, size_t length);

/* A line at `now` (us) of node `node` (-1: the world), if verbose. */
void trace_line(const struct trace *t, int64_t now, int node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
