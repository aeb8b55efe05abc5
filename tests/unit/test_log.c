/*
 * Log lines on stderr: one line each whatever the text, filtered by level, and
 * never a wait for a reader.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/log.h"

static int saved, reader;

/* Puts a pipe in the place of stderr. */
static int stderr_take(void **state)
{
    int ends[2];
    (void)state;
    saved = dup(STDERR_FILENO);
    if (saved < 0 || pipe(ends) < 0)
        return -1;
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    reader = ends[0];
    fcntl(reader, F_SETFL, O_NONBLOCK);
    unsetenv("JOURNAL_STREAM");
    return 0;
}

static int stderr_give_back(void **state)
{
    (void)state;
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(reader);
    return 0;
}

/* What was written since; "" if nothing. */
static const char *written(void)
{
    static char text[8192];
    ssize_t n = read(reader, text, sizeof text - 1);
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

static void one_line_with_level_and_subsystem(void **state)
{
    (void)state;
    log_open("prog", true, LOG_LEVEL_INFO);
    log_warn("nft", "%d rules", 7);
    const char *line = written();
    assert_non_null(strstr(line, " prog: warn nft: 7 rules\n"));
    assert_int_equal(strlen("hh:mm:ss.mmm"), strcspn(line, " "));
}

static void filters_by_level(void **state)
{
    (void)state;
    log_open("prog", true, LOG_LEVEL_INFO);
    log_debug("x", "not %s", "this");
    assert_string_equal(written(), "");
    log_info("x", "this");
    assert_string_not_equal(written(), "");
    log_open("prog", true, LOG_LEVEL_ERROR);
    log_warn("x", "not this");
    assert_string_equal(written(), "");
    log_open("prog", true, LOG_LEVEL_DEBUG);
    log_debug("x", "this");
    assert_string_not_equal(written(), "");
}

static void control_characters_make_no_line(void **state)
{
    (void)state;
    log_open("prog", true, LOG_LEVEL_INFO);
    log_info("x", "name %s", "a\nb\033[2J\177c");
    const char *line = written();
    assert_non_null(strstr(line, "name a?b?[2J?c\n"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void a_long_text_is_cut_to_one_line(void **state)
{
    char text[5000];
    (void)state;
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_open("prog", true, LOG_LEVEL_INFO);
    log_info("x", "%s", text);
    const char *line = written();
    assert_true(strlen(line) > 1000 && strlen(line) < 1200);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void the_journal_gets_priorities(void **state)
{
    struct stat s;
    char stream[64];
    (void)state;
    fstat(STDERR_FILENO, &s);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)s.st_dev,
             (unsigned long long)s.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_open("prog", true, LOG_LEVEL_INFO);
    log_error("x", "text");
    assert_string_equal(written(), "<3>x: text\n");
    setenv("JOURNAL_STREAM", "1:1", 1);
    log_open("prog", true, LOG_LEVEL_INFO);
    log_error("x", "text");
    assert_non_null(strstr(written(), "prog: error x: text\n"));
}

/* A reader that stands still costs lines, not time; their number is told. */
static void a_full_pipe_does_not_block(void **state)
{
    (void)state;
    log_open("prog", true, LOG_LEVEL_INFO);
    alarm(10); /* a blocking write would hang here */
    for (int i = 0; i < 5000; i++)
        log_info("x", "line %d of many that nobody reads", i);
    alarm(0);
    while (written()[0] != '\0')
        continue;
    log_info("x", "after");
    assert_non_null(strstr(written(), "x: after ("));
    log_info("x", "later");
    assert_null(strstr(written(), "lost"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, stderr_take, stderr_give_back)
        TEST(one_line_with_level_and_subsystem), TEST(filters_by_level),
        TEST(control_characters_make_no_line),   TEST(a_long_text_is_cut_to_one_line),
        TEST(the_journal_gets_priorities),       TEST(a_full_pipe_does_not_block),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
