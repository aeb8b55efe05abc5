/* The seal: nothing but the right key, cluster and bytes opens it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/seal.h"
#include "ipclusterd/wire.h"

static const uint8_t key[KEY_BYTES] = {1, 2, 3}, other_key[KEY_BYTES] = {1, 2, 4};

static const struct seal_stamp stamp = {WIRE_VERSION_LAST, SEAL_TYPE_HEARTBEAT, 42, 7, 1};

static size_t sealed(const char *cluster, const uint8_t *with, uint8_t out[DATAGRAM_MAX])
{
    struct seal s;
    seal_init(&s, cluster, with);
    return seal_close(&s, &stamp, (const uint8_t *)"hello", 5, out, DATAGRAM_MAX);
}

static enum reject opened(const uint8_t *data, size_t length, uint8_t plain[DATAGRAM_MAX],
                          size_t *plain_length)
{
    struct seal s;
    seal_init(&s, "web", key);
    struct seal_stamp found;
    return seal_open(&s, data, length, &found, plain, plain_length);
}

static void round_trip(void **state)
{
    (void)state;
    uint8_t data[DATAGRAM_MAX], plain[DATAGRAM_MAX];
    size_t plain_length = 0, length = sealed("web", key, data);
    assert_int_equal(length, 5 + SEAL_OVERHEAD);
    assert_int_equal(opened(data, length, plain, &plain_length), REJECT_NONE);
    assert_int_equal(plain_length, 5);
    assert_memory_equal(plain, "hello", 5);
    assert_null(memmem(data, length, "hello", 5));
}

static void every_bit_counts(void **state)
{
    (void)state;
    uint8_t data[DATAGRAM_MAX], plain[DATAGRAM_MAX];
    size_t plain_length, length = sealed("web", key, data);
    for (size_t bit = 0; bit < 8 * length; bit++) {
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(opened(data, length, plain, &plain_length), REJECT_NONE);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < length; cut++)
        assert_int_not_equal(opened(data, cut, plain, &plain_length), REJECT_NONE);
}

static void reasons(void **state)
{
    (void)state;
    uint8_t data[DATAGRAM_MAX + 1] = {0}, plain[DATAGRAM_MAX];
    size_t n, length = sealed("web", other_key, data);
    assert_int_equal(opened(data, length, plain, &n), REJECT_FORGED);
    length = sealed("mail", key, data);
    assert_int_equal(opened(data, length, plain, &n), REJECT_FOREIGN_CLUSTER);
    length = sealed("web", key, data);
    data[4]++;
    assert_int_equal(opened(data, length, plain, &n), REJECT_VERSION);
    data[4]--;
    data[5] += 2;
    assert_int_equal(opened(data, length, plain, &n), REJECT_MALFORMED);
    data[0] = 'X';
    assert_int_equal(opened(data, length, plain, &n), REJECT_MALFORMED);
    assert_int_equal(opened(data, DATAGRAM_MAX + 1, plain, &n), REJECT_MALFORMED);
    assert_int_equal(opened(data, SEAL_OVERHEAD, plain, &n), REJECT_MALFORMED);
}

static void what_does_not_fit(void **state)
{
    (void)state;
    struct seal s;
    uint8_t data[DATAGRAM_MAX];
    seal_init(&s, "web", key);
    assert_int_equal(seal_close(&s, &stamp, data, 10, data, SEAL_OVERHEAD - 1), 0);
    assert_int_equal(seal_close(&s, &stamp, data, 10, data, SEAL_OVERHEAD + 9), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(reasons),
        cmocka_unit_test(what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
