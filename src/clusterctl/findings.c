/*
 * The findings under a status. Each check looks at one thing and says what it
 * found and what to do; faults come first, with "!", and what is worth knowing
 * after them, with "-".
 */
#include "findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "field.h"
#include "finding.h"

void finding(struct findings *f, bool fault, const char *remedy, const char *format, ...)
{
    enum colour colour = fault ? BAD : WARN;
    char text[512], rest[512];
    va_list ap;

    if (fault)
        f->faults++;
    else
        f->notes++;
    if (fault != f->showing_faults)
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    text_clean(text);
    printf("%s%c%s ", screen_on(f->screen, colour), fault ? '!' : '-',
           screen_off(f->screen, colour));
    text_wrap(f->screen, 2, text);
    snprintf(rest, sizeof rest, "%s", remedy);
    text_clean(rest);
    if (*rest != '\0') {
        fputs("    > ", stdout);
        text_wrap(f->screen, 6, rest);
    }
}

static void check_state(struct findings *f, const json_t *status)
{
    static const struct {
        const char *state;
        bool fault;
        const char *text, *remedy;
    } states[] = {
        {"joining", false, "This node is joining: it listens before it serves.",
         "Wait a second. If it stays so, see the log."},
        {"draining", false, "This node is draining: it takes no new flows.",
         "To let it serve again: clusterctl undrain"},
        {"unhealthy", true, "This node is unhealthy: its checks fail, so it owns nothing.",
         "See the log for the check that fails."},
        {"isolated", true, "This node is isolated: it cannot serve from where it is.",
         "Check the link of the virtual addresses and of the heartbeat (ip -br link), and what "
         "else is said here."},
        {"leaving", false, "This node is leaving: it hands over its buckets and ends.", ""},
    };
    const char *state = field_text(status, "state");

    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(states[i].state, state) == 0)
            finding(f, states[i].fault, states[i].remedy, "%s", states[i].text);
}

static void check_kernel(struct findings *f, const json_t *status)
{
    long long failures = field_number(status, "apply_failures");
    size_t i, lapsed = 0;
    json_t *v;

    if (failures > 0)
        finding(f, true,
                "The log names the error (journalctl -u ipclusterd). It is tried again; "
                "until then the kernel goes by what it was told last: clusterctl rules",
                "The kernel refused the last %lld change%s in a row.", failures,
                failures == 1 ? "" : "s");
    json_array_foreach(json_object_get(status, "vips"), i, v) lapsed +=
        field_number(v, "owned") > 0 && field_number(v, "lease_ms") == 0;
    if (lapsed > 0)
        finding(f, true,
                "The daemon comes too late to renew it, or the kernel refuses: see the "
                "log, and whether this host is overloaded.",
                "The lease of %zu virtual address%s has lapsed: this node takes no new flows.",
                lapsed, lapsed == 1 ? "" : "es");
}

static void check_buckets(struct findings *f, const json_t *status)
{
    const json_t *b = json_object_get(status, "buckets");
    long long total = field_number(b, "total"), unowned = field_number(b, "unowned");
    long long unclaimed = field_number(b, "unclaimed"), contested = field_number(b, "contested");
    const char *passing = "Normal for a moment while buckets move: look again. If it stays, see "
                          "clusterctl buckets and the log.";

    if (unowned > 0)
        finding(f, true, "Every member that is alive has weight 0, drains or is unhealthy.",
                "%lld of %lld buckets have no owner: their clients are not served.", unowned,
                total);
    if (unclaimed > unowned)
        finding(f, true, passing, "%lld of %lld buckets are not claimed by any member.",
                unclaimed - unowned, total);
    if (contested > 0)
        finding(f, true, passing, "%lld of %lld buckets are claimed by two members.", contested,
                total);
    if (!field_true(status, "converged") && f->faults == 0)
        finding(f, false,
                "Normal for a moment after a change. If it stays, compare \"view\" in "
                "clusterctl status on each node.",
                "The members do not agree yet.");
}

/* What can be done about it depends on how clients become buckets. */
static const char *skew_remedy(const json_t *status)
{
    bool flow = true, hash = true;
    size_t i;
    json_t *v;

    json_array_foreach(json_object_get(status, "vips"), i, v)
    {
        flow = flow && strcmp(field_text(v, "affinity"), "flow") == 0;
        hash = hash && strcmp(field_text(v, "select"), "hash") == 0;
    }
    if (!flow)
        return "Whoever has this bucket has them all. They may be one client's, or of all behind "
               "one NAT: see conntrack -L on this node. If its flows need not stay together, "
               "affinity = \"flow\" spreads them: ipclusterd.conf(5).";
    if (!hash)
        return "Many clients send from the same port: select = \"hash\" spreads them.";
    return "Whoever has this bucket has them all.";
}

/* One node at a time is what such a service is for. */
static bool is_single(const json_t *status, long long bucket)
{
    size_t i, k;
    json_t *v, *service;

    json_array_foreach(json_object_get(status, "vips"), i, v)
        json_array_foreach(json_object_get(v, "services"), k,
                           service) if (strcmp(field_text(service, "policy"), "single") == 0 &&
                                        field_number(service, "bucket") == bucket) return true;
    return false;
}

static void check_skew(struct findings *f, const json_t *status)
{
    const json_t *busiest = json_object_get(status, "busiest");

    if (field_true(busiest, "skewed") && !is_single(status, field_number(busiest, "bucket")))
        finding(f, false, skew_remedy(status),
                "Bucket %lld has %lld of the %lld flows, %.0f %%, more than the share of one of "
                "%lld nodes.",
                field_number(busiest, "bucket"), field_number(busiest, "flows"),
                field_number(busiest, "of"), json_number_value(json_object_get(busiest, "percent")),
                field_number(busiest, "nodes"));
}

static void check_rejected(struct findings *f, const json_t *status)
{
    static const struct {
        const char *key, *what, *remedy;
    } kinds[] = {
        {"forged", "did not open with our key",
         "A node has another key, or somebody is trying: compare the key files."},
        {"replayed", "were old or repeated",
         "A few are late copies from the network; many are a recording being replayed."},
        {"malformed", "could not be read", "Something else sends to the heartbeat's port."},
        {"foreign_cluster", "belong to another cluster",
         "Harmless; another group or port for one of the two would end it."},
        {"config_mismatch", "come from a node with another configuration",
         "What all nodes must have alike is in ipclusterd.conf(5); the log names the node and "
         "what differs."},
        {"version", "speak another version of the protocol",
         "Bring all nodes to one version of ipclusterd."},
    };
    const json_t *rejected =
        json_object_get(json_object_get(status, "counters"), "heartbeats_rejected");

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        long long n = field_number(rejected, kinds[i].key);
        if (n > 0)
            finding(f, false, kinds[i].remedy, "Rejected heartbeats since the start: %lld that %s.",
                    n, kinds[i].what);
    }
}

void findings_print(const struct screen *s, const json_t *status)
{
    static void (*const checks[])(struct findings *, const json_t *) = {
        check_state,  check_members, check_hearing,  check_quorum, check_strangers,
        check_kernel, check_buckets, check_timers,   check_clocks, check_versions,
        check_key,    check_skew,    check_rejected, check_vips,
    };
    struct findings f = {.screen = s};
    size_t members = json_array_size(json_object_get(status, "members"));

    for (int pass = 0; pass < 2; pass++) {
        f.showing_faults = pass == 0;
        f.faults = f.notes = 0;
        for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
            checks[i](&f, status);
    }
    if (f.faults + f.notes == 0)
        printf("%sAll is well%s: %zu member%s alive, every bucket served.\n", screen_on(s, GOOD),
               screen_off(s, GOOD), members, members == 1 ? "" : "s");
}
