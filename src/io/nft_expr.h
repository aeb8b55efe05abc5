/*
 * The kernel's expressions, one function each, appended to a rule. Register 1
 * carries the value from one to the next, as nft does it.
 */
#ifndef IPCLUSTERD_IO_NFT_EXPR_H
#define IPCLUSTERD_IO_NFT_EXPR_H

#include "nft_rule.h"

struct nft_payload {
    uint32_t base, offset, length; /* NFT_PAYLOAD_..._HEADER, bytes */
    bool icmpv6_checksum;          /* writing: put it right */
};

void nft_expr_meta(struct nft_rule *r, uint32_t key);
void nft_expr_meta_set(struct nft_rule *r, uint32_t key);
void nft_expr_payload(struct nft_rule *r, struct nft_payload p);
void nft_expr_payload_set(struct nft_rule *r, struct nft_payload p);
void nft_expr_cmp(struct nft_rule *r, uint32_t op, const void *data, size_t length);
void nft_expr_bitwise(struct nft_rule *r, const void *mask, const void *xor_with, size_t length);
void nft_expr_lookup(struct nft_rule *r, const char *set);
/* The map's value into `dreg`: register 1, or NFT_REG_VERDICT. */
void nft_expr_map(struct nft_rule *r, const char *map, uint32_t dreg);
/* jhash of a payload (loaded here) modulo `modulus`. */
void nft_expr_jhash(struct nft_rule *r, struct nft_payload p, uint32_t modulus, uint32_t seed);
void nft_expr_immediate(struct nft_rule *r, const void *data, size_t length);
void nft_expr_verdict(struct nft_rule *r, int verdict, const char *chain);
void nft_expr_counter(struct nft_rule *r, const char *name);
void nft_expr_ct_state(struct nft_rule *r);
void nft_expr_forward(struct nft_rule *r);

#endif
