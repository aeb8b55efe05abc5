/*
 * What a node is told of the world outside the cluster: whether the witness
 * answers, and what the wall clock shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rig_case.h"

/* ---------------------------------------------------------------- helpers */

static void start(int i, bool witness)
{
    struct node_config c = rig_config(i);
    c.witness = witness;
    rig_start_with(rig, i, 1, &c);
}

static void witness(int i, bool answers)
{
    struct event e = {.kind = EVENT_WITNESS, .witness = {answers}};
    rig_step(rig, i, &e);
}

static void wall_clock(int i, int64_t ms)
{
    struct event e = {.kind = EVENT_CLOCK, .clock = {ms}};
    rig_step(rig, i, &e);
}

static unsigned claims_of(int i)
{
    unsigned claims = 0;
    for (unsigned b = 0; b < 64; b++)
        claims += rig_claims(rig, i, b);
    return claims;
}

static void nobody_claims(struct rig *r)
{
    for (unsigned b = 0; b < 64; b++)
        assert_int_equal(rig_claimants(r, b), 0);
}

/* n1 takes nothing new. It may keep what it has until it knows that it is alone. */
static bool had[64];

static void takes_nothing(struct rig *r)
{
    for (unsigned b = 0; b < 64; b++) {
        bool claims = rig_claims(r, 1, b);
        assert_true(had[b] || !claims);
        had[b] = claims;
    }
}

/* ---------------------------------------------------------------- witness */

static void alone_and_without_an_answer_it_waits(void **state)
{
    (void)state;
    rig->watch = nobody_claims;
    start(0, true);
    witness(0, false);
    rig_run(rig, 10 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->state, NODE_ISOLATED);
    assert_false(rig_status(rig, 0)->witness_answers);
    assert_int_equal(rig_last_note(rig, 0, NOTE_WITNESS)->number, 0);
    rig->watch = NULL;
    witness(0, true);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->state, NODE_SERVING);
    assert_true(rig_status(rig, 0)->witness_answers);
    assert_int_equal(claims_of(0), 64);
    assert_int_equal(rig_last_note(rig, 0, NOTE_WITNESS)->number, 1);
    witness(0, true); /* no news */
    assert_int_equal(rig_noted(rig, 0, NOTE_WITNESS, (instant){0}), 2);
}

static void when_it_stops_answering_the_lonely_yield(void **state)
{
    (void)state;
    start(0, true);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(claims_of(0), 64);
    witness(0, false);
    assert_int_equal(claims_of(0), 0);
    rig->watch = nobody_claims;
    rig_run(rig, 5 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->state, NODE_ISOLATED);
}

static void of_two_the_one_with_the_witness_serves(void **state)
{
    (void)state;
    start(0, true);
    start(1, true);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
    for (unsigned b = 0; b < 64; b++)
        had[b] = rig_claims(rig, 1, b);
    rig->watch = takes_nothing;
    rig_part(rig, 0, 1, true); /* n1 has lost its link, and the witness with it */
    witness(1, false);
    assert_int_equal(claims_of(1), 32); /* it has company, still */
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 1)->state, NODE_ISOLATED);
    assert_int_equal(claims_of(0), 64);
    rig->watch = NULL;
    rig_part(rig, 0, 1, false);
    witness(1, true);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(claims_of(1), 32);
}

static void in_company_it_does_not_matter(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        start(i, true);
        witness(i, false);
    }
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
    rig_crash(rig, 2);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig)); /* two are company */
    rig_crash(rig, 1);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(claims_of(0), 0);
    rig_start(rig, 1, 2);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(claims_of(0), 32);
}

static void without_a_witness_nothing_is_asked_of_it(void **state)
{
    (void)state;
    start(0, false);
    witness(0, false);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->state, NODE_SERVING);
    assert_int_equal(claims_of(0), 64);
}

/* ------------------------------------------------------------------ clock */

#define MORNING INT64_C(1785542400000)

static void two_with_clocks(int64_t ahead)
{
    start(0, false);
    start(1, false);
    wall_clock(0, MORNING);
    wall_clock(1, MORNING + ahead);
    rig_run(rig, 2 * USEC_PER_S);
}

static void clocks_that_agree_are_not_mentioned(void **state)
{
    (void)state;
    static const int64_t near[] = {0, 3, -4000, 4990, -4990};
    for (size_t i = 0; i < sizeof near / sizeof near[0]; i++) {
        two_with_clocks(near[i]);
        assert_int_equal(rig_noted(rig, -1, NOTE_CLOCK, (instant){0}), 0);
        assert_in_range(rig_member(rig, 0, "n1")->clock_ms + 10000, near[i] + 9999,
                        near[i] + 10001);
        assert_in_range(rig_member(rig, 1, "n0")->clock_ms + 10000, 9999 - near[i],
                        10001 - near[i]);
        rig_crash(rig, 0);
        rig_crash(rig, 1);
    }
}

static void five_seconds_apart_is_said_once(void **state)
{
    (void)state;
    two_with_clocks(5010);
    rig_run(rig, 60 * USEC_PER_S);
    for (int i = 0; i < 2; i++)
        assert_int_equal(rig_noted(rig, i, NOTE_CLOCK, (instant){0}), 1);
    assert_string_equal(rig_last_note(rig, 0, NOTE_CLOCK)->member, "n1");
    assert_in_range(rig_last_note(rig, 0, NOTE_CLOCK)->number, 5009, 5011);
    assert_in_range(-rig_last_note(rig, 1, NOTE_CLOCK)->number, 5009, 5011);
    assert_in_range(rig_member(rig, 0, "n1")->clock_ms, 5009, 5011); /* it goes on meanwhile */
    wall_clock(1, MORNING + 62000);                                  /* set right ... */
    rig_run(rig, USEC_PER_S);
    wall_clock(1, MORNING - 3600000); /* ... and wrong again */
    rig_run(rig, 5 * USEC_PER_S);
    for (int i = 0; i < 2; i++)
        assert_int_equal(rig_noted(rig, i, NOTE_CLOCK, (instant){0}), 2);
    assert_true(rig_last_note(rig, 0, NOTE_CLOCK)->number < -3600000);
    assert_true(rig_last_note(rig, 1, NOTE_CLOCK)->number > 3600000);
    assert_true(rig_covered(rig)); /* it is a remark, and no more */
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_DEAD, (instant){0}), 0);
}

static void who_has_not_looked_at_the_clock_says_nothing(void **state)
{
    (void)state;
    start(0, false);
    start(1, false);
    wall_clock(0, MORNING);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(rig_noted(rig, -1, NOTE_CLOCK, (instant){0}), 0);
    assert_int_equal(rig_member(rig, 0, "n1")->clock_ms, 0);
    assert_int_equal(rig_member(rig, 1, "n0")->clock_ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(alone_and_without_an_answer_it_waits),
        CASE(when_it_stops_answering_the_lonely_yield),
        CASE(of_two_the_one_with_the_witness_serves),
        CASE(in_company_it_does_not_matter),
        CASE(without_a_witness_nothing_is_asked_of_it),
        CASE(clocks_that_agree_are_not_mentioned),
        CASE(five_seconds_apart_is_said_once),
        CASE(who_has_not_looked_at_the_clock_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
