/*
 * Asking the witness, and telling the core whether it answers.
 *
 * It is asked once every heartbeat interval. What it answered last counts from when
 * that was asked, as a lease does: so who is cut off knows it within `lease`, before
 * it can call a peer dead. As long as nothing is known it counts as reachable.
 */
#include <errno.h>
#include <string.h>

#include "daemon_private.h"
#include "io/conf.h"

static void reachable_tell(struct daemon *d, bool reachable)
{
    struct witnessing *w = &d->witnessing;
    if (w->reachable == reachable)
        return;
    w->reachable = reachable;
    daemon_step(d, &(struct event){.kind = EVENT_WITNESS, .witness = {.reachable = reachable}});
}

/* What has come. A stall must not hide the answers that waited in the socket. */
static void answers_read(struct daemon *d)
{
    struct witnessing *w = &d->witnessing;
    instant asked = INSTANT_PAST;
    int rc = witness_read(w->witness, &asked);
    if (rc < 0)
        log_debug("witness", "cannot read: %s", strerror(-rc));
    if (rc == 1)
        w->asked = instant_max(w->asked, asked);
}

static instant verdict_due(const struct daemon *d)
{
    return instant_add(d->witnessing.asked, d->config.lease);
}

static void alarm_set(struct daemon *d)
{
    struct witnessing *w = &d->witnessing;
    w->due = w->next;
    if (w->reachable)
        w->due = instant_min(w->due, verdict_due(d));
    watch_at(w->alarm, d->ended ? INSTANT_NEVER : w->due);
}

static void judge(struct daemon *d)
{
    reachable_tell(d, instant_before(loop_now(), verdict_due(d)));
}

static void witness_readable(void *arg, int fd)
{
    struct daemon *d = arg;
    (void)fd;
    answers_read(d);
    judge(d);
    alarm_set(d);
}

static void witness_rang(void *arg, int number)
{
    struct daemon *d = arg;
    struct witnessing *w = &d->witnessing;
    instant now = loop_now();
    usec late = instant_diff(now, w->due);
    (void)number;
    /* While this process was held up nothing was asked. */
    if (late > d->config.interval / 2)
        w->asked = instant_min(now, instant_add(w->asked, late));
    answers_read(d);
    judge(d);
    if (!instant_before(now, w->next)) {
        int rc = witness_probe(w->witness, now);
        streak_tell(&w->streak, rc, "witness", "ask cluster.witness");
        instant next = instant_add(w->next, d->config.interval);
        w->next = instant_before(now, next) ? next : instant_add(now, d->config.interval);
    }
    alarm_set(d);
}

int witnessing_open(struct daemon *d, const struct config *c, struct witnessing *out)
{
    *out = (struct witnessing){.reachable = true};
    if (c->witness.family == FAMILY_NONE)
        return 0;
    int rc = witness_open(&out->witness, &c->witness);
    if (rc == 0)
        rc = loop_readable(d->loop, witness_fd(out->witness), witness_readable, d, &out->readable);
    if (rc == 0)
        rc = loop_alarm(d->loop, witness_rang, d, &out->alarm);
    if (rc < 0)
        witnessing_close(out);
    return rc;
}

void witnessing_close(struct witnessing *w)
{
    watch_close(w->readable);
    watch_close(w->alarm);
    witness_close(w->witness);
    *w = (struct witnessing){.reachable = true};
}

void daemon_witness_begin(struct daemon *d)
{
    struct witnessing *w = &d->witnessing;
    if (w->witness == NULL)
        return;
    w->asked = w->next = loop_now();
    alarm_set(d);
}

void daemon_witness_replace(struct daemon *d, struct witnessing *fresh)
{
    bool known = d->witnessing.reachable;
    witnessing_close(&d->witnessing);
    d->witnessing = *fresh;
    *fresh = (struct witnessing){.reachable = true};
    d->witnessing.reachable = known;
    reachable_tell(d, true);
    daemon_witness_begin(d);
}
