/*
 * Flows of buckets that linger are counted by what the kernel tells of them.
 *
 * "test_conntrack_follow --measure FLOWS" prints what that costs, with that many
 * flows, a third of them of buckets that linger. 100,000 fit into any table; for a
 * million net.netfilter.nf_conntrack_max has to be raised.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>

#include "conf.h"
#include "conntrack.h"
#include "flow_made.h"
#include "netlab.h"

#define VIP4 "192.0.2.2"
#define VIP6 "2001:db8::2"

static struct conntrack *conntrack;
static struct conntrack_counts counts;
static struct config config;
static struct plan plan;

static int setup(void **state)
{
    (void)state;
    config = (struct config){.buckets = 256, .vips = 2};
    assert_true(address_parse(VIP4, &config.vip[0].address));
    assert_true(address_parse(VIP6, &config.vip[1].address));
    plan_init(&plan, 256);
    return conntrack_open(&conntrack);
}

static int teardown(void **state)
{
    (void)state;
    conntrack_close(conntrack);
    flows_flush();
    return 0;
}

static void linger(unsigned bucket, bool on)
{
    plan.class_of[bucket] = on ? CLASS_LINGER : CLASS_FOREIGN;
    conntrack_follow(conntrack, &plan);
}

static void dump(void)
{
    memset(&counts, 0xff, sizeof(counts));
    assert_int_equal(conntrack_count(conntrack, &config, &counts), 0);
}

static bool known(void)
{
    return conntrack_known(conntrack, &config, &counts);
}

static uint32_t flows_of(unsigned bucket)
{
    assert_true(known());
    return counts.of[bucket];
}

static void test_ends_are_told(void **state)
{
    (void)state;
    flow_add("198.51.100.7", VIP4, 1, TCP_CONNTRACK_ESTABLISHED);
    flow_add("198.51.100.7", VIP4, 2, TCP_CONNTRACK_ESTABLISHED);
    flow_add("198.51.100.7", VIP4, 3, TCP_CONNTRACK_TIME_WAIT);
    flow_add("2001:db8:1::7", VIP6, 4, TCP_CONNTRACK_ESTABLISHED);
    flow_add("198.51.100.8", VIP4, 5, TCP_CONNTRACK_ESTABLISHED);
    linger(7, true);
    assert_false(known()); /* no dump has shown bucket 7 yet */
    dump();
    assert_int_equal(flows_of(7), 3);
    flow_change("198.51.100.7", VIP4, 1, TCP_CONNTRACK_TIME_WAIT);
    assert_int_equal(flows_of(7), 2);
    assert_int_equal(counts.total, 3);
    /* Its entry goes later, which is not a second end. */
    flow_delete("198.51.100.7", VIP4, 1);
    flow_delete("198.51.100.7", VIP4, 3);
    assert_int_equal(flows_of(7), 2);
    flow_delete("198.51.100.7", VIP4, 2);
    assert_int_equal(flows_of(7), 1);
    flow_delete("2001:db8:1::7", VIP6, 4);
    assert_int_equal(flows_of(7), 0);
    /* Bucket 8 does not linger: it is as old as the dump. */
    flow_delete("198.51.100.8", VIP4, 5);
    assert_int_equal(flows_of(8), 1);
    dump();
    assert_int_equal(counts.of[8], 0);
}

/* A SYN that was let in just before the bucket was released. */
static void test_a_late_flow_is_told(void **state)
{
    (void)state;
    flow_add("198.51.100.7", VIP4, 1, TCP_CONNTRACK_SYN_SENT);
    linger(7, true);
    dump();
    assert_int_equal(flows_of(7), 0);
    flow_change("198.51.100.7", VIP4, 1, TCP_CONNTRACK_ESTABLISHED);
    assert_int_equal(flows_of(7), 1);
    flow_change("198.51.100.7", VIP4, 1, TCP_CONNTRACK_CLOSE);
    assert_int_equal(flows_of(7), 0);
}

/* What ends while the dump is under way is told before the dump shows it. */
static void test_an_end_during_the_dump(void **state)
{
    enum { FLOWS = 3000 };
    int done = 0;
    (void)state;

    flows_add("10.0.0.0", VIP4, FLOWS);
    for (unsigned b = 0; b < 256; b++)
        linger(b, true);
    assert_int_equal(conntrack_start(conntrack, &config), 0);
    assert_false(known());
    flow_add("10.9.9.9", VIP4, 1, TCP_CONNTRACK_ESTABLISHED);
    flow_delete("10.9.9.9", VIP4, 1);
    flow_delete("10.0.0.0", VIP4, 5000);
    flow_delete("10.0.11.183", VIP4, 5000); /* the last one: 2999 */
    while (conntrack_told(conntrack, &config) > 0)
        continue;
    while (done == 0)
        done = conntrack_step(conntrack, &counts);
    assert_int_equal(done, 1);
    assert_true(known());
    assert_int_equal(counts.total, FLOWS - 2);
    flows_flush();
    assert_true(known());
    assert_int_equal(counts.total, 0);
}

static void test_another_bucket_needs_another_dump(void **state)
{
    (void)state;
    flow_add("198.51.100.7", VIP4, 1, TCP_CONNTRACK_ESTABLISHED);
    linger(7, true);
    dump();
    assert_true(known());
    linger(9, true);
    assert_false(known());
    dump();
    linger(9, false); /* one less does not */
    assert_int_equal(flows_of(7), 1);
    linger(7, false);
    assert_true(known());
    conntrack_forget(conntrack);
    assert_false(known());
}

/* More is told than the socket holds: a new dump has to be made. */
static void test_what_is_lost_is_counted_again(void **state)
{
    enum { FLOWS = 30000 };
    (void)state;

    flows_add("10.0.0.0", VIP4, FLOWS);
    for (unsigned b = 0; b < 256; b++)
        linger(b, true);
    dump();
    assert_true(known());
    assert_int_equal(counts.total, FLOWS);
    flow_delete("10.0.0.0", VIP4, 5000);
    assert_true(known());
    assert_int_equal(counts.total, FLOWS - 1);
    flows_flush();
    assert_false(known());
    dump();
    assert_true(known());
    assert_int_equal(counts.total, 0);
}

static void test_the_kernel_may_be_told_to_tell_nothing(void **state)
{
    (void)state;
    netlab_run("echo 0 >/proc/sys/net/netfilter/nf_conntrack_events");
    flow_add("198.51.100.7", VIP4, 1, TCP_CONNTRACK_ESTABLISHED);
    linger(7, true);
    dump();
    assert_int_equal(counts.of[7], 1);
    assert_false(known());
    netlab_run("echo 2 >/proc/sys/net/netfilter/nf_conntrack_events");
}

/* Nobody is woken where nothing lingers. */
static void test_silence_where_nothing_lingers(void **state)
{
    struct pollfd p = {.fd = conntrack_told_fd(conntrack), .events = POLLIN};
    (void)state;

    flow_add("198.51.100.7", VIP4, 1, TCP_CONNTRACK_ESTABLISHED);
    flow_delete("198.51.100.7", VIP4, 1);
    assert_int_equal(poll(&p, 1, 0), 0);
    flow_add("198.51.100.7", VIP4, 1, TCP_CONNTRACK_ESTABLISHED);
    linger(7, true);
    flow_delete("198.51.100.7", VIP4, 1);
    assert_int_equal(poll(&p, 1, 0), 1);
}

/* Microseconds of processor time, the kernel's work for us included. */
static double spent(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void flush_measure(uint32_t flows, const char *what)
{
    double before;

    flows_add("10.0.0.0", VIP4, flows);
    before = spent();
    flows_flush();
    printf("%-44s %8.2f us a flow\n", what, (spent() - before) / flows);
}

static void measure(uint32_t flows)
{
    enum { ENDS = 1000, ANSWERS = 100 };
    double before;

    flush_measure(flows, "the end of a flow, nobody listens");
    setup(NULL);
    flush_measure(flows, "the same, one listens and wants nothing");
    flows_add("10.0.0.0", VIP4, flows);
    before = spent();
    dump();
    printf("%-44s %8.2f us a flow\n", "a dump", (spent() - before) / flows);
    for (unsigned b = 0; b < 256; b += 3)
        linger(b, true);
    before = spent();
    dump();
    printf("%-44s %8.2f us a flow\n", "a dump, a third is followed", (spent() - before) / flows);
    before = spent();
    for (int i = 0; i < ANSWERS; i++)
        assert_true(known());
    printf("%-44s %8.2f us\n", "an answer without a dump", (spent() - before) / ANSWERS);
    for (unsigned i = 0; i < ENDS; i++) {
        char from[32];
        snprintf(from, sizeof(from), "10.0.%u.%u", i / 256, i % 256);
        flow_delete(from, VIP4, 5000);
    }
    before = spent();
    assert_true(known());
    printf("%-44s %8.2f us each\n", "ends that are told", (spent() - before) / ENDS);
    teardown(NULL);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--measure") == 0) {
        if (!netlab_enter())
            return 77;
        measure((uint32_t)strtoul(argv[2], NULL, 10));
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ends_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_late_flow_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_end_during_the_dump, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_bucket_needs_another_dump, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_lost_is_counted_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_kernel_may_be_told_to_tell_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_silence_where_nothing_lingers, setup, teardown),
    };

    return netlab_enter() ? cmocka_run_group_tests_name("follow", tests, NULL, NULL) : 77;
}
