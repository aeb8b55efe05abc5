/*
 * What we changed on this host, as items, and as the text of the journal file.
 */
#ifndef IPCLUSTERD_IO_JOURNAL_H
#define IPCLUSTERD_IO_JOURNAL_H

#include "ipclusterd/config.h"

enum item_kind {
    ITEM_ADDRESS, /* an address was added */
    ITEM_NIC,     /* the NIC's own MAC was replaced */
    ITEM_MAC,     /* a second MAC was added */
    ITEM_KIND_MAX
};

/* One change; unused members are zero. */
struct item {
    enum item_kind kind;
    char link[IFNAME_BYTES_MAX + 1]; /* for people; the index is what counts */
    unsigned ifindex;
    struct address address; /* ADDRESS */
    uint8_t prefix;         /* ADDRESS */
    struct mac mac;         /* MAC: the second one; NIC: the new one */
    struct mac own;         /* NIC: the one it had */
};

/* A VIP makes at most three, and a crashed run may have had other VIPs. */
enum { ITEMS_MAX = 2 * 3 * VIPS_MAX };

struct items {
    size_t count;
    struct item item[ITEMS_MAX];
};

bool item_equal(const struct item *a, const struct item *b);
/* Index of an equal item, or items->count. */
size_t items_find(const struct items *items, const struct item *item);
/* Appends; -ENOSPC when full. */
int items_add(struct items *items, const struct item *item);
void items_remove(struct items *items, size_t index);

/* Text such as "address 192.168.0.2/24" for the log. */
enum { ITEM_TEXT_BYTES = 80 };
const char *item_text(const struct item *item, char out[ITEM_TEXT_BYTES]);

/*
 * Reads DIRECTORY/host. What another boot, or another network namespace, wrote
 * is about links that are gone: no items then, as without a file. Lines that
 * make no sense are told in the log and left out. 0 or -errno.
 */
int journal_read(const char *directory, struct items *out);

/* Writes it anew; removes it when there are no items. 0 or -errno. */
int journal_write(const char *directory, const struct items *items);

#endif
