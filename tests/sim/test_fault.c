/*
 * Faults: what each does to the hosts and the network, and that it ends.
 */
#include "calm.h"

static struct script storm = {.given = true};

/* A storm of these strikes, which begins now. */
static void storm_set(const struct act *strike, size_t count, usec lasts)
{
    struct act first = {.kind = ACT_STORM, .lasts = lasts};
    script_cut(&storm, 0, storm.acts);
    script_add(&storm, &first);
    for (size_t i = 0; i < count; i++)
        script_add(&storm, &strike[i]);
    world->script = &storm;
    world->course.next = 0;
    world->course.phase = PHASE_HEAL;
    world->course.phase_since = world->now;
    course_look(world);
    assert_int_equal(world->course.phase, PHASE_STORM);
    assert_int_equal(world->course.next, count + 1);
}

static void strike_set(struct act strike)
{
    strike.kind = ACT_STRIKE;
    storm_set(&strike, 1, 60 * USEC_PER_S);
}

static void test_bridge(void **state)
{
    (void)state;
    strike_set((struct act){.fault = FAULT_BRIDGE,
                            .at = 10,
                            .lasts = USEC_PER_S,
                            .hosts = hosts_of(0),
                            .against = hosts_of(1),
                            .both = true});
    run_for(600 * MS);
    assert_false(net_hear_each_other(world, 0, 1));
    assert_true(net_hear_each_other(world, 0, 2));
    assert_true(net_hear_each_other(world, 1, 2));
    run_for(1400 * MS);
    assert_true(net_hear_each_other(world, 0, 1));
    assert_green();
}

/* Of two cuts at one time the end of one leaves the other. */
static void test_cuts_overlap(void **state)
{
    struct act strike[2] = {{.kind = ACT_STRIKE,
                             .fault = FAULT_LINK_PAIR,
                             .at = 10,
                             .lasts = 400 * MS,
                             .hosts = hosts_of(0),
                             .against = hosts_of(1)},
                            {.kind = ACT_STRIKE,
                             .fault = FAULT_LINK_PAIR,
                             .at = 20,
                             .lasts = 800 * MS,
                             .hosts = hosts_of(1),
                             .against = hosts_of(2)}};
    (void)state;
    storm_set(strike, 2, 60 * USEC_PER_S);
    run_for(100 * MS);
    assert_true(hosts_test(&world->net.cut[0], 1));
    assert_false(hosts_test(&world->net.cut[1], 0));
    assert_true(hosts_test(&world->net.cut[1], 2));
    run_for(400 * MS);
    assert_false(hosts_test(&world->net.cut[0], 1));
    assert_true(hosts_test(&world->net.cut[1], 2));
    run_for(400 * MS);
    assert_false(hosts_test(&world->net.cut[1], 2));
}

static unsigned running(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < calm.nodes; i++)
        count += world->host[i].state == HOST_RUNNING;
    return count;
}

static void test_mass(void **state)
{
    (void)state;
    strike_set((struct act){.fault = FAULT_HOST_CRASH,
                            .at = 10,
                            .lasts = 100 * MS,
                            .hosts = hosts_below(3),
                            .spread = 50 * MS,
                            .value = 1});
    run_for(1 * MS);
    assert_int_equal(running(), 0);
    run_for(110 * MS);
    assert_int_equal(running(), 1);
    assert_int_equal(world->host[1].state, HOST_RUNNING); /* the first by value */
    run_for(50 * MS);
    assert_int_equal(running(), 2);
    run_for(50 * MS);
    assert_int_equal(running(), 3);
}

static void test_commit_crash(void **state)
{
    struct event e = {.kind = EVENT_TIMER};
    (void)state;
    strike_set((struct act){
        .fault = FAULT_COMMIT_CRASH, .at = 10, .lasts = USEC_PER_S, .hosts = hosts_of(1)});
    run_for(500 * MS);
    assert_int_equal(world->host[1].state, HOST_RUNNING); /* nothing to commit yet */
    fake[1].class_of[3] = CLASS_LINGER;
    world_step(world, 1, &e);
    assert_int_equal(world->host[1].state, HOST_RUNNING);
    run_for(2 * MS);
    assert_int_equal(world->host[1].state, HOST_BEREFT);
    assert_int_equal(world->host[1].kernel.plan.class_of[3], CLASS_LINGER);
    run_for(USEC_PER_S);
    assert_int_equal(world->host[1].state, HOST_RUNNING);
}

/* Stopped amid its actions, and on again: the rest is carried out, but not what
 * would renew a lease for a time that is over. */
static void test_stall(void **state)
{
    (void)state;
    for (int k = 0; k < 8; k++) {
        strike_set(
            (struct act){.fault = FAULT_STALL, .at = 10, .lasts = 290 * MS, .hosts = hosts_of(0)});
        run_for(150 * MS);
        assert_int_equal(world->host[0].state, HOST_PAUSED);
        size_t left = world->host[0].rest.count;
        assert_in_range(left, 1, 2);
        int64_t asked = world->host[0].kernel.asked_at;
        run_for(141 * MS);
        assert_int_equal(world->host[0].state, HOST_RUNNING);
        assert_int_equal(world->host[0].rest.count, 0);
        run_for(500 * MS);
        assert_true(world->host[0].kernel.asked_at > asked);
        assert_true(check_claims(world, 0, 0));
    }
    assert_green();
}

/* A host whose kernel stands still takes nothing and answers nothing, and its
 * lease runs on; what was under way comes through afterwards. */
static void test_freeze(void **state)
{
    struct event e = {.kind = EVENT_TIMER};
    (void)state;
    fake[0].class_of[0] = CLASS_LINGER;
    world_step(world, 0, &e);
    world_freeze(world, 0);
    uint64_t steps = fake[0].steps;
    int64_t clock = world_clock(world, 0).us;
    run_for(USEC_PER_S);
    assert_int_equal(fake[0].steps, steps);
    assert_int_equal(world->host[0].kernel.plan.class_of[0], CLASS_OWN);
    assert_false(check_claims(world, 0, 0));
    assert_in_range(world->host[0].inbox_datagrams, 18, 22);
    world_thaw(world, 0);
    assert_true(fake[0].steps > steps + 18);
    assert_in_range(world_clock(world, 0).us - clock, 999 * MS, 1001 * MS);
    run_for(2 * MS);
    assert_int_equal(world->host[0].kernel.plan.class_of[0], CLASS_LINGER);
    assert_int_equal(world->host[0].state, HOST_RUNNING);
}

static void test_frozen_dies(void **state)
{
    (void)state;
    world_freeze(world, 0);
    world_pause(world, 0);
    world_kill_daemon(world, 0);
    assert_int_equal(world->host[0].state, HOST_FROZEN);
    run_for(300 * MS);
    world_kill_host(world, 0);
    assert_int_equal(world->host[0].state, HOST_OFF);
    assert_int_equal(world->host[0].inbox_count, 0);
    world_start(world, 0);
    run_for(300 * MS);
    assert_int_equal(world->host[0].state, HOST_RUNNING);
}

static void test_clock_rate(void **state)
{
    (void)state;
    world->host[0].clock_ppm = 500;
    world->host[1].clock_ppm = -500;
    assert_int_equal(world_span(world, 0, 1000500), 1000000);
    assert_int_equal(world_span(world, 1, 999500), 1000000);
    assert_int_equal(world_span(world, 1, INT64_C(1) << 50) / 1000, 1126463138411);
    int64_t fast = world_clock(world, 0).us, slow = world_clock(world, 1).us;
    run_for(USEC_PER_S);
    assert_int_equal(world_clock(world, 0).us - fast, 1000500);
    assert_int_equal(world_clock(world, 1).us - slow, 999500);
}

/* What is stored is there at the next start, also after the host has died; while
 * the disk takes nothing, nothing is said. */
static void test_store(void **state)
{
    struct event e = {.kind = EVENT_CONTROL, .control = {CONTROL_DRAIN, NULL}};
    (void)state;
    fake[1].stores = true;
    world_step(world, 1, &e);
    world_kill_host(world, 1);
    world_start(world, 1);
    assert_int_equal(fake[1].restored, 1);
    world->host[1].diskless = true;
    uint64_t sent = world->net.sent;
    world_step(world, 1, &e);
    world_step(world, 1, &e);
    assert_int_equal(world->net.sent, sent);
    world_kill_daemon(world, 1);
    world->host[1].diskless = false;
    world_start(world, 1);
    assert_int_equal(fake[1].restored, 1);
    sent = world->net.sent;
    world_step(world, 1, &e);
    assert_int_equal(world->net.sent, sent + 1);
    world->host[1].doomed = true; /* dies after it has stored, before it sends */
    world_step(world, 1, &e);
    assert_int_equal(world->net.sent, sent + 1);
    assert_int_equal(world->host[1].state, HOST_BEREFT);
    world_start(world, 1);
    assert_int_equal(fake[1].restored, 2);
}

/* A renewal is for the span that was asked for, from the asking. */
static void test_renewal_span(void **state)
{
    (void)state;
    fake[0].lapse = true;
    run_for(500 * MS);
    assert_false(check_claims(world, 0, 0));
    kernel_renew(world, 0, 50 * MS);
    run_for(2 * MS);
    assert_true(check_claims(world, 0, 0));
    run_for(46 * MS);
    assert_true(check_claims(world, 0, 0));
    run_for(4 * MS);
    assert_false(check_claims(world, 0, 0));
}

/* The end of the storm ends what has not ended yet. */
static void test_storm_ends(void **state)
{
    struct act strike[3] = {
        {.kind = ACT_STRIKE, .fault = FAULT_PAUSE, .at = 10, .hosts = hosts_of(1)},
        {.kind = ACT_STRIKE, .fault = FAULT_FREEZE, .at = 10, .hosts = hosts_of(2)},
        {.kind = ACT_STRIKE,
         .fault = FAULT_PARTITION,
         .at = 10,
         .hosts = hosts_of(0),
         .against = hosts_of(2),
         .both = true},
    };
    (void)state;
    for (int i = 0; i < 3; i++)
        strike[i].lasts = 60 * USEC_PER_S;
    storm_set(strike, 3, 300 * MS);
    run_for(200 * MS);
    assert_int_equal(running(), 1);
    run_for(600 * MS);
    assert_int_equal(running(), 3);
    assert_true(hosts_empty(&world->net.cut[0]));
    assert_int_not_equal(world->course.phase, PHASE_STORM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_bridge, set_up),
        cmocka_unit_test_setup(test_cuts_overlap, set_up),
        cmocka_unit_test_setup(test_mass, set_up),
        cmocka_unit_test_setup(test_commit_crash, set_up),
        cmocka_unit_test_setup(test_stall, set_up),
        cmocka_unit_test_setup(test_freeze, set_up),
        cmocka_unit_test_setup(test_frozen_dies, set_up),
        cmocka_unit_test_setup(test_clock_rate, set_up),
        cmocka_unit_test_setup(test_store, set_up),
        cmocka_unit_test_setup(test_renewal_span, set_up),
        cmocka_unit_test_setup(test_storm_ends, set_up),
    };
    int failed = cmocka_run_group_tests_name("sim faults", tests, NULL, tear_down);
    script_free(&storm);
    return failed;
}
