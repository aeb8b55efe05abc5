/*
 * Single links that fail: two members that do not hear each other, and a third
 * that passes on what they say. Nobody is evicted, everything goes on, and the
 * fault is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/seal.h"
#include "rig_case.h"

/* ---------------------------------------------------------------- helpers */

static const char *const name[RIG_NODES] = {"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"};

static void settled(int count)
{
    assert_true(rig_covered(rig));
    for (int i = 0; i < count; i++)
        assert_true(rig_status(rig, i)->converged);
}

static void nodes(int count)
{
    for (int i = 0; i < count; i++)
        rig_start(rig, i, 1);
    rig_run(rig, 2 * USEC_PER_S);
    settled(count);
}

static enum member_state state_of(int by, const char *who)
{
    const struct status_member *m = rig_member(rig, by, who);
    assert_non_null(m);
    return m->state;
}

static unsigned relays(void)
{
    unsigned sum = 0;
    for (int i = 0; i < RIG_NODES; i++)
        sum += rig->node[i].relays;
    return sum;
}

/* Members and nodes sort alike, so one index serves for both. */
static void deaf_are(int by, const char *const want[3])
{
    const struct status *s = rig_status(rig, by);
    assert_int_equal(s->members, 3);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < 3; k++)
            assert_int_equal(bitmap_test(&s->deaf[i], k), want[i][k] == 'x');
}

static unsigned noted_of(int by, enum note_kind kind, const char *who, instant since)
{
    unsigned found = 0;
    for (unsigned k = 0; k < rig->notes; k++)
        found += rig->note[k].node == by && rig->note[k].note.kind == kind &&
                 strcmp(rig->note[k].note.member, who) == 0 &&
                 !instant_before(rig->note[k].at, since);
    return found;
}

/* ------------------------------------------------------------- in general */

static void the_healthy_relay_nothing(void **state)
{
    (void)state;
    nodes(4);
    unsigned before = relays();
    rig_run(rig, 10 * USEC_PER_S);
    rig_crash(rig, 3);
    rig_run(rig, 2 * USEC_PER_S);
    rig_start(rig, 3, 2);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(before, 0);
    assert_int_equal(relays(), 0);
    for (int i = 0; i < 4; i++)
        for (size_t k = 0; k < 4; k++)
            assert_int_equal(bitmap_count(&rig_status(rig, i)->deaf[k]), 0);
}

/* ----------------------------------------------------------------- a bridge */

/* n0 and n2 are deaf to each other, or n0 alone is deaf to n2. */
static void bridged(bool both)
{
    static const char *const deaf_both[3] = {"..x", "...", "x.."};
    static const char *const deaf_one[3] = {"..x", "...", "..."};
    nodes(3);
    rig->watch = rig_nobody_twice;
    instant since = rig->now;
    rig->deaf[0][2] = true;
    rig->deaf[2][0] = both;
    rig_run(rig, 3 * USEC_PER_S);
    settled(3);
    for (int i = 0; i < 3; i++)
        deaf_are(i, both ? deaf_both : deaf_one);
    assert_int_equal(state_of(0, "n2"), MEMBER_SUSPECT);
    assert_int_equal(state_of(2, "n0"), both ? MEMBER_SUSPECT : MEMBER_ALIVE);
    assert_int_equal(state_of(1, "n0"), MEMBER_ALIVE);
    assert_int_equal(state_of(1, "n2"), MEMBER_ALIVE);
    assert_int_equal(noted_of(0, NOTE_MEMBER_SUSPECT, "n2", since), 1);
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_SUSPECT, since), both ? 2 : 1);
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_DEAD, since), 0);
    assert_int_equal(rig_noted(rig, -1, NOTE_VIEW, since), 0);
    assert_int_equal(rig_noted(rig, -1, NOTE_HANDOVER, since), 0);
    assert_int_equal(rig_noted(rig, -1, NOTE_REJECTED, since), 0);
    assert_int_equal(rig->node[0].relays + rig->node[2].relays, 0);
    /* What it relays is about one direction or two: some 30 heartbeats in each. */
    assert_in_range(rig->node[1].relays, both ? 45 : 22, both ? 70 : 35);

    instant healed = rig->now;
    rig_part(rig, 0, 2, false);
    rig_run(rig, USEC_PER_S);
    unsigned after = relays();
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(relays(), after);
    assert_int_equal(state_of(0, "n2"), MEMBER_ALIVE);
    assert_int_equal(state_of(2, "n0"), MEMBER_ALIVE);
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_HEARD, since), both ? 2 : 1);
    assert_int_equal(noted_of(0, NOTE_MEMBER_HEARD, "n2", healed), 1);
    assert_in_range(rig_last_note(rig, 0, NOTE_MEMBER_HEARD)->number, 2900 * USEC_PER_MS,
                    3300 * USEC_PER_MS);
    assert_int_equal(rig_noted(rig, -1, NOTE_VIEW, since), 0);
    settled(3);
}

static void both_ways(void **state)
{
    (void)state;
    bridged(true);
}

static void one_way(void **state)
{
    (void)state;
    bridged(false);
}

static void a_drain_goes_round_by_the_third(void **state)
{
    (void)state;
    nodes(3);
    rig_part(rig, 0, 2, true);
    rig_run(rig, 2 * USEC_PER_S);
    rig->watch = rig_nobody_twice;
    instant since = rig->now;
    rig_control(rig, 2, CONTROL_DRAIN, "n0"); /* ordered by who does not hear it */
    rig_run(rig, 2 * USEC_PER_S);
    settled(3);
    assert_int_equal(rig_status(rig, 0)->owned, 0);
    assert_int_equal(rig_status(rig, 2)->owned, 32);
    rig_control(rig, 0, CONTROL_UNDRAIN, NULL);
    rig_run(rig, 2 * USEC_PER_S);
    settled(3);
    assert_in_range(rig_status(rig, 0)->owned, 21, 22);
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_DEAD, since), 0);
    assert_int_equal(rig_noted(rig, -1, NOTE_LEASE_LAPSED, since), 0);
}

static void who_dies_beyond_the_third_is_dead(void **state)
{
    (void)state;
    nodes(3);
    rig_part(rig, 0, 2, true);
    rig_run(rig, 2 * USEC_PER_S);
    rig->watch = rig_nobody_twice;
    instant death = rig->now;
    rig_crash(rig, 0);
    rig_run(rig, 290 * USEC_PER_MS); /* it may have spoken an interval ago */
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_DEAD, death), 0);
    rig_run(rig, 400 * USEC_PER_MS);
    settled(0);
    assert_int_equal(noted_of(1, NOTE_MEMBER_DEAD, "n0", death), 1);
    assert_int_equal(noted_of(2, NOTE_MEMBER_DEAD, "n0", death), 1);
    rig_start(rig, 0, 2); /* and comes back where n2 cannot hear it */
    rig_run(rig, 3 * USEC_PER_S);
    settled(3);
    assert_int_equal(state_of(2, "n0"), MEMBER_SUSPECT);
    assert_int_equal(state_of(0, "n2"), MEMBER_SUSPECT);
}

static void a_newcomer_beyond_the_third(void **state)
{
    (void)state;
    rig_part(rig, 0, 2, true);
    rig_start(rig, 0, 1);
    rig_start(rig, 1, 1);
    rig_run(rig, 2 * USEC_PER_S);
    rig->watch = rig_nobody_twice;
    rig_start(rig, 2, 1);
    rig_run(rig, 3 * USEC_PER_S);
    settled(3);
    assert_int_equal(rig_status(rig, 0)->members, 3);
    assert_in_range(rig_status(rig, 2)->owned, 21, 22);
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_DEAD, (instant){0}), 0);
}

/* Under "none" each side serves; when the third is back they are one again. */
static void the_third_dies(void **state)
{
    (void)state;
    nodes(3);
    rig_part(rig, 0, 2, true);
    rig_run(rig, 2 * USEC_PER_S);
    rig_crash(rig, 1);
    rig_run(rig, 3 * USEC_PER_S);
    for (unsigned b = 0; b < 64; b++) {
        assert_true(rig_claims(rig, 0, b));
        assert_true(rig_claims(rig, 2, b));
    }
    assert_int_equal(state_of(0, "n2"), MEMBER_DEAD);
    assert_int_equal(state_of(2, "n0"), MEMBER_DEAD);
    rig_start(rig, 1, 2);
    rig_run(rig, 3 * USEC_PER_S);
    settled(3);
    assert_int_equal(state_of(0, "n2"), MEMBER_SUSPECT);
}

/* ---------------------------------------------------------------- who relays */

static void of_two_one_relays(void **state)
{
    (void)state;
    nodes(4);
    rig_part(rig, 0, 3, true);
    rig_run(rig, 3 * USEC_PER_S);
    settled(4);
    assert_in_range(rig->node[1].relays, 45, 70);
    assert_int_equal(rig->node[2].relays, 0);
    rig_crash(rig, 1); /* then it is the other's turn */
    instant since = rig->now;
    rig_run(rig, 3 * USEC_PER_S);
    assert_true(rig->node[2].relays > 40);
    assert_true(rig_covered(rig));
    assert_int_equal(noted_of(0, NOTE_MEMBER_DEAD, "n3", since), 0);
    assert_int_equal(noted_of(3, NOTE_MEMBER_DEAD, "n0", since), 0);
    unsigned before = rig->node[2].relays;
    rig_start(rig, 1, 2); /* and its own again */
    rig_run(rig, 2 * USEC_PER_S);
    unsigned handed = rig->node[2].relays;
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(handed > before);
    assert_int_equal(rig->node[2].relays, handed);
    settled(4);
}

static void who_cannot_hear_it_does_not_relay(void **state)
{
    (void)state;
    nodes(4);
    rig->deaf[3][0] = true; /* n3 does not hear n0, and neither does n1, the first by name */
    rig->deaf[1][0] = true;
    rig_run(rig, 2 * USEC_PER_S);
    settled(4);
    unsigned first = rig->node[1].relays, second = rig->node[2].relays;
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(rig->node[1].relays, first);
    assert_in_range(rig->node[2].relays - second, 18, 30); /* once for both */
    settled(4);
}

/* What a relay carries, by whom. */
static unsigned passed[RIG_NODES][RIG_NODES];

static void count_passed(struct rig *r, int from, const uint8_t *data, size_t length)
{
    static struct heartbeat inside;
    struct node_config c = rig_config(0);
    struct seal seal;
    struct seal_stamp stamp;
    uint8_t plain[DATAGRAM_MAX];
    size_t plain_length = 0;
    (void)r;
    seal_init(&seal, c.cluster, c.key);
    assert_int_equal(seal_open(&seal, data, length, &stamp, plain, &plain_length), REJECT_NONE);
    if (stamp.type != SEAL_TYPE_RELAY)
        return;
    assert_int_equal(stamp.version, WIRE_VERSION_LAST);
    assert_int_equal(heartbeat_read(&inside, stamp.version, plain, plain_length), 0);
    for (int i = 0; i < RIG_NODES; i++)
        passed[from][i] += strcmp(inside.name, name[i]) == 0;
}

/* n0 - n1 - n2 - n3: what n1 passes on of n0 is not passed on by n2. */
static void one_hop_only(void **state)
{
    (void)state;
    memset(passed, 0, sizeof passed);
    nodes(4);
    rig_part(rig, 0, 2, true);
    rig_part(rig, 0, 3, true);
    rig_part(rig, 1, 3, true);
    rig->tap = count_passed;
    rig_run(rig, USEC_PER_S); /* what n0 says has not yet gone round: n3 may be mistaken */
    instant since = rig->now;
    rig_run(rig, 5 * USEC_PER_S);
    assert_true(passed[1][0] > 40 && passed[1][2] > 40);
    assert_true(passed[2][1] > 40 && passed[2][3] > 40);
    assert_int_equal(passed[2][0], 0);
    assert_int_equal(passed[1][3], 0);
    for (int i = 0; i < RIG_NODES; i++)
        assert_int_equal(passed[0][i] + passed[3][i] + passed[i][i], 0);
    /* By what n1 and n2 have heard n0 and n3 know of each other that they live. */
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_DEAD, since), 0);
    assert_int_equal(state_of(0, "n3"), MEMBER_SUSPECT);
    assert_int_equal(state_of(3, "n0"), MEMBER_SUSPECT);
}

/* -------------------------------------------------------------- authenticity */

enum { KEPT = 4 };
static struct rig_datagram kept[KEPT];
static unsigned kept_count;

static void keep_relays(struct rig *r, int from, const uint8_t *data, size_t length)
{
    enum { TYPE_AT = 5 };
    (void)r;
    if (from != 1 || data[TYPE_AT] != SEAL_TYPE_RELAY)
        return;
    memcpy(kept[kept_count % KEPT].data, data, length);
    kept[kept_count++ % KEPT].length = length;
}

static void a_recorded_relay_keeps_nobody_alive(void **state)
{
    (void)state;
    nodes(3);
    rig->deaf[0][2] = true;
    rig->tap = keep_relays;
    kept_count = 0;
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(kept_count > KEPT);
    rig_crash(rig, 2);
    rig->tap = NULL;
    for (int i = 0; i < 12; i++) {
        for (int k = 0; k < KEPT; k++) {
            rig_hand(rig, 0, kept[k].data, kept[k].length);
            rig_hand(rig, 1, kept[k].data, kept[k].length); /* its own */
        }
        rig_run(rig, 50 * USEC_PER_MS);
    }
    assert_int_equal(state_of(0, "n2"), MEMBER_DEAD);
    assert_int_equal(state_of(1, "n2"), MEMBER_DEAD);
    assert_true(rig_covered(rig));
}

/* A relay's inside is of the version that tells who is deaf: else it is void. */
static void a_relay_of_the_first_version_is_void(void **state)
{
    (void)state;
    static struct ghost g;
    struct node_config c = rig_config(1);
    struct seal seal;
    uint8_t data[DATAGRAM_MAX];
    rig_start(rig, 0, 1);
    rig_run(rig, USEC_PER_S);
    ghost_init(&g, &c, 4711);
    ghost_listen(&g, rig);
    size_t length = ghost_seal(&g, data);
    enum { VERSION_AT = 4, TYPE_AT = 5 };
    seal_init(&seal, c.cluster, c.key);
    data[TYPE_AT] = SEAL_TYPE_RELAY; /* the header is authenticated ... */
    rig_hand(rig, 0, data, length);
    assert_int_equal(rig_status(rig, 0)->rejected[REJECT_FORGED], 1);
    data[VERSION_AT] = WIRE_VERSION_FIRST; /* ... and this there is not */
    rig_hand(rig, 0, data, length);
    assert_int_equal(rig_status(rig, 0)->rejected[REJECT_MALFORMED], 1);
    assert_int_equal(rig_status(rig, 0)->members, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_healthy_relay_nothing),
        CASE(both_ways),
        CASE(one_way),
        CASE(a_drain_goes_round_by_the_third),
        CASE(who_dies_beyond_the_third_is_dead),
        CASE(a_newcomer_beyond_the_third),
        CASE(the_third_dies),
        CASE(of_two_one_relays),
        CASE(who_cannot_hear_it_does_not_relay),
        CASE(one_hop_only),
        CASE(a_recorded_relay_keeps_nobody_alive),
        CASE(a_relay_of_the_first_version_is_void),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
