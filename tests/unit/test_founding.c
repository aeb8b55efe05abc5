/*
 * quorum = "majority" without a list: who founds the cluster, what is kept over a
 * restart, what is lost with the disk, and two foundings that meet.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/seal.h"
#define RIG_WATCH rig_nobody_twice
#include "rig_case.h"

#define MS USEC_PER_MS

/* ---------------------------------------------------------------- helpers */

static struct node_config config(int i)
{
    struct node_config c = rig_config(i);
    c.quorum = QUORUM_MAJORITY;
    return c;
}

static void start(int i)
{
    static uint32_t incarnation = 1;
    struct node_config c = config(i);
    rig_start_with(rig, i, incarnation++, &c);
}

static void lose_disk(int i)
{
    rig->node[i].stored_length = 0;
}

static unsigned claims_of(int i)
{
    unsigned claims = 0;
    for (unsigned b = 0; b < 64; b++)
        claims += rig_claims(rig, i, b);
    return claims;
}

static uint32_t version_at(int i)
{
    return rig_status(rig, i)->quorum.version;
}

/* Nodes from..to-1 run, are the voters, and share all buckets. */
static void settled(int from, int to)
{
    assert_true(rig_covered(rig));
    for (int i = from; i < to; i++) {
        const struct status *s = rig_status(rig, i);
        assert_int_equal(s->state, NODE_SERVING);
        assert_true(s->converged);
        assert_int_equal(s->quorum.voters, to - from);
        assert_int_equal(s->quorum.heard, to - from);
        assert_int_equal(s->quorum.version, version_at(from));
        assert_int_equal(s->members, to - from);
        assert_in_range(claims_of(i), 64 / (to - from), 64 / (to - from) + 1);
    }
}

static void three_found(void)
{
    for (int i = 0; i < 3; i++)
        start(i);
    rig_run(rig, 5 * USEC_PER_S);
    settled(0, 3);
}

/* ---------------------------------------------------------------- founding */

static void three_start_at_once(void **state)
{
    (void)state;
    rig_run(rig, 7 * MS);
    for (int i = 2; i >= 0; i--) {
        start(i);
        rig_run(rig, 30 * MS);
    }
    rig_run(rig, 4 * USEC_PER_S);
    settled(0, 3);
    assert_int_equal(version_at(0), 1); /* one founding, by the first name, of all */
    assert_int_equal(rig_noted(rig, -1, NOTE_DISSOLVED, (instant){0}), 0);
    for (int i = 0; i < 3; i++) {
        const struct note *note = rig_last_note(rig, i, NOTE_VOTERS);
        assert_non_null(note);
        assert_int_equal(note->number, 1);
        assert_int_equal(note->other, 3);
    }
}

static void one_starts_alone_and_founds_nothing(void **state)
{
    (void)state;
    start(1);
    rig_run(rig, 4 * USEC_PER_S);
    assert_int_equal(rig_status(rig, 1)->state, NODE_JOINING);
    assert_int_equal(version_at(1), 0);
    assert_int_equal(claims_of(1), 0);
    start(2);
    rig_run(rig, 4 * USEC_PER_S);
    settled(1, 3);
    assert_int_equal(version_at(1), 1);
}

static void two_found_and_a_third_is_admitted(void **state)
{
    (void)state;
    start(1);
    start(2);
    rig_run(rig, 4 * USEC_PER_S);
    settled(1, 3);
    assert_int_equal(version_at(1), 1);
    start(0); /* though it comes first by name, it founds nothing */
    rig_run(rig, 4 * USEC_PER_S);
    settled(0, 3);
    assert_int_equal(version_at(0), 2);
    assert_string_equal(rig_last_note(rig, 1, NOTE_VOTERS)->member, "n0");
    assert_int_equal(rig_noted(rig, -1, NOTE_DISSOLVED, (instant){0}), 0);
}

static void they_come_while_it_founds(void **state)
{
    (void)state;
    for (usec phase = 0; phase < 900 * MS; phase += 90 * MS) {
        start(0);
        rig_run(rig, phase);
        start(1);
        rig_run(rig, 50 * MS);
        start(2);
        rig_run(rig, 5 * USEC_PER_S);
        settled(0, 3);
        for (int i = 0; i < 3; i++) {
            rig_crash(rig, i);
            lose_disk(i);
        }
        rig_run(rig, USEC_PER_S);
    }
}

/* The one that is to found has no link for a while: the others know each other long
 * since, and have not told of a founding. */
static void a_late_founding(void **state)
{
    (void)state;
    struct event e = {.kind = EVENT_LINK, .link = {false}};
    start(0);
    rig_step(rig, 0, &e);
    start(1);
    start(2);
    rig_run(rig, 6 * USEC_PER_S);
    assert_int_equal(version_at(1), 0);
    e.link.up = true;
    rig_step(rig, 0, &e);
    rig_run(rig, 4 * USEC_PER_S);
    settled(0, 3);
    assert_int_equal(version_at(0), 1);
}

/* ------------------------------------------------------------- what is kept */

static void all_restart_with_what_they_stored(void **state)
{
    (void)state;
    three_found();
    for (int i = 0; i < 3; i++) {
        assert_true(rig->node[i].stored_length > 0);
        rig_kill(rig, i);
    }
    rig_run(rig, USEC_PER_S);
    instant since = rig->now;
    start(2);
    assert_int_equal(rig_status(rig, 2)->members, 3); /* they may be about, and claim */
    assert_int_equal(rig_member(rig, 2, "n0")->state, MEMBER_ALIVE);
    rig_run(rig, 10 * USEC_PER_S);
    assert_int_equal(claims_of(2), 0); /* alone it is no majority, and founds nothing */
    assert_int_equal(rig_status(rig, 2)->state, NODE_ISOLATED);
    start(0);
    start(1);
    rig_run(rig, 4 * USEC_PER_S);
    settled(0, 3);
    assert_int_equal(version_at(0), 1);
    assert_int_equal(rig_noted(rig, -1, NOTE_VOTERS, since), 0);
}

static void one_restarts_at_once(void **state)
{
    (void)state;
    three_found();
    instant since = rig->now;
    for (int k = 0; k < 6; k++) {
        rig_kill(rig, k % 3);
        rig_run(rig, 20 * MS);
        start(k % 3);
        rig_run(rig, 3 * USEC_PER_S + k * 30 * MS);
        settled(0, 3);
    }
    assert_int_equal(rig_noted(rig, -1, NOTE_VOTERS, since), 0);
    assert_int_equal(version_at(0), 1);
}

static void one_loses_its_disk(int i)
{
    rig_kill(rig, i);
    rig_run(rig, USEC_PER_S);
    lose_disk(i);
    start(i);
    rig_run(rig, 8 * USEC_PER_S);
}

/* It has to go before it can come: it might vote twice else. */
static void a_lost_disk(void **state)
{
    (void)state;
    three_found();
    start(3);
    rig_run(rig, 4 * USEC_PER_S);
    settled(0, 4);
    assert_int_equal(version_at(0), 2);
    one_loses_its_disk(1);
    settled(0, 4);
    assert_int_equal(version_at(0), 4);
    one_loses_its_disk(0); /* also the one that proposes */
    settled(0, 4);
    assert_int_equal(version_at(0), 6);
}

/* As the cluster was founded it can take its place: nothing had been voted on. */
static void a_lost_disk_before_any_change(void **state)
{
    (void)state;
    three_found();
    one_loses_its_disk(1);
    settled(0, 3);
    assert_int_equal(version_at(0), 1);
}

static void all_lose_their_disks(void **state)
{
    (void)state;
    three_found();
    for (int i = 0; i < 3; i++) {
        rig_crash(rig, i);
        lose_disk(i);
    }
    rig_run(rig, USEC_PER_S);
    three_found();
    assert_int_equal(version_at(0), 1);
}

/* ------------------------------------------------------------ two foundings */

/* From the same step on. */
static void dissolved_it_claims_nothing(struct rig *r)
{
    for (int i = 0; i < RIG_NODES; i++)
        if (rig_noted(r, i, NOTE_DISSOLVED, (instant){0}) > 0)
            assert_true(claims_of(i) == 0 || version_at(i) > 0);
}

/* 0..left-1 and left..all-1 found apart, and serve; then they meet. */
static void found_apart(int left, int all)
{
    for (int a = 0; a < left; a++)
        for (int b = left; b < all; b++)
            rig_part(rig, a, b, true);
    rig->watch = NULL; /* two clusters, each of which serves all */
    for (int i = 0; i < all; i++)
        start(i);
    rig_run(rig, 4 * USEC_PER_S);
    for (unsigned b = 0; b < 64; b++)
        assert_int_equal(rig_claimants(rig, b), 2);
    memset(rig->deaf, 0, sizeof rig->deaf);
    rig->watch = dissolved_it_claims_nothing;
    rig_run(rig, 300 * MS);
    rig->watch = rig_nobody_twice;
    rig_run(rig, 8 * USEC_PER_S);
    settled(0, all);
}

static void the_lesser_dissolves(void **state)
{
    (void)state;
    found_apart(2, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(rig_noted(rig, i, NOTE_DISSOLVED, (instant){0}), i < 2);
    const struct note *note = rig_last_note(rig, 0, NOTE_DISSOLVED);
    assert_int_equal(note->other, 3);
    assert_true(note->member[1] >= '2' && note->member[1] <= '4');
    assert_int_equal(version_at(0), 3); /* then they were admitted, one by one */
}

static void of_equals_one_dissolves(void **state)
{
    (void)state;
    found_apart(2, 4);
    unsigned first = rig_noted(rig, 0, NOTE_DISSOLVED, (instant){0});
    assert_in_range(first, 0, 1);
    assert_int_equal(rig_noted(rig, 1, NOTE_DISSOLVED, (instant){0}), first);
    assert_int_equal(rig_noted(rig, 2, NOTE_DISSOLVED, (instant){0}), 1 - first);
    assert_int_equal(rig_noted(rig, 3, NOTE_DISSOLVED, (instant){0}), 1 - first);
}

/* ------------------------------------------------------------------ restore */

static int restored(int i, const uint8_t *data, size_t length)
{
    struct node_config c = config(i);
    struct node *n = malloc(node_bytes());
    uint8_t *exact = malloc(length + 1); /* so that a sanitizer sees an overrun */
    static struct status s;
    memcpy(exact, data, length);
    node_init(n, &c, 1, 1);
    int result = node_restore(n, exact, length);
    node_status(n, rig->now, &s);
    if (result != 0) { /* nothing is taken */
        assert_int_equal(s.quorum.voters, 0);
        assert_int_equal(s.members, 1);
    }
    free(exact);
    free(n);
    return result;
}

static void what_is_damaged_is_refused(void **state)
{
    (void)state;
    static uint8_t stored[sizeof rig->node[0].stored];
    three_found();
    size_t length = rig->node[0].stored_length;
    memcpy(stored, rig->node[0].stored, length);
    assert_int_equal(restored(0, stored, length), 0);
    assert_int_equal(restored(1, stored, length), -EBADMSG); /* of another node */
    for (size_t cut = 0; cut < length; cut++)
        assert_int_equal(restored(0, stored, cut), -EBADMSG);
    assert_int_equal(restored(0, stored, length + 1), -EBADMSG);
    for (size_t bit = 0; bit < 8 * length; bit++) {
        stored[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(restored(0, stored, length), -EBADMSG);
        stored[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    struct node_config c = rig_config(0); /* and under "none" it is of no interest */
    struct node *n = malloc(node_bytes());
    node_init(n, &c, 1, 1);
    assert_int_equal(node_restore(n, stored, length), 0);
    free(n);
}

/* What a node has promised and accepted is on its disk when it tells it. */
static void told_is_stored(struct rig *r, int from, const uint8_t *data, size_t length)
{
    static struct heartbeat said;
    struct node_config c = config(from);
    struct voters kept;
    struct seal seal;
    struct seal_stamp stamp;
    uint8_t plain[DATAGRAM_MAX];
    size_t plain_length = 0;
    const uint8_t *stored = r->node[from].stored;
    seal_init(&seal, c.cluster, c.key);
    assert_int_equal(seal_open(&seal, data, length, &stamp, plain, &plain_length), REJECT_NONE);
    assert_int_equal(heartbeat_read(&said, stamp.version, plain, plain_length), 0);
    if (stamp.type == SEAL_TYPE_RELAY || said.voters.lineage == 0)
        return;
    size_t saved = (size_t)(stored[0] << 8 | stored[1]);
    assert_int_equal(voters_load(&kept, member_id(c.name), stored + 2, saved), 0);
    assert_true(kept.lineage == said.voters.lineage);
    assert_int_equal(kept.version, said.voters.version);
    assert_int_equal(ballot_compare(kept.promised, said.voters.promised), 0);
    assert_int_equal(ballot_compare(kept.accepted, said.voters.accepted), 0);
    assert_int_equal(kept.change.kind, said.voters.change.kind);
}

static void what_is_told_is_stored(void **state)
{
    (void)state;
    rig->tap = told_is_stored;
    three_found();
    start(3);
    rig_run(rig, 3 * USEC_PER_S);
    rig_kill(rig, 1);
    rig_run(rig, 2 * USEC_PER_S);
    rig_control(rig, 0, CONTROL_FORGET, "n1");
    rig_run(rig, 3 * USEC_PER_S);
    assert_int_equal(version_at(0), 3);
    start(1);
    rig_run(rig, 5 * USEC_PER_S);
    settled(0, 4);
}

/* It stands on the disk before anything that follows from it is told. */
static void it_is_stored_before_it_is_told(void **state)
{
    (void)state;
    struct node_config c = config(0);
    struct node *n = malloc(node_bytes());
    struct actions *out = malloc(sizeof *out);
    instant now = {USEC_PER_S};
    struct event e = {.kind = EVENT_START};
    unsigned stores = 0;
    c.founders = 1; /* one alone needs the list */
    c.founder[0] = member_id(c.name);
    node_init(n, &c, 4711, 1);
    for (int i = 0; i < 100; i++) {
        bool sent = false;
        node_step(n, now, &e, out);
        for (size_t k = 0; k < out->count; k++) {
            sent = sent || out->item[k].kind == ACTION_SEND || out->item[k].kind == ACTION_RENEW;
            if (out->item[k].kind != ACTION_STORE)
                continue;
            assert_false(sent);
            stores++;
        }
        now = node_deadline(n);
        e.kind = EVENT_TIMER;
    }
    assert_int_equal(stores, 1); /* it has founded; no more than needed */
    free(out);
    free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(three_start_at_once),
        CASE(one_starts_alone_and_founds_nothing),
        CASE(two_found_and_a_third_is_admitted),
        CASE(they_come_while_it_founds),
        CASE(a_late_founding),
        CASE(all_restart_with_what_they_stored),
        CASE(one_restarts_at_once),
        CASE(a_lost_disk),
        CASE(a_lost_disk_before_any_change),
        CASE(all_lose_their_disks),
        CASE(the_lesser_dissolves),
        CASE(of_equals_one_dissolves),
        CASE(what_is_damaged_is_refused),
        CASE(what_is_told_is_stored),
        CASE(it_is_stored_before_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
