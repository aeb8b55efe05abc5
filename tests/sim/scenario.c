/*
 * Swarm testing: each run gets its own size, timing and selection of faults,
 * since a run with everything at once hides what a few faults alone would
 * show.
 */
#include "scenario.h"

#include <string.h>

#include "rng.h"

static const char *const fault_names[FAULT_KINDS] = {
    [FAULT_HOST_CRASH] = "host-crash",
    [FAULT_DAEMON_CRASH] = "daemon-crash",
    [FAULT_PAUSE] = "pause",
    [FAULT_LEAVE] = "leave",
    [FAULT_DRAIN] = "drain",
    [FAULT_HEALTH] = "health",
    [FAULT_RELOAD] = "reload",
    [FAULT_PARTITION] = "partition",
    [FAULT_ONE_WAY] = "one-way",
    [FAULT_LINK] = "link",
    [FAULT_BURST] = "burst",
    [FAULT_SLOW_NET] = "slow-net",
    [FAULT_JUNK] = "junk",
    [FAULT_JAM] = "jam",
    [FAULT_SLOW_KERNEL] = "slow-kernel",
};

#define F(name) (1u << FAULT_##name)
#define LOSS_FAULTS (F(BURST) | F(SLOW_NET) | F(JUNK))
#define CRASH_FAULTS \
    (F(HOST_CRASH) | F(DAEMON_CRASH) | F(PAUSE) | F(LEAVE) | F(DRAIN) | F(HEALTH) | F(RELOAD))
#define PARTITION_FAULTS (F(PARTITION) | F(LINK))
#define KERNEL_FAULTS (F(JAM) | F(SLOW_KERNEL))
#define ALL_FAULTS (LOSS_FAULTS | CRASH_FAULTS | PARTITION_FAULTS | KERNEL_FAULTS)

static const struct {
    const char *name;
    uint32_t faults;
} fault_sets[] = {
    {"none", 0},
    {"loss", LOSS_FAULTS},
    {"crash", CRASH_FAULTS | KERNEL_FAULTS},
    {"partition", PARTITION_FAULTS},
    {"all", ALL_FAULTS},
    {"oneway", ALL_FAULTS | F(ONE_WAY)},
};

const char *fault_name(enum fault f)
{
    return fault_names[f];
}

int64_t faults_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof fault_sets / sizeof *fault_sets; i++)
        if (strcmp(fault_sets[i].name, name) == 0)
            return fault_sets[i].faults;
    for (int f = 0; f < FAULT_KINDS; f++)
        if (strcmp(fault_names[f], name) == 0)
            return (int64_t)1 << f;
    return -1;
}

/* Half of the runs have equal weights. */
static void draw_weights(struct scenario *s, struct rng *r)
{
    bool equal = rng_chance(r, 500000);
    for (unsigned i = 0; i < HOSTS_MAX; i++) {
        uint16_t w = 100;
        if (!equal)
            w = rng_chance(r, 100000) ? 0 : (uint16_t)rng_between(r, 1, WEIGHT_MAX);
        s->weight[i] = w;
    }
    if (s->weight[0] == 0)
        s->weight[0] = 100;
    if (s->weight[1] == 0)
        s->weight[1] = 1;
}

static void draw_net(struct scenario *s, struct rng *r)
{
    usec jitter = rng_between(r, 10, s->interval / 20);
    s->net_calm =
        (struct net_profile){.delay_min = rng_between(r, 20, 200), .delay_jitter = jitter};
    s->net_storm = s->net_calm;
    if ((s->faults & LOSS_FAULTS) == 0)
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
    if ((s->faults & KERNEL_FAULTS) == 0)
        return;
    s->kernel_storm.fail = rng_chance(r, 500000) ? (uint32_t)rng_between(r, 1000, 100000) : 0;
    s->kernel_storm.slow = rng_chance(r, 500000) ? (uint32_t)rng_between(r, 1000, 50000) : 0;
    s->kernel_storm.slow_max = rng_between(r, 2000, s->interval / 2 + 2000);
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
    if (wish->buckets != 0)
        s->buckets = wish->buckets;
    if (wish->interval != 0)
        s->interval = wish->interval;
    s->dead_after = 4 * s->interval;
    s->lease = 3 * s->interval;
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

void scenario_draw(struct scenario *s, uint64_t seed, const struct scenario_wish *wish)
{
    struct rng r = rng_make(seed, 1);
    *s = (struct scenario){.seed = seed};
    draw_size(s, &r, wish);
    uint32_t swarm = (uint32_t)rng_next(&r);
    if (rng_chance(&r, 300000))
        swarm = UINT32_MAX;
    if (wish->faults < 0)
        s->faults = swarm & ALL_FAULTS;
    else if (wish->faults == (int64_t)ALL_FAULTS)
        s->faults = swarm & ALL_FAULTS;
    else
        s->faults = (uint32_t)wish->faults;
    draw_weights(s, &r);
    draw_net(s, &r);
    draw_kernel(s, &r);
    s->connect_every = rng_scaled(&r, s->interval / 20, s->interval);
    s->segment_every = rng_scaled(&r, s->interval / 20, s->interval / 2);
    s->forget_incarnation = rng_chance(&r, 300000) ? 200000 : 0;
}
