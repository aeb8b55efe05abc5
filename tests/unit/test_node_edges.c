/*
 * A node at the edges: more news than notes, no weight at all, a shell that
 * was stalled, a release whose target is another suddenly, events after the
 * end.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

static struct rig *rig;
static struct ghost *g; /* n1 */

static int set_up(void **state)
{
    (void)state;
    rig = malloc(sizeof *rig);
    g = malloc(sizeof *g);
    rig_init(rig);
    struct node_config c = rig_config(1);
    ghost_init(g, &c, 1000000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_free(rig);
    free(rig);
    free(g);
    return 0;
}

static void more_deaths_than_notes(void **state)
{
    (void)state;
    enum { OTHERS = 70, AT_ONCE = 20 };
    char name[16];
    rig_start(rig, 0, 1);
    rig_run(rig, USEC_PER_S);
    for (int at = 0; at < OTHERS; at += AT_ONCE) { /* by hearsay, in turns */
        ghost_listen(g, rig);
        g->say.entries = 0;
        for (int i = at; i < at + AT_ONCE && i < OTHERS; i++) {
            struct heartbeat_entry *e = &g->say.entry[g->say.entries++];
            memset(e, 0, sizeof *e);
            snprintf(e->name, sizeof e->name, "x%d", i);
            e->weight = 100;
            e->incarnation = 1;
            g->say.ack[g->say.acks++] = (struct heartbeat_ack){.member = member_id(e->name)};
        }
        ghost_say(g, rig, 0);
        rig_run(rig, 10 * USEC_PER_MS);
    }
    ghost_listen(g, rig); /* now all are heard at one instant, for the last time */
    g->say.entries = 0;
    for (int i = 0; i < OTHERS; i++) {
        snprintf(name, sizeof name, "x%d", i);
        g->say.ack[g->say.acks++] = (struct heartbeat_ack){.member = member_id(name)};
    }
    ghost_say(g, rig, 0);
    assert_int_equal(rig_status(rig, 0)->members, OTHERS + 2);
    instant since = rig->now;
    rig_run(rig, USEC_PER_S);
    unsigned told = rig_noted(rig, 0, NOTE_MEMBER_DEAD, since);
    assert_in_range(told, 40, ACTIONS_MAX - 1); /* some were lost, the deaths were not */
    for (size_t i = 1; i < OTHERS + 2; i++)
        assert_int_equal(rig_status(rig, 0)->member[i].state, MEMBER_DEAD);
    rig_run(rig, USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->owned, 64);
    assert_true(rig_covered(rig));
}

static void without_weight_nobody_owns(void **state)
{
    (void)state;
    struct node_config c = rig_config(0);
    int order[2];
    c.weight = 0;
    rig_start_with(rig, 0, 1, &c);
    rig_run(rig, 2 * USEC_PER_S);
    const struct status *s = rig_status(rig, 0);
    assert_int_equal(s->owned, 0);
    assert_int_equal(s->state, NODE_SERVING);
    assert_int_equal(s->bucket[0].owner, -1);
    assert_int_equal(s->bucket[0].home, -1);
    assert_int_equal(node_standby(rig->node[0].node, 0, order, 2), 0);
    assert_true(s->unowned > 0);
    c.weight = 1;
    struct event e = {.kind = EVENT_RELOAD, .reload = &c};
    rig_step(rig, 0, &e);
    rig_run(rig, USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->owned, 64);
}

static void a_stalled_shell_is_no_failure(void **state)
{
    (void)state;
    rig_start(rig, 0, 1);
    rig_run(rig, 2 * USEC_PER_S);
    instant since = rig->now;
    rig->node[0].fail_renew = -ETIME; /* too late to ask the kernel */
    rig_run(rig, 150 * USEC_PER_MS);
    assert_int_equal(rig_noted(rig, 0, NOTE_APPLY_FAILED, since), 0);
    assert_int_equal(rig_status(rig, 0)->apply_failures, 0);
    rig_run(rig, 250 * USEC_PER_MS);
    assert_int_equal(rig_noted(rig, 0, NOTE_APPLY_FAILED, since), 0);
    assert_true(rig_noted(rig, 0, NOTE_LEASE_LAPSED, since) >= 1);
    rig->node[0].fail_renew = 0;
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->owned, 64);
}

static void a_renewal_ends_a_row_of_failures(void **state)
{
    (void)state;
    rig_start(rig, 0, 1);
    rig_run(rig, 2 * USEC_PER_S);
    rig->node[0].fail_renew = -ENOBUFS;
    rig_run(rig, 50 * USEC_PER_MS);
    assert_true(rig_status(rig, 0)->apply_failures > 0);
    rig->node[0].fail_renew = 0;
    rig_run(rig, 150 * USEC_PER_MS);
    assert_int_equal(rig_status(rig, 0)->apply_failures, 0);
    assert_int_equal(rig_status(rig, 0)->owned, 64);
    assert_int_equal(rig_noted(rig, 0, NOTE_LEASE_LAPSED, (instant){0}), 0);
}

static void forwarding_astray_it_agrees_with_nobody(void **state)
{
    (void)state;
    rig_start(rig, 0, 1);
    rig_run(rig, 2 * USEC_PER_S);
    for (unsigned b = 0; b < 64; b++)
        bitmap_set(&g->say.linger, b); /* prepared for whatever it will own */
    ghost_live(g, rig, 0, USEC_PER_S);
    unsigned released = 0;
    for (unsigned b = 0; b < 64; b++)
        released += rig->node[0].plan.class_of[b] == CLASS_RELEASE;
    assert_int_equal(released, 32);
    ghost_listen(g, rig);
    assert_true(g->say.view != 0);
    rig->node[0].mute_kernel = true; /* and the owner has another MAC */
    g->say.mac.byte[5] = 99;
    ghost_say(g, rig, 0);
    rig_run(rig, 101 * USEC_PER_MS);
    ghost_listen(g, rig);
    assert_true(g->say.view == 0);
}

/* Another selection puts the flows that are here into other buckets: until they
 * have been counted, each may be anywhere. */
static void reselected_it_keeps_what_it_has(void **state)
{
    struct node_config c = rig_config(0);
    (void)state;

    rig_start_with(rig, 0, 1, &c);
    rig_start(rig, 1, 1);
    rig_run(rig, 3 * USEC_PER_S);
    unsigned foreign = 0;
    while (rig->node[0].plan.class_of[foreign] != CLASS_FOREIGN)
        foreign++;
    rig_part(rig, 0, 1, true); /* that one is reloaded as well, at its time */
    c.part[PART_SELECT] = 5;
    struct event e = {.kind = EVENT_RELOAD, .reload = &c};
    rig->node[0].flows[foreign] = 3;
    rig_step(rig, 0, &e);
    rig_run(rig, 10 * USEC_PER_MS);
    for (unsigned b = 0; b < 64; b++)
        assert_int_not_equal(rig->node[0].plan.class_of[b], CLASS_FOREIGN);
}

/* The fullest bucket against all that the members have. */
static void one_bucket_has_the_flows(void **state)
{
    (void)state;
    rig_start(rig, 0, 1);
    rig_start(rig, 1, 1);
    rig->node[0].flows[5] = 300;
    rig->node[1].flows[9] = 150;
    rig_run(rig, 70 * USEC_PER_S);
    const struct skew *s = &rig_status(rig, 0)->skew;
    assert_true(s->skewed);
    assert_int_equal(s->bucket, 5);
    assert_int_equal(s->most, 300);
    assert_int_equal(s->total, 450);
    assert_int_equal(s->nodes, 2);
    assert_false(rig_status(rig, 1)->skew.skewed);
}

static void after_the_end_nothing(void **state)
{
    (void)state;
    rig_start(rig, 0, 1);
    rig_run(rig, USEC_PER_S);
    rig_event(rig, 0, EVENT_LEAVE);
    rig_run(rig, USEC_PER_S);
    assert_int_equal(rig->node[0].exits, 1);
    unsigned notes = rig->notes;
    rig->last_length = 0;
    rig_event(rig, 0, EVENT_TIMER);
    rig_event(rig, 0, EVENT_LEAVE);
    assert_int_equal(rig->notes, notes);
    assert_int_equal(rig->last_length, 0);
    assert_int_equal(node_deadline(rig->node[0].node).us, INSTANT_NEVER.us);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(more_deaths_than_notes),
        CASE(without_weight_nobody_owns),
        CASE(a_stalled_shell_is_no_failure),
        CASE(a_renewal_ends_a_row_of_failures),
        CASE(forwarding_astray_it_agrees_with_nobody),
        CASE(reselected_it_keeps_what_it_has),
        CASE(one_bucket_has_the_flows),
        CASE(after_the_end_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
