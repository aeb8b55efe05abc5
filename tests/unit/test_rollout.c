/*
 * A list of VIPs makes its way through a cluster, node by node: nothing of what
 * stays is disturbed. VIPs that differ keep nodes apart, also where a third fits
 * both of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rig_case.h"

/* ---------------------------------------------------------------- helpers */

enum { NODES = 3 };

static uint16_t weight = 100;
static enum quorum_policy quorum;

/* Of each VIP a digit of its address and one of the rest, as "1a2b"; NULL: the first
 * VIP, by a node that does not tell what it is made of. */
static struct node_config config(int i, const char *vips)
{
    struct node_config c = rig_config(i);
    c.weight = weight;
    c.quorum = quorum;
    for (int k = 0; k < NODES && quorum == QUORUM_MAJORITY; k++)
        c.founder[c.founders++] = member_id(rig_config(k).name);
    bool told = vips != NULL;
    c.config_digest = 1;
    for (const char *v = told ? vips : "1a"; *v != '\0'; v += 2) {
        c.config_digest = 31 * c.config_digest + (uint64_t)v[0] * 256 + (uint64_t)v[1];
        if (told)
            vips_add(&c.vips, (struct vip_word){(uint32_t)v[0], (uint32_t)v[1]});
    }
    c.vips.common = told ? 1 : 0;
    return c;
}

static void start(int i, const char *vips)
{
    struct node_config c = config(i, vips);
    rig_start_with(rig, i, 1, &c);
}

static void start_all(void)
{
    for (int i = 0; i < NODES; i++)
        start(i, "1a");
    rig_run(rig, 4 * USEC_PER_S);
    assert_true(rig_covered(rig));
}

static void reload(int i, const char *vips)
{
    struct node_config c = config(i, vips);
    struct event e = {.kind = EVENT_RELOAD, .reload = &c};
    rig_step(rig, i, &e);
}

static unsigned claims_of(int i)
{
    unsigned claims = 0;
    for (unsigned b = 0; b < 64; b++)
        claims += rig_claims(rig, i, b);
    return claims;
}

static bool held[NODES][64];

static void hold_on(struct rig *r)
{
    for (int i = 0; i < NODES; i++)
        for (unsigned b = 0; b < 64; b++)
            assert_true(rig_claims(r, i, b) == held[i][b]);
}

static void hold_on_from_now(void)
{
    for (int i = 0; i < NODES; i++)
        for (unsigned b = 0; b < 64; b++)
            held[i][b] = rig_claims(rig, i, b);
    rig->watch = hold_on;
}

static void assert_strangers(int by, size_t count)
{
    assert_int_equal(rig_status(rig, by)->strangers, count);
}

static void assert_all_alike(void)
{
    for (int i = 0; i < NODES; i++) {
        assert_strangers(i, 0);
        assert_true(rig_status(rig, i)->converged);
        assert_int_equal(rig_status(rig, i)->state, NODE_SERVING);
        for (size_t k = 0; k < NODES; k++)
            assert_int_equal(rig_status(rig, i)->member[k].parts, 0);
    }
    assert_true(rig_covered(rig));
}

/* All nodes go over to that list, one after the other, and nothing moves. */
static void roll_out(const char *vips)
{
    for (int i = 0; i < NODES; i++) {
        reload(i, vips);
        rig_run(rig, 500 * USEC_PER_MS);
        for (int k = 0; k < NODES; k++)
            assert_true(rig_status(rig, k)->converged);
    }
    rig_run(rig, 200 * USEC_PER_MS);
    assert_all_alike();
}

/* ---------------------------------------------------------------- they differ */

static void vips_come_and_go(void **state)
{
    (void)state;
    start_all();
    hold_on_from_now();
    roll_out("1a2b");
    roll_out("0x1a2b3c4d");
    roll_out("1a3c");
    roll_out("");
    roll_out("5e");
    assert_int_equal(rig_noted(rig, -1, NOTE_CONFIG_MISMATCH, (instant){0}), 0);
    assert_int_equal(rig_status(rig, 0)->rejected[REJECT_CONFIG_MISMATCH], 0);
}

static void under_a_quorum_too(void **state)
{
    (void)state;
    quorum = QUORUM_MAJORITY;
    start_all();
    hold_on_from_now();
    roll_out("1a2b");
    roll_out("2b");
    quorum = QUORUM_NONE;
}

static void both_sides_say_so(void **state)
{
    (void)state;
    start_all();
    instant then = rig->now;
    reload(1, "1a2b");
    rig_run(rig, 300 * USEC_PER_MS);
    assert_int_equal(rig_member(rig, 0, "n1")->parts, 1u << PART_VIPS);
    assert_int_equal(rig_member(rig, 0, "n2")->parts, 0);
    assert_int_equal(rig_member(rig, 1, "n0")->parts, 1u << PART_VIPS);
    assert_int_equal(rig_member(rig, 1, "n2")->parts, 1u << PART_VIPS);
    assert_string_equal(rig_last_note(rig, 0, NOTE_VIPS_DIFFER)->member, "n1");
    for (int i = 0; i < NODES; i++)
        assert_int_equal(rig_noted(rig, i, NOTE_VIPS_DIFFER, then), 1);
    rig_run(rig, 10 * USEC_PER_S);
    for (int i = 0; i < NODES; i++) /* again, now and then */
        assert_int_equal(rig_noted(rig, i, NOTE_VIPS_DIFFER, then), 2);
}

/* What happens meanwhile happens as ever. */
static void a_death_and_a_newcomer_meanwhile(void **state)
{
    (void)state;
    start_all();
    rig->watch = rig_nobody_twice;
    reload(0, "1a2b");
    reload(1, "2b3c");
    rig_run(rig, USEC_PER_S);
    rig_crash(rig, 2);
    rig_run(rig, USEC_PER_S);
    assert_true(rig_covered(rig));
    start(2, "4d");
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_in_range(claims_of(2), 21, 22);
    assert_true(rig_status(rig, 2)->converged);
}

static void a_weight_changes_with_it(void **state)
{
    (void)state;
    start_all();
    rig->watch = rig_nobody_twice;
    weight = 200;
    reload(1, "1a2b");
    weight = 100;
    rig_run(rig, USEC_PER_S);
    assert_int_equal(claims_of(1), 32);
    assert_true(rig_covered(rig));
}

/* ------------------------------------------------------------- they do not fit */

/* What it had is taken over as soon as it has given it up, which is no death. */
static void a_vip_that_changes(void **state)
{
    (void)state;
    start_all();
    rig->watch = rig_nobody_twice;
    instant then = rig->now;
    reload(2, "1b");
    rig_run(rig, 60 * USEC_PER_MS);
    assert_int_equal(claims_of(2), 0);
    assert_true(rig_covered(rig));
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_LEFT, then), 1);
    rig_run(rig, 2 * USEC_PER_S);
    assert_strangers(0, 1);
    assert_strangers(2, 2);
    assert_int_equal(rig_status(rig, 2)->state, NODE_ISOLATED);
    for (unsigned b = 0; b < 64; b++) /* it may have flows of anything */
        assert_true(rig->node[0].plan.class_of[b] != CLASS_OWN);
    reload(1, "1b");
    rig_run(rig, 60 * USEC_PER_MS);
    assert_true(rig_covered(rig));
    rig_run(rig, USEC_PER_S);
    reload(0, "1b");
    rig_run(rig, 2 * USEC_PER_S);
    assert_all_alike();
    for (int i = 0; i < NODES; i++) {

        assert_int_equal(rig_status(rig, i)->member[2].penalty, 0);
    }
    rig_run(rig, 3 * USEC_PER_S);
    for (unsigned b = 0; b < 64; b++)
        assert_true(rig->node[0].plan.class_of[b] != CLASS_ADOPT);
}

static void who_does_not_tell_is_a_stranger(void **state)
{
    (void)state;
    for (int i = 0; i < NODES; i++)
        start(i, i == 0 ? NULL : "1a");
    rig_run(rig, 4 * USEC_PER_S);
    assert_all_alike();
    rig->watch = rig_nobody_twice;
    reload(2, "1a2b"); /* n1 would know what it means; n0 does not */
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(claims_of(2), 0);
    assert_strangers(1, 1);
    reload(1, "1a2b");
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(claims_of(0), 64);
    rig_crash(rig, 0);
    rig_run(rig, 3 * USEC_PER_S);
    assert_true(rig_covered(rig));
}

/* n1 has the new VIP in one way, then n2 in another; n0, without it, fits both. */
static void the_second_is_one_too_many(void **state)
{
    (void)state;
    start_all();
    rig->watch = rig_nobody_twice;
    reload(1, "1a2b");
    rig_run(rig, USEC_PER_S);
    reload(2, "1a2c");
    rig_run(rig, 100 * USEC_PER_MS);
    assert_int_equal(claims_of(2), 0);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(rig_status(rig, 2)->state, NODE_ISOLATED);
    for (int i = 0; i < 2; i++) {
        assert_strangers(i, 1);
        assert_true(rig_status(rig, i)->converged);
    }
    reload(2, "1a2b"); /* that was a slip */
    rig_run(rig, 2 * USEC_PER_S);
    reload(0, "1a2b");
    rig_run(rig, USEC_PER_S);
    assert_all_alike();
}

/* They do it at once, so neither knows of the other: two of four stand by. */
static void both_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        start(i, "1a");
    rig_run(rig, 4 * USEC_PER_S);
    rig->watch = rig_nobody_twice;
    reload(1, "1a2b");
    reload(3, "1a2c");
    rig_run(rig, 150 * USEC_PER_MS);
    assert_int_equal(claims_of(3), 0);
    rig_run(rig, 3 * USEC_PER_S);
    assert_true(rig_covered(rig));
    for (int i = 0; i < 3; i++) {
        assert_in_range(claims_of(i), 21, 22);
        assert_strangers(i, 1);
    }
    assert_int_equal(rig_status(rig, 3)->state, NODE_ISOLATED);
}

/* What a VIP that only some have was, it need not be when the others get it. */
static void a_slip_is_put_right(void **state)
{
    (void)state;
    start_all();
    rig->watch = rig_nobody_twice;
    reload(0, "1a2b");
    rig_run(rig, USEC_PER_S);
    hold_on_from_now();
    reload(0, "1a2c"); /* nobody else has it */
    rig_run(rig, USEC_PER_S);
    reload(1, "1a2c");
    rig_run(rig, USEC_PER_S);
    rig->watch = rig_nobody_twice;
    reload(0, "1a2d"); /* now somebody has */
    rig_run(rig, USEC_PER_S);
    assert_int_equal(claims_of(0), 0);
    assert_true(rig_covered(rig));
    reload(1, "1a2d");
    rig_run(rig, 2 * USEC_PER_S);
    reload(2, "1a2d");
    rig_run(rig, 2 * USEC_PER_S);
    assert_all_alike();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(vips_come_and_go),
        CASE(under_a_quorum_too),
        CASE(both_sides_say_so),
        CASE(a_death_and_a_newcomer_meanwhile),
        CASE(a_weight_changes_with_it),
        CASE(a_vip_that_changes),
        CASE(who_does_not_tell_is_a_stranger),
        CASE(the_second_is_one_too_many),
        CASE(both_at_once),
        CASE(a_slip_is_put_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
