/*
 * Actions of the core become calls of src/io.
 *
 * Whether to try again, and when, is the core's business: here a failure is
 * answered, and told once per row of failures.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon_private.h"
#include "io/state.h"

void streak_tell(struct streak *s, int rc, const char *subsystem, const char *what)
{
    if (rc < 0) {
        if (s->failures++ == 0)
            log_warn(subsystem, "cannot %s: %s", what, strerror(-rc));
        return;
    }
    if (s->failures > 0)
        log_info(subsystem, "can %s again, after %u failures", what, s->failures);
    s->failures = 0;
}

const char *nft_reason(const struct daemon *d, int rc)
{
    const char *why = nft_error(d->nft);
    return why[0] != '\0' ? why : strerror(-rc);
}

/*
 * A process that stood still between the step and the kernel call acts on a
 * view of the past: the others may have called us dead since, and a lease that
 * starts now would run into their take-over.
 */
static bool step_is_stale(const struct daemon *d, instant now)
{
    usec most = (d->node_config.dead_after - d->node_config.lease) / 2;
    return instant_diff(loop_now(), now) > most;
}

static void applied_answer(struct daemon *d, uint64_t generation, int error)
{
    daemon_answer(d, &(struct event){.kind = EVENT_APPLIED,
                                     .applied = {.generation = generation, .error = error}});
}

int daemon_apply(struct daemon *d, const struct plan *plan)
{
    int rc = nft_apply(d->nft, plan);
    if (rc == 0)
        xdp_follow(d->xdp, plan);
    return rc;
}

static void action_apply(struct daemon *d, const struct plan *plan, instant now)
{
    int rc = step_is_stale(d, now) ? -ETIME : daemon_apply(d, plan);
    if (rc == 0) {
        d->plan = *plan;
        conntrack_follow(d->conntrack, plan);
        log_debug("nft", "plan %llu applied", (unsigned long long)plan->generation);
    }
    if (rc != 0 && d->apply_streak.failures == 0)
        log_error("nft", "plan %llu not applied: %s", (unsigned long long)plan->generation,
                  rc == -ETIME ? "this process was held up" : nft_reason(d, rc));
    d->apply_streak.failures = rc == 0 ? 0 : d->apply_streak.failures + 1;
    applied_answer(d, plan->generation, rc);
}

/*
 * The span counts from the step, and the kernel counts from when it takes it. If
 * that took long, the lease is cut to what it should be, before it can run over.
 */
static void action_renew(struct daemon *d, usec span, instant now)
{
    usec spare = (d->node_config.dead_after - d->node_config.lease) / 2;
    int rc = step_is_stale(d, now) ? -ETIME : 0;
    for (int tries = 0; tries < 3 && rc == 0; tries++) {
        instant before = loop_now();
        rc = nft_renew(d->nft, span - instant_diff(before, now));
        if (instant_diff(loop_now(), before) <= spare)
            break;
    }
    if (rc == 0)
        d->renewed = loop_now();
    streak_tell(&d->renew_streak, rc, "nft", "renew the lease");
    applied_answer(d, 0, rc);
}

/*
 * What the core wants kept is on the disk before anything that it says after it
 * leaves this node: until then heartbeats are held back, and the kernel is not
 * touched, so that the others do without us.
 */
static bool store_done(struct daemon *d)
{
    if (!d->unstored)
        return true;
    int rc = state_store_write(d->config.state_dir, d->store, d->stored);
    streak_tell(&d->store_streak, rc, "state", "write what has to be kept to node.state_dir");
    d->unstored = rc < 0;
    return !d->unstored;
}

static void action_store(struct daemon *d, const uint8_t *data, size_t length)
{
    assert(length <= sizeof d->store);
    memcpy(d->store, data, length);
    d->stored = length;
    d->unstored = true;
    store_done(d);
}

/*
 * A count that began before the last one was asked for may have missed flows of
 * buckets that linger only since: it is good for the status, not for the core,
 * which gives up buckets without flows.
 */
static void count_begin(struct daemon *d, bool for_core)
{
    int rc = conntrack_start(d->conntrack, &d->config);
    streak_tell(&d->count_streak, rc, "conntrack", "count flows");
    d->counting = rc == 0;
    d->count_began = loop_now();
    d->count_for_core = for_core;
    d->count_outdated = false;
}

/* True if the core's answer is there now; else it comes when the table has been counted. */
static bool count_ask(struct daemon *d)
{
    if (conntrack_known(d->conntrack, &d->config, &d->counts))
        return true;
    usec rest = conntrack_rest(d->conntrack);
    if (d->counting)
        d->count_outdated = true;
    else if (rest > 0)
        watch_at(d->count_alarm, instant_add(loop_now(), rest));
    else
        count_begin(d, true);
    return false;
}

static void action_count(struct daemon *d)
{
    if (count_ask(d))
        daemon_answer(d, &(struct event){.kind = EVENT_FLOWS, .flows = {.of = d->counts.of}});
}

static void count_rang(void *arg, int number)
{
    struct daemon *d = arg;
    (void)number;
    if (count_ask(d))
        daemon_step(d, &(struct event){.kind = EVENT_FLOWS, .flows = {.of = d->counts.of}});
}

/* The core counts rarely where nothing lingers. Who asks for the status wants to
 * see flows that are there now, or a second ago; but a large table is not counted
 * all the time, however often somebody asks. */
void daemon_count_refresh(struct daemon *d)
{
    usec since = instant_diff(loop_now(), d->count_began);
    if (!d->counting && since >= USEC_PER_S && since >= 20 * d->count_took)
        count_begin(d, false);
}

static void count_readable(void *arg, int fd)
{
    struct daemon *d = arg;
    (void)fd;
    int rc = conntrack_step(d->conntrack, &d->counts);
    if (rc == 0)
        return;
    d->counting = false;
    d->count_took = instant_diff(loop_now(), d->count_began);
    if (rc == 1)
        d->counted_from = d->count_began;
    streak_tell(&d->count_streak, rc, "conntrack", "count flows");
    bool known =
        rc == 1 && d->count_outdated && conntrack_known(d->conntrack, &d->config, &d->counts);
    if (d->count_outdated && !known)
        count_begin(d, true);
    else if (rc == 1 && (d->count_for_core || known))
        daemon_step(d, &(struct event){.kind = EVENT_FLOWS, .flows = {.of = d->counts.of}});
}

static void told_readable(void *arg, int fd)
{
    struct daemon *d = arg;
    (void)fd;
    int rc = conntrack_told(d->conntrack, &d->config);
    streak_tell(&d->told_streak, rc < 0 ? rc : 0, "conntrack", "hear of flows that end");
}

int daemon_count_start(struct daemon *d)
{
    int rc = conntrack_open(&d->conntrack);
    if (rc < 0)
        return rc;
    rc = loop_alarm(d->loop, count_rang, d, &d->count_alarm);
    if (rc == 0)
        rc = loop_readable(d->loop, conntrack_fd(d->conntrack), count_readable, d, &d->count_watch);
    int told = conntrack_told_fd(d->conntrack);
    if (rc == 0 && told >= 0)
        rc = loop_readable(d->loop, told, told_readable, d, &d->told_watch);
    return rc;
}

void daemon_count_stop(struct daemon *d)
{
    watch_close(d->count_watch);
    watch_close(d->count_alarm);
    watch_close(d->told_watch);
    d->count_watch = d->count_alarm = d->told_watch = NULL;
    if (d->conntrack != NULL)
        conntrack_close(d->conntrack);
    d->conntrack = NULL;
}

static void action_carry_out(struct daemon *d, const struct action *a, instant now)
{
    if (d->unstored && a->kind != ACTION_NOTE && a->kind != ACTION_COUNT &&
        a->kind != ACTION_EXIT && !store_done(d)) {
        if (a->kind == ACTION_APPLY || a->kind == ACTION_RENEW)
            applied_answer(d, a->kind == ACTION_APPLY ? a->plan->generation : 0, -EIO);
        if (a->kind != ACTION_STORE)
            return;
    }
    switch (a->kind) {
    case ACTION_SEND:
        streak_tell(&d->send_streak, udp_send(d->links.udp, a->send.data, a->send.length), "udp",
                    "send heartbeats");
        return;
    case ACTION_APPLY:
        action_apply(d, a->plan, now);
        return;
    case ACTION_RENEW:
        action_renew(d, a->renew.span, now);
        return;
    case ACTION_STORE:
        action_store(d, a->store.data, a->store.length);
        return;
    case ACTION_COUNT:
        action_count(d);
        return;
    case ACTION_NOTE:
        daemon_note(d, &a->note);
        return;
    case ACTION_EXIT:
        daemon_exit_soon(d);
        return;
    case ACTION_MAX:
        break;
    }
    assert(a->kind < ACTION_MAX);
}

/* A call that holds up the heartbeats is worth a line: the lease hangs on it. */
static void slowness_tell(const struct daemon *d, enum action_kind kind, instant before)
{
    static const char *const names[ACTION_MAX] = {
        [ACTION_SEND] = "sending",
        [ACTION_APPLY] = "changing the rules",
        [ACTION_RENEW] = "renewing the lease",
        [ACTION_STORE] = "writing to node.state_dir",
        [ACTION_COUNT] = "counting flows",
        [ACTION_NOTE] = "logging",
        [ACTION_EXIT] = "ending",
    };
    usec took = instant_diff(loop_now(), before);
    if (took > d->node_config.interval)
        log_warn("daemon", "%s took %lld ms: this host is slow, or overloaded", names[kind],
                 (long long)(took / USEC_PER_MS));
}

void daemon_carry_out(struct daemon *d, instant now)
{
    for (size_t i = 0; i < d->actions.count; i++) {
        instant before = loop_now();
        action_carry_out(d, &d->actions.item[i], now);
        slowness_tell(d, d->actions.item[i].kind, before);
    }
    if (d->actions.lost_notes > 0)
        log_warn("daemon", "%zu notes found no room", d->actions.lost_notes);
}
