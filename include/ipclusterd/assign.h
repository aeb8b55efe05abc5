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
 * Shapley, 1962) finds it without sorting buckets * members pairs: the members
 * ask, each down the list of the buckets that it likes best, which hangs on
 * nothing but its name and is kept.
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

    uint32_t share[MEMBERS_MAX]; /* buckets that a member may take (yet) */
    int64_t below[MEMBERS_MAX];  /* by how much that is below its exact share */
    uint16_t queue[MEMBERS_MAX]; /* members that want buckets */
    uint16_t asked[MEMBERS_MAX]; /* how far a member has come down its list */
    uint64_t score[BUCKETS_MAX]; /* of a bucket and who has it */
    bool kept[BUCKETS_MAX];      /* it stays at home */
    uint16_t list[MEMBERS_MAX];  /* number of a member's list */
};

/* Of members that were asked for: all buckets, those first that the member likes
 * best. Whoever owns it sets `buckets` to 0, and need not initialise the rest. */
struct assign_lists {
    unsigned buckets; /* of which these are the lists; 0: there are none */
    unsigned count;
    uint64_t hash[MEMBERS_MAX];               /* whose list it is */
    uint16_t seat[2 * MEMBERS_MAX];           /* 1 + its number, found by hash; 0: free */
    uint16_t list[MEMBERS_MAX * BUCKETS_MAX]; /* `buckets` of each */
};

/* The hash of a member's name within a cluster. */
uint64_t assign_hash(const char *cluster, const char *name);

/*
 * Computes both tables. Members are told apart by their hashes alone: their
 * order does not matter, two equal hashes are a programmer's error. With no
 * weight at all in a table its entries are ASSIGN_NOBODY.
 */
void assign_compute(struct assign *a, struct assign_lists *lists,
                    const struct assign_member *member, size_t members, unsigned buckets);

#endif
