/*
 * Where each way of selecting has the bucket; the same in C is selection.c.
 */
#include "nft_key.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *class_noun, *forward_noun, *route_noun, *single_noun;
} keys[NFT_KEY_MAX] = {
    [NFT_KEY_PORT] = {"class_port", "fwd_port", "route_port", "new_port"},
    [NFT_KEY_PROTOCOL] = {"class_protocol", "fwd_protocol", "route_protocol", "new_protocol"},
    [NFT_KEY_ANY] = {"class_any", "fwd_any", "route_any", "new_any"},
    [NFT_KEY_CLIENT] = {"class", "fwd", NULL, NULL},
    [NFT_KEY_PORTLESS] = {"class_portless", "fwd_portless", NULL, NULL},
};

/* Which key finds a service. */
static enum nft_key service_key(const struct service_config *s)
{
    return s->ports > 0                 ? NFT_KEY_PORT
           : s->protocol == SERVICE_ANY ? NFT_KEY_ANY
                                        : NFT_KEY_PROTOCOL;
}

bool nft_key_used(const struct vip_config *vip, enum nft_key key)
{
    switch (key) {
    case NFT_KEY_CLIENT:
        return true;
    case NFT_KEY_PORTLESS:
        return vip->affinity == AFFINITY_FLOW;
    default:
        return nft_key_entries(vip, key, 0) > 0;
    }
}

enum nft_key nft_key_home(const struct vip_config *vip, enum nft_key key)
{
    /* Hashes are numbers, whatever they are made of. */
    return key == NFT_KEY_PORTLESS && vip->select == SELECT_HASH ? NFT_KEY_CLIENT : key;
}

bool nft_key_ports(const struct vip_config *vip)
{
    return vip->affinity == AFFINITY_FLOW || nft_key_used(vip, NFT_KEY_PORT);
}

const char *nft_key_class_noun(enum nft_key key)
{
    return keys[key].class_noun;
}

const char *nft_key_forward_noun(enum nft_key key)
{
    return keys[key].forward_noun;
}

const char *nft_key_route_noun(enum nft_key key)
{
    return keys[key].route_noun;
}

const char *nft_key_single_noun(enum nft_key key)
{
    return keys[key].single_noun;
}

enum nft_form nft_key_form(const struct vip_config *vip, enum nft_key key)
{
    switch (key) {
    case NFT_KEY_PORT:
        return NFT_FORM_SERVICE;
    case NFT_KEY_PROTOCOL:
        return NFT_FORM_PROTOCOL;
    case NFT_KEY_ANY:
        return NFT_FORM_ADDRESS;
    default:
        break;
    }
    if (vip->select == SELECT_HASH)
        return NFT_FORM_NUMBER;
    return key == NFT_KEY_CLIENT && vip->affinity == AFFINITY_FLOW ? NFT_FORM_PORT
                                                                   : NFT_FORM_ADDRESS;
}

size_t nft_key_entries(const struct vip_config *vip, enum nft_key key, uint16_t buckets)
{
    size_t count = 0;

    if (key >= NFT_KEY_SERVICES)
        return buckets;
    for (size_t i = 0; i < vip->services; i++)
        if (service_key(&vip->service[i]) == key)
            count += key == NFT_KEY_PORT ? vip->service[i].ports : 1;
    return count;
}

/* Appends to the key. */
static void put(struct nft_entry *e, const void *bytes, size_t length)
{
    assert(e->length + length <= sizeof e->byte);
    memcpy(e->byte + e->length, bytes, length);
    e->length = (uint16_t)(e->length + length);
}

/* What is joined in a key fills words of 32 bits. */
static struct nft_entry service_entry(const struct vip_config *vip, enum nft_key key, size_t i)
{
    static const uint8_t number[SERVICE_MAX] = {
        [SERVICE_TCP] = IPPROTO_TCP, [SERVICE_UDP] = IPPROTO_UDP, [SERVICE_SCTP] = IPPROTO_SCTP};
    const struct service_config *s = vip->service;
    struct nft_entry e = {.length = 0};

    for (;; s++) {
        size_t here = service_key(s) != key ? 0 : key == NFT_KEY_PORT ? s->ports : 1;

        assert(s < vip->service + vip->services);
        if (i < here)
            break;
        i -= here;
    }
    e.bucket = s->bucket;
    e.policy = s->policy;
    if (key == NFT_KEY_ANY) {
        put(&e, vip->address.byte, vip->address.family == FAMILY_IP4 ? 4 : 16);
        return e;
    }
    put(&e, &number[s->protocol], 1);
    if (key == NFT_KEY_PORT) {
        uint8_t port[] = {0, 0, 0, (uint8_t)(s->port[i] >> 8), (uint8_t)s->port[i], 0, 0};

        put(&e, port, sizeof port);
    }
    return e;
}

/* The low bits of an address, or of its network's number. */
static void put_address(struct nft_entry *e, const struct vip_config *vip)
{
    bool four = vip->address.family == FAMILY_IP4;
    bool network = vip->affinity == AFFINITY_NETWORK;
    uint32_t bits = htonl(four && network ? e->bucket << 8 : e->bucket);

    e->length = four ? 4 : 16;
    memcpy(e->byte + (four ? 0 : network ? 4 : 12), &bits, sizeof bits);
}

struct nft_entry nft_key_entry(const struct vip_config *vip, enum nft_key key, size_t i)
{
    struct nft_entry e = {.bucket = (unsigned)i, .policy = POLICY_BALANCE};
    uint16_t port = htons((uint16_t)(i << 1));
    uint32_t number = (uint32_t)i;

    if (key < NFT_KEY_SERVICES)
        return service_entry(vip, key, i);
    switch (nft_key_form(vip, key)) {
    case NFT_FORM_PORT:
        put(&e, &port, sizeof port);
        break;
    case NFT_FORM_NUMBER:
        put(&e, &number, sizeof number);
        break;
    default:
        put_address(&e, vip);
        break;
    }
    return e;
}

unsigned nft_quick_offset(const struct vip_config *vip)
{
    bool network = vip->affinity == AFFINITY_NETWORK;

    assert(vip->select == SELECT_MASK && vip->affinity != AFFINITY_FLOW);
    /* The source is at 12 and 8; a network's number ends after 3 and 8 bytes of it. */
    return vip->address.family == FAMILY_IP4 ? 12 + (network ? 1 : 2) : 8 + (network ? 6 : 14);
}

/* What put_address() wrote. */
static size_t address_bucket(const struct vip_config *vip, const uint8_t *byte)
{
    bool four = vip->address.family == FAMILY_IP4;
    bool network = vip->affinity == AFFINITY_NETWORK;
    uint32_t bits;

    memcpy(&bits, byte + (four ? 0 : network ? 4 : 12), sizeof bits);
    bits = ntohl(bits);
    return four && network ? bits >> 8 : bits;
}

static bool entry_is(const struct nft_entry *e, const uint8_t *byte, size_t length)
{
    return e->length == length && memcmp(e->byte, byte, length) == 0;
}

size_t nft_key_find(const struct vip_config *vip, enum nft_key key, uint16_t buckets,
                    const uint8_t *byte, size_t length, size_t none)
{
    size_t entries = nft_key_entries(vip, key, buckets), from = 0, to = entries;
    struct nft_entry e;
    uint32_t number;

    if (entries == 0)
        return none;
    e = nft_key_entry(vip, key, 0);
    if (e.length != length)
        return none;
    if (key >= NFT_KEY_SERVICES) {
        switch (nft_key_form(vip, key)) {
        case NFT_FORM_PORT:
            from = ((size_t)byte[0] << 8 | byte[1]) >> 1;
            break;
        case NFT_FORM_NUMBER:
            memcpy(&number, byte, sizeof number);
            from = number;
            break;
        default:
            from = address_bucket(vip, byte);
            break;
        }
        to = from < entries ? from + 1 : from;
    }
    for (size_t i = from; i < to; i++) {
        e = nft_key_entry(vip, key, i);
        if (entry_is(&e, byte, length))
            return i;
    }
    return none;
}

const char *nft_key_text(const struct vip_config *vip, enum nft_key key, const struct nft_entry *e,
                         char out[NFT_KEY_TEXT])
{
    uint32_t number;

    switch (nft_key_form(vip, key)) {
    case NFT_FORM_ADDRESS:
        return inet_ntop(e->length == 4 ? AF_INET : AF_INET6, e->byte, out, NFT_KEY_TEXT);
    case NFT_FORM_PORT:
        snprintf(out, NFT_KEY_TEXT, "%u", (unsigned)e->byte[0] << 8 | e->byte[1]);
        break;
    case NFT_FORM_NUMBER:
        memcpy(&number, e->byte, sizeof number);
        snprintf(out, NFT_KEY_TEXT, "%u", number);
        break;
    case NFT_FORM_PROTOCOL:
        snprintf(out, NFT_KEY_TEXT, "%u", e->byte[0]);
        break;
    case NFT_FORM_SERVICE:
        snprintf(out, NFT_KEY_TEXT, "%u . %u", e->byte[0], (unsigned)e->byte[4] << 8 | e->byte[5]);
        break;
    case NFT_FORM_MAX:
        break;
    }
    return out;
}
