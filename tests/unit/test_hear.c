/*
 * Which datagrams change anything at all: one node, and a member that the test
 * plays. The seal, freshness, streams and boots, names and configurations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/member.h"
#include "rig.h"

#define STEP (50 * USEC_PER_MS)

static struct rig *rig;
static struct ghost *g; /* the member that most tests play: n1 */

static int set_up(void **state)
{
    (void)state;
    rig = malloc(sizeof *rig);
    g = malloc(sizeof *g);
    rig_init(rig);
    struct node_config c = rig_config(1);
    ghost_init(g, &c, 1000000);
    rig_start(rig, 0, 1);
    rig_run(rig, STEP);
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

/* ---------------------------------------------------------------- helpers */

static uint64_t rejected(enum reject why)
{
    return rig_status(rig, 0)->rejected[why];
}

static uint32_t our_incarnation(void)
{
    return node_incarnation(rig->node[0].node);
}

/* -1: not on the roster. */
static int state_of(const char *name)
{
    const struct status_member *m = rig_member(rig, 0, name);
    return m != NULL ? (int)m->state : -1;
}

static void meet(void)
{
    ghost_live(g, rig, 0, 500 * USEC_PER_MS);
    assert_int_equal(state_of("n1"), MEMBER_ALIVE);
}

/* The ghost hears us no more, but its heartbeats come: it has evicted us, and
 * who is not heard must not serve beside those who are. */
static void mute(void **state)
{
    (void)state;
    rig_run(rig, USEC_PER_S);
    meet();
    rig_run(rig, 300 * USEC_PER_MS);
    for (int i = 0; i < 20; i++) {
        ghost_say(g, rig, 0);
        rig_run(rig, STEP);
        assert_int_not_equal(state_of("n1"), MEMBER_DEAD);
    }
    assert_int_equal(rig_status(rig, 0)->state, NODE_ISOLATED);
    assert_int_equal(rig_status(rig, 0)->owned, 0);
    rig_run(rig, 2 * USEC_PER_S); /* the ghost falls silent altogether */
    assert_int_equal(state_of("n1"), MEMBER_DEAD);
    assert_int_equal(rig_status(rig, 0)->owned, 64);
}

/* -------------------------------------------------------------- the seal */

static void forged(void **state)
{
    (void)state;
    g->config.key[0] ^= 1;
    ghost_live(g, rig, 0, 500 * USEC_PER_MS);
    assert_int_equal(rejected(REJECT_FORGED), 10);
    assert_int_equal(rig_status(rig, 0)->members, 1);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_ALIVE, (instant){0}), 0);
}

static void of_another_cluster(void **state)
{
    (void)state;
    memcpy(g->config.cluster, "gir", 4);
    ghost_live(g, rig, 0, 500 * USEC_PER_MS);
    assert_int_equal(rejected(REJECT_FOREIGN_CLUSTER), 10);
    assert_int_equal(rig_status(rig, 0)->members, 1);
}

static void sealed_but_no_heartbeat(void **state)
{
    (void)state;
    g->say.weight = WEIGHT_MAX + 1; /* breaks a limit */
    ghost_say(g, rig, 0);
    assert_int_equal(rejected(REJECT_MALFORMED), 1);
}

static void one_note_a_second(void **state)
{
    (void)state;
    instant since = rig->now;
    uint8_t junk[100] = {0};
    for (int i = 0; i < 100; i++) {
        rig_hand(rig, 0, junk, sizeof junk);
        rig_run(rig, 25 * USEC_PER_MS); /* 2.5 s */
    }
    assert_int_equal(rejected(REJECT_MALFORMED), 100);
    assert_int_equal(rig_noted(rig, 0, NOTE_REJECTED, since), 3);
}

/* ------------------------------------------------------------- freshness */

static void fresh_is_alive(void **state)
{
    (void)state;
    meet();
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_ALIVE, (instant){0}), 1);
    assert_int_equal(rig_status(rig, 0)->members, 2);
}

static void a_stale_acknowledgement_proves_nothing(void **state)
{
    (void)state;
    ghost_listen(g, rig);
    rig_run(rig, 500 * USEC_PER_MS); /* longer than dead_after */
    for (int i = 0; i < 10; i++) {
        ghost_say(g, rig, 0);
        rig_run(rig, STEP);
    }
    assert_int_equal(rig_status(rig, 0)->members, 1);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_ALIVE, (instant){0}), 0);
}

static void an_acknowledgement_beyond_memory_proves_nothing(void **state)
{
    (void)state;
    ghost_listen(g, rig);
    rig_run(rig, 30 * USEC_PER_S); /* 300 heartbeats, and their places are taken */
    ghost_say(g, rig, 0);
    assert_int_equal(rig_status(rig, 0)->members, 1);
}

static void an_acknowledgement_of_another_proves_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        ghost_listen(g, rig);
        if ((i & 1) != 0)
            g->say.ack[0].member++;
        else
            g->say.ack[0].stamp += 1000; /* of what we have not said yet */
        ghost_say(g, rig, 0);
        rig_run(rig, STEP);
    }
    assert_int_equal(rig_status(rig, 0)->members, 1);
}

static void an_unknown_boot_is_answered_at_once(void **state)
{
    (void)state;
    rig_run(rig, 55 * USEC_PER_MS);
    rig->last_length = 0;
    ghost_say(g, rig, 0);
    rig_run(rig, 5 * USEC_PER_MS);
    assert_true(rig->last_length > 0);
    ghost_listen(g, rig);
    ghost_say(g, rig, 0);
    assert_int_equal(state_of("n1"), MEMBER_ALIVE);
}

static void a_copy_is_no_replay_but_a_late_one_is(void **state)
{
    (void)state;
    uint8_t data[DATAGRAM_MAX];
    meet();
    ghost_listen(g, rig);
    size_t length = ghost_seal(g, data);
    rig_hand(rig, 0, data, length);
    rig_hand(rig, 0, data, length); /* by the second link */
    rig_run(rig, 90 * USEC_PER_MS);
    rig_hand(rig, 0, data, length);
    assert_int_equal(rejected(REJECT_REPLAYED), 0);
    rig_run(rig, 20 * USEC_PER_MS);
    rig_hand(rig, 0, data, length);
    assert_int_equal(rejected(REJECT_REPLAYED), 1);
    g->say.sequence += 64;
    ghost_listen(g, rig);
    ghost_say(g, rig, 0);
    rig_hand(rig, 0, data, length); /* behind the window */
    assert_int_equal(rejected(REJECT_REPLAYED), 2);
}

static void a_copy_of_an_unknown_boot_is_no_replay(void **state)
{
    (void)state;
    uint8_t data[DATAGRAM_MAX];
    size_t length = ghost_seal(g, data);
    rig_hand(rig, 0, data, length);
    rig_hand(rig, 0, data, length); /* by the second link */
    assert_int_equal(rejected(REJECT_REPLAYED), 0);
    rig_run(rig, 110 * USEC_PER_MS);
    rig_hand(rig, 0, data, length);
    assert_int_equal(rejected(REJECT_REPLAYED), 1);
    meet();
}

static void a_replay_keeps_nobody_alive(void **state)
{
    (void)state;
    uint8_t data[DATAGRAM_MAX];
    meet();
    ghost_listen(g, rig);
    size_t length = ghost_seal(g, data);
    for (int i = 0; i < 20; i++) {
        rig_hand(rig, 0, data, length);
        rig_run(rig, STEP);
    }
    assert_int_equal(state_of("n1"), MEMBER_DEAD);
    assert_int_equal(rig_status(rig, 0)->members, 2);
}

static void overtaken_on_the_way(void **state)
{
    (void)state;
    uint8_t first[DATAGRAM_MAX];
    meet();
    ghost_listen(g, rig);
    g->say.flows = 1;
    size_t length = ghost_seal(g, first);
    g->say.flows = 2;
    ghost_say(g, rig, 0);
    rig_hand(rig, 0, first, length);
    assert_int_equal(rig_member(rig, 0, "n1")->flows, 2);
    assert_int_equal(rejected(REJECT_REPLAYED), 0);
}

static void a_recording_of_an_old_boot(void **state)
{
    (void)state;
    uint8_t old[DATAGRAM_MAX];
    meet();
    ghost_listen(g, rig);
    g->say.flows = 1;
    size_t length = ghost_seal(g, old);
    g->say.salt += 4711; /* it starts again */
    g->say.sequence = 0;
    g->say.flows = 2;
    ghost_live(g, rig, 0, 500 * USEC_PER_MS);
    assert_int_equal(rig_member(rig, 0, "n1")->flows, 2);
    for (int i = 0; i < 5; i++) {
        rig_hand(rig, 0, old, length);
        ghost_live(g, rig, 0, 3 * STEP); /* and the true one is not displaced */
        assert_int_equal(rig_member(rig, 0, "n1")->flows, 2);
        assert_int_equal(state_of("n1"), MEMBER_ALIVE);
    }
    assert_int_equal(rejected(REJECT_REPLAYED), 4); /* the first might have been a boot */
    rig_run(rig, 500 * USEC_PER_MS);                /* and it makes nobody live longer */
    rig_hand(rig, 0, old, length);
    assert_int_equal(state_of("n1"), MEMBER_DEAD);
}

static unsigned buckets_of(enum bucket_class class)
{
    unsigned count = 0;
    for (unsigned b = 0; b < 64; b++)
        count += rig->node[0].plan.class_of[b] == class;
    return count;
}

/* Also if all else that it says is what one expects of a newcomer. */
static void who_starts_again_may_have_flows_of_anything(void **state)
{
    (void)state;
    meet();
    ghost_live(g, rig, 0, 2 * USEC_PER_S);
    unsigned own = buckets_of(CLASS_OWN);
    assert_true(own > 0 && buckets_of(CLASS_ADOPT) == 0);
    rig_run(rig, 250 * USEC_PER_MS); /* nobody calls it dead yet */
    g->say.salt += 4711;
    g->say.sequence = 0;
    g->say.flags = HEARTBEAT_JOINING;
    ghost_listen(g, rig);
    ghost_say(g, rig, 0);
    rig_run(rig, USEC_PER_MS);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, (instant){0}), 0);
    assert_int_equal(buckets_of(CLASS_ADOPT), own);
}

/* Something that the boot before said, which nobody has heard yet, comes when its
 * successor has gone: it is fresh, but of a life that is over. */
static void a_late_word_of_the_boot_before(void **state)
{
    (void)state;
    uint8_t old[DATAGRAM_MAX];
    meet();
    ghost_listen(g, rig);
    g->say.flows = 1;
    size_t length = ghost_seal(g, old);
    g->say.salt += 4711;
    g->say.sequence = 0;
    g->say.flows = 2;
    g->say.incarnation++;
    ghost_live(g, rig, 0, 250 * USEC_PER_MS);
    assert_int_equal(rig_member(rig, 0, "n1")->flows, 2);
    ghost_listen(g, rig);
    g->say.flags |= HEARTBEAT_LEFT;
    ghost_say(g, rig, 0);
    assert_int_equal(state_of("n1"), MEMBER_LEFT);
    rig_hand(rig, 0, old, length);
    assert_int_equal(rig_member(rig, 0, "n1")->flows, 2);
    assert_int_equal(state_of("n1"), MEMBER_LEFT);
}

/* Recordings of many lives, played all the time, take no new life's place. */
static void scores_of_old_boots(void **state)
{
    (void)state;
    enum { LIVES = 3 * BOOTS_MAX };
    static uint8_t old[LIVES][DATAGRAM_MAX];
    size_t length[LIVES];
    meet();
    for (uint64_t i = 0; i < LIVES; i++) {
        g->say.salt += 4711;
        g->say.sequence = 0;
        length[i] = ghost_seal(g, old[i]);
    }
    rig_run(rig, USEC_PER_S);
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k < LIVES; k++)
            rig_hand(rig, 0, old[k], length[k]);
        rig_run(rig, STEP);
    }
    assert_int_equal(state_of("n1"), MEMBER_DEAD);
    g->say.salt += 4711; /* it starts again, at last */
    g->say.sequence = 0;
    g->say.incarnation = 9;
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < LIVES; k++)
            rig_hand(rig, 0, old[k], length[k]);
        ghost_live(g, rig, 0, STEP);
    }
    assert_int_equal(state_of("n1"), MEMBER_ALIVE);
}

/* What was heard one way for long, and made room for recordings, is acknowledged still:
 * as soon as it hears us it can prove itself. */
static void heard_one_way_after_recordings(void **state)
{
    (void)state;
    enum { LIVES = 2 * BOOTS_MAX };
    static uint8_t old[DATAGRAM_MAX];
    static struct heartbeat heard;
    bool told = false;
    meet();
    g->say.salt += 4711; /* it starts again, and hears nothing */
    g->say.sequence = 0;
    g->say.acks = 0;
    struct ghost lives = *g;
    for (int i = 0; i < 60; i++) {
        if (i >= 30 && i < 30 + LIVES) {
            lives.say.salt += 4711;
            lives.say.sequence = 0;
            size_t length = ghost_seal(&lives, old);
            rig_hand(rig, 0, old, length);
        }
        ghost_say(g, rig, 0);
        rig_run(rig, STEP);
    }
    rig_run(rig, 2 * STEP);
    assert_true(ghost_read(g, rig, &heard));
    for (size_t i = 0; i < heard.acks; i++)
        told = told || heard.ack[i].stamp == g->say.salt + g->say.sequence;
    assert_true(told);
}

/* ----------------------------------------------------------------- names */

static void of_another_configuration(void **state)
{
    (void)state;
    g->say.config++;
    ghost_live(g, rig, 0, 500 * USEC_PER_MS);
    assert_int_equal(rejected(REJECT_CONFIG_MISMATCH), 10);
    assert_int_equal(rig_noted(rig, 0, NOTE_CONFIG_MISMATCH, (instant){0}), 1);
    assert_int_equal(rig_status(rig, 0)->members, 1);
    g->say.config--;
    g->say.buckets = 128;
    ghost_say(g, rig, 0);
    assert_int_equal(rejected(REJECT_CONFIG_MISMATCH), 11);
}

static void of_our_own_name(void **state)
{
    (void)state;
    rig_hand(rig, 0, rig->last, rig->last_length); /* ourselves: an echo */
    assert_int_equal(rig_noted(rig, 0, NOTE_NAME_CONFLICT, (instant){0}), 0);
    memcpy(g->say.name, "n0", 3);
    g->say.incarnation = 99;
    ghost_live(g, rig, 0, 500 * USEC_PER_MS);
    assert_int_equal(rig_noted(rig, 0, NOTE_NAME_CONFLICT, (instant){0}), 1);
    assert_int_equal(our_incarnation(), 1);
    ghost_live(g, rig, 0, 10 * USEC_PER_S); /* told again after a while */
    assert_int_equal(rig_noted(rig, 0, NOTE_NAME_CONFLICT, (instant){0}), 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(mute),
        CASE(forged),
        CASE(of_another_cluster),
        CASE(sealed_but_no_heartbeat),
        CASE(one_note_a_second),
        CASE(fresh_is_alive),
        CASE(a_stale_acknowledgement_proves_nothing),
        CASE(an_acknowledgement_beyond_memory_proves_nothing),
        CASE(an_acknowledgement_of_another_proves_nothing),
        CASE(an_unknown_boot_is_answered_at_once),
        CASE(a_copy_is_no_replay_but_a_late_one_is),
        CASE(a_copy_of_an_unknown_boot_is_no_replay),
        CASE(a_replay_keeps_nobody_alive),
        CASE(overtaken_on_the_way),
        CASE(a_recording_of_an_old_boot),
        CASE(who_starts_again_may_have_flows_of_anything),
        CASE(a_late_word_of_the_boot_before),
        CASE(scores_of_old_boots),
        CASE(heard_one_way_after_recordings),
        CASE(of_another_configuration),
        CASE(of_our_own_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
