/*
 * Where each way of selecting has the bucket; the same in C is selection.c.
 */
#include "nft_key.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *class_noun, *forward_noun;
} keys[NFT_KEY_MAX] = {
    [NFT_KEY_CLIENT] = {"class", "fwd"},
    [NFT_KEY_PORTLESS] = {"class_portless", "fwd_portless"},
};

bool nft_key_used(const struct vip_config *vip, enum nft_key key)
{
    return key == NFT_KEY_CLIENT || vip->affinity == AFFINITY_FLOW;
}

enum nft_key nft_key_home(const struct vip_config *vip, enum nft_key key)
{
    /* Hashes are numbers, whatever they are made of. */
    return vip->select == SELECT_HASH ? NFT_KEY_CLIENT : key;
}

const char *nft_key_class_noun(enum nft_key key)
{
    return keys[key].class_noun;
}

const char *nft_key_forward_noun(enum nft_key key)
{
    return keys[key].forward_noun;
}

enum nft_form nft_key_form(const struct vip_config *vip, enum nft_key key)
{
    if (vip->select == SELECT_HASH)
        return NFT_FORM_NUMBER;
    return key == NFT_KEY_CLIENT && vip->affinity == AFFINITY_FLOW ? NFT_FORM_PORT
                                                                   : NFT_FORM_ADDRESS;
}

/* The low bits of an address, or of its network's number. */
static struct nft_key_bytes address_bytes(const struct vip_config *vip, unsigned bucket)
{
    bool four = vip->address.family == FAMILY_IP4;
    bool network = vip->affinity == AFFINITY_NETWORK;
    struct nft_key_bytes k = {.length = four ? 4 : 16};
    uint32_t bits = htonl(four && network ? bucket << 8 : bucket);

    memcpy(k.byte + (four ? 0 : network ? 4 : 12), &bits, sizeof bits);
    return k;
}

struct nft_key_bytes nft_key_bytes(const struct vip_config *vip, enum nft_key key, unsigned bucket)
{
    struct nft_key_bytes k = {.length = 0};
    uint16_t port = htons((uint16_t)(bucket << 1));
    uint32_t number = bucket;

    switch (nft_key_form(vip, key)) {
    case NFT_FORM_ADDRESS:
        k = address_bytes(vip, bucket);
        break;
    case NFT_FORM_PORT:
        k.length = sizeof port;
        memcpy(k.byte, &port, sizeof port);
        break;
    case NFT_FORM_NUMBER:
        k.length = sizeof number;
        memcpy(k.byte, &number, sizeof number);
        break;
    }
    return k;
}

const char *nft_key_text(const struct vip_config *vip, enum nft_key key,
                         const struct nft_key_bytes *k, char out[NFT_KEY_TEXT])
{
    uint32_t number;
    uint16_t port;

    switch (nft_key_form(vip, key)) {
    case NFT_FORM_ADDRESS:
        return inet_ntop(k->length == 4 ? AF_INET : AF_INET6, k->byte, out, NFT_KEY_TEXT);
    case NFT_FORM_PORT:
        memcpy(&port, k->byte, sizeof port);
        snprintf(out, NFT_KEY_TEXT, "%u", ntohs(port));
        break;
    case NFT_FORM_NUMBER:
        memcpy(&number, k->byte, sizeof number);
        snprintf(out, NFT_KEY_TEXT, "%u", number);
        break;
    }
    return out;
}
