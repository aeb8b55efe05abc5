/* rtnl against the real kernel, as ip(8) and bridge(8) see the outcome. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf.h"
#include "log.h"
#include "netlab.h"
#include "netlink.h"
#include "rtnl.h"

static struct rtnl *rtnl;
static unsigned a0;

/* A driver that refuses a new MAC while the link is up, as some do. */
static bool stubborn_driver;
static unsigned refused;

int __real_netlink_ask(struct netlink *n, struct nlmsghdr *request, netlink_take_fn take,
                       void *arg);
int __wrap_netlink_ask(struct netlink *n, struct nlmsghdr *request, netlink_take_fn take,
                       void *arg);

int __wrap_netlink_ask(struct netlink *n, struct nlmsghdr *request, netlink_take_fn take, void *arg)
{
    const struct nlattr *attribute[IFLA_ADDRESS + 1];

    if (stubborn_driver && request->nlmsg_type == RTM_SETLINK) {
        netlink_attributes(request, sizeof(struct ifinfomsg), attribute, IFLA_ADDRESS + 1);
        json_t *links = netlab_json("ip -j link show dev a0 up");
        bool up = json_object_size(json_array_get(links, 0)) > 0;
        json_decref(links);
        if (attribute[IFLA_ADDRESS] != NULL && up) {
            refused++;
            return -EBUSY;
        }
    }
    return __real_netlink_ask(n, request, take, arg);
}

static struct address address(const char *text)
{
    struct address a;

    assert_true(address_parse(text, &a));
    return a;
}

static struct mac mac(const char *text)
{
    struct mac m;

    assert_true(mac_parse(text, &m));
    return m;
}

static bool flag(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

/* The description of an address of a0, a new reference, or NULL. */
static json_t *address_shown(const char *text)
{
    json_t *links = netlab_json("ip -j addr show dev a0");
    json_t *found = json_deep_copy(netlab_find(links, "addr_info", "local", text));

    json_decref(links);
    return found;
}

static bool route_shown(const char *command, const char *destination)
{
    json_t *routes = netlab_json("%s", command);
    bool found = netlab_find(routes, NULL, "dst", destination) != NULL;

    json_decref(routes);
    return found;
}

static bool filter_shown(const char *text)
{
    json_t *entries = netlab_json("bridge -j fdb show dev a0");
    bool found = netlab_find(entries, NULL, "mac", text) != NULL;

    json_decref(entries);
    return found;
}

static bool mac_shown(const char *text)
{
    json_t *links = netlab_json("ip -j link show dev a0");
    bool found = netlab_find(links, NULL, "address", text) != NULL;

    json_decref(links);
    return found;
}

/* The link-local address comes with the carrier, a little later than the command. */
static bool settled(void *arg)
{
    (void)arg;
    json_t *shown = address_shown("fe80::ff:fe00:a");
    json_decref(shown);
    return shown != NULL;
}

static int setup(void **state)
{
    struct rtnl_link link;
    (void)state;

    netlab_run("ip link add a0 address 02:00:00:00:00:0a type veth "
               "peer name b0 address 02:00:00:00:00:0b");
    netlab_run("sysctl -qw net.ipv6.conf.a0.accept_dad=0 net.ipv4.conf.all.promote_secondaries=0 "
               "net.ipv4.conf.a0.promote_secondaries=0");
    netlab_run("ip link set a0 up; ip link set b0 up");
    netlab_run("ip addr add 192.0.2.11/24 dev a0; ip -6 addr add 2001:db8::11/64 dev a0 nodad");
    assert_true(netlab_wait(settled, NULL, 5.0));
    assert_int_equal(rtnl_open(&rtnl), 0);
    assert_int_equal(rtnl_link_get(rtnl, "a0", &link), 0);
    a0 = link.index;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stubborn_driver = false;
    rtnl_close(rtnl);
    netlab_run("ip link del a0");
    return 0;
}

static void test_link(void **state)
{
    struct rtnl_link link;
    (void)state;

    assert_int_equal(rtnl_link_get(rtnl, "nosuch0", &link), -ENODEV);
    assert_int_equal(rtnl_link_get(rtnl, "a-name-that-is-too-long", &link), -ENODEV);
    assert_int_equal(rtnl_link_get(rtnl, "a0", &link), 0);
    assert_int_equal(link.index, if_nametoindex("a0"));
    assert_int_equal(link.mtu, 1500);
    assert_true(link.up);
    assert_true(link.carrier);
    struct mac own = mac("02:00:00:00:00:0a");
    assert_true(mac_equal(&link.mac, &own));
    netlab_run("ip link set b0 down");
    assert_int_equal(rtnl_link_get(rtnl, "a0", &link), 0);
    assert_true(link.up);
    assert_false(link.carrier);
}

static void test_link_address(void **state)
{
    struct address not_these[2] = {address("192.0.2.11"), address("2001:db8::11")}, got;
    (void)state;

    assert_int_equal(rtnl_link_address(rtnl, a0, NULL, 0, &got), 0);
    assert_memory_equal(&got, &not_these[0], sizeof(got));
    assert_int_equal(rtnl_link_address(rtnl, a0, not_these, 1, &got), 0);
    assert_memory_equal(&got, &not_these[1], sizeof(got));
    /* What is left is the link-local one. */
    assert_int_equal(rtnl_link_address(rtnl, a0, not_these, 2, &got), 0);
    assert_int_equal(got.byte[0], 0xfe);
    netlab_run("ip addr flush dev a0");
    assert_int_equal(rtnl_link_address(rtnl, a0, NULL, 0, &got), -EADDRNOTAVAIL);
}

static void test_address_ip4(void **state)
{
    struct address vip = address("192.0.2.2");
    bool added = false;
    (void)state;

    assert_int_equal(rtnl_address_has(rtnl, a0, &vip), 0);
    assert_int_equal(rtnl_address_add(rtnl, a0, &vip, 24, &added), 0);
    assert_true(added);
    assert_int_equal(rtnl_address_has(rtnl, a0, &vip), 1);
    assert_int_equal(rtnl_address_add(rtnl, a0, &vip, 24, &added), 0);
    assert_false(added);

    json_t *shown = address_shown("192.0.2.2");
    assert_non_null(shown);
    assert_true(flag(shown, "secondary"));
    assert_int_equal(json_integer_value(json_object_get(shown, "prefixlen")), 24);
    json_decref(shown);

    assert_int_equal(rtnl_address_del(rtnl, a0, &vip, 24), 0);
    assert_int_equal(rtnl_address_has(rtnl, a0, &vip), 0);
    assert_int_equal(rtnl_address_del(rtnl, a0, &vip, 24), -EADDRNOTAVAIL);
    assert_true(route_shown("ip -j route show dev a0", "192.0.2.0/24"));
}

static void test_address_ip6(void **state)
{
    struct address vip = address("2001:db8::2");
    bool added = false;
    (void)state;

    assert_int_equal(rtnl_address_add(rtnl, a0, &vip, 64, &added), 0);
    assert_true(added);
    json_t *shown = address_shown("2001:db8::2");
    assert_non_null(shown);
    assert_true(flag(shown, "nodad"));
    assert_true(flag(shown, "deprecated"));
    assert_true(flag(shown, "noprefixroute"));
    assert_false(flag(shown, "tentative"));
    json_decref(shown);
    /* The host's own traffic leaves from its own address. */
    json_t *route = netlab_json("ip -j route get 2001:db8::99");
    assert_string_equal(json_string_value(json_object_get(json_array_get(route, 0), "prefsrc")),
                        "2001:db8::11");
    json_decref(route);
    assert_int_equal(rtnl_address_del(rtnl, a0, &vip, 64), 0);
    assert_int_equal(rtnl_address_has(rtnl, a0, &vip), 0);
    assert_true(route_shown("ip -6 -j route show dev a0", "2001:db8::/64"));
}

static void test_address_network(void **state)
{
    struct address lone = address("198.51.100.2"), host = address("192.0.2.2");
    bool added;
    (void)state;

    /* No other address has that network: it comes with the VIP and goes with it. */
    assert_int_equal(rtnl_address_add(rtnl, a0, &lone, 24, &added), 0);
    assert_true(route_shown("ip -j route show dev a0", "198.51.100.0/24"));
    assert_int_equal(rtnl_address_del(rtnl, a0, &lone, 24), 0);
    assert_false(route_shown("ip -j route show dev a0", "198.51.100.0/24"));

    /* A network within another one's needs no route of its own. */
    assert_int_equal(rtnl_address_add(rtnl, a0, &host, 28, &added), 0);
    json_t *shown = address_shown("192.0.2.2");
    assert_true(flag(shown, "noprefixroute"));
    json_decref(shown);
    assert_false(route_shown("ip -j route show dev a0", "192.0.2.0/28"));
}

/* Deleting a primary address takes its secondaries: they have to stay. */
static void test_address_secondaries_stay(void **state)
{
    struct address vip = address("203.0.113.2");
    bool added;
    (void)state;

    assert_int_equal(rtnl_address_add(rtnl, a0, &vip, 24, &added), 0);
    netlab_run("ip addr add 203.0.113.11/24 brd + dev a0 label a0:x");
    assert_int_equal(rtnl_address_del(rtnl, a0, &vip, 24), 0);
    json_t *shown = address_shown("203.0.113.11");
    assert_non_null(shown);
    assert_string_equal(json_string_value(json_object_get(shown, "label")), "a0:x");
    assert_string_equal(json_string_value(json_object_get(shown, "broadcast")), "203.0.113.255");
    json_decref(shown);
    assert_true(route_shown("ip -j route show dev a0", "203.0.113.0/24"));
}

static void test_filter(void **state)
{
    struct mac shared = mac("02:bf:c0:00:02:02");
    bool added;
    (void)state;

    assert_int_equal(rtnl_mac_has(rtnl, a0, &shared), 0);
    assert_int_equal(rtnl_mac_add(rtnl, a0, &shared, &added), 0);
    assert_true(added);
    assert_int_equal(rtnl_mac_has(rtnl, a0, &shared), 1);
    assert_true(filter_shown("02:bf:c0:00:02:02"));
    assert_int_equal(rtnl_mac_add(rtnl, a0, &shared, &added), 0);
    assert_false(added);
    assert_int_equal(rtnl_mac_del(rtnl, a0, &shared), 0);
    assert_false(filter_shown("02:bf:c0:00:02:02"));
    assert_int_equal(rtnl_mac_has(rtnl, a0, &shared), 0);
    assert_int_equal(rtnl_mac_del(rtnl, a0, &shared), -ENOENT);
}

/* What a MAC change must not take away. */
static void things_add(void)
{
    netlab_run("ip route add 198.51.100.0/24 via 192.0.2.1 dev a0 proto static metric 7 mtu 1400");
    netlab_run("ip route add 203.0.113.0/24 via 198.51.100.9 dev a0 onlink "
               "src 192.0.2.11 table 77");
    netlab_run("ip route add default via 192.0.2.254");
    netlab_run("ip -6 route add 2001:db8:1::/48 via 2001:db8::1 dev a0");
    netlab_run("ip neigh add 192.0.2.254 lladdr 02:00:00:00:00:fe dev a0 nud permanent");
    netlab_run("ip -6 neigh add 2001:db8::fe lladdr 02:00:00:00:00:fe dev a0 nud permanent");
}

static void things_check(void)
{
    assert_true(route_shown("ip -j route show", "198.51.100.0/24"));
    assert_true(route_shown("ip -j route show", "default"));
    assert_true(route_shown("ip -j route show", "192.0.2.0/24"));
    assert_true(route_shown("ip -j route show table 77", "203.0.113.0/24"));
    assert_true(route_shown("ip -6 -j route show", "2001:db8:1::/48"));
    assert_true(route_shown("ip -6 -j route show", "2001:db8::/64"));
    assert_true(route_shown("ip -j neigh show nud permanent", "192.0.2.254"));
    assert_true(route_shown("ip -6 -j neigh show nud permanent", "2001:db8::fe"));
    json_t *routes = netlab_json("ip -d -j route show");
    const json_t *route = netlab_find(routes, NULL, "dst", "198.51.100.0/24");
    assert_int_equal(json_integer_value(json_object_get(route, "metric")), 7);
    assert_string_equal(json_string_value(json_object_get(route, "protocol")), "static");
    json_decref(routes);
    static const char *const addresses[] = {"192.0.2.11", "2001:db8::11", "fe80::ff:fe00:a"};
    for (size_t i = 0; i < 3; i++) {
        json_t *shown = address_shown(addresses[i]);
        assert_non_null(shown);
        assert_false(flag(shown, "tentative"));
        json_decref(shown);
    }
}

static void test_mac_set(void **state)
{
    struct mac virtual = mac("02:bf:c0:00:02:02"), own = mac("02:00:00:00:00:0a");
    (void)state;

    things_add();
    assert_int_equal(rtnl_mac_set(rtnl, a0, &virtual), 0);
    assert_true(mac_shown("02:bf:c0:00:02:02"));
    things_check();
    assert_int_equal(rtnl_mac_set(rtnl, a0, &own), 0);
    assert_true(mac_shown("02:00:00:00:00:0a"));
    things_check();
    assert_int_equal(rtnl_mac_set(rtnl, 9999, &own), -ENODEV);
}

static void test_mac_set_down(void **state)
{
    struct mac virtual = mac("02:bf:c0:00:02:02"), own = mac("02:00:00:00:00:0a");
    (void)state;

    things_add();
    netlab_run("sysctl -qw net.ipv6.conf.a0.accept_dad=1");
    stubborn_driver = true;
    refused = 0;
    assert_int_equal(rtnl_mac_set(rtnl, a0, &virtual), 0);
    assert_int_equal(refused, 1);
    stubborn_driver = false;
    assert_true(mac_shown("02:bf:c0:00:02:02"));
    things_check();
    /* No link-local address of the virtual MAC, which all members would have. */
    assert_null(address_shown("fe80::bf:c0ff:fe00:202"));
    stubborn_driver = true;
    assert_int_equal(rtnl_mac_set(rtnl, a0, &own), 0);
    stubborn_driver = false;
    assert_true(mac_shown("02:00:00:00:00:0a"));
    things_check();
    json_t *links = netlab_json("ip -d -j link show dev a0");
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(links, 0), "inet6_addr_gen_mode")),
        "eui64");
    json_decref(links);
}

static bool watched(void *arg)
{
    struct pollfd p = {.fd = rtnl_watch_fd(rtnl), .events = POLLIN};
    int *want = arg;

    if (poll(&p, 1, 0) > 0) {
        int got = rtnl_watch_read(rtnl);
        assert_true(got >= 0);
        *want &= ~got;
    }
    return *want == 0;
}

static bool expect(int what)
{
    return netlab_wait(watched, &what, 2.0);
}

/* Reads until nothing is left. */
static bool quiet(void *arg)
{
    (void)arg;
    return rtnl_watch_read(rtnl) == 0;
}

static void test_watch(void **state)
{
    (void)state;

    assert_true(netlab_wait(quiet, NULL, 2.0));
    netlab_run("ip addr add 192.0.2.77/24 dev a0");
    assert_true(expect(RTNL_ADDRESS));
    netlab_run("ip -6 addr add 2001:db8::77/64 dev a0");
    assert_true(expect(RTNL_ADDRESS));
    netlab_run("ip link set b0 down");
    assert_true(expect(RTNL_LINK));
    assert_true(netlab_wait(quiet, NULL, 2.0));
    netlab_run("bridge fdb add 02:bf:00:00:00:01 dev a0 self permanent");
    assert_true(expect(RTNL_LINK));
    netlab_run("bridge fdb del 02:bf:00:00:00:01 dev a0 self");
    assert_true(expect(RTNL_LINK));
    /* ARP is none of our business. */
    assert_true(netlab_wait(quiet, NULL, 2.0));
    netlab_run("ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:fe dev a0");
    assert_int_equal(rtnl_watch_read(rtnl), 0);
    /* Nor is what a bridge learns. */
    netlab_run("ip link add br0 type bridge; ip link set b0 master br0");
    assert_true(netlab_wait(quiet, NULL, 2.0));
    netlab_run("bridge fdb add 02:bf:00:00:00:02 dev b0 master");
    assert_int_equal(rtnl_watch_read(rtnl), 0);
    netlab_run("ip link del br0");
}

/* More news than the socket holds: everything may have changed. */
static void test_watch_overflow(void **state)
{
    FILE *batch;
    int changed = 0, got;
    (void)state;

    batch = popen("ip -batch -", "w");
    assert_non_null(batch);
    for (int i = 0; i < 3000; i++)
        fprintf(batch, "addr %s 10.%d.%d.1/32 dev b0\n", i & 1 ? "del" : "add", i / 512,
                i / 2 % 256);
    assert_int_equal(pclose(batch), 0);
    while ((got = rtnl_watch_read(rtnl)) > 0)
        changed |= got;
    assert_int_equal(got, 0);
    assert_int_equal(changed, RTNL_LINK | RTNL_ADDRESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_link_address, setup, teardown),
        cmocka_unit_test_setup_teardown(test_address_ip4, setup, teardown),
        cmocka_unit_test_setup_teardown(test_address_ip6, setup, teardown),
        cmocka_unit_test_setup_teardown(test_address_network, setup, teardown),
        cmocka_unit_test_setup_teardown(test_address_secondaries_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mac_set, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mac_set_down, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch_overflow, setup, teardown),
    };

    if (!netlab_enter())
        return 77;
    log_open("test", true, LOG_LEVEL_DEBUG);
    return cmocka_run_group_tests_name("rtnl", tests, NULL, NULL);
}
