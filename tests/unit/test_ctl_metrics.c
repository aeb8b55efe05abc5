/*
 * The metrics page: every line by the grammar of OpenMetrics 1.0, and the figures
 * that it has.
 */
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

enum { SAMPLES_MAX = 8192, FAMILIES_MAX = 128 };

/* What the page said so far. */
struct metrics {
    size_t families, samples;
    char family[FAMILIES_MAX][96], type[256];
    bool sampled; /* the present family has samples */
    const char *sample[SAMPLES_MAX];
    size_t length[SAMPLES_MAX]; /* of name and labels */
};

static bool is_name(const char *text, size_t length)
{
    return length > 0 && strspn(text, "abcdefghijklmnopqrstuvwxyz_") > 0 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

static const char *const types[][2] = {
    {"gauge", ""}, {"counter", "_total"}, {"info", "_info"}, {"stateset", ""}};

/* "# TYPE name type": a family begins, and none twice. */
static void family_take(struct metrics *x, const char *name, const char *rest)
{
    bool known = false;

    for (size_t i = 0; i < x->families; i++)
        assert_string_not_equal(x->family[i], name);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        known = known || strcmp(types[i][0], rest) == 0;
    if (!known || !is_name(name, strlen(name)) || strncmp(name, "ipclusterd_", 11) != 0)
        fail_msg("no family: %s %s", name, rest);
    assert_true(x->families < FAMILIES_MAX);
    snprintf(x->family[x->families++], sizeof x->family[0], "%s", name);
    snprintf(x->type, sizeof x->type, "%s", rest);
    x->sampled = false;
}

static void comment_take(struct metrics *x, const char *line)
{
    char word[8], name[96], rest[256];
    size_t length;

    if (sscanf(line, "# %7s %95s %255[^\n]", word, name, rest) != 3)
        fail_msg("no comment of the format: %s", line);
    if (strcmp(word, "TYPE") == 0) {
        family_take(x, name, rest);
        return;
    }
    assert_true(x->families > 0 && !x->sampled);
    assert_string_equal(name, x->family[x->families - 1]);
    if (strcmp(word, "UNIT") != 0) {
        assert_string_equal(word, "HELP");
        return;
    }
    length = strlen(name);
    assert_true(length > strlen(rest) && strcmp(name + length - strlen(rest), rest) == 0);
}

/* {a="b",c="d"}: where they end. */
static const char *labels_skip(const char *p)
{
    if (*p != '{')
        return p;
    do {
        size_t length = strcspn(++p, "=");
        assert_true(is_name(p, length));
        p += length;
        assert_memory_equal(p, "=\"", 2);
        for (p += 2; *p != '"'; p++) {
            assert_true(*p >= ' ' && *p < 0x7f);
            if (*p == '\\')
                assert_non_null(strchr("\\\"n", *++p));
        }
        p++;
    } while (*p == ',');
    assert_int_equal(*p, '}');
    return p + 1;
}

static const char *suffix_of(const char *type)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i][0], type) == 0)
            return types[i][1];
    return "?";
}

/* name{labels} number */
static void sample_take(struct metrics *x, const char *line)
{
    const char *family = x->families > 0 ? x->family[x->families - 1] : "";
    size_t name = strcspn(line, "{ "), n = strlen(family);
    const char *labels = labels_skip(line + name);
    char *end;
    double value;

    if (name < n || strncmp(line, family, n) != 0 || name - n != strlen(suffix_of(x->type)) ||
        strncmp(line + n, suffix_of(x->type), name - n) != 0)
        fail_msg("not of the family %s (%s): %s", family, x->type, line);
    assert_int_equal(*labels, ' ');
    value = strtod(labels + 1, &end);
    if (end == labels + 1 || *end != '\0' || labels[1] == ' ')
        fail_msg("no number: %s", line);
    if (strcmp(x->type, "stateset") == 0 || strcmp(x->type, "info") == 0)
        assert_true(value == 0 || value == 1);
    assert_true(strcmp(x->type, "counter") != 0 || value >= 0);
    x->sampled = true;
    assert_true(x->samples < SAMPLES_MAX);
    x->sample[x->samples] = line;
    x->length[x->samples++] = (size_t)(labels - line);
}

/* The body of `answer`, read by the rules of OpenMetrics 1.0; fails where it breaks
 * them. */
static struct metrics *metrics_read(void)
{
    static struct metrics x;
    char *line = strstr(answer, "\r\n\r\n"), *next;
    bool end = false;

    memset(&x, 0, sizeof x);
    assert_non_null(strstr(answer, "Content-Type: application/openmetrics-text; version=1.0.0; "
                                   "charset=utf-8\r\n"));
    assert_non_null(line);
    for (line += 4; *line != '\0'; line = next) {
        next = strchr(line, '\n');
        assert_non_null(next);
        *next++ = '\0';
        assert_false(end);
        end = strcmp(line, "# EOF") == 0;
        if (!end && *line == '#')
            comment_take(&x, line);
        else if (!end)
            sample_take(&x, line);
    }
    assert_true(end);
    for (size_t i = 0; i < x.samples; i++)
        for (size_t j = 0; j < i && x.samples < 1000; j++)
            if (x.length[i] == x.length[j] && memcmp(x.sample[i], x.sample[j], x.length[i]) == 0)
                fail_msg("twice: %s", x.sample[i]);
    return &x;
}

static void assert_sample(const struct metrics *x, const char *line)
{
    for (size_t i = 0; i < x->samples; i++)
        if (strcmp(x->sample[i], line) == 0)
            return;
    fail_msg("no sample: %s", line);
}

static void test_metrics(void **state)
{
    static const char *const lines[] = {
        "ipclusterd_build_info{version=\"" PACKAGE_VERSION "\",cluster=\"web\",node=\"web1\"} 1",
        "ipclusterd_node_state{ipclusterd_node_state=\"serving\"} 1",
        "ipclusterd_node_state{ipclusterd_node_state=\"held\"} 0",
        "ipclusterd_converged 1",
        "ipclusterd_uptime_seconds 123.456789",
        "ipclusterd_buckets 256",
        "ipclusterd_buckets_owned 128",
        "ipclusterd_buckets_unowned 0",
        "ipclusterd_apply_failures 0",
        "ipclusterd_quorum_have 1",
        "ipclusterd_witness_up 1",
        "ipclusterd_wakeup_mean_seconds 0.000052",
        "ipclusterd_wakeup_worst_seconds 0.001234",
        "ipclusterd_patience_seconds 0.000000",
        "ipclusterd_members{state=\"alive\"} 2",
        "ipclusterd_members{state=\"dead\"} 1",
        "ipclusterd_member_state{member=\"web3\",ipclusterd_member_state=\"dead\"} 1",
        "ipclusterd_member_state{member=\"web1\",ipclusterd_member_state=\"dead\"} 0",
        "ipclusterd_member_draining{member=\"web2\"} 1",
        "ipclusterd_member_buckets{member=\"web1\"} 128",
        "ipclusterd_member_flows{member=\"web1\"} 1234",
        "ipclusterd_member_last_heard_seconds{member=\"web2\"} 0.012345",
        "ipclusterd_member_rtt_seconds{member=\"web2\"} 0.000179",
        "ipclusterd_member_loss_ratio{member=\"web2\"} 0.000400",
        "ipclusterd_takeovers_total 85",
        "ipclusterd_unowned_bucket_seconds_total 0.040000",
        "ipclusterd_heartbeats_rejected_total{reason=\"forged\"} 7",
        "ipclusterd_heartbeats_rejected_total{reason=\"unread\"} 12345678901",
        "ipclusterd_vip_flows{vip=\"192.168.0.2/24\"} 1200",
        "ipclusterd_vip_lease_seconds{vip=\"2001:db8::2/64\"} 0.271000",
        "ipclusterd_vip_packets_total{vip=\"192.168.0.2/24\",verdict=\"accepted\"} 5000000000",
        "ipclusterd_vip_xdp_packets_total{vip=\"192.168.0.2/24\"} 4",
    };
    const struct metrics *x;

    (void)state;
    assert_int_equal(exchange("GET", "/metrics", ""), 200);
    x = metrics_read();
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_sample(x, lines[i]);
    assert_true(x->families >= 45);
}

static void test_metrics_of_bad_times(void **state)
{
    struct status *s = &canned->status;
    const struct metrics *x;

    (void)state;
    snprintf(s->member[1].name, NAME_BYTES_MAX, "w\"\\\n\xff");
    s->member[1].clock_ms = -7300;
    s->member[1].hold_left = 90 * USEC_PER_S;
    s->member[2].state = MEMBER_SUSPECT;
    s->member[2].last_heard = -1;
    s->member[2].clock_ms = INT64_MIN;
    s->lease_left = -5;
    s->rejected[REJECT_FORGED] = UINT64_MAX;
    bitmap_set(&s->deaf[0], 2);
    assert_int_equal(exchange("GET", "/metrics", ""), 200);
    x = metrics_read();
    assert_sample(x, "ipclusterd_member_clock_ahead_seconds{member=\"w\\\"\\\\??\"} -7.300000");
    assert_sample(x, "ipclusterd_member_hold_seconds{member=\"w\\\"\\\\??\"} 90.000000");
    assert_sample(x, "ipclusterd_member_deaf{member=\"web1\",to=\"web3\"} 1");
    assert_sample(x, "ipclusterd_vip_lease_seconds{vip=\"192.168.0.2/24\"} 0.000000");
    assert_sample(x, "ipclusterd_heartbeats_rejected_total{reason=\"forged\"} "
                     "18446744073709551615");
    for (size_t i = 0; i < x->samples; i++)
        if (strstr(x->sample[i], "last_heard_seconds{member=\"web3\"}") != NULL)
            fail_msg("never heard: %s", x->sample[i]);
}

static void test_metrics_of_the_largest_cluster(void **state)
{
    struct status *s = &canned->status;

    (void)state;
    s->members = MEMBERS_MAX;
    for (size_t i = 0; i < MEMBERS_MAX; i++)
        snprintf(s->member[i].name, NAME_BYTES_MAX, "node%zu", i);
    canned->config.vips = VIPS_MAX;
    for (size_t i = 0; i < VIPS_MAX; i++)
        canned->config.vip[i].address = (struct address){FAMILY_IP6, {0x20, (uint8_t)i}};
    assert_int_equal(exchange("GET", "/metrics", ""), 200);
    assert_true(metrics_read()->samples > 5000);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_metrics),
        CASE(test_metrics_of_bad_times),
        CASE(test_metrics_of_the_largest_cluster),
    };

    log_open("test_ctl_metrics", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
