/*
 * What members told of their buckets.
 *
 * Invariant: the sets are in the order of the roster.
 */
#include "ipclusterd/told.h"

#include <assert.h>
#include <string.h>

void told_init(struct told *t, unsigned buckets)
{
    assert(buckets <= BUCKETS_MAX);
    memset(t, 0, sizeof *t);
    t->words = bitmap_words(buckets);
}

static uint64_t *words_of(struct told *t, size_t index)
{
    return &t->word[2 * index * t->words];
}

/* Of the members from `index` on, of `count`. */
static size_t bytes_of(const struct told *t, size_t index, size_t count)
{
    return 2 * (count - index) * t->words * sizeof t->word[0];
}

void told_insert(struct told *t, size_t index, size_t count)
{
    assert(index <= count && count < MEMBERS_MAX);
    memmove(words_of(t, index + 1), words_of(t, index), bytes_of(t, index, count));
    told_clear(t, index);
}

void told_remove(struct told *t, size_t index, size_t count)
{
    assert(index <= count && count < MEMBERS_MAX);
    memmove(words_of(t, index), words_of(t, index + 1), bytes_of(t, index, count));
}

void told_clear(struct told *t, size_t index)
{
    memset(words_of(t, index), 0, bytes_of(t, index, index + 1));
}

void told_sets(const struct told *t, size_t index, struct bitmap *claim, struct bitmap *linger)
{
    size_t bytes = t->words * sizeof t->word[0];
    memset(claim, 0, sizeof *claim);
    memset(linger, 0, sizeof *linger);
    memcpy(claim->word, told_claim(t, index), bytes);
    memcpy(linger->word, told_linger(t, index), bytes);
}
