/*
 * What happens soon is in a ring, what is later in a binary heap, until it happens.
 */
#include "queue.h"

#include <stdio.h>
#include <stdlib.h>

void queue_init(struct queue *q)
{
    q->item = NULL;
    q->count = q->room = 0;
    q->order = 0;
    ring_init(&q->soon);
}

void queue_clear(struct queue *q)
{
    ring_clear(&q->soon);
    q->count = 0;
    q->order = 0;
}

void queue_free(struct queue *q)
{
    ring_free(&q->soon);
    free(q->item);
    queue_init(q);
}

static void heap_push(struct queue *q, const struct happening *new)
{
    if (q->count == q->room) {
        size_t room = q->room == 0 ? 4096 : q->room * 2;
        struct happening *item = realloc(q->item, room * sizeof *item);
        if (item == NULL) {
            fputs("sim: out of memory\n", stderr);
            exit(2);
        }
        q->item = item;
        q->room = room;
    }
    size_t i = q->count++;
    while (i > 0 && happening_before(new, &q->item[(i - 1) / 2])) {
        q->item[i] = q->item[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    q->item[i] = *new;
}

static void heap_drop(struct queue *q)
{
    struct happening last = q->item[--q->count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= q->count)
            break;
        if (child + 1 < q->count && happening_before(&q->item[child + 1], &q->item[child]))
            child++;
        if (!happening_before(&q->item[child], &last))
            break;
        q->item[i] = q->item[child];
        i = child;
    }
    if (q->count > 0)
        q->item[i] = last;
}

void queue_push(struct queue *q, const struct happening *h)
{
    struct happening new = *h;
    new.order = q->order++;
    if (ring_holds(&q->soon, new.at))
        ring_push(&q->soon, &new);
    else
        heap_push(q, &new);
}

const struct happening *queue_first(const struct queue *q)
{
    const struct happening *soon = ring_first(&q->soon);
    if (q->count > 0 && (soon == NULL || happening_before(&q->item[0], soon)))
        return &q->item[0];
    return soon;
}

void queue_drop(struct queue *q, const struct happening *first)
{
    int64_t now = first->at;
    if (q->count > 0 && first == &q->item[0])
        heap_drop(q);
    else
        ring_drop(&q->soon, first);
    if (now > q->soon.now)
        ring_advance(&q->soon, now);
}
