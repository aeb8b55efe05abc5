/*
 * What has been seen: hosts, bundles of messages and what a step makes of a host,
 * each once. A state of the whole is then a few numbers, and most steps are
 * looked up instead of being run.
 */
#ifndef MODEL_STORE_H
#define MODEL_STORE_H

#include "host.h"

enum { STORE_NONE = 0 }; /* of bundles: the empty one */

/* A table from prints to numbers. */
struct table {
    size_t size, count;
    uint64_t *key;
    uint32_t *value;
};

/* A hash; never 0. */
uint64_t print_bytes(const void *data, size_t length);

/* The place of the value of `key`; *is_new: it has just been made, and is 0. The
 * place is good until the next call. */
uint32_t *table_at(struct table *t, uint64_t key, bool *is_new);

/* The number of a host that does the same from here on. */
uint32_t store_host(const struct host *h);
void store_host_get(uint32_t id, struct host *out);

struct bundle {
    size_t count;
    const struct message *message;
};
uint32_t store_bundle(const struct host_output *o);
struct bundle store_bundle_get(uint32_t id);

/* Datagrams that have come, as bundles, oldest first. */
struct arrival {
    uint32_t bundle;
    uint8_t age;
};

struct step_result {
    uint32_t host, bundle;
    uint8_t lets_in; /* set of buckets, and ... */
    uint8_t lease;   /* ... for how many steps it goes on doing so */
};

/* What `op` makes of a host. */
struct step_result store_step(uint32_t host, enum host_op op, const struct arrival *arrival,
                              size_t arrivals);

struct store_figures {
    size_t hosts, parts, bundles, steps;
    size_t bytes; /* of memory */
    uint64_t lookups;
};
struct store_figures store_figures(void);

#endif
