/*
 * What follows from several keys, or from the host: derived defaults, checks
 * across keys, and what a running daemon can take over.
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
#include "ipclusterd/seal.h"
#include "ipclusterd/wire.h"

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

/* A mask of ports needs a second map, for what has none. */
static void elements_check(struct conf_file *f, const struct config *c)
{
    size_t maps = c->vips;

    for (size_t i = 0; i < c->vips; i++)
        maps += c->vip[i].select == SELECT_MASK && c->vip[i].affinity == AFFINITY_FLOW;
    if (maps * c->buckets > VIP_BUCKETS_MAX)
        conf_complain(f, "cluster.buckets",
                      "%u buckets for each of %zu virtual addresses%s are more than %d: the kernel "
                      "could not change them within a lease; take fewer buckets",
                      (unsigned)c->buckets, c->vips,
                      maps > c->vips ? ", twice for select \"mask\" with affinity \"flow\"," : "",
                      VIP_BUCKETS_MAX);
}

static void vips_check(struct conf_file *f, const struct config *c)
{
    char label[CONF_LABEL_BYTES];

    elements_check(f, c);
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

/* Members are told apart by the numbers that their names have on the wire. */
static void founders_check(struct conf_file *f, const struct config *c)
{
    uint32_t id[MEMBERS_MAX];
    char label[CONF_LABEL_BYTES];

    for (size_t i = 0; i < c->founders; i++) {
        id[i] = member_id(c->founder[i]);
        for (size_t j = 0; j < i; j++) {
            if (id[i] != id[j])
                continue;
            snprintf(label, sizeof(label), "cluster.members[%zu]", i);
            conf_complain(f, label, "cannot be in one cluster with \"%s\"; rename one of them",
                          c->founder[j]);
        }
    }
}

/* A witness that is one of the cluster would be cut off with it. */
static void witness_check(struct conf_file *f, const struct config *c)
{
    for (size_t i = 0; i < c->vips; i++)
        if (address_equal(&c->witness, &c->vip[i].address))
            conf_complain(f, "cluster.witness",
                          "is the virtual address vips[%zu]; name a host beyond the cluster, "
                          "such as the gateway",
                          i);
    for (size_t i = 0; i < c->peers; i++)
        if (address_equal(&c->witness, &c->peer[i]))
            conf_complain(f, "cluster.witness",
                          "is heartbeat.peers[%zu]; name a host beyond the cluster, such as the "
                          "gateway",
                          i);
}

static void quorum_check(struct conf_file *f, const struct config *c)
{
    bool sound = conf_sound(f, "cluster.quorum"), majority = c->quorum == QUORUM_MAJORITY;

    if (sound && !majority && c->founders > 0)
        conf_complain(f, "cluster.members",
                      "names the first voters of quorum = \"majority\"; set that, or remove this");
    if (sound && majority && c->witness.family != FAMILY_NONE)
        conf_complain(f, "cluster.witness",
                      "a witness has no voice in a majority; remove it, or set quorum = \"none\"");
    if (conf_sound(f, "cluster.members"))
        founders_check(f, c);
    if (conf_sound(f, "cluster.witness") && c->witness.family != FAMILY_NONE)
        witness_check(f, c);
}

static void flap_check(struct conf_file *f, const struct config *c)
{
    if (conf_sound(f, "flap.reuse") && conf_sound(f, "flap.suppress") &&
        c->flap.reuse >= c->flap.suppress)
        conf_complain(f, "flap.reuse", "%u is not less than suppress (%u)", (unsigned)c->flap.reuse,
                      (unsigned)c->flap.suppress);
}

void conf_resolve(struct conf_file *f, struct config *c)
{
    defaults_resolve(f, c);
    timing_check(f, c);
    quorum_check(f, c);
    flap_check(f, c);
    vips_check(f, c);
    conf_services_check(f, c);
    if (f->faults > 0)
        return;
    conf_services_resolve(c);
    c->digest = conf_digest(c);
    for (size_t i = 0; i < PART_MAX; i++)
        c->part[i] = conf_part_hash(c, (enum config_part)i);
    conf_vips_hash(c, &c->vips_word, &c->selection);
}

#define NEEDS_RESTART(key) key " cannot change while the daemon runs; stop it and start it"

/* One of the two that the daemon has been told, so the members may use it. */
static bool key_is_known(const struct config *was, const uint8_t key[KEY_BYTES])
{
    return sodium_memcmp(was->key, key, KEY_BYTES) == 0 ||
           (!sodium_is_zero(was->key_next, KEY_BYTES) &&
            sodium_memcmp(was->key_next, key, KEY_BYTES) == 0);
}

static bool founders_include(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->founders; i++)
        if (strcmp(c->founder[i], name) == 0)
            return true;
    return false;
}

/* In any order. */
static bool founders_equal(const struct config *a, const struct config *b)
{
    if (a->founders != b->founders)
        return false;
    for (size_t i = 0; i < a->founders; i++)
        if (!founders_include(b, a->founder[i]))
            return false;
    return true;
}

const char *conf_reload_obstacle(const struct config *was, const struct config *is)
{
    if (strcmp(was->cluster, is->cluster) != 0)
        return NEEDS_RESTART("cluster.name");
    if (!key_is_known(was, is->key))
        return "the key in cluster.key_file is new to this daemon; put it into "
               "cluster.key_file_next on every node, reload, then use clusterctl rekey";
    if (was->buckets != is->buckets)
        return NEEDS_RESTART("cluster.buckets");
    if (was->quorum != is->quorum)
        return NEEDS_RESTART("cluster.quorum");
    if (!founders_equal(was, is))
        return NEEDS_RESTART("cluster.members");
    if (strcmp(was->node, is->node) != 0)
        return NEEDS_RESTART("node.name");
    if (strcmp(was->state_dir, is->state_dir) != 0)
        return NEEDS_RESTART("node.state_dir");
    if (was->xdp != is->xdp)
        return NEEDS_RESTART("node.xdp");
    if (was->realtime != is->realtime)
        return NEEDS_RESTART("heartbeat.realtime");
    if (strcmp(was->control_socket, is->control_socket) != 0)
        return NEEDS_RESTART("control.socket");
    if (strcmp(was->control_group, is->control_group) != 0)
        return NEEDS_RESTART("control.group");
    return NULL;
}

const char *conf_key_obstacle(const struct config *is, uint64_t in_use)
{
    if (seal_key_hash(is->key) == in_use)
        return NULL;
    if (!sodium_is_zero(is->key_next, KEY_BYTES) && seal_key_hash(is->key_next) == in_use)
        return NULL;
    return "the members use a key that is in neither cluster.key_file nor "
           "cluster.key_file_next; keep it in one of them";
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
        .vips = c->vips_word,
        .selection = c->selection,
        .quorum = c->quorum,
        .founders = c->founders,
        .witness = c->witness.family != FAMILY_NONE,
        .flap = c->flap,
    };
    text_copy(out->cluster, sizeof(out->cluster), c->cluster);
    text_copy(out->name, sizeof(out->name), c->node);
    memcpy(out->key, c->key, sizeof(out->key));
    memcpy(out->key_next, c->key_next, sizeof(out->key_next));
    memcpy(out->part, c->part, sizeof(out->part));
    for (size_t i = 0; i < c->founders; i++)
        out->founder[i] = member_id(c->founder[i]);
    /* One span for all: no VIP's flows may count as dead too early. */
    for (size_t i = 0; i < c->vips; i++)
        if (c->vip[i].orphan_after > out->orphan_after)
            out->orphan_after = c->vip[i].orphan_after;
}
