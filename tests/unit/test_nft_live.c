/* Tables that live: others' hands in them, leases that end, counters. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#include "netlab.h"
#include "nft_made.h"

/* ---- watching ------------------------------------------------------------------ */

static bool told(void)
{
    struct pollfd p = {.fd = nft_watch_fd(nft), .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static void test_watch(void **state)
{
    static const char *const meddling[] = {
        "nft flush ruleset",
        "nft delete table netdev ipclusterd",
        "nft delete element netdev ipclusterd v0_class '{ 0.0.0.1 }'",
        "nft insert rule netdev ipclusterd in_eth0 accept",
        "nft flush chain inet ipclusterd late",
        "nft add element netdev ipclusterd v0_lease '{ 192.0.2.100 timeout 1h }'",
    };
    (void)state;

    made_open_all();
    made_some_classes();
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_renew(nft, 3600 * USEC_PER_S), 0);
    made_classes(0, 200, CLASS_LINGER);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_false(told()); /* our own changes do not even wake us */
    for (size_t i = 0; i < sizeof meddling / sizeof *meddling; i++) {
        made_some_classes();
        assert_int_equal(nft_apply(nft, &plan), 0);
        netlab_run("%s", meddling[i]);
        assert_true(told());
        assert_int_equal(nft_watch_read(nft), 1);
        assert_int_equal(nft_watch_read(nft), 0);
        nft_lost(nft);
        assert_int_equal(nft_apply(nft, &plan), 0);
        made_check();
    }
}

static void test_watch_others(void **state)
{
    static const char *const elsewhere[] = {
        "nft add table inet other",
        "nft add chain inet other ipclusterd",
        "nft add table ip ipclusterd",
        "nft list ruleset >/dev/null",
        "nft reset counters table inet ipclusterd >/dev/null",
        "nft delete table ip ipclusterd",
    };
    (void)state;

    made_open_all();
    assert_int_equal(nft_apply(nft, &plan), 0);
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        netlab_run("%s", elsewhere[i]);
        assert_int_equal(nft_watch_read(nft), 0);
    }
}

/* News that was lost may have been about us. */
static void test_watch_overflow(void **state)
{
    int small = 4096;
    (void)state;

    made_open_all();
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(setsockopt(nft_watch_fd(nft), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    netlab_run("for i in 1 2 3 4 5 6 7 8 9; do nft add table inet other$i; done");
    assert_int_equal(nft_watch_read(nft), 1);
    assert_int_equal(nft_watch_read(nft), 0);
}

/* ---- the lease ----------------------------------------------------------------- */

static bool leases_are_over(void *arg)
{
    (void)arg;
    return made_leases_running() == 0;
}

static void pause_ms(long ms)
{
    const struct timespec t = {.tv_nsec = ms * 1000000};

    nanosleep(&t, NULL);
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Whether all leases run; true as well if looking took longer than they do. */
static bool leases_run(double renewed)
{
    return made_leases_running() == made_leases_wanted() || now_ms() - renewed > LEASE_MS * 0.9;
}

static void test_lease(void **state)
{
    double renewed;
    (void)state;

    made_open_all();
    assert_int_equal(nft_renew(nft, 3600 * USEC_PER_S), -ENOENT); /* there are no tables yet */
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(made_leases_running(), 0);
    for (unsigned i = 0; i < 8; i++) { /* more than twice as long as one lease */
        renewed = now_ms();
        assert_int_equal(nft_renew(nft, 3600 * USEC_PER_S), 0);
        assert_true(leases_run(renewed));
        pause_ms(LEASE_MS / 3);
        assert_true(leases_run(renewed));
    }
    assert_true(netlab_wait(leases_are_over, NULL, 4.0));
    assert_int_equal(nft_watch_read(nft), 0); /* the kernel's own doing */
    renewed = now_ms();
    assert_int_equal(nft_renew(nft, 3600 * USEC_PER_S), 0); /* and after its end */
    assert_true(leases_run(renewed));
}

static bool leases_over_before(double end)
{
    while (made_leases_running() > 0)
        if (now_ms() >= end)
            return false;
    return true;
}

/* New tables do not end the lease, nor lengthen it. */
static void test_lease_in_new_tables(void **state)
{
    enum { LONGER = 4 * LEASE_MS };
    double renewed;
    (void)state;

    made_open_all();
    config.lease = LONGER * USEC_PER_MS;
    assert_int_equal(nft_reconfigure(nft, &config, place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    renewed = now_ms();
    assert_int_equal(nft_renew(nft, 3600 * USEC_PER_S), 0);
    pause_ms(LONGER / 4);
    netlab_run("nft flush ruleset");
    nft_lost(nft);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(made_leases_running(), made_leases_wanted());
    assert_true(leases_over_before(renewed + LONGER + LONGER / 5));
    nft_lost(nft);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(made_leases_running(), 0);
}

/* A longer lease in a new configuration is for the next renewal. */
static void test_lease_in_new_configuration(void **state)
{
    double renewed;
    (void)state;

    made_open_all();
    assert_int_equal(nft_apply(nft, &plan), 0);
    renewed = now_ms();
    assert_int_equal(nft_renew(nft, 3600 * USEC_PER_S), 0);
    config.lease = 10 * LEASE_MS * USEC_PER_MS;
    assert_int_equal(nft_reconfigure(nft, &config, place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_true(leases_over_before(renewed + 5 * LEASE_MS));
}

/* What is being removed gets none, what has just come waits for a renewal; and what is
 * brought back, or only changes its place, has what it had. */
static void test_lease_of_those_that_come_and_go(void **state)
{
    (void)state;

    made_open_all();
    size_t last = config.vips - 1, all = made_leases_wanted();
    config.lease = 3600 * USEC_PER_S;
    assert_int_equal(nft_reconfigure(nft, &config, place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_renew(nft, 3600 * USEC_PER_S), 0);
    assert_int_equal(made_leases_running(), all);

    config.vip[last].removing = true;
    assert_int_equal(nft_reconfigure(nft, &config, place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    size_t others = made_leases_running();
    assert_int_equal(others, all - (strcmp(made_early_table(last), "netdev") == 0 ? 1 : 2));
    assert_int_equal(nft_renew(nft, 3600 * USEC_PER_S), 0);
    assert_int_equal(made_leases_running(), others);

    config.vip[last].removing = false;
    assert_int_equal(nft_reconfigure(nft, &config, place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(made_leases_running(), all);

    config.vips--;
    assert_int_equal(nft_reconfigure(nft, &config, place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(made_leases_running(), others);
    config.vips++;
    assert_int_equal(nft_reconfigure(nft, &config, place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(made_leases_running(), others);
    nft_lost(nft); /* a repair meanwhile changes nothing about it */
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(made_leases_running(), others);
    assert_int_equal(nft_renew(nft, 3600 * USEC_PER_S), 0);
    assert_int_equal(made_leases_running(), all);
    assert_int_equal(nft_reconfigure(nft, &config, place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(made_leases_running(), all);
}

/* ---- counters ------------------------------------------------------------------ */

/* What was counted by tables that have been replaced is not lost. */
static void test_counters(void **state)
{
    struct nft_counters c;
    (void)state;

    made_open_all();
    assert_int_equal(nft_counters(nft, 0, &c), -ENOENT);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_counters(nft, config.vips - 1, &c), 0);
    assert_int_equal(c.accepted + c.foreign + c.orphan_reset + c.forwarded + c.refused, 0);
    netlab_run("nft 'flush chain netdev ipclusterd in_eth0; "
               "add rule netdev ipclusterd in_eth0 counter packets 5 bytes 500 drop; "
               "add rule netdev ipclusterd in_eth0 counter packets 7 bytes 700 drop; "
               "add rule netdev ipclusterd in_eth0 counter packets 6 bytes 600 drop'");
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(nft_counters(nft, 1, &c), 0);
        assert_int_equal(c.foreign, 7);
        assert_int_equal(c.accepted, 0);
        nft_lost(nft);
        assert_int_equal(nft_apply(nft, &plan), 0);
    }
    assert_int_equal(nft_counters(nft, 2, &c), 0);
    assert_int_equal(c.foreign, 6);
    assert_int_equal(nft_counters(nft, 3, &c), 0); /* in the other table */
    assert_int_equal(c.foreign, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_watch, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_watch_others, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_watch_overflow, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_lease, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_lease_in_new_tables, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_lease_in_new_configuration, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_lease_of_those_that_come_and_go, made_setup,
                                        made_teardown),
        cmocka_unit_test_setup_teardown(test_counters, made_setup, made_teardown),
    };

    return made_run(tests, sizeof tests / sizeof *tests);
}
