/*
 * The control server over a real unix socket: a process of its own serves a
 * canned status, the tests speak HTTP to it and hold the answers against the
 * contract.
 */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl_client.h"
#include "io/log.h"

/* Both sides in one order. */
static void assert_json(const json_t *have, const char *expected)
{
    json_t *want = json_loads(expected, 0, NULL);
    char *text = json_dumps(have, JSON_SORT_KEYS);

    assert_non_null(want);
    if (!json_equal(have, want))
        fail_msg("expected %s\nhave %s", expected, text);
    free(text);
    json_decref(want);
}

/* ------------------------------------------------------------------- pages */

static void test_status_is_the_contract(void **state)
{
    json_t *s = get("/v1/status");
    json_t *members = json_object_get(s, "members"), *vips = json_object_get(s, "vips");

    (void)state;
    assert_int_equal(json_array_size(members), 3);
    assert_json(json_array_get(members, 1),
                "{\"name\": \"web2\", \"address\": \"192.168.0.12\", \"mac\": "
                "\"52:54:00:00:00:0c\", \"self\": false, \"state\": \"alive\", \"draining\": true,"
                "\"healthy\": true, \"weight\": 100, \"incarnation\": 4, \"buckets\": 128,"
                "\"claimed\": 128, \"lingering\": 0, \"flows\": 0, \"last_heard_ms\": 12,"
                "\"flap_penalty\": 0, \"rtt_us\": 180, \"loss_percent\": 0.0, \"hold_ms\": 0,"
                "\"voter\": false, \"protocol\": 2, \"clock_ms\": 0, \"key_next\": null,"
                "\"differs\": [], \"hears\": [\"web1\"], \"deaf_to\": []}");
    assert_int_equal(json_array_size(vips), 3);
    assert_json(json_array_get(vips, 0),
                "{\"address\": \"192.168.0.2/24\", \"interface\": \"eth0\", \"state\": \"serving\","
                "\"mode\": \"shared\","
                "\"select\": \"mask\", \"affinity\": \"address\", \"services\": [], \"mac\": "
                "\"02:bf:c0:a8:00:02\", \"xdp\": \"generic\", "
                "\"buckets\": 256,"
                "\"owned\": 128, \"lingering\": 2, \"orphaned\": 0, \"flows\": 1200,"
                "\"lease_ms\": 271, \"packets\": {\"accepted\": 5000000000, \"foreign\": 10,"
                "\"foreign_xdp\": 4,"
                "\"orphan_reset\": 2, \"forwarded\": 0, \"refused\": 0}}");
    json_object_del(s, "members");
    json_object_del(s, "vips");
    assert_json(
        s, "{\"version\": \"" PACKAGE_VERSION "\", \"cluster\": \"web\","
           "\"node\": \"web1\","
           "\"state\": \"serving\", \"converged\": true, \"view\": \"009f2c0102030405\","
           "\"quorum\": {\"policy\": \"none\", \"have\": true, \"voters\": 0,"
           "\"heard\": 0, \"needed\": 0, \"version\": 0}, \"witness\": null,"
           "\"key\": {\"id\": \"0123456789abcdef\", \"next\": null, \"ready\": false,"
           "\"changed\": false}, \"wakeup_us\": {\"mean\": 52, \"worst\": 1234},"
           "\"patience_ms\": 0, \"strangers\": [], \"uptime_ms\": 123456,"
           "\"buckets\": {\"total\": 256, \"unowned\": 0, \"unclaimed\": 0,"
           "\"contested\": 0}, \"apply_failures\": 0,"
           "\"busiest\": {\"bucket\": 7, \"flows\": 870, \"of\": 1201,"
           "\"percent\": 72.4, \"nodes\": 2, \"skewed\": false}, \"counters\": {\"takeovers\": 85,"
           "\"unowned_bucket_ms\": 40, \"contested_bucket_ms\": 0,"
           "\"heartbeats_rejected\": {\"forged\": 7, \"replayed\": 0, \"malformed\": 0,"
           "\"foreign_cluster\": 0, \"config_mismatch\": 0, \"version\": 1,"
           "\"unread\": 12345678901}}}");
    json_decref(s);
}

static void test_status_of_bad_times(void **state)
{
    json_t *s;

    (void)state;
    canned->status.lease_left = -5;
    canned->status.member[2].last_heard = -1;
    canned->status.bucket[9].owner = -1;
    bitmap_clear(&canned->status.claim[1], 9);
    bitmap_set(&canned->status.claim[2], 10);
    snprintf(canned->status.member[1].name, NAME_BYTES_MAX, "w\xff");
    s = get("/v1/status");
    assert_int_equal(json_integer_value(json_object_get(
                         json_array_get(json_object_get(s, "vips"), 0), "lease_ms")),
                     0);
    assert_int_equal(json_integer_value(json_object_get(
                         json_array_get(json_object_get(s, "members"), 2), "last_heard_ms")),
                     -1);
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(s, "members"), 1), "name")),
                        "w?");
    assert_json(json_object_get(s, "buckets"),
                "{\"total\": 256, \"unowned\": 1, \"unclaimed\": 1, \"contested\": 1}");
    json_decref(s);
}

static void test_parts(void **state)
{
    json_t *s = get("/v1/status"), *members = get("/v1/members"), *vips = get("/v1/vips");
    json_t *version = get("/v1/version");

    (void)state;
    assert_true(json_equal(json_object_get(s, "members"), json_object_get(members, "members")));
    assert_true(json_equal(json_object_get(s, "vips"), json_object_get(vips, "vips")));
    assert_json(version, "{\"version\": \"" PACKAGE_VERSION "\", \"cluster\": \"web\","
                         "\"node\": \"web1\", \"uptime_ms\": 123456,"
                         "\"inherited_buckets\": 86}");
    json_decref(s);
    json_decref(members);
    json_decref(vips);
    json_decref(version);
}

static void test_buckets(void **state)
{
    json_t *all = get("/v1/buckets"), *list = json_object_get(all, "buckets");

    (void)state;
    assert_int_equal(json_array_size(list), 256);
    assert_json(json_array_get(list, 2),
                "{\"bucket\": 2, \"owner\": \"web1\", \"home\": \"web3\", \"class\": \"own\","
                "\"claimed_by\": [\"web1\"], \"lingering_on\": []}");
    assert_json(json_array_get(list, 3),
                "{\"bucket\": 3, \"owner\": \"web2\", \"home\": \"web1\", \"class\": \"linger\","
                "\"claimed_by\": [\"web2\"], \"lingering_on\": [\"web1\"]}");
    json_decref(all);
}

static void test_buckets_of_the_largest_cluster(void **state)
{
    json_t *all;

    (void)state;
    canned->status.buckets = BUCKETS_MAX;
    for (unsigned b = 256; b < BUCKETS_MAX; b++)
        canned->status.bucket[b] = (struct status_bucket){-1, -1, CLASS_FOREIGN};
    all = get("/v1/buckets");
    assert_int_equal(json_array_size(json_object_get(all, "buckets")), BUCKETS_MAX);
    assert_json(json_array_get(json_object_get(all, "buckets"), BUCKETS_MAX - 1),
                "{\"bucket\": 4095, \"owner\": null, \"home\": null, \"class\": \"foreign\","
                "\"claimed_by\": [], \"lingering_on\": []}");
    json_decref(all);
}

static void test_which(void **state)
{
    static const struct {
        const char *target, *vip;
        int bucket;
    } cases[] = {
        {"/v1/which?address=198.51.100.7", "192.168.0.2/24", 7},
        {"/v1/which?address=198.51.100.7&vip=192.168.0.2", "192.168.0.2/24", 7},
        {"/v1/which?vip=192.168.0.3&address=198.51.100.7", "192.168.0.3/32", 107},
        {"/v1/which?address=198.51.100.7&vip=192.168.0.3%2F32", "192.168.0.3/32", 107},
        {"/v1/which?address=2001%3Adb8%3A%3Aff", "2001:db8::2/64", 255},
        {"http://ipclusterd/v1/which?address=2001:db8::1", "2001:db8::2/64", 1},
        {"/v1/which?address=198.51.100.7:4711", "192.168.0.2/24", 7},
        {"/v1/which?address=%5B2001:db8::7%5D", "2001:db8::2/64", 7},
        {"/v1/which?address=%5B2001:db8::7%5D:65535", "2001:db8::2/64", 7},
    };
    json_t *w;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        w = get(cases[i].target);
        assert_string_equal(json_string_value(json_object_get(w, "vip")), cases[i].vip);
        assert_int_equal(json_integer_value(json_object_get(w, "bucket")), cases[i].bucket);
        json_decref(w);
    }
    w = get("/v1/which?address=198.51.100.3");
    assert_json(w, "{\"address\": \"198.51.100.3\", \"port\": null, \"vip\": \"192.168.0.2/24\","
                   "\"affinity\": \"address\", \"services\": [], \"bucket\": 3,"
                   "\"owner\": \"web2\", \"home\": \"web1\", \"order\": [\"web2\", \"web1\"],"
                   "\"claimed_by\": [\"web2\"], \"lingering_on\": [\"web1\"]}");
    json_decref(w);
}

/* Where the port decides, an address alone has no bucket but shares. */
static void test_which_by_flow(void **state)
{
    json_t *w, *shares;
    double percent = 0;
    size_t i;
    json_t *share;

    (void)state;
    canned->config.vip[0].affinity = AFFINITY_FLOW;
    w = get("/v1/which?address=198.51.100.7:515");
    assert_json(w, "{\"address\": \"198.51.100.7\", \"port\": 515, \"vip\": \"192.168.0.2/24\","
                   "\"affinity\": \"flow\", \"services\": [], \"bucket\": 3,"
                   "\"owner\": \"web2\", \"home\": \"web1\", \"order\": [\"web2\", \"web1\"],"
                   "\"claimed_by\": [\"web2\"], \"lingering_on\": [\"web1\"]}");
    json_decref(w);
    w = get("/v1/which?address=198.51.100.7");
    shares = json_object_get(w, "shares");
    json_array_foreach(shares, i, share) percent +=
        json_real_value(json_object_get(share, "percent"));
    assert_int_equal(i, 2);
    assert_true(percent > 99.99 && percent < 100.01);
    json_object_del(w, "shares");
    assert_json(w, "{\"address\": \"198.51.100.7\", \"port\": null, \"vip\": \"192.168.0.2/24\","
                   "\"affinity\": \"flow\", \"services\": [], \"bucket\": null, \"owner\": null,"
                   "\"home\": null, \"order\": [], \"claimed_by\": [], \"lingering_on\": [],"
                   "\"portless\": {\"bucket\": 7, \"owner\": \"web2\"}}");
    json_decref(w);
    canned->config.vip[0].affinity = AFFINITY_ADDRESS;
}

static void test_services(void **state)
{
    struct vip_config *v = &canned->config.vip[0];
    json_t *vips, *w;
    static const char services[] =
        "[{\"protocol\": \"tcp\", \"ports\": [80, 443], \"policy\": \"balance\","
        "  \"bucket\": null, \"owner\": null},"
        " {\"protocol\": \"udp\", \"ports\": [], \"policy\": \"single\","
        "  \"bucket\": 3, \"owner\": \"web2\"},"
        " {\"protocol\": \"any\", \"ports\": [], \"policy\": \"closed\","
        "  \"bucket\": 2, \"owner\": \"web1\"}]";

    (void)state;
    v->services = 3;
    v->service[0] = (struct service_config){SERVICE_TCP, 2, {80, 443}, POLICY_BALANCE, 9};
    v->service[1] = (struct service_config){SERVICE_UDP, 0, {0}, POLICY_SINGLE, 3};
    v->service[2] = (struct service_config){SERVICE_ANY, 0, {0}, POLICY_CLOSED, 2};
    vips = get("/v1/vips");
    assert_json(json_object_get(json_array_get(json_object_get(vips, "vips"), 0), "services"),
                services);
    json_decref(vips);
    w = get("/v1/which?address=198.51.100.7");
    assert_json(json_object_get(w, "services"), services);
    json_decref(w);
}

static void test_rules(void **state)
{
    (void)state;
    assert_int_equal(exchange("GET", "/v1/rules", ""), 200);
    assert_non_null(strstr(answer, "Content-Type: text/plain"));
    assert_non_null(strstr(answer, "\r\n\r\ntable inet ipclusterd {\n}\n"));
    assert_int_equal(exchange("GET", "/v1/rules/iptables", ""), 200);
    assert_non_null(strstr(answer, "\r\n\r\n*raw\n"));
    assert_int_equal(exchange("GET", "/v1/rules/ip6tables", ""), 200);
    assert_non_null(strstr(answer, "\r\n\r\n*raw6\n"));
    canned->result = -ENOBUFS;
    canned->why = "the kernel has no memory for it";
    assert_refused(exchange("GET", "/v1/rules", ""), 500, "no memory");
}

/* ----------------------------------------------------------------- changes */

static void test_changes_reach_the_daemon(void **state)
{
    static const struct {
        const char *target, *body, *asked;
    } cases[] = {
        {"/v1/drain", "", "drain (self)"},
        {"/v1/drain", "{}", "drain (self)"},
        {"/v1/drain", "{\"node\": \"web2\"}", "drain web2"},
        {"/v1/undrain", "{\"node\": \"web2\"}", "undrain web2"},
        {"/v1/forget", "{\"node\": \"web3\"}", "forget web3"},
        {"/v1/release", "{\"node\": \"web2\"}", "release web2"},
        {"/v1/rekey", "", "rekey (self)"},
        {"/v1/leave", "", "leave"},
        {"/v1/reload", "{}", "reload"},
        {"/v1/restart", "{}", "restart"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *json;
        assert_int_equal(exchange("POST", cases[i].target, cases[i].body), 200);
        assert_string_equal(canned->asked, cases[i].asked);
        json = answer_json();
        assert_true(json_is_true(json_object_get(json, "ok")));
        json_decref(json);
    }
}

static void test_refusals_are_told(void **state)
{
    static const struct {
        int error, status;
    } cases[] = {{-ENOENT, 404}, {-EINVAL, 400}, {-EBUSY, 409}, {-EAGAIN, 503}, {-EIO, 500}};

    (void)state;
    canned->why = "web9 is not on the roster";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        canned->result = cases[i].error;
        assert_refused(exchange("POST", "/v1/forget", "{\"node\": \"web9\"}"), cases[i].status,
                       "web9 is not on the roster");
    }
    canned->why = "";
    assert_refused(exchange("POST", "/v1/reload", ""), 500, "Input/output error");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_status_is_the_contract),
        CASE(test_status_of_bad_times),
        CASE(test_parts),
        CASE(test_buckets),
        CASE(test_buckets_of_the_largest_cluster),
        CASE(test_which),
        CASE(test_which_by_flow),
        CASE(test_services),
        CASE(test_rules),
        CASE(test_changes_reach_the_daemon),
        CASE(test_refusals_are_told),
    };

    log_open("test_ctl", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
