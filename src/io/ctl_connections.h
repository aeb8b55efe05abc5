/*
 * The connections of the control socket: how many there may be, and for how
 * long.
 */
#ifndef IPCLUSTERD_IO_CTL_CONNECTIONS_H
#define IPCLUSTERD_IO_CTL_CONNECTIONS_H

#include <stdbool.h>

struct bufferevent;
struct event;
struct event_base;
struct evconnlistener;
struct evhttp;

enum { CTL_CONNECTIONS_MAX = 32 };

struct ctl_connections {
    struct evconnlistener *listener; /* the server's */
    struct event *tick;              /* pending while there is a connection */
    bool paused;                     /* not accepting */
    struct {
        struct bufferevent *bev; /* a reference of ours; NULL: free slot */
        unsigned age;            /* seconds */
    } slot[CTL_CONNECTIONS_MAX];
};

/*
 * Watches over the connections that `http` accepts from `listener`, before it
 * does so; there is one such pair in a process. Both are the caller's, who
 * frees them after ctl_connections_flush() and before ctl_connections_end().
 * Returns 0 or -ENOMEM.
 */
int ctl_connections_begin(struct ctl_connections *c, struct event_base *base, struct evhttp *http,
                          struct evconnlistener *listener);

/* Sends what has been answered but not sent yet, as far as it goes at once. */
void ctl_connections_flush(struct ctl_connections *c);

/* Also after a failed begin, or none if `c` is zero. */
void ctl_connections_end(struct ctl_connections *c);

#endif
