/*
 * Flows to the VIPs, counted per bucket (libnetfilter_conntrack).
 */
#ifndef IPCLUSTERD_IO_CONNTRACK_H
#define IPCLUSTERD_IO_CONNTRACK_H

#include "ipclusterd/config.h"
#include "ipclusterd/plan.h"

struct conntrack;

int conntrack_open(struct conntrack **out);
void conntrack_close(struct conntrack *c);

struct conntrack_counts {
    uint32_t of[BUCKETS_MAX]; /* TCP flows per bucket that still need this node:
                                  not TIME_WAIT, CLOSE, SYN_SENT2 */
    uint64_t vip[VIPS_MAX];   /* all flows per VIP, of any protocol */
    uint64_t kept[VIPS_MAX];  /* of those in `of`; as of the last dump */
    uint64_t total;           /* sum of `of` */
};

/* Dumps the table once, to its end. 0 or -errno (`out` undefined then). If a
 * count in steps is under way, it is that one which is ended. */
int conntrack_count(struct conntrack *c, const struct config *config, struct conntrack_counts *out);

/*
 * The same in steps, for a loop that must not stand still: a table of 100,000
 * flows takes half a second to dump, a step about half a millisecond.
 * conntrack_start() begins, or does nothing if a count is under way; `config`
 * has to stay in its place until the count ends. While one is under way the
 * descriptor is readable, and each conntrack_step() reads a piece.
 */
int conntrack_fd(const struct conntrack *c);
int conntrack_start(struct conntrack *c, const struct config *config);
/* 1: the count has ended, `out` is filled; 0: more steps are needed, or none is
 * under way; -errno: it has failed and ended. */
int conntrack_step(struct conntrack *c, struct conntrack_counts *out);

/*
 * Flows of buckets that linger are followed, so that they need no dump a second
 * to be counted: the kernel tells of each that ends. conntrack_follow() says
 * which buckets those are, after every plan that is in the kernel.
 */
void conntrack_follow(struct conntrack *c, const struct plan *plan);
/* The VIPs or how their buckets are selected have changed. */
void conntrack_forget(struct conntrack *c);

/* Readable when the kernel tells something, which conntrack_told() takes in.
 * -1: it never will. conntrack_told(): 1 if there may be more, 0, or -errno; what
 * was lost is no error, the next conntrack_known() is false then. */
int conntrack_told_fd(const struct conntrack *c);
int conntrack_told(struct conntrack *c, const struct config *config);

/*
 * True if no dump is needed: `out`, which has to hold the counts of the last
 * dump that ended, is brought up to date for the buckets that linger, and is for
 * all others as old as that dump. False: a dump has to be made, or is under way.
 */
bool conntrack_known(struct conntrack *c, const struct config *config,
                     struct conntrack_counts *out);
/* How long the next dump should wait, for the last has taken long; 0: it may begin. */
usec conntrack_rest(const struct conntrack *c);

#endif
