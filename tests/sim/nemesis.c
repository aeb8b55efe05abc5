/*
 * Storms: the strikes of the script at their times, each undone some time later
 * or at the latest when the storm is over.
 */
#include <string.h>

#include "world.h"

static void host_control(struct world *w, unsigned i, bool drain)
{
    struct event e = {.kind = EVENT_CONTROL,
                      .control = {drain ? CONTROL_DRAIN : CONTROL_UNDRAIN, NULL}};
    w->host[i].drained = w->host[i].drained || drain;
    trace_line(&w->trace, w->now, (int)i, drain ? "drain" : "undrain");
    world_step(w, i, &e);
}

static void host_release(struct world *w, unsigned i)
{
    struct event e = {.kind = EVENT_CONTROL, .control = {CONTROL_RELEASE, NULL}};
    if (w->scenario.penalty > 0 && w->host[i].state == HOST_RUNNING)
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

/* An operator on host i believes that the other is dead, and takes it off. */
static void host_forget(struct world *w, unsigned i, unsigned other)
{
    struct status *s = w->status;
    w->brain->status(w->host[i].node, world_clock(w, i), s);
    for (size_t k = 0; k < s->members; k++) {
        struct event e = {.kind = EVENT_CONTROL, .control = {CONTROL_FORGET, s->member[k].name}};
        if (world_host_named(w, s->member[k].name) != (int)other ||
            s->member[k].state != MEMBER_DEAD)
            continue;
        trace_line(&w->trace, w->now, (int)i, "forgets node%02u", other);
        world_step(w, i, &e);
        return;
    }
}

static void host_rekey(struct world *w, unsigned i)
{
    struct event e = {.kind = EVENT_CONTROL, .control = {CONTROL_REKEY, NULL}};
    trace_line(&w->trace, w->now, (int)i, "rekey");
    world_step(w, i, &e);
}

static void host_witness(struct world *w, unsigned i, bool answers)
{
    struct event e = {.kind = EVENT_WITNESS, .witness = {answers}};
    w->host[i].witnessless = !answers;
    if (w->host[i].state == HOST_RUNNING)
        world_step(w, i, &e);
}

static void host_clock(struct world *w, unsigned i, int64_t ms)
{
    struct event e = {.kind = EVENT_CLOCK, .clock = {ms}};
    world_step(w, i, &e);
}

static void host_reload(struct world *w, unsigned i, uint16_t weight)
{
    struct node_config config = w->host[i].config;
    config.weight = weight;
    w->host[i].config = config;
    struct event e = {.kind = EVENT_RELOAD, .reload = &config};
    trace_line(&w->trace, w->now, (int)i, "weight %u", config.weight);
    world_step(w, i, &e);
}

static void host_vips(struct world *w, unsigned i, unsigned list)
{
    struct event e = {.kind = EVENT_RELOAD, .reload = &w->host[i].config};
    world_vips(w, i, list);
    trace_line(&w->trace, w->now, (int)i, "VIPs %02x", list);
    if (w->host[i].state == HOST_RUNNING)
        world_step(w, i, &e);
}

/* What only it has, or all have alike: nobody is kept apart by its list any more. */
static void host_fit(struct world *w, unsigned i)
{
    if (w->host[i].vips >= VIPS_LISTS && w->host[i].state != HOST_PAUSED &&
        w->host[i].state != HOST_FROZEN)
        host_vips(w, i, w->host[i].vips % VIPS_LISTS);
}

/* The acts of the present storm: its strikes follow it. */
static bool storm_has(const struct world *w, size_t act)
{
    return w->course.phase == PHASE_STORM && act > w->course.storm && act < w->course.next;
}

static bool fault_cuts(enum fault f)
{
    return f == FAULT_PARTITION || f == FAULT_ONE_WAY || f == FAULT_BRIDGE || f == FAULT_LINK_PAIR;
}

/* It concerns the network or all kernels, not one host after another. */
static bool fault_is_common(enum fault f)
{
    return fault_cuts(f) || f == FAULT_BURST || f == FAULT_SLOW_NET || f == FAULT_JUNK ||
           f == FAULT_SLOW_KERNEL;
}

/* Cuts what the strikes that are on cut, and those who have no link. */
static void net_recut(struct world *w)
{
    net_heal(&w->net);
    for (size_t k = w->course.storm + 1; storm_has(w, k); k++) {
        const struct act *a = &w->script->act[k];
        if (!a->on || !fault_cuts(a->fault))
            continue;
        net_cut(&w->net, &a->hosts, &a->against);
        if (a->both)
            net_cut(&w->net, &a->against, &a->hosts);
    }
    for (unsigned i = 0; i < w->scenario.nodes; i++) {
        struct hosts alone = hosts_of(i);
        if (w->host[i].unlinked)
            net_partition(&w->net, &alone, false);
    }
}

static void net_junk(struct world *w, uint64_t seed)
{
    struct rng r = rng_make(seed, 6);
    for (uint64_t k = rng_below(&r, 20) + 1; k > 0; k--) {
        unsigned to = (unsigned)rng_below(&r, w->scenario.nodes);
        uint32_t packet = net_forge(w, to);
        if (packet == PACKET_NONE)
            return;
        struct happening h = {.kind = HAPPEN_DELIVER,
                              .node = (uint16_t)to,
                              .boot = w->host[to].boot,
                              .arg = packet,
                              .error = 1};
        world_later(w, rng_between(&r, 0, w->scenario.interval), &h);
    }
}

/* What a strike does to one of its hosts. */
static void host_strike(struct world *w, const struct act *a, unsigned i)
{
    bool running = w->host[i].state == HOST_RUNNING;
    switch (a->fault) {
    case FAULT_HOST_CRASH:
        world_kill_host(w, i);
        break;
    case FAULT_DAEMON_CRASH:
        world_kill_daemon(w, i);
        break;
    case FAULT_COMMIT_CRASH:
        w->host[i].doomed = running;
        break;
    case FAULT_PAUSE:
        world_pause(w, i);
        break;
    case FAULT_STALL:
        w->host[i].stalling = running;
        break;
    case FAULT_FREEZE:
        world_freeze(w, i);
        break;
    case FAULT_LEAVE:
        if (running)
            host_leave(w, i);
        break;
    case FAULT_DRAIN:
        if (running)
            host_control(w, i, true);
        break;
    case FAULT_FORGET:
        if (running && !hosts_empty(&a->against))
            host_forget(w, i, (unsigned)hosts_first(&a->against));
        break;
    case FAULT_REKEY:
        if (running)
            host_rekey(w, i);
        break;
    case FAULT_WITNESS:
        host_witness(w, i, false);
        break;
    case FAULT_CLOCK:
        if (running)
            host_clock(w, i, a->value);
        break;
    case FAULT_DISK:
        w->host[i].diskless = true;
        break;
    case FAULT_HEALTH:
        if (running)
            host_health(w, i, false);
        break;
    case FAULT_RELOAD:
        if (running)
            host_reload(w, i, (uint16_t)a->value);
        break;
    case FAULT_VIPS:
    case FAULT_MISFIT:
        if (running)
            host_vips(w, i, (unsigned)a->value);
        break;
    case FAULT_LINK:
        if (running) {
            w->host[i].unlinked = true;
            net_recut(w);
            host_link(w, i, false);
        }
        break;
    case FAULT_JAM:
        w->host[i].kernel.jammed = true;
        break;
    default:
        break;
    }
}

/* What a strike does to all. */
static void world_strike(struct world *w, const struct act *a)
{
    if (fault_cuts(a->fault))
        net_recut(w);
    else if (a->fault == FAULT_BURST)
        w->net.profile.loss = (uint32_t)a->value;
    else if (a->fault == FAULT_SLOW_NET)
        w->net.profile.delay_jitter = a->value;
    else if (a->fault == FAULT_JUNK)
        net_junk(w, (uint64_t)a->value);
    else if (a->fault == FAULT_SLOW_KERNEL) {
        w->kernel_profile.slow = 300000;
        w->kernel_profile.slow_max = w->kernel_profile.commit_max + a->value;
    }
}

static void hosts_trace(struct world *w, const char *what, const struct act *a)
{
    trace_line(&w->trace, w->now, -1, "%s %s, hosts %llx, against %llx, value %lld", what,
               fault_name(a->fault), (unsigned long long)a->hosts.word[0],
               (unsigned long long)a->against.word[0], (long long)a->value);
}

static void undo_later(struct world *w, size_t act, unsigned i, usec after)
{
    struct happening undo = {.kind = HAPPEN_UNDO, .arg = act, .node = (uint16_t)i};
    world_later(w, after, &undo);
}

void nemesis_strike(struct world *w, const struct happening *h)
{
    if (!storm_has(w, h->arg))
        return;
    struct act *a = &w->script->act[h->arg];
    unsigned nodes = w->scenario.nodes, turn = 0;
    a->on = true;
    hosts_trace(w, "fault", a);
    trace_number(&w->trace, (uint64_t)a->fault << 32 | h->arg);
    if (fault_is_common(a->fault)) {
        world_strike(w, a);
        undo_later(w, h->arg, 0, a->lasts);
        return;
    }
    for (int i = HOST_NONE; (i = hosts_next(&a->hosts, i)) >= 0 && i < (int)nodes;)
        host_strike(w, a, (unsigned)i);
    /* They return in the order of their numbers, beginning somewhere. */
    uint64_t first = a->fault < FAULT_LEAVE ? (uint64_t)a->value : 0;
    for (unsigned k = 0; k < nodes; k++) {
        unsigned i = (unsigned)((k + first) % nodes);
        if (hosts_test(&a->hosts, i))
            undo_later(w, h->arg, i, a->lasts + turn++ * a->spread);
    }
}

static void fault_undo(struct world *w, enum fault f, unsigned i)
{
    struct host *h = &w->host[i];
    switch (f) {
    case FAULT_COMMIT_CRASH:
        h->doomed = false;
        world_start(w, i);
        break;
    case FAULT_HOST_CRASH:
    case FAULT_DAEMON_CRASH:
    case FAULT_LEAVE:
        world_start(w, i);
        break;
    case FAULT_STALL:
    case FAULT_PAUSE:
        h->stalling = false;
        world_resume(w, i);
        break;
    case FAULT_FREEZE:
        world_thaw(w, i);
        break;
    case FAULT_DRAIN:
        if (h->state == HOST_RUNNING && h->drained)
            host_control(w, i, false);
        break;
    case FAULT_WITNESS:
        if (h->witnessless && h->state != HOST_PAUSED && h->state != HOST_FROZEN)
            host_witness(w, i, true);
        break;
    case FAULT_DISK:
        h->diskless = false;
        break;
    case FAULT_HEALTH:
        if (h->state == HOST_RUNNING && h->unhealthy)
            host_health(w, i, true);
        break;
    case FAULT_LINK:
        if (h->unlinked && h->state != HOST_PAUSED && h->state != HOST_FROZEN) {
            h->unlinked = false;
            net_recut(w);
            host_link(w, i, true);
        }
        break;
    case FAULT_MISFIT:
        host_fit(w, i);
        break;
    case FAULT_BURST:
        w->net.profile.loss = w->scenario.net_storm.loss;
        break;
    case FAULT_SLOW_NET:
        w->net.profile.delay_jitter = w->scenario.net_storm.delay_jitter;
        break;
    case FAULT_JAM:
        h->kernel.jammed = false;
        break;
    case FAULT_SLOW_KERNEL:
        w->kernel_profile = w->scenario.kernel_storm;
        break;
    default:
        if (fault_cuts(f))
            net_recut(w);
        break;
    }
}

void nemesis_undo(struct world *w, const struct happening *h)
{
    if (!storm_has(w, h->arg))
        return;
    struct act *a = &w->script->act[h->arg];
    trace_line(&w->trace, w->now, -1, "end of %s, node%02u", fault_name(a->fault), h->node);
    a->on = false;
    fault_undo(w, a->fault, h->node);
}

void nemesis_heal(struct world *w)
{
    trace_line(&w->trace, w->now, -1, "the storm is over");
    w->net.profile = w->scenario.net_calm;
    w->kernel_profile = w->scenario.kernel_calm;
    net_heal(&w->net);
    for (unsigned i = 0; i < w->scenario.nodes; i++) {
        struct host *h = &w->host[i];
        h->kernel.jammed = h->doomed = h->diskless = h->stalling = false;
        world_resume(w, i);
        world_thaw(w, i);
        if (h->unlinked)
            host_link(w, i, true);
        if (h->witnessless)
            host_witness(w, i, true);
    }
    for (unsigned i = 0; i < w->scenario.nodes; i++)
        nemesis_mend(w, i);
}

/* A drain is remembered by the cluster, also over a restart, and a node that
 * has just started may not know of it yet: so it is undone again and again. And
 * an operator lets in whoever is held for having died too often. */
void nemesis_mend(struct world *w, unsigned i)
{
    struct host *h = &w->host[i];
    world_start(w, i); /* also one that was leaving, once it has gone */
    if (h->state != HOST_RUNNING)
        return;
    if (h->drained)
        host_control(w, i, false);
    fault_undo(w, FAULT_HEALTH, i);
    host_fit(w, i);
    host_release(w, i);
}
