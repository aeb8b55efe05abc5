/*
 * Table inet: which packets to a VIP come in.
 *
 * Per VIP vN. The early chain runs before conntrack: it looks the packet's
 * bucket up, once, in the map vN_class, whose values are chains. A bucket that
 * is not in the map is another's: dropped, at next to no cost. The chains leave
 * the class in a few bits of the packet mark. The late chain runs after
 * conntrack, takes the bits away again, and judges by the flow's state. One map
 * and one lookup, for two would not be atomic while a bucket moves.
 *
 * The lease is a set of one element, the VIP itself, that times out: without
 * it OWN and ADOPT fall through to LINGER, which lets no new flow in, whatever
 * has become of the daemon.
 *
 * Services, if the VIP has any, are looked up first, by maps vN_class_port,
 * vN_class_protocol and vN_class_any, whose values are chains too: those of the
 * class that the service's own bucket has, or vN_client, where the client's bucket
 * is looked up. What is closed is refused by vN_refuse on the node that has its
 * bucket. So a packet's class still comes of one element.
 *
 * Dependencies (nft_rule_need) stand where nft puts them, so that its listing
 * of our rules is short and loads again.
 */
#include "nft_tables.h"

#include <assert.h>
#include <netinet/in.h>
#include <linux/icmp.h>
#include <linux/netfilter.h>
#include <netinet/icmp6.h>
#include <stdio.h>
#include <string.h>

#include "selection.h"

enum {
    PRIORITY_RAW = -300, /* before conntrack (-200) */
    PRIORITY_MANGLE = -150,
    PRIORITY_EARLY_CT = PRIORITY_MANGLE - 10, /* early_drop = false: after conntrack */
};

void nft_layout_init(struct nft_layout *l, const struct config *c, const struct nft_place *place)
{
    assert(c->vips <= VIPS_MAX);
    memset(l, 0, sizeof *l);
    l->buckets = c->buckets;
    l->lease = c->lease;
    l->vips = c->vips;
    memcpy(l->vip, c->vip, c->vips * sizeof *c->vip);
    memcpy(l->place, place, c->vips * sizeof *place);
}

const char *nft_name(char out[NFT_NAME_BYTES], size_t vip, const char *noun)
{
    snprintf(out, NFT_NAME_BYTES, "v%zu_%s", vip, noun);
    return out;
}

void nft_tables_rule(struct nft_sink *s, struct nft_rule *r)
{
    nft_rule_init(r, s->now_table, s->now_chain);
}

void nft_tables_end(struct nft_sink *s, struct nft_rule *r)
{
    if (r->error != 0 && s->error == 0)
        s->error = r->error;
    if (r->error == 0)
        s->rule(s, r);
    nft_rule_free(r);
}

void nft_tables_chain(struct nft_sink *s, const char *name)
{
    s->now_chain = name;
    s->chain(s, name, NULL);
}

/* A rule that consists of one phrase. */
static void tell_goto(struct nft_sink *s, const char *chain)
{
    struct nft_rule r;

    nft_tables_rule(s, &r);
    nft_rule_goto(&r, chain);
    nft_tables_end(s, &r);
}

/* ---- before conntrack ------------------------------------------------------- */

/* OWN and ADOPT: the class, if the lease runs; else as LINGER. What a member that
 * has not heard of our claim still forwards has come to us by the shared MAC, too:
 * a second SYN does no harm, a second datagram would be answered again. */
static void tell_claim(struct nft_sink *s, size_t vip, const char *noun, uint32_t mark)
{
    enum family family = s->layout->vip[vip].address.family;
    char name[NFT_NAME_BYTES], lease[NFT_NAME_BYTES], linger[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_tables_chain(s, nft_name(name, vip, noun));
    nft_tables_rule(s, &r);
    nft_rule_ether_daddr(&r, &s->layout->place[vip].own);
    nft_rule_l4proto(&r, false, IPPROTO_TCP);
    nft_rule_drop(&r);
    nft_tables_end(s, &r);

    nft_tables_rule(s, &r);
    nft_rule_need(&r, NEED_NFPROTO, family);
    nft_rule_daddr_in(&r, family, nft_name(lease, vip, "lease"));
    nft_rule_mark_set(&r, NFT_MARK_MASK, mark);
    nft_rule_accept(&r);
    nft_tables_end(s, &r);
    tell_goto(s, nft_name(linger, vip, "linger"));
}

/* LINGER: a frame to our own MAC was forwarded by the member that releases the
 * bucket to us; it is judged as if we had it already. */
static void tell_linger(struct nft_sink *s, size_t vip)
{
    enum family family = s->layout->vip[vip].address.family;
    char name[NFT_NAME_BYTES], lease[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_tables_chain(s, nft_name(name, vip, "linger"));
    nft_tables_rule(s, &r);
    nft_rule_ether_daddr(&r, &s->layout->place[vip].own);
    nft_rule_need(&r, NEED_ETHERTYPE, family);
    nft_rule_daddr_in(&r, family, nft_name(lease, vip, "lease"));
    nft_rule_mark_set(&r, NFT_MARK_MASK, NFT_MARK_ADOPT);
    nft_rule_accept(&r);
    nft_tables_end(s, &r);

    nft_tables_rule(s, &r);
    nft_rule_mark_set(&r, NFT_MARK_MASK, NFT_MARK_LINGER);
    nft_rule_accept(&r);
    nft_tables_end(s, &r);
}

/* To the class of a packet, by one key. What has ports is looked up by them or not
 * at all, so that each packet's bucket is looked up once. */
static void tell_class(struct nft_sink *s, size_t vip, enum nft_key key)
{
    const struct vip_config *v = &s->layout->vip[vip];
    enum nft_key home = nft_key_home(v, key);
    char map[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_tables_rule(s, &r);
    if (key >= NFT_KEY_SERVICES && v->affinity == AFFINITY_FLOW)
        nft_rule_l4proto_in(&r, key == NFT_KEY_CLIENT, NFT_SET_PORTS);
    if (key == NFT_KEY_ANY)
        nft_rule_l4proto(&r, false, nft_icmp_of(v->address.family));
    if (nft_key_form(v, key) == NFT_FORM_ADDRESS || nft_key_form(v, key) == NFT_FORM_NUMBER)
        nft_rule_need(&r, NEED_NFPROTO, v->address.family);
    nft_rule_bucket_vmap(&r, v, key, s->layout->buckets,
                         nft_name(map, vip, nft_key_class_noun(home)));
    nft_tables_end(s, &r);
}

static void tell_foreign(struct nft_sink *s, size_t vip)
{
    char foreign[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_tables_rule(s, &r);
    nft_rule_count(&r, nft_name(foreign, vip, "foreign"));
    nft_rule_drop(&r);
    nft_tables_end(s, &r);
}

/* By where it comes from; what is not in the maps is another's. */
static void tell_clients(struct nft_sink *s, size_t vip)
{
    for (enum nft_key key = NFT_KEY_CLIENT; key < NFT_KEY_MAX; key++)
        if (nft_key_used(&s->layout->vip[vip], key))
            tell_class(s, vip, key);
    tell_foreign(s, vip);
}

/* Closed: the answer of a port where nobody listens. Without the lease another
 * may give it. */
static void tell_refuse(struct nft_sink *s, size_t vip)
{
    enum family family = s->layout->vip[vip].address.family;
    char name[NFT_NAME_BYTES], lease[NFT_NAME_BYTES], refused[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_tables_chain(s, nft_name(name, vip, "refuse"));
    nft_name(lease, vip, "lease");
    nft_name(refused, vip, "refused");
    for (int tcp = 1; tcp >= 0; tcp--) {
        nft_tables_rule(s, &r);
        nft_rule_need(&r, NEED_NFPROTO, family);
        nft_rule_daddr_in(&r, family, lease);
        if (tcp != 0)
            nft_rule_l4proto(&r, true, IPPROTO_TCP);
        nft_rule_count(&r, refused);
        if (tcp != 0)
            nft_rule_reset(&r);
        else
            nft_rule_reject(&r, family);
        nft_tables_end(s, &r);
    }
    tell_foreign(s, vip);
}

/* What services' elements go to, beside the classes. */
static void tell_services(struct nft_sink *s, size_t vip)
{
    char name[NFT_NAME_BYTES];

    if (s->layout->vip[vip].services == 0)
        return;
    nft_tables_chain(s, nft_name(name, vip, "client"));
    tell_clients(s, vip);
    nft_tables_chain(s, nft_name(name, vip, "foreign"));
    tell_foreign(s, vip);
    tell_refuse(s, vip);
}

/* Tables that replace ours act before these do, and for a moment beside them: from the
 * commit, which empties the old maps to the packets, until the old chains are taken off
 * their hooks. What the new ones have judged by then must not be judged again. */
static void tell_judged(struct nft_sink *s)
{
    struct nft_rule r;

    nft_tables_rule(s, &r);
    nft_rule_mark_any(&r, NFT_MARK_MASK);
    nft_rule_accept(&r);
    nft_tables_end(s, &r);
}

static void tell_early(struct nft_sink *s, size_t vip)
{
    const struct vip_config *v = &s->layout->vip[vip];
    enum family family = v->address.family;
    char name[NFT_NAME_BYTES], client[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_tables_chain(s, nft_name(name, vip, "early"));
    tell_judged(s);
    if (family == FAMILY_IP6) {
        /* Neighbour discovery is every node's own affair. */
        nft_tables_rule(s, &r);
        nft_rule_need(&r, NEED_NFPROTO, family);
        nft_rule_icmp_type_in(&r, family, "icmpv6_nd");
        nft_rule_accept(&r);
        nft_tables_end(s, &r);
    }
    /* Errors come from routers, not clients: RELATED decides who keeps them. */
    nft_tables_rule(s, &r);
    nft_rule_need(&r, NEED_NFPROTO, family);
    nft_rule_icmp_type_in(&r, family, family == FAMILY_IP4 ? "icmp_error" : "icmpv6_error");
    nft_rule_mark_set(&r, NFT_MARK_MASK, NFT_MARK_LINGER);
    nft_rule_accept(&r);
    nft_tables_end(s, &r);

    if (v->services == 0) {
        tell_clients(s, vip);
        return;
    }
    for (enum nft_key key = 0; key < NFT_KEY_SERVICES; key++)
        if (nft_key_used(v, key))
            tell_class(s, vip, key);
    tell_goto(s, nft_name(client, vip, "client"));
}

/* ---- the hooks -------------------------------------------------------------- */

/* From a base chain, a VIP's packets to its chain. The interface is named, so
 * that a host's flows to its own VIP, over lo, are left alone. */
static void tell_dispatch(struct nft_sink *s, size_t vip, const char *noun)
{
    const struct vip_config *v = &s->layout->vip[vip];
    char chain[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_tables_rule(s, &r);
    nft_rule_iifname(&r, v->interface);
    nft_rule_need(&r, NEED_NFPROTO, v->address.family);
    nft_rule_daddr(&r, &v->address);
    nft_rule_goto(&r, nft_name(chain, vip, noun));
    nft_tables_end(s, &r);
}

static void tell_prerouting(struct nft_sink *s, const char *name, int priority)
{
    struct nft_hook hook = {"prerouting", NF_INET_PRE_ROUTING, priority, NULL};

    s->now_chain = name;
    s->chain(s, name, &hook);
}

/* The early chain of the VIPs whose `early_drop` is this, if there are any. */
static void tell_early_hook(struct nft_sink *s, const char *name, int priority, bool early_drop)
{
    const struct nft_layout *l = s->layout;
    bool told = false;

    for (size_t i = 0; i < l->vips; i++) {
        if (l->vip[i].early_drop != early_drop)
            continue;
        if (!told)
            tell_prerouting(s, name, priority);
        told = true;
        tell_dispatch(s, i, "early");
    }
}

static void tell_hooks(struct nft_sink *s)
{
    tell_early_hook(s, "early", PRIORITY_RAW, true);
    tell_early_hook(s, "early_ct", PRIORITY_EARLY_CT, false);
    tell_prerouting(s, "late", PRIORITY_MANGLE);
    for (size_t i = 0; i < s->layout->vips; i++)
        tell_dispatch(s, i, "late");
}

static void tell_counters(struct nft_sink *s, const char *const *nouns, size_t count)
{
    char name[NFT_NAME_BYTES];

    for (size_t vip = 0; vip < s->layout->vips; vip++)
        for (size_t i = 0; i < count; i++)
            s->counter(s, nft_name(name, vip, nouns[i]));
}

static void tell_maps(struct nft_sink *s, size_t vip, enum nft_set_kind kind)
{
    const struct vip_config *v = &s->layout->vip[vip];
    char name[NFT_NAME_BYTES];

    for (enum nft_key key = 0; key < NFT_KEY_MAX; key++) {
        struct nft_set_spec map = {.kind = kind, .vip = vip, .key = key};
        const char *noun = kind == NFT_SET_CLASS     ? nft_key_class_noun(key)
                           : kind == NFT_SET_FORWARD ? nft_key_forward_noun(key)
                                                     : nft_key_route_noun(key);

        if (noun == NULL || !nft_key_used(v, key) || nft_key_home(v, key) != key)
            continue;
        map.name = nft_name(name, vip, noun);
        s->set(s, &map);
    }
}

static void tell_vip_sets(struct nft_sink *s, enum nft_set_kind kind)
{
    char name[NFT_NAME_BYTES];

    for (size_t vip = 0; vip < s->layout->vips; vip++) {
        struct nft_set_spec lease = {.kind = NFT_SET_LEASE, .vip = vip};

        lease.name = nft_name(name, vip, "lease");
        s->set(s, &lease);
        tell_maps(s, vip, kind);
        if (kind == NFT_SET_FORWARD)
            tell_maps(s, vip, NFT_SET_ROUTE);
    }
}

static void tell_icmp_sets(struct nft_sink *s)
{
    static const uint8_t error4[] = {ICMP_DEST_UNREACH, ICMP_TIME_EXCEEDED, ICMP_PARAMETERPROB};
    static const uint8_t error6[] = {ICMP6_DST_UNREACH, ICMP6_PACKET_TOO_BIG, ICMP6_TIME_EXCEEDED,
                                     ICMP6_PARAM_PROB};
    static const uint8_t nd[] = {ND_ROUTER_SOLICIT, ND_ROUTER_ADVERT, ND_NEIGHBOR_SOLICIT,
                                 ND_NEIGHBOR_ADVERT, ND_REDIRECT};
    static const struct nft_set_spec sets[] = {
        {NFT_SET_ICMP, "icmp_error", 0, error4, sizeof error4, 0},
        {NFT_SET_ICMPV6, "icmpv6_error", 0, error6, sizeof error6, 0},
        {NFT_SET_ICMPV6, "icmpv6_nd", 0, nd, sizeof nd, 0},
    };

    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        s->set(s, &sets[i]);
}

static void tell_ports_set(struct nft_sink *s)
{
    static const struct nft_set_spec ports = {
        NFT_SET_PROTO, NFT_SET_PORTS, 0, selection_port_protocols, SELECTION_PORT_PROTOCOLS, 0};
    bool flow = false;

    for (size_t vip = 0; vip < s->layout->vips; vip++)
        flow = flow || s->layout->vip[vip].affinity == AFFINITY_FLOW;
    if (flow)
        s->set(s, &ports);
}

void nft_tables_tell(const struct nft_layout *l, struct nft_sink *s)
{
    static const char *const counters[] = {"accepted", "foreign", "orphan", "refused"};
    static const char *const counters_l2[] = {"forwarded"};

    s->layout = l;
    s->now_table = NFT_TABLE_INET;
    s->table(s, NFT_TABLE_INET);
    tell_counters(s, counters, sizeof counters / sizeof *counters);
    tell_icmp_sets(s);
    tell_ports_set(s);
    tell_vip_sets(s, NFT_SET_CLASS);
    for (size_t vip = 0; vip < l->vips; vip++) {
        tell_linger(s, vip);
        tell_claim(s, vip, "own", NFT_MARK_OWN);
        tell_claim(s, vip, "adopt", NFT_MARK_ADOPT);
        tell_services(s, vip);
        tell_early(s, vip);
        nft_tables_tell_late(s, vip);
    }
    tell_hooks(s);

    s->now_table = NFT_TABLE_NETDEV;
    s->table(s, NFT_TABLE_NETDEV);
    tell_counters(s, counters_l2, sizeof counters_l2 / sizeof *counters_l2);
    tell_ports_set(s);
    tell_vip_sets(s, NFT_SET_FORWARD);
    nft_tables_tell_l2(l, s);
}
