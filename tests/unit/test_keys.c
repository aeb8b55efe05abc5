/*
 * Two keys: both are accepted, and the cluster goes over from one to the other at
 * an order, all of it or nobody, without a gap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/seal.h"
#include "rig_case.h"

static const uint8_t no_key[KEY_BYTES];
static const uint8_t first[KEY_BYTES] = {1}, second[KEY_BYTES] = {2}, third[KEY_BYTES] = {3};

/* ---------------------------------------------------------------- helpers */

static struct node_config config(int i, const uint8_t *key, const uint8_t *next)
{
    struct node_config c = rig_config(i);
    memcpy(c.key, key, KEY_BYTES);
    memcpy(c.key_next, next, KEY_BYTES);
    return c;
}

static void start(int i, uint32_t incarnation, const uint8_t *key, const uint8_t *next)
{
    struct node_config c = config(i, key, next);
    rig_start_with(rig, i, incarnation, &c);
}

static void reload(int i, const uint8_t *key, const uint8_t *next)
{
    struct node_config c = config(i, key, next);
    struct event e = {.kind = EVENT_RELOAD, .reload = &c};
    rig_step(rig, i, &e);
}

/* n0, n1 and n2 with these keys serve together. */
static void three(const uint8_t *key, const uint8_t *next)
{
    for (int i = 0; i < 3; i++)
        start(i, 1, key, next);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
}

static void assert_uses(int i, const uint8_t *key)
{
    assert_true(rig_status(rig, i)->key == seal_key_hash(key));
}

static void assert_ready(bool ready)
{
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig_status(rig, i)->rekey_ready, ready);
}

/* Since then nobody was missed, and nothing refused. */
static void undisturbed(instant since)
{
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_DEAD, since), 0);
    assert_int_equal(rig_noted(rig, -1, NOTE_MEMBER_SUSPECT, since), 0);
    assert_int_equal(rig_noted(rig, -1, NOTE_VIEW, since), 0);
    assert_int_equal(rig_noted(rig, -1, NOTE_REJECTED, since), 0);
    assert_int_equal(rig_noted(rig, -1, NOTE_HANDOVER, since), 0);
    assert_true(rig_covered(rig));
    for (int i = 0; i < 3; i++)
        assert_true(rig_status(rig, i)->converged);
}

/* -------------------------------------------------------------- accepting */

static void either_is_accepted(void **state)
{
    (void)state;
    start(0, 1, first, second);
    start(1, 1, second, first); /* its files have been changed over already */
    start(2, 1, first, second);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(rig_noted(rig, -1, NOTE_REJECTED, (instant){0}), 0);
    assert_uses(0, first);
    assert_uses(1, second);
    assert_true(rig_status(rig, 0)->key_next == seal_key_hash(second));
    assert_true(rig_member(rig, 0, "n1")->key_next == seal_key_hash(first));
    assert_true(rig_member(rig, 0, "n0")->key_next == seal_key_hash(second));
    assert_ready(false); /* they do not hold the same next one */
}

static void without_a_next_key(void **state)
{
    (void)state;
    three(first, no_key);
    assert_true(rig_status(rig, 0)->key_next == 0);
    assert_true(rig_member(rig, 0, "n1")->key_next == 0);
    assert_ready(false);
    reload(0, first, first); /* the same once more is none */
    rig_run(rig, USEC_PER_S);
    assert_true(rig_status(rig, 0)->key_next == 0);
    assert_true(rig_member(rig, 1, "n0")->key_next == 0);
}

static void any_other_is_forged(void **state)
{
    (void)state;
    static struct ghost g;
    struct node_config c = config(1, third, no_key);
    start(0, 1, first, second);
    rig_run(rig, USEC_PER_S);
    ghost_init(&g, &c, 4711);
    ghost_live(&g, rig, 0, 500 * USEC_PER_MS);
    assert_int_equal(rig_status(rig, 0)->rejected[REJECT_FORGED], 10);
    assert_int_equal(rig_status(rig, 0)->members, 1);
}

/* A key that the header cannot tell from `first`. */
static void twin_find(uint8_t twin[KEY_BYTES], uint16_t id, uint32_t from)
{
    memset(twin, 0, KEY_BYTES);
    for (uint32_t i = from;; i++) {
        memcpy(twin, &i, sizeof i);
        if ((uint16_t)seal_key_hash(twin) == id && memcmp(twin, first, KEY_BYTES) != 0)
            return;
    }
}

static void two_keys_of_one_id(void **state)
{
    (void)state;
    uint8_t twin[KEY_BYTES], stranger[KEY_BYTES];
    uint32_t from = 0;
    twin_find(twin, (uint16_t)seal_key_hash(first), 1000);
    memcpy(&from, twin, sizeof from);
    twin_find(stranger, (uint16_t)seal_key_hash(first), from + 1);
    start(0, 1, first, twin);
    start(1, 1, twin, first);
    start(2, 1, first, twin);
    rig_run(rig, 2 * USEC_PER_S);
    assert_true(rig_covered(rig));
    assert_int_equal(rig_noted(rig, -1, NOTE_REJECTED, (instant){0}), 0);
    static struct ghost g;
    struct node_config c = config(3, stranger, no_key);
    ghost_init(&g, &c, 4711);
    ghost_say(&g, rig, 0);
    ghost_say(&g, rig, 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(rig_status(rig, i)->rejected[REJECT_FORGED], 1);
}

/* --------------------------------------------------------------- the order */

static void all_go_over_at_once(void **state)
{
    (void)state;
    three(first, second);
    assert_ready(true);
    rig_run(rig, 37 * USEC_PER_MS); /* between two regular heartbeats */
    instant order = rig->now;
    rig_control(rig, 1, CONTROL_REKEY, NULL);
    rig_run(rig, 10 * USEC_PER_MS);
    for (int i = 0; i < 3; i++) {
        assert_uses(i, second);
        assert_int_equal(rig_noted(rig, i, NOTE_KEY_CHANGED, order), 1);
        assert_true((uint64_t)rig_last_note(rig, i, NOTE_KEY_CHANGED)->number ==
                    seal_key_hash(second));
    }
    rig_run(rig, 5 * USEC_PER_S);
    undisturbed(order);
    reload(1, first, second); /* for another reason; the files are as they were */
    rig_run(rig, USEC_PER_S);
    assert_uses(1, second);
    assert_ready(false);
    rig_control(rig, 0, CONTROL_REKEY, NULL); /* there is nothing to go over to */
    rig_control(rig, 2, CONTROL_REKEY, NULL);
    rig_run(rig, USEC_PER_S);
    for (int i = 0; i < 3; i++)
        assert_uses(i, second);
    assert_int_equal(rig_noted(rig, -1, NOTE_KEY_CHANGED, order), 3);
}

static void two_operators_at_once(void **state)
{
    (void)state;
    three(first, second);
    instant order = rig->now;
    for (int i = 0; i < 3; i++)
        rig_control(rig, i, CONTROL_REKEY, NULL);
    rig_run(rig, USEC_PER_S);
    for (int i = 0; i < 3; i++)
        assert_uses(i, second);
    assert_int_equal(rig_noted(rig, -1, NOTE_KEY_CHANGED, order), 3);
    undisturbed(order);
}

static void nobody_goes_over_unless_all_can(void **state)
{
    (void)state;
    static const uint8_t *const others[] = {no_key, third};
    three(first, second);
    for (size_t k = 0; k < sizeof others / sizeof others[0]; k++) {
        reload(2, first, others[k]);
        rig_run(rig, USEC_PER_S);
        assert_ready(false);
        for (int i = 0; i < 3; i++)
            rig_control(rig, i, CONTROL_REKEY, NULL);
        rig_run(rig, USEC_PER_S);
        for (int i = 0; i < 3; i++)
            assert_uses(i, first);
    }
    assert_int_equal(rig_noted(rig, -1, NOTE_KEY_CHANGED, (instant){0}), 0);
    reload(2, first, second);
    rig_run(rig, USEC_PER_S);
    assert_ready(true);
}

static void the_dead_have_no_say(void **state)
{
    (void)state;
    three(first, second);
    reload(2, first, no_key);
    rig_run(rig, USEC_PER_S);
    rig_crash(rig, 2);
    rig_run(rig, USEC_PER_S);
    assert_true(rig_status(rig, 0)->rekey_ready);
    rig_control(rig, 0, CONTROL_REKEY, NULL);
    rig_run(rig, USEC_PER_S);
    assert_uses(0, second);
    assert_uses(1, second);
}

/* Who speaks the first version knows of no next key. */
static void not_while_an_old_version_is_spoken(void **state)
{
    (void)state;
    static struct ghost g;
    struct node_config c = config(3, first, no_key);
    three(first, second);
    start(3, 1, first, second); /* it did hold the key, before the old program was put back */
    rig_run(rig, 2 * USEC_PER_S);
    assert_ready(true);
    rig_crash(rig, 3);
    rig_run(rig, USEC_PER_S);
    ghost_init(&g, &c, 4711);
    g.say.incarnation = 2;
    g.say.version = WIRE_VERSION_FIRST;
    ghost_mingle(&g, rig, USEC_PER_S);
    assert_ready(false);
    rig_control(rig, 0, CONTROL_REKEY, NULL);
    assert_uses(0, first);
    rig_run(rig, 3 * USEC_PER_S);
    assert_ready(true);
}

static void who_was_cut_off_learns_it(void **state)
{
    (void)state;
    three(first, second);
    rig->node[2].cut = true;
    rig_run(rig, USEC_PER_S);
    rig_control(rig, 0, CONTROL_REKEY, NULL);
    rig_run(rig, USEC_PER_S);
    assert_uses(2, first);
    rig->node[2].cut = false;
    rig_run(rig, 2 * USEC_PER_S);
    assert_uses(2, second);
    assert_true(rig_covered(rig));
    assert_int_equal(rig_noted(rig, -1, NOTE_REJECTED, (instant){0}), 0);
}

/* ----------------------------------------------------------- and the files */

static void one_that_starts_with_the_old_files_learns_it(void **state)
{
    (void)state;
    three(first, second);
    rig_control(rig, 1, CONTROL_REKEY, NULL);
    rig_run(rig, USEC_PER_S);
    rig_crash(rig, 2);
    rig_run(rig, USEC_PER_S);
    instant since = rig->now;
    start(2, 2, first, second);
    assert_uses(2, first);
    rig_run(rig, 2 * USEC_PER_S);
    assert_uses(2, second);
    assert_int_equal(rig_noted(rig, 2, NOTE_KEY_CHANGED, since), 1);
    assert_int_equal(rig_noted(rig, -1, NOTE_KEY_CHANGED, since), 1);
    assert_int_equal(rig_noted(rig, -1, NOTE_REJECTED, since), 0);
    assert_true(rig_covered(rig));
}

static void the_files_follow_and_the_next_roll_over_comes(void **state)
{
    (void)state;
    three(first, second);
    instant since = rig->now;
    rig_control(rig, 0, CONTROL_REKEY, NULL);
    rig_run(rig, USEC_PER_S);
    for (int i = 0; i < 3; i++) { /* one after the other: the old key is dropped */
        reload(i, second, no_key);
        rig_run(rig, USEC_PER_S);
        assert_uses(i, second);
    }
    assert_int_equal(rig_noted(rig, -1, NOTE_KEY_CHANGED, since), 3);
    for (int i = 2; i >= 0; i--) {
        assert_ready(false);
        reload(i, second, third);
        rig_run(rig, USEC_PER_S);
    }
    assert_ready(true);
    rig_control(rig, 2, CONTROL_REKEY, NULL);
    rig_run(rig, USEC_PER_S);
    for (int i = 0; i < 3; i++)
        assert_uses(i, third);
    undisturbed(since);
    rig_crash(rig, 1); /* one that comes with the files of the new key alone */
    rig_run(rig, USEC_PER_S);
    start(1, 2, third, no_key);
    rig_run(rig, 2 * USEC_PER_S);
    assert_uses(1, third);
    assert_true(rig_covered(rig));
    assert_int_equal(rig_noted(rig, -1, NOTE_REJECTED, since), 0);
}

static void what_was_said_under_the_old_key_is_over(void **state)
{
    (void)state;
    static struct rig_datagram old;
    three(first, second);
    old = rig->node[1].said[WIRE_VERSION_LAST];
    rig_control(rig, 0, CONTROL_REKEY, NULL);
    rig_run(rig, 2 * USEC_PER_S);
    rig_hand(rig, 0, old.data, old.length); /* opens, and is no news */
    assert_int_equal(rig_status(rig, 0)->rejected[REJECT_FORGED], 0);
    assert_uses(0, second);
    for (int i = 0; i < 3; i++)
        reload(i, second, no_key);
    rig_hand(rig, 0, old.data, old.length);
    assert_int_equal(rig_status(rig, 0)->rejected[REJECT_FORGED], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(either_is_accepted),
        CASE(without_a_next_key),
        CASE(any_other_is_forged),
        CASE(two_keys_of_one_id),
        CASE(all_go_over_at_once),
        CASE(two_operators_at_once),
        CASE(nobody_goes_over_unless_all_can),
        CASE(the_dead_have_no_say),
        CASE(who_was_cut_off_learns_it),
        CASE(not_while_an_old_version_is_spoken),
        CASE(one_that_starts_with_the_old_files_learns_it),
        CASE(the_files_follow_and_the_next_roll_over_comes),
        CASE(what_was_said_under_the_old_key_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
