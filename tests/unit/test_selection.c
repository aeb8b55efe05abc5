/*
 * The kernel is the oracle: 10,000 random clients per way of selecting, each a
 * packet through our real tables. The plan of round k gives the node those
 * buckets that have bit k, so which packets arrive spells out every bucket.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf.h"
#include "netlab.h"
#include "nft.h"
#include "nft_lab.h"
#include "selection.h"

enum {
    CLIENTS = 10000,
    CLIENTS_PORTLESS = 1000, /* they have to be told apart by what they say */
    BATCH = 64,
    PATIENCE = 5000,   /* ms for a packet that is sure to come */
    NEXT_HEADER = 253, /* a protocol without ports: "for experimentation" */
    MARK = UINT32_MAX,
};

struct way {
    const char *name;
    enum family family;
    enum vip_select select;
    enum vip_affinity affinity;
    uint16_t buckets;
    bool portless;
};

static struct source client[CLIENTS];
static unsigned told[CLIENTS]; /* by the kernel */
static struct config config;
static struct nft_place place;
static struct plan plan;
static struct nft *nft;
static const struct lab_family *lab;
static int client_ns, node_ns, wire, server, marks;
static struct sockaddr_ll out;

/* ---- clients ------------------------------------------------------------------- */

static uint32_t random_state = 1;

static uint32_t draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

/* An address that a host may have, and that is none of the lab's. */
static void clients_draw(enum family family, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct source *c = &client[i];

        memset(c, 0, sizeof *c);
        c->address.family = family;
        for (size_t b = 0; b < (family == FAMILY_IP4 ? 4 : 16); b++)
            c->address.byte[b] = (uint8_t)(draw() >> 11);
        if (family == FAMILY_IP4)
            c->address.byte[0] = (uint8_t)(1 + draw() % 126);
        else
            c->address.byte[0] = 0x2a;
        c->port = (uint16_t)(1 + draw() % UINT16_MAX);
        c->has_port = true;
    }
}

/* ---- packets ------------------------------------------------------------------- */

static uint32_t sum_words(const uint8_t *p, size_t length, uint32_t sum)
{
    for (size_t i = 0; i + 1 < length; i += 2)
        sum += (uint32_t)p[i] << 8 | p[i + 1];
    return sum;
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint16_t sum_end(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* The network header of either family in front of `length` bytes; its size. */
static size_t header_make(uint8_t *at, const struct address *from, const struct address *to,
                          uint8_t protocol, size_t length)
{
    memset(at, 0, 40);
    if (from->family == FAMILY_IP4) {
        at[0] = 0x45;
        put16(at + 2, (unsigned)(20 + length));
        at[8] = 64;
        at[9] = protocol;
        memcpy(at + 12, from->byte, 4);
        memcpy(at + 16, to->byte, 4);
        put16(at + 10, sum_end(sum_words(at, 20, 0)));
        return 20;
    }
    at[0] = 0x60;
    put16(at + 4, (unsigned)length);
    at[6] = protocol;
    at[7] = 64;
    memcpy(at + 8, from->byte, 16);
    memcpy(at + 24, to->byte, 16);
    return 40;
}

/* A frame that says `number`, with ports or without. */
static void packet_send(const struct source *from, const char *to_text, bool portless,
                        uint32_t number)
{
    size_t length = portless ? 4 : 12, bytes = from->address.family == FAMILY_IP4 ? 4 : 16, header;
    uint8_t frame[128] = {0}, *data;
    struct address to;
    struct mac mac;
    uint32_t sum;

    assert_true(address_parse(to_text, &to) && mac_parse(LAB_SHARED_MAC, &mac));
    memcpy(frame, mac.byte, 6);
    frame[6] = 2;
    frame[11] = 9;
    put16(frame + 12, bytes == 4 ? ETHERTYPE_IP : ETHERTYPE_IPV6);
    header =
        header_make(frame + 14, &from->address, &to, portless ? NEXT_HEADER : IPPROTO_UDP, length);
    data = frame + 14 + header;
    memcpy(data + length - 4, &number, 4);
    if (!portless) {
        put16(data, from->port);
        put16(data + 2, LAB_PORT);
        put16(data + 4, (unsigned)length);
        sum = sum_words(from->address.byte, bytes, sum_words(to.byte, bytes, 0));
        sum = sum_end(sum_words(data, length, sum + IPPROTO_UDP + (uint32_t)length));
        put16(data + 6, sum != 0 ? sum : 0xffff);
    }
    assert_int_equal(
        sendto(wire, frame, 14 + header + length, 0, (struct sockaddr *)&out, sizeof out),
        14 + header + length);
}

/* ---- reading ------------------------------------------------------------------- */

static int server_open(const char *address, int type, int protocol)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(LAB_PORT)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(LAB_PORT)};
    bool is_six = strchr(address, ':') != NULL;
    int fd = socket(is_six ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);

    assert_true(fd >= 0);
    if (is_six) {
        assert_int_equal(inet_pton(AF_INET6, address, &six.sin6_addr), 1);
        if (type == SOCK_RAW)
            six.sin6_port = 0;
        assert_int_equal(bind(fd, (struct sockaddr *)&six, sizeof six), 0);
    } else {
        assert_int_equal(inet_pton(AF_INET, address, &four.sin_addr), 1);
        assert_int_equal(bind(fd, (struct sockaddr *)&four, sizeof four), 0);
    }
    return fd;
}

/* The number that the next packet says; false: there is none. */
static bool number_read(int fd, uint32_t *out_number)
{
    uint8_t packet[256];
    ssize_t got = recv(fd, packet, sizeof packet, MSG_DONTWAIT);

    if (got < 4)
        return false;
    memcpy(out_number, packet + got - 4, 4);
    return true;
}

/* What was sent before has been through when this comes: one processor, one queue. */
static void mark_pass(void)
{
    struct source from = {.port = 9, .has_port = true};
    struct pollfd p = {.fd = marks, .events = POLLIN};
    uint32_t number;

    assert_true(address_parse(lab->client, &from.address));
    packet_send(&from, lab->node, false, MARK);
    assert_int_equal(poll(&p, 1, PATIENCE), 1);
    assert_true(number_read(marks, &number) && number == MARK);
}

/* ---- the test ------------------------------------------------------------------ */

static void setup_way(const struct way *w)
{
    struct vip_config *v = &config.vip[0];

    lab = w->family == FAMILY_IP4 ? &lab_ip4 : &lab_ip6;
    config = (struct config){.buckets = w->buckets, .lease = 60 * USEC_PER_S, .vips = 1};
    assert_true(address_parse(lab->vip, &v->address));
    assert_true(mac_parse(LAB_SHARED_MAC, &v->mac));
    assert_true(mac_parse(LAB_NODE_MAC, &place.own));
    strcpy(v->interface, "eth0");
    v->select = w->select;
    v->affinity = w->affinity;
    v->early_drop = true;
    place.ifindex = if_nametoindex("eth0");
    plan_init(&plan, config.buckets);
    assert_int_equal(nft_open(&nft, &config, &place), 0);
    server =
        server_open(lab->vip, w->portless ? SOCK_RAW : SOCK_DGRAM, w->portless ? NEXT_HEADER : 0);
    marks = server_open(lab->node, SOCK_DGRAM, 0);
}

static void round_run(const struct way *w, size_t count, unsigned bit)
{
    uint32_t number;

    for (unsigned b = 0; b < w->buckets; b++)
        plan.class_of[b] = (b >> bit & 1) != 0 ? CLASS_OWN : CLASS_FOREIGN;
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_renew(nft, 60 * USEC_PER_S), 0);
    for (uint32_t i = 0; i < count; i++) {
        packet_send(&client[i], lab->vip, w->portless, i);
        if (i % BATCH != BATCH - 1 && i + 1 < count)
            continue;
        mark_pass();
        while (number_read(server, &number)) {
            assert_true(number < count);
            told[number] |= 1u << bit;
        }
    }
}

static void test_way(void **state)
{
    const struct way *w = *state;
    size_t count = w->portless || w->buckets > 256 ? CLIENTS_PORTLESS : CLIENTS, wrong = 0;
    unsigned bits = 0, seen = 0;

    setup_way(w);
    clients_draw(w->family, count);
    memset(told, 0, sizeof told);
    while (1u << bits < w->buckets)
        round_run(w, count, bits++);
    for (size_t i = 0; i < count; i++) {
        if (w->portless)
            client[i].has_port = false;
        wrong += selection_bucket(&config.vip[0], w->buckets, &client[i]) != told[i];
        seen += told[i] != told[0];
    }
    assert_int_equal(wrong, 0);
    assert_true(seen > count / 2);
    close(server);
    close(marks);
    assert_int_equal(nft_clear(nft), 0);
    nft_close(nft);
}

static void wire_open(void)
{
    netlab_one_cpu();
    node_ns = netlab_here();
    client_ns = lab_client();
    netlab_go(client_ns);
    wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    out = (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("cli0")};
    netlab_go(node_ns);
    /* Any source is as good as another, and leaves no flow for long. */
    netlab_run("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0");
    netlab_run("ip route add default via %s && ip route add default via %s", lab_ip4.client,
               lab_ip6.client);
}

int main(void)
{
    static const char *const select_name[] = {"mask", "hash"};
    static const char *const affinity_name[] = {"address", "network", "flow"};
    enum { WAYS = 2 * SELECT_MAX * AFFINITY_MAX };
    static struct way ways[3 * WAYS];
    static struct CMUnitTest tests[3 * WAYS];
    static char names[3 * WAYS][64];

    for (size_t i = 0; i < 3 * WAYS; i++) {
        struct way *w = &ways[i];

        *w = (struct way){.family = i % 2 == 0 ? FAMILY_IP4 : FAMILY_IP6,
                          .select = (enum vip_select)(i / 2 % SELECT_MAX),
                          .affinity = (enum vip_affinity)(i / (2 * SELECT_MAX) % AFFINITY_MAX),
                          .buckets = i / WAYS == 1 ? 4096 : 256,
                          .portless = i / WAYS == 2};
        snprintf(names[i], sizeof names[i], "%s %s %s, %u buckets%s", i % 2 == 0 ? "ip" : "ip6",
                 select_name[w->select], affinity_name[w->affinity], w->buckets,
                 w->portless ? ", no ports" : "");
        tests[i] = (struct CMUnitTest){names[i], test_way, NULL, NULL, w};
    }
    if (!lab_make())
        return 77;
    wire_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
