/*
 * The elements of our sets and maps: what a plan makes of each bucket, and the
 * messages that bring the kernel from one plan to the next.
 */
#ifndef IPCLUSTERD_IO_NFT_ELEM_H
#define IPCLUSTERD_IO_NFT_ELEM_H

#include "ipclusterd/plan.h"
#include "nft_tables.h"

struct nft_batch;

/* The chain that an element's packets go to: vN_own, ...; NONE: it is not in the map. */
enum nft_way {
    NFT_WAY_NONE,
    NFT_WAY_OWN,
    NFT_WAY_ADOPT,
    NFT_WAY_LINGER,
    NFT_WAY_CLIENT,  /* of services: to be looked up by its client */
    NFT_WAY_FOREIGN, /* of services: another's */
    NFT_WAY_REFUSE,  /* of services: closed */
    NFT_WAY_MAX
};

enum nft_way nft_elem_way(const struct vip_config *vip, const struct plan *p, enum nft_key key,
                          const struct nft_entry *e);

/* The chain's name; not of NONE. */
const char *nft_elem_chain(char out[NFT_NAME_BYTES], size_t vip, enum nft_way way);

/* Where an element's new flows are forwarded to; NULL: nowhere. */
const struct mac *nft_elem_target(const struct plan *p, enum nft_key key,
                                  const struct nft_entry *e);

/* The chain that a service's new flows go to, to be forwarded or not. */
const char *nft_elem_route(char out[NFT_NAME_BYTES], size_t vip, enum nft_key key,
                           const struct nft_entry *e);

/* Adds what differs between two plans, of all VIPs, to the transaction; `was`
 * NULL: the maps are empty. Returns how many elements go or come. */
size_t nft_elem_change(struct nft_batch *b, const struct nft_layout *l, const struct plan *was,
                       const struct plan *is);

/* Adds the elements of a set whose elements do not change. */
void nft_elem_constant(struct nft_batch *b, const struct nft_layout *l, enum nft_table t,
                       const struct nft_set_spec *spec);

/* Starts all leases, in sets that are new, with `left` (ms, > 0) to run. */
void nft_elem_lease_start(struct nft_batch *b, const struct nft_layout *l, uint64_t left);

/* Starts all leases anew, whether or not they are running, with `left` as above. False:
 * there is none. */
bool nft_elem_lease_renew(struct nft_batch *b, const struct nft_layout *l, uint64_t left);

#endif
