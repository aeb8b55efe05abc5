/*
 * The measuring client of the lab: many source addresses, one loop.
 *
 *   client --sources FILE [--vip4 A] [--vip6 A] [OPTION VALUE]...
 *
 *   --http PORT  --rate R     R new HTTP connections a second, the sources in turn
 *   --deadline MS             given up after that (default 3000)
 *   --stream PORT --streams N N connections at the start, the sources in turn ...
 *   --line MS                 ... that send a line every MS (default 20) and check the echo
 *   --stay MS                 ... for so long, half more or less; another begins then
 *   --udp PORT --udp-rate R   R datagrams a second; answers are counted for --udp-deadline MS
 *   --sniff IFACE             look at SYN-ACKs: two different ones for one SYN are told
 *   --seconds S               stop by itself
 *
 * FILE has one address a line. Commands on stdin, a line each: `pause` and
 * `resume` (streams), `report`, `stop`; its end means stop. On stdout, a
 * record a line; times are CLOCK_MONOTONIC in us, SRC an index into FILE:
 *
 *   c T SRC RESULT CONNECT_US TOTAL_US NODE       a connection that ended
 *   u T SRC REPLIES RTT_US NODES                  a datagram and its answers
 *   b T SRC REASON NODE                           a stream broke
 *   s T SRC RESULT CONNECT_US TOTAL_US GAP_US LINES NODE   one that was to stay so long ended
 *   S SRC STATE NODE SENT ECHOED GAP_US REASON T  a stream, on report and at the end
 *   d T SRC PORT MAC MAC                          two SYN-ACKs for a SYN of T
 *   l T US                                        this loop itself was late
 *   r T                                           end of a report
 *
 * GAP_US is the longest that a line waited for its echo, the loop's own lateness taken off.
 * RESULT: ok, timeout, reset, refused, unreachable, eof (ended early), bad.
 */
#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { LATE_US = 20000, FLUSH_US = 50000 };

static us end_at = INT64_MAX;
static bool paused, stopping;

/* Calls `start` for each due tick and moves `due` on. A loop that was held up
 * for long skips what it missed: a burst would measure nothing. */
static void pace(us now, us *due, double per_second, unsigned *source, void (*start)(unsigned))
{
    us every = (us)(1e6 / per_second);

    if (now - *due > 100000)
        *due = now;
    for (; *due <= now; *due += every) {
        do
            *source = (*source + 1) % source_count;
        while (vip_of(*source) == NULL);
        start(*source);
    }
}

static void stdin_step(void)
{
    static char text[256];
    static size_t got;
    ssize_t n = read(0, text + got, sizeof(text) - 1 - got);
    char *line = text, *end;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        stopping = true;
        epoll_ctl(poller(), EPOLL_CTL_DEL, 0, NULL);
        return;
    }
    got += (size_t)n;
    while ((end = memchr(line, '\n', (size_t)(text + got - line))) != NULL) {
        *end = '\0';
        if (strcmp(line, "pause") == 0)
            paused = true;
        else if (strcmp(line, "resume") == 0)
            paused = false;
        else if (strcmp(line, "report") == 0)
            streams_report();
        else if (strcmp(line, "stop") == 0)
            stopping = true;
        line = end + 1;
    }
    got = (size_t)(text + got - line);
    memmove(text, line, got);
}

static void event_step(int fd)
{
    uint64_t ticks;

    switch (slots[fd].kind) {
    case KIND_CONN:
        conn_step(fd);
        break;
    case KIND_STREAM:
        stream_step(slots[fd].stream);
        break;
    case KIND_UDP:
        datagram_read(fd);
        break;
    case KIND_SNIFF:
        sniff_step(fd);
        break;
    case KIND_STDIN:
        stdin_step();
        break;
    case KIND_TIMER:
        (void)!read(fd, &ticks, sizeof(ticks));
        break;
    case KIND_NONE:
        break;
    }
}

/* Everything that is due by now. Returns false when all is done. */
static bool time_step(us now)
{
    static us conn_due, udp_due, flushed;
    static unsigned conn_source, udp_source;
    bool left;

    if (now >= end_at)
        stopping = true;
    if (conn_due == 0) {
        conn_due = udp_due = now;
        conn_source = udp_source = source_count - 1;
    }
    if (options.rate > 0 && !stopping)
        pace(now, &conn_due, options.rate, &conn_source, conn_start);
    if (options.udp_rate > 0 && !stopping)
        pace(now, &udp_due, options.udp_rate, &udp_source, datagram_send);
    if (!paused && !stopping)
        streams_send(now);
    left = conn_expire(now);
    left = datagrams_expire(now) || left;
    if (options.stay > 0) {
        if (stopping)
            streams_leave();
        left = streams_expire(now) || left;
    }
    if (now - flushed > FLUSH_US) {
        fflush(stdout);
        flushed = now;
    }
    return !stopping || left;
}

static void loop(void)
{
    struct itimerspec every = {{0, 1000000}, {0, 1000000}};
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    us last = clock_now();

    watch(timer, KIND_TIMER, EPOLLIN);
    timerfd_settime(timer, 0, &every, NULL);
    for (;;) {
        struct epoll_event events[128];
        int n = epoll_wait(poller(), events, 128, 100);
        us now = clock_now();

        if (now - last > LATE_US) {
            printf("l %lld %lld\n", (long long)now, (long long)(now - last));
            late_total += now - last;
        }
        last = now;
        for (int i = 0; i < n; i++)
            event_step(events[i].data.fd);
        if (!time_step(clock_now()))
            return;
    }
}

static void sources_read(const char *path)
{
    char line[128];
    FILE *f = fopen(path, "r");

    if (f == NULL)
        die(path);
    while (source_count < SOURCES_MAX && fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] != '\0' && addr_parse(line, &sources[source_count]))
            source_count++;
    }
    fclose(f);
}

static bool option_set(const char *key, const char *value)
{
    if (strcmp(key, "--sources") == 0)
        sources_read(value);
    else if (strcmp(key, "--vip4") == 0)
        return addr_parse(value, &options.vip[0]);
    else if (strcmp(key, "--vip6") == 0)
        return addr_parse(value, &options.vip[1]);
    else if (strcmp(key, "--http") == 0)
        options.http_port = atoi(value);
    else if (strcmp(key, "--rate") == 0)
        options.rate = atof(value);
    else if (strcmp(key, "--deadline") == 0)
        options.deadline = (us)(atof(value) * 1000);
    else if (strcmp(key, "--stream") == 0)
        options.stream_port = atoi(value);
    else if (strcmp(key, "--streams") == 0)
        options.streams = (unsigned)atoi(value);
    else if (strcmp(key, "--line") == 0)
        options.line_every = (us)(atof(value) * 1000);
    else if (strcmp(key, "--stay") == 0)
        options.stay = (us)(atof(value) * 1000);
    else if (strcmp(key, "--udp") == 0)
        options.udp_port = atoi(value);
    else if (strcmp(key, "--udp-rate") == 0)
        options.udp_rate = atof(value);
    else if (strcmp(key, "--udp-deadline") == 0)
        options.udp_deadline = (us)(atof(value) * 1000);
    else if (strcmp(key, "--seconds") == 0)
        end_at = clock_now() + (us)(atof(value) * 1e6);
    else if (strcmp(key, "--sniff") == 0)
        sniff_open(value);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    unsigned usable = 0;

    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc || !option_set(argv[i], argv[i + 1])) {
            fprintf(stderr, "client: %s: not understood\n", argv[i]);
            return 2;
        }
    }
    for (unsigned i = 0; i < source_count; i++)
        usable += vip_of(i) != NULL;
    if (usable == 0 || options.streams > STREAMS_MAX) {
        fprintf(stderr, "client: no source has a VIP of its family, or too many streams\n");
        return 2;
    }
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    watch(0, KIND_STDIN, EPOLLIN);
    if (options.udp_rate > 0)
        datagrams_open();
    streams_open();
    loop();
    streams_report();
    return 0;
}
