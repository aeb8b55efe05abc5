/*
 * The schema table, and what can be looked up in it.
 */
#include "conf_schema.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf_types.h"
#include "conf_value.h"

static const struct conf_word quorum_words[] = {
    {"none", false}, {"majority", false}, {NULL, false}};
/* In the order of enum vip_mode, then the others. */
static const struct conf_word mode_words[] = {
    {"shared", false}, {"interface", false}, {"macvlan", true}, {"multicast", true},
    {"igmp", true},    {"dispatch", true},   {NULL, false},
};
static const struct conf_word xdp_words[] = {
    {"off", false}, {"native", false}, {"generic", false}, {NULL, false}};
static const struct conf_word select_words[] = {{"mask", false}, {"hash", false}, {NULL, false}};
static const struct conf_word affinity_words[] = {
    {"address", false},
    {"network", false},
    {"flow", false},
    {NULL, false},
};
static const struct conf_word protocol_words[] = {
    {"tcp", false}, {"udp", false}, {"sctp", false}, {"any", false}, {NULL, false}};
static const struct conf_word policy_words[] = {
    {"balance", false}, {"single", false}, {"closed", false}, {NULL, false}};
static const struct conf_word orphans_words[] = {{"reset", false}, {"drop", false}, {NULL, false}};

static_assert(QUORUM_NONE == 0 && QUORUM_MAJORITY == 1, "quorum_words");
static_assert(VIP_SHARED == 0 && VIP_INTERFACE == 1, "mode_words");
static_assert(XDP_MODE_OFF == 0 && XDP_MODE_NATIVE == 1 && XDP_MODE_GENERIC == 2, "xdp_words");
static_assert(SELECT_MASK == 0 && SELECT_HASH == 1, "select_words");
static_assert(AFFINITY_ADDRESS == 0 && AFFINITY_NETWORK == 1 && AFFINITY_FLOW == 2,
              "affinity_words");
static_assert(SERVICE_TCP == 0 && SERVICE_UDP == 1 && SERVICE_SCTP == 2 && SERVICE_ANY == 3,
              "protocol_words");
static_assert(POLICY_BALANCE == 0 && POLICY_SINGLE == 1 && POLICY_CLOSED == 2, "policy_words");
static_assert(ORPHANS_RESET == 0 && ORPHANS_DROP == 1, "orphans_words");
static_assert(sizeof(enum vip_mode) == sizeof(unsigned), "word_set");

#define MS USEC_PER_MS
#define S USEC_PER_S
#define M (60 * USEC_PER_S)
#define H (3600 * USEC_PER_S)
#define C(member) offsetof(struct config, member)
#define V(member) offsetof(struct vip_config, member)
#define SV(member) offsetof(struct service_config, member)
#define OPT CONF_OPTIONAL
#define REQ CONF_REQUIRED
#define NOWHERE SIZE_MAX
#define T(type) &conf_type_##type

/* clang-format off */
const struct conf_key conf_keys[] = {
    {"cluster", T(group), REQ, NOWHERE, 0, 0, NULL, NULL, NULL},
    {"cluster.name", T(name), REQ, C(cluster), 1, NAME_BYTES_MAX, NULL, NULL, NULL},
    {"cluster.key_file", T(path), REQ, C(key_file), 2, PATH_BYTES_MAX, NULL, NULL, NULL},
    {"cluster.key_file_next", T(path), OPT, C(key_file_next), 2, PATH_BYTES_MAX, NULL,
     "none", NULL},
    {"cluster.buckets", T(power), OPT, C(buckets), BUCKETS_MIN, BUCKETS_MAX, "256", NULL, NULL},
    {"cluster.quorum", T(word), OPT, C(quorum), 0, 0, "none", NULL, quorum_words},
    {"cluster.members", T(names), OPT, NOWHERE, 1, MEMBERS_MAX, NULL,
     "the first that agree", NULL},
    {"cluster.witness", T(host), OPT, C(witness), 0, 0, NULL, "none", NULL},
    {"cluster.forget_after", T(duration), OPT, C(forget_after), 1 * S, 8760 * H, "24h", NULL,
     NULL},

    {"node", T(group), OPT, NOWHERE, 0, 0, NULL, NULL, NULL},
    {"node.name", T(name), OPT, C(node), 1, NAME_BYTES_MAX, NULL, "the host name", NULL},
    {"node.weight", T(number), OPT, C(weight), 0, WEIGHT_MAX, "100", NULL, NULL},
    {"node.stop_drain", T(duration), OPT, C(stop_drain), 0, 24 * H, "0s", NULL, NULL},
    /* Bits 0 to 30: the file's integers have no more. */
    {"node.mark", T(mark), OPT, C(mark), 3, INT32_MAX - 1, "0x70000", NULL, NULL},
    {"node.xdp", T(word), OPT, C(xdp), 0, 0, "off", NULL, xdp_words},
    {"node.state_dir", T(path), OPT, C(state_dir), 2, PATH_BYTES_MAX, "/var/lib/ipclusterd",
     NULL, NULL},

    {"heartbeat", T(group), REQ, NOWHERE, 0, 0, NULL, NULL, NULL},
    {"heartbeat.interface", T(interfaces), REQ, NOWHERE, 1, HEARTBEAT_LINKS_MAX, NULL, NULL,
     NULL},
    {"heartbeat.port", T(number), OPT, C(port), 1, UINT16_MAX, "7742", NULL, NULL},
    {"heartbeat.group", T(multicast), OPT, C(group), 0, 0, "239.255.77.42",
     "239.255.77.42 unless there are peers", NULL},
    {"heartbeat.peers", T(addresses), OPT, NOWHERE, 0, PEERS_MAX, NULL, "none", NULL},
    {"heartbeat.interval", T(duration), OPT, C(interval), 10 * MS, 10 * S, "100ms", NULL, NULL},
    {"heartbeat.dead_after", T(duration), OPT, C(dead_after), 30 * MS, 10 * M, "400ms", NULL,
     NULL},
    {"heartbeat.lease", T(duration), OPT, C(lease), 20 * MS, 10 * M, NULL,
     "three quarters of dead_after", NULL},
    {"heartbeat.realtime", T(truth), OPT, C(realtime), 0, 0, "true", NULL, NULL},

    {"flap", T(group), OPT, NOWHERE, 0, 0, NULL, NULL, NULL},
    {"flap.penalty", T(count), OPT, C(flap.penalty), 0, 1000000, "1000", NULL, NULL},
    {"flap.suppress", T(count), OPT, C(flap.suppress), 2, 1000000, "3000", NULL, NULL},
    {"flap.reuse", T(count), OPT, C(flap.reuse), 1, 999999, "1000", NULL, NULL},
    {"flap.half_life", T(duration), OPT, C(flap.half_life), 1 * S, 24 * H, "60s", NULL,
     NULL},
    {"flap.max_hold", T(duration), OPT, C(flap.max_hold), 1 * S, 24 * H, "10m", NULL,
     NULL},

    {"vips", T(list), OPT, NOWHERE, 0, VIPS_MAX, NULL, "none", NULL},
    {"vips[].address", T(vip), REQ, NOWHERE, 0, 0, NULL, NULL, NULL},
    {"vips[].interface", T(interface), REQ, V(interface), 1, IFNAME_BYTES_MAX, NULL, NULL, NULL},
    {"vips[].mode", T(word), OPT, V(mode), 0, 0, "shared", NULL, mode_words},
    {"vips[].mac", T(mac), OPT, V(mac), 0, 0, "auto", NULL, NULL},
    {"vips[].mask_source_mac", T(truth), OPT, V(mask_source_mac), 0, 0, "true", NULL, NULL},
    {"vips[].select", T(word), OPT, V(select), 0, 0, "mask", NULL, select_words},
    {"vips[].affinity", T(word), OPT, V(affinity), 0, 0, "address", NULL, affinity_words},
    {"vips[].early_drop", T(truth), OPT, V(early_drop), 0, 0, "true", NULL, NULL},
    {"vips[].orphans", T(word), OPT, V(orphans), 0, 0, "reset", NULL, orphans_words},
    {"vips[].orphan_after", T(duration), OPT, V(orphan_after), 0, 10 * M, "1s", NULL, NULL},
    {"vips[].services", T(list), OPT, NOWHERE, 0, SERVICES_MAX, NULL, "none", NULL},
    {"vips[].services[].protocol", T(word), REQ, SV(protocol), 0, 0, NULL, NULL, protocol_words},
    {"vips[].services[].ports", T(ports), OPT, NOWHERE, 1, SERVICE_PORTS_MAX, NULL,
     "all of the protocol", NULL},
    {"vips[].services[].policy", T(word), OPT, SV(policy), 0, 0, "balance", NULL, policy_words},

    {"health", T(later), CONF_LATER, NOWHERE, 0, 0, NULL, NULL, NULL},
    {"multipath", T(later), CONF_LATER, NOWHERE, 0, 0, NULL, NULL, NULL},

    {"control", T(group), OPT, NOWHERE, 0, 0, NULL, NULL, NULL},
    /* A unix socket's address holds 107 bytes. */
    {"control.socket", T(path), OPT, C(control_socket), 2, 107, "/run/ipclusterd/control.sock",
     NULL, NULL},
    {"control.group", T(name), OPT, C(control_group), 0, NAME_BYTES_MAX, "ipclusterd", NULL,
     NULL},
    {"control.http", T(later), CONF_LATER, NOWHERE, 0, 0, NULL, NULL, NULL},

    {"hooks", T(later), CONF_LATER, NOWHERE, 0, 0, NULL, NULL, NULL},
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
        /* Of equals the one in this group. */
        if (d < least || (d == least && best != NULL && conf_key_within(k, group) &&
                          !conf_key_within(best, group))) {
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
        in.number = strtoll(k->fallback, NULL, 0);
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
        fprintf(out, ", %s", conf_words_text(k->words, "%s", " or ", words, sizeof(words)));
    else if (t == &conf_type_duration)
        fprintf(out, ", %s..%s", duration_text(k->min, low), duration_text(k->max, high));
    else if (t == &conf_type_mark)
        fprintf(out, ", 0x%x..0x%x", (unsigned)k->min, (unsigned)k->max);
    else if (t->form == FORM_NUMBER)
        fprintf(out, ", %d..%d", (int)k->min, (int)k->max);
    else if (t->form == FORM_TEXTS || t->form == FORM_NUMBERS || t->form == FORM_LIST)
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
