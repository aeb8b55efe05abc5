/*
 * Hosts and their daemons: what the core wants done is done here, in order, and
 * what happens is handed to it. This is to the core what src/daemon.c is in the
 * real world.
 */
#include "world.h"

#include <assert.h>

enum { STEPS_AT_ONCE_MAX = 2000, OVERDUE_MAX = 100 };

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
    /* A clock that is slow by 50 ppm needs a little longer. */
    left += left / 20000 + 1;
    world_later(w, left + rng_between(&w->rng, 0, w->scenario.timer_late), &t);
}

static void host_exit(struct world *w, unsigned i)
{
    struct host *h = &w->host[i];
    trace_line(&w->trace, w->now, (int)i, "exits");
    h->state = HOST_OFF;
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
        w->host[i].unlooked = true;
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

static void host_act(struct world *w, unsigned i, const struct action *a)
{
    struct happening count = {.kind = HAPPEN_COUNTED, .node = (uint16_t)i, .boot = w->host[i].boot};
    trace_number(&w->trace, (uint64_t)i << 8 | (uint64_t)a->kind);
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
        trace_line(&w->trace, w->now, (int)i, "renews its lease");
        kernel_commit(w, i, NULL);
        break;
    case ACTION_COUNT:
        world_later(w, rng_between(&w->rng, 50, 2000), &count);
        break;
    case ACTION_STORE: /* only under a quorum */
        check_fail(w, CHECK_CONTRACT, "node%02u wants something kept", i);
        break;
    case ACTION_NOTE:
        host_note(w, i, &a->note);
        break;
    case ACTION_EXIT:
    case ACTION_MAX:
        break;
    }
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
    bool ends = false;
    for (size_t k = 0; k < w->actions.count; k++) {
        host_act(w, i, &w->actions.item[k]);
        ends = ends || w->actions.item[k].kind == ACTION_EXIT;
    }
    h->incarnation = w->brain->incarnation(h->node);
    if (ends)
        host_exit(w, i);
    else
        host_arm(w, i);
}

void world_start(struct world *w, unsigned i)
{
    struct host *h = &w->host[i];
    if (h->state != HOST_OFF && h->state != HOST_BEREFT)
        return;
    if (rng_chance(&w->rng, w->scenario.forget_incarnation))
        h->incarnation = 0;
    trace_line(&w->trace, w->now, (int)i, "starts");
    trace_number(&w->trace, 0x57a7u + i);
    if (h->state == HOST_BEREFT)
        flow_daemon_restarted(w, i);
    h->state = HOST_RUNNING;
    h->boot++;
    h->started_at = w->now;
    h->deadline = INT64_MIN;
    h->timer++;
    h->unhealthy = h->leaving = false;
    h->inbox_count = h->inbox_datagrams = 0;
    kernel_clear(w, i);
    net_forget_heard(w, i);
    w->brain->init(h->node, &h->config, rng_next(&w->rng), h->incarnation + 1);
    struct event start = {.kind = EVENT_START};
    world_step(w, i, &start);
    if (h->unlinked) {
        struct event link = {.kind = EVENT_LINK, .link = {false}};
        world_step(w, i, &link);
    }
}

static void host_stop(struct world *w, unsigned i, enum host_state state)
{
    struct host *h = &w->host[i];
    if (h->state == HOST_RUNNING)
        h->stopped_at = w->now;
    for (size_t k = 0; k < h->inbox_count && state != HOST_PAUSED; k++)
        if (h->inbox[k].kind == HAPPEN_DELIVER)
            net_release(&w->net, (uint32_t)h->inbox[k].arg);
    h->inbox_count = h->inbox_datagrams = 0;
    if (state != HOST_PAUSED)
        h->boot++;
    h->state = state;
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
        w->host[i].state = HOST_OFF;
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

void world_resume(struct world *w, unsigned i)
{
    struct host *h = &w->host[i];
    if (h->state != HOST_PAUSED)
        return;
    trace_line(&w->trace, w->now, (int)i, "resumed, %zu waiting", h->inbox_count);
    trace_number(&w->trace, 0x7e5u + i);
    h->state = HOST_RUNNING;
    /* The loop may look at its timer first, or at its sockets. */
    struct happening timer = {
        .kind = HAPPEN_TIMER, .node = (uint16_t)i, .boot = h->boot, .arg = h->timer};
    bool due = h->deadline <= world_clock(w, i).us;
    bool timer_first = rng_chance(&w->rng, 500000);
    if (due && timer_first)
        host_happen(w, &timer);
    size_t count = h->inbox_count;
    h->inbox_count = h->inbox_datagrams = 0;
    for (size_t k = 0; k < count; k++)
        host_happen(w, &h->inbox[k]);
    timer.arg = h->timer;
    if (due && !timer_first)
        host_happen(w, &timer);
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
    if (!injected)
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
    if (host->state != HOST_PAUSED || host->boot != h->boot || h->kind == HAPPEN_TIMER) {
        host_happen(w, h);
        return;
    }
    bool datagram = h->kind == HAPPEN_DELIVER;
    if (host->inbox_count == INBOX_MAX || (datagram && host->inbox_datagrams == SOCKET_DATAGRAMS)) {
        if (datagram)
            net_release(&w->net, (uint32_t)h->arg);
        return;
    }
    host->inbox[host->inbox_count++] = *h;
    host->inbox_datagrams += datagram;
}
