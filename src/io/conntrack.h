/*
 * Flows to the VIPs, counted per bucket (libnetfilter_conntrack).
 */
#ifndef IPCLUSTERD_IO_CONNTRACK_H
#define IPCLUSTERD_IO_CONNTRACK_H

#include "ipclusterd/config.h"

struct conntrack;

int conntrack_open(struct conntrack **out);
void conntrack_close(struct conntrack *c);

struct conntrack_counts {
    uint32_t of[BUCKETS_MAX];  /* TCP flows per bucket that still need this node:
                                  not TIME_WAIT, CLOSE, SYN_SENT2 */
    uint64_t vip[VIPS_MAX];    /* all flows per VIP, of any protocol */
    uint64_t total;            /* sum of `of` */
};

/* Dumps the table once. 0 or -errno (`out` undefined then). */
int conntrack_count(struct conntrack *c, const struct config *config,
                    struct conntrack_counts *out);

/* The bucket of a client's address, as the kernel computes it. */
unsigned bucket_of(enum vip_select select, uint16_t buckets, const struct address *client);

#endif
