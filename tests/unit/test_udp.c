/* Heartbeat sockets between two network namespaces joined by two cables. */
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
#include <unistd.h>

#include <cmocka.h>

#include "conf.h"
#include "netlab.h"
#include "udp.h"

/* a and b are two hosts: a0-b0 and a1-b1 are the cables. */
static int host_a, host_b;
static struct udp *a, *b;
static struct config config_a, config_b;

static struct address address(const char *text)
{
    struct address out;

    assert_true(address_parse(text, &out));
    return out;
}

static struct config config_make(char host, unsigned links, const char *group)
{
    struct config c = {.heartbeat_links = links, .port = 7742};

    for (unsigned i = 0; i < links; i++)
        snprintf(c.heartbeat_link[i], sizeof(c.heartbeat_link[i]), "%c%u", host, i);
    if (group != NULL)
        c.group = address(group);
    return c;
}

static int setup(void **state)
{
    (void)state;
    host_b = netlab_create();
    host_a = netlab_create();
    for (int i = 0; i < 2; i++) {
        netlab_run("ip link add a%d type veth peer name b%d netns /proc/%d/fd/%d", i, i,
                   (int)getpid(), host_b);
        netlab_run("sysctl -qw net.ipv6.conf.a%d.accept_dad=0; ip link set a%d up", i, i);
        netlab_run("ip addr add 10.0.%d.1/24 dev a%d; "
                   "ip -6 addr add 2001:db8:%d::1/64 dev a%d nodad",
                   i, i, i, i);
    }
    netlab_go(host_b);
    for (int i = 0; i < 2; i++)
        netlab_run("sysctl -qw net.ipv6.conf.b%d.accept_dad=0; ip link set b%d up; "
                   "ip addr add 10.0.%d.2/24 dev b%d; "
                   "ip -6 addr add 2001:db8:%d::2/64 dev b%d nodad",
                   i, i, i, i, i, i);
    netlab_settle("b0");
    netlab_settle("b1");
    netlab_go(host_a);
    netlab_settle("a0");
    netlab_settle("a1");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    udp_close(a);
    udp_close(b);
    a = b = NULL;
    netlab_go(host_a);
    netlab_run("ip link del a0 2>/dev/null; ip link del a1 2>/dev/null; :");
    close(host_a);
    close(host_b);
    return 0;
}

static void open_both(void)
{
    netlab_go(host_a);
    assert_int_equal(udp_open(&a, &config_a), 0);
    netlab_go(host_b);
    assert_int_equal(udp_open(&b, &config_b), 0);
}

static bool readable(const struct udp *u, int wait_ms)
{
    struct pollfd p = {.fd = udp_fd(u), .events = POLLIN};

    return poll(&p, 1, wait_ms) == 1;
}

/* Counts the datagrams with `text` that come to `u` within a while: as soon as
 * `expected` are there it waits only briefly for more. */
static int heard(struct udp *u, const char *text, int expected)
{
    struct udp_datagram in[UDP_BATCH];
    int count = 0;

    while (readable(u, count < expected ? 2000 : 50)) {
        size_t got = udp_receive(u, (instant){0}, in);
        for (size_t i = 0; i < got; i++)
            count += in[i].length == strlen(text) && memcmp(in[i].data, text, in[i].length) == 0;
    }
    return count;
}

static void say(struct udp *u, const char *text)
{
    assert_int_equal(udp_send(u, text, strlen(text)), 0);
}

static void test_group_ip4(void **state)
{
    (void)state;
    config_a = config_make('a', 2, "239.255.77.42");
    config_b = config_make('b', 2, "239.255.77.42");
    open_both();
    say(a, "hello"); /* a copy on each cable, none to ourselves */
    assert_int_equal(heard(b, "hello", 2), 2);
    assert_int_equal(heard(a, "hello", 0), 0);
    say(b, "world");
    assert_int_equal(heard(a, "world", 2), 2);
}

static void test_group_ip6(void **state)
{
    (void)state;
    config_a = config_make('a', 2, "ff02::4d2a");
    config_b = config_make('b', 2, "ff02::4d2a");
    open_both();
    say(a, "hello");
    assert_int_equal(heard(b, "hello", 2), 2);
    assert_int_equal(heard(a, "hello", 0), 0);
}

/* One cable is cut, or one interface has no address at all. */
static void test_one_of_two(void **state)
{
    (void)state;
    config_a = config_make('a', 2, "239.255.77.42");
    config_b = config_make('b', 2, "239.255.77.42");
    netlab_go(host_b);
    netlab_run("ip addr flush dev b0");
    open_both();
    say(a, "hello");
    assert_int_equal(heard(b, "hello", 2), 2);
    netlab_go(host_a);
    netlab_run("ip link set a0 down");
    say(a, "again");
    assert_int_equal(heard(b, "again", 1), 1);
    netlab_run("ip link set a1 down");
    int error = udp_send(a, "lost", 4);
    assert_true(error == -ENETDOWN || error == -ENETUNREACH || error == -ENODEV);
    netlab_run("ip link set a0 up; ip link set a1 up");
    netlab_settle("a0");
    netlab_settle("a1");
    say(a, "back");
    assert_int_equal(heard(b, "back", 2), 2);
}

/* No interface of the host has an address when the daemon starts. */
static void test_address_comes_later(void **state)
{
    (void)state;
    config_a = config_make('a', 1, "239.255.77.42");
    config_b = config_make('b', 1, "239.255.77.42");
    netlab_go(host_b);
    netlab_run("ip addr flush dev b0; ip addr flush dev b1");
    open_both();
    say(a, "hello");
    assert_int_equal(heard(b, "hello", 1), 1);
    (void)udp_send(b, "early", 5); /* may or may not go out, but harms nobody */
    netlab_go(host_b);
    netlab_run("ip addr add 10.0.0.2/24 dev b0");
    say(b, "later");
    assert_int_equal(heard(a, "later", 1), 1);
}

static void test_peers(void **state)
{
    (void)state;
    /* One list for all, each node's own address in it. */
    config_a = config_make('a', 2, NULL);
    config_a.peers = 4;
    config_a.peer[0] = address("10.0.0.1");
    config_a.peer[1] = address("10.0.0.2");
    config_a.peer[2] = address("2001:db8:1::1");
    config_a.peer[3] = address("2001:db8:1::2");
    config_b = config_a;
    memcpy(config_b.heartbeat_link, config_make('b', 2, NULL).heartbeat_link,
           sizeof(config_b.heartbeat_link));
    open_both();
    say(a, "hello");
    assert_int_equal(heard(b, "hello", 2), 2);
    assert_int_equal(heard(a, "hello", 0), 0);
    say(b, "world");
    assert_int_equal(heard(a, "world", 2), 2);
}

/* An IPv4 group and an IPv6 peer: sockets that speak both. */
static void test_group_and_peer(void **state)
{
    (void)state;
    config_a = config_make('a', 1, "239.255.77.42");
    config_b = config_make('b', 1, "239.255.77.42");
    config_a.peers = config_b.peers = 2;
    config_a.peer[0] = config_b.peer[0] = address("2001:db8:0::2");
    config_a.peer[1] = config_b.peer[1] = address("10.0.0.1");
    open_both();
    say(a, "hello");
    assert_int_equal(heard(b, "hello", 2), 2);
    say(b, "world");
    assert_int_equal(heard(a, "world", 2), 2);
}

/* A peer that cannot be reached does not keep the others from hearing. */
static void test_peer_unreachable(void **state)
{
    (void)state;
    config_a = config_make('a', 1, NULL);
    config_b = config_make('b', 1, NULL);
    config_a.peers = 2;
    config_a.peer[0] = address("203.0.113.1");
    config_a.peer[1] = address("10.0.0.2");
    open_both();
    say(a, "hello");
    assert_int_equal(heard(b, "hello", 1), 1);
    config_a.peers = 1;
    udp_close(a);
    netlab_go(host_a);
    assert_int_equal(udp_open(&a, &config_a), 0);
    assert_int_equal(udp_send(a, "hello", 5), -ENETUNREACH);
}

/* Two clusters with the same group and port, of which two nodes share a host. */
static void test_two_clusters(void **state)
{
    struct udp *other;
    (void)state;

    config_a = config_make('a', 1, "239.255.77.42");
    config_b = config_make('b', 1, "239.255.77.42");
    open_both();
    netlab_go(host_b);
    assert_int_equal(udp_open(&other, &config_b), 0);
    say(a, "hello");
    assert_int_equal(heard(b, "hello", 1), 1);
    assert_int_equal(heard(other, "hello", 1), 1);
    udp_close(other);
}

static void test_useless_datagrams(void **state)
{
    struct udp_datagram in[UDP_BATCH];
    char large[DATAGRAM_MAX + 1] = {0};
    (void)state;

    config_a = config_make('a', 1, "239.255.77.42");
    config_b = config_make('b', 1, "239.255.77.42");
    open_both();
    assert_int_equal(udp_receive(b, (instant){0}, in), 0);
    assert_int_equal(udp_send(a, large, sizeof(large)), 0);
    assert_int_equal(udp_send(a, large, 0), 0);
    say(a, "good");
    assert_int_equal(heard(b, "good", 1), 1);
    assert_int_equal(udp_dropped(b), 2);
    assert_int_equal(udp_send(a, large, DATAGRAM_MAX), 0);
    assert_true(readable(b, 2000));
    assert_int_equal(udp_receive(b, (instant){0}, in), 1);
    assert_int_equal(in[0].length, DATAGRAM_MAX);
    assert_int_equal(udp_dropped(a), 0);
}

/* An interface goes for good, and one of that name comes. */
static void test_interface_comes_again(void **state)
{
    (void)state;
    config_a = config_make('a', 2, "239.255.77.42");
    config_b = config_make('b', 2, "239.255.77.42");
    netlab_go(host_a);
    netlab_run("ip link del a1");
    assert_int_equal(udp_open(&a, &config_a), 0);
    assert_false(udp_stale(a)); /* the missing one is still missing */
    netlab_run("ip link add a1 type veth peer name b1 netns /proc/%d/fd/%d; ip link set a1 up",
               (int)getpid(), host_b);
    assert_true(udp_stale(a));
    netlab_run("ip link del a0; ip link del a1");
    assert_false(udp_stale(a));
    assert_true(udp_send(a, "lost", 4) < 0);
    udp_close(a);
    a = NULL;
    assert_int_equal(udp_open(&a, &config_a), -ENODEV);
    netlab_run("ip link add a0 type veth peer name b0 netns /proc/%d/fd/%d; ip link set a0 up; "
               "ip addr add 10.0.0.1/24 dev a0",
               (int)getpid(), host_b);
    netlab_go(host_b);
    netlab_run("ip link set b0 up");
    netlab_settle("b0");
    netlab_go(host_a);
    netlab_settle("a0");
    open_both();
    say(a, "hello");
    assert_int_equal(heard(b, "hello", 1), 1);
}

/* What a heartbeat looks like on the wire: network control, one hop, DF. */
static void test_marks(void **state)
{
    uint8_t packet[64];
    (void)state;

    config_a = config_make('a', 1, "239.255.77.42");
    config_b = config_make('b', 1, "239.255.77.42");
    open_both();
    int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);
    assert_true(raw >= 0);
    say(a, "hello");
    struct pollfd p = {.fd = raw, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 2000), 1);
    assert_int_equal(recv(raw, packet, sizeof(packet), 0), 20 + 8 + 5);
    assert_int_equal(packet[1], 0xc0);        /* type of service */
    assert_int_equal(packet[6] & 0xe0, 0x40); /* flags: DF, no more fragments */
    assert_int_equal(packet[8], 1);           /* time to live */
    close(raw);
}

/* What does not fit is refused, told once, and well again when it fits. */
static void test_mtu(void **state)
{
    const char *const groups[] = {"239.255.77.42", "ff02::4d2a"};
    char large[1300] = {0};
    (void)state;

    for (size_t g = 0; g < 2; g++) {
        config_a = config_make('a', 2, groups[g]);
        config_b = config_make('b', 2, groups[g]);
        netlab_go(host_a);
        netlab_run("ip link set a0 mtu 1280; ip link set a1 mtu 1280");
        open_both();
        assert_int_equal(udp_send(a, large, sizeof(large)), -EMSGSIZE);
        assert_int_equal(udp_send(a, large, 1280 - 48), 0);
        netlab_go(host_a);
        netlab_run("ip link set a1 mtu 1500");
        assert_int_equal(udp_send(a, large, sizeof(large)), 0); /* on one of two */
        netlab_run("ip link set a0 mtu 1500");
        udp_close(a);
        udp_close(b);
        a = b = NULL;
    }
}

/* A small path that ICMP messages tell of is not believed. */
static void test_path_mtu_is_not_believed(void **state)
{
    const char *const peers[] = {"10.0.0.2", "2001:db8::2"};
    struct udp_datagram in[UDP_BATCH];
    char large[1300] = {0};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        config_a = config_make('a', 1, NULL);
        config_b = config_make('b', 1, NULL);
        config_a.peers = config_b.peers = 1;
        config_a.peer[0] = config_b.peer[0] = address(peers[i]);
        open_both();
        netlab_go(host_a);
        netlab_run("ip route add %s dev a0 mtu 1280", peers[i]);
        assert_int_equal(udp_send(a, large, sizeof(large)), 0);
        assert_true(readable(b, 2000));
        assert_int_equal(udp_receive(b, (instant){0}, in), 1);
        assert_int_equal(in[0].length, sizeof(large));
        udp_close(a);
        udp_close(b);
        a = b = NULL;
    }
}

/* What is sent to us over an interface that is none of the heartbeat's stays
 * in no queue. */
static void test_other_interfaces_are_not_heard(void **state)
{
    (void)state;

    config_a = config_make('a', 1, NULL);
    config_b = config_make('b', 2, NULL);
    config_a.peers = config_b.peers = 1;
    config_a.peer[0] = address("10.0.0.2");
    config_b.peer[0] = address("10.0.1.1");
    open_both();
    say(b, "stray"); /* over b1, to a1 */
    say(a, "hello");
    assert_int_equal(heard(b, "hello", 1), 1);
    assert_int_equal(heard(a, "stray", 0), 0);
    netlab_go(host_a);
    netlab_run("awk '/:1E3E / && $5 !~ /:00000000/ { found = 1; print } END { exit found }' "
               "/proc/net/udp");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_group_ip4, setup, teardown),
        cmocka_unit_test_setup_teardown(test_group_ip6, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_of_two, setup, teardown),
        cmocka_unit_test_setup_teardown(test_address_comes_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_peers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_group_and_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_peer_unreachable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_clusters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_useless_datagrams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interface_comes_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_marks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mtu, setup, teardown),
        cmocka_unit_test_setup_teardown(test_path_mtu_is_not_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_interfaces_are_not_heard, setup, teardown),
    };

    return netlab_enter() ? cmocka_run_group_tests_name("udp", tests, NULL, NULL) : 77;
}
