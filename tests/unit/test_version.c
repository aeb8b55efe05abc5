/*
 * A member that speaks only the first version of the protocol: an upgrade, node by
 * node. It is spoken to in its version, belongs to the cluster as ever, and keeps
 * the others from what it does not know; recordings of that version do not.
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

#define STEP (50 * USEC_PER_MS)
#define DEAD_AFTER (400 * USEC_PER_MS)

static struct rig *rig;
static struct ghost *g; /* n2, of the first version */

static int set_up(void **state)
{
    (void)state;
    rig = malloc(sizeof *rig);
    g = malloc(sizeof *g);
    rig_init(rig);
    struct node_config c = rig_config(2);
    ghost_init(g, &c, 1000000);
    g->say.version = WIRE_VERSION_FIRST;
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

static void start(int i, uint32_t incarnation)
{
    struct node_config c = rig_config(i);
    c.flap = (struct flap_config){1000, 3000, 1000, 60 * USEC_PER_S, 600 * USEC_PER_S};
    rig_start_with(rig, i, incarnation, &c);
}

static void two_nodes(void)
{
    start(0, 1);
    start(1, 1);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(rig->node[0].says[1] + rig->node[1].says[1], 0);
}

static const struct status_member *seen(int by, const char *name)
{
    const struct status_member *m = rig_member(rig, by, name);
    assert_non_null(m);
    return m;
}

static bool owned_by_ghost(unsigned b)
{
    const struct status *s = rig_status(rig, 0);
    int owner = s->bucket[b].owner;
    return owner >= 0 && strcmp(s->member[owner].name, "n2") == 0;
}

/* What it owns it prepares for, and claims when nobody else does. */
static void ghost_claims(void)
{
    for (unsigned b = 0; b < 64; b++) {
        bool owned = owned_by_ghost(b), claims = bitmap_test(&g->say.claim, b);
        claims = owned && (claims || rig_claimants(rig, b) == 0);
        bitmap_assign(&g->say.claim, b, claims);
        bitmap_assign(&g->say.linger, b, owned && !claims);
    }
}

static void ghost_serves(usec span)
{
    for (instant end = instant_add(rig->now, span); instant_before(rig->now, end);) {
        ghost_claims();
        ghost_mingle(g, rig, STEP);
    }
}

static unsigned old_ones(void)
{
    unsigned sum = 0;
    for (int i = 0; i < RIG_NODES; i++)
        sum += rig->node[i].says[WIRE_VERSION_FIRST];
    return sum;
}

/* ------------------------------------------------------------- one of us */

static void it_is_answered_at_once(void **state)
{
    (void)state;
    start(0, 1);
    rig_run(rig, 2 * USEC_PER_S + 20 * USEC_PER_MS);
    ghost_say(g, rig, 0); /* nothing acknowledged: it has heard nothing that it can read */
    rig_run(rig, 10 * USEC_PER_MS);
    assert_int_equal(rig->node[0].says[1], 1);
    assert_true(ghost_hear(g, rig, 0));
    ghost_say(g, rig, 0);
    assert_int_equal(seen(0, "n2")->state, MEMBER_ALIVE);
    assert_int_equal(seen(0, "n2")->version, 1);
}

static void it_belongs_to_the_cluster(void **state)
{
    (void)state;
    two_nodes();
    instant since = rig->now;
    ghost_serves(3 * USEC_PER_S);
    unsigned its = 0;
    for (unsigned b = 0; b < 64; b++) {
        its += bitmap_test(&g->say.claim, b);
        assert_int_equal(rig_claimants(rig, b), bitmap_test(&g->say.claim, b) ? 0 : 1);
    }
    assert_in_range(its, 21, 22);
    for (int i = 0; i < 2; i++) {
        assert_true(rig_status(rig, i)->converged);
        assert_true(rig_status(rig, i)->view == g->say.view && g->say.view != 0);
        assert_int_equal(seen(i, "n2")->state, MEMBER_ALIVE);
        assert_int_equal(seen(i, "n2")->version, 1);
        assert_int_equal(seen(i, i == 0 ? "n1" : "n0")->version, 2);
        assert_int_equal(rig_noted(rig, i, NOTE_VERSION, since), 1);
        const struct note *note = rig_last_note(rig, i, NOTE_VERSION);
        assert_string_equal(note->member, "n2");
        assert_int_equal(note->number, 1);
    }
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_DEAD, since), 0);
    assert_int_equal(rig_noted(rig, -1, NOTE_REJECTED, since), 0);
}

static void opened(int from, uint8_t version, struct heartbeat *h)
{
    const struct rig_datagram *said = &rig->node[from].said[version];
    struct seal seal;
    struct seal_stamp stamp;
    uint8_t plain[DATAGRAM_MAX];
    size_t length = 0;
    seal_init(&seal, g->config.cluster, g->config.key);
    assert_int_equal(seal_open(&seal, said->data, said->length, &stamp, plain, &length),
                     REJECT_NONE);
    assert_int_equal(stamp.version, version);
    assert_int_equal(heartbeat_read(h, version, plain, length), 0);
}

/* Both versions of a heartbeat say the same, as far as the first has words. */
static void in_both_versions_the_same(void **state)
{
    (void)state;
    static struct heartbeat old, new;
    static uint8_t old_bytes[DATAGRAM_MAX], new_bytes[DATAGRAM_MAX];
    two_nodes();
    struct event e = {.kind = EVENT_CLOCK, .clock = {1785542400000}};
    rig_step(rig, 0, &e);
    ghost_serves(USEC_PER_S);
    opened(0, 1, &old);
    opened(0, 2, &new);
    assert_int_equal(old.sequence, new.sequence);
    assert_true(new.clock_ms > 0 && old.clock_ms == 0);
    old.version = new.version = WIRE_VERSION_FIRST;
    size_t length = heartbeat_write(&old, old_bytes, sizeof old_bytes);
    assert_int_equal(heartbeat_write(&new, new_bytes, sizeof new_bytes), length);
    assert_memory_equal(old_bytes, new_bytes, length);
}

static void another_starts_beside_it(void **state)
{
    (void)state;
    two_nodes();
    ghost_serves(2 * USEC_PER_S);
    instant since = rig->now;
    start(3, 1);
    ghost_serves(2 * USEC_PER_S);
    for (int i = 0; i < 4; i += i == 1 ? 2 : 1) {
        assert_int_equal(rig_status(rig, i)->members, 4);
        assert_true(rig_status(rig, i)->converged);
        assert_true(rig->node[i].says[1] > 0);
        assert_int_equal(seen(i, "n0")->version, 2);
        assert_int_equal(seen(i, "n2")->version, 1);
    }
    assert_int_equal(rig_noted(rig, -1, NOTE_REJECTED, since), 0);
}

/* --------------------------------------------------- what it does not know */

static void nobody_is_held_while_it_is_about(void **state)
{
    (void)state;
    two_nodes();
    for (uint32_t i = 2; i <= 4; i++) {
        rig_crash(rig, 1);
        rig_run(rig, USEC_PER_S);
        start(1, i);
        rig_run(rig, 3 * USEC_PER_S);
    }
    assert_int_equal(seen(0, "n1")->state, MEMBER_HELD);
    assert_int_equal(rig_status(rig, 0)->owned, 64);
    ghost_serves(3 * USEC_PER_S);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(seen(i, "n1")->state, MEMBER_ALIVE);
        assert_int_equal(seen(i, "n1")->hold_left, 0);
        assert_in_range(rig_status(rig, i)->owned, 21, 22);
        assert_true(rig_status(rig, i)->converged);
    }
    assert_int_equal(rig_status(rig, 1)->state, NODE_SERVING);
    rig_run(rig, 3 * USEC_PER_S); /* it is gone: held again */
    assert_int_equal(seen(0, "n1")->state, MEMBER_HELD);
    assert_int_equal(rig_status(rig, 0)->owned, 64);
    assert_int_equal(rig_status(rig, 1)->state, NODE_HELD);
}

static void what_it_says_is_not_relayed(void **state)
{
    (void)state;
    two_nodes();
    ghost_serves(USEC_PER_S);
    for (int i = 0; i < 40; i++) { /* n0 does not hear it any more */
        g->say.acks = 0;
        ghost_hear(g, rig, 0);
        ghost_hear(g, rig, 1);
        ghost_say(g, rig, 1);
        rig_run(rig, STEP);
    }
    assert_int_equal(seen(0, "n2")->state, MEMBER_SUSPECT);
    assert_int_equal(seen(1, "n2")->state, MEMBER_ALIVE);
    assert_int_equal(rig->node[0].relays + rig->node[1].relays, 0);
}

/* ----------------------------------------------------------------- its end */

static void once_it_is_gone_its_version_is_not_spoken(void **state)
{
    (void)state;
    two_nodes();
    ghost_serves(USEC_PER_S);
    instant gone = rig->now;
    rig_run(rig, 4 * DEAD_AFTER);
    unsigned before = old_ones();
    rig_run(rig, 3 * USEC_PER_S);
    assert_int_equal(old_ones(), before);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_noted(rig, i, NOTE_VERSION, gone), 1);
        const struct note *note = rig_last_note(rig, i, NOTE_VERSION);
        assert_string_equal(note->member, "");
        assert_int_equal(note->number, 0);
    }
}

static void upgraded_it_is_one_like_us(void **state)
{
    (void)state;
    two_nodes();
    ghost_serves(USEC_PER_S);
    rig_run(rig, DEAD_AFTER / 2 + STEP); /* its daemon is replaced */
    instant since = rig->now;
    start(2, 2);
    rig_run(rig, 3 * USEC_PER_S);
    unsigned before = old_ones();
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(old_ones(), before);
    assert_true(rig_covered(rig));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(seen(i, "n2")->version, 2);
        assert_true(rig_status(rig, i)->converged);
    }
    assert_int_equal(rig_noted(rig, 0, NOTE_VERSION, since), 1);
    assert_int_equal(rig_last_note(rig, 0, NOTE_VERSION)->number, 0);
}

/* -------------------------------------------------------------- downgrades */

enum { KEPT = 16 };
static struct rig_datagram kept[KEPT];
static unsigned kept_count;

/* What n1 says in the first version. */
static void keep_old(struct rig *r, int from, const uint8_t *data, size_t length)
{
    enum { VERSION_AT = 4 };
    (void)r;
    if (from != 1 || data[VERSION_AT] != WIRE_VERSION_FIRST)
        return;
    memcpy(kept[kept_count % KEPT].data, data, length);
    kept[kept_count++ % KEPT].length = length;
}

static void recorded(void)
{
    kept_count = 0;
    two_nodes();
    rig->tap = keep_old;
    ghost_serves(USEC_PER_S);
    assert_true(kept_count >= 8);
    rig->tap = NULL;
    kept_count = kept_count < KEPT ? kept_count : KEPT;
}

static void replay(void)
{
    for (unsigned k = 0; k < kept_count; k++)
        rig_hand(rig, 0, kept[k].data, kept[k].length);
}

static void a_copy_in_the_first_version_lowers_nobody(void **state)
{
    (void)state;
    recorded();
    for (int i = 0; i < 20; i++) {
        replay();
        assert_int_equal(seen(0, "n1")->version, 2);
        ghost_serves(STEP);
    }
    assert_int_equal(seen(0, "n1")->state, MEMBER_ALIVE);
    assert_true(rig_status(rig, 0)->converged);
}

/* Its own words are lost and only their copies come: these say too little of it. */
static void copies_alone_are_no_word(void **state)
{
    (void)state;
    recorded();
    rig->tap = keep_old;
    rig->deaf[0][1] = true;
    for (int i = 0; i < 12; i++) {
        kept_count = 0;
        ghost_serves(STEP);
        replay();
    }
    rig->tap = NULL;
    assert_int_equal(seen(0, "n1")->version, 2);
    assert_int_not_equal(seen(0, "n1")->state, MEMBER_ALIVE);
}

/* Its operator has put the old program back. */
static void one_that_goes_back(void **state)
{
    (void)state;
    two_nodes();
    start(2, 1);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(seen(0, "n2")->version, 2);
    rig_crash(rig, 2);
    rig_run(rig, USEC_PER_S);
    g->say.incarnation = 2;
    ghost_serves(2 * USEC_PER_S);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(seen(i, "n2")->version, 1);
        assert_int_equal(seen(i, "n2")->state, MEMBER_ALIVE);
        assert_true(rig_status(rig, i)->converged);
    }
}

static void recordings_do_not_bring_the_first_version_back(void **state)
{
    (void)state;
    recorded();
    rig_crash(rig, 1); /* so that n0 alone decides what it speaks */
    rig_run(rig, USEC_PER_S);
    start(1, 2);
    rig_run(rig, 4 * DEAD_AFTER + USEC_PER_S);
    unsigned before = rig->node[0].says[1];
    uint64_t view = rig_status(rig, 0)->view;
    for (int i = 0; i < 20; i++) {
        replay(); /* of a boot that is over */
        rig_run(rig, STEP);
        assert_int_equal(seen(0, "n1")->version, 2);
    }
    assert_int_equal(seen(0, "n1")->state, MEMBER_ALIVE);
    assert_true(rig_status(rig, 0)->view == view);
    /* It may have been a boot of one that knows no better: for a moment it was asked. */
    assert_true(rig->node[0].says[1] - before < 100);
    before = rig->node[0].says[1];
    rig_run(rig, 2 * DEAD_AFTER);
    before = rig->node[0].says[1];
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(rig->node[0].says[1], before);
}

static void recordings_keep_nobody_alive(void **state)
{
    (void)state;
    recorded();
    rig_crash(rig, 1);
    for (int i = 0; i < 12; i++) {
        replay();
        rig_run(rig, STEP);
    }
    assert_int_equal(seen(0, "n1")->state, MEMBER_DEAD);
    assert_int_equal(seen(0, "n1")->version, 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_is_answered_at_once),
        CASE(it_belongs_to_the_cluster),
        CASE(in_both_versions_the_same),
        CASE(another_starts_beside_it),
        CASE(nobody_is_held_while_it_is_about),
        CASE(what_it_says_is_not_relayed),
        CASE(once_it_is_gone_its_version_is_not_spoken),
        CASE(upgraded_it_is_one_like_us),
        CASE(a_copy_in_the_first_version_lowers_nobody),
        CASE(copies_alone_are_no_word),
        CASE(one_that_goes_back),
        CASE(recordings_do_not_bring_the_first_version_back),
        CASE(recordings_keep_nobody_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
