/*
 * Heartbeat <-> bytes; the byte diagram is in the header. Reading is complete:
 * a heartbeat with one wrong byte, count or name, or with bytes left over, is
 * refused as a whole.
 */
#include "ipclusterd/wire.h"

#include <errno.h>
#include <string.h>

#include "ipclusterd/buf.h"
#include "ipclusterd/seal.h"
#include "wire_sections.h"

uint32_t member_id(const char *name)
{
    return (uint32_t)(hash64(name, strlen(name)) >> 32);
}

uint16_t age_pack(usec age)
{
    if (age < 0)
        return 0xffff;
    unsigned exponent = 0;
    while (age >= 2048 && exponent < 30) {
        age = (age + 1) / 2; /* rounds up: never younger than it is */
        exponent++;
    }
    if (age > 2047)
        age = 2047;
    return (uint16_t)(exponent << 11 | (unsigned)age);
}

usec age_unpack(uint16_t packed)
{
    if (packed == 0xffff)
        return AGE_NEVER;
    return (usec)(packed & 2047) << (packed >> 11);
}

size_t heartbeat_entry_bytes(const char *name)
{
    return 1 + strlen(name) + 1 + 2 + 2 + 4 + 4 + 4 + 4;
}

size_t heartbeat_base_bytes(const char *name, uint16_t buckets)
{
    return 1 + strlen(name) + 8 + 4 + 4 + 2 + 2 + 4 + 8 + 8 + 4 + 6 + 17 + 2 +
           2 * ((size_t)buckets / 8) + 2 + 2;
}

static void bitmap_write(struct writer *w, const struct bitmap *m, uint16_t buckets)
{
    for (unsigned byte = 0; byte < buckets / 8u; byte++)
        write_u8(w, (uint8_t)(m->word[byte / 8] >> (byte % 8 * 8)));
}

static void bitmap_read(struct reader *r, struct bitmap *m, uint16_t buckets)
{
    memset(m, 0, sizeof *m);
    for (unsigned byte = 0; byte < buckets / 8u; byte++)
        m->word[byte / 8] |= (uint64_t)read_u8(r) << (byte % 8 * 8);
}

static void base_write(struct writer *w, const struct heartbeat *h)
{
    write_name(w, h->name);
    write_u64(w, h->salt);
    write_u32(w, h->sequence);
    write_u32(w, h->incarnation);
    write_u16(w, h->flags);
    write_u16(w, h->weight);
    write_u32(w, h->order);
    write_u64(w, h->config);
    write_u64(w, h->view);
    write_u32(w, h->flows);
    write_bytes(w, h->mac.byte, sizeof h->mac.byte);
    write_u8(w, (uint8_t)h->address.family);
    write_bytes(w, h->address.byte, sizeof h->address.byte);
    write_u16(w, h->buckets);
    bitmap_write(w, &h->claim, h->buckets);
    bitmap_write(w, &h->linger, h->buckets);
}

size_t heartbeat_write(const struct heartbeat *h, uint8_t *out, size_t size)
{
    struct writer w;
    writer_init(&w, out, size);
    base_write(&w, h);
    write_u16(&w, (uint16_t)h->acks);
    for (size_t i = 0; i < h->acks; i++) {
        write_u32(&w, h->ack[i].member);
        write_u64(&w, h->ack[i].stamp);
        write_u16(&w, age_pack(h->ack[i].age));
        write_u16(&w, age_pack(h->ack[i].proof));
    }
    write_u16(&w, (uint16_t)h->entries);
    for (size_t i = 0; i < h->entries; i++) {
        const struct heartbeat_entry *e = &h->entry[i];
        write_name(&w, e->name);
        write_u8(&w, (uint8_t)e->standing);
        write_u16(&w, e->flags);
        write_u16(&w, e->weight);
        write_u32(&w, e->incarnation);
        write_u32(&w, e->accused);
        write_u32(&w, e->order);
        write_u32(&w, e->age_ms);
    }
    if (h->version > WIRE_VERSION_FIRST)
        sections_write(&w, h);
    return w.failed ? 0 : w.at;
}

/* A count that cannot be right fails the reader before anything is sized by it. */
static size_t count_read(struct reader *r)
{
    size_t count = read_u16(r);
    if (count > MEMBERS_MAX) {
        r->failed = true;
        return 0;
    }
    return count;
}

static void address_read(struct reader *r, struct address *a)
{
    uint8_t family = read_u8(r);
    if (family != FAMILY_NONE && family != FAMILY_IP4 && family != FAMILY_IP6)
        r->failed = true;
    a->family = (enum family)family;
    read_bytes(r, a->byte, sizeof a->byte);
}

static void entry_read(struct reader *r, struct heartbeat_entry *e)
{
    read_name(r, e->name, sizeof e->name);
    uint8_t standing = read_u8(r);
    e->flags = read_u16(r);
    e->weight = read_u16(r);
    e->incarnation = read_u32(r);
    e->accused = read_u32(r);
    e->order = read_u32(r);
    e->age_ms = read_u32(r);
    if (standing >= STANDING_MAX || e->weight > WEIGHT_MAX || (e->flags & ~HEARTBEAT_KNOWN) != 0)
        r->failed = true;
    e->standing = (enum standing)standing;
}

/* The part up to the bitmaps. */
static void base_read(struct reader *r, struct heartbeat *h)
{
    read_name(r, h->name, sizeof h->name);
    h->salt = read_u64(r);
    h->sequence = read_u32(r);
    h->incarnation = read_u32(r);
    h->flags = read_u16(r);
    h->weight = read_u16(r);
    h->order = read_u32(r);
    h->config = read_u64(r);
    h->view = read_u64(r);
    h->flows = read_u32(r);
    read_bytes(r, h->mac.byte, sizeof h->mac.byte);
    address_read(r, &h->address);
    h->buckets = read_u16(r);
    if (h->weight > WEIGHT_MAX || (h->flags & ~HEARTBEAT_KNOWN) != 0 || h->buckets < BUCKETS_MIN ||
        h->buckets > BUCKETS_MAX || (h->buckets & (h->buckets - 1)) != 0) {
        r->failed = true;
        h->buckets = 0;
    }
    bitmap_read(r, &h->claim, h->buckets);
    bitmap_read(r, &h->linger, h->buckets);
}

int heartbeat_read(struct heartbeat *h, uint8_t version, const uint8_t *data, size_t length)
{
    struct reader r;
    h->version = version;
    reader_init(&r, data, length);
    base_read(&r, h);
    h->acks = count_read(&r);
    for (size_t i = 0; i < h->acks && !r.failed; i++) {
        h->ack[i].member = read_u32(&r);
        h->ack[i].stamp = read_u64(&r);
        h->ack[i].age = age_unpack(read_u16(&r));
        h->ack[i].proof = age_unpack(read_u16(&r));
    }
    h->entries = count_read(&r);
    for (size_t i = 0; i < h->entries && !r.failed; i++)
        entry_read(&r, &h->entry[i]);
    sections_clear(h);
    if (version > WIRE_VERSION_FIRST)
        sections_read(&r, h);
    return reader_done(&r) ? 0 : -EBADMSG;
}
