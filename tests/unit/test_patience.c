/*
 * A node whose own timers run late: it gives the others time, accuses nobody, and
 * shows how late they are; when they come as they should, the patience goes again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rig_case.h"

#define MS USEC_PER_MS
#define INTERVAL (100 * MS)
#define DEAD_AFTER (400 * MS)

static void nodes(int count)
{
    for (int i = 0; i < count; i++)
        rig_start(rig, i, 1);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
}

static usec patience(void)
{
    return rig_status(rig, 0)->patience;
}

/* n0 gets no CPU; what comes for it waits. */
static void stalled(usec span)
{
    rig->node[0].paused = true;
    rig_run(rig, span);
    rig->node[0].paused = false;
}

/* ---------------------------------------------------------------- patience */

static void on_time_there_is_none(void **state)
{
    (void)state;
    nodes(3);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(patience(), 0);
        rig_run(rig, 37 * MS);
    }
    assert_int_equal(rig_status(rig, 0)->wakeup.worst, 0);
}

static void late_timers_widen_it_up_to_a_limit(void **state)
{
    (void)state;
    nodes(1);
    rig->node[0].late = 49 * MS; /* less than half an interval is nothing */
    rig_run(rig, USEC_PER_S);
    assert_int_equal(patience(), 0);
    rig->node[0].late = 60 * MS;
    usec before = 0, after;
    unsigned grown = 0;
    for (int i = 0; i < 30; i++) {
        rig_run(rig, INTERVAL);
        after = patience();
        assert_true(after >= before);
        assert_true(after <= DEAD_AFTER);
        grown += after > before;
        before = after;
    }
    assert_int_equal(before, DEAD_AFTER);
    assert_true(grown >= 5);
    assert_int_equal(rig_status(rig, 0)->owned, 64); /* it serves, all the same */
}

static void on_time_it_goes_again(void **state)
{
    (void)state;
    nodes(1);
    rig->node[0].late = 60 * MS;
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(patience(), DEAD_AFTER);
    rig->node[0].late = 30 * MS; /* not as it should be, and not as bad */
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(patience(), DEAD_AFTER);
    rig->node[0].late = 5 * MS; /* half of it goes every half dead_after */
    rig_run(rig, DEAD_AFTER);
    assert_in_range(patience(), 1, DEAD_AFTER - 1);
    rig_run(rig, 4 * DEAD_AFTER);
    assert_int_equal(patience(), 0);
}

/* --------------------------------------------------------------- accusations */

static void stalled_it_accuses_nobody(void **state)
{
    (void)state;
    static const usec spans[] = {60 * MS, 250 * MS, 390 * MS, 700 * MS, 3 * USEC_PER_S};
    nodes(3);
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
        for (int phase = 0; phase < 5; phase++) {
            stalled(spans[i]);
            rig_run(rig, 3 * USEC_PER_S + phase * 21 * MS);
            assert_true(rig_covered(rig));
        }
    }
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, (instant){0}), 0);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_SUSPECT, (instant){0}), 0);
    assert_true(rig_noted(rig, 1, NOTE_MEMBER_DEAD, (instant){0}) >= 5); /* the long ones */
}

/* Nothing waits in its socket, either: it is as if no time had passed for it. */
static void nor_if_nothing_came_meanwhile(void **state)
{
    (void)state;
    nodes(3);
    for (int phase = 0; phase < 10; phase++) {
        rig->node[0].cut = true;
        stalled(200 * MS + phase * 30 * MS);
        rig->node[0].cut = false;
        rig_run(rig, 3 * USEC_PER_S + phase * 21 * MS);
        assert_true(rig_covered(rig));
    }
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, (instant){0}), 0);
}

static void who_is_dead_is_dead_a_little_later(void **state)
{
    (void)state;
    nodes(2);
    stalled(150 * MS);
    rig_run(rig, 10 * MS);
    usec wait = patience();
    assert_in_range(wait, 50 * MS, 150 * MS);
    instant death = rig->now;
    rig_crash(rig, 1);
    rig_run(rig, DEAD_AFTER - 100 * MS);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, death), 0);
    rig_run(rig, 100 * MS + wait + 10 * MS);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, death), 1);
    assert_int_equal(rig_status(rig, 0)->owned, 64);
}

/* Alone with the dead, and slow all the time: the time that it lost, and patience; that
 * is 60 of 100 ms, and as long again as dead_after, at most. */
static void slow_it_takes_its_time(void **state)
{
    (void)state;
    nodes(2);
    rig->node[0].late = 60 * MS;
    instant death = rig->now;
    rig_crash(rig, 1);
    rig_run(rig, DEAD_AFTER + 200 * MS);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, death), 0);
    rig_run(rig, 4 * DEAD_AFTER); /* but no more than that */
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, death), 1);
}

/* It is slow to judge; but when one whose timers are right says that a member is
 * dead, it follows, or nobody could take over while it lives. */
static void it_holds_nobody_up(void **state)
{
    (void)state;
    for (int percent = 30; percent <= 95; percent += 13) {
        for (int i = 0; i < 3; i++)
            rig_start(rig, i, 1);
        rig_run(rig, 2 * USEC_PER_S);
        instant death = rig->now;
        rig_crash(rig, 1);
        while (instant_diff(rig->now, death) < 3 * DEAD_AFTER / 2) {
            stalled(percent * MS);
            rig_run(rig, (100 - percent) * MS);
        }
        assert_true(rig_covered(rig));
        assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, death), 1);
        rig_crash(rig, 0);
        rig_crash(rig, 2);
    }
}

/* n1 claims all, and says that it does no more while n0 is stalled. Whether that grants
 * anything when n0 goes on. */
static unsigned granted_after(usec stall)
{
    static struct ghost g;
    struct node_config c = rig_config(1);
    uint8_t data[DATAGRAM_MAX];
    rig_start(rig, 0, 1);
    ghost_init(&g, &c, 4711);
    for (unsigned b = 0; b < 64; b++)
        bitmap_set(&g.say.claim, b);
    ghost_live(&g, rig, 0, 2 * USEC_PER_S); /* it claims all, so n0 has nothing */
    assert_int_equal(rig_status(rig, 0)->owned, 0);
    memset(&g.say.claim, 0, sizeof g.say.claim);
    ghost_listen(&g, rig);
    size_t length = ghost_seal(&g, data);
    rig_run(rig, 10 * MS);
    stalled(stall);
    rig_hand(rig, 0, data, length);
    unsigned granted = rig_status(rig, 0)->owned;
    ghost_live(&g, rig, 0, 300 * MS);
    assert_int_equal(rig_status(rig, 0)->owned, 32);
    rig_crash(rig, 0);
    return granted;
}

/* A word that waited while it was stalled is of before: if others may have gone on without
 * it since, that grants nothing until it answers what is said from now on. */
static void what_waited_is_of_before(void **state)
{
    (void)state;
    assert_int_equal(granted_after(DEAD_AFTER / 2 - 10 * MS), 32);
    assert_int_equal(granted_after(DEAD_AFTER / 2 + INTERVAL), 0);
}

/* What it heard before the stall is not taken for agreement after it. */
static void stalled_it_takes_nothing_from_before(void **state)
{
    (void)state;
    nodes(2);
    rig_run(rig, 30 * MS);
    stalled(3 * USEC_PER_S);
    for (int i = 0; i < 4000; i++) {
        rig_run(rig, MS);
        for (unsigned b = 0; b < 64; b++)
            assert_true(rig_claimants(rig, b) <= 1);
    }
    assert_true(rig_covered(rig));
}

/* ------------------------------------------------------------------- figures */

static void the_mean_follows(void **state)
{
    (void)state;
    nodes(1);
    rig->node[0].late = 20 * MS;
    rig_run(rig, 3 * INTERVAL);
    assert_in_range(rig_status(rig, 0)->wakeup.mean, 1000, 5000); /* not at once */
    rig_run(rig, 20 * USEC_PER_S);
    assert_in_range(rig_status(rig, 0)->wakeup.mean, 19900, 20000);
    assert_int_equal(rig_status(rig, 0)->wakeup.worst, 20 * MS);
    rig->node[0].late = 0;
    rig_run(rig, 20 * USEC_PER_S);
    assert_in_range(rig_status(rig, 0)->wakeup.mean, 0, 100);
    assert_int_equal(rig_status(rig, 0)->wakeup.worst, 20 * MS);
}

static void the_worst_is_kept_for_a_minute_or_two(void **state)
{
    (void)state;
    nodes(1);
    rig->node[0].late = 35 * MS;
    rig_run(rig, INTERVAL);
    rig->node[0].late = 0;
    rig_run(rig, 55 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->wakeup.worst, 35 * MS);
    rig_run(rig, 10 * USEC_PER_S); /* another minute has begun */
    assert_int_equal(rig_status(rig, 0)->wakeup.worst, 35 * MS);
    rig_run(rig, 60 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->wakeup.worst, 0);
}

/* A datagram that comes before a late timer does what was due: nothing is late but it. */
static void only_timers_count(void **state)
{
    (void)state;
    nodes(3);
    rig->node[0].late = 100 * USEC_PER_S;
    rig_run(rig, 5 * USEC_PER_S);
    assert_in_range(rig_status(rig, 0)->wakeup.worst, 0, MS);
    assert_in_range(rig_status(rig, 0)->wakeup.mean, 0, MS);
    assert_true(rig_covered(rig)); /* what is due is done with whatever comes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(on_time_there_is_none),
        CASE(late_timers_widen_it_up_to_a_limit),
        CASE(on_time_it_goes_again),
        CASE(stalled_it_accuses_nobody),
        CASE(nor_if_nothing_came_meanwhile),
        CASE(who_is_dead_is_dead_a_little_later),
        CASE(slow_it_takes_its_time),
        CASE(it_holds_nobody_up),
        CASE(what_waited_is_of_before),
        CASE(stalled_it_takes_nothing_from_before),
        CASE(the_mean_follows),
        CASE(the_worst_is_kept_for_a_minute_or_two),
        CASE(only_timers_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
