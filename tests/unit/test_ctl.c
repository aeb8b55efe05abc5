/*
 * The control server over a real unix socket: a process of its own serves a
 * canned status, the tests speak HTTP to it and hold the answers against the
 * contract.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl_canned.h"
#include "io/log.h"

enum { DEADLINE_MS = 10000, ANSWER_BYTES = 1 << 21 };

static char directory[64], path[96];
static struct canned *canned; /* shared with the server's process */
static pid_t server;
static char answer[ANSWER_BYTES];

/* -------------------------------------------------------------- the server */

static void serve(int ready)
{
    struct event_base *base = event_base_new();
    struct ctl *ctl = NULL;
    int rc = ctl_open(&ctl, base, &canned->config, &canned_ops, canned);

    if (write(ready, &rc, sizeof rc) != sizeof rc || rc != 0)
        _exit(1);
    event_base_dispatch(base);
    _exit(0);
}

static int server_start(void)
{
    int ready[2], rc = -1;

    assert_int_equal(pipe(ready), 0);
    server = fork();
    assert_true(server >= 0);
    if (server == 0)
        serve(ready[1]);
    close(ready[1]);
    if (read(ready[0], &rc, sizeof rc) != sizeof rc)
        rc = -1;
    close(ready[0]);
    return rc;
}

static void server_stop(void)
{
    if (server > 0) {
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
    server = 0;
}

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/test_ctl.XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/run/control.sock", directory);
    canned = mmap(NULL, sizeof *canned, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (canned == MAP_FAILED)
        return -1;
    canned_fill(canned, path, "");
    return server_start();
}

static int teardown(void **state)
{
    char run[96];

    (void)state;
    server_stop();
    unlink(path);
    snprintf(run, sizeof run, "%s/run", directory);
    rmdir(run);
    munmap(canned, sizeof *canned);
    return rmdir(directory);
}

/* -------------------------------------------------------------- the client */

static int client_open(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    return fd;
}

/* Reads to the end of the connection into `answer`; the bytes read. */
static size_t client_read(int fd)
{
    size_t length = 0;
    ssize_t n;

    do {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
        n = read(fd, answer + length, sizeof answer - 1 - length);
        if (n > 0)
            length += (size_t)n;
    } while (n > 0);
    answer[length] = '\0';
    close(fd);
    return length;
}

/* One request as it is, on a connection of its own; the status of the answer. */
static int exchange_raw(const char *text)
{
    int fd = client_open();
    int status = 0;

    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    client_read(fd);
    assert_int_equal(sscanf(answer, "HTTP/1.%*d %d", &status), 1);
    return status;
}

static int exchange(const char *method, const char *target, const char *body)
{
    static char text[16384];

    snprintf(text, sizeof text,
             "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
             method, target, strlen(body), body);
    return exchange_raw(text);
}

static json_t *answer_json(void)
{
    const char *body = strstr(answer, "\r\n\r\n");
    json_t *json;

    assert_non_null(body);
    assert_non_null(strstr(answer, "Content-Type: application/json"));
    json = json_loads(body, 0, NULL);
    assert_non_null(json);
    return json;
}

static json_t *get(const char *target)
{
    assert_int_equal(exchange("GET", target, ""), 200);
    return answer_json();
}

/* Both sides in one order. */
static void assert_json(const json_t *have, const char *expected)
{
    json_t *want = json_loads(expected, 0, NULL);
    char *text = json_dumps(have, JSON_SORT_KEYS);

    assert_non_null(want);
    if (!json_equal(have, want))
        fail_msg("expected %s\nhave %s", expected, text);
    free(text);
    json_decref(want);
}

static void assert_refused(int status, int expected, const char *word)
{
    json_t *json;
    const char *error;

    assert_int_equal(status, expected);
    json = answer_json();
    error = json_string_value(json_object_get(json, "error"));
    assert_non_null(error);
    if (strstr(error, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error, word);
    json_decref(json);
}

/* ------------------------------------------------------------------- pages */

static void test_status_is_the_contract(void **state)
{
    json_t *s = get("/v1/status");
    json_t *members = json_object_get(s, "members"), *vips = json_object_get(s, "vips");

    (void)state;
    assert_int_equal(json_array_size(members), 3);
    assert_json(json_array_get(members, 1),
                "{\"name\": \"web2\", \"address\": \"192.168.0.12\", \"mac\": "
                "\"52:54:00:00:00:0c\", \"self\": false, \"state\": \"alive\", \"draining\": true,"
                "\"healthy\": true, \"weight\": 100, \"incarnation\": 4, \"buckets\": 128,"
                "\"claimed\": 128, \"lingering\": 0, \"flows\": 0, \"last_heard_ms\": 12,"
                "\"flap_penalty\": 0, \"rtt_us\": 180, \"loss_percent\": 0.0}");
    assert_int_equal(json_array_size(vips), 3);
    assert_json(json_array_get(vips, 0),
                "{\"address\": \"192.168.0.2/24\", \"interface\": \"eth0\", \"mode\": \"shared\","
                "\"select\": \"mask\", \"mac\": \"02:bf:c0:a8:00:02\", \"buckets\": 256,"
                "\"owned\": 128, \"lingering\": 2, \"orphaned\": 0, \"flows\": 1200,"
                "\"lease_ms\": 271, \"packets\": {\"accepted\": 5000000000, \"foreign\": 10,"
                "\"orphan_reset\": 2, \"forwarded\": 0}}");
    json_object_del(s, "members");
    json_object_del(s, "vips");
    assert_json(s, "{\"version\": \"" PACKAGE_VERSION "\", \"cluster\": \"web\", \"node\": \"web1\","
                   "\"state\": \"serving\", \"converged\": true, \"view\": \"009f2c0102030405\","
                   "\"quorum\": {\"policy\": \"none\", \"have\": true}, \"uptime_ms\": 123456,"
                   "\"buckets\": {\"total\": 256, \"unowned\": 0, \"unclaimed\": 0,"
                   "\"contested\": 0}, \"apply_failures\": 0, \"counters\": {\"takeovers\": 85,"
                   "\"unowned_bucket_ms\": 40, \"contested_bucket_ms\": 0,"
                   "\"heartbeats_rejected\": {\"forged\": 7, \"replayed\": 0, \"malformed\": 0,"
                   "\"foreign_cluster\": 0, \"config_mismatch\": 0, \"version\": 1}}}");
    json_decref(s);
}

static void test_status_of_bad_times(void **state)
{
    json_t *s;

    (void)state;
    canned->status.lease_left = -5;
    canned->status.member[2].last_heard = -1;
    canned->status.bucket[9].owner = -1;
    bitmap_clear(&canned->status.claim[1], 9);
    bitmap_set(&canned->status.claim[2], 10);
    snprintf(canned->status.member[1].name, NAME_BYTES_MAX, "w\xff");
    s = get("/v1/status");
    assert_int_equal(json_integer_value(json_object_get(
                         json_array_get(json_object_get(s, "vips"), 0), "lease_ms")),
                     0);
    assert_int_equal(json_integer_value(json_object_get(
                         json_array_get(json_object_get(s, "members"), 2), "last_heard_ms")),
                     -1);
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(s, "members"), 1), "name")),
                        "w?");
    assert_json(json_object_get(s, "buckets"),
                "{\"total\": 256, \"unowned\": 1, \"unclaimed\": 1, \"contested\": 1}");
    json_decref(s);
}

static void test_parts(void **state)
{
    json_t *s = get("/v1/status"), *members = get("/v1/members"), *vips = get("/v1/vips");
    json_t *version = get("/v1/version");

    (void)state;
    assert_true(json_equal(json_object_get(s, "members"), json_object_get(members, "members")));
    assert_true(json_equal(json_object_get(s, "vips"), json_object_get(vips, "vips")));
    assert_json(version, "{\"version\": \"" PACKAGE_VERSION "\", \"cluster\": \"web\","
                         "\"node\": \"web1\"}");
    json_decref(s);
    json_decref(members);
    json_decref(vips);
    json_decref(version);
}

static void test_buckets(void **state)
{
    json_t *all = get("/v1/buckets"), *list = json_object_get(all, "buckets");

    (void)state;
    assert_int_equal(json_array_size(list), 256);
    assert_json(json_array_get(list, 2),
                "{\"bucket\": 2, \"owner\": \"web1\", \"home\": \"web3\", \"class\": \"own\","
                "\"claimed_by\": [\"web1\"], \"lingering_on\": []}");
    assert_json(json_array_get(list, 3),
                "{\"bucket\": 3, \"owner\": \"web2\", \"home\": \"web1\", \"class\": \"linger\","
                "\"claimed_by\": [\"web2\"], \"lingering_on\": [\"web1\"]}");
    json_decref(all);
}

static void test_buckets_of_the_largest_cluster(void **state)
{
    json_t *all;

    (void)state;
    canned->status.buckets = BUCKETS_MAX;
    for (unsigned b = 256; b < BUCKETS_MAX; b++)
        canned->status.bucket[b] = (struct status_bucket){-1, -1, CLASS_FOREIGN};
    all = get("/v1/buckets");
    assert_int_equal(json_array_size(json_object_get(all, "buckets")), BUCKETS_MAX);
    assert_json(json_array_get(json_object_get(all, "buckets"), BUCKETS_MAX - 1),
                "{\"bucket\": 4095, \"owner\": null, \"home\": null, \"class\": \"foreign\","
                "\"claimed_by\": [], \"lingering_on\": []}");
    json_decref(all);
}

static void test_which(void **state)
{
    static const struct {
        const char *target, *vip;
        int bucket;
    } cases[] = {
        {"/v1/which?address=198.51.100.7", "192.168.0.2/24", 7},
        {"/v1/which?address=198.51.100.7&vip=192.168.0.2", "192.168.0.2/24", 7},
        {"/v1/which?vip=192.168.0.3&address=198.51.100.7", "192.168.0.3/32", 107},
        {"/v1/which?address=198.51.100.7&vip=192.168.0.3%2F32", "192.168.0.3/32", 107},
        {"/v1/which?address=2001%3Adb8%3A%3Aff", "2001:db8::2/64", 255},
        {"http://ipclusterd/v1/which?address=2001:db8::1", "2001:db8::2/64", 1},
    };
    json_t *w;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        w = get(cases[i].target);
        assert_string_equal(json_string_value(json_object_get(w, "vip")), cases[i].vip);
        assert_int_equal(json_integer_value(json_object_get(w, "bucket")), cases[i].bucket);
        json_decref(w);
    }
    w = get("/v1/which?address=198.51.100.3");
    assert_json(w, "{\"address\": \"198.51.100.3\", \"vip\": \"192.168.0.2/24\", \"bucket\": 3,"
                   "\"owner\": \"web2\", \"home\": \"web1\", \"order\": [\"web2\", \"web1\"],"
                   "\"claimed_by\": [\"web2\"], \"lingering_on\": [\"web1\"]}");
    json_decref(w);
}

static void test_rules(void **state)
{
    (void)state;
    assert_int_equal(exchange("GET", "/v1/rules", ""), 200);
    assert_non_null(strstr(answer, "Content-Type: text/plain"));
    assert_non_null(strstr(answer, "\r\n\r\ntable inet ipclusterd {\n}\n"));
    canned->result = -ENOBUFS;
    canned->why = "the kernel has no memory for it";
    assert_refused(exchange("GET", "/v1/rules", ""), 500, "no memory");
}

/* ----------------------------------------------------------------- changes */

static void test_changes_reach_the_daemon(void **state)
{
    static const struct {
        const char *target, *body, *asked;
    } cases[] = {
        {"/v1/drain", "", "drain (self)"},
        {"/v1/drain", "{}", "drain (self)"},
        {"/v1/drain", "{\"node\": \"web2\"}", "drain web2"},
        {"/v1/undrain", "{\"node\": \"web2\"}", "undrain web2"},
        {"/v1/forget", "{\"node\": \"web3\"}", "forget web3"},
        {"/v1/leave", "", "leave"},
        {"/v1/reload", "{}", "reload"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *json;
        assert_int_equal(exchange("POST", cases[i].target, cases[i].body), 200);
        assert_string_equal(canned->asked, cases[i].asked);
        json = answer_json();
        assert_true(json_is_true(json_object_get(json, "ok")));
        json_decref(json);
    }
}

static void test_refusals_are_told(void **state)
{
    static const struct {
        int error, status;
    } cases[] = {{-ENOENT, 404}, {-EINVAL, 400}, {-EBUSY, 409}, {-EAGAIN, 503}, {-EIO, 500}};

    (void)state;
    canned->why = "web9 is not on the roster";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        canned->result = cases[i].error;
        assert_refused(exchange("POST", "/v1/forget", "{\"node\": \"web9\"}"), cases[i].status,
                       "web9 is not on the roster");
    }
    canned->why = "";
    assert_refused(exchange("POST", "/v1/reload", ""), 500, "Input/output error");
}

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
        {"GET", "/v1/which?address=10.0.0.1&address=10.0.0.2", "", 400, "twice"},
        {"GET", "/v1/which?address=10.0.0.1&vpi=192.168.0.2", "", 400, "does not take"},
        {"GET", "/v1/which?address=10.0.0.1&vip=192.168.0.9", "", 404, "no virtual address"},
        {"GET", "/v1/which?address=10.0.0.1&vip=2001:db8::2", "", 400, "IPv6"},
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
        assert_refused(exchange(cases[i].method, cases[i].target, cases[i].body),
                       cases[i].status, cases[i].word);
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
        "\r\n\r\n", "rubbish\r\n\r\n", "GET\r\n\r\n", "GET  HTTP/1.1\r\n\r\n",
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

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_status_is_the_contract),
        CASE(test_status_of_bad_times),
        CASE(test_parts),
        CASE(test_buckets),
        CASE(test_buckets_of_the_largest_cluster),
        CASE(test_which),
        CASE(test_rules),
        CASE(test_changes_reach_the_daemon),
        CASE(test_refusals_are_told),
        CASE(test_bad_requests),
        CASE(test_sizes_are_limited),
        CASE(test_rubbish_harms_nothing),
        CASE(test_a_client_that_goes_away),
        CASE(test_idle_connections_are_closed),
        CASE(test_keep_alive),
        CASE(test_the_file_and_its_rights),
        CASE(test_two_daemons_and_left_overs),
    };

    log_open("test_ctl", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
