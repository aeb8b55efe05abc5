/*
 * clusterctl as its user meets it: the program is run against a canned daemon,
 * and what it prints, on a terminal and into a pipe, and how it ends are held
 * against the contract.
 */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clusterctl_run.h"
#include "io/log.h"

/* --------------------------------------------------------------- for people */

static void test_status_for_people(void **state)
{
    (void)state;
    assert_int_equal(run("status"), 0);
    assert_memory_equal(output, "cluster web  node web1  serving  converged", 42);
    assert_says(output, "web1 *");
    assert_says(output, "! web3 is dead: last heard 12s ago.");
    assert_says(output, "clusterctl forget");
    assert_says(output, "- web2 is draining");
    assert_says(output, "7 that did not open with our key");
    assert_true(strstr(output, "! web3") < strstr(output, "- web2"));
}

static void test_status_of_bad_times(void **state)
{
    struct status *s = &canned->status;

    (void)state;
    s->state = NODE_ISOLATED;
    s->converged = false;
    s->lease_left = 0;
    s->apply_failures = 3;
    s->member[1].state = MEMBER_SUSPECT;
    s->bucket[9].owner = -1;
    bitmap_clear(&s->claim[1], 9);
    bitmap_clear(&s->claim[1], 11);
    bitmap_set(&s->claim[1], 10);
    assert_int_equal(run("status"), 0);
    assert_says(output, "not converged");
    assert_says(output, "! This node is isolated");
    assert_says(output, "! web2 is suspect");
    assert_says(output, "! The kernel refused the last 3 changes in a row.");
    assert_says(output, "! The lease of 3 virtual addresses has lapsed");
    assert_says(output, "! 1 of 256 buckets have no owner");
    assert_says(output, "! 1 of 256 buckets are not claimed");
    assert_says(output, "! 1 of 256 buckets are claimed by two members");
    assert_true(widest(output) <= 80);
}

static void test_all_is_well(void **state)
{
    (void)state;
    canned->status.members = 2;
    canned->status.member[1].draining = false;
    memset(canned->status.rejected, 0, sizeof canned->status.rejected);
    assert_int_equal(run("status"), 0);
    assert_says(output, "All is well: 2 members alive, every bucket served.");
}

static void test_eighty_columns(void **state)
{
    static const char *const lines[] = {"status", "members", "vips", "buckets", "--help"};

    (void)state;
    memset(canned->status.member[0].name, 'n', NAME_BYTES_MAX);
    canned->status.member[0].flows = 123456789012;
    canned->status.member[1].address = canned->status.member[2].address;
    canned->counts.vip[2] = 99999999;
    canned->config.vip[2].address = canned->status.member[2].address;
    snprintf(canned->config.vip[2].interface, IFNAME_BYTES_MAX + 1, "enp129s0f1np1v4");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_int_equal(run(lines[i]), 0);
        if (widest(output) > 80)
            fail_msg("%s is %d columns wide:\n%s", lines[i], widest(output), output);
        assert_null(strchr(output, '\033'));
    }
}

static void test_names_cannot_draw(void **state)
{
    (void)state;
    snprintf(canned->status.member[1].name, NAME_BYTES_MAX, "w\033[2J\n2");
    assert_int_equal(run("status"), 0);
    assert_null(strchr(output, '\033'));
    assert_int_equal(run("buckets"), 0);
    assert_null(strchr(output, '\033'));
    assert_int_equal(run("which 10.0.0.1"), 0);
    assert_null(strchr(output, '\033'));
}

static void test_colour(void **state)
{
    (void)state;
    assert_int_equal(run_on_terminal("status", 80, NULL), 0);
    assert_says(output, "\033[32mserving\033[0m");
    assert_true(widest(output) <= 80);
    assert_int_equal(run_on_terminal("status", 80, "1"), 0);
    assert_null(strchr(output, '\033'));
    assert_int_equal(run_on_terminal("buckets", 80, NULL), 0);
    assert_says(output, "\033[32mA\033[0m");
    assert_int_equal(run_on_terminal("status", 60, NULL), 0);
    assert_says(output, "~"); /* an address of IPv6 is shortened */
}

static void test_the_map(void **state)
{
    (void)state;
    assert_int_equal(run("buckets"), 0);
    assert_says(output, "   0  ABABABABABABABAB ABABABABABABABAB ");
    assert_says(output, " 192  ABAB");
    assert_says(output, "  A web1: 128 buckets, 85 of them another's at home, lingers on 2\n");
    assert_says(output, "  B web2: 128 buckets");
    bitmap_clear(&canned->status.claim[0], 0);
    bitmap_set(&canned->status.claim[0], 1);
    canned->status.bucket[3].owner = -1;
    bitmap_clear(&canned->status.claim[1], 3);
    assert_int_equal(run("buckets"), 0);
    assert_says(output, "   0  -!A.ABAB");
    canned->status.buckets = BUCKETS_MAX;
    assert_int_equal(run("buckets"), 0);
    assert_says(output, "\n4032  ");
}

static void test_which_for_people(void **state)
{
    (void)state;
    assert_int_equal(run("which 10.0.0.3"), 0);
    assert_string_equal(output, "client     10.0.0.3 at 192.168.0.2/24\n"
                                "bucket     3\n"
                                "owner      web2\n"
                                "standby    web1\n"
                                "claimed by web2\n"
                                "lingering  web1\n");
    assert_int_equal(run("which --vip 192.168.0.3 10.0.0.3"), 0);
    assert_says(output, "bucket     103\n");
    assert_int_equal(run("which 10.0.0.3:4711"), 0);
    assert_says(output, "client     10.0.0.3:4711 at 192.168.0.2/24\n"
                        "bucket     3\n");
    assert_int_equal(run("which [2001:db8::7]:80"), 0);
    assert_says(output, "client     [2001:db8::7]:80 at 2001:db8::2/64\n"
                        "bucket     7\n");
}

static void test_status_of_skew(void **state)
{
    struct status *s = &canned->status;

    (void)state;
    assert_int_equal(run("status"), 0);
    assert_null(strstr(output, "Bucket 7"));
    s->skew.skewed = true;
    assert_int_equal(run("status"), 0);
    assert_says(output, "- Bucket 7 has 870 of the 1201 flows, 72 %, more than the share of one");
    assert_says(output, "affinity = \"flow\"");
    for (size_t i = 0; i < canned->config.vips; i++)
        canned->config.vip[i].affinity = AFFINITY_FLOW;
    assert_int_equal(run("status"), 0);
    assert_says(output, "the same port: select = \"hash\"");
    canned->config.vip[2].services = 1;
    canned->config.vip[2].service[0] =
        (struct service_config){SERVICE_TCP, 1, {5432}, POLICY_SINGLE, 7};
    assert_int_equal(run("status"), 0);
    assert_null(strstr(output, "Bucket 7"));
}

static void test_services(void **state)
{
    struct vip_config *v = &canned->config.vip[0];

    (void)state;
    assert_int_equal(run("vips"), 0);
    assert_null(strstr(output, "PROTOCOL"));
    assert_says(output, "XDP (generic) on eth0 has dropped 4 of the foreign packets to "
                        "192.168.0.2/24.\n");
    v->services = 3;
    v->service[0] = (struct service_config){SERVICE_TCP, 2, {80, 443}, POLICY_BALANCE, 9};
    v->service[1] = (struct service_config){SERVICE_TCP, 1, {5432}, POLICY_SINGLE, 3};
    v->service[2] = (struct service_config){SERVICE_UDP, 0, {0}, POLICY_CLOSED, 2};
    assert_int_equal(run("vips"), 0);
    assert_says(output, "192.168.0.2/24   tcp       80, 443  balance       -  -\n");
    assert_says(output, "192.168.0.2/24   tcp       5432     single        3  web2\n");
    assert_says(output, "192.168.0.2/24   udp       all      closed        2  web1\n");
    assert_int_equal(run("which 10.0.0.3"), 0);
    assert_says(output, "lingering  web1\n"
                        "but        tcp 5432: single, served by web2\n"
                        "but        udp all: closed, refused by web1\n");
    for (size_t i = 0; i < SERVICE_PORTS_MAX; i++)
        v->service[1].port[i] = (uint16_t)(50000 + i);
    v->service[1].ports = SERVICE_PORTS_MAX;
    assert_int_equal(run("which 10.0.0.3"), 0);
    assert_says(output, "50005, ...: single");
}

/* -------------------------------------------------------------- for programs */

static void test_json(void **state)
{
    static const struct {
        const char *line, *member;
    } cases[] = {
        {"-j status", "converged"},
        {"members -j", "members"},
        {"--json vips", "vips"},
        {"-j buckets", "buckets"},
        {"which 10.0.0.1 -j", "order"},
        {"-j rules", "rules"},
        {"-j genkey", "key"},
        {"-j version", "daemon"},
        {"-j drain", "ok"},
        {"-j undrain web2", "ok"},
        {"-j forget web3", "ok"},
        {"-j reload", "ok"},
        {"-j leave", "ok"},
        {"-j events", "last"},
        {"-j release web2", "ok"},
        {"-j rekey", "ok"},
        {"-j rules --iptables", "rules"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *json;
        assert_int_equal(run(cases[i].line), 0);
        json = json_loads(output, 0, NULL);
        if (json == NULL || json_object_get(json, cases[i].member) == NULL)
            fail_msg("%s: no \"%s\" in %s", cases[i].line, cases[i].member, output);
        json_decref(json);
        assert_string_equal(complaint, "");
    }
}

static void test_rules_are_passed_on(void **state)
{
    (void)state;
    assert_int_equal(run("rules"), 0);
    assert_string_equal(output, "table inet ipclusterd {\n}\n");
    assert_int_equal(run("rules --iptables"), 0);
    assert_string_equal(output, "*raw\n");
    assert_int_equal(run("rules --ip6tables"), 0);
    assert_string_equal(output, "*raw6\n");
}

static void test_keys(void **state)
{
    char first[64];

    (void)state;
    canned_stop(server); /* it needs no daemon */
    server = 0;
    assert_int_equal(run("genkey"), 0);
    assert_int_equal(strlen(output), 45);
    assert_string_equal(output + 43, "=\n");
    snprintf(first, sizeof first, "%.50s", output);
    assert_int_equal(run("genkey"), 0);
    assert_string_not_equal(output, first);
}

static void test_check(void **state)
{
    json_t *json;

    (void)state;
    assert_int_equal(run("check /nowhere/ipclusterd.conf"), 1);
    assert_says(complaint, "/nowhere/ipclusterd.conf");
    assert_int_equal(run("-j check /nowhere/ipclusterd.conf"), 1);
    json = json_loads(output, 0, NULL);
    assert_true(json_is_false(json_object_get(json, "ok")));
    assert_true(json_array_size(json_object_get(json, "faults")) > 0);
    json_decref(json);
}

/* ----------------------------------------------------------------- changes */

static void test_changes(void **state)
{
    static const struct {
        const char *line, *asked;
    } cases[] = {
        {"drain", "drain (self)"},      {"drain web2", "drain web2"}, {"undrain", "undrain (self)"},
        {"forget web3", "forget web3"}, {"leave", "leave"},           {"reload", "reload"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(run(cases[i].line), 0);
        assert_string_equal(canned->asked, cases[i].asked);
        assert_true(strlen(output) > 0);
    }
}

static void test_drain_waits(void **state)
{
    (void)state;
    canned->drains_in = 4;
    assert_int_equal(run("drain --wait --timeout 15s"), 0);
    assert_says(output, "web1: 0 buckets claimed, 2 lingering, 617 flows\n");
    assert_says(output, "web1 has drained after ");
}

static void test_drain_draws_a_bar(void **state)
{
    (void)state;
    canned->drains_in = 3;
    assert_int_equal(run_on_terminal("drain --wait", 80, "1"), 0);
    assert_says(output, "\rweb1 [########################] 0 flows");
    assert_true(widest(output) <= 80);
}

static void test_drain_gives_up(void **state)
{
    (void)state;
    canned->drains_in = 1000;
    canned->status.member[0].flows = (uint64_t)1 << 62;
    assert_int_equal(run("drain --wait --timeout 300ms"), 1);
    assert_says(complaint, "web1 still has ");
    assert_int_equal(run("drain web3 --wait"), 1);
    assert_says(complaint, "web3 is dead");
}

/* ------------------------------------------------------------------ failures */

static void test_refused(void **state)
{
    (void)state;
    canned->result = -ENOENT;
    canned->why = "no member is called web9";
    assert_fails("forget web9", 1, "no member is called web9");
    assert_fails("restart", 1, "no member is called web9");
    assert_string_equal(canned->asked, "restart");
    assert_fails("which not-an-address", 1, "not an IPv4 or IPv6 address");
    assert_fails("which 10.0.0.1 --vip 10.9.9.9", 1, "no virtual address");
}

static void test_misused(void **state)
{
    static const char *const lines[] = {
        "",
        "watch",
        "restart now",
        "doctor",
        "simulate",
        "rules --iptables --ip6tables",
        "status --iptables",
        "which",
        "which 10.0.0.1 10.0.0.2",
        "forget",
        "status now",
        "status --wait",
        "drain --vip 10.0.0.1",
        "drain --timeout 1s",
        "drain --wait --timeout 1",
        "drain --wait --timeout -1s",
        "drain --wait --timeout 99999999999999h",
        "--frobnicate",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int code = run(lines[i]);
        if (code != 2)
            fail_msg("\"%s\" ends with %d", lines[i], code);
        assert_says(complaint, "usage: clusterctl");
        assert_string_equal(output, "");
    }
}

static void test_no_daemon(void **state)
{
    (void)state;
    canned_stop(server);
    server = 0;
    assert_fails("status", 3, "nobody answers on");
    unlink(path);
    assert_fails("drain", 3, "there is no socket");
    assert_int_equal(run("version"), 0);
    assert_says(output, "ipclusterd not reached");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_status_for_people),
        CASE(test_status_of_bad_times),
        CASE(test_all_is_well),
        CASE(test_eighty_columns),
        CASE(test_names_cannot_draw),
        CASE(test_colour),
        CASE(test_the_map),
        CASE(test_which_for_people),
        CASE(test_status_of_skew),
        CASE(test_services),
        CASE(test_json),
        CASE(test_rules_are_passed_on),
        CASE(test_keys),
        CASE(test_check),
        CASE(test_changes),
        CASE(test_drain_waits),
        CASE(test_drain_draws_a_bar),
        CASE(test_drain_gives_up),
        CASE(test_refused),
        CASE(test_misused),
        CASE(test_no_daemon),
    };

    log_open("test_clusterctl", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
