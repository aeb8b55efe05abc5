/*
 * The keys of our maps: what the kernel makes of a packet to find its bucket, and
 * the elements that it finds.
 */
#ifndef IPCLUSTERD_IO_NFT_KEY_H
#define IPCLUSTERD_IO_NFT_KEY_H

#include <arpa/inet.h>

#include "ipclusterd/config.h"

enum nft_key {
    /* Services, what is most narrowly named first. */
    NFT_KEY_PORT,     /* protocol and destination port */
    NFT_KEY_PROTOCOL, /* protocol */
    NFT_KEY_ANY,      /* the VIP */
    NFT_KEY_SERVICES, /* so many kinds of services */
    /* Clients. */
    NFT_KEY_CLIENT = NFT_KEY_SERVICES, /* a number made of where a packet comes from */
    NFT_KEY_PORTLESS, /* the same of packets without ports, if affinity is "flow" */
    NFT_KEY_MAX
};

/* What a key looks like in a map. */
enum nft_form {
    NFT_FORM_ADDRESS,  /* the bucket in some bits of an address; or the VIP */
    NFT_FORM_PORT,     /* the bucket in some bits of a port */
    NFT_FORM_NUMBER,   /* the bucket, 32 bits in the host's order */
    NFT_FORM_PROTOCOL, /* the number of a protocol */
    NFT_FORM_SERVICE,  /* the same and a port */
    NFT_FORM_MAX
};

/* Whether packets are looked up by this key. */
bool nft_key_used(const struct vip_config *vip, enum nft_key key);

/* The key whose map it is looked up in: its own, or one that it shares. Of the
 * keys that are used, those that give themselves have a map. */
enum nft_key nft_key_home(const struct vip_config *vip, enum nft_key key);

/* Whether any packet is looked up by a port. */
bool nft_key_ports(const struct vip_config *vip);

/* What the names of its maps end with: those from key to class, and from key to MAC,
 * and, of services, from key to the chain that looks for a MAC; and that of this
 * chain for services of policy "single". */
const char *nft_key_class_noun(enum nft_key key);
const char *nft_key_forward_noun(enum nft_key key);
const char *nft_key_route_noun(enum nft_key key);
const char *nft_key_single_noun(enum nft_key key);

enum nft_form nft_key_form(const struct vip_config *vip, enum nft_key key);

/* One element. */
struct nft_entry {
    uint8_t byte[16]; /* the key */
    uint16_t length;
    unsigned bucket;
    enum service_policy policy; /* BALANCE for clients */
};

/* How many elements the maps of this key have room for, and the `i`th of them; of
 * clients it is that of bucket `i`. */
size_t nft_key_entries(const struct vip_config *vip, enum nft_key key, uint16_t buckets);
struct nft_entry nft_key_entry(const struct vip_config *vip, enum nft_key key, size_t i);

/*
 * A client's bucket once more, for a set that only tells which ones have a class:
 * the 16 bits of the address, or of the network's number, that it is the low part of.
 * Keys so short get a bitmap from the kernel, which costs a third of a lookup by hash;
 * but a bitmap has no values, so it is no map. For `select` "mask" only.
 */
enum { NFT_QUICK_BYTES = 2 };

_Static_assert(BUCKETS_MAX <= 1 << 16, "a bucket fits a quick key");

static inline uint16_t nft_quick_key(unsigned bucket)
{
    return htons((uint16_t)bucket);
}

/* Where they are in the IP header, in bytes. */
unsigned nft_quick_offset(const struct vip_config *vip);

/* The number of the element with this key; `none`: there is none. */
size_t nft_key_find(const struct vip_config *vip, enum nft_key key, uint16_t buckets,
                    const uint8_t *byte, size_t length, size_t none);

/* The key as nft writes it. */
enum { NFT_KEY_TEXT = INET6_ADDRSTRLEN };
const char *nft_key_text(const struct vip_config *vip, enum nft_key key, const struct nft_entry *e,
                         char out[NFT_KEY_TEXT]);

#endif
