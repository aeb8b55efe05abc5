/*
 * Gratuitous ARP and unsolicited neighbour advertisements for the VIPs, with
 * the shared MAC inside and the NIC's own MAC as the Ethernet source.
 */
#ifndef IPCLUSTERD_IO_ANNOUNCE_H
#define IPCLUSTERD_IO_ANNOUNCE_H

#include "ipclusterd/config.h"
#include "nft.h"

/* One announcement of one VIP. 0 or -errno. */
int announce_vip(const struct vip_config *vip, const struct nft_place *place);

#endif
