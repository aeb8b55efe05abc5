/*
 * The world's making, its time, and what happens in it.
 */
#include "world.h"

#include "ipclusterd/wire.h"
#include "large.h"

#include <stdio.h>
#include <string.h>

#define NEVER_BEFORE (INT64_MIN / 4)

struct world *world_new(const struct brain *brain)
{
    struct world *w = large_new(sizeof *w);
    w->host = large_new(HOSTS_MAX * sizeof *w->host);
    w->status = large_new(sizeof *w->status);
    w->brain = brain;
    net_init(&w->net);
    queue_init(&w->queue);
    w->trace.watch = -1;
    w->until = -1;
    return w;
}

void world_free(struct world *w)
{
    large_free(w->rooms, w->rooms_bytes);
    net_free(&w->net);
    queue_free(&w->queue);
    large_free(w->host, HOSTS_MAX * sizeof *w->host);
    large_free(w->status, sizeof *w->status);
    large_free(w, sizeof *w);
}

void world_vips(struct world *w, unsigned i, unsigned list)
{
    struct node_config *c = &w->host[i].config;
    list &= list << VIPS_HERE | (VIPS_LISTS - 1); /* what is not there is not another */
    if (w->host[i].vips >= VIPS_LISTS)
        w->host[i].misfit_until = w->now;
    if (list >= VIPS_LISTS)
        w->host[i].misfit_since = w->now;
    w->host[i].vips = list;
    c->config_digest = 0x51u + list;
    c->vips = (struct vips_word){.common = 1};
    for (uint32_t v = 0; v < VIPS_HERE; v++)
        if ((list >> v & 1) != 0)
            vips_add(&c->vips, (struct vip_word){v, list >> (VIPS_HERE + v) & 1});
}

/* Room for the memory of so many nodes. */
static void rooms_make(struct world *w, unsigned nodes)
{
    w->room = (w->brain->bytes() + 63) / 64 * 64; /* lines of a cache */
    size_t bytes = nodes * w->room;
    if (bytes <= w->rooms_bytes)
        return;
    large_free(w->rooms, w->rooms_bytes);
    w->rooms = large_new(bytes);
    w->rooms_bytes = bytes;
}

static void host_reset(struct world *w, unsigned i)
{
    struct host *h = &w->host[i];
    const struct scenario *s = &w->scenario;
    memset(h, 0, sizeof *h);
    h->node = (struct node *)(void *)(w->rooms + i * w->room);
    h->clock_origin = rng_between(&w->rng, 1000000, INT64_C(1) << 40);
    h->clock_ppm = rng_between(&w->rng, -(int64_t)s->clock_ppm, s->clock_ppm);
    h->stepped_at = h->stopped_at = h->started_at = h->misfit_until = NEVER_BEFORE;
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
        .quorum = s->majority ? QUORUM_MAJORITY : QUORUM_NONE,
        .witness = s->witness,
        .flap = {s->penalty, 3 * s->penalty, s->penalty, s->half_life, s->max_hold},
        .mac = {{2, 0, 0, 0, 1, (uint8_t)i}},
        .address = {FAMILY_IP4, {10, 0, (uint8_t)((i + 1) >> 8), (uint8_t)(i + 1)}},
    };
    snprintf(c->name, sizeof c->name, "node%02u", i);
    world_vips(w, i, 1);
    memset(c->key, 0x6b, sizeof c->key);
    if (s->rekey)
        memset(c->key_next, 0x6c, sizeof c->key_next);
    for (unsigned k = 0; k < s->nodes && s->majority && s->founders; k++) {
        char name[NAME_BYTES_MAX + 1];
        snprintf(name, sizeof name, "node%02u", k);
        c->founder[c->founders++] = member_id(name);
    }
}

void world_reset(struct world *w, const struct scenario *s)
{
    w->scenario = *s;
    w->now = 0;
    w->events = 0;
    w->over = false;
    w->rng = rng_make(s->seed ^ rng_mix(s->noise), 4);
    w->stopped = w->unlooked = (struct hosts){{0}};
    w->kernel_profile = s->kernel_calm;
    queue_clear(&w->queue);
    net_reset(&w->net, s);
    flows_reset(&w->flows, s);
    rooms_make(w, s->nodes);
    for (unsigned i = 0; i < s->nodes; i++)
        host_reset(w, i);
    for (unsigned i = 0; i < s->nodes; i++)
        for (unsigned k = 0; k < s->nodes; k++)
            w->host[i].place += strcmp(w->host[k].config.name, w->host[i].config.name) < 0;
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
    return w->host[i].state != HOST_OFF && w->host[i].state != HOST_FROZEN;
}

int world_host_named(const struct world *w, const char *name)
{
    /* "nodeNN", as host_reset() names them. */
    unsigned i = 0;
    for (const char *c = name; *c != '\0' && i < HOSTS_MAX; c++)
        if (*c >= '0' && *c <= '9')
            i = i * 10 + (unsigned)(*c - '0');
    return i < w->scenario.nodes && strcmp(w->host[i].config.name, name) == 0 ? (int)i : -1;
}

int world_host_with_mac(const struct world *w, const struct mac *mac)
{
    unsigned i = mac->byte[5];
    bool same = i < w->scenario.nodes && memcmp(&w->host[i].config.mac, mac, sizeof *mac) == 0;
    return same ? (int)i : -1;
}

instant world_clock(const struct world *w, unsigned i)
{
    const struct host *h = &w->host[i];
    return (instant){h->clock_origin + w->now + w->now * h->clock_ppm / 1000000};
}

usec world_span(const struct world *w, unsigned i, usec on_its_clock)
{
    int64_t rate = 1000000 + w->host[i].clock_ppm;
    /* In two parts: a span may be too long to be multiplied. */
    return on_its_clock / rate * 1000000 + on_its_clock % rate * 1000000 / rate;
}

static void world_happen(struct world *w, const struct happening *h)
{
    trace_number(&w->trace, (uint64_t)h->at << 12 ^ (uint64_t)h->kind << 8 ^ h->node);
    switch (h->kind) {
    case HAPPEN_TIMER:
    case HAPPEN_DELIVER:
    case HAPPEN_APPLIED:
    case HAPPEN_COUNTED:
    case HAPPEN_EFFECT:
        host_receive(w, h);
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
    case HAPPEN_STARVE:
        course_starve(w, h->node);
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
    const struct happening *first;
    struct happening h;
    while (!w->over && (first = queue_first(&w->queue)) != NULL && first->at <= until) {
        h = *first;
        queue_drop(&w->queue, first);
        if ((first = queue_first(&w->queue)) != NULL) {
            ring_expect(&w->queue.soon, first);
            host_expect(w, first);
        }
        w->now = h.at;
        w->events++;
        world_happen(w, &h);
        check_always(w);
    }
    if (!w->over && w->now < until)
        w->now = until;
}

void world_run(struct world *w, struct script *script, struct result *out)
{
    const struct scenario *s = &w->scenario;
    world_reset(w, &script->scenario);
    w->script = script;
    pace_begin(&w->pace);
    course_begin(w);
    while (!w->over)
        world_advance(w, w->now + USEC_PER_S);
    pace_end(&w->pace, w->now);
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
