/*
 * The service manager's protocol, with a socket of our own as the manager.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/notify.h"

static int manager = -1;
static char directory[] = "/tmp/test_notify.XXXXXX";
static char path[64];

static void listen_on(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    memcpy(at.sun_path, name, length);
    if (name[0] == '@')
        at.sun_path[0] = '\0';
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(manager >= 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    assert_int_equal(bind(manager, (const struct sockaddr *)&at, size), 0);
    setenv("NOTIFY_SOCKET", name, 1);
}

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_notify.XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/notify", directory);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (manager >= 0)
        close(manager);
    manager = -1;
    unlink(path);
    return rmdir(directory);
}

/* The next message, or "". */
static const char *told(void)
{
    static char text[1024];
    ssize_t n = recv(manager, text, sizeof text - 1, 0);
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

static void nobody_wants_to_know(void **state)
{
    (void)state;
    assert_int_equal(notify_send(NOTIFY_READY, "up"), 0);
    setenv("NOTIFY_SOCKET", "", 1);
    assert_int_equal(notify_send(NOTIFY_READY, "up"), 0);
}

static void tells_every_state(void **state)
{
    char expected[128];
    (void)state;
    listen_on(path);
    assert_int_equal(notify_send(NOTIFY_READY, NULL), 1);
    snprintf(expected, sizeof expected, "READY=1\nMAINPID=%ld\n", (long)getpid());
    assert_string_equal(told(), expected);
    assert_int_equal(notify_send(NOTIFY_STOPPING, "leaving"), 1);
    assert_string_equal(told(), "STOPPING=1\nSTATUS=leaving\n");
    assert_int_equal(notify_send(NOTIFY_WATCHDOG, NULL), 1);
    assert_string_equal(told(), "WATCHDOG=1\n");
    assert_int_equal(notify_send(NOTIFY_STATUS, "serving"), 1);
    assert_string_equal(told(), "STATUS=serving\n");
}

static void a_reload_tells_the_time(void **state)
{
    struct timespec before, after;
    int64_t us;
    (void)state;
    listen_on(path);
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(notify_send(NOTIFY_RELOADING, NULL), 1);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_int_equal(sscanf(told(), "RELOADING=1\nMONOTONIC_USEC=%" SCNd64 "\n", &us), 1);
    assert_true(us >= (int64_t)before.tv_sec * 1000000 + before.tv_nsec / 1000);
    assert_true(us <= (int64_t)after.tv_sec * 1000000 + after.tv_nsec / 1000);
}

static void knows_abstract_names(void **state)
{
    char name[64];
    (void)state;
    snprintf(name, sizeof name, "@test_notify.%ld", (long)getpid());
    listen_on(name);
    assert_int_equal(notify_send(NOTIFY_WATCHDOG, NULL), 1);
    assert_string_equal(told(), "WATCHDOG=1\n");
}

static void faults_do_no_harm(void **state)
{
    char text[200];
    (void)state;
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_int_equal(notify_send(NOTIFY_READY, NULL), -EINVAL);
    setenv("NOTIFY_SOCKET", "/", 1);
    assert_int_equal(notify_send(NOTIFY_READY, NULL), -EINVAL);
    setenv("NOTIFY_SOCKET", path, 1);
    assert_int_equal(notify_send(NOTIFY_READY, NULL), -ENOENT);
    memset(text, 'a', sizeof text - 1);
    text[0] = '/';
    text[sizeof text - 1] = '\0';
    setenv("NOTIFY_SOCKET", text, 1);
    assert_int_equal(notify_send(NOTIFY_READY, NULL), -ENAMETOOLONG);
}

static void a_manager_that_does_not_read_loses_messages(void **state)
{
    (void)state;
    listen_on(path);
    int rc = 1;
    alarm(10); /* a blocking send would hang here */
    for (int i = 0; i < 10000 && rc == 1; i++)
        rc = notify_send(NOTIFY_WATCHDOG, NULL);
    alarm(0);
    assert_int_equal(rc, -EAGAIN);
}

static void watchdog_interval_is_half(void **state)
{
    static const struct {
        const char *usec;
        usec interval;
    } rows[] = {
        {NULL, 0},
        {"", 0},
        {"0", 0},
        {"-5", 0},
        {"ten", 0},
        {"3000000 ", 0},
        {"99999999999999999999", 0},
        {"3000000", 1500000},
    };
    char pid[32];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].usec != NULL)
            setenv("WATCHDOG_USEC", rows[i].usec, 1);
        assert_int_equal(notify_watchdog_interval(), rows[i].interval);
    }
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    assert_int_equal(notify_watchdog_interval(), 1500000);
    setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(notify_watchdog_interval(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(nobody_wants_to_know),      TEST(tells_every_state),
        TEST(a_reload_tells_the_time),   TEST(knows_abstract_names),
        TEST(faults_do_no_harm),         TEST(a_manager_that_does_not_read_loses_messages),
        TEST(watchdog_interval_is_half),
    };
    return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
