/*
 * The kinds of values and their setters. A setter sees one scalar and one field;
 * what concerns two keys at once (a lease against dead_after) is in conf_check.c.
 */
#include "conf_types.h"

#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf.h"
#include "conf_value.h"

__attribute__((format(printf, 2, 3))) static bool refuse(char *why, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(why, CONF_WHY_BYTES, format, ap);
    va_end(ap);
    return false;
}

static void *field(const struct conf_key *k, void *base)
{
    return (char *)base + k->at;
}

/* Long values are cut in messages. */
#define QUOTED "\"%.120s\""

static bool text_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    size_t length = strlen(in->text);

    if (length == 0 && k->min > 0)
        return refuse(why, "must not be empty");
    if (length > (size_t)k->max)
        return refuse(why, "longer than %d bytes", (int)k->max);
    text_copy(field(k, base), (size_t)k->max + 1, in->text);
    return true;
}

static bool name_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    size_t length = strlen(in->text);

    if (length > 0 && length <= (size_t)k->max && !conf_name_valid(in->text))
        return refuse(why, QUOTED " is no name; use letters, digits and \"._-\"", in->text);
    return text_set(k, in, base, why);
}

static bool path_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    if (in->text[0] != '\0' && !path_valid(in->text))
        return refuse(why, QUOTED " is not an absolute path", in->text);
    return text_set(k, in, base, why);
}

static bool interface_set(const struct conf_key *k, const struct conf_input *in, void *base,
                          char *why)
{
    if (!interface_valid(in->text))
        return refuse(why, QUOTED " is no name of an interface", in->text);
    text_copy(field(k, base), IFNAME_BYTES_MAX + 1, in->text);
    return true;
}

static bool links_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    struct config *c = base;

    if (!interface_valid(in->text))
        return refuse(why, QUOTED " is no name of an interface", in->text);
    for (size_t i = 0; i < c->heartbeat_links; i++)
        if (strcmp(c->heartbeat_link[i], in->text) == 0)
            return refuse(why, "\"%s\" is listed twice", in->text);
    if (c->heartbeat_links == (size_t)k->max)
        return refuse(why, "more than %d interfaces", (int)k->max);
    text_copy(c->heartbeat_link[c->heartbeat_links++], IFNAME_BYTES_MAX + 1, in->text);
    return true;
}

static bool founders_set(const struct conf_key *k, const struct conf_input *in, void *base,
                         char *why)
{
    struct config *c = base;

    if (!conf_name_valid(in->text))
        return refuse(why, QUOTED " is no name of a node", in->text);
    for (size_t i = 0; i < c->founders; i++)
        if (strcmp(c->founder[i], in->text) == 0)
            return refuse(why, "\"%s\" is listed twice", in->text);
    if (c->founders == (size_t)k->max)
        return refuse(why, "more than %d nodes", (int)k->max);
    text_copy(c->founder[c->founders++], NAME_BYTES_MAX + 1, in->text);
    return true;
}

static bool host_read(const char *text, struct address *out, char *why)
{
    if (!address_parse(text, out))
        return refuse(why, QUOTED " is not an IPv4 or IPv6 address", text);
    if (!address_host(out))
        return refuse(why, "%s is not the address of a host", text);
    return true;
}

static bool host_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    struct address a;

    if (!host_read(in->text, &a, why))
        return false;
    *(struct address *)field(k, base) = a;
    return true;
}

static bool peers_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    struct config *c = base;
    struct address a;

    if (!host_read(in->text, &a, why))
        return false;
    for (size_t i = 0; i < c->peers; i++)
        if (address_equal(&c->peer[i], &a))
            return refuse(why, "%s is listed twice", in->text);
    if (c->peers == (size_t)k->max)
        return refuse(why, "more than %d peers", (int)k->max);
    c->peer[c->peers++] = a;
    return true;
}

static bool number_check(const struct conf_key *k, const struct conf_input *in, char *why)
{
    /* INT_MAX also stands for what was too large to be read. */
    if (in->number >= INT_MAX)
        return refuse(why, "out of range; %d..%d", (int)k->min, (int)k->max);
    if (in->number < k->min || in->number > k->max)
        return refuse(why, "%lld is out of range; %d..%d", in->number, (int)k->min, (int)k->max);
    return true;
}

static bool number_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    assert(k->min >= 0 && k->max <= UINT16_MAX);
    if (!number_check(k, in, why))
        return false;
    *(uint16_t *)field(k, base) = (uint16_t)in->number;
    return true;
}

/* The same for a field of 32 bits. */
static bool count_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    if (!number_check(k, in, why))
        return false;
    *(uint32_t *)field(k, base) = (uint32_t)in->number;
    return true;
}

static bool power_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    if (in->number > 0 && (in->number & (in->number - 1)) != 0)
        return refuse(why, "%lld is not a power of two; %d..%d", in->number, (int)k->min,
                      (int)k->max);
    return number_set(k, in, base, why);
}

static bool ports_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    struct service_config *s = base;

    if (in->number < 1 || in->number > UINT16_MAX)
        return refuse(why, "%lld is no port; 1..%d", in->number, UINT16_MAX);
    for (size_t i = 0; i < s->ports; i++)
        if (s->port[i] == in->number)
            return refuse(why, "%lld is listed twice", in->number);
    if (s->ports == (size_t)k->max)
        return refuse(why, "more than %d ports", (int)k->max);
    s->port[s->ports++] = (uint16_t)in->number;
    return true;
}

/* Three classes of packets take two bits, which need not be neighbours. */
static bool mark_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    uint32_t bits;

    if (in->number < k->min || in->number > k->max)
        return refuse(why, "out of range; 0x%x..0x%x", (unsigned)k->min, (unsigned)k->max);
    bits = (uint32_t)in->number;
    if ((bits & (bits - 1)) == 0)
        return refuse(why, "0x%x has one bit; two are needed, as in 0x30000", (unsigned)bits);
    *(uint32_t *)field(k, base) = bits;
    return true;
}

static bool truth_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    (void)why;
    *(bool *)field(k, base) = in->number != 0;
    return true;
}

static bool duration_set(const struct conf_key *k, const struct conf_input *in, void *base,
                         char *why)
{
    char low[DURATION_TEXT_BYTES], high[DURATION_TEXT_BYTES];
    usec d;

    if (!duration_parse(in->text, &d))
        return refuse(why,
                      QUOTED " is not a duration; write a whole number and one of the units "
                             "ms, s, m, h, as in \"100ms\"",
                      in->text);
    if (d < k->min || d > k->max)
        return refuse(why, "\"%s\" is out of range; %s..%s", in->text, duration_text(k->min, low),
                      duration_text(k->max, high));
    *(usec *)field(k, base) = d;
    return true;
}

static bool group_address_set(const struct conf_key *k, const struct conf_input *in, void *base,
                              char *why)
{
    struct address a;

    if (!address_parse(in->text, &a))
        return refuse(why, QUOTED " is not an IPv4 or IPv6 address", in->text);
    if (!address_multicast(&a))
        return refuse(why, "%s is not a multicast address", in->text);
    *(struct address *)field(k, base) = a;
    return true;
}

static bool vip_address_set(const struct conf_key *k, const struct conf_input *in, void *base,
                            char *why)
{
    struct vip_config *v = base;
    struct address a;
    uint8_t prefix;

    (void)k;
    if (!address_prefix_parse(in->text, &a, &prefix))
        return refuse(why,
                      QUOTED " is not an address with a prefix length, as in "
                             "\"192.0.2.1/24\" (0..32) or \"2001:db8::1/64\" (0..128)",
                      in->text);
    if (!address_host(&a))
        return refuse(why, "%s is not an address that a host can have", in->text);
    v->address = a;
    v->prefix = prefix;
    return true;
}

/* "auto" stays zero: it needs the address, which may come later in the file. */
static bool mac_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    static const struct mac unknown;
    struct mac m = unknown;

    if (strcmp(in->text, "auto") != 0) {
        if (!mac_parse(in->text, &m) || mac_equal(&m, &unknown))
            return refuse(why,
                          QUOTED " is no MAC address; write \"auto\" or six bytes as in "
                                 "\"02:bf:c0:00:02:01\"",
                          in->text);
        if (m.byte[0] & 1)
            return refuse(why, "%s is a multicast MAC address", in->text);
    }
    *(struct mac *)field(k, base) = m;
    return true;
}

const char *conf_words_text(const struct conf_word *words, const char *format, const char *between,
                            char *out, size_t size)
{
    size_t n = 0;

    out[0] = '\0';
    for (const struct conf_word *w = words; w->text != NULL; w++) {
        if (w->later)
            continue;
        if (n > 0)
            n += (size_t)snprintf(out + n, size - n, "%s", between);
        n += (size_t)snprintf(out + n, size - n, format, w->text);
        assert(n < size);
    }
    return out;
}

static bool word_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    char words[128];
    unsigned i;

    for (i = 0; k->words[i].text != NULL; i++)
        if (strcmp(k->words[i].text, in->text) == 0)
            break;
    conf_words_text(k->words, "\"%s\"", ", ", words, sizeof(words));
    if (k->words[i].text == NULL)
        return refuse(why, QUOTED " is not known; available: %s", in->text, words);
    if (k->words[i].later)
        return refuse(why, "\"%s\" is not available in this version; available: %s", in->text,
                      words);
    if (k->at != SIZE_MAX)
        *(unsigned *)field(k, base) = i;
    return true;
}

const struct conf_type conf_type_group = {"group", FORM_GROUP, NULL};
const struct conf_type conf_type_list = {"list of groups", FORM_LIST, NULL};
const struct conf_type conf_type_name = {"name", FORM_TEXT, name_set};
const struct conf_type conf_type_path = {"absolute path", FORM_TEXT, path_set};
const struct conf_type conf_type_interface = {"interface", FORM_TEXT, interface_set};
const struct conf_type conf_type_interfaces = {"interface or list of them", FORM_TEXTS, links_set};
const struct conf_type conf_type_names = {"name or list of them", FORM_TEXTS, founders_set};
const struct conf_type conf_type_host = {"address", FORM_TEXT, host_set};
const struct conf_type conf_type_addresses = {"list of addresses", FORM_TEXTS, peers_set};
const struct conf_type conf_type_number = {"integer", FORM_NUMBER, number_set};
const struct conf_type conf_type_count = {"integer", FORM_NUMBER, count_set};
const struct conf_type conf_type_ports = {"port or list of them", FORM_NUMBERS, ports_set};
const struct conf_type conf_type_power = {"power of two", FORM_NUMBER, power_set};
const struct conf_type conf_type_mark = {"integer", FORM_NUMBER, mark_set};
const struct conf_type conf_type_truth = {"boolean", FORM_TRUTH, truth_set};
const struct conf_type conf_type_duration = {"duration", FORM_TEXT, duration_set};
const struct conf_type conf_type_multicast = {"multicast address", FORM_TEXT, group_address_set};
const struct conf_type conf_type_vip = {"address with prefix length", FORM_TEXT, vip_address_set};
const struct conf_type conf_type_mac = {"MAC address or auto", FORM_TEXT, mac_set};
const struct conf_type conf_type_word = {"word", FORM_TEXT, word_set};
/* What the contract names and this version has not; any value is refused. */
const struct conf_type conf_type_later = {"reserved", FORM_MAX, NULL};
