/*
 * The event loop over libevent.
 *
 * An alarm is a timerfd of CLOCK_BOOTTIME set to an absolute instant: libevent's
 * own timers are relative, and count from a clock that is read a few
 * milliseconds coarsely and stands still while the host sleeps.
 */
#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct loop {
    struct event_base *base;
};

struct watch {
    struct event *event;
    loop_fn fn;
    void *arg;
    int timer;    /* timerfd; -1: not an alarm */
    instant when; /* of the alarm, as it is set */
};

instant loop_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (instant){(int64_t)t.tv_sec * USEC_PER_S + t.tv_nsec / 1000};
}

int loop_open(struct loop **out)
{
    struct loop *l = calloc(1, sizeof *l);
    if (l == NULL)
        return -ENOMEM;
    struct event_config *c = event_config_new();
    if (c != NULL) {
        event_config_set_flag(c, EVENT_BASE_FLAG_NOLOCK);
        l->base = event_base_new_with_config(c);
        event_config_free(c);
    }
    if (l->base == NULL) {
        free(l);
        return -ENOMEM;
    }
    *out = l;
    return 0;
}

void loop_close(struct loop *l)
{
    if (l == NULL)
        return;
    event_base_free(l->base);
    free(l);
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

int loop_run(struct loop *l)
{
    return event_base_dispatch(l->base) < 0 ? -EIO : 0;
}

void loop_end(struct loop *l)
{
    event_base_loopbreak(l->base);
}

static void watch_fired(evutil_socket_t number, short what, void *arg)
{
    struct watch *w = arg;
    (void)what;
    if (w->timer < 0) {
        w->fn(w->arg, (int)number);
        return;
    }
    uint64_t times;
    if (read(w->timer, &times, sizeof times) < 0)
        return; /* set anew since it rang */
    w->when = INSTANT_NEVER;
    w->fn(w->arg, 0);
}

static int watch_new(struct loop *l, int number, short what, loop_fn fn, void *arg,
                     struct watch **out)
{
    struct watch *w = calloc(1, sizeof *w);
    if (w == NULL)
        return -ENOMEM;
    *w = (struct watch){.fn = fn, .arg = arg, .timer = -1, .when = INSTANT_NEVER};
    w->event = event_new(l->base, number, (short)(what | EV_PERSIST), watch_fired, w);
    if (w->event == NULL || event_add(w->event, NULL) < 0) {
        watch_close(w);
        return -ENOMEM;
    }
    *out = w;
    return 0;
}

int loop_readable(struct loop *l, int fd, loop_fn fn, void *arg, struct watch **out)
{
    return watch_new(l, fd, EV_READ, fn, arg, out);
}

int loop_signal(struct loop *l, int number, loop_fn fn, void *arg, struct watch **out)
{
    return watch_new(l, number, EV_SIGNAL, fn, arg, out);
}

int loop_alarm(struct loop *l, loop_fn fn, void *arg, struct watch **out)
{
    int fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = watch_new(l, fd, EV_READ, fn, arg, out);
    if (rc < 0)
        close(fd);
    else
        (*out)->timer = fd;
    return rc;
}

void watch_at(struct watch *alarm, instant when)
{
    assert(alarm->timer >= 0);
    if (alarm->when.us == when.us)
        return;
    struct itimerspec t = {0}; /* all zero: off */
    if (when.us != INSTANT_NEVER.us) {
        int64_t us = when.us > 1 ? when.us : 1;
        t.it_value.tv_sec = us / USEC_PER_S;
        t.it_value.tv_nsec = us % USEC_PER_S * 1000;
    }
    int rc = timerfd_settime(alarm->timer, TFD_TIMER_ABSTIME, &t, NULL);
    assert(rc == 0);
    (void)rc;
    alarm->when = when;
}

void watch_close(struct watch *w)
{
    if (w == NULL)
        return;
    if (w->event != NULL)
        event_free(w->event);
    if (w->timer >= 0)
        close(w->timer);
    free(w);
}
