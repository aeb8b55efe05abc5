/*
 * What is drawn: storms with their strikes, drills, rests. A draw depends on
 * the scenario alone and never on the state of the world, so that a strike
 * means the same when others around it are taken away.
 */
#include "script.h"

static struct hosts host_any(const struct script *s, struct rng *r)
{
    return hosts_of((unsigned)rng_below(r, s->scenario.nodes));
}

/* Each host with this chance; at least one. */
static struct hosts hosts_some(const struct script *s, struct rng *r, uint32_t ppm)
{
    struct hosts some = host_any(s, r);
    for (unsigned i = 0; i < s->scenario.nodes; i++)
        if (rng_chance(r, ppm))
            hosts_set(&some, i);
    return some;
}

static struct hosts hosts_but(const struct script *s, const struct hosts *those)
{
    struct hosts rest = hosts_below(s->scenario.nodes);
    for (unsigned i = 0; i < HOSTS_WORDS; i++)
        rest.word[i] &= ~those->word[i];
    return rest;
}

/* A cut between one part of the hosts and all others. */
static void side_draw(const struct script *s, struct rng *r, struct act *a)
{
    a->hosts = rng_chance(r, 400000) ? host_any(s, r) : hosts_some(s, r, 500000);
    a->against = hosts_but(s, &a->hosts);
    a->both = a->fault == FAULT_PARTITION;
}

/* A and C are cut off from each other, B from none. */
static void bridge_draw(const struct script *s, struct rng *r, struct act *a)
{
    bool one_way = rng_chance(r, 200000);
    a->hosts = host_any(s, r);
    for (unsigned i = 0; i < s->scenario.nodes; i++) {
        uint64_t part = rng_below(r, 3);
        if (hosts_test(&a->hosts, i) || part == 0)
            continue;
        hosts_set(part == 1 ? &a->hosts : &a->against, i);
    }
    a->both = !one_way;
}

static void pair_draw(const struct script *s, struct rng *r, struct act *a)
{
    a->hosts = host_any(s, r);
    a->against = host_any(s, r);
    a->both = rng_chance(r, 300000);
}

/* Many or all, by one kind of stop. */
static void mass_draw(const struct script *s, struct rng *r, struct act *a)
{
    static const enum fault stops[] = {FAULT_HOST_CRASH, FAULT_DAEMON_CRASH, FAULT_DAEMON_CRASH,
                                       FAULT_PAUSE, FAULT_FREEZE};
    a->fault = stops[rng_below(r, sizeof stops / sizeof *stops)];
    a->hosts = rng_chance(r, 500000) ? hosts_below(s->scenario.nodes) : hosts_some(s, r, 500000);
    if (rng_chance(r, 600000))
        a->spread = rng_scaled(r, s->scenario.interval / 10, 2 * s->scenario.dead_after);
    a->value = (int64_t)rng_below(r, s->scenario.nodes);
}

/* The details of a fault; `a` has its kind, its time and one host. */
static void strike_draw(struct script *s, struct rng *r, struct act *a)
{
    const struct scenario *c = &s->scenario;
    struct act stop = *a;
    switch (a->fault) {
    case FAULT_FREEZE:
        a->lasts = rng_scaled(r, c->interval / 2, 30 * c->dead_after);
        break;
    case FAULT_LONG_PAUSE:
        a->fault = FAULT_PAUSE;
        a->lasts = rng_scaled(r, 2 * c->dead_after, 40 * c->dead_after);
        break;
    case FAULT_RELOAD:
        a->value = rng_chance(r, 100000) && !hosts_test(&a->hosts, 0) && !hosts_test(&a->hosts, 1)
                       ? 0
                       : rng_between(r, 1, WEIGHT_MAX);
        break;
    case FAULT_VIPS:
        a->value = rng_between(r, 0, VIPS_LISTS - 1);
        break;
    case FAULT_MISFIT:
        a->value = rng_between(r, 0, VIPS_LISTS * VIPS_LISTS - 1);
        break;
    case FAULT_PARTITION:
    case FAULT_ONE_WAY:
        side_draw(s, r, a);
        break;
    case FAULT_BRIDGE:
        bridge_draw(s, r, a);
        break;
    case FAULT_LINK_PAIR:
        pair_draw(s, r, a);
        break;
    case FAULT_BURST:
        a->value = rng_between(r, 50000, 950000);
        break;
    case FAULT_SLOW_NET:
        a->value = rng_scaled(r, c->interval / 4, 2 * c->dead_after);
        break;
    case FAULT_JUNK:
        a->value = (int64_t)(rng_next(r) >> 1);
        break;
    case FAULT_SLOW_KERNEL:
        a->value = rng_between(r, 2000, c->interval * 2);
        break;
    case FAULT_FORGET:
        a->against = host_any(s, r);
        break;
    case FAULT_WITNESS:
        a->hosts = rng_chance(r, 500000) ? host_any(s, r) : hosts_some(s, r, 500000);
        break;
    case FAULT_CLOCK:
        a->value = rng_scaled(r, 1, INT64_C(1) << 40);
        break;
    case FAULT_MASS:
        mass_draw(s, r, a);
        break;
    case FAULT_SIDE:
        a->fault = FAULT_PARTITION;
        side_draw(s, r, a);
        stop.fault = rng_chance(r, 500000) ? FAULT_HOST_CRASH : FAULT_DAEMON_CRASH;
        stop.hosts = a->hosts;
        stop.at += rng_between(r, 0, a->lasts / 2);
        stop.lasts = rng_between(r, 0, a->lasts);
        stop.spread = rng_chance(r, 500000) ? rng_between(r, 0, c->dead_after) : 0;
        script_add(s, &stop);
        break;
    default:
        break;
    }
}

/* One of the scenario's faults. */
static enum fault fault_draw(const struct script *s, struct rng *r)
{
    uint32_t faults = s->scenario.faults;
    uint64_t skip = rng_below(r, (uint64_t)__builtin_popcount(faults));
    while (skip-- > 0)
        faults &= faults - 1;
    return (enum fault)__builtin_ctz(faults);
}

void storm_draw(struct script *s, struct rng *r)
{
    const struct scenario *c = &s->scenario;
    struct act storm = {.kind = ACT_STORM, .lasts = rng_between(r, c->storm_max / 4, c->storm_max)};
    script_add(s, &storm);
    if (c->faults == 0)
        return;
    for (usec at = rng_between(r, 1, c->fault_every); at < storm.lasts;
         at += rng_between(r, 1, 2 * c->fault_every)) {
        struct act a = {.kind = ACT_STRIKE, .at = at, .fault = fault_draw(s, r)};
        a.hosts = host_any(s, r);
        a.lasts = rng_scaled(r, c->interval / 2, 10 * c->dead_after);
        strike_draw(s, r, &a);
        script_add(s, &a);
    }
}

void drill_draw(struct script *s, struct rng *r)
{
    struct act a = {.kind = ACT_DRILL, .drill = (enum drill)rng_below(r, DRILL_STARVED)};
    a.victim = (unsigned)rng_below(r, s->scenario.nodes);
    /* Every other crash of one that has others behind it. */
    if (a.drill == DRILL_HOST_CRASH && s->acts % 2 == 0 && a.victim + 2 < s->scenario.nodes)
        a.drill = DRILL_STARVED;
    script_add(s, &a);
}

void rest_draw(struct script *s, struct rng *r)
{
    struct act a = {.kind = ACT_REST, .lasts = rng_between(r, 4 * USEC_PER_S, 6 * USEC_PER_S)};
    script_add(s, &a);
}
