/* Bounded reader and writer: every access at and past the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/bitmap.h"
#include "ipclusterd/buf.h"

static void numbers_round_trip(void **state)
{
    (void)state;
    uint8_t data[15];
    struct writer w;
    writer_init(&w, data, sizeof data);
    write_u8(&w, 0xab);
    write_u16(&w, 0x1234);
    write_u32(&w, 0xdeadbeef);
    write_u64(&w, UINT64_C(0x0123456789abcdef));
    assert_false(w.failed);
    assert_int_equal(writer_room(&w), 0);
    assert_int_equal(data[1], 0x12); /* big-endian */
    struct reader r;
    reader_init(&r, data, sizeof data);
    assert_int_equal(read_u8(&r), 0xab);
    assert_int_equal(read_u16(&r), 0x1234);
    assert_int_equal(read_u32(&r), 0xdeadbeef);
    assert_true(read_u64(&r) == UINT64_C(0x0123456789abcdef));
    assert_true(reader_done(&r));
}

static void error_is_sticky(void **state)
{
    (void)state;
    uint8_t data[3] = {1, 2, 3}, out[4] = {9, 9, 9, 9};
    struct reader r;
    reader_init(&r, data, sizeof data);
    assert_int_equal(read_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(read_u8(&r), 0); /* there is a byte, but too late */
    read_bytes(&r, out, sizeof out);
    assert_int_equal(out[0], 0);
    assert_false(reader_done(&r));

    struct writer w;
    writer_init(&w, data, sizeof data);
    write_u32(&w, 7);
    write_u8(&w, 7);
    write_bytes(&w, out, 1);
    assert_true(w.failed);
    assert_int_equal(w.at, 0);
    assert_int_equal(writer_room(&w), 0);
    assert_int_equal(data[0], 1);
}

static void bytes_left_are_not_done(void **state)
{
    (void)state;
    uint8_t data[2] = {0};
    struct reader r;
    reader_init(&r, data, sizeof data);
    read_u8(&r);
    assert_false(reader_done(&r));
}

static void names(void **state)
{
    (void)state;
    char most[NAME_BYTES_MAX + 2];
    memset(most, 'x', sizeof most);
    most[NAME_BYTES_MAX + 1] = '\0';
    assert_false(name_valid(most));
    most[NAME_BYTES_MAX] = '\0';
    assert_true(name_valid(most));
    static const char *const bad[] = {"", " ", "a b", "a/b", "\xc3\xa4", "a\n", "%s"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(name_valid(bad[i]));
    assert_true(name_valid("web-1.example_A"));

    static const struct {
        const char *bytes;
        size_t length;
        const char *name; /* NULL: refused */
    } wire[] = {
        {"\003web", 4, "web"}, {"\000", 1, NULL},           {"\004web", 4, NULL},
        {"\003w\0b", 4, NULL}, {"\003w b", 4, NULL},        {"\377", 1, NULL},
        {"", 0, NULL},         {"\011123456789", 10, NULL}, /* longer than its array */
    };
    for (size_t i = 0; i < sizeof wire / sizeof wire[0]; i++) {
        char out[9] = "?";
        struct reader r;
        reader_init(&r, wire[i].bytes, wire[i].length);
        read_name(&r, out, sizeof out);
        assert_int_equal(r.failed, wire[i].name == NULL);
        assert_string_equal(out, wire[i].name == NULL ? "" : wire[i].name);
    }
}

static void bitmaps(void **state)
{
    (void)state;
    struct bitmap a = {0}, b = {0};
    assert_true(bitmap_empty(&a));
    bitmap_set(&a, 0);
    bitmap_set(&a, BUCKETS_MAX - 1);
    bitmap_assign(&a, 77, true);
    assert_int_equal(bitmap_count(&a), 3);
    assert_true(bitmap_test(&a, 77) && !bitmap_test(&a, 78));
    bitmap_merge(&b, &a);
    assert_true(bitmap_equal(&a, &b));
    bitmap_assign(&b, 77, false);
    assert_false(bitmap_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_round_trip),
        cmocka_unit_test(error_is_sticky),
        cmocka_unit_test(bytes_left_are_not_done),
        cmocka_unit_test(names),
        cmocka_unit_test(bitmaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
