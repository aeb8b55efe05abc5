/*
 * The rig: see rig.h. Datagrams wait in one list until their time comes.
 */
#include "rig.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipclusterd/seal.h"

#define DELAY ((usec)100)

struct packet {
    struct packet *next;
    instant at;
    int to;
    size_t length;
    uint8_t data[DATAGRAM_MAX];
};

static struct packet *flying;
static uint64_t salts;
static struct status status;

void rig_init(struct rig *r)
{
    memset(r, 0, sizeof *r);
    r->now = (instant){10 * USEC_PER_S};
    for (int i = 0; i < RIG_NODES; i++)
        r->node[i].node = malloc(node_bytes());
}

void rig_free(struct rig *r)
{
    while (flying != NULL) {
        struct packet *p = flying;
        flying = p->next;
        free(p);
    }
    for (int i = 0; i < RIG_NODES; i++)
        free(r->node[i].node);
}

struct node_config rig_config(int i)
{
    struct node_config c = {
        .cluster = "rig",
        .key = {1, 2, 3},
        .buckets = 64,
        .weight = 100,
        .datagram_max = DATAGRAM_MAX,
        .interval = 100 * USEC_PER_MS,
        .dead_after = 400 * USEC_PER_MS,
        .lease = 300 * USEC_PER_MS,
        .orphan_after = USEC_PER_S,
        .forget_after = 3600 * USEC_PER_S,
        .config_digest = 4711,
        .mac = {{2, 0, 0, 0, 0, (uint8_t)(i + 1)}},
        .address = {FAMILY_IP4, {10, 0, 0, (uint8_t)(i + 1)}},
    };
    snprintf(c.name, sizeof c.name, "n%d", i);
    return c;
}

void rig_start_with(struct rig *r, int i, uint32_t incarnation, const struct node_config *c)
{
    struct rig_node *n = &r->node[i];
    node_init(n->node, c, ++salts * UINT64_C(0x9e3779b97f4a7c15), incarnation);
    plan_init(&n->plan, c->buckets);
    n->running = true;
    n->exits = 0;
    rig_event(r, i, EVENT_START);
}

void rig_start(struct rig *r, int i, uint32_t incarnation)
{
    struct node_config c = rig_config(i);
    rig_start_with(r, i, incarnation, &c);
}

void rig_crash(struct rig *r, int i)
{
    r->node[i].running = false;
    plan_init(&r->node[i].plan, 64);
}

static void send(struct rig *r, int from, const uint8_t *data, size_t length)
{
    assert(length > 0);
    memcpy(r->last, data, length);
    r->last_length = length;
    r->last_from = from;
    for (int i = 0; i < RIG_NODES && !r->node[from].cut; i++) {
        if (i == from || !r->node[i].running || r->node[i].cut)
            continue;
        struct packet *p = calloc(1, sizeof *p), **at = &flying;
        p->at = instant_add(r->now, DELAY);
        p->to = i;
        p->length = length;
        memcpy(p->data, data, length);
        while (*at != NULL)
            at = &(*at)->next;
        *at = p;
    }
}

static void kernel(struct rig *r, int i, const struct plan *plan)
{
    struct rig_node *n = &r->node[i];
    if (n->mute_kernel)
        return;
    struct event e = {.kind = EVENT_APPLIED};
    e.applied.error = plan != NULL ? n->fail : n->fail_renew;
    e.applied.generation = plan != NULL ? plan->generation : 0;
    if (plan != NULL && n->fail == 0)
        n->plan = *plan;
    rig_step(r, i, &e);
}

static void act(struct rig *r, int i, const struct action *a)
{
    switch (a->kind) {
    case ACTION_SEND:
        send(r, i, a->send.data, a->send.length);
        return;
    case ACTION_APPLY:
        kernel(r, i, a->plan);
        return;
    case ACTION_RENEW:
        kernel(r, i, NULL);
        return;
    case ACTION_COUNT: {
        struct event e = {.kind = EVENT_FLOWS, .flows = {r->node[i].flows}};
        r->node[i].counts++;
        rig_step(r, i, &e);
        return;
    }
    case ACTION_STORE:
        assert(a->store.length <= sizeof r->node[i].stored);
        memcpy(r->node[i].stored, a->store.data, a->store.length);
        r->node[i].stored_length = a->store.length;
        return;
    case ACTION_NOTE:
        assert(r->notes < RIG_NOTES);
        r->note[r->notes++] = (struct rig_note){i, r->now, a->note};
        return;
    case ACTION_EXIT:
        r->node[i].exits++;
        rig_crash(r, i);
        return;
    case ACTION_MAX:
        break;
    }
    abort();
}

void rig_step(struct rig *r, int i, const struct event *e)
{
    struct actions *out = malloc(sizeof *out);
    node_step(r->node[i].node, r->now, e, out);
    for (size_t k = 0; k < out->count; k++)
        act(r, i, &out->item[k]);
    free(out);
}

void rig_event(struct rig *r, int i, enum event_kind kind)
{
    struct event e = {.kind = kind};
    rig_step(r, i, &e);
}

void rig_hand(struct rig *r, int i, const uint8_t *data, size_t length)
{
    struct event e = {.kind = EVENT_DATAGRAM, .datagram = {data, length}};
    rig_step(r, i, &e);
}

void rig_control(struct rig *r, int i, enum control_verb verb, const char *member)
{
    struct event e = {.kind = EVENT_CONTROL, .control = {verb, member}};
    rig_step(r, i, &e);
}

void rig_run(struct rig *r, usec span)
{
    instant end = instant_add(r->now, span);
    for (unsigned steps = 0;; steps++) {
        assert(steps < 200000);
        instant next = flying != NULL ? flying->at : INSTANT_NEVER;
        int who = -1;
        for (int i = 0; i < RIG_NODES; i++) {
            if (!r->node[i].running || !instant_before(node_deadline(r->node[i].node), next))
                continue;
            next = node_deadline(r->node[i].node);
            who = i;
        }
        if (!instant_before(next, end)) {
            r->now = end;
            return;
        }
        r->now = instant_max(r->now, next);
        if (who >= 0) {
            rig_event(r, who, EVENT_TIMER);
            continue;
        }
        struct packet *p = flying;
        flying = p->next;
        if (r->node[p->to].running && !r->node[p->to].cut)
            rig_hand(r, p->to, p->data, p->length);
        free(p);
    }
}

const struct status *rig_status(struct rig *r, int i)
{
    node_status(r->node[i].node, r->now, &status);
    return &status;
}

const struct status_member *rig_member(struct rig *r, int i, const char *name)
{
    rig_status(r, i);
    for (size_t k = 0; k < status.members; k++)
        if (strcmp(status.member[k].name, name) == 0)
            return &status.member[k];
    return NULL;
}

unsigned rig_noted(const struct rig *r, int i, enum note_kind kind, instant since)
{
    unsigned found = 0;
    for (unsigned k = 0; k < r->notes; k++)
        found += (i < 0 || r->note[k].node == i) && r->note[k].note.kind == kind &&
                 !instant_before(r->note[k].at, since);
    return found;
}

bool rig_covered(const struct rig *r)
{
    for (unsigned b = 0; b < 64; b++) {
        unsigned claims = 0;
        for (int i = 0; i < RIG_NODES; i++)
            claims +=
                r->node[i].running && class_claims((enum bucket_class)r->node[i].plan.class_of[b]);
        if (claims != 1)
            return false;
    }
    return true;
}

void ghost_init(struct ghost *g, const struct node_config *c, uint64_t salt)
{
    memset(g, 0, sizeof *g);
    g->config = *c;
    memcpy(g->say.name, c->name, sizeof g->say.name);
    g->say.salt = salt;
    g->say.incarnation = 1;
    g->say.version = WIRE_VERSION_LAST;
    g->say.weight = c->weight;
    g->say.config = c->config_digest;
    g->say.mac = c->mac;
    g->say.address = c->address;
    g->say.buckets = c->buckets;
}

void ghost_listen(struct ghost *g, const struct rig *r)
{
    static struct heartbeat heard;
    uint8_t plain[DATAGRAM_MAX];
    size_t length = 0;
    struct seal seal;
    seal_init(&seal, g->config.cluster, g->config.key);
    struct seal_stamp stamp;
    enum reject why = seal_open(&seal, r->last, r->last_length, &stamp, plain, &length);
    if (why != REJECT_NONE || heartbeat_read(&heard, stamp.version, plain, length) != 0)
        return;
    g->say.view = heard.view;
    g->say.acks = 1;
    g->say.ack[0] = (struct heartbeat_ack){
        .member = member_id(heard.name),
        .stamp = heard.salt + heard.sequence,
        .proof = 0,
    };
}

size_t ghost_seal(struct ghost *g, uint8_t out[DATAGRAM_MAX])
{
    struct seal seal;
    uint8_t plain[DATAGRAM_MAX];
    seal_init(&seal, g->config.cluster, g->config.key);
    g->say.sequence++;
    size_t length = heartbeat_write(&g->say, plain, sizeof plain);
    struct seal_stamp stamp = {g->say.version, SEAL_TYPE_HEARTBEAT, g->say.salt,
                               member_id(g->say.name), g->say.sequence};
    return seal_close(&seal, &stamp, plain, length, out, DATAGRAM_MAX);
}

void ghost_say(struct ghost *g, struct rig *r, int to)
{
    uint8_t data[DATAGRAM_MAX];
    size_t length = ghost_seal(g, data);
    rig_hand(r, to, data, length);
}

void ghost_live(struct ghost *g, struct rig *r, int to, usec span)
{
    instant end = instant_add(r->now, span);
    while (instant_before(r->now, end)) {
        ghost_listen(g, r);
        ghost_say(g, r, to);
        rig_run(r, 50 * USEC_PER_MS);
    }
}
