/*
 * What the daemon may do: the capabilities it needs, real-time scheduling, and
 * giving up the rest (libcap-ng).
 */
#ifndef IPCLUSTERD_IO_PRIVILEGE_H
#define IPCLUSTERD_IO_PRIVILEGE_H

#include "ipclusterd/config.h"

/* Whether this process can do its work: 0, or -EPERM with a sentence and its
 * remedy in `why` (256 bytes). Changes nothing. */
int privilege_check(char *why);

/* SCHED_RR at the lowest priority and locked memory, where permitted: 0, or
 * -errno with `why` (256 bytes) telling what the daemon has to do without. */
int privilege_realtime(char *why);

/* Back to ordinary scheduling, for the end of the process. */
void privilege_realtime_end(void);

/* Keeps the capabilities that are still used, in every set, so that children
 * (nft(8)) have no more than we have, and lets nobody dump or trace this
 * process. To be called last. 0 or -errno. */
int privilege_drop(const struct config *c);

#endif
