/* What our tables do with packets: a node and a client, in each family, both
 * ways of selecting and both modes. */
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf.h"
#include "conntrack.h"
#include "netlab.h"
#include "nft.h"
#include "nft_lab.h"
#include "selection.h"

enum {
    A_WHILE = 120, /* ms in which what must not come would have come */
    SOON = 2000,
};

struct scenario {
    const char *name;
    enum family family;
    enum vip_mode mode;
    enum vip_select select;
    bool early_drop;
};

static const struct scenario scenarios[] = {
    {"ip mask shared", FAMILY_IP4, VIP_SHARED, SELECT_MASK, true},
    {"ip hash interface", FAMILY_IP4, VIP_INTERFACE, SELECT_HASH, true},
    {"ip6 mask interface", FAMILY_IP6, VIP_INTERFACE, SELECT_MASK, true},
    {"ip6 hash shared late", FAMILY_IP6, VIP_SHARED, SELECT_HASH, false},
};

static const struct scenario *scenario;
static const struct lab_family *lab;
static struct config config;
static struct nft_place place[VIPS_MAX];
static struct plan plan;
static struct nft *nft;
static struct conntrack *conntrack;
static int listener, sniffer;

static int setup(void **state)
{
    static const struct lab_family *const families[] = {&lab_ip4, &lab_ip6};

    scenario = *state;
    lab = scenario->family == FAMILY_IP4 ? &lab_ip4 : &lab_ip6;
    config = (struct config){.buckets = 256, .lease = 60 * USEC_PER_S, .vips = 2};
    for (size_t i = 0; i < 2; i++) {
        struct vip_config *v = &config.vip[i];

        assert_true(address_parse(families[i]->vip, &v->address));
        assert_true(mac_parse(LAB_SHARED_MAC, &v->mac));
        strcpy(v->interface, "eth0");
        v->mode = scenario->mode;
        v->select = scenario->select;
        v->early_drop = scenario->early_drop;
        v->mask_source_mac = true;
        assert_true(mac_parse(LAB_NODE_MAC, &place[i].own));
    }
    lab_nic(scenario->mode == VIP_SHARED ? LAB_NODE_MAC : LAB_SHARED_MAC);
    place[0].ifindex = place[1].ifindex = if_nametoindex("eth0");
    plan_init(&plan, config.buckets);
    assert_true(mac_parse(LAB_TARGET_MAC, &plan.target[0]));
    assert_int_equal(nft_open(&nft, &config, place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_renew(nft, 3600 * USEC_PER_S), 0);
    assert_int_equal(conntrack_open(&conntrack), 0);
    listener = lab_listen(lab->vip);
    sniffer = lab_sniff();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(listener);
    close(sniffer);
    conntrack_close(conntrack);
    assert_int_equal(nft_clear(nft), 0);
    nft_close(nft);
    return 0;
}

/* The bucket of source number `i` gets a class, at once. */
static void class_set(unsigned i, enum bucket_class class)
{
    unsigned bucket;
    struct source from = {.has_port = false};

    assert_true(address_parse(lab->source[i], &from.address));
    bucket = selection_bucket(&config.vip[0], config.buckets, &from);
    plan.class_of[bucket] = (uint8_t) class;
    plan.target_of[bucket] = class == CLASS_RELEASE ? 0 : PLAN_TARGET_NONE;
    assert_int_equal(nft_apply(nft, &plan), 0);
}

static struct nft_counters counters(void)
{
    struct nft_counters c;

    assert_int_equal(nft_counters(nft, scenario->family == FAMILY_IP4 ? 0 : 1, &c), 0);
    return c;
}

static uint64_t flows(void)
{
    static struct conntrack_counts counts;

    assert_int_equal(conntrack_count(conntrack, &config, &counts), 0);
    return counts.vip[scenario->family == FAMILY_IP4 ? 0 : 1];
}

static bool foreign_counted(void *least)
{
    return counters().foreign >= *(uint64_t *)least;
}

/* A connection of source `i`, both ends. */
static void connect_both(unsigned i, int ends[2])
{
    ends[0] = lab_connect(lab->source[i], lab->vip);
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

static void refused_quietly(unsigned i)
{
    int fd = lab_connect(lab->source[i], lab->vip);

    assert_false(lab_connected(fd, A_WHILE));
    lab_close(fd);
}

/* ---- tests --------------------------------------------------------------------- */

static void test_own_and_foreign(void **state)
{
    struct nft_counters before;
    uint64_t flows_before, foreign;
    int ends[2], fd;
    (void)state;

    class_set(0, CLASS_OWN);
    before = counters();
    connect_both(0, ends);
    assert_true(counters().accepted >= before.accepted + 3);
    assert_int_equal(counters().foreign, before.foreign);
    flows_before = flows();
    foreign = before.foreign + 1;
    fd = lab_connect(lab->source[1], lab->vip);
    assert_true(netlab_wait(foreign_counted, &foreign, 2.0));
    assert_false(lab_connected(fd, 0));
    lab_send(LAB_UDP, lab->source[1], lab->vip);
    foreign++;
    assert_true(netlab_wait(foreign_counted, &foreign, 2.0));
    assert_int_equal(flows(), flows_before); /* no conntrack entry */
    assert_true(lab_talk(ends[0], ends[1]));
    lab_close(fd);
    close_both(ends);
}

/* What each class does to new and to established flows. */
static void test_linger(void **state)
{
    int ends[2];
    (void)state;

    class_set(0, CLASS_OWN);
    connect_both(0, ends);
    class_set(0, CLASS_LINGER);
    assert_true(lab_talk(ends[0], ends[1]));
    refused_quietly(0);
    class_set(0, CLASS_ADOPT);
    assert_true(lab_talk(ends[0], ends[1]));
    close_both(ends);
    connect_both(0, ends);
    close_both(ends);
}

static void test_release(void **state)
{
    uint64_t forwarded;
    int ends[2], fd;
    (void)state;

    class_set(0, CLASS_OWN);
    class_set(1, CLASS_OWN);
    connect_both(0, ends);
    class_set(0, CLASS_RELEASE);
    forwarded = counters().forwarded;
    assert_true(lab_talk(ends[0], ends[1]));
    assert_int_equal(counters().forwarded, forwarded);
    assert_false(lab_sniffed(sniffer, LAB_NODE_MAC, LAB_TARGET_MAC, 0));

    fd = lab_connect(lab->source[0], lab->vip);
    assert_true(lab_sniffed(sniffer, LAB_NODE_MAC, LAB_TARGET_MAC, SOON));
    assert_int_equal(counters().forwarded, forwarded + 1);
    lab_send(LAB_ECHO, lab->source[0], lab->vip);
    assert_true(lab_sniffed(sniffer, LAB_NODE_MAC, LAB_TARGET_MAC, SOON));
    lab_send(LAB_UDP, lab->source[0], lab->vip);
    assert_true(lab_sniffed(sniffer, LAB_NODE_MAC, LAB_TARGET_MAC, SOON));
    lab_close(fd);
    close_both(ends);
    /* Other buckets are not forwarded, nor are frames to our own MAC. */
    forwarded = counters().forwarded;
    connect_both(1, ends);
    close_both(ends);
    lab_neighbour(lab->vip, LAB_NODE_MAC);
    lab_send(LAB_UDP, lab->source[0], lab->vip);
    assert_false(lab_sniffed(sniffer, LAB_NODE_MAC, LAB_TARGET_MAC, A_WHILE));
    assert_int_equal(counters().forwarded, forwarded);
}

/* A member forwards a new flow to our own MAC before we claim its bucket. */
static void test_forwarded_to_us(void **state)
{
    int ends[2];
    (void)state;

    class_set(0, CLASS_LINGER);
    refused_quietly(0);
    lab_neighbour(lab->vip, LAB_NODE_MAC);
    connect_both(0, ends);
    close_both(ends);
}

/* The middle of a flow that we do not know: ADOPT is silent, OWN resets. */
static void test_orphan(void **state)
{
    int ear = lab_ear(lab->source[0], lab->vip);
    uint64_t orphans = counters().orphan_reset;
    (void)state;

    class_set(0, CLASS_ADOPT);
    lab_send(LAB_ACK, lab->source[0], lab->vip);
    assert_false(lab_reset_heard(ear, A_WHILE));
    class_set(0, CLASS_LINGER);
    lab_send(LAB_ACK, lab->source[0], lab->vip);
    assert_false(lab_reset_heard(ear, A_WHILE));
    assert_int_equal(counters().orphan_reset, orphans);
    class_set(0, CLASS_OWN);
    lab_send(LAB_ACK, lab->source[0], lab->vip);
    assert_true(lab_reset_heard(ear, SOON));
    assert_int_equal(counters().orphan_reset, orphans + 1);
    close(ear);
}

static void test_lease_over(void **state)
{
    struct config brief = config;
    int ends[2], sends;
    (void)state;

    class_set(0, CLASS_OWN);
    class_set(1, CLASS_ADOPT);
    class_set(2, CLASS_RELEASE);
    connect_both(0, ends);
    brief.lease = 200 * USEC_PER_MS;
    assert_int_equal(nft_reconfigure(nft, &brief, place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_renew(nft, 3600 * USEC_PER_S), 0);
    usleep(300 * 1000);
    refused_quietly(0);
    refused_quietly(1);
    sends = lab_connect(lab->source[2], lab->vip);
    assert_false(lab_sniffed(sniffer, LAB_NODE_MAC, LAB_TARGET_MAC, A_WHILE));
    lab_close(sends);
    assert_true(lab_talk(ends[0], ends[1]));
    close_both(ends);
}

/* What the client learns by asking: of the VIP the shared MAC, of the node's own
 * address its own; and no frame leaves with the shared one as its source. */
static void test_addresses(void **state)
{
    int ends[2], fd;
    (void)state;

    class_set(0, CLASS_OWN);
    lab_neighbour(lab->vip, NULL);
    lab_neighbour(lab->node, NULL);
    connect_both(0, ends);
    assert_string_equal(lab_learned(lab->vip), LAB_SHARED_MAC);
    fd = lab_connect(lab->source[0], lab->node);
    lab_connected(fd, SOON); /* refused; it has been asked for */
    assert_string_equal(lab_learned(lab->node), LAB_NODE_MAC);
    lab_close(fd);
    close_both(ends);
    /* And what it learns when the node asks. */
    lab_neighbour(lab->vip, NULL);
    lab_neighbour(lab->node, NULL);
    netlab_run("ip neigh flush dev eth0");
    netlab_run("ping -c 1 -W 2 -q -I %s %s >/dev/null", lab->node, lab->client);
    netlab_run("ip neigh flush dev eth0");
    /* The answer to this one is another's: only the asking matters. */
    netlab_run("ping -c 1 -W 0.2 -q -I %s %s >/dev/null || true", lab->vip, lab->client);
    assert_string_equal(lab_learned(lab->node), LAB_NODE_MAC);
    assert_string_equal(lab_learned(lab->vip), LAB_SHARED_MAC);
    assert_false(lab_sniffed_from(sniffer, LAB_SHARED_MAC));
}

/* Our bits of the mark are gone after the late chain, others' are kept; and whoever
 * marks packets after conntrack may take the mark as a whole. */
static void test_mark(void **state)
{
    int ends[2];
    (void)state;

    netlab_run("nft 'table inet t { counter good { }; counter bad { }; "
               "chain a { type filter hook prerouting priority -310; "
               "meta mark set meta mark & 0x00070000 | 0xff080001; }; "
               "chain b { type filter hook prerouting priority -155; "
               "meta mark 0xff080001 counter name good accept; counter name bad; }; "
               "chain c { type filter hook prerouting priority -150; meta mark set 0x1; }; }'");
    for (enum bucket_class class = CLASS_OWN; class < CLASS_MAX; class ++) {
        class_set(0, class == CLASS_RELEASE ? CLASS_ADOPT : CLASS_OWN);
        connect_both(0, ends);
        class_set(0, class);
        assert_true(lab_talk(ends[0], ends[1]));
        close_both(ends);
    }
    netlab_run("nft list counter inet t bad | grep -q 'packets 0 '");
    netlab_run("nft list counter inet t good | grep -q 'packets [1-9]'");
    netlab_run("nft delete table inet t");
}

int main(void)
{
    static const struct {
        const char *name;
        CMUnitTestFunction run;
    } each[] = {
        {"own and foreign", test_own_and_foreign},
        {"linger", test_linger},
        {"release", test_release},
        {"forwarded to us", test_forwarded_to_us},
        {"orphan", test_orphan},
        {"lease over", test_lease_over},
        {"addresses", test_addresses},
        {"mark", test_mark},
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
