/*
 * Which bucket a packet to a VIP is in: what the kernel computes by our rules
 * (nft_key.h), computed here.
 */
#ifndef IPCLUSTERD_IO_SELECTION_H
#define IPCLUSTERD_IO_SELECTION_H

#include "ipclusterd/config.h"

/* Where a packet comes from. */
struct source {
    struct address address;
    uint16_t port; /* of protocols that have ports; else 0 */
    bool has_port;
};

/* Of every jhash, ours and the kernel's. */
#define SELECTION_HASH_SEED 0xdeadbeefu

/* Whether the addresses of a packet to a VIP say where it belongs, so that each piece of it
 * can be judged before they are put together: there is nothing to be done with ports. */
bool selection_by_address(const struct vip_config *vip);

/* The IP protocols whose packets begin with two ports, and whether one is of them. */
enum { SELECTION_PORT_PROTOCOLS = 5 };
extern const uint8_t selection_port_protocols[SELECTION_PORT_PROTOCOLS];
bool selection_has_ports(uint8_t protocol);

/* The service that packets of this IP protocol to this port belong to, the most
 * narrowly named; NULL: none. */
const struct service_config *selection_service(const struct vip_config *vip, uint8_t protocol,
                                               uint16_t port);

/* The bucket of a source's packets that belong to no service but balanced ones. */
unsigned selection_bucket(const struct vip_config *vip, uint16_t buckets,
                          const struct source *from);

#endif
