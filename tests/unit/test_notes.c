/*
 * Notes as sentences: every kind has one, with its numbers in it, and what
 * repeats is told once.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon_private.h"
#include "ipclusterd/voters.h"

static const char *text_of(enum note_kind kind, const char *member, int64_t number, int64_t other)
{
    static char text[512];
    struct note n = {.kind = kind, .number = number, .other = other};
    snprintf(n.member, sizeof n.member, "%s", member);
    note_text(&n, text, sizeof text);
    return text;
}

static void every_kind_has_a_sentence(void **state)
{
    (void)state;
    for (int kind = 0; kind < NOTE_MAX; kind++) {
        const struct note n = {.kind = (enum note_kind)kind};
        for (int number = 0; number < 2; number++) {
            for (int named = 0; named < 2; named++) {
                const char *text = text_of(n.kind, named ? "web2" : "", number, 2);
                assert_true(strlen(text) > 5);
                assert_null(strpbrk(text, "{}"));
            }
        }
        assert_true(strlen(note_name(&n)) > 3);
        assert_int_equal(strspn(note_name(&n), "abcdefghijklmnopqrstuvwxyz_"),
                         strlen(note_name(&n)));
        for (int other = 0; other < kind; other++)
            assert_string_not_equal(note_name(&n),
                                    note_name(&(struct note){.kind = (enum note_kind)other}));
    }
}

static void numbers_stand_where_they_belong(void **state)
{
    static const struct {
        enum note_kind kind;
        const char *member;
        int64_t number, other;
        const char *text;
    } rows[] = {
        {NOTE_STARTED, "", 7, 0, "started as incarnation 7"},
        {NOTE_STATE, "", NODE_SERVING, NODE_JOINING, "this node is serving (was joining)"},
        {NOTE_STATE, "", 99, -1, "this node is 99 (was -1)"},
        {NOTE_MEMBER_DEAD, "web2", 400000, 0, "web2 is dead: nobody has heard it for 400 ms"},
        {NOTE_MEMBER_DEAD, "web2", 60000000, 0, "web2 is dead: nobody has heard it for 60 s"},
        {NOTE_MEMBER_DRAINING, "web2", 1, 0, "web2 drains"},
        {NOTE_MEMBER_DRAINING, "", 0, 0, "this node drains no longer"},
        {NOTE_VIEW, "", -1, 3, "view ffffffffffffffff: 3 members alive"},
        {NOTE_TAKEOVER, "web2", 86, 0, "took over 86 buckets of web2"},
        {NOTE_HANDOVER, "", 43, 12, "hand-over: 43 buckets claimed, 12 released"},
        {NOTE_APPLY_FAILED, "", -12, 4,
         "the kernel did not take the rules: Cannot allocate memory (4 in a row); trying again"},
        {NOTE_CONFIG_MISMATCH, "web9", 1 << PART_TIMING | 1 << PART_FLAP, 0,
         "web9 has another configuration, so it is no member here; what differs: "
         "heartbeat.dead_after or lease; flap: make it equal on all nodes"},
        {NOTE_CONFIG_MISMATCH, "web9", 0, 0,
         "web9 has another configuration, so it is no member here, and does not tell what differs: "
         "make buckets, vips, dead_after, lease, quorum and flap equal on all nodes"},
        {NOTE_NAME_CONFLICT, "web2", 0, 0,
         "two nodes are called web2: give each a node.name of its own"},
        {NOTE_NAME_CONFLICT, "", 0, 0,
         "another node has our name: give each a node.name of its own"},
        {NOTE_MEMBER_HEARD, "web2", 1500000, 0, "web2 is heard by this node again, after 1500 ms"},
        {NOTE_MEMBER_HELD, "web2", 3900, 250000000,
         "web2 is held for 250 s, since it died too often (penalty 3900): it owns nothing. Find "
         "out why it dies; `clusterctl release web2` lets it in now"},
        {NOTE_MEMBER_RELEASED, "web2", 999, 0, "web2 is let in again (penalty 999)"},
        {NOTE_QUORUM, "", 1, 2, "a majority of the voters is heard: 2 of them"},
        {NOTE_QUORUM, "", 0, 1,
         "no majority: only 1 voters are heard, so this node lets in no new flows. Bring the "
         "others back, or mend the network to them"},
        {NOTE_VOTERS, "web4", 7, 4, "the voters are 4 now, in version 7: web4 came or went"},
        {NOTE_VOTERS, "", 1, 3, "the voters are 3 now, in version 1"},
        {NOTE_VOTERS_REFUSED, "web3", CHANGE_REMOVE, 0,
         "web3 was not forgotten: no majority of the voters decided it in time; see in "
         "`clusterctl status` who is missing, and try again"},
        {NOTE_KEY_CHANGED, "", 0x0123456789abcdef, 0,
         "heartbeats are sealed with the key 0123456789abcdef from now on"},
        {NOTE_CLOCK, "web2", 7300, 0,
         "the clock of web2 is 7300 ms ahead of this node's: heartbeats do not mind, logs do; "
         "check the time service of both"},
        {NOTE_CLOCK, "web2", -86400000, 0,
         "the clock of web2 is 86400 s behind this node's: heartbeats do not mind, logs do; "
         "check the time service of both"},
        {NOTE_VERSION, "web2", 1, 0,
         "web2 speaks version 1 of the protocol: everything is told in both versions until it is "
         "upgraded"},
        {NOTE_VERSION, "", 0, 0, "all members speak this version of the protocol again"},
        {NOTE_WITNESS, "", 1, 0, "the witness answers"},
        {NOTE_WITNESS, "", 0, 0,
         "the witness does not answer: without other nodes this one would not serve"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(text_of(rows[i].kind, rows[i].member, rows[i].number, rows[i].other),
                            rows[i].text);
}

/* Others fill these in: whatever it is, it is told. */
static void numbers_may_be_anything(void **state)
{
    static const int64_t numbers[] = {INT64_MIN, -1, 0, 255, 1 << PART_MAX, INT64_MAX};
    char longest[NAME_BYTES_MAX + 1];
    (void)state;
    memset(longest, 'n', NAME_BYTES_MAX);
    longest[NAME_BYTES_MAX] = '\0';
    for (int kind = 0; kind < NOTE_MAX; kind++)
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            assert_in_range(strlen(text_of((enum note_kind)kind, longest, numbers[i], numbers[i])),
                            5, 400);
}

static void levels_follow_what_happened(void **state)
{
    static const struct {
        struct note note;
        enum log_level level;
    } rows[] = {
        {{.kind = NOTE_QUORUM, .number = 1}, LOG_LEVEL_INFO},
        {{.kind = NOTE_QUORUM, .number = 0}, LOG_LEVEL_ERROR},
        {{.kind = NOTE_WITNESS, .number = 1}, LOG_LEVEL_INFO},
        {{.kind = NOTE_WITNESS, .number = 0}, LOG_LEVEL_WARN},
        {{.kind = NOTE_VERSION, .number = 1}, LOG_LEVEL_WARN},
        {{.kind = NOTE_VERSION, .number = 0}, LOG_LEVEL_INFO},
        {{.kind = NOTE_STARTED}, LOG_LEVEL_INFO},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(note_level(&rows[i].note), rows[i].level);
}

static void a_short_buffer_cuts_the_sentence(void **state)
{
    char text[12];
    struct note n = {.kind = NOTE_TAKEOVER, .number = 86, .member = "web2"};
    (void)state;
    note_text(&n, text, sizeof text);
    assert_string_equal(text, "took over 8");
}

/* How many lines `count` notes of that kind make. */
static unsigned lines_of(struct daemon *d, struct note n, unsigned count)
{
    char text[8192];
    unsigned lines = 0;
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    dup2(ends[1], STDERR_FILENO);
    for (unsigned i = 1; i <= count; i++) {
        n.other = i;
        daemon_note(d, &n);
    }
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t length = read(ends[0], text, sizeof text);
    for (ssize_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    close(ends[0]);
    close(ends[1]);
    return lines;
}

static void what_repeats_is_told_once(void **state)
{
    struct daemon *d = calloc(1, sizeof *d);
    (void)state;
    assert_non_null(d);
    unsetenv("NOTIFY_SOCKET");
    log_open("test", true, LOG_LEVEL_INFO);
    assert_int_equal(lines_of(d, (struct note){.kind = NOTE_APPLY_FAILED, .number = 12}, 20), 1);
    assert_int_equal(lines_of(d, (struct note){.kind = NOTE_APPLY_FAILED, .number = 12}, 20), 1);
    assert_int_equal(lines_of(d, (struct note){.kind = NOTE_TAKEOVER, .number = 1}, 20), 20);
    free(d);
}

/* As if the last line about strangers, and about any rejection, were so long ago. */
static void pause_pass(struct daemon *d, usec strangers, usec rejections)
{
    if (d->strangers_told.us != 0)
        d->strangers_told = instant_add(d->strangers_told, -strangers);
    for (size_t i = 0; i < REJECT_MAX; i++)
        if (d->rejected_told[i].us != 0)
            d->rejected_told[i] = instant_add(d->rejected_told[i], -rejections);
}

static void strangers_make_a_line_a_second(void **state)
{
    const struct note forged = {.kind = NOTE_REJECTED, .number = REJECT_FORGED};
    const struct note replayed = {.kind = NOTE_REJECTED, .number = REJECT_REPLAYED};
    const struct note mismatch = {.kind = NOTE_CONFIG_MISMATCH, .member = "web9"};
    struct daemon *d = calloc(1, sizeof *d);
    (void)state;
    assert_non_null(d);
    log_open("test", true, LOG_LEVEL_INFO);
    assert_int_equal(lines_of(d, forged, 20), 1);
    assert_int_equal(lines_of(d, replayed, 20), 0);
    assert_int_equal(lines_of(d, mismatch, 20), 0);
    assert_int_equal(lines_of(d, (struct note){.kind = NOTE_NAME_CONFLICT}, 20), 0);
    assert_int_equal(lines_of(d, (struct note){.kind = NOTE_ROSTER_FULL}, 20), 0);
    assert_int_equal(d->events_seen, 1); /* nor do they push others off the list */
    assert_int_equal(lines_of(d, (struct note){.kind = NOTE_TAKEOVER}, 20), 20);

    /* The next second belongs to another reason, the next minute to the same. */
    pause_pass(d, USEC_PER_S, USEC_PER_S);
    assert_int_equal(lines_of(d, forged, 20), 0);
    assert_int_equal(lines_of(d, replayed, 20), 1);
    pause_pass(d, USEC_PER_S, USEC_PER_S);
    assert_int_equal(lines_of(d, mismatch, 20), 1);
    pause_pass(d, USEC_PER_S, 60 * USEC_PER_S);
    assert_int_equal(lines_of(d, forged, 20), 1);
    assert_int_equal(lines_of(d, replayed, 20), 0);
    free(d);
}

static void the_last_thousand_are_kept(void **state)
{
    struct daemon *d = calloc(1, sizeof *d);
    (void)state;
    assert_non_null(d);
    log_open("test", true, LOG_LEVEL_ERROR);
    for (int i = 0; i < EVENTS_KEPT + 5; i++)
        daemon_note(d, &(struct note){.kind = NOTE_TAKEOVER, .number = i});
    assert_int_equal(d->events_seen, EVENTS_KEPT + 5);
    assert_int_equal(d->events[4].note.number, EVENTS_KEPT + 4);
    assert_int_equal(d->events[5].note.number, 5);
    assert_true(d->events[5].wall > 0);
    free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_a_sentence),
        cmocka_unit_test(numbers_stand_where_they_belong),
        cmocka_unit_test(numbers_may_be_anything),
        cmocka_unit_test(levels_follow_what_happened),
        cmocka_unit_test(a_short_buffer_cuts_the_sentence),
        cmocka_unit_test(what_repeats_is_told_once),
        cmocka_unit_test(strangers_make_a_line_a_second),
        cmocka_unit_test(the_last_thousand_are_kept),
    };
    return cmocka_run_group_tests_name("notes", tests, NULL, NULL);
}
