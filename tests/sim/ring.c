/*
 * A calendar queue of one us a day (Brown 1988), and of one year: for what is later there
 * is the heap.
 */
#include "ring.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So far ahead it is worth to look, in words of which each is of 64 us. */
enum { EXPECT_WORDS = 2 };

void ring_init(struct ring *r)
{
    r->item = NULL;
    r->room = 0;
    ring_clear(r);
}

void ring_clear(struct ring *r)
{
    r->count = 0;
    r->now = 0;
    r->free = RING_NONE;
    memset(r->occupied, 0, sizeof r->occupied);
    for (uint32_t i = r->room; i-- > 0;) {
        r->item[i].next = r->free;
        r->free = i;
    }
}

void ring_free(struct ring *r)
{
    free(r->item);
    ring_init(r);
}

static void ring_grow(struct ring *r)
{
    uint32_t room = r->room == 0 ? 1024 : r->room * 2;
    struct ring_item *item = aligned_alloc(64, room * sizeof *item);
    if (item == NULL) {
        fputs("sim: out of memory\n", stderr);
        exit(2);
    }
    if (r->room > 0)
        memcpy(item, r->item, r->room * sizeof *item);
    free(r->item);
    r->item = item;
    for (uint32_t i = room; i-- > r->room;) {
        r->item[i].next = r->free;
        r->free = i;
    }
    r->room = room;
}

static size_t slot_of(int64_t at)
{
    return (size_t)at % RING_SPAN;
}

void ring_advance(struct ring *r, int64_t now)
{
    assert(now >= r->now);
    r->now = now;
}

bool ring_holds(const struct ring *r, int64_t at)
{
    return at >= r->now && at - r->now < RING_SPAN;
}

void ring_push(struct ring *r, const struct happening *h)
{
    assert(ring_holds(r, h->at));
    if (r->free == RING_NONE)
        ring_grow(r);
    uint32_t i = r->free;
    size_t slot = slot_of(h->at);
    uint64_t bit = UINT64_C(1) << slot % 64;
    struct ring_item *new = &r->item[i];
    r->free = new->next;
    new->h = *h;
    if ((r->occupied[slot / 64] & bit) == 0) {
        r->occupied[slot / 64] |= bit;
        new->next = i;
    } else {
        new->next = r->item[r->last[slot]].next;
        r->item[r->last[slot]].next = i;
    }
    r->last[slot] = i;
    r->count++;
}

const struct happening *ring_first(const struct ring *r)
{
    if (r->count == 0)
        return NULL;
    size_t slot = slot_of(r->now), word = slot / 64;
    uint64_t bits = r->occupied[word] & UINT64_MAX << slot % 64;
    while (bits == 0) {
        word = (word + 1) % (RING_SPAN / 64);
        bits = r->occupied[word];
    }
    slot = word * 64 + (size_t)__builtin_ctzll(bits);
    return &r->item[r->item[r->last[slot]].next].h;
}

void ring_expect(const struct ring *r, const struct happening *first)
{
    size_t slot = slot_of(first->at + 1), word = slot / 64;
    uint64_t bits = r->occupied[word] & UINT64_MAX << slot % 64;
    for (int i = 0; i < EXPECT_WORDS && bits == 0; i++) {
        word = (word + 1) % (RING_SPAN / 64);
        bits = r->occupied[word];
    }
    if (bits != 0)
        __builtin_prefetch(&r->item[r->last[word * 64 + (size_t)__builtin_ctzll(bits)]]);
}

void ring_drop(struct ring *r, const struct happening *first)
{
    size_t slot = slot_of(first->at);
    struct ring_item *last = &r->item[r->last[slot]];
    uint32_t i = last->next;
    struct ring_item *gone = &r->item[i];
    assert(&gone->h == first);
    last->next = gone->next;
    if (last == gone)
        r->occupied[slot / 64] &= ~(UINT64_C(1) << slot % 64);
    gone->next = r->free;
    r->free = i;
    r->count--;
}
