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

/* Of the configuration, what the tables are made of. */
struct nft_layout {
    uint16_t buckets;
    usec lease;
    size_t vips;
    struct vip_config vip[VIPS_MAX];
    struct nft_place place[VIPS_MAX];
};

void nft_layout_init(struct nft_layout *l, const struct config *c, const struct nft_place *place);

enum { NFT_NAME_BYTES = 48 }; /* of a chain, set or counter, with its NUL */

/* "v3_class". */
const char *nft_name(char out[NFT_NAME_BYTES], size_t vip, const char *noun);

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
    NFT_SET_CLASS,   /* bucket -> chain */
    NFT_SET_FORWARD, /* bucket -> MAC */
    NFT_SET_ROUTE,   /* service -> the chain that looks for its MAC */
};

struct nft_set_spec {
    enum nft_set_kind kind;
    const char *name;
    size_t vip;           /* LEASE, CLASS, FORWARD, ROUTE */
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

/* The classes, in bits of the packet mark. */
enum { NFT_MARK_OWN = 0x10000, NFT_MARK_ADOPT = 0x20000, NFT_MARK_LINGER = 0x30000 };

static inline uint8_t nft_icmp_of(enum family family)
{
    return family == FAMILY_IP4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

/* Begins a chain that is not a base chain. */
void nft_tables_chain(struct nft_sink *s, const char *name);

/* For all: starts and ends a rule of the chain told last. */
void nft_tables_rule(struct nft_sink *s, struct nft_rule *r);
void nft_tables_end(struct nft_sink *s, struct nft_rule *r);

#endif
