/*
 * The tables: which packets to a VIP come in.
 *
 * Per VIP vN. The early rules (nft_tables_early.c) look the packet's bucket up
 * and leave its class in a few bits of the packet mark. The late chains
 * (nft_tables_late.c) come after conntrack, take the bits away again, and judge by
 * the flow's state.
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
    /* After conntrack, and before others mark packets (mangle, -150): many a rule sets
     * the mark as a whole, and would take ours away before it is read. */
    PRIORITY_LATE = -160,
    PRIORITY_EARLY_CT = PRIORITY_LATE - 10, /* early_drop = false */
};

/* The two lowest bits of the mask tell the classes; the others stay 0. */
static struct nft_marks marks_of(uint32_t mask)
{
    struct nft_marks m = {.mask = mask != 0 ? mask : NFT_MARK_DEFAULT};

    m.own = m.mask & -m.mask;
    m.adopt = (m.mask ^ m.own) & -(m.mask ^ m.own);
    m.linger = m.own | m.adopt;
    assert(m.adopt != 0);
    return m;
}

void nft_layout_init(struct nft_layout *l, const struct config *c, const struct nft_place *place)
{
    assert(c->vips <= VIPS_MAX);
    memset(l, 0, sizeof *l);
    l->buckets = c->buckets;
    l->lease = c->lease;
    l->mark = marks_of(c->mark);
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

/* The early chain of the VIPs that are not looked up at ingress and whose `early_drop` is
 * this, if there are any. */
static void tell_early_hook(struct nft_sink *s, const char *name, int priority, bool early_drop)
{
    const struct nft_layout *l = s->layout;
    bool told = false;

    for (size_t i = 0; i < l->vips; i++) {
        if (nft_early_table(&l->vip[i]) != NFT_TABLE_INET || l->vip[i].early_drop != early_drop)
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
    tell_prerouting(s, "late", PRIORITY_LATE);
    for (size_t i = 0; i < s->layout->vips; i++)
        tell_dispatch(s, i, "late");
}

static void tell_counters(struct nft_sink *s)
{
    static const struct {
        enum nft_table table;
        const char *noun;
        bool looked_up_here; /* only of VIPs that are */
    } each[] = {
        {NFT_TABLE_INET, "accepted", false},    {NFT_TABLE_INET, "foreign", true},
        {NFT_TABLE_INET, "orphan", false},      {NFT_TABLE_INET, "refused", true},
        {NFT_TABLE_NETDEV, "forwarded", false},
    };
    char name[NFT_NAME_BYTES];

    for (size_t vip = 0; vip < s->layout->vips; vip++)
        for (size_t i = 0; i < sizeof each / sizeof *each; i++)
            if (each[i].table == s->now_table &&
                (!each[i].looked_up_here || nft_early_table(&s->layout->vip[vip]) == s->now_table))
                s->counter(s, nft_name(name, vip, each[i].noun));
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

static void tell_vip_sets(struct nft_sink *s)
{
    char name[NFT_NAME_BYTES];

    for (size_t vip = 0; vip < s->layout->vips; vip++) {
        const struct vip_config *v = &s->layout->vip[vip];
        struct nft_set_spec lease = {.kind = NFT_SET_LEASE, .vip = vip};
        struct nft_set_spec present = {.kind = NFT_SET_PRESENT, .vip = vip};
        bool early = nft_early_table(v) == s->now_table;

        if (nft_lease_in(v, s->now_table)) {
            lease.name = nft_name(name, vip, "lease");
            s->set(s, &lease);
        }
        if (early && nft_has_present(v, s->layout->buckets)) {
            present.name = nft_name(name, vip, "present");
            s->set(s, &present);
        }
        if (early)
            tell_maps(s, vip, NFT_SET_CLASS);
        if (s->now_table == NFT_TABLE_NETDEV) {
            tell_maps(s, vip, NFT_SET_FORWARD);
            tell_maps(s, vip, NFT_SET_ROUTE);
        }
    }
}

/* Those that a family's early chains look into, if it has any in this table. */
static void tell_icmp_sets(struct nft_sink *s)
{
    static const uint8_t error4[] = {ICMP_DEST_UNREACH, ICMP_TIME_EXCEEDED, ICMP_PARAMETERPROB};
    static const uint8_t error6[] = {ICMP6_DST_UNREACH, ICMP6_PACKET_TOO_BIG, ICMP6_TIME_EXCEEDED,
                                     ICMP6_PARAM_PROB};
    static const uint8_t nd[] = {ND_ROUTER_SOLICIT, ND_ROUTER_ADVERT, ND_NEIGHBOR_SOLICIT,
                                 ND_NEIGHBOR_ADVERT, ND_REDIRECT};
    static const struct {
        enum family family;
        struct nft_set_spec set;
    } each[] = {
        {FAMILY_IP4, {NFT_SET_ICMP, "icmp_error", 0, error4, sizeof error4, 0}},
        {FAMILY_IP6, {NFT_SET_ICMPV6, "icmpv6_error", 0, error6, sizeof error6, 0}},
        {FAMILY_IP6, {NFT_SET_ICMPV6, "icmpv6_nd", 0, nd, sizeof nd, 0}},
    };

    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        bool wanted = false;

        for (size_t vip = 0; vip < s->layout->vips; vip++)
            wanted |= s->layout->vip[vip].address.family == each[i].family &&
                      nft_early_table(&s->layout->vip[vip]) == s->now_table;
        if (wanted)
            s->set(s, &each[i].set);
    }
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

static void tell_table(struct nft_sink *s, enum nft_table table)
{
    s->now_table = table;
    s->table(s, table);
    tell_counters(s);
    tell_icmp_sets(s);
    tell_ports_set(s);
    tell_vip_sets(s);
    for (size_t vip = 0; vip < s->layout->vips; vip++)
        if (nft_early_table(&s->layout->vip[vip]) == table)
            nft_tables_tell_early(s, vip);
}

void nft_tables_tell(const struct nft_layout *l, struct nft_sink *s)
{
    s->layout = l;
    tell_table(s, NFT_TABLE_INET);
    for (size_t vip = 0; vip < l->vips; vip++)
        nft_tables_tell_late(s, vip);
    tell_hooks(s);
    tell_table(s, NFT_TABLE_NETDEV);
    nft_tables_tell_l2(l, s);
}
