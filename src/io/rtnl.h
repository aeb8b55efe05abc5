/*
 * Links, addresses and MACs by rtnetlink (libmnl).
 */
#ifndef IPCLUSTERD_IO_RTNL_H
#define IPCLUSTERD_IO_RTNL_H

#include "ipclusterd/config.h"

struct rtnl_link {
    unsigned index;
    struct mac mac;       /* present address of the NIC */
    struct mac permanent; /* the hardware's own, if the driver tells; else zero */
    bool up, carrier;
    unsigned mtu;
};

struct rtnl;

int rtnl_open(struct rtnl **out);
void rtnl_close(struct rtnl *r);

/* Reads one link by name: 0, -ENODEV, -errno. */
int rtnl_link_get(struct rtnl *r, const char *name, struct rtnl_link *out);

/* First usable address of the link (IPv4 preferred, not one of `not`). */
int rtnl_link_address(struct rtnl *r, unsigned ifindex, const struct address *not_these,
                      size_t count, struct address *out);

/*
 * Adds the VIP: IPv6 with nodad and deprecated, so that it is never chosen as
 * a source; noprefixroute where another address of the link covers its
 * network. `added` tells whether it was not there before.
 */
int rtnl_address_add(struct rtnl *r, unsigned ifindex, const struct address *a, uint8_t prefix,
                     bool *added);
int rtnl_address_del(struct rtnl *r, unsigned ifindex, const struct address *a, uint8_t prefix);
/* 1 if the link has the address, 0 if not, or -errno. */
int rtnl_address_has(struct rtnl *r, unsigned ifindex, const struct address *a);

/* A second unicast MAC in the NIC's filter (`bridge fdb add MAC dev IF self permanent`). */
int rtnl_mac_add(struct rtnl *r, unsigned ifindex, const struct mac *mac, bool *added);
int rtnl_mac_del(struct rtnl *r, unsigned ifindex, const struct mac *mac);
int rtnl_mac_has(struct rtnl *r, unsigned ifindex, const struct mac *mac);

/* The NIC's own MAC. Live; where the driver refuses, down and up again with
 * the routes that this loses put back. */
int rtnl_mac_set(struct rtnl *r, unsigned ifindex, const struct mac *mac);

/* Readable when a link or address changed. */
int rtnl_watch_fd(const struct rtnl *r);

enum rtnl_change { RTNL_LINK = 1, RTNL_ADDRESS = 2 };
/* Drains the notifications: a mask of what changed (both after an overflow), or -errno. */
int rtnl_watch_read(struct rtnl *r);

#endif
