/*
 * A cluster of three from a can, for the tests of the control plane: web1 (this
 * node) lingers on two buckets, web2 drains, web3 is dead.
 */
#ifndef TESTS_CTL_CANNED_H
#define TESTS_CTL_CANNED_H

#include <sys/types.h>

#include "io/ctl.h"

struct canned {
    struct config config;
    struct status status;
    struct conntrack_counts counts;
    struct nft_counters packets[VIPS_MAX];
    struct ctl_xdp xdp[VIPS_MAX];
    struct ctl_view view;

    /* what the daemon would answer, and what it was asked last */
    int result;
    const char *why;
    char asked[128];
    unsigned views;      /* pages made */
    unsigned drains_in;  /* views until web1 has drained; 0: not draining */
    unsigned forgets_in; /* views until web3 is forgotten, by a majority; 0: never */

    /* Events 1..events, of which the last 1000 are kept; every tenth is an error,
     * and number `refused` tells that web3 is not forgotten. By so many looks at the
     * list, from now on: one more comes; the list begins anew, with two; the daemon
     * dies. 0: never. */
    uint64_t events, refused;
    unsigned events_in, anew_in, dies_in;
};

extern const struct ctl_ops canned_ops;

/* In memory that is shared with children; 256 buckets. */
struct canned *canned_new(const char *socket, const char *group);
void canned_free(struct canned *c);

/* Serves it from a process of its own, until canned_stop(). `rc` is what
 * ctl_open() said there; 0 or less is returned unless that was 0. */
pid_t canned_serve(struct canned *c, int *rc);
void canned_stop(pid_t server);

#endif
