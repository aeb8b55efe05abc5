/*
 * The VIPs on this host's interfaces.
 *
 * What the configuration wants is a list of items (journal.h), each once,
 * however many VIPs want it. An item that is missing is entered in the journal
 * and then made; an item that is there already without being in the journal is
 * the administrator's, and stays when we go.
 *
 *   mode shared     the shared MAC is a second one of the NIC
 *   mode interface  the shared MAC is the NIC's, its original a second one
 *
 * MACs come before addresses and go after them, so that an address never
 * answers from a NIC that is deaf to its MAC. For the same reason the original
 * MAC is made a second one before it stops being the first.
 */
#include "vipset.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "journal.h"
#include "log.h"

#define LOG "vips"

struct vipset {
    struct rtnl *rtnl;
    char directory[PATH_BYTES_MAX + 1];
    struct items wanted; /* in the order of making: MACs, NICs, addresses */
    size_t removing;     /* of the addresses, the last ones: their links do not count */
    struct items owned;  /* as the journal has it */
    int told;            /* the failure that the log has already; 0 none */
};

static int wanted_add(struct items *wanted, const struct item *item)
{
    return items_find(wanted, item) < wanted->count ? 0 : items_add(wanted, item);
}

static struct item item_make(enum item_kind kind, const struct vip_config *vip,
                             const struct nft_place *place)
{
    struct item item = {.kind = kind, .ifindex = place->ifindex};

    memcpy(item.link, vip->interface, sizeof(item.link));
    switch (kind) {
    case ITEM_ADDRESS:
        item.address = vip->address;
        item.prefix = vip->prefix;
        break;
    case ITEM_NIC:
        item.own = place->own;
        item.mac = vip->mac;
        break;
    default:
        item.mac = vip->mode == VIP_INTERFACE ? place->own : vip->mac;
        break;
    }
    return item;
}

/* Everything that `c` wants, in the order of making. */
static int wanted_make(const struct config *c, const struct nft_place *place, struct items *wanted)
{
    static const enum item_kind order[] = {ITEM_MAC, ITEM_NIC, ITEM_ADDRESS};

    wanted->count = 0;
    for (size_t k = 0; k < sizeof(order) / sizeof(order[0]); k++)
        for (size_t i = 0; i < c->vips; i++) {
            if (order[k] == ITEM_NIC && c->vip[i].mode != VIP_INTERFACE)
                continue;
            struct item item = item_make(order[k], &c->vip[i], &place[i]);
            int error = wanted_add(wanted, &item);
            if (error < 0)
                return error;
        }
    return 0;
}

/* A NIC can be given one MAC only. */
static int wanted_check(const struct items *wanted)
{
    for (size_t i = 0; i < wanted->count; i++)
        for (size_t j = i + 1; j < wanted->count; j++)
            if (wanted->item[i].kind == ITEM_NIC && wanted->item[j].kind == ITEM_NIC &&
                wanted->item[i].ifindex == wanted->item[j].ifindex) {
                log_error(LOG, "%s: virtual addresses in mode \"interface\" need the same mac",
                          wanted->item[i].link);
                return -EINVAL;
            }
    return 0;
}

/* The entry of the journal that says what the NIC's MAC was, or NULL. */
static const struct item *nic_entry(const struct items *owned, unsigned ifindex)
{
    for (size_t i = 0; i < owned->count; i++)
        if (owned->item[i].kind == ITEM_NIC && owned->item[i].ifindex == ifindex)
            return &owned->item[i];
    return NULL;
}

/* True if `mac` is the virtual one of a VIP on that interface. */
static bool mac_is_virtual(const struct config *c, const char *interface, const struct mac *mac)
{
    for (size_t i = 0; i < c->vips; i++)
        if (strcmp(c->vip[i].interface, interface) == 0 && mac_equal(&c->vip[i].mac, mac))
            return true;
    return false;
}

/* The NIC's original MAC: what it has, unless a crashed run left it with another. */
static int place_find(struct vipset *v, const struct config *c, const char *interface,
                      struct nft_place *place)
{
    const struct mac unknown = {0};
    struct rtnl_link link;
    int error = rtnl_link_get(v->rtnl, interface, &link);

    if (error < 0)
        return error;
    *place = (struct nft_place){.ifindex = link.index, .own = link.mac};
    const struct item *entry = nic_entry(&v->owned, link.index);
    if (entry != NULL && mac_equal(&entry->mac, &link.mac)) {
        place->own = entry->own;
        return 0;
    }
    if (!mac_is_virtual(c, interface, &link.mac))
        return 0;
    /* It has ours, and the journal is lost. */
    if (mac_equal(&link.permanent, &unknown) || mac_is_virtual(c, interface, &link.permanent)) {
        log_error(LOG,
                  "%s has the virtual MAC as its own and does not tell its real one: "
                  "set that with ip link set",
                  interface);
        return -EADDRINUSE;
    }
    struct item item = {
        .kind = ITEM_NIC, .ifindex = link.index, .own = link.permanent, .mac = link.mac};
    memcpy(item.link, interface, strlen(interface) + 1);
    place->own = link.permanent;
    return items_add(&v->owned, &item);
}

int vipset_open(struct vipset **out, struct rtnl *r, const struct config *c,
                struct nft_place place[VIPS_MAX], char missing[IFNAME_BYTES_MAX + 1])
{
    struct vipset *v = calloc(1, sizeof(*v));
    int error;

    if (v == NULL)
        return -ENOMEM;
    v->rtnl = r;
    memcpy(v->directory, c->state_dir, sizeof(v->directory));
    missing[0] = '\0';
    error = journal_read(v->directory, &v->owned);
    for (size_t i = 0; error == 0 && i < c->vips; i++) {
        error = place_find(v, c, c->vip[i].interface, &place[i]);
        if (error == -ENODEV)
            memcpy(missing, c->vip[i].interface, IFNAME_BYTES_MAX + 1);
        v->removing += c->vip[i].removing;
    }
    if (error == 0)
        error = wanted_make(c, place, &v->wanted);
    if (error == 0)
        error = wanted_check(&v->wanted);
    if (error < 0) {
        vipset_close(v);
        return error;
    }
    *out = v;
    return 0;
}

void vipset_close(struct vipset *v)
{
    free(v);
}

/* 1 it is there, 0 not, -errno. */
static int item_present(struct vipset *v, const struct item *item)
{
    struct rtnl_link link;
    int error;

    switch (item->kind) {
    case ITEM_ADDRESS:
        return rtnl_address_has(v->rtnl, item->ifindex, &item->address);
    case ITEM_MAC:
        return rtnl_mac_has(v->rtnl, item->ifindex, &item->mac);
    default:
        error = rtnl_link_get(v->rtnl, item->link, &link);
        if (error == 0 && link.index != item->ifindex)
            error = -ENODEV;
        return error < 0 ? error : mac_equal(&link.mac, &item->mac);
    }
}

static int item_put(struct vipset *v, const struct item *item)
{
    bool added;

    switch (item->kind) {
    case ITEM_ADDRESS:
        return rtnl_address_add(v->rtnl, item->ifindex, &item->address, item->prefix, &added);
    case ITEM_MAC:
        return rtnl_mac_add(v->rtnl, item->ifindex, &item->mac, &added);
    default:
        return rtnl_mac_set(v->rtnl, item->ifindex, &item->mac);
    }
}

static int item_take(struct vipset *v, const struct item *item)
{
    int error;

    switch (item->kind) {
    case ITEM_ADDRESS:
        error = rtnl_address_del(v->rtnl, item->ifindex, &item->address, item->prefix);
        break;
    case ITEM_MAC:
        error = rtnl_mac_del(v->rtnl, item->ifindex, &item->mac);
        break;
    default:
        /* Not if somebody has given the NIC a third one since. */
        error = item_present(v, item);
        if (error > 0)
            error = rtnl_mac_set(v->rtnl, item->ifindex, &item->own);
        break;
    }
    /* Somebody else was faster, or the link itself is gone. */
    return error == -EADDRNOTAVAIL || error == -ENOENT || error == -ENODEV ? 0 : error;
}

/* Undoes what we own: all of it, or what is not wanted. The journal follows. */
static int owned_take(struct vipset *v, bool all)
{
    char text[ITEM_TEXT_BYTES];
    int error = 0;

    for (unsigned kind = 0; kind < ITEM_KIND_MAX; kind++) /* addresses, NICs, MACs */
        for (size_t i = 0; i < v->owned.count;) {
            const struct item *item = &v->owned.item[i];
            if (item->kind != (enum item_kind)kind ||
                (!all && items_find(&v->wanted, item) < v->wanted.count)) {
                i++;
                continue;
            }
            int failure = item_take(v, item);
            if (failure < 0) {
                log_error(LOG, "%s: cannot take back %s: %s", item->link, item_text(item, text),
                          strerror(-failure));
                error = failure;
                i++;
                continue;
            }
            log_info(LOG, "%s: took back %s", item->link, item_text(item, text));
            items_remove(&v->owned, i);
        }
    int failure = journal_write(v->directory, &v->owned);
    return error < 0 ? error : failure;
}

int vipset_recover(struct vipset *v)
{
    return owned_take(v, false);
}

int vipset_clear(struct vipset *v)
{
    return owned_take(v, true);
}

/* A failure is told once, not at every attempt. */
static void failure_tell(struct vipset *v, const struct item *item, int error)
{
    char text[ITEM_TEXT_BYTES];

    if (v->told == error)
        return;
    v->told = error;
    log_error(LOG, "%s: cannot set %s: %s", item->link, item_text(item, text), strerror(-error));
}

/* Collects what is missing; what cannot be looked at is skipped and told. */
static int missing_find(struct vipset *v, struct items *missing)
{
    int error = 0;

    missing->count = 0;
    for (size_t i = 0; i < v->wanted.count; i++) {
        const struct item *item = &v->wanted.item[i];
        int present = item_present(v, item);
        if (present == 0)
            present = items_add(missing, item);
        if (present < 0) {
            failure_tell(v, item, present);
            error = present;
        }
    }
    return error;
}

/* Enters in the journal what is about to be made; on failure as if never called. */
static int missing_enter(struct vipset *v, const struct items *missing)
{
    const size_t before = v->owned.count;
    int error = 0;

    for (size_t i = 0; error == 0 && i < missing->count; i++)
        if (items_find(&v->owned, &missing->item[i]) == v->owned.count)
            error = items_add(&v->owned, &missing->item[i]);
    if (error == 0 && v->owned.count > before)
        error = journal_write(v->directory, &v->owned);
    if (error < 0) {
        v->owned.count = before;
        log_error(LOG, "cannot write the journal in %s: %s", v->directory, strerror(-error));
    }
    return error;
}

int vipset_apply(struct vipset *v, unsigned *repaired)
{
    const size_t before = v->owned.count;
    char text[ITEM_TEXT_BYTES];
    struct items missing;
    int error = missing_find(v, &missing);

    *repaired = 0;
    int failure = missing_enter(v, &missing);
    if (failure < 0)
        return failure;
    for (size_t i = 0; i < missing.count; i++) {
        const struct item *item = &missing.item[i];
        const size_t at = items_find(&v->owned, item);
        failure = item_put(v, item);
        if (failure < 0) {
            failure_tell(v, item, failure);
            error = failure;
            /* What could not be made is not ours, should somebody else make it. */
            if (at >= before)
                items_remove(&v->owned, at);
            continue;
        }
        log_info(LOG, "%s: %s %s", item->link, at < before ? "put back" : "set",
                 item_text(item, text));
        (*repaired)++;
    }
    if (error == 0)
        v->told = 0;
    else
        (void)journal_write(v->directory, &v->owned);
    return error;
}

bool vipset_links_up(struct vipset *v)
{
    for (size_t i = 0; i + v->removing < v->wanted.count; i++) {
        const struct item *item = &v->wanted.item[i];
        struct rtnl_link link;
        /* Every VIP has an address item. */
        if (item->kind != ITEM_ADDRESS)
            continue;
        if (rtnl_link_get(v->rtnl, item->link, &link) < 0 || link.index != item->ifindex ||
            !link.up || !link.carrier)
            return false;
    }
    return true;
}

static void item_print(const struct item *item, FILE *out)
{
    char address[64], mac[18];

    switch (item->kind) {
    case ITEM_ADDRESS:
        fprintf(out, "ip address add %s/%u dev %s%s\n",
                address_text(&item->address, address, sizeof(address)), item->prefix, item->link,
                item->address.family == FAMILY_IP6 ? " nodad preferred_lft 0" : "");
        break;
    case ITEM_MAC:
        fprintf(out, "bridge fdb add %s dev %s self permanent\n", mac_text(&item->mac, mac),
                item->link);
        break;
    default:
        fprintf(out, "ip link set dev %s address %s\n", item->link, mac_text(&item->mac, mac));
        break;
    }
}

int vipset_print(const struct config *c, const struct nft_place *place, FILE *out)
{
    struct items wanted;
    int error = wanted_make(c, place, &wanted);

    for (size_t i = 0; error == 0 && i < wanted.count; i++)
        item_print(&wanted.item[i], out);
    return error == 0 && ferror(out) ? -EIO : error;
}
