/*
 * The late chains: after conntrack, what the flow's state says about a packet of
 * each class.
 */
#include <netinet/in.h>
#include <linux/netfilter/nf_conntrack_common.h>

#include "nft_tables.h"

static void tell_unmark(struct nft_sink *s)
{
    struct nft_rule r;

    nft_tables_rule(s, &r);
    nft_rule_mark_set(&r, s->layout->mark.mask, 0);
    nft_tables_end(s, &r);
}

static void tell_counted_accept(struct nft_sink *s, const char *counter)
{
    struct nft_rule r;

    nft_tables_rule(s, &r);
    nft_rule_count(&r, counter);
    nft_rule_accept(&r);
    nft_tables_end(s, &r);
}

/* Everything comes in; the TCP stack resets what it does not know. */
static void tell_late_own(struct nft_sink *s, size_t vip)
{
    char name[NFT_NAME_BYTES], orphan[NFT_NAME_BYTES], accepted[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_tables_chain(s, nft_name(name, vip, "t_own"));
    tell_unmark(s);
    nft_tables_rule(s, &r);
    nft_rule_tcp_syn(&r, false);
    nft_rule_ct_state(&r, NF_CT_STATE_BIT(IP_CT_NEW), "new");
    nft_rule_count(&r, nft_name(orphan, vip, "orphan"));
    nft_tables_end(s, &r);
    tell_counted_accept(s, nft_name(accepted, vip, "accepted"));
}

/* Of TCP that we do not know only SYNs: with nf_conntrack_tcp_loose a segment
 * from the middle of another member's flow is "new" as well. */
static void tell_late_adopt(struct nft_sink *s, size_t vip)
{
    char name[NFT_NAME_BYTES], accepted[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_name(accepted, vip, "accepted");
    nft_tables_chain(s, nft_name(name, vip, "t_adopt"));
    tell_unmark(s);
    nft_tables_rule(s, &r);
    nft_rule_ct_state(&r, NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED),
                      "established,related");
    nft_rule_count(&r, accepted);
    nft_rule_accept(&r);
    nft_tables_end(s, &r);

    nft_tables_rule(s, &r);
    nft_rule_tcp_syn(&r, false);
    nft_rule_drop(&r);
    nft_tables_end(s, &r);
    tell_counted_accept(s, accepted);
}

static void tell_late_linger(struct nft_sink *s, size_t vip)
{
    uint8_t icmp = nft_icmp_of(s->layout->vip[vip].address.family);
    char name[NFT_NAME_BYTES], accepted[NFT_NAME_BYTES];
    struct nft_rule r;

    nft_name(accepted, vip, "accepted");
    nft_tables_chain(s, nft_name(name, vip, "t_linger"));
    tell_unmark(s);
    nft_tables_rule(s, &r);
    nft_rule_ct_state(&r, NF_CT_STATE_BIT(IP_CT_ESTABLISHED), "established");
    nft_rule_tcp_syn(&r, false);
    nft_rule_count(&r, accepted);
    nft_rule_accept(&r);
    nft_tables_end(s, &r);

    nft_tables_rule(s, &r);
    nft_rule_l4proto(&r, true, icmp);
    nft_rule_ct_state(&r, NF_CT_STATE_BIT(IP_CT_RELATED), "related");
    nft_rule_count(&r, accepted);
    nft_rule_accept(&r);
    nft_tables_end(s, &r);

    nft_tables_rule(s, &r);
    nft_rule_drop(&r);
    nft_tables_end(s, &r);
}

void nft_tables_tell_late(struct nft_sink *s, size_t vip)
{
    const struct nft_marks *m = &s->layout->mark;
    const struct {
        uint32_t mark;
        const char *noun;
    } way[] = {{m->own, "t_own"}, {m->adopt, "t_adopt"}, {m->linger, "t_linger"}};
    char name[NFT_NAME_BYTES], chain[NFT_NAME_BYTES];
    struct nft_rule r;

    tell_late_own(s, vip);
    tell_late_adopt(s, vip);
    tell_late_linger(s, vip);
    nft_tables_chain(s, nft_name(name, vip, "late"));
    for (size_t i = 0; i < sizeof way / sizeof *way; i++) {
        nft_tables_rule(s, &r);
        nft_rule_mark_is(&r, m->mask, way[i].mark);
        nft_rule_goto(&r, nft_name(chain, vip, way[i].noun));
        nft_tables_end(s, &r);
    }
}
