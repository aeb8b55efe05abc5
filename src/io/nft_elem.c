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

static enum nft_way bucket_way(const struct vip_config *vip, const struct plan *p, unsigned bucket)
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

enum nft_way nft_elem_way(const struct vip_config *vip, const struct plan *p, enum nft_key key,
                          const struct nft_entry *e)
{
    enum nft_way way = NFT_WAY_NONE;

    if (key >= NFT_KEY_SERVICES)
        return bucket_way(vip, p, e->bucket);
    switch (e->policy) {
    case POLICY_BALANCE:
        way = NFT_WAY_CLIENT;
        break;
    case POLICY_SINGLE:
        way = bucket_way(vip, p, e->bucket);
        break;
    case POLICY_CLOSED:
        if (class_claims((enum bucket_class)p->class_of[e->bucket]))
            way = NFT_WAY_REFUSE;
        break;
    case POLICY_MAX:
        break;
    }
    /* Without an element it would be taken for one that is named less narrowly. */
    return way != NFT_WAY_NONE ? way : NFT_WAY_FOREIGN;
}

const char *nft_elem_chain(char out[NFT_NAME_BYTES], size_t vip, enum nft_way way)
{
    static const char *const noun[NFT_WAY_MAX] = {
        [NFT_WAY_OWN] = "own",       [NFT_WAY_ADOPT] = "adopt",     [NFT_WAY_LINGER] = "linger",
        [NFT_WAY_CLIENT] = "client", [NFT_WAY_FOREIGN] = "foreign", [NFT_WAY_REFUSE] = "refuse",
    };

    assert(noun[way] != NULL);
    return nft_name(out, vip, noun[way]);
}

const struct mac *nft_elem_target(const struct plan *p, enum nft_key key, const struct nft_entry *e)
{
    static const struct mac unknown;
    uint16_t target = p->target_of[e->bucket];

    if (key < NFT_KEY_SERVICES && e->policy != POLICY_SINGLE)
        return NULL;
    if (p->class_of[e->bucket] != CLASS_RELEASE || target >= MEMBERS_MAX ||
        memcmp(&p->target[target], &unknown, sizeof unknown) == 0)
        return NULL;
    return &p->target[target];
}

const char *nft_elem_route(char out[NFT_NAME_BYTES], size_t vip, enum nft_key key,
                           const struct nft_entry *e)
{
    static const char *const noun[POLICY_MAX] = {
        [POLICY_BALANCE] = "new", [POLICY_CLOSED] = "stay"};

    assert(key < NFT_KEY_SERVICES);
    return nft_name(out, vip,
                    e->policy == POLICY_SINGLE ? nft_key_single_noun(key) : noun[e->policy]);
}

static bool same_target(const struct mac *a, const struct mac *b)
{
    return a == b || (a != NULL && b != NULL && memcmp(a, b, sizeof *a) == 0);
}

static size_t change_class(struct nft_batch *b, const struct nft_layout *l, size_t vip,
                           enum nft_key by, const struct plan *was, const struct plan *is)
{
    const struct vip_config *v = &l->vip[vip];
    size_t entries = nft_key_entries(v, by, l->buckets);
    char set[NFT_NAME_BYTES], chain[NFT_WAY_MAX][NFT_NAME_BYTES];
    enum nft_table t = nft_early_table(v);
    struct list gone = {.batch = b, .type = NFT_MSG_DELSETELEM, .table = t, .set = set};
    struct list come = {.batch = b, .type = NFT_MSG_NEWSETELEM, .table = t, .set = set};

    nft_name(set, vip, nft_key_class_noun(by));
    for (enum nft_way way = NFT_WAY_OWN; way < NFT_WAY_MAX; way++)
        nft_elem_chain(chain[way], vip, way);
    for (size_t i = 0; was != NULL && i < entries; i++) {
        struct nft_entry e = nft_key_entry(v, by, i);
        enum nft_way old = nft_elem_way(v, was, by, &e);

        if (old != NFT_WAY_NONE && old != nft_elem_way(v, is, by, &e))
            list_close(&gone, list_open(&gone, e.byte, e.length));
    }
    list_flush(&gone);
    for (size_t i = 0; i < entries; i++) {
        struct nft_entry e = nft_key_entry(v, by, i);
        enum nft_way new = nft_elem_way(v, is, by, &e);
        struct nlattr *element;

        if (new == NFT_WAY_NONE || (was != NULL && nft_elem_way(v, was, by, &e) == new))
            continue;
        element = list_open(&come, e.byte, e.length);
        put_goto(come.message, chain[new]);
        list_close(&come, element);
    }
    list_flush(&come);
    return gone.count + come.count;
}

static bool is_present(const struct vip_config *v, const struct plan *p, size_t bucket)
{
    struct nft_entry e = nft_key_entry(v, NFT_KEY_CLIENT, bucket);

    return nft_elem_way(v, p, NFT_KEY_CLIENT, &e) != NFT_WAY_NONE;
}

static size_t change_present(struct nft_batch *b, const struct nft_layout *l, size_t vip,
                             const struct plan *was, const struct plan *is)
{
    const struct vip_config *v = &l->vip[vip];
    enum nft_table t = nft_early_table(v);
    char set[NFT_NAME_BYTES];
    struct list gone = {.batch = b, .type = NFT_MSG_DELSETELEM, .table = t, .set = set};
    struct list come = {.batch = b, .type = NFT_MSG_NEWSETELEM, .table = t, .set = set};

    nft_name(set, vip, "present");
    for (unsigned i = 0; was != NULL && i < l->buckets; i++) {
        uint16_t key = nft_quick_key(i);

        if (is_present(v, was, i) && !is_present(v, is, i))
            list_close(&gone, list_open(&gone, &key, sizeof key));
    }
    list_flush(&gone);
    for (unsigned i = 0; i < l->buckets; i++) {
        uint16_t key = nft_quick_key(i);

        if (is_present(v, is, i) && (was == NULL || !is_present(v, was, i)))
            list_close(&come, list_open(&come, &key, sizeof key));
    }
    list_flush(&come);
    return gone.count + come.count;
}

static size_t change_forward(struct nft_batch *b, const struct nft_layout *l, size_t vip,
                             enum nft_key by, const struct plan *was, const struct plan *is)
{
    const struct vip_config *v = &l->vip[vip];
    size_t entries = nft_key_entries(v, by, l->buckets);
    char set[NFT_NAME_BYTES];
    struct list gone = {
        .batch = b, .type = NFT_MSG_DELSETELEM, .table = NFT_TABLE_NETDEV, .set = set};
    struct list come = {
        .batch = b, .type = NFT_MSG_NEWSETELEM, .table = NFT_TABLE_NETDEV, .set = set};

    nft_name(set, vip, nft_key_forward_noun(by));
    for (size_t i = 0; was != NULL && i < entries; i++) {
        struct nft_entry e = nft_key_entry(v, by, i);
        const struct mac *old = nft_elem_target(was, by, &e);

        if (old != NULL && !same_target(old, nft_elem_target(is, by, &e)))
            list_close(&gone, list_open(&gone, e.byte, e.length));
    }
    list_flush(&gone);
    for (size_t i = 0; i < entries; i++) {
        struct nft_entry e = nft_key_entry(v, by, i);
        const struct mac *new = nft_elem_target(is, by, &e);
        struct nlattr *element;

        if (new == NULL || (was != NULL && same_target(nft_elem_target(was, by, &e), new)))
            continue;
        element = list_open(&come, e.byte, e.length);
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
        if (nft_has_present(&l->vip[vip], l->buckets))
            count += change_present(b, l, vip, was, is);
        for (enum nft_key by = 0; by < NFT_KEY_MAX; by++) {
            if (!nft_key_used(&l->vip[vip], by) || nft_key_home(&l->vip[vip], by) != by)
                continue;
            count += change_class(b, l, vip, by, was, is);
            count += change_forward(b, l, vip, by, was, is);
        }
    }
    return count;
}

void nft_elem_constant(struct nft_batch *b, const struct nft_layout *l, enum nft_table t,
                       const struct nft_set_spec *spec)
{
    struct list come = {.batch = b, .type = NFT_MSG_NEWSETELEM, .table = t, .set = spec->name};
    const struct vip_config *v = &l->vip[spec->vip];
    char chain[NFT_NAME_BYTES];

    for (size_t i = 0; i < spec->types_count; i++)
        list_close(&come, list_open(&come, &spec->types[i], 1));
    for (size_t i = 0; spec->kind == NFT_SET_ROUTE && i < nft_key_entries(v, spec->key, l->buckets);
         i++) {
        struct nft_entry e = nft_key_entry(v, spec->key, i);
        struct nlattr *element = list_open(&come, e.byte, e.length);

        put_goto(come.message, nft_elem_route(chain, spec->vip, spec->key, &e));
        list_close(&come, element);
    }
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

/* What is being removed has no lease, and so lets no new flow in and forwards none. */
void nft_elem_lease_start(struct nft_batch *b, const struct nft_layout *l, uint64_t left)
{
    for (size_t vip = 0; vip < l->vips; vip++)
        for (enum nft_table t = 0; t < NFT_TABLE_MAX && !l->vip[vip].removing; t++)
            if (nft_lease_in(&l->vip[vip], t) && !l->fresh[vip])
                put_lease(b, l, vip, t, NFT_MSG_NEWSETELEM, left);
}

bool nft_elem_lease_renew(struct nft_batch *b, const struct nft_layout *l, uint64_t left)
{
    static const uint16_t steps[] = {NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM, NFT_MSG_NEWSETELEM};
    bool any = false;

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (size_t vip = 0; vip < l->vips; vip++)
            for (enum nft_table t = 0; t < NFT_TABLE_MAX && !l->vip[vip].removing; t++)
                if (nft_lease_in(&l->vip[vip], t)) {
                    put_lease(b, l, vip, t, steps[i], left);
                    any = true;
                }
    return any;
}
