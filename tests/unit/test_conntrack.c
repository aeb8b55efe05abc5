/* Buckets of addresses, and flows counted out of the real conntrack table. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>

#include "conf.h"
#include "conntrack.h"
#include "flow_made.h"
#include "netlab.h"
#include "selection.h"

static struct conntrack *conntrack;
static struct conntrack_counts counts;
static struct config config;

static struct address address(const char *text)
{
    struct address a;

    assert_true(address_parse(text, &a));
    return a;
}

static unsigned bucket(enum vip_select select, uint16_t buckets, const char *text)
{
    struct vip_config vip = {.select = select};
    struct source from = {.address = address(text)};

    return selection_bucket(&vip, buckets, &from);
}

/* What the kernel's own `jhash ... mod 256 seed 0xdeadbeef` gave. */
static void test_hash(void **state)
{
    static const struct {
        const char *address;
        unsigned bucket;
    } known[] = {
        {"10.0.0.1", 0x52},     {"10.0.0.2", 0x2c},       {"192.0.2.33", 0x6e},
        {"198.51.100.7", 0x89}, {"203.0.113.254", 0x96},  {"8.8.8.8", 0x47},
        {"2001:db8::1", 0xf9},  {"2001:db8::ffff", 0xba},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        assert_int_equal(bucket(SELECT_HASH, 256, known[i].address), known[i].bucket);
        /* Other sizes are other lengths of the same hash's beginning. */
        assert_int_equal(bucket(SELECT_HASH, 16, known[i].address), known[i].bucket >> 4);
        assert_int_equal(bucket(SELECT_HASH, 4096, known[i].address) >> 4, known[i].bucket);
    }
}

/* The most narrowly named one. */
static void test_services(void **state)
{
    struct vip_config v = {
        .services = 4,
        .service = {{SERVICE_TCP, 0, {0}, POLICY_SINGLE, 1},
                    {SERVICE_TCP, 2, {80, 443}, POLICY_BALANCE, 2},
                    {SERVICE_UDP, 1, {53}, POLICY_CLOSED, 3},
                    {SERVICE_ANY, 0, {0}, POLICY_CLOSED, 4}},
    };
    (void)state;

    assert_ptr_equal(selection_service(&v, IPPROTO_TCP, 443), &v.service[1]);
    assert_ptr_equal(selection_service(&v, IPPROTO_TCP, 53), &v.service[0]);
    assert_ptr_equal(selection_service(&v, IPPROTO_UDP, 53), &v.service[2]);
    assert_ptr_equal(selection_service(&v, IPPROTO_UDP, 80), &v.service[3]);
    assert_ptr_equal(selection_service(&v, IPPROTO_GRE, 0), &v.service[3]);
    assert_null(selection_service(&v, IPPROTO_ICMP, 0));
    assert_null(selection_service(&v, IPPROTO_ICMPV6, 0));
    v.services = 3;
    assert_null(selection_service(&v, IPPROTO_SCTP, 80));
}

static void test_mask(void **state)
{
    (void)state;
    assert_int_equal(bucket(SELECT_MASK, 256, "198.51.100.7"), 7);
    assert_int_equal(bucket(SELECT_MASK, 16, "198.51.100.255"), 15);
    assert_int_equal(bucket(SELECT_MASK, 4096, "198.51.100.7"), 0x407);
    assert_int_equal(bucket(SELECT_MASK, 256, "2001:db8::1:fe"), 0xfe);
    assert_int_equal(bucket(SELECT_MASK, 4096, "2001:db8::7abc"), 0xabc);
    /* IPv4 uses the first four bytes, whatever is behind them. */
    struct vip_config vip = {.select = SELECT_MASK};
    struct source from = {.address = address("198.51.100.7")};
    from.address.byte[15] = 0xff;
    assert_int_equal(selection_bucket(&vip, 256, &from), 7);
    vip.affinity = AFFINITY_NETWORK;
    assert_int_equal(selection_bucket(&vip, 256, &from), 100);
    assert_int_equal(selection_bucket(&vip, 4096, &from), 0x364);
    from.address = address("2001:db8:1:2fed::9");
    assert_int_equal(selection_bucket(&vip, 256, &from), 0xed);
    /* A flow's port, without its lowest bit; what has no port goes by its address. */
    vip.affinity = AFFINITY_FLOW;
    assert_int_equal(selection_bucket(&vip, 256, &from), 9);
    from.port = 0xabcd;
    from.has_port = true;
    assert_int_equal(selection_bucket(&vip, 256, &from), 0xe6);
    assert_int_equal(selection_bucket(&vip, 4096, &from), 0x5e6);
}

static void vip_add(const char *text, enum vip_select select)
{
    struct vip_config *vip = &config.vip[config.vips++];

    vip->address = address(text);
    vip->select = select;
}

static int setup(void **state)
{
    (void)state;
    config = (struct config){.buckets = 256};
    vip_add("192.0.2.2", SELECT_MASK);
    vip_add("2001:db8::2", SELECT_MASK);
    vip_add("192.0.2.3", SELECT_HASH);
    return conntrack_open(&conntrack);
}

static int teardown(void **state)
{
    (void)state;
    conntrack_close(conntrack);
    return 0;
}

static void count(void)
{
    memset(&counts, 0xff, sizeof(counts));
    assert_int_equal(conntrack_count(conntrack, &config, &counts), 0);
}

static void test_empty(void **state)
{
    (void)state;
    count();
    assert_int_equal(counts.total, 0);
    for (size_t i = 0; i < BUCKETS_MAX; i++)
        assert_int_equal(counts.of[i], 0);
}

static void test_flows(void **state)
{
    (void)state;
    flow_add("198.51.100.7", "192.0.2.2", 1, TCP_CONNTRACK_ESTABLISHED);
    flow_add("198.51.100.7", "192.0.2.2", 2, TCP_CONNTRACK_ESTABLISHED);
    flow_add("198.51.101.7", "192.0.2.2", 3, TCP_CONNTRACK_FIN_WAIT);
    flow_add("203.0.113.9", "192.0.2.2", 4, TCP_CONNTRACK_SYN_RECV);
    flow_add("203.0.113.10", "192.0.2.2", 5, -1);
    flow_add("198.51.100.7", "192.0.2.3", 6, TCP_CONNTRACK_ESTABLISHED); /* hash: 0x89 */
    flow_add("2001:db8:1::42", "2001:db8::2", 7, TCP_CONNTRACK_ESTABLISHED);
    flow_add("198.51.100.7", "192.0.2.200", 8, TCP_CONNTRACK_ESTABLISHED); /* not a VIP */
    flow_add("192.0.2.2", "192.0.2.2", 9, TCP_CONNTRACK_ESTABLISHED);      /* through lo */
    count();
    assert_int_equal(counts.of[7], 3);
    assert_int_equal(counts.of[9], 1);
    assert_int_equal(counts.of[0x89], 1);
    assert_int_equal(counts.of[0x42], 1);
    assert_int_equal(counts.of[10], 0);
    assert_int_equal(counts.of[2], 0);
    assert_int_equal(counts.total, 6);
    assert_int_equal(counts.vip[0], 6);
    assert_int_equal(counts.vip[1], 1);
    assert_int_equal(counts.vip[2], 1);
    assert_int_equal(counts.kept[0], 4); /* neither half-open ones nor our own */
    assert_int_equal(counts.kept[1], 1);
    assert_int_equal(counts.kept[2], 1);
}

/* Counted in the buckets that the rules put them into: by port, by service. */
static void test_flows_by_port_and_service(void **state)
{
    struct vip_config *v;
    (void)state;

    vip_add("192.0.2.4", SELECT_MASK);
    config.vip[config.vips - 1].affinity = AFFINITY_FLOW;
    vip_add("192.0.2.5", SELECT_MASK);
    v = &config.vip[config.vips - 1];
    v->services = 2;
    v->service[0] = (struct service_config){SERVICE_TCP, 1, {80}, POLICY_SINGLE, 200};
    v->service[1] = (struct service_config){SERVICE_TCP, 1, {81}, POLICY_CLOSED, 201};
    flow_add("198.51.98.77", "192.0.2.4", 0xc1a2, TCP_CONNTRACK_ESTABLISHED);
    flow_add("198.51.98.77", "192.0.2.4", 0xc1a3, TCP_CONNTRACK_ESTABLISHED);
    flow_add("198.51.98.77", "192.0.2.5", 0xc1a4, TCP_CONNTRACK_ESTABLISHED);
    count();
    assert_int_equal(counts.of[0xd1], 2);
    assert_int_equal(counts.of[77], 0);
    assert_int_equal(counts.of[200], 1);
}

static void test_states(void **state)
{
    static const struct {
        uint8_t state;
        bool needs_node;
    } states[] = {
        {TCP_CONNTRACK_SYN_SENT, false},   {TCP_CONNTRACK_SYN_RECV, true},
        {TCP_CONNTRACK_ESTABLISHED, true}, {TCP_CONNTRACK_FIN_WAIT, true},
        {TCP_CONNTRACK_CLOSE_WAIT, true},  {TCP_CONNTRACK_LAST_ACK, true},
        {TCP_CONNTRACK_TIME_WAIT, false},  {TCP_CONNTRACK_CLOSE, false},
        {TCP_CONNTRACK_SYN_SENT2, false},
    };
    (void)state;

    for (unsigned i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        char from[32];
        snprintf(from, sizeof(from), "198.51.99.%u", 100 + i);
        flow_add(from, "192.0.2.2", 1000, states[i].state);
    }
    count();
    for (unsigned i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        assert_int_equal(counts.of[100 + i], states[i].needs_node);
}

/* A connection that packets made: a SYN without an answer is not one. */
static void test_connection(void **state)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(8080)};
    struct sockaddr_in client = {.sin_family = AF_INET};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)state;

    netlab_run("ip addr add 192.0.2.2/32 dev lo");
    netlab_run("nft 'table inet t { chain c { type filter hook prerouting priority 0; "
               "ct state new counter; }; chain i { type filter hook input priority 0; "
               "tcp dport 8081 drop; }; }'");
    inet_pton(AF_INET, "192.0.2.2", &server.sin_addr);
    inet_pton(AF_INET, "127.0.0.77", &client.sin_addr);
    assert_int_equal(bind(listener, (struct sockaddr *)&server, sizeof(server)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&client, sizeof(client)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&server, sizeof(server)), 0);
    inet_pton(AF_INET, "127.0.0.78", &client.sin_addr);
    server.sin_port = htons(8081);
    assert_int_equal(bind(silent, (struct sockaddr *)&client, sizeof(client)), 0);
    assert_int_equal(connect(silent, (struct sockaddr *)&server, sizeof(server)), -1);
    assert_int_equal(errno, EINPROGRESS);
    count();
    assert_int_equal(counts.of[77], 1);
    assert_int_equal(counts.of[78], 0);
    close(silent);
    close(fd);
    close(listener);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* More flows than one answer holds: all are counted, each once. */
static void test_many(void **state)
{
    enum { FLOWS = 3000 };
    (void)state;

    config.vip[0].address = address("192.0.2.66");
    flows_add("10.0.0.0", "192.0.2.66", FLOWS);
    double start = seconds();
    count();
    print_message("%d flows counted in %.1f ms\n", FLOWS, (seconds() - start) * 1e3);
    assert_int_equal(counts.vip[0], FLOWS);

    /* In steps, none of which is long. */
    int done, steps = 0;
    double longest = 0;
    assert_int_equal(conntrack_start(conntrack, &config), 0);
    do {
        struct pollfd p = {.fd = conntrack_fd(conntrack), .events = POLLIN};
        assert_int_equal(poll(&p, 1, 1000), 1);
        start = seconds();
        done = conntrack_step(conntrack, &counts);
        assert_true(done >= 0);
        longest = seconds() - start > longest ? seconds() - start : longest;
        steps++;
    } while (done == 0);
    print_message("in %d steps, the longest %.1f ms\n", steps, longest * 1e3);
    assert_int_equal(counts.vip[0], FLOWS);
    assert_true(steps > 5);
    assert_int_equal(conntrack_step(conntrack, &counts), 0);
    for (unsigned i = 0; i < 256; i++)
        assert_true(counts.of[i] >= FLOWS / 256);
}

int main(void)
{
    const struct CMUnitTest pure[] = {
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_services),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flows_by_port_and_service, setup, teardown),
        cmocka_unit_test_setup_teardown(test_states, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
    };

    int failed = cmocka_run_group_tests_name("buckets", pure, NULL, NULL);
    if (failed != 0)
        return failed;
    return netlab_enter() ? cmocka_run_group_tests_name("conntrack", tests, NULL, NULL) : 77;
}
