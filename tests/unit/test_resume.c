/*
 * A daemon that starts over what its kernel holds of the run before: claims go on
 * without a gap, and never longer than the lease that it found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/seal.h"
#include "rig_case.h"

#define MS USEC_PER_MS

static unsigned gaps; /* steps after which a bucket had no claimant, or two */
static uint64_t salt_seen;
static uint32_t sequence_seen;

static int begin(void **state)
{
    gaps = 0;
    salt_seen = 0;
    sequence_seen = 0;
    return set_up(state);
}

static void gap_watch(struct rig *r)
{
    gaps += !rig_covered(r);
}

static void cluster(int nodes)
{
    for (int i = 0; i < nodes; i++)
        rig_start(rig, i, 1);
    rig_run(rig, 4 * USEC_PER_S);
    assert_true(rig_covered(rig));
}

/* Of node 0: kill -9, and a start after `away`. */
static void restart(usec away)
{
    struct node_config c = rig_config(0);
    rig_kill(rig, 0);
    rig_run(rig, away);
    rig_resume(rig, 0, 2, &c);
}

static void nobody_notices(void **state)
{
    (void)state;
    cluster(3);
    instant then = rig->now;
    rig->watch = gap_watch;
    for (usec phase = 0; phase < 100 * MS; phase += 10 * MS) {
        rig_run(rig, phase);
        restart(60 * MS);
        rig_run(rig, 20 * MS);
        assert_int_equal(rig_status(rig, 0)->state, NODE_SERVING);
        rig_run(rig, USEC_PER_S);
    }
    assert_int_equal(gaps, 0);
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_DEAD, then), 0);
    assert_int_equal(rig_noted(rig, -1, NOTE_HANDOVER, then), 0);
    assert_int_equal(rig_noted(rig, 1, NOTE_VIEW, then), 0);
}

static void a_majority_goes_on_too(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct node_config c = rig_config(i);
        c.quorum = QUORUM_MAJORITY;
        rig_start_with(rig, i, 1, &c);
    }
    rig_run(rig, 4 * USEC_PER_S);
    rig->watch = gap_watch;
    struct node_config c = rig_config(0);
    c.quorum = QUORUM_MAJORITY;
    rig_kill(rig, 0);
    rig_run(rig, 60 * MS);
    rig_resume(rig, 0, 2, &c);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(gaps, 0);
    assert_int_equal(rig_status(rig, 0)->state, NODE_SERVING);
}

/* Whom nobody hears lets the lease that it found run out, and no longer. */
static void unheard_it_ends_with_the_lease(void **state)
{
    (void)state;
    cluster(3);
    rig->node[0].cut = true;
    rig_kill(rig, 0);
    instant end = rig->node[0].lease_until;
    struct node_config c = rig_config(0);
    rig_run(rig, 50 * MS);
    rig_resume(rig, 0, 2, &c);
    rig_run(rig, instant_diff(end, rig->now));
    assert_true(rig->node[0].lease_until.us == end.us);
    for (unsigned b = 0; b < 64; b++)
        assert_false(rig_claims(rig, 0, b));
    assert_int_equal(rig_status(rig, 0)->state, NODE_JOINING);
    rig->node[0].cut = false;
    rig_run(rig, 4 * USEC_PER_S);
    assert_true(rig_covered(rig));
}

/* The lease is not renewed before somebody has heard the new daemon. */
static void killed_again_at_once_it_is_fenced_as_before(void **state)
{
    (void)state;
    struct node_config c = rig_config(0);
    cluster(3);
    rig_kill(rig, 0);
    instant end = rig->node[0].lease_until;
    rig_run(rig, 50 * MS);
    rig_resume(rig, 0, 2, &c);
    rig_kill(rig, 0); /* before an answer can come */
    assert_true(rig->node[0].lease_until.us == end.us);
}

static void too_late_it_is_a_newcomer(void **state)
{
    (void)state;
    cluster(3);
    restart(350 * MS);
    for (unsigned b = 0; b < 64; b++)
        assert_false(rig_claims(rig, 0, b));
    rig_run(rig, 4 * USEC_PER_S);
    assert_true(rig_covered(rig));
}

static void alone_it_needs_nobody(void **state)
{
    (void)state;
    cluster(1);
    rig->watch = gap_watch;
    restart(60 * MS);
    assert_int_equal(rig_status(rig, 0)->state, NODE_SERVING);
    rig_run(rig, 2 * USEC_PER_S);
    assert_int_equal(gaps, 0);
}

/* The other died with it: it knew of a member, so it does not take its silence for
 * being alone. */
static void bereaved_it_waits(void **state)
{
    (void)state;
    cluster(2);
    rig_crash(rig, 1);
    restart(60 * MS);
    rig_run(rig, 300 * MS);
    assert_int_equal(rig_claimants(rig, 0) + rig_claimants(rig, 1), 0);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
}

/* How many buckets of node 0 are of a class. */
static unsigned of_class(enum bucket_class class)
{
    unsigned count = 0;
    for (unsigned b = 0; b < 64; b++)
        count += rig->node[0].plan.class_of[b] == (uint8_t) class;
    return count;
}

/* What may have a dead member's flows is held anew, as long as after any death. */
static void what_was_adopted_is_held(void **state)
{
    (void)state;
    cluster(3);
    unsigned before = of_class(CLASS_OWN);
    rig_crash(rig, 2);
    rig_run(rig, 500 * MS); /* taken over a moment ago */
    assert_int_equal(of_class(CLASS_OWN), before);
    unsigned taken = of_class(CLASS_ADOPT);
    assert_true(taken > 0);
    restart(60 * MS);
    rig_run(rig, 950 * MS);
    assert_true(of_class(CLASS_ADOPT) >= taken);
    rig_run(rig, 200 * MS);
    assert_int_equal(of_class(CLASS_OWN), before + taken);
}

/* A datagram of a salt and number that were used before gives the key away. */
static void numbers_watch(struct rig *r, int from, const uint8_t *data, size_t length)
{
    struct seal key;
    struct seal_stamp stamp;
    struct heartbeat h;
    uint8_t plain[DATAGRAM_MAX];
    size_t plain_length;
    const struct node_config c = rig_config(0);
    (void)r;
    if (from != 0)
        return;
    seal_init(&key, c.cluster, c.key);
    assert_int_equal(seal_open(&key, data, length, &stamp, plain, &plain_length), REJECT_NONE);
    if (stamp.type != SEAL_TYPE_HEARTBEAT || stamp.version != WIRE_VERSION_LAST)
        return;
    assert_int_equal(heartbeat_read(&h, stamp.version, plain, plain_length), 0);
    if (salt_seen != 0)
        assert_true(h.salt == salt_seen && h.sequence > sequence_seen);
    salt_seen = h.salt;
    sequence_seen = h.sequence;
}

static void no_number_is_used_twice(void **state)
{
    (void)state;
    cluster(3);
    rig->tap = numbers_watch;
    rig_run(rig, 200 * MS);
    restart(10 * MS);
    rig_run(rig, 200 * MS);
    restart(60 * MS);
    rig_run(rig, USEC_PER_S);
    assert_true(sequence_seen > 0);
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, begin, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(nobody_notices),
        FRESH(a_majority_goes_on_too),
        FRESH(unheard_it_ends_with_the_lease),
        FRESH(killed_again_at_once_it_is_fenced_as_before),
        FRESH(too_late_it_is_a_newcomer),
        FRESH(alone_it_needs_nobody),
        FRESH(bereaved_it_waits),
        FRESH(what_was_adopted_is_held),
        FRESH(no_number_is_used_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
