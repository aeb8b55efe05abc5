/*
 * Open addressing with linear probing. The lowest bit of a key says whether the
 * flow lives; one that has ended keeps its slot, which is also what linear
 * probing needs. 8 bytes a flow, at most half full: a million flows take 16 MB.
 */
#include "flow_set.h"

#include <errno.h>
#include <stdlib.h>

enum {
    SLOTS_FIRST = 1024,
    SLOTS_MAX = 1 << 23, /* 64 MB */
};

#define LIVES ((uint64_t)1)

void flow_set_clear(struct flow_set *s)
{
    free(s->slot);
    *s = (struct flow_set){0};
}

/* Without the bit, and never 0. */
static uint64_t key_of(uint64_t key)
{
    key &= ~LIVES;
    return key != 0 ? key : 2;
}

/* The slot of the key, or the free one where it would be. */
static uint64_t *slot_of(const struct flow_set *s, uint64_t key)
{
    size_t i = (size_t)(key >> 1) & (s->slots - 1);

    while (s->slot[i] != 0 && (s->slot[i] & ~LIVES) != key)
        i = (i + 1) & (s->slots - 1);
    return &s->slot[i];
}

/* Makes room for one more. */
static int set_grow(struct flow_set *s)
{
    struct flow_set larger = {.slots = s->slots > 0 ? 2 * s->slots : SLOTS_FIRST};

    if (2 * (s->used + 1) <= s->slots)
        return 0;
    if (larger.slots > SLOTS_MAX)
        return -ENOMEM;
    larger.slot = calloc(larger.slots, sizeof(*larger.slot));
    if (larger.slot == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < s->slots; i++)
        if (s->slot[i] != 0)
            *slot_of(&larger, s->slot[i] & ~LIVES) = s->slot[i];
    larger.used = s->used;
    free(s->slot);
    *s = larger;
    return 0;
}

int flow_set_add(struct flow_set *s, uint64_t key)
{
    int error = set_grow(s);
    if (error < 0)
        return error;

    key = key_of(key);
    uint64_t *slot = slot_of(s, key);
    if (*slot != 0)
        return 0;
    *slot = key | LIVES;
    s->used++;
    return 1;
}

int flow_set_end(struct flow_set *s, uint64_t key)
{
    int error = set_grow(s);
    if (error < 0)
        return error;

    key = key_of(key);
    uint64_t *slot = slot_of(s, key);
    const bool lived = (*slot & LIVES) != 0;
    s->used += *slot == 0;
    *slot = key;
    return lived;
}
