/*
 * Any bytes as the inside of a datagram: no access past the end, and what is
 * accepted keeps every limit that the core relies on and is written as it was
 * read. Ages alone have several spellings; written once, they keep theirs.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ipclusterd/buf.h"
#include "ipclusterd/wire.h"

enum { ROOM = 65536, AGES_AT = 12, AGES_BYTES = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void limits_check(const struct heartbeat *h)
{
    check(name_valid(h->name) && h->weight <= WEIGHT_MAX);
    check((h->flags & ~HEARTBEAT_KNOWN) == 0);
    check(h->buckets >= BUCKETS_MIN && h->buckets <= BUCKETS_MAX);
    check((h->buckets & (h->buckets - 1)) == 0);
    check(bitmap_count(&h->claim) <= h->buckets && bitmap_count(&h->linger) <= h->buckets);
    check(h->address.family == FAMILY_NONE || h->address.family == FAMILY_IP4 ||
          h->address.family == FAMILY_IP6);
    check(h->acks <= MEMBERS_MAX && h->entries <= MEMBERS_MAX);
    for (size_t i = 0; i < h->acks; i++)
        check(h->ack[i].age >= AGE_NEVER && h->ack[i].proof >= AGE_NEVER);
    for (size_t i = 0; i < h->entries; i++) {
        const struct heartbeat_entry *e = &h->entry[i];
        check(name_valid(e->name) && e->standing < STANDING_MAX && e->weight <= WEIGHT_MAX);
        check((e->flags & ~HEARTBEAT_KNOWN) == 0);
    }
}

/* Bytes of the encoding but those of the ages. */
static bool same_but_ages(const struct heartbeat *h, const uint8_t *a, const uint8_t *b,
                          size_t length)
{
    size_t at = heartbeat_base_bytes(h->name, h->buckets) - 2; /* less the count of entries */
    if (memcmp(a, b, at) != 0)
        return false;
    for (size_t i = 0; i < h->acks; i++, at += HEARTBEAT_ACK_BYTES)
        if (memcmp(a + at, b + at, AGES_AT) != 0)
            return false;
    return memcmp(a + at, b + at, length - at) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct heartbeat first, second;
    static uint8_t written[ROOM], again[ROOM];
    static_assert(AGES_AT + AGES_BYTES == HEARTBEAT_ACK_BYTES, "ages end an acknowledgement");

    if (size > ROOM || heartbeat_read(&first, data, size) != 0)
        return 0;
    limits_check(&first);
    check(heartbeat_write(&first, written, size) == size);
    check(heartbeat_write(&first, again, size - 1) == 0);
    check(same_but_ages(&first, data, written, size));
    check(heartbeat_read(&second, written, size) == 0);
    limits_check(&second);
    check(heartbeat_write(&second, again, sizeof again) == size);
    check(memcmp(written, again, size) == 0);
    return 0;
}
