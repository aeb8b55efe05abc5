/*
 * The schema table and the setters it is made of.
 *
 * A setter sees one scalar and one field. What concerns two keys at once (a
 * lease against dead_after) is in conf_check.c.
 */
#include "conf_schema.h"

#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
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

static bool peers_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    struct config *c = base;
    struct address a;

    if (!address_parse(in->text, &a))
        return refuse(why, QUOTED " is not an IPv4 or IPv6 address", in->text);
    if (!address_host(&a))
        return refuse(why, "%s is not the address of a host", in->text);
    for (size_t i = 0; i < c->peers; i++)
        if (address_equal(&c->peer[i], &a))
            return refuse(why, "%s is listed twice", in->text);
    if (c->peers == (size_t)k->max)
        return refuse(why, "more than %d peers", (int)k->max);
    c->peer[c->peers++] = a;
    return true;
}

static bool number_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    /* INT_MAX also stands for what was too large to be read. */
    if (in->number >= INT_MAX)
        return refuse(why, "out of range; %d..%d", (int)k->min, (int)k->max);
    if (in->number < k->min || in->number > k->max)
        return refuse(why, "%lld is out of range; %d..%d", in->number, (int)k->min, (int)k->max);
    *(uint16_t *)field(k, base) = (uint16_t)in->number;
    return true;
}

static bool power_set(const struct conf_key *k, const struct conf_input *in, void *base, char *why)
{
    if (in->number > 0 && (in->number & (in->number - 1)) != 0)
        return refuse(why, "%lld is not a power of two; %d..%d", in->number, (int)k->min,
                      (int)k->max);
    return number_set(k, in, base, why);
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

/* `"a", "b"` of the words that this version has. */
static const char *words_text(const struct conf_word *words, const char *format,
                              const char *between, char *out, size_t size)
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
    words_text(k->words, "\"%s\"", ", ", words, sizeof(words));
    if (k->words[i].text == NULL)
        return refuse(why, QUOTED " is not known; available: %s", in->text, words);
    if (k->words[i].later)
        return refuse(why, "\"%s\" is not available in this version; available: %s", in->text,
                      words);
    if (k->at != SIZE_MAX)
        *(unsigned *)field(k, base) = i;
    return true;
}

static const struct conf_type type_group = {"group", FORM_GROUP, NULL};
static const struct conf_type type_list = {"list of groups", FORM_LIST, NULL};
static const struct conf_type type_name = {"name", FORM_TEXT, name_set};
static const struct conf_type type_path = {"absolute path", FORM_TEXT, path_set};
static const struct conf_type type_interface = {"interface", FORM_TEXT, interface_set};
static const struct conf_type type_interfaces = {"interface or list of them", FORM_TEXTS,
                                                 links_set};
static const struct conf_type type_addresses = {"list of addresses", FORM_TEXTS, peers_set};
static const struct conf_type type_number = {"integer", FORM_NUMBER, number_set};
static const struct conf_type type_power = {"power of two", FORM_NUMBER, power_set};
static const struct conf_type type_truth = {"boolean", FORM_TRUTH, truth_set};
static const struct conf_type type_duration = {"duration", FORM_TEXT, duration_set};
static const struct conf_type type_multicast = {"multicast address", FORM_TEXT, group_address_set};
static const struct conf_type type_vip = {"address with prefix length", FORM_TEXT, vip_address_set};
static const struct conf_type type_mac = {"MAC address or auto", FORM_TEXT, mac_set};
static const struct conf_type type_word = {"word", FORM_TEXT, word_set};
/* What the contract names and this version has not; any value is refused. */
static const struct conf_type type_later = {"reserved", FORM_MAX, NULL};

static const struct conf_word quorum_words[] = {{"none", false}, {"majority", true}, {NULL, false}};
/* In the order of enum vip_mode, then the others. */
static const struct conf_word mode_words[] = {
    {"shared", false}, {"interface", false}, {"macvlan", true}, {"multicast", true},
    {"igmp", true},    {"dispatch", true},   {NULL, false},
};
static const struct conf_word select_words[] = {{"mask", false}, {"hash", false}, {NULL, false}};
static const struct conf_word affinity_words[] = {
    {"address", false},
    {"network", true},
    {"flow", true},
    {NULL, false},
};
static const struct conf_word orphans_words[] = {{"reset", false}, {"drop", false}, {NULL, false}};

static_assert(VIP_SHARED == 0 && VIP_INTERFACE == 1, "mode_words");
static_assert(SELECT_MASK == 0 && SELECT_HASH == 1, "select_words");
static_assert(ORPHANS_RESET == 0 && ORPHANS_DROP == 1, "orphans_words");
static_assert(sizeof(enum vip_mode) == sizeof(unsigned), "word_set");

#define MS USEC_PER_MS
#define S USEC_PER_S
#define M (60 * USEC_PER_S)
#define H (3600 * USEC_PER_S)
#define C(member) offsetof(struct config, member)
#define V(member) offsetof(struct vip_config, member)
#define OPT CONF_OPTIONAL
#define REQ CONF_REQUIRED
#define NOWHERE SIZE_MAX

/* clang-format off */
const struct conf_key conf_keys[] = {
    {"cluster", &type_group, REQ, NOWHERE, 0, 0, NULL, NULL, NULL},
    {"cluster.name", &type_name, REQ, C(cluster), 1, NAME_BYTES_MAX, NULL, NULL, NULL},
    {"cluster.key_file", &type_path, REQ, C(key_file), 2, PATH_BYTES_MAX, NULL, NULL, NULL},
    {"cluster.key_file_next", &type_later, CONF_LATER, NOWHERE, 0, 0, NULL, NULL, NULL},
    {"cluster.buckets", &type_power, OPT, C(buckets), BUCKETS_MIN, BUCKETS_MAX, "256", NULL, NULL},
    {"cluster.quorum", &type_word, OPT, NOWHERE, 0, 0, "none", NULL, quorum_words},
    {"cluster.forget_after", &type_duration, OPT, C(forget_after), 1 * S, 8760 * H, "24h", NULL,
     NULL},

    {"node", &type_group, OPT, NOWHERE, 0, 0, NULL, NULL, NULL},
    {"node.name", &type_name, OPT, C(node), 1, NAME_BYTES_MAX, NULL, "the host name", NULL},
    {"node.weight", &type_number, OPT, C(weight), 0, WEIGHT_MAX, "100", NULL, NULL},
    {"node.stop_drain", &type_duration, OPT, C(stop_drain), 0, 24 * H, "0s", NULL, NULL},
    {"node.state_dir", &type_path, OPT, C(state_dir), 2, PATH_BYTES_MAX, "/var/lib/ipclusterd",
     NULL, NULL},

    {"heartbeat", &type_group, REQ, NOWHERE, 0, 0, NULL, NULL, NULL},
    {"heartbeat.interface", &type_interfaces, REQ, NOWHERE, 1, HEARTBEAT_LINKS_MAX, NULL, NULL,
     NULL},
    {"heartbeat.port", &type_number, OPT, C(port), 1, UINT16_MAX, "7742", NULL, NULL},
    {"heartbeat.group", &type_multicast, OPT, C(group), 0, 0, "239.255.77.42",
     "239.255.77.42 unless there are peers", NULL},
    {"heartbeat.peers", &type_addresses, OPT, NOWHERE, 0, PEERS_MAX, NULL, "none", NULL},
    {"heartbeat.interval", &type_duration, OPT, C(interval), 10 * MS, 10 * S, "100ms", NULL, NULL},
    {"heartbeat.dead_after", &type_duration, OPT, C(dead_after), 30 * MS, 10 * M, "400ms", NULL,
     NULL},
    {"heartbeat.lease", &type_duration, OPT, C(lease), 20 * MS, 10 * M, NULL,
     "three quarters of dead_after", NULL},
    {"heartbeat.realtime", &type_truth, OPT, C(realtime), 0, 0, "true", NULL, NULL},

    {"flap", &type_later, CONF_LATER, NOWHERE, 0, 0, NULL, NULL, NULL},

    {"vips", &type_list, OPT, NOWHERE, 0, VIPS_MAX, NULL, "none", NULL},
    {"vips[].address", &type_vip, REQ, NOWHERE, 0, 0, NULL, NULL, NULL},
    {"vips[].interface", &type_interface, REQ, V(interface), 1, IFNAME_BYTES_MAX, NULL, NULL, NULL},
    {"vips[].mode", &type_word, OPT, V(mode), 0, 0, "shared", NULL, mode_words},
    {"vips[].mac", &type_mac, OPT, V(mac), 0, 0, "auto", NULL, NULL},
    {"vips[].mask_source_mac", &type_truth, OPT, V(mask_source_mac), 0, 0, "true", NULL, NULL},
    {"vips[].select", &type_word, OPT, V(select), 0, 0, "mask", NULL, select_words},
    {"vips[].affinity", &type_word, OPT, NOWHERE, 0, 0, "address", NULL, affinity_words},
    {"vips[].early_drop", &type_truth, OPT, V(early_drop), 0, 0, "true", NULL, NULL},
    {"vips[].orphans", &type_word, OPT, V(orphans), 0, 0, "reset", NULL, orphans_words},
    {"vips[].orphan_after", &type_duration, OPT, V(orphan_after), 0, 10 * M, "1s", NULL, NULL},
    {"vips[].services", &type_later, CONF_LATER, NOWHERE, 0, 0, NULL, NULL, NULL},

    {"health", &type_later, CONF_LATER, NOWHERE, 0, 0, NULL, NULL, NULL},
    {"multipath", &type_later, CONF_LATER, NOWHERE, 0, 0, NULL, NULL, NULL},

    {"control", &type_group, OPT, NOWHERE, 0, 0, NULL, NULL, NULL},
    /* A unix socket's address holds 107 bytes. */
    {"control.socket", &type_path, OPT, C(control_socket), 2, 107, "/run/ipclusterd/control.sock",
     NULL, NULL},
    {"control.group", &type_name, OPT, C(control_group), 0, NAME_BYTES_MAX, "ipclusterd", NULL,
     NULL},
    {"control.http", &type_later, CONF_LATER, NOWHERE, 0, 0, NULL, NULL, NULL},

    {"hooks", &type_later, CONF_LATER, NOWHERE, 0, 0, NULL, NULL, NULL},
};
/* clang-format on */

const size_t conf_keys_count = sizeof(conf_keys) / sizeof(conf_keys[0]);

const struct conf_key *conf_key_find(const char *path)
{
    for (size_t i = 0; i < conf_keys_count; i++)
        if (strcmp(conf_keys[i].path, path) == 0)
            return &conf_keys[i];
    return NULL;
}

const char *conf_key_name(const struct conf_key *k)
{
    const char *dot = strrchr(k->path, '.');

    return dot != NULL ? dot + 1 : k->path;
}

bool conf_key_within(const struct conf_key *k, const char *group)
{
    const char *name = conf_key_name(k);
    size_t length = strlen(group);

    if (length == 0)
        return name == k->path;
    return name == k->path + length + 1 && strncmp(k->path, group, length) == 0;
}

/* Letters to add, drop, change or swap; only as many as `limit` matter. */
static size_t edit_distance(const char *a, const char *b, size_t limit)
{
    enum { LONG = 32 };
    size_t row[3][LONG + 1], la = strlen(a), lb = strlen(b);

    if (la > LONG || lb > LONG)
        return limit + 1;
    for (size_t j = 0; j <= lb; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *now = row[i % 3], *one = row[(i + 2) % 3], *two = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = one[j - 1] + (a[i - 1] != b[j - 1]);
            if (one[j] + 1 < best)
                best = one[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                two[j - 2] + 1 < best)
                best = two[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[la % 3][lb];
}

const struct conf_key *conf_key_nearest(const char *group, const char *name)
{
    const struct conf_key *best = NULL;
    size_t least = strlen(name) / 3 + 2;

    for (size_t i = 0; i < conf_keys_count; i++) {
        const struct conf_key *k = &conf_keys[i];
        size_t d;

        if (k->need == CONF_LATER)
            continue;
        if (conf_key_within(k, group))
            d = edit_distance(name, conf_key_name(k), least);
        else if (strcmp(name, conf_key_name(k)) == 0)
            d = 1; /* the right word in the wrong place */
        else
            continue;
        if (d < least) {
            least = d;
            best = k;
        }
    }
    return best;
}

void conf_key_default(const struct conf_key *k, void *base)
{
    struct conf_input in = {.text = k->fallback};
    char why[CONF_WHY_BYTES];
    bool sound;

    if (k->fallback == NULL)
        return;
    if (k->type->form == FORM_NUMBER)
        in.number = strtoll(k->fallback, NULL, 10);
    else if (k->type->form == FORM_TRUTH)
        in.number = strcmp(k->fallback, "true") == 0;
    sound = k->type->set(k, &in, base, why);
    assert(sound);
    (void)sound;
}

static void range_dump(const struct conf_key *k, FILE *out)
{
    char low[DURATION_TEXT_BYTES], high[DURATION_TEXT_BYTES], words[128];
    const struct conf_type *t = k->type;

    if (k->words != NULL)
        fprintf(out, ", %s", words_text(k->words, "%s", " or ", words, sizeof(words)));
    else if (t == &type_duration)
        fprintf(out, ", %s..%s", duration_text(k->min, low), duration_text(k->max, high));
    else if (t->form == FORM_NUMBER)
        fprintf(out, ", %d..%d", (int)k->min, (int)k->max);
    else if (t->form == FORM_TEXTS || t->form == FORM_LIST)
        fprintf(out, ", at most %d", (int)k->max);
    else if (k->max > 0)
        fprintf(out, ", %d..%d bytes", (int)k->min, (int)k->max);
}

void conf_schema_dump(FILE *out)
{
    for (size_t i = 0; i < conf_keys_count; i++) {
        const struct conf_key *k = &conf_keys[i];
        const char *standard = k->shown != NULL ? k->shown : k->fallback;

        fprintf(out, "%s\t%s\t%s", k->path, k->need == CONF_LATER ? "later" : "present",
                k->type->name);
        range_dump(k, out);
        if (k->need == CONF_REQUIRED)
            fprintf(out, ", required");
        else if (standard != NULL)
            fprintf(out, ", default %s", standard);
        fputc('\n', out);
    }
}
