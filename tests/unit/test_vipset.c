/* The VIPs on a host's interfaces: set, repaired, given back. */
#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf.h"
#include "log.h"
#include "netlab.h"
#include "vipset_host.h"

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
    host_remember();
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interface, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interface_one_mac, setup, teardown),
        cmocka_unit_test_setup_teardown(test_repair, setup, teardown),
        cmocka_unit_test_setup_teardown(test_administrators, setup, teardown),
        cmocka_unit_test_setup_teardown(test_administrators_mac, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_interface, setup, teardown),
        cmocka_unit_test_setup_teardown(test_print, setup, teardown),
    };

    if (!netlab_enter())
        return 77;
    log_open("test", true, LOG_LEVEL_WARN);
    return cmocka_run_group_tests_name("vipset", tests, NULL, NULL);
}
