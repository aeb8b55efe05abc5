/*
 * Hosts and their daemons: what the core wants done is done here, in order, and
 * what happens is handed to it. This is to the core what src/daemon.c is in the
 * real world.
 */
#include "world.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { STEPS_AT_ONCE_MAX = 2000, OVERDUE_MAX = 100 };

#define WALL_CLOCK INT64_C(1700000000000) /* ms, at virtual time 0 */

static void host_enter(struct world *w, unsigned i, enum host_state state)
{
    w->host[i].state = state;
    w->checks.moves++;
    hosts_assign(&w->stopped, i, state == HOST_BEREFT || state == HOST_PAUSED);
}

/* Arms host i's timer for its node's deadline. */
static void host_arm(struct world *w, unsigned i)
{
    struct host *h = &w->host[i];
    int64_t deadline = w->brain->deadline(h->node).us;
    if (deadline == h->deadline)
        return;
    h->deadline = deadline;
    h->timer++;
    if (deadline >= INT64_MAX / 2)
        return;
    usec left = deadline - world_clock(w, i).us;
    if (left < 0)
        left = 0;
    struct happening t = {
        .kind = HAPPEN_TIMER, .node = (uint16_t)i, .boot = h->boot, .arg = h->timer};
    left = world_span(w, i, left) + 2;
    world_later(w, left + rng_between(&w->rng, 0, w->scenario.timer_late), &t);
}

static void host_exit(struct world *w, unsigned i)
{
    struct host *h = &w->host[i];
    trace_line(&w->trace, w->now, (int)i, "exits");
    host_enter(w, i, HOST_OFF);
    h->stopped_at = w->now;
    h->boot++;
    h->leaving = false;
    flow_host_left(w, i);
    kernel_clear(w, i);
}

static void host_note(struct world *w, unsigned i, const struct note *n)
{
    trace_number(&w->trace, (uint64_t)n->kind << 32 | (uint64_t)n->number % 0xffffffffu);
    trace_line(&w->trace, w->now, (int)i, "note %d %s %lld %lld", (int)n->kind, n->member,
               (long long)n->number, (long long)n->other);
    if (n->kind == NOTE_VIEW)
        hosts_set(&w->unlooked, i);
}

static void trace_plan(struct world *w, unsigned i, const struct plan *p)
{
    unsigned count[CLASS_MAX] = {0};
    for (unsigned b = 0; b < w->scenario.buckets; b++)
        count[p->class_of[b] < CLASS_MAX ? p->class_of[b] : 0]++;
    for (unsigned b = 0; b < w->scenario.buckets; b += 8) {
        uint64_t eight = 0;
        for (unsigned k = 0; k < 8; k++)
            eight = eight << 8 | p->class_of[b + k];
        trace_number(&w->trace, eight);
    }
    trace_line(&w->trace, w->now, (int)i, "applies plan %llu: own %u adopt %u release %u linger %u",
               (unsigned long long)p->generation, count[CLASS_OWN], count[CLASS_ADOPT],
               count[CLASS_RELEASE], count[CLASS_LINGER]);
}

/* What the core wants kept is on the disk before anything that it says after it
 * leaves the host: true if it is there. */
static bool host_store(struct world *w, unsigned i, const struct action *a)
{
    struct host *h = &w->host[i];
    if (a->kind == ACTION_STORE) {
        if (a->store.length > STORE_MAX) {
            check_fail(w, CHECK_CONTRACT, "node%02u stores %zu bytes", i, a->store.length);
            return true;
        }
        memcpy(h->pending, a->store.data, a->store.length);
        h->to_store = a->store.length;
        h->unstored = true;
        trace_line(&w->trace, w->now, (int)i, "stores %zu bytes", h->to_store);
        trace_bytes(&w->trace, h->pending, h->to_store);
    }
    if (h->unstored && !h->diskless) {
        memcpy(h->store, h->pending, h->to_store);
        h->stored = h->to_store;
        h->unstored = false;
    }
    return !h->unstored;
}

/* An answer to what could not be asked of the kernel. */
static void host_refuse(struct world *w, unsigned i, const struct action *a, int error)
{
    struct happening applied = {.kind = HAPPEN_APPLIED,
                                .node = (uint16_t)i,
                                .boot = w->host[i].boot,
                                .arg = a->kind == ACTION_APPLY ? a->plan->generation : 0,
                                .error = error};
    if (a->kind == ACTION_APPLY || a->kind == ACTION_RENEW)
        world_later(w, rng_between(&w->rng, 5, 50), &applied);
}

static void host_act(struct world *w, unsigned i, const struct action *a)
{
    struct happening count = {.kind = HAPPEN_COUNTED, .node = (uint16_t)i, .boot = w->host[i].boot};
    trace_number(&w->trace, (uint64_t)i << 8 | (uint64_t)a->kind);
    bool waits = a->kind == ACTION_SEND || a->kind == ACTION_APPLY || a->kind == ACTION_RENEW ||
                 a->kind == ACTION_STORE;
    if (waits && !host_store(w, i, a)) {
        host_refuse(w, i, a, -EIO);
        return;
    }
    switch (a->kind) {
    case ACTION_SEND:
        if (a->send.length > DATAGRAM_MAX) {
            check_fail(w, CHECK_CONTRACT, "node%02u sends %zu bytes", i, a->send.length);
            break;
        }
        trace_bytes(&w->trace, a->send.data, a->send.length);
        trace_line(&w->trace, w->now, (int)i, "sends %zu bytes", a->send.length);
        net_send(w, i, a->send.data, a->send.length);
        break;
    case ACTION_APPLY:
        trace_plan(w, i, a->plan);
        kernel_commit(w, i, a->plan);
        break;
    case ACTION_RENEW:
        trace_line(&w->trace, w->now, (int)i, "renews its lease for %lld us",
                   (long long)a->renew.span);
        trace_number(&w->trace, (uint64_t)a->renew.span);
        kernel_renew(w, i, a->renew.span);
        break;
    case ACTION_COUNT:
        world_later(w, rng_between(&w->rng, 50, 2000), &count);
        break;
    case ACTION_NOTE:
        host_note(w, i, &a->note);
        break;
    case ACTION_STORE:
    case ACTION_EXIT:
    case ACTION_MAX:
        break;
    }
}

/* Carries out what a step wanted; the node's daemon may end, or be stopped. */
static void host_carry_out(struct world *w, unsigned i, const struct actions *actions, bool stale)
{
    struct host *h = &w->host[i];
    bool ends = false;
    size_t stop = actions->count;
    if (h->stalling && actions->count > 1)
        stop = 1 + rng_below(&w->rng, actions->count - 1);
    for (size_t k = 0; k < actions->count; k++) {
        const struct action *a = &actions->item[k];
        if (k == stop) {
            h->stalling = false;
            h->rest.count = actions->count - k;
            memcpy(h->rest.item, a, h->rest.count * sizeof *a);
            h->rest_of = world_clock(w, i).us;
            host_arm(w, i);
            world_pause(w, i);
            return;
        }
        if (stale && (a->kind == ACTION_APPLY || a->kind == ACTION_RENEW))
            host_refuse(w, i, a, -ETIME);
        else
            host_act(w, i, a);
        ends = ends || a->kind == ACTION_EXIT;
        if (a->kind == ACTION_STORE && h->doomed) {
            world_kill_daemon(w, i);
            return;
        }
    }
    if (ends)
        host_exit(w, i);
    else
        host_arm(w, i);
}

/* What was left when it was stopped amid its actions. The shell sees that time
 * has passed, and does not act on what it wanted long ago. */
static void host_rest(struct world *w, unsigned i)
{
    struct host *h = &w->host[i];
    struct actions rest = h->rest;
    usec most = (w->scenario.dead_after - w->scenario.lease) / 2;
    h->rest.count = 0;
    if (rest.count > 0)
        host_carry_out(w, i, &rest, world_clock(w, i).us - h->rest_of > most);
}

void world_step(struct world *w, unsigned i, const struct event *e)
{
    struct host *h = &w->host[i];
    h->steps_now = h->stepped_at == w->now ? h->steps_now + 1 : 0;
    h->stepped_at = w->now;
    if (h->steps_now > STEPS_AT_ONCE_MAX) {
        check_fail(w, CHECK_CONTRACT, "node%02u spins", i);
        w->over = true;
        return;
    }
    w->brain->step(h->node, world_clock(w, i), e, &w->actions);
    h->incarnation = w->brain->incarnation(h->node);
    host_carry_out(w, i, &w->actions, false);
}

/* One of several events at its start, any of which may end it. */
static void host_tell(struct world *w, unsigned i, const struct event *e)
{
    if (w->host[i].state == HOST_RUNNING)
        world_step(w, i, e);
}

/* What the kernel holds of the last daemon, and its lease, if that still runs: for
 * the next one, or it is done away with. */
static usec host_heritage(struct world *w, unsigned i)
{
    struct kernel *k = &w->host[i].kernel;
    double rate = 1 + (double)w->host[i].clock_ppm / 1e6;
    usec left = (usec)((double)(k->lease_until - w->now) * rate) - 1;
    if (w->host[i].state == HOST_BEREFT && w->brain->inherit != NULL && !k->keep_lapsed && left > 0)
        return left;
    if (w->host[i].state == HOST_BEREFT)
        flow_daemon_restarted(w, i);
    kernel_clear(w, i);
    return 0;
}

void world_start(struct world *w, unsigned i)
{
    struct host *h = &w->host[i];
    if (h->state != HOST_OFF && h->state != HOST_BEREFT)
        return;
    struct node_heritage heritage = {.left = host_heritage(w, i)};
    if (heritage.left > 0)
        heritage.stream = w->brain->stream(h->node);
    if (rng_chance(&w->rng, w->scenario.forget_incarnation))
        h->incarnation = (uint32_t)rng_below(&w->rng, h->incarnation + UINT64_C(1));
    if (w->scenario.careless && i == w->scenario.nodes - 1)
        h->incarnation = (uint32_t)(h->stored = 0);
    trace_line(&w->trace, w->now, (int)i, "starts");
    trace_number(&w->trace, 0x57a7u + i);
    host_enter(w, i, HOST_RUNNING);
    h->boot++;
    h->started_at = w->now;
    h->deadline = INT64_MIN;
    h->timer++;
    h->unhealthy = h->leaving = h->doomed = h->unstored = h->stalling = false;
    h->rest.count = 0;
    h->inbox_count = h->inbox_datagrams = 0;
    net_forget_heard(w, i);
    w->brain->init(h->node, &h->config, rng_next(&w->rng), h->incarnation + 1);
    if (h->stored > 0 && w->brain->restore(h->node, h->store, h->stored) != 0)
        check_fail(w, CHECK_CONTRACT, "node%02u does not take back what it stored", i);
    if (heritage.left > 0) {
        heritage.plan = kernel_keep(w, i);
        w->brain->inherit(h->node, &heritage);
    }
    host_tell(w, i, &(struct event){.kind = EVENT_START});
    host_tell(w, i, &(struct event){.kind = EVENT_CLOCK, .clock = {w->now / 1000 + WALL_CLOCK}});
    if (h->unlinked)
        host_tell(w, i, &(struct event){.kind = EVENT_LINK, .link = {false}});
    if (h->witnessless)
        host_tell(w, i, &(struct event){.kind = EVENT_WITNESS, .witness = {false}});
}

static void host_stop(struct world *w, unsigned i, enum host_state state)
{
    struct host *h = &w->host[i];
    if (h->state == HOST_RUNNING)
        h->stopped_at = w->now;
    bool lives = state == HOST_PAUSED || state == HOST_FROZEN;
    for (size_t k = 0; k < h->inbox_count && !lives; k++)
        if (h->inbox[k].kind == HAPPEN_DELIVER)
            net_release(&w->net, (uint32_t)h->inbox[k].arg);
    h->inbox_count = h->inbox_datagrams = 0;
    if (!lives)
        h->boot++;
    host_enter(w, i, state);
    trace_number(&w->trace, 0x5709u + i * 8 + (unsigned)state);
}

void world_kill_daemon(struct world *w, unsigned i)
{
    if (w->host[i].state != HOST_RUNNING && w->host[i].state != HOST_PAUSED)
        return;
    trace_line(&w->trace, w->now, (int)i, "daemon killed");
    host_stop(w, i, HOST_BEREFT);
}

void world_kill_host(struct world *w, unsigned i)
{
    if (w->host[i].state == HOST_OFF)
        return;
    trace_line(&w->trace, w->now, (int)i, "host dies");
    if (w->host[i].state == HOST_BEREFT)
        host_enter(w, i, HOST_OFF);
    else
        host_stop(w, i, HOST_OFF);
    flow_host_died(w, i);
    kernel_clear(w, i);
}

void world_pause(struct world *w, unsigned i)
{
    if (w->host[i].state != HOST_RUNNING)
        return;
    trace_line(&w->trace, w->now, (int)i, "paused");
    host_stop(w, i, HOST_PAUSED);
}

static void host_happen(struct world *w, const struct happening *h);

/* The daemon goes on. Its loop may look at its timer first, or at its sockets. */
static void host_go_on(struct world *w, unsigned i)
{
    struct host *h = &w->host[i];
    trace_line(&w->trace, w->now, (int)i, "goes on, %zu waiting", h->inbox_count);
    trace_number(&w->trace, 0x7e5u + i);
    host_enter(w, i, HOST_RUNNING);
    host_rest(w, i);
    struct happening timer = {
        .kind = HAPPEN_TIMER, .node = (uint16_t)i, .boot = h->boot, .arg = h->timer};
    bool due = h->deadline <= world_clock(w, i).us;
    bool timer_first = rng_chance(&w->rng, 500000);
    if (due && timer_first)
        host_happen(w, &timer);
    size_t count = h->inbox_count;
    h->inbox_count = h->inbox_datagrams = 0;
    for (size_t k = 0; k < count; k++)
        host_receive(w, &h->inbox[k]); /* kept again, should it be stopped again */
    timer.arg = h->timer;
    if (due && !timer_first)
        host_happen(w, &timer);
}

void world_resume(struct world *w, unsigned i)
{
    if (w->host[i].state == HOST_PAUSED)
        host_go_on(w, i);
}

void world_freeze(struct world *w, unsigned i)
{
    if (w->host[i].state != HOST_RUNNING)
        return;
    trace_line(&w->trace, w->now, (int)i, "frozen");
    host_stop(w, i, HOST_FROZEN);
}

/* The commits that were under way come through one after another. */
void world_thaw(struct world *w, unsigned i)
{
    struct host *h = &w->host[i];
    size_t kept = 0;
    if (h->state != HOST_FROZEN)
        return;
    if (h->kernel.busy_until < w->now)
        h->kernel.busy_until = w->now;
    for (size_t k = 0; k < h->inbox_count; k++) {
        struct happening effect = h->inbox[k];
        if (effect.kind != HAPPEN_EFFECT) {
            h->inbox[kept++] = effect;
            continue;
        }
        h->kernel.busy_until += rng_between(&w->rng, 1, w->scenario.kernel_calm.commit_max);
        effect.at = h->kernel.busy_until;
        queue_push(&w->queue, &effect);
    }
    h->inbox_count = kept;
    host_go_on(w, i);
}

/* A forgery must change nothing: the core may tell of it, no more. */
static void check_forgery(struct world *w, unsigned i, bool due)
{
    if (due)
        return;
    for (size_t k = 0; k < w->actions.count; k++)
        if (w->actions.item[k].kind != ACTION_NOTE) {
            check_fail(w, CHECK_S8, "node%02u acts on a forged datagram", i);
            return;
        }
}

static void host_deliver(struct world *w, const struct happening *h)
{
    unsigned i = h->node;
    const struct packet *p = &w->net.packet[h->arg];
    bool due = w->host[i].deadline <= world_clock(w, i).us;
    bool injected = h->error != 0;
    struct event e = {.kind = EVENT_DATAGRAM, .datagram = {p->data, p->length}};
    if (injected)
        net_note_recording(w, i, p);
    else
        net_note_heard(w, i, p);
    world_step(w, i, &e);
    if (!p->authentic)
        check_forgery(w, i, due);
    net_release(&w->net, (uint32_t)h->arg);
}

static void host_timer(struct world *w, const struct happening *h)
{
    struct host *host = &w->host[h->node];
    struct event e = {.kind = EVENT_TIMER};
    if (h->arg != host->timer)
        return;
    host->deadline = INT64_MIN;
    world_step(w, h->node, &e);
    bool overdue = host->state == HOST_RUNNING && host->deadline <= world_clock(w, h->node).us;
    host->overdue = overdue ? host->overdue + 1 : 0;
    if (host->overdue == OVERDUE_MAX) {
        check_fail(w, CHECK_CONTRACT, "node%02u wants its timer again and again", h->node);
        w->over = true;
    }
}

static void host_happen(struct world *w, const struct happening *h)
{
    unsigned i = h->node;
    struct host *host = &w->host[i];
    struct event e = {0};
    if (host->boot != h->boot || host->state != HOST_RUNNING) {
        if (h->kind == HAPPEN_DELIVER)
            net_release(&w->net, (uint32_t)h->arg);
        return;
    }
    switch (h->kind) {
    case HAPPEN_TIMER:
        host_timer(w, h);
        return;
    case HAPPEN_DELIVER:
        host_deliver(w, h);
        return;
    case HAPPEN_APPLIED:
        trace_line(&w->trace, w->now, (int)i, "plan %llu: %d", (unsigned long long)h->arg,
                   h->error);
        e.kind = EVENT_APPLIED;
        e.applied.generation = h->arg;
        e.applied.error = h->error;
        break;
    default:
        assert(h->kind == HAPPEN_COUNTED);
        e.kind = EVENT_FLOWS;
        e.flows.of = host->kernel.flows;
        break;
    }
    world_step(w, i, &e);
}

void host_receive(struct world *w, const struct happening *h)
{
    struct host *host = &w->host[h->node];
    bool stands = host->state == HOST_FROZEN, kernels = h->kind == HAPPEN_EFFECT;
    if (kernels && (!stands || host->boot != h->boot)) {
        if (host->boot == h->boot)
            kernel_take_effect(w, h);
        return;
    }
    if ((!stands && host->state != HOST_PAUSED) || host->boot != h->boot ||
        h->kind == HAPPEN_TIMER) {
        host_happen(w, h);
        return;
    }
    bool datagram = h->kind == HAPPEN_DELIVER;
    assert(host->inbox_count < INBOX_MAX); /* answers are few, and datagrams are limited: */
    if (datagram && host->inbox_datagrams == SOCKET_DATAGRAMS) {
        net_release(&w->net, (uint32_t)h->arg);
        return;
    }
    host->inbox[host->inbox_count++] = *h;
    host->inbox_datagrams += datagram;
}

void host_expect(const struct world *w, const struct happening *h)
{
    if (h->kind != HAPPEN_DELIVER)
        return;
    unsigned to = h->node, from = w->net.packet[h->arg].from;
    __builtin_prefetch(&w->net.heard[from][to]);
    if (w->brain->expect != NULL)
        w->brain->expect(w->host[to].node, w->host[from].place);
}
