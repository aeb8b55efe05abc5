/*
 * quorum = "majority" with the first voters listed: who claims, and for how long,
 * when nodes die, are cut off, stalled or mute. At no step, whatever happens, do
 * two kernels claim one bucket.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RIG_WATCH rig_nobody_twice
#include "rig_case.h"

#define MS USEC_PER_MS
#define LEASE (300 * MS)

/* ---------------------------------------------------------------- helpers */

static const char *const name[] = {"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"};
static int founders; /* listed in the configuration */

static struct node_config config(int i)
{
    struct node_config c = rig_config(i);
    c.quorum = QUORUM_MAJORITY;
    for (int k = 0; k < founders; k++)
        c.founder[c.founders++] = member_id(name[k]);
    return c;
}

static void start(int i, uint32_t incarnation)
{
    struct node_config c = config(i);
    rig_start_with(rig, i, incarnation, &c);
}

static unsigned claims_of(int i)
{
    unsigned claims = 0;
    for (unsigned b = 0; b < 64; b++)
        claims += rig_claims(rig, i, b);
    return claims;
}

/* That many founders, all of them up, serve. */
static void found(int count)
{
    founders = count;
    for (int i = 0; i < count; i++)
        start(i, 1);
    rig_run(rig, 4 * USEC_PER_S);
    assert_true(rig_covered(rig));
    for (int i = 0; i < count; i++)
        assert_true(rig_status(rig, i)->converged);
}

static bool claims_anything(int i)
{
    return claims_of(i) > 0;
}

/* n0 is cut off, or alone, since `since`: it gives up what it has, and all that
 * within the lease of what a majority heard last. */
static void assert_fenced(instant since)
{
    while (instant_before(rig->now, instant_add(since, LEASE)))
        rig_run(rig, MS);
    for (int i = 0; i < 3000; i += 10) {
        assert_false(claims_anything(0));
        rig_run(rig, 10 * MS);
    }
    assert_int_equal(rig_status(rig, 0)->state, NODE_ISOLATED);
    assert_false(rig_status(rig, 0)->quorum.have);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, since), 0);
}

/* ------------------------------------------------------------------- cases */

static void three_serve(void **state)
{
    (void)state;
    found(3);
    for (int i = 0; i < 3; i++) {
        const struct status *s = rig_status(rig, i);
        assert_int_equal(s->state, NODE_SERVING);
        assert_int_equal(s->quorum.policy, QUORUM_MAJORITY);
        assert_true(s->quorum.have);
        assert_int_equal(s->quorum.voters, 3);
        assert_int_equal(s->quorum.heard, 3);
        assert_int_equal(s->quorum.version, 1);
        for (size_t k = 0; k < 3; k++)
            assert_true(s->member[k].voter);
        assert_in_range(claims_of(i), 21, 22);
        assert_int_equal(rig_last_note(rig, i, NOTE_QUORUM)->number, 1);
    }
    instant since = rig->now; /* and go on, without a gap */
    for (int i = 0; i < 1000; i++) {
        rig_run(rig, 10 * MS);
        assert_true(rig_covered(rig));
    }
    assert_int_equal(rig_noted(rig, -1, NOTE_LEASE_LAPSED, since), 0);
    assert_int_equal(rig_noted(rig, -1, NOTE_QUORUM, since), 0);
}

static void one_of_three_does_not_begin(void **state)
{
    (void)state;
    founders = 3;
    start(0, 1);
    rig_run(rig, 10 * USEC_PER_S);
    assert_int_equal(claims_of(0), 0);
    assert_int_equal(rig_status(rig, 0)->state, NODE_ISOLATED);
    assert_int_equal(rig_status(rig, 0)->quorum.heard, 1);
    start(1, 1);
    rig_run(rig, 4 * USEC_PER_S);
    assert_true(rig_covered(rig)); /* two are a majority */
    start(2, 1);
    rig_run(rig, 4 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_in_range(claims_of(2), 21, 22);
}

/* Its kernel goes on for a while: nobody takes over before it has stopped. */
static void one_dies(void **state)
{
    (void)state;
    found(3);
    instant death = rig->now;
    rig_kill(rig, 1);
    rig_run(rig, 50 * MS);
    assert_true(claims_anything(1));
    rig_run(rig, 750 * MS); /* dead_after, two rounds, and the phase of the intervals */
    assert_true(rig_covered(rig));
    assert_false(claims_anything(1));
    for (int i = 0; i < 3; i += 2) {
        assert_int_equal(rig_noted(rig, i, NOTE_MEMBER_DEAD, death), 1);
        assert_int_equal(rig_noted(rig, i, NOTE_TAKEOVER, death), 1);
        assert_int_equal(rig_status(rig, i)->quorum.heard, 2);
        assert_int_equal(rig_status(rig, i)->quorum.voters, 3); /* it stays one */
        assert_int_equal(claims_of(i), 32);
    }
    start(1, 2);
    rig_run(rig, 3 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_in_range(claims_of(1), 21, 22);
}

static void two_die_and_the_last_is_isolated(void **state)
{
    (void)state;
    found(3);
    instant death = rig->now;
    rig_kill(rig, 1);
    rig_kill(rig, 2);
    assert_fenced(death);
    assert_int_equal(rig_last_note(rig, 0, NOTE_QUORUM)->number, 0);
    assert_int_equal(rig_status(rig, 0)->quorum.heard, 1);
    assert_int_not_equal(rig_member(rig, 0, "n1")->state, MEMBER_DEAD);
    rig_run(rig, 60 * USEC_PER_S);
    assert_int_equal(claims_of(0), 0);
    start(2, 2); /* one comes back */
    rig_run(rig, 4 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(claims_of(0), 32);
    assert_int_equal(claims_of(2), 32);
    assert_int_equal(rig_member(rig, 0, "n1")->state, MEMBER_DEAD);
    start(1, 2);
    rig_run(rig, 4 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_in_range(claims_of(1), 21, 22);
}

static void of_two_both_are_needed(void **state)
{
    (void)state;
    found(2);
    instant death = rig->now;
    rig_kill(rig, 1);
    assert_fenced(death);
    start(1, 2);
    rig_run(rig, 4 * USEC_PER_S);
    assert_true(rig_covered(rig));
}

static void one_alone_is_a_majority_of_one(void **state)
{
    (void)state;
    found(1);
    assert_int_equal(claims_of(0), 64);
    assert_int_equal(rig_status(rig, 0)->quorum.voters, 1);
}

/* ------------------------------------------------------------- cut in pieces */

static void cut_off_it_stops_before_others_take_over(void **state)
{
    (void)state;
    found(3);
    for (int round = 0; round < 8; round++) { /* at another phase of the intervals each */
        instant cut = rig->now;
        rig->node[0].cut = true;
        assert_fenced(cut);
        assert_true(rig_covered(rig));
        rig->node[0].cut = false;
        rig_run(rig, 3 * USEC_PER_S + round * 13 * MS);
        assert_true(rig_covered(rig));
        assert_in_range(claims_of(0), 21, 22);
    }
}

static void deaf_or_mute_it_stops(void **state)
{
    (void)state;
    found(3);
    for (int mute = 0; mute < 2; mute++) {
        instant cut = rig->now;
        for (int i = 1; i < 3; i++) {
            rig->deaf[0][i] = mute == 0;
            rig->deaf[i][0] = mute == 1;
        }
        rig_run(rig, LEASE);
        assert_false(claims_anything(0));
        rig_run(rig, 3 * USEC_PER_S);
        assert_false(claims_anything(0));
        assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, cut), 0);
        assert_true(rig_covered(rig));
        memset(rig->deaf, 0, sizeof rig->deaf);
        rig_run(rig, 4 * USEC_PER_S);
        assert_true(rig_covered(rig));
        assert_in_range(claims_of(0), 21, 22);
    }
}

static void the_larger_side_serves(void **state)
{
    (void)state;
    found(5);
    for (int a = 0; a < 2; a++)
        for (int b = 2; b < 5; b++)
            rig_part(rig, a, b, true);
    rig_run(rig, LEASE);
    assert_false(claims_anything(0) || claims_anything(1));
    rig_run(rig, USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(claims_of(2) + claims_of(3) + claims_of(4), 64);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_status(rig, i)->state, NODE_ISOLATED);
        assert_int_equal(rig_status(rig, i)->quorum.heard, 2);
    }
    rig_run(rig, 5 * USEC_PER_S);
    memset(rig->deaf, 0, sizeof rig->deaf);
    rig_run(rig, 4 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_in_range(claims_of(0), 12, 13);
}

static void three_pieces_none_serves(void **state)
{
    (void)state;
    found(3);
    for (int i = 0; i < 3; i++)
        rig->node[i].cut = true;
    rig_run(rig, LEASE);
    for (int i = 0; i < 3; i++)
        assert_false(claims_anything(i));
    rig_run(rig, 5 * USEC_PER_S);
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_DEAD, (instant){0}), 0);
    for (int i = 0; i < 3; i++)
        rig->node[i].cut = false;
    rig_run(rig, 4 * USEC_PER_S);
    assert_true(rig_covered(rig));
}

static void a_single_link_costs_nothing(void **state)
{
    (void)state;
    found(3);
    instant since = rig->now;
    rig_part(rig, 0, 2, true);
    for (int i = 0; i < 300; i++) {
        rig_run(rig, 10 * MS);
        assert_true(rig_covered(rig));
    }
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_DEAD, since), 0);
    assert_int_equal(rig_noted(rig, -1, NOTE_LEASE_LAPSED, since), 0);
    rig_control(rig, 0, CONTROL_DRAIN, NULL);
    rig_run(rig, 3 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_false(claims_anything(0));
    rig_control(rig, 2, CONTROL_UNDRAIN, "n0");
    rig_run(rig, 3 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_in_range(claims_of(0), 21, 22);
    rig_kill(rig, 1); /* the one between them: now nobody has a majority */
    rig_run(rig, LEASE + 200 * MS);
    for (int i = 0; i < 3; i++)
        assert_false(claims_anything(i));
}

/* ----------------------------------------------------------------- stalled */

static void stalled(usec span)
{
    rig->node[0].paused = true;
    rig_run(rig, span);
    rig->node[0].paused = false;
}

/* A daemon that is stalled for longer than the lease finds it over. */
static void a_stalled_daemon_is_fenced(void **state)
{
    (void)state;
    found(3);
    for (int round = 0; round < 6; round++) {
        stalled(LEASE);
        assert_false(claims_anything(0));
        stalled((round + 1) * 170 * MS);
        rig_run(rig, 3 * USEC_PER_S + round * 17 * MS);
        assert_true(rig_covered(rig));
        assert_in_range(claims_of(0), 21, 22);
    }
}

static void a_short_stall_costs_nothing(void **state)
{
    (void)state;
    found(3);
    instant since = rig->now;
    for (int round = 0; round < 20; round++) {
        stalled(90 * MS);
        assert_true(rig_covered(rig));
        rig_run(rig, 500 * MS + round * 7 * MS);
        assert_true(rig_covered(rig));
    }
    assert_int_equal(rig_noted(rig, -1, NOTE_LEASE_LAPSED, since), 0);
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_DEAD, since), 0);
}

/* --------------------------------------------------------------- hand-overs */

static void drained_and_left(void **state)
{
    (void)state;
    found(3);
    rig_control(rig, 1, CONTROL_DRAIN, "n2");
    for (int i = 0; i < 300; i++) {
        rig_run(rig, 10 * MS);
        assert_true(rig_covered(rig) || i < 50);
    }
    assert_false(claims_anything(2));
    rig_event(rig, 1, EVENT_LEAVE);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(rig->node[1].exits, 1);
    assert_true(rig_covered(rig));
    assert_int_equal(claims_of(0), 64);
    assert_int_equal(rig_status(rig, 0)->quorum.voters, 3); /* who left is one, still */
    rig_event(rig, 2, EVENT_LEAVE); /* so this one leaves nobody a majority */
    rig_run(rig, 3 * USEC_PER_S);
    assert_int_equal(rig->node[2].exits, 1);
    assert_int_equal(claims_of(0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(three_serve),
        CASE(one_of_three_does_not_begin),
        CASE(one_dies),
        CASE(two_die_and_the_last_is_isolated),
        CASE(of_two_both_are_needed),
        CASE(one_alone_is_a_majority_of_one),
        CASE(cut_off_it_stops_before_others_take_over),
        CASE(deaf_or_mute_it_stops),
        CASE(the_larger_side_serves),
        CASE(three_pieces_none_serves),
        CASE(a_single_link_costs_nothing),
        CASE(a_stalled_daemon_is_fenced),
        CASE(a_short_stall_costs_nothing),
        CASE(drained_and_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
