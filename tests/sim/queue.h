/*
 * The event queue: happenings ordered by virtual time, and among equal times
 * by the order of their making.
 */
#ifndef SIM_QUEUE_H
#define SIM_QUEUE_H

#include "ring.h"

struct queue {
    struct ring soon;
    struct happening *item; /* what is later, or was */
    size_t count, room;
    uint64_t order;
};

void queue_init(struct queue *q);
void queue_clear(struct queue *q); /* empties it */
void queue_free(struct queue *q);

/* Adds a copy of *h; sets its order. Ends the program when memory does. */
void queue_push(struct queue *q, const struct happening *h);

/* The first, until something is added or taken; NULL: none. */
const struct happening *queue_first(const struct queue *q);

/* Takes away what queue_first() returned: time goes on to it. */
void queue_drop(struct queue *q, const struct happening *first);

#endif
