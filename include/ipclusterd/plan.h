/*
 * The wanted state of the kernel, as the core decides it. A plan is a value:
 * the shell compares it with what it last put into the kernel and commits the
 * difference as a whole.
 */
#ifndef IPCLUSTERD_PLAN_H
#define IPCLUSTERD_PLAN_H

#include "ipclusterd/types.h"

/* What the kernel does with packets of one bucket.
 *
 * FOREIGN  another member's: dropped before conntrack.
 * OWN      ours, and no living member can have older flows of it: everything
 *          goes to the stack, which resets flows that it does not know.
 * ADOPT    ours, but a member may still have flows of it: established flows,
 *          pure SYNs and everything that is not TCP pass; other TCP is dropped.
 * RELEASE  another's that has not claimed it yet: established TCP flows pass,
 *          new flows are forwarded to the new owner's MAC.
 * LINGER   another's (or ours but not yet claimed): established TCP flows
 *          pass, and so does what a member forwarded to our own MAC.
 *
 * OWN, ADOPT and RELEASE act so only under a valid lease; without one they
 * are LINGER. */
enum bucket_class { CLASS_FOREIGN, CLASS_OWN, CLASS_ADOPT, CLASS_RELEASE, CLASS_LINGER, CLASS_MAX };

enum { PLAN_TARGET_NONE = 0xffff };

struct plan {
    uint64_t generation;             /* counts up; APPLIED answers with it */
    uint16_t buckets;                /* entries used in the arrays below */
    uint8_t class_of[BUCKETS_MAX];   /* enum bucket_class */
    uint16_t target_of[BUCKETS_MAX]; /* RELEASE: index into target; else NONE */
    struct mac target[MEMBERS_MAX];  /* MACs of the members */
};

/* "foreign", "own", "adopt", "release", "linger". */
const char *bucket_class_name(enum bucket_class c);

/* True if the kernel lets new flows of the bucket in (under a lease). */
static inline bool class_claims(enum bucket_class c)
{
    return c == CLASS_OWN || c == CLASS_ADOPT;
}

/* An all-FOREIGN plan of generation 0. */
void plan_init(struct plan *p, uint16_t buckets);

/* Equal but for the generation. */
bool plan_equal(const struct plan *a, const struct plan *b);

#endif
