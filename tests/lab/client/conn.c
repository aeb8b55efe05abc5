/*
 * HTTP connections: one request each, over when the server closes. What became
 * of it and how long it took is a record.
 */
#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int oldest = -1, newest = -1;

static void conn_record(const struct slot *s, us start, unsigned source, const char *result)
{
    us now = clock_now();
    const char *node = s != NULL ? strstr(s->input, "X-Node: ") : NULL;
    int bytes = node != NULL ? (int)strcspn(node + 8, "\r\n") : 1;

    printf("c %lld %u %s %lld %lld %.*s\n", (long long)start, source, result,
           (long long)(s != NULL && s->connected ? s->up - start : -1), (long long)(now - start),
           bytes, node != NULL ? node + 8 : "-");
}

void conn_start(unsigned source)
{
    us start = clock_now();
    int fd = connect_from(source, options.http_port);

    if (fd < 0) {
        conn_record(NULL, start, source, reason_of(errno));
        return;
    }
    watch(fd, KIND_CONN, EPOLLOUT);
    slots[fd].source = source;
    slots[fd].start = start;
    slots[fd].prev = newest;
    if (newest >= 0)
        slots[newest].next = fd;
    else
        oldest = fd;
    newest = fd;
}

static void conn_end(int fd, const char *result)
{
    struct slot *s = &slots[fd];

    conn_record(s, s->start, s->source, result);
    if (s->prev >= 0)
        slots[s->prev].next = s->next;
    else
        oldest = s->next;
    if (s->next >= 0)
        slots[s->next].prev = s->prev;
    else
        newest = s->prev;
    s->kind = KIND_NONE;
    close(fd);
}

void conn_step(int fd)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: vip\r\nConnection: close\r\n\r\n";
    struct slot *s = &slots[fd];
    ssize_t n;

    if (!s->connected) {
        int error = 0;
        socklen_t size = sizeof(error);

        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) {
            conn_end(fd, reason_of(error));
            return;
        }
        s->connected = true;
        s->up = clock_now();
        if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1)
            conn_end(fd, reason_of(errno));
        else
            want(fd, EPOLLIN);
        return;
    }
    n = recv(fd, s->input + s->got, sizeof(s->input) - 1 - s->got, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        s->got += (size_t)n;
        s->input[s->got] = '\0';
        if (s->got == sizeof(s->input) - 1)
            conn_end(fd, "bad");
        return;
    }
    if (n < 0)
        conn_end(fd, reason_of(errno));
    else if (s->got == 0)
        conn_end(fd, "eof");
    else
        conn_end(fd, strncmp(s->input, "HTTP/1.1 200 ", 13) == 0 ? "ok" : "bad");
}

bool conn_expire(us now)
{
    while (oldest >= 0 && slots[oldest].start + options.deadline <= now)
        conn_end(oldest, "timeout");
    return oldest >= 0;
}
