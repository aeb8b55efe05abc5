/*
 * A commit changes everything it says or nothing, at one instant. A daemon
 * that is stopped meanwhile does not stop its commit; one that is killed does.
 */
#include "kernel.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "world.h"

bool kernel_leased(const struct kernel *k, int64_t now)
{
    return now < k->lease_until || k->keep_lapsed;
}

/* Puts `plan` in force and tells the checks of what changed. */
static void kernel_change(struct world *w, unsigned i, const struct plan *plan)
{
    struct kernel *k = &w->host[i].kernel;
    struct bitmap changed = {0};
    w->checks.moves++;
    for (unsigned b = 0; b < w->scenario.buckets; b++) {
        enum bucket_class old = k->plan.class_of[b];
        if (old == plan->class_of[b] && plan->class_of[b] != CLASS_RELEASE)
            continue;
        bitmap_set(&changed, b);
        k->plan.class_of[b] = plan->class_of[b];
        k->plan.target_of[b] = plan->target_of[b];
        check_class_changed(w, i, b, old);
    }
    memcpy(k->plan.target, plan->target, sizeof k->plan.target);
    k->plan.generation = plan->generation;
    if (bitmap_empty(&changed))
        return;
    check_kernel_changed(w, i, false);
    for (unsigned b = 0; b < w->scenario.buckets; b++)
        if (bitmap_test(&changed, b) && k->plan.class_of[b] == CLASS_OWN)
            flow_probe(w, b);
}

void kernel_clear(struct world *w, unsigned i)
{
    struct kernel *k = &w->host[i].kernel;
    k->applying = k->refused = false;
    k->busy_until = w->now;
    k->lease_until = k->renewed_at = k->asked_at = k->held_until = INT64_MIN / 4;
    plan_init(&k->next, (uint16_t)w->scenario.buckets);
    kernel_change(w, i, &k->next);
}

const struct plan *kernel_keep(struct world *w, unsigned i)
{
    struct kernel *k = &w->host[i].kernel;
    k->applying = false;
    k->busy_until = w->now;
    plan_init(&k->next, (uint16_t)w->scenario.buckets);
    for (unsigned b = 0; b < w->scenario.buckets; b++) {
        uint8_t class = k->plan.class_of[b];
        k->next.class_of[b] = class == CLASS_RELEASE ? (uint8_t)CLASS_LINGER : class;
    }
    kernel_change(w, i, &k->next);
    return &k->plan;
}

/* The happening takes its turn in the kernel. */
static void kernel_ask(struct world *w, unsigned i, struct happening *h)
{
    struct kernel *k = &w->host[i].kernel;
    const struct kernel_profile *p = &w->kernel_profile;
    usec takes = rng_between(&w->rng, p->commit_min, p->commit_max);
    if (rng_chance(&w->rng, p->slow))
        takes = rng_between(&w->rng, p->commit_max, p->slow_max);
    int64_t start = k->busy_until > w->now ? k->busy_until : w->now;
    k->busy_until = start + takes;
    if (k->busy_until - w->now > 2 * p->commit_max)
        k->held_until = k->busy_until;
    h->kind = HAPPEN_EFFECT;
    h->node = (uint16_t)i;
    h->boot = w->host[i].boot;
    h->error = k->jammed || rng_chance(&w->rng, p->fail) ? -ENOBUFS : 0;
    world_later(w, k->busy_until - w->now, h);
}

void kernel_commit(struct world *w, unsigned i, const struct plan *plan)
{
    struct kernel *k = &w->host[i].kernel;
    if (k->applying)
        check_fail(w, CHECK_CONTRACT, "node%02u has two plans in flight", i);
    if (plan->buckets != w->scenario.buckets || plan->generation == 0)
        check_fail(w, CHECK_CONTRACT, "node%02u sends a plan without sense", i);
    k->next = *plan;
    k->applying = true;
    struct happening h = {.arg = plan->generation};
    kernel_ask(w, i, &h);
}

void kernel_renew(struct world *w, unsigned i, usec span)
{
    struct happening h = {.span = span};
    kernel_ask(w, i, &h);
}

/* The span counts from the asking, but for what the shell lets pass: a commit
 * that takes longer than half of what is between lease and dead_after is cut. */
static void kernel_lease(struct world *w, const struct happening *h)
{
    struct kernel *k = &w->host[h->node].kernel;
    usec spare = (w->scenario.dead_after - w->scenario.lease) / 2;
    usec late = w->now - h->made_at < spare ? w->now - h->made_at : spare;
    bool lapsed = !kernel_leased(k, w->now);
    w->checks.moves++;
    k->renewed_at = w->now;
    k->asked_at = h->made_at;
    k->lease_until = h->made_at + world_span(w, h->node, h->span) + late;
    check_kernel_changed(w, h->node, lapsed);
}

void kernel_take_effect(struct world *w, const struct happening *h)
{
    struct host *host = &w->host[h->node];
    struct kernel *k = &host->kernel;
    if (h->error == 0 && h->arg == 0) {
        kernel_lease(w, h);
    } else if (h->error == 0) {
        assert(k->applying && k->next.generation == h->arg);
        kernel_change(w, h->node, &k->next);
    }
    if (h->arg != 0) {
        if (k->refused || h->error != 0)
            k->held_until = w->now;
        k->refused = h->error != 0;
        k->applying = false;
    }
    if (host->doomed && h->arg != 0 && h->error == 0) {
        host->doomed = false;
        world_kill_daemon(w, h->node);
        return;
    }
    struct happening applied = *h;
    applied.kind = HAPPEN_APPLIED;
    world_later(w, rng_between(&w->rng, 5, 50), &applied);
}
