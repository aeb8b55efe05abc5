/*
 * Looks at every SYN-ACK that reaches the client. Two with different sequence
 * numbers for one SYN come from two servers: both let the connection in. For
 * one SYN, that is: with one acknowledgement number. A server that could not be
 * heard repeats its answer a second later, when the port may be another
 * connection's; so what is told is when the connection began.
 */
#define _GNU_SOURCE
#include "client.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

enum { SEEN_MAX = 1 << 16 };

/* The SYN-ACK seen for a client's port. */
struct seen {
    bool used;
    unsigned source;
    uint16_t port;
    uint32_t isn, ack; /* isn 0: none yet */
    us began;
    uint8_t mac[6];
};

static struct seen seen[SEEN_MAX];
static bool sniffing;

static struct seen *seen_find(unsigned source, uint16_t port)
{
    unsigned at = (source * 40503u + port * 2654435761u) % SEEN_MAX;

    while (seen[at].used && (seen[at].source != source || seen[at].port != port))
        at = (at + 1) % SEEN_MAX;
    return &seen[at];
}

/* Entries stay (with isn 0), so that the probing of others does not break. */
void sniff_expect(unsigned source, const union addr *from)
{
    uint16_t port = ntohs(from->sa.sa_family == AF_INET ? from->v4.sin_port : from->v6.sin6_port);
    static unsigned count;
    struct seen *s;

    if (!sniffing)
        return;
    s = seen_find(source, port);
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
    s->began = clock_now();
}

void sniff_open(const char *iface)
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
    uint32_t isn, ack;
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
    memcpy(&ack, f + tcp + 8, 4);
    s = i < source_count ? seen_find(i, port) : NULL;
    if (s == NULL || !s->used)
        return;
    if (s->isn != 0 && s->isn != isn && s->ack == ack) {
        const uint8_t *a = s->mac, *b = f + 6;

        printf("d %lld %u %u %02x:%02x:%02x:%02x:%02x:%02x %02x:%02x:%02x:%02x:%02x:%02x\n",
               (long long)s->began, i, port, a[0], a[1], a[2], a[3], a[4], a[5], b[0], b[1], b[2],
               b[3], b[4], b[5]);
    }
    s->isn = isn;
    s->ack = ack;
    memcpy(s->mac, f + 6, 6);
}

void sniff_step(int fd)
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
