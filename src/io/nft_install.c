/*
 * The tables as libnftnl's objects, in the order that the kernel wants: first
 * tables, counters, sets and chains, then rules, which name them.
 */
#include "nft_install.h"

#include <errno.h>
#include <netinet/in.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "nft_elem.h"

/* nft's own numbers of its data types and byte orders, kept in a set's user
 * data: the kernel does not read them, `nft list` does. */
enum {
    TYPE_IPV4_ADDR = 7,
    TYPE_IPV6_ADDR = 8,
    TYPE_ETHER_ADDR = 9,
    TYPE_INET_PROTO = 12,
    TYPE_INET_SERVICE = 13,
    TYPE_SERVICE = TYPE_INET_PROTO << 6 | TYPE_INET_SERVICE, /* joined */
    TYPE_ICMP_TYPE = 14,
    TYPE_INTEGER = 4,
    TYPE_ICMPV6_TYPE = 29,
    TYPE_VERDICT = (int)0xffffff00u, /* NFT_DATA_VERDICT */
    ORDER_NONE = 0,                  /* of several */
    ORDER_HOST = 1,
    ORDER_NETWORK = 2,
    /* "typeof": which kind of expression, and which of these */
    EXPR_VERDICT = 1,
    EXPR_PAYLOAD = 7,
    EXPR_META = 9,
    TYPEOF_META_KEY = 0,
    TYPEOF_PAYLOAD_PROTOCOL = 0,
    TYPEOF_PAYLOAD_FIELD = 1,
    TYPEOF_PAYLOAD_BASE = 2,
    TYPEOF_PAYLOAD_OFFSET = 3,
    TYPEOF_PAYLOAD_LENGTH = 4,
    PROTOCOL_UNKNOWN = 0,
    BASE_NETWORK = 2,
    PROTOCOL_ETHER = 17,
    FIELD_ETHER_SADDR = 2,
    USER_DATA_BYTES = 256,
};

struct install {
    struct nft_sink sink; /* first */
    struct nft_batch *batch;
    bool rules; /* the second round */
    uint32_t set_id;
};

static struct install *install_of(struct nft_sink *s)
{
    return (struct install *)s;
}

static void fail(struct nft_sink *s)
{
    s->error = -ENOMEM;
}

static void put_table(struct nft_batch *b, enum nft_table t, uint16_t type)
{
    struct nftnl_table *table = nftnl_table_alloc();
    struct nlmsghdr *m;

    if (table == NULL) {
        nft_batch_fail(b, -ENOMEM);
        return;
    }
    m = nft_batch_message(b, type, nft_table_family(t),
                          type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0);
    nftnl_table_set_str(table, NFTNL_TABLE_NAME, NFT_TABLE_NAME);
    nftnl_table_nlmsg_build_payload(m, table);
    nft_batch_add(b, m);
    nftnl_table_free(table);
}

static void install_table(struct nft_sink *s, enum nft_table t)
{
    if (!install_of(s)->rules)
        put_table(install_of(s)->batch, t, NFT_MSG_NEWTABLE);
}

static void install_counter(struct nft_sink *s, const char *name)
{
    struct nft_batch *b = install_of(s)->batch;
    struct nftnl_obj *o;
    struct nlmsghdr *m;

    if (install_of(s)->rules)
        return;
    o = nftnl_obj_alloc();
    if (o == NULL) {
        fail(s);
        return;
    }
    m = nft_batch_message(b, NFT_MSG_NEWOBJ, nft_table_family(s->now_table), NLM_F_CREATE);
    nftnl_obj_set_str(o, NFTNL_OBJ_TABLE, NFT_TABLE_NAME);
    nftnl_obj_set_str(o, NFTNL_OBJ_NAME, name);
    nftnl_obj_set_u32(o, NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
    nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_PKTS, 0);
    nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_BYTES, 0);
    nftnl_obj_nlmsg_build_payload(m, o);
    nft_batch_add(b, m);
    nftnl_obj_free(o);
}

/* A map keyed by a hash: nft has no name for the type of such keys, a plain
 * number. `meta cpu` is one too; with `typeof meta cpu` nft lists and loads
 * what looks a hash up in it. */
static void put_typeof(struct nftnl_udata_buf *u, enum nft_set_kind kind)
{
    struct nftnl_udata *outer, *inner;

    outer = nftnl_udata_nest_start(u, NFTNL_UDATA_SET_KEY_TYPEOF);
    nftnl_udata_put_u32(u, NFTNL_UDATA_SET_TYPEOF_EXPR, EXPR_META);
    inner = nftnl_udata_nest_start(u, NFTNL_UDATA_SET_TYPEOF_DATA);
    nftnl_udata_put_u32(u, TYPEOF_META_KEY, NFT_META_CPU);
    nftnl_udata_nest_end(u, inner);
    nftnl_udata_nest_end(u, outer);

    outer = nftnl_udata_nest_start(u, NFTNL_UDATA_SET_DATA_TYPEOF);
    nftnl_udata_put_u32(u, NFTNL_UDATA_SET_TYPEOF_EXPR,
                        kind == NFT_SET_CLASS ? EXPR_VERDICT : EXPR_PAYLOAD);
    inner = nftnl_udata_nest_start(u, NFTNL_UDATA_SET_TYPEOF_DATA);
    if (kind == NFT_SET_FORWARD) {
        nftnl_udata_put_u32(u, TYPEOF_PAYLOAD_PROTOCOL, PROTOCOL_ETHER);
        nftnl_udata_put_u32(u, TYPEOF_PAYLOAD_FIELD, FIELD_ETHER_SADDR);
    }
    nftnl_udata_nest_end(u, inner);
    nftnl_udata_nest_end(u, outer);
}

/* "typeof @nh,112,16": bits of the IP header that have no name. */
static void put_typeof_quick(struct nftnl_udata_buf *u, const struct vip_config *v)
{
    struct nftnl_udata *outer, *inner;

    outer = nftnl_udata_nest_start(u, NFTNL_UDATA_SET_KEY_TYPEOF);
    nftnl_udata_put_u32(u, NFTNL_UDATA_SET_TYPEOF_EXPR, EXPR_PAYLOAD);
    inner = nftnl_udata_nest_start(u, NFTNL_UDATA_SET_TYPEOF_DATA);
    nftnl_udata_put_u32(u, TYPEOF_PAYLOAD_PROTOCOL, PROTOCOL_UNKNOWN);
    nftnl_udata_put_u32(u, TYPEOF_PAYLOAD_FIELD, 0);
    nftnl_udata_put_u32(u, TYPEOF_PAYLOAD_BASE, BASE_NETWORK);
    nftnl_udata_put_u32(u, TYPEOF_PAYLOAD_OFFSET, nft_quick_offset(v) * 8);
    nftnl_udata_put_u32(u, TYPEOF_PAYLOAD_LENGTH, NFT_QUICK_BYTES * 8);
    nftnl_udata_nest_end(u, inner);
    nftnl_udata_nest_end(u, outer);
}

static void set_user_data(struct nft_sink *s, struct nftnl_set *set, uint32_t order, bool map,
                          const struct nft_set_spec *spec)
{
    enum nft_set_kind kind = spec->kind;
    struct nftnl_udata_buf *u = nftnl_udata_buf_alloc(USER_DATA_BYTES);

    if (u == NULL) {
        fail(s);
        return;
    }
    nftnl_udata_put_u32(u, NFTNL_UDATA_SET_KEYBYTEORDER, order);
    if (map)
        nftnl_udata_put_u32(u, NFTNL_UDATA_SET_DATABYTEORDER,
                            kind == NFT_SET_FORWARD ? ORDER_NETWORK : 0);
    if (order == ORDER_HOST)
        put_typeof(u, kind);
    if (kind == NFT_SET_PRESENT)
        put_typeof_quick(u, &s->layout->vip[spec->vip]);
    nftnl_set_set_data(set, NFTNL_SET_USERDATA, nftnl_udata_buf_data(u), nftnl_udata_buf_len(u));
    nftnl_udata_buf_free(u);
}

static void set_describe(struct nft_sink *s, struct nftnl_set *set, const struct nft_set_spec *spec)
{
    static const uint32_t form_type[] = {[NFT_FORM_PORT] = TYPE_INET_SERVICE,
                                         [NFT_FORM_NUMBER] = TYPE_INTEGER,
                                         [NFT_FORM_PROTOCOL] = TYPE_INET_PROTO,
                                         [NFT_FORM_SERVICE] = TYPE_SERVICE};
    const struct vip_config *v = &s->layout->vip[spec->vip];
    bool map =
        spec->kind == NFT_SET_CLASS || spec->kind == NFT_SET_FORWARD || spec->kind == NFT_SET_ROUTE;
    enum nft_form form = nft_key_form(v, spec->key);
    bool hashed = map && form == NFT_FORM_NUMBER;
    uint32_t type = v->address.family == FAMILY_IP4 ? TYPE_IPV4_ADDR : TYPE_IPV6_ADDR;
    uint32_t length = v->address.family == FAMILY_IP4 ? 4 : 16;
    uint32_t flags = map ? NFT_SET_MAP : 0, order = hashed ? ORDER_HOST : ORDER_NETWORK;

    if (map && form == NFT_FORM_SERVICE)
        order = ORDER_NONE;

    if (spec->kind == NFT_SET_ICMP || spec->kind == NFT_SET_ICMPV6) {
        type = spec->kind == NFT_SET_ICMP ? TYPE_ICMP_TYPE : TYPE_ICMPV6_TYPE;
        length = 1;
    } else if (spec->kind == NFT_SET_PROTO) {
        type = TYPE_INET_PROTO;
        length = 1;
    } else if (spec->kind == NFT_SET_LEASE) {
        flags |= NFT_SET_TIMEOUT;
    } else if (spec->kind == NFT_SET_PRESENT) {
        type = TYPE_INTEGER;
        length = NFT_QUICK_BYTES;
        nftnl_set_set_u32(set, NFTNL_SET_DESC_SIZE, s->layout->buckets);
    } else {
        type = form == NFT_FORM_ADDRESS ? type : form_type[form];
        length = nft_key_entry(v, spec->key, 0).length;
        nftnl_set_set_u32(set, NFTNL_SET_DESC_SIZE,
                          (uint32_t)nft_key_entries(v, spec->key, s->layout->buckets));
        nftnl_set_set_u32(set, NFTNL_SET_DATA_TYPE,
                          spec->kind == NFT_SET_FORWARD ? TYPE_ETHER_ADDR : (uint32_t)TYPE_VERDICT);
        nftnl_set_set_u32(set, NFTNL_SET_DATA_LEN,
                          spec->kind == NFT_SET_FORWARD ? sizeof(struct mac) : 0);
    }
    nftnl_set_set_u32(set, NFTNL_SET_FLAGS, flags);
    nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, type);
    nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, length);
    set_user_data(s, set, order, map, spec);
}

static void install_set(struct nft_sink *s, const struct nft_set_spec *spec)
{
    struct install *i = install_of(s);
    struct nftnl_set *set;
    struct nlmsghdr *m;

    if (i->rules) {
        if (spec->kind == NFT_SET_ROUTE) /* now the chains are there */
            nft_elem_constant(i->batch, s->layout, s->now_table, spec);
        return;
    }
    set = nftnl_set_alloc();
    if (set == NULL) {
        fail(s);
        return;
    }
    nftnl_set_set_str(set, NFTNL_SET_TABLE, NFT_TABLE_NAME);
    nftnl_set_set_str(set, NFTNL_SET_NAME, spec->name);
    nftnl_set_set_u32(set, NFTNL_SET_ID, ++i->set_id);
    set_describe(s, set, spec);
    m = nft_batch_message(i->batch, NFT_MSG_NEWSET, nft_table_family(s->now_table), NLM_F_CREATE);
    nftnl_set_nlmsg_build_payload(m, set);
    nft_batch_add(i->batch, m);
    nftnl_set_free(set);
    if (spec->kind != NFT_SET_ROUTE)
        nft_elem_constant(i->batch, s->layout, s->now_table, spec);
}

static void install_chain(struct nft_sink *s, const char *name, const struct nft_hook *hook)
{
    struct nft_batch *b = install_of(s)->batch;
    struct nftnl_chain *c;
    struct nlmsghdr *m;

    if (install_of(s)->rules)
        return;
    c = nftnl_chain_alloc();
    if (c == NULL) {
        fail(s);
        return;
    }
    nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, NFT_TABLE_NAME);
    nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, name);
    if (hook != NULL) {
        nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, "filter");
        nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, hook->number);
        nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, hook->priority);
        nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY, NF_ACCEPT);
        if (hook->device != NULL)
            nftnl_chain_set_str(c, NFTNL_CHAIN_DEV, hook->device);
    }
    m = nft_batch_message(b, NFT_MSG_NEWCHAIN, nft_table_family(s->now_table), NLM_F_CREATE);
    nftnl_chain_nlmsg_build_payload(m, c);
    nft_batch_add(b, m);
    nftnl_chain_free(c);
}

static void install_rule(struct nft_sink *s, const struct nft_rule *r)
{
    struct nft_batch *b = install_of(s)->batch;
    struct nlmsghdr *m;

    if (!install_of(s)->rules)
        return;
    m = nft_batch_message(b, NFT_MSG_NEWRULE, nft_table_family(s->now_table),
                          NLM_F_CREATE | NLM_F_APPEND);
    nftnl_rule_nlmsg_build_payload(m, r->kernel);
    nft_batch_add(b, m);
}

void nft_install_remove(struct nft_batch *b)
{
    /* Removing what is not there would fail, adding what is there does not. */
    for (enum nft_table t = 0; t < NFT_TABLE_MAX; t++) {
        put_table(b, t, NFT_MSG_NEWTABLE);
        put_table(b, t, NFT_MSG_DELTABLE);
    }
}

void nft_install(struct nft_batch *b, const struct nft_layout *l)
{
    struct install i = {
        .sink = {.table = install_table,
                 .counter = install_counter,
                 .set = install_set,
                 .chain = install_chain,
                 .rule = install_rule},
        .batch = b,
    };

    nft_tables_tell(l, &i.sink);
    i.rules = true;
    nft_tables_tell(l, &i.sink);
    if (i.sink.error != 0)
        nft_batch_fail(b, i.sink.error);
}
