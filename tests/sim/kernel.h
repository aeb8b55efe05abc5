/*
 * The fake kernel of a host: the plan in force, the lease, and commits that
 * take time, come in order, and sometimes fail and change nothing.
 */
#ifndef SIM_KERNEL_H
#define SIM_KERNEL_H

#include "ipclusterd/plan.h"
#include "queue.h"

struct world;

struct kernel {
    struct plan plan, next; /* in force; in flight */
    bool applying;          /* next is in flight */
    bool jammed;            /* every commit fails */
    bool keep_lapsed;       /* for tests of the checks: a lease never ends */
    int64_t lease_until;    /* us of virtual time */
    int64_t renewed_at;
    int64_t asked_at;   /* when that renewal was asked for */
    int64_t busy_until; /* commits are carried out one after another */
    int64_t held_until; /* one kept its daemon waiting for longer than usual, up to then */
    bool refused;       /* the last plan failed */
    uint32_t flows[BUCKETS_MAX];
    int64_t flowless_since[BUCKETS_MAX]; /* when the last flow of the bucket ended */
};

/* Empties host i's kernel of our state: all foreign, no lease. Flows stay. */
void kernel_clear(struct world *w, unsigned i);

/* A daemon starts over what the last one left under a lease that still runs: what
 * was being forwarded lingers, the rest stays. */
const struct plan *kernel_keep(struct world *w, unsigned i);

/* Host i's daemon commits a plan. */
void kernel_commit(struct world *w, unsigned i, const struct plan *plan);

/* It renews the lease, for so long. */
void kernel_renew(struct world *w, unsigned i, usec span);

/* HAPPEN_EFFECT. */
void kernel_take_effect(struct world *w, const struct happening *h);

bool kernel_leased(const struct kernel *k, int64_t now);

#endif
