/*
 * Who owns what: (members, buckets) -> home table and owner table. A pure
 * function: equal input gives equal tables on every machine (S6).
 *
 * Home table: every (score, bucket, member) of the whole roster in descending
 * order of the score, a keyed 64-bit hash; the bucket goes to the member while
 * the member's exact weighted share is not used up. Owner table: members that
 * can serve keep their home buckets; the buckets of the others are given in
 * the same way, under the shares that those who serve would have.
 *
 * The greedy pass over all pairs is a stable matching whose both sides rank by
 * one common score, so it is unique, and deferred acceptance (Gale and
 * Shapley, 1962) finds it without sorting buckets * members pairs.
 */
#ifndef IPCLUSTERD_ASSIGN_H
#define IPCLUSTERD_ASSIGN_H

#include "ipclusterd/types.h"

enum { ASSIGN_NOBODY = -1 };

struct assign_member {
    uint64_t hash;   /* assign_hash() of its name */
    uint16_t weight; /* 0..WEIGHT_MAX */
    bool serves;     /* can own buckets in this view */
};

/* The tables, and room to compute them in. */
struct assign {
    unsigned buckets;
    int16_t home[BUCKETS_MAX]; /* index into the members, or ASSIGN_NOBODY */
    int16_t owner[BUCKETS_MAX];

    uint32_t share[MEMBERS_MAX];       /* buckets that a member may take */
    uint32_t heap_at[MEMBERS_MAX + 1]; /* its part of `heap` */
    uint32_t heap_count[MEMBERS_MAX];
    uint16_t heap[BUCKETS_MAX];  /* buckets that it holds, worst first */
    uint16_t queue[BUCKETS_MAX]; /* buckets without a member */
    int16_t asked[BUCKETS_MAX];  /* the last member that a bucket asked */
};

/* The hash of a member's name within a cluster. */
uint64_t assign_hash(const char *cluster, const char *name);

/*
 * Computes both tables. Members are told apart by their hashes alone: their
 * order does not matter, two equal hashes are a programmer's error. With no
 * weight at all in a table its entries are ASSIGN_NOBODY.
 */
void assign_compute(struct assign *a, const struct assign_member *member, size_t members,
                    unsigned buckets);

#endif
