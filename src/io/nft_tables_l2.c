/*
 * Table netdev: frames and MAC addresses, one ingress and one egress chain per
 * interface; the former begins with the early rules (nft_tables_early.c).
 *
 * The switch must not learn the shared MAC, so no frame may leave with it as
 * its source, and what it carries inside (ARP, neighbour discovery) must name
 * it. In mode `shared` the NIC keeps its own MAC: the answers about the VIP are
 * rewritten on their way out. In mode `interface` the NIC has the shared MAC:
 * the source of what leaves is masked by the original one, and all answers but
 * those about VIPs are rewritten, so that the host's other addresses stay at
 * its own MAC. What comes in for the MAC that the NIC does not have is marked
 * as ours, for the stack drops frames that are not.
 *
 * A released bucket's new flows go on to its new owner: only frames sent to
 * the shared MAC are forwarded, to the owner's own MAC, so that none can travel
 * in a circle. Map lookup comes before any change; a bucket that is not in the
 * map leaves the rule there, untouched and uncounted. No rule matches ports or
 * flags in later fragments: the kernel has no transport header for those, and
 * has not put the pieces together yet. Where the port decides, pieces are not
 * forwarded at all: the first alone would be of no use to anybody.
 */
#include "nft_tables.h"

#include <assert.h>
#include <netinet/in.h>
#include <linux/icmp.h>
#include <linux/netfilter.h>
#include <netinet/icmp6.h>
#include <stdio.h>
#include <string.h>

enum {
    PRIORITY = -100,
    /* Offsets in ICMPv6 neighbour messages, and of options after them. */
    ND_TARGET = 8,
    ND_OPTION = 24,
    RS_OPTION = 8,
    OPTION_MAC = 2, /* after the option's type and length */
    OPTION_BYTES = 8,
};

static bool same_mac(const struct mac *a, const struct mac *b)
{
    return memcmp(a->byte, b->byte, sizeof a->byte) == 0;
}

static bool same_interface(const struct nft_layout *l, size_t a, size_t b)
{
    return strcmp(l->vip[a].interface, l->vip[b].interface) == 0;
}

/* The NIC's MAC differs from the one that this VIP's frames are sent to: that
 * one, which the NIC has beside its own. */
static const struct mac *second_mac(const struct nft_layout *l, size_t vip)
{
    return l->vip[vip].mode == VIP_INTERFACE ? &l->place[vip].own : &l->vip[vip].mac;
}

/* Whether `vip` is the first of its interface for which `of` gives this MAC. */
static bool first_with(const struct nft_layout *l, size_t vip,
                       const struct mac *(*of)(const struct nft_layout *, size_t))
{
    for (size_t i = 0; i < vip; i++)
        if (same_interface(l, i, vip) && l->vip[i].mode == l->vip[vip].mode &&
            same_mac(of(l, i), of(l, vip)))
            return false;
    return true;
}

static const struct mac *shared_mac(const struct nft_layout *l, size_t vip)
{
    return &l->vip[vip].mac;
}

/* ---- ingress ---------------------------------------------------------------- */

void nft_tables_host(struct nft_sink *s, size_t vip)
{
    struct nft_rule r;

    nft_tables_rule(s, &r);
    nft_rule_ether_daddr(&r, second_mac(s->layout, vip));
    nft_rule_host(&r);
    nft_tables_end(s, &r);
}

enum forwarded { FORWARD_SYN, FORWARD_ECHO, FORWARD_OTHER, FORWARD_PORTLESS, FORWARD_MAX };

/* OTHER than TCP and ICMP; under affinity "flow" it has ports, and PORTLESS has not. */
static enum nft_key tell_forwarded(struct nft_rule *r, const struct vip_config *v,
                                   enum forwarded what)
{
    enum family family = v->address.family;
    bool flow = v->affinity == AFFINITY_FLOW;

    switch (what) {
    case FORWARD_SYN:
        nft_rule_tcp_syn(r, true);
        return NFT_KEY_CLIENT;
    case FORWARD_ECHO:
        nft_rule_icmp_type(r, family, family == FAMILY_IP4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST);
        return flow ? NFT_KEY_PORTLESS : NFT_KEY_CLIENT;
    case FORWARD_OTHER:
        if (flow)
            nft_rule_whole(r, family);
        nft_rule_l4proto(r, false, IPPROTO_TCP);
        if (flow)
            nft_rule_l4proto_in(r, true, NFT_SET_PORTS);
        else
            nft_rule_l4proto(r, false, nft_icmp_of(family));
        return NFT_KEY_CLIENT;
    case FORWARD_PORTLESS:
        nft_rule_l4proto(r, false, nft_icmp_of(family));
        nft_rule_l4proto_in(r, false, NFT_SET_PORTS);
        return NFT_KEY_PORTLESS;
    case FORWARD_MAX:
        break;
    }
    assert(what < FORWARD_MAX);
    return NFT_KEY_CLIENT;
}

/* The same of a service that has one bucket. */
static void tell_forwarded_single(struct nft_rule *r, const struct vip_config *v,
                                  enum forwarded what)
{
    if (what == FORWARD_SYN) {
        nft_rule_tcp_syn(r, true);
        return;
    }
    nft_rule_l4proto(r, false, IPPROTO_TCP);
    nft_rule_l4proto(r, false, nft_icmp_of(v->address.family));
}

/* The frames that may be forwarded: sent to the shared MAC, while the lease runs. */
static void tell_flooded(struct nft_sink *s, struct nft_rule *r, size_t vip)
{
    const struct vip_config *v = &s->layout->vip[vip];
    char lease[NFT_NAME_BYTES];

    nft_tables_rule(s, r);
    nft_rule_ether_daddr(r, &v->mac);
    nft_rule_need(r, NEED_ETHERTYPE, v->address.family);
    nft_rule_daddr_in(r, v->address.family, nft_name(lease, vip, "lease"));
}

/* To the MAC that `key` finds; `key` NFT_KEY_MAX: that of the client's bucket. */
static void tell_forward(struct nft_sink *s, size_t vip, enum forwarded what, enum nft_key key)
{
    const struct nft_layout *l = s->layout;
    const struct vip_config *v = &l->vip[vip];
    char map[NFT_NAME_BYTES], counter[NFT_NAME_BYTES];
    struct nft_rule r;

    tell_flooded(s, &r, vip);
    if (key == NFT_KEY_MAX)
        key = tell_forwarded(&r, v, what);
    else
        tell_forwarded_single(&r, v, what);
    nft_rule_bucket_ether_daddr(&r, v, key, l->buckets,
                                nft_name(map, vip, nft_key_forward_noun(nft_key_home(v, key))));
    nft_rule_count(&r, nft_name(counter, vip, "forwarded"));
    nft_rule_ether_saddr_set(&r, &l->place[vip].own);
    nft_rule_forward(&r, v->interface, l->place[vip].ifindex);
    nft_tables_end(s, &r);
}

void nft_tables_forwards(struct nft_sink *s, size_t vip)
{
    for (enum forwarded what = 0; what < FORWARD_MAX; what++)
        if (what != FORWARD_PORTLESS || s->layout->vip[vip].affinity == AFFINITY_FLOW)
            tell_forward(s, vip, what, NFT_KEY_MAX);
}

/* The chains that services go through: route finds which it is, and each policy has
 * a chain. */
static void tell_services(struct nft_sink *s, size_t vip)
{
    const struct vip_config *v = &s->layout->vip[vip];
    char name[NFT_NAME_BYTES], map[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_tables_chain(s, nft_name(name, vip, "stay"));
    nft_tables_rule(s, &r);
    nft_rule_accept(&r);
    nft_tables_end(s, &r);
    for (enum nft_key key = 0; key < NFT_KEY_SERVICES; key++) {
        if (!nft_key_used(v, key))
            continue;
        nft_tables_chain(s, nft_name(name, vip, nft_key_single_noun(key)));
        tell_forward(s, vip, FORWARD_SYN, key);
        tell_forward(s, vip, FORWARD_OTHER, key);
    }
    nft_tables_chain(s, nft_name(name, vip, "new"));
    nft_tables_forwards(s, vip);
    nft_tables_chain(s, nft_name(name, vip, "route"));
    for (enum nft_key key = 0; key < NFT_KEY_SERVICES; key++) {
        if (!nft_key_used(v, key))
            continue;
        nft_tables_rule(s, &r);
        if (key == NFT_KEY_ANY) {
            nft_rule_l4proto(&r, false, nft_icmp_of(v->address.family));
            nft_rule_need(&r, NEED_PROTOCOL, v->address.family);
        }
        nft_rule_bucket_vmap(&r, v, key, s->layout->buckets,
                             nft_name(map, vip, nft_key_route_noun(key)));
        nft_tables_end(s, &r);
    }
    nft_tables_rule(s, &r);
    nft_rule_goto(&r, nft_name(map, vip, "new"));
    nft_tables_end(s, &r);
}

static void tell_route(struct nft_sink *s, size_t vip)
{
    const struct vip_config *v = &s->layout->vip[vip];
    char name[NFT_NAME_BYTES];
    struct nft_rule r;

    tell_flooded(s, &r, vip);
    if (nft_key_ports(v))
        nft_rule_whole(&r, v->address.family);
    nft_rule_goto(&r, nft_name(name, vip, "route"));
    nft_tables_end(s, &r);
}

/* The early rules come first, and see to the rest for their VIPs. */
static void tell_ingress(struct nft_sink *s, size_t first)
{
    const struct nft_layout *l = s->layout;

    for (size_t i = first; i < l->vips; i++)
        if (same_interface(l, i, first) && nft_early_table(&l->vip[i]) == NFT_TABLE_NETDEV)
            nft_tables_lookup(s, i);
    for (size_t i = first; i < l->vips; i++)
        if (same_interface(l, i, first) && first_with(l, i, second_mac))
            nft_tables_host(s, i);
    for (size_t i = first; i < l->vips; i++)
        if (same_interface(l, i, first) && nft_early_table(&l->vip[i]) == NFT_TABLE_INET)
            (l->vip[i].services > 0 ? tell_route : nft_tables_forwards)(s, i);
}

/* ---- egress ----------------------------------------------------------------- */

/* The link-layer address option as neighbours see it: type, length, MAC. */
static void option_bytes(uint8_t out[OPTION_BYTES], uint8_t type, const struct mac *mac)
{
    out[0] = type;
    out[1] = 1; /* in units of 8 bytes */
    memcpy(out + OPTION_MAC, mac->byte, sizeof mac->byte);
}

/* What is said about the VIP names the shared MAC. */
static void tell_advertise(struct nft_sink *s, size_t vip)
{
    const struct vip_config *v = &s->layout->vip[vip];
    uint8_t option[OPTION_BYTES];
    struct nft_rule r;

    if (v->address.family == FAMILY_IP4) {
        nft_tables_rule(s, &r);
        nft_rule_arp_saddr_ip(&r, &v->address);
        nft_rule_arp_saddr_ether_set(&r, &v->mac);
        nft_rule_accept(&r);
        nft_tables_end(s, &r);
        return;
    }
    nft_tables_rule(s, &r);
    nft_rule_need(&r, NEED_PROTOCOL, FAMILY_IP6);
    nft_rule_icmp_type(&r, FAMILY_IP6, ND_NEIGHBOR_ADVERT);
    nft_rule_transport(&r, ND_TARGET, v->address.byte, sizeof v->address.byte);
    option_bytes(option, ND_OPT_TARGET_LINKADDR, &v->mac);
    nft_rule_transport(&r, ND_OPTION, option, OPTION_MAC);
    nft_rule_nd_mac_set(&r, ND_OPTION + OPTION_MAC, &v->mac);
    nft_rule_accept(&r);
    nft_tables_end(s, &r);

    nft_tables_rule(s, &r);
    nft_rule_need(&r, NEED_PROTOCOL, FAMILY_IP6);
    nft_rule_saddr(&r, &v->address);
    nft_rule_icmp_type(&r, FAMILY_IP6, ND_NEIGHBOR_SOLICIT);
    option_bytes(option, ND_OPT_SOURCE_LINKADDR, &v->mac);
    nft_rule_transport(&r, ND_OPTION, option, OPTION_MAC);
    nft_rule_nd_mac_set(&r, ND_OPTION + OPTION_MAC, &v->mac);
    nft_rule_accept(&r);
    nft_tables_end(s, &r);
}

/* Mode interface: the frame's source. */
static void tell_mask(struct nft_sink *s, size_t vip)
{
    struct nft_rule r;

    nft_tables_rule(s, &r);
    nft_rule_frame_source(&r, &s->layout->vip[vip].mac);
    nft_rule_frame_source_set(&r, &s->layout->place[vip].own);
    nft_tables_end(s, &r);
}

/* Mode interface: what is said about any other address names our own MAC. */
static void tell_restore(struct nft_sink *s, size_t vip)
{
    static const struct {
        uint8_t type, option_type;
        unsigned option;
    } message[] = {
        {ND_NEIGHBOR_ADVERT, ND_OPT_TARGET_LINKADDR, ND_OPTION},
        {ND_NEIGHBOR_SOLICIT, ND_OPT_SOURCE_LINKADDR, ND_OPTION},
        {ND_ROUTER_SOLICIT, ND_OPT_SOURCE_LINKADDR, RS_OPTION},
    };
    const struct mac *shared = &s->layout->vip[vip].mac;
    const struct mac *own = &s->layout->place[vip].own;
    uint8_t option[OPTION_BYTES];
    struct nft_rule r;

    nft_tables_rule(s, &r);
    nft_rule_arp_saddr_ether(&r, shared);
    nft_rule_arp_saddr_ether_set(&r, own);
    nft_tables_end(s, &r);
    for (size_t i = 0; i < sizeof message / sizeof *message; i++) {
        option_bytes(option, message[i].option_type, shared);
        nft_tables_rule(s, &r);
        nft_rule_need(&r, NEED_PROTOCOL, FAMILY_IP6);
        nft_rule_icmp_type(&r, FAMILY_IP6, message[i].type);
        nft_rule_transport(&r, message[i].option, option, sizeof option);
        nft_rule_nd_mac_set(&r, message[i].option + OPTION_MAC, own);
        nft_tables_end(s, &r);
    }
}

/* Frames' sources first, for what follows ends at the VIP that it is about. */
static void tell_egress(struct nft_sink *s, size_t first)
{
    const struct nft_layout *l = s->layout;

    for (size_t i = first; i < l->vips; i++)
        if (same_interface(l, i, first) && l->vip[i].mode == VIP_INTERFACE &&
            l->vip[i].mask_source_mac && first_with(l, i, shared_mac))
            tell_mask(s, i);
    for (size_t i = first; i < l->vips; i++)
        if (same_interface(l, i, first))
            tell_advertise(s, i);
    for (size_t i = first; i < l->vips; i++)
        if (same_interface(l, i, first) && l->vip[i].mode == VIP_INTERFACE &&
            first_with(l, i, shared_mac))
            tell_restore(s, i);
}

/* ---- the chains ------------------------------------------------------------- */

/* A chain's name of an interface's: nft takes letters, digits and _ . - in it;
 * others become '_' and the VIP's number keeps such names apart. */
static const char *chain_name(char out[NFT_NAME_BYTES], const char *way, const char *interface,
                              size_t vip)
{
    bool odd = false;
    int n = snprintf(out, NFT_NAME_BYTES, "%s_%s", way, interface);

    for (char *p = out; *p != '\0'; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || *p == '_' || *p == '.' || *p == '-';

        odd |= !plain;
        if (!plain)
            *p = '_';
    }
    if (odd)
        snprintf(out + n, NFT_NAME_BYTES - (size_t)n, "..%zu", vip);
    return out;
}

static size_t first_of_interface(const struct nft_layout *l, size_t vip)
{
    size_t first = 0;

    while (!same_interface(l, first, vip))
        first++;
    return first;
}

const char *nft_ingress_chain(const struct nft_layout *l, size_t vip, char out[NFT_NAME_BYTES])
{
    size_t first = first_of_interface(l, vip);

    return chain_name(out, "in", l->vip[first].interface, first);
}

size_t nft_ingress_counter(const struct nft_layout *l, size_t vip)
{
    size_t before = 0;

    for (size_t i = 0; i < vip; i++)
        before += same_interface(l, i, vip) && nft_early_table(&l->vip[i]) == NFT_TABLE_NETDEV;
    return before;
}

void nft_tables_tell_l2(const struct nft_layout *l, struct nft_sink *s)
{
    for (size_t i = 0; i < l->vips; i++)
        if (l->vip[i].services > 0)
            tell_services(s, i);
    for (size_t i = 0; i < l->vips; i++) {
        const char *interface = l->vip[i].interface;
        struct nft_hook in = {"ingress", NF_NETDEV_INGRESS, PRIORITY, interface};
        struct nft_hook out = {"egress", NF_NETDEV_EGRESS, PRIORITY, interface};
        char name[NFT_NAME_BYTES];

        if (first_of_interface(l, i) != i)
            continue;
        s->now_chain = nft_ingress_chain(l, i, name);
        s->chain(s, name, &in);
        tell_ingress(s, i);
        s->now_chain = chain_name(name, "out", interface, i);
        s->chain(s, name, &out);
        tell_egress(s, i);
    }
}
