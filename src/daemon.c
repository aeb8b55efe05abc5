/*
 * The daemon's loop: what happens becomes events, and the core's one deadline
 * becomes one alarm.
 *
 * A step is never entered from within a step. An answer to an action (the
 * kernel took the plan, flows were counted) is queued and becomes a step of its
 * own after the list of actions that asked for it.
 */
#include "daemon.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon_private.h"
#include "io/notify.h"
#include "io/state.h"

enum {
    EXIT_GRACE_MS = 10,        /* for the reply to `clusterctl leave` */
    LEAVE_PATIENCE_MS = 10000, /* beyond stop_drain, for the core to say EXIT */
};

#define CLOCK_TOLD_EVERY (10 * USEC_PER_S)

int daemon_fail(struct daemon *d, int rc, const char *subsystem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(d->why, sizeof d->why, format, arguments);
    va_end(arguments);
    log_error(subsystem, "%s", d->why);
    return rc;
}

/* A node that forgot an incarnation it has used would be taken for its past. */
static void incarnation_persist(struct daemon *d)
{
    uint32_t is = node_incarnation(d->node);
    if (is == d->incarnation)
        return;
    int rc = state_incarnation_write(d->config.state_dir, is);
    if (rc < 0)
        log_error("state", "cannot write %s/incarnation: %s", d->config.state_dir, strerror(-rc));
    d->incarnation = is;
}

void daemon_answer(struct daemon *d, const struct event *e)
{
    assert(d->queued < QUEUE_MAX);
    d->queue[d->queued++] = *e;
}

void daemon_step(struct daemon *d, const struct event *e)
{
    assert(!d->stepping);
    if (d->ended)
        return;
    d->stepping = true;
    struct event next = *e;
    for (;;) {
        instant now = loop_now();
        node_step(d->node, now, &next, &d->actions);
        heritage_keep(d); /* no number is sent that the next run would send again */
        incarnation_persist(d);
        daemon_carry_out(d, now);
        if (d->queued == 0 || d->ended)
            break;
        next = d->queue[0];
        d->queued--;
        memmove(d->queue, d->queue + 1, d->queued * sizeof *d->queue);
    }
    d->queued = 0;
    d->stepping = false;
    watch_at(d->step_alarm, d->ended ? INSTANT_NEVER : node_deadline(d->node));
}

static void timer_step(struct daemon *d)
{
    daemon_step(d, &(struct event){.kind = EVENT_TIMER});
}

/* Hears what has come; bounded, for a flood must not starve the timer. */
static void datagrams_step(struct daemon *d)
{
    struct udp_datagram in[UDP_BATCH];
    size_t count = UDP_BATCH;
    for (int i = 0; i < DATAGRAM_BATCHES && count == UDP_BATCH; i++) {
        count = udp_receive(d->links.udp, loop_now(), in);
        for (size_t k = 0; k < count; k++)
            daemon_step(
                d, &(struct event){.kind = EVENT_DATAGRAM, .datagram = {in[k].data, in[k].length}});
    }
}

static bool timer_is_due(const struct daemon *d)
{
    return !d->ended && !instant_before(loop_now(), node_deadline(d->node));
}

void daemon_pump(struct daemon *d)
{
    datagrams_step(d);
    if (timer_is_due(d))
        timer_step(d);
}

static void alarm_rang(void *arg, int number)
{
    struct daemon *d = arg;
    (void)number;
    /* Held up: what others sent meanwhile is heard before they are judged. */
    usec late = instant_diff(loop_now(), node_deadline(d->node));
    if (late > d->node_config.interval / 4) {
        log_debug("daemon", "woke up %lld ms late", (long long)(late / USEC_PER_MS));
        daemon_pump(d);
        return;
    }
    timer_step(d);
}

static void udp_readable(void *arg, int fd)
{
    struct daemon *d = arg;
    (void)fd;
    daemon_pump(d);
}

void links_close(struct links *l)
{
    watch_close(l->watch);
    udp_close(l->udp);
    *l = (struct links){0};
}

void links_replace(struct daemon *d, struct links *fresh)
{
    d->unread = links_unread(d);
    links_close(&d->links);
    d->links = *fresh;
    *fresh = (struct links){0};
}

uint64_t links_unread(const struct daemon *d)
{
    return d->unread + (d->links.udp != NULL ? udp_dropped(d->links.udp) : 0);
}

int links_open(struct daemon *d, const struct config *c, struct links *out)
{
    *out = (struct links){0};
    int rc = udp_open(&out->udp, c);
    if (rc < 0) {
        out->udp = NULL;
        return rc;
    }
    rc = loop_readable(d->loop, udp_fd(out->udp), udp_readable, d, &out->watch);
    if (rc < 0)
        links_close(out);
    return rc;
}

static void exit_rang(void *arg, int number)
{
    struct daemon *d = arg;
    (void)number;
    if (!d->ended)
        log_warn("daemon", "leaving took too long: ending now");
    d->ended = true;
    loop_end(d->loop);
}

void daemon_exit_soon(struct daemon *d)
{
    d->ended = true;
    watch_at(d->exit_alarm, instant_add(loop_now(), EXIT_GRACE_MS * USEC_PER_MS));
}

void daemon_leave(struct daemon *d)
{
    if (d->leaving) {
        log_info("daemon", "told to end again: ending now");
        d->ended = true;
        loop_end(d->loop);
        return;
    }
    d->leaving = true;
    log_info("daemon", "leaving the cluster");
    notify_send(NOTIFY_STOPPING, "leaving the cluster");
    watch_at(d->exit_alarm,
             instant_add(loop_now(), d->config.stop_drain + LEAVE_PATIENCE_MS * USEC_PER_MS));
    daemon_step(d, &(struct event){.kind = EVENT_LEAVE});
}

static void watchdog_rang(void *arg, int number)
{
    struct daemon *d = arg;
    (void)number;
    notify_send(NOTIFY_WATCHDOG, NULL);
    watch_at(d->watchdog_alarm, instant_add(loop_now(), d->watchdog_interval));
}

/* The core has no clock: it is told what the wall shows, to compare with others. */
static void clock_rang(void *arg, int number)
{
    struct daemon *d = arg;
    struct timespec t;
    (void)number;
    clock_gettime(CLOCK_REALTIME, &t);
    daemon_step(d,
                &(struct event){.kind = EVENT_CLOCK,
                                .clock = {.ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000}});
    watch_at(d->clock_alarm, instant_add(loop_now(), CLOCK_TOLD_EVERY));
}

static void signal_leave(void *arg, int number)
{
    struct daemon *d = arg;
    log_info("daemon", "signal %s", number == SIGINT ? "INT" : "TERM");
    daemon_leave(d);
}

static void signal_reload(void *arg, int number)
{
    char why[DAEMON_WHY_BYTES];
    (void)number;
    daemon_reload(arg, why);
}

static void signal_dump(void *arg, int number)
{
    (void)number;
    daemon_dump(arg);
}

static void signal_restart(void *arg, int number)
{
    char why[DAEMON_WHY_BYTES];
    (void)number;
    daemon_restart(arg, why);
}

/* Signals and alarms: before anything is touched, so that a TERM during the
 * start is answered after it, in order. */
static int watches_start(struct daemon *d)
{
    static const struct {
        int number;
        loop_fn fn;
    } signals[] = {
        {SIGTERM, signal_leave}, {SIGINT, signal_leave},    {SIGHUP, signal_reload},
        {SIGUSR1, signal_dump},  {SIGUSR2, signal_restart},
    };
    static_assert(sizeof signals / sizeof *signals <=
                      sizeof((struct daemon *)0)->signal_watch / sizeof(struct watch *),
                  "room for every signal");
    int rc = loop_open(&d->loop);
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof signals / sizeof *signals && rc == 0; i++)
        rc = loop_signal(d->loop, signals[i].number, signals[i].fn, d, &d->signal_watch[i]);
    if (rc == 0)
        rc = loop_alarm(d->loop, alarm_rang, d, &d->step_alarm);
    if (rc == 0)
        rc = loop_alarm(d->loop, exit_rang, d, &d->exit_alarm);
    if (rc == 0)
        rc = loop_alarm(d->loop, watchdog_rang, d, &d->watchdog_alarm);
    if (rc == 0)
        rc = loop_alarm(d->loop, clock_rang, d, &d->clock_alarm);
    if (rc == 0)
        daemon_signals_block(false);
    return rc;
}

static void watches_stop(struct daemon *d)
{
    for (size_t i = 0; i < sizeof d->signal_watch / sizeof *d->signal_watch; i++)
        watch_close(d->signal_watch[i]);
    watch_close(d->step_alarm);
    watch_close(d->exit_alarm);
    watch_close(d->watchdog_alarm);
    watch_close(d->clock_alarm);
    loop_close(d->loop);
}

/* The rules were loaded before the node could say what it wants; if it wants
 * nothing yet, they are to be what it takes them for. */
static void plan_settle(struct daemon *d)
{
    if (d->plan.generation > 0 || d->heritage.there)
        return;
    plan_init(&d->plan, d->config.buckets);
    int rc = daemon_apply(d, &d->plan);
    if (rc < 0)
        log_error("nft", "the first plan was not applied: %s", nft_reason(d, rc));
}

static void node_start(struct daemon *d)
{
    d->watchdog_interval = notify_watchdog_interval();
    if (d->watchdog_interval > 0)
        watchdog_rang(d, 0);
    if (!heritage_tell(d))
        daemon_linger(d);
    daemon_step(d, &(struct event){.kind = EVENT_START});
    plan_settle(d);
    clock_rang(d, 0);
    daemon_witness_begin(d);
    d->links_up = true; /* what a node takes for granted */
    daemon_links_tell(d);
    notify_send(NOTIFY_READY, NULL);
    if (d->options.ready != NULL)
        d->options.ready(d->options.arg);
}

int daemon_run(const struct daemon_options *o, char *why)
{
    struct daemon *d = calloc(1, sizeof *d);
    if (d == NULL) {
        snprintf(why, DAEMON_WHY_BYTES, "not enough memory");
        return -ENOMEM;
    }
    d->config = *o->config;
    d->options = *o;
    d->options.config = NULL;
    d->instance = (struct instance){.fd = {-1, -1}};
    d->rules_repair.looked = d->rules_repair.made = INSTANT_PAST;
    d->links_repair.looked = d->links_repair.made = INSTANT_PAST;
    d->renewed = d->vips_since = d->counted_from = INSTANT_PAST;

    int rc = watches_start(d);
    if (rc < 0)
        daemon_fail(d, rc, "daemon", "cannot make an event loop: %s", strerror(-rc));
    else
        rc = daemon_start(d);
    if (rc == 0) {
        node_start(d);
        rc = loop_run(d->loop);
    }
    snprintf(why, DAEMON_WHY_BYTES, "%s", d->why);
    daemon_stop(d);
    watches_stop(d);
    free(d);
    return rc;
}
