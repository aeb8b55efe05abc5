/*
 * What our two tables consist of, told piece by piece to a sink: the kernel
 * (nft_install.c) or a text (nft_print.c).
 */
#ifndef IPCLUSTERD_IO_NFT_TABLES_H
#define IPCLUSTERD_IO_NFT_TABLES_H

#include "ipclusterd/config.h"
#include "nft.h"
#include "nft_key.h"
#include "nft_rule.h"

#include <netinet/in.h>

enum { NFT_NAME_BYTES = 48 }; /* of a chain, set or counter, with its NUL */

/* What the early rules tell the late ones about a packet, in a few bits of its
 * mark: those of `mask`, which are nobody else's. */
struct nft_marks {
    uint32_t mask, own, adopt, linger;
};

/* Of the configuration, what the tables are made of. */
struct nft_layout {
    uint16_t buckets;
    usec lease;
    struct nft_marks mark;
    size_t vips;
    struct vip_config vip[VIPS_MAX];
    struct nft_place place[VIPS_MAX];
    bool fresh[VIPS_MAX]; /* it has just come: its lease begins with the next renewal */
};

void nft_layout_init(struct nft_layout *l, const struct config *c, const struct nft_place *place);

/* "v3_class". */
const char *nft_name(char out[NFT_NAME_BYTES], size_t vip, const char *noun);

/* Where a VIP's buckets are looked up: at the ingress of its interface if it can be
 * done there, where pieces of packets have not been put together; else in table
 * inet. Its maps of classes are in that table. */
enum nft_table nft_early_table(const struct vip_config *v);
/* Whether a VIP has a set PRESENT, in that table too; for few buckets only. */
bool nft_has_present(const struct vip_config *v, uint16_t buckets);
/* Whether that table has the VIP's lease. */
bool nft_lease_in(const struct vip_config *v, enum nft_table t);
/* At ingress: the base chain, and which one of the counters there, from 0, has the
 * VIP's packets that are another's. Elsewhere these have a counter by name. */
const char *nft_ingress_chain(const struct nft_layout *l, size_t vip, char out[NFT_NAME_BYTES]);
size_t nft_ingress_counter(const struct nft_layout *l, size_t vip);

struct nft_hook {
    const char *name; /* "prerouting", "ingress", "egress" */
    uint32_t number;  /* NF_INET_PRE_ROUTING, ... */
    int priority;
    const char *device; /* NULL in table inet */
};

enum nft_set_kind {
    NFT_SET_ICMP,    /* ICMP types, the elements are in `types` */
    NFT_SET_ICMPV6,  /* ICMPv6 types, likewise */
    NFT_SET_LEASE,   /* the VIP, while its lease runs */
    NFT_SET_PROTO,   /* IP protocols, likewise */
    NFT_SET_PRESENT, /* buckets that are in CLASS, by their quick keys */
    NFT_SET_CLASS,   /* bucket -> chain */
    NFT_SET_FORWARD, /* bucket -> MAC */
    NFT_SET_ROUTE,   /* service -> the chain that looks for its MAC */
};

struct nft_set_spec {
    enum nft_set_kind kind;
    const char *name;
    size_t vip;           /* LEASE, PRESENT, CLASS, FORWARD, ROUTE */
    const uint8_t *types; /* ICMP, ICMPV6, PROTO */
    size_t types_count;
    enum nft_key key; /* CLASS, FORWARD, ROUTE */
};

struct nft_sink {
    void (*table)(struct nft_sink *s, enum nft_table t);
    void (*counter)(struct nft_sink *s, const char *name);
    void (*set)(struct nft_sink *s, const struct nft_set_spec *spec);
    /* Rules belong to the chain before them; `hook` NULL: not a base chain. */
    void (*chain)(struct nft_sink *s, const char *name, const struct nft_hook *hook);
    void (*rule)(struct nft_sink *s, const struct nft_rule *r);
    /* For the sinks. */
    const struct nft_layout *layout;
    enum nft_table now_table;
    const char *now_chain;
    int error; /* sticky */
};

void nft_tables_tell(const struct nft_layout *l, struct nft_sink *s);

/* In nft_tables_l2.c: the chains of table netdev. */
void nft_tables_tell_l2(const struct nft_layout *l, struct nft_sink *s);

/* Protocols that have ports, in both tables, if a VIP's affinity is "flow". */
#define NFT_SET_PORTS "has_ports"

/* In nft_tables_late.c: the chains after conntrack of one VIP. */
void nft_tables_tell_late(struct nft_sink *s, size_t vip);

/* In nft_tables_early.c: the chains that a VIP's packets are sent to, in the table
 * now told; and for a base chain the rules that send them there, or drop them. */
void nft_tables_tell_early(struct nft_sink *s, size_t vip);
void nft_tables_lookup(struct nft_sink *s, size_t vip);
/* In nft_tables_l2.c: a frame for the MAC that the NIC does not have is ours; what a
 * member that releases a bucket sends on. */
void nft_tables_host(struct nft_sink *s, size_t vip);
void nft_tables_forwards(struct nft_sink *s, size_t vip);

static inline uint8_t nft_icmp_of(enum family family)
{
    return family == FAMILY_IP4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

/* Begins a chain that is not a base chain. `name` has to live until the next one. */
void nft_tables_chain(struct nft_sink *s, const char *name);

/* For all: starts and ends a rule of the chain told last. */
void nft_tables_rule(struct nft_sink *s, struct nft_rule *r);
void nft_tables_end(struct nft_sink *s, struct nft_rule *r);

#endif
