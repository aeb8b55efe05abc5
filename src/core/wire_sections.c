/*
 * Sections: type, length, bytes. One that is not known is skipped, so a later
 * version can add more; one that is known is read to its last byte or refused.
 */
#include "wire_sections.h"

#include <string.h>

enum section {
    SECTION_DEAF = 1,
    SECTION_HOLDS,
    SECTION_KEYS,
    SECTION_CLOCK,
    SECTION_PARTS,
    SECTION_VOTERS,
    SECTION_VIPS,
    SECTION_MAX
};

#define CLOCK_MS_MAX (INT64_C(1) << 52) /* far beyond any clock, far from an overflow */

enum {
    HEAD_BYTES = 3,
    HOLD_BYTES = 16,
    KEYS_BYTES = 20,
    CLOCK_BYTES = 8,
    COMMON_BYTES = 8,
    VIP_BYTES = 8
};

void sections_clear(struct heartbeat *h)
{
    h->deafs = h->holds = h->parts = 0;
    h->clock_ms = 0;
    memset(&h->keys, 0, sizeof h->keys);
    h->voters.lineage = 0;
    h->vips.common = 0;
    h->vips.count = 0;
}

static bool keys_told(const struct heartbeat *h)
{
    return h->keys.next != 0 || h->keys.order != 0;
}

/* Bytes inside the section; 0: it is left out. */
static size_t section_bytes(const struct heartbeat *h, enum section s)
{
    switch (s) {
    case SECTION_DEAF:
        return 4 * h->deafs;
    case SECTION_HOLDS:
        return HOLD_BYTES * h->holds;
    case SECTION_KEYS:
        return keys_told(h) ? KEYS_BYTES : 0;
    case SECTION_CLOCK:
        return h->clock_ms != 0 ? CLOCK_BYTES : 0;
    case SECTION_PARTS:
        return 4 * h->parts;
    case SECTION_VOTERS:
        return h->voters.lineage != 0 ? voters_word_bytes(&h->voters) : 0;
    case SECTION_VIPS:
        return h->vips.common != 0 ? COMMON_BYTES + VIP_BYTES * h->vips.count : 0;
    case SECTION_MAX:
        break;
    }
    return 0;
}

size_t heartbeat_sections_bytes(const struct heartbeat *h)
{
    size_t bytes = 0;
    if (h->version == WIRE_VERSION_FIRST)
        return 0;
    for (int s = SECTION_DEAF; s < SECTION_MAX; s++) {
        size_t inside = section_bytes(h, (enum section)s);
        bytes += inside > 0 ? HEAD_BYTES + inside : 0;
    }
    return bytes;
}

static void section_write(struct writer *w, const struct heartbeat *h, enum section s)
{
    switch (s) {
    case SECTION_DEAF:
        for (size_t i = 0; i < h->deafs; i++)
            write_u32(w, h->deaf[i]);
        return;
    case SECTION_HOLDS:
        for (size_t i = 0; i < h->holds; i++) {
            write_u32(w, h->hold[i].member);
            write_u32(w, h->hold[i].hold);
            write_u32(w, h->hold[i].fallen);
            write_u32(w, h->hold[i].penalty);
        }
        return;
    case SECTION_KEYS:
        write_u64(w, h->keys.next);
        write_u32(w, h->keys.order);
        write_u64(w, h->keys.target);
        return;
    case SECTION_CLOCK:
        write_u64(w, (uint64_t)h->clock_ms);
        return;
    case SECTION_PARTS:
        for (size_t i = 0; i < h->parts; i++)
            write_u32(w, h->part[i]);
        return;
    case SECTION_VOTERS:
        voters_word_write(w, &h->voters);
        return;
    case SECTION_VIPS:
        write_u64(w, h->vips.common);
        for (size_t i = 0; i < h->vips.count; i++) {
            write_u32(w, h->vips.vip[i].address);
            write_u32(w, h->vips.vip[i].rest);
        }
        return;
    case SECTION_MAX:
        return;
    }
}

void sections_write(struct writer *w, const struct heartbeat *h)
{
    for (int s = SECTION_DEAF; s < SECTION_MAX; s++) {
        size_t inside = section_bytes(h, (enum section)s);
        if (inside == 0)
            continue;
        write_u8(w, (uint8_t)s);
        write_u16(w, (uint16_t)inside);
        section_write(w, h, (enum section)s);
    }
}

/* Items of `size` bytes in the section; fails the reader if that does not come
 * out even, at none, or at more than `most`. */
static size_t items(struct reader *r, size_t size, size_t most)
{
    size_t count = r->length / size;
    if (r->length % size != 0 || count == 0 || count > most) {
        r->failed = true;
        return 0;
    }
    return count;
}

static void holds_read(struct reader *r, struct heartbeat *h)
{
    h->holds = items(r, HOLD_BYTES, MEMBERS_MAX);
    for (size_t i = 0; i < h->holds; i++) {
        h->hold[i].member = read_u32(r);
        h->hold[i].hold = read_u32(r);
        h->hold[i].fallen = read_u32(r);
        h->hold[i].penalty = read_u32(r);
    }
}

static void keys_read(struct reader *r, struct heartbeat *h)
{
    h->keys.next = read_u64(r);
    h->keys.order = read_u32(r);
    h->keys.target = read_u64(r);
    r->failed = r->failed || !keys_told(h);
}

/* In the one order that they can be in. */
static void vips_read(struct reader *r, struct vips_word *v)
{
    v->common = read_u64(r);
    v->count = r->length > COMMON_BYTES ? (r->length - COMMON_BYTES) / VIP_BYTES : 0;
    if (v->common == 0 || v->count > VIPS_MAX) {
        r->failed = true;
        v->count = 0;
    }
    for (size_t i = 0; i < v->count; i++) {
        v->vip[i].address = read_u32(r);
        v->vip[i].rest = read_u32(r);
        if (i > 0 && v->vip[i].address <= v->vip[i - 1].address)
            r->failed = true;
    }
}

static void section_read(struct reader *r, struct heartbeat *h, enum section s)
{
    switch (s) {
    case SECTION_DEAF:
        h->deafs = items(r, 4, DEAF_MAX);
        for (size_t i = 0; i < h->deafs; i++)
            h->deaf[i] = read_u32(r);
        return;
    case SECTION_HOLDS:
        holds_read(r, h);
        return;
    case SECTION_KEYS:
        keys_read(r, h);
        return;
    case SECTION_CLOCK:
        h->clock_ms = (int64_t)read_u64(r);
        r->failed = r->failed || h->clock_ms <= 0 || h->clock_ms > CLOCK_MS_MAX;
        return;
    case SECTION_PARTS:
        h->parts = items(r, 4, CONFIG_PARTS);
        for (size_t i = 0; i < h->parts; i++)
            h->part[i] = read_u32(r);
        return;
    case SECTION_VOTERS:
        voters_word_read(r, &h->voters);
        r->failed = r->failed || h->voters.lineage == 0;
        return;
    case SECTION_VIPS:
        vips_read(r, &h->vips);
        return;
    case SECTION_MAX:
        return;
    }
}

void sections_read(struct reader *r, struct heartbeat *h)
{
    bool seen[SECTION_MAX] = {false};
    while (!r->failed && r->at < r->length) {
        uint8_t type = read_u8(r);
        size_t length = read_u16(r);
        if (r->failed || length > r->length - r->at) {
            r->failed = true;
            return;
        }
        struct reader inside;
        reader_init(&inside, r->data + r->at, length);
        r->at += length;
        if (type == 0 || type >= SECTION_MAX)
            continue;
        if (!seen[type])
            section_read(&inside, h, (enum section)type);
        if (seen[type] || !reader_done(&inside))
            r->failed = true;
        seen[type] = true;
    }
}
