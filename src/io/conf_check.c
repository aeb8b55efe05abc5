/*
 * What follows from several keys, or from the host: derived defaults, checks
 * across keys, the digest that the members compare, and what a running daemon
 * can take over.
 *
 * A check whose own keys are faulty is left out, so that one mistake is told
 * once.
 */
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf_file.h"
#include "conf_value.h"

static void node_name_resolve(struct conf_file *f, struct config *c)
{
    char host[256] = "";

    if (conf_said(f, "node.name") || !conf_sound(f, "node"))
        return;
    if (gethostname(host, sizeof(host) - 1) != 0 || !conf_name_valid(host))
        conf_complain(f, "node.name",
                      "the host name \"%s\" cannot serve as the node's name; "
                      "set one",
                      host);
    else
        text_copy(c->node, sizeof(c->node), host);
}

static void defaults_resolve(struct conf_file *f, struct config *c)
{
    static const struct mac unknown;

    node_name_resolve(f, c);
    if (c->peers > 0 && !conf_said(f, "heartbeat.group"))
        c->group = (struct address){.family = FAMILY_NONE};
    if (!conf_said(f, "heartbeat.lease"))
        c->lease = c->dead_after / 4 * 3;
    for (size_t i = 0; i < c->vips; i++) {
        struct vip_config *v = &c->vip[i];
        if (mac_equal(&v->mac, &unknown) && v->address.family != FAMILY_NONE)
            v->mac = vip_auto_mac(&v->address);
    }
}

static void timing_check(struct conf_file *f, const struct config *c)
{
    char a[DURATION_TEXT_BYTES], b[DURATION_TEXT_BYTES];
    bool interval = conf_sound(f, "heartbeat.interval");
    bool dead_after = conf_sound(f, "heartbeat.dead_after");
    bool lease = conf_sound(f, "heartbeat.lease");

    if (interval && dead_after && c->dead_after < 3 * c->interval) {
        conf_complain(f, "heartbeat.dead_after", "%s is less than three times the interval (%s)",
                      duration_text(c->dead_after, a), duration_text(c->interval, b));
        return; /* the lease is between the two */
    }
    if (lease && dead_after && c->lease >= c->dead_after)
        conf_complain(f, "heartbeat.lease", "%s is not less than dead_after (%s)",
                      duration_text(c->lease, a), duration_text(c->dead_after, b));
    /* It is renewed once per interval: one late renewal must not end it. */
    if (lease && interval && c->lease < 2 * c->interval)
        conf_complain(f, "heartbeat.lease", "%s is less than twice the interval (%s)",
                      duration_text(c->lease, a), duration_text(c->interval, b));
    if (dead_after && conf_sound(f, "cluster.forget_after") && c->forget_after <= c->dead_after)
        conf_complain(f, "cluster.forget_after", "%s is not more than heartbeat.dead_after (%s)",
                      duration_text(c->forget_after, a), duration_text(c->dead_after, b));
}

static void vip_pair_check(struct conf_file *f, const struct config *c, size_t i, size_t j)
{
    const struct vip_config *v = &c->vip[i], *w = &c->vip[j];
    char label[CONF_LABEL_BYTES], mac[18];

    if (v->address.family != FAMILY_NONE && address_equal(&v->address, &w->address)) {
        snprintf(label, sizeof(label), "vips[%zu].address", i);
        conf_complain(f, label, "listed twice; vips[%zu] has it, too", j);
        return;
    }
    if (f->vip_faulty[i] || f->vip_faulty[j] || strcmp(v->interface, w->interface) != 0)
        return;
    if (v->mode == VIP_INTERFACE && w->mode == VIP_INTERFACE && !mac_equal(&v->mac, &w->mac)) {
        snprintf(label, sizeof(label), "vips[%zu].mac", i);
        conf_complain(f, label,
                      "in mode \"interface\" %s can have one MAC; set \"%s\" as vips[%zu]",
                      v->interface, mac_text(&w->mac, mac), j);
    }
}

static void vips_check(struct conf_file *f, const struct config *c)
{
    char label[CONF_LABEL_BYTES];

    if (c->vips * c->buckets > VIP_BUCKETS_MAX)
        conf_complain(f, "cluster.buckets",
                      "%u buckets for each of %zu virtual addresses are more than %d: the kernel "
                      "could not change them within a lease; take fewer buckets",
                      (unsigned)c->buckets, c->vips, VIP_BUCKETS_MAX);
    for (size_t i = 0; i < c->vips; i++) {
        for (size_t j = 0; j < i; j++)
            vip_pair_check(f, c, i, j);
        for (size_t p = 0; p < c->peers && conf_sound(f, "heartbeat.peers"); p++) {
            if (!address_equal(&c->vip[i].address, &c->peer[p]))
                continue;
            snprintf(label, sizeof(label), "heartbeat.peers[%zu]", p);
            conf_complain(f, label,
                          "is the virtual address vips[%zu]; name the nodes by "
                          "addresses of their own",
                          i);
        }
    }
}

void conf_resolve(struct conf_file *f, struct config *c)
{
    defaults_resolve(f, c);
    timing_check(f, c);
    vips_check(f, c);
    if (f->faults == 0)
        c->digest = conf_digest(c);
}

/* By family and address. */
static int vip_order(const struct vip_config *a, const struct vip_config *b)
{
    if (a->address.family != b->address.family)
        return a->address.family < b->address.family ? -1 : 1;
    return memcmp(a->address.byte, b->address.byte, sizeof(a->address.byte));
}

static void hash_number(crypto_generichash_state *h, uint64_t number)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    crypto_generichash_update(h, bytes, sizeof(bytes));
}

/*
 * Every number as eight bytes, the most significant first; every field has its
 * fixed place, so two configurations give one string only if they are equal.
 * dead_after and lease are in it because fencing needs one node's lease to be
 * shorter than another's dead_after; the interval may differ.
 */
uint64_t conf_digest(const struct config *c)
{
    static const unsigned char start[16] = "ipclusterd conf";
    const struct vip_config *order[VIPS_MAX] = {0};
    crypto_generichash_state h;
    uint8_t hash[crypto_generichash_BYTES];
    uint64_t digest = 0;

    for (size_t i = 0; i < c->vips; i++) {
        size_t at = i;
        for (; at > 0 && vip_order(&c->vip[i], order[at - 1]) < 0; at--)
            order[at] = order[at - 1];
        order[at] = &c->vip[i];
    }
    crypto_generichash_init(&h, NULL, 0, sizeof(hash));
    crypto_generichash_update(&h, start, sizeof(start));
    hash_number(&h, c->buckets);
    hash_number(&h, (uint64_t)c->dead_after);
    hash_number(&h, (uint64_t)c->lease);
    hash_number(&h, c->vips);
    for (size_t i = 0; i < c->vips; i++) {
        const struct vip_config *v = order[i];
        hash_number(&h, v->address.family);
        crypto_generichash_update(&h, v->address.byte, sizeof(v->address.byte));
        hash_number(&h, v->prefix);
        hash_number(&h, v->mode);
        crypto_generichash_update(&h, v->mac.byte, sizeof(v->mac.byte));
        hash_number(&h, v->select);
        hash_number(&h, v->orphans);
    }
    crypto_generichash_final(&h, hash, sizeof(hash));
    for (size_t i = 0; i < sizeof(digest); i++)
        digest = digest << 8 | hash[i];
    return digest;
}

#define NEEDS_RESTART(key) key " cannot change while the daemon runs; restart it"

const char *conf_reload_obstacle(const struct config *was, const struct config *is)
{
    if (strcmp(was->cluster, is->cluster) != 0)
        return NEEDS_RESTART("cluster.name");
    if (sodium_memcmp(was->key, is->key, sizeof(was->key)) != 0)
        return NEEDS_RESTART("the key in cluster.key_file");
    if (was->buckets != is->buckets)
        return NEEDS_RESTART("cluster.buckets");
    if (strcmp(was->node, is->node) != 0)
        return NEEDS_RESTART("node.name");
    if (strcmp(was->state_dir, is->state_dir) != 0)
        return NEEDS_RESTART("node.state_dir");
    if (was->realtime != is->realtime)
        return NEEDS_RESTART("heartbeat.realtime");
    if (strcmp(was->control_socket, is->control_socket) != 0)
        return NEEDS_RESTART("control.socket");
    if (strcmp(was->control_group, is->control_group) != 0)
        return NEEDS_RESTART("control.group");
    return NULL;
}

void conf_node(const struct config *c, struct node_config *out)
{
    *out = (struct node_config){
        .buckets = c->buckets,
        .weight = c->weight,
        .datagram_max = DATAGRAM_MAX,
        .interval = c->interval,
        .dead_after = c->dead_after,
        .lease = c->lease,
        .stop_drain = c->stop_drain,
        .forget_after = c->forget_after,
        .config_digest = c->digest,
    };
    text_copy(out->cluster, sizeof(out->cluster), c->cluster);
    text_copy(out->name, sizeof(out->name), c->node);
    memcpy(out->key, c->key, sizeof(out->key));
    /* One span for all: no VIP's flows may count as dead too early. */
    for (size_t i = 0; i < c->vips; i++)
        if (c->vip[i].orphan_after > out->orphan_after)
            out->orphan_after = c->vip[i].orphan_after;
}
