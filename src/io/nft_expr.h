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
/* Into the 32 bits after those that register 1 begins with. */
void nft_expr_payload_next(struct nft_rule *r, struct nft_payload p);
void nft_expr_payload_set(struct nft_rule *r, struct nft_payload p);
void nft_expr_cmp(struct nft_rule *r, uint32_t op, const void *data, size_t length);
void nft_expr_bitwise(struct nft_rule *r, const void *mask, const void *xor_with, size_t length);
void nft_expr_lookup(struct nft_rule *r, bool is, const char *set);
/* The map's value into `dreg`: register 1, or NFT_REG_VERDICT. */
void nft_expr_map(struct nft_rule *r, const char *map, uint32_t dreg);
/* What is to be hashed goes to register 2 and those after it: a payload at byte
 * `at`, a multiple of 4; a mask over the first `length` bytes. */
void nft_expr_hash_load(struct nft_rule *r, struct nft_payload p, uint32_t at);
void nft_expr_hash_mask(struct nft_rule *r, const void *mask, size_t length);
/* jhash of `length` bytes there modulo `modulus`, into register 1. */
void nft_expr_jhash(struct nft_rule *r, uint32_t length, uint32_t modulus, uint32_t seed);
/* An IPv6 packet without this extension header. */
void nft_expr_exthdr_missing(struct nft_rule *r, uint8_t type);
void nft_expr_immediate(struct nft_rule *r, const void *data, size_t length);
void nft_expr_verdict(struct nft_rule *r, int verdict, const char *chain);
void nft_expr_reject(struct nft_rule *r, uint32_t type, uint8_t code);
void nft_expr_counter(struct nft_rule *r, const char *name);
void nft_expr_counter_here(struct nft_rule *r);
void nft_expr_ct_state(struct nft_rule *r);
void nft_expr_forward(struct nft_rule *r);

#endif
