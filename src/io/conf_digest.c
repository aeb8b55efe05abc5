/*
 * What the members compare: one digest, by which they know each other for
 * members of one cluster, and a hash of each part of it, by which they can tell
 * what differs.
 *
 * Every number is hashed as eight bytes, the most significant first, and every
 * field has its fixed place, so two configurations give one string only if they
 * are equal. Nothing depends on the order of the file.
 */
#include <sodium.h>
#include <string.h>

#include "conf_file.h"

/* What is hashed before what came after the first version. */
enum extension { EXTENSION_QUORUM = 1, EXTENSION_FLAP, EXTENSION_AFFINITY, EXTENSION_SERVICES };

static const struct flap_config flap_standard = {
    .penalty = 1000,
    .suppress = 3000,
    .reuse = 1000,
    .half_life = 60 * USEC_PER_S,
    .max_hold = 600 * USEC_PER_S,
};

static void hash_number(crypto_generichash_state *h, uint64_t number)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    crypto_generichash_update(h, bytes, sizeof(bytes));
}

static void hash_name(crypto_generichash_state *h, const char *name)
{
    size_t length = strlen(name);

    hash_number(h, length);
    crypto_generichash_update(h, (const unsigned char *)name, length);
}

static void hash_address(crypto_generichash_state *h, const struct address *a)
{
    hash_number(h, a->family);
    crypto_generichash_update(h, a->byte, sizeof(a->byte));
}

static uint64_t hash_end(crypto_generichash_state *h)
{
    uint8_t hash[crypto_generichash_BYTES];
    uint64_t first = 0;

    crypto_generichash_final(h, hash, sizeof(hash));
    for (size_t i = 0; i < sizeof(first); i++)
        first = first << 8 | hash[i];
    return first;
}

/* By family and address. */
static int vip_order(const struct vip_config *a, const struct vip_config *b)
{
    if (a->address.family != b->address.family)
        return a->address.family < b->address.family ? -1 : 1;
    return memcmp(a->address.byte, b->address.byte, sizeof(a->address.byte));
}

static void vips_sort(const struct config *c, const struct vip_config *order[VIPS_MAX])
{
    for (size_t i = 0; i < c->vips; i++) {
        size_t at = i;
        for (; at > 0 && vip_order(&c->vip[i], order[at - 1]) < 0; at--)
            order[at] = order[at - 1];
        order[at] = &c->vip[i];
    }
}

static void quorum_hash(crypto_generichash_state *h, const struct config *c)
{
    const char *order[MEMBERS_MAX];

    for (size_t i = 0; i < c->founders; i++) {
        size_t at = i;
        for (; at > 0 && strcmp(c->founder[i], order[at - 1]) < 0; at--)
            order[at] = order[at - 1];
        order[at] = c->founder[i];
    }
    hash_number(h, c->quorum);
    hash_number(h, c->founders);
    for (size_t i = 0; i < c->founders; i++)
        hash_name(h, order[i]);
}

static void flap_hash(crypto_generichash_state *h, const struct flap_config *f)
{
    hash_number(h, f->penalty);
    hash_number(h, f->suppress);
    hash_number(h, f->reuse);
    hash_number(h, (uint64_t)f->half_life);
    hash_number(h, (uint64_t)f->max_hold);
}

/* Told of those VIPs alone that have another than the first. */
static void affinity_hash(crypto_generichash_state *h, const struct vip_config *v)
{
    if (v->affinity == AFFINITY_ADDRESS)
        return;
    hash_number(h, EXTENSION_AFFINITY);
    hash_address(h, &v->address);
    hash_number(h, v->affinity);
}

/* They are in an order of their own, and so are their ports. */
static void services_hash(crypto_generichash_state *h, const struct vip_config *v)
{
    if (v->services == 0)
        return;
    hash_number(h, EXTENSION_SERVICES);
    hash_address(h, &v->address);
    hash_number(h, v->services);
    for (size_t i = 0; i < v->services; i++) {
        const struct service_config *s = &v->service[i];

        hash_number(h, s->protocol);
        hash_number(h, s->policy);
        hash_number(h, s->ports);
        for (size_t p = 0; p < s->ports; p++)
            hash_number(h, s->port[p]);
    }
}

static bool flap_is_standard(const struct flap_config *f)
{
    return f->penalty == flap_standard.penalty && f->suppress == flap_standard.suppress &&
           f->reuse == flap_standard.reuse && f->half_life == flap_standard.half_life &&
           f->max_hold == flap_standard.max_hold;
}

/*
 * dead_after and lease are in it because fencing needs one node's lease to be
 * shorter than another's dead_after; the interval may differ. The witness may
 * differ too: each node may have a gateway of its own.
 *
 * Keys that came after the first version are left out while they have their
 * defaults: a node that does not know them agrees with one that does not use
 * them.
 */
uint64_t conf_digest(const struct config *c)
{
    static const unsigned char start[16] = "ipclusterd conf";
    const struct vip_config *order[VIPS_MAX] = {0};
    crypto_generichash_state h;

    vips_sort(c, order);
    crypto_generichash_init(&h, NULL, 0, crypto_generichash_BYTES);
    crypto_generichash_update(&h, start, sizeof(start));
    hash_number(&h, c->buckets);
    hash_number(&h, (uint64_t)c->dead_after);
    hash_number(&h, (uint64_t)c->lease);
    hash_number(&h, c->vips);
    for (size_t i = 0; i < c->vips; i++) {
        const struct vip_config *v = order[i];
        hash_address(&h, &v->address);
        hash_number(&h, v->prefix);
        hash_number(&h, v->mode);
        crypto_generichash_update(&h, v->mac.byte, sizeof(v->mac.byte));
        hash_number(&h, v->select);
        hash_number(&h, v->orphans);
    }
    if (c->quorum != QUORUM_NONE) {
        hash_number(&h, EXTENSION_QUORUM);
        quorum_hash(&h, c);
    }
    if (!flap_is_standard(&c->flap)) {
        hash_number(&h, EXTENSION_FLAP);
        flap_hash(&h, &c->flap);
    }
    for (size_t i = 0; i < c->vips; i++)
        affinity_hash(&h, order[i]);
    for (size_t i = 0; i < c->vips; i++)
        services_hash(&h, order[i]);
    return hash_end(&h);
}

/* Defaults are left out, so that a VIP that one node lacks is told as that alone. */
static void select_hash(crypto_generichash_state *h, const struct vip_config *v)
{
    if (v->select != SELECT_MASK || v->orphans != ORPHANS_RESET) {
        hash_address(h, &v->address);
        hash_number(h, v->select);
        hash_number(h, v->orphans);
    }
    affinity_hash(h, v);
    services_hash(h, v);
}

static void vip_hash(crypto_generichash_state *h, const struct vip_config *v)
{
    hash_address(h, &v->address);
    hash_number(h, v->prefix);
    hash_number(h, v->mode);
    crypto_generichash_update(h, v->mac.byte, sizeof(v->mac.byte));
}

static void part_hash(crypto_generichash_state *h, const struct config *c, enum config_part part)
{
    const struct vip_config *order[VIPS_MAX] = {0};

    switch (part) {
    case PART_BUCKETS:
        hash_number(h, c->buckets);
        return;
    case PART_TIMING:
        hash_number(h, (uint64_t)c->dead_after);
        hash_number(h, (uint64_t)c->lease);
        return;
    case PART_VIPS:
    case PART_SELECT:
        vips_sort(c, order);
        for (size_t i = 0; i < c->vips; i++)
            (part == PART_VIPS ? vip_hash : select_hash)(h, order[i]);
        return;
    case PART_QUORUM:
        quorum_hash(h, c);
        return;
    case PART_FLAP:
        flap_hash(h, &c->flap);
        return;
    case PART_MAX:
        break;
    }
}

uint32_t conf_part_hash(const struct config *c, enum config_part part)
{
    static const unsigned char start[16] = "ipclusterd part";
    crypto_generichash_state h;
    uint32_t hash;

    crypto_generichash_init(&h, NULL, 0, crypto_generichash_BYTES);
    crypto_generichash_update(&h, start, sizeof(start));
    hash_number(&h, part);
    part_hash(&h, c, part);
    hash = (uint32_t)(hash_end(&h) >> 32);
    return hash != 0 ? hash : 1;
}

/* Begins a hash that is none of the others'. */
static void hash_begin(crypto_generichash_state *h, const char *what)
{
    crypto_generichash_init(h, NULL, 0, crypto_generichash_BYTES);
    hash_name(h, "ipclusterd vips");
    hash_name(h, what);
}

/* Everything but the VIPs that the members must have alike. */
static uint64_t common_hash(const struct config *c)
{
    crypto_generichash_state h;
    uint64_t hash;

    hash_begin(&h, "common");
    hash_number(&h, c->buckets);
    hash_number(&h, (uint64_t)c->dead_after);
    hash_number(&h, (uint64_t)c->lease);
    quorum_hash(&h, c);
    flap_hash(&h, &c->flap);
    hash = hash_end(&h);
    return hash != 0 ? hash : 1;
}

/*
 * What a later version adds to a VIP has to be left out of the hash of the rest while
 * it has its default, as in conf_digest().
 */
void conf_vips_hash(const struct config *c, struct vips_word *vips, struct vips_word *selection)
{
    memset(vips, 0, sizeof(*vips));
    memset(selection, 0, sizeof(*selection));
    vips->common = common_hash(c);
    selection->common = 1;
    for (size_t i = 0; i < c->vips; i++) {
        const struct vip_config *v = &c->vip[i];
        crypto_generichash_state h;

        hash_begin(&h, "address");
        hash_address(&h, &v->address);
        struct vip_word word = {.address = (uint32_t)(hash_end(&h) >> 32)};
        hash_begin(&h, "rest");
        vip_hash(&h, v);
        hash_number(&h, v->select);
        hash_number(&h, v->orphans);
        affinity_hash(&h, v);
        services_hash(&h, v);
        word.rest = (uint32_t)(hash_end(&h) >> 32);
        vips_add(vips, word);
        hash_begin(&h, "selection");
        hash_number(&h, v->select);
        affinity_hash(&h, v);
        services_hash(&h, v);
        word.rest = (uint32_t)(hash_end(&h) >> 32);
        vips_add(selection, word);
    }
}
