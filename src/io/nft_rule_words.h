/*
 * What the phrases are made of. Shared by the nft_rule*.c files only.
 */
#ifndef IPCLUSTERD_IO_NFT_RULE_WORDS_H
#define IPCLUSTERD_IO_NFT_RULE_WORDS_H

#include "nft_expr.h"

/* The places of what we look at, by family. */
struct nft_family {
    const char *ip, *icmp;
    uint16_t ethertype;
    uint8_t nfproto, icmp_protocol;
    struct nft_payload saddr, daddr;
};
extern const struct nft_family nft_families[];

/* Adds words to the text, a blank before them. */
__attribute__((format(printf, 2, 3))) void nft_rule_say(struct nft_rule *r, const char *format,
                                                        ...);

#endif
