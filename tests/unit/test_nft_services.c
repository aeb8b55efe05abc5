/* Services in our tables: what is balanced, what has one bucket, and what is closed. */
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
    PORT = LAB_PORT,
    ITS = 200, /* the bucket of a service; no client here is in it */
    OTHER = 201,
};

struct scenario {
    const char *name;
    enum family family;
    enum vip_select select;
    enum vip_affinity affinity;
    bool early_drop;
};

static const struct scenario scenarios[] = {
    {"ip", FAMILY_IP4, SELECT_MASK, AFFINITY_ADDRESS, true},
    {"ip hash late", FAMILY_IP4, SELECT_HASH, AFFINITY_NETWORK, false},
    {"ip6", FAMILY_IP6, SELECT_HASH, AFFINITY_ADDRESS, true},
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
    v->affinity = scenario->affinity;
    v->early_drop = scenario->early_drop;
    lab_nic(LAB_NODE_MAC);
    place.ifindex = if_nametoindex("eth0");
    plan_init(&plan, config.buckets);
    assert_true(mac_parse(LAB_TARGET_MAC, &plan.target[0]));
    assert_int_equal(nft_open(&nft, &config, &place), 0);
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

static void service_add(enum service_protocol protocol, uint16_t port, enum service_policy policy,
                        uint16_t bucket)
{
    struct vip_config *v = &config.vip[0];

    v->service[v->services++] =
        (struct service_config){protocol, port != 0, {port}, policy, bucket};
}

static void services_apply(void)
{
    assert_int_equal(nft_reconfigure(nft, &config, &place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_renew(nft, 3600 * USEC_PER_S), 0);
}

static void bucket_set(unsigned bucket, enum bucket_class class)
{
    plan.class_of[bucket] = (uint8_t) class;
    plan.target_of[bucket] = class == CLASS_RELEASE ? 0 : PLAN_TARGET_NONE;
    assert_int_equal(nft_apply(nft, &plan), 0);
}

static void client_set(enum bucket_class class)
{
    struct source from = {.has_port = false};

    assert_true(address_parse(lab->source[0], &from.address));
    bucket_set(selection_bucket(&config.vip[0], config.buckets, &from), class);
}

static struct nft_counters counters(void)
{
    struct nft_counters c;

    assert_int_equal(nft_counters(nft, 0, &c), 0);
    return c;
}

static void connect_both(int ends[2])
{
    ends[0] = lab_connect(lab->source[0], lab->vip);
    assert_true(lab_connected(ends[0], SOON));
    ends[1] = lab_accept(listener);
    assert_true(ends[1] >= 0);
    assert_true(lab_talk(ends[0], ends[1]));
}

static void close_both(int ends[2])
{
    lab_close(ends[0]);
    lab_close(ends[1]);
}

static void served(void)
{
    int ends[2];

    connect_both(ends);
    close_both(ends);
}

/* Neither let in nor answered. */
static void dropped(void)
{
    int fd = lab_connect(lab->source[0], lab->vip);

    assert_false(lab_connected(fd, A_WHILE));
    assert_false(lab_refused(fd, 0));
    lab_close(fd);
}

static void refused(void)
{
    int fd = lab_connect(lab->source[0], lab->vip);

    assert_true(lab_refused(fd, SOON));
    lab_close(fd);
}

static bool datagram_served(void)
{
    lab_send(LAB_UDP, lab->source[0], lab->vip);
    return lab_received(datagrams, A_WHILE) == 5;
}

static bool ping_served(void)
{
    lab_send(LAB_ECHO, lab->source[0], lab->vip);
    return lab_pinged(pings, A_WHILE);
}

/* ---- tests --------------------------------------------------------------------- */

/* All clients go with the service's bucket; what else they send does not. */
static void test_single(void **state)
{
    int ends[2];
    (void)state;

    service_add(SERVICE_TCP, PORT, POLICY_SINGLE, ITS);
    services_apply();
    client_set(CLASS_OWN);
    dropped();
    assert_true(datagram_served() && ping_served());
    client_set(CLASS_FOREIGN);
    assert_false(datagram_served() || ping_served());
    bucket_set(ITS, CLASS_OWN);
    connect_both(ends);
    /* It is handed over as that bucket is. */
    bucket_set(ITS, CLASS_LINGER);
    client_set(CLASS_OWN);
    assert_true(lab_talk(ends[0], ends[1]));
    dropped();
    bucket_set(ITS, CLASS_ADOPT);
    assert_true(lab_talk(ends[0], ends[1]));
    served();
    close_both(ends);
}

static void test_single_release(void **state)
{
    uint64_t forwarded;
    int fd;
    (void)state;

    service_add(SERVICE_TCP, PORT, POLICY_SINGLE, ITS);
    services_apply();
    bucket_set(ITS, CLASS_RELEASE);
    client_set(CLASS_OWN);
    fd = lab_connect(lab->source[0], lab->vip);
    assert_true(lab_sniffed(sniffer, LAB_NODE_MAC, LAB_TARGET_MAC, SOON));
    lab_close(fd);
    assert_true(datagram_served());
    /* The client's own bucket has no say. */
    bucket_set(ITS, CLASS_OWN);
    client_set(CLASS_RELEASE);
    forwarded = counters().forwarded;
    served();
    assert_int_equal(counters().forwarded, forwarded);
    lab_send(LAB_UDP, lab->source[0], lab->vip);
    assert_true(lab_sniffed(sniffer, LAB_NODE_MAC, LAB_TARGET_MAC, SOON));
    /* Nor does what is another's, or not let in, go on to it. */
    bucket_set(ITS, CLASS_FOREIGN);
    forwarded = counters().forwarded;
    dropped();
    assert_int_equal(counters().forwarded, forwarded);
}

/* One node answers: that of the service's bucket, while its lease runs. */
static void test_closed(void **state)
{
    int ends[2];
    (void)state;

    client_set(CLASS_OWN);
    services_apply();
    connect_both(ends);
    service_add(SERVICE_TCP, PORT, POLICY_CLOSED, ITS);
    services_apply();
    dropped();
    bucket_set(ITS, CLASS_OWN);
    refused();
    assert_int_equal(counters().refused, 1);
    assert_true(datagram_served() && ping_served());
    bucket_set(ITS, CLASS_LINGER);
    dropped();
    bucket_set(ITS, CLASS_ADOPT);
    refused();
    /* A flow that was let in before is reset by its next segment. */
    assert_false(lab_talk(ends[0], ends[1]));
    assert_true(lab_refused(ends[0], 0) || counters().refused >= 3);
    close_both(ends);
    /* Tables without a lease. */
    assert_int_equal(nft_clear(nft), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    dropped();
}

static void test_closed_datagrams(void **state)
{
    (void)state;
    service_add(SERVICE_UDP, 0, POLICY_CLOSED, ITS);
    services_apply();
    client_set(CLASS_OWN);
    assert_false(lab_unreachable(lab->source[0], lab->vip, A_WHILE));
    bucket_set(ITS, CLASS_OWN);
    assert_true(lab_unreachable(lab->source[0], lab->vip, SOON));
    assert_int_equal(counters().refused, 1);
    served();
    assert_true(ping_served());
}

/* What is named most narrowly counts; echo requests belong to no service. */
static void test_narrow_and_wide(void **state)
{
    (void)state;
    service_add(SERVICE_TCP, 0, POLICY_SINGLE, ITS);
    service_add(SERVICE_TCP, PORT, POLICY_BALANCE, OTHER);
    service_add(SERVICE_ANY, 0, POLICY_CLOSED, ITS);
    services_apply();
    bucket_set(ITS, CLASS_OWN);
    dropped();
    assert_false(ping_served());
    assert_true(lab_unreachable(lab->source[0], lab->vip, SOON));
    client_set(CLASS_OWN);
    served();
    assert_true(ping_served());
    /* Another port of TCP. */
    config.vip[0].service[1].port[0] = PORT + 1;
    services_apply();
    served();
    bucket_set(ITS, CLASS_FOREIGN);
    dropped();
    bucket_set(ITS, CLASS_RELEASE);
    client_set(CLASS_RELEASE);
    lab_send(LAB_ECHO, lab->source[0], lab->vip);
    assert_true(lab_sniffed(sniffer, LAB_NODE_MAC, LAB_TARGET_MAC, SOON));
    lab_send(LAB_UDP, lab->source[0], lab->vip); /* closed */
    assert_false(lab_sniffed(sniffer, LAB_NODE_MAC, LAB_TARGET_MAC, A_WHILE));
}

static void test_any_single(void **state)
{
    (void)state;
    service_add(SERVICE_ANY, 0, POLICY_SINGLE, ITS);
    services_apply();
    client_set(CLASS_OWN);
    dropped();
    assert_false(datagram_served());
    assert_true(ping_served());
    bucket_set(ITS, CLASS_OWN);
    client_set(CLASS_FOREIGN);
    served();
    assert_true(datagram_served());
    bucket_set(ITS, CLASS_RELEASE);
    lab_send(LAB_UDP, lab->source[0], lab->vip);
    assert_true(lab_sniffed(sniffer, LAB_NODE_MAC, LAB_TARGET_MAC, SOON));
}

int main(void)
{
    static const struct {
        const char *name;
        CMUnitTestFunction run;
    } each[] = {
        {"single", test_single},
        {"single is released", test_single_release},
        {"closed", test_closed},
        {"closed datagrams", test_closed_datagrams},
        {"narrow and wide", test_narrow_and_wide},
        {"any single", test_any_single},
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
