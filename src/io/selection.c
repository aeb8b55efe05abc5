/*
 * The kernel's arithmetic once more. `mask` takes low bits: of the address, of
 * its network's number, or, for affinity "flow", of the port without its lowest
 * bit, since connect() of Linux takes even ports as long as there are any.
 * `hash` hashes the same things, of a flow both address and port. What has no
 * port is then selected by its address.
 */
#include "selection.h"

#include <netinet/in.h>
#include <string.h>

enum { HASH_BLOCK = 12, SOURCE_BYTES_MAX = 16 + 4 };

const uint8_t selection_port_protocols[SELECTION_PORT_PROTOCOLS] = {
    IPPROTO_TCP, IPPROTO_UDP, IPPROTO_DCCP, IPPROTO_SCTP, IPPROTO_UDPLITE};

bool selection_by_address(const struct vip_config *vip)
{
    return vip->services == 0 && vip->affinity != AFFINITY_FLOW;
}

bool selection_has_ports(uint8_t protocol)
{
    for (size_t i = 0; i < SELECTION_PORT_PROTOCOLS; i++)
        if (selection_port_protocols[i] == protocol)
            return true;
    return false;
}

static uint32_t rotate(uint32_t x, unsigned by)
{
    return x << by | x >> (32 - by);
}

static uint32_t little_word(const uint8_t *byte)
{
    return (uint32_t)byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 |
           (uint32_t)byte[3] << 24;
}

/*
 * The kernel's jhash (Bob Jenkins' lookup3) of 4, 8, 16 or 20 bytes, as nftables
 * computes it. It reads whole blocks of 12 bytes as words of the host's byte
 * order, and the rest byte by byte: for IPv6, hosts of different byte order
 * put a client into different buckets.
 */
static uint32_t hash_of(const uint8_t *byte, uint32_t length)
{
    uint32_t a, b, c;

    a = b = c = 0xdeadbeefu + length + SELECTION_HASH_SEED;
    if (length > HASH_BLOCK) {
        uint32_t word[3];
        memcpy(word, byte, sizeof(word));
        a += word[0], b += word[1], c += word[2];
        a -= c, a ^= rotate(c, 4), c += b;
        b -= a, b ^= rotate(a, 6), a += c;
        c -= b, c ^= rotate(b, 8), b += a;
        a -= c, a ^= rotate(c, 16), c += b;
        b -= a, b ^= rotate(a, 19), a += c;
        c -= b, c ^= rotate(b, 4), b += a;
        byte += HASH_BLOCK;
        length -= HASH_BLOCK;
    }
    a += little_word(byte);
    if (length > 4)
        b += little_word(byte + 4);
    c ^= b, c -= rotate(b, 14);
    a ^= c, a -= rotate(c, 11);
    b ^= a, b -= rotate(a, 25);
    c ^= b, c -= rotate(b, 16);
    a ^= c, a -= rotate(c, 4);
    b ^= a, b -= rotate(a, 14);
    c ^= b, c -= rotate(b, 24);
    return c;
}

/* A port follows the address as a word of its own, as registers are filled. */
static unsigned by_hash(const struct vip_config *vip, uint16_t buckets, const struct source *from)
{
    size_t bytes = from->address.family == FAMILY_IP4 ? 4 : 16;
    size_t network = vip->affinity != AFFINITY_NETWORK ? bytes : bytes == 4 ? 3 : 8;
    uint8_t hashed[SOURCE_BYTES_MAX] = {0};

    memcpy(hashed, from->address.byte, network);
    if (vip->affinity == AFFINITY_FLOW && from->has_port) {
        hashed[bytes] = (uint8_t)(from->port >> 8);
        hashed[bytes + 1] = (uint8_t)from->port;
        bytes += 4;
    }
    return (unsigned)((uint64_t)hash_of(hashed, (uint32_t)bytes) * buckets >> 32);
}

static unsigned by_mask(const struct vip_config *vip, uint16_t buckets, const struct source *from)
{
    const uint8_t *byte = from->address.byte;
    bool network = vip->affinity == AFFINITY_NETWORK;
    uint32_t bits;

    if (vip->affinity == AFFINITY_FLOW && from->has_port)
        return (unsigned)(from->port >> 1) & (buckets - 1u);
    if (from->address.family == FAMILY_IP6)
        byte += network ? 4 : 12;
    bits = (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 | byte[3];
    if (from->address.family == FAMILY_IP4 && network)
        bits >>= 8;
    return bits & (buckets - 1u);
}

unsigned selection_bucket(const struct vip_config *vip, uint16_t buckets, const struct source *from)
{
    return (vip->select == SELECT_HASH ? by_hash : by_mask)(vip, buckets, from);
}

const struct service_config *selection_service(const struct vip_config *vip, uint8_t protocol,
                                               uint16_t port)
{
    static const uint8_t number[SERVICE_MAX] = {
        [SERVICE_TCP] = IPPROTO_TCP, [SERVICE_UDP] = IPPROTO_UDP, [SERVICE_SCTP] = IPPROTO_SCTP};
    const struct service_config *all = NULL, *any = NULL;

    if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
        return NULL;
    for (size_t i = 0; i < vip->services; i++) {
        const struct service_config *s = &vip->service[i];

        if (s->protocol == SERVICE_ANY)
            any = s;
        if (s->protocol == SERVICE_ANY || number[s->protocol] != protocol)
            continue;
        if (s->ports == 0)
            all = s;
        for (size_t p = 0; p < s->ports; p++)
            if (s->port[p] == port)
                return s;
    }
    return all != NULL ? all : any;
}
