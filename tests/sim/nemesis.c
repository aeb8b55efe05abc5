/*
 * Storms: faults at random times, each undone some time later or at the latest
 * when the storm is over.
 */
#include <string.h>

#include "world.h"

static unsigned host_any(struct world *w)
{
    return (unsigned)rng_below(&w->course.rng, w->scenario.nodes);
}

static void host_control(struct world *w, unsigned i, bool drain)
{
    struct event e = {.kind = EVENT_CONTROL,
                      .control = {drain ? CONTROL_DRAIN : CONTROL_UNDRAIN, NULL}};
    w->host[i].drained = w->host[i].drained || drain;
    trace_line(&w->trace, w->now, (int)i, drain ? "drain" : "undrain");
    world_step(w, i, &e);
}

static void host_health(struct world *w, unsigned i, bool healthy)
{
    struct event e = {.kind = EVENT_HEALTH, .health = {healthy}};
    w->host[i].unhealthy = !healthy;
    trace_line(&w->trace, w->now, (int)i, healthy ? "healthy" : "unhealthy");
    world_step(w, i, &e);
}

static void host_link(struct world *w, unsigned i, bool up)
{
    struct event e = {.kind = EVENT_LINK, .link = {up}};
    w->host[i].unlinked = !up;
    trace_line(&w->trace, w->now, (int)i, up ? "link up" : "link down");
    if (w->host[i].state == HOST_RUNNING)
        world_step(w, i, &e);
}

static void host_leave(struct world *w, unsigned i)
{
    struct event e = {.kind = EVENT_LEAVE};
    w->host[i].leaving = true;
    trace_line(&w->trace, w->now, (int)i, "leaves");
    world_step(w, i, &e);
}

static void host_reload(struct world *w, unsigned i)
{
    struct node_config config = w->host[i].config;
    bool none = i > 1 && rng_chance(&w->course.rng, 100000);
    config.weight = none ? 0 : (uint16_t)rng_between(&w->course.rng, 1, WEIGHT_MAX);
    w->host[i].config = config;
    struct event e = {.kind = EVENT_RELOAD, .reload = &config};
    trace_line(&w->trace, w->now, (int)i, "weight %u", config.weight);
    world_step(w, i, &e);
}

static void net_split(struct world *w, bool one_way)
{
    uint64_t all = w->scenario.nodes == 64 ? UINT64_MAX : ((uint64_t)1 << w->scenario.nodes) - 1;
    uint64_t side = rng_chance(&w->course.rng, 400000) ? (uint64_t)1 << host_any(w)
                                                       : rng_next(&w->course.rng) & all;
    trace_line(&w->trace, w->now, -1, "partition %llx%s", (unsigned long long)side,
               one_way ? ", one way" : "");
    net_partition(&w->net, side, one_way);
}

/* Partitions end together; a host without a link stays alone. */
static void net_join(struct world *w)
{
    trace_line(&w->trace, w->now, -1, "partitions end");
    net_heal(&w->net);
    for (unsigned i = 0; i < w->scenario.nodes; i++)
        if (w->host[i].unlinked)
            net_partition(&w->net, (uint64_t)1 << i, false);
}

static void net_burst(struct world *w)
{
    w->net.profile.loss = (uint32_t)rng_between(&w->course.rng, 50000, 950000);
    trace_line(&w->trace, w->now, -1, "loss %u ppm", w->net.profile.loss);
}

static void net_slow(struct world *w)
{
    w->net.profile.delay_jitter =
        rng_scaled(&w->course.rng, w->scenario.interval / 4, 2 * w->scenario.dead_after);
    trace_line(&w->trace, w->now, -1, "delays up to %lld us",
               (long long)w->net.profile.delay_jitter);
}

static void net_junk(struct world *w)
{
    trace_line(&w->trace, w->now, -1, "junk");
    for (uint64_t k = rng_below(&w->course.rng, 20) + 1; k > 0; k--) {
        unsigned to = host_any(w);
        uint32_t packet = net_forge(w, to);
        if (packet == PACKET_NONE)
            return;
        struct happening h = {.kind = HAPPEN_DELIVER,
                              .node = (uint16_t)to,
                              .boot = w->host[to].boot,
                              .arg = packet,
                              .error = 1};
        world_later(w, rng_between(&w->course.rng, 0, w->scenario.interval), &h);
    }
}

static void nemesis_do(struct world *w, enum fault f, unsigned i)
{
    bool running = w->host[i].state == HOST_RUNNING;
    switch (f) {
    case FAULT_HOST_CRASH:
        world_kill_host(w, i);
        break;
    case FAULT_DAEMON_CRASH:
        world_kill_daemon(w, i);
        break;
    case FAULT_PAUSE:
        world_pause(w, i);
        break;
    case FAULT_LEAVE:
        if (running)
            host_leave(w, i);
        break;
    case FAULT_DRAIN:
        if (running)
            host_control(w, i, true);
        break;
    case FAULT_HEALTH:
        if (running)
            host_health(w, i, false);
        break;
    case FAULT_RELOAD:
        if (running)
            host_reload(w, i);
        break;
    case FAULT_PARTITION:
    case FAULT_ONE_WAY:
        net_split(w, f == FAULT_ONE_WAY);
        break;
    case FAULT_LINK:
        if (running) {
            net_partition(&w->net, (uint64_t)1 << i, false);
            host_link(w, i, false);
        }
        break;
    case FAULT_BURST:
        net_burst(w);
        break;
    case FAULT_SLOW_NET:
        net_slow(w);
        break;
    case FAULT_JUNK:
        net_junk(w);
        break;
    case FAULT_JAM:
        w->host[i].kernel.jammed = true;
        break;
    case FAULT_SLOW_KERNEL:
        w->kernel_profile.slow = 300000;
        w->kernel_profile.slow_max = rng_between(&w->course.rng, 2000, w->scenario.interval * 2);
        break;
    case FAULT_KINDS:
        break;
    }
}

void nemesis_strike(struct world *w, const struct happening *h)
{
    const struct scenario *s = &w->scenario;
    if (h->arg != w->course.storm || w->course.phase != PHASE_STORM || s->faults == 0)
        return;
    unsigned skip = (unsigned)rng_below(&w->course.rng, (uint64_t)__builtin_popcount(s->faults));
    uint32_t faults = s->faults;
    while (skip-- > 0)
        faults &= faults - 1;
    enum fault f = (enum fault)__builtin_ctz(faults);
    unsigned i = host_any(w);
    trace_line(&w->trace, w->now, -1, "fault %s, node%02u", fault_name(f), i);
    trace_number(&w->trace, (uint64_t)f << 8 | i);
    nemesis_do(w, f, i);
    struct happening undo = {
        .kind = HAPPEN_UNDO, .arg = h->arg, .node = (uint16_t)i, .error = (int32_t)f};
    world_later(w, rng_scaled(&w->course.rng, s->interval / 2, 10 * s->dead_after), &undo);
    struct happening next = {.kind = HAPPEN_FAULT, .arg = h->arg};
    world_later(w, rng_between(&w->course.rng, 1, 2 * s->fault_every), &next);
}

static void fault_undo(struct world *w, enum fault f, unsigned i)
{
    struct host *h = &w->host[i];
    switch (f) {
    case FAULT_HOST_CRASH:
    case FAULT_DAEMON_CRASH:
    case FAULT_LEAVE:
        world_start(w, i);
        break;
    case FAULT_PAUSE:
        world_resume(w, i);
        break;
    case FAULT_DRAIN:
        if (h->state == HOST_RUNNING && h->drained)
            host_control(w, i, false);
        break;
    case FAULT_HEALTH:
        if (h->state == HOST_RUNNING && h->unhealthy)
            host_health(w, i, true);
        break;
    case FAULT_LINK:
        if (h->unlinked && h->state != HOST_PAUSED) {
            h->unlinked = false;
            net_join(w);
            host_link(w, i, true);
        }
        break;
    case FAULT_PARTITION:
    case FAULT_ONE_WAY:
        net_join(w);
        break;
    case FAULT_BURST:
    case FAULT_SLOW_NET:
        w->net.profile = w->scenario.net_storm;
        break;
    case FAULT_JAM:
        h->kernel.jammed = false;
        break;
    case FAULT_SLOW_KERNEL:
        w->kernel_profile = w->scenario.kernel_storm;
        break;
    case FAULT_JUNK:
    case FAULT_RELOAD:
    case FAULT_KINDS:
        break;
    }
}

void nemesis_undo(struct world *w, const struct happening *h)
{
    if (h->arg != w->course.storm || w->course.phase != PHASE_STORM)
        return;
    trace_line(&w->trace, w->now, -1, "end of %s, node%02u", fault_name((enum fault)h->error),
               h->node);
    fault_undo(w, (enum fault)h->error, h->node);
}

void nemesis_heal(struct world *w)
{
    trace_line(&w->trace, w->now, -1, "the storm is over");
    w->net.profile = w->scenario.net_calm;
    w->kernel_profile = w->scenario.kernel_calm;
    for (unsigned i = 0; i < w->scenario.nodes; i++) {
        w->host[i].kernel.jammed = false;
        if (w->host[i].state == HOST_PAUSED)
            world_resume(w, i);
        if (w->host[i].unlinked)
            host_link(w, i, true);
    }
    net_heal(&w->net);
    for (unsigned i = 0; i < w->scenario.nodes; i++)
        nemesis_mend(w, i);
}

/* A drain is remembered by the cluster, also over a restart, and a node that
 * has just started may not know of it yet: so it is undone again and again. */
void nemesis_mend(struct world *w, unsigned i)
{
    struct host *h = &w->host[i];
    world_start(w, i); /* also one that was leaving, once it has gone */
    if (h->state != HOST_RUNNING)
        return;
    if (h->drained)
        host_control(w, i, false);
    fault_undo(w, FAULT_HEALTH, i);
}
