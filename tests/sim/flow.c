/*
 * Flows do nothing but be there: what matters is who would answer them.
 */
#include "flow.h"

#include <string.h>

#include "world.h"

void flows_reset(struct flows *f, const struct scenario *s)
{
    memset(f, 0, sizeof *f);
    f->rng = rng_make(s->seed ^ rng_mix(s->noise), 3);
    memset(f->head, 0xff, sizeof f->head);
    for (size_t i = 0; i < FLOWS_MAX; i++)
        f->free[f->free_count++] = (uint16_t)(FLOWS_MAX - 1 - i);
}

/* Its host no longer has it. */
static void flow_ended(struct world *w, const struct flow *f)
{
    struct kernel *k = &w->host[f->node].kernel;
    if (--k->flows[f->bucket] == 0)
        k->flowless_since[f->bucket] = w->now;
}

static void flow_unlink(struct world *w, int i)
{
    struct flows *all = &w->flows;
    struct flow *f = &all->item[i];
    if (!f->orphan)
        flow_ended(w, f);
    if (f->next != FLOW_NONE)
        all->item[f->next].previous = f->previous;
    if (f->previous != FLOW_NONE)
        all->item[f->previous].next = f->next;
    else
        all->head[f->bucket] = f->next;
    uint16_t last = all->live[--all->live_count];
    all->live[f->place] = last;
    all->item[last].place = f->place;
    all->free[all->free_count++] = (uint16_t)i;
    f->number = 0;
}

int flow_open(struct world *w, unsigned bucket, unsigned host, usec life)
{
    struct flows *all = &w->flows;
    if (all->free_count == 0)
        return FLOW_NONE;
    int i = all->free[--all->free_count];
    struct flow *f = &all->item[i];
    *f = (struct flow){
        .number = ++all->numbers,
        .next = all->head[bucket],
        .previous = FLOW_NONE,
        .place = (uint16_t)all->live_count,
        .bucket = (uint16_t)bucket,
        .node = (uint16_t)host,
    };
    if (f->next != FLOW_NONE)
        all->item[f->next].previous = (int16_t)i;
    all->head[bucket] = (int16_t)i;
    all->live[all->live_count++] = (uint16_t)i;
    all->opened++;
    w->host[host].kernel.flows[bucket]++;
    trace_number(&w->trace, (uint64_t)f->number << 32 | bucket << 8 | host);
    if ((int)bucket == w->trace.watch)
        trace_line(&w->trace, w->now, (int)host, "bucket %u: new flow", bucket);
    struct happening h = {.kind = HAPPEN_FLOW_END, .arg = (uint64_t)f->number << 16 | (uint64_t)i};
    world_later(w, life, &h);
    return i;
}

void flow_end(struct world *w, uint64_t handle)
{
    int i = (int)(handle & 0xffff);
    if (w->flows.item[i].number == handle >> 16)
        flow_unlink(w, i);
}

/* Most are short; one in twenty outlives nearly everything. */
static usec flow_life(struct world *w)
{
    struct rng *r = &w->flows.rng;
    uint64_t kind = rng_below(r, 20);
    if (kind == 0)
        return rng_between(r, 30 * USEC_PER_S, 600 * USEC_PER_S);
    if (kind < 5)
        return rng_between(r, 200 * USEC_PER_MS, 5 * USEC_PER_S);
    return rng_between(r, 5 * USEC_PER_MS, 200 * USEC_PER_MS);
}

void flow_connect(struct world *w)
{
    struct flows *all = &w->flows;
    unsigned bucket = (unsigned)rng_below(&all->rng, w->scenario.buckets);
    struct hosts acceptors = check_acceptors(w, bucket);
    usec life = flow_life(w);
    unsigned skip = (unsigned)rng_below(&all->rng, HOSTS_MAX);
    int host = hosts_first(&acceptors);
    if (host == HOST_NONE) {
        all->unserved++;
        trace_number(&w->trace, bucket);
    } else {
        for (skip %= hosts_count(&acceptors); skip > 0; skip--)
            host = hosts_next(&acceptors, host);
        flow_open(w, bucket, (unsigned)host, life);
    }
    struct happening h = {.kind = HAPPEN_CONNECT};
    world_later(w, rng_between(&all->rng, 1, 2 * w->scenario.connect_every), &h);
}

/* Host x has started while the other is, or while it is itself, none of the cluster for its
 * VIPs: they were never members together, so it knows of no flows. */
static bool never_met(const struct world *w, unsigned x, unsigned other)
{
    unsigned of[] = {x, other};
    for (unsigned k = 0; k < 2; k++) {
        const struct host *h = &w->host[of[k]];
        if (h->vips >= VIPS_LISTS && h->misfit_since <= w->host[x].started_at)
            return true;
    }
    return false;
}

/* Host x answers the flow's segment with a reset. False if that ends it. */
static bool flow_reset_by(struct world *w, int i, unsigned x)
{
    struct flow *f = &w->flows.item[i];
    const struct host *holder = &w->host[f->node];
    bool wrong = false;
    int64_t dead_for = -1;
    if (f->orphan) {
        dead_for = w->now - f->died_at;
        wrong = x != f->node && dead_for < w->scenario.orphan_after &&
                net_heard_until(w, f->node, x, f->died_at);
    } else if (f->excused) {
        w->flows.broken_by_restart++;
    } else if (holder->state == HOST_RUNNING) {
        wrong = net_connected(w, x, f->node) && net_able(w, x) && net_able(w, f->node) &&
                !never_met(w, x, f->node);
    } else {
        dead_for = w->now - holder->stopped_at;
        wrong = dead_for < w->scenario.orphan_after &&
                net_heard_until(w, f->node, x, holder->stopped_at);
    }
    if (wrong && dead_for < 0)
        check_fail(w, CHECK_S5, "node%02u resets a flow of bucket %u that lives on node%02u", x,
                   f->bucket, f->node);
    else if (wrong)
        check_fail(w, CHECK_S5,
                   "node%02u resets a flow of bucket %u, node%02u has been dead only %lld us", x,
                   f->bucket, f->node, (long long)dead_for);
    w->flows.resets++;
    flow_unlink(w, i);
    return false;
}

/* A segment in the middle of the flow, at every host. */
static bool flow_try(struct world *w, int i)
{
    struct flow *f = &w->flows.item[i];
    w->flows.segments++;
    if (!f->orphan && !f->excused &&
        w->host[f->node].kernel.plan.class_of[f->bucket] == CLASS_FOREIGN)
        check_fail(w, CHECK_S4, "node%02u drops its flow of bucket %u", f->node, f->bucket);
    for (unsigned x = 0; x < w->scenario.nodes; x++) {
        if ((x == f->node && !f->orphan) || !world_kernel_up(w, x) ||
            w->host[x].kernel.plan.class_of[f->bucket] != CLASS_OWN ||
            !kernel_leased(&w->host[x].kernel, w->now))
            continue;
        return flow_reset_by(w, i, x);
    }
    return true;
}

void flow_probe(struct world *w, unsigned bucket)
{
    int16_t i = w->flows.head[bucket];
    while (i != FLOW_NONE) {
        int16_t next = w->flows.item[i].next;
        flow_try(w, i);
        i = next;
    }
}

void flow_segment(struct world *w)
{
    struct flows *all = &w->flows;
    if (all->live_count > 0)
        flow_try(w, all->live[rng_below(&all->rng, all->live_count)]);
    struct happening h = {.kind = HAPPEN_SEGMENT};
    world_later(w, rng_between(&all->rng, 1, 2 * w->scenario.segment_every), &h);
}

void flow_host_died(struct world *w, unsigned host)
{
    struct flows *all = &w->flows;
    for (size_t k = 0; k < all->live_count; k++) {
        struct flow *f = &all->item[all->live[k]];
        if (f->node != host || f->orphan)
            continue;
        f->orphan = true;
        f->died_at = w->now;
        flow_ended(w, f);
    }
}

void flow_daemon_restarted(struct world *w, unsigned host)
{
    struct flows *all = &w->flows;
    for (size_t k = 0; k < all->live_count; k++)
        if (all->item[all->live[k]].node == host)
            all->item[all->live[k]].excused = true;
}

void flow_host_left(struct world *w, unsigned host)
{
    struct flows *all = &w->flows;
    for (size_t k = all->live_count; k > 0; k--) {
        int i = all->live[k - 1];
        if (all->item[i].node == host && !all->item[i].orphan)
            flow_unlink(w, i);
    }
}

void flow_shut_out(struct world *w, unsigned i, unsigned bucket)
{
    if (w->host[i].kernel.flows[bucket] == 0)
        return;
    unsigned count = 0;
    int16_t k = w->flows.head[bucket];
    while (k != FLOW_NONE) {
        const struct flow *f = &w->flows.item[k];
        int16_t next = f->next;
        if (f->node == i && !f->orphan && !f->excused) {
            count++;
            flow_unlink(w, k); /* told of once */
        }
        k = next;
    }
    if (count > 0)
        check_fail(w, CHECK_S4, "node%02u shuts out %u flows of bucket %u", i, count, bucket);
}
