/*
 * A binary heap. (time, order) is a total order, so that equal times never
 * depend on the heap's shape.
 */
#include "queue.h"

#include <stdio.h>
#include <stdlib.h>

void queue_init(struct queue *q)
{
    *q = (struct queue){0};
}

void queue_clear(struct queue *q)
{
    q->count = 0;
    q->order = 0;
}

void queue_free(struct queue *q)
{
    free(q->item);
    *q = (struct queue){0};
}

static bool happening_before(const struct happening *a, const struct happening *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void queue_push(struct queue *q, const struct happening *h)
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
    struct happening new = *h;
    new.order = q->order++;
    size_t i = q->count++;
    while (i > 0 && happening_before(&new, &q->item[(i - 1) / 2])) {
        q->item[i] = q->item[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    q->item[i] = new;
}

bool queue_pop(struct queue *q, struct happening *h)
{
    if (q->count == 0)
        return false;
    *h = q->item[0];
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
    return true;
}
