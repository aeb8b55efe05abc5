/*
 * Nodes of another configuration: both sides say so and name what differs, and no
 * two sides serve at once. Who serves goes before who joins, more before fewer,
 * and of equals the one with the first name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/seal.h"
#include "rig_case.h"

/* ---------------------------------------------------------------- helpers */

enum { OURS, THEIRS };
#define DIFFERENCE (1u << PART_VIPS | 1u << PART_FLAP)

static struct node_config config(int i, int side)
{
    struct node_config c = rig_config(i);
    for (unsigned p = 0; p < PART_MAX; p++)
        c.part[p] = 100 + p;
    if (side == THEIRS) {
        c.config_digest++;
        c.part[PART_VIPS]++;
        c.part[PART_FLAP]++;
    }
    return c;
}

static void start(int i, int side)
{
    struct node_config c = config(i, side);
    rig_start_with(rig, i, 1, &c);
}

static void reload(int i, int side)
{
    struct node_config c = config(i, side);
    struct event e = {.kind = EVENT_RELOAD, .reload = &c};
    rig_step(rig, i, &e);
}

static unsigned claims_of(int i)
{
    unsigned claims = 0;
    for (unsigned b = 0; b < BUCKETS_MAX; b++)
        claims += rig_claims(rig, i, b);
    return claims;
}

/* n0 (and n1, if it runs with it) have served, and go on with what they have. */
static bool held[2][64];

static void hold_on(struct rig *r)
{
    for (int i = 0; i < 2; i++)
        for (unsigned b = 0; b < 64; b++)
            assert_true(rig_claims(r, i, b) == held[i][b]);
}

static void hold_on_from_now(void)
{
    for (int i = 0; i < 2; i++)
        for (unsigned b = 0; b < 64; b++)
            held[i][b] = rig_claims(rig, i, b);
    rig->watch = hold_on;
}

static void assert_strange(int by, const char *name, unsigned parts)
{
    const struct status *s = rig_status(rig, by);
    assert_int_equal(s->strangers, 1);
    assert_string_equal(s->stranger[0].name, name);
    assert_int_equal(s->stranger[0].parts, parts);
}

static void assert_told(int by, const char *name, unsigned parts)
{
    const struct note *note = rig_last_note(rig, by, NOTE_CONFIG_MISMATCH);
    assert_non_null(note);
    assert_string_equal(note->member, name);
    assert_int_equal(note->number, parts);
}

/* ---------------------------------------------------- one comes to who serves */

static void a_newcomer_stays_out(void **state)
{
    (void)state;
    start(0, OURS);
    rig_run(rig, 2 * USEC_PER_S);
    hold_on_from_now(); /* so n1 claims nothing, at any step */
    start(1, THEIRS);
    rig_run(rig, 5 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 1)->state, NODE_ISOLATED);
    assert_int_equal(rig_status(rig, 0)->state, NODE_SERVING);
    for (int i = 0; i < 2; i++) {
        assert_strange(i, i == 0 ? "n1" : "n0", DIFFERENCE);
        assert_told(i, i == 0 ? "n1" : "n0", DIFFERENCE);
        assert_int_equal(rig_status(rig, i)->members, 1);
        assert_int_equal(rig_noted(rig, i, NOTE_CONFIG_MISMATCH, (instant){0}), 1);
        assert_true(rig_status(rig, i)->rejected[REJECT_CONFIG_MISMATCH] > 20);
    }
    rig_run(rig, 10 * USEC_PER_S); /* it is said again, now and then */
    assert_int_equal(rig_noted(rig, 0, NOTE_CONFIG_MISMATCH, (instant){0}), 2);
}

static void many_newcomers_stay_out(void **state)
{
    (void)state;
    start(0, OURS);
    rig_run(rig, 2 * USEC_PER_S);
    hold_on_from_now();
    for (int i = 2; i < 6; i++) /* more than serve, but they only join */
        start(i, THEIRS);
    rig_run(rig, 5 * USEC_PER_S);
    for (int i = 2; i < 6; i++) {
        assert_int_equal(rig_status(rig, i)->state, NODE_ISOLATED);
        assert_int_equal(rig_status(rig, i)->members, 4);
        assert_int_equal(claims_of(i), 0);
    }
    assert_int_equal(rig_status(rig, 0)->strangers, 4);
}

static void of_other_buckets(void **state)
{
    (void)state;
    struct node_config c = config(1, OURS);
    c.buckets = 128;
    start(0, OURS);
    rig_run(rig, 2 * USEC_PER_S);
    hold_on_from_now();
    rig_start_with(rig, 1, 1, &c);
    rig_run(rig, 3 * USEC_PER_S);
    assert_int_equal(claims_of(1), 0);
    assert_told(0, "n1", 1u << PART_BUCKETS);
    assert_told(1, "n0", 1u << PART_BUCKETS);
}

/* One that does not tell what its configuration is made of. */
static void of_the_first_version(void **state)
{
    (void)state;
    static struct ghost g;
    struct node_config c = config(1, THEIRS);
    start(0, OURS);
    rig_run(rig, 2 * USEC_PER_S);
    ghost_init(&g, &c, 4711);
    g.say.version = WIRE_VERSION_FIRST;
    g.say.flags = HEARTBEAT_JOINING;
    ghost_live(&g, rig, 0, USEC_PER_S);
    assert_told(0, "n1", 0);
    assert_strange(0, "n1", 0);
    assert_int_equal(rig_status(rig, 0)->owned, 64);
    rig_run(rig, USEC_PER_S); /* it is not heard any more */
    assert_int_equal(rig_status(rig, 0)->strangers, 0);
}

/* ------------------------------------------------------------ two sides meet */

/* n0 and n1 serve, and so do `theirs` beside them; then they hear each other. */
static void meet(int theirs)
{
    for (int i = 0; i < 2; i++)
        for (int k = 2; k < 2 + theirs; k++)
            rig_part(rig, i, k, true);
    for (int i = 0; i < 2 + theirs; i++)
        start(i, i < 2 ? OURS : THEIRS);
    rig_run(rig, 2 * USEC_PER_S);
    for (unsigned b = 0; b < 64; b++)
        assert_int_equal(rig_claimants(rig, b), 2);
    memset(rig->deaf, 0, sizeof rig->deaf);
}

static void the_fewer_yield(void **state)
{
    (void)state;
    meet(1);
    hold_on_from_now();
    rig_run(rig, 250 * USEC_PER_MS);
    assert_int_equal(claims_of(2), 0);
    assert_int_equal(rig_status(rig, 2)->state, NODE_ISOLATED);
    rig_run(rig, 5 * USEC_PER_S);
    assert_int_equal(claims_of(2), 0);
    assert_true(rig_covered(rig));
}

static void the_fewer_yield_also_if_they_come_first_by_name(void **state)
{
    (void)state;
    meet(3);
    rig_run(rig, 250 * USEC_PER_MS);
    rig->watch = rig_nobody_twice;
    assert_int_equal(claims_of(0) + claims_of(1), 0);
    assert_int_equal(rig_status(rig, 0)->state, NODE_ISOLATED);
    rig_run(rig, 5 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(claims_of(0) + claims_of(1), 0);
}

static void of_equals_the_first_name_stays(void **state)
{
    (void)state;
    meet(2);
    hold_on_from_now();
    rig_run(rig, 250 * USEC_PER_MS);
    assert_int_equal(claims_of(2) + claims_of(3), 0);
    rig_run(rig, 3 * USEC_PER_S);
    assert_true(rig_covered(rig));
}

/* They start at once, so nobody serves: then the same order decides. */
static void nothing_beside_the_first(struct rig *r)
{
    for (unsigned b = 0; b < 64; b++)
        assert_false(rig_claims(r, 0, b) && rig_claims(r, 1, b));
}

/* n1 has stayed out for the sake of n0. Now it meets n2, and with it is more: before n0
 * knows that, too, it still serves. */
static void who_becomes_more_waits_for_the_fewer(void **state)
{
    (void)state;
    rig_part(rig, 2, 0, true);
    rig_part(rig, 2, 1, true);
    start(2, OURS);
    start(0, THEIRS);
    start(1, OURS);
    rig->watch = nothing_beside_the_first;
    rig_run(rig, 3 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 1)->state, NODE_ISOLATED);
    assert_true(claims_of(0) == 64 && claims_of(2) == 64);
    rig_part(rig, 2, 1, false);
    rig_run(rig, 600 * USEC_PER_MS);
    rig_part(rig, 2, 0, false);
    rig_run(rig, USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->state, NODE_ISOLATED);
    assert_true(claims_of(0) == 0 && claims_of(1) > 20 && claims_of(2) > 20);
    assert_true(rig_covered(rig));
}

static void both_start(void **state)
{
    (void)state;
    rig->watch = rig_nobody_twice;
    for (int i = 0; i < 5; i++)
        start(i, i < 2 ? OURS : THEIRS);
    rig_run(rig, 3 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(claims_of(0) + claims_of(1), 0);
    for (int i = 2; i < 5; i++) {
        assert_int_equal(rig_status(rig, i)->state, NODE_SERVING);
        rig_crash(rig, i); /* and when they are gone there is nobody to yield to */
    }
    rig_run(rig, 3 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(claims_of(0) + claims_of(1), 64);
}

/* ---------------------------------------------------------- they become alike */

/* Only while one of another configuration is about is it told what ours is made of. */
static size_t parts_told(int by)
{
    static struct heartbeat said;
    const struct rig_datagram *last = &rig->node[by].said[WIRE_VERSION_LAST];
    struct node_config c = config(by, OURS);
    struct seal seal;
    struct seal_stamp stamp;
    uint8_t plain[DATAGRAM_MAX];
    size_t length = 0;
    seal_init(&seal, c.cluster, c.key);
    assert_int_equal(seal_open(&seal, last->data, last->length, &stamp, plain, &length),
                     REJECT_NONE);
    assert_int_equal(heartbeat_read(&said, stamp.version, plain, length), 0);
    return said.parts;
}

static void made_alike_it_joins(void **state)
{
    (void)state;
    start(0, OURS);
    rig_run(rig, 2 * USEC_PER_S);
    start(1, THEIRS);
    rig_run(rig, 2 * USEC_PER_S);
    rig->watch = rig_nobody_twice;
    assert_int_equal(parts_told(0), PART_MAX);
    reload(1, OURS);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(parts_told(0), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_status(rig, i)->members, 2);
        assert_int_equal(rig_status(rig, i)->strangers, 0);
        assert_int_equal(rig_status(rig, i)->state, NODE_SERVING);
        assert_true(rig_status(rig, i)->converged);
        assert_int_equal(claims_of(i), 32);
    }
    assert_true(rig_covered(rig));
}

/* A reload on one node first, then on the others: a roll-out. */
static void a_member_that_is_reloaded_first(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        start(i, OURS);
    rig_run(rig, 2 * USEC_PER_S);
    rig->watch = rig_nobody_twice;
    reload(2, THEIRS);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(claims_of(2), 0);
    assert_told(2, rig_last_note(rig, 2, NOTE_CONFIG_MISMATCH)->member, DIFFERENCE);
    assert_told(0, "n2", DIFFERENCE);
    assert_told(1, "n2", DIFFERENCE);
    reload(1, THEIRS); /* now they are more: whichever side it is, one serves */
    rig_run(rig, 3 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_true(claims_of(0) == 0 || claims_of(0) == 64);
    reload(0, THEIRS);
    rig_run(rig, 3 * USEC_PER_S);
    assert_true(rig_covered(rig));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_status(rig, i)->strangers, 0);
        assert_true(rig_status(rig, i)->converged);
        assert_in_range(claims_of(i), 21, 22);
    }
}

/* ---------------------------------------------------------------- authenticity */

static void recordings_bar_nobody(void **state)
{
    (void)state;
    struct rig_datagram old[4];
    start(1, THEIRS);
    rig_run(rig, 2 * USEC_PER_S);
    for (int k = 0; k < 4; k++) { /* it served, and was not alone */
        old[k] = rig->node[1].said[WIRE_VERSION_LAST];
        rig_run(rig, 100 * USEC_PER_MS);
    }
    rig_crash(rig, 1);
    rig_run(rig, USEC_PER_S);
    start(0, OURS);
    for (int i = 0; i < 40; i++) {
        rig_hand(rig, 0, old[i % 4].data, old[i % 4].length);
        rig_run(rig, 50 * USEC_PER_MS);
    }
    assert_int_equal(rig_status(rig, 0)->owned, 64);
    assert_int_equal(rig_noted(rig, 0, NOTE_CONFIG_MISMATCH, (instant){0}), 0);
    assert_int_equal(rig_status(rig, 0)->strangers, 0);
}

/* They find no more room than a few, so those of our own kind have theirs. */
static void a_crowd_takes_no_room(void **state)
{
    (void)state;
    static struct ghost g;
    char name[24];
    struct node_config c = config(1, THEIRS);
    start(0, OURS);
    rig_run(rig, 2 * USEC_PER_S);
    ghost_init(&g, &c, 4711);
    g.say.flags = HEARTBEAT_JOINING;
    for (int i = 0; i < 2 * MEMBERS_MAX; i++) {
        snprintf(name, sizeof name, "crowd%d", i);
        memset(g.say.name, 0, sizeof g.say.name);
        memcpy(g.say.name, name, strlen(name));
        ghost_listen(&g, rig);
        ghost_say(&g, rig, 0);
    }
    assert_int_equal(rig_noted(rig, 0, NOTE_ROSTER_FULL, (instant){0}), 0);
    assert_int_equal(rig_status(rig, 0)->strangers, STRANGERS_MAX);
    start(1, OURS);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 0)->members, 2);
    assert_true(rig_covered(rig));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_newcomer_stays_out),
        CASE(many_newcomers_stay_out),
        CASE(of_other_buckets),
        CASE(of_the_first_version),
        CASE(the_fewer_yield),
        CASE(the_fewer_yield_also_if_they_come_first_by_name),
        CASE(of_equals_the_first_name_stays),
        CASE(who_becomes_more_waits_for_the_fewer),
        CASE(both_start),
        CASE(made_alike_it_joins),
        CASE(a_member_that_is_reloaded_first),
        CASE(recordings_bar_nobody),
        CASE(a_crowd_takes_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
