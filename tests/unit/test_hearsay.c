/*
 * What members say of each other: one node, and members that the test plays.
 * Verdicts and refutation, hearsay, orders, tombstones, the roster's limit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

/* Something that n1 says of another in its next heartbeat. */
static struct heartbeat_entry *mention(const char *name, enum standing standing,
                                       uint32_t incarnation)
{
    struct heartbeat_entry *e = &g->say.entry[g->say.entries++];
    memset(e, 0, sizeof *e);
    memcpy(e->name, name, strlen(name));
    e->standing = standing;
    e->weight = 100;
    e->incarnation = incarnation;
    return e;
}

/* Fresh, with the mentions, and with evidence for `heard` if that is a name. */
static void tell(const char *heard)
{
    ghost_listen(g, rig);
    if (heard != NULL)
        g->say.ack[g->say.acks++] =
            (struct heartbeat_ack){.member = member_id(heard), .stamp = 1, .age = 0, .proof = 0};
    ghost_say(g, rig, 0);
    g->say.entries = 0;
    rig_run(rig, STEP);
}

/* n1 lives on and goes on hearing `heard`. */
static void live_with(const char *heard, usec span)
{
    for (instant end = instant_add(rig->now, span); instant_before(rig->now, end);)
        tell(heard);
}

/* -------------------------------------------------------------- verdicts */

static void called_dead_we_refute(void **state)
{
    (void)state;
    meet();
    mention("n0", STANDING_DEAD, 1)->accused = 1;
    tell(NULL);
    assert_int_equal(our_incarnation(), 2);
    assert_int_equal(rig_noted(rig, 0, NOTE_REFUTED, (instant){0}), 1);
    mention("n0", STANDING_DEAD, 1)->accused = 1; /* of before */
    tell(NULL);
    assert_int_equal(our_incarnation(), 2);
    mention("n0", STANDING_ALIVE, 1)->accused = 7; /* somebody's word, passed on */
    tell(NULL);
    assert_int_equal(our_incarnation(), 8);
    mention("n0", STANDING_ALIVE, 20); /* of a life that we have forgotten */
    tell(NULL);
    assert_int_equal(our_incarnation(), 21);
}

static void called_dead_by_one_that_we_call_dead(void **state)
{
    (void)state;
    meet();
    rig_run(rig, USEC_PER_S);
    assert_int_equal(state_of("n1"), MEMBER_DEAD);
    mention("n0", STANDING_DEAD, 1)->accused = 1;
    mention("n2", STANDING_ALIVE, 1);
    tell("n2");
    assert_int_equal(our_incarnation(), 2);
    assert_int_equal(state_of("n1"), MEMBER_DEAD); /* until it refutes, too */
    assert_int_equal(state_of("n2"), -1);          /* and on others it is not believed */
    g->say.incarnation++;
    tell(NULL);
    assert_int_equal(state_of("n1"), MEMBER_ALIVE);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_ALIVE, (instant){0}), 2);
}

static void its_last_word(void **state)
{
    (void)state;
    meet();
    g->say.flags = HEARTBEAT_LEAVING | HEARTBEAT_LEFT;
    tell(NULL);
    tell(NULL);
    assert_int_equal(state_of("n1"), MEMBER_LEFT);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_LEFT, (instant){0}), 1);
    rig_run(rig, USEC_PER_S);
    assert_int_equal(state_of("n1"), MEMBER_LEFT);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, (instant){0}), 0);
}

/* --------------------------------------------------------------- hearsay */

static void a_rumour_admits_nobody(void **state)
{
    (void)state;
    meet();
    mention("n2", STANDING_ALIVE, 1);
    tell(NULL);
    assert_int_equal(state_of("n2"), -1);
    mention("n2", STANDING_ALIVE, 0); /* no incarnation: not a member yet */
    tell("n2");
    assert_int_equal(state_of("n2"), -1);
    mention("n2", STANDING_ALIVE, 3);
    tell("n2"); /* n1 has heard it itself */
    assert_int_equal(state_of("n2"), MEMBER_ALIVE);
    assert_int_equal(rig_member(rig, 0, "n2")->incarnation, 3);
}

static void the_absent_are_known_by_hearsay(void **state)
{
    (void)state;
    meet();
    mention("n2", STANDING_DEAD, 4)->age_ms = 60000;
    mention("n3", STANDING_LEFT, 2);
    mention("n4", STANDING_FORGOTTEN, 1); /* nothing to forget */
    mention("n5", STANDING_DEAD, 0);      /* has never lived */
    tell(NULL);
    assert_int_equal(state_of("n2"), MEMBER_DEAD);
    assert_int_equal(state_of("n3"), MEMBER_LEFT);
    assert_int_equal(state_of("n4"), -1);
    assert_int_equal(state_of("n5"), -1);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_FORGOTTEN, (instant){0}), 0);
    assert_int_equal(rig_status(rig, 0)->members, 4);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, (instant){0}), 0); /* old news */
    /* A later verdict on the same life counts more. */
    mention("n2", STANDING_LEFT, 4);
    mention("n3", STANDING_DEAD, 2);
    tell(NULL);
    assert_int_equal(state_of("n2"), MEMBER_LEFT);
    assert_int_equal(state_of("n3"), MEMBER_LEFT);
    mention("n2", STANDING_FORGOTTEN, 4);
    mention("n3", STANDING_FORGOTTEN, 1); /* of an earlier one */
    tell(NULL);
    assert_int_equal(state_of("n2"), -1);
    assert_int_equal(state_of("n3"), MEMBER_LEFT);
}

/* Who is new by the same heartbeat takes the place that the sender had: that is still the
 * sender, whose word on itself is not hearsay, and the newcomer is not. */
static void a_newcomer_moves_the_sender(void **state)
{
    (void)state;
    meet();
    mention("n01", STANDING_DEAD, 4);
    mention("n1", STANDING_LEFT, g->say.incarnation);
    mention("n01", STANDING_LEFT, 4);
    tell(NULL);
    assert_int_equal(state_of("n1"), MEMBER_ALIVE);
    assert_int_equal(state_of("n01"), MEMBER_LEFT);
}

static void an_older_life_is_no_news(void **state)
{
    (void)state;
    meet();
    mention("n2", STANDING_ALIVE, 5);
    tell("n2");
    mention("n2", STANDING_DEAD, 4);
    mention("n2", STANDING_LEFT, 4);
    tell("n2");
    assert_int_equal(state_of("n2"), MEMBER_ALIVE);
    live_with(NULL, USEC_PER_S);
    assert_int_equal(state_of("n2"), MEMBER_DEAD); /* by time */
    mention("n2", STANDING_ALIVE, 5);
    tell("n2");
    assert_int_equal(state_of("n2"), MEMBER_DEAD); /* the verdict is on 5 */
    mention("n2", STANDING_ALIVE, 6);
    tell("n2");
    assert_int_equal(state_of("n2"), MEMBER_ALIVE);
}

static void evidence_outweighs_a_verdict(void **state)
{
    (void)state;
    meet();
    mention("n2", STANDING_ALIVE, 1);
    tell("n2");
    mention("n2", STANDING_DEAD, 1)->accused = 1;
    tell(NULL); /* it was heard a moment ago */
    assert_int_equal(state_of("n2"), MEMBER_ALIVE);
    mention("n2", STANDING_LEFT, 1); /* but its own farewell counts */
    tell(NULL);
    assert_int_equal(state_of("n2"), MEMBER_LEFT);
    mention("n2", STANDING_DEAD, 2); /* and so does a death in a later life */
    tell(NULL);
    assert_int_equal(state_of("n2"), MEMBER_DEAD);
    assert_int_equal(rig_member(rig, 0, "n2")->incarnation, 2);
}

static void silent_to_us_alone_is_suspect(void **state)
{
    (void)state;
    struct node_config c = rig_config(2);
    struct ghost *second = malloc(sizeof *second);
    ghost_init(second, &c, 2000000);
    meet();
    ghost_listen(second, rig);
    ghost_say(second, rig, 0);
    assert_int_equal(state_of("n2"), MEMBER_ALIVE);
    instant since = rig->now;
    live_with("n2", 2 * USEC_PER_S);
    assert_int_equal(state_of("n2"), MEMBER_SUSPECT);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_SUSPECT, since), 1);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, since), 0);
    ghost_listen(second, rig);
    ghost_say(second, rig, 0);
    assert_int_equal(state_of("n2"), MEMBER_ALIVE);
    live_with("n2", USEC_PER_S);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_SUSPECT, since), 2);
    live_with(NULL, 500 * USEC_PER_MS);
    assert_int_equal(state_of("n2"), MEMBER_DEAD);
    free(second);
}

/* ---------------------------------------------------------------- orders */

static void orders_travel_by_gossip(void **state)
{
    (void)state;
    meet();
    mention("n0", STANDING_ALIVE, 1)->order = 1; /* an operator, elsewhere: drain */
    tell(NULL);
    assert_true(rig_member(rig, 0, "n0")->draining);
    mention("n0", STANDING_ALIVE, 1)->order = 0;
    tell(NULL);
    assert_true(rig_member(rig, 0, "n0")->draining);
    mention("n0", STANDING_ALIVE, 1)->order = 4;
    tell(NULL);
    assert_false(rig_member(rig, 0, "n0")->draining);
    /* And by us to a third: its order is told on until it obeys. */
    rig_control(rig, 0, CONTROL_DRAIN, "n1");
    g->say.order = 1;
    g->say.incarnation++;
    g->say.flags = HEARTBEAT_DRAINING;
    instant since = rig->now;
    tell(NULL);
    assert_true(rig_member(rig, 0, "n1")->draining);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DRAINING, since), 1);
    rig_control(rig, 0, CONTROL_DRAIN, "nobody");
}

/* ------------------------------------------------------------ forgetting */

static void forgotten_by_order(void **state)
{
    (void)state;
    meet();
    rig_control(rig, 0, CONTROL_FORGET, "n1"); /* the living are not forgotten */
    assert_int_equal(state_of("n1"), MEMBER_ALIVE);
    rig_run(rig, USEC_PER_S);
    rig_control(rig, 0, CONTROL_FORGET, "n1");
    rig_control(rig, 0, CONTROL_FORGET, "n1");
    assert_int_equal(state_of("n1"), -1);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_FORGOTTEN, (instant){0}), 1);
    tell(NULL); /* the life that was forgotten stays so */
    assert_int_equal(state_of("n1"), -1);
    g->say.incarnation++;
    tell(NULL);
    assert_int_equal(state_of("n1"), MEMBER_ALIVE);
}

static void forgotten_by_time(void **state)
{
    (void)state;
    struct node_config c = rig_config(0);
    c.forget_after = 5 * USEC_PER_S;
    struct event e = {.kind = EVENT_RELOAD, .reload = &c};
    rig_step(rig, 0, &e);
    meet();
    mention("n2", STANDING_DEAD, 1)->age_ms = 1000; /* it died a while ago, n1 says */
    tell(NULL);
    mention("n2", STANDING_DEAD, 1)->age_ms = 4500; /* n1 corrects itself: longer */
    tell(NULL);
    rig_run(rig, USEC_PER_S);
    assert_int_equal(state_of("n1"), MEMBER_DEAD);
    assert_int_equal(state_of("n2"), -1);
    rig_run(rig, 5 * USEC_PER_S);
    assert_int_equal(state_of("n1"), -1);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_FORGOTTEN, (instant){0}), 2);
    rig_run(rig, 601 * USEC_PER_S); /* the tombstones are gone now */
    tell(NULL);
    assert_int_equal(state_of("n1"), MEMBER_ALIVE);
}

/* ----------------------------------------------------------- the roster */

/* As many names as fit beside ourselves, none of which proves itself. */
static void strangers(char first)
{
    char name[16];
    for (int i = 1; i < MEMBERS_MAX; i++) {
        snprintf(name, sizeof name, "%c%d", first, i);
        memset(g->say.name, 0, sizeof g->say.name);
        memcpy(g->say.name, name, strlen(name));
        g->say.acks = 0;
        ghost_say(g, rig, 0);
    }
    memset(g->say.name, 0, sizeof g->say.name);
    memcpy(g->say.name, "n1", 3);
}

static void strangers_are_dropped(void **state)
{
    (void)state;
    strangers('s');
    assert_int_equal(rig_status(rig, 0)->members, 1);
    assert_int_equal(rig_noted(rig, 0, NOTE_ROSTER_FULL, (instant){0}), 0);
    tell(NULL); /* no room for n1 */
    assert_int_equal(rig_noted(rig, 0, NOTE_ROSTER_FULL, (instant){0}), 1);
    assert_int_equal(state_of("n1"), -1);
    rig_run(rig, 1700 * USEC_PER_MS);
    meet();
    assert_int_equal(rig_status(rig, 0)->members, 2);
}

static void junk_takes_no_room(void **state)
{
    (void)state;
    g->config.key[3] ^= 1;
    for (char first = 'a'; first <= 'e'; first++)
        strangers(first);
    g->config.key[3] ^= 1;
    g->say.config++;
    strangers('f');
    g->say.config--;
    meet();
    assert_int_equal(rig_noted(rig, 0, NOTE_ROSTER_FULL, (instant){0}), 0);
}

static void full_of_the_dead(void **state)
{
    (void)state;
    char name[16];
    meet();
    for (int i = 2; i < MEMBERS_MAX;) {
        for (int k = 0; k < 20 && i < MEMBERS_MAX; k++, i++) {
            snprintf(name, sizeof name, "d%d", i);
            mention(name, STANDING_DEAD, 1);
        }
        tell(NULL);
    }
    assert_int_equal(rig_status(rig, 0)->members, MEMBERS_MAX);
    assert_int_equal(rig_noted(rig, 0, NOTE_ROSTER_FULL, (instant){0}), 0);
    mention("one-more", STANDING_DEAD, 1);
    tell(NULL);
    assert_int_equal(rig_noted(rig, 0, NOTE_ROSTER_FULL, (instant){0}), 1);
    assert_int_equal(rig_status(rig, 0)->members, MEMBERS_MAX);
    /* Not all fit into a datagram: they take turns, and we stay in order. */
    live_with(NULL, 2 * USEC_PER_S);
    assert_int_equal(state_of("n1"), MEMBER_ALIVE);
    rig_control(rig, 0, CONTROL_FORGET, "d2");
    assert_int_equal(rig_status(rig, 0)->members, MEMBERS_MAX - 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(called_dead_we_refute),
        CASE(called_dead_by_one_that_we_call_dead),
        CASE(its_last_word),
        CASE(a_rumour_admits_nobody),
        CASE(the_absent_are_known_by_hearsay),
        CASE(a_newcomer_moves_the_sender),
        CASE(an_older_life_is_no_news),
        CASE(evidence_outweighs_a_verdict),
        CASE(silent_to_us_alone_is_suspect),
        CASE(orders_travel_by_gossip),
        CASE(forgotten_by_order),
        CASE(forgotten_by_time),
        CASE(strangers_are_dropped),
        CASE(junk_takes_no_room),
        CASE(full_of_the_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
