/*
 * What the files of rtnl share, and nobody else sees.
 */
#ifndef IPCLUSTERD_IO_RTNL_IMPL_H
#define IPCLUSTERD_IO_RTNL_IMPL_H

#include "netlink.h"
#include "rtnl.h"

struct nlattr;

struct rtnl {
    struct netlink ask;
    struct mnl_socket *watch;
};

/* A request of `type` in `buffer` (NETLINK_REQUEST_BYTES), with a zeroed
 * header of `extra` bytes behind nlmsghdr, told in `header`. */
struct nlmsghdr *rtnl_request(void *buffer, unsigned type, unsigned flags, size_t extra,
                              void **header);

/* Asks for every address of the link (IPv4 and IPv6: FAMILY_NONE). As
 * netlink_dump(); only messages of that link come to `take`. */
int rtnl_address_dump(struct rtnl *r, unsigned ifindex, enum family family,
                      void (*reset)(void *arg), netlink_take_fn take, void *arg);

/*
 * Messages that the kernel sent, kept to be sent back later: what a change
 * takes away beside what it was meant to change.
 */
struct keep {
    uint8_t *data;
    size_t used, size;
    size_t count;
};

/* Appends a copy; 0 or -ENOMEM. */
int keep_add(struct keep *k, const struct nlmsghdr *message);
void keep_clear(struct keep *k);

/* Addresses of the link: a family, or all. */
int keep_addresses(struct keep *k, struct rtnl *r, unsigned ifindex, enum family family);
/* Permanent neighbours: lost whenever the MAC changes. */
int keep_neighbours(struct keep *k, struct rtnl *r, unsigned ifindex);
/* Routes over the link that nobody but their author would set again. */
int keep_routes(struct keep *k, struct rtnl *r, unsigned ifindex);

/* Creates again what is missing of it; returns how many could not be. */
size_t keep_put_back(const struct keep *k, struct rtnl *r);

#endif
