/*
 * What clusterctl says of the members' standing: who hears whom, held members,
 * the quorum, keys, strangers; and the commands that go with them.
 */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "clusterctl_run.h"
#include "io/log.h"

static void assert_says_not(const char *text, const char *word)
{
    if (strstr(text, word) != NULL)
        fail_msg("\"%s\" is in:\n%s", word, text);
}

/* A cluster of `count` that live, called node1... */
static void members_make(size_t count)
{
    struct status *s = &canned->status;

    s->members = count;
    for (size_t i = 0; i < count; i++) {
        struct status_member *m = &s->member[i];
        *m = (struct status_member){.healthy = true, .weight = 100, .version = 2, .self = i == 0};
        snprintf(m->name, NAME_BYTES_MAX, "node%zu", i + 1);
    }
    snprintf(s->node, NAME_BYTES_MAX, "node1");
    memset(s->rejected, 0, sizeof s->rejected);
    for (unsigned b = 0; b < s->buckets; b++)
        s->bucket[b].home = s->bucket[b].owner;
}

/* ------------------------------------------------------------------- members */

static void test_the_matrix(void **state)
{
    (void)state;
    assert_int_equal(run("members"), 0);
    assert_says_not(output, "Who hears whom");
    assert_int_equal(run("members --matrix"), 0);
    assert_says(output, "Who hears whom: a row hears (.) the columns, or does not (X).\n"
                        "                  1  2\n"
                        " 1 web1           -  .\n"
                        " 2 web2           .  -\n");
    members_make(3);
    bitmap_set(&canned->status.deaf[0], 2);
    bitmap_set(&canned->status.deaf[2], 1);
    assert_int_equal(run("members"), 0);
    assert_says(output, "                  1  2  3\n"
                        " 1 node1          -  .  X\n"
                        " 2 node2          .  -  .\n"
                        " 3 node3          .  X  -\n");
    assert_int_equal(run_on_terminal("members", 80, NULL), 0);
    assert_says(output, "\033[31mX\033[0m");
}

static void test_the_matrix_of_64(void **state)
{
    char row[96], cells[65];

    (void)state;
    members_make(64);
    bitmap_set(&canned->status.deaf[63], 0);
    snprintf(canned->status.member[1].name, NAME_BYTES_MAX, "a-long-name.of-a-node.example.org");
    assert_int_equal(run("members"), 0);
    assert_true(widest(output) <= 80);
    assert_says(output, "1111111111222222222233333333334444444444555555555566666\n");
    assert_says(output,
                "                12345678901234567890123456789012345678901234567890123456789"
                "01234\n");
    memset(cells, '.', 64);
    cells[64] = '\0';
    cells[0] = 'X';
    cells[63] = '-';
    snprintf(row, sizeof row, "\n64 node64       %s\n", cells);
    assert_says(output, row);
    assert_says(output, "\n 2 a-lon~le.org ");
}

static void test_the_matrix_of_256(void **state)
{
    (void)state;
    members_make(256);
    bitmap_set(&canned->status.deaf[255], 254);
    assert_int_equal(run("members"), 0);
    assert_true(widest(output) <= 80);
    assert_says(output, "\n256 node256     "); /* in four blocks, of which the last ends in: */
    assert_says(output, "..............................X-\n");
}

static void test_the_standing(void **state)
{
    struct status_member *m = &canned->status.member[1];

    (void)state;
    m->state = MEMBER_HELD;
    m->draining = false;
    m->hold_left = 250 * USEC_PER_S;
    m->penalty = 3900;
    m->clock_ms = -7300;
    m->voter = true;
    m->version = 0;
    m->key_next = 0x1234567890abcdef;
    assert_int_equal(run("members"), 0);
    assert_says(output, "MEMBER  VOTER  PROTOCOL  CLOCK  PENALTY  HELD FOR  NEXT KEY\n");
    assert_says(output, "web1    -             2    0ms        0         -  -\n");
    assert_says(output, "web2    yes           -  -7.3s     3900     4m10s  12345678\n");
    assert_true(widest(output) <= 80);
    m->clock_ms = INT64_MIN;
    m->hold_left = INT64_MAX;
    assert_int_equal(run("members"), 0);
    assert_true(widest(output) <= 80);
}

/* -------------------------------------------------------------------- status */

static void quorum_set(size_t heard, size_t voters, bool have)
{
    struct status *s = &canned->status;

    s->quorum.policy = QUORUM_MAJORITY;
    s->quorum.voters = voters;
    s->quorum.heard = heard;
    s->quorum.have = have;
    for (size_t i = 0; i < s->members; i++)
        s->member[i].voter = voters > 0;
}

static void test_status_of_the_quorum(void **state)
{
    (void)state;
    members_make(3);
    assert_int_equal(run("status"), 0);
    assert_says(output, "\nquorum none; timers 52us late, at most 1.2ms\n");
    assert_says(output, "All is well: 3 members alive");

    quorum_set(3, 3, true);
    assert_int_equal(run("status"), 0);
    assert_says(output, "quorum majority: yes, 3 of 3 voters heard, 2 needed");
    assert_says(output, "All is well");
    quorum_set(2, 2, true); /* nobody is missing */
    assert_int_equal(run("status"), 0);
    assert_says(output, "All is well");

    quorum_set(2, 3, true);
    assert_int_equal(run("status"), 0);
    assert_says(output, "- 2 of 3 voters are heard, just a majority");

    quorum_set(1, 3, false);
    assert_int_equal(run("status"), 0);
    assert_says(output, "quorum majority: no, 1 of 3 voters heard, 2 needed");
    assert_says(output, "! There is no majority here: 1 of 3 voters are heard, 2 are needed.");
    assert_int_equal(run_on_terminal("status", 80, NULL), 0);
    assert_says(output, "\033[31mquorum majority: no");

    quorum_set(0, 0, false);
    assert_int_equal(run("status"), 0);
    assert_says(output, "quorum majority: not founded yet");
    assert_says(output, "- The cluster is not founded yet");

    quorum_set(3, 3, true);
    canned->status.member[2].voter = false;
    assert_int_equal(run("status"), 0);
    assert_says(output, "- Not among the voters yet, and serving nobody: node3.");
}

static void test_status_of_the_witness(void **state)
{
    (void)state;
    canned->config.witness = (struct address){.family = FAMILY_IP4, .byte = {192, 0, 2, 254}};
    assert_int_equal(run("status"), 0);
    assert_says(output, "quorum none; witness 192.0.2.254 answers; timers");
    canned->status.witness_answers = false;
    assert_int_equal(run("status"), 0);
    assert_says(output, "witness 192.0.2.254 is silent;");
    assert_says(output, "! The witness 192.0.2.254 does not answer.");
}

static void test_status_of_held_members(void **state)
{
    struct status *s = &canned->status;

    (void)state;
    members_make(3);
    s->member[1].state = MEMBER_HELD;
    s->member[1].hold_left = 250 * USEC_PER_S;
    s->member[1].penalty = 3900;
    assert_int_equal(run("status"), 0);
    assert_says(output, "! node2 is held for 4m10s: it died too often lately (penalty 3900)");
    assert_says(output, "clusterctl release node2");
    s->state = NODE_HELD;
    s->member[0].state = MEMBER_HELD;
    assert_int_equal(run("status"), 0);
    assert_says(output, "! node1 is held for 0ms: it died too often lately");
}

static void test_status_of_deafness(void **state)
{
    struct status *s = &canned->status;

    (void)state;
    members_make(4);
    s->member[3].state = MEMBER_SUSPECT;
    s->member[3].last_heard = 2 * USEC_PER_S;
    bitmap_set(&s->deaf[0], 3);
    assert_int_equal(run("status"), 0);
    assert_says(output, "! node4 is suspect: it lives, this node last heard it 2.0s ago; heard by "
                        "node2\n  and node3.");
    assert_says(output, "The way from node4 to node1 is broken, and only that way");
    assert_says_not(output, "does not hear");
    bitmap_set(&s->deaf[3], 0);
    bitmap_set(&s->deaf[1], 2);
    assert_int_equal(run("status"), 0);
    assert_says(output, "The way between node4 and node1 is broken: check");
    assert_says(output, "! node2 does not hear node3, though both live.");
    assert_says(output, "! node4 does not hear node1, though both live.");
    for (unsigned row = 0; row < 3; row++)
        bitmap_set(&s->deaf[row], 3);
    assert_int_equal(run("status"), 0);
    assert_says(output, "! node4 is suspect: nobody is known to have heard it for 2.0s.");
}

static void test_status_of_deafness_is_cut(void **state)
{
    struct status *s = &canned->status;

    (void)state;
    members_make(40);
    for (unsigned row = 1; row < 40; row++)
        for (unsigned column = 0; column < 20; column++)
            bitmap_assign(&s->deaf[row], column, column != row);
    assert_int_equal(run("status"), 0);
    assert_says(output, "! node9 does not hear node1, node2, node3, node4, node5, node6 and 13 "
                        "more,\n  though both live.");
    assert_says_not(output, "! node10 does not hear");
    assert_says(output, "! 31 more members do not hear all others.");
    assert_true(widest(output) <= 80);
}

static void test_status_of_disagreements(void **state)
{
    struct status *s = &canned->status;

    (void)state;
    members_make(3);
    s->strangers = 2;
    snprintf(s->stranger[0].name, NAME_BYTES_MAX, "web8");
    s->stranger[0].parts = 1u << PART_TIMING | 1u << PART_VIPS;
    snprintf(s->stranger[1].name, NAME_BYTES_MAX, "web9");
    s->member[1].clock_ms = 5000;
    s->member[2].clock_ms = -4999;
    s->member[2].version = 1;
    s->patience = 120 * USEC_PER_MS;
    s->wakeup.worst = 145 * USEC_PER_MS;
    assert_int_equal(run("status"), 0);
    assert_says(output, "! web8 has another configuration, so it is no member here. What differs: "
                        "timing\n  and vips.");
    assert_says(output, "! web9 has another configuration, so it is no member here. What differs: "
                        "it does\n  not tell.");
    assert_says(output, "- The clock of node2 is 5.0s ahead of this node's.");
    assert_says_not(output, "clock of node3");
    assert_says(output, "- An older version of the protocol is spoken by node3.");
    assert_says(output, "late, at most 145.0ms; patience +120ms\n");
    assert_says(output, "- This node's timers run late, by 145ms at the worst");
    assert_says_not(output, "list of VIPs");
    s->member[1].parts = s->member[2].parts = 1u << PART_VIPS;
    assert_int_equal(run("status"), 0);
    assert_says(output, "- Another list of VIPs than this node's: node2 and node3.");
}

static void test_status_of_a_roll_over(void **state)
{
    struct status *s = &canned->status;

    (void)state;
    members_make(3);
    s->member[0].key_next = s->key_next = s->member[1].key_next = 0x1234567890abcdef;
    s->member[2].key_next = 7;
    assert_int_equal(run("status"), 0);
    assert_says(output, "- A change of the key waits: the next key, 12345678, is not with node3.");
    s->member[2].key_next = s->key_next;
    s->rekey_ready = true;
    assert_int_equal(run("status"), 0);
    assert_says(output, "- Every member has the next key, 12345678, beside the one in use.");
    assert_says(output, "clusterctl rekey");
    s->key = s->key_next;
    s->rekey_ready = false;
    assert_int_equal(run("status"), 0);
    assert_says(output, "- The members use the next key, 12345678.");
}

/* -------------------------------------------------------------------- events */

static void test_events(void **state)
{
    json_t *json;

    (void)state;
    assert_int_equal(run("events"), 0);
    assert_string_equal(output, "2001-09-09T01:46:41.045Z  event number 1\n"
                                "2001-09-09T01:46:42.045Z  event number 2\n"
                                "2001-09-09T01:46:43.045Z  event number 3\n");
    assert_int_equal(run("events -n 1"), 0);
    assert_string_equal(output, "2001-09-09T01:46:43.045Z  event number 3\n");
    assert_int_equal(run("-n 0 events"), 0);
    assert_string_equal(output, "");
    assert_int_equal(run("events --lines 1000"), 0);
    assert_says(output, "event number 1\n");
    canned->events = 20;
    assert_int_equal(run_on_terminal("events", 80, NULL), 0);
    assert_says(output, "\033[31mevent number 10\033[0m");
    assert_int_equal(run("-j events -n 2"), 0);
    json = json_loads(output, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(json, "events")), 2);
    assert_int_equal(json_integer_value(json_object_get(json, "last")), 20);
    json_decref(json);
}

/* Follows until the daemon is gone: its process ends by itself. */
static void follow(const char *line)
{
    canned->events_in = 3; /* one comes with the third look */
    canned->dies_in = 5;
    assert_int_equal(run(line), 3);
    assert_says(complaint, "clusterctl: ");
}

static void test_events_are_followed(void **state)
{
    (void)state;
    canned->events = 12;
    follow("events -f");
    assert_says_not(output, "event number 2\n");
    assert_says(output, "event number 3\n");
    assert_says(output, "event number 12\n2001-09-09T01:46:53.045Z  event number 13\n");
    assert_ptr_equal(strstr(strstr(output, "number 13") + 1, "number 13"), NULL);
}

static void test_events_are_followed_as_json(void **state)
{
    json_t *json;

    (void)state;
    follow("-j events -f -n 0");
    json = json_loads(output, 0, NULL); /* one line */
    assert_int_equal(json_integer_value(json_object_get(json, "id")), 4);
    json_decref(json);
}

static void test_a_daemon_that_was_started_anew(void **state)
{
    (void)state;
    canned->events = 500;
    canned->anew_in = 2; /* its list begins again, with 1 and 2 */
    canned->dies_in = 6;
    assert_int_equal(run("events -f -n 0"), 3);
    assert_string_equal(output, "2001-09-09T01:46:41.045Z  event number 1\n"
                                "2001-09-09T01:46:42.045Z  event number 2\n");
}

/* ------------------------------------------------------------------- changes */

static void test_changes(void **state)
{
    (void)state;
    assert_int_equal(run("release web2"), 0);
    assert_string_equal(canned->asked, "release web2");
    assert_string_equal(output, "web2 is let in again\n");
    assert_int_equal(run("rekey"), 0);
    assert_string_equal(canned->asked, "rekey (self)");
    assert_says(output, "the members change to the next key");
    assert_true(widest(output) <= 80);
    canned->result = -EBUSY;
    canned->why = "web2 has no key_file_next, web3 has another next key";
    assert_fails("rekey", 1, "web2 has no key_file_next, web3 has another next key");
    canned->result = -EALREADY;
    canned->why = "web2 is not held";
    assert_fails("release web2", 1, "web2 is not held");
}

static void test_a_majority_forgets(void **state)
{
    json_t *json;

    (void)state;
    canned->result = CTL_PENDING;
    canned->forgets_in = 3;
    assert_int_equal(run("forget web3"), 0);
    assert_string_equal(output, "web3 is off the roster\n");
    assert_true(canned->views >= 3);

    canned->status.members = 3;
    canned->forgets_in = 1;
    assert_int_equal(run("-j forget web3"), 0);
    json = json_loads(output, 0, NULL);
    assert_true(json_is_true(json_object_get(json, "ok")));
    assert_null(json_object_get(json, "pending"));
    json_decref(json);
}

static void test_a_majority_does_not_forget(void **state)
{
    (void)state;
    canned->result = CTL_PENDING;
    canned->events = 4;
    canned->events_in = 3;
    canned->refused = 5;
    assert_fails("forget web3", 1,
                 "web3 stays on the roster: no majority of the voters decided it in time");
    assert_int_equal(canned->status.members, 3);
    /* Of another node, or from before, it is no refusal of this. */
    canned->forgets_in = 4;
    assert_int_equal(run("forget web3"), 0);
}

static void test_nobody_decides(void **state)
{
    (void)state;
    canned->result = CTL_PENDING;
    assert_fails("forget web3 --timeout 300ms", 1, "web3 off the roster yet (waited 300ms)");
}

static void test_misused(void **state)
{
    static const char *const lines[] = {
        "release",
        "release a b",
        "rekey now",
        "events -n",
        "events -n -1",
        "events -n 1001",
        "events -n 1x",
        "events now",
        "status -f",
        "status -n 3",
        "status --matrix",
        "members --matrix=1",
        "members --follow",
        "forget web3 --wait",
        "forget web3 --timeout 1",
        "release web3 --timeout 1s",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int code = run(lines[i]);
        if (code != 2)
            fail_msg("\"%s\" ends with %d", lines[i], code);
        assert_says(complaint, "usage: clusterctl");
        assert_string_equal(output, "");
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_the_matrix),
        CASE(test_the_matrix_of_64),
        CASE(test_the_matrix_of_256),
        CASE(test_the_standing),
        CASE(test_status_of_the_quorum),
        CASE(test_status_of_the_witness),
        CASE(test_status_of_held_members),
        CASE(test_status_of_deafness),
        CASE(test_status_of_deafness_is_cut),
        CASE(test_status_of_disagreements),
        CASE(test_status_of_a_roll_over),
        CASE(test_events),
        CASE(test_events_are_followed),
        CASE(test_events_are_followed_as_json),
        CASE(test_a_daemon_that_was_started_anew),
        CASE(test_changes),
        CASE(test_a_majority_forgets),
        CASE(test_a_majority_does_not_forget),
        CASE(test_nobody_decides),
        CASE(test_misused),
    };

    log_open("test_clusterctl_members", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
