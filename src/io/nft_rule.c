/*
 * The phrases that our rules are made of. What nft 1.0.6 makes of the text of
 * a phrase (`nft --debug=netlink -f`) is what the phrase puts into the kernel,
 * expression by expression, so that the distribution's nft can list our rules
 * and load what it listed.
 */
#include "nft_rule.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <libnftnl/rule.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/icmp6.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "nft_rule_words.h"

static const struct {
    const char *name;
    uint16_t family;
} tables[NFT_TABLE_MAX] = {
    [NFT_TABLE_INET] = {"inet", NFPROTO_INET},
    [NFT_TABLE_NETDEV] = {"netdev", NFPROTO_NETDEV},
};

const struct nft_family nft_families[] = {
    [FAMILY_IP4] = {"ip",
                    "icmp",
                    ETH_P_IP,
                    NFPROTO_IPV4,
                    IPPROTO_ICMP,
                    {NFT_PAYLOAD_NETWORK_HEADER, 12, 4, false},
                    {NFT_PAYLOAD_NETWORK_HEADER, 16, 4, false}},
    [FAMILY_IP6] = {"ip6",
                    "icmpv6",
                    ETH_P_IPV6,
                    NFPROTO_IPV6,
                    IPPROTO_ICMPV6,
                    {NFT_PAYLOAD_NETWORK_HEADER, 8, 16, false},
                    {NFT_PAYLOAD_NETWORK_HEADER, 24, 16, false}},
};

static const struct nft_payload ether_destination = {NFT_PAYLOAD_LL_HEADER, 0, 6, false};
static const struct nft_payload ether_source = {NFT_PAYLOAD_LL_HEADER, 6, 6, false};
static const struct nft_payload ether_type = {NFT_PAYLOAD_LL_HEADER, 12, 2, false};
static const struct nft_payload arp_sender_mac = {NFT_PAYLOAD_NETWORK_HEADER, 8, 6, false};
static const struct nft_payload arp_sender_ip = {NFT_PAYLOAD_NETWORK_HEADER, 14, 4, false};
static const struct nft_payload tcp_flags = {NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1, false};
static const struct nft_payload ip_fragment = {NFT_PAYLOAD_NETWORK_HEADER, 6, 2, false};
static const struct nft_payload icmp_type = {NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, false};

static const uint8_t zero[16];

const char *nft_table_family_name(enum nft_table t)
{
    return tables[t].name;
}

uint16_t nft_table_family(enum nft_table t)
{
    return tables[t].family;
}

void nft_rule_init(struct nft_rule *r, enum nft_table table, const char *chain)
{
    memset(r, 0, sizeof *r);
    r->kernel = nftnl_rule_alloc();
    if (r->kernel == NULL) {
        r->error = -ENOMEM;
        return;
    }
    nftnl_rule_set_u32(r->kernel, NFTNL_RULE_FAMILY, tables[table].family);
    nftnl_rule_set_str(r->kernel, NFTNL_RULE_TABLE, NFT_TABLE_NAME);
    nftnl_rule_set_str(r->kernel, NFTNL_RULE_CHAIN, chain);
}

void nft_rule_free(struct nft_rule *r)
{
    if (r->kernel != NULL)
        nftnl_rule_free(r->kernel);
    r->kernel = NULL;
}

void nft_rule_say(struct nft_rule *r, const char *format, ...)
{
    va_list list;
    int wrote;

    if (r->length > 0 && r->length < sizeof r->text - 1)
        r->text[r->length++] = ' ';
    va_start(list, format);
    wrote = vsnprintf(r->text + r->length, sizeof r->text - r->length, format, list);
    va_end(list);
    /* The longest rule has less than half of the room; names are bounded. */
    assert(wrote >= 0 && r->length + (size_t)wrote < sizeof r->text);
    r->length += (size_t)wrote;
}

static void say_mac(struct nft_rule *r, const char *words, const struct mac *m)
{
    nft_rule_say(r, "%s %02x:%02x:%02x:%02x:%02x:%02x", words, m->byte[0], m->byte[1], m->byte[2],
                 m->byte[3], m->byte[4], m->byte[5]);
}

static void say_address(struct nft_rule *r, const char *words, const struct address *a)
{
    char text[INET6_ADDRSTRLEN];

    inet_ntop(a->family == FAMILY_IP4 ? AF_INET : AF_INET6, a->byte, text, sizeof text);
    nft_rule_say(r, "%s %s", words, text);
}

/* "@th,192,16 0x0201": bits of a header without a name. */
static void say_raw(struct nft_rule *r, const char *header, unsigned offset, const uint8_t *bytes,
                    size_t count, const char *verb)
{
    char hex[2 * 16 + 1];

    assert(count <= 16);
    for (size_t i = 0; i < count; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    nft_rule_say(r, "@%s,%u,%zu %s0x%s", header, offset * 8, count * 8, verb, hex);
}

static void load_is(struct nft_rule *r, struct nft_payload p, const void *data)
{
    nft_expr_payload(r, p);
    nft_expr_cmp(r, NFT_CMP_EQ, data, p.length);
}

static void need_l4proto(struct nft_rule *r, uint8_t protocol)
{
    nft_expr_meta(r, NFT_META_L4PROTO);
    nft_expr_cmp(r, NFT_CMP_EQ, &protocol, sizeof protocol);
}

static void need_ethertype(struct nft_rule *r, uint16_t ethertype)
{
    uint16_t type = htons(ethertype);

    nft_expr_meta(r, NFT_META_PROTOCOL);
    nft_expr_cmp(r, NFT_CMP_EQ, &type, sizeof type);
}

void nft_rule_need(struct nft_rule *r, enum nft_need need, enum family family)
{
    uint16_t type = htons(nft_families[family].ethertype);

    switch (need) {
    case NEED_NFPROTO:
        nft_expr_meta(r, NFT_META_NFPROTO);
        nft_expr_cmp(r, NFT_CMP_EQ, &nft_families[family].nfproto, 1);
        break;
    case NEED_ETHERTYPE:
        load_is(r, ether_type, &type);
        break;
    case NEED_PROTOCOL:
        need_ethertype(r, nft_families[family].ethertype);
        break;
    }
}

/* ---- conditions ------------------------------------------------------------- */

void nft_rule_iifname(struct nft_rule *r, const char *interface)
{
    char name[IFNAMSIZ] = {0};

    memcpy(name, interface, strnlen(interface, IFNAMSIZ - 1));
    nft_rule_say(r, "iifname \"%s\"", name);
    nft_expr_meta(r, NFT_META_IIFNAME);
    nft_expr_cmp(r, NFT_CMP_EQ, name, sizeof name);
}

void nft_rule_ether_daddr(struct nft_rule *r, const struct mac *mac)
{
    uint16_t ethernet = ARPHRD_ETHER;

    say_mac(r, "ether daddr", mac);
    nft_expr_meta(r, NFT_META_IIFTYPE);
    nft_expr_cmp(r, NFT_CMP_EQ, &ethernet, sizeof ethernet);
    load_is(r, ether_destination, mac->byte);
}

void nft_rule_daddr(struct nft_rule *r, const struct address *a)
{
    say_address(r, a->family == FAMILY_IP4 ? "ip daddr" : "ip6 daddr", a);
    load_is(r, nft_families[a->family].daddr, a->byte);
}

void nft_rule_saddr(struct nft_rule *r, const struct address *a)
{
    say_address(r, a->family == FAMILY_IP4 ? "ip saddr" : "ip6 saddr", a);
    load_is(r, nft_families[a->family].saddr, a->byte);
}

void nft_rule_daddr_in(struct nft_rule *r, enum family family, const char *set)
{
    nft_rule_say(r, "%s daddr @%s", nft_families[family].ip, set);
    nft_expr_payload(r, nft_families[family].daddr);
    nft_expr_lookup(r, true, set);
}

/* Words of nft's own: it looks others up in /etc/protocols, which may be missing. */
static const char *protocol_name(uint8_t protocol)
{
    switch (protocol) {
    case IPPROTO_TCP:
        return "tcp";
    case IPPROTO_ICMP:
        return "icmp";
    default:
        assert(protocol == IPPROTO_ICMPV6);
        return "icmpv6";
    }
}

void nft_rule_l4proto(struct nft_rule *r, bool is, uint8_t protocol)
{
    nft_rule_say(r, "meta l4proto %s%s", is ? "" : "!= ", protocol_name(protocol));
    nft_expr_meta(r, NFT_META_L4PROTO);
    nft_expr_cmp(r, is ? NFT_CMP_EQ : NFT_CMP_NEQ, &protocol, sizeof protocol);
}

void nft_rule_l4proto_in(struct nft_rule *r, bool is, const char *set)
{
    nft_rule_say(r, "meta l4proto %s@%s", is ? "" : "!= ", set);
    nft_expr_meta(r, NFT_META_L4PROTO);
    nft_expr_lookup(r, is, set);
}

void nft_rule_whole(struct nft_rule *r, enum family family)
{
    static const uint8_t mask[] = {0x3f, 0xff}; /* "more fragments", and the offset */

    if (family == FAMILY_IP6) {
        nft_rule_say(r, "exthdr frag missing");
        nft_expr_exthdr_missing(r, IPPROTO_FRAGMENT);
        return;
    }
    nft_rule_say(r, "ip frag-off & 0x3fff == 0");
    nft_expr_payload(r, ip_fragment);
    nft_expr_bitwise(r, mask, zero, sizeof mask);
    nft_expr_cmp(r, NFT_CMP_EQ, zero, sizeof mask);
}

void nft_rule_tcp_syn(struct nft_rule *r, bool is)
{
    static const uint8_t mask = 0x17, syn = 0x02; /* of FIN 1, SYN 2, RST 4, ACK 16 */

    nft_rule_say(r, "tcp flags & (fin | syn | rst | ack) %s syn", is ? "==" : "!=");
    need_l4proto(r, IPPROTO_TCP);
    nft_expr_payload(r, tcp_flags);
    nft_expr_bitwise(r, &mask, zero, sizeof mask);
    nft_expr_cmp(r, is ? NFT_CMP_EQ : NFT_CMP_NEQ, &syn, sizeof syn);
}

void nft_rule_icmp_type(struct nft_rule *r, enum family family, uint8_t type)
{
    nft_rule_say(r, "%s type %u", nft_families[family].icmp, type);
    need_l4proto(r, nft_families[family].icmp_protocol);
    load_is(r, icmp_type, &type);
}

void nft_rule_icmp_type_in(struct nft_rule *r, enum family family, const char *set)
{
    nft_rule_say(r, "%s type @%s", nft_families[family].icmp, set);
    need_l4proto(r, nft_families[family].icmp_protocol);
    nft_expr_payload(r, icmp_type);
    nft_expr_lookup(r, true, set);
}

void nft_rule_ct_state(struct nft_rule *r, uint32_t bits, const char *words)
{
    nft_rule_say(r, "ct state %s", words);
    nft_expr_ct_state(r);
    nft_expr_bitwise(r, &bits, zero, sizeof bits);
    nft_expr_cmp(r, NFT_CMP_NEQ, zero, sizeof bits);
}

void nft_rule_mark_is(struct nft_rule *r, uint32_t mask, uint32_t value)
{
    nft_rule_say(r, "meta mark & 0x%08x == 0x%08x", mask, value);
    nft_expr_meta(r, NFT_META_MARK);
    nft_expr_bitwise(r, &mask, zero, sizeof mask);
    nft_expr_cmp(r, NFT_CMP_EQ, &value, sizeof value);
}

void nft_rule_mark_any(struct nft_rule *r, uint32_t mask)
{
    nft_rule_say(r, "meta mark & 0x%08x != 0x00000000", mask);
    nft_expr_meta(r, NFT_META_MARK);
    nft_expr_bitwise(r, &mask, zero, sizeof mask);
    nft_expr_cmp(r, NFT_CMP_NEQ, zero, sizeof mask);
}

void nft_rule_arp_saddr_ip(struct nft_rule *r, const struct address *a)
{
    say_address(r, "arp saddr ip", a);
    need_ethertype(r, ETH_P_ARP);
    load_is(r, arp_sender_ip, a->byte);
}

void nft_rule_arp_saddr_ether(struct nft_rule *r, const struct mac *mac)
{
    say_mac(r, "arp saddr ether", mac);
    need_ethertype(r, ETH_P_ARP);
    load_is(r, arp_sender_mac, mac->byte);
}

/* nft's `ether saddr` first asks for the type of the input device; there is
 * none on egress, and the rule would never match. */
void nft_rule_frame_source(struct nft_rule *r, const struct mac *mac)
{
    say_raw(r, "ll", ether_source.offset, mac->byte, sizeof mac->byte, "");
    load_is(r, ether_source, mac->byte);
}

void nft_rule_transport(struct nft_rule *r, unsigned offset, const void *bytes, size_t count)
{
    struct nft_payload p = {NFT_PAYLOAD_TRANSPORT_HEADER, offset, (uint32_t)count, false};

    say_raw(r, "th", offset, bytes, count, "");
    load_is(r, p, bytes);
}

/* ---- actions ---------------------------------------------------------------- */

void nft_rule_mark_set(struct nft_rule *r, uint32_t mask, uint32_t value)
{
    uint32_t keep = ~mask;

    assert((value & keep) == 0);
    if (value != 0)
        nft_rule_say(r, "meta mark set meta mark & 0x%08x | 0x%08x", keep, value);
    else
        nft_rule_say(r, "meta mark set meta mark & 0x%08x", keep);
    nft_expr_meta(r, NFT_META_MARK);
    nft_expr_bitwise(r, &keep, &value, sizeof keep);
    nft_expr_meta_set(r, NFT_META_MARK);
}

static void mac_set(struct nft_rule *r, struct nft_payload p, const struct mac *mac)
{
    nft_expr_immediate(r, mac->byte, sizeof mac->byte);
    nft_expr_payload_set(r, p);
}

void nft_rule_ether_saddr_set(struct nft_rule *r, const struct mac *mac)
{
    say_mac(r, "ether saddr set", mac);
    mac_set(r, ether_source, mac);
}

void nft_rule_frame_source_set(struct nft_rule *r, const struct mac *mac)
{
    say_raw(r, "ll", ether_source.offset, mac->byte, sizeof mac->byte, "set ");
    mac_set(r, ether_source, mac);
}

void nft_rule_arp_saddr_ether_set(struct nft_rule *r, const struct mac *mac)
{
    say_mac(r, "arp saddr ether set", mac);
    mac_set(r, arp_sender_mac, mac);
}

void nft_rule_nd_mac_set(struct nft_rule *r, unsigned offset, const struct mac *mac)
{
    struct nft_payload p = {NFT_PAYLOAD_TRANSPORT_HEADER, offset, sizeof mac->byte, true};

    say_raw(r, "th", offset, mac->byte, sizeof mac->byte, "set ");
    mac_set(r, p, mac);
}

void nft_rule_host(struct nft_rule *r)
{
    static const uint8_t host = PACKET_HOST;

    nft_rule_say(r, "meta pkttype set host");
    nft_expr_immediate(r, &host, sizeof host);
    nft_expr_meta_set(r, NFT_META_PKTTYPE);
}

void nft_rule_count(struct nft_rule *r, const char *counter)
{
    nft_rule_say(r, "counter name \"%s\"", counter);
    nft_expr_counter(r, counter);
}

void nft_rule_count_here(struct nft_rule *r)
{
    nft_rule_say(r, "counter");
    nft_expr_counter_here(r);
}

void nft_rule_forward(struct nft_rule *r, const char *interface, unsigned ifindex)
{
    uint32_t index = ifindex;

    nft_rule_say(r, "fwd to \"%s\"", interface);
    nft_expr_immediate(r, &index, sizeof index);
    nft_expr_forward(r);
}

void nft_rule_accept(struct nft_rule *r)
{
    nft_rule_say(r, "accept");
    nft_expr_verdict(r, NF_ACCEPT, NULL);
}

void nft_rule_drop(struct nft_rule *r)
{
    nft_rule_say(r, "drop");
    nft_expr_verdict(r, NF_DROP, NULL);
}

void nft_rule_reset(struct nft_rule *r)
{
    nft_rule_say(r, "reject with tcp reset");
    nft_expr_reject(r, NFT_REJECT_TCP_RST, 0);
}

/* nft turns the word for both families into that of the one that it knows. */
void nft_rule_reject(struct nft_rule *r, enum family family)
{
    nft_rule_say(r, "reject with %s port-unreachable", nft_families[family].icmp);
    nft_expr_reject(r, NFT_REJECT_ICMP_UNREACH,
                    family == FAMILY_IP4 ? ICMP_PORT_UNREACH : ICMP6_DST_UNREACH_NOPORT);
}

void nft_rule_goto(struct nft_rule *r, const char *chain)
{
    nft_rule_say(r, "goto %s", chain);
    nft_expr_verdict(r, NFT_GOTO, chain);
}

void nft_rule_jump(struct nft_rule *r, const char *chain)
{
    nft_rule_say(r, "jump %s", chain);
    nft_expr_verdict(r, NFT_JUMP, chain);
}
