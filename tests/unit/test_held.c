/*
 * Members that keep dying, on the rig: who is held, that all agree on it, how
 * little it disturbs the others, and how it is let in again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rig_case.h"

#define DOWN USEC_PER_S         /* from a crash to the next start */
#define PERIOD (5 * USEC_PER_S) /* from one crash to the next */

static struct node_config config(int i)
{
    struct node_config c = rig_config(i);
    c.flap = (struct flap_config){.penalty = 1000,
                                  .suppress = 3000,
                                  .reuse = 1000,
                                  .half_life = 60 * USEC_PER_S,
                                  .max_hold = 600 * USEC_PER_S};
    return c;
}

static void start(int i, uint32_t incarnation)
{
    struct node_config c = config(i);
    rig_start_with(rig, i, incarnation, &c);
}

static void nodes(int count)
{
    for (int i = 0; i < count; i++)
        start(i, 1);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
}

static const struct status_member *seen(int by, const char *name)
{
    const struct status_member *m = rig_member(rig, by, name);
    assert_non_null(m);
    return m;
}

/* n2 crashes, is away for a while, and lives for the rest of the period. */
static void crash(void)
{
    uint32_t incarnation = node_incarnation(rig->node[2].node);
    rig_crash(rig, 2);
    rig_run(rig, DOWN);
    start(2, incarnation + 1);
    rig_run(rig, PERIOD - DOWN);
}

static void crash_until_held(void)
{
    for (int i = 0; i < 3; i++)
        crash();
    for (int i = 0; i < 3; i++)
        assert_int_equal(seen(i, "n2")->state, MEMBER_HELD);
}

/* All nodes that run say the same of n2. */
static void agreed_on(enum member_state state)
{
    uint64_t view = rig_status(rig, 0)->view;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(seen(i, "n2")->state, state);
        assert_true(rig_status(rig, i)->view == view);
        assert_true(rig_status(rig, i)->converged);
    }
    assert_true(rig_covered(rig));
}

static unsigned buckets_of(int i)
{
    unsigned claims = 0;
    for (unsigned b = 0; b < 64; b++)
        claims += rig_claims(rig, i, b);
    return claims;
}

/* ------------------------------------------------------------ disturbance */

static bool claims_of[2][64];
static unsigned moves; /* steps in which a claim of n0 or n1 came or went */

static void count_moves(struct rig *r)
{
    bool moved = false;
    for (int i = 0; i < 2; i++) {
        for (unsigned b = 0; b < 64; b++) {
            bool claims = rig_claims(r, i, b);
            moved = moved || claims != claims_of[i][b];
            claims_of[i][b] = claims;
        }
    }
    moves += moved;
}

static void a_crash_loop_disturbs_three_times(void **state)
{
    (void)state;
    unsigned disturbed = 0, last = 0;
    nodes(3);
    count_moves(rig);
    rig->watch = count_moves;
    instant first = rig->now;
    for (unsigned i = 1; i <= 24; i++) { /* two minutes */
        moves = 0;
        crash();
        disturbed += moves > 0;
        last = moves > 0 ? i : last;
        assert_int_equal(seen(0, "n2")->state, i < 3 ? MEMBER_ALIVE : MEMBER_HELD);
    }
    rig->watch = NULL;
    assert_int_equal(disturbed, 3);
    assert_int_equal(last, 3);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_noted(rig, i, NOTE_MEMBER_HELD, first), 1);
        assert_int_equal(rig_noted(rig, i, NOTE_MEMBER_RELEASED, first), 0);
    }
    agreed_on(MEMBER_HELD);
}

static void the_held_owns_nothing_and_says_so(void **state)
{
    (void)state;
    nodes(3);
    crash_until_held();
    agreed_on(MEMBER_HELD);
    assert_int_equal(rig_status(rig, 2)->state, NODE_HELD);
    assert_int_equal(buckets_of(2), 0);
    assert_int_equal(buckets_of(0), 32);
    const struct note *note = rig_last_note(rig, 0, NOTE_MEMBER_HELD);
    assert_string_equal(note->member, "n2");
    assert_in_range(note->number, 2700, 3000); /* three, less a little decay */
    assert_in_range(note->other, 60 * USEC_PER_S, 130 * USEC_PER_S);
}

/* It is back before its last fall has been counted: held all the same, at once. */
static void a_short_absence_counts_too(void **state)
{
    (void)state;
    nodes(3);
    for (uint32_t i = 2; i <= 4; i++) {
        rig_crash(rig, 2);
        rig_run(rig, 450 * USEC_PER_MS);
        start(2, i);
        rig->watch = i == 4 ? count_moves : NULL;
        count_moves(rig);
        moves = 0;
        rig_run(rig, 3 * USEC_PER_S);
    }
    assert_int_equal(moves, 0);
    rig->watch = NULL;
    agreed_on(MEMBER_HELD);
}

/* ------------------------------------------------------- being let in again */

static void time_left_is_shown_and_kept(void **state)
{
    (void)state;
    nodes(3);
    crash_until_held();
    usec left = seen(0, "n2")->hold_left;
    uint32_t penalty = seen(0, "n2")->penalty;
    assert_in_range(penalty, 2700, 3000);
    for (int i = 0; i < 3; i++) {
        assert_in_range(seen(i, "n2")->hold_left, left - left / 50, left + left / 50);
        assert_in_range(seen(i, "n2")->penalty, penalty - 30, penalty + 30);
        assert_int_equal(seen(i, "n0")->hold_left, 0);
    }
    rig_run(rig, left - left / 50);
    agreed_on(MEMBER_HELD);
    instant since = rig->now;
    rig_run(rig, left / 25);
    agreed_on(MEMBER_ALIVE);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_noted(rig, i, NOTE_MEMBER_RELEASED, since), 1);
        assert_int_equal(seen(i, "n2")->hold_left, 0);
    }
    assert_int_equal(rig_status(rig, 2)->state, NODE_SERVING);
    assert_in_range(buckets_of(2), 21, 22);
}

static void an_operator_lets_it_in(void **state)
{
    (void)state;
    nodes(3);
    crash_until_held();
    instant since = rig->now;
    rig_control(rig, 1, CONTROL_RELEASE, "n0"); /* is not held */
    rig_control(rig, 1, CONTROL_RELEASE, "n2");
    rig_control(rig, 1, CONTROL_RELEASE, "n2");
    rig_run(rig, USEC_PER_S);
    agreed_on(MEMBER_ALIVE);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_noted(rig, i, NOTE_MEMBER_RELEASED, since), 1);
        assert_int_equal(seen(i, "n2")->penalty, 0);
    }
    assert_in_range(buckets_of(2), 21, 22);
    crash(); /* with a clean slate: it may fall again */
    agreed_on(MEMBER_ALIVE);
    assert_in_range(seen(0, "n2")->penalty, 900, 1000);
}

static void the_held_can_release_itself(void **state)
{
    (void)state;
    nodes(3);
    crash_until_held();
    rig_control(rig, 2, CONTROL_RELEASE, NULL);
    rig_run(rig, USEC_PER_S);
    agreed_on(MEMBER_ALIVE);
    assert_int_equal(rig_status(rig, 2)->state, NODE_SERVING);
}

/* ------------------------------------------------------------ who else can */

static void if_nobody_else_can_the_held_serves(void **state)
{
    (void)state;
    nodes(3);
    crash_until_held();
    rig_crash(rig, 0);
    rig_crash(rig, 1);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(buckets_of(2), 64);
    assert_int_equal(rig_status(rig, 2)->state, NODE_HELD);
    start(0, 2);
    rig_run(rig, 3 * USEC_PER_S);
    assert_int_equal(buckets_of(2), 0); /* it still is */
    assert_int_equal(buckets_of(0), 64);
    assert_int_equal(seen(0, "n2")->state, MEMBER_HELD);
}

static void the_others_drained_the_held_serves(void **state)
{
    (void)state;
    nodes(3);
    crash_until_held();
    rig_control(rig, 0, CONTROL_DRAIN, NULL);
    rig_control(rig, 1, CONTROL_DRAIN, NULL);
    rig_run(rig, 2 * USEC_PER_S);
    agreed_on(MEMBER_HELD); /* then all share it, as if nobody were drained */
    assert_in_range(buckets_of(2), 21, 22);
}

/* ------------------------------------------------------------- whose fault */

static void a_newcomer_learns_who_is_held(void **state)
{
    (void)state;
    nodes(3);
    crash_until_held();
    instant since = rig->now;
    start(3, 1);
    rig_run(rig, 2 * USEC_PER_S);
    agreed_on(MEMBER_HELD);
    assert_int_equal(seen(3, "n2")->state, MEMBER_HELD);
    assert_true(rig_status(rig, 3)->converged);
    assert_int_equal(rig_noted(rig, 3, NOTE_MEMBER_HELD, since), 1);
    /* To the newcomer it has just risen: for it the decay waits, still. */
    usec left = seen(0, "n2")->hold_left;
    assert_in_range(seen(3, "n2")->hold_left, left, left + 15 * USEC_PER_S);
}

static void a_cold_start_of_all_remembers_nothing(void **state)
{
    (void)state;
    nodes(3);
    crash_until_held();
    for (int i = 0; i < 3; i++)
        rig_crash(rig, i);
    rig_run(rig, USEC_PER_S);
    for (int i = 0; i < 3; i++)
        start(i, 20);
    rig_run(rig, 2 * USEC_PER_S);
    agreed_on(MEMBER_ALIVE);
    assert_int_equal(seen(0, "n2")->penalty, 0);
}

static void who_leaves_has_not_fallen(void **state)
{
    (void)state;
    nodes(3);
    for (uint32_t i = 1; i <= 6; i++) {
        rig_event(rig, 2, EVENT_LEAVE);
        rig_run(rig, 2 * USEC_PER_S);
        assert_int_equal(rig->node[2].exits, 1);
        start(2, 100 * i);
        rig_run(rig, 3 * USEC_PER_S);
    }
    agreed_on(MEMBER_ALIVE);
    assert_int_equal(seen(0, "n2")->penalty, 0);
}

/* n2 loses its network five times: it was the one that fell, whatever it thinks. */
static void who_loses_everybody_fell_itself(void **state)
{
    (void)state;
    nodes(3);
    for (int i = 0; i < 5; i++) {
        rig->node[2].cut = true;
        rig_run(rig, 2 * USEC_PER_S);
        rig->node[2].cut = false;
        rig_run(rig, 3 * USEC_PER_S);
    }
    agreed_on(MEMBER_HELD);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(seen(i, "n0")->penalty, 0);
        assert_int_equal(seen(i, "n1")->penalty, 0);
    }
}

static void of_two_each_may_have_fallen(void **state)
{
    (void)state;
    nodes(2);
    for (int i = 0; i < 5; i++) {
        rig->node[1].cut = true;
        rig_run(rig, 2 * USEC_PER_S);
        rig->node[1].cut = false;
        rig_run(rig, 3 * USEC_PER_S);
    }
    for (int i = 0; i < 2; i++) { /* both are held, so both serve */
        assert_int_equal(seen(i, "n0")->state, MEMBER_HELD);
        assert_int_equal(seen(i, "n1")->state, MEMBER_HELD);
    }
    assert_true(rig_covered(rig));
    assert_int_equal(buckets_of(0), 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_crash_loop_disturbs_three_times),
        CASE(the_held_owns_nothing_and_says_so),
        CASE(a_short_absence_counts_too),
        CASE(time_left_is_shown_and_kept),
        CASE(an_operator_lets_it_in),
        CASE(the_held_can_release_itself),
        CASE(if_nobody_else_can_the_held_serves),
        CASE(the_others_drained_the_held_serves),
        CASE(a_newcomer_learns_who_is_held),
        CASE(a_cold_start_of_all_remembers_nothing),
        CASE(who_leaves_has_not_fallen),
        CASE(who_loses_everybody_fell_itself),
        CASE(of_two_each_may_have_fallen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
