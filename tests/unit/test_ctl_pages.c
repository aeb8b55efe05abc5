/*
 * What membership adds to the pages of the control socket: the quorum, who hears
 * whom, keys, strangers, events.
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

/* `have` is what `expected` says, in any order. */
static void assert_json(const json_t *have, const char *expected)
{
    json_t *want = json_loads(expected, JSON_DECODE_ANY, NULL);
    char *text = json_dumps(have, JSON_SORT_KEYS | JSON_ENCODE_ANY);

    assert_non_null(want);
    if (!json_equal(have, want))
        fail_msg("expected %s\nhave %s", expected, text);
    free(text);
    json_decref(want);
}

static const json_t *member(const json_t *page, size_t i)
{
    return json_array_get(json_object_get(page, "members"), i);
}

/* -------------------------------------------------------------------- status */

static void test_quorum(void **state)
{
    struct status *s = &canned->status;
    json_t *page;

    (void)state;
    s->quorum.policy = QUORUM_MAJORITY;
    s->quorum.have = false;
    s->quorum.voters = 4;
    s->quorum.heard = 2;
    s->quorum.version = 7;
    s->member[0].voter = true;
    page = get("/v1/status");
    assert_json(json_object_get(page, "quorum"),
                "{\"policy\": \"majority\", \"have\": false, \"voters\": 4, \"heard\": 2,"
                "\"needed\": 3, \"version\": 7}");
    assert_json(json_object_get(member(page, 0), "voter"), "true");
    assert_json(json_object_get(member(page, 1), "voter"), "false");
    json_decref(page);
}

static void test_standing_of_members(void **state)
{
    struct status_member *m = &canned->status.member[1];
    json_t *page;

    (void)state;
    m->state = MEMBER_HELD;
    m->penalty = 4000000000u;
    m->hold_left = 250 * USEC_PER_S;
    m->clock_ms = -7300;
    m->key_next = 0xf;
    m->version = 1;
    m->parts = 1u << PART_VIPS;
    page = get("/v1/members");
    assert_json(json_object_get(member(page, 1), "state"), "\"held\"");
    assert_json(json_object_get(member(page, 1), "flap_penalty"), "4000000000");
    assert_json(json_object_get(member(page, 1), "hold_ms"), "250000");
    assert_json(json_object_get(member(page, 1), "clock_ms"), "-7300");
    assert_json(json_object_get(member(page, 1), "key_next"), "\"000000000000000f\"");
    assert_json(json_object_get(member(page, 1), "protocol"), "1");
    assert_json(json_object_get(member(page, 1), "differs"), "[\"vips\"]");
    json_decref(page);
}

static void test_who_hears_whom(void **state)
{
    struct status *s = &canned->status;
    json_t *page;

    (void)state;
    s->member[2].state = MEMBER_SUSPECT;
    s->member[1].state = MEMBER_HELD;
    bitmap_set(&s->deaf[0], 2);
    bitmap_set(&s->deaf[2], 0);
    bitmap_set(&s->deaf[2], 1);
    page = get("/v1/members");
    assert_json(json_object_get(member(page, 0), "hears"), "[\"web2\"]");
    assert_json(json_object_get(member(page, 0), "deaf_to"), "[\"web3\"]");
    assert_json(json_object_get(member(page, 1), "hears"), "[\"web1\", \"web3\"]");
    assert_json(json_object_get(member(page, 1), "deaf_to"), "[]");
    assert_json(json_object_get(member(page, 2), "hears"), "[]");
    assert_json(json_object_get(member(page, 2), "deaf_to"), "[\"web1\", \"web2\"]");
    json_decref(page);

    /* The dead neither hear nor are heard, whatever they said last. */
    s->member[2].state = MEMBER_LEFT;
    page = get("/v1/members");
    assert_json(json_object_get(member(page, 0), "deaf_to"), "[]");
    assert_json(json_object_get(member(page, 2), "deaf_to"), "[]");
    json_decref(page);
}

static void test_hearing_of_the_largest_cluster(void **state)
{
    struct status *s = &canned->status;
    json_t *page;

    (void)state;
    s->members = MEMBERS_MAX;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        s->member[i].state = MEMBER_ALIVE;
        snprintf(s->member[i].name, NAME_BYTES_MAX, "node%zu", i);
    }
    bitmap_set(&s->deaf[255], 254);
    page = get("/v1/members");
    assert_int_equal(json_array_size(json_object_get(member(page, 0), "hears")), 255);
    assert_int_equal(json_array_size(json_object_get(member(page, 255), "hears")), 254);
    assert_json(json_object_get(member(page, 255), "deaf_to"), "[\"node254\"]");
    json_decref(page);
}

static void test_witness_timers_strangers(void **state)
{
    struct status *s = &canned->status;
    json_t *page;

    (void)state;
    canned->config.witness = (struct address){.family = FAMILY_IP4, .byte = {192, 0, 2, 254}};
    s->witness_answers = false;
    s->patience = 1500 * USEC_PER_MS;
    s->strangers = 2;
    snprintf(s->stranger[0].name, NAME_BYTES_MAX, "web8");
    s->stranger[0].parts = 1u << PART_TIMING | 1u << PART_VIPS | 1u << 31;
    snprintf(s->stranger[1].name, NAME_BYTES_MAX, "w\xff");
    page = get("/v1/status");
    assert_json(json_object_get(page, "witness"),
                "{\"address\": \"192.0.2.254\", \"answers\": false}");
    assert_json(json_object_get(page, "patience_ms"), "1500");
    assert_json(json_object_get(page, "strangers"),
                "[{\"name\": \"web8\", \"differs\": [\"timing\", \"vips\"]},"
                " {\"name\": \"w?\", \"differs\": []}]");
    json_decref(page);
}

static void test_keys(void **state)
{
    struct status *s = &canned->status;
    json_t *page;

    (void)state;
    s->member[0].key_next = s->key_next = 0xabc;
    s->rekey_ready = true;
    page = get("/v1/status");
    assert_json(json_object_get(page, "key"),
                "{\"id\": \"0123456789abcdef\", \"next\": \"0000000000000abc\", \"ready\": true,"
                "\"changed\": false}");
    json_decref(page);
    s->key = 0xabc;
    s->rekey_ready = false;
    page = get("/v1/status");
    assert_json(json_object_get(page, "key"),
                "{\"id\": \"0000000000000abc\", \"next\": \"0000000000000abc\", \"ready\": false,"
                "\"changed\": true}");
    json_decref(page);
}

/* -------------------------------------------------------------------- events */

static void test_events(void **state)
{
    json_t *page = get("/v1/events");

    (void)state;
    assert_json(page, "{\"last\": 3, \"events\": ["
                      "{\"id\": 1, \"time\": \"2001-09-09T01:46:41.045Z\", \"kind\": "
                      "\"member_dead\", \"level\": \"info\", \"member\": \"web3\", \"number\": 1,"
                      "\"other\": -1, \"text\": \"event number 1\"},"
                      "{\"id\": 2, \"time\": \"2001-09-09T01:46:42.045Z\", \"kind\": "
                      "\"member_dead\", \"level\": \"info\", \"member\": null, \"number\": 2,"
                      "\"other\": -1, \"text\": \"event number 2\"},"
                      "{\"id\": 3, \"time\": \"2001-09-09T01:46:43.045Z\", \"kind\": "
                      "\"member_dead\", \"level\": \"info\", \"member\": \"web3\", \"number\": 3,"
                      "\"other\": -1, \"text\": \"event number 3\"}]}");
    json_decref(page);
}

static void test_events_since(void **state)
{
    static const struct {
        const char *target;
        uint64_t events;
        size_t count;
        json_int_t first;
    } cases[] = {
        {"/v1/events", 0, 0, 0},
        {"/v1/events?since=0", 3, 3, 1},
        {"/v1/events?since=2", 3, 1, 3},
        {"/v1/events?since=3", 3, 0, 0},
        {"/v1/events?since=999999999999999999", 3, 0, 0},
        {"/v1/events", 1000, 1000, 1},
        {"/v1/events", 2500, 1000, 1501},
        {"/v1/events?since=2000", 2500, 500, 2001},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const json_t *list;
        json_t *page;
        canned->events = cases[i].events;
        page = get(cases[i].target);
        list = json_object_get(page, "events");
        assert_int_equal(json_array_size(list), cases[i].count);
        assert_int_equal(json_integer_value(json_object_get(page, "last")), cases[i].events);
        assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "id")),
                         cases[i].first);
        json_decref(page);
    }
}

static void test_a_change_that_is_begun(void **state)
{
    json_t *json;

    (void)state;
    canned->result = CTL_PENDING;
    canned->why = "web3: a majority of the voters has to decide it";
    assert_int_equal(exchange("POST", "/v1/forget", "{\"node\": \"web3\"}"), 202);
    json = answer_json();
    assert_json(json, "{\"ok\": true, \"done\": \"forget\", \"pending\": true, \"since\": 3,"
                      "\"message\": \"web3: a majority of the voters has to decide it\"}");
    json_decref(json);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_quorum),
        CASE(test_standing_of_members),
        CASE(test_who_hears_whom),
        CASE(test_hearing_of_the_largest_cluster),
        CASE(test_witness_timers_strangers),
        CASE(test_keys),
        CASE(test_events),
        CASE(test_events_since),
        CASE(test_a_change_that_is_begun),
    };

    log_open("test_ctl_pages", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
