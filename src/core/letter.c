/*
 * The way of a datagram into the core: the seal first, then all of its bytes.
 */
#include "ipclusterd/letter.h"

const struct letter *letter_open(const struct seal *s, const uint8_t *data, size_t length,
                                 struct letter *room, enum reject *why)
{
    *why = seal_open(s, data, length, &room->stamp, room->plain, &room->length);
    if (*why != REJECT_NONE)
        return NULL;
    room->readable =
        heartbeat_read(&room->says, room->stamp.version, room->plain, room->length) == 0;
    return room;
}
