/*
 * The simulator's parts: queue, random numbers, trace, network, kernel, hosts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "fake.h"
#include "world.h"

#define MS USEC_PER_MS

static struct world *world;
static struct script script = {.given = true};

static const struct scenario plain = {
    .seed = 11,
    .nodes = 3,
    .buckets = 16,
    .duration = USEC_PER_S,
    .interval = 100 * MS,
    .dead_after = 400 * MS,
    .lease = 300 * MS,
    .orphan_after = USEC_PER_S,
    .timer_late = 100,
    .net_calm = {.delay_min = 50, .delay_jitter = 50},
    .net_storm = {.delay_min = 50, .delay_jitter = 50},
    .kernel_calm = {.commit_min = 50, .commit_max = 500, .slow_max = 500},
    .kernel_storm = {.commit_min = 50, .commit_max = 500, .slow_max = 500},
    .connect_every = 10 * MS,
    .segment_every = 10 * MS,
};

static int set_up(void **state)
{
    (void)state;
    if (world == NULL)
        world = world_new(&brain_fake);
    world->quiet = true;
    fake_reset();
    world_reset(world, &plain);
    world->script = &script;
    for (unsigned i = 0; i < plain.nodes; i++)
        world_start(world, i);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_free(world);
    world = NULL;
    return 0;
}

/* This host and no other lets new flows of the bucket in. */
static bool accepts(unsigned bucket, int host)
{
    struct hosts acceptors = check_acceptors(world, bucket);
    int first = hosts_first(&acceptors);
    return first == host && (host == HOST_NONE || hosts_next(&acceptors, first) == HOST_NONE);
}

/* What comes is in the order of time, and of being pushed. */
static void take_in_order(struct queue *q, struct happening *last, bool *any)
{
    const struct happening *first = queue_first(q);
    assert_true(!*any || happening_before(last, first));
    *last = *first;
    *any = true;
    queue_drop(q, first);
}

/* Soon, at once, later than the ring reaches, and before the first: none gets lost. */
static void test_queue_order(void **state)
{
    struct queue q;
    struct happening last = {0};
    struct rng r = rng_make(1, 1);
    size_t pushed = 0;
    bool any = false;
    (void)state;
    queue_init(&q);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 50000; i++) {
            static const int64_t spans[] = {
                0, 5, 500, 20000, RING_SPAN - 1, RING_SPAN, 4 * RING_SPAN};
            int64_t span = spans[rng_below(&r, sizeof spans / sizeof spans[0])];
            struct happening h = {.at = last.at + rng_between(&r, span / 2, span), .arg = pushed++};
            queue_push(&q, &h);
            if (i > 5000 && rng_chance(&r, 900000))
                take_in_order(&q, &last, &any);
        }
        queue_push(&q, &(struct happening){.at = last.at - 1}); /* it is late */
        assert_int_equal(queue_first(&q)->at, last.at - 1);
        any = false;
        while (queue_first(&q) != NULL)
            take_in_order(&q, &last, &any);
        last.at += 10 * RING_SPAN;
    }
    assert_int_equal(pushed, 150000);
    assert_int_equal(q.order, 150003);
    queue_push(&q, &(struct happening){.at = last.at});
    queue_clear(&q);
    assert_null(queue_first(&q));
    last.at = 0;
    queue_push(&q, &last);
    assert_int_equal(queue_first(&q)->at, 0);
    queue_free(&q);
}

static void test_rng(void **state)
{
    struct rng a = rng_make(5, 1), b = rng_make(5, 1), c = rng_make(5, 2), d = rng_make(6, 1);
    (void)state;
    uint64_t first = rng_next(&a);
    assert_int_equal(first, rng_next(&b));
    assert_int_not_equal(first, rng_next(&c));
    assert_int_not_equal(first, rng_next(&d));
    unsigned hits = 0;
    for (int i = 0; i < 100000; i++) {
        int64_t v = rng_between(&a, -3, 3), s = rng_scaled(&a, 10, 1000);
        assert_true(v >= -3 && v <= 3 && s >= 10 && s <= 1000);
        hits += rng_chance(&a, 250000);
    }
    assert_in_range(hits, 24000, 26000);
    assert_false(rng_chance(&a, 0));
    assert_true(rng_chance(&a, 1000000));
}

static void test_trace(void **state)
{
    struct trace a = {0}, b = {0};
    (void)state;
    trace_init(&a, 1);
    trace_init(&b, 1);
    trace_bytes(&a, (const uint8_t *)"123456789", 9);
    trace_bytes(&b, (const uint8_t *)"123456789", 9);
    assert_int_equal(a.hash, b.hash);
    /* Fixed, so that another machine or compiler has to agree. */
    assert_int_equal(a.hash, UINT64_C(0x2db735005b8411cf));
    trace_bytes(&a, (const uint8_t *)"12345678", 8);
    trace_bytes(&b, (const uint8_t *)"12345679", 8);
    assert_int_not_equal(a.hash, b.hash);
}

static void test_scenario(void **state)
{
    struct scenario s;
    struct scenario_wish wish = {.faults = faults_by_name("none"), .nodes = 16, .buckets = 4096};
    (void)state;
    scenario_draw(&s, 3, &wish);
    assert_int_equal(s.nodes, 16);
    assert_int_equal(s.buckets, 4096);
    assert_int_equal(s.faults, 0);
    assert_int_equal(s.net_storm.loss, 0);
    assert_int_equal(faults_by_name("nonsense"), -1);
    assert_int_equal(faults_by_name("pause"), 1 << FAULT_PAUSE);
    wish = (struct scenario_wish){.faults = -1};
    unsigned forgets = 0;
    uint32_t faults = 0;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        scenario_draw(&s, seed, &wish);
        assert_in_range(s.nodes, 1, 16);
        assert_in_range(s.buckets, 16, 1024);
        assert_in_range(s.interval, 10 * MS, 200 * MS);
        assert_true(s.weight[0] > 0 && (s.nodes == 1 || s.weight[1] > 0));
        assert_true(s.dead_after >= 3 * s.interval && s.lease >= 2 * s.interval);
        assert_true(s.lease <= s.dead_after - s.interval / 2);
        assert_in_range(s.clock_ppm, 50, 500);
        forgets += s.forget_incarnation > 0;
        faults |= s.faults;
    }
    assert_in_range(forgets, 450, 620);
    assert_int_equal(faults, faults_all());
    assert_int_equal(faults_all(), FAULT_BIT(FAULT_KINDS) - 1);
}

static void test_all_hear(void **state)
{
    (void)state;
    world_advance(world, 200 * MS);
    assert_false(net_hear_each_other(world, 0, 1)); /* too early */
    world_advance(world, 900 * MS);
    for (unsigned a = 0; a < 3; a++)
        for (unsigned b = 0; b < 3; b++)
            assert_true(a == b || net_hear_each_other(world, a, b));
}

static void test_partition(void **state)
{
    struct hosts side = hosts_of(0);
    (void)state;
    world_advance(world, 900 * MS);
    net_partition(&world->net, &side, false);
    world_advance(world, 1800 * MS);
    assert_false(net_hear_each_other(world, 0, 1));
    assert_false(net_hear_each_other(world, 2, 0));
    assert_true(net_hear_each_other(world, 1, 2));
    net_heal(&world->net);
    world_advance(world, 2000 * MS);
    assert_false(net_hear_each_other(world, 0, 1)); /* in grace */
    world_advance(world, 2700 * MS);
    assert_true(net_hear_each_other(world, 0, 1));
}

static void test_one_way(void **state)
{
    struct hosts side = hosts_of(0);
    (void)state;
    net_partition(&world->net, &side, true);
    world_advance(world, 900 * MS);
    assert_true(world->net.heard[0][1].at < 0);
    assert_true(world->net.heard[1][0].at > 0);
    assert_false(net_hear_each_other(world, 0, 1));
}

static void test_loss_and_doubles(void **state)
{
    (void)state;
    world->net.profile.loss = 1000000;
    world_advance(world, 500 * MS);
    uint64_t alone = fake[0].steps;
    assert_int_equal(world->net.lost, 2 * (world->net.sent - 3)); /* but the first three */
    world->net.profile.loss = 0;
    world_advance(world, 1000 * MS);
    uint64_t once = fake[0].steps - alone;
    world->net.profile.twice = 1000000;
    world_advance(world, 1500 * MS);
    assert_in_range(fake[0].steps - alone - once, once + 8, once + 12);
}

static void test_corruption_is_not_hearing(void **state)
{
    (void)state;
    world_advance(world, 50 * MS);
    int64_t heard = world->net.heard[1][0].at;
    world->net.profile.corrupt = 1000000;
    world_advance(world, 900 * MS);
    assert_int_equal(world->net.heard[1][0].at, heard);
    assert_int_equal(world->checks.violations, 0);
}

static void test_lease_ends(void **state)
{
    (void)state;
    world_advance(world, 500 * MS);
    const struct kernel *k = &world->host[0].kernel;
    assert_true(kernel_leased(k, world->now));
    int64_t renewed = k->renewed_at;
    fake[0].lapse = true;
    world_advance(world, renewed + 299 * MS);
    if (k->renewed_at == renewed) {
        assert_true(kernel_leased(k, world->now));
        assert_false(kernel_leased(k, renewed + 300 * MS));
    }
    world_advance(world, 1200 * MS);
    assert_false(kernel_leased(k, world->now));
}

static void test_failing_commit(void **state)
{
    (void)state;
    world_advance(world, 50 * MS);
    world->host[0].kernel.jammed = true;
    fake[0].class_of[3] = CLASS_OWN;
    world_advance(world, 150 * MS);
    assert_true(fake[0].failures > 0);
    assert_int_equal(world->host[0].kernel.plan.class_of[3], CLASS_FOREIGN);
    assert_true(accepts(3, HOST_NONE));
    world->host[0].kernel.jammed = false;
    world_advance(world, 300 * MS);
    assert_int_equal(world->host[0].kernel.plan.class_of[3], CLASS_OWN);
    assert_true(accepts(3, 0));
}

static void test_forwarding(void **state)
{
    struct hosts side = hosts_of(2);
    (void)state;
    fake[0].class_of[5] = CLASS_RELEASE;
    fake[0].target_of[5] = 2;
    world_advance(world, 150 * MS);
    assert_false(accepts(5, 2)); /* foreign there */
    fake[2].class_of[5] = CLASS_LINGER;
    world_advance(world, 350 * MS);
    assert_true(accepts(5, 2));
    net_partition(&world->net, &side, false);
    assert_true(accepts(5, HOST_NONE));
}

static void test_flows_are_counted(void **state)
{
    (void)state;
    fake[1].class_of[7] = CLASS_OWN;
    world_advance(world, 150 * MS);
    flow_open(world, 7, 1, 200 * MS);
    flow_open(world, 7, 1, 900 * MS);
    world_advance(world, 290 * MS);
    assert_int_equal(fake[1].flows[7], 2);
    world_advance(world, 600 * MS);
    assert_int_equal(fake[1].flows[7], 1);
    world_kill_host(world, 1);
    assert_int_equal(world->host[1].kernel.flows[7], 0);
    assert_int_equal(world->flows.live_count, 1); /* an orphan */
    world_advance(world, 1500 * MS);
    assert_int_equal(world->flows.live_count, 0);
}

static void test_pause_queues(void **state)
{
    (void)state;
    world_advance(world, 150 * MS);
    uint64_t steps = fake[0].steps;
    world_pause(world, 0);
    world_advance(world, 950 * MS);
    assert_int_equal(fake[0].steps, steps);
    assert_in_range(world->host[0].inbox_datagrams, 14, 18);
    world_resume(world, 0);
    assert_in_range(fake[0].steps - steps, 15, 22);
    assert_int_equal(world->host[0].inbox_count, 0);
}

static void test_crash_and_start(void **state)
{
    (void)state;
    fake[0].class_of[0] = CLASS_OWN;
    world_advance(world, 150 * MS);
    assert_true(accepts(0, 0));
    world_kill_daemon(world, 0);
    assert_true(accepts(0, 0)); /* the kernel goes on */
    world_start(world, 0);
    assert_true(accepts(0, HOST_NONE));
    world_advance(world, 300 * MS);
    assert_true(accepts(0, 0));
    assert_int_equal(world->host[0].incarnation, 2);
    world_kill_host(world, 0);
    assert_true(accepts(0, HOST_NONE));
    assert_false(world_kernel_up(world, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queue_order),
        cmocka_unit_test(test_rng),
        cmocka_unit_test(test_trace),
        cmocka_unit_test(test_scenario),
        cmocka_unit_test_setup(test_all_hear, set_up),
        cmocka_unit_test_setup(test_partition, set_up),
        cmocka_unit_test_setup(test_one_way, set_up),
        cmocka_unit_test_setup(test_loss_and_doubles, set_up),
        cmocka_unit_test_setup(test_corruption_is_not_hearing, set_up),
        cmocka_unit_test_setup(test_lease_ends, set_up),
        cmocka_unit_test_setup(test_failing_commit, set_up),
        cmocka_unit_test_setup(test_forwarding, set_up),
        cmocka_unit_test_setup(test_flows_are_counted, set_up),
        cmocka_unit_test_setup(test_pause_queues, set_up),
        cmocka_unit_test_setup(test_crash_and_start, set_up),
    };
    return cmocka_run_group_tests_name("sim world", tests, NULL, tear_down);
}
