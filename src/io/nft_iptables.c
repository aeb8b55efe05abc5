/*
 * The rules of table inet in the words of iptables-restore and
 * ip6tables-restore: for people who know those better, and for hosts where they
 * are all there is. It is the nearest that they can say, not the same:
 *
 * - no lease: what is claimed in the text is claimed for good;
 * - no frames: nothing of MAC addresses, ARP, neighbour discovery, and of the
 *   forwarding of what is released;
 * - no hash of an address, no bits of a port, no services: VIPs with them are left
 *   out;
 * - a rule for each bucket where nft has one map.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <stdlib.h>

#include "nft.h"
#include "nft_elem.h"

struct restore {
    const struct nft_layout *layout;
    const struct plan *plan;
    enum family family;
    FILE *out;
};

/* The ways of clients' buckets. */
#define WAYS (NFT_WAY_LINGER + 1)

static const char *const way_noun[WAYS] = {
    [NFT_WAY_OWN] = "own", [NFT_WAY_ADOPT] = "adopt", [NFT_WAY_LINGER] = "linger"};

static uint32_t way_mark(const struct nft_marks *m, enum nft_way way)
{
    return way == NFT_WAY_OWN ? m->own : way == NFT_WAY_ADOPT ? m->adopt : m->linger;
}

/* "-i eth0 -d 192.0.2.1": the packets of a VIP. */
static void put_dispatch(const struct restore *r, size_t vip)
{
    const struct vip_config *v = &r->layout->vip[vip];
    char text[INET6_ADDRSTRLEN];

    inet_ntop(r->family == FAMILY_IP4 ? AF_INET : AF_INET6, v->address.byte, text, sizeof text);
    fprintf(r->out, "-A PREROUTING -i %s -d %s", v->interface, text);
}

/* Neighbour discovery is let be, errors linger, each bucket goes to the chain of its class, which
 * has `prefix` before its name; the rest are others'. */
static void put_selection(const struct restore *r, size_t vip, const char *chain,
                          const char *prefix)
{
    static const uint8_t error4[] = {ICMP_DEST_UNREACH, ICMP_TIME_EXCEEDED, ICMP_PARAMETERPROB};
    static const uint8_t error6[] = {ICMP6_DST_UNREACH, ICMP6_PACKET_TOO_BIG, ICMP6_TIME_EXCEEDED,
                                     ICMP6_PARAM_PROB};
    const struct vip_config *v = &r->layout->vip[vip];
    struct nft_entry mask = nft_key_entry(v, NFT_KEY_CLIENT, r->layout->buckets - 1u);
    char key_text[NFT_KEY_TEXT], mask_text[NFT_KEY_TEXT];
    bool ip4 = r->family == FAMILY_IP4;
    size_t errors = ip4 ? sizeof error4 : sizeof error6;

    for (unsigned type = ND_ROUTER_SOLICIT; !ip4 && type <= ND_REDIRECT; type++)
        fprintf(r->out, "-A %s -p icmpv6 -m icmp6 --icmpv6-type %u -j ACCEPT\n", chain, type);
    for (size_t i = 0; i < errors; i++) {
        unsigned type = ip4 ? error4[i] : error6[i];

        fprintf(r->out, "-A %s %s %u -g %s%zu-%s\n", chain,
                ip4 ? "-p icmp -m icmp --icmp-type" : "-p icmpv6 -m icmp6 --icmpv6-type", type,
                prefix, vip, way_noun[NFT_WAY_LINGER]);
    }
    nft_key_text(v, NFT_KEY_CLIENT, &mask, mask_text);
    for (unsigned i = 0; i < r->layout->buckets; i++) {
        struct nft_entry key = nft_key_entry(v, NFT_KEY_CLIENT, i);
        enum nft_way way = nft_elem_way(v, r->plan, NFT_KEY_CLIENT, &key);

        if (way != NFT_WAY_NONE)
            fprintf(r->out, "-A %s -s %s/%s -g %s%zu-%s\n", chain,
                    nft_key_text(v, NFT_KEY_CLIENT, &key, key_text), mask_text, prefix, vip,
                    way_noun[way]);
    }
    fprintf(r->out, "-A %s -j DROP\n", chain);
}

/* After conntrack, as t_own, t_adopt and t_linger of nft_tables.c. */
static void put_judgement(const struct restore *r, size_t vip)
{
    static const char not_syn[] = "-m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN";
    const char *icmp = r->family == FAMILY_IP4 ? "icmp" : "icmpv6";
    FILE *out = r->out;

    for (enum nft_way way = NFT_WAY_OWN; way <= NFT_WAY_LINGER; way++)
        fprintf(out, "-A ipclusterd-t%zu-%s -j MARK --set-xmark 0x0/0x%x\n", vip, way_noun[way],
                r->layout->mark.mask);
    fprintf(out, "-A ipclusterd-t%zu-own -j ACCEPT\n", vip);
    fprintf(out, "-A ipclusterd-t%zu-adopt -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n",
            vip);
    fprintf(out, "-A ipclusterd-t%zu-adopt -p tcp %s -j DROP\n", vip, not_syn);
    fprintf(out, "-A ipclusterd-t%zu-adopt -j ACCEPT\n", vip);
    fprintf(out,
            "-A ipclusterd-t%zu-linger -p tcp -m conntrack --ctstate ESTABLISHED %s -j ACCEPT\n",
            vip, not_syn);
    fprintf(out, "-A ipclusterd-t%zu-linger -p %s -m conntrack --ctstate RELATED -j ACCEPT\n", vip,
            icmp);
    fprintf(out, "-A ipclusterd-t%zu-linger -j DROP\n", vip);
}

static void put_chains(const struct restore *r, size_t vip, const char *prefix)
{
    for (enum nft_way way = NFT_WAY_OWN; way <= NFT_WAY_LINGER; way++)
        fprintf(r->out, ":%s%zu-%s - [0:0]\n", prefix, vip, way_noun[way]);
}

static bool is_told(const struct restore *r, size_t vip)
{
    const struct vip_config *v = &r->layout->vip[vip];

    return v->address.family == r->family && v->services == 0 &&
           nft_key_form(v, NFT_KEY_CLIENT) == NFT_FORM_ADDRESS;
}

/* Before conntrack: the class goes into the mark. */
static void put_raw(const struct restore *r)
{
    const struct nft_layout *l = r->layout;
    char chain[NFT_NAME_BYTES];

    fputs("*raw\n:PREROUTING ACCEPT [0:0]\n", r->out);
    for (size_t vip = 0; vip < l->vips; vip++) {
        if (!is_told(r, vip) || !l->vip[vip].early_drop)
            continue;
        snprintf(chain, sizeof chain, "ipclusterd-e%zu", vip);
        fprintf(r->out, ":%s - [0:0]\n", chain);
        put_chains(r, vip, "ipclusterd-e");
        put_dispatch(r, vip);
        fprintf(r->out, " -g %s\n", chain);
        for (enum nft_way way = NFT_WAY_OWN; way <= NFT_WAY_LINGER; way++)
            fprintf(r->out,
                    "-A ipclusterd-e%zu-%s -j MARK --set-xmark 0x%x/0x%x\n"
                    "-A ipclusterd-e%zu-%s -j ACCEPT\n",
                    vip, way_noun[way], way_mark(&l->mark, way), l->mark.mask, vip, way_noun[way]);
        put_selection(r, vip, chain, "ipclusterd-e");
    }
    fputs("COMMIT\n", r->out);
}

/* After conntrack: by the mark, or by the bucket where that was not looked at before. */
static void put_mangle(const struct restore *r)
{
    const struct nft_layout *l = r->layout;
    char chain[NFT_NAME_BYTES];

    fputs("*mangle\n:PREROUTING ACCEPT [0:0]\n", r->out);
    for (size_t vip = 0; vip < l->vips; vip++) {
        if (!is_told(r, vip))
            continue;
        put_chains(r, vip, "ipclusterd-t");
        put_judgement(r, vip);
        if (!l->vip[vip].early_drop) {
            snprintf(chain, sizeof chain, "ipclusterd-t%zu", vip);
            fprintf(r->out, ":%s - [0:0]\n", chain);
            put_dispatch(r, vip);
            fprintf(r->out, " -g %s\n", chain);
            put_selection(r, vip, chain, "ipclusterd-t");
            continue;
        }
        for (enum nft_way way = NFT_WAY_OWN; way <= NFT_WAY_LINGER; way++) {
            put_dispatch(r, vip);
            fprintf(r->out, " -m mark --mark 0x%x/0x%x -g ipclusterd-t%zu-%s\n",
                    way_mark(&l->mark, way), l->mark.mask, vip, way_noun[way]);
        }
    }
    fputs("COMMIT\n", r->out);
}

int nft_print_iptables(const struct config *c, const struct nft_place *place,
                       const struct plan *plan, enum family family, FILE *out)
{
    struct nft_layout *l = malloc(sizeof *l);
    struct restore r = {.layout = l, .plan = plan, .family = family, .out = out};

    if (l == NULL)
        return -ENOMEM;
    nft_layout_init(l, c, place);
    fprintf(
        out,
        "# The nearest that %s can say to the rules of ipclusterd at this\n"
        "# moment; the rules themselves are in nftables. It lacks the lease, the MAC addresses\n"
        "# and what is forwarded.\n",
        family == FAMILY_IP4 ? "iptables-restore" : "ip6tables-restore");
    for (size_t vip = 0; vip < l->vips; vip++)
        if (l->vip[vip].address.family == family && !is_told(&r, vip))
            fprintf(out, "# vips[%zu] is left out: iptables has no words for how it selects.\n",
                    vip);
    put_raw(&r);
    put_mangle(&r);
    free(l);
    return ferror(out) ? -EIO : 0;
}
