/*
 * The checks of the calm, which must be able to fail as well: what a drill may
 * move (S7), that a healed cluster agrees, and that nothing happens in a rest.
 */
#include "calm.h"

/* A drill in which host 1 has just gone; host 0 says who owns what. */
static void drill(void)
{
    struct course *c = &world->course;
    c->phase = PHASE_DRILL;
    c->act = (struct act){.kind = ACT_DRILL, .drill = DRILL_HOST_CRASH, .victim = 1};
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

/* A rest of an agreed cluster, up to its end. */
static void rest(void)
{
    world->course.phase = PHASE_REST;
    world->course.act = (struct act){.kind = ACT_REST, .lasts = 4 * USEC_PER_S};
    world->course.phase_since = world->now;
    run_for(4 * USEC_PER_S);
    course_look(world);
}

static void test_rest(void **state)
{
    (void)state;
    all_set(1, CLASS_LINGER);
    flow_open(world, 4, 1, 60 * USEC_PER_S);
    for (unsigned b = 0; b < calm.buckets; b++)
        fake[1].class_of[b] = b == 4 ? CLASS_LINGER : CLASS_FOREIGN;
    rest();
    assert_green();
    assert_true(world->over);
}

static void test_rest_lingers(void **state)
{
    (void)state;
    all_set(1, CLASS_LINGER);
    flow_open(world, 4, 1, 60 * USEC_PER_S);
    rest();
    assert_red(CHECK_LINGER);
}

static void test_rest_disagrees(void **state)
{
    (void)state;
    fake[2].torn = true;
    rest();
    assert_red(CHECK_HEAL);
}

static void test_heal_wrong_claimant(void **state)
{
    (void)state;
    owners_set(1);
    heal_late();
    assert_red(CHECK_HEAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_s7_moved, set_up),
        cmocka_unit_test_setup(test_s7_stayed, set_up),
        cmocka_unit_test_setup(test_s7_least, set_up),
        cmocka_unit_test_setup(test_heal, set_up),
        cmocka_unit_test_setup(test_heal_torn, set_up),
        cmocka_unit_test_setup(test_heal_views, set_up),
        cmocka_unit_test_setup(test_rest, set_up),
        cmocka_unit_test_setup(test_rest_lingers, set_up),
        cmocka_unit_test_setup(test_rest_disagrees, set_up),
        cmocka_unit_test_setup(test_heal_wrong_claimant, set_up),
    };
    return cmocka_run_group_tests_name("sim course", tests, NULL, tear_down);
}
