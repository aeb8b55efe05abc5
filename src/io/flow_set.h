/*
 * A set of flows, each known by 64 bits, that also remembers which have ended.
 */
#ifndef IPCLUSTERD_IO_FLOW_SET_H
#define IPCLUSTERD_IO_FLOW_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: empty. */
struct flow_set {
    uint64_t *slot; /* open addressing; 0: free */
    size_t slots;   /* power of two, or 0 */
    size_t used;    /* slots that are not free */
};

/* Forgets all, also the memory. */
void flow_set_clear(struct flow_set *s);

/* 1: the flow is in now; 0: it was in, or has ended; -ENOMEM: the set is as it
 * was. What has ended once stays so until flow_set_clear(). */
int flow_set_add(struct flow_set *s, uint64_t key);

/* The flow has ended. 1: it was in; 0: it was not; -ENOMEM: that it has ended
 * could not be kept. */
int flow_set_end(struct flow_set *s, uint64_t key);

#endif
