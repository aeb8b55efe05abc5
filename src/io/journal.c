/*
 * The journal of what we changed on this host: DIRECTORY/host.
 *
 *   ipclusterd-host 1 BOOT-ID NETNS
 *   address LINK INDEX ADDRESS/PREFIX
 *   nic LINK INDEX MAC-BEFORE MAC-NOW
 *   mac LINK INDEX MAC
 *
 * The kernel forgets all of it at a reboot, and when the network namespace
 * goes; the first line tells whether it is still about the links that we see.
 */
#include "journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "conf.h"
#include "log.h"
#include "state.h"

#define JOURNAL_FILE "host"
#define LOG "vips"

enum {
    ADDRESS_TEXT_BYTES = 46,
    LINE_BYTES_MAX = 128,
    WORDS_MAX = 5,
    JOURNAL_BYTES_MAX = (ITEMS_MAX + 1) * LINE_BYTES_MAX,
};

static const char *const kind_names[ITEM_KIND_MAX] = {
    [ITEM_ADDRESS] = "address",
    [ITEM_NIC] = "nic",
    [ITEM_MAC] = "mac",
};

static bool address_equal(const struct address *a, const struct address *b)
{
    return a->family == b->family && memcmp(a->byte, b->byte, sizeof(a->byte)) == 0;
}

bool item_equal(const struct item *a, const struct item *b)
{
    return a->kind == b->kind && a->ifindex == b->ifindex && a->prefix == b->prefix &&
           address_equal(&a->address, &b->address) && mac_equal(&a->mac, &b->mac) &&
           mac_equal(&a->own, &b->own);
}

size_t items_find(const struct items *items, const struct item *item)
{
    size_t i = 0;

    while (i < items->count && !item_equal(&items->item[i], item))
        i++;
    return i;
}

int items_add(struct items *items, const struct item *item)
{
    if (items->count == ITEMS_MAX)
        return -ENOSPC;
    items->item[items->count++] = *item;
    return 0;
}

void items_remove(struct items *items, size_t index)
{
    items->count--;
    memmove(&items->item[index], &items->item[index + 1],
            (items->count - index) * sizeof(items->item[0]));
}

const char *item_text(const struct item *item, char out[ITEM_TEXT_BYTES])
{
    char address[ADDRESS_TEXT_BYTES], mac[18];

    switch (item->kind) {
    case ITEM_ADDRESS:
        snprintf(out, ITEM_TEXT_BYTES, "address %s/%u",
                 address_text(&item->address, address, sizeof(address)), item->prefix);
        break;
    case ITEM_NIC:
        snprintf(out, ITEM_TEXT_BYTES, "own MAC %s", mac_text(&item->mac, mac));
        break;
    default:
        snprintf(out, ITEM_TEXT_BYTES, "second MAC %s", mac_text(&item->mac, mac));
        break;
    }
    return out;
}

/* The first line: which kernel, and which of its networks. */
static void head_make(char out[LINE_BYTES_MAX])
{
    struct boot boot;

    (void)boot_read(&boot);
    snprintf(out, LINE_BYTES_MAX, "ipclusterd-host 1 %s %ju", boot.id, (uintmax_t)boot.network);
}

static bool prefixed_parse(char *text, struct item *out)
{
    char *slash = strchr(text, '/'), *end;

    if (slash == NULL)
        return false;
    *slash = '\0';
    if (!address_parse(text, &out->address))
        return false;
    unsigned long prefix = strtoul(slash + 1, &end, 10);
    out->prefix = (uint8_t)prefix;
    return *end == '\0' && end != slash + 1 &&
           prefix <= (out->address.family == FAMILY_IP4 ? 32 : 128);
}

static bool line_parse(char *line, struct item *out)
{
    char *word[WORDS_MAX], *rest = NULL, *end;
    size_t words = 0;

    *out = (struct item){.kind = ITEM_KIND_MAX};
    for (char *at = strtok_r(line, " ", &rest); at != NULL; at = strtok_r(NULL, " ", &rest)) {
        if (words == WORDS_MAX)
            return false;
        word[words++] = at;
    }
    if (words < 4 || strlen(word[1]) > IFNAME_BYTES_MAX)
        return false;
    memcpy(out->link, word[1], strlen(word[1]) + 1);
    out->ifindex = (unsigned)strtoul(word[2], &end, 10);
    if (*end != '\0' || out->ifindex == 0)
        return false;
    for (unsigned kind = 0; kind < ITEM_KIND_MAX; kind++)
        if (strcmp(word[0], kind_names[kind]) == 0)
            out->kind = (enum item_kind)kind;
    switch (out->kind) {
    case ITEM_ADDRESS:
        return words == 4 && prefixed_parse(word[3], out);
    case ITEM_MAC:
        return words == 4 && mac_parse(word[3], &out->mac);
    case ITEM_NIC:
        return words == 5 && mac_parse(word[3], &out->own) && mac_parse(word[4], &out->mac);
    default:
        return false;
    }
}

static int line_print(const struct item *item, char *out, size_t size)
{
    char address[ADDRESS_TEXT_BYTES], own[18], mac[18];
    const char *kind = kind_names[item->kind];

    switch (item->kind) {
    case ITEM_ADDRESS:
        return snprintf(out, size, "%s %s %u %s/%u\n", kind, item->link, item->ifindex,
                        address_text(&item->address, address, sizeof(address)), item->prefix);
    case ITEM_NIC:
        return snprintf(out, size, "%s %s %u %s %s\n", kind, item->link, item->ifindex,
                        mac_text(&item->own, own), mac_text(&item->mac, mac));
    default:
        return snprintf(out, size, "%s %s %u %s\n", kind, item->link, item->ifindex,
                        mac_text(&item->mac, mac));
    }
}

static void text_parse(char *text, struct items *out)
{
    char head[LINE_BYTES_MAX], *rest = NULL;
    const char *first = strtok_r(text, "\n", &rest);
    struct item item;
    unsigned damaged = 0;

    head_make(head);
    if (first == NULL || strcmp(first, head) != 0) {
        log_info(LOG, "the journal is of another boot or network: nothing of it is left here");
        return;
    }
    for (char *line = strtok_r(NULL, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        if (!line_parse(line, &item) || items_add(out, &item) < 0)
            damaged++;
    if (damaged > 0)
        log_warn(LOG, "%u damaged lines of the journal are left out", damaged);
}

int journal_read(const char *directory, struct items *out)
{
    char *text = malloc(JOURNAL_BYTES_MAX);

    if (text == NULL)
        return -ENOMEM;
    out->count = 0;
    int got = state_read(directory, JOURNAL_FILE, text, JOURNAL_BYTES_MAX);
    if (got >= 0)
        text_parse(text, out);
    free(text);
    return got >= 0 || got == -ENOENT ? 0 : got;
}

int journal_write(const char *directory, const struct items *items)
{
    size_t used;

    if (items->count == 0) {
        int error = state_remove(directory, JOURNAL_FILE);
        return error == -ENOENT ? 0 : error;
    }
    char *text = malloc(JOURNAL_BYTES_MAX);
    if (text == NULL)
        return -ENOMEM;
    head_make(text);
    used = strlen(text);
    text[used++] = '\n';
    /* LINE_BYTES_MAX holds the longest of lines, so nothing is cut. */
    for (size_t i = 0; i < items->count; i++)
        used += (size_t)line_print(&items->item[i], text + used, LINE_BYTES_MAX);
    text[used] = '\0';
    int error = state_write(directory, JOURNAL_FILE, text);
    free(text);
    return error;
}
