/*
 * The server of the lab: what a node of the cluster serves.
 *
 *   server NAME HTTP_PORT STREAM_PORT UDP_PORT
 *
 * HTTP    answers every request with the node's name, in the body and in
 *         X-Node, and closes; `GET /big` answers with BIG_BYTES more.
 * stream  answers every line with "NAME line"; stays open.
 * UDP     answers every datagram with "NAME datagram", from the address that
 *         it was sent to.
 *
 * All on 0.0.0.0 and [::]. One process, epoll, no memory beyond the tables.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNS_MAX = 8192, INPUT_MAX = 1024, BIG_BYTES = 256 * 1024 };

enum kind { KIND_NONE, KIND_HTTP_LISTEN, KIND_STREAM_LISTEN, KIND_UDP, KIND_HTTP, KIND_STREAM };

struct conn {
    enum kind kind;
    uint16_t got;       /* bytes in `input` */
    size_t sent, total; /* of an HTTP answer */
    char input[INPUT_MAX];
};

static struct conn conns[CONNS_MAX]; /* by descriptor */
static int poller;
static const char *name;
static char small_answer[512], big_answer[BIG_BYTES + 512];
static size_t small_bytes, big_bytes;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int fd, enum kind kind, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};

    memset(&conns[fd], 0, sizeof(conns[fd]));
    conns[fd].kind = kind;
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e) < 0)
        die("epoll_ctl");
}

static void conn_close(int fd)
{
    conns[fd].kind = KIND_NONE;
    close(fd);
}

static void listen_on(int family, uint16_t port, enum kind kind)
{
    int type = kind == KIND_UDP ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
    } else {
        setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
    }
    if (bind(fd, family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
             family == AF_INET ? sizeof(v4) : sizeof(v6)) < 0)
        die("bind");
    if (kind != KIND_UDP) {
        /* data in the SYN, where net.ipv4.tcp_fastopen lets it */
        int waiting = 16;

        setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &waiting, sizeof(waiting));
        if (listen(fd, 1024) < 0)
            die("listen");
    }
    watch(fd, kind, EPOLLIN);
}

static void accept_all(int listener, enum kind kind)
{
    int fd, one = 1, big = 1 << 20;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (fd >= CONNS_MAX) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        /* room for all echoes while none of them gets through */
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
        watch(fd, kind, EPOLLIN);
    }
}

/* Sends what is left of the answer; true when the connection is done with. */
static bool http_write(int fd)
{
    struct conn *c = &conns[fd];
    const char *answer = c->total == big_bytes ? big_answer : small_answer;

    while (c->sent < c->total) {
        ssize_t n = send(fd, answer + c->sent, c->total - c->sent, MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            struct epoll_event e = {.events = EPOLLOUT, .data.fd = fd};

            epoll_ctl(poller, EPOLL_CTL_MOD, fd, &e);
            return false;
        }
        if (n <= 0)
            return true;
        c->sent += (size_t)n;
    }
    return true;
}

static void http_step(int fd)
{
    struct conn *c = &conns[fd];

    if (c->total == 0) {
        ssize_t n = recv(fd, c->input + c->got, INPUT_MAX - 1 - c->got, 0);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            conn_close(fd);
            return;
        }
        c->got = (uint16_t)(c->got + n);
        c->input[c->got] = '\0';
        if (strstr(c->input, "\r\n\r\n") == NULL) {
            if (c->got == INPUT_MAX - 1)
                conn_close(fd);
            return;
        }
        c->total = strncmp(c->input, "GET /big ", 9) == 0 ? big_bytes : small_bytes;
    }
    if (http_write(fd))
        conn_close(fd);
}

static void stream_step(int fd)
{
    struct conn *c = &conns[fd];
    ssize_t n = recv(fd, c->input + c->got, INPUT_MAX - 1 - c->got, 0);
    char *line = c->input, *end;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(fd);
        return;
    }
    c->got = (uint16_t)(c->got + n);
    while ((end = memchr(line, '\n', (size_t)(c->input + c->got - line))) != NULL) {
        char out[INPUT_MAX + 80];
        int bytes = snprintf(out, sizeof(out), "%s %.*s\n", name, (int)(end - line), line);

        if (send(fd, out, (size_t)bytes, MSG_NOSIGNAL) != bytes) {
            conn_close(fd);
            return;
        }
        line = end + 1;
    }
    c->got = (uint16_t)(c->input + c->got - line);
    memmove(c->input, line, c->got);
    if (c->got == INPUT_MAX - 1)
        conn_close(fd);
}

/* The cmsg that came with the datagram goes back with the answer: the kernel
 * takes the source address from it. IPv4 tells the local address in
 * ipi_spec_dst, and takes it from there too. */
static void udp_step(int fd)
{
    char in[1500], out[1600];
    char control[256];

    for (;;) {
        struct sockaddr_storage from;
        struct iovec iov = {.iov_base = in, .iov_len = sizeof(in)};
        struct msghdr m = {.msg_name = &from,
                           .msg_namelen = sizeof(from),
                           .msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(fd, &m, 0);

        if (n < 0)
            return;
        for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h != NULL; h = CMSG_NXTHDR(&m, h)) {
            if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO) {
                struct in_pktinfo *info = (struct in_pktinfo *)(void *)CMSG_DATA(h);

                info->ipi_spec_dst = info->ipi_addr;
                info->ipi_ifindex = 0;
            } else if (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_PKTINFO) {
                ((struct in6_pktinfo *)(void *)CMSG_DATA(h))->ipi6_ifindex = 0;
            }
        }
        iov.iov_base = out;
        iov.iov_len = (size_t)snprintf(out, sizeof(out), "%s %.*s", name, (int)n, in);
        sendmsg(fd, &m, MSG_NOSIGNAL);
    }
}

static size_t answer_make(char *out, size_t size, size_t body_more)
{
    size_t body = strlen(name) + 1 + body_more;
    int head = snprintf(out, size,
                        "HTTP/1.1 200 OK\r\nServer: ipclusterd-lab\r\nX-Node: %s\r\n"
                        "Content-Type: text/plain\r\nContent-Length: %zu\r\n"
                        "Connection: close\r\n\r\n%s\n",
                        name, body, name);

    memset(out + head, '.', body_more);
    return (size_t)head + body_more;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: server NAME HTTP_PORT STREAM_PORT UDP_PORT\n");
        return 2;
    }
    name = argv[1];
    small_bytes = answer_make(small_answer, sizeof(small_answer), 0);
    big_bytes = answer_make(big_answer, sizeof(big_answer), BIG_BYTES);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll_create1");
    for (int i = 0; i < 2; i++) {
        int family = i == 0 ? AF_INET : AF_INET6;

        listen_on(family, (uint16_t)atoi(argv[2]), KIND_HTTP_LISTEN);
        listen_on(family, (uint16_t)atoi(argv[3]), KIND_STREAM_LISTEN);
        listen_on(family, (uint16_t)atoi(argv[4]), KIND_UDP);
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[64];
        int n = epoll_wait(poller, events, 64, -1);

        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;

            switch (conns[fd].kind) {
            case KIND_HTTP_LISTEN:
                accept_all(fd, KIND_HTTP);
                break;
            case KIND_STREAM_LISTEN:
                accept_all(fd, KIND_STREAM);
                break;
            case KIND_UDP:
                udp_step(fd);
                break;
            case KIND_HTTP:
                http_step(fd);
                break;
            case KIND_STREAM:
                stream_step(fd);
                break;
            case KIND_NONE:
                break;
            }
        }
    }
}
