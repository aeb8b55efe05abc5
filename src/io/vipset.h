/*
 * The VIPs on this host's interfaces: adds addresses and MACs, puts back what
 * goes missing, gives everything back. What it changed is written to a journal
 * in the state directory before it is changed, so that a start after a crash
 * can undo it.
 */
#ifndef IPCLUSTERD_IO_VIPSET_H
#define IPCLUSTERD_IO_VIPSET_H

#include <stdio.h>

#include "ipclusterd/config.h"
#include "nft.h"
#include "rtnl.h"

struct vipset;

/* Resolves the interfaces of c->vip; told in `place` (entry per VIP). With
 * -ENODEV `missing` names the interface. -EINVAL: two MACs for one NIC in mode
 * interface; -EADDRINUSE: a NIC has the shared MAC and nothing tells its real
 * one; both are told in the log. Nothing is changed. An interface that goes and
 * comes again needs vipset_open() anew. */
int vipset_open(struct vipset **out, struct rtnl *r, const struct config *c,
                struct nft_place place[VIPS_MAX], char missing[IFNAME_BYTES_MAX + 1]);
void vipset_close(struct vipset *v);

/* Undoes what the journal of a crashed run says it changed and the
 * configuration does not want; keeps what it wants. 0 or -errno. */
int vipset_recover(struct vipset *v);

/* Puts MACs, then addresses in place; also puts back what went missing.
 * `repaired` counts what had to be changed. Idempotent. Does what it can and
 * returns the last failure, or 0; without a journal it changes nothing. */
int vipset_apply(struct vipset *v, unsigned *repaired);

/* Removes addresses, then MACs; only what we (or the crashed run) added. */
int vipset_clear(struct vipset *v);

/* True if every VIP's link is up with carrier. */
bool vipset_links_up(struct vipset *v);

/* What vipset_apply would do, as ip(8) and bridge(8) commands. */
int vipset_print(const struct config *c, const struct nft_place *place, FILE *out);

#endif
