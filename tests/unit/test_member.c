/*
 * One member: the stream of its heartbeats, its facts, verdicts on it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/assign.h"
#include "ipclusterd/member.h"

static struct member m;

static int set_up(void **state)
{
    (void)state;
    member_init(&m, "web", "web1");
    return 0;
}

/* On the roster, in its first life. */
static void live(void)
{
    m.incarnation = 1;
}

static void begins_unknown(void **state)
{
    (void)state;
    assert_string_equal(m.name, "web1");
    assert_int_equal(m.id, member_id("web1"));
    assert_true(m.hash == assign_hash("web", "web1"));
    assert_false(member_alive(&m));
    assert_int_equal(member_standing(&m), STANDING_FORGOTTEN);
    assert_int_equal(m.heard.us, INSTANT_PAST.us);
}

static void a_stranger_is_not_alive(void **state)
{
    (void)state;
    live();
    assert_true(member_alive(&m));
    m.stranger = true;
    assert_false(member_alive(&m));
}

static void stream_in_order(void **state)
{
    (void)state;
    member_reboot(&m, 7, 10);
    assert_int_equal(member_stream(&m, 10), STREAM_DUPLICATE);
    assert_int_equal(member_stream(&m, 11), STREAM_NEW);
    assert_int_equal(member_stream(&m, 11), STREAM_DUPLICATE);
    assert_int_equal(member_stream(&m, 14), STREAM_NEW);
    assert_int_equal(m.sequence, 14);
    assert_int_equal(m.window, 0x19); /* 14, 11 and 10 */
}

static void overtaken_is_filed_but_not_taken(void **state)
{
    (void)state;
    member_reboot(&m, 7, 10);
    assert_int_equal(member_stream(&m, 14), STREAM_NEW);
    assert_int_equal(member_stream(&m, 12), STREAM_DUPLICATE);
    assert_int_equal(m.window, 0x15); /* 14, 12 and 10 */
    assert_int_equal(m.sequence, 14);
}

static void the_window_has_64_places(void **state)
{
    (void)state;
    member_reboot(&m, 7, 100);
    assert_int_equal(member_stream(&m, 163), STREAM_NEW);
    assert_int_equal(member_stream(&m, 100), STREAM_DUPLICATE); /* its last place */
    assert_true(m.window == (UINT64_C(1) << 63 | 1));
    assert_int_equal(member_stream(&m, 99), STREAM_OLD);
    assert_int_equal(member_stream(&m, 164), STREAM_NEW);
    assert_int_equal(member_stream(&m, 100), STREAM_OLD);
    assert_int_equal(member_stream(&m, 164 + 64), STREAM_NEW); /* nothing of it is left */
    assert_int_equal(m.window, 1);
    assert_int_equal(member_stream(&m, UINT32_MAX), STREAM_NEW);
    assert_int_equal(member_stream(&m, 0), STREAM_OLD);
}

static void loss_is_the_share_of_gaps(void **state)
{
    (void)state;
    member_reboot(&m, 7, 0);
    for (uint32_t s = 1; s <= 200; s++)
        member_stream(&m, s);
    assert_true(m.loss == 0);
    for (uint32_t s = 202; s <= 800; s += 2) /* every other one */
        member_stream(&m, s);
    assert_true(m.loss > 0.45 && m.loss < 0.55);
    member_stream(&m, 10000); /* a gap so long says all */
    assert_true(m.loss > 0.99 && m.loss <= 1);
    member_reboot(&m, 8, 0);
    assert_true(m.loss == 0);
}

static void a_reboot_forgets_its_word(void **state)
{
    (void)state;
    live();
    m.acked = 9;
    m.view = 8;
    m.said = 0;
    member_reboot(&m, 5, 6);
    assert_int_equal(m.salt, 5);
    assert_int_equal(m.sequence, 6);
    assert_int_equal(m.acked, 0);
    assert_int_equal(m.view, 0);
    assert_int_equal(m.said, HEARTBEAT_JOINING);
    assert_true(member_alive(&m)); /* no verdict is meant */
}

static void facts_go_by_incarnation(void **state)
{
    (void)state;
    assert_true(member_facts(&m, 3, HEARTBEAT_DRAINING, 50));
    assert_int_equal(m.incarnation, 3);
    assert_int_equal(m.flags, HEARTBEAT_DRAINING);
    assert_int_equal(m.weight, 50);
    assert_true(m.tell > 0);
    m.tell = 0;
    assert_false(member_facts(&m, 2, 0, 100));                 /* older */
    assert_false(member_facts(&m, 3, HEARTBEAT_DRAINING, 50)); /* known */
    assert_int_equal(m.tell, 0);
    assert_int_equal(m.weight, 50);
    assert_true(member_facts(&m, 4, HEARTBEAT_DRAINING, 50)); /* newer, though the same */
    assert_int_equal(m.incarnation, 4);
}

static void only_facts_are_facts(void **state)
{
    (void)state;
    assert_true(member_facts(&m, 1, HEARTBEAT_KNOWN, 1));
    assert_int_equal(m.flags, HEARTBEAT_FACTS);
    assert_false(member_facts(&m, 1, HEARTBEAT_FACTS | HEARTBEAT_ASKING, 1));
}

static void a_verdict_is_on_an_incarnation(void **state)
{
    (void)state;
    member_facts(&m, 4, 0, 100);
    assert_true(member_alive(&m));
    m.suspect = true;
    m.acked = 9;
    m.view = 8;
    member_fall(&m, STANDING_DEAD, (instant){77});
    assert_false(member_alive(&m));
    assert_int_equal(member_standing(&m), STANDING_DEAD);
    assert_int_equal(m.fallen, 4);
    assert_int_equal(m.accused, 4);
    assert_int_equal(m.since.us, 77);
    assert_false(m.suspect);
    assert_int_equal(m.acked, 0);
    assert_int_equal(m.view, 0);
    assert_true(member_facts(&m, 5, 0, 100)); /* the refutation */
    assert_true(member_alive(&m));
    assert_int_equal(member_standing(&m), STANDING_ALIVE);
    m.accused = 9; /* somebody knew of more */
    member_fall(&m, STANDING_LEFT, (instant){78});
    assert_int_equal(m.accused, 9);
    assert_int_equal(member_standing(&m), STANDING_LEFT);
}

static void whom_it_does_not_hear(void **state)
{
    (void)state;
    static const uint32_t ids[] = {3, 64, 67, 1000};
    static const uint32_t others[] = {0, 1, 4, 131, 1064}; /* three share a mark with one */
    member_deaf_take(&m, ids, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(member_deaf_to(&m, ids[i]) && (m.deaf_marks & member_mark(ids[i])) != 0);
    for (size_t i = 0; i < 5; i++)
        assert_false(member_deaf_to(&m, others[i]));
    member_deaf_take(&m, ids, 1);
    assert_true(member_deaf_to(&m, 3));
    assert_false(member_deaf_to(&m, 67));
    live();
    member_fall(&m, STANDING_DEAD, (instant){1});
    assert_false(member_deaf_to(&m, 3));
    assert_true(m.deaf_marks == 0);
    member_deaf_take(&m, ids, 4);
    member_reboot(&m, 7, 10);
    assert_true(m.deafs == 0 && m.deaf_marks == 0);
}

#define CASE(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(begins_unknown),
        CASE(a_stranger_is_not_alive),
        CASE(stream_in_order),
        CASE(overtaken_is_filed_but_not_taken),
        CASE(the_window_has_64_places),
        CASE(loss_is_the_share_of_gaps),
        CASE(a_reboot_forgets_its_word),
        CASE(facts_go_by_incarnation),
        CASE(only_facts_are_facts),
        CASE(a_verdict_is_on_an_incarnation),
        CASE(whom_it_does_not_hear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
