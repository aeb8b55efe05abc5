/*
 * Clock, loop registration, addresses: what every part of the client needs.
 */
#define _GNU_SOURCE
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct options options = {.deadline = 3000000, .udp_deadline = 500000, .line_every = 20000};
union addr sources[SOURCES_MAX];
unsigned source_count;
struct slot slots[FDS_MAX];
us late_total;

us clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (us)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void die(const char *what)
{
    perror(what);
    exit(1);
}

int poller(void)
{
    static int fd = -1;

    if (fd < 0)
        fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        die("epoll_create1");
    return fd;
}

void watch(int fd, enum kind kind, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};

    if (fd >= FDS_MAX)
        die("too many descriptors");
    slots[fd] = (struct slot){.kind = kind, .prev = -1, .next = -1};
    if (epoll_ctl(poller(), EPOLL_CTL_ADD, fd, &e) < 0)
        die("epoll_ctl");
}

void want(int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};

    epoll_ctl(poller(), EPOLL_CTL_MOD, fd, &e);
}

const char *reason_of(int error)
{
    switch (error) {
    case ECONNRESET:
        return "reset";
    case EPIPE:
        return "reset";
    case ECONNREFUSED:
        return "refused";
    case ETIMEDOUT:
        return "timeout";
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "unreachable";
    default:
        return "bad";
    }
}

const union addr *vip_of(unsigned source)
{
    const union addr *v = &options.vip[sources[source].sa.sa_family == AF_INET6];

    return v->sa.sa_family != 0 ? v : NULL;
}

socklen_t addr_bytes(const union addr *a)
{
    return a->sa.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

void addr_port_set(union addr *a, int port)
{
    if (a->sa.sa_family == AF_INET)
        a->v4.sin_port = htons((uint16_t)port);
    else
        a->v6.sin6_port = htons((uint16_t)port);
}

bool addr_parse(const char *text, union addr *out)
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

int connect_from(unsigned source, int port)
{
    union addr from = sources[source], to = *vip_of(source);
    int fd = socket(from.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    socklen_t size = sizeof(from);

    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    addr_port_set(&to, port);
    if (bind(fd, &from.sa, addr_bytes(&from)) < 0)
        die("bind (is the source address there?)");
    if (connect(fd, &to.sa, addr_bytes(&to)) < 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    if (getsockname(fd, &from.sa, &size) == 0)
        sniff_expect(source, &from);
    return fd;
}
