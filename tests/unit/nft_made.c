/* Configurations and plans in the kernel, and what nft makes of them. */
#include "nft_made.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "conf.h"
#include "netlab.h"

#define OWN_MAC "02:00:00:00:00:01"
#define SHARED_MAC "02:bf:00:00:00:64"

struct config config;
struct nft_place place[VIPS_MAX];
struct plan plan;
struct nft *nft;
char directory[] = "/tmp/test_nft.XXXXXX";

/* ---- making ------------------------------------------------------------------- */

struct vip_config *made_vip_add(const char *address, enum vip_mode mode, enum vip_select select)
{
    struct vip_config *v = &config.vip[config.vips];

    memset(v, 0, sizeof *v);
    assert_true(address_parse(address, &v->address));
    assert_true(mac_parse(SHARED_MAC, &v->mac));
    strcpy(v->interface, "eth0");
    v->mode = mode;
    v->select = select;
    v->early_drop = v->mask_source_mac = true;
    assert_true(mac_parse(OWN_MAC, &place[config.vips].own));
    place[config.vips].ifindex = 1000; /* set by made_open() */
    config.vips++;
    return v;
}

static unsigned ifindex_of(const char *interface)
{
    json_t *links = netlab_json("ip -j link show dev %s", interface);
    json_int_t index = json_integer_value(json_object_get(json_array_get(links, 0), "ifindex"));

    json_decref(links);
    return (unsigned)index;
}

void made_open(uint16_t buckets)
{
    config.buckets = buckets;
    config.lease = LEASE_MS * USEC_PER_MS;
    plan_init(&plan, buckets);
    for (size_t i = 0; i < config.vips; i++)
        place[i].ifindex = ifindex_of("eth0");
    assert_int_equal(nft_open(&nft, &config, place), 0);
}

/* Every kind of service under every policy. */
static void made_services(struct vip_config *v)
{
    static const struct service_config services[] = {
        {SERVICE_TCP, 0, {0}, POLICY_SINGLE, 3},
        {SERVICE_TCP, 2, {80, 443}, POLICY_BALANCE, 5},
        {SERVICE_TCP, 2, {2000, 65535}, POLICY_SINGLE, 25},
        {SERVICE_TCP, 1, {5432}, POLICY_SINGLE, 45},
        {SERVICE_UDP, 0, {0}, POLICY_CLOSED, 15},
        {SERVICE_UDP, 1, {53}, POLICY_BALANCE, 55},
        {SERVICE_SCTP, 1, {36412}, POLICY_CLOSED, 100},
        {SERVICE_ANY, 0, {0}, POLICY_SINGLE, 46},
    };

    v->services = sizeof services / sizeof *services;
    memcpy(v->service, services, sizeof services);
}

/* All there is: both families, selections and modes, early and late. */
void made_open_all(void)
{
    struct vip_config *v;

    made_vip_add("192.0.2.100", VIP_SHARED, SELECT_MASK);
    made_vip_add("2001:db8::64", VIP_SHARED, SELECT_MASK);
    made_vip_add("192.0.2.101", VIP_INTERFACE, SELECT_HASH);
    made_vip_add("2001:db8::65", VIP_INTERFACE, SELECT_HASH)->early_drop = false;
    made_vip_add("192.0.2.102", VIP_SHARED, SELECT_MASK)->orphans = ORPHANS_DROP;
    made_vip_add("192.0.2.103", VIP_SHARED, SELECT_MASK)->affinity = AFFINITY_NETWORK;
    made_vip_add("2001:db8::66", VIP_SHARED, SELECT_MASK)->affinity = AFFINITY_NETWORK;
    made_vip_add("192.0.2.104", VIP_SHARED, SELECT_HASH)->affinity = AFFINITY_NETWORK;
    made_vip_add("2001:db8::67", VIP_SHARED, SELECT_HASH)->affinity = AFFINITY_NETWORK;
    made_vip_add("192.0.2.105", VIP_SHARED, SELECT_MASK)->affinity = AFFINITY_FLOW;
    made_vip_add("2001:db8::68", VIP_SHARED, SELECT_MASK)->affinity = AFFINITY_FLOW;
    made_vip_add("192.0.2.106", VIP_SHARED, SELECT_HASH)->affinity = AFFINITY_FLOW;
    made_vip_add("2001:db8::69", VIP_SHARED, SELECT_HASH)->affinity = AFFINITY_FLOW;
    made_services(made_vip_add("192.0.2.107", VIP_SHARED, SELECT_MASK));
    made_services(made_vip_add("2001:db8::6a", VIP_SHARED, SELECT_HASH));
    v = made_vip_add("2001:db8::6b", VIP_SHARED, SELECT_MASK);
    v->affinity = AFFINITY_FLOW;
    v->services = 2;
    v->service[0] = (struct service_config){SERVICE_TCP, 0, {0}, POLICY_BALANCE, 1};
    v->service[1] = (struct service_config){SERVICE_ANY, 0, {0}, POLICY_CLOSED, 2};
    made_open(256);
}

void made_classes(unsigned first, unsigned last, enum bucket_class class)
{
    for (unsigned i = first; i <= last; i++) {
        plan.class_of[i] = (uint8_t) class;
        plan.target_of[i] = class == CLASS_RELEASE ? (uint16_t)(i % 3) : PLAN_TARGET_NONE;
    }
    for (unsigned i = 0; i < 3; i++)
        plan.target[i] = (struct mac){{2, 0, 0, 0, 1, (uint8_t)i}};
}

void made_some_classes(void)
{
    made_classes(0, 20, CLASS_OWN);
    made_classes(21, 30, CLASS_ADOPT);
    made_classes(31, 40, CLASS_LINGER);
    made_classes(41, 50, CLASS_RELEASE);
    made_classes(255, 255, CLASS_OWN);
}

int made_setup(void **state)
{
    (void)state;
    config = (struct config){0};
    netlab_run("nft flush ruleset");
    return 0;
}

int made_teardown(void **state)
{
    (void)state;
    nft_close(nft);
    nft = NULL;
    return 0;
}

/* ---- reading back -------------------------------------------------------------- */

/* `nft list ruleset` without the packets counted, into a file; its contents. */
char *made_listing(const char *file)
{
    char path[256], *text;
    FILE *f;

    netlab_run("nft list ruleset | sed 's/packets [0-9]* bytes [0-9]*/packets 0 bytes 0/' > %s/%s",
               directory, file);
    snprintf(path, sizeof path, "%s/%s", directory, file);
    f = fopen(path, "r");
    assert_non_null(f);
    text = calloc(1, 1 << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0 || feof(f));
    fclose(f);
    return text;
}

static json_t *set_of(const char *family, size_t vip, const char *noun, const char *kind)
{
    json_t *answer = netlab_json("nft -j list %s %s ipclusterd v%zu_%s", kind, family, vip, noun);
    const json_t *set =
        json_object_get(json_array_get(json_object_get(answer, "nftables"), 1), kind);
    json_t *elements = json_object_get(set, "elem");

    assert_non_null(set);
    elements = elements != NULL ? json_incref(elements) : json_array();
    json_decref(answer);
    return elements;
}

const char *made_early_table(size_t vip)
{
    const struct vip_config *v = &config.vip[vip];

    return v->early_drop && v->services == 0 && v->affinity != AFFINITY_FLOW ? "netdev" : "inet";
}

/* Mask and flow: the ports have a map of their own. */
static bool by_port(size_t vip)
{
    return config.vip[vip].select == SELECT_MASK && config.vip[vip].affinity == AFFINITY_FLOW;
}

/* The bucket that a map's key, as nft prints it, stands for. */
static unsigned key_bucket(size_t vip, const json_t *key)
{
    bool network = config.vip[vip].affinity == AFFINITY_NETWORK;
    struct address a;
    const uint8_t *low;

    if (json_is_integer(key))
        return (unsigned)json_integer_value(key) / (by_port(vip) ? 2 : 1);
    assert_true(address_parse(json_string_value(key), &a));
    low = a.byte + (a.family == FAMILY_IP4 ? 2 - network : network ? 6 : 14);
    return (unsigned)low[0] << 8 | low[1];
}

static const char *wanted_chain(size_t vip, unsigned bucket, char out[32])
{
    static const char *const noun[CLASS_MAX] = {NULL, "own", "adopt", "linger", "linger"};
    const char *chain = noun[plan.class_of[bucket]];

    if (chain == NULL)
        return NULL;
    if (plan.class_of[bucket] == CLASS_OWN && config.vip[vip].orphans == ORPHANS_DROP)
        chain = "adopt";
    snprintf(out, 32, "v%zu_%s", vip, chain);
    return out;
}

static void check_classes(size_t vip, const char *noun)
{
    json_t *elements = set_of(made_early_table(vip), vip, noun, "map");
    size_t wanted = 0, i;
    const json_t *pair;
    char chain[32];

    for (unsigned b = 0; b < config.buckets; b++)
        wanted += wanted_chain(vip, b, chain) != NULL;
    assert_int_equal(json_array_size(elements), wanted);
    json_array_foreach(elements, i, pair)
    {
        const char *target = json_string_value(
            json_object_get(json_object_get(json_array_get(pair, 1), "goto"), "target"));

        assert_non_null(target);
        assert_non_null(wanted_chain(vip, key_bucket(vip, json_array_get(pair, 0)), chain));
        assert_string_equal(target, chain);
    }
    json_decref(elements);
}

/* The buckets that have a class, where they are looked at before the map. */
static void check_present(size_t vip)
{
    json_t *elements;
    size_t wanted = 0, i;
    const json_t *key;
    char chain[32];

    if (strcmp(made_early_table(vip), "netdev") != 0 || config.vip[vip].select != SELECT_MASK ||
        config.buckets > 1024)
        return;
    elements = set_of("netdev", vip, "present", "set");
    for (unsigned b = 0; b < config.buckets; b++)
        wanted += wanted_chain(vip, b, chain) != NULL;
    assert_int_equal(json_array_size(elements), wanted);
    json_array_foreach(elements, i, key)
        assert_non_null(wanted_chain(vip, (unsigned)json_integer_value(key), chain));
    json_decref(elements);
}

/* Services of one port: where their packets go, as the plan says of the bucket. */
static void check_services(size_t vip)
{
    const struct vip_config *v = &config.vip[vip];
    json_t *elements = set_of("inet", vip, "class_port", "map");
    json_t *macs = set_of("netdev", vip, "fwd_port", "map");
    size_t ports = 0, released = 0, i;
    const json_t *pair;

    for (size_t s = 0; s < v->services; s++) {
        ports += v->service[s].ports;
        if (v->service[s].policy == POLICY_SINGLE &&
            plan.class_of[v->service[s].bucket] == CLASS_RELEASE)
            released += v->service[s].ports;
    }
    assert_int_equal(json_array_size(elements), ports);
    assert_int_equal(json_array_size(macs), released);
    json_array_foreach(elements, i, pair)
    {
        json_int_t port = json_integer_value(
            json_array_get(json_object_get(json_array_get(pair, 0), "concat"), 1));
        const char *target = json_string_value(
            json_object_get(json_object_get(json_array_get(pair, 1), "goto"), "target"));
        const struct service_config *s = v->service;
        char wanted[32];

        while (s->port[0] != port && s->port[1] != port)
            s++;
        if (s->policy == POLICY_BALANCE)
            snprintf(wanted, sizeof wanted, "v%zu_client", vip);
        else if (s->policy == POLICY_SINGLE && wanted_chain(vip, s->bucket, wanted) != NULL)
            ;
        else if (s->policy == POLICY_CLOSED &&
                 class_claims((enum bucket_class)plan.class_of[s->bucket]))
            snprintf(wanted, sizeof wanted, "v%zu_refuse", vip);
        else
            snprintf(wanted, sizeof wanted, "v%zu_foreign", vip);
        assert_string_equal(target, wanted);
    }
    json_decref(elements);
    json_decref(macs);
}

void made_check_classes(size_t vip)
{
    if (config.vip[vip].services > 2)
        check_services(vip);
    check_classes(vip, "class");
    if (by_port(vip))
        check_classes(vip, "class_portless");
}

static void check_forwards(size_t vip, const char *noun)
{
    json_t *elements = set_of("netdev", vip, noun, "map");
    size_t wanted = 0, i;
    const json_t *pair;
    char mac[18];

    for (unsigned b = 0; b < config.buckets; b++)
        wanted += plan.class_of[b] == CLASS_RELEASE;
    assert_int_equal(json_array_size(elements), wanted);
    json_array_foreach(elements, i, pair)
    {
        unsigned b = key_bucket(vip, json_array_get(pair, 0));

        assert_int_equal(plan.class_of[b], CLASS_RELEASE);
        assert_string_equal(json_string_value(json_array_get(pair, 1)),
                            mac_text(&plan.target[plan.target_of[b]], mac));
    }
    json_decref(elements);
}

void made_check_forwards(size_t vip)
{
    check_forwards(vip, "fwd");
    if (by_port(vip))
        check_forwards(vip, "fwd_portless");
}

void made_check(void)
{
    for (size_t vip = 0; vip < config.vips; vip++) {
        made_check_classes(vip);
        check_present(vip);
        made_check_forwards(vip);
    }
}

size_t made_leases_running(void)
{
    json_t *answer = netlab_json("nft -j list sets");
    const json_t *object;
    size_t running = 0, i;

    json_array_foreach(json_object_get(answer, "nftables"), i, object)
    {
        const json_t *set = json_object_get(object, "set");
        const char *name = json_string_value(json_object_get(set, "name"));

        if (name != NULL && strstr(name, "_lease") != NULL)
            running += json_array_size(json_object_get(set, "elem"));
    }
    json_decref(answer);
    return running;
}

size_t made_leases_wanted(void)
{
    size_t wanted = 0;

    for (size_t i = 0; i < config.vips; i++)
        wanted += strcmp(made_early_table(i), "netdev") == 0 ? 1 : 2;
    return wanted;
}

int made_run(const struct CMUnitTest *tests, size_t count)
{
    int failed;

    if (!netlab_enter())
        return 77;
    netlab_run("ip link add eth0 address " OWN_MAC " type veth peer name peer0");
    if (mkdtemp(directory) == NULL)
        return 99;
    failed = _cmocka_run_group_tests("nft", tests, count, NULL, NULL);
    netlab_run("rm -r %s", directory);
    return failed;
}
