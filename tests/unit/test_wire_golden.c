/*
 * The pinned formats: what versions 1 and 2 look like on the wire, to the bit.
 * A cluster is upgraded node by node, so a version that has been spoken never
 * changes; what has to change is another version.
 *
 * With the argument "print" it writes version 2 of today's code for wire_golden.h.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/seal.h"
#include "ipclusterd/wire.h"
#include "wire_golden.h"

static const uint8_t key[KEY_BYTES] = {0xc0, 0xff, 0xee, 4, 5, 6, 7, 8, 9};

static struct heartbeat one, two;

/* Everything that version 1 can say. */
static void sample(struct heartbeat *h)
{
    memset(h, 0, sizeof *h);
    strcpy(h->name, "web1.example");
    h->salt = UINT64_C(0xfedcba9876543210);
    h->sequence = 0x01020304;
    h->incarnation = 0x1122;
    h->flags = HEARTBEAT_JOINING | HEARTBEAT_DRAINING | HEARTBEAT_ASKING;
    h->weight = 250;
    h->order = 5;
    h->config = UINT64_C(0x0123456789abcdef);
    h->view = UINT64_C(0x8877665544332211);
    h->flows = 70000;
    h->mac = (struct mac){{2, 0xbf, 0xc0, 0xa8, 0, 2}};
    h->address = (struct address){FAMILY_IP6, {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 9, 8, 7, 6, 5, 4}};
    h->buckets = 32;
    bitmap_set(&h->claim, 0);
    bitmap_set(&h->claim, 9);
    bitmap_set(&h->claim, 31);
    bitmap_set(&h->linger, 17);
    h->acks = 3;
    h->ack[0] = (struct heartbeat_ack){0xdeadbeef, UINT64_C(0x1000000000000001), 1000, 512};
    h->ack[1] = (struct heartbeat_ack){3, 4, 0, AGE_NEVER};
    h->ack[2] = (struct heartbeat_ack){5, 6, 399999, 7000000};
    h->entries = 2;
    strcpy(h->entry[0].name, "web2");
    h->entry[0].standing = STANDING_DEAD;
    h->entry[0].flags = HEARTBEAT_UNHEALTHY;
    h->entry[0].weight = 100;
    h->entry[0].incarnation = 9;
    h->entry[0].accused = 10;
    h->entry[0].order = 3;
    h->entry[0].age_ms = 4711;
    strcpy(h->entry[1].name, "web3");
    h->entry[1].standing = STANDING_ALIVE;
    h->entry[1].weight = 1000;
    h->entry[1].incarnation = 0xfffffffe;
}

/* And all that version 2 adds. */
static void sections_sample(struct heartbeat *h)
{
    h->version = 2;
    h->deafs = 2;
    h->deaf[0] = 0xdeadbeef;
    h->deaf[1] = 3;
    h->holds = 1;
    h->hold[0] = (struct heartbeat_hold){5, 7, 0x1234, 3000};
    h->keys =
        (struct heartbeat_keys){UINT64_C(0x1111222233334444), 2, UINT64_C(0x5555666677778888)};
    h->clock_ms = INT64_C(1785542400123);
    h->parts = 3;
    h->part[0] = 0xaaaa5555;
    h->part[2] = 0x01020304;
    h->voters = (struct voters_word){.lineage = UINT64_C(0x9999aaaabbbbcccc),
                                     .version = 3,
                                     .last = {CHANGE_ADD, 5},
                                     .promised = {2, 3},
                                     .accepted = {1, 5},
                                     .change = {CHANGE_REMOVE, 3},
                                     .count = 3,
                                     .id = {3, 5, 0xdeadbeef}};
}

static struct seal_stamp stamp_of(uint8_t version, enum seal_type type)
{
    return (struct seal_stamp){version, type, one.salt, 0xcafe0001, one.sequence};
}

/* What today's code writes and seals of `one`, and reads of it, is this. */
static void pinned(uint8_t version, enum seal_type type, const uint8_t *plain, size_t plain_bytes,
                   const uint8_t *sealed, size_t sealed_bytes)
{
    uint8_t written[DATAGRAM_MAX], closed[DATAGRAM_MAX], opened[DATAGRAM_MAX];
    struct seal seal;
    struct seal_stamp stamp = stamp_of(version, type), found = {0};
    size_t length = 0;
    one.version = version;
    seal_init(&seal, "golden", key);
    assert_int_equal(heartbeat_write(&one, written, sizeof written), plain_bytes);
    assert_memory_equal(written, plain, plain_bytes);
    assert_int_equal(seal_close(&seal, &stamp, plain, plain_bytes, closed, sizeof closed),
                     sealed_bytes);
    assert_memory_equal(closed, sealed, sealed_bytes);
    assert_int_equal(seal_open(&seal, sealed, sealed_bytes, &found, opened, &length), REJECT_NONE);
    assert_int_equal(length, plain_bytes);
    assert_memory_equal(opened, plain, plain_bytes);
    assert_int_equal(found.version, version);
    assert_int_equal(found.type, type);
    memset(&two, 0, sizeof two);
    assert_int_equal(heartbeat_read(&two, version, opened, length), 0);
    /* What is read is what was written: it makes the same bytes again. */
    assert_int_equal(heartbeat_write(&two, written, sizeof written), plain_bytes);
    assert_memory_equal(written, plain, plain_bytes);
}

static void version_1_is_what_it_was(void **state)
{
    (void)state;
    sample(&one);
    pinned(1, SEAL_TYPE_HEARTBEAT, golden_plain_1, sizeof golden_plain_1, golden_sealed_1,
           sizeof golden_sealed_1);
}

static void version_2_is_what_it_was(void **state)
{
    (void)state;
    sample(&one);
    sections_sample(&one);
    pinned(2, SEAL_TYPE_HEARTBEAT, golden_plain_2, sizeof golden_plain_2, golden_sealed_2,
           sizeof golden_sealed_2);
    sample(&one);
    sections_sample(&one);
    pinned(2, SEAL_TYPE_RELAY, golden_plain_2, sizeof golden_plain_2, golden_relayed_2,
           sizeof golden_relayed_2);
}

/* A section that came after it stands behind all that. */
static void vips_are_one_section_more(void **state)
{
    (void)state;
    static const uint8_t section[] = {7,    0,    24,   1,    2,    3,    4,    5,    6,
                                      7,    8,    0,    0,    0,    9,    0xde, 0xad, 0xbe,
                                      0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10};
    uint8_t written[DATAGRAM_MAX], length = sizeof section;
    sample(&one);
    sections_sample(&one);
    one.vips = (struct vips_word){.common = UINT64_C(0x0102030405060708),
                                  .count = 2,
                                  .vip = {{9, 0xdeadbeef}, {0xfedcba98, 0x76543210}}};
    assert_int_equal(heartbeat_write(&one, written, sizeof written),
                     sizeof golden_plain_2 + length);
    assert_memory_equal(written, golden_plain_2, sizeof golden_plain_2);
    assert_memory_equal(written + sizeof golden_plain_2, section, length);
}

/* Version 2 of who has nothing to add is version 1 under another seal. */
static void without_sections_they_are_alike(void **state)
{
    (void)state;
    uint8_t written[DATAGRAM_MAX];
    sample(&one);
    one.version = 2;
    assert_int_equal(heartbeat_write(&one, written, sizeof written), sizeof golden_plain_1);
    assert_memory_equal(written, golden_plain_1, sizeof golden_plain_1);
    sections_sample(&one);
    one.version = 1; /* and version 1 has no words for them */
    assert_int_equal(heartbeat_write(&one, written, sizeof written), sizeof golden_plain_1);
    assert_memory_equal(written, golden_plain_1, sizeof golden_plain_1);
    assert_memory_equal(golden_plain_2, golden_plain_1, sizeof golden_plain_1);
    assert_int_equal(heartbeat_read(&two, 1, golden_plain_2, sizeof golden_plain_2), -EBADMSG);
}

static void print(const char *name, const uint8_t *data, size_t length)
{
    printf("static const uint8_t %s[] = {", name);
    for (size_t i = 0; i < length; i++)
        printf("0x%02x, ", data[i]);
    printf("};\n");
}

static int print_all(void)
{
    uint8_t plain[DATAGRAM_MAX], sealed[DATAGRAM_MAX];
    struct seal seal;
    seal_init(&seal, "golden", key);
    sample(&one);
    sections_sample(&one);
    size_t length = heartbeat_write(&one, plain, sizeof plain);
    struct seal_stamp stamp = stamp_of(2, SEAL_TYPE_HEARTBEAT);
    print("golden_plain_2", plain, length);
    print("golden_sealed_2", sealed,
          seal_close(&seal, &stamp, plain, length, sealed, sizeof sealed));
    stamp = stamp_of(2, SEAL_TYPE_RELAY);
    print("golden_relayed_2", sealed,
          seal_close(&seal, &stamp, plain, length, sealed, sizeof sealed));
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1_is_what_it_was),
        cmocka_unit_test(version_2_is_what_it_was),
        cmocka_unit_test(vips_are_one_section_more),
        cmocka_unit_test(without_sections_they_are_alike),
    };
    if (argc > 1 && strcmp(argv[1], "print") == 0)
        return print_all();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
