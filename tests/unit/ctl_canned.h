/*
 * A cluster of three from a can, for the tests of the control plane: web1 (this
 * node) lingers on two buckets, web2 drains, web3 is dead.
 */
#ifndef TESTS_CTL_CANNED_H
#define TESTS_CTL_CANNED_H

#include "io/ctl.h"

struct canned {
    struct config config;
    struct status status;
    struct conntrack_counts counts;
    struct nft_counters packets[VIPS_MAX];
    struct ctl_view view;
    struct event_base *base;

    /* what the daemon would answer, and what it was asked last */
    int result;
    const char *why;
    char asked[128];
    unsigned views;     /* pages made */
    unsigned drains_in; /* views until web1 has drained; 0: not draining */
};

extern const struct ctl_ops canned_ops;

/* Fills a (large) struct. Buckets: 256. */
void canned_fill(struct canned *c, const char *socket, const char *group);

#endif
