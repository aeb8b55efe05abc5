/*
 * The sections of version 2: each alone and all together, every truncation, what
 * is not known, what comes twice, what is too long or too much.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/wire.h"

enum { DEAF = 1, HOLDS, KEYS, CLOCK, PARTS, VOTERS, VIPS, FIRST_UNKNOWN, HEAD = 3 };

static struct heartbeat one, two;
static uint8_t bytes[65536], again[65536];
static size_t length;

/* ---------------------------------------------------------------- helpers */

static void plain_sample(struct heartbeat *h)
{
    memset(h, 0, sizeof *h);
    h->version = 2;
    strcpy(h->name, "web1");
    h->salt = 42;
    h->sequence = h->incarnation = 1;
    h->weight = 100;
    h->buckets = 16;
}

static void deaf(struct heartbeat *h)
{
    h->deafs = 2;
    h->deaf[0] = 0xdeadbeef;
    h->deaf[1] = 7;
}
static void most_deaf(struct heartbeat *h)
{
    for (h->deafs = 0; h->deafs < DEAF_MAX; h->deafs++)
        h->deaf[h->deafs] = (uint32_t)h->deafs;
}
static void holds(struct heartbeat *h)
{
    h->holds = 2;
    h->hold[0] = (struct heartbeat_hold){1, 2, 3, 4};
    h->hold[1] = (struct heartbeat_hold){UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
}
static void most_holds(struct heartbeat *h)
{
    for (h->holds = 0; h->holds < MEMBERS_MAX; h->holds++)
        h->hold[h->holds] = (struct heartbeat_hold){(uint32_t)h->holds, 1, 2, 3};
}
static void next_key(struct heartbeat *h)
{
    h->keys.next = UINT64_C(0x123456789abcdef0);
}
static void key_order(struct heartbeat *h)
{
    h->keys = (struct heartbeat_keys){0, 3, UINT64_MAX};
}
static void clock_first(struct heartbeat *h)
{
    h->clock_ms = 1;
}
static void clock_last(struct heartbeat *h)
{
    h->clock_ms = INT64_C(1) << 52;
}
static void part(struct heartbeat *h)
{
    h->parts = 1;
    h->part[0] = 0x01020304;
}
static void all_parts(struct heartbeat *h)
{
    for (h->parts = 0; h->parts < CONFIG_PARTS; h->parts++)
        h->part[h->parts] = 0xff000000 + (uint32_t)h->parts;
}
static void voters(struct heartbeat *h)
{
    h->voters = (struct voters_word){.lineage = 9, .version = 1, .promised = {3, 1}};
}
static void most_voters(struct heartbeat *h)
{
    voters(h);
    for (h->voters.count = 0; h->voters.count < MEMBERS_MAX; h->voters.count++)
        h->voters.id[h->voters.count] = (uint32_t)(2 * h->voters.count);
}
static void vips(struct heartbeat *h)
{
    h->vips = (struct vips_word){.common = 5, .count = 2, .vip = {{0, UINT32_MAX}, {7, 0}}};
}
static void no_vips(struct heartbeat *h)
{
    h->vips = (struct vips_word){.common = UINT64_MAX};
}
static void most_vips(struct heartbeat *h)
{
    no_vips(h);
    for (; h->vips.count < VIPS_MAX; h->vips.count++)
        h->vips.vip[h->vips.count] = (struct vip_word){3 * (uint32_t)h->vips.count, 9};
}
static void nothing(struct heartbeat *h)
{
    (void)h;
}
static void everything(struct heartbeat *h)
{
    deaf(h);
    holds(h);
    key_order(h);
    clock_last(h);
    all_parts(h);
    voters(h);
    vips(h);
}
static void most_of_all(struct heartbeat *h)
{
    most_deaf(h);
    most_holds(h);
    key_order(h);
    clock_last(h);
    all_parts(h);
    most_voters(h);
    most_vips(h);
}

/* `bytes` of a heartbeat with these sections. */
static void made(void (*fill)(struct heartbeat *))
{
    plain_sample(&one);
    fill(&one);
    length = heartbeat_write(&one, bytes, sizeof bytes);
    assert_true(length > 0);
}

/* Appends a section as it is. */
static void append(uint8_t type, const uint8_t *data, size_t count)
{
    bytes[length++] = type;
    bytes[length++] = (uint8_t)(count >> 8);
    bytes[length++] = (uint8_t)count;
    if (count > 0)
        memcpy(bytes + length, data, count);
    length += count;
}

/* Reads from an allocation of just that size, so that a sanitizer sees an overrun. */
static int got(uint8_t version, size_t count)
{
    uint8_t *exact = malloc(count + 1);
    memcpy(exact, bytes, count);
    memset(&two, 0xa5, sizeof two); /* nothing of before may shine through */
    int result = heartbeat_read(&two, version, exact, count);
    free(exact);
    return result;
}

/* It reads, and what is read makes the bytes of `one`. */
static void reads_as_one(void)
{
    uint8_t *want = malloc(sizeof bytes);
    size_t want_length = heartbeat_write(&one, want, sizeof bytes);
    assert_int_equal(got(2, length), 0);
    assert_int_equal(heartbeat_write(&two, again, sizeof again), want_length);
    assert_memory_equal(again, want, want_length);
    free(want);
}

/* ------------------------------------------------------------------ cases */

static void (*const fills[])(struct heartbeat *) = {
    deaf,        most_deaf,  holds,     most_holds, next_key,    key_order,
    clock_first, clock_last, part,      all_parts,  voters,      most_voters,
    vips,        no_vips,    most_vips, everything, most_of_all,
};
enum { FILLS = sizeof fills / sizeof fills[0] };

static void round_trips(void **state)
{
    (void)state;
    made(nothing);
    size_t bare = length;
    assert_int_equal(heartbeat_sections_bytes(&one), 0);
    reads_as_one();
    for (size_t i = 0; i < FILLS; i++) {
        made(fills[i]);
        assert_true(length > bare + HEAD);
        assert_int_equal(heartbeat_sections_bytes(&one), length - bare);
        reads_as_one();
        assert_int_equal(two.deafs, one.deafs);
        assert_memory_equal(two.deaf, one.deaf, one.deafs * sizeof one.deaf[0]);
        assert_int_equal(two.holds, one.holds);
        assert_memory_equal(two.hold, one.hold, one.holds * sizeof one.hold[0]);
        assert_true(two.keys.next == one.keys.next && two.keys.target == one.keys.target);
        assert_int_equal(two.keys.order, one.keys.order);
        assert_true(two.clock_ms == one.clock_ms);
        assert_int_equal(two.parts, one.parts);
        assert_memory_equal(two.part, one.part, one.parts * sizeof one.part[0]);
        assert_true(two.voters.lineage == one.voters.lineage);
        assert_true(two.vips.common == one.vips.common);
        assert_int_equal(two.vips.count, one.vips.count);
        assert_memory_equal(two.vips.vip, one.vips.vip, one.vips.count * sizeof one.vips.vip[0]);
        assert_int_equal(heartbeat_write(&one, again, length - 1), 0); /* does not fit */
        one.version = 1;
        assert_int_equal(heartbeat_sections_bytes(&one), 0);
        assert_int_equal(heartbeat_write(&one, again, sizeof again), bare);
        assert_int_equal(got(1, length), -EBADMSG); /* version 1 has no sections */
    }
}

/* Nothing is left of a heartbeat that was read into the same struct before. */
static void without_sections_all_are_empty(void **state)
{
    (void)state;
    made(nothing);
    for (uint8_t version = 1; version <= 2; version++) {
        assert_int_equal(got(version, length), 0);
        assert_int_equal(two.deafs + two.holds + two.parts, 0);
        assert_true(two.clock_ms == 0 && two.voters.lineage == 0 && two.vips.common == 0);
        assert_true(two.keys.next == 0 && two.keys.order == 0 && two.keys.target == 0);
    }
}

/* Between two sections a heartbeat may end; anywhere else it must not. */
static void every_truncation(void **state)
{
    (void)state;
    made(nothing);
    size_t bare = length;
    made(everything);
    size_t whole = 0, boundary = bare;
    for (size_t cut = 0; cut < length; cut++) {
        bool between = cut == boundary;
        assert_int_equal(got(2, cut), between ? 0 : -EBADMSG);
        if (!between)
            continue;
        whole++;
        boundary += HEAD + (size_t)(bytes[cut + 1] << 8 | bytes[cut + 2]);
    }
    assert_int_equal(whole, 7);
    assert_int_equal(boundary, length);
}

static void the_unknown_is_skipped(void **state)
{
    (void)state;
    static const uint8_t types[] = {0, FIRST_UNKNOWN, 100, 255};
    uint8_t body[300], *rest = malloc(sizeof bytes);
    made(nothing);
    size_t bare = length;
    memset(body, 0xee, sizeof body);
    for (size_t i = 0; i < sizeof types; i++) {
        made(everything);
        size_t known = length - bare;
        memcpy(rest, bytes + bare, known);
        length = bare;
        append(types[i], body, 0); /* before what is known, ... */
        append(types[i], body, sizeof body);
        memcpy(bytes + length, rest, known);
        length += known;
        append(types[i], body, 1); /* and after it; also twice */
        append(types[i], body, sizeof body);
        reads_as_one();
        for (size_t cut = 1; cut < HEAD + sizeof body; cut++)
            assert_int_equal(got(2, length - cut), -EBADMSG);
    }
    free(rest);
}

static void what_is_known_comes_once(void **state)
{
    (void)state;
    static void (*const each[])(struct heartbeat *) = {deaf, holds,  next_key, clock_first,
                                                       part, voters, vips};
    made(nothing);
    size_t bare = length;
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++) {
        made(each[i]);
        memcpy(bytes + length, bytes + bare, length - bare);
        assert_int_equal(got(2, length), 0);
        assert_int_equal(got(2, 2 * length - bare), -EBADMSG);
    }
}

/* One byte more or less than it has to be, or none at all. */
static void the_length_is_right(void **state)
{
    (void)state;
    static void (*const each[])(struct heartbeat *) = {deaf, holds,  next_key, clock_first,
                                                       part, voters, vips};
    uint8_t body[256] = {0};
    made(nothing);
    size_t bare = length;
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++) {
        made(each[i]);
        uint8_t type = bytes[bare];
        size_t count = length - bare - HEAD;
        assert_int_equal(type, i + 1);
        memcpy(body, bytes + bare + HEAD, count);
        const size_t wrong[] = {0, 1, count - 1, count + 1};
        for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
            length = bare;
            append(type, body, wrong[k]);
            assert_int_equal(got(2, length), -EBADMSG);
        }
        length = bare;
        append(type, body, count);
        assert_int_equal(got(2, length), 0);
    }
}

static void limits(void **state)
{
    (void)state;
    static const struct {
        void (*most)(struct heartbeat *);
        uint8_t type;
        size_t item;
    } cases[] = {
        {most_deaf, DEAF, 4}, {most_holds, HOLDS, 16}, {all_parts, PARTS, 4}, {most_vips, VIPS, 8}};
    static uint8_t body[65536];
    made(nothing);
    size_t bare = length;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        made(cases[i].most);
        size_t count = length - bare - HEAD;
        memset(body, 0, sizeof body);
        memcpy(body, bytes + bare + HEAD, count);
        memset(body + count, 0xff, cases[i].item);
        length = bare;
        append(cases[i].type, body, count + cases[i].item);
        assert_int_equal(got(2, length), -EBADMSG);
    }
    made(most_voters); /* one more voter than there can be members */
    size_t at = bare + HEAD + 8 + 4 + 5 + 8 + 8 + 5;
    assert_int_equal(bytes[at] << 8 | bytes[at + 1], MEMBERS_MAX);
    size_t count = length - bare - HEAD;
    memcpy(body, bytes + bare + HEAD, count);
    memset(body + count, 0xff, 4);
    body[at - bare - HEAD + 1]++;
    length = bare;
    append(VOTERS, body, count + 4);
    assert_int_equal(got(2, length), -EBADMSG);
}

/* What is not told is left out: it is not told as nothing. */
static void nothing_is_not_told(void **state)
{
    (void)state;
    static const uint8_t zeros[20] = {0}, before_1970[8] = {0xff}, no_clock[8] = {0, 0x10, [7] = 1};
    static const uint8_t target_alone[20] = {[19] = 1};
    made(nothing);
    size_t bare = length;
    append(KEYS, zeros, 20);
    assert_int_equal(got(2, length), -EBADMSG);
    length = bare;
    append(KEYS, target_alone, 20);
    assert_int_equal(got(2, length), -EBADMSG);
    length = bare;
    append(CLOCK, zeros, 8);
    assert_int_equal(got(2, length), -EBADMSG);
    length = bare;
    append(CLOCK, before_1970, 8);
    assert_int_equal(got(2, length), -EBADMSG);
    length = bare;
    append(CLOCK, no_clock, 8); /* later than any */
    assert_int_equal(got(2, length), -EBADMSG);
    length = bare;
    append(VOTERS, zeros, 8);
    assert_int_equal(got(2, length), -EBADMSG);
    length = bare;
    append(VIPS, zeros, 8);
    assert_int_equal(got(2, length), -EBADMSG);
}

/* So that equal lists are equal bytes, and are compared side by side. */
static void vips_are_in_order(void **state)
{
    (void)state;
    static const uint8_t second[3] = {6, 7, 8}; /* of the second, after a first of 7 */
    for (size_t i = 0; i < sizeof second; i++) {
        made(nothing);
        uint8_t body[24] = {[7] = 1, [11] = 7, [19] = second[i]};
        append(VIPS, body, sizeof body);
        assert_int_equal(got(2, length), second[i] == 8 ? 0 : -EBADMSG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(without_sections_all_are_empty),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(the_unknown_is_skipped),
        cmocka_unit_test(what_is_known_comes_once),
        cmocka_unit_test(the_length_is_right),
        cmocka_unit_test(limits),
        cmocka_unit_test(nothing_is_not_told),
        cmocka_unit_test(vips_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
