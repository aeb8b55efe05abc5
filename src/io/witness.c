/*
 * Echo requests to the witness, and which answers count.
 *
 * Anybody on the network can send an echo reply. One counts only if it brings back
 * 16 bytes that nobody can guess, new ones in each request, and each counts once:
 * so neither forging nor replaying makes a witness that is out of reach look near.
 *
 * Raw sockets get a copy of every reply that the host gets. A filter in the kernel
 * keeps all but those with our identifier from being queued, so that others' pings,
 * or a flood, neither wake the daemon nor fill the queue.
 */
#include "witness.h"

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    COOKIE_BYTES = 16,
    PROBES_KEPT = 32,      /* that may still be answered */
    READ_MAX = 32,         /* datagrams of one call */
    PRIORITY = 6,          /* as heartbeats: TC_PRIO_INTERACTIVE */
    IP_HEADER_MAX = 60,    /* IPv4 only: before the message */
    IP_HEADER_WORDS = 0xf, /* of its first byte: the header's length / 4 */
};

/* The same in ICMP (RFC 792) and ICMPv6 (RFC 4443, 4.1); our numbers in this host's order
 * of bytes, for nobody else reads them. */
struct echo {
    uint8_t type, code;
    uint16_t checksum; /* of ICMPv6 the kernel's business */
    uint16_t identifier, sequence;
    uint8_t cookie[COOKIE_BYTES];
};
static_assert(sizeof(struct echo) == 8 + COOKIE_BYTES, "no padding on the wire");

struct probe {
    instant at;
    uint16_t sequence;
    bool open; /* not answered yet */
    uint8_t cookie[COOKIE_BYTES];
};

struct witness {
    int fd;
    struct address address;
    uint16_t identifier, sequence;
    struct probe probe[PROBES_KEPT]; /* by sequence */
};

/* The internet checksum (RFC 1071). */
static uint16_t checksum(const struct echo *e)
{
    uint16_t word[sizeof *e / 2];
    uint32_t sum = 0;
    memcpy(word, e, sizeof word);
    for (size_t i = 0; i < sizeof word / sizeof *word; i++)
        sum += word[i];
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static bool is_ip4(const struct witness *w)
{
    return w->address.family == FAMILY_IP4;
}

/* Lets in echo replies with our identifier, which stands after 4 bytes of the
 * message; of IPv4 the header comes before that. */
static int filter_set(const struct witness *w)
{
    struct sock_filter ip4[] = {
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohs(w->identifier), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_filter ip6[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohs(w->identifier), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = {
        .len = is_ip4(w) ? sizeof ip4 / sizeof *ip4 : sizeof ip6 / sizeof *ip6,
        .filter = is_ip4(w) ? ip4 : ip6,
    };
    const struct icmp_filter type4 = {.data = ~(1u << ICMP_ECHOREPLY)};
    struct icmp6_filter type6;
    ICMP6_FILTER_SETBLOCKALL(&type6);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &type6);
    int rc = is_ip4(w) ? setsockopt(w->fd, SOL_RAW, ICMP_FILTER, &type4, sizeof type4)
                       : setsockopt(w->fd, SOL_ICMPV6, ICMP6_FILTER, &type6, sizeof type6);
    if (rc == 0)
        rc = setsockopt(w->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    return rc < 0 ? -errno : 0;
}

int witness_open(struct witness **out, const struct address *address)
{
    assert(address->family == FAMILY_IP4 || address->family == FAMILY_IP6);
    const int priority = PRIORITY;
    struct witness *w = calloc(1, sizeof *w);
    if (w == NULL)
        return -ENOMEM;
    w->address = *address;
    randombytes_buf(&w->identifier, sizeof w->identifier);
    w->fd = socket(is_ip4(w) ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                   is_ip4(w) ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
    int rc = w->fd < 0 ? -errno : filter_set(w);
    if (rc < 0) {
        witness_close(w);
        return rc;
    }
    (void)setsockopt(w->fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority);
    *out = w;
    return 0;
}

void witness_close(struct witness *w)
{
    if (w == NULL)
        return;
    if (w->fd >= 0)
        close(w->fd);
    free(w);
}

int witness_fd(const struct witness *w)
{
    return w->fd;
}

static socklen_t endpoint_make(const struct address *a, struct sockaddr_storage *out)
{
    *out = (struct sockaddr_storage){0};
    if (a->family == FAMILY_IP4) {
        struct sockaddr_in *four = (struct sockaddr_in *)out;
        four->sin_family = AF_INET;
        memcpy(&four->sin_addr, a->byte, 4);
        return sizeof *four;
    }
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    six->sin6_family = AF_INET6;
    memcpy(&six->sin6_addr, a->byte, 16);
    return sizeof *six;
}

int witness_probe(struct witness *w, instant now)
{
    struct sockaddr_storage to;
    socklen_t length = endpoint_make(&w->address, &to);
    struct probe *p = &w->probe[++w->sequence % PROBES_KEPT];
    *p = (struct probe){.at = now, .sequence = w->sequence};
    randombytes_buf(p->cookie, sizeof p->cookie);
    struct echo e = {.type = is_ip4(w) ? (uint8_t)ICMP_ECHO : (uint8_t)ICMP6_ECHO_REQUEST,
                     .identifier = w->identifier,
                     .sequence = p->sequence};
    memcpy(e.cookie, p->cookie, sizeof e.cookie);
    if (is_ip4(w))
        e.checksum = checksum(&e);
    ssize_t sent;
    do
        sent = sendto(w->fd, &e, sizeof e, MSG_NOSIGNAL, (const struct sockaddr *)&to, length);
    while (sent < 0 && errno == EINTR);
    p->open = sent >= 0;
    return sent < 0 ? -errno : 0;
}

/* True if what came, of `length` bytes, is from the witness: *out is its message.
 * What is longer than `data` cannot be as long as it has to be. */
static bool echo_find(const struct witness *w, const struct sockaddr_storage *from,
                      const uint8_t *data, size_t length, struct echo *out)
{
    size_t head = 0;
    if (is_ip4(w)) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)from;
        if (length == 0 || memcmp(&four->sin_addr, w->address.byte, 4) != 0)
            return false;
        head = (size_t)(data[0] & IP_HEADER_WORDS) * 4;
    } else {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
        if (memcmp(&six->sin6_addr, w->address.byte, 16) != 0)
            return false;
    }
    if (length != head + sizeof *out)
        return false;
    memcpy(out, data + head, sizeof *out);
    return true;
}

/* The probe that this answers, or NULL. */
static struct probe *probe_find(struct witness *w, const struct echo *e)
{
    uint8_t type = is_ip4(w) ? (uint8_t)ICMP_ECHOREPLY : (uint8_t)ICMP6_ECHO_REPLY;
    struct probe *p = &w->probe[e->sequence % PROBES_KEPT];
    bool ours = e->type == type && e->code == 0 && e->identifier == w->identifier && p->open &&
                p->sequence == e->sequence;
    return ours && sodium_memcmp(p->cookie, e->cookie, sizeof p->cookie) == 0 ? p : NULL;
}

int witness_read(struct witness *w, instant *asked)
{
    bool answered = false;
    for (int i = 0; i < READ_MAX; i++) {
        uint8_t data[IP_HEADER_MAX + sizeof(struct echo)];
        struct sockaddr_storage from = {0};
        socklen_t size = sizeof from;
        struct echo e;
        ssize_t got = recvfrom(w->fd, data, sizeof data, MSG_DONTWAIT | MSG_TRUNC,
                               (struct sockaddr *)&from, &size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno != EAGAIN)
            return answered ? 1 : -errno;
        if (got < 0)
            break;
        if (!echo_find(w, &from, data, (size_t)got, &e))
            continue;
        struct probe *p = probe_find(w, &e);
        if (p == NULL)
            continue;
        p->open = false;
        *asked = answered ? instant_max(*asked, p->at) : p->at;
        answered = true;
    }
    return answered;
}
