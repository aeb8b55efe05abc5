/*
 * Sends bursts of frames out of several interfaces in turn, and tells what each
 * burst cost per frame: "NAME COST", one line a burst; first "unit WORD".
 *
 *   blast foreign|own ROUNDS FRAMES VIP NAME=INTERFACE,MAC...
 *
 * The other end of a veth takes a frame in before sendmmsg() is done with it,
 * on the same CPU: so the cost is that of sending plus that of receiving, and
 * the sending is the same for all. In each round every interface has its burst,
 * in a new order, so that whatever else the machine does hits all alike.
 *
 * `foreign`: TCP segments from the middle of flows, to the VIP, of 64 sources
 * with odd addresses. `own`: UDP datagrams to port 7001, of 64 with even ones.
 * The cost is in the CPU's cycles if the machine counts them for us, which a
 * virtual one often does not, and in nanoseconds otherwise.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/perf_event.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SOURCES = 64, BATCH = 64, FRAME = 128, VARIANTS_MAX = 64, WARM_UP = 3 };

struct variant {
    const char *name;
    int socket;
    unsigned char frame[SOURCES][FRAME];
    struct iovec part[BATCH];
    struct mmsghdr message[BATCH];
};

static struct variant variants[VARIANTS_MAX];
static size_t length;
static bool own;
static int cycles = -1;

static void die(const char *what)
{
    fprintf(stderr, "blast: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint16_t sum16(const void *data, size_t size, uint32_t sum)
{
    const uint8_t *p = data;

    for (size_t i = 0; i + 1 < size; i += 2)
        sum += (uint32_t)p[i] << 8 | p[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

enum { DATA = 20, PAYLOAD = 20 + DATA }; /* a TCP header, or UDP's and more data */

static void datagram_fill(struct udphdr *udp, unsigned i, uint32_t pseudo)
{
    udp->source = htons((uint16_t)(20000 + i));
    udp->dest = htons(7001);
    udp->len = htons(PAYLOAD);
    udp->check = htons((uint16_t)~sum16(udp, PAYLOAD, pseudo + IPPROTO_UDP + PAYLOAD));
}

static void segment_fill(struct tcphdr *tcp, unsigned i, uint32_t pseudo)
{
    tcp->source = htons((uint16_t)(20000 + i));
    tcp->dest = htons(80);
    tcp->seq = htonl(1000 + i);
    tcp->ack_seq = htonl(2000 + i);
    tcp->doff = 5;
    tcp->ack = 1;
    tcp->window = htons(1000);
    tcp->check = htons((uint16_t)~sum16(tcp, PAYLOAD, pseudo + IPPROTO_TCP + PAYLOAD));
}

static void payload_fill(void *at, unsigned i, uint32_t pseudo)
{
    if (own)
        datagram_fill(at, i, pseudo);
    else
        segment_fill(at, i, pseudo);
}

/* The frame of source `i`. */
static void frame_fill(unsigned char *frame, const unsigned char *mac, const char *vip, unsigned i)
{
    static const unsigned char from[6] = {2, 0, 0, 0, 0, 0xfe};
    struct ether_header *ethernet = (struct ether_header *)frame;

    memset(frame, 0, FRAME);
    memcpy(ethernet->ether_dhost, mac, 6);
    memcpy(ethernet->ether_shost, from, 6);
    if (strchr(vip, ':') == NULL) {
        struct iphdr *ip = (struct iphdr *)(frame + 14);

        ethernet->ether_type = htons(ETH_P_IP);
        ip->version = 4;
        ip->ihl = 5;
        ip->tot_len = htons(20 + PAYLOAD);
        ip->ttl = 64;
        ip->protocol = own ? IPPROTO_UDP : IPPROTO_TCP;
        ip->saddr = htonl(0xc6336400u + 2 * i + !own); /* 198.51.100.x */
        inet_pton(AF_INET, vip, &ip->daddr);
        ip->check = htons((uint16_t)~sum16(ip, sizeof *ip, 0));
        length = 14 + 20 + PAYLOAD;
        payload_fill(ip + 1, i, sum16(&ip->saddr, 8, 0));
    } else {
        struct ip6_hdr *ip = (struct ip6_hdr *)(frame + 14);

        ethernet->ether_type = htons(ETH_P_IPV6);
        ip->ip6_flow = htonl(6u << 28);
        ip->ip6_plen = htons(PAYLOAD);
        ip->ip6_nxt = own ? IPPROTO_UDP : IPPROTO_TCP;
        ip->ip6_hlim = 64;
        inet_pton(AF_INET6, "2001:db8:1::", &ip->ip6_src);
        ip->ip6_src.s6_addr[15] = (uint8_t)(2 * i + !own);
        inet_pton(AF_INET6, vip, &ip->ip6_dst);
        length = 14 + 40 + PAYLOAD;
        payload_fill(ip + 1, i, sum16(&ip->ip6_src, 32, 0));
    }
}

static void variant_open(struct variant *v, char *text, const char *vip)
{
    char *interface = strchr(text, '='), *mac = strchr(text, ',');
    struct sockaddr_ll to = {.sll_family = AF_PACKET};
    unsigned char bytes[6];
    int one = 1;

    if (interface == NULL || mac == NULL ||
        sscanf(mac, ",%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &bytes[0], &bytes[1], &bytes[2], &bytes[3],
               &bytes[4], &bytes[5]) != 6) {
        fprintf(stderr, "blast: not NAME=INTERFACE,MAC: %s\n", text);
        exit(2);
    }
    *interface++ = '\0';
    *mac = '\0';
    v->name = text;
    v->socket = socket(AF_PACKET, SOCK_RAW, 0);
    to.sll_ifindex = (int)if_nametoindex(interface);
    if (v->socket < 0 || to.sll_ifindex == 0 ||
        bind(v->socket, (struct sockaddr *)&to, sizeof to) < 0 ||
        setsockopt(v->socket, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) < 0)
        die(interface);
    for (unsigned i = 0; i < SOURCES; i++)
        frame_fill(v->frame[i], bytes, vip, i);
    for (unsigned i = 0; i < BATCH; i++) {
        v->part[i] = (struct iovec){v->frame[i % SOURCES], length};
        v->message[i].msg_hdr = (struct msghdr){.msg_iov = &v->part[i], .msg_iovlen = 1};
    }
}

/* The kernel's own cycles on this CPU; -1 if there is no such counter here. */
static int cycles_open(void)
{
    struct perf_event_attr a = {
        .type = PERF_TYPE_HARDWARE,
        .size = sizeof a,
        .config = PERF_COUNT_HW_CPU_CYCLES,
        .exclude_user = 1,
        .exclude_hv = 1,
    };

    return (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
}

static double now(void)
{
    struct timespec t;
    uint64_t count;

    if (cycles >= 0) {
        if (read(cycles, &count, sizeof count) != sizeof count)
            die("read cycles");
        return (double)count;
    }
    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double burst(struct variant *v, unsigned frames)
{
    double began = now();
    unsigned sent = 0;

    while (sent < frames) {
        int n = sendmmsg(v->socket, v->message, BATCH, 0);

        if (n < 0 && errno != ENOBUFS && errno != EAGAIN)
            die(v->name);
        sent += n > 0 ? (unsigned)n : 0;
    }
    return (now() - began) / sent;
}

int main(int argc, char **argv)
{
    unsigned rounds, frames, count = 0, order[VARIANTS_MAX];
    cpu_set_t here;

    if (argc < 6 || argc - 5 > VARIANTS_MAX) {
        fprintf(stderr, "usage: blast foreign|own ROUNDS FRAMES VIP NAME=INTERFACE,MAC...\n");
        return 2;
    }
    own = strcmp(argv[1], "own") == 0;
    rounds = (unsigned)atoi(argv[2]);
    frames = (unsigned)atoi(argv[3]);
    for (int i = 5; i < argc; i++, count++) {
        variant_open(&variants[count], argv[i], argv[4]);
        order[count] = count;
    }
    CPU_ZERO(&here);
    CPU_SET((size_t)sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here);
    cycles = cycles_open();
    printf("unit %s\n", cycles >= 0 ? "cycles" : "ns");
    srand(1);
    for (unsigned round = 0; round < rounds + WARM_UP; round++) {
        for (unsigned i = count; i > 1; i--) {
            unsigned j = (unsigned)rand() % i, keep = order[i - 1];

            order[i - 1] = order[j];
            order[j] = keep;
        }
        for (unsigned i = 0; i < count; i++) {
            double cost = burst(&variants[order[i]], frames);

            if (round >= WARM_UP)
                printf("%s %.1f\n", variants[order[i]].name, cost);
        }
    }
    return 0;
}
