/*
 * Each check must be able to fail, and must not fail when all is well: every
 * invariant is broken here on purpose, and then nearly broken.
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

/* Three hosts that have heard each other for a while, host 0 claims all. */
static const struct scenario calm = {
    .seed = 12,
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

static void owners_set(int owner)
{
    for (unsigned i = 0; i < calm.nodes; i++)
        for (unsigned b = 0; b < calm.buckets; b++)
            fake[i].owner[b] = fake[i].home[b] = (int16_t)owner;
}

/* Host i commits the class for all buckets, now. */
static void all_set(unsigned i, enum bucket_class class)
{
    struct event e = {.kind = EVENT_TIMER};
    memset(fake[i].class_of, (int)class, calm.buckets);
    if (world->host[i].state == HOST_RUNNING)
        world_step(world, i, &e);
    world_advance(world, world->now + 2 * MS);
}

static int set_up(void **state)
{
    (void)state;
    if (world == NULL)
        world = world_new(&brain_fake);
    world->quiet = true;
    fake_reset();
    owners_set(0);
    world_reset(world, &calm);
    for (unsigned i = 0; i < calm.nodes; i++)
        world_start(world, i);
    all_set(0, CLASS_OWN);
    world_advance(world, USEC_PER_S);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_free(world);
    world = NULL;
    return 0;
}

static void run_for(usec us)
{
    world_advance(world, world->now + us);
}

/* Only this check has failed. */
static void assert_red(enum check c)
{
    for (int k = 0; k < CHECK_KINDS; k++) {
        if (k == (int)c)
            assert_true(world->checks.of[k] > 0);
        else
            assert_int_equal(world->checks.of[k], 0);
    }
}

static void assert_green(void)
{
    assert_int_equal(world->checks.violations, 0);
}

static void test_quiet(void **state)
{
    (void)state;
    run_for(5 * USEC_PER_S);
    assert_green();
    assert_int_equal(check_acceptors(world, 0), 1);
}

static void test_s1_two_claim(void **state)
{
    (void)state;
    all_set(1, CLASS_ADOPT);
    assert_red(CHECK_S1);
}

static void test_s1_apart(void **state)
{
    (void)state;
    net_partition(&world->net, 1, false);
    run_for(500 * MS);
    all_set(1, CLASS_ADOPT);
    run_for(USEC_PER_S);
    assert_green();
    net_heal(&world->net);
    run_for(150 * MS); /* in grace */
    assert_green();
    run_for(USEC_PER_S);
    assert_red(CHECK_S1);
}

static void test_s1_forwarded(void **state)
{
    (void)state;
    for (unsigned b = 0; b < calm.buckets; b++)
        fake[1].target_of[b] = 2;
    all_set(2, CLASS_LINGER);
    assert_green();
    all_set(1, CLASS_RELEASE);
    assert_red(CHECK_S1);
}

static void test_s2_never(void **state)
{
    (void)state;
    check_death_begin(world, 0);
    world_kill_host(world, 0);
    run_for(2 * USEC_PER_S);
    check_death_end(world);
    assert_red(CHECK_S2);
}

static void test_s2_late(void **state)
{
    (void)state;
    check_death_begin(world, 0);
    world_kill_host(world, 0);
    run_for(700 * MS);
    all_set(1, CLASS_ADOPT);
    check_death_end(world);
    assert_red(CHECK_S2);
}

static void test_s2_in_time(void **state)
{
    (void)state;
    check_death_begin(world, 0);
    world_kill_host(world, 0);
    run_for(450 * MS);
    all_set(1, CLASS_ADOPT);
    check_death_end(world);
    assert_green();
    assert_in_range(world->checks.worst_takeover, 450 * MS, 600 * MS);
}

static void test_s2_gap(void **state)
{
    (void)state;
    check_gaps_begin(world);
    all_set(0, CLASS_LINGER); /* break before make */
    all_set(1, CLASS_ADOPT);
    check_gaps_end(world);
    assert_red(CHECK_S2);
}

static void test_s2_hand_over(void **state)
{
    (void)state;
    check_gaps_begin(world);
    for (unsigned b = 0; b < calm.buckets; b++)
        fake[0].target_of[b] = 1;
    all_set(1, CLASS_LINGER);
    all_set(0, CLASS_RELEASE);
    all_set(1, CLASS_ADOPT);
    all_set(0, CLASS_LINGER);
    check_gaps_end(world);
    assert_green();
    assert_int_equal(world->checks.worst_gap, 0);
}

static void test_s3_too_early(void **state)
{
    (void)state;
    world_pause(world, 0);
    run_for(100 * MS);
    all_set(1, CLASS_ADOPT);
    assert_red(CHECK_S3);
}

static void test_s3_fenced(void **state)
{
    (void)state;
    world_kill_daemon(world, 0);
    run_for(350 * MS);
    assert_int_equal(check_acceptors(world, 0), 0);
    all_set(1, CLASS_ADOPT);
    run_for(USEC_PER_S);
    assert_green();
}

static void test_s3_no_fence(void **state)
{
    (void)state;
    world->host[0].kernel.keep_lapsed = true;
    world_kill_daemon(world, 0);
    run_for(200 * MS);
    assert_green();
    run_for(300 * MS);
    assert_red(CHECK_S3);
}

static void test_s3_relapse(void **state)
{
    (void)state;
    world_pause(world, 0);
    run_for(500 * MS);
    all_set(1, CLASS_ADOPT);
    assert_green();
    world_resume(world, 0); /* renews at once, and claims as before */
    run_for(10 * MS);
    assert_red(CHECK_S3);
}

static void test_s4_shut_out(void **state)
{
    (void)state;
    flow_open(world, 4, 0, 60 * USEC_PER_S);
    all_set(0, CLASS_LINGER);
    flow_probe(world, 4);
    assert_green();
    all_set(0, CLASS_FOREIGN);
    assert_red(CHECK_S4);
}

static void test_s4_excuses(void **state)
{
    (void)state;
    flow_open(world, 4, 0, 60 * USEC_PER_S);
    world_kill_daemon(world, 0);
    world_start(world, 0); /* its first plan is all foreign */
    run_for(10 * MS);
    assert_green();
    flow_open(world, 5, 1, 60 * USEC_PER_S);
    world_kill_host(world, 1);
    run_for(10 * MS);
    assert_green();
}

static void test_s5_hand_over(void **state)
{
    (void)state;
    flow_open(world, 4, 1, 60 * USEC_PER_S);
    all_set(1, CLASS_LINGER);
    all_set(0, CLASS_ADOPT);
    flow_probe(world, 4);
    assert_green();
    all_set(0, CLASS_OWN); /* the change alone tries a segment */
    assert_red(CHECK_S5);
}

static void test_s5_orphan(void **state)
{
    (void)state;
    flow_open(world, 4, 1, 60 * USEC_PER_S);
    all_set(0, CLASS_ADOPT);
    world_kill_host(world, 1);
    run_for(1100 * MS);
    all_set(0, CLASS_OWN); /* orphan_after has passed */
    assert_green();
    assert_int_equal(world->flows.resets, 1);
    flow_open(world, 4, 2, 60 * USEC_PER_S);
    world_kill_host(world, 2);
    run_for(800 * MS);
    flow_probe(world, 4);
    assert_red(CHECK_S5);
}

static void test_s6(void **state)
{
    (void)state;
    for (unsigned i = 0; i < calm.nodes; i++)
        check_view(world, i);
    fake[1].view = 77; /* another view may have another table */
    fake[1].owner[9] = 1;
    check_view(world, 1);
    assert_green();
    fake[2].view = 77;
    check_view(world, 2);
    assert_red(CHECK_S6);
}

/* A drill in which host 1 has just gone; host 0 says who owns what. */
static void drill(void)
{
    struct course *c = &world->course;
    c->phase = PHASE_DRILL;
    c->drill = DRILL_HOST_CRASH;
    c->victim = 1;
    c->phase_since = world->now - USEC_PER_S;
    world_kill_host(world, 1);
    course_look(world);
    assert_int_equal(c->phase, PHASE_RETURN);
}

static void test_s7_moved(void **state)
{
    (void)state;
    world->course.owner[3] = world->course.home[3] = 2; /* was host 2's, now host 0's */
    drill();
    assert_red(CHECK_S7);
}

static void test_s7_stayed(void **state)
{
    (void)state;
    world->course.owner[3] = 0;
    world->course.home[3] = 1;
    drill();
    assert_red(CHECK_S7);
}

static void test_s7_least(void **state)
{
    (void)state;
    world->course.owner[3] = world->course.home[3] = 1;
    drill();
    assert_green();
}

static void test_s8(void **state)
{
    (void)state;
    world->net.profile.corrupt = 1000000;
    run_for(300 * MS);
    assert_green();
    fake[0].gullible = true;
    run_for(300 * MS);
    assert_red(CHECK_S8);
}

/* The storm is over, and so is the time to heal. */
static void heal_late(void)
{
    world->course.phase = PHASE_HEAL;
    world->course.phase_since = world->now - 60 * USEC_PER_S;
    world->scenario.duration = 0;
    course_look(world);
}

static void test_heal(void **state)
{
    (void)state;
    heal_late();
    assert_green();
}

static void test_heal_torn(void **state)
{
    (void)state;
    fake[2].torn = true;
    heal_late();
    assert_red(CHECK_HEAL);
}

static void test_heal_views(void **state)
{
    (void)state;
    fake[2].view = 5;
    heal_late();
    assert_red(CHECK_HEAL);
}

static void test_heal_wrong_claimant(void **state)
{
    (void)state;
    owners_set(1);
    heal_late();
    assert_red(CHECK_HEAL);
}

static void test_contract_timer(void **state)
{
    (void)state;
    fake[0].overdue = true;
    run_for(300 * MS);
    assert_red(CHECK_CONTRACT);
}

static void test_contract_plans(void **state)
{
    struct event e = {.kind = EVENT_TIMER};
    (void)state;
    fake[0].hasty = true;
    fake[0].class_of[0] = CLASS_ADOPT;
    world_step(world, 0, &e);
    world_step(world, 0, &e);
    assert_red(CHECK_CONTRACT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_quiet, set_up),
        cmocka_unit_test_setup(test_s1_two_claim, set_up),
        cmocka_unit_test_setup(test_s1_apart, set_up),
        cmocka_unit_test_setup(test_s1_forwarded, set_up),
        cmocka_unit_test_setup(test_s2_never, set_up),
        cmocka_unit_test_setup(test_s2_late, set_up),
        cmocka_unit_test_setup(test_s2_in_time, set_up),
        cmocka_unit_test_setup(test_s2_gap, set_up),
        cmocka_unit_test_setup(test_s2_hand_over, set_up),
        cmocka_unit_test_setup(test_s3_too_early, set_up),
        cmocka_unit_test_setup(test_s3_fenced, set_up),
        cmocka_unit_test_setup(test_s3_no_fence, set_up),
        cmocka_unit_test_setup(test_s3_relapse, set_up),
        cmocka_unit_test_setup(test_s4_shut_out, set_up),
        cmocka_unit_test_setup(test_s4_excuses, set_up),
        cmocka_unit_test_setup(test_s5_hand_over, set_up),
        cmocka_unit_test_setup(test_s5_orphan, set_up),
        cmocka_unit_test_setup(test_s6, set_up),
        cmocka_unit_test_setup(test_s7_moved, set_up),
        cmocka_unit_test_setup(test_s7_stayed, set_up),
        cmocka_unit_test_setup(test_s7_least, set_up),
        cmocka_unit_test_setup(test_s8, set_up),
        cmocka_unit_test_setup(test_heal, set_up),
        cmocka_unit_test_setup(test_heal_torn, set_up),
        cmocka_unit_test_setup(test_heal_views, set_up),
        cmocka_unit_test_setup(test_heal_wrong_claimant, set_up),
        cmocka_unit_test_setup(test_contract_timer, set_up),
        cmocka_unit_test_setup(test_contract_plans, set_up),
    };
    return cmocka_run_group_tests_name("sim checks", tests, NULL, tear_down);
}
