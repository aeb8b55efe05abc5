#include "ctl_client.h"

#include <jansson.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 10000 };

static char directory[64];

char path[96];
struct canned *canned;
pid_t server;
char answer[ANSWER_BYTES];

/* -------------------------------------------------------------- the server */

int server_start(void)
{
    int rc;

    server = canned_serve(canned, &rc);
    return rc;
}

void server_stop(void)
{
    canned_stop(server);
    server = 0;
}

int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/test_ctl.XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/run/control.sock", directory);
    canned = canned_new(path, "");
    return server_start();
}

int teardown(void **state)
{
    char run[96];

    (void)state;
    server_stop();
    unlink(path);
    snprintf(run, sizeof run, "%s/run", directory);
    rmdir(run);
    canned_free(canned);
    return rmdir(directory);
}

/* -------------------------------------------------------------- the client */

int client_open(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    return fd;
}

/* Reads to the end of the connection into `answer`; the bytes read. */
size_t client_read(int fd)
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
int exchange_raw(const char *text)
{
    int fd = client_open();
    int status = 0;

    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    client_read(fd);
    assert_int_equal(sscanf(answer, "HTTP/1.%*d %d", &status), 1);
    return status;
}

int exchange(const char *method, const char *target, const char *body)
{
    static char text[40000];

    snprintf(text, sizeof text,
             "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
             method, target, strlen(body), body);
    return exchange_raw(text);
}

json_t *answer_json(void)
{
    const char *body = strstr(answer, "\r\n\r\n");
    json_t *json;

    assert_non_null(body);
    assert_non_null(strstr(answer, "Content-Type: application/json"));
    json = json_loads(body, 0, NULL);
    assert_non_null(json);
    return json;
}

json_t *get(const char *target)
{
    assert_int_equal(exchange("GET", target, ""), 200);
    return answer_json();
}

void assert_refused(int status, int expected, const char *word)
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
