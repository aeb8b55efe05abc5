/*
 * Telling the segment where a VIP is.
 *
 * IPv4: an ARP announcement, that is a broadcast *request* for the VIP by the
 * VIP (RFC 5227, 2.3). By RFC 826 a receiver updates the entry that it has
 * from the sender fields of either form, but unasked replies are what hosts
 * and switches with ARP inspection are told to distrust; the request is the
 * form that everybody has to process.
 * IPv6: an unsolicited neighbour advertisement to all nodes with the override
 * flag (RFC 4861, 7.2.6).
 *
 * What is announced is the shared MAC; what the frame is sent from is the
 * NIC's own, so that no switch learns the shared one.
 */
#include "announce.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* An Ethernet frame may not be shorter; some drivers leave it to the sender. */
enum { FRAME_BYTES_MIN = 60, FRAME_BYTES_MAX = 128 };

struct frame {
    size_t length;
    uint8_t byte[FRAME_BYTES_MAX];
};

static void frame_put(struct frame *f, const void *data, size_t length)
{
    memcpy(f->byte + f->length, data, length);
    f->length += length;
}

static void frame_ethernet(struct frame *f, const uint8_t to[6], const struct mac *from,
                           uint16_t type)
{
    struct ether_header header = {.ether_type = htons(type)};

    memcpy(header.ether_dhost, to, sizeof(header.ether_dhost));
    memcpy(header.ether_shost, from->byte, sizeof(header.ether_shost));
    frame_put(f, &header, sizeof(header));
}

static void frame_arp(struct frame *f, const struct vip_config *vip, const struct mac *own)
{
    static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct ether_arp arp = {
        .ea_hdr = {.ar_hrd = htons(ARPHRD_ETHER),
                   .ar_pro = htons(ETHERTYPE_IP),
                   .ar_hln = sizeof(arp.arp_sha),
                   .ar_pln = sizeof(arp.arp_spa),
                   .ar_op = htons(ARPOP_REQUEST)},
    };

    memcpy(arp.arp_sha, vip->mac.byte, sizeof(arp.arp_sha));
    memcpy(arp.arp_spa, vip->address.byte, sizeof(arp.arp_spa));
    memcpy(arp.arp_tpa, vip->address.byte, sizeof(arp.arp_tpa));
    frame_ethernet(f, everybody, own, ETHERTYPE_ARP);
    frame_put(f, &arp, sizeof(arp));
}

/* The internet checksum (RFC 1071) over an even number of bytes. */
static uint32_t sum_add(uint32_t sum, const void *data, size_t length)
{
    const uint8_t *byte = data;

    for (size_t i = 0; i + 1 < length; i += 2)
        sum += (uint32_t)byte[i] << 8 | byte[i + 1];
    return sum;
}

static uint16_t sum_finish(uint32_t sum)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

struct advertisement {
    struct nd_neighbor_advert advert;
    struct nd_opt_hdr option;
    uint8_t mac[6];
};
_Static_assert(sizeof(struct advertisement) == 32, "no padding on the wire");

static void frame_advertisement(struct frame *f, const struct vip_config *vip,
                                const struct mac *own)
{
    static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
    static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
    struct advertisement body = {
        .option = {.nd_opt_type = ND_OPT_TARGET_LINKADDR, .nd_opt_len = 1},
    };
    struct ip6_hdr ip = {0};

    body.advert.nd_na_type = ND_NEIGHBOR_ADVERT;
    body.advert.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE;
    memcpy(&body.advert.nd_na_target, vip->address.byte, 16);
    memcpy(body.mac, vip->mac.byte, sizeof(body.mac));

    ip.ip6_flow = htonl(6u << 28);
    ip.ip6_plen = htons(sizeof(body));
    ip.ip6_nxt = IPPROTO_ICMPV6;
    ip.ip6_hlim = 255;
    memcpy(&ip.ip6_src, vip->address.byte, 16);
    memcpy(&ip.ip6_dst, all_nodes, 16);

    uint32_t sum = IPPROTO_ICMPV6 + (uint32_t)sizeof(body);
    sum = sum_add(sum, &ip.ip6_src, 16);
    sum = sum_add(sum, &ip.ip6_dst, 16);
    body.advert.nd_na_cksum = sum_finish(sum_add(sum, &body, sizeof(body)));

    frame_ethernet(f, all_nodes_mac, own, ETHERTYPE_IPV6);
    frame_put(f, &ip, sizeof(ip));
    frame_put(f, &body, sizeof(body));
}

int announce_vip(const struct vip_config *vip, const struct nft_place *place)
{
    struct frame f = {0};
    int error = 0;

    if (vip->address.family == FAMILY_IP4)
        frame_arp(&f, vip, &place->own);
    else
        frame_advertisement(&f, vip, &place->own);
    if (f.length < FRAME_BYTES_MIN)
        f.length = FRAME_BYTES_MIN;

    /* Protocol 0: this socket only sends, nothing is queued on it. */
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    struct sockaddr_ll to = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(vip->address.family == FAMILY_IP4 ? ETHERTYPE_ARP : ETHERTYPE_IPV6),
        .sll_ifindex = (int)place->ifindex,
        .sll_halen = 6,
    };
    memcpy(to.sll_addr, f.byte, 6);
    if (sendto(fd, f.byte, f.length, 0, (const struct sockaddr *)&to, sizeof(to)) < 0)
        error = -errno;
    close(fd);
    return error;
}
