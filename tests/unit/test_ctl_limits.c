/*
 * What the control socket does not put up with: bad requests, large ones, too
 * many connections, and another daemon's or nobody's file at its path.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl_client.h"
#include "io/log.h"

enum { DEADLINE_MS = 10000 };

/* ------------------------------------------------------------ bad requests */

static void test_bad_requests(void **state)
{
    static const struct {
        const char *method, *target, *body;
        int status;
        const char *word;
    } cases[] = {
        {"GET", "/", "", 404, "no such page"},
        {"GET", "/v1/statu", "", 404, "no such page"},
        {"GET", "/v1/status/", "", 404, "no such page"},
        {"GET", "/v1/../v1/status", "", 404, "no such page"},
        {"POST", "/v1/status", "", 405, "GET"},
        {"GET", "/v1/drain", "", 405, "POST"},
        {"PUT", "/v1/drain", "", 405, "POST"},
        {"DELETE", "/v1/status", "", 405, "GET"},
        {"GET", "/v1/status?x=1", "", 400, "does not take"},
        {"GET", "/v1/status?address=10.0.0.1", "", 400, "does not take"},
        {"GET", "/v1/which", "", 400, "needs ?address="},
        {"GET", "/v1/which?address=", "", 400, "address"},
        {"GET", "/v1/which?address=10.0.0.256", "", 400, "not an IPv4 or IPv6 address"},
        {"GET", "/v1/which?address=10.0.0.1:0", "", 400, "nor one with a port"},
        {"GET", "/v1/which?address=10.0.0.1:65536", "", 400, "nor one with a port"},
        {"GET", "/v1/which?address=10.0.0.1:", "", 400, "nor one with a port"},
        {"GET", "/v1/which?address=%5B10.0.0.1%5D:5", "", 400, "nor one with a port"},
        {"GET", "/v1/which?address=%5B2001:db8::1", "", 400, "nor one with a port"},
        {"GET", "/v1/which?address=%5B2001:db8::1%5D5", "", 400, "nor one with a port"},
        {"GET", "/v1/which?address=%5B%5D:5", "", 400, "nor one with a port"},
        {"GET", "/v1/which?address=10.0.0.1&address=10.0.0.2", "", 400, "twice"},
        {"GET", "/v1/which?address=10.0.0.1&vpi=192.168.0.2", "", 400, "does not take"},
        {"GET", "/v1/which?address=10.0.0.1&vip=192.168.0.9", "", 404, "no virtual address"},
        {"GET", "/v1/which?address=10.0.0.1&vip=2001:db8::2", "", 400, "IPv6"},
        {"GET", "/v1/status?since=1", "", 400, "does not take"},
        {"GET", "/v1/events?since=", "", 400, "not a whole number"},
        {"GET", "/v1/events?since=-1", "", 400, "not a whole number"},
        {"GET", "/v1/events?since=1x", "", 400, "not a whole number"},
        {"GET", "/v1/events?since=1234567890123456789", "", 400, "not a whole number"},
        {"GET", "/v1/events?since=0&since=0", "", 400, "twice"},
        {"GET", "/v1/events?address=10.0.0.1", "", 400, "does not take"},
        {"GET", "/metrics?x=1", "", 400, "does not take"},
        {"POST", "/metrics", "", 405, "GET"},
        {"GET", "/v1/rekey", "", 405, "POST"},
        {"GET", "/v1/release", "", 405, "POST"},
        {"POST", "/v1/rekey", "{\"node\": \"web1\"}", 400, "does not take"},
        {"POST", "/v1/release", "", 400, "needs a body"},
        {"GET", "/v1/status", "{\"node\": \"web1\"}", 400, "does not take"},
        {"POST", "/v1/drain", "node=web1", 400, "not JSON"},
        {"POST", "/v1/drain", "[]", 400, "not a JSON object"},
        {"POST", "/v1/drain", "{\"node\": 7}", 400, "not a name"},
        {"POST", "/v1/drain", "{\"node\": \"\"}", 400, "not a name"},
        {"POST", "/v1/drain", "{\"node\": \"a b\"}", 400, "not a name"},
        {"POST", "/v1/drain", "{\"node\": \"a\\u0000b\"}", 400, "not JSON"},
        {"POST", "/v1/drain", "{\"node\": \"a\", \"node\": \"b\"}", 400, "not JSON"},
        {"POST", "/v1/drain", "{\"nodes\": \"a\"}", 400, "does not take"},
        {"POST", "/v1/forget", "", 400, "needs a body"},
        {"POST", "/v1/leave", "{\"node\": \"web1\"}", 400, "does not take"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(exchange(cases[i].method, cases[i].target, cases[i].body), cases[i].status,
                       cases[i].word);
    assert_string_equal(canned->asked, "");
    assert_int_equal(exchange("PUT", "/v1/drain", ""), 405);
    assert_non_null(strstr(answer, "Allow: POST"));
}

static void test_sizes_are_limited(void **state)
{
    static char text[16384];
    char name[128];

    (void)state;
    memset(text, 'a', 2000);
    memcpy(text, "/v1/", 4);
    text[2000] = '\0';
    assert_refused(exchange("GET", text, ""), 414, "longer than");

    memset(name, 'n', sizeof name);
    snprintf(text, sizeof text, "{\"node\": \"%.*s\"}", NAME_BYTES_MAX, name);
    assert_int_equal(exchange("POST", "/v1/drain", text), 200);
    snprintf(text, sizeof text, "{\"node\": \"%.*s\"}", NAME_BYTES_MAX + 1, name);
    assert_refused(exchange("POST", "/v1/drain", text), 400, "not a name");

    memset(text, ' ', 5000);
    text[5000] = '\0';
    assert_int_equal(exchange("POST", "/v1/leave", text), 413);
    assert_int_equal(exchange_raw("POST /v1/leave HTTP/1.1\r\nContent-Length: "
                                  "99999999999\r\n\r\n"),
                     413);
    assert_string_not_equal(canned->asked, "leave");
}

static void test_rubbish_harms_nothing(void **state)
{
    static const char *const rubbish[] = {
        "\r\n\r\n",
        "rubbish\r\n\r\n",
        "GET\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "POST /v1/leave HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST /v1/leave HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "HEAD /v1/status HTTP/1.0\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rubbish / sizeof *rubbish; i++) {
        int fd = client_open();
        send(fd, rubbish[i], strlen(rubbish[i]), MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        client_read(fd);
    }
    assert_string_equal(canned->asked, "");
    json_decref(get("/v1/version"));
}

/* ------------------------------------------------------------- connections */

static void test_a_client_that_goes_away(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        int fd = client_open();
        const char *text = "GET /v1/buckets HTTP/1.1\r\n\r\n";
        send(fd, text, strlen(text), MSG_NOSIGNAL);
        close(fd);
    }
    json_decref(get("/v1/version"));
}

/* More than are let in at once, all idle: served when those time out. */
static void test_idle_connections_are_closed(void **state)
{
    int fds[40];

    (void)state;
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        fds[i] = client_open();
    json_decref(get("/v1/version"));
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        client_read(fds[i]);
}

static void test_keep_alive(void **state)
{
    const char *text = "GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = client_open();

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
        assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
        assert_true(read(fd, answer, sizeof answer) > 0);
        assert_memory_equal(answer, "HTTP/1.1 200", 12);
    }
    close(fd);
}

/* Each of several answers on one connection tells its length, whatever version of
 * HTTP the client claims to speak. */
static void test_every_answer_has_its_length(void **state)
{
    const char *text = "GET /v1/version HTTP/3333333331.1\r\n\r\n"
                       "GET /v1/version HTTP/1.1\r\nConnection: close\r\n\r\n";
    int fd = client_open(), answers = 0;

    (void)state;
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    client_read(fd);
    for (const char *p = answer; *p != '\0'; answers++) {
        const char *length = strstr(p, "\r\nContent-Length: "), *body = strstr(p, "\r\n\r\n");
        assert_non_null(body);
        assert_true(length != NULL && length < body);
        p = body + 4 + strtoul(length + 18, NULL, 10);
        assert_true(p <= answer + strlen(answer));
    }
    assert_int_equal(answers, 2);
}

/* The daemon runs out of descriptors: it waits, and goes on when there are some. */
static void test_no_descriptors_left(void **state)
{
    const struct rlimit none = {.rlim_cur = 3, .rlim_max = 1024};
    const struct rlimit many = {.rlim_cur = 1024, .rlim_max = 1024};
    const char *text = "GET /v1/version HTTP/1.0\r\n\r\n";
    struct pollfd p = {.events = POLLIN};

    (void)state;
    assert_int_equal(prlimit(server, RLIMIT_NOFILE, &none, NULL), 0);
    p.fd = client_open();
    assert_int_equal(send(p.fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    assert_int_equal(poll(&p, 1, 300), 0); /* not accepted */
    assert_int_equal(prlimit(server, RLIMIT_NOFILE, &many, NULL), 0);
    json_decref(get("/v1/version"));
    client_read(p.fd); /* whatever became of it, it is over */
}

/* ------------------------------------------------------------------ socket */

static void test_the_file_and_its_rights(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    server_stop();
    snprintf(canned->config.control_group, sizeof canned->config.control_group,
             "no-such-group-here");
    assert_int_equal(server_start(), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    server_stop();
    if (geteuid() != 0)
        return;
    snprintf(canned->config.control_group, sizeof canned->config.control_group, "daemon");
    assert_int_equal(server_start(), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_int_equal(st.st_gid, 1);
}

static void test_two_daemons_and_left_overs(void **state)
{
    struct event_base *base = event_base_new();
    struct ctl *ctl = NULL;
    struct config config = canned->config;
    int fd;

    (void)state;
    assert_int_equal(ctl_open(&ctl, base, &config, &canned_ops, canned), -EADDRINUSE);
    json_decref(get("/v1/version"));

    /* The killed server left its socket behind. */
    server_stop();
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(ctl_open(&ctl, base, &config, &canned_ops, canned), 0);
    ctl_close(ctl);
    assert_int_equal(access(path, F_OK), -1);

    /* What is no socket is somebody's file. */
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    assert_int_equal(ctl_open(&ctl, base, &config, &canned_ops, canned), -EEXIST);
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);

    /* Another's socket at our path is not ours to remove. */
    assert_int_equal(ctl_open(&ctl, base, &config, &canned_ops, canned), 0);
    unlink(path);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    ctl_close(ctl);
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);

    memset(config.control_socket, 'x', PATH_BYTES_MAX);
    assert_int_equal(ctl_open(&ctl, base, &config, &canned_ops, canned), -ENAMETOOLONG);
    event_base_free(base);
}

/* The daemon ends while its answer to `leave` is still to be sent. */
static int leave_and_end(void *arg, char *why)
{
    (void)why;
    event_base_loopbreak(arg);
    return 0;
}

static void test_an_answer_is_sent_at_the_end(void **state)
{
    const struct ctl_ops ops = {.leave = leave_and_end};
    const char *text = "POST /v1/leave HTTP/1.0\r\n\r\n";
    struct event_base *base = event_base_new();
    struct ctl *ctl = NULL;
    int fd;

    (void)state;
    server_stop();
    assert_int_equal(ctl_open(&ctl, base, &canned->config, &ops, base), 0);
    fd = client_open();
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    event_base_dispatch(base);
    ctl_close(ctl);
    client_read(fd);
    assert_memory_equal(answer, "HTTP/1.0 200", 12);
    event_base_free(base);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_bad_requests),
        CASE(test_sizes_are_limited),
        CASE(test_rubbish_harms_nothing),
        CASE(test_a_client_that_goes_away),
        CASE(test_idle_connections_are_closed),
        CASE(test_keep_alive),
        CASE(test_every_answer_has_its_length),
        CASE(test_no_descriptors_left),
        CASE(test_the_file_and_its_rights),
        CASE(test_two_daemons_and_left_overs),
        CASE(test_an_answer_is_sent_at_the_end),
    };

    log_open("test_ctl_limits", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
