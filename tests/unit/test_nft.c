/* Plans into the real kernel's nftables, read back by the distribution's nft. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "conf.h"
#include "netlab.h"
#include "nft.h"

#define OWN_MAC "02:00:00:00:00:01"
#define SHARED_MAC "02:bf:00:00:00:64"

enum { LEASE_MS = 300 };

static struct config config;
static struct nft_place place[VIPS_MAX];
static struct plan plan;
static struct nft *nft;
static char directory[] = "/tmp/test_nft.XXXXXX";

/* ---- making ------------------------------------------------------------------- */

static struct vip_config *vip_add(const char *address, enum vip_mode mode, enum vip_select select)
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
    place[config.vips].ifindex = 1000; /* set by opened() */
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

static void opened(uint16_t buckets)
{
    config.buckets = buckets;
    config.lease = LEASE_MS * USEC_PER_MS;
    plan_init(&plan, buckets);
    for (size_t i = 0; i < config.vips; i++)
        place[i].ifindex = ifindex_of("eth0");
    assert_int_equal(nft_open(&nft, &config, place), 0);
}

/* All there is: both families, selections and modes, early and late. */
static void opened_all(void)
{
    vip_add("192.0.2.100", VIP_SHARED, SELECT_MASK);
    vip_add("2001:db8::64", VIP_SHARED, SELECT_MASK);
    vip_add("192.0.2.101", VIP_INTERFACE, SELECT_HASH);
    vip_add("2001:db8::65", VIP_INTERFACE, SELECT_HASH)->early_drop = false;
    vip_add("192.0.2.102", VIP_SHARED, SELECT_MASK)->orphans = ORPHANS_DROP;
    opened(256);
}

static void classes(unsigned first, unsigned last, enum bucket_class class)
{
    for (unsigned i = first; i <= last; i++) {
        plan.class_of[i] = (uint8_t)class;
        plan.target_of[i] = class == CLASS_RELEASE ? (uint16_t)(i % 3) : PLAN_TARGET_NONE;
    }
    for (unsigned i = 0; i < 3; i++)
        plan.target[i] = (struct mac){{2, 0, 0, 0, 1, (uint8_t)i}};
}

static void some_classes(void)
{
    classes(0, 20, CLASS_OWN);
    classes(21, 30, CLASS_ADOPT);
    classes(31, 40, CLASS_LINGER);
    classes(41, 50, CLASS_RELEASE);
    classes(255, 255, CLASS_OWN);
}

static int setup(void **state)
{
    (void)state;
    config = (struct config){0};
    netlab_run("nft flush ruleset");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nft_close(nft);
    nft = NULL;
    return 0;
}

/* ---- reading back -------------------------------------------------------------- */

/* `nft list ruleset` without the packets counted, into a file; its contents. */
static char *listing(const char *file)
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
    json_t *answer =
        netlab_json("nft -j list %s %s ipclusterd v%zu_%s", kind, family, vip, noun);
    const json_t *set =
        json_object_get(json_array_get(json_object_get(answer, "nftables"), 1), kind);
    json_t *elements = json_object_get(set, "elem");

    assert_non_null(set);
    elements = elements != NULL ? json_incref(elements) : json_array();
    json_decref(answer);
    return elements;
}

/* The bucket that a map's key, as nft prints it, stands for. */
static unsigned key_bucket(const json_t *key)
{
    struct address a;
    const uint8_t *low;

    if (json_is_integer(key))
        return (unsigned)json_integer_value(key);
    assert_true(address_parse(json_string_value(key), &a));
    low = a.byte + (a.family == FAMILY_IP4 ? 2 : 14);
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

static void check_classes(size_t vip)
{
    json_t *elements = set_of("inet", vip, "class", "map");
    size_t wanted = 0, i;
    const json_t *pair;
    char chain[32];

    for (unsigned b = 0; b < config.buckets; b++)
        wanted += wanted_chain(vip, b, chain) != NULL;
    assert_int_equal(json_array_size(elements), wanted);
    json_array_foreach(elements, i, pair) {
        const char *target = json_string_value(
            json_object_get(json_object_get(json_array_get(pair, 1), "goto"), "target"));

        assert_non_null(target);
        assert_non_null(wanted_chain(vip, key_bucket(json_array_get(pair, 0)), chain));
        assert_string_equal(target, chain);
    }
    json_decref(elements);
}

static void check_forwards(size_t vip)
{
    json_t *elements = set_of("netdev", vip, "fwd", "map");
    size_t wanted = 0, i;
    const json_t *pair;
    char mac[18];

    for (unsigned b = 0; b < config.buckets; b++)
        wanted += plan.class_of[b] == CLASS_RELEASE;
    assert_int_equal(json_array_size(elements), wanted);
    json_array_foreach(elements, i, pair) {
        unsigned b = key_bucket(json_array_get(pair, 0));

        assert_int_equal(plan.class_of[b], CLASS_RELEASE);
        assert_string_equal(json_string_value(json_array_get(pair, 1)),
                            mac_text(&plan.target[plan.target_of[b]], mac));
    }
    json_decref(elements);
}

static void check_kernel(void)
{
    for (size_t vip = 0; vip < config.vips; vip++) {
        check_classes(vip);
        check_forwards(vip);
    }
}

static size_t leases_running(void)
{
    size_t running = 0;

    for (size_t vip = 0; vip < config.vips; vip++) {
        json_t *in = set_of("inet", vip, "lease", "set");
        json_t *dev = set_of("netdev", vip, "lease", "set");

        running += json_array_size(in) + json_array_size(dev);
        json_decref(in);
        json_decref(dev);
    }
    return running;
}

static bool leases_are_over(void *arg)
{
    (void)arg;
    return leases_running() == 0;
}

static void pause_ms(long ms)
{
    const struct timespec t = {.tv_nsec = ms * 1000000};

    nanosleep(&t, NULL);
}

/* ---- tables -------------------------------------------------------------------- */

static void test_install(void **state)
{
    (void)state;
    opened_all();
    some_classes();
    assert_int_equal(nft_apply(nft, &plan), 0);
    check_kernel();
    assert_int_equal(leases_running(), 0);
    assert_string_equal(nft_error(nft), "");
}

/* The distribution's nft loads what it lists, and lists it again as it was. */
static void test_listing_loads(void **state)
{
    char *first, *second;
    (void)state;

    opened_all();
    some_classes();
    assert_int_equal(nft_apply(nft, &plan), 0);
    first = listing("first");
    netlab_run("nft flush ruleset && nft -f %s/first", directory);
    second = listing("second");
    assert_string_equal(first, second);
    free(first);
    free(second);
}

static void test_print(void **state)
{
    char path[256], *ours, *printed;
    FILE *out;
    (void)state;

    opened_all();
    some_classes();
    assert_int_equal(nft_apply(nft, &plan), 0);
    ours = listing("ours");
    snprintf(path, sizeof path, "%s/text", directory);
    out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(nft_print(&config, place, &plan, out), 0);
    fclose(out);
    netlab_run("nft flush ruleset && nft -f %s", path);
    printed = listing("printed");
    assert_string_equal(ours, printed);
    free(ours);
    free(printed);
}

static void test_clear(void **state)
{
    char *text;
    (void)state;

    opened_all();
    netlab_run("nft add table inet other");
    assert_int_equal(nft_clear(nft), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_clear(nft), 0);
    assert_int_equal(nft_clear(nft), 0);
    text = listing("cleared");
    assert_string_equal(text, "table inet other {\n}\n");
    free(text);
}

/* What a crashed run left is replaced, whatever is in it. */
static void test_replace(void **state)
{
    (void)state;
    opened_all();
    netlab_run("nft 'table inet ipclusterd { set v0_lease { type mark; }; chain v0_own { }; "
               "chain x { type filter hook input priority 0; goto v0_own; }; }'");
    some_classes();
    assert_int_equal(nft_apply(nft, &plan), 0);
    check_kernel();
    netlab_run("! nft list chain inet ipclusterd x 2>/dev/null");
}

/* ---- changes ------------------------------------------------------------------- */

static void test_changes(void **state)
{
    unsigned seed = 1;
    (void)state;

    opened_all();
    for (unsigned round = 0; round < 25; round++) {
        unsigned changes = round % 5 == 0 ? 256 : (unsigned)rand_r(&seed) % 40;

        for (unsigned i = 0; i < changes; i++) {
            unsigned b = (unsigned)rand_r(&seed) % 256;
            unsigned class = (unsigned)rand_r(&seed) % CLASS_MAX;

            classes(b, b, class);
            if (class == CLASS_RELEASE)
                plan.target_of[b] = (uint16_t)(rand_r(&seed) % 3);
        }
        assert_int_equal(nft_apply(nft, &plan), 0);
        assert_int_equal(nft_watch_read(nft), 0);
        check_kernel();
    }
}

/* Every bucket of the largest tables changes its value at once. */
static void test_large(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VIPS_MAX; i++) {
        char address[32];

        snprintf(address, sizeof address, i % 2 ? "192.0.2.%u" : "2001:db8::%u", 100 + i);
        vip_add(address, VIP_SHARED, i % 3 ? SELECT_MASK : SELECT_HASH);
    }
    opened(BUCKETS_MAX);
    classes(0, BUCKETS_MAX - 1, CLASS_OWN);
    assert_int_equal(nft_apply(nft, &plan), 0);
    classes(0, BUCKETS_MAX - 1, CLASS_RELEASE);
    assert_int_equal(nft_apply(nft, &plan), 0);
    classes(0, BUCKETS_MAX - 1, CLASS_ADOPT);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_watch_read(nft), 0);
    check_classes(0);
    check_classes(1);
    check_forwards(0);
    check_classes(VIPS_MAX - 1);
    assert_int_equal(nft_clear(nft), 0);
}

/* ---- failures ------------------------------------------------------------------ */

static void test_missing_device(void **state)
{
    struct config wrong;
    char *before, *after;
    (void)state;

    opened_all();
    some_classes();
    assert_int_equal(nft_apply(nft, &plan), 0);
    before = listing("before");
    wrong = config;
    strcpy(wrong.vip[0].interface, "absent0");
    assert_int_equal(nft_reconfigure(nft, &wrong, place), 0);
    classes(0, 255, CLASS_OWN);
    assert_int_equal(nft_apply(nft, &plan), -ENOENT);
    assert_non_null(strstr(nft_error(nft), "a chain (in_absent0)"));
    after = listing("after");
    assert_string_equal(before, after);
    free(before);
    free(after);
    /* And out of it again. */
    assert_int_equal(nft_reconfigure(nft, &config, place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    check_kernel();
}

/* A difference that the kernel refuses changes nothing; the next plan is put
 * there whole. */
static void test_refused_change(void **state)
{
    char *before, *after;
    (void)state;

    opened_all();
    some_classes();
    assert_int_equal(nft_apply(nft, &plan), 0);
    netlab_run("nft 'delete element inet ipclusterd v4_class { 0.0.0.0 }'");
    before = listing("before");
    classes(0, 40, CLASS_LINGER);
    assert_int_equal(nft_apply(nft, &plan), -ENOENT);
    after = listing("after");
    assert_string_equal(before, after);
    assert_non_null(strstr(nft_error(nft), "v4_class"));
    free(before);
    free(after);
    assert_int_equal(nft_apply(nft, &plan), 0);
    check_kernel();
}

static void test_unprivileged(void **state)
{
    struct nft *other;
    int error;
    (void)state;

    opened_all();
    assert_int_equal(seteuid(65534), 0);
    error = nft_open(&other, &config, place);
    if (error == 0) {
        error = nft_apply(other, &plan);
        nft_close(other);
    }
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(error, -EPERM);
}

/* ---- watching ------------------------------------------------------------------ */

static bool told(void)
{
    struct pollfd p = {.fd = nft_watch_fd(nft), .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static void test_watch(void **state)
{
    static const char *const meddling[] = {
        "nft flush ruleset",
        "nft delete table netdev ipclusterd",
        "nft delete element inet ipclusterd v0_class '{ 0.0.0.1 }'",
        "nft insert rule inet ipclusterd v0_early accept",
        "nft flush chain inet ipclusterd late",
        "nft add element inet ipclusterd v0_lease '{ 192.0.2.100 timeout 1h }'",
    };
    (void)state;

    opened_all();
    some_classes();
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_renew(nft), 0);
    classes(0, 200, CLASS_LINGER);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_false(told()); /* our own changes do not even wake us */
    for (size_t i = 0; i < sizeof meddling / sizeof *meddling; i++) {
        some_classes();
        assert_int_equal(nft_apply(nft, &plan), 0);
        netlab_run("%s", meddling[i]);
        assert_true(told());
        assert_int_equal(nft_watch_read(nft), 1);
        assert_int_equal(nft_watch_read(nft), 0);
        nft_lost(nft);
        assert_int_equal(nft_apply(nft, &plan), 0);
        check_kernel();
    }
}

static void test_watch_others(void **state)
{
    static const char *const elsewhere[] = {
        "nft add table inet other",
        "nft add chain inet other ipclusterd",
        "nft add table ip ipclusterd",
        "nft list ruleset >/dev/null",
        "nft reset counters table inet ipclusterd >/dev/null",
        "nft delete table ip ipclusterd",
    };
    (void)state;

    opened_all();
    assert_int_equal(nft_apply(nft, &plan), 0);
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        netlab_run("%s", elsewhere[i]);
        assert_int_equal(nft_watch_read(nft), 0);
    }
}

/* News that was lost may have been about us. */
static void test_watch_overflow(void **state)
{
    int small = 4096;
    (void)state;

    opened_all();
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(
        setsockopt(nft_watch_fd(nft), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    netlab_run("for i in 1 2 3 4 5 6 7 8 9; do nft add table inet other$i; done");
    assert_int_equal(nft_watch_read(nft), 1);
    assert_int_equal(nft_watch_read(nft), 0);
}

/* ---- the lease ----------------------------------------------------------------- */

static void test_lease(void **state)
{
    (void)state;
    opened_all();
    assert_int_equal(nft_renew(nft), -ENOENT); /* there are no tables yet */
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(leases_running(), 0);
    for (unsigned i = 0; i < 10; i++) { /* three times as long as one lease */
        assert_int_equal(nft_renew(nft), 0);
        assert_int_equal(leases_running(), 2 * config.vips);
        pause_ms(LEASE_MS / 3);
    }
    assert_int_equal(nft_renew(nft), 0);
    pause_ms(LEASE_MS / 3);
    assert_int_equal(leases_running(), 2 * config.vips);
    assert_true(netlab_wait(leases_are_over, NULL, 1.0));
    assert_int_equal(nft_watch_read(nft), 0); /* the kernel's own doing */
    assert_int_equal(nft_renew(nft), 0);      /* and after its end */
    assert_int_equal(leases_running(), 2 * config.vips);
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* New tables do not end the lease, nor lengthen it. */
static void test_lease_in_new_tables(void **state)
{
    double renewed;
    (void)state;

    opened_all();
    assert_int_equal(nft_apply(nft, &plan), 0);
    renewed = now_ms();
    assert_int_equal(nft_renew(nft), 0);
    pause_ms(LEASE_MS / 3);
    netlab_run("nft flush ruleset");
    nft_lost(nft);
    assert_int_equal(nft_apply(nft, &plan), 0);
    if (now_ms() - renewed < LEASE_MS - 60)
        assert_int_equal(leases_running(), 2 * config.vips);
    while (leases_running() > 0)
        assert_true(now_ms() - renewed < LEASE_MS + 100);
    nft_lost(nft);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(leases_running(), 0);
    /* A longer lease in a new configuration is for the next renewal. */
    renewed = now_ms();
    assert_int_equal(nft_renew(nft), 0);
    config.lease *= 100;
    assert_int_equal(nft_reconfigure(nft, &config, place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    while (leases_running() > 0)
        assert_true(now_ms() - renewed < LEASE_MS + 100);
}

/* ---- counters ------------------------------------------------------------------ */

static void test_counters(void **state)
{
    struct nft_counters c;
    (void)state;

    opened_all();
    assert_int_equal(nft_counters(nft, 0, &c), -ENOENT);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_counters(nft, config.vips - 1, &c), 0);
    assert_int_equal(c.accepted + c.foreign + c.orphan_reset + c.forwarded, 0);
    netlab_run("nft 'delete chain inet ipclusterd late; "
               "add counter inet other x'  2>/dev/null || nft add table inet other");
    nft_lost(nft);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_counters(nft, 0, &c), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_install, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listing_loads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_print, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clear, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_device, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unprivileged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch_overflow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lease, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lease_in_new_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counters, setup, teardown),
    };
    int failed;

    if (!netlab_enter())
        return 77;
    netlab_run("ip link add eth0 address " OWN_MAC " type veth peer name peer0");
    if (mkdtemp(directory) == NULL)
        return 99;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    netlab_run("rm -r %s", directory);
    return failed;
}
