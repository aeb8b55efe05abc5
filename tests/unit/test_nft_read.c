/* Tables that one run leaves in the kernel, read by the next. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "netlab.h"
#include "nft_made.h"

static struct plan found;
static instant until;

static instant now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (instant){(int64_t)t.tv_sec * USEC_PER_S + t.tv_nsec / 1000};
}

static void pause_ms(long ms)
{
    const struct timespec t = {.tv_nsec = ms * 1000000};

    nanosleep(&t, NULL);
}

/* The next run: all it has is the configuration. */
static void run_anew(void)
{
    nft_close(nft);
    nft = NULL;
    assert_int_equal(nft_open(&nft, &config, place), 0);
}

/* What was loaded, with its lease running. */
static void run_made(void)
{
    run_anew();
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_renew(nft, config.lease), 0);
}

static int inherit(void)
{
    run_anew();
    memset(&found, 0x55, sizeof found);
    return nft_inherit(nft, &found, &until);
}

static void assert_found(void)
{
    assert_int_equal(found.buckets, plan.buckets);
    for (unsigned b = 0; b < plan.buckets; b++) {
        enum bucket_class class = plan.class_of[b];
        assert_int_equal(found.class_of[b], class == CLASS_RELEASE ? CLASS_LINGER : class);
        assert_int_equal(found.target_of[b], PLAN_TARGET_NONE);
    }
}

static void test_what_was_put_is_read(void **state)
{
    (void)state;
    made_open_all();
    config.lease = 10 * USEC_PER_S;
    made_some_classes();
    instant least = instant_add(now(), config.lease);
    run_made();
    instant most = instant_add(now(), config.lease);
    pause_ms(50);
    instant asked = now();
    assert_int_equal(inherit(), 0);
    assert_found();
    /* It counts from the question, with a tick of the kernel's clock to spare. */
    usec slack = instant_diff(now(), asked) + 20 * USEC_PER_MS;
    assert_false(instant_before(most, until));
    assert_false(instant_before(until, instant_add(least, -slack)));
}

/* Many buckets come in many messages. */
static void test_many_buckets(void **state)
{
    (void)state;
    made_vip_add("192.0.2.100", VIP_SHARED, SELECT_MASK);
    made_vip_add("2001:db8::64", VIP_SHARED, SELECT_MASK);
    made_vip_add("192.0.2.101", VIP_SHARED, SELECT_HASH);
    made_open(BUCKETS_MAX);
    config.lease = 10 * USEC_PER_S;
    for (unsigned b = 0; b < BUCKETS_MAX; b++)
        plan.class_of[b] = (uint8_t)(b * 2654435761u >> 7) % CLASS_MAX;
    run_made();
    assert_int_equal(inherit(), 0);
    assert_found();
}

/* "drop" has the chain of ADOPT for OWN: if no VIP knows better, it is ADOPT. */
static void test_without_resets(void **state)
{
    (void)state;
    made_vip_add("192.0.2.100", VIP_SHARED, SELECT_MASK)->orphans = ORPHANS_DROP;
    made_open(64);
    config.lease = 10 * USEC_PER_S;
    made_classes(0, 9, CLASS_OWN);
    made_classes(10, 12, CLASS_LINGER);
    run_made();
    assert_int_equal(inherit(), 0);
    made_classes(0, 9, CLASS_ADOPT);
    assert_found();
}

static bool leases_over_before(instant end)
{
    while (made_leases_running() > 0)
        if (!instant_before(now(), end))
            return false;
    return true;
}

/* In the tables of the next run it runs to where it would have, and no longer. */
static void test_the_lease_runs_on(void **state)
{
    enum { LEASE = 3000 };
    (void)state;
    made_open_all();
    config.lease = LEASE * USEC_PER_MS;
    made_some_classes();
    run_made();
    instant end = instant_add(now(), config.lease);
    pause_ms(LEASE / 10);
    assert_int_equal(inherit(), 0);
    assert_false(instant_before(end, until));
    assert_int_equal(nft_apply(nft, &found), 0);
    assert_int_equal(made_leases_running(), made_leases_wanted());
    made_classes(41, 50, CLASS_LINGER); /* what was released */
    made_check();
    assert_true(leases_over_before(instant_add(end, LEASE / 5 * USEC_PER_MS)));
    assert_int_equal(inherit(), -ETIME);
}

static void test_nothing_there(void **state)
{
    (void)state;
    made_open_all();
    assert_int_equal(inherit(), -ENOENT);
    netlab_run("nft add table inet ipclusterd; nft add table netdev ipclusterd");
    assert_int_equal(inherit(), -ENOENT);
}

static void test_no_lease(void **state)
{
    (void)state;
    made_open_all();
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(inherit(), -ETIME);
    run_made();
    netlab_run("nft delete element netdev ipclusterd v1_lease '{ 2001:db8::64 }'");
    assert_int_equal(inherit(), -ETIME);
}

/* All that a hand in our tables may have done; another table is another's. */
static void test_foreign_hands(void **state)
{
    static const char *const meddling[] = {
        "nft insert rule netdev ipclusterd in_eth0 accept",
        "nft add rule netdev ipclusterd v4_linger accept",
        "nft flush chain inet ipclusterd late",
        "nft add chain inet ipclusterd another",
        "nft delete chain inet ipclusterd early_ct",
        "nft add set inet ipclusterd another '{ type ipv4_addr; }'",
        "nft delete table netdev ipclusterd",
        "nft delete element netdev ipclusterd v0_class '{ 0.0.0.1 }'",
        "nft delete element netdev ipclusterd v2_class '{ 255 }'",
        "nft add element netdev ipclusterd v1_class '{ ::ee : goto v1_linger }'",
        "nft add element netdev ipclusterd v0_class '{ 0.0.1.1 : goto v0_own }'",
        "nft add element netdev ipclusterd v0_class '{ 10.0.0.200 : goto v0_own }'",
        "nft add element netdev ipclusterd v0_class '{ 0.0.0.200 : drop }'",
        "nft add element netdev ipclusterd v0_class '{ 0.0.0.200 : goto v1_own }'",
        "nft add element netdev ipclusterd v0_class '{ 0.0.0.200 : goto v0_icmp }'",
        "nft add element netdev ipclusterd v0_class '{ 0.0.0.200 : jump v0_own }'",
        "nft delete element netdev ipclusterd v0_present '{ 1 }'",
        "nft add element netdev ipclusterd v0_present '{ 200 }'",
        "nft 'delete element netdev ipclusterd v5_present { 1 }; "
        "add element netdev ipclusterd v5_present { 200 }'",
        "nft delete element inet ipclusterd v13_class_port '{ tcp . 80 }'",
        "nft delete element inet ipclusterd v13_class_any '{ 192.0.2.107 }'",
        "nft 'delete element inet ipclusterd v13_class_port { tcp . 80 }; "
        "add element inet ipclusterd v13_class_port { tcp . 80 : goto v13_own }'",
        "nft add element netdev ipclusterd v0_lease '{ 192.0.2.99 timeout 1s }'",
        "nft 'delete element netdev ipclusterd v0_lease { 192.0.2.100 }; "
        "add element netdev ipclusterd v0_lease { 192.0.2.100 timeout 1h }'",
        "nft 'delete element netdev ipclusterd v0_lease { 192.0.2.100 }; "
        "add element netdev ipclusterd v0_lease { 192.0.2.100 }'",
    };
    (void)state;
    made_open_all();
    config.lease = 10 * USEC_PER_S;
    made_some_classes();
    for (size_t i = 0; i < sizeof meddling / sizeof *meddling; i++) {
        run_made();
        netlab_run("nft add table inet other; %s", meddling[i]);
        int rc = inherit();
        if (rc != -ENOENT && rc != -ETIME)
            fail_msg("%s: %d", meddling[i], rc);
    }
    run_made();
    assert_int_equal(inherit(), 0);
}

/* Rules in another order, none missing and none more. */
static void test_another_order(void **state)
{
    (void)state;
    made_vip_add("2001:db8::64", VIP_SHARED, SELECT_MASK);
    made_open(64);
    config.lease = 10 * USEC_PER_S;
    run_made();
    assert_int_equal(inherit(), 0);
    netlab_run("set -- $(nft -a list chain netdev ipclusterd v0_icmp | sed -n 's/.* handle //p'); "
               "nft delete rule netdev ipclusterd v0_icmp handle $2 && "
               "nft add rule netdev ipclusterd v0_icmp icmpv6 type @icmpv6_nd goto v0_host");
    assert_int_equal(inherit(), -ENOENT);
}

static void test_another_configuration(void **state)
{
    (void)state;
    made_open_all();
    config.lease = 10 * USEC_PER_S;
    made_some_classes();
    run_made();
    config.vip[0].early_drop = false;
    assert_int_equal(inherit(), -ENOENT);
    config.vip[0].early_drop = true;
    config.mark = 0x300;
    assert_int_equal(inherit(), -ENOENT);
    config.mark = 0;
    config.vips--;
    assert_int_equal(inherit(), -ENOENT);
    config.vips++;
    config.vip[0].address.byte[3]++;
    assert_int_equal(inherit(), -ENOENT);
    config.vip[0].address.byte[3]--;
    config.buckets = 128;
    assert_int_equal(inherit(), -ENOENT);
    config.buckets = 256;
    config.lease = USEC_PER_S;
    assert_int_equal(inherit(), -ENOENT);
    config.lease = 10 * USEC_PER_S;
    assert_int_equal(inherit(), 0);
    assert_found();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_put_is_read, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_many_buckets, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_without_resets, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_the_lease_runs_on, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_nothing_there, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_no_lease, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_foreign_hands, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_another_order, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_another_configuration, made_setup, made_teardown),
    };

    return made_run(tests, sizeof tests / sizeof *tests);
}
