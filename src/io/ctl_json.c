/*
 * Virtual addresses, buckets and versions as JSON; the status and its members are
 * in ctl_json_status.c. One function per object of the contract.
 */
#include "ctl_json.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "conf.h"
#include "ctl_request.h"

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

json_t *ctl_json_address(const struct address *a)
{
    char text[INET6_ADDRSTRLEN];

    return a->family == FAMILY_NONE ? json_null() : json_string(address_text(a, text, sizeof text));
}

static const char *const affinity_name[AFFINITY_MAX] = {
    [AFFINITY_ADDRESS] = "address", [AFFINITY_NETWORK] = "network", [AFFINITY_FLOW] = "flow"};

static const char *const protocol_name[SERVICE_MAX] = {
    [SERVICE_TCP] = "tcp", [SERVICE_UDP] = "udp", [SERVICE_SCTP] = "sctp", [SERVICE_ANY] = "any"};
static const char *const policy_name[POLICY_MAX] = {
    [POLICY_BALANCE] = "balance", [POLICY_SINGLE] = "single", [POLICY_CLOSED] = "closed"};

/* What has a bucket of its own tells it, and who owns that: he serves it, or refuses. */
static json_t *service_json(const struct status *s, const struct service_config *service)
{
    bool own = service->policy != POLICY_BALANCE;
    json_t *ports = json_array();

    for (size_t i = 0; i < service->ports; i++)
        json_array_append_new(ports, json_integer(service->port[i]));
    return json_pack("{s:s, s:o, s:s, s:o, s:o}", "protocol", protocol_name[service->protocol],
                     "ports", ports, "policy", policy_name[service->policy], "bucket",
                     own ? json_integer(service->bucket) : json_null(), "owner",
                     own ? member_name(s, s->bucket[service->bucket].owner) : json_null());
}

static json_t *services_json(const struct status *s, const struct vip_config *vip)
{
    json_t *list = json_array();

    for (size_t i = 0; i < vip->services; i++)
        json_array_append_new(list, service_json(s, &vip->service[i]));
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
    const struct ctl_xdp *x = &v->xdp[index];
    const struct status *s = v->status;
    usec lease = s->lease_left > 0 && !vip->removing ? s->lease_left : 0;
    unsigned owned = vip->removing ? 0 : s->owned;
    unsigned lingering = s->lingering + s->owned - owned;
    char mac[18];

    return json_pack("{s:o, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s?, s:i, s:i, s:i, s:i, s:I, s:I,"
                     " s:{s:I, s:I, s:I, s:I, s:I, s:I}}",
                     "address", vip_text(vip), "interface", vip->interface, "state",
                     vip->removing ? "removing" : "serving", "mode", mode_name[vip->mode], "select",
                     select_name[vip->select], "affinity", affinity_name[vip->affinity], "services",
                     services_json(s, vip), "mac", json_string(mac_text(&vip->mac, mac)), "xdp",
                     x->mode, "buckets", (int)s->buckets, "owned", (int)owned, "lingering",
                     (int)lingering, "orphaned", (int)s->orphaned, "flows",
                     (json_int_t)v->counts->vip[index], "lease_ms", ctl_json_ms(lease), "packets",
                     "accepted", (json_int_t)p->accepted, "foreign", (json_int_t)p->foreign,
                     "foreign_xdp", (json_int_t)x->dropped, "orphan_reset",
                     (json_int_t)p->orphan_reset, "forwarded", (json_int_t)p->forwarded, "refused",
                     (json_int_t)p->refused);
}

json_t *ctl_json_vip_list(const struct ctl_view *v)
{
    json_t *list = json_array();

    for (size_t i = 0; i < v->config->vips; i++)
        json_array_append_new(list, vip_json(v, i));
    return list;
}

json_t *ctl_json_vips(const struct ctl_view *v)
{
    return json_pack("{s:o}", "vips", ctl_json_vip_list(v));
}

json_t *ctl_json_version(const struct ctl_view *v)
{
    return json_pack("{s:s, s:o, s:o, s:I, s:o}", "version", PACKAGE_VERSION, "cluster",
                     ctl_json_text(v->status->cluster), "node", ctl_json_text(v->status->node),
                     "uptime_ms", ctl_json_ms(v->status->uptime), "inherited_buckets",
                     v->inherited >= 0 ? json_integer(v->inherited) : json_null());
}

/* "order": the owner and who stands by, best first. */
static json_t *order_json(const struct ctl_view *v, unsigned bucket)
{
    int order[MEMBERS_MAX];
    size_t count = v->standby(v->standby_arg, bucket, order, MEMBERS_MAX);
    json_t *names = json_array();

    assert(count <= MEMBERS_MAX);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(names, member_name(v->status, order[i]));
    return names;
}

/* Of all the ports that a client can send from, how many each owner has, in percent. */
static json_t *shares_json(const struct ctl_view *v, const struct vip_config *vip,
                           const struct source *client)
{
    const struct status *s = v->status;
    unsigned ports[MEMBERS_MAX] = {0};
    struct source from = *client;
    json_t *list = json_array();

    from.has_port = true;
    for (unsigned port = 1; port <= UINT16_MAX; port++) {
        from.port = (uint16_t)port;
        int owner = s->bucket[selection_bucket(vip, s->buckets, &from)].owner;
        if (owner >= 0 && owner < MEMBERS_MAX)
            ports[owner]++;
    }
    for (size_t i = 0; i < s->members; i++)
        if (ports[i] > 0)
            json_array_append_new(list,
                                  json_pack("{s:o, s:f}", "name", ctl_json_text(s->member[i].name),
                                            "percent", 100.0 * ports[i] / UINT16_MAX));
    return list;
}

/* Without a port: no bucket, but the shares, and who has what comes without ports. */
static void which_shares_add(json_t *object, const struct ctl_view *v, const struct vip_config *vip,
                             const struct source *client)
{
    const struct status *s = v->status;
    unsigned bucket = selection_bucket(vip, s->buckets, client);

    json_object_set_new(object, "bucket", json_null());
    json_object_set_new(object, "owner", json_null());
    json_object_set_new(object, "home", json_null());
    json_object_set_new(object, "order", json_array());
    json_object_set_new(object, "claimed_by", json_array());
    json_object_set_new(object, "lingering_on", json_array());
    json_object_set_new(object, "shares", shares_json(v, vip, client));
    json_object_set_new(object, "portless",
                        json_pack("{s:i, s:o}", "bucket", (int)bucket, "owner",
                                  member_name(s, s->bucket[bucket].owner)));
}

static void which_bucket_add(json_t *object, const struct ctl_view *v, unsigned bucket)
{
    const struct status *s = v->status;

    assert(bucket < s->buckets);
    json_object_set_new(object, "bucket", json_integer((json_int_t)bucket));
    json_object_set_new(object, "owner", member_name(s, s->bucket[bucket].owner));
    json_object_set_new(object, "home", member_name(s, s->bucket[bucket].home));
    json_object_set_new(object, "order", order_json(v, bucket));
    json_object_set_new(object, "claimed_by", members_with(s, s->claim, bucket));
    json_object_set_new(object, "lingering_on", members_with(s, s->linger, bucket));
}

json_t *ctl_json_which(const struct ctl_view *v, const struct source *client, size_t vip)
{
    const struct vip_config *at = &v->config->vip[vip];
    json_t *object = json_object();

    json_object_set_new(object, "address", ctl_json_address(&client->address));
    json_object_set_new(object, "port",
                        client->has_port ? json_integer(client->port) : json_null());
    json_object_set_new(object, "vip", vip_text(at));
    json_object_set_new(object, "affinity", json_string(affinity_name[at->affinity]));
    json_object_set_new(object, "services", services_json(v->status, at));
    if (at->affinity == AFFINITY_FLOW && !client->has_port)
        which_shares_add(object, v, at, client);
    else
        which_bucket_add(object, v, selection_bucket(at, v->status->buckets, client));
    return object;
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

/* One page of events while it is written. */
struct event_page {
    struct evbuffer *out;
    bool begun;
    int rc;
};

/* "2026-11-21T10:04:05.678Z" */
static json_t *wall_json(int64_t us)
{
    time_t seconds = (time_t)(us / USEC_PER_S);
    char text[32];
    struct tm t;

    gmtime_r(&seconds, &t);
    if (strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &t) == 0)
        return json_null();
    return json_sprintf("%s.%03dZ", text, (int)(us % USEC_PER_S / USEC_PER_MS));
}

static void event_write(void *context, const struct ctl_event *e)
{
    struct event_page *page = context;
    json_t *one;

    if (page->rc != 0)
        return;
    one = json_pack("{s:I, s:o, s:s, s:s, s:o, s:I, s:I, s:o}", "id", (json_int_t)e->id, "time",
                    wall_json(e->wall), "kind", e->kind, "level", e->level, "member",
                    e->note->member[0] != '\0' ? ctl_json_text(e->note->member) : json_null(),
                    "number", (json_int_t)e->note->number, "other", (json_int_t)e->note->other,
                    "text", ctl_json_text(e->text));
    if (page->begun && evbuffer_add(page->out, ",", 1) != 0)
        page->rc = -ENOMEM;
    if (page->rc == 0)
        page->rc = ctl_json_write(one, page->out);
    page->begun = true;
    json_decref(one);
}

int ctl_json_events(const struct ctl_ops *ops, void *arg, uint64_t since, struct evbuffer *out)
{
    struct event_page page = {.out = out};
    uint64_t last;

    if (evbuffer_add_printf(out, "{\"events\":[") < 0)
        return -ENOMEM;
    last = ops->events(arg, since, event_write, &page);
    if (page.rc == 0 && evbuffer_add_printf(out, "],\"last\":%" PRIu64 "}", last) < 0)
        page.rc = -ENOMEM;
    return page.rc;
}
