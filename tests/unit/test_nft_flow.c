/* Affinity "flow" in our tables: what one client sends is divided by its ports. */
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf.h"
#include "netlab.h"
#include "nft.h"
#include "nft_lab.h"
#include "selection.h"

enum {
    A_WHILE = 120, /* ms in which what must not come would have come */
    SOON = 2000,
    THREE_PIECES = 4000,
    FIRST_PORT = 20000,
};

struct scenario {
    const char *name;
    enum family family;
    enum vip_select select;
    bool early_drop;
};

static const struct scenario scenarios[] = {
    {"ip mask", FAMILY_IP4, SELECT_MASK, true},
    {"ip hash", FAMILY_IP4, SELECT_HASH, true},
    {"ip6 mask late", FAMILY_IP6, SELECT_MASK, false},
    {"ip6 hash", FAMILY_IP6, SELECT_HASH, true},
};

static const struct lab_family *lab;
static struct config config;
static struct nft_place place;
static struct plan plan;
static struct nft *nft;
static int listener, datagrams, pings, sniffer;

static int setup(void **state)
{
    const struct scenario *scenario = *state;
    struct vip_config *v = &config.vip[0];

    lab = scenario->family == FAMILY_IP4 ? &lab_ip4 : &lab_ip6;
    config = (struct config){.buckets = 256, .lease = 60 * USEC_PER_S, .vips = 1};
    assert_true(address_parse(lab->vip, &v->address));
    assert_true(mac_parse(LAB_SHARED_MAC, &v->mac));
    assert_true(mac_parse(LAB_NODE_MAC, &place.own));
    strcpy(v->interface, "eth0");
    v->select = scenario->select;
    v->affinity = AFFINITY_FLOW;
    v->early_drop = scenario->early_drop;
    lab_nic(LAB_NODE_MAC);
    place.ifindex = if_nametoindex("eth0");
    plan_init(&plan, config.buckets);
    assert_true(mac_parse(LAB_TARGET_MAC, &plan.target[0]));
    assert_int_equal(nft_open(&nft, &config, &place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_renew(nft, 3600 * USEC_PER_S), 0);
    listener = lab_listen(lab->vip);
    datagrams = lab_udp(lab->vip);
    pings = lab_pings(lab->vip);
    sniffer = lab_sniff();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(listener);
    close(datagrams);
    close(pings);
    close(sniffer);
    assert_int_equal(nft_clear(nft), 0);
    nft_close(nft);
    return 0;
}

static unsigned bucket(const char *address, uint16_t port)
{
    struct source from = {.port = port, .has_port = port != 0};

    assert_true(address_parse(address, &from.address));
    return selection_bucket(&config.vip[0], config.buckets, &from);
}

/* A port that no test has used, so that none meets another's flows, and whose
 * bucket nothing else here is in. */
static uint16_t port_take(void)
{
    static uint16_t next = FIRST_PORT;
    bool taken;

    do {
        unsigned b = bucket(lab->source[0], ++next);
        taken = b == bucket(lab->source[0], 0);
        for (uint16_t i = 1; i < 8; i++)
            taken = taken || b == bucket(lab->source[0], (uint16_t)(next - i));
    } while (taken);
    return next;
}

/* What the first source sends from `port`, or, if that is 0, without ports. */
static void class_set(uint16_t port, enum bucket_class class)
{
    unsigned b = bucket(lab->source[0], port);

    plan.class_of[b] = (uint8_t) class;
    plan.target_of[b] = class == CLASS_RELEASE ? 0 : PLAN_TARGET_NONE;
    assert_int_equal(nft_apply(nft, &plan), 0);
}

static void connect_both(uint16_t port, int ends[2])
{
    ends[0] = lab_connect_port(lab->source[0], port, lab->vip);
    assert_true(lab_connected(ends[0], SOON));
    ends[1] = lab_accept(listener);
    assert_true(ends[1] >= 0);
    assert_true(lab_talk(ends[0], ends[1]));
}

static void refused_quietly(uint16_t port)
{
    int fd = lab_connect_port(lab->source[0], port, lab->vip);

    assert_false(lab_connected(fd, A_WHILE));
    lab_close(fd);
}

static uint64_t forwarded(void)
{
    struct nft_counters c;

    assert_int_equal(nft_counters(nft, 0, &c), 0);
    return c.forwarded;
}

/* ---- tests --------------------------------------------------------------------- */

static void test_ports_decide(void **state)
{
    uint16_t ours = port_take(), others = port_take();
    int ends[2];
    (void)state;

    class_set(ours, CLASS_OWN);
    connect_both(ours, ends);
    refused_quietly(others);
    /* The flow lingers; another flow of the same client is let in. */
    class_set(ours, CLASS_LINGER);
    class_set(others, CLASS_OWN);
    assert_true(lab_talk(ends[0], ends[1]));
    lab_close(ends[0]);
    lab_close(ends[1]);
    connect_both(others, ends);
    lab_close(ends[0]);
    lab_close(ends[1]);
}

/* Pieces are put together before they are looked at: all go where the first does. */
static void test_three_pieces(void **state)
{
    uint16_t ours = port_take(), others = port_take();
    (void)state;

    class_set(ours, CLASS_OWN);
    lab_send_datagram(lab->source[0], ours, lab->vip, THREE_PIECES);
    assert_int_equal(lab_received(datagrams, SOON), THREE_PIECES);
    lab_send_datagram(lab->source[0], others, lab->vip, THREE_PIECES);
    assert_int_equal(lab_received(datagrams, A_WHILE), -1);
    /* Nor does it help that what has no ports would be ours. */
    class_set(0, CLASS_OWN);
    lab_send_datagram(lab->source[0], others, lab->vip, THREE_PIECES);
    assert_int_equal(lab_received(datagrams, A_WHILE), -1);
    class_set(others, CLASS_ADOPT);
    lab_send_datagram(lab->source[0], others, lab->vip, THREE_PIECES);
    assert_int_equal(lab_received(datagrams, SOON), THREE_PIECES);
}

static void test_without_ports(void **state)
{
    (void)state;
    lab_send(LAB_ECHO, lab->source[0], lab->vip);
    assert_false(lab_pinged(pings, A_WHILE));
    class_set(0, CLASS_OWN);
    lab_send(LAB_ECHO, lab->source[0], lab->vip);
    assert_true(lab_pinged(pings, SOON));
    lab_send_datagram(lab->source[0], port_take(), lab->vip, 5);
    assert_int_equal(lab_received(datagrams, A_WHILE), -1);
}

static void test_release(void **state)
{
    uint16_t given = port_take(), kept = port_take();
    int fd, ends[2];
    (void)state;

    class_set(given, CLASS_RELEASE);
    class_set(kept, CLASS_OWN);
    fd = lab_connect_port(lab->source[0], given, lab->vip);
    assert_true(lab_sniffed(sniffer, LAB_NODE_MAC, LAB_TARGET_MAC, SOON));
    lab_close(fd);
    lab_send_datagram(lab->source[0], given, lab->vip, 5);
    assert_true(lab_sniffed(sniffer, LAB_NODE_MAC, LAB_TARGET_MAC, SOON));
    assert_int_equal(forwarded(), 2);
    connect_both(kept, ends);
    lab_close(ends[0]);
    lab_close(ends[1]);
    lab_send(LAB_ECHO, lab->source[0], lab->vip);
    assert_int_equal(forwarded(), 2);
    class_set(0, CLASS_RELEASE);
    lab_send(LAB_ECHO, lab->source[0], lab->vip);
    assert_true(lab_sniffed(sniffer, LAB_NODE_MAC, LAB_TARGET_MAC, SOON));
    /* Of a datagram in pieces, none: only the first one has the ports. */
    lab_send_datagram(lab->source[0], given, lab->vip, THREE_PIECES);
    assert_false(lab_sniffed(sniffer, LAB_NODE_MAC, LAB_TARGET_MAC, A_WHILE));
    assert_int_equal(forwarded(), 3);
}

int main(void)
{
    static const struct {
        const char *name;
        CMUnitTestFunction run;
    } each[] = {
        {"ports decide", test_ports_decide},
        {"three pieces", test_three_pieces},
        {"without ports", test_without_ports},
        {"release", test_release},
    };
    enum { EACH = sizeof each / sizeof *each, SCENARIOS = sizeof scenarios / sizeof *scenarios };
    static struct CMUnitTest tests[EACH * SCENARIOS];
    static char names[EACH * SCENARIOS][64];

    for (size_t i = 0; i < EACH * SCENARIOS; i++) {
        const struct scenario *s = &scenarios[i / EACH];

        snprintf(names[i], sizeof names[i], "%s: %s", s->name, each[i % EACH].name);
        tests[i] = (struct CMUnitTest){names[i], each[i % EACH].run, setup, teardown, (void *)s};
    }
    if (!lab_make())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
