/*
 * Reading back serves a daemon that starts over the tables of the run before. Only
 * tables that this very program would make are of use to it, for of others nobody
 * knows what they do: so chains, sets and rules are counted (nft_census.c) as those
 * that nft_tables_tell() tells.
 *
 * Then the elements, which are read to the last byte. One that is not ours is the end
 * of it.
 */
#include "nft_read.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "netlink.h"
#include "nft_batch.h"
#include "nft_census.h"
#include "nft_elem.h"

/* The kernel tells what is left rounded up to a tick of its clock. */
#define TICK (10 * USEC_PER_MS)

struct reader {
    struct netlink netlink;
    const struct nft_layout *layout;
    enum nft_table table;             /* that is being read */
    size_t vip;                       /* whose elements are, */
    enum nft_key key;                 /* of which map */
    struct nft_census census, before; /* now, and before this dump */
    struct plan *plan;
    size_t count;  /* elements of this set */
    uint64_t left; /* ms; the least of all leases */
};

/* ---- what there is --------------------------------------------------------------- */

/* The text in an attribute of a message of nfnetlink, or "". */
static const char *attribute_text(const struct nlmsghdr *m, uint16_t type)
{
    const struct nlattr *a = nft_message_attribute(m, type);

    return a != NULL && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0 ? mnl_attr_get_str(a) : "";
}

static int name_take(struct reader *r, const struct nlmsghdr *m, char kind, uint16_t table,
                     uint16_t name)
{
    if (strcmp(attribute_text(m, table), NFT_TABLE_NAME) == 0)
        nft_census_name(&r->census, kind, r->table, attribute_text(m, name));
    return 0;
}

static int chain_take(void *arg, const struct nlmsghdr *m)
{
    return name_take(arg, m, 'c', NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME);
}

static int set_take(void *arg, const struct nlmsghdr *m)
{
    return name_take(arg, m, 's', NFTA_SET_TABLE, NFTA_SET_NAME);
}

static int rule_take(void *arg, const struct nlmsghdr *m)
{
    struct reader *r = arg;
    struct nftnl_rule *rule;
    int error = 0;

    if (strcmp(attribute_text(m, NFTA_RULE_TABLE), NFT_TABLE_NAME) != 0)
        return 0;
    rule = nftnl_rule_alloc();
    if (rule == NULL)
        return -ENOMEM;
    if (nftnl_rule_nlmsg_parse(m, rule) < 0)
        error = -ENOENT; /* an expression that we do not know is not ours */
    else
        nft_census_rule(&r->census, r->table, attribute_text(m, NFTA_RULE_CHAIN), rule);
    nftnl_rule_free(rule);
    return error;
}

/* Somebody changed the rules meanwhile: all is told once more. */
static void dump_reset(void *arg)
{
    struct reader *r = arg;

    r->census = r->before;
    r->count = 0;
}

/* Asks for all of a kind in our table, or of the set that is named. */
static int dump(struct reader *r, uint16_t type, const char *set,
                int (*take)(void *, const struct nlmsghdr *))
{
    char buffer[256] __attribute__((aligned(8)));
    struct nlmsghdr *m = nftnl_nlmsg_build_hdr(buffer, type, nft_table_family(r->table), 0, 0);

    /* In all these requests attribute 1 is the table, 2 the name. */
    mnl_attr_put_strz(m, 1, NFT_TABLE_NAME);
    if (set != NULL)
        mnl_attr_put_strz(m, NFTA_SET_ELEM_LIST_SET, set);
    r->before = r->census;
    r->count = 0;
    return netlink_dump(&r->netlink, m, dump_reset, take, r);
}

static int shape_read(struct reader *r)
{
    uint64_t wanted;
    int error = nft_census_expected(r->layout, &wanted);

    for (r->table = 0; error == 0 && r->table < NFT_TABLE_MAX; r->table++) {
        error = dump(r, NFT_MSG_GETCHAIN, NULL, chain_take);
        if (error == 0)
            error = dump(r, NFT_MSG_GETSET, NULL, set_take);
        if (error == 0)
            error = dump(r, NFT_MSG_GETRULE, NULL, rule_take);
    }
    return error == 0 && r->census.sum != wanted ? -ENOENT : error;
}

/* ---- elements ------------------------------------------------------------------- */

enum { ELEMENT_ATTRIBUTES = NFTA_SET_ELEM_MAX + 1 };

/* The value in a nest of data; NULL: there is none. */
static const struct nlattr *data_value(const struct nlattr *nest, uint16_t type)
{
    const struct nlattr *data[NFTA_DATA_MAX + 1] = {0};

    if (nest != NULL)
        netlink_attributes_nested(nest, data, NFTA_DATA_MAX + 1);
    return data[type];
}

/* Hands each element of a message to `take`. 0 or -errno. */
static int elements_take(struct reader *r, const struct nlmsghdr *m,
                         int (*take)(struct reader *, const struct nlattr *const *))
{
    const struct nlattr *list = nft_message_attribute(m, NFTA_SET_ELEM_LIST_ELEMENTS);
    const struct nlattr *element[ELEMENT_ATTRIBUTES];

    if (list == NULL)
        return 0;
    const char *end = (const char *)mnl_attr_get_payload(list) + mnl_attr_get_payload_len(list);
    const struct nlattr *each = mnl_attr_get_payload(list);
    for (; mnl_attr_ok(each, (int)(end - (const char *)each)); each = mnl_attr_next(each)) {
        netlink_attributes_nested(each, element, ELEMENT_ATTRIBUTES);
        int error = take(r, element);
        if (error < 0)
            return error;
    }
    return 0;
}

static bool value_is(const struct nlattr *value, const void *data, size_t length)
{
    return value != NULL && mnl_attr_get_payload_len(value) == length &&
           memcmp(mnl_attr_get_payload(value), data, length) == 0;
}

/* The way that a verdict leads to; NONE: it is none of ours. */
static enum nft_way verdict_way(size_t vip, const struct nlattr *verdict)
{
    const struct nlattr *part[NFTA_VERDICT_MAX + 1] = {0};
    const struct nlattr *chain;
    char name[NFT_NAME_BYTES];

    if (verdict != NULL)
        netlink_attributes_nested(verdict, part, NFTA_VERDICT_MAX + 1);
    chain = part[NFTA_VERDICT_CHAIN];
    if (chain == NULL || netlink_u32(part[NFTA_VERDICT_CODE], 0) != htonl((uint32_t)NFT_GOTO))
        return NFT_WAY_NONE;
    for (enum nft_way way = NFT_WAY_OWN; way < NFT_WAY_MAX; way++) {
        nft_elem_chain(name, vip, way);
        if (value_is(chain, name, strlen(name) + 1))
            return way;
    }
    return NFT_WAY_NONE;
}

static enum bucket_class way_class(enum nft_way way)
{
    static const enum bucket_class classes[NFT_WAY_MAX] = {
        [NFT_WAY_OWN] = CLASS_OWN, [NFT_WAY_ADOPT] = CLASS_ADOPT, [NFT_WAY_LINGER] = CLASS_LINGER};

    return classes[way];
}

/* An element of a class map: its number, and where it leads. 0 or -ENOENT. */
static int class_element(const struct reader *r, const struct nlattr *const *element,
                         struct nft_entry *e, enum nft_way *way)
{
    const struct vip_config *vip = &r->layout->vip[r->vip];
    const struct nlattr *key = data_value(element[NFTA_SET_ELEM_KEY], NFTA_DATA_VALUE);
    size_t i = SIZE_MAX;

    if (key != NULL)
        i = nft_key_find(vip, r->key, r->layout->buckets, mnl_attr_get_payload(key),
                         mnl_attr_get_payload_len(key), SIZE_MAX);
    *way = verdict_way(r->vip, data_value(element[NFTA_SET_ELEM_DATA], NFTA_DATA_VERDICT));
    if (i == SIZE_MAX || *way == NFT_WAY_NONE)
        return -ENOENT;
    *e = nft_key_entry(vip, r->key, i);
    return 0;
}

/* The plan is made of one map, */
static int class_learn(struct reader *r, const struct nlattr *const *element)
{
    struct nft_entry e;
    enum nft_way way;
    int error = class_element(r, element, &e, &way);

    if (error == 0)
        r->plan->class_of[e.bucket] = (uint8_t)way_class(way);
    return error;
}

static int class_learn_take(void *arg, const struct nlmsghdr *m)
{
    return elements_take(arg, m, class_learn);
}

/* ... and has to be that of all. */
static int class_check(struct reader *r, const struct nlattr *const *element)
{
    struct nft_entry e;
    enum nft_way way;
    int error = class_element(r, element, &e, &way);

    if (error == 0 && way != nft_elem_way(&r->layout->vip[r->vip], r->plan, r->key, &e))
        error = -ENOENT;
    r->count++;
    return error;
}

static int class_check_take(void *arg, const struct nlmsghdr *m)
{
    return elements_take(arg, m, class_check);
}

/* Of one that has just run out the kernel tells nothing. */
static int lease_element(struct reader *r, const struct nlattr *const *element)
{
    const struct address *a = &r->layout->vip[r->vip].address;
    const struct nlattr *expiration = element[NFTA_SET_ELEM_EXPIRATION];
    uint64_t left;

    if (!value_is(data_value(element[NFTA_SET_ELEM_KEY], NFTA_DATA_VALUE), a->byte,
                  a->family == FAMILY_IP4 ? 4 : 16) ||
        expiration == NULL || mnl_attr_get_payload_len(expiration) != sizeof left)
        return -ENOENT;
    memcpy(&left, mnl_attr_get_payload(expiration), sizeof left);
    left = be64toh(left);
    if (left > (uint64_t)(r->layout->lease / USEC_PER_MS))
        return -ENOENT;
    if (left < r->left)
        r->left = left;
    r->count++;
    return 0;
}

static int lease_take(void *arg, const struct nlmsghdr *m)
{
    return elements_take(arg, m, lease_element);
}

/* Leases first: what they have left then, they have from then on. */
static int leases_read(struct reader *r)
{
    char set[NFT_NAME_BYTES];
    int error = 0;

    for (r->table = 0; error == 0 && r->table < NFT_TABLE_MAX; r->table++)
        for (r->vip = 0; error == 0 && r->vip < r->layout->vips; r->vip++) {
            if (!nft_lease_in(&r->layout->vip[r->vip], r->table))
                continue;
            error = dump(r, NFT_MSG_GETSETELEM, nft_name(set, r->vip, "lease"), lease_take);
            if (error == 0 && r->count != 1)
                error = -ETIME;
        }
    return error;
}

static int class_dump(struct reader *r, int (*take)(void *, const struct nlmsghdr *))
{
    char set[NFT_NAME_BYTES];

    r->table = nft_early_table(&r->layout->vip[r->vip]);
    nft_name(set, r->vip, nft_key_class_noun(r->key));
    return dump(r, NFT_MSG_GETSETELEM, set, take);
}

/* The set of buckets that have a class at all has to be that of the plan, too. */
static int present_check(struct reader *r, const struct nlattr *const *element)
{
    const struct nlattr *key = data_value(element[NFTA_SET_ELEM_KEY], NFTA_DATA_VALUE);
    uint16_t quick;

    if (key == NULL || mnl_attr_get_payload_len(key) != sizeof quick)
        return -ENOENT;
    memcpy(&quick, mnl_attr_get_payload(key), sizeof quick);
    r->count++;
    if (ntohs(quick) >= r->layout->buckets || r->plan->class_of[ntohs(quick)] == CLASS_FOREIGN)
        return -ENOENT;
    return 0;
}

static int present_take(void *arg, const struct nlmsghdr *m)
{
    return elements_take(arg, m, present_check);
}

static int present_read(struct reader *r)
{
    char set[NFT_NAME_BYTES];
    size_t wanted = 0;
    int error;

    if (!nft_has_present(&r->layout->vip[r->vip], r->layout->buckets))
        return 0;
    for (size_t i = 0; i < r->layout->buckets; i++)
        wanted += r->plan->class_of[i] != CLASS_FOREIGN;
    r->table = nft_early_table(&r->layout->vip[r->vip]);
    error = dump(r, NFT_MSG_GETSETELEM, nft_name(set, r->vip, "present"), present_take);
    return error == 0 && r->count != wanted ? -ENOENT : error;
}

/* A VIP without resets has OWN as ADOPT: one with them knows better. */
static size_t vip_that_tells(const struct nft_layout *l)
{
    for (size_t vip = 0; vip < l->vips; vip++)
        if (l->vip[vip].orphans != ORPHANS_DROP)
            return vip;
    return 0;
}

/* Each element is as the plan wants it; this counts whether none is missing. */
static bool class_whole(const struct reader *r)
{
    const struct vip_config *vip = &r->layout->vip[r->vip];
    size_t wanted = 0;

    for (size_t i = 0; i < nft_key_entries(vip, r->key, r->layout->buckets); i++) {
        struct nft_entry e = nft_key_entry(vip, r->key, i);
        wanted += nft_elem_way(vip, r->plan, r->key, &e) != NFT_WAY_NONE;
    }
    return r->count == wanted;
}

static int classes_read(struct reader *r)
{
    const struct nft_layout *l = r->layout;
    int error;

    r->vip = vip_that_tells(l);
    r->key = NFT_KEY_CLIENT;
    plan_init(r->plan, l->buckets);
    error = class_dump(r, class_learn_take);
    for (r->vip = 0; error == 0 && r->vip < l->vips; r->vip++)
        for (r->key = 0; error == 0 && r->key < NFT_KEY_MAX; r->key++) {
            if (!nft_key_used(&l->vip[r->vip], r->key) ||
                nft_key_home(&l->vip[r->vip], r->key) != r->key)
                continue;
            error = class_dump(r, class_check_take);
            if (error == 0 && !class_whole(r))
                error = -ENOENT;
        }
    for (r->vip = 0; error == 0 && r->vip < l->vips; r->vip++)
        error = present_read(r);
    return error;
}

int nft_read(const struct nft_layout *l, struct plan *plan, usec *left)
{
    struct reader *r = calloc(1, sizeof *r);
    int error = r == NULL ? -ENOMEM : netlink_open(&r->netlink, NETLINK_NETFILTER, "nft");

    if (error < 0) {
        free(r);
        return error;
    }
    r->layout = l;
    r->plan = plan;
    r->left = (uint64_t)(l->lease / USEC_PER_MS);
    error = l->vips > 0 ? shape_read(r) : -ENOENT;
    if (error == 0)
        error = leases_read(r);
    if (error == 0)
        error = classes_read(r);
    *left = error == 0 ? (usec)r->left * USEC_PER_MS - TICK : 0;
    if (error == 0 && *left <= 0)
        error = -ETIME;
    netlink_close(&r->netlink);
    free(r);
    return error;
}
