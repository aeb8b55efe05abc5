/*
 * The witness: an address outside the cluster, the gateway for instance, that is
 * asked by ICMP or ICMPv6 echo whether it hears us. The raw socket is bound to no
 * interface, so that it goes on when one comes again.
 */
#ifndef IPCLUSTERD_IO_WITNESS_H
#define IPCLUSTERD_IO_WITNESS_H

#include "ipclusterd/types.h"

struct witness;

/* Opens a socket for `address` (IPv4 or IPv6; asserted). Whether there is a way to
 * it is not looked at. 0 or -errno; needs CAP_NET_RAW. */
int witness_open(struct witness **out, const struct address *address);
void witness_close(struct witness *w);

/* To be polled for reading. */
int witness_fd(const struct witness *w);

/* Asks once. 0, or -errno: no way to it (-ENETUNREACH ...), or not just now. */
int witness_probe(struct witness *w, instant now);

/*
 * Reads what has come, for at most a batch. 1: it has answered, and *asked is when
 * what it answered last was sent; 0: it has not; -errno. An answer counts if it
 * comes from the address, to one of the last 32 probes, for the first time, with
 * everything in it that only who has seen the probe can know.
 */
int witness_read(struct witness *w, instant *asked);

#endif
