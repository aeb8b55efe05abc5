/*
 * Connections that stay: each sends numbered lines and checks that the echoes
 * come complete, in order and from one node. With --stay each says goodbye after
 * a while, when all its echoes are there, and another begins in its place.
 */
#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RING = 1024, /* lines of a stream on their way, at most */
    NODE_BYTES = 32,
};

struct stream {
    int fd;
    const char *state, *reason; /* opening, open, broken, closed */
    unsigned source;
    uint32_t sent, echoed;
    us began, up, leave_at; /* up: it takes so long to be connected; -1: not yet */
    us due, gap, ended;
    us sent_at[RING]; /* on a clock that stands still while the loop is late */
    char node[NODE_BYTES];
    size_t got;
    char input[512];
};

static struct stream *streams;
static bool leaving; /* no other takes the place of one that ends */

/* The longest wait for an echo; a line that is still not echoed waits until now. */
static us stream_gap(const struct stream *s, us now)
{
    us waits = s->echoed < s->sent ? now - late_total - s->sent_at[s->echoed % RING] : 0;

    return waits > s->gap ? waits : s->gap;
}

static void visit_record(const struct stream *s, const char *result)
{
    printf("s %lld %u %s %lld %lld %lld %u %s\n", (long long)s->began, s->source, result,
           (long long)s->up, (long long)(s->ended - s->began), (long long)stream_gap(s, s->ended),
           s->echoed, s->node[0] != '\0' ? s->node : "-");
}

static void stream_end(struct stream *s, const char *state, const char *reason)
{
    s->ended = clock_now();
    s->state = state;
    s->reason = reason;
    if (options.stay > 0)
        visit_record(s, strcmp(state, "closed") == 0 ? "ok" : reason);
    if (strcmp(state, "broken") == 0)
        printf("b %lld %u %s %s\n", (long long)s->ended, s->source, reason,
               s->node[0] != '\0' ? s->node : "-");
    if (s->fd >= 0) {
        slots[s->fd].kind = KIND_NONE;
        close(s->fd);
        s->fd = -1;
    }
}

static void stream_send(struct stream *s, us now)
{
    char line[32];
    int bytes = snprintf(line, sizeof(line), "%u\n", s->sent);

    s->due = now + options.line_every;
    if (s->sent - s->echoed >= RING)
        return;
    if (send(s->fd, line, (size_t)bytes, MSG_NOSIGNAL) == bytes)
        s->sent_at[s->sent++ % RING] = now - late_total;
    else if (errno != EAGAIN)
        stream_end(s, "broken", reason_of(errno));
}

/* "NODE SEQ": the next number, from the node that it always was. */
static bool stream_line(struct stream *s, char *line)
{
    char *space = strchr(line, ' ');
    us gap = clock_now() - late_total - s->sent_at[s->echoed % RING];

    if (space == NULL || strtoul(space + 1, NULL, 10) != s->echoed || s->echoed >= s->sent)
        return false;
    *space = '\0';
    if (s->node[0] == '\0')
        snprintf(s->node, sizeof(s->node), "%.31s", line);
    else if (strcmp(s->node, line) != 0)
        return false;
    if (gap > s->gap)
        s->gap = gap;
    s->echoed++;
    return true;
}

static void stream_read(struct stream *s)
{
    ssize_t n = recv(s->fd, s->input + s->got, sizeof(s->input) - 1 - s->got, 0);
    char *line = s->input, *end;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        stream_end(s, "broken", n == 0 ? "eof" : reason_of(errno));
        return;
    }
    s->got += (size_t)n;
    while ((end = memchr(line, '\n', (size_t)(s->input + s->got - line))) != NULL) {
        *end = '\0';
        if (!stream_line(s, line)) {
            stream_end(s, "broken", "bad");
            return;
        }
        line = end + 1;
    }
    s->got = (size_t)(s->input + s->got - line);
    memmove(s->input, line, s->got);
}

void stream_step(unsigned stream)
{
    struct stream *s = &streams[stream];
    int error = 0;
    socklen_t size = sizeof(error);

    if (strcmp(s->state, "open") == 0) {
        stream_read(s);
        return;
    }
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        stream_end(s, "broken", reason_of(error));
        return;
    }
    s->state = "open";
    s->up = clock_now() - s->began;
    want(s->fd, EPOLLIN);
    stream_send(s, clock_now()); /* the first line at once, also when paused: tells the node */
}

/* From the next source; it stays for half as long as it should to half as long again. */
static void stream_open(struct stream *s)
{
    static unsigned source;

    while (vip_of(source) == NULL)
        source = (source + 1) % source_count;
    memset(s, 0, sizeof(*s));
    s->source = source;
    s->state = "opening";
    s->reason = "-";
    s->began = clock_now();
    s->up = -1;
    s->leave_at =
        options.stay > 0 ? s->began + options.stay / 2 + random() % options.stay : INT64_MAX;
    source = (source + 1) % source_count;
    s->fd = connect_from(s->source, options.stream_port);
    if (s->fd < 0) {
        stream_end(s, "broken", reason_of(errno));
        return;
    }
    watch(s->fd, KIND_STREAM, EPOLLOUT);
    slots[s->fd].stream = (unsigned)(s - streams);
}

void streams_open(void)
{
    streams = calloc(options.streams > 0 ? options.streams : 1, sizeof(*streams));
    if (streams == NULL)
        die("calloc");
    for (unsigned i = 0; i < options.streams; i++)
        stream_open(&streams[i]);
}

void streams_report(void)
{
    us now = clock_now();

    for (unsigned i = 0; i < options.streams; i++) {
        struct stream *s = &streams[i];
        us gap = stream_gap(s, s->ended != 0 ? s->ended : now);

        printf("S %u %s %s %u %u %lld %s %lld\n", s->source, s->state,
               s->node[0] != '\0' ? s->node : "-", s->sent, s->echoed, (long long)gap, s->reason,
               (long long)s->ended);
    }
    printf("r %lld\n", (long long)now);
    fflush(stdout);
}

void streams_send(us now)
{
    for (unsigned i = 0; i < options.streams; i++)
        if (strcmp(streams[i].state, "open") == 0 && streams[i].due <= now &&
            now < streams[i].leave_at)
            stream_send(&streams[i], now);
}

void streams_leave(void)
{
    us now = clock_now();

    leaving = true;
    for (unsigned i = 0; i < options.streams; i++)
        if (streams[i].leave_at > now)
            streams[i].leave_at = now;
}

/* Those that have said goodbye and have all their echoes, and those that wait for too
 * long, end; others begin, after a while if it broke. */
bool streams_expire(us now)
{
    bool left = false;

    for (unsigned i = 0; i < options.streams; i++) {
        struct stream *s = &streams[i];
        bool open = strcmp(s->state, "open") == 0, ended = s->fd < 0;

        if (!ended && open && now >= s->leave_at && s->echoed == s->sent)
            stream_end(s, "closed", "-");
        else if (!ended && (open ? stream_gap(s, now) : now - s->began) >= options.deadline)
            stream_end(s, "broken", "timeout");
        if (s->fd < 0 && !leaving &&
            (strcmp(s->state, "closed") == 0 || now >= s->ended + options.line_every))
            stream_open(s);
        left = left || s->fd >= 0;
    }
    return left;
}
