/*
 * Elements are the hot path: a change of the view may rewrite every bucket of
 * every VIP. Messages are therefore written by libmnl directly, with nothing
 * allocated per element, and deletions go before additions, so that a change
 * of value is both in one transaction.
 *
 * A renewal of the lease is three operations per set: add, delete, add. The
 * first does nothing if the element is there, so that the second finds it in
 * any case; NFT_MSG_DESTROYSETELEM, made for that, needs Linux 6.3, and an add
 * alone does not renew before 6.12. Between two generations a lookup sees the
 * old element or the new one, never none.
 */
#include "nft_elem.h"

#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "nft_batch.h"

/* A nest's length has 16 bits; no element takes 256 bytes. */
enum { LIST_BYTES_MAX = 0xffff - 256 };

/* A list of elements of one set, in as many messages as it takes. */
struct list {
    struct nft_batch *batch;
    uint16_t type;
    enum nft_table table;
    const char *set;
    struct nlmsghdr *message; /* NULL: none is open */
    struct nlattr *elements;
    size_t count;
};

static void list_flush(struct list *l)
{
    if (l->message == NULL)
        return;
    mnl_attr_nest_end(l->message, l->elements);
    nft_batch_add(l->batch, l->message);
    l->message = NULL;
}

static void list_room(struct list *l)
{
    uint16_t flags = l->type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0;

    if (l->message != NULL) {
        const char *tail = mnl_nlmsg_get_payload_tail(l->message);

        if (tail - (const char *)l->elements < LIST_BYTES_MAX)
            return;
        list_flush(l);
    }
    l->message = nft_batch_message(l->batch, l->type, nft_table_family(l->table), flags);
    mnl_attr_put_strz(l->message, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE_NAME);
    mnl_attr_put_strz(l->message, NFTA_SET_ELEM_LIST_SET, l->set);
    l->elements = mnl_attr_nest_start(l->message, NFTA_SET_ELEM_LIST_ELEMENTS);
}

static void put_value(struct nlmsghdr *m, uint16_t type, const void *data, size_t length)
{
    struct nlattr *nest = mnl_attr_nest_start(m, type);

    mnl_attr_put(m, NFTA_DATA_VALUE, length, data);
    mnl_attr_nest_end(m, nest);
}

/* Opens an element with its key; close it by list_close(). */
static struct nlattr *list_open(struct list *l, const void *key, size_t length)
{
    struct nlattr *element;

    list_room(l);
    l->count++;
    element = mnl_attr_nest_start(l->message, NFTA_LIST_ELEM);
    put_value(l->message, NFTA_SET_ELEM_KEY, key, length);
    return element;
}

static void list_close(struct list *l, struct nlattr *element)
{
    mnl_attr_nest_end(l->message, element);
}

static void put_goto(struct nlmsghdr *m, const char *chain)
{
    struct nlattr *data = mnl_attr_nest_start(m, NFTA_SET_ELEM_DATA);
    struct nlattr *verdict = mnl_attr_nest_start(m, NFTA_DATA_VERDICT);

    mnl_attr_put_u32(m, NFTA_VERDICT_CODE, htonl((uint32_t)NFT_GOTO));
    mnl_attr_put_strz(m, NFTA_VERDICT_CHAIN, chain);
    mnl_attr_nest_end(m, verdict);
    mnl_attr_nest_end(m, data);
}

/* ---- buckets ------------------------------------------------------------------ */

enum nft_way nft_elem_way(const struct vip_config *vip, const struct plan *p, unsigned bucket)
{
    switch ((enum bucket_class)p->class_of[bucket]) {
    case CLASS_OWN:
        /* "drop": segments of flows that died with their node get no reset. */
        return vip->orphans == ORPHANS_DROP ? NFT_WAY_ADOPT : NFT_WAY_OWN;
    case CLASS_ADOPT:
        return NFT_WAY_ADOPT;
    case CLASS_RELEASE:
    case CLASS_LINGER:
        return NFT_WAY_LINGER;
    default:
        return NFT_WAY_NONE;
    }
}

const char *nft_elem_chain(char out[NFT_NAME_BYTES], size_t vip, enum nft_way way)
{
    static const char *const noun[NFT_WAY_MAX] = {
        [NFT_WAY_OWN] = "own", [NFT_WAY_ADOPT] = "adopt", [NFT_WAY_LINGER] = "linger"};

    assert(noun[way] != NULL);
    return nft_name(out, vip, noun[way]);
}

const struct mac *nft_elem_target(const struct plan *p, unsigned bucket)
{
    static const struct mac unknown;
    uint16_t target = p->target_of[bucket];

    if (p->class_of[bucket] != CLASS_RELEASE || target >= MEMBERS_MAX ||
        memcmp(&p->target[target], &unknown, sizeof unknown) == 0)
        return NULL;
    return &p->target[target];
}

static bool same_target(const struct mac *a, const struct mac *b)
{
    return a == b || (a != NULL && b != NULL && memcmp(a, b, sizeof *a) == 0);
}

static size_t change_class(struct nft_batch *b, const struct nft_layout *l, size_t vip,
                           enum nft_key by, const struct plan *was, const struct plan *is)
{
    const struct vip_config *v = &l->vip[vip];
    char set[NFT_NAME_BYTES], chain[NFT_WAY_MAX][NFT_NAME_BYTES];
    struct list gone = {.batch = b, .type = NFT_MSG_DELSETELEM, .set = set};
    struct list come = {.batch = b, .type = NFT_MSG_NEWSETELEM, .set = set};

    nft_name(set, vip, nft_key_class_noun(by));
    for (enum nft_way way = NFT_WAY_OWN; way < NFT_WAY_MAX; way++)
        nft_elem_chain(chain[way], vip, way);
    for (unsigned i = 0; was != NULL && i < l->buckets; i++) {
        enum nft_way old = nft_elem_way(v, was, i);
        struct nft_key_bytes key = nft_key_bytes(v, by, i);

        if (old != NFT_WAY_NONE && old != nft_elem_way(v, is, i))
            list_close(&gone, list_open(&gone, key.byte, key.length));
    }
    list_flush(&gone);
    for (unsigned i = 0; i < l->buckets; i++) {
        enum nft_way new = nft_elem_way(v, is, i);
        struct nft_key_bytes key = nft_key_bytes(v, by, i);
        struct nlattr *element;

        if (new == NFT_WAY_NONE || (was != NULL && nft_elem_way(v, was, i) == new))
            continue;
        element = list_open(&come, key.byte, key.length);
        put_goto(come.message, chain[new]);
        list_close(&come, element);
    }
    list_flush(&come);
    return gone.count + come.count;
}

static size_t change_forward(struct nft_batch *b, const struct nft_layout *l, size_t vip,
                             enum nft_key by, const struct plan *was, const struct plan *is)
{
    const struct vip_config *v = &l->vip[vip];
    char set[NFT_NAME_BYTES];
    struct list gone = {
        .batch = b, .type = NFT_MSG_DELSETELEM, .table = NFT_TABLE_NETDEV, .set = set};
    struct list come = {
        .batch = b, .type = NFT_MSG_NEWSETELEM, .table = NFT_TABLE_NETDEV, .set = set};

    nft_name(set, vip, nft_key_forward_noun(by));
    for (unsigned i = 0; was != NULL && i < l->buckets; i++) {
        const struct mac *old = nft_elem_target(was, i);
        struct nft_key_bytes key = nft_key_bytes(v, by, i);

        if (old != NULL && !same_target(old, nft_elem_target(is, i)))
            list_close(&gone, list_open(&gone, key.byte, key.length));
    }
    list_flush(&gone);
    for (unsigned i = 0; i < l->buckets; i++) {
        const struct mac *new = nft_elem_target(is, i);
        struct nft_key_bytes key = nft_key_bytes(v, by, i);
        struct nlattr *element;

        if (new == NULL || (was != NULL && same_target(nft_elem_target(was, i), new)))
            continue;
        element = list_open(&come, key.byte, key.length);
        put_value(come.message, NFTA_SET_ELEM_DATA, new->byte, sizeof new->byte);
        list_close(&come, element);
    }
    list_flush(&come);
    return gone.count + come.count;
}

size_t nft_elem_change(struct nft_batch *b, const struct nft_layout *l, const struct plan *was,
                       const struct plan *is)
{
    size_t count = 0;

    for (size_t vip = 0; vip < l->vips; vip++) {
        for (enum nft_key by = 0; by < NFT_KEY_MAX; by++) {
            if (!nft_key_used(&l->vip[vip], by) || nft_key_home(&l->vip[vip], by) != by)
                continue;
            count += change_class(b, l, vip, by, was, is);
            count += change_forward(b, l, vip, by, was, is);
        }
    }
    return count;
}

void nft_elem_types(struct nft_batch *b, enum nft_table t, const struct nft_set_spec *spec)
{
    struct list come = {.batch = b, .type = NFT_MSG_NEWSETELEM, .table = t, .set = spec->name};

    for (size_t i = 0; i < spec->types_count; i++)
        list_close(&come, list_open(&come, &spec->types[i], 1));
    list_flush(&come);
}

/* ---- the lease ---------------------------------------------------------------- */

static void put_lease(struct nft_batch *b, const struct nft_layout *l, size_t vip, enum nft_table t,
                      uint16_t type, uint64_t left)
{
    const struct address *a = &l->vip[vip].address;
    uint64_t whole = (uint64_t)(l->lease / USEC_PER_MS);
    char set[NFT_NAME_BYTES];
    struct list list = {.batch = b, .type = type, .table = t, .set = set};
    struct nlattr *element;

    nft_name(set, vip, "lease");
    element = list_open(&list, a->byte, a->family == FAMILY_IP4 ? 4 : 16);
    if (type == NFT_MSG_NEWSETELEM) {
        mnl_attr_put_u64(list.message, NFTA_SET_ELEM_TIMEOUT, htobe64(whole));
        if (left < whole)
            mnl_attr_put_u64(list.message, NFTA_SET_ELEM_EXPIRATION, htobe64(left));
    }
    list_close(&list, element);
    list_flush(&list);
}

void nft_elem_lease_start(struct nft_batch *b, const struct nft_layout *l, uint64_t left)
{
    for (size_t vip = 0; vip < l->vips; vip++)
        for (enum nft_table t = 0; t < NFT_TABLE_MAX; t++)
            put_lease(b, l, vip, t, NFT_MSG_NEWSETELEM, left);
}

void nft_elem_lease_renew(struct nft_batch *b, const struct nft_layout *l, uint64_t left)
{
    static const uint16_t steps[] = {NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM, NFT_MSG_NEWSETELEM};

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (size_t vip = 0; vip < l->vips; vip++)
            for (enum nft_table t = 0; t < NFT_TABLE_MAX; t++)
                put_lease(b, l, vip, t, steps[i], left);
}
