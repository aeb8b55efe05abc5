/*
 * status, members, vips: read at three in the morning by somebody who was woken
 * up. The first line is the verdict of this node, the tables are who does what,
 * and what is not as it should be follows in words, each with what to do.
 */
#include <stdio.h>
#include <string.h>

#include "clusterctl.h"
#include "findings.h"
#include "field.h"
#include "table.h"

static enum colour state_colour(const char *state)
{
    static const struct {
        const char *state;
        enum colour colour;
    } known[] = {
        {"serving", GOOD}, {"alive", GOOD},    {"dead", BAD}, {"isolated", BAD},
        {"held", BAD},     {"unhealthy", BAD}, {"left", DIM},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].state, state) == 0)
            return known[i].colour;
    return WARN;
}

/* What a member does, in one word. */
static const char *member_state(const json_t *m)
{
    const char *state = field_text(m, "state");

    if (strcmp(state, "alive") != 0)
        return state;
    if (!field_true(m, "healthy"))
        return "unhealthy";
    return field_true(m, "draining") ? "draining" : state;
}

static void headline_print(const struct call *c, const json_t *status)
{
    const struct screen *s = &c->screen;
    const char *state = field_text(status, "state");
    bool converged = field_true(status, "converged");
    enum colour colour = state_colour(state);
    enum colour agreed = converged ? GOOD : WARN;
    char span[16];

    printf("cluster %s%s%s  node %s%s%s  %s%s%s  %s%s%s  view %.8s  up %s\n", screen_on(s, STRONG),
           field_text(status, "cluster"), screen_off(s, STRONG), screen_on(s, STRONG),
           field_text(status, "node"), screen_off(s, STRONG), screen_on(s, colour), state,
           screen_off(s, colour), screen_on(s, agreed), converged ? "converged" : "not converged",
           screen_off(s, agreed), field_text(status, "view"),
           text_span(field_number(status, "uptime_ms"), span));
}

static void members_table(const struct call *c, const json_t *members)
{
    static const struct table_column columns[] = {
        {"MEMBER", false, 10}, {"ADDRESS", false, 15}, {"STATE", false, 0}, {"WEIGHT", true, 0},
        {"BUCKETS", true, 0},  {"LINGER", true, 0},    {"FLOWS", true, 0},  {"HEARD", true, 0},
    };
    struct table *t = table_new(columns, sizeof columns / sizeof *columns);
    char text[16];
    size_t i;
    json_t *m;

    json_array_foreach(members, i, m)
    {
        const char *state = member_state(m);
        bool self = field_true(m, "self");
        table_cell(t, self ? STRONG : PLAIN, "%s%s", field_text(m, "name"), self ? " *" : "");
        table_cell(t, PLAIN, "%s", field_text(m, "address"));
        table_cell(t, state_colour(state), "%s", state);
        table_cell(t, PLAIN, "%lld", field_number(m, "weight"));
        table_cell(t, PLAIN, "%lld", field_number(m, "buckets"));
        table_cell(t, PLAIN, "%lld", field_number(m, "lingering"));
        table_cell(t, PLAIN, "%s", text_count(field_number(m, "flows"), text));
        table_cell(t, PLAIN, "%s", self ? "-" : text_span(field_number(m, "last_heard_ms"), text));
    }
    table_print(t, &c->screen);
}

static void members_detail_table(const struct call *c, const json_t *members)
{
    static const struct table_column columns[] = {
        {"MEMBER", false, 10},    {"MAC", false, 0}, {"CLAIMED", true, 0},
        {"INCARNATION", true, 0}, {"RTT", true, 0},  {"LOSS", true, 0},
    };
    struct table *t = table_new(columns, sizeof columns / sizeof *columns);
    size_t i;
    json_t *m;

    json_array_foreach(members, i, m)
    {
        double loss = json_number_value(json_object_get(m, "loss_percent"));
        long long rtt = field_number(m, "rtt_us");
        table_cell(t, PLAIN, "%s", field_text(m, "name"));
        table_cell(t, PLAIN, "%s", field_text(m, "mac"));
        table_cell(t, PLAIN, "%lld", field_number(m, "claimed"));
        table_cell(t, PLAIN, "%lld", field_number(m, "incarnation"));
        if (rtt > 0)
            table_cell(t, PLAIN, "%.1fms", (double)rtt / 1000.0);
        else
            table_cell(t, PLAIN, "-");
        table_cell(t, loss >= 5.0 ? WARN : PLAIN, "%.1f%%", loss);
    }
    table_print(t, &c->screen);
}

static void vips_table(const struct call *c, const json_t *vips)
{
    static const struct table_column columns[] = {
        {"VIRTUAL ADDRESS", false, 15},
        {"LINK", false, 6},
        {"MODE", false, 0},
        {"SELECT", false, 0},
        {"OWNED", true, 0},
        {"LINGER", true, 0},
        {"FLOWS", true, 0},
        {"LEASE", true, 0},
    };
    struct table *t = table_new(columns, sizeof columns / sizeof *columns);
    char text[16];
    size_t i;
    json_t *v;

    json_array_foreach(vips, i, v)
    {
        long long lease = field_number(v, "lease_ms"), owned = field_number(v, "owned");
        table_cell(t, STRONG, "%s", field_text(v, "address"));
        table_cell(t, PLAIN, "%s", field_text(v, "interface"));
        table_cell(t, PLAIN, "%s", field_text(v, "mode"));
        table_cell(t, PLAIN, "%s", field_text(v, "select"));
        table_cell(t, PLAIN, "%lld/%lld", owned, field_number(v, "buckets"));
        table_cell(t, PLAIN, "%lld", field_number(v, "lingering"));
        table_cell(t, PLAIN, "%s", text_count(field_number(v, "flows"), text));
        if (lease > 0)
            table_cell(t, PLAIN, "%s", text_span(lease, text));
        else
            table_cell(t, owned > 0 ? BAD : DIM, owned > 0 ? "lapsed" : "-");
    }
    table_print(t, &c->screen);
}

static void vips_detail_table(const struct call *c, const json_t *vips)
{
    static const struct table_column columns[] = {
        {"VIRTUAL ADDRESS", false, 15}, {"MAC", false, 0},  {"ACCEPTED", true, 0},
        {"FOREIGN", true, 0},           {"RESET", true, 0}, {"SENT ON", true, 0},
    };
    static const char *const counters[] = {"accepted", "foreign", "orphan_reset", "forwarded"};
    struct table *t = table_new(columns, sizeof columns / sizeof *columns);
    char text[16];
    size_t i;
    json_t *v;

    json_array_foreach(vips, i, v)
    {
        const json_t *packets = json_object_get(v, "packets");
        table_cell(t, PLAIN, "%s", field_text(v, "address"));
        table_cell(t, PLAIN, "%s", field_text(v, "mac"));
        for (size_t k = 0; k < sizeof counters / sizeof *counters; k++)
            table_cell(t, PLAIN, "%s", text_count(field_number(packets, counters[k]), text));
    }
    table_print(t, &c->screen);
}

int cmd_status(const struct call *c)
{
    json_t *status;
    int code = ask(c, "/v1/status", NULL, &status);

    if (code != DONE)
        return code;
    if (c->json) {
        json_print(c, status);
    } else {
        headline_print(c, status);
        putchar('\n');
        members_table(c, json_object_get(status, "members"));
        putchar('\n');
        vips_table(c, json_object_get(status, "vips"));
        putchar('\n');
        findings_print(&c->screen, status);
    }
    json_decref(status);
    return DONE;
}

/* A list of the status as two tables: what it does, and what it is. */
static int list_show(const struct call *c, const char *target, const char *list,
                     void (*table)(const struct call *, const json_t *),
                     void (*detail)(const struct call *, const json_t *))
{
    json_t *answer;
    int code = ask(c, target, NULL, &answer);

    if (code != DONE)
        return code;
    if (c->json) {
        json_print(c, answer);
    } else {
        table(c, json_object_get(answer, list));
        putchar('\n');
        detail(c, json_object_get(answer, list));
    }
    json_decref(answer);
    return DONE;
}

int cmd_members(const struct call *c)
{
    return list_show(c, "/v1/members", "members", members_table, members_detail_table);
}

int cmd_vips(const struct call *c)
{
    return list_show(c, "/v1/vips", "vips", vips_table, vips_detail_table);
}
