/*
 * Any bytes as the inside of a datagram: no access past the end, and what is
 * accepted keeps every limit that the core relies on, has the length that is
 * reckoned with, and is read again as it was written. Ages alone have several
 * spellings, and sections come in any order or are not known; written once, they
 * keep their form.
 *
 * Input: the version (1), the bytes.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ipclusterd/buf.h"
#include "ipclusterd/wire.h"

enum { ROOM = 65536, AGES_AT = 12 /* in an acknowledgement */, SECTION_LAST = 7 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void voters_check(const struct voters_word *w)
{
    check(w->count <= MEMBERS_MAX);
    check(w->last.kind < CHANGE_MAX && w->change.kind < CHANGE_MAX);
    check(w->last.kind != CHANGE_NONE || w->last.member == 0);
    check(w->change.kind != CHANGE_NONE || w->change.member == 0);
    for (size_t i = 1; i < w->count; i++)
        check(w->id[i - 1] < w->id[i]);
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
    check(h->deafs <= DEAF_MAX && h->holds <= MEMBERS_MAX && h->parts <= CONFIG_PARTS);
    check(h->clock_ms >= 0);
    check(h->vips.count <= VIPS_MAX && (h->vips.common != 0 || h->vips.count == 0));
    for (size_t i = 1; i < h->vips.count; i++)
        check(h->vips.vip[i - 1].address < h->vips.vip[i].address);
    voters_check(&h->voters);
}

/* Up to the sections. */
static size_t bytes_first(const struct heartbeat *h)
{
    size_t bytes = heartbeat_base_bytes(h->name, h->buckets);

    bytes += h->acks * HEARTBEAT_ACK_BYTES;
    for (size_t i = 0; i < h->entries; i++)
        bytes += heartbeat_entry_bytes(h->entry[i].name);
    return bytes;
}

/* Sections fill the rest to the last byte, and those that are known come once. */
static void sections_check(const struct heartbeat *h, const uint8_t *data, size_t size)
{
    bool seen[SECTION_LAST + 1] = {false};
    size_t at = bytes_first(h);

    while (at < size) {
        check(size - at >= 3);
        uint8_t type = data[at];
        at += 3 + ((size_t)data[at + 1] << 8 | data[at + 2]);
        check(at <= size);
        if (type == 0 || type > SECTION_LAST)
            continue;
        check(!seen[type]);
        seen[type] = true;
    }
    check(seen[1] == (h->deafs > 0) && seen[2] == (h->holds > 0) && seen[5] == (h->parts > 0));
    check(seen[3] == (h->keys.next != 0 || h->keys.order != 0));
    check(seen[4] == (h->clock_ms != 0) && seen[6] == (h->voters.lineage != 0));
    check(seen[7] == (h->vips.common != 0));
}

/* Bytes of the first version but those of the ages. */
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

/* Ages keep their value, but for those longer than any that can be written. */
static void ages_compare(struct heartbeat *was, const struct heartbeat *is)
{
    usec longest = age_unpack(age_pack(INT64_MAX / 4));

    for (size_t i = 0; i < is->acks; i++) {
        check(was->ack[i].age == is->ack[i].age || is->ack[i].age == longest);
        check(was->ack[i].proof == is->ack[i].proof || is->ack[i].proof == longest);
        was->ack[i].age = is->ack[i].age;
        was->ack[i].proof = is->ack[i].proof;
    }
}

/* Into zeroed memory, so that two can be compared as bytes. */
static bool read_clean(struct heartbeat *h, uint8_t version, const uint8_t *data, size_t length)
{
    memset(h, 0, sizeof *h);
    return heartbeat_read(h, version, data, length) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct heartbeat first, second;
    static uint8_t written[ROOM], again[ROOM];

    if (size < 1 || size > ROOM)
        return 0;
    uint8_t version = data[0] % 2 == 0 ? WIRE_VERSION_FIRST : WIRE_VERSION_LAST;
    data++;
    size--;
    if (heartbeat_read(&first, version, data, size) != 0)
        return 0;
    check(read_clean(&first, version, data, size) && first.version == version);
    limits_check(&first);
    sections_check(&first, data, size);
    size_t length = heartbeat_write(&first, written, sizeof written);
    check(length > 0 && length <= size &&
          length == bytes_first(&first) + heartbeat_sections_bytes(&first));
    check(heartbeat_write(&first, again, length - 1) == 0);
    check(version != WIRE_VERSION_FIRST ||
          (length == size && same_but_ages(&first, data, written, size)));
    check(read_clean(&second, version, written, length));
    ages_compare(&first, &second);
    check(memcmp(&first, &second, sizeof first) == 0);
    check(heartbeat_write(&second, again, sizeof again) == length);
    check(memcmp(written, again, length) == 0);
    return 0;
}
