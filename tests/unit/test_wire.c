/* Heartbeats: round trip, every truncation, every limit. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/wire.h"

static struct heartbeat one, two;
static uint8_t bytes[65536];

static void sample(struct heartbeat *h)
{
    memset(h, 0, sizeof *h);
    h->version = WIRE_VERSION_FIRST;
    strcpy(h->name, "web1");
    h->salt = UINT64_C(0xfedcba9876543210);
    h->sequence = 77;
    h->incarnation = 3;
    h->flags = HEARTBEAT_DRAINING | HEARTBEAT_ASKING;
    h->weight = 250;
    h->order = 5;
    h->config = 11;
    h->view = 12;
    h->flows = 13;
    h->mac = (struct mac){{2, 0, 0, 0, 0, 1}};
    h->address = (struct address){FAMILY_IP4, {192, 168, 0, 11}};
    h->buckets = 64;
    bitmap_set(&h->claim, 0);
    bitmap_set(&h->claim, 63);
    bitmap_set(&h->linger, 17);
    h->acks = 2;
    h->ack[0] = (struct heartbeat_ack){1, 2, 1000, 512};
    h->ack[1] = (struct heartbeat_ack){3, 4, 0, AGE_NEVER};
    h->entries = 1;
    strcpy(h->entry[0].name, "web2");
    h->entry[0].standing = STANDING_DEAD;
    h->entry[0].weight = 100;
    h->entry[0].incarnation = 9;
    h->entry[0].accused = 9;
    h->entry[0].age_ms = 4711;
}

static void round_trip(void **state)
{
    (void)state;
    sample(&one);
    size_t length = heartbeat_write(&one, bytes, sizeof bytes);
    assert_int_equal(length, heartbeat_base_bytes("web1", 64) + 2 * HEARTBEAT_ACK_BYTES +
                                 heartbeat_entry_bytes("web2"));
    memset(&two, 0, sizeof two);
    assert_int_equal(heartbeat_read(&two, WIRE_VERSION_FIRST, bytes, length), 0);
    assert_memory_equal(&one, &two, offsetof(struct heartbeat, ack));
    assert_memory_equal(&one.ack, &two.ack, 2 * sizeof one.ack[0]);
    assert_memory_equal(&one.entry[0], &two.entry[0], sizeof one.entry[0]);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    sample(&one);
    size_t length = heartbeat_write(&one, bytes, sizeof bytes);
    for (size_t cut = 0; cut < length; cut++) {
        uint8_t *exact = malloc(cut + 1); /* so that a sanitizer sees an overrun */
        memcpy(exact, bytes, cut);
        assert_int_equal(heartbeat_read(&two, WIRE_VERSION_FIRST, exact, cut), -EBADMSG);
        free(exact);
        assert_int_equal(heartbeat_write(&one, bytes + length, cut), 0);
    }
    assert_int_equal(heartbeat_read(&two, WIRE_VERSION_FIRST, bytes, length + 1), -EBADMSG);
}

/* Writes the sample with one thing wrong; it must not be read. */
static void refused(void (*spoil)(struct heartbeat *))
{
    sample(&one);
    spoil(&one);
    size_t length = heartbeat_write(&one, bytes, sizeof bytes);
    assert_true(length > 0);
    assert_int_equal(heartbeat_read(&two, WIRE_VERSION_FIRST, bytes, length), -EBADMSG);
}

static void heavy(struct heartbeat *h)
{
    h->weight = WEIGHT_MAX + 1;
}
static void strange_flag(struct heartbeat *h)
{
    h->flags = HEARTBEAT_KNOWN + 1;
}
static void odd_buckets(struct heartbeat *h)
{
    h->buckets = 48;
}
static void few_buckets(struct heartbeat *h)
{
    h->buckets = BUCKETS_MIN / 2;
}
static void many_buckets(struct heartbeat *h)
{
    h->buckets = 2 * BUCKETS_MAX;
}
static void strange_family(struct heartbeat *h)
{
    h->address.family = (enum family)5;
}
static void empty_name(struct heartbeat *h)
{
    h->name[0] = '\0';
}
static void bad_entry_name(struct heartbeat *h)
{
    strcpy(h->entry[0].name, "a b");
}
static void strange_standing(struct heartbeat *h)
{
    h->entry[0].standing = STANDING_MAX;
}
static void heavy_entry(struct heartbeat *h)
{
    h->entry[0].weight = WEIGHT_MAX + 1;
}
static void strange_entry_flag(struct heartbeat *h)
{
    h->entry[0].flags = HEARTBEAT_KNOWN + 1;
}

static void limits(void **state)
{
    (void)state;
    static void (*const spoils[])(struct heartbeat *) = {
        heavy,      strange_flag,   odd_buckets,      few_buckets, strange_family,
        empty_name, bad_entry_name, strange_standing, heavy_entry, strange_entry_flag};
    for (size_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++)
        refused(spoils[i]);
    /* More buckets than there are bits for: only the count can be written. */
    sample(&one);
    size_t length = heartbeat_write(&one, bytes, sizeof bytes);
    size_t at = heartbeat_base_bytes("web1", 64) - 2 - 2 - 2 * 8 - 2;
    assert_int_equal(bytes[at] << 8 | bytes[at + 1], 64);
    many_buckets(&one);
    bytes[at] = (uint8_t)(one.buckets >> 8);
    bytes[at + 1] = (uint8_t)one.buckets;
    assert_int_equal(heartbeat_read(&two, WIRE_VERSION_FIRST, bytes, length), -EBADMSG);
}

static void counts_beyond_the_limit(void **state)
{
    (void)state;
    sample(&one);
    one.acks = one.entries = 0;
    size_t length = heartbeat_write(&one, bytes, sizeof bytes);
    bytes[length - 2] = (MEMBERS_MAX + 1) >> 8;
    bytes[length - 1] = (MEMBERS_MAX + 1) & 0xff;
    memset(bytes + length, 0, sizeof bytes - length);
    assert_int_equal(heartbeat_read(&two, WIRE_VERSION_FIRST, bytes, sizeof bytes), -EBADMSG);
    assert_int_equal(heartbeat_read(&two, WIRE_VERSION_FIRST, bytes, length), -EBADMSG);
}

static void ages(void **state)
{
    (void)state;
    assert_true(age_unpack(age_pack(AGE_NEVER)) == AGE_NEVER);
    for (usec age = 0; age < (usec)1 << 40; age = age * 5 / 4 + 1) {
        usec back = age_unpack(age_pack(age));
        assert_true(back >= age);                  /* never younger */
        assert_true(back - age <= age / 1000 + 1); /* error below 0.1 % */
    }
    assert_int_not_equal(age_pack(INT64_MAX / 2), 0xffff);
    assert_int_not_equal(member_id("web1"), member_id("web2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(limits),     cmocka_unit_test(counts_beyond_the_limit),
        cmocka_unit_test(ages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
