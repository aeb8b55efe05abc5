/*
 * The kernel's expressions, one function each: thin over libnftnl, so that the
 * phrases of nft_rule.c read like the listing of `nft --debug=netlink`.
 */
#include "nft_expr.h"

#include <errno.h>
#include <stdio.h>
#include <netinet/in.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

enum { ICMPV6_CHECKSUM_OFFSET = 2 };

static struct nftnl_expr *expr_make(struct nft_rule *r, const char *name)
{
    struct nftnl_expr *e = r->error == 0 ? nftnl_expr_alloc(name) : NULL;

    if (e == NULL && r->error == 0)
        r->error = -ENOMEM;
    return e;
}

void nft_expr_meta(struct nft_rule *r, uint32_t key)
{
    struct nftnl_expr *e = expr_make(r, "meta");

    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, NFT_REG_1);
    nftnl_rule_add_expr(r->kernel, e);
}

void nft_expr_meta_set(struct nft_rule *r, uint32_t key)
{
    struct nftnl_expr *e = expr_make(r, "meta");

    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_SREG, NFT_REG_1);
    nftnl_rule_add_expr(r->kernel, e);
}

static struct nftnl_expr *payload_make(struct nft_rule *r, struct nft_payload p)
{
    struct nftnl_expr *e = expr_make(r, "payload");

    if (e == NULL)
        return NULL;
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, p.base);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, p.offset);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, p.length);
    return e;
}

static void payload_load(struct nft_rule *r, struct nft_payload p, uint32_t dreg)
{
    struct nftnl_expr *e = payload_make(r, p);

    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, dreg);
    nftnl_rule_add_expr(r->kernel, e);
}

void nft_expr_payload(struct nft_rule *r, struct nft_payload p)
{
    payload_load(r, p, NFT_REG_1);
}

void nft_expr_payload_next(struct nft_rule *r, struct nft_payload p)
{
    payload_load(r, p, NFT_REG32_01);
}

void nft_expr_payload_set(struct nft_rule *r, struct nft_payload p)
{
    struct nftnl_expr *e = payload_make(r, p);

    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_SREG, NFT_REG_1);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_CSUM_TYPE,
                       p.icmpv6_checksum ? NFT_PAYLOAD_CSUM_INET : NFT_PAYLOAD_CSUM_NONE);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_CSUM_OFFSET,
                       p.icmpv6_checksum ? ICMPV6_CHECKSUM_OFFSET : 0);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_FLAGS, 0);
    nftnl_rule_add_expr(r->kernel, e);
}

void nft_expr_cmp(struct nft_rule *r, uint32_t op, const void *data, size_t length)
{
    struct nftnl_expr *e = expr_make(r, "cmp");

    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
    nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
    nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, (uint32_t)length);
    nftnl_rule_add_expr(r->kernel, e);
}

static void bitwise(struct nft_rule *r, uint32_t reg, const void *mask, const void *xor_with,
                    size_t length)
{
    struct nftnl_expr *e = expr_make(r, "bitwise");

    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, reg);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, reg);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, (uint32_t)length);
    nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, mask, (uint32_t)length);
    nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, xor_with, (uint32_t)length);
    nftnl_rule_add_expr(r->kernel, e);
}

void nft_expr_bitwise(struct nft_rule *r, const void *mask, const void *xor_with, size_t length)
{
    bitwise(r, NFT_REG_1, mask, xor_with, length);
}

static struct nftnl_expr *lookup_make(struct nft_rule *r, const char *set)
{
    struct nftnl_expr *e = expr_make(r, "lookup");

    if (e == NULL)
        return NULL;
    nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
    nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, set);
    return e;
}

void nft_expr_lookup(struct nft_rule *r, bool is, const char *set)
{
    struct nftnl_expr *e = lookup_make(r, set);

    if (e == NULL)
        return;
    if (!is)
        nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    nftnl_rule_add_expr(r->kernel, e);
}

void nft_expr_map(struct nft_rule *r, const char *map, uint32_t dreg)
{
    struct nftnl_expr *e = lookup_make(r, map);

    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_DREG, dreg);
    nftnl_rule_add_expr(r->kernel, e);
}

void nft_expr_hash_load(struct nft_rule *r, struct nft_payload p, uint32_t at)
{
    /* Register 2 has 16 bytes; counted in words it is number 4. */
    payload_load(r, p,
                 at % NFT_REG_SIZE == 0 ? NFT_REG_2 + at / NFT_REG_SIZE
                                        : NFT_REG32_04 + at / NFT_REG32_SIZE);
}

void nft_expr_hash_mask(struct nft_rule *r, const void *mask, size_t length)
{
    static const uint8_t zero[NFT_REG_SIZE];

    bitwise(r, NFT_REG_2, mask, zero, length);
}

void nft_expr_jhash(struct nft_rule *r, uint32_t length, uint32_t modulus, uint32_t seed)
{
    struct nftnl_expr *e = expr_make(r, "hash");

    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_HASH_SREG, NFT_REG_2);
    nftnl_expr_set_u32(e, NFTNL_EXPR_HASH_DREG, NFT_REG_1);
    nftnl_expr_set_u32(e, NFTNL_EXPR_HASH_LEN, length);
    nftnl_expr_set_u32(e, NFTNL_EXPR_HASH_MODULUS, modulus);
    nftnl_expr_set_u32(e, NFTNL_EXPR_HASH_SEED, seed);
    nftnl_expr_set_u32(e, NFTNL_EXPR_HASH_OFFSET, 0);
    nftnl_expr_set_u32(e, NFTNL_EXPR_HASH_TYPE, NFT_HASH_JENKINS);
    nftnl_rule_add_expr(r->kernel, e);
}

void nft_expr_exthdr_missing(struct nft_rule *r, uint8_t type)
{
    static const uint8_t no = 0;
    struct nftnl_expr *e = expr_make(r, "exthdr");

    if (e == NULL)
        return;
    nftnl_expr_set_u8(e, NFTNL_EXPR_EXTHDR_TYPE, type);
    nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_OFFSET, 0);
    nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_LEN, 1);
    nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_OP, NFT_EXTHDR_OP_IPV6);
    nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_FLAGS, NFT_EXTHDR_F_PRESENT);
    nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_DREG, NFT_REG_1);
    nftnl_rule_add_expr(r->kernel, e);
    nft_expr_cmp(r, NFT_CMP_EQ, &no, sizeof no);
}

void nft_expr_immediate(struct nft_rule *r, const void *data, size_t length)
{
    struct nftnl_expr *e = expr_make(r, "immediate");

    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
    nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, data, (uint32_t)length);
    nftnl_rule_add_expr(r->kernel, e);
}

void nft_expr_verdict(struct nft_rule *r, int verdict, const char *chain)
{
    struct nftnl_expr *e = expr_make(r, "immediate");

    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)verdict);
    if (chain != NULL)
        nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, chain);
    nftnl_rule_add_expr(r->kernel, e);
}

void nft_expr_reject(struct nft_rule *r, uint32_t type, uint8_t code)
{
    struct nftnl_expr *e = expr_make(r, "reject");

    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_REJECT_TYPE, type);
    nftnl_expr_set_u8(e, NFTNL_EXPR_REJECT_CODE, code);
    nftnl_rule_add_expr(r->kernel, e);
}

void nft_expr_counter(struct nft_rule *r, const char *name)
{
    struct nftnl_expr *e = expr_make(r, "objref");

    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
    nftnl_expr_set_str(e, NFTNL_EXPR_OBJREF_IMM_NAME, name);
    nftnl_rule_add_expr(r->kernel, e);
}

void nft_expr_counter_here(struct nft_rule *r)
{
    struct nftnl_expr *e = expr_make(r, "counter");

    if (e != NULL)
        nftnl_rule_add_expr(r->kernel, e);
}

void nft_expr_ct_state(struct nft_rule *r)
{
    struct nftnl_expr *e = expr_make(r, "ct");

    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_STATE);
    nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, NFT_REG_1);
    nftnl_rule_add_expr(r->kernel, e);
}

void nft_expr_forward(struct nft_rule *r)
{
    struct nftnl_expr *e = expr_make(r, "fwd");

    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_FWD_SREG_DEV, NFT_REG_1);
    nftnl_rule_add_expr(r->kernel, e);
}
