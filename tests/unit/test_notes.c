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

static const char *text_of(enum note_kind kind, const char *member, int64_t number, int64_t other)
{
    static char text[256];
    struct note n = {.kind = kind, .number = number, .other = other};
    snprintf(n.member, sizeof n.member, "%s", member);
    note_text(&n, text, sizeof text);
    return text;
}

static void every_kind_has_a_sentence(void **state)
{
    (void)state;
    for (int kind = 0; kind < NOTE_MAX; kind++) {
        const char *text = text_of((enum note_kind)kind, "web2", 1, 2);
        assert_true(strlen(text) > 5);
        assert_null(strpbrk(text, "{}"));
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
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(text_of(rows[i].kind, rows[i].member, rows[i].number, rows[i].other),
                            rows[i].text);
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
    assert_int_equal(lines_of(d, (struct note){.kind = NOTE_REJECTED, .number = REJECT_FORGED}, 20),
                     1);
    assert_int_equal(lines_of(d, (struct note){.kind = NOTE_REJECTED, .number = REJECT_FORGED}, 20),
                     0);
    assert_int_equal(
        lines_of(d, (struct note){.kind = NOTE_REJECTED, .number = REJECT_REPLAYED}, 20), 1);
    assert_int_equal(lines_of(d, (struct note){.kind = NOTE_TAKEOVER, .number = 1}, 20), 20);
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
        cmocka_unit_test(a_short_buffer_cuts_the_sentence),
        cmocka_unit_test(what_repeats_is_told_once),
        cmocka_unit_test(the_last_thousand_are_kept),
    };
    return cmocka_run_group_tests_name("notes", tests, NULL, NULL);
}
