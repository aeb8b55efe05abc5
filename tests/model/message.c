/*
 * Datagrams to messages and back.
 */
#include "message.h"

#include <assert.h>
#include <string.h>

/* Moves all sequences by `by`. Those of acknowledgements are behind a salt. */
static void shift(struct heartbeat *h, int64_t by)
{
    h->sequence = (uint32_t)((int64_t)h->sequence + by);
    for (size_t i = 0; i < h->acks; i++)
        h->ack[i].stamp += (uint64_t)by;
}

/* What is acknowledged so late proves nothing any more, whichever it was. */
static void acks_normal(struct heartbeat *h, int64_t old)
{
    int64_t oldest = -(old * SEQUENCES + 1);
    for (size_t i = 0; i < h->acks; i++) {
        uint64_t *stamp = &h->ack[i].stamp;
        int64_t sequence = (int64_t)(*stamp << SALT_SHIFT) >> SALT_SHIFT;
        if (sequence < oldest)
            *stamp += (uint64_t)(oldest - sequence);
    }
}

void message_take(struct message *m, const struct seal *key, const uint8_t *data, size_t length,
                  int64_t step, int64_t old)
{
    static struct heartbeat h;
    static uint8_t plain[DATAGRAM_MAX];
    struct seal_stamp stamp = {0};
    size_t plain_length = 0;
    enum reject why = seal_open(key, data, length, &stamp, plain, &plain_length);
    assert(why == REJECT_NONE);
    int error = heartbeat_read(&h, stamp.version, plain, plain_length);
    assert(error == 0 && stamp.version == WIRE_VERSION_LAST);
    memset(m, 0, sizeof *m);
    m->type = (uint8_t)stamp.type;
    m->member = member_id(h.name);
    h.version = stamp.version;
    shift(&h, -step * SEQUENCES);
    acks_normal(&h, old);
    /* Told, but nothing hangs on it: figures, since when somebody is dead, and falls,
     * which have no penalty here. */
    h.holds = 0;
    h.flows = 0;
    for (size_t i = 0; i < h.entries; i++)
        h.entry[i].age_ms = 0;
    m->length = heartbeat_write(&h, m->plain, sizeof m->plain);
    assert(m->length > 0);
}

size_t message_make(const struct message *m, const struct seal *key, int64_t step,
                    uint8_t out[DATAGRAM_MAX])
{
    static struct heartbeat h;
    uint8_t plain[MESSAGE_BYTES];
    int error = heartbeat_read(&h, WIRE_VERSION_LAST, m->plain, m->length);
    assert(error == 0);
    h.version = WIRE_VERSION_LAST;
    shift(&h, step * SEQUENCES);
    size_t length = heartbeat_write(&h, plain, sizeof plain);
    struct seal_stamp stamp = {.version = WIRE_VERSION_LAST,
                               .type = (enum seal_type)m->type,
                               .salt = h.salt,
                               .member = m->member,
                               .sequence = h.sequence};
    return seal_close(key, &stamp, plain, length, out, DATAGRAM_MAX);
}
