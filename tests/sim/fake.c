/*
 * It has no protocol: a heartbeat is its host's number. Names are those that
 * world_reset() gives: "nodeNN".
 */
#include "fake.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

struct fake fake[HOSTS_MAX];

struct node {
    struct node_config config;
    unsigned host;
    uint32_t incarnation;
    instant now, tick;
    uint64_t generation;
    bool in_flight, seized;
    struct plan plan, applied;
    uint8_t beat[16];
};

void fake_reset(void)
{
    memset(fake, 0, sizeof fake);
    for (unsigned i = 0; i < HOSTS_MAX; i++)
        for (unsigned b = 0; b < BUCKETS_MAX; b++)
            fake[i].owner[b] = fake[i].home[b] = -1;
}

static size_t fake_bytes(void)
{
    return sizeof(struct node);
}

static void fake_init(struct node *n, const struct node_config *config, uint64_t seed,
                      uint32_t incarnation)
{
    (void)seed;
    memset(n, 0, sizeof *n);
    n->config = *config;
    n->host = (unsigned)atoi(config->name + 4);
    n->incarnation = incarnation;
    plan_init(&n->applied, config->buckets);
}

static int fake_restore(struct node *n, const uint8_t *data, size_t length)
{
    fake[n->host].restored = length > 1 ? data[1] : 0;
    return 0;
}

static void fake_want(const struct node *n, struct plan *p)
{
    const struct fake *f = &fake[n->host];
    plan_init(p, n->config.buckets);
    for (unsigned b = 0; b < n->config.buckets; b++) {
        p->class_of[b] = n->seized ? (uint8_t)CLASS_OWN : f->class_of[b];
        p->target_of[b] = PLAN_TARGET_NONE;
        if (f->class_of[b] != CLASS_RELEASE)
            continue;
        p->target_of[b] = f->target_of[b];
        p->target[f->target_of[b]] = (struct mac){{2, 0, 0, 0, 1, (uint8_t)f->target_of[b]}};
    }
}

static void fake_commit(struct node *n, struct actions *out)
{
    struct plan want;
    if (n->in_flight && !fake[n->host].hasty)
        return;
    fake_want(n, &want);
    if (plan_equal(&want, &n->applied))
        return;
    n->plan = want;
    n->plan.generation = ++n->generation;
    n->in_flight = true;
    struct action *a = &out->item[out->count++];
    a->kind = ACTION_APPLY;
    a->plan = &n->plan;
}

static void fake_send(struct node *n, struct actions *out)
{
    struct action *a = &out->item[out->count++];
    n->beat[0] = (uint8_t)n->host;
    a->kind = ACTION_SEND;
    a->send.data = n->beat;
    a->send.length = sizeof n->beat;
}

static void fake_step(struct node *n, instant now, const struct event *e, struct actions *out)
{
    struct fake *f = &fake[n->host];
    f->steps++;
    n->now = now;
    out->count = out->lost_notes = 0;
    if (e->kind == EVENT_START)
        n->tick = now;
    if (e->kind == EVENT_APPLIED && e->applied.generation == n->plan.generation) {
        n->in_flight = false;
        f->failures += e->applied.error != 0;
        if (e->applied.error == 0)
            n->applied = n->plan;
    }
    if (e->kind == EVENT_FLOWS)
        memcpy(f->flows, e->flows.of, n->config.buckets * sizeof *f->flows);
    if (e->kind == EVENT_CONTROL && e->control.verb == CONTROL_DRAIN && f->seizes)
        n->seized = true;
    if (e->kind == EVENT_CONTROL && f->stores) {
        struct action *a = &out->item[out->count++];
        n->beat[1]++;
        a->kind = ACTION_STORE;
        a->store.data = n->beat;
        a->store.length = sizeof n->beat;
        fake_send(n, out);
    }
    if (e->kind == EVENT_DATAGRAM && f->gullible)
        fake_send(n, out);
    if (e->kind == EVENT_LEAVE && !f->stubborn)
        out->item[out->count++].kind = ACTION_EXIT;
    if (!instant_before(now, n->tick)) {
        n->tick = instant_add(now, n->config.interval);
        if (!f->mute)
            fake_send(n, out);
        if (!f->lapse) {
            out->item[out->count].kind = ACTION_RENEW;
            out->item[out->count++].renew.span = n->config.lease;
        }
        out->item[out->count++].kind = ACTION_COUNT;
    }
    fake_commit(n, out);
}

static instant fake_deadline(const struct node *n)
{
    return fake[n->host].overdue ? n->now : n->tick;
}

static uint32_t fake_incarnation(const struct node *n)
{
    return n->incarnation;
}

static void fake_status(const struct node *n, instant now, struct status *out)
{
    const struct fake *f = &fake[n->host];
    (void)now;
    out->state = NODE_SERVING;
    out->converged = !f->torn;
    out->view = f->view;
    out->members = HOSTS_MAX;
    for (unsigned i = 0; i < HOSTS_MAX; i++)
        snprintf(out->member[i].name, sizeof out->member[i].name, "node%02u", i);
}

static void fake_brief(const struct node *n, struct status_brief *out)
{
    const struct fake *f = &fake[n->host];
    *out = (struct status_brief){
        .state = NODE_SERVING, .converged = !f->torn, .view = f->view, .patience = 0};
}

static void fake_tables(const struct node *n, struct status_tables *out)
{
    static char name[HOSTS_MAX][NAME_BYTES_MAX + 1];
    const struct fake *f = &fake[n->host];
    out->members = HOSTS_MAX;
    for (unsigned i = 0; i < HOSTS_MAX; i++) {
        snprintf(name[i], sizeof name[i], "node%02u", i);
        out->name[i] = name[i];
    }
    for (unsigned b = 0; b < n->config.buckets; b++) {
        out->owner[b] = (int16_t)f->owner[b];
        out->home[b] = (int16_t)f->home[b];
    }
}

const struct brain brain_fake = {
    .bytes = fake_bytes,
    .init = fake_init,
    .restore = fake_restore,
    .step = fake_step,
    .deadline = fake_deadline,
    .incarnation = fake_incarnation,
    .status = fake_status,
    .brief = fake_brief,
    .tables = fake_tables,
};
