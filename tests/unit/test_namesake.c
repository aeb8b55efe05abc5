/*
 * Two nodes of one name: the first keeps its place, the second stays out until the
 * first is gone, and both say so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rig_case.h"

enum { FIRST = 0, OTHER = 1, SECOND = 3 }; /* FIRST and SECOND are both "n0" */

/* ---------------------------------------------------------------- helpers */

/* The second has the name of the first on another host. */
static void start(int i, uint32_t incarnation)
{
    struct node_config c = rig_config(i == SECOND ? FIRST : i);
    c.mac.byte[5] = (uint8_t)(i + 1);
    c.address.byte[3] = (uint8_t)(i + 1);
    rig_start_with(rig, i, incarnation, &c);
}

static unsigned claims_of(int i)
{
    unsigned claims = 0;
    for (unsigned b = 0; b < 64; b++)
        claims += rig_claims(rig, i, b);
    return claims;
}

static uint8_t address_of_n0(void)
{
    return rig_member(rig, OTHER, "n0")->address.byte[3];
}

static bool held[RIG_NODES][64];

/* Who claims what does not change, at any step. */
static void hold_on(struct rig *r)
{
    for (int i = 0; i < RIG_NODES; i++)
        for (unsigned b = 0; b < 64; b++)
            assert_true(rig_claims(r, i, b) == held[i][b]);
}

static void hold_on_from_now(void)
{
    for (int i = 0; i < RIG_NODES; i++)
        for (unsigned b = 0; b < 64; b++)
            held[i][b] = rig_claims(rig, i, b);
    rig->watch = hold_on;
}

static void nobody_twice(struct rig *r)
{
    for (unsigned b = 0; b < 64; b++)
        assert_true(rig_claimants(r, b) <= 1);
}

static void two_serve(void)
{
    start(FIRST, 1);
    start(OTHER, 1);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
}

/* ------------------------------------------------------------------- cases */

static void the_second_stays_out(void **state)
{
    (void)state;
    two_serve();
    hold_on_from_now();
    instant since = rig->now;
    start(SECOND, 1);
    rig_run(rig, 8 * USEC_PER_S);
    assert_int_equal(rig_status(rig, SECOND)->state, NODE_ISOLATED);
    assert_int_equal(rig_status(rig, FIRST)->state, NODE_SERVING);
    assert_int_equal(rig_noted(rig, FIRST, NOTE_NAME_CONFLICT, since), 1);
    assert_int_equal(rig_noted(rig, SECOND, NOTE_NAME_CONFLICT, since), 1);
    assert_string_equal(rig_last_note(rig, FIRST, NOTE_NAME_CONFLICT)->member, "");
    assert_int_equal(rig_noted(rig, OTHER, NOTE_MEMBER_DEAD, since), 0);
    assert_int_equal(rig_noted(rig, OTHER, NOTE_MEMBER_ALIVE, since), 0);
    assert_int_equal(rig_noted(rig, OTHER, NOTE_VIEW, since), 0);
    assert_int_equal(address_of_n0(), FIRST + 1);
    assert_int_equal(node_incarnation(rig->node[FIRST].node), 1);
    assert_true(rig_status(rig, FIRST)->converged);
    assert_true(rig_status(rig, OTHER)->converged);
    rig_run(rig, 10 * USEC_PER_S); /* it is said again, now and then */
    assert_int_equal(rig_noted(rig, FIRST, NOTE_NAME_CONFLICT, since), 2);
}

static void a_higher_incarnation_is_no_better_right(void **state)
{
    (void)state;
    two_serve();
    hold_on_from_now();
    start(SECOND, 99);
    rig_run(rig, 5 * USEC_PER_S);
    assert_int_equal(rig_status(rig, SECOND)->state, NODE_ISOLATED);
    assert_int_equal(address_of_n0(), FIRST + 1);
}

static void when_the_first_dies_the_second_takes_its_place(void **state)
{
    (void)state;
    two_serve();
    start(SECOND, 1);
    rig_run(rig, 3 * USEC_PER_S);
    rig->watch = nobody_twice;
    rig_crash(rig, FIRST);
    rig_run(rig, 3 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(claims_of(SECOND), 32);
    assert_int_equal(rig_status(rig, SECOND)->state, NODE_SERVING);
    assert_int_equal(address_of_n0(), SECOND + 1);
    start(FIRST, 50); /* back again, it is the second */
    hold_on_from_now();
    rig_run(rig, 5 * USEC_PER_S);
    assert_int_equal(rig_status(rig, FIRST)->state, NODE_ISOLATED);
}

static void alone_with_its_namesake(void **state)
{
    (void)state;
    start(FIRST, 1);
    rig_run(rig, 2 * USEC_PER_S);
    hold_on_from_now();
    start(SECOND, 1);
    rig_run(rig, 5 * USEC_PER_S);
    assert_int_equal(claims_of(FIRST), 64);
    assert_int_equal(rig_status(rig, SECOND)->state, NODE_ISOLATED);
    rig->watch = nobody_twice;
    rig_event(rig, FIRST, EVENT_LEAVE);
    rig_run(rig, 3 * USEC_PER_S);
    assert_int_equal(rig->node[FIRST].exits, 1);
    assert_int_equal(claims_of(SECOND), 64);
}

static void of_two_that_start_at_once_one_serves(void **state)
{
    (void)state;
    rig->watch = nobody_twice;
    start(FIRST, 1);
    start(SECOND, 1);
    start(OTHER, 1);
    rig_run(rig, 5 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(claims_of(OTHER), 32);
    bool first = claims_of(FIRST) > 0;
    assert_int_equal(claims_of(first ? FIRST : SECOND), 32);
    assert_int_equal(rig_status(rig, first ? SECOND : FIRST)->state, NODE_ISOLATED);
}

/* They served on two sides of a partition. */
static void of_two_that_meet_one_yields(void **state)
{
    (void)state;
    start(FIRST, 1);
    start(SECOND, 1);
    rig_part(rig, FIRST, SECOND, true);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(claims_of(FIRST) + claims_of(SECOND), 128);
    rig_part(rig, FIRST, SECOND, false);
    rig_run(rig, 250 * USEC_PER_MS);
    assert_int_equal(claims_of(FIRST) + claims_of(SECOND), 64);
    hold_on_from_now();
    rig_run(rig, 5 * USEC_PER_S);
}

/* ------------------------------------------------------------- authenticity */

enum { KEPT = 64 };
static struct rig_datagram kept[KEPT];
static unsigned kept_count;

static void keep_first(struct rig *r, int from, const uint8_t *data, size_t length)
{
    (void)r;
    if (from != FIRST || kept_count == KEPT)
        return;
    memcpy(kept[kept_count].data, data, length);
    kept[kept_count++].length = length;
}

/* What n0 said in an earlier life, and claimed then, is played to it. */
static void recordings_of_its_own_bar_nobody(void **state)
{
    (void)state;
    kept_count = 0;
    rig->tap = keep_first;
    two_serve();
    rig->tap = NULL;
    assert_true(kept_count > 20);
    rig_crash(rig, FIRST);
    rig_run(rig, USEC_PER_S);
    start(FIRST, 2);
    for (unsigned i = 0; i < 60; i++) {
        for (unsigned k = i; k < i + 4; k++)
            rig_hand(rig, FIRST, kept[k % kept_count].data, kept[k % kept_count].length);
        rig_run(rig, 25 * USEC_PER_MS);
    }
    assert_int_equal(rig_status(rig, FIRST)->state, NODE_SERVING);
    assert_true(rig_covered(rig));
    assert_int_equal(claims_of(FIRST), 32);
    hold_on_from_now();
    for (unsigned i = 0; i < 60; i++) {
        rig_hand(rig, FIRST, kept[i % kept_count].data, kept[i % kept_count].length);
        rig_run(rig, 25 * USEC_PER_MS);
    }
    assert_int_equal(rig_noted(rig, FIRST, NOTE_NAME_CONFLICT, (instant){0}), 0);
}

/* A true namesake is not hidden behind recordings. */
static void nor_do_they_hide_a_namesake(void **state)
{
    (void)state;
    kept_count = 0;
    rig->tap = keep_first;
    two_serve();
    rig->tap = NULL;
    rig_crash(rig, FIRST);
    rig_run(rig, USEC_PER_S);
    start(FIRST, 2);
    rig_run(rig, 2 * USEC_PER_S);
    hold_on_from_now();
    start(SECOND, 1);
    for (unsigned i = 0; i < 400; i++) { /* the first hears them all the time */
        const struct rig_datagram *old = &kept[i % kept_count];
        rig_hand(rig, FIRST, old->data, old->length);
        if (i % 4 == 0)
            rig_hand(rig, SECOND, old->data, old->length);
        rig_run(rig, 5 * USEC_PER_MS);
    }
    assert_int_equal(rig_status(rig, SECOND)->state, NODE_ISOLATED);
    assert_int_equal(rig_noted(rig, FIRST, NOTE_NAME_CONFLICT, (instant){0}), 1);
    assert_int_equal(rig_noted(rig, SECOND, NOTE_NAME_CONFLICT, (instant){0}), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_second_stays_out),
        CASE(a_higher_incarnation_is_no_better_right),
        CASE(when_the_first_dies_the_second_takes_its_place),
        CASE(alone_with_its_namesake),
        CASE(of_two_that_start_at_once_one_serves),
        CASE(of_two_that_meet_one_yields),
        CASE(recordings_of_its_own_bar_nobody),
        CASE(nor_do_they_hide_a_namesake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
