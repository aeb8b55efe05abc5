/*
 * The keys of our maps: what the kernel makes of a packet to find its bucket.
 */
#ifndef IPCLUSTERD_IO_NFT_KEY_H
#define IPCLUSTERD_IO_NFT_KEY_H

#include <arpa/inet.h>

#include "ipclusterd/config.h"

#define NFT_HASH_SEED 0xdeadbeefu

enum nft_key {
    NFT_KEY_CLIENT,   /* a number made of where a packet comes from */
    NFT_KEY_PORTLESS, /* the same of packets without ports, if affinity is "flow" */
    NFT_KEY_MAX
};

/* What a key looks like in a map. */
enum nft_form {
    NFT_FORM_ADDRESS, /* the bucket in some bits of an address */
    NFT_FORM_PORT,    /* the bucket in some bits of a port */
    NFT_FORM_NUMBER,  /* the bucket, 32 bits in the host's order */
};

/* Whether packets are looked up by this key. */
bool nft_key_used(const struct vip_config *vip, enum nft_key key);

/* The key whose map it is looked up in: its own, or one that it shares. Of the
 * keys that are used, those that give themselves have a map. */
enum nft_key nft_key_home(const struct vip_config *vip, enum nft_key key);

/* What the names of its maps, from bucket to class and to MAC, end with. */
const char *nft_key_class_noun(enum nft_key key);
const char *nft_key_forward_noun(enum nft_key key);

enum nft_form nft_key_form(const struct vip_config *vip, enum nft_key key);

struct nft_key_bytes {
    uint8_t byte[16];
    uint16_t length;
};

struct nft_key_bytes nft_key_bytes(const struct vip_config *vip, enum nft_key key, unsigned bucket);

/* As nft writes it. */
enum { NFT_KEY_TEXT = INET6_ADDRSTRLEN };
const char *nft_key_text(const struct vip_config *vip, enum nft_key key,
                         const struct nft_key_bytes *k, char out[NFT_KEY_TEXT]);

#endif
