/*
 * A set of buckets, one bit each, sized for BUCKETS_MAX.
 */
#ifndef IPCLUSTERD_BITMAP_H
#define IPCLUSTERD_BITMAP_H

#include "ipclusterd/types.h"

struct bitmap {
    uint64_t word[BUCKETS_MAX / 64];
};

static inline bool bitmap_test(const struct bitmap *m, unsigned bit)
{
    return (m->word[bit / 64] >> (bit % 64)) & 1;
}

static inline void bitmap_set(struct bitmap *m, unsigned bit)
{
    m->word[bit / 64] |= (uint64_t)1 << (bit % 64);
}

static inline void bitmap_clear(struct bitmap *m, unsigned bit)
{
    m->word[bit / 64] &= ~((uint64_t)1 << (bit % 64));
}

static inline void bitmap_assign(struct bitmap *m, unsigned bit, bool on)
{
    if (on)
        bitmap_set(m, bit);
    else
        bitmap_clear(m, bit);
}

/* into |= from */
static inline void bitmap_merge(struct bitmap *into, const struct bitmap *from)
{
    for (size_t i = 0; i < BUCKETS_MAX / 64; i++)
        into->word[i] |= from->word[i];
}

/* Words that hold so many buckets. Of sets that have no others only these need be looked at. */
static inline size_t bitmap_words(unsigned buckets)
{
    return (buckets + 63) / 64;
}

static inline bool bitmap_equal(const struct bitmap *a, const struct bitmap *b)
{
    for (size_t i = 0; i < BUCKETS_MAX / 64; i++)
        if (a->word[i] != b->word[i])
            return false;
    return true;
}

static inline bool bitmap_empty(const struct bitmap *m)
{
    for (size_t i = 0; i < BUCKETS_MAX / 64; i++)
        if (m->word[i] != 0)
            return false;
    return true;
}

static inline unsigned bitmap_count(const struct bitmap *m)
{
    unsigned n = 0;
    for (size_t i = 0; i < BUCKETS_MAX / 64; i++)
        n += (unsigned)__builtin_popcountll(m->word[i]);
    return n;
}

#endif
