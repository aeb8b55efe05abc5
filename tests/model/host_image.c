/*
 * The parts of a host that last from one step to the next.
 */
#include <string.h>

#include "host.h"

struct span {
    size_t from, to;
};

#define BEFORE(field) offsetof(struct host, node.field)
#define BEHIND(field) (offsetof(struct host, node.field) + sizeof((struct host *)0)->node.field)

/* Left out, in this order: `sent`, which follows from the step (host.c); the last
 * heartbeats and datagrams; what was stored; room to reckon in. */
static const struct span kept[] = {
    {0, BEFORE(sent)},
    {BEHIND(sent), BEFORE(in)},
    {BEHIND(old_datagram), BEFORE(relay)},
    {BEHIND(relay), BEFORE(stored)},
    {BEHIND(stored), BEFORE(scratch)},
};

size_t host_image(const struct host *h, uint8_t image[IMAGE_MAX])
{
    size_t length = 0;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        size_t part = kept[i].to - kept[i].from;
        memcpy(image + length, (const uint8_t *)h + kept[i].from, part);
        length += part;
    }
    return length;
}

void host_from_image(struct host *h, const uint8_t *image)
{
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        size_t part = kept[i].to - kept[i].from;
        memcpy((uint8_t *)h + kept[i].from, image, part);
        image += part;
    }
}
