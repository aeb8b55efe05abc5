/*
 * Limits on connections. The number is limited, an idle connection is closed
 * after IDLE_SECONDS and any connection after LIFETIME_SECONDS, so that no
 * client can keep others, or the daemon's descriptors, for itself.
 *
 * evhttp does not tell when a connection ends. So each one's bufferevent is
 * held here by a reference; evhttp takes its callbacks off when it lets go of
 * it, which is how the sweep knows.
 */
#include "ctl_connections.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"

enum { IDLE_SECONDS = 5, LIFETIME_SECONDS = 30 };

static const struct timeval one_second = {1, 0};

/* A listener's error callback gets the argument of its accept callback, which
 * is evhttp's; so the one control server of the process is remembered here. */
static struct ctl_connections *watched;

/* Lets go of what evhttp has closed; returns the slots still taken. */
static size_t sweep(struct ctl_connections *c)
{
    size_t taken = 0;

    for (size_t i = 0; i < CTL_CONNECTIONS_MAX; i++) {
        bufferevent_event_cb callback = NULL;
        if (c->slot[i].bev == NULL)
            continue;
        bufferevent_getcb(c->slot[i].bev, NULL, NULL, &callback, NULL);
        if (callback != NULL) {
            taken++;
            continue;
        }
        bufferevent_decref(c->slot[i].bev);
        c->slot[i].bev = NULL;
    }
    return taken;
}

static void accepting_set(struct ctl_connections *c, bool on)
{
    if (on == !c->paused)
        return;
    c->paused = !on;
    if (on)
        evconnlistener_enable(c->listener);
    else
        evconnlistener_disable(c->listener);
}

static void tick_fired(evutil_socket_t fd, short what, void *arg)
{
    struct ctl_connections *c = arg;
    size_t taken;

    (void)fd;
    (void)what;
    for (size_t i = 0; i < CTL_CONNECTIONS_MAX; i++)
        if (c->slot[i].bev != NULL && ++c->slot[i].age == LIFETIME_SECONDS)
            bufferevent_trigger_event(c->slot[i].bev, BEV_EVENT_TIMEOUT | BEV_EVENT_READING, 0);
    taken = sweep(c);
    accepting_set(c, taken < CTL_CONNECTIONS_MAX);
    if (taken > 0)
        event_add(c->tick, &one_second);
}

/* evhttp asks for a bufferevent: a connection has been accepted. */
static struct bufferevent *connection_new(struct event_base *base, void *arg)
{
    struct ctl_connections *c = arg;
    /* Closed with its last reference: a descriptor must not be used again
     * while events of it are pending. */
    struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    size_t taken = sweep(c);

    if (bev == NULL)
        return NULL;
    for (size_t i = 0; i < CTL_CONNECTIONS_MAX; i++) {
        if (c->slot[i].bev != NULL)
            continue;
        bufferevent_incref(bev);
        c->slot[i].bev = bev;
        c->slot[i].age = 0;
        taken++;
        break;
    }
    if (taken == CTL_CONNECTIONS_MAX) {
        log_warn("ctl", "%d control connections are open: no more for now", CTL_CONNECTIONS_MAX);
        accepting_set(c, false);
    }
    if (!event_pending(c->tick, EV_TIMEOUT, NULL))
        event_add(c->tick, &one_second);
    return bev;
}

/* accept(2) failed, most likely for want of descriptors: try again in a second. */
static void accept_failed(struct evconnlistener *listener, void *arg)
{
    (void)arg;
    assert(watched != NULL && watched->listener == listener);
    log_warn("ctl", "cannot accept a control connection: %s", strerror(errno));
    accepting_set(watched, false);
    event_add(watched->tick, &one_second);
}

int ctl_connections_begin(struct ctl_connections *c, struct event_base *base, struct evhttp *http,
                          struct evconnlistener *listener)
{
    assert(watched == NULL);
    memset(c, 0, sizeof *c);
    c->listener = listener;
    c->tick = evtimer_new(base, tick_fired, c);
    if (c->tick == NULL)
        return -ENOMEM;
    evhttp_set_bevcb(http, connection_new, c);
    evhttp_set_timeout(http, IDLE_SECONDS);
    evconnlistener_set_error_cb(listener, accept_failed);
    watched = c;
    return 0;
}

void ctl_connections_flush(struct ctl_connections *c)
{
    sweep(c);
    for (size_t i = 0; i < CTL_CONNECTIONS_MAX; i++) {
        struct evbuffer_iovec part[8];
        int parts;
        if (c->slot[i].bev == NULL)
            continue;
        parts = evbuffer_peek(bufferevent_get_output(c->slot[i].bev), -1, NULL, part, 8);
        if (parts > 0 && parts <= 8) {
            struct msghdr message = {.msg_iov = part, .msg_iovlen = (size_t)parts};
            /* The connection is closed next, sent or not. */
            (void)!sendmsg(bufferevent_getfd(c->slot[i].bev), &message,
                           MSG_DONTWAIT | MSG_NOSIGNAL);
        }
    }
}

void ctl_connections_end(struct ctl_connections *c)
{
    if (c->tick == NULL)
        return;
    sweep(c);
    event_free(c->tick);
    watched = NULL;
}
