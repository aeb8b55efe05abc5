/*
 * What each member told last of its buckets: which it claims, and which it lingers on. No
 * longer than there are buckets, so that what all tell lies close together.
 */
#ifndef IPCLUSTERD_TOLD_H
#define IPCLUSTERD_TOLD_H

#include "ipclusterd/bitmap.h"

struct told {
    uint64_t word[2 * MEMBERS_MAX * (BUCKETS_MAX / 64)]; /* a claim, a linger, the next claim */
    size_t words;                                        /* of each set */
};

/* Nobody tells anything. */
void told_init(struct told *t, unsigned buckets);

/* Of `count` members, those from `index` on move up by one: there comes one that has told
 * nothing. At most MEMBERS_MAX - 1. */
void told_insert(struct told *t, size_t index, size_t count);

/* Of what `count` members are left, those from `index` on were one further up. */
void told_remove(struct told *t, size_t index, size_t count);

/* The member's word is forgotten. */
void told_clear(struct told *t, size_t index);

/* The sets of a member, of `words` each. */
static inline const uint64_t *told_claim(const struct told *t, size_t index)
{
    return &t->word[2 * index * t->words];
}

static inline const uint64_t *told_linger(const struct told *t, size_t index)
{
    return &t->word[(2 * index + 1) * t->words];
}

/* It tells these words now. */
static inline void told_put(struct told *t, size_t index, size_t w, uint64_t claim, uint64_t linger)
{
    t->word[2 * index * t->words + w] = claim;
    t->word[(2 * index + 1) * t->words + w] = linger;
}

static inline bool told_claims(const struct told *t, size_t index, unsigned bucket)
{
    return (told_claim(t, index)[bucket / 64] >> (bucket % 64) & 1) != 0;
}

static inline bool told_lingers(const struct told *t, size_t index, unsigned bucket)
{
    return (told_linger(t, index)[bucket / 64] >> (bucket % 64) & 1) != 0;
}

/* The same as sets of the one member. */
void told_sets(const struct told *t, size_t index, struct bitmap *claim, struct bitmap *linger);

#endif
