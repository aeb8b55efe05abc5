/*
 * The small grammars: durations, addresses with a prefix, MAC addresses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "io/conf.h"
#include "io/conf_value.h"

#define LONG "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"

static void test_values(void **state)
{
    static const struct {
        const char *text;
        usec d; /* -1: refused */
    } durations[] = {
        {"0s", 0},
        {"100ms", 100000},
        {"1s", 1000000},
        {"2m", 120000000},
        {"24h", 86400000000},
        {"007s", 7000000},
        {"", -1},
        {"s", -1},
        {"1", -1},
        {"1 s", -1},
        {" 1s", -1},
        {"1S", -1},
        {"-1s", -1},
        {"+1s", -1},
        {"1.5s", -1},
        {"1m30s", -1},
        {"1us", -1},
        {"99999999999h", -1},
        {"18446744073709551617ms", -1},
    };
    static const struct {
        const char *text;
        int prefix; /* -1: refused */
        bool host;
    } addresses[] = {
        {"192.0.2.1/24", 24, true},
        {"192.0.2.1", 32, true},
        {"192.0.2.1/0", 0, true},
        {"192.0.2.1/32", 32, true},
        {"2001:db8::1/128", 128, true},
        {"2001:db8::1", 128, true},
        {"127.0.0.1", 32, false},
        {"0.0.0.0", 32, false},
        {"255.255.255.255", 32, false},
        {"::", 128, false},
        {"::1", 128, false},
        {"fe80::1", 128, false},
        {"::ffff:192.0.2.1", 128, false},
        {"ff02::1", 128, false},
        {"fd00::1/64", 64, true},
        {"192.0.2.1/", -1, false},
        {"192.0.2.1/33", -1, false},
        {"192.0.2.1/24x", -1, false},
        {"192.0.2.1/-1", -1, false},
        {"192.0.2.1/4294967320", -1, false},
        {"192.0.2", -1, false},
        {"192.0.2.1/24/24", -1, false},
        {"", -1, false},
        {"/24", -1, false},
        {"2001:db8::1%eth0", -1, false},
        {LONG, -1, false},
    };
    struct address a;
    char text[64];
    uint8_t prefix;
    usec d;

    (void)state;
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        assert_int_equal(duration_parse(durations[i].text, &d), durations[i].d >= 0);
        if (durations[i].d >= 0)
            assert_int_equal(d, durations[i].d);
    }
    assert_string_equal(duration_text(90 * USEC_PER_S, text), "90s");
    assert_string_equal(duration_text(3600 * USEC_PER_S, text), "1h");
    assert_string_equal(duration_text(22500, text), "22500us");
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        bool good = address_prefix_parse(addresses[i].text, &a, &prefix);
        assert_int_equal(good, addresses[i].prefix >= 0);
        if (good) {
            assert_int_equal(prefix, addresses[i].prefix);
            assert_int_equal(address_host(&a), addresses[i].host);
        }
    }
}

static void test_macs(void **state)
{
    struct address a;
    struct mac m, again;
    char text[18];

    (void)state;
    assert_true(mac_parse("02:bF:c0:A8:00:02", &m));
    assert_string_equal(mac_text(&m, text), "02:bf:c0:a8:00:02");
    assert_true(address_parse("192.168.0.2", &a));
    again = vip_auto_mac(&a);
    assert_true(mac_equal(&m, &again));
    assert_true(address_parse("2001:db8::1", &a));
    m = vip_auto_mac(&a);
    assert_string_equal(mac_text(&m, text), "02:bf:35:64:9f:d0");
    assert_false(mac_parse("02:bf:c0:a8:00:02:", &m));
    assert_false(mac_parse("02:bf:c0:a8:00:0", &m));
    assert_false(mac_parse("02-bf-c0-a8-00-02", &m));
    assert_false(mac_parse("02:bf:c0:a8:00:0g", &m));
    assert_false(mac_parse("", &m));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_macs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
