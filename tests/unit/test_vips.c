/*
 * Lists of VIPs that fit each other, and such that do not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/vips.h"

/* Of each VIP a digit of its address and one of the rest, as "1a2b". */
static struct vips_word list(uint64_t common, const char *vips)
{
    struct vips_word w = {.common = common};
    for (; *vips != '\0'; vips += 2)
        vips_add(&w, (struct vip_word){(uint32_t)vips[0], (uint32_t)vips[1]});
    return w;
}

static void what_fits(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool fit;
    } cases[] = {
        {"", "", true},
        {"", "1a", true},
        {"1a", "1a", true},
        {"1a", "1b", false},
        {"1a", "2b", true},
        {"1a2b", "2b", true},
        {"1a2b", "2c", false},
        {"1a2b3c", "0x2b4y", true},
        {"1a2b3c", "0x2b3d", false},
        {"1a3c", "2b3d4e", false},
        {"1a3c5e", "2b4d6f", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vips_word a = list(1, cases[i].a), b = list(1, cases[i].b), c = list(2, cases[i].b);
        assert_int_equal(vips_fit(&a, &b), cases[i].fit);
        assert_int_equal(vips_fit(&b, &a), cases[i].fit);
        assert_false(vips_fit(&a, &c)); /* what is common is not */
    }
}

static void who_tells_nothing_fits_nobody(void **state)
{
    (void)state;
    struct vips_word a = list(0, "1a"), b = list(1, "1a");
    assert_false(vips_fit(&a, &b));
    assert_false(vips_fit(&b, &a));
    assert_false(vips_fit(&a, &a));
}

static void they_are_in_order(void **state)
{
    (void)state;
    struct vips_word a = list(1, "3c1a4d2b"), b = list(1, "1a2b3c4d");
    assert_memory_equal(&a, &b, sizeof a);
}

/* Two addresses of one hash are as one, of which either's change shows. */
static void of_one_hash(void **state)
{
    (void)state;
    struct vips_word a = list(1, "1a1b"), b = list(1, "1b1a"), c = list(1, "1a1c");
    assert_int_equal(a.count, 1);
    assert_true(vips_fit(&a, &b));
    assert_false(vips_fit(&a, &c));
}

static void as_many_as_can_be(void **state)
{
    (void)state;
    struct vips_word a = {.common = 1}, b = {.common = 1};
    for (uint32_t i = 0; i < VIPS_MAX; i++) {
        vips_add(&a, (struct vip_word){i, 1});
        vips_add(&b, (struct vip_word){VIPS_MAX - 1 - i, 1});
    }
    assert_true(vips_fit(&a, &b));
    b.vip[VIPS_MAX - 1].rest = 2;
    assert_false(vips_fit(&a, &b));
}

static void one_takes_what_another_has(void **state)
{
    (void)state;
    static const char *const lists[] = {"", "1a", "1b2c", "2d"};
    for (size_t i = 0; i < 4 * 4; i++) {
        struct vips_word w = list(1, lists[i / 4]), from = list(2, lists[i % 4]);
        vips_take(&w, &from);
        assert_int_equal(w.common, 2);
        assert_int_equal(w.count, from.count);
        assert_memory_equal(w.vip, from.vip, from.count * sizeof from.vip[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits),         cmocka_unit_test(who_tells_nothing_fits_nobody),
        cmocka_unit_test(they_are_in_order), cmocka_unit_test(of_one_hash),
        cmocka_unit_test(as_many_as_can_be), cmocka_unit_test(one_takes_what_another_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
