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
#define PAUSED_AGAIN (5 * USEC_PER_MS) /* how often a datagram looks for a paused node */

struct packet {
    struct packet *next;
    instant at;
    int to;
    size_t length;
    uint8_t data[DATAGRAM_MAX];
};

static struct packet *flying;

/* What kernels answer: a step of its own, when all actions of this one are done. */
enum { ANSWERS_MAX = 64 };
static struct {
    int node;
    struct event event;
} answer[ANSWERS_MAX];
static unsigned answers;

static uint64_t salts;
static struct status status;

void rig_init(struct rig *r)
{
    memset(r, 0, sizeof *r);
    answers = 0;
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

static void node_make(struct rig_node *n, uint32_t incarnation, const struct node_config *c)
{
    node_init(n->node, c, ++salts * UINT64_C(0x9e3779b97f4a7c15), incarnation);
    int restored = n->stored_length > 0 ? node_restore(n->node, n->stored, n->stored_length) : 0;
    assert(restored == 0);
}

void rig_resume(struct rig *r, int i, uint32_t incarnation, const struct node_config *c)
{
    struct rig_node *n = &r->node[i];
    struct node_heritage heritage = {
        .plan = &n->plan,
        .left = instant_diff(n->lease_until, r->now),
        .stream = node_stream(n->node),
    };
    if (heritage.left <= 0) {
        rig_start_with(r, i, incarnation, c);
        return;
    }
    for (unsigned b = 0; b < c->buckets; b++)
        if (n->plan.class_of[b] == CLASS_RELEASE)
            n->plan.class_of[b] = CLASS_LINGER;
    node_make(n, incarnation, c);
    node_inherit(n->node, &heritage);
    n->running = true;
    n->exits = 0;
    rig_event(r, i, EVENT_START);
}

void rig_start_with(struct rig *r, int i, uint32_t incarnation, const struct node_config *c)
{
    struct rig_node *n = &r->node[i];
    node_make(n, incarnation, c);
    plan_init(&n->plan, c->buckets);
    n->lease_until = INSTANT_PAST;
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

void rig_kill(struct rig *r, int i)
{
    r->node[i].running = false;
}

void rig_part(struct rig *r, int a, int b, bool parted)
{
    r->deaf[a][b] = r->deaf[b][a] = parted;
}

/* Puts it where its time is. */
static void fly(struct packet *p)
{
    struct packet **at = &flying;
    while (*at != NULL && !instant_before(p->at, (*at)->at))
        at = &(*at)->next;
    p->next = *at;
    *at = p;
}

/* Version and type are in the clear. */
static void record(struct rig *r, int from, const uint8_t *data, size_t length)
{
    struct rig_node *n = &r->node[from];
    enum { VERSION_AT = 4, TYPE_AT = 5 };
    if (data[TYPE_AT] == SEAL_TYPE_RELAY) {
        n->relays++;
        return;
    }
    struct rig_datagram *said = &n->said[data[VERSION_AT]];
    memcpy(said->data, data, length);
    said->length = length;
    n->says[data[VERSION_AT]]++;
    memcpy(r->last, data, length);
    r->last_length = length;
}

static void send(struct rig *r, int from, const uint8_t *data, size_t length)
{
    assert(length > 0);
    record(r, from, data, length);
    if (r->tap != NULL)
        r->tap(r, from, data, length);
    for (int i = 0; i < RIG_NODES && !r->node[from].cut; i++) {
        if (i == from || !r->node[i].running || r->node[i].cut || r->deaf[i][from])
            continue;
        struct packet *p = calloc(1, sizeof *p);
        p->at = instant_add(r->now, DELAY);
        p->to = i;
        p->length = length;
        memcpy(p->data, data, length);
        fly(p);
    }
}

static void answer_later(int i, const struct event *e)
{
    assert(answers < ANSWERS_MAX);
    answer[answers].node = i;
    answer[answers++].event = *e;
}

/* A plan, or else a renewal. */
static void kernel(struct rig *r, int i, const struct plan *plan, usec span)
{
    struct rig_node *n = &r->node[i];
    if (n->mute_kernel)
        return;
    struct event e = {.kind = EVENT_APPLIED};
    e.applied.error = plan != NULL ? n->fail : n->fail_renew;
    e.applied.generation = plan != NULL ? plan->generation : 0;
    if (plan != NULL && n->fail == 0)
        n->plan = *plan;
    if (plan == NULL && n->fail_renew == 0)
        n->lease_until = instant_add(r->now, span);
    if (r->watch != NULL)
        r->watch(r);
    answer_later(i, &e);
}

static void act(struct rig *r, int i, const struct action *a)
{
    switch (a->kind) {
    case ACTION_SEND:
        send(r, i, a->send.data, a->send.length);
        return;
    case ACTION_APPLY:
        kernel(r, i, a->plan, 0);
        return;
    case ACTION_RENEW:
        kernel(r, i, NULL, a->renew.span);
        return;
    case ACTION_COUNT: {
        struct event e = {.kind = EVENT_FLOWS, .flows = {r->node[i].flows}};
        r->node[i].counts++;
        answer_later(i, &e);
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

static void step(struct rig *r, int i, const struct event *e)
{
    struct actions *out = malloc(sizeof *out);
    node_step(r->node[i].node, r->now, e, out);
    for (size_t k = 0; k < out->count; k++)
        act(r, i, &out->item[k]);
    free(out);
    if (r->watch != NULL)
        r->watch(r);
}

void rig_step(struct rig *r, int i, const struct event *e)
{
    step(r, i, e);
    while (answers > 0) {
        struct event next = answer[0].event;
        int node = answer[0].node;
        memmove(&answer[0], &answer[1], --answers * sizeof answer[0]);
        if (r->node[node].running)
            step(r, node, &next);
    }
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
            if (!r->node[i].running || r->node[i].paused)
                continue;
            instant due = node_deadline(r->node[i].node);
            if (due.us != INSTANT_NEVER.us)
                due = instant_add(due, r->node[i].late);
            if (!instant_before(due, next))
                continue;
            next = due;
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
        if (r->node[p->to].paused) {
            p->at.us = (r->now.us / PAUSED_AGAIN + 1) * PAUSED_AGAIN; /* all in order */
            fly(p);
            continue;
        }
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

const struct note *rig_last_note(const struct rig *r, int i, enum note_kind kind)
{
    for (unsigned k = r->notes; k > 0; k--)
        if (r->note[k - 1].node == i && r->note[k - 1].note.kind == kind)
            return &r->note[k - 1].note;
    return NULL;
}

bool rig_claims(const struct rig *r, int i, unsigned bucket)
{
    const struct rig_node *n = &r->node[i];
    return class_claims((enum bucket_class)n->plan.class_of[bucket]) &&
           instant_before(r->now, n->lease_until);
}

unsigned rig_claimants(const struct rig *r, unsigned bucket)
{
    unsigned claims = 0;
    for (int i = 0; i < RIG_NODES; i++)
        claims += rig_claims(r, i, bucket);
    return claims;
}

bool rig_covered(const struct rig *r)
{
    for (unsigned b = 0; b < 64; b++)
        if (rig_claimants(r, b) != 1)
            return false;
    return true;
}

void rig_nobody_twice(struct rig *r)
{
    for (unsigned b = 0; b < 64; b++)
        assert(rig_claimants(r, b) <= 1);
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

static bool ghost_open(const struct ghost *g, const uint8_t *data, size_t length,
                       struct heartbeat *heard)
{
    uint8_t plain[DATAGRAM_MAX];
    struct seal seal;
    struct seal_stamp stamp;
    size_t plain_length = 0;
    seal_init(&seal, g->config.cluster, g->config.key);
    return seal_open(&seal, data, length, &stamp, plain, &plain_length) == REJECT_NONE &&
           stamp.version <= g->say.version &&
           heartbeat_read(heard, stamp.version, plain, plain_length) == 0;
}

static void ghost_take(struct ghost *g, const struct heartbeat *heard)
{
    g->say.view = heard->view;
    g->say.ack[g->say.acks++] = (struct heartbeat_ack){
        .member = member_id(heard->name),
        .stamp = heard->salt + heard->sequence,
        .proof = 0,
    };
}

void ghost_listen(struct ghost *g, const struct rig *r)
{
    static struct heartbeat heard;
    if (!ghost_open(g, r->last, r->last_length, &heard))
        return;
    g->say.acks = 0;
    ghost_take(g, &heard);
}

bool ghost_hear(struct ghost *g, const struct rig *r, int from)
{
    static struct heartbeat heard;
    const struct rig_datagram *said = &r->node[from].said[g->say.version];
    if (!ghost_open(g, said->data, said->length, &heard))
        return false;
    ghost_take(g, &heard);
    return true;
}

bool ghost_read(const struct ghost *g, const struct rig *r, struct heartbeat *heard)
{
    return ghost_open(g, r->last, r->last_length, heard);
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

void ghost_mingle(struct ghost *g, struct rig *r, usec span)
{
    instant end = instant_add(r->now, span);
    while (instant_before(r->now, end)) {
        uint8_t data[DATAGRAM_MAX];
        g->say.acks = 0;
        for (int i = 0; i < RIG_NODES; i++)
            if (r->node[i].running)
                ghost_hear(g, r, i);
        size_t length = ghost_seal(g, data);
        for (int i = 0; i < RIG_NODES; i++)
            if (r->node[i].running)
                rig_hand(r, i, data, length);
        rig_run(r, 50 * USEC_PER_MS);
    }
}
