/*
 * Whether the flows are spread as the buckets are: judged by the bucket that has
 * the most of them.
 */
#ifndef IPCLUSTERD_SKEW_H
#define IPCLUSTERD_SKEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct skew {
    bool skewed;
    unsigned bucket; /* of ours, that has the most flows */
    uint64_t most;   /* its flows; 0: there are none */
    uint64_t total;  /* all that the living members count */
    size_t nodes;    /* that serve */
};

/* Judges anew; `s->skewed` tells how it was judged before. */
void skew_judge(struct skew *s, const uint32_t *of, unsigned buckets, uint64_t total, size_t nodes);

#endif
