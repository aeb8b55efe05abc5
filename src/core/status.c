/*
 * The snapshot of a node, and the names of its states.
 */
#include "ipclusterd/status.h"

#include <assert.h>
#include <string.h>

#include "node_impl.h"

static const char *const state_names[NODE_STATE_MAX] = {
    [NODE_JOINING] = "joining", [NODE_SERVING] = "serving",     [NODE_DRAINING] = "draining",
    [NODE_HELD] = "held",       [NODE_UNHEALTHY] = "unhealthy", [NODE_ISOLATED] = "isolated",
    [NODE_LEAVING] = "leaving",
};

static const char *const member_names[MEMBER_STATE_MAX] = {
    [MEMBER_ALIVE] = "alive", [MEMBER_SUSPECT] = "suspect", [MEMBER_DEAD] = "dead",
    [MEMBER_LEFT] = "left",   [MEMBER_HELD] = "held",
};

static const char *const reject_names[REJECT_MAX] = {
    [REJECT_NONE] = "none",
    [REJECT_MALFORMED] = "malformed",
    [REJECT_FOREIGN_CLUSTER] = "foreign_cluster",
    [REJECT_FORGED] = "forged",
    [REJECT_REPLAYED] = "replayed",
    [REJECT_CONFIG_MISMATCH] = "config_mismatch",
    [REJECT_VERSION] = "version",
};

const char *node_state_name(enum node_state s)
{
    assert(s < NODE_STATE_MAX);
    return state_names[s];
}

const char *member_state_name(enum member_state s)
{
    assert(s < MEMBER_STATE_MAX);
    return member_names[s];
}

const char *reject_name(enum reject r)
{
    assert(r < REJECT_MAX);
    return reject_names[r];
}

static enum member_state state_of(const struct member *m, bool mixed)
{
    if (member_alive(m) && flap_held(&m->flap) && !mixed)
        return MEMBER_HELD;
    if (m->self)
        return MEMBER_ALIVE;
    if (member_alive(m))
        return m->suspect ? MEMBER_SUSPECT : MEMBER_ALIVE;
    return m->standing == STANDING_LEFT ? MEMBER_LEFT : MEMBER_DEAD;
}

static void member_fill(const struct node *n, const struct member *m, struct status_member *s)
{
    memset(s, 0, sizeof *s);
    memcpy(s->name, m->name, sizeof s->name);
    s->self = m->self;
    s->address = m->self ? n->config.address : m->address;
    s->mac = m->self ? n->config.mac : m->mac;
    s->state = state_of(m, n->mixed);
    s->draining = (m->flags & (HEARTBEAT_DRAINING | HEARTBEAT_LEAVING)) != 0;
    s->healthy = (m->flags & HEARTBEAT_UNHEALTHY) == 0;
    s->weight = m->weight;
    s->incarnation = m->incarnation;
    s->flows = m->self ? n->flows_total : m->flows;
    bool never = instant_before(m->heard, instant_add(INSTANT_PAST, 1));
    s->last_heard = m->self ? 0 : never ? -1 : instant_diff(n->now, m->heard);
    s->rtt = m->self ? 0 : m->rtt;
    s->loss = m->self || !member_alive(m) ? 0 : 100 * m->loss;
    s->penalty = flap_now(&m->flap, &n->config.flap, n->now);
    s->hold_left = s->state == MEMBER_HELD ? flap_left(&m->flap, &n->config.flap, n->now) : 0;
    s->voter = node_majority(n) && voters_has(&n->voters, m->id);
    s->version = m->self ? WIRE_VERSION_LAST : m->version;
    s->clock_ms = m->clock_ahead;
    s->key_next = m->self ? n->rekey.next : m->keys.next;
    s->parts = m->differs && member_alive(m) ? m->parts : 0;
}

/* Whom a member does not hear, as it told; for ourselves, as we find. */
static void deaf_fill(const struct node *n, const struct member *m, const int position[MEMBERS_MAX],
                      struct bitmap *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *other = &n->roster.member[i];
        if (position[i] < 0 || other == m || !member_alive(m))
            continue;
        if (m->self ? node_deaf_to(n, other) : member_deaf_to(m, other->id))
            bitmap_set(out, (unsigned)position[i]);
    }
}

static void strangers_fill(const struct node *n, struct status *out)
{
    out->strangers = 0;
    for (size_t i = 0; i < n->roster.count && out->strangers < STRANGERS_MAX; i++) {
        const struct member *m = &n->roster.member[i];
        if (!m->misfit || instant_diff(n->now, m->heard) >= 2 * n->config.dead_after)
            continue;
        struct status_stranger *s = &out->stranger[out->strangers++];
        memcpy(s->name, m->name, sizeof s->name);
        s->parts = m->parts;
    }
}

static void quorum_fill(const struct node *n, struct status *out)
{
    out->quorum.policy = n->config.quorum;
    out->quorum.have = n->quorate;
    out->quorum.voters = n->voters.count;
    out->quorum.heard = n->quorum_heard;
    out->quorum.version = n->voters.version;
    out->witness_answers = !n->witness_down;
    out->key = n->key[n->using].hash;
    out->key_next = n->rekey.next;
    out->rekey_ready = node_keys_ready(n);
    out->wakeup.mean = (usec)n->wake_mean;
    out->wakeup.worst = n->wake_worst[0] > n->wake_worst[1] ? n->wake_worst[0] : n->wake_worst[1];
    out->patience = n->patience;
}

/* Members that count, by name; position[i] is where roster index i went. */
static void members_fill(const struct node *n, struct status *out, int position[MEMBERS_MAX])
{
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        position[i] = -1;
        if (!roster_counts(&n->roster, i))
            continue;
        size_t at = out->members++;
        position[i] = (int)at;
        member_fill(n, m, &out->member[at]);
        memset(&out->claim[at], 0, sizeof out->claim[at]);
        memset(&out->linger[at], 0, sizeof out->linger[at]);
        if (!member_alive(m))
            continue;
        if (m->self) {
            out->claim[at] = n->claim;
            out->linger[at] = n->linger;
        } else {
            told_sets(&n->roster.told, i, &out->claim[at], &out->linger[at]);
        }
        out->member[at].claimed = bitmap_count(&out->claim[at]);
        out->member[at].lingering = bitmap_count(&out->linger[at]);
    }
}

void node_status(const struct node *n, instant now, struct status *out)
{
    int position[MEMBERS_MAX];
    memset(out, 0, offsetof(struct status, member));
    memcpy(out->cluster, n->config.cluster, sizeof out->cluster);
    memcpy(out->node, n->config.name, sizeof out->node);
    out->state = n->state;
    out->converged = n->converged;
    out->view = n->view;
    out->uptime = instant_diff(now, n->born);
    out->lease_left = n->joined ? instant_diff(n->lease_until, now) : 0;
    out->buckets = n->config.buckets;
    members_fill(n, out, position);
    for (size_t i = 0; i < n->roster.count; i++)
        if (position[i] >= 0)
            deaf_fill(n, &n->roster.member[i], position, &out->deaf[position[i]]);
    strangers_fill(n, out);
    quorum_fill(n, out);
    out->owned = out->lingering = 0;
    for (unsigned b = 0; b < n->config.buckets; b++) {
        int owner = n->assign.owner[b], home = n->assign.home[b];
        struct status_bucket *s = &out->bucket[b];
        s->owner = owner < 0 ? -1 : position[owner];
        s->home = home < 0 ? -1 : position[home];
        s->klass = (enum bucket_class)n->applied.class_of[b];
        if (s->owner >= 0)
            out->member[s->owner].buckets++;
        out->owned += class_claims(s->klass);
        out->lingering += s->klass == CLASS_LINGER || s->klass == CLASS_RELEASE;
    }
    out->orphaned = bitmap_count(&n->orphaned);
    out->takeovers = n->takeovers;
    out->unowned = n->unowned;
    out->contested = n->contested;
    memcpy(out->rejected, n->rejected, sizeof out->rejected);
    out->apply_failures = n->failures;
    out->skew = n->skew;
}

void node_brief(const struct node *n, struct status_brief *out)
{
    out->state = n->state;
    out->converged = n->converged;
    out->view = n->view;
    out->patience = n->patience;
}

void node_tables(const struct node *n, struct status_tables *out)
{
    size_t bytes = n->config.buckets * sizeof out->owner[0];
    out->members = n->roster.count;
    for (size_t i = 0; i < n->roster.count; i++)
        out->name[i] = roster_counts(&n->roster, i) ? n->roster.member[i].name : NULL;
    memcpy(out->owner, n->assign.owner, bytes);
    memcpy(out->home, n->assign.home, bytes);
}

size_t node_standby(const struct node *n, unsigned bucket, int *order, size_t max)
{
    struct assign *scratch = (struct assign *)&n->scratch;
    struct assign_lists *lists = (struct assign_lists *)&n->lists;
    struct assign_member of[MEMBERS_MAX];
    size_t count = 0, found = 0;
    for (size_t i = 0; i < n->roster.count; i++)
        if (roster_counts(&n->roster, i)) {
            const struct member *m = &n->roster.member[i];
            of[count++] = (struct assign_member){m->hash, m->weight, n->serves[i]};
        }
    while (found < max && found < count) {
        assign_compute(scratch, lists, of, count, n->config.buckets);
        int owner = scratch->owner[bucket];
        if (owner < 0)
            break;
        order[found++] = owner;
        of[owner].serves = false;
    }
    return found;
}
