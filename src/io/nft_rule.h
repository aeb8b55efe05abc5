/*
 * One rule under construction, twice at a time: as the kernel's expressions
 * and as the same rule in nft's language. Each function adds one phrase to
 * both, so that what `-n` prints is what is loaded.
 */
#ifndef IPCLUSTERD_IO_NFT_RULE_H
#define IPCLUSTERD_IO_NFT_RULE_H

#include "ipclusterd/config.h"
#include "nft_key.h"

struct nftnl_rule;
struct nftnl_expr;

enum nft_table { NFT_TABLE_INET, NFT_TABLE_NETDEV, NFT_TABLE_MAX };

struct nft_rule {
    struct nftnl_rule *kernel;
    char text[640];
    size_t length;
    int error; /* sticky: 0 or -errno */
};

/* "inet", "netdev"; the kernel's number of the family; the name of our tables. */
const char *nft_table_family_name(enum nft_table t);
uint16_t nft_table_family(enum nft_table t);
#define NFT_TABLE_NAME "ipclusterd"

/* Check `error` when all is said; free in any case. */
void nft_rule_init(struct nft_rule *r, enum nft_table table, const char *chain);
void nft_rule_free(struct nft_rule *r);

/* What has to hold before a phrase about addresses makes sense. nft leaves it
 * unsaid when it lists, and adds it when it loads. */
enum nft_need {
    NEED_NFPROTO,   /* in table inet */
    NEED_ETHERTYPE, /* after a phrase about the frame's addresses */
    NEED_PROTOCOL,  /* in table netdev */
};
void nft_rule_need(struct nft_rule *r, enum nft_need need, enum family family);

/* Conditions. */
void nft_rule_iifname(struct nft_rule *r, const char *interface);
void nft_rule_ether_daddr(struct nft_rule *r, const struct mac *mac);
void nft_rule_daddr(struct nft_rule *r, const struct address *a);
void nft_rule_saddr(struct nft_rule *r, const struct address *a);
void nft_rule_daddr_in(struct nft_rule *r, enum family family, const char *set);
void nft_rule_l4proto(struct nft_rule *r, bool is, uint8_t protocol);
void nft_rule_l4proto_in(struct nft_rule *r, bool is, const char *set);
/* No piece of a larger packet: later ones have no ports. */
void nft_rule_whole(struct nft_rule *r, enum family family);
/* TCP that is, or is not, a pure SYN (of FIN, SYN, RST, ACK). */
void nft_rule_tcp_syn(struct nft_rule *r, bool is);
void nft_rule_icmp_type(struct nft_rule *r, enum family family, uint8_t type);
void nft_rule_icmp_type_in(struct nft_rule *r, enum family family, const char *set);
/* A mask of NF_CT_STATE_BIT()s, and its words: "established,related". */
void nft_rule_ct_state(struct nft_rule *r, uint32_t bits, const char *words);
void nft_rule_mark_is(struct nft_rule *r, uint32_t mask, uint32_t value);
void nft_rule_mark_any(struct nft_rule *r, uint32_t mask);
void nft_rule_arp_saddr_ip(struct nft_rule *r, const struct address *a);
void nft_rule_arp_saddr_ether(struct nft_rule *r, const struct mac *mac);
/* The Ethernet source on egress, where nft has no word for it. */
void nft_rule_frame_source(struct nft_rule *r, const struct mac *mac);
/* Bytes of the transport header, at most 16. */
void nft_rule_transport(struct nft_rule *r, unsigned offset, const void *bytes, size_t count);

/* The bucket, by its quick key, is not in a set of such. */
void nft_rule_bucket_not_in(struct nft_rule *r, const struct vip_config *vip, uint16_t buckets,
                            const char *set);

/* Actions. */
void nft_rule_bucket_vmap(struct nft_rule *r, const struct vip_config *vip, enum nft_key key,
                          uint16_t buckets, const char *map);
void nft_rule_bucket_ether_daddr(struct nft_rule *r, const struct vip_config *vip, enum nft_key key,
                                 uint16_t buckets, const char *map);
/* mark = (mark & ~mask) | value */
void nft_rule_mark_set(struct nft_rule *r, uint32_t mask, uint32_t value);
void nft_rule_ether_saddr_set(struct nft_rule *r, const struct mac *mac);
void nft_rule_frame_source_set(struct nft_rule *r, const struct mac *mac);
void nft_rule_arp_saddr_ether_set(struct nft_rule *r, const struct mac *mac);
/* A MAC into an ICMPv6 option, the checksum put right. */
void nft_rule_nd_mac_set(struct nft_rule *r, unsigned offset, const struct mac *mac);
void nft_rule_host(struct nft_rule *r);
void nft_rule_count(struct nft_rule *r, const char *counter);
/* A counter of the rule's own, without a name: at a third of the price. */
void nft_rule_count_here(struct nft_rule *r);
void nft_rule_forward(struct nft_rule *r, const char *interface, unsigned ifindex);
void nft_rule_accept(struct nft_rule *r);
void nft_rule_drop(struct nft_rule *r);
/* A TCP reset, or "port unreachable". */
void nft_rule_reset(struct nft_rule *r);
void nft_rule_reject(struct nft_rule *r, enum family family);
void nft_rule_goto(struct nft_rule *r, const char *chain);
void nft_rule_jump(struct nft_rule *r, const char *chain);

#endif
