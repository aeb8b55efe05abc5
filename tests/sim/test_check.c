/*
 * Each check must be able to fail, and must not fail when all is well: every
 * invariant is broken here on purpose, and then nearly broken.
 */
#include "calm.h"

static void test_quiet(void **state)
{
    (void)state;
    run_for(5 * USEC_PER_S);
    assert_green();
    assert_true(check_claims(world, 0, 0));
}

static void test_s1_two_claim(void **state)
{
    (void)state;
    all_set(1, CLASS_ADOPT);
    assert_red(CHECK_S1);
}

static void test_s1_apart(void **state)
{
    struct hosts side = hosts_of(0);
    (void)state;
    net_partition(&world->net, &side, false);
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

/* The two that are cut off from each other, or from host 2 only one way. */
static void test_s1_third(void **state)
{
    struct hosts a = hosts_of(0), b = hosts_of(1);
    (void)state;
    net_cut(&world->net, &a, &b);
    net_cut(&world->net, &b, &a);
    run_for(USEC_PER_S);
    assert_false(net_hear_each_other(world, 0, 1));
    assert_true(net_connected(world, 0, 1)); /* by host 2 */
    net_cut(&world->net, &a, &(struct hosts){{4}});
    run_for(500 * MS);
    assert_false(net_connected(world, 0, 1));
    all_set(1, CLASS_ADOPT);
    assert_green();
    net_heal(&world->net);
    net_cut(&world->net, &a, &b);
    net_cut(&world->net, &b, &a);
    run_for(2 * USEC_PER_S);
    assert_red(CHECK_S1);
}

static void test_s1_mute(void **state)
{
    struct hosts side = hosts_of(0);
    (void)state;
    net_partition(&world->net, &side, true); /* host 0 hears, and is not heard */
    run_for(600 * MS);
    all_set(1, CLASS_ADOPT);
    assert_green(); /* it may still have to learn of it */
    run_for(USEC_PER_S);
    assert_red(CHECK_S1);
}

/* One deaf host does not make two others yield, nor can it know of them. */
static void test_s1_deaf(void **state)
{
    struct hosts side = hosts_of(1);
    (void)state;
    hosts_set(&side, 2);
    net_partition(&world->net, &side, true);
    run_for(USEC_PER_S);
    all_set(1, CLASS_ADOPT);
    run_for(2 * USEC_PER_S);
    assert_green();
    world_kill_host(world, 2); /* as many on both sides: who is mute yields */
    run_for(2 * USEC_PER_S);
    assert_red(CHECK_S1);
}

/* Who has never heard the other since both started does not know it. */
static void test_s1_mute_stranger(void **state)
{
    struct hosts side = hosts_of(0);
    (void)state;
    net_partition(&world->net, &side, true);
    world_kill_daemon(world, 1);
    world_start(world, 1);
    run_for(2 * USEC_PER_S);
    all_set(1, CLASS_ADOPT);
    run_for(2 * USEC_PER_S);
    assert_green();
}

static void test_s1_quorum(void **state)
{
    struct hosts side = hosts_of(0);
    (void)state;
    net_partition(&world->net, &side, false);
    run_for(500 * MS);
    world->scenario.majority = 1;
    all_set(1, CLASS_ADOPT); /* apart, and all the same never two */
    assert_red(CHECK_S1);
}

static void test_s1_frozen(void **state)
{
    (void)state;
    world->scenario.majority = 1;
    world_freeze(world, 0);
    assert_false(check_claims(world, 0, 0)); /* its kernel stands still, too */
    all_set(1, CLASS_ADOPT);
    run_for(400 * MS);
    world_thaw(world, 0);
    assert_false(check_claims(world, 0, 0)); /* its lease has run on */
    assert_green();
    run_for(10 * MS); /* and it renews it as if nothing had been */
    assert_true(world->checks.of[CHECK_S1] > 0);
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
    assert_false(check_claims(world, 0, 0));
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
        cmocka_unit_test_setup(test_s1_third, set_up),
        cmocka_unit_test_setup(test_s1_mute, set_up),
        cmocka_unit_test_setup(test_s1_deaf, set_up),
        cmocka_unit_test_setup(test_s1_mute_stranger, set_up),
        cmocka_unit_test_setup(test_s1_quorum, set_up),
        cmocka_unit_test_setup(test_s1_frozen, set_up),
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
        cmocka_unit_test_setup(test_s8, set_up),
        cmocka_unit_test_setup(test_contract_timer, set_up),
        cmocka_unit_test_setup(test_contract_plans, set_up),
    };
    return cmocka_run_group_tests_name("sim checks", tests, NULL, tear_down);
}
