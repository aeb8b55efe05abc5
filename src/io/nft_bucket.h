/*
 * The key of a bucket in our maps: what the kernel makes of a source address.
 */
#ifndef IPCLUSTERD_IO_NFT_BUCKET_H
#define IPCLUSTERD_IO_NFT_BUCKET_H

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "ipclusterd/config.h"

#define NFT_HASH_SEED 0xdeadbeefu

enum { NFT_BUCKET_TEXT = INET6_ADDRSTRLEN };

/* Mask: an address of which the low bits are the bucket. Hash: 32 bits in the
 * host's order. */
struct nft_bucket_key {
    uint8_t byte[16];
    uint16_t length;
};

static inline uint16_t nft_bucket_key_length(const struct vip_config *vip)
{
    return vip->select == SELECT_MASK && vip->address.family == FAMILY_IP6 ? 16 : 4;
}

static inline struct nft_bucket_key nft_bucket_key(const struct vip_config *vip, unsigned bucket)
{
    struct nft_bucket_key k = {.length = nft_bucket_key_length(vip)};
    uint32_t number = bucket;

    if (vip->select == SELECT_MASK)
        number = htonl(number);
    memcpy(k.byte + k.length - 4, &number, 4);
    return k;
}

/* As nft writes it. */
static inline const char *nft_bucket_text(const struct vip_config *vip,
                                          const struct nft_bucket_key *k, char out[NFT_BUCKET_TEXT])
{
    uint32_t number;

    if (vip->select == SELECT_MASK)
        return inet_ntop(k->length == 4 ? AF_INET : AF_INET6, k->byte, out, NFT_BUCKET_TEXT);
    memcpy(&number, k->byte, sizeof number);
    snprintf(out, NFT_BUCKET_TEXT, "%u", number);
    return out;
}

#endif
