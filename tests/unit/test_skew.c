/* When one bucket has too many of the flows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/skew.h"

enum { BUCKETS = 16 };

static uint32_t of[BUCKETS];
static struct skew skew;

static bool judge(uint32_t most, uint64_t total, size_t nodes)
{
    memset(of, 0, sizeof of);
    of[3] = 1;
    of[11] = most;
    skew_judge(&skew, of, BUCKETS, total, nodes);
    return skew.skewed;
}

static int fresh(void **state)
{
    (void)state;
    skew = (struct skew){0};
    return 0;
}

static void test_figures(void **state)
{
    (void)state;
    assert_true(judge(600, 1000, 3));
    assert_int_equal(skew.bucket, 11);
    assert_int_equal(skew.most, 600);
    assert_int_equal(skew.total, 1000);
    assert_int_equal(skew.nodes, 3);
    memset(of, 0, sizeof of);
    skew_judge(&skew, of, BUCKETS, 0, 3);
    assert_false(skew.skewed);
    assert_int_equal(skew.most, 0);
}

/* More than a node's share; with many nodes more than a fifth. */
static void test_share(void **state)
{
    (void)state;
    assert_false(judge(1000, 1000, 1));
    assert_false(judge(500, 1000, 2));
    assert_true(judge(501, 1000, 2));
    fresh(NULL);
    assert_false(judge(333, 1000, 3));
    assert_true(judge(334, 1000, 3));
    fresh(NULL);
    assert_false(judge(200, 1000, 20));
    assert_true(judge(201, 1000, 20));
}

static void test_few(void **state)
{
    (void)state;
    assert_false(judge(199, 199, 2));
    assert_true(judge(200, 200, 2));
    assert_true(judge(100, 100, 2));
    assert_false(judge(99, 99, 2));
    assert_false(judge(100, 100, 2));
}

/* It does not come and go with each count. */
static void test_steady(void **state)
{
    (void)state;
    assert_true(judge(510, 1000, 2));
    assert_true(judge(490, 1000, 2));
    assert_true(judge(375, 1000, 2));
    assert_false(judge(374, 1000, 2));
    assert_false(judge(490, 1000, 2));
    assert_true(judge(510, 1000, 2));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_figures, fresh),
        cmocka_unit_test_setup(test_share, fresh),
        cmocka_unit_test_setup(test_few, fresh),
        cmocka_unit_test_setup(test_steady, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
