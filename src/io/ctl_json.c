/*
 * The status as JSON. One function per object of the contract; every number is
 * turned into the contract's unit here (microseconds become milliseconds) and
 * nowhere else.
 */
#include "ctl_json.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <stdio.h>

#include "conf.h"
#include "ctl_request.h"

static json_int_t milliseconds(usec t)
{
    return t / USEC_PER_MS;
}

json_t *ctl_json_text(const char *text)
{
    json_t *json = json_string(text);
    char plain[CTL_WHY_BYTES];

    if (json != NULL)
        return json;
    snprintf(plain, sizeof plain, "%s", text);
    for (char *p = plain; *p != '\0'; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    return json_string(plain);
}

/* The name of member `index` or null. */
static json_t *member_name(const struct status *s, int index)
{
    return index >= 0 && (size_t)index < s->members ? ctl_json_text(s->member[index].name)
                                                    : json_null();
}

/* The members whose bitmap in `maps` has `bucket`, by name. */
static json_t *members_with(const struct status *s, const struct bitmap *maps, unsigned bucket)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->members; i++)
        if (bitmap_test(&maps[i], bucket))
            json_array_append_new(list, ctl_json_text(s->member[i].name));
    return list;
}

/* "192.168.0.2/24" */
static json_t *vip_text(const struct vip_config *vip)
{
    char text[INET6_ADDRSTRLEN];

    return json_sprintf("%s/%u", address_text(&vip->address, text, sizeof text), vip->prefix);
}

static json_t *address_json(const struct address *a)
{
    char text[INET6_ADDRSTRLEN];

    return a->family == FAMILY_NONE ? json_null() : json_string(address_text(a, text, sizeof text));
}

/* Rounded to one decimal. */
static double tenths(double value)
{
    return (double)(long long)(value * 10.0 + 0.5) / 10.0;
}

static json_t *member_json(const struct status_member *m)
{
    char mac[18];

    return json_pack(
        "{s:o, s:o, s:o, s:b, s:s, s:b, s:b, s:i, s:I, s:i, s:i, s:i, s:I, s:I, s:i, s:I, s:f}",
        "name", ctl_json_text(m->name), "address", address_json(&m->address), "mac",
        json_string(mac_text(&m->mac, mac)), "self", m->self, "state", member_state_name(m->state),
        "draining", m->draining, "healthy", m->healthy, "weight", (int)m->weight, "incarnation",
        (json_int_t)m->incarnation, "buckets", (int)m->buckets, "claimed", (int)m->claimed,
        "lingering", (int)m->lingering, "flows", (json_int_t)m->flows, "last_heard_ms",
        m->last_heard < 0 ? (json_int_t)-1 : milliseconds(m->last_heard), "flap_penalty", 0,
        "rtt_us", (json_int_t)(m->rtt + 0.5), "loss_percent", tenths(m->loss));
}

static json_t *members_json(const struct status *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->members; i++)
        json_array_append_new(list, member_json(&s->member[i]));
    return list;
}

static json_t *vip_json(const struct ctl_view *v, size_t index)
{
    static const char *const mode_name[VIP_MODE_MAX] = {
        [VIP_SHARED] = "shared", [VIP_INTERFACE] = "interface"};
    static const char *const select_name[SELECT_MAX] = {
        [SELECT_MASK] = "mask", [SELECT_HASH] = "hash"};
    const struct vip_config *vip = &v->config->vip[index];
    const struct nft_counters *p = &v->packets[index];
    const struct status *s = v->status;
    usec lease = s->lease_left > 0 ? s->lease_left : 0;
    char mac[18];

    return json_pack(
        "{s:o, s:s, s:s, s:s, s:o, s:i, s:i, s:i, s:i, s:I, s:I, s:{s:I, s:I, s:I, s:I}}",
        "address", vip_text(vip), "interface", vip->interface, "mode", mode_name[vip->mode],
        "select", select_name[vip->select], "mac", json_string(mac_text(&vip->mac, mac)), "buckets",
        (int)s->buckets, "owned", (int)s->owned, "lingering", (int)s->lingering, "orphaned",
        (int)s->orphaned, "flows", (json_int_t)v->counts->vip[index], "lease_ms",
        milliseconds(lease), "packets", "accepted", (json_int_t)p->accepted, "foreign",
        (json_int_t)p->foreign, "orphan_reset", (json_int_t)p->orphan_reset, "forwarded",
        (json_int_t)p->forwarded);
}

static json_t *vips_json(const struct ctl_view *v)
{
    json_t *list = json_array();

    for (size_t i = 0; i < v->config->vips; i++)
        json_array_append_new(list, vip_json(v, i));
    return list;
}

static json_t *rejected_json(const struct status *s)
{
    static const struct {
        enum reject why;
        const char *key;
    } keys[] = {
        {REJECT_FORGED, "forged"},
        {REJECT_REPLAYED, "replayed"},
        {REJECT_MALFORMED, "malformed"},
        {REJECT_FOREIGN_CLUSTER, "foreign_cluster"},
        {REJECT_CONFIG_MISMATCH, "config_mismatch"},
        {REJECT_VERSION, "version"},
    };
    json_t *object = json_object();

    static_assert(sizeof keys / sizeof *keys == REJECT_MAX - 1, "every reject has a key");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_object_set_new(object, keys[i].key,
                            json_integer((json_int_t)s->rejected[keys[i].why]));
    return object;
}

/* Buckets without an owner, without a claimant, and with more than one. */
struct coverage {
    int unowned, unclaimed, contested;
};

static struct coverage coverage_of(const struct status *s)
{
    struct coverage c = {0};
    struct bitmap once = {0}, twice = {0};

    for (size_t m = 0; m < s->members; m++) {
        for (size_t w = 0; w < BUCKETS_MAX / 64; w++) {
            twice.word[w] |= once.word[w] & s->claim[m].word[w];
            once.word[w] |= s->claim[m].word[w];
        }
    }
    for (unsigned b = 0; b < s->buckets; b++) {
        c.unowned += s->bucket[b].owner < 0;
        c.unclaimed += !bitmap_test(&once, b);
        c.contested += bitmap_test(&twice, b);
    }
    return c;
}

json_t *ctl_json_status(const struct ctl_view *v)
{
    const struct status *s = v->status;
    struct coverage c = coverage_of(s);
    char view[17];

    snprintf(view, sizeof view, "%016llx", (unsigned long long)s->view);
    return json_pack(
        "{s:s, s:o, s:o, s:s, s:b, s:s, s:{s:s, s:b}, s:I, s:o, s:o, s:o, s:i, s:o}", "version",
        PACKAGE_VERSION, "cluster", ctl_json_text(s->cluster), "node", ctl_json_text(s->node),
        "state", node_state_name(s->state), "converged", s->converged, "view", view, "quorum",
        "policy", "none", "have", 1, "uptime_ms", milliseconds(s->uptime), "members",
        members_json(s), "vips", vips_json(v), "buckets",
        json_pack("{s:i, s:i, s:i, s:i}", "total", (int)s->buckets, "unowned", c.unowned,
                  "unclaimed", c.unclaimed, "contested", c.contested),
        "apply_failures", (int)s->apply_failures, "counters",
        json_pack("{s:I, s:I, s:I, s:o}", "takeovers", (json_int_t)s->takeovers,
                  "unowned_bucket_ms", milliseconds(s->unowned), "contested_bucket_ms",
                  milliseconds(s->contested), "heartbeats_rejected", rejected_json(s)));
}

json_t *ctl_json_members(const struct ctl_view *v)
{
    return json_pack("{s:o}", "members", members_json(v->status));
}

json_t *ctl_json_vips(const struct ctl_view *v)
{
    return json_pack("{s:o}", "vips", vips_json(v));
}

json_t *ctl_json_version(const struct ctl_view *v)
{
    return json_pack("{s:s, s:o, s:o}", "version", PACKAGE_VERSION, "cluster",
                     ctl_json_text(v->status->cluster), "node", ctl_json_text(v->status->node));
}

json_t *ctl_json_which(const struct ctl_view *v, const struct address *client, size_t vip)
{
    const struct status *s = v->status;
    unsigned bucket = bucket_of(v->config->vip[vip].select, s->buckets, client);
    int order[MEMBERS_MAX];
    size_t count = v->standby(v->standby_arg, bucket, order, MEMBERS_MAX);
    json_t *names = json_array();

    assert(bucket < s->buckets && count <= MEMBERS_MAX);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(names, member_name(s, order[i]));
    return json_pack("{s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o}", "address", address_json(client),
                     "vip", vip_text(&v->config->vip[vip]), "bucket", (int)bucket, "owner",
                     member_name(s, s->bucket[bucket].owner), "home",
                     member_name(s, s->bucket[bucket].home), "order", names, "claimed_by",
                     members_with(s, s->claim, bucket), "lingering_on",
                     members_with(s, s->linger, bucket));
}

static json_t *bucket_json(const struct status *s, unsigned bucket)
{
    const struct status_bucket *b = &s->bucket[bucket];

    return json_pack("{s:i, s:o, s:o, s:s, s:o, s:o}", "bucket", (int)bucket, "owner",
                     member_name(s, b->owner), "home", member_name(s, b->home), "class",
                     bucket_class_name(b->klass), "claimed_by", members_with(s, s->claim, bucket),
                     "lingering_on", members_with(s, s->linger, bucket));
}

static int evbuffer_take(const char *text, size_t size, void *arg)
{
    return evbuffer_add(arg, text, size);
}

int ctl_json_write(const json_t *json, struct evbuffer *out)
{
    if (json == NULL || json_dump_callback(json, evbuffer_take, out, CTL_JSON_FLAGS) != 0)
        return -ENOMEM;
    return 0;
}

int ctl_json_buckets(const struct ctl_view *v, struct evbuffer *out)
{
    const struct status *s = v->status;
    int rc = evbuffer_add_printf(out, "{\"buckets\":[") < 0 ? -ENOMEM : 0;

    for (unsigned b = 0; b < s->buckets && rc == 0; b++) {
        json_t *one = bucket_json(s, b);
        if (b > 0)
            evbuffer_add(out, ",", 1);
        rc = ctl_json_write(one, out);
        json_decref(one);
    }
    if (rc == 0 && evbuffer_add(out, "]}", 2) != 0)
        rc = -ENOMEM;
    return rc;
}
