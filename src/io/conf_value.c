/*
 * The small grammars of the configuration. Everything is decided on the bytes
 * alone: no locale, no resolver, no look at this host.
 */
#include "conf_value.h"

#include <arpa/inet.h>
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "conf.h"

static const struct {
    const char *unit;
    usec us;
} units[] = {
    {"h", 3600 * USEC_PER_S},
    {"m", 60 * USEC_PER_S},
    {"s", USEC_PER_S},
    {"ms", USEC_PER_MS},
};

enum { UNITS = sizeof(units) / sizeof(units[0]) };

static const usec duration_max = (usec)10 * 366 * 24 * 3600 * USEC_PER_S;

void text_copy(char *to, size_t size, const char *from)
{
    size_t length = strlen(from);

    assert(length < size);
    memcpy(to, from, length + 1);
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool duration_parse(const char *text, usec *out)
{
    usec number = 0;
    const char *p = text;

    if (!digit(*p))
        return false;
    for (; digit(*p); p++) {
        if (number > duration_max / 10)
            return false;
        number = number * 10 + (*p - '0');
    }
    for (size_t i = 0; i < UNITS; i++) {
        if (strcmp(p, units[i].unit) != 0)
            continue;
        if (number > duration_max / units[i].us)
            return false;
        *out = number * units[i].us;
        return true;
    }
    return false;
}

const char *duration_text(usec d, char out[DURATION_TEXT_BYTES])
{
    for (size_t i = 0; i < UNITS; i++) {
        if (d == 0 || d % units[i].us != 0)
            continue;
        snprintf(out, DURATION_TEXT_BYTES, "%lld%s", (long long)(d / units[i].us), units[i].unit);
        return out;
    }
    snprintf(out, DURATION_TEXT_BYTES, d == 0 ? "0s" : "%lldus", (long long)d);
    return out;
}

bool conf_name_valid(const char *text)
{
    if (!letter(text[0]) && !digit(text[0]) && text[0] != '_')
        return false;
    for (const char *p = text; *p != '\0'; p++)
        if (!letter(*p) && !digit(*p) && strchr("._-", *p) == NULL)
            return false;
    return strlen(text) <= NAME_BYTES_MAX;
}

bool interface_valid(const char *text)
{
    size_t length = strlen(text);

    if (length == 0 || length > IFNAME_BYTES_MAX)
        return false;
    if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
        return false;
    for (const char *p = text; *p != '\0'; p++)
        if (!letter(*p) && !digit(*p) && strchr("._-@+", *p) == NULL)
            return false;
    return true;
}

bool path_valid(const char *text)
{
    if (text[0] != '/' || text[1] == '\0')
        return false;
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return false;
    return true;
}

const char *address_text(const struct address *a, char *out, size_t size)
{
    int family = a->family == FAMILY_IP6 ? AF_INET6 : AF_INET;

    assert(size > 0);
    if (a->family == FAMILY_NONE)
        snprintf(out, size, "none");
    else if (inet_ntop(family, a->byte, out, (socklen_t)size) == NULL)
        out[0] = '\0';
    return out;
}

bool address_parse(const char *text, struct address *out)
{
    struct address a = {.family = FAMILY_IP4};

    if (inet_pton(AF_INET, text, a.byte) != 1) {
        a.family = FAMILY_IP6;
        if (inet_pton(AF_INET6, text, a.byte) != 1)
            return false;
    }
    *out = a;
    return true;
}

bool address_prefix_parse(const char *text, struct address *out, uint8_t *prefix)
{
    char host[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t length = slash != NULL ? (size_t)(slash - text) : strlen(text);
    struct address a;
    unsigned bits, bits_max;

    if (length >= sizeof(host))
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    if (!address_parse(host, &a))
        return false;

    bits_max = a.family == FAMILY_IP4 ? 32 : 128;
    bits = bits_max;
    if (slash != NULL) {
        const char *p = slash + 1;
        if (!digit(*p) || strlen(p) > 3)
            return false;
        for (bits = 0; digit(*p); p++)
            bits = bits * 10 + (unsigned)(*p - '0');
        if (*p != '\0' || bits > bits_max)
            return false;
    }
    *out = a;
    *prefix = (uint8_t)bits;
    return true;
}

bool address_equal(const struct address *a, const struct address *b)
{
    size_t bytes = a->family == FAMILY_IP4 ? 4 : 16;

    return a->family == b->family && memcmp(a->byte, b->byte, bytes) == 0;
}

bool address_multicast(const struct address *a)
{
    if (a->family == FAMILY_IP4)
        return (a->byte[0] & 0xf0) == 0xe0;
    return a->family == FAMILY_IP6 && a->byte[0] == 0xff;
}

bool address_host(const struct address *a)
{
    static const uint8_t zero[16], mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t loopback[16] = {[15] = 1};

    switch (a->family) {
    case FAMILY_IP4: /* 0/8 this network, 127/8 loopback, 224/3 multicast and reserved */
        return a->byte[0] != 0 && a->byte[0] != 127 && a->byte[0] < 224;
    case FAMILY_IP6:
        if (a->byte[0] == 0xff || (a->byte[0] == 0xfe && (a->byte[1] & 0xc0) == 0x80))
            return false;
        return memcmp(a->byte, zero, 16) != 0 && memcmp(a->byte, loopback, 16) != 0 &&
               memcmp(a->byte, mapped, 12) != 0;
    case FAMILY_NONE:
        break;
    }
    return false;
}

const char *mac_text(const struct mac *m, char out[18])
{
    const uint8_t *b = m->byte;

    snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
    return out;
}

static int hex_value(char c)
{
    if (digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool mac_parse(const char *text, struct mac *out)
{
    struct mac m;

    if (strlen(text) != 17)
        return false;
    for (size_t i = 0; i < 6; i++, text += 3) {
        int high = hex_value(text[0]), low = hex_value(text[1]);
        if (high < 0 || low < 0 || text[2] != (i < 5 ? ':' : '\0'))
            return false;
        m.byte[i] = (uint8_t)(high << 4 | low);
    }
    *out = m;
    return true;
}

bool mac_equal(const struct mac *a, const struct mac *b)
{
    return memcmp(a->byte, b->byte, sizeof(a->byte)) == 0;
}

struct mac vip_auto_mac(const struct address *a)
{
    struct mac m = {{0x02, 0xbf}};
    uint8_t hash[crypto_generichash_BYTES];

    assert(a->family != FAMILY_NONE);
    if (a->family == FAMILY_IP4) {
        memcpy(m.byte + 2, a->byte, 4);
    } else {
        crypto_generichash(hash, sizeof(hash), a->byte, 16, NULL, 0);
        memcpy(m.byte + 2, hash, 4);
    }
    return m;
}

static const struct {
    const char *name, *keys;
} parts[PART_MAX] = {
    [PART_BUCKETS] = {"buckets", "cluster.buckets"},
    [PART_TIMING] = {"timing", "heartbeat.dead_after or lease"},
    [PART_VIPS] = {"vips", "vips (address, mode or mac)"},
    [PART_SELECT] = {"select", "vips[].select, affinity, orphans or services"},
    [PART_QUORUM] = {"quorum", "cluster.quorum or members"},
    [PART_FLAP] = {"flap", "flap"},
};

const char *conf_part_name(enum config_part part)
{
    assert(part < PART_MAX);
    return parts[part].name;
}

const char *conf_part_keys(enum config_part part)
{
    assert(part < PART_MAX);
    return parts[part].keys;
}
