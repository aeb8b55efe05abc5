/* The VIPs and their journal: what a killed daemon left is found and undone. */
#include <errno.h>
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
#include "journal.h"
#include "log.h"
#include "netlab.h"
#include "state.h"
#include "vipset_host.h"

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
    host_remember();
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

/* The journal is lost and a veth tells no permanent MAC: said, not guessed. */
static void test_journal_lost(void **state)
{
    (void)state;
    netlab_run("ip link set a0 address " V1);
    vip_add("192.0.2.2", 24, V1, VIP_INTERFACE);
    assert_int_equal(vipset_open(&vipset, rtnl, &config, place, missing), -EADDRINUSE);
    vipset = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_crash_same, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_other_mac, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_early, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_foreign, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_unwritable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_lost, setup, teardown),
    };

    if (!netlab_enter())
        return 77;
    log_open("test", true, LOG_LEVEL_WARN);
    return cmocka_run_group_tests_name("vipset_journal", tests, NULL, NULL);
}
