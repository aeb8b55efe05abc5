/* The VIPs on a host's interfaces: set, repaired, recovered, given back. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
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

#include "announce.h"
#include "conf.h"
#include "journal.h"
#include "log.h"
#include "netlab.h"
#include "state.h"
#include "vipset.h"

#define OWN "02:00:00:00:00:0a"
#define V1 "02:bf:c0:00:02:02"
#define V2 "02:bf:c0:00:02:03"

static struct rtnl *rtnl;
static struct vipset *vipset;
static struct config config;
static struct nft_place place[VIPS_MAX];
static char missing[IFNAME_BYTES_MAX + 1];
static char before[4096];

static struct mac mac(const char *text)
{
    struct mac m;

    assert_true(mac_parse(text, &m));
    return m;
}

static void vip_add(const char *address, uint8_t prefix, const char *virtual, enum vip_mode mode)
{
    struct vip_config *vip = &config.vip[config.vips++];

    *vip = (struct vip_config){.prefix = prefix, .mode = mode, .mac = mac(virtual)};
    assert_true(address_parse(address, &vip->address));
    memcpy(vip->interface, "a0", 3);
}

/* What ip(8) and bridge(8) tell of the host, as text to compare. */
static void host_text(char *out, size_t size)
{
    FILE *p = popen("ip -o link show a0 | sed 's/ state.*link/ link/'; ip -o addr show dev a0 | "
                    "sort; bridge fdb show dev a0 | sort; ip route; ip -6 route; "
                    "ip neigh show nud permanent",
                    "r");
    assert_non_null(p);
    size_t got = fread(out, 1, size - 1, p);
    out[got] = '\0';
    assert_int_equal(pclose(p), 0);
}

static bool shown(const char *command, const char *word)
{
    char line[512];
    bool found = false;
    FILE *p = popen(command, "r");

    assert_non_null(p);
    while (fgets(line, sizeof(line), p) != NULL)
        found |= strstr(line, word) != NULL;
    pclose(p);
    return found;
}

static bool address_shown(const char *address)
{
    char word[64];

    snprintf(word, sizeof(word), " %s ", address);
    return shown("ip -o addr show dev a0", word);
}

static bool second_mac_shown(const char *text)
{
    return shown("bridge fdb show dev a0", text);
}

static bool own_mac_shown(const char *text)
{
    return shown("ip -o link show dev a0", text);
}

static bool journal_there(void)
{
    char text[4096];

    return state_read(config.state_dir, "host", text, sizeof(text)) >= 0;
}

static void host_unchanged(void)
{
    char after[sizeof(before)];

    host_text(after, sizeof(after));
    assert_string_equal(after, before);
    assert_false(journal_there());
}

/* The link-local address comes with the carrier, a little later than the command. */
static bool settled(void *arg)
{
    (void)arg;
    return address_shown("fe80::ff:fe00:a/64");
}

static int setup(void **state)
{
    (void)state;
    config = (struct config){.buckets = 256};
    strcpy(config.state_dir, "/tmp/ipclusterd-test-XXXXXX");
    assert_non_null(mkdtemp(config.state_dir));
    netlab_run("ip link add a0 address " OWN " type veth peer name b0");
    netlab_run("sysctl -qw net.ipv6.conf.a0.accept_dad=0 net.ipv6.conf.b0.disable_ipv6=1");
    netlab_run("ip link set a0 up; ip link set b0 up; ip addr add 192.0.2.11/24 dev a0; "
               "ip -6 addr add 2001:db8::11/64 dev a0 nodad; "
               "ip neigh add 192.0.2.254 lladdr 02:00:00:00:00:fe dev a0 nud permanent");
    assert_true(netlab_wait(settled, NULL, 5.0));
    host_text(before, sizeof(before));
    assert_int_equal(rtnl_open(&rtnl), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vipset_close(vipset);
    vipset = NULL;
    rtnl_close(rtnl);
    (void)state_remove(config.state_dir, "host");
    assert_int_equal(rmdir(config.state_dir), 0);
    netlab_run("ip link del a0 2>/dev/null; :");
    return 0;
}

static unsigned apply(void)
{
    unsigned repaired;

    assert_int_equal(vipset_apply(vipset, &repaired), 0);
    return repaired;
}

static void start(void)
{
    assert_int_equal(vipset_open(&vipset, rtnl, &config, place, missing), 0);
    assert_int_equal(vipset_recover(vipset), 0);
}

/* A daemon that is killed leaves everything as it is. */
static void crash(void)
{
    vipset_close(vipset);
    vipset = NULL;
}

static void test_shared(void **state)
{
    (void)state;
    vip_add("192.0.2.2", 24, V1, VIP_SHARED);
    vip_add("2001:db8::2", 64, V1, VIP_SHARED);
    start();
    struct mac own = mac(OWN);
    assert_int_equal(place[1].ifindex, if_nametoindex("a0"));
    assert_true(mac_equal(&place[0].own, &own));
    assert_true(vipset_links_up(vipset));
    host_unchanged();
    assert_int_equal(apply(), 3); /* one MAC for two addresses */
    assert_int_equal(apply(), 0);
    assert_true(journal_there());
    assert_true(own_mac_shown(OWN));
    assert_true(second_mac_shown(V1));
    assert_true(address_shown("192.0.2.2/24"));
    assert_true(address_shown("2001:db8::2/64"));
    assert_int_equal(vipset_clear(vipset), 0);
    host_unchanged();
    assert_int_equal(vipset_clear(vipset), 0);
}

static void test_interface(void **state)
{
    struct mac own = mac(OWN);
    (void)state;

    vip_add("192.0.2.2", 24, V1, VIP_INTERFACE);
    vip_add("2001:db8::2", 64, V1, VIP_INTERFACE);
    start();
    assert_true(mac_equal(&place[0].own, &own));
    assert_int_equal(apply(), 4);
    assert_int_equal(apply(), 0);
    assert_true(own_mac_shown(V1));
    assert_true(second_mac_shown(OWN));
    assert_true(shown("ip neigh show nud permanent", "192.0.2.254"));
    assert_int_equal(vipset_clear(vipset), 0);
    host_unchanged();
}

static void test_interface_one_mac(void **state)
{
    (void)state;
    vip_add("192.0.2.2", 24, V1, VIP_INTERFACE);
    vip_add("192.0.2.3", 24, V2, VIP_INTERFACE);
    assert_int_equal(vipset_open(&vipset, rtnl, &config, place, missing), -EINVAL);
    vipset = NULL;
    host_unchanged();
}

static void test_repair(void **state)
{
    (void)state;
    vip_add("192.0.2.2", 24, V1, VIP_SHARED);
    vip_add("192.0.2.3", 24, V2, VIP_INTERFACE);
    start();
    apply();
    netlab_run("ip addr del 192.0.2.2/24 dev a0");
    assert_int_equal(apply(), 1);
    netlab_run("bridge fdb del " V1 " dev a0 self");
    assert_int_equal(apply(), 1);
    netlab_run("ip link set a0 address 02:00:00:00:00:99");
    assert_int_equal(apply(), 1);
    assert_true(own_mac_shown(V2));
    netlab_run("ip link set b0 down");
    assert_false(vipset_links_up(vipset));
    netlab_run("ip link set b0 up; ip link set a0 down");
    assert_false(vipset_links_up(vipset));
    netlab_run("ip link set a0 up");
    assert_int_equal(apply(), 0);
    assert_int_equal(vipset_clear(vipset), 0);
    assert_false(address_shown("192.0.2.2/24"));
    assert_true(own_mac_shown(OWN));
    assert_false(second_mac_shown(OWN));
    assert_false(journal_there());
}

/* What was there before us stays when we go. */
static void test_administrators(void **state)
{
    (void)state;
    netlab_run("ip addr add 192.0.2.2/24 dev a0; bridge fdb add " V1 " dev a0 self permanent");
    host_text(before, sizeof(before));
    vip_add("192.0.2.2", 24, V1, VIP_SHARED);
    vip_add("192.0.2.3", 24, V1, VIP_SHARED);
    start();
    assert_int_equal(apply(), 1);
    crash();
    start();
    assert_int_equal(apply(), 0);
    assert_int_equal(vipset_clear(vipset), 0);
    host_unchanged();
}

/* A MAC that the administrator has given the NIC since is not ours to take away. */
static void test_administrators_mac(void **state)
{
    (void)state;
    vip_add("192.0.2.2", 24, V1, VIP_INTERFACE);
    start();
    apply();
    netlab_run("ip link set a0 address 02:00:00:00:00:99");
    assert_int_equal(vipset_clear(vipset), 0);
    assert_true(own_mac_shown("02:00:00:00:00:99"));
    assert_false(second_mac_shown(OWN));
    assert_false(journal_there());
}

static void test_crash_same(void **state)
{
    struct mac own = mac(OWN);
    (void)state;

    vip_add("192.0.2.2", 24, V1, VIP_INTERFACE);
    start();
    apply();
    crash();
    start();
    assert_true(mac_equal(&place[0].own, &own)); /* though the NIC shows V1 */
    assert_true(address_shown("192.0.2.2/24"));  /* without a gap */
    assert_int_equal(apply(), 0);
    assert_int_equal(vipset_clear(vipset), 0);
    host_unchanged();
}

static void test_crash_other(void **state)
{
    struct mac own = mac(OWN);
    (void)state;

    vip_add("192.0.2.2", 24, V1, VIP_INTERFACE);
    vip_add("192.0.2.3", 24, V1, VIP_INTERFACE);
    vip_add("2001:db8::2", 64, V2, VIP_SHARED);
    start();
    apply();
    crash();
    config.vips = 0;
    vip_add("192.0.2.3", 24, V2, VIP_SHARED);
    start();
    assert_true(mac_equal(&place[0].own, &own));
    assert_true(own_mac_shown(OWN));
    assert_true(second_mac_shown(V2));
    assert_false(second_mac_shown(V1));
    assert_false(second_mac_shown(OWN));
    assert_false(address_shown("192.0.2.2/24"));
    assert_true(address_shown("192.0.2.3/24"));
    assert_int_equal(apply(), 0);
    assert_int_equal(vipset_clear(vipset), 0);
    host_unchanged();
}

/* Mode interface again, with another MAC: the original is still known. */
static void test_crash_other_mac(void **state)
{
    struct mac own = mac(OWN);
    (void)state;

    vip_add("192.0.2.2", 24, V1, VIP_INTERFACE);
    start();
    apply();
    crash();
    config.vip[0].mac = mac(V2);
    start();
    assert_true(mac_equal(&place[0].own, &own));
    assert_true(own_mac_shown(OWN));
    assert_int_equal(apply(), 1);
    assert_true(own_mac_shown(V2));
    assert_int_equal(vipset_clear(vipset), 0);
    host_unchanged();
}

/* Killed between the journal and the change. */
static void test_crash_early(void **state)
{
    struct items items = {0};
    struct item item = {.kind = ITEM_NIC,
                        .link = "a0",
                        .ifindex = if_nametoindex("a0"),
                        .own = mac(OWN),
                        .mac = mac(V1)};
    (void)state;

    assert_int_equal(items_add(&items, &item), 0);
    assert_int_equal(journal_write(config.state_dir, &items), 0);
    vip_add("192.0.2.2", 24, V1, VIP_SHARED);
    start();
    host_unchanged();
    assert_int_equal(apply(), 2);
    assert_int_equal(vipset_clear(vipset), 0);
    host_unchanged();
}

/* The journal is of another boot or namespace, or of an interface that is gone. */
static void test_journal_foreign(void **state)
{
    char text[4096];
    (void)state;

    netlab_run("ip addr add 192.0.2.2/24 dev a0");
    host_text(before, sizeof(before));
    snprintf(text, sizeof(text), "ipclusterd-host 1 another-boot 42\naddress a0 %u 192.0.2.2/24\n",
             if_nametoindex("a0"));
    assert_int_equal(state_write(config.state_dir, "host", text), 0);
    vip_add("192.0.2.2", 24, V1, VIP_SHARED);
    start();
    assert_true(address_shown("192.0.2.2/24"));
    apply();
    assert_int_equal(vipset_clear(vipset), 0);
    host_unchanged();
}

static void test_journal_damaged(void **state)
{
    static const char *const lines[] = {
        "address a0 1 192.0.2.2",
        "address a0 1 192.0.2.2/33",
        "address a0 0 192.0.2.2/24",
        "address a0 x 192.0.2.2/24",
        "address a0 1 nonsense/24",
        "address a0 1 192.0.2.2/ 24",
        "nic a0 1 02:00:00:00:00:01",
        "mac a0 1 02:00:00:00:00",
        "mac a0 1",
        "other a0 1 x",
        "",
        "mac a-name-that-is-too-long 1 02:00:00:00:00:01",
        "mac a0 1 02:00:00:00:00:01 x y z",
        "address a0 1 /",
        "nic",
        "mac a0 99999999999999999999 02:00:00:00:00:01 02",
    };
    struct items items = {0};
    struct item item = {.kind = ITEM_MAC, .link = "a0", .ifindex = 77, .mac = mac(V1)};
    char text[8192];
    (void)state;

    assert_int_equal(items_add(&items, &item), 0);
    assert_int_equal(journal_write(config.state_dir, &items), 0);
    int used = state_read(config.state_dir, "host", text, sizeof(text));
    assert_true(used > 0);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        used += snprintf(text + used, sizeof(text) - (size_t)used, "%s\n", lines[i]);
    assert_int_equal(state_write(config.state_dir, "host", text), 0);
    assert_int_equal(journal_read(config.state_dir, &items), 0);
    assert_int_equal(items.count, 1);
    assert_true(item_equal(&items.item[0], &item));
    /* Interface 77 is not there: nothing to undo. */
    vip_add("192.0.2.2", 24, V1, VIP_SHARED);
    start();
    host_unchanged();
}

/* Every kind of item, as many as there can be, through the file and back. */
static void test_journal_full(void **state)
{
    static struct items items, again;
    (void)state;

    for (unsigned i = 0; i < ITEMS_MAX; i++) {
        struct item item = {.kind = i % ITEM_KIND_MAX, .ifindex = 4000000000u + i};
        memcpy(item.link, "fifteen-bytes-x", 16);
        if (item.kind == ITEM_ADDRESS) {
            item.address.family = FAMILY_IP6;
            memset(item.address.byte, 0xfe, 16);
            item.prefix = 128;
        } else {
            memset(item.mac.byte, (int)i, 6);
            if (item.kind == ITEM_NIC)
                memset(item.own.byte, (int)i + 1, 6);
        }
        assert_int_equal(items_add(&items, &item), 0);
    }
    assert_int_equal(items_add(&items, &items.item[0]), -ENOSPC);
    assert_int_equal(journal_write(config.state_dir, &items), 0);
    assert_int_equal(journal_read(config.state_dir, &again), 0);
    assert_int_equal(again.count, items.count);
    for (size_t i = 0; i < items.count; i++)
        assert_true(item_equal(&items.item[i], &again.item[i]));
}

/* The state directory cannot be written: nothing is changed. */
static void test_journal_unwritable(void **state)
{
    unsigned repaired;
    (void)state;

    vip_add("192.0.2.2", 24, V1, VIP_SHARED);
    start();
    assert_int_equal(rmdir(config.state_dir), 0);
    assert_true(vipset_apply(vipset, &repaired) < 0);
    assert_int_equal(repaired, 0);
    host_unchanged();
    netlab_run("mkdir %s", config.state_dir);
    assert_int_equal(apply(), 2);
    assert_true(journal_there());
    assert_int_equal(vipset_clear(vipset), 0);
    host_unchanged();
}

static void test_missing_interface(void **state)
{
    unsigned repaired;
    (void)state;

    vip_add("192.0.2.2", 24, V1, VIP_SHARED);
    vip_add("192.0.2.3", 24, V1, VIP_SHARED);
    memcpy(config.vip[1].interface, "nosuch0", 8);
    assert_int_equal(vipset_open(&vipset, rtnl, &config, place, missing), -ENODEV);
    assert_string_equal(missing, "nosuch0");
    vipset = NULL;
    memcpy(config.vip[1].interface, "a0", 3);
    start();
    apply();
    netlab_run("ip link del a0");
    assert_false(vipset_links_up(vipset));
    assert_true(vipset_apply(vipset, &repaired) < 0);
    assert_int_equal(vipset_clear(vipset), 0);
    assert_false(journal_there());
}

/* The journal is lost and a veth tells no permanent MAC: said, not guessed. */
static void test_journal_lost(void **state)
{
    (void)state;
    netlab_run("ip link set a0 address " V1);
    vip_add("192.0.2.2", 24, V1, VIP_INTERFACE);
    assert_int_equal(vipset_open(&vipset, rtnl, &config, place, missing), -EADDRINUSE);
    vipset = NULL;
}

static void test_print(void **state)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    (void)state;

    vip_add("192.0.2.2", 24, V1, VIP_INTERFACE);
    vip_add("2001:db8::2", 64, V1, VIP_INTERFACE);
    start();
    assert_int_equal(vipset_print(&config, place, out), 0);
    fclose(out);
    assert_string_equal(text, "bridge fdb add " OWN " dev a0 self permanent\n"
                              "ip link set dev a0 address " V1 "\n"
                              "ip address add 192.0.2.2/24 dev a0\n"
                              "ip address add 2001:db8::2/64 dev a0 nodad preferred_lft 0\n");
    host_unchanged();
    /* They are commands, and apply finds their work done. */
    FILE *shell = popen("sh -e", "w");
    fwrite(text, 1, size, shell);
    assert_int_equal(pclose(shell), 0);
    free(text);
}

/* The frame of an announcement, at the other end of the cable. */
static size_t announced(const struct vip_config *vip, uint8_t *frame, size_t size)
{
    struct sockaddr_ll from = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t got = -1;

    assert_true(fd >= 0);
    from.sll_ifindex = (int)if_nametoindex("b0");
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
    assert_int_equal(announce_vip(vip, &place[0]), 0);
    const uint8_t type = vip->address.family == FAMILY_IP4 ? 0x06 : 0xdd;
    while (poll(&p, 1, 2000) > 0) {
        got = recv(fd, frame, size, 0);
        if (got > 54 && frame[13] == type && (type == 0x06 || frame[54] == 136))
            break;
    }
    close(fd);
    assert_true(got >= 60);
    return (size_t)got;
}

static void test_announce_ip4(void **state)
{
    static const uint8_t head[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00,
                                   0x0a, 0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,
                                   0x02, 0xbf, 0xc0, 0x00, 0x02, 0x02, 192,  0,    2,    2,    0x00,
                                   0x00, 0x00, 0x00, 0x00, 0x00, 192,  0,    2,    2};
    uint8_t frame[256];
    (void)state;

    vip_add("192.0.2.2", 24, V1, VIP_SHARED);
    start();
    assert_true(announced(&config.vip[0], frame, sizeof(frame)) >= sizeof(head));
    assert_memory_equal(frame, head, sizeof(head));
}

static void test_announce_ip6(void **state)
{
    uint8_t frame[256];
    uint32_t sum = 58 + 32;
    struct mac own = mac(OWN), virtual = mac(V1);
    (void)state;

    vip_add("2001:db8::2", 64, V1, VIP_SHARED);
    start();
    size_t length = announced(&config.vip[0], frame, sizeof(frame));
    assert_int_equal(length, 14 + 40 + 32);
    assert_memory_equal(frame + 6, own.byte, 6);
    assert_int_equal(frame[21], 255);           /* hop limit */
    assert_int_equal(frame[14 + 40 + 4], 0x20); /* override, not solicited */
    assert_memory_equal(frame + 14 + 40 + 8, config.vip[0].address.byte, 16);
    assert_memory_equal(frame + 14 + 40 + 26, virtual.byte, 6);
    /* The checksum over pseudo-header and message comes out as all ones. */
    for (size_t i = 14 + 8; i < length; i += 2)
        sum += (uint32_t)frame[i] << 8 | frame[i + 1];
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    assert_int_equal(sum, 0xffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interface, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interface_one_mac, setup, teardown),
        cmocka_unit_test_setup_teardown(test_repair, setup, teardown),
        cmocka_unit_test_setup_teardown(test_administrators, setup, teardown),
        cmocka_unit_test_setup_teardown(test_administrators_mac, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_same, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_other_mac, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_early, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_foreign, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_unwritable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_interface, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_print, setup, teardown),
        cmocka_unit_test_setup_teardown(test_announce_ip4, setup, teardown),
        cmocka_unit_test_setup_teardown(test_announce_ip6, setup, teardown),
    };

    if (!netlab_enter())
        return 77;
    log_open("test", true, LOG_LEVEL_WARN);
    return cmocka_run_group_tests_name("vipset", tests, NULL, NULL);
}
