/*
 * What happens within the next RING_SPAN us: a list for each of them, in the order of
 * being added. Nearly all that happens is a datagram, soon after it was sent.
 */
#ifndef SIM_RING_H
#define SIM_RING_H

#include "happening.h"

enum { RING_SPAN = 32768, RING_NONE = 0xffffffff };

struct ring {
    struct ring_item {
        struct happening h;
        uint32_t next; /* of its list, which is a circle; or free */
    } * item;
    uint32_t count, room, free;
    int64_t now;                       /* nothing in it is before */
    uint32_t last[RING_SPAN];          /* of the list at this us, if its bit is set */
    uint64_t occupied[RING_SPAN / 64]; /* a bit for each list */
};

void ring_init(struct ring *r);
void ring_clear(struct ring *r); /* empties it; time begins anew, at 0 */
void ring_free(struct ring *r);

/* Time goes on to `now`, up to which nothing is left. */
void ring_advance(struct ring *r, int64_t now);

/* True if it holds what happens at this time. */
bool ring_holds(const struct ring *r, int64_t at);

/* Adds a copy. Ends the program when memory does. */
void ring_push(struct ring *r, const struct happening *h);

/* The first, until something is added or taken; NULL: none. */
const struct happening *ring_first(const struct ring *r);

/* What comes behind that, if it comes soon, is about to be needed: fetches it. */
void ring_expect(const struct ring *r, const struct happening *first);

/* Takes away what ring_first() returned. */
void ring_drop(struct ring *r, const struct happening *first);

#endif
