/*
 * status and vips: read at three in the morning by somebody who was woken
 * up. The first line is the verdict of this node, the tables are who does what,
 * and what is not as it should be follows in words, each with what to do.
 */
#include <stdio.h>
#include <string.h>

#include "clusterctl.h"
#include "findings.h"
#include "field.h"
#include "members.h"
#include "services.h"
#include "table.h"

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

/* "52us", "1.2ms", "3.0s" */
static const char *lateness_text(long long us, char out[16])
{
    if (us >= 1000000)
        return text_span(us / 1000, out);
    if (us < 1000)
        snprintf(out, 16, "%dus", us > 0 ? (int)us : 0);
    else
        snprintf(out, 16, "%d.%dms", (int)(us / 1000), (int)(us % 1000 / 100));
    return out;
}

static int quorum_write(const json_t *quorum, char *out, size_t size)
{
    const char *policy = field_text(quorum, "policy");
    long long voters = field_number(quorum, "voters");

    if (strcmp(policy, "majority") != 0)
        return snprintf(out, size, "quorum %s", policy);
    if (voters == 0)
        return snprintf(out, size, "quorum majority: not founded yet");
    return snprintf(out, size, "quorum majority: %s, %lld of %lld voters heard, %lld needed",
                    field_true(quorum, "have") ? "yes" : "no", field_number(quorum, "heard"),
                    voters, field_number(quorum, "needed"));
}

/* What the right to serve, and verdicts on others, hang on. */
static void footing_print(const struct call *c, const json_t *status)
{
    const struct screen *s = &c->screen;
    const json_t *quorum = json_object_get(status, "quorum");
    const json_t *witness = json_object_get(status, "witness");
    const json_t *wakeup = json_object_get(status, "wakeup_us");
    long long patience = field_number(status, "patience_ms");
    enum colour colour = field_true(quorum, "have") ? PLAIN : BAD;
    char text[256], mean[16], worst[16];
    int n = quorum_write(quorum, text, sizeof text);

    if (json_is_object(witness))
        n += snprintf(text + n, sizeof text - (size_t)n, "; witness %.45s %s",
                      field_text(witness, "address"),
                      field_true(witness, "answers") ? "answers" : "is silent");
    if (json_is_object(wakeup))
        n += snprintf(text + n, sizeof text - (size_t)n, "; timers %s late, at most %s",
                      lateness_text(field_number(wakeup, "mean"), mean),
                      lateness_text(field_number(wakeup, "worst"), worst));
    if (patience > 0)
        snprintf(text + n, sizeof text - (size_t)n, "; patience +%s", text_span(patience, mean));
    fputs(screen_on(s, colour), stdout);
    text_wrap(s, 0, text);
    fputs(screen_off(s, colour), stdout);
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
        if (strcmp(field_text(v, "state"), "removing") == 0)
            table_cell(t, DIM, "removing");
        else if (lease > 0)
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
        {"REFUSED", true, 0},
    };
    static const char *const counters[] = {"accepted", "foreign", "orphan_reset", "forwarded",
                                           "refused"};
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

/* Of the foreign packets, those that did not come to the rules. */
static void xdp_lines(const struct call *c, const json_t *vips)
{
    char line[256], text[16];
    size_t i;
    json_t *v;

    json_array_foreach(vips, i, v)
    {
        const json_t *packets = json_object_get(v, "packets");
        if (!json_is_string(json_object_get(v, "xdp")))
            continue;
        snprintf(line, sizeof line, "XDP (%s) on %s has dropped %s of the foreign packets to %s.",
                 field_text(v, "xdp"), field_text(v, "interface"),
                 text_count(field_number(packets, "foreign_xdp"), text), field_text(v, "address"));
        text_wrap(&c->screen, 0, line);
    }
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
        footing_print(c, status);
        putchar('\n');
        members_table(&c->screen, json_object_get(status, "members"));
        putchar('\n');
        vips_table(c, json_object_get(status, "vips"));
        putchar('\n');
        findings_print(&c->screen, status);
    }
    json_decref(status);
    return DONE;
}

int cmd_vips(const struct call *c)
{
    json_t *answer;
    int code = ask(c, "/v1/vips", NULL, &answer);

    if (code != DONE)
        return code;
    if (c->json) {
        json_print(c, answer);
    } else {
        vips_table(c, json_object_get(answer, "vips"));
        putchar('\n');
        vips_detail_table(c, json_object_get(answer, "vips"));
        xdp_lines(c, json_object_get(answer, "vips"));
        services_table(&c->screen, json_object_get(answer, "vips"));
    }
    json_decref(answer);
    return DONE;
}
