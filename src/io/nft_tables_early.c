/*
 * The early rules: another's packets go, the others get their class.
 *
 * Per VIP vN: the bucket is looked up, once, in the map vN_class, whose values
 * are chains. A bucket that is not in the map is another's: dropped. The chains
 * leave the class in the packet mark. One map and one lookup, for two would not
 * be atomic while a bucket moves. (The set vN_present is looked at before, where
 * it can be, but says no more than "not in the map", and sooner: who has a class
 * before and after a change is in it all the time.)
 *
 * Services, if the VIP has any, are looked up first, by maps vN_class_port,
 * vN_class_protocol and vN_class_any, whose values are chains too: those of the
 * class that the service's own bucket has, or vN_client, where the client's bucket
 * is looked up. What is closed is refused by vN_refuse on the node that has its
 * bucket. So a packet's class still comes of one element.
 *
 * The lease is a set of one element, the VIP itself, that times out: without
 * it OWN and ADOPT fall through to LINGER, which lets no new flow in, whatever
 * has become of the daemon.
 *
 * Most packets that a host gets for the VIP are others'. So this is done at the
 * ingress of the interface, before the IP layer and all of netfilter, and there
 * before all that only the packets of this host need: their type, and the
 * forwarding of what is released. What the rules up to the drop cost was
 * measured phrase by phrase (tests/bench), and they are what they are for it: no
 * chain of the VIP's own, for to go there costs more than to compare its address
 * again; a counter without a name; nothing about the frame's addresses, which
 * costs more than the lookup. Fragments are seen one by one here; a bucket of
 * addresses alone all of them have. Services and affinity "flow" need ports, which
 * only the first has: there it is done in prerouting, where the pieces have been put
 * together, and with `early_drop = false` after conntrack.
 */
#include <netinet/in.h>

#include "nft_tables.h"
#include "selection.h"

/* The kernel keeps the elements of a bitmap in a list, too, and goes through it for each
 * one that comes: of 4096 all take it 50 ms. */
enum { PRESENT_MAX = 1024 };

enum nft_table nft_early_table(const struct vip_config *v)
{
    return v->early_drop && selection_by_address(v) ? NFT_TABLE_NETDEV : NFT_TABLE_INET;
}

bool nft_has_present(const struct vip_config *v, uint16_t buckets)
{
    return nft_early_table(v) == NFT_TABLE_NETDEV && v->select == SELECT_MASK &&
           buckets <= PRESENT_MAX;
}

bool nft_lease_in(const struct vip_config *v, enum nft_table t)
{
    return t == NFT_TABLE_NETDEV || nft_early_table(v) == t;
}

static void need_family(struct nft_sink *s, struct nft_rule *r, enum family family)
{
    nft_rule_need(r, s->now_table == NFT_TABLE_INET ? NEED_NFPROTO : NEED_PROTOCOL, family);
}

/* Ends a rule whose packets come in. At ingress their frames are made ours first. */
static void come_in(struct nft_sink *s, struct nft_rule *r, size_t vip)
{
    char host[NFT_NAME_BYTES];

    if (s->now_table == NFT_TABLE_NETDEV)
        nft_rule_goto(r, nft_name(host, vip, "host"));
    else
        nft_rule_accept(r);
    nft_tables_end(s, r);
}

/* What comes in. The end of this chain would lead back to where a jump began. */
static void tell_host(struct nft_sink *s, size_t vip)
{
    char name[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_tables_chain(s, nft_name(name, vip, "host"));
    nft_tables_host(s, vip);
    nft_tables_rule(s, &r);
    nft_rule_accept(&r);
    nft_tables_end(s, &r);
}

/* LINGER: a frame to our own MAC was forwarded by the member that releases the
 * bucket to us; it is judged as if we had it already. What we release is sent
 * on, here, where no other packets come by. */
static void tell_linger(struct nft_sink *s, size_t vip)
{
    enum family family = s->layout->vip[vip].address.family;
    const struct nft_marks *m = &s->layout->mark;
    char name[NFT_NAME_BYTES], lease[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_tables_chain(s, nft_name(name, vip, "linger"));
    if (s->now_table == NFT_TABLE_NETDEV)
        nft_tables_forwards(s, vip);
    nft_tables_rule(s, &r);
    nft_rule_ether_daddr(&r, &s->layout->place[vip].own);
    nft_rule_need(&r, NEED_ETHERTYPE, family);
    nft_rule_daddr_in(&r, family, nft_name(lease, vip, "lease"));
    nft_rule_mark_set(&r, m->mask, m->adopt);
    come_in(s, &r, vip);

    nft_tables_rule(s, &r);
    nft_rule_mark_set(&r, m->mask, m->linger);
    come_in(s, &r, vip);
}

/* At ingress, what nearly all packets of this host's clients are: frames for the
 * shared MAC, while the lease runs. One look at the frame's addresses is enough. */
static void tell_claim_shared(struct nft_sink *s, size_t vip, uint32_t mark)
{
    const struct vip_config *v = &s->layout->vip[vip];
    char lease[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_tables_rule(s, &r);
    nft_rule_ether_daddr(&r, &v->mac);
    nft_rule_need(&r, NEED_ETHERTYPE, v->address.family);
    nft_rule_daddr_in(&r, v->address.family, nft_name(lease, vip, "lease"));
    nft_rule_mark_set(&r, s->layout->mark.mask, mark);
    nft_rule_host(&r);
    nft_rule_accept(&r);
    nft_tables_end(s, &r);
}

/* OWN and ADOPT: the class, if the lease runs; else as LINGER. What a member that
 * has not heard of our claim still forwards has come to us by the shared MAC, too:
 * a second SYN does no harm, a second datagram would be answered again. */
static void tell_claim(struct nft_sink *s, size_t vip, const char *noun, uint32_t mark)
{
    enum family family = s->layout->vip[vip].address.family;
    char name[NFT_NAME_BYTES], lease[NFT_NAME_BYTES], linger[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_tables_chain(s, nft_name(name, vip, noun));
    if (s->now_table == NFT_TABLE_NETDEV)
        tell_claim_shared(s, vip, mark);
    nft_tables_rule(s, &r);
    nft_rule_l4proto(&r, false, IPPROTO_TCP);
    nft_rule_ether_daddr(&r, &s->layout->place[vip].own);
    nft_rule_drop(&r);
    nft_tables_end(s, &r);

    nft_tables_rule(s, &r);
    need_family(s, &r, family);
    nft_rule_daddr_in(&r, family, nft_name(lease, vip, "lease"));
    nft_rule_mark_set(&r, s->layout->mark.mask, mark);
    come_in(s, &r, vip);

    nft_tables_rule(s, &r);
    nft_rule_goto(&r, nft_name(linger, vip, "linger"));
    nft_tables_end(s, &r);
}

/* Of ICMP, what has nothing to do with buckets; the rest returns to be looked up. */
static void tell_icmp(struct nft_sink *s, size_t vip)
{
    enum family family = s->layout->vip[vip].address.family;
    const struct nft_marks *m = &s->layout->mark;
    char name[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_tables_chain(s, nft_name(name, vip, "icmp"));
    if (family == FAMILY_IP6) {
        /* Neighbour discovery is every node's own affair. */
        nft_tables_rule(s, &r);
        need_family(s, &r, family);
        nft_rule_icmp_type_in(&r, family, "icmpv6_nd");
        come_in(s, &r, vip);
    }
    /* Errors come from routers, not clients: RELATED decides who keeps them. */
    nft_tables_rule(s, &r);
    need_family(s, &r, family);
    nft_rule_icmp_type_in(&r, family, family == FAMILY_IP4 ? "icmp_error" : "icmpv6_error");
    nft_rule_mark_set(&r, m->mask, m->linger);
    come_in(s, &r, vip);
}

/* ---- in table inet ---------------------------------------------------------- */

/* A rule that consists of one phrase. */
static void tell_goto(struct nft_sink *s, const char *chain)
{
    struct nft_rule r;

    nft_tables_rule(s, &r);
    nft_rule_goto(&r, chain);
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
 * their hooks. What the new ones have judged by then must not be judged again. At
 * ingress that is asked where a packet would be dropped. */
static void tell_judged(struct nft_sink *s)
{
    struct nft_rule r;

    nft_tables_rule(s, &r);
    nft_rule_mark_any(&r, s->layout->mark.mask);
    nft_rule_accept(&r);
    nft_tables_end(s, &r);
}

static void tell_early_chain(struct nft_sink *s, size_t vip)
{
    const struct vip_config *v = &s->layout->vip[vip];
    char name[NFT_NAME_BYTES], icmp[NFT_NAME_BYTES], client[NFT_NAME_BYTES];
    struct nft_rule r;

    tell_services(s, vip);
    nft_tables_chain(s, nft_name(name, vip, "early"));
    tell_judged(s);
    nft_tables_rule(s, &r);
    nft_rule_l4proto(&r, true, nft_icmp_of(v->address.family));
    nft_rule_jump(&r, nft_name(icmp, vip, "icmp"));
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

/* ---- at ingress ------------------------------------------------------------- */

/* A rule about a VIP's packets begins. */
static void rule_of(struct nft_sink *s, struct nft_rule *r, size_t vip)
{
    const struct vip_config *v = &s->layout->vip[vip];

    need_family(s, r, v->address.family);
    nft_rule_daddr(r, &v->address);
}

void nft_tables_lookup(struct nft_sink *s, size_t vip)
{
    const struct vip_config *v = &s->layout->vip[vip];
    char icmp[NFT_NAME_BYTES], map[NFT_NAME_BYTES], present[NFT_NAME_BYTES];
    bool quick = nft_has_present(v, s->layout->buckets);
    struct nft_rule r;

    nft_tables_rule(s, &r);
    nft_rule_l4proto(&r, true, nft_icmp_of(v->address.family));
    rule_of(s, &r, vip);
    nft_rule_jump(&r, nft_name(icmp, vip, "icmp"));
    nft_tables_end(s, &r);
    if (quick) {
        nft_tables_rule(s, &r);
        rule_of(s, &r, vip);
        nft_rule_bucket_not_in(&r, v, s->layout->buckets, nft_name(present, vip, "present"));
        nft_rule_mark_is(&r, s->layout->mark.mask, 0);
        nft_rule_count_here(&r);
        nft_rule_drop(&r);
        nft_tables_end(s, &r);
    }

    nft_tables_rule(s, &r);
    rule_of(s, &r, vip);
    nft_rule_bucket_vmap(&r, v, NFT_KEY_CLIENT, s->layout->buckets,
                         nft_name(map, vip, nft_key_class_noun(NFT_KEY_CLIENT)));
    nft_tables_end(s, &r);

    /* After the quick look, what a change has made another's between the two. */
    nft_tables_rule(s, &r);
    rule_of(s, &r, vip);
    nft_rule_mark_is(&r, s->layout->mark.mask, 0);
    if (!quick)
        nft_rule_count_here(&r);
    nft_rule_drop(&r);
    nft_tables_end(s, &r);
}

void nft_tables_tell_early(struct nft_sink *s, size_t vip)
{
    if (s->now_table == NFT_TABLE_NETDEV)
        tell_host(s, vip);
    tell_linger(s, vip);
    tell_claim(s, vip, "own", s->layout->mark.own);
    tell_claim(s, vip, "adopt", s->layout->mark.adopt);
    tell_icmp(s, vip);
    if (s->now_table == NFT_TABLE_INET)
        tell_early_chain(s, vip);
}
