/*
 * quorum = "majority": who comes in, who is forgotten, and how all nodes of a
 * cluster are replaced one by one. At no step do two kernels claim one bucket.
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

/* ---------------------------------------------------------------- helpers */

static void start(int i)
{
    static uint32_t incarnation = 1;
    struct node_config c = rig_config(i);
    c.quorum = QUORUM_MAJORITY;
    rig_start_with(rig, i, incarnation++, &c);
}

static unsigned claims_of(int i)
{
    unsigned claims = 0;
    for (unsigned b = 0; b < 64; b++)
        claims += rig_claims(rig, i, b);
    return claims;
}

/* All that run agree, and these are the voters. */
static void settled(size_t voters)
{
    assert_true(rig_covered(rig));
    uint32_t version = 0;
    for (int i = 0; i < RIG_NODES; i++) {
        if (!rig->node[i].running)
            continue;
        const struct status *s = rig_status(rig, i);
        assert_int_equal(s->quorum.voters, voters);
        assert_true(s->quorum.have);
        assert_true(s->converged);
        assert_true(version == 0 || version == s->quorum.version);
        version = s->quorum.version;
    }
}

static void found(int count)
{
    for (int i = 0; i < count; i++)
        start(i);
    rig_run(rig, 5 * USEC_PER_S);
    settled((size_t)count);
}

/* -1: not on the roster. */
static int state_of(int by, const char *name)
{
    const struct status_member *m = rig_member(rig, by, name);
    return m != NULL ? (int)m->state : -1;
}

/* Since the voters are others nothing is claimed that was not claimed before, until
 * the leases under the former ones are over: for dead_after. */
static bool had[RIG_NODES][64];
static uint32_t version;
static instant changed;

static void no_new_claims(struct rig *r)
{
    rig_nobody_twice(r);
    for (int i = 0; i < RIG_NODES; i++) {
        if (r->node[i].running && rig_status(r, i)->quorum.version > version) {
            version = rig_status(r, i)->quorum.version;
            changed = r->now;
        }
        bool before = instant_before(r->now, instant_add(changed, 400 * MS));
        for (unsigned b = 0; b < 64; b++) {
            bool claims = rig_claims(r, i, b);
            assert_true(!claims || had[i][b] || !before);
            had[i][b] = claims;
        }
    }
}

static void no_new_claims_from_now(void)
{
    version = rig_status(rig, 0)->quorum.version;
    changed = INSTANT_PAST;
    for (int i = 0; i < RIG_NODES; i++)
        for (unsigned b = 0; b < 64; b++)
            had[i][b] = rig_claims(rig, i, b);
    rig->watch = no_new_claims;
}

/* ---------------------------------------------------------------- coming in */

static void a_newcomer_is_admitted(void **state)
{
    (void)state;
    found(3);
    uint32_t before = rig_status(rig, 0)->quorum.version;
    instant since = rig->now;
    no_new_claims_from_now();
    start(3);
    while (rig_status(rig, 3)->quorum.version == 0) { /* no voter, and it knows it */
        assert_int_equal(claims_of(3), 0);
        rig_run(rig, 10 * MS);
        assert_true(instant_diff(rig->now, since) < 5 * USEC_PER_S);
    }
    rig_run(rig, 4 * USEC_PER_S);
    settled(4);
    assert_int_equal(rig_status(rig, 0)->quorum.version, before + 1);
    assert_int_equal(claims_of(3), 16);
    for (int i = 0; i < 4; i++) {
        assert_true(rig_member(rig, i, "n3")->voter);
        assert_string_equal(rig_last_note(rig, i, NOTE_VOTERS)->member, "n3");
    }
}

static void many_are_admitted(void **state)
{
    (void)state;
    found(3);
    uint32_t before = rig_status(rig, 0)->quorum.version;
    for (int i = 3; i < 8; i++)
        start(i);
    rig_run(rig, 10 * USEC_PER_S);
    settled(8);
    assert_int_equal(rig_status(rig, 0)->quorum.version, before + 5);
    for (int i = 0; i < 8; i++)
        assert_int_equal(claims_of(i), 8);
}

static void without_a_majority_nobody_is_admitted(void **state)
{
    (void)state;
    found(3);
    rig_kill(rig, 1);
    rig_kill(rig, 2);
    rig_run(rig, USEC_PER_S);
    for (int i = 3; i < 6; i++)
        start(i);
    rig_run(rig, 10 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->quorum.voters, 3);
    for (unsigned b = 0; b < 64; b++)
        assert_int_equal(rig_claimants(rig, b), 0);
    start(1); /* then all go in */
    rig_run(rig, 10 * USEC_PER_S);
    settled(6);
    assert_int_equal(state_of(0, "n2"), MEMBER_DEAD);
}

static void one_that_leaves_again_is_not_admitted_in_vain(void **state)
{
    (void)state;
    found(3);
    uint32_t before = rig_status(rig, 0)->quorum.version;
    start(3);
    rig_run(rig, 20 * MS);
    rig_kill(rig, 3);
    rig_run(rig, 4 * USEC_PER_S);
    /* Admitted or not: all say the same, and three of three or four serve. */
    size_t voters = rig_status(rig, 0)->quorum.voters;
    settled(voters);
    assert_in_range(voters, 3, 4);
    assert_int_equal(rig_status(rig, 0)->quorum.version, before + voters - 3);
}

/* -------------------------------------------------------------- forgetting */

static void a_majority_forgets(void **state)
{
    (void)state;
    found(3);
    uint32_t before = rig_status(rig, 0)->quorum.version;
    rig_kill(rig, 2);
    rig_run(rig, 2 * USEC_PER_S);
    settled(3);
    instant since = rig->now;
    rig_control(rig, 1, CONTROL_FORGET, "n2");
    rig_run(rig, 4 * USEC_PER_S);
    settled(2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_status(rig, i)->quorum.version, before + 1);
        assert_int_equal(state_of(i, "n2"), -1);
        assert_int_equal(rig_noted(rig, i, NOTE_MEMBER_FORGOTTEN, since), 1);
        assert_string_equal(rig_last_note(rig, i, NOTE_VOTERS)->member, "n2");
        assert_int_equal(rig_last_note(rig, i, NOTE_VOTERS)->other, 2);
    }
    assert_int_equal(rig_noted(rig, -1, NOTE_VOTERS_REFUSED, since), 0);
    start(2); /* it comes back with what it stored, and is a newcomer */
    rig_run(rig, 6 * USEC_PER_S);
    settled(3);
    assert_int_equal(rig_status(rig, 0)->quorum.version, before + 2);
}

/* Under "none" time does this; here nobody leaves the voters by time. */
static void nobody_is_forgotten_by_time(void **state)
{
    (void)state;
    found(3);
    rig_kill(rig, 2);
    for (int i = 0; i < 40; i++)
        rig_run(rig, 100 * USEC_PER_S);
    settled(3);
    assert_int_equal(state_of(0, "n2"), MEMBER_DEAD);
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_FORGOTTEN, (instant){0}), 0);
}

static void without_a_majority_nobody_is_forgotten(void **state)
{
    (void)state;
    found(3);
    rig_kill(rig, 1);
    rig_kill(rig, 2);
    rig_run(rig, 2 * USEC_PER_S);
    instant since = rig->now;
    rig_control(rig, 0, CONTROL_FORGET, "n1");
    assert_int_equal(rig_noted(rig, 0, NOTE_VOTERS_REFUSED, since), 1);
    assert_string_equal(rig_last_note(rig, 0, NOTE_VOTERS_REFUSED)->member, "n1");
    assert_int_equal(rig_last_note(rig, 0, NOTE_VOTERS_REFUSED)->number, CHANGE_REMOVE);
    rig_run(rig, 10 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->quorum.voters, 3);
    assert_int_equal(claims_of(0), 0);
    start(2); /* what was refused is not done later */
    rig_run(rig, 5 * USEC_PER_S);
    settled(3);
    assert_int_equal(state_of(0, "n1"), MEMBER_DEAD);
}

/* The majority goes while it decides: in time it is said that nothing came of it. */
static void a_wish_ends_in_time(void **state)
{
    (void)state;
    found(5);
    rig_kill(rig, 4);
    rig_run(rig, 2 * USEC_PER_S);
    instant since = rig->now;
    for (int i = 1; i < 4; i++)
        rig->deaf[i][0] = true; /* its ballots are not heard, but it hears */
    rig_control(rig, 0, CONTROL_FORGET, "n4");
    rig_run(rig, 8 * USEC_PER_S);
    assert_int_equal(rig_noted(rig, 0, NOTE_VOTERS_REFUSED, since), 1);
    memset(rig->deaf, 0, sizeof rig->deaf);
    rig_run(rig, 5 * USEC_PER_S);
    settled(5);
    assert_int_equal(state_of(1, "n4"), MEMBER_DEAD);
}

static void the_living_are_not_forgotten(void **state)
{
    (void)state;
    found(3);
    uint32_t before = rig_status(rig, 0)->quorum.version;
    instant since = rig->now;
    rig_control(rig, 0, CONTROL_FORGET, "n1");
    rig_control(rig, 0, CONTROL_FORGET, "n0");
    rig_control(rig, 0, CONTROL_FORGET, NULL);
    for (int i = 0; i < 40; i++) {
        rig_run(rig, 100 * MS);
        assert_true(rig_covered(rig));
    }
    assert_int_equal(rig_status(rig, 0)->quorum.version, before);
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_FORGOTTEN, since), 0);
    settled(3);
}

static void two_operators_want_two_things(void **state)
{
    (void)state;
    found(5);
    rig_kill(rig, 3);
    rig_kill(rig, 4);
    rig_run(rig, 2 * USEC_PER_S);
    rig_control(rig, 0, CONTROL_FORGET, "n3");
    rig_control(rig, 1, CONTROL_FORGET, "n4");
    rig_run(rig, 8 * USEC_PER_S);
    settled(3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(state_of(i, "n3"), -1);
        assert_int_equal(state_of(i, "n4"), -1);
    }
}

/* ------------------------------------------------------- a rolling replacement */

/* New flows of the bucket find a node: one claims it, or one forwards them. */
static bool served(unsigned b)
{
    unsigned ways = rig_claimants(rig, b);
    for (int i = 0; i < RIG_NODES; i++)
        ways += rig->node[i].plan.class_of[b] == CLASS_RELEASE &&
                instant_before(rig->now, rig->node[i].lease_until);
    return ways > 0;
}

static void run_served(usec span)
{
    for (instant end = instant_add(rig->now, span); instant_before(rig->now, end);) {
        rig_run(rig, MS);
        for (unsigned b = 0; b < 64; b++)
            assert_true(served(b));
    }
}

static void all_are_replaced(void **state)
{
    (void)state;
    static const char *const old[] = {"n0", "n1", "n2"};
    found(3);
    for (int i = 0; i < 3; i++) {
        start(3 + i);
        run_served(5 * USEC_PER_S);
        settled(4);
        rig_event(rig, i, EVENT_LEAVE);
        run_served(3 * USEC_PER_S);
        assert_int_equal(rig->node[i].exits, 1);
        rig_control(rig, 3, CONTROL_FORGET, old[i]);
        run_served(4 * USEC_PER_S);
        settled(3);
        assert_int_equal(state_of(3, old[i]), -1);
    }
    for (int i = 3; i < 6; i++)
        assert_in_range(claims_of(i), 21, 22);
    for (int i = 3; i < 6; i++)
        rig_kill(rig, i);
    rig_run(rig, USEC_PER_S);
    for (int i = 3; i < 6; i++)
        start(i); /* they are the cluster now */
    rig_run(rig, 4 * USEC_PER_S);
    settled(3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_newcomer_is_admitted),
        CASE(many_are_admitted),
        CASE(without_a_majority_nobody_is_admitted),
        CASE(one_that_leaves_again_is_not_admitted_in_vain),
        CASE(a_majority_forgets),
        CASE(nobody_is_forgotten_by_time),
        CASE(without_a_majority_nobody_is_forgotten),
        CASE(a_wish_ends_in_time),
        CASE(the_living_are_not_forgotten),
        CASE(two_operators_want_two_things),
        CASE(all_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
