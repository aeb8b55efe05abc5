/*
 * OpenMetrics: every figure is one row of a table. A family is begun once, with
 * its type and unit, and all its samples follow it at once, as the format wants.
 *
 * Spans are kept in microseconds, ratios in millionths, and both written with
 * six decimals: no floating point, no locale.
 */
#include "ctl_metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "conf.h"
#include "ctl_figures.h"

enum { LABEL_BYTES = 4 * NAME_BYTES_MAX + 1 };

enum form { WHOLE, MILLIONTHS };

/* The page while it is written; `rc` is 0 as long as there was memory. */
struct page {
    struct evbuffer *out;
    int rc;
};

__attribute__((format(printf, 2, 3))) static void put(struct page *p, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    if (p->rc == 0 && evbuffer_add_vprintf(p->out, format, ap) < 0)
        p->rc = -ENOMEM;
    va_end(ap);
}

/* `unit` NULL: none; else `name` ends in it. */
static void family(struct page *p, const char *name, const char *type, const char *unit,
                   const char *help)
{
    put(p, "# TYPE ipclusterd_%s %s\n", name, type);
    if (unit != NULL)
        put(p, "# UNIT ipclusterd_%s %s\n", name, unit);
    put(p, "# HELP ipclusterd_%s %s\n", name, help);
}

/* `text` as the value of a label: escaped, and what is not ASCII as '?', since it
 * may not be UTF-8. */
static const char *label(const char *text, char out[LABEL_BYTES])
{
    size_t n = 0;

    for (; *text != '\0' && n + 3 < LABEL_BYTES; text++) {
        bool plain = *text >= ' ' && *text < 0x7f;
        if (*text == '\\' || *text == '"')
            out[n++] = '\\';
        out[n++] = plain ? *text : '?';
    }
    out[n] = '\0';
    return out;
}

static void number(struct page *p, enum form form, int64_t n)
{
    const char *sign = n < 0 ? "-" : "";
    uint64_t size = n < 0 ? -(uint64_t)n : (uint64_t)n;

    if (form == WHOLE)
        put(p, " %s%" PRIu64 "\n", sign, size);
    else
        put(p, " %s%" PRIu64 ".%06" PRIu64 "\n", sign, size / 1000000, size % 1000000);
}

/* ----------------------------------------------------------------- this node */

struct gauge {
    const char *name, *unit, *help;
    enum form form;
    int64_t (*get)(const struct status *s);
};

#define NODE_FIGURE(function, expression)           \
    static int64_t function(const struct status *s) \
    {                                               \
        return (int64_t)(expression);               \
    }

NODE_FIGURE(converged_of, s->converged)
NODE_FIGURE(uptime_of, s->uptime)
NODE_FIGURE(buckets_of, s->buckets)
NODE_FIGURE(owned_of, s->owned)
NODE_FIGURE(lingering_of, s->lingering)
NODE_FIGURE(orphaned_of, s->orphaned)
NODE_FIGURE(unowned_of, ctl_coverage(s).unowned)
NODE_FIGURE(unclaimed_of, ctl_coverage(s).unclaimed)
NODE_FIGURE(contested_of, ctl_coverage(s).contested)
NODE_FIGURE(failures_of, s->apply_failures)
NODE_FIGURE(have_of, s->quorum.have)
NODE_FIGURE(voters_of, s->quorum.voters)
NODE_FIGURE(heard_of, s->quorum.heard)
NODE_FIGURE(needed_of, ctl_quorum_needed(s))
NODE_FIGURE(roster_of, s->quorum.version)
NODE_FIGURE(witness_of, s->witness_answers)
NODE_FIGURE(mean_of, s->wakeup.mean)
NODE_FIGURE(worst_of, s->wakeup.worst)
NODE_FIGURE(patience_of, s->patience)
NODE_FIGURE(ready_of, s->rekey_ready)
NODE_FIGURE(strangers_of, s->strangers)

static const struct gauge gauges[] = {
    {"converged", NULL, "Whether all members agree and every bucket is claimed by its owner.",
     WHOLE, converged_of},
    {"uptime_seconds", "seconds", "Since the daemon's start.", MILLIONTHS, uptime_of},
    {"buckets", NULL, "Classes of client addresses.", WHOLE, buckets_of},
    {"buckets_owned", NULL, "Buckets whose new flows this node lets in.", WHOLE, owned_of},
    {"buckets_lingering", NULL, "Buckets of others that this node has flows of.", WHOLE,
     lingering_of},
    {"buckets_orphaned", NULL, "Buckets whose older flows died with a member.", WHOLE, orphaned_of},
    {"buckets_unowned", NULL, "Buckets without an owner.", WHOLE, unowned_of},
    {"buckets_unclaimed", NULL, "Buckets that nobody claims.", WHOLE, unclaimed_of},
    {"buckets_contested", NULL, "Buckets that two members claim.", WHOLE, contested_of},
    {"apply_failures", NULL, "Changes in a row that the kernel has refused.", WHOLE, failures_of},
    {"quorum_have", NULL, "Whether the quorum lets this node serve.", WHOLE, have_of},
    {"quorum_voters", NULL, "Voters of the roster.", WHOLE, voters_of},
    {"quorum_heard", NULL, "Voters that are heard, this node included.", WHOLE, heard_of},
    {"quorum_needed", NULL, "Voters that are a majority.", WHOLE, needed_of},
    {"quorum_version", NULL, "Version of the roster of voters.", WHOLE, roster_of},
    {"witness_up", NULL, "Whether the witness answers, or there is none.", WHOLE, witness_of},
    {"wakeup_mean_seconds", "seconds", "How late timers ran, smoothed.", MILLIONTHS, mean_of},
    {"wakeup_worst_seconds", "seconds", "How late timers ran at most, of the last minute or two.",
     MILLIONTHS, worst_of},
    {"patience_seconds", "seconds", "By how much verdicts on others wait longer for that.",
     MILLIONTHS, patience_of},
    {"rekey_ready", NULL, "Whether every living member holds the same next key.", WHOLE, ready_of},
    {"strangers", NULL, "Nodes that are heard and are no members.", WHOLE, strangers_of},
};

static void build_put(struct page *p, const struct status *s)
{
    char cluster[LABEL_BYTES], node[LABEL_BYTES];

    family(p, "build", "info", NULL, "Which daemon this is.");
    put(p, "ipclusterd_build_info{version=\"%s\",cluster=\"%s\",node=\"%s\"} 1\n", PACKAGE_VERSION,
        label(s->cluster, cluster), label(s->node, node));
}

static void node_put(struct page *p, const struct status *s)
{
    family(p, "node_state", "stateset", NULL, "What this node does.");
    for (unsigned i = 0; i < NODE_STATE_MAX; i++)
        put(p, "ipclusterd_node_state{ipclusterd_node_state=\"%s\"} %d\n",
            node_state_name((enum node_state)i), s->state == i);
    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++) {
        family(p, gauges[i].name, "gauge", gauges[i].unit, gauges[i].help);
        put(p, "ipclusterd_%s", gauges[i].name);
        number(p, gauges[i].form, gauges[i].get(s));
    }
}

static void counters_put(struct page *p, const struct ctl_view *v)
{
    const struct status *s = v->status;

    family(p, "takeovers", "counter", NULL, "Buckets taken over from dead members.");
    put(p, "ipclusterd_takeovers_total %" PRIu64 "\n", s->takeovers);
    family(p, "unowned_bucket_seconds", "counter", "seconds",
           "Time of buckets that nobody claimed, as seen here.");
    put(p, "ipclusterd_unowned_bucket_seconds_total");
    number(p, MILLIONTHS, s->unowned);
    family(p, "contested_bucket_seconds", "counter", "seconds",
           "Time of buckets that two members claimed, as seen here.");
    put(p, "ipclusterd_contested_bucket_seconds_total");
    number(p, MILLIONTHS, s->contested);
    family(p, "heartbeats_rejected", "counter", NULL, "Datagrams that changed nothing.");
    for (size_t i = 0; i < CTL_REJECTS; i++)
        put(p, "ipclusterd_heartbeats_rejected_total{reason=\"%s\"} %" PRIu64 "\n",
            ctl_rejects[i].name, s->rejected[ctl_rejects[i].why]);
    put(p, "ipclusterd_heartbeats_rejected_total{reason=\"unread\"} %" PRIu64 "\n", v->unread);
}

/* ------------------------------------------------------------------- members */

struct member_gauge {
    const char *name, *unit, *help;
    enum form form;
    bool living; /* only of the living */
    int64_t (*get)(const struct status_member *m);
};

#define MEMBER_FIGURE(function, expression)                \
    static int64_t function(const struct status_member *m) \
    {                                                      \
        return (int64_t)(expression);                      \
    }

/* What it says may be anything. */
static usec clock_us(int64_t ms)
{
    const int64_t most = INT64_MAX / USEC_PER_MS;

    return (ms < -most ? -most : ms > most ? most : ms) * USEC_PER_MS;
}

MEMBER_FIGURE(member_draining, m->draining)
MEMBER_FIGURE(member_healthy, m->healthy)
MEMBER_FIGURE(member_weight, m->weight)
MEMBER_FIGURE(member_incarnation, m->incarnation)
MEMBER_FIGURE(member_buckets, m->buckets)
MEMBER_FIGURE(member_claimed, m->claimed)
MEMBER_FIGURE(member_lingering, m->lingering)
MEMBER_FIGURE(member_flows, m->flows)
MEMBER_FIGURE(member_heard, m->last_heard)
MEMBER_FIGURE(member_rtt, m->rtt)
MEMBER_FIGURE(member_loss, m->loss * 1e4 + 0.5)
MEMBER_FIGURE(member_penalty, m->penalty)
MEMBER_FIGURE(member_hold, m->hold_left)
MEMBER_FIGURE(member_voter, m->voter)
MEMBER_FIGURE(member_protocol, m->version)
MEMBER_FIGURE(member_clock, clock_us(m->clock_ms))

static const struct member_gauge member_gauges[] = {
    {"member_draining", NULL, "Takes no new flows, by an order.", WHOLE, false, member_draining},
    {"member_healthy", NULL, "Its checks succeed.", WHOLE, false, member_healthy},
    {"member_weight", NULL, "Its share of the buckets.", WHOLE, false, member_weight},
    {"member_incarnation", NULL, "Of its facts.", WHOLE, false, member_incarnation},
    {"member_buckets", NULL, "Buckets that it owns.", WHOLE, false, member_buckets},
    {"member_claimed", NULL, "Buckets whose new flows it lets in.", WHOLE, false, member_claimed},
    {"member_lingering", NULL, "Buckets of others that it has flows of.", WHOLE, false,
     member_lingering},
    {"member_flows", NULL, "TCP flows that it has.", WHOLE, false, member_flows},
    {"member_last_heard_seconds", "seconds", "Since this node heard it.", MILLIONTHS, false,
     member_heard},
    {"member_rtt_seconds", "seconds", "Round trip of heartbeats.", MILLIONTHS, true, member_rtt},
    {"member_loss_ratio", "ratio", "Of its heartbeats, lately.", MILLIONTHS, true, member_loss},
    {"member_flap_penalty", NULL, "For dying too often.", WHOLE, false, member_penalty},
    {"member_hold_seconds", "seconds", "Until it is let in again.", MILLIONTHS, false, member_hold},
    {"member_voter", NULL, "Whether its voice counts for the quorum.", WHOLE, false, member_voter},
    {"member_protocol", NULL, "Version that it speaks; 0 unknown.", WHOLE, false, member_protocol},
    {"member_clock_ahead_seconds", "seconds", "Its clock against this node's.", MILLIONTHS, true,
     member_clock},
};

static void member_states_put(struct page *p, const struct status *s)
{
    unsigned count[MEMBER_STATE_MAX] = {0};
    char name[LABEL_BYTES];

    for (size_t i = 0; i < s->members; i++)
        count[s->member[i].state]++;
    family(p, "members", "gauge", NULL, "Members of the roster by state.");
    for (unsigned i = 0; i < MEMBER_STATE_MAX; i++)
        put(p, "ipclusterd_members{state=\"%s\"} %u\n", member_state_name((enum member_state)i),
            count[i]);
    family(p, "member_state", "stateset", NULL, "How a member stands.");
    for (size_t m = 0; m < s->members; m++)
        for (unsigned i = 0; i < MEMBER_STATE_MAX; i++)
            put(p, "ipclusterd_member_state{member=\"%s\",ipclusterd_member_state=\"%s\"} %d\n",
                label(s->member[m].name, name), member_state_name((enum member_state)i),
                s->member[m].state == i);
}

static void members_put(struct page *p, const struct status *s)
{
    char name[LABEL_BYTES];

    member_states_put(p, s);
    for (size_t i = 0; i < sizeof member_gauges / sizeof *member_gauges; i++) {
        const struct member_gauge *g = &member_gauges[i];
        family(p, g->name, "gauge", g->unit, g->help);
        for (size_t m = 0; m < s->members; m++) {
            const struct status_member *member = &s->member[m];
            bool unheard = g->get == member_heard && member->last_heard < 0;
            if (unheard || (g->living && (!ctl_member_lives(member) || member->self)))
                continue;
            put(p, "ipclusterd_%s{member=\"%s\"}", g->name, label(member->name, name));
            number(p, g->form, g->get(member));
        }
    }
    family(p, "member_deaf", "gauge", NULL, "Living members that do not hear each other.");
    for (size_t m = 0; m < s->members; m++)
        for (size_t i = 0; i < s->members; i++) {
            char from[LABEL_BYTES];
            if (bitmap_test(&s->deaf[m], (unsigned)i))
                put(p, "ipclusterd_member_deaf{member=\"%s\",to=\"%s\"} 1\n",
                    label(s->member[m].name, name), label(s->member[i].name, from));
        }
}

/* ---------------------------------------------------------- virtual addresses */

static const char *vip_label(const struct vip_config *v, char out[LABEL_BYTES])
{
    char text[INET6_ADDRSTRLEN];

    snprintf(out, LABEL_BYTES, "%s/%u", address_text(&v->address, text, sizeof text), v->prefix);
    return out;
}

static void vips_put(struct page *p, const struct ctl_view *v)
{
    usec lease = v->status->lease_left > 0 ? v->status->lease_left : 0;
    char vip[LABEL_BYTES];

    family(p, "vip_flows", "gauge", NULL, "TCP flows to the address that this node has.");
    for (size_t i = 0; i < v->config->vips; i++)
        put(p, "ipclusterd_vip_flows{vip=\"%s\"} %" PRIu64 "\n", vip_label(&v->config->vip[i], vip),
            (uint64_t)v->counts->vip[i]);
    family(p, "vip_lease_seconds", "gauge", "seconds", "What is left of the kernel's lease.");
    for (size_t i = 0; i < v->config->vips; i++) {
        put(p, "ipclusterd_vip_lease_seconds{vip=\"%s\"}", vip_label(&v->config->vip[i], vip));
        number(p, MILLIONTHS, lease);
    }
    family(p, "vip_packets", "counter", NULL, "Packets to the address by what became of them.");
    for (size_t i = 0; i < v->config->vips; i++) {
        const struct nft_counters *c = &v->packets[i];
        const struct {
            const char *verdict;
            uint64_t packets;
        } rows[] = {
            {"accepted", c->accepted},   {"foreign", c->foreign}, {"orphan_reset", c->orphan_reset},
            {"forwarded", c->forwarded}, {"refused", c->refused},
        };
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
            put(p, "ipclusterd_vip_packets_total{vip=\"%s\",verdict=\"%s\"} %" PRIu64 "\n",
                vip_label(&v->config->vip[i], vip), rows[k].verdict, rows[k].packets);
    }
    family(p, "vip_xdp_packets", "counter", NULL, "Of the foreign ones, those dropped by XDP.");
    for (size_t i = 0; i < v->config->vips; i++)
        put(p, "ipclusterd_vip_xdp_packets_total{vip=\"%s\"} %" PRIu64 "\n",
            vip_label(&v->config->vip[i], vip), v->xdp[i].dropped);
}

int ctl_metrics(const struct ctl_view *v, struct evbuffer *out)
{
    struct page p = {.out = out};

    build_put(&p, v->status);
    node_put(&p, v->status);
    members_put(&p, v->status);
    counters_put(&p, v);
    vips_put(&p, v);
    put(&p, "# EOF\n");
    return p.rc;
}
