/*
 * What the kernel tells of flows by itself.
 */
#ifndef IPCLUSTERD_IO_CONNTRACK_WATCH_H
#define IPCLUSTERD_IO_CONNTRACK_WATCH_H

#include <stdbool.h>

struct mnl_socket;
struct nlmsghdr;

struct conntrack_watch {
    struct mnl_socket *socket; /* NULL: not open */
    bool listening;
};

/* Opens the socket, which is told nothing yet. 0 or -errno. */
int conntrack_watch_open(struct conntrack_watch *w);
void conntrack_watch_close(struct conntrack_watch *w);

/* Whether the kernel tells of the flows that are made from now on. */
bool conntrack_watch_works(const struct conntrack_watch *w);

/* From now on every change of a flow is told, or none. 0 or -errno. */
int conntrack_watch_listen(struct conntrack_watch *w, bool on);

typedef void (*conntrack_watch_fn)(void *arg, const struct nlmsghdr *message);

/* Hands over what has come, but no more than a loop has time for. 1: there may
 * be more; 0: that was all; -ENOBUFS: some was lost before it; or -errno. */
int conntrack_watch_read(struct conntrack_watch *w, conntrack_watch_fn take, void *arg);

#endif
