/*
 * Heartbeat sockets: one per heartbeat interface, multicast and/or unicast peers.
 */
#ifndef IPCLUSTERD_IO_UDP_H
#define IPCLUSTERD_IO_UDP_H

#include "ipclusterd/config.h"

struct udp;

/* Opens on every heartbeat interface that is there; a missing one is told in
 * the log. 0; or -errno (-ENODEV, ...) if there is none, or the peers' socket
 * cannot be had. */
int udp_open(struct udp **out, const struct config *c);
void udp_close(struct udp *u);

/* True if an interface has come since udp_open(), or come again as another
 * one (the group's membership is gone with the old): time to open anew. */
bool udp_stale(const struct udp *u);

/* The descriptors to poll; at most HEARTBEAT_LINKS_MAX, returns how many. */
size_t udp_fds(const struct udp *u, int fds[HEARTBEAT_LINKS_MAX]);

/* To the group and every peer, on every interface. Returns 0 if at least one
 * copy went out, else -errno of the last failure. */
int udp_send(struct udp *u, const void *data, size_t length);

/* One datagram from `fd`: its length, 0 if there is none, or -errno. A
 * datagram larger than `size` is dropped and counts as none. */
int udp_receive(struct udp *u, int fd, void *data, size_t size);

#endif
