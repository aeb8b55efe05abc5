/*
 * Heartbeat sockets: one per heartbeat interface, multicast and/or unicast peers.
 */
#ifndef IPCLUSTERD_IO_UDP_H
#define IPCLUSTERD_IO_UDP_H

#include "ipclusterd/config.h"

struct udp;

enum { UDP_BATCH = 32 };

struct udp_datagram {
    const uint8_t *data;
    size_t length; /* <= DATAGRAM_MAX */
};

/* Opens on every heartbeat interface that is there; a missing one is told in
 * the log. 0; or -errno (-ENODEV, ...) if there is none, or the peers' socket
 * cannot be had. */
int udp_open(struct udp **out, const struct config *c);
/* NULL is allowed. */
void udp_close(struct udp *u);

/* True if an interface has come since udp_open(), or come again as another
 * one (the group's membership is gone with the old): time to open anew. */
bool udp_stale(const struct udp *u);

/* The descriptor to poll for reading: udp_receive() is to be called then. */
int udp_fd(const struct udp *u);

/*
 * Takes the next datagrams of all interfaces, none of which can keep the others
 * from being heard; they are valid until the next call. Returns how many; less
 * than UDP_BATCH: there are no more now. `now` is the time of CLOCK_BOOTTIME.
 *
 * Call it also if the descriptor was not readable: while a flood lasts that
 * comes in steps of a millisecond.
 */
size_t udp_receive(struct udp *u, instant now, struct udp_datagram out[UDP_BATCH]);

/* Datagrams that were dropped unread since udp_open(): strangers' in a flood,
 * too large ones, and those that found the queue full. */
uint64_t udp_dropped(const struct udp *u);

/* To the group and every peer, on every interface, never fragmented. Returns 0
 * if at least one copy went out, else -errno of the last failure. An interface
 * or a peer that its copies do not go out to is told in the log, once. */
int udp_send(struct udp *u, const void *data, size_t length);

#endif
