/*
 * The status and the members as JSON. Every number is turned into the contract's
 * unit here (microseconds become milliseconds) and nowhere else.
 */
#include "ctl_json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "conf.h"
#include "ctl_figures.h"

/* Rounded to one decimal. */
static double tenths(double value)
{
    return (double)(long long)(value * 10.0 + 0.5) / 10.0;
}

/* The hash of a key, or null for none. */
static json_t *key_json(uint64_t hash)
{
    return hash != 0 ? json_sprintf("%016" PRIx64, hash) : json_null();
}

/* What it is and does. */
static json_t *member_json(const struct status_member *m)
{
    char mac[18];

    return json_pack(
        "{s:o, s:o, s:o, s:b, s:s, s:b, s:b, s:i, s:I, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:f}",
        "name", ctl_json_text(m->name), "address", ctl_json_address(&m->address), "mac",
        json_string(mac_text(&m->mac, mac)), "self", m->self, "state", member_state_name(m->state),
        "draining", m->draining, "healthy", m->healthy, "weight", (int)m->weight, "incarnation",
        (json_int_t)m->incarnation, "buckets", (int)m->buckets, "claimed", (int)m->claimed,
        "lingering", (int)m->lingering, "flows", (json_int_t)m->flows, "last_heard_ms",
        m->last_heard < 0 ? (json_int_t)-1 : ctl_json_ms(m->last_heard), "flap_penalty",
        (json_int_t)m->penalty, "rtt_us", (json_int_t)(m->rtt + 0.5), "loss_percent",
        tenths(m->loss));
}

/* Whom member `index` hears, and whom it does not, among the living. `names` are
 * shared by all lists: 256 members have 65,280 entries. */
static void member_hearing_add(json_t *object, const struct status *s, size_t index, json_t *names)
{
    json_t *hears = json_array(), *deaf_to = json_array();

    for (size_t i = 0; i < s->members && ctl_member_lives(&s->member[index]); i++) {
        if (i == index || !ctl_member_lives(&s->member[i]))
            continue;
        json_array_append(bitmap_test(&s->deaf[index], (unsigned)i) ? deaf_to : hears,
                          json_array_get(names, i));
    }
    json_object_set_new(object, "hears", hears);
    json_object_set_new(object, "deaf_to", deaf_to);
}

/* What membership knows of it beside that. */
/* Names of a set of 1 << enum config_part. */
static json_t *parts_json(unsigned parts)
{
    json_t *list = json_array();

    for (unsigned part = 0; part < PART_MAX; part++)
        if ((parts & 1u << part) != 0)
            json_array_append_new(list, json_string(conf_part_name((enum config_part)part)));
    return list;
}

static void member_standing_add(json_t *object, const struct status_member *m)
{
    json_object_set_new(object, "hold_ms", json_integer(ctl_json_ms(m->hold_left)));
    json_object_set_new(object, "voter", json_boolean(m->voter));
    json_object_set_new(object, "protocol", json_integer((json_int_t)m->version));
    json_object_set_new(object, "clock_ms", json_integer((json_int_t)m->clock_ms));
    json_object_set_new(object, "key_next", key_json(m->key_next));
    json_object_set_new(object, "differs", parts_json(m->parts));
}

static json_t *members_json(const struct status *s)
{
    json_t *list = json_array(), *names = json_array();

    for (size_t i = 0; i < s->members; i++)
        json_array_append_new(names, ctl_json_text(s->member[i].name));
    for (size_t i = 0; i < s->members; i++) {
        json_t *member = member_json(&s->member[i]);
        member_standing_add(member, &s->member[i]);
        member_hearing_add(member, s, i, names);
        json_array_append_new(list, member);
    }
    json_decref(names);
    return list;
}

static json_t *rejected_json(const struct ctl_view *v)
{
    json_t *object = json_object();

    for (size_t i = 0; i < CTL_REJECTS; i++)
        json_object_set_new(object, ctl_rejects[i].name,
                            json_integer((json_int_t)v->status->rejected[ctl_rejects[i].why]));
    json_object_set_new(object, "unread", json_integer((json_int_t)v->unread));
    return object;
}

static json_t *quorum_json(const struct status *s)
{
    return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I}", "policy", ctl_quorum_name(s->quorum.policy),
                     "have", s->quorum.have, "voters", (json_int_t)s->quorum.voters, "heard",
                     (json_int_t)s->quorum.heard, "needed", (json_int_t)ctl_quorum_needed(s),
                     "version", (json_int_t)s->quorum.version);
}

static json_t *witness_json(const struct ctl_view *v)
{
    if (v->config->witness.family == FAMILY_NONE)
        return json_null();
    return json_pack("{s:o, s:b}", "address", ctl_json_address(&v->config->witness), "answers",
                     v->status->witness_answers);
}

static json_t *keys_json(const struct status *s)
{
    uint64_t next = ctl_key_next(s);

    return json_pack("{s:o, s:o, s:b, s:b}", "id", key_json(s->key), "next", key_json(next),
                     "ready", s->rekey_ready, "changed", next != 0 && next == s->key);
}

static json_t *stranger_json(const struct status_stranger *stranger)
{
    return json_pack("{s:o, s:o}", "name", ctl_json_text(stranger->name), "differs",
                     parts_json(stranger->parts));
}

static json_t *strangers_json(const struct status *s)
{
    json_t *list = json_array();

    assert(s->strangers <= STRANGERS_MAX);
    for (size_t i = 0; i < s->strangers; i++)
        json_array_append_new(list, stranger_json(&s->stranger[i]));
    return list;
}

static json_t *counters_json(const struct ctl_view *v)
{
    const struct status *s = v->status;

    return json_pack("{s:I, s:I, s:I, s:o}", "takeovers", (json_int_t)s->takeovers,
                     "unowned_bucket_ms", ctl_json_ms(s->unowned), "contested_bucket_ms",
                     ctl_json_ms(s->contested), "heartbeats_rejected", rejected_json(v));
}

/* This node's fullest bucket, and its part of all flows; null without flows. */
static json_t *busiest_json(const struct skew *s)
{
    if (s->most == 0 || s->total == 0)
        return json_null();
    return json_pack("{s:i, s:I, s:I, s:f, s:i, s:b}", "bucket", (int)s->bucket, "flows",
                     (json_int_t)s->most, "of", (json_int_t)s->total, "percent",
                     tenths(100.0 * (double)s->most / (double)s->total), "nodes", (int)s->nodes,
                     "skewed", s->skewed);
}

json_t *ctl_json_status(const struct ctl_view *v)
{
    const struct status *s = v->status;
    struct ctl_coverage c = ctl_coverage(s);

    return json_pack(
        "{s:s, s:o, s:o, s:s, s:b, s:o, s:o, s:o, s:o, s:{s:I, s:I}, s:I, s:I, s:o, s:o, s:o,"
        " s:{s:i, s:i, s:i, s:i}, s:i, s:o, s:o}",
        "version", PACKAGE_VERSION, "cluster", ctl_json_text(s->cluster), "node",
        ctl_json_text(s->node), "state", node_state_name(s->state), "converged", s->converged,
        "view", json_sprintf("%016" PRIx64, s->view), "quorum", quorum_json(s), "witness",
        witness_json(v), "key", keys_json(s), "wakeup_us", "mean", (json_int_t)s->wakeup.mean,
        "worst", (json_int_t)s->wakeup.worst, "patience_ms", ctl_json_ms(s->patience), "uptime_ms",
        ctl_json_ms(s->uptime), "members", members_json(s), "strangers", strangers_json(s), "vips",
        ctl_json_vip_list(v), "buckets", "total", (int)s->buckets, "unowned", (int)c.unowned,
        "unclaimed", (int)c.unclaimed, "contested", (int)c.contested, "apply_failures",
        (int)s->apply_failures, "busiest", busiest_json(&s->skew), "counters", counters_json(v));
}

json_t *ctl_json_members(const struct ctl_view *v)
{
    return json_pack("{s:o}", "members", members_json(v->status));
}
