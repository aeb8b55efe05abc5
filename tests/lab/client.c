/*
 * The measuring client of the lab: many source addresses, one loop.
 *
 *   client --sources FILE [--vip4 A] [--vip6 A] [OPTION VALUE]...
 *
 *   --http PORT  --rate R     R new HTTP connections a second, the sources in turn
 *   --deadline MS             given up after that (default 3000)
 *   --stream PORT --streams N N connections at the start, the sources in turn ...
 *   --line MS                 ... that send a line every MS (default 20) and check the echo
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
 *   S SRC STATE NODE SENT ECHOED GAP_US REASON T  a stream, on report and at the end
 *   d T SRC PORT MAC MAC                          two SYN-ACKs for one SYN
 *   l T US                                        this loop itself was late
 *   r T                                           end of a report
 *
 * GAP_US is the longest that a line waited for its echo, the loop's own lateness taken off.
 * RESULT: ok, timeout, reset, refused, unreachable, eof (ended early), bad.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    SOURCES_MAX = 2048,
    FDS_MAX = 16384,
    STREAMS_MAX = 2048,
    RING = 1024,       /* lines of a stream on their way, at most */
    DATAGRAMS = 8192,  /* datagrams on their way, at most */
    SEEN_MAX = 1 << 16,
    NAME_MAX_ = 32,
    LATE_US = 20000,
    FLUSH_US = 50000,
};

typedef int64_t us;

union addr {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

enum kind { KIND_NONE, KIND_CONN, KIND_STREAM, KIND_UDP, KIND_SNIFF, KIND_STDIN, KIND_TIMER };

/* What a descriptor is. A connection's `next` chains them in order of start. */
struct slot {
    enum kind kind;
    bool connected;
    unsigned source, stream;
    us start, up;
    int prev, next;
    uint16_t port;
    size_t got;
    char input[512];
};

struct stream {
    int fd;
    const char *state, *reason; /* opening, open, broken, closed */
    unsigned source;
    uint32_t sent, echoed;
    us due, gap, ended, sent_at[RING]; /* sent_at on a clock without late_total */
    char node[NAME_MAX_];
    size_t got;
    char input[512];
};

struct datagram {
    bool used;
    uint32_t id;
    unsigned source, replies;
    us start, rtt;
    char nodes[96];
};

/* The SYN-ACK seen for a client's port. */
struct seen {
    bool used;
    unsigned source;
    uint16_t port;
    uint32_t isn;
    uint8_t mac[6];
};

static union addr sources[SOURCES_MAX], vips[2]; /* [0] IPv4, [1] IPv6 */
static unsigned source_count, stream_count;
static struct slot slots[FDS_MAX];
static struct stream *streams;
static int udp_fd[SOURCES_MAX];
static struct datagram datagrams[DATAGRAMS];
static struct seen seen[SEEN_MAX];
static int poller, oldest = -1, newest = -1;
static us deadline = 3000000, udp_deadline = 500000, line_every = 20000, end_at = INT64_MAX;
static double rate, udp_rate;
static int http_port, stream_port, udp_port;
static us late_total; /* that this loop was held up, since the start */
static bool paused, stopping, sniffing;
static uint32_t udp_next, udp_done;

static us clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (us)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int fd, enum kind kind, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};

    if (fd >= FDS_MAX)
        die("too many descriptors");
    slots[fd] = (struct slot){.kind = kind, .prev = -1, .next = -1};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e) < 0)
        die("epoll_ctl");
}

static void want(int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};

    epoll_ctl(poller, EPOLL_CTL_MOD, fd, &e);
}

static const char *reason_of(int error)
{
    switch (error) {
    case ECONNRESET: return "reset";
    case EPIPE: return "reset";
    case ECONNREFUSED: return "refused";
    case ETIMEDOUT: return "timeout";
    case EHOSTUNREACH:
    case ENETUNREACH: return "unreachable";
    default: return "bad";
    }
}

/* Only sources whose family has a VIP are used. */
static const union addr *vip_of(unsigned source)
{
    const union addr *v = &vips[sources[source].sa.sa_family == AF_INET6];

    return v->sa.sa_family != 0 ? v : NULL;
}

static socklen_t addr_bytes(const union addr *a)
{
    return a->sa.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

static uint16_t addr_port(const union addr *a)
{
    return ntohs(a->sa.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);
}

static bool addr_parse(const char *text, union addr *out)
{
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1)
        out->sa.sa_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1)
        out->sa.sa_family = AF_INET6;
    else
        return false;
    return true;
}

/* --- two SYN-ACKs for one SYN ------------------------------------------- */

static struct seen *seen_find(unsigned source, uint16_t port)
{
    unsigned at = (source * 40503u + port * 2654435761u) % SEEN_MAX;

    while (seen[at].used && (seen[at].source != source || seen[at].port != port))
        at = (at + 1) % SEEN_MAX;
    return &seen[at];
}

/* A new connection from there: what was seen before is another one's. Entries
 * stay (with isn 0), so that the probing of others does not break. */
static void seen_reset(unsigned source, uint16_t port)
{
    static unsigned count;
    struct seen *s = seen_find(source, port);

    if (!s->used) {
        if (++count > SEEN_MAX / 2) {
            memset(seen, 0, sizeof(seen));
            count = 1;
            s = seen_find(source, port);
        }
        s->used = true;
        s->source = source;
        s->port = port;
    }
    s->isn = 0;
}

static void sniff_open(const char *iface)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IP, 0, 4),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 9),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14 + 20 + 13),
        BPF_JUMP(BPF_JMP | BPF_JA, 4, 0, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IPV6, 0, 6),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 20),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 4),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14 + 40 + 13),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x12, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 128),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), big = 4 << 20;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
        die("packet socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
    at.sll_ifindex = (int)if_nametoindex(iface);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
        die("bind packet socket");
    watch(fd, KIND_SNIFF, EPOLLIN);
    sniffing = true;
}

static void sniff_frame(const uint8_t *f, size_t bytes)
{
    bool six = f[12] == 0x86;
    size_t ip = ETH_HLEN, tcp = ip + (six ? 40 : 20);
    uint32_t isn;
    uint16_t port;
    struct seen *s;
    unsigned i;

    if (bytes < tcp + 20)
        return;
    for (i = 0; i < source_count; i++) {
        if (six ? sources[i].sa.sa_family == AF_INET6 &&
                      memcmp(&sources[i].v6.sin6_addr, f + ip + 24, 16) == 0
                : sources[i].sa.sa_family == AF_INET &&
                      memcmp(&sources[i].v4.sin_addr, f + ip + 16, 4) == 0)
            break;
    }
    port = (uint16_t)(f[tcp + 2] << 8 | f[tcp + 3]);
    memcpy(&isn, f + tcp + 4, 4);
    s = i < source_count ? seen_find(i, port) : NULL;
    if (s == NULL || !s->used)
        return;
    if (s->isn != 0 && s->isn != isn) {
        const uint8_t *a = s->mac, *b = f + 6;

        printf("d %lld %u %u %02x:%02x:%02x:%02x:%02x:%02x %02x:%02x:%02x:%02x:%02x:%02x\n",
               (long long)clock_now(), i, port, a[0], a[1], a[2], a[3], a[4], a[5], b[0], b[1],
               b[2], b[3], b[4], b[5]);
    }
    s->isn = isn;
    memcpy(s->mac, f + 6, 6);
}

static void sniff_step(int fd)
{
    uint8_t frame[128];
    struct sockaddr_ll from;
    socklen_t size = sizeof(from);
    ssize_t n;

    while ((n = recvfrom(fd, frame, sizeof(frame), 0, (struct sockaddr *)&from, &size)) > 0) {
        if (from.sll_pkttype == PACKET_HOST)
            sniff_frame(frame, (size_t)n);
        size = sizeof(from);
    }
}

/* --- connections ---------------------------------------------------------- */

/* A non-blocking connection from the source, or -1 with errno. */
static int connect_from(unsigned source, int port)
{
    union addr from = sources[source], to = *vip_of(source);
    int fd = socket(from.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    socklen_t size = sizeof(from);

    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (to.sa.sa_family == AF_INET)
        to.v4.sin_port = htons((uint16_t)port);
    else
        to.v6.sin6_port = htons((uint16_t)port);
    if (bind(fd, &from.sa, addr_bytes(&from)) < 0)
        die("bind (is the source address there?)");
    if (connect(fd, &to.sa, addr_bytes(&to)) < 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    if (sniffing && getsockname(fd, &from.sa, &size) == 0)
        seen_reset(source, addr_port(&from));
    return fd;
}

static void conn_record(const struct slot *s, us start, unsigned source, const char *result)
{
    us now = clock_now();
    const char *node = s != NULL ? strstr(s->input, "X-Node: ") : NULL;
    int bytes = node != NULL ? (int)strcspn(node + 8, "\r\n") : 1;

    printf("c %lld %u %s %lld %lld %.*s\n", (long long)start, source, result,
           (long long)(s != NULL && s->connected ? s->up - start : -1), (long long)(now - start),
           bytes, node != NULL ? node + 8 : "-");
}

static void conn_start(unsigned source)
{
    us start = clock_now();
    int fd = connect_from(source, http_port);

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

static void conn_step(int fd)
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

/* --- streams --------------------------------------------------------------- */

static void stream_end(struct stream *s, const char *state, const char *reason)
{
    s->ended = clock_now();
    s->state = state;
    s->reason = reason;
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

    s->due = now + line_every;
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

static void stream_step(struct stream *s)
{
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
    want(s->fd, EPOLLIN);
    stream_send(s, clock_now()); /* the first line at once, also when paused: tells the node */
}

static void streams_open(void)
{
    unsigned source = 0;

    streams = calloc(stream_count > 0 ? stream_count : 1, sizeof(*streams));
    if (streams == NULL)
        die("calloc");
    for (unsigned i = 0; i < stream_count; i++, source = (source + 1) % source_count) {
        struct stream *s = &streams[i];

        while (vip_of(source) == NULL)
            source = (source + 1) % source_count;
        s->source = source;
        s->state = "opening";
        s->reason = "-";
        s->fd = connect_from(source, stream_port);
        if (s->fd < 0) {
            stream_end(s, "broken", reason_of(errno));
            continue;
        }
        watch(s->fd, KIND_STREAM, EPOLLOUT);
        slots[s->fd].stream = i;
    }
}

/* A line that is still not echoed is a gap too, as long as it is now. */
static void streams_report(void)
{
    us now = clock_now();

    for (unsigned i = 0; i < stream_count; i++) {
        struct stream *s = &streams[i];
        us gap = s->gap, until = (s->ended != 0 ? s->ended : now) - late_total;

        if (s->echoed < s->sent && until - s->sent_at[s->echoed % RING] > gap)
            gap = until - s->sent_at[s->echoed % RING];
        printf("S %u %s %s %u %u %lld %s %lld\n", s->source, s->state,
               s->node[0] != '\0' ? s->node : "-", s->sent, s->echoed, (long long)gap, s->reason,
               (long long)s->ended);
    }
    printf("r %lld\n", (long long)now);
    fflush(stdout);
}

/* --- datagrams ------------------------------------------------------------- */

static void udp_open(void)
{
    for (unsigned i = 0; i < source_count; i++) {
        union addr to;

        udp_fd[i] = -1;
        if (vip_of(i) == NULL)
            continue;
        udp_fd[i] = socket(sources[i].sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (udp_fd[i] < 0 || bind(udp_fd[i], &sources[i].sa, addr_bytes(&sources[i])) < 0)
            die("udp socket");
        to = *vip_of(i);
        if (to.sa.sa_family == AF_INET)
            to.v4.sin_port = htons((uint16_t)udp_port);
        else
            to.v6.sin6_port = htons((uint16_t)udp_port);
        /* connected: an answer from any other address is not taken */
        if (connect(udp_fd[i], &to.sa, addr_bytes(&to)) < 0)
            die("udp connect");
        watch(udp_fd[i], KIND_UDP, EPOLLIN);
        slots[udp_fd[i]].source = i;
    }
}

static void udp_send(unsigned source)
{
    struct datagram *d = &datagrams[udp_next % DATAGRAMS];
    char text[16];
    int bytes = snprintf(text, sizeof(text), "%u", udp_next);

    *d = (struct datagram){.used = true, .id = udp_next, .source = source, .start = clock_now(),
                           .rtt = -1};
    udp_next++;
    (void)send(udp_fd[source], text, (size_t)bytes, MSG_NOSIGNAL);
}

static void udp_read(int fd)
{
    char text[128];
    ssize_t n;

    while ((n = recv(fd, text, sizeof(text) - 1, 0)) > 0) {
        char *space;
        struct datagram *d;
        unsigned long id;

        text[n] = '\0';
        space = strchr(text, ' ');
        if (space == NULL)
            continue;
        *space = '\0';
        id = strtoul(space + 1, NULL, 10);
        d = &datagrams[id % DATAGRAMS];
        if (!d->used || d->id != id)
            continue;
        if (d->replies++ == 0)
            d->rtt = clock_now() - d->start;
        if (strlen(d->nodes) + strlen(text) + 2 < sizeof(d->nodes)) {
            if (d->nodes[0] != '\0')
                strcat(d->nodes, ",");
            strcat(d->nodes, text);
        }
    }
}

/* Tells the datagrams that have waited long enough. */
static void udp_expire(us now)
{
    while (udp_done != udp_next) {
        struct datagram *d = &datagrams[udp_done % DATAGRAMS];

        if (d->used && d->start + udp_deadline > now && udp_next - udp_done < DATAGRAMS)
            break;
        if (d->used)
            printf("u %lld %u %u %lld %s\n", (long long)d->start, d->source, d->replies,
                   (long long)d->rtt, d->nodes[0] != '\0' ? d->nodes : "-");
        d->used = false;
        udp_done++;
    }
}

/* --- the loop ---------------------------------------------------------------- */

/* Calls `start` for each due tick and moves `due` on. A loop that was held up
 * for long skips what it missed: a burst would measure nothing. */
static void pace(us now, us *due, double per_second, unsigned *source,
                 void (*start)(unsigned))
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
        epoll_ctl(poller, EPOLL_CTL_DEL, 0, NULL);
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
    case KIND_CONN: conn_step(fd); break;
    case KIND_STREAM: stream_step(&streams[slots[fd].stream]); break;
    case KIND_UDP: udp_read(fd); break;
    case KIND_SNIFF: sniff_step(fd); break;
    case KIND_STDIN: stdin_step(); break;
    case KIND_TIMER: (void)!read(fd, &ticks, sizeof(ticks)); break;
    case KIND_NONE: break;
    }
}

/* Everything that is due by now. Returns false when all is done. */
static bool time_step(us now)
{
    static us conn_due, udp_due, flushed;
    static unsigned conn_source, udp_source;

    if (now >= end_at)
        stopping = true;
    if (conn_due == 0) {
        conn_due = udp_due = now;
        conn_source = udp_source = source_count - 1;
    }
    if (rate > 0 && !stopping)
        pace(now, &conn_due, rate, &conn_source, conn_start);
    if (udp_rate > 0 && !stopping)
        pace(now, &udp_due, udp_rate, &udp_source, udp_send);
    while (oldest >= 0 && slots[oldest].start + deadline <= now)
        conn_end(oldest, "timeout");
    udp_expire(now);
    for (unsigned i = 0; i < stream_count && !paused && !stopping; i++)
        if (strcmp(streams[i].state, "open") == 0 && streams[i].due <= now)
            stream_send(&streams[i], now);
    if (now - flushed > FLUSH_US) {
        fflush(stdout);
        flushed = now;
    }
    return !stopping || oldest >= 0 || udp_done != udp_next;
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
        int n = epoll_wait(poller, events, 128, 100);
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
        return addr_parse(value, &vips[0]);
    else if (strcmp(key, "--vip6") == 0)
        return addr_parse(value, &vips[1]);
    else if (strcmp(key, "--http") == 0)
        http_port = atoi(value);
    else if (strcmp(key, "--rate") == 0)
        rate = atof(value);
    else if (strcmp(key, "--deadline") == 0)
        deadline = (us)(atof(value) * 1000);
    else if (strcmp(key, "--stream") == 0)
        stream_port = atoi(value);
    else if (strcmp(key, "--streams") == 0)
        stream_count = (unsigned)atoi(value);
    else if (strcmp(key, "--line") == 0)
        line_every = (us)(atof(value) * 1000);
    else if (strcmp(key, "--udp") == 0)
        udp_port = atoi(value);
    else if (strcmp(key, "--udp-rate") == 0)
        udp_rate = atof(value);
    else if (strcmp(key, "--udp-deadline") == 0)
        udp_deadline = (us)(atof(value) * 1000);
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
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll_create1");
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc || !option_set(argv[i], argv[i + 1])) {
            fprintf(stderr, "client: %s: not understood\n", argv[i]);
            return 2;
        }
    }
    for (unsigned i = 0; i < source_count; i++)
        usable += vip_of(i) != NULL;
    if (usable == 0 || stream_count > STREAMS_MAX) {
        fprintf(stderr, "client: no source has a VIP of its family, or too many streams\n");
        return 2;
    }
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    watch(0, KIND_STDIN, EPOLLIN);
    if (udp_rate > 0)
        udp_open();
    streams_open();
    loop();
    streams_report();
    return 0;
}
