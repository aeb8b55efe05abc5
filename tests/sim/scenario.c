/*
 * Swarm testing: each run gets its own size, timing and selection of faults,
 * since a run with everything at once hides what a few faults alone would
 * show.
 */
#include "scenario.h"

#include "rng.h"

/* Half of the runs have equal weights. */
static void draw_weights(struct scenario *s, struct rng *r)
{
    bool equal = rng_chance(r, 500000);
    for (unsigned i = 0; i < s->nodes; i++) {
        uint16_t w = 100;
        if (!equal)
            w = rng_chance(r, 100000) ? 0 : (uint16_t)rng_between(r, 1, WEIGHT_MAX);
        s->weight[i] = w;
    }
    if (s->weight[0] == 0)
        s->weight[0] = 100;
    if (s->nodes > 1 && s->weight[1] == 0)
        s->weight[1] = 1;
}

static void draw_net(struct scenario *s, struct rng *r)
{
    usec jitter = rng_between(r, 10, s->interval / 20);
    s->net_calm =
        (struct net_profile){.delay_min = rng_between(r, 20, 200), .delay_jitter = jitter};
    s->net_storm = s->net_calm;
    if ((s->faults & faults_of_loss()) == 0)
        return;
    struct net_profile *p = &s->net_storm;
    p->loss = rng_chance(r, 500000) ? (uint32_t)rng_between(r, 100, 50000) : 0;
    p->twice = rng_chance(r, 500000) ? (uint32_t)rng_between(r, 100, 50000) : 0;
    p->late = rng_chance(r, 500000) ? (uint32_t)rng_between(r, 100, 50000) : 0;
    p->corrupt = rng_chance(r, 300000) ? (uint32_t)rng_between(r, 100, 20000) : 0;
    p->delay_jitter = rng_between(r, jitter, s->interval / 3);
    p->late_max = rng_scaled(r, s->interval, 20 * s->interval);
}

static void draw_kernel(struct scenario *s, struct rng *r)
{
    s->kernel_calm = (struct kernel_profile){
        .commit_min = 50, .commit_max = rng_between(r, 100, 2000), .slow_max = 2000};
    s->kernel_storm = s->kernel_calm;
    if ((s->faults & faults_of_kernel()) == 0)
        return;
    s->kernel_storm.fail = rng_chance(r, 500000) ? (uint32_t)rng_between(r, 1000, 100000) : 0;
    s->kernel_storm.slow = rng_chance(r, 500000) ? (uint32_t)rng_between(r, 1000, 50000) : 0;
    s->kernel_storm.slow_max = rng_between(r, 2000, s->interval / 2 + 2000);
}

/* The usual proportions, or others that the configuration allows. */
static void draw_timing(struct scenario *s, struct rng *r)
{
    s->dead_after = 4 * s->interval;
    s->lease = 3 * s->interval;
    if (!rng_chance(r, 300000))
        return;
    s->dead_after = rng_between(r, 3 * s->interval, 8 * s->interval);
    s->lease = rng_between(r, 2 * s->interval, s->dead_after - s->interval / 2);
    if (!s->majority)
        return;
    /* What a majority has backed is up to two intervals old, and lasts one more. */
    s->dead_after = rng_between(r, 4 * s->interval, 8 * s->interval);
    s->lease = rng_between(r, 3 * s->interval, s->dead_after - s->interval / 2);
}

/* Sizes and timing. Small clusters are likelier: they find more per second. */
static void draw_size(struct scenario *s, struct rng *r, const struct scenario_wish *wish)
{
    unsigned top = (unsigned)rng_scaled(r, 2, 16);
    s->nodes = rng_chance(r, 20000) ? 1 : (unsigned)rng_between(r, 2, top);
    s->buckets = 16u << rng_below(r, 7);
    if (wish->nodes != 0)
        s->nodes = wish->nodes;
    /* Many nodes with short intervals are dear and show nothing of their own. */
    usec shortest = 10000 * (1 + s->nodes * s->nodes / 32);
    s->interval = rng_scaled(r, shortest < 80000 ? shortest : 80000, 200000);
    if (s->nodes > 64)
        s->interval *= 10;
    if (wish->buckets != 0)
        s->buckets = wish->buckets;
    if (wish->interval != 0)
        s->interval = wish->interval;
    s->majority = rng_chance(r, 333333);
    draw_timing(s, r);
    s->orphan_after =
        rng_chance(r, 500000) ? USEC_PER_S : rng_between(r, s->interval, 2 * USEC_PER_S);
    s->timer_late = rng_between(r, 1, s->interval / 10);

    /* What matters is the number of intervals: as many for short ones, and
     * fewer where each interval means many datagrams. */
    usec intervals = 12000 / (s->nodes * s->nodes);
    intervals = intervals > 400 ? 400 : intervals < 100 ? 100 : intervals;
    s->duration = intervals * s->interval;
    if (s->duration > 60 * USEC_PER_S)
        s->duration = 60 * USEC_PER_S;
    if (wish->duration != 0)
        s->duration = wish->duration;
    s->storm_max = rng_scaled(r, 10 * s->dead_after, (s->nodes > 8 ? 20 : 60) * s->dead_after);
    s->fault_every = rng_scaled(r, s->interval, 5 * s->dead_after);
}

/* What the cluster's configuration asks for beside the timing. */
static void draw_policy(struct scenario *s, struct rng *r)
{
    if (s->majority) {
        s->founders = rng_chance(r, 500000) || s->nodes == 1; /* one alone founds nothing */
        s->careless = !s->founders && s->nodes > 2 && rng_chance(r, 400000);
        if (s->careless) /* of two voters that are left one must not lose its memory */
            s->faults &= ~FAULT_BIT(FAULT_FORGET);
        s->forget_incarnation = 0; /* with its memory a voter would lose its votes */
        s->clock_ppm = s->clock_ppm > 200 ? 200 : s->clock_ppm;
    }
    s->witness = rng_chance(r, 200000);
    s->rekey = rng_chance(r, 200000);
    if (rng_chance(r, 300000)) {
        s->penalty = 1000;
        s->half_life = rng_scaled(r, USEC_PER_S, 60 * USEC_PER_S);
        s->max_hold = rng_between(r, s->half_life, 10 * s->half_life);
    }
}

void scenario_draw(struct scenario *s, uint64_t seed, const struct scenario_wish *wish)
{
    struct rng r = rng_make(seed, 1);
    *s = (struct scenario){.seed = seed};
    draw_size(s, &r, wish);
    uint32_t swarm = (uint32_t)rng_next(&r);
    if (rng_chance(&r, 300000))
        swarm = UINT32_MAX;
    else if (rng_chance(&r, 400000))
        swarm &= (uint32_t)rng_next(&r); /* few kinds, so each of them often */
    bool all = wish->faults < 0 || wish->faults == (int64_t)faults_all();
    s->faults = all ? swarm & faults_all() : (uint32_t)wish->faults;
    draw_weights(s, &r);
    draw_net(s, &r);
    draw_kernel(s, &r);
    s->connect_every = rng_scaled(&r, s->interval / 20, s->interval);
    s->segment_every = rng_scaled(&r, s->interval / 20, s->interval / 2);
    s->forget_incarnation = rng_chance(&r, 400000) ? 300000 : 0;
    s->clock_ppm = rng_chance(&r, 500000) ? 50 : 500;
    draw_policy(s, &r);
}
