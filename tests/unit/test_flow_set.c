/* The set of flows: what is in, what has ended, and that it grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow_set.h"

static struct flow_set set;

static int teardown(void **state)
{
    (void)state;
    flow_set_clear(&set);
    return 0;
}

static void test_once(void **state)
{
    (void)state;
    assert_int_equal(flow_set_add(&set, 0x1234), 1);
    assert_int_equal(flow_set_add(&set, 0x1234), 0);
    assert_int_equal(flow_set_end(&set, 0x1234), 1);
    assert_int_equal(flow_set_end(&set, 0x1234), 0);
    /* The dump may show it after it was told to have ended. */
    assert_int_equal(flow_set_add(&set, 0x1234), 0);
    assert_int_equal(flow_set_end(&set, 0x1234), 0);
    flow_set_clear(&set);
    assert_int_equal(flow_set_add(&set, 0x1234), 1);
}

static void test_ended_before_it_was_seen(void **state)
{
    (void)state;
    assert_int_equal(flow_set_end(&set, 0x77778), 0);
    assert_int_equal(flow_set_add(&set, 0x77778), 0);
    assert_int_equal(flow_set_end(&set, 0x77778), 0);
}

/* 0 means a free slot, and the lowest bit is the set's. */
static void test_odd_keys(void **state)
{
    (void)state;
    assert_int_equal(flow_set_add(&set, 0), 1);
    assert_int_equal(flow_set_end(&set, 0), 1);
    assert_int_equal(flow_set_add(&set, UINT64_MAX), 1);
    assert_int_equal(flow_set_end(&set, UINT64_MAX), 1);
}

/* Many keys that want the same slots. */
static void test_many(void **state)
{
    enum { KEYS = 20000 };
    (void)state;

    for (uint64_t i = 1; i <= KEYS; i++)
        assert_int_equal(flow_set_add(&set, i << 8), 1);
    for (uint64_t i = 1; i <= KEYS; i += 2)
        assert_int_equal(flow_set_end(&set, i << 8), 1);
    for (uint64_t i = 1; i <= KEYS; i++) {
        assert_int_equal(flow_set_add(&set, i << 8), 0);
        assert_int_equal(flow_set_end(&set, i << 8), i % 2 == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_once, teardown),
        cmocka_unit_test_teardown(test_ended_before_it_was_seen, teardown),
        cmocka_unit_test_teardown(test_odd_keys, teardown),
        cmocka_unit_test_teardown(test_many, teardown),
    };

    return cmocka_run_group_tests_name("flow_set", tests, NULL, NULL);
}
