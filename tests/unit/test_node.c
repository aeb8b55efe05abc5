/*
 * A node among others: joining, death, return, drain, leaving, pauses, a kernel
 * that fails. Each case is one of design.md's; faults in numbers are for the
 * simulator.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rig_case.h"

static void three(void)
{
    for (int i = 0; i < 3; i++)
        rig_start(rig, i, 1);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
    for (int i = 0; i < 3; i++)
        assert_true(rig_status(rig, i)->converged);
}

static void alone_it_waits_then_takes_all(void **state)
{
    (void)state;
    rig_start(rig, 0, 1);
    rig_run(rig, 790 * USEC_PER_MS);
    assert_int_equal(rig_status(rig, 0)->owned, 0);
    assert_int_equal(rig_status(rig, 0)->state, NODE_JOINING);
    rig_run(rig, 20 * USEC_PER_MS);
    assert_int_equal(rig_status(rig, 0)->owned, 64);
    assert_int_equal(rig_status(rig, 0)->state, NODE_SERVING);
    assert_true(rig_status(rig, 0)->converged);
}

static void three_share(void **state)
{
    (void)state;
    three();
    const struct status *s = rig_status(rig, 1);
    assert_int_equal(s->members, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_in_range(s->member[i].buckets, 21, 22);
        assert_int_equal(s->member[i].state, MEMBER_ALIVE);
        assert_int_equal(s->member[i].claimed, s->member[i].buckets);
    }
    assert_true(s->member[0].rtt > 100 && s->member[0].rtt < 400);
    assert_true(s->member[0].loss < 1);
    assert_int_equal(s->contested, 0);
    uint64_t view = s->view;
    assert_true(rig_status(rig, 0)->view == view && view != 0);
    int order[RIG_NODES];
    assert_int_equal(node_standby(rig->node[0].node, 5, order, RIG_NODES), 3);
    assert_int_equal(order[0], rig_status(rig, 0)->bucket[5].owner);
    assert_true(order[0] != order[1] && order[1] != order[2] && order[0] != order[2]);
}

static void death_and_return(void **state)
{
    (void)state;
    three();
    struct plan before = rig->node[0].plan;
    instant death = rig->now;
    rig_crash(rig, 1);
    rig_run(rig, 290 * USEC_PER_MS); /* it may have spoken an interval ago */
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_DEAD, death), 0);
    rig_run(rig, 130 * USEC_PER_MS);
    assert_true(rig_covered(rig));
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, death), 1);
    assert_int_equal(rig_noted(rig, 0, NOTE_TAKEOVER, death), 1);
    assert_int_equal(rig_member(rig, 0, "n1")->state, MEMBER_DEAD);
    for (unsigned b = 0; b < 64; b++) {
        /* S7: what was ours stays; S5: what we took may have flows still. */
        if (class_claims((enum bucket_class)before.class_of[b]))
            assert_int_equal(rig->node[0].plan.class_of[b], before.class_of[b]);
        else if (class_claims((enum bucket_class)rig->node[0].plan.class_of[b]))
            assert_int_equal(rig->node[0].plan.class_of[b], CLASS_ADOPT);
    }
    assert_true(rig_status(rig, 0)->orphaned > 0);
    assert_int_equal(rig_status(rig, 0)->takeovers, 1);
    rig_run(rig, USEC_PER_S); /* orphan_after: now they are orphans */
    for (unsigned b = 0; b < 64; b++)
        assert_int_not_equal(rig->node[0].plan.class_of[b], CLASS_ADOPT);
    rig_start(rig, 1, 2);
    rig_run(rig, 3 * USEC_PER_S);
    assert_true(rig_covered(rig));
    for (unsigned b = 0; b < 64; b++)
        assert_int_equal(class_claims((enum bucket_class)rig->node[0].plan.class_of[b]),
                         class_claims((enum bucket_class)before.class_of[b]));
    assert_int_equal(rig_status(rig, 0)->orphaned, 0);
}

static void flows_linger_to_their_end(void **state)
{
    (void)state;
    three();
    unsigned bucket = 0;
    while (!class_claims((enum bucket_class)rig->node[0].plan.class_of[bucket]))
        bucket++;
    rig->node[0].flows[bucket] = 2;
    rig_control(rig, 1, CONTROL_DRAIN, "n0"); /* from another node */
    rig_run(rig, 20 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_true(rig_member(rig, 1, "n0")->draining);
    assert_int_equal(rig_status(rig, 0)->state, NODE_DRAINING);
    assert_int_equal(rig_status(rig, 0)->owned, 0);
    assert_int_equal(rig_status(rig, 0)->lingering, 1);
    assert_int_equal(rig->node[0].plan.class_of[bucket], CLASS_LINGER);
    for (int i = 1; i < 3; i++)
        if (class_claims((enum bucket_class)rig->node[i].plan.class_of[bucket]))
            assert_int_equal(rig->node[i].plan.class_of[bucket], CLASS_ADOPT);
    rig->node[0].flows[bucket] = 0;
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->lingering, 0);
    assert_int_equal(rig->node[0].plan.class_of[bucket], CLASS_FOREIGN);
    rig_control(rig, 0, CONTROL_UNDRAIN, NULL);
    rig_control(rig, 0, CONTROL_UNDRAIN, "n0"); /* twice is once */
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->state, NODE_SERVING);
    assert_true(rig_covered(rig));
}

static void a_drain_outlives_a_restart(void **state)
{
    (void)state;
    three();
    rig_control(rig, 0, CONTROL_DRAIN, NULL);
    rig_run(rig, USEC_PER_S);
    rig_crash(rig, 0);
    rig_run(rig, USEC_PER_S);
    rig_start(rig, 0, 9);
    rig_run(rig, USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->state, NODE_DRAINING);
}

static void all_drained_serve_all_the_same(void **state)
{
    (void)state;
    three();
    for (int i = 0; i < 3; i++)
        rig_control(rig, i, CONTROL_DRAIN, NULL);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
}

static void unhealthy_hands_over(void **state)
{
    (void)state;
    three();
    struct event e = {.kind = EVENT_HEALTH, .health = {false}};
    rig_step(rig, 2, &e);
    rig_step(rig, 2, &e);
    rig_run(rig, USEC_PER_S);
    assert_int_equal(rig_status(rig, 2)->state, NODE_UNHEALTHY);
    assert_int_equal(rig_status(rig, 2)->owned, 0);
    assert_false(rig_member(rig, 0, "n2")->healthy);
    assert_true(rig_covered(rig));
}

static void leaving_hands_over_first(void **state)
{
    (void)state;
    three();
    instant since = rig->now;
    rig_event(rig, 0, EVENT_LEAVE);
    rig_event(rig, 0, EVENT_LEAVE);
    rig_run(rig, USEC_PER_S);
    assert_int_equal(rig->node[0].exits, 1);
    assert_int_equal(rig_noted(rig, 1, NOTE_MEMBER_LEFT, since), 1);
    assert_int_equal(rig_noted(rig, 1, NOTE_MEMBER_DEAD, since), 0);
    assert_int_equal(rig_member(rig, 1, "n0")->state, MEMBER_LEFT);
    assert_true(rig_covered(rig));
    rig_event(rig, 1, EVENT_LEAVE);
    rig_run(rig, USEC_PER_S);
    rig_event(rig, 2, EVENT_LEAVE); /* the last one has nobody to wait for */
    rig_run(rig, 200 * USEC_PER_MS);
    assert_int_equal(rig->node[2].exits, 1);
}

static void stop_drain_waits_for_flows(void **state)
{
    (void)state;
    struct node_config c = rig_config(0);
    c.stop_drain = 5 * USEC_PER_S;
    rig_start_with(rig, 0, 1, &c);
    rig_start(rig, 1, 1);
    rig_run(rig, USEC_PER_S);
    rig->node[0].flows[3] = 1;
    rig_event(rig, 0, EVENT_LEAVE);
    rig_run(rig, 3 * USEC_PER_S);
    assert_int_equal(rig->node[0].exits, 0);
    assert_int_equal(rig_status(rig, 0)->state, NODE_LEAVING);
    rig->node[0].flows[3] = 0;
    rig_run(rig, 1500 * USEC_PER_MS);
    assert_int_equal(rig->node[0].exits, 1);
}

static void a_pause_beyond_the_lease_yields(void **state)
{
    (void)state;
    three();
    rig->node[0].running = false; /* stopped, not dead: its kernel stays */
    rig_run(rig, 3 * USEC_PER_S);
    instant woke = rig->now;
    rig->node[0].running = true;
    rig_event(rig, 0, EVENT_TIMER);
    assert_int_equal(rig_noted(rig, 0, NOTE_LEASE_LAPSED, woke), 1);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, woke), 0); /* it accuses nobody */
    assert_int_equal(rig_status(rig, 0)->state, NODE_JOINING);
    assert_int_equal(rig_status(rig, 0)->owned, 0);
    assert_true(rig_covered(rig));
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(rig_noted(rig, 0, NOTE_REFUTED, woke), 1);
    assert_true(node_incarnation(rig->node[0].node) >= 2);
    assert_int_equal(rig_status(rig, 0)->state, NODE_SERVING);
    assert_true(rig_covered(rig));
}

static void a_split_heals(void **state)
{
    (void)state;
    three();
    rig->node[2].cut = true;
    rig_run(rig, 3 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 2)->owned, 64); /* quorum "none" */
    assert_int_equal(rig_status(rig, 0)->owned, 32);
    rig->node[2].cut = false;
    rig_run(rig, 250 * USEC_PER_MS);
    unsigned twice = 0;
    for (unsigned b = 0; b < 64; b++) {
        unsigned claims = 0;
        for (int i = 0; i < 3; i++)
            claims += class_claims((enum bucket_class)rig->node[i].plan.class_of[b]);
        twice += claims > 1;
    }
    assert_int_equal(twice, 0);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
    for (int i = 0; i < 3; i++)
        assert_true(rig_status(rig, i)->converged);
}

static void a_lost_link_isolates(void **state)
{
    (void)state;
    three();
    struct event e = {.kind = EVENT_LINK, .link = {false}};
    rig_step(rig, 1, &e);
    assert_int_equal(rig_status(rig, 1)->state, NODE_ISOLATED);
    assert_int_equal(rig_status(rig, 1)->owned, 0);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 1)->owned, 0);
    e.link.up = true;
    rig_step(rig, 1, &e);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 1)->state, NODE_SERVING);
    assert_true(rig_covered(rig));
}

static void a_kernel_that_fails(void **state)
{
    (void)state;
    three();
    rig->node[0].fail = -ENOBUFS;
    instant since = rig->now;
    rig_crash(rig, 1);
    rig_run(rig, 3 * USEC_PER_S);
    unsigned failures = rig_noted(rig, 0, NOTE_APPLY_FAILED, since);
    assert_in_range(failures, 3, 20); /* with backoff */
    assert_true(rig_status(rig, 0)->apply_failures > 0);
    /* Unhealthy it has to give up what it claims, and cannot: so its lease ends. */
    assert_true(rig_noted(rig, 0, NOTE_LEASE_LAPSED, since) > 0);
    for (unsigned b = 0; b < 64; b++)
        assert_false(rig_claims(rig, 0, b));
    assert_false(rig_member(rig, 2, "n0")->healthy);
    rig->node[0].fail = 0;
    rig_run(rig, 4 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->apply_failures, 0);
    assert_int_equal(rig_status(rig, 0)->state, NODE_SERVING);
    assert_true(rig_covered(rig));
}

static void a_lease_that_cannot_be_renewed(void **state)
{
    (void)state;
    three();
    instant since = rig->now;
    rig->node[0].fail_renew = -ENOBUFS;
    rig_run(rig, 600 * USEC_PER_MS);
    assert_true(rig_noted(rig, 0, NOTE_LEASE_LAPSED, since) >= 1);
    /* The others, who see its claims gone, can be asked to serve. */
    rig_run(rig, 2 * USEC_PER_S);
    rig->node[0].fail_renew = 0;
    rig_run(rig, 3 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->state, NODE_SERVING);
    assert_true(rig_covered(rig));
}

static void one_plan_at_a_time(void **state)
{
    (void)state;
    three();
    rig->node[0].mute_kernel = true;
    rig_crash(rig, 1);
    instant since = rig->now;
    rig_run(rig, 1500 * USEC_PER_MS);
    /* No answer, no second plan, and without confirmed leases no claims. */
    assert_true(rig_noted(rig, 0, NOTE_APPLY_FAILED, since) == 0);
    struct event late = {.kind = EVENT_APPLIED, .applied = {9999, 0}};
    rig_step(rig, 0, &late); /* of a plan that is not ours: ignored */
}

static void reload_changes_the_weight(void **state)
{
    (void)state;
    three();
    struct node_config c = rig_config(0);
    c.weight = 300;
    struct event e = {.kind = EVENT_RELOAD, .reload = &c};
    rig_step(rig, 0, &e);
    rig_run(rig, USEC_PER_S);
    assert_in_range(rig_member(rig, 1, "n0")->buckets, 38, 39); /* 3/5 of 64 */
    assert_true(rig_covered(rig));
}

static void flows_of_an_earlier_run_stay(void **state)
{
    (void)state;
    three();
    rig_crash(rig, 0);
    rig_run(rig, USEC_PER_S);
    for (unsigned b = 0; b < 64; b++)
        rig->node[0].flows[b] = 1;
    rig_start(rig, 0, 2);
    rig_run(rig, 10 * USEC_PER_MS);
    for (unsigned b = 0; b < 64; b++)
        assert_int_equal(rig->node[0].plan.class_of[b], CLASS_LINGER);
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(node_state_name(NODE_HELD), "held");
    assert_string_equal(member_state_name(MEMBER_LEFT), "left");
    assert_string_equal(reject_name(REJECT_FORGED), "forged");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(alone_it_waits_then_takes_all),
        CASE(three_share),
        CASE(death_and_return),
        CASE(flows_linger_to_their_end),
        CASE(a_drain_outlives_a_restart),
        CASE(all_drained_serve_all_the_same),
        CASE(unhealthy_hands_over),
        CASE(leaving_hands_over_first),
        CASE(stop_drain_waits_for_flows),
        CASE(a_pause_beyond_the_lease_yields),
        CASE(a_split_heals),
        CASE(a_lost_link_isolates),
        CASE(a_kernel_that_fails),
        CASE(a_lease_that_cannot_be_renewed),
        CASE(one_plan_at_a_time),
        CASE(reload_changes_the_weight),
        CASE(flows_of_an_earlier_run_stay),
        CASE(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
