/*
 * quorum = "majority", one node at a time: which words of the other voters let it
 * claim, and which do not. The others are played by the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/seal.h"
#include "rig.h"

#define MS USEC_PER_MS
#define STEP (20 * MS)
#define LEASE (300 * MS)

static struct rig *rig;
static struct ghost *one; /* n1 */
static struct heartbeat *heard;

static int set_up(void **state)
{
    (void)state;
    rig = malloc(sizeof *rig);
    one = malloc(sizeof *one);
    heard = malloc(sizeof *heard);
    rig_init(rig);
    struct node_config c = rig_config(1);
    ghost_init(one, &c, 1000000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_free(rig);
    free(rig);
    free(one);
    free(heard);
    return 0;
}

/* ---------------------------------------------------------------- helpers */

/* n0; the first so many names are listed as founders. */
static void start(int founders)
{
    static const char *const name[] = {"n0", "n1", "n2", "n3", "n4"};
    struct node_config c = rig_config(0);
    c.quorum = QUORUM_MAJORITY;
    for (int i = 0; i < founders; i++)
        c.founder[c.founders++] = member_id(name[i]);
    rig_start_with(rig, 0, 1, &c);
}

/* What n0 said last. */
static void listen(void)
{
    struct seal seal;
    struct seal_stamp stamp;
    uint8_t plain[DATAGRAM_MAX];
    size_t length = 0;
    seal_init(&seal, one->config.cluster, one->config.key);
    assert_int_equal(seal_open(&seal, rig->last, rig->last_length, &stamp, plain, &length),
                     REJECT_NONE);
    assert_int_equal(heartbeat_read(heard, stamp.version, plain, length), 0);
}

/* n1 has heard that, has the same view, and the same voters. */
static void follow(void)
{
    listen();
    ghost_listen(one, rig);
    one->say.voters = heard->voters;
    one->say.voters.count = 0;
}

static unsigned claims(void)
{
    unsigned n = 0;
    for (unsigned b = 0; b < 64; b++)
        n += rig_claims(rig, 0, b);
    return n;
}

static void nothing(void)
{
}

/* n1 follows, but for what `spoil` changes in it. */
static void live(usec span, void (*spoil)(void))
{
    for (instant end = instant_add(rig->now, span); instant_before(rig->now, end);) {
        follow();
        spoil();
        ghost_say(one, rig, 0);
        rig_run(rig, STEP);
    }
}

static void serve_with_one(void)
{
    start(3);
    live(3 * USEC_PER_S, nothing);
    assert_int_equal(claims(), 32);
    assert_true(rig_status(rig, 0)->quorum.have);
}

/* ---------------------------------------------------------------- backing */

static void one_that_follows_backs_us(void **state)
{
    (void)state;
    serve_with_one();
    live(2 * USEC_PER_S, nothing);
    assert_int_equal(claims(), 32);
    assert_int_equal(rig_noted(rig, 0, NOTE_LEASE_LAPSED, (instant){0}), 0);
}

static void unproven(void)
{
    one->say.ack[0].proof = AGE_NEVER; /* it calls us dead, or is about to */
}

static void older(void)
{
    one->say.ack[0].proof = 250 * MS; /* it heard us both ways that long ago */
}

static void ahead(void)
{
    one->say.voters.version += 2; /* and does not tell who they are */
    one->say.voters.last = (struct voters_change){CHANGE_ADD, 99};
    one->say.voters.promised = one->say.voters.accepted = (struct ballot){0, 0};
}

static void of_another_founding(void)
{
    one->say.voters.lineage += 2;
}

static void of_none(void)
{
    one->say.voters.lineage = 0;
}

static void these_words_back_nobody(void **state)
{
    (void)state;
    static void (*const spoils[])(void) = {unproven, ahead, of_another_founding};
    serve_with_one();
    for (size_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++) {
        live(LEASE, spoils[i]);
        assert_int_equal(claims(), 0);
        live(2 * USEC_PER_S, spoils[i]);
        assert_int_equal(claims(), 0);
        live(3 * USEC_PER_S, nothing);
        assert_int_equal(claims(), 32);
    }
    live(LEASE, of_none); /* it has lost its memory: it would have to go first */
    assert_int_equal(claims(), 0);
}

/* The lease runs from when we were heard, not from when we are told. */
static void an_old_proof_backs_for_what_is_left(void **state)
{
    (void)state;
    serve_with_one();
    live(LEASE, older);
    for (int i = 0; i < 50; i++) {
        instant at = rig->now;
        live(STEP, older);
        assert_false(instant_before(instant_add(at, LEASE - 250 * MS), rig->node[0].lease_until));
    }
    live(3 * USEC_PER_S, nothing);
    assert_int_equal(claims(), 32);
}

static void a_stranger_to_the_voters_backs_nobody(void **state)
{
    (void)state;
    start(3);
    memcpy(one->say.name, "n7", 3);
    live(4 * USEC_PER_S, nothing);
    assert_int_equal(claims(), 0);
    assert_false(rig_status(rig, 0)->quorum.have);
    assert_int_equal(rig_status(rig, 0)->quorum.heard, 1);
}

/* And a majority that backs one who is no voter gives it nothing. */
static void who_is_no_voter_claims_nothing(void **state)
{
    (void)state;
    struct node_config c = rig_config(0);
    c.quorum = QUORUM_MAJORITY;
    c.founders = 1;
    c.founder[0] = member_id("n1");
    rig_start_with(rig, 0, 1, &c);
    live(4 * USEC_PER_S, nothing);
    assert_true(rig_status(rig, 0)->quorum.have);
    assert_int_equal(claims(), 0);
}

/* ------------------------------------------------------------- two rounds */

/* It says nothing but that it heard the first that told of this view. */
static void the_second_round_is_on_later_words(void **state)
{
    (void)state;
    start(3);
    live(3 * USEC_PER_S, nothing);
    one->say.order = 1; /* a drain of n1: another view */
    one->say.incarnation++;
    one->say.flags = HEARTBEAT_DRAINING;
    follow();
    ghost_say(one, rig, 0);
    follow(); /* the first word of the new view */
    uint64_t view = heard->view;
    uint64_t stamp = one->say.ack[0].stamp;
    assert_true(rig_status(rig, 0)->view == view);
    for (int i = 0; i < 9; i++) {
        ghost_say(one, rig, 0);
        rig_run(rig, STEP);
        follow();
        assert_true(heard->view == view);
        one->say.ack[0].stamp = stamp;
        assert_int_equal(claims(), 32); /* not more than before */
    }
    live(USEC_PER_S, nothing);
    assert_int_equal(claims(), 64);
}

/* -------------------------------------------------------------- verdicts */

static struct heartbeat_entry *mention(const char *name, enum standing standing,
                                       uint32_t incarnation)
{
    struct heartbeat_entry *e = &one->say.entry[0];
    memset(e, 0, sizeof *e);
    memcpy(e->name, name, strlen(name));
    e->standing = standing;
    e->weight = 100;
    e->incarnation = incarnation;
    one->say.entries = 1;
    return e;
}

static void n2_lives(void)
{
    mention("n2", STANDING_ALIVE, 1);
    one->say.ack[one->say.acks++] =
        (struct heartbeat_ack){.member = member_id("n2"), .stamp = 1, .proof = 0};
}

static void n2_is_dead(void)
{
    mention("n2", STANDING_DEAD, 1)->accused = 1;
}

static void n2_is_forgotten(void)
{
    mention("n2", STANDING_FORGOTTEN, 1);
}

static int state_of_n2(void)
{
    const struct status_member *m = rig_member(rig, 0, "n2");
    return m != NULL ? (int)m->state : -1;
}

/* Two of five: what one of them says of a third is not the word of a majority. */
static void a_minority_takes_no_verdict(void **state)
{
    (void)state;
    start(5);
    live(2 * USEC_PER_S, n2_lives);
    assert_int_equal(state_of_n2(), MEMBER_SUSPECT); /* it is heard by n1 alone */
    assert_false(rig_status(rig, 0)->quorum.have);
    live(3 * USEC_PER_S, n2_is_dead);
    assert_int_not_equal(state_of_n2(), MEMBER_DEAD);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_DEAD, (instant){0}), 0);
}

static void a_majority_does(void **state)
{
    (void)state;
    start(3);
    live(2 * USEC_PER_S, n2_lives);
    live(2 * USEC_PER_S, n2_is_dead);
    assert_int_equal(state_of_n2(), MEMBER_DEAD);
    live(USEC_PER_S, n2_is_forgotten); /* but who is a voter is forgotten by a vote */
    assert_int_equal(state_of_n2(), MEMBER_DEAD);
    assert_int_equal(rig_noted(rig, 0, NOTE_MEMBER_FORGOTTEN, (instant){0}), 0);
    assert_int_equal(rig_status(rig, 0)->quorum.voters, 3);
}

/* ---------------------------------------------------------------- founding */

static void founded_elsewhere(void)
{
    one->say.voters = (struct voters_word){.lineage = 4711, .version = 5, .last = {CHANGE_ADD, 9}};
}

static void who_hears_of_a_founding_founds_nothing(void **state)
{
    (void)state;
    start(0);
    live(5 * USEC_PER_S, founded_elsewhere);
    assert_int_equal(rig_status(rig, 0)->quorum.voters, 0);
    assert_int_equal(claims(), 0);
    assert_int_equal(rig->node[0].stored_length, 0);
}

static void of_another_view(void)
{
    of_none();
    one->say.view ^= 1;
}

static void nobody_founds_before_all_agree(void **state)
{
    (void)state;
    start(0);
    live(3 * USEC_PER_S, of_another_view);
    assert_int_equal(rig_status(rig, 0)->quorum.voters, 0);
    live(USEC_PER_S, of_none);
    assert_int_equal(rig_status(rig, 0)->quorum.voters, 2);
}

/* It is not proposed before it tells that it knows whom it comes to: then it cannot
 * be one that has been a voter and lost its memory. */
static void who_knows_nothing_is_not_admitted(void **state)
{
    (void)state;
    start(1);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(claims(), 64);
    live(3 * USEC_PER_S, of_none);
    assert_int_equal(rig_status(rig, 0)->quorum.version, 1);
    assert_int_equal(claims(), 64); /* and it does not count */
    live(USEC_PER_S, nothing);
    assert_int_equal(rig_status(rig, 0)->quorum.version, 2);
    assert_int_equal(rig_status(rig, 0)->quorum.voters, 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(one_that_follows_backs_us),
        CASE(these_words_back_nobody),
        CASE(an_old_proof_backs_for_what_is_left),
        CASE(a_stranger_to_the_voters_backs_nobody),
        CASE(who_is_no_voter_claims_nothing),
        CASE(the_second_round_is_on_later_words),
        CASE(a_minority_takes_no_verdict),
        CASE(a_majority_does),
        CASE(who_hears_of_a_founding_founds_nothing),
        CASE(nobody_founds_before_all_agree),
        CASE(who_knows_nothing_is_not_admitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
