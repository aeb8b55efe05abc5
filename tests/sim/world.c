/*
 * The world's making, its time, and what happens in it.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEVER_BEFORE (INT64_MIN / 4)

struct world *world_new(const struct brain *brain)
{
    struct world *w = calloc(1, sizeof *w);
    if (w != NULL) {
        w->host = calloc(HOSTS_MAX, sizeof *w->host);
        w->status = calloc(1, sizeof *w->status);
    }
    if (w == NULL || w->host == NULL || w->status == NULL) {
        fputs("sim: out of memory\n", stderr);
        exit(2);
    }
    w->brain = brain;
    net_init(&w->net);
    queue_init(&w->queue);
    w->trace.watch = -1;
    return w;
}

void world_free(struct world *w)
{
    for (unsigned i = 0; i < HOSTS_MAX; i++)
        free(w->host[i].node);
    net_free(&w->net);
    queue_free(&w->queue);
    free(w->host);
    free(w->status);
    free(w);
}

static void host_reset(struct world *w, unsigned i)
{
    struct host *h = &w->host[i];
    const struct scenario *s = &w->scenario;
    struct node *node = h->node;
    memset(h, 0, sizeof *h);
    h->node = node;
    if (node == NULL && i < s->nodes && (h->node = malloc(w->brain->bytes())) == NULL) {
        fputs("sim: out of memory\n", stderr);
        exit(2);
    }
    h->clock_origin = rng_between(&w->rng, 1000000, INT64_C(1) << 40);
    h->clock_ppm = rng_between(&w->rng, -50, 50);
    h->stepped_at = h->stopped_at = h->started_at = NEVER_BEFORE;
    h->kernel.lease_until = h->kernel.renewed_at = NEVER_BEFORE;
    plan_init(&h->kernel.plan, (uint16_t)s->buckets);
    struct node_config *c = &h->config;
    *c = (struct node_config){
        .cluster = "sim",
        .buckets = (uint16_t)s->buckets,
        .weight = s->weight[i],
        .datagram_max = DATAGRAM_MAX,
        .interval = s->interval,
        .dead_after = s->dead_after,
        .lease = s->lease,
        .orphan_after = s->orphan_after,
        .forget_after = 24 * 3600 * USEC_PER_S,
        .config_digest = 0x51u,
        .mac = {{2, 0, 0, 0, 1, (uint8_t)i}},
        .address = {FAMILY_IP4, {10, 0, 0, (uint8_t)(i + 1)}},
    };
    snprintf(c->name, sizeof c->name, "node%02u", i);
    memset(c->key, 0x6b, sizeof c->key);
}

void world_reset(struct world *w, const struct scenario *s)
{
    w->scenario = *s;
    w->now = 0;
    w->events = 0;
    w->over = false;
    w->rng = rng_make(s->seed, 4);
    w->kernel_profile = s->kernel_calm;
    queue_clear(&w->queue);
    net_reset(&w->net, s);
    flows_reset(&w->flows, s);
    for (unsigned i = 0; i < HOSTS_MAX; i++)
        host_reset(w, i);
    checks_reset(&w->checks, w);
    memset(&w->course, 0, sizeof w->course);
    trace_init(&w->trace, s->seed);
}

void world_later(struct world *w, usec after, const struct happening *h)
{
    struct happening later = *h;
    later.made_at = w->now;
    later.at = w->now + after;
    queue_push(&w->queue, &later);
}

bool world_kernel_up(const struct world *w, unsigned i)
{
    return w->host[i].state != HOST_OFF;
}

int world_host_named(const struct world *w, const char *name)
{
    /* "nodeNN", as host_reset() names them. */
    int i = strlen(name) == 6 ? (name[4] - '0') * 10 + name[5] - '0' : -1;
    return i >= 0 && i < HOSTS_MAX && strcmp(w->host[i].config.name, name) == 0 ? i : -1;
}

int world_host_with_mac(const struct world *w, const struct mac *mac)
{
    int i = mac->byte[5];
    return i < HOSTS_MAX && memcmp(&w->host[i].config.mac, mac, sizeof *mac) == 0 ? i : -1;
}

instant world_clock(const struct world *w, unsigned i)
{
    const struct host *h = &w->host[i];
    return (instant){h->clock_origin + w->now + w->now * h->clock_ppm / 1000000};
}

static void world_happen(struct world *w, const struct happening *h)
{
    trace_number(&w->trace, (uint64_t)h->at << 12 ^ (uint64_t)h->kind << 8 ^ h->node);
    switch (h->kind) {
    case HAPPEN_TIMER:
    case HAPPEN_DELIVER:
    case HAPPEN_APPLIED:
    case HAPPEN_COUNTED:
        host_receive(w, h);
        break;
    case HAPPEN_EFFECT:
        if (w->host[h->node].boot == h->boot)
            kernel_take_effect(w, h);
        break;
    case HAPPEN_CONNECT:
        flow_connect(w);
        break;
    case HAPPEN_SEGMENT:
        flow_segment(w);
        break;
    case HAPPEN_FLOW_END:
        flow_end(w, h->arg);
        break;
    case HAPPEN_FAULT:
        nemesis_strike(w, h);
        break;
    case HAPPEN_UNDO:
        nemesis_undo(w, h);
        break;
    case HAPPEN_PHASE:
        course_look(w);
        break;
    case HAPPEN_START:
        world_start(w, h->node);
        break;
    case HAPPEN_KINDS:
        break;
    }
}

void world_advance(struct world *w, int64_t until)
{
    struct happening h;
    while (!w->over && w->queue.count > 0 && w->queue.item[0].at <= until) {
        queue_pop(&w->queue, &h);
        w->now = h.at;
        w->events++;
        world_happen(w, &h);
        check_always(w);
    }
    if (!w->over && w->now < until)
        w->now = until;
}

void world_run(struct world *w, const struct scenario *s, struct result *out)
{
    world_reset(w, s);
    course_begin(w);
    while (!w->over)
        world_advance(w, w->now + USEC_PER_S);
    *out = (struct result){
        .seed = s->seed,
        .nodes = s->nodes,
        .duration = w->now,
        .events = w->events,
        .worst_takeover = w->checks.worst_takeover,
        .worst_gap = w->checks.worst_gap,
        .worst_heal = w->course.worst_heal,
        .violations = w->checks.violations,
        .flows = w->flows.opened,
        .unserved = w->flows.unserved,
        .resets = w->flows.resets,
        .hash = w->trace.hash,
    };
    memcpy(out->of, w->checks.of, sizeof out->of);
}
