/*
 * The configuration from the outside: text in, struct and faults out. Most of
 * it is one table of faulty texts with the faults that they must be told for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/conf.h"
#include "io/conf_schema.h"
#include "io/conf_source.h"
#include "io/conf_value.h"

enum { FAULTS_MAX = 128, TEXT_MAX = 8192 };

/* What a load told. */
struct told {
    size_t count;
    char text[FAULTS_MAX][1024];
};

static struct told told, noted;
static struct config config;

static void told_add(void *arg, const char *fault)
{
    struct told *t = arg;

    assert_true(t->count < FAULTS_MAX);
    assert_null(strchr(fault, '\n'));
    assert_true(strlen(fault) < sizeof(t->text[0]));
    strcpy(t->text[t->count++], fault);
}

static void note_add(void *arg, const char *fault)
{
    (void)arg;
    told_add(&noted, fault);
}

static int parse(const char *text)
{
    told.count = 0;
    return conf_parse("F", text, strlen(text), &config, told_add, &told);
}

static bool told_has(const char *part)
{
    for (size_t i = 0; i < told.count; i++)
        if (strstr(told.text[i], part) != NULL)
            return true;
    return false;
}

/* Lines 1 and 2: enough of a configuration. */
#define CLUSTER "cluster = { name = \"web\"; key_file = \"/k\"; };\n"
#define BEAT "heartbeat = { interface = \"eth0\"; };\n"
#define BASE CLUSTER BEAT
#define CLUSTER_WITH(s) "cluster = { name = \"web\"; key_file = \"/k\";\n" s " };\n" BEAT
#define BEAT_WITH(s) CLUSTER "heartbeat = { interface = \"eth0\";\n" s " };\n"
#define NODE_WITH(s) BASE "node = { " s " };\n"
#define VIP_WITH(s) BASE "vips = ( { address = \"192.0.2.1/24\"; interface = \"eth0\";\n" s " } );\n"
#define VIP4 "{ address = \"192.0.2.1/24\"; interface = \"eth0\"; }"
#define LATER "not available in this version"
#define X63 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct fault_case {
    const char *text;
    const char *faults[6]; /* each the beginning of one fault; as many as these */
} fault_cases[] = {
    /* Syntax. */
    {"", {"F:1: cluster.name: is required", "F:1: cluster.key_file: is required",
          "F:1: heartbeat.interface: is required"}},
    {"cluster = {\n  name = ;\n};", {"F:2: syntax error"}},
    {BASE "node = { weight = 1; };\nnode = { weight = 2; };\n", {"F:4: duplicate setting name"}},
    {"@include \"x\"\n", {"F:1: @include is not possible here"}},
    {BASE "\nx = [ 1, \"a\" ];", {"F:4: mismatched element type in array"}},

    /* Unknown keys. */
    {CLUSTER_WITH("bukets = 16;"), {"F:2: cluster.bukets: unknown key; did you mean \"buckets\"?"}},
    {NODE_WITH("interval = \"1s\";"),
     {"F:3: node.interval: unknown key; did you mean \"heartbeat.interval\"?"}},
    {BASE "weight = 3;", {"F:3: weight: unknown key; did you mean \"node.weight\"?"}},
    {BASE "qqqqqqqqqqq = 3;", {"F:3: qqqqqqqqqqq: unknown key"}},
    {BASE "vip = ();", {"F:3: vip: unknown key; did you mean \"vips\"?"}},
    {VIP_WITH("mdoe = \"shared\";"), {"F:4: vips[0].mdoe: unknown key; did you mean \"mode\"?"}},

    /* Types. */
    {BASE "node = 3;", {"F:3: node: must be a group"}},
    {BASE "vips = " VIP4 ";", {"F:3: vips: must be a list of groups"}},
    {BASE "vips = ( 3 );", {"F:3: vips[0]: must be a group"}},
    {NODE_WITH("weight = \"100\";"), {"F:3: node.weight: must be a whole number"}},
    {NODE_WITH("weight = 1.5;"), {"F:3: node.weight: must be a whole number"}},
    {NODE_WITH("name = 3;"), {"F:3: node.name: must be a text in quotes"}},
    {NODE_WITH("stop_drain = 3;"),
     {"F:3: node.stop_drain: must be a duration in quotes with a unit (ms, s, m, h), as in \"0s\""}},
    {BEAT_WITH("realtime = 1;"), {"F:3: heartbeat.realtime: must be true or false"}},
    {BEAT_WITH("peers = ( 3 );"), {"F:3: heartbeat.peers[0]: must be a text in quotes"}},
    {CLUSTER "heartbeat = { interface = 1; };", {"F:2: heartbeat.interface: must be a text"}},

    /* Required. */
    {"cluster = {\n};\n" BEAT, {"F:1: cluster.name: is required",
                                "F:1: cluster.key_file: is required"}},
    {CLUSTER "heartbeat = { };\n", {"F:2: heartbeat.interface: is required"}},
    {CLUSTER "heartbeat = { interface = []; };", {"F:2: heartbeat.interface: must not be empty"}},
    {BASE "vips = (\n { },\n " VIP4 ");", {"F:4: vips[0].address: is required",
                                          "F:4: vips[0].interface: is required"}},

    /* Values. */
    {NODE_WITH("weight = 4294967396;"), {"F:3: node.weight: out of range; 0..1000"}},
    {NODE_WITH("weight = -99999999999;"), {"F:3: node.weight: -2147483647 is out of range"}},
    {NODE_WITH("weight = 0x100000001L;"), {"F:3: node.weight: out of range"}},
    {CLUSTER_WITH("buckets = 100;"), {"F:2: cluster.buckets: 100 is not a power of two; 16..4096"}},
    {CLUSTER_WITH("forget_after = \"1\";"), {"F:2: cluster.forget_after: \"1\" is not a duration"}},
    {CLUSTER_WITH("forget_after = \"1d\";"), {"F:2: cluster.forget_after: \"1d\" is not a duration"}},
    {NODE_WITH("name = \"\";"), {"F:3: node.name: must not be empty"}},
    {NODE_WITH("name = \"a b\";"), {"F:3: node.name: \"a b\" is no name"}},
    {NODE_WITH("name = \"-a\";"), {"F:3: node.name: \"-a\" is no name"}},
    {NODE_WITH("name = \"" X63 "x\";"), {"F:3: node.name: longer than 63 bytes"}},
    {NODE_WITH("state_dir = \"var\";"), {"F:3: node.state_dir: \"var\" is not an absolute path"}},
    {NODE_WITH("state_dir = \"\";"), {"F:3: node.state_dir: must not be empty"}},
    {BASE "control = { socket = \"/" X63 X63 "\"; };", {"F:3: control.socket: longer than 107"}},
    {CLUSTER "heartbeat = { interface = \"a/b\"; };",
     {"F:2: heartbeat.interface: \"a/b\" is no name of an interface"}},
    {CLUSTER "heartbeat = { interface = \"sixteen-bytes-xx\"; };",
     {"F:2: heartbeat.interface: \"sixteen-bytes-xx\" is no name"}},
    {CLUSTER "heartbeat = { interface = ( \"a\",\n \"a\" ); };",
     {"F:3: heartbeat.interface[1]: \"a\" is listed twice"}},
    {CLUSTER "heartbeat = { interface = [\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]; };",
     {"F:2: heartbeat.interface[8]: more than 8 interfaces"}},
    {BEAT_WITH("group = \"192.0.2.1\";"), {"F:3: heartbeat.group: 192.0.2.1 is not a multicast"}},
    {BEAT_WITH("group = \"\";"), {"F:3: heartbeat.group: \"\" is not an IPv4 or IPv6 address"}},
    {BEAT_WITH("peers = [ \"192.0.2.1\", \"192.0.2.1\" ];"),
     {"F:3: heartbeat.peers[1]: 192.0.2.1 is listed twice"}},
    {BEAT_WITH("peers = \"ff02::1\";"), {"F:3: heartbeat.peers: ff02::1 is not the address of a"}},
    {VIP_WITH("mac = \"03:bf:00:00:00:01\";"),
     {"F:4: vips[0].mac: 03:bf:00:00:00:01 is a multicast MAC address"}},
    {VIP_WITH("mac = \"00:00:00:00:00:00\";"), {"F:4: vips[0].mac: \"00:00:00:00:00:00\" is no MAC"}},
    {VIP_WITH("mac = \"2:bf:0:0:0:1\";"), {"F:4: vips[0].mac: \"2:bf:0:0:0:1\" is no MAC address"}},
    {VIP_WITH("mode = \"hub\";"),
     {"F:4: vips[0].mode: \"hub\" is not known; available: \"shared\", \"interface\""}},
    {BASE "vips = ({ address = \"192.0.2.1/33\"; interface = \"a\"; });",
     {"F:3: vips[0].address: \"192.0.2.1/33\" is not an address with a prefix length"}},
    {BASE "vips = ({ address = \"2001:db8::1/129\"; interface = \"a\"; });",
     {"F:3: vips[0].address: \"2001:db8::1/129\" is not an address with a prefix length"}},
    {BASE "vips = ({ address = \"224.0.0.1/24\"; interface = \"a\"; });",
     {"F:3: vips[0].address: 224.0.0.1/24 is not an address that a host can have"}},

    /* Keys together. */
    {BEAT_WITH("dead_after = \"299ms\";"),
     {"F:3: heartbeat.dead_after: 299ms is less than three times the interval (100ms)"}},
    {BEAT_WITH("interval = \"1s\";"),
     {"F:2: heartbeat.dead_after: 400ms is less than three times the interval (1s)"}},
    {BEAT_WITH("lease = \"400ms\";"),
     {"F:3: heartbeat.lease: 400ms is not less than dead_after (400ms)"}},
    {BEAT_WITH("lease = \"199ms\";"),
     {"F:3: heartbeat.lease: 199ms is less than twice the interval (100ms)"}},
    {BEAT_WITH("interval = 5; dead_after = \"60ms\"; lease = \"40ms\";"),
     {"F:3: heartbeat.interval: must be a duration"}}, /* told once, not also of dead_after */
    {CLUSTER "cluster_ = 1;" BEAT, {"F:2: cluster_: unknown key; did you mean \"cluster\"?"}},
    {BEAT_WITH("dead_after = \"2s\"; }; cluster : { name = \"a\";"), {"F:3: duplicate setting"}},
    {"cluster = { name = \"a\"; key_file = \"/k\"; forget_after = \"2s\"; };\n"
     "heartbeat = { interface = \"a\"; dead_after = \"2s\"; };",
     {"F:1: cluster.forget_after: 2s is not more than heartbeat.dead_after (2s)"}},
    {BASE "vips = ( " VIP4 ",\n " VIP4 " );",
     {"F:4: vips[1].address: listed twice; vips[0] has it, too"}},
    {BASE "vips = ( " VIP4 ",\n { address = \"192.0.2.1/32\"; interface = \"b\"; } );",
     {"F:4: vips[1].address: listed twice; vips[0] has it, too"}},
    {BASE "vips = ( { address = \"192.0.2.1/24\"; interface = \"a\"; mode = \"interface\"; },\n"
          "{ address = \"2001:db8::1/64\"; interface = \"a\"; mode = \"interface\"; } );",
     {"F:4: vips[1].mac: in mode \"interface\" a can have one MAC; set \"02:bf:c0:00:02:01\" as "
      "vips[0]"}},
    {CLUSTER "heartbeat = { interface = \"a\"; peers = [ \"192.0.2.1\" ]; };\nvips = (" VIP4 ");",
     {"F:2: heartbeat.peers[0]: is the virtual address vips[0]"}},

    /* Not in this version. */
    {CLUSTER_WITH("quorum = \"majority\";"),
     {"F:2: cluster.quorum: \"majority\" is " LATER "; available: \"none\""}},
    {CLUSTER_WITH("key_file_next = \"/n\";"), {"F:2: cluster.key_file_next: " LATER}},
    {VIP_WITH("mode = \"macvlan\";"),
     {"F:4: vips[0].mode: \"macvlan\" is " LATER "; available: \"shared\", \"interface\""}},
    {VIP_WITH("mode = \"multicast\";"), {"F:4: vips[0].mode: \"multicast\" is " LATER}},
    {VIP_WITH("mode = \"igmp\";"), {"F:4: vips[0].mode: \"igmp\" is " LATER}},
    {VIP_WITH("mode = \"dispatch\";"), {"F:4: vips[0].mode: \"dispatch\" is " LATER}},
    {VIP_WITH("affinity = \"network\";"),
     {"F:4: vips[0].affinity: \"network\" is " LATER "; available: \"address\""}},
    {VIP_WITH("affinity = \"flow\";"), {"F:4: vips[0].affinity: \"flow\" is " LATER}},
    {VIP_WITH("services = ( { protocol = \"tcp\"; } );"), {"F:4: vips[0].services: " LATER}},
    {BASE "flap = { penalty = 1000; };", {"F:3: flap: " LATER}},
    {BASE "health = ();", {"F:3: health: " LATER}},
    {BASE "multipath = ();", {"F:3: multipath: " LATER}},
    {BASE "hooks = { notify = \"/x\"; };", {"F:3: hooks: " LATER}},
    {BASE "control = { http = \"127.0.0.1:9742\"; };", {"F:3: control.http: " LATER}},

    /* All at once. */
    {"cluster = {\n buckets = 15;\n};\nheartbeat = {\n port = 0;\n};\nvips = (\n {},\n 1 );",
     {"F:2: cluster.buckets: 15", "F:1: cluster.name", "F:1: cluster.key_file",
      "F:5: heartbeat.port: 0 is out", "F:4: heartbeat.interface", "F:8: vips[0].address"}},
};

/* The last case has two more, which its six places do not hold. */
enum { FAULTS_OF_LAST = 8 };

static void test_faults(void **state)
{
    const size_t cases = sizeof(fault_cases) / sizeof(fault_cases[0]);

    (void)state;
    for (size_t i = 0; i < cases; i++) {
        const struct fault_case *c = &fault_cases[i];
        size_t n = 0;

        memset(&config, 0x5a, sizeof(config));
        int faults = parse(c->text);
        for (; n < 6 && c->faults[n] != NULL; n++)
            if (!told_has(c->faults[n]))
                fail_msg("case %zu: not told: %s (but: %s)", i, c->faults[n], told.text[0]);
        if (n == 6 && i == cases - 1)
            n = FAULTS_OF_LAST;
        for (size_t t = 0; told.count != n && t < told.count; t++)
            print_error("told: %s\n", told.text[t]);
        assert_int_equal(told.count, n);
        assert_int_equal(faults, n);
        assert_int_equal(((unsigned char *)&config)[sizeof(config) / 2], 0x5a);
    }
}

static void test_defaults(void **state)
{
    static const struct mac mac = {{0x02, 0xbf, 192, 0, 2, 1}};
    char text[64], host[256];

    (void)state;
    assert_int_equal(gethostname(host, sizeof(host)), 0);
    assert_int_equal(parse(BASE "vips = ( " VIP4 " );"), 0);
    assert_string_equal(config.cluster, "web");
    assert_string_equal(config.key_file, "/k");
    assert_int_equal(config.buckets, 256);
    assert_int_equal(config.forget_after, 24 * 3600 * USEC_PER_S);
    assert_string_equal(config.node, host);
    assert_int_equal(config.weight, 100);
    assert_int_equal(config.stop_drain, 0);
    assert_string_equal(config.state_dir, "/var/lib/ipclusterd");
    assert_int_equal(config.heartbeat_links, 1);
    assert_string_equal(config.heartbeat_link[0], "eth0");
    assert_int_equal(config.port, 7742);
    assert_string_equal(address_text(&config.group, text, sizeof(text)), "239.255.77.42");
    assert_int_equal(config.peers, 0);
    assert_int_equal(config.interval, 100 * USEC_PER_MS);
    assert_int_equal(config.dead_after, 400 * USEC_PER_MS);
    assert_int_equal(config.lease, 300 * USEC_PER_MS);
    assert_true(config.realtime);
    assert_int_equal(config.vips, 1);
    assert_int_equal(config.vip[0].prefix, 24);
    assert_string_equal(config.vip[0].interface, "eth0");
    assert_int_equal(config.vip[0].mode, VIP_SHARED);
    assert_true(mac_equal(&config.vip[0].mac, &mac));
    assert_true(config.vip[0].mask_source_mac);
    assert_int_equal(config.vip[0].select, SELECT_MASK);
    assert_true(config.vip[0].early_drop);
    assert_int_equal(config.vip[0].orphans, ORPHANS_RESET);
    assert_int_equal(config.vip[0].orphan_after, USEC_PER_S);
    assert_string_equal(config.control_socket, "/run/ipclusterd/control.sock");
    assert_string_equal(config.control_group, "ipclusterd");
}

static void test_all_keys(void **state)
{
    static const char text[] =
        "cluster : { name = \"" X63 "\"; key_file = \"/k\"; buckets = 4096; quorum = \"none\";\n"
        " forget_after = \"2m\"; };\n"
        "node = { name = \"web1\"; weight = 0; stop_drain = \"90s\"; state_dir = \"/tmp/s\"; };\n"
        "heartbeat = { interface = [ \"a\", \"b\" ]; port = 1; group = \"ff05::77\";\n"
        " peers = ( \"192.0.2.5\", \"2001:db8::5\" ); interval = \"20ms\"; dead_after = \"80ms\";\n"
        " lease = \"50ms\"; realtime = false; };\n"
        "vips = ( { address = \"2001:db8::1\"; interface = \"b\"; mode = \"interface\";\n"
        "  mac = \"02:bf:00:AA:00:01\"; mask_source_mac = false; select = \"hash\";\n"
        "  affinity = \"address\"; early_drop = false; orphans = \"drop\";\n"
        "  orphan_after = \"0s\"; } );\n"
        "control = { socket = \"/s\"; group = \"\"; };\n";
    static const struct mac mac = {{0x02, 0xbf, 0x00, 0xaa, 0x00, 0x01}};
    char address[64];

    (void)state;
    assert_int_equal(parse(text), 0);
    assert_string_equal(config.cluster, X63);
    assert_int_equal(config.buckets, 4096);
    assert_int_equal(config.forget_after, 120 * USEC_PER_S);
    assert_string_equal(config.node, "web1");
    assert_int_equal(config.weight, 0);
    assert_int_equal(config.stop_drain, 90 * USEC_PER_S);
    assert_int_equal(config.heartbeat_links, 2);
    assert_string_equal(config.heartbeat_link[1], "b");
    assert_string_equal(address_text(&config.group, address, sizeof(address)), "ff05::77");
    assert_int_equal(config.peers, 2);
    assert_string_equal(address_text(&config.peer[1], address, sizeof(address)), "2001:db8::5");
    assert_int_equal(config.lease, 50 * USEC_PER_MS);
    assert_false(config.realtime);
    assert_int_equal(config.vip[0].prefix, 128);
    assert_int_equal(config.vip[0].mode, VIP_INTERFACE);
    assert_true(mac_equal(&config.vip[0].mac, &mac));
    assert_false(config.vip[0].mask_source_mac);
    assert_int_equal(config.vip[0].select, SELECT_HASH);
    assert_false(config.vip[0].early_drop);
    assert_int_equal(config.vip[0].orphans, ORPHANS_DROP);
    assert_int_equal(config.vip[0].orphan_after, 0);
    assert_string_equal(config.control_group, "");

    /* Peers take the place of the default group; the lease follows dead_after. */
    assert_int_equal(parse(BEAT_WITH("peers = \"192.0.2.5\"; dead_after = \"4s\";")), 0);
    assert_int_equal(config.group.family, FAMILY_NONE);
    assert_int_equal(config.peers, 1);
    assert_int_equal(config.lease, 3 * USEC_PER_S);
}

/* A configuration with one key set to `value`; BASE says the rest. */
static void text_of(const struct conf_key *k, const char *value, char *text)
{
    const char *name = conf_key_name(k);
    bool cluster = conf_key_within(k, "cluster"), beat = conf_key_within(k, "heartbeat");
    char set[512];

    snprintf(set, sizeof(set), "%s = %s;", name, value);
    if (conf_key_within(k, "vips[]"))
        snprintf(text, TEXT_MAX, BASE "vips = ( { address = \"192.0.2.1\"; interface = \"a\"; %s } );",
                 set);
    else if (cluster || beat)
        snprintf(text, TEXT_MAX,
                 "cluster = { name = \"web\"; key_file = \"/k\"; %s };\n"
                 "heartbeat = { interface = \"eth0\"; %s };\n", cluster ? set : "",
                 beat ? set : "");
    else
        snprintf(text, TEXT_MAX, BASE "%.*s = { %s };", (int)(name - k->path - 1), k->path, set);
}

static bool range_refused(const struct conf_key *k, const char *value)
{
    char text[TEXT_MAX], label[64];

    text_of(k, value, text);
    parse(text);
    snprintf(label, sizeof(label), "%s%s: ", conf_key_within(k, "vips[]") ? "vips[0]." : "",
             conf_key_within(k, "vips[]") ? conf_key_name(k) : k->path);
    for (size_t i = 0; i < told.count; i++)
        if (strstr(told.text[i], label) != NULL &&
            (strstr(told.text[i], "out of range") || strstr(told.text[i], "power of two")))
            return true;
    return false;
}

/* Both ends of every range are in it, and what lies beyond is not. */
static void test_limits(void **state)
{
    size_t tested = 0;

    (void)state;
    for (size_t i = 0; i < conf_keys_count; i++) {
        const struct conf_key *k = &conf_keys[i];
        bool duration = strcmp(k->type->name, "duration") == 0;
        int64_t step = duration ? USEC_PER_MS : 1;
        const int64_t values[] = {k->min, k->max, k->min - step, k->max + step};

        if (k->need == CONF_LATER || (!duration && k->type->form != FORM_NUMBER))
            continue;
        for (size_t v = 0; v < 4; v++) {
            char value[64], text[DURATION_TEXT_BYTES];
            bool refused;

            if (values[v] < 0)
                continue;
            if (duration)
                snprintf(value, sizeof(value), "\"%s\"", duration_text(values[v], text));
            else
                snprintf(value, sizeof(value), "%lld", (long long)values[v]);
            refused = range_refused(k, value);
            if (refused != (v >= 2))
                fail_msg("%s = %s: %s", k->path, value, refused ? "refused" : "accepted");
            tested++;
        }
    }
    assert_true(tested >= 30);
}

/* As many as fit, and one more. */
static void test_counts(void **state)
{
    static char text[64 * 1024];

    (void)state;
    for (int more = 0; more < 2; more++) {
        int n = snprintf(text, sizeof(text), BASE "vips = (");
        for (int i = 0; i < VIPS_MAX + more; i++)
            n += snprintf(text + n, sizeof(text) - (size_t)n,
                          "%s{ address = \"192.0.2.%d/24\"; interface = \"a\"; }\n",
                          i > 0 ? "," : "", i + 1);
        snprintf(text + n, sizeof(text) - (size_t)n, ");");
        assert_int_equal(parse(text), more);
        assert_true(more == 0 || told_has("F:3: vips: more than 32 virtual addresses"));

        n = snprintf(text, sizeof(text), CLUSTER "heartbeat = { interface = \"a\"; peers = [");
        for (int i = 0; i < PEERS_MAX + more; i++)
            n += snprintf(text + n, sizeof(text) - (size_t)n, "%s\"10.0.%d.%d\"",
                          i > 0 ? "," : "", i / 256, i % 256);
        snprintf(text + n, sizeof(text) - (size_t)n, "]; };");
        assert_int_equal(parse(text), more);
        assert_true(more == 0 || told_has("heartbeat.peers[256]: more than 256 peers"));
    }
    assert_int_equal(config.peers, PEERS_MAX);
}

/* A text full of faults: they are counted, but not told without end. */
static void test_many_faults(void **state)
{
    static char text[CONF_BYTES_MAX];
    size_t n = 0;

    (void)state;
    n += (size_t)snprintf(text, sizeof(text), BASE);
    for (int i = 0; i < 500; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "zz%d = 1;\n", i);
    assert_int_equal(parse(text), 500);
    assert_int_equal(told.count, 101);
    assert_true(told_has("too many faults"));
}

/* Files. */

static char directory[] = "/tmp/test_conf.XXXXXX";

static const char *file_path(const char *name)
{
    static char path[4][128];
    static unsigned turn;
    char *p = path[turn++ % 4];

    snprintf(p, sizeof(path[0]), "%s/%s", directory, name);
    return p;
}

static void file_write(const char *name, const char *text, size_t length, mode_t mode)
{
    int fd = open(file_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, length), (ssize_t)length);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void text_write(const char *name, const char *text)
{
    file_write(name, text, strlen(text), 0600);
}

static int load(const char *name)
{
    told.count = 0;
    return conf_load(file_path(name), &config, told_add, &told);
}

static int directory_make(void **state)
{
    (void)state;
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int directory_remove(void **state)
{
    static const char *const names[] = {"conf", "key", "inc", "inc2", "big", "pipe", "empty"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(file_path(names[i]));
    return rmdir(directory);
}

#define KEY64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static void test_key_file(void **state)
{
    static const struct {
        const char *text;
        mode_t mode;
        const char *fault; /* NULL: none */
    } cases[] = {
        {KEY64, 0600, NULL},
        {KEY64 "\n", 0400, NULL},
        {"  " KEY64 " \r\n", 0600, NULL},
        {KEY64 "\n", 0640, "is open to group or others (mode 0640); chmod 600 it"},
        {KEY64 "\n", 0604, "is open to group or others"},
        {KEY64 "\n", 0620, "is open to group or others"},
        {"", 0600, "is not a key: 32 bytes in base64"},
        {"AAECAwQF\n", 0600, "is not a key"},
        {KEY64 "AA==", 0600, "is not a key"},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n", 0600, "is not a key"},
        {"!AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 0600, "is not a key"},
    };
    char text[512];

    (void)state;
    snprintf(text, sizeof(text), "cluster = { name = \"web\";\n key_file = \"%s\"; };\n" BEAT,
             file_path("key"));
    text_write("conf", text);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        file_write("key", cases[i].text, strlen(cases[i].text), cases[i].mode);
        assert_int_equal(load("conf"), cases[i].fault != NULL);
        if (cases[i].fault != NULL) {
            assert_true(told_has(cases[i].fault));
            assert_true(told_has("conf:2: cluster.key_file: "));
        }
    }
    file_write("key", KEY64, strlen(KEY64), 0600);
    assert_int_equal(load("conf"), 0);
    for (size_t i = 0; i < KEY_BYTES; i++)
        assert_int_equal(config.key[i], i);

    unlink(file_path("key"));
    assert_int_equal(mkfifo(file_path("key"), 0600), 0);
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("is not a regular file"));

    /* Missing: a fault for a start, a note for a check. */
    unlink(file_path("key"));
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("No such file or directory"));
    told.count = noted.count = 0;
    assert_int_equal(conf_check(file_path("conf"), told_add, note_add, &told), 0);
    assert_int_equal(told.count, 0);
    assert_int_equal(noted.count, 1);
    assert_non_null(strstr(noted.text[0], "conf:2: cluster.key_file: note: "));
}

static void test_include(void **state)
{
    char text[1024];

    (void)state;
    file_write("key", KEY64, strlen(KEY64), 0600);
    snprintf(text, sizeof(text), "cluster = { name = \"web\"; key_file = \"%s\"; };\n",
             file_path("key"));
    text_write("inc2", text);
    /* Relative to the configuration's directory, nested, absolute, in a comment. */
    text_write("inc", "# one\n@include \"inc2\"\nnode = { weight = 7; };");
    text_write("conf", "@include \"inc\"\n/*\n@include \"no such file\"\n*/\n" BEAT);
    assert_int_equal(load("conf"), 0);
    assert_int_equal(config.weight, 7);
    snprintf(text, sizeof(text), "  @include\t\"%s\" # here\n" BEAT, file_path("inc"));
    text_write("conf", text);
    assert_int_equal(load("conf"), 0);

    /* Faults are told of the right file and line. */
    text_write("inc", "\n@include \"inc2\"\n\nnode = { weight = 1001;\n what = 1; };\n");
    text_write("conf", "@include \"inc\"\n\n" BEAT "x = 1;\n");
    assert_int_equal(load("conf"), 3);
    assert_true(told_has("/inc:4: node.weight: 1001 is out of range"));
    assert_true(told_has("/inc:5: node.what: unknown key"));
    assert_true(told_has("/conf:4: x: unknown key"));
    text_write("inc", "\n\nnode = { weight = = 3; };\n");
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("/inc:3: syntax error"));
    text_write("inc", "\n@include \"none\"\n");
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("/inc:2: cannot read \""));
    assert_true(told_has("/none\": No such file or directory"));
    text_write("inc", "\n\n@include \"inc\"\n");
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("/inc:3: @include: too many files"));
}

static void test_bad_files(void **state)
{
    static char big[CONF_BYTES_MAX + 1];

    (void)state;
    unlink(file_path("empty"));
    assert_int_equal(load("empty"), 1);
    assert_true(told_has("/empty:1: cannot read \""));
    text_write("empty", "");
    assert_int_equal(load("empty"), 3);
    told.count = 0;
    assert_int_equal(conf_load(directory, &config, told_add, &told), 1);
    assert_true(told_has("Is a directory"));

    memset(big, '#', sizeof(big));
    file_write("big", big, sizeof(big), 0600);
    assert_int_equal(load("big"), 1);
    assert_true(told_has("/big:1: the configuration is larger than 262144 bytes"));
    memset(big, '\n', sizeof(big));
    file_write("big", big, sizeof(big), 0600);
    assert_int_equal(load("big"), 1);
    file_write("big", "x = 1;\nab\0cd\n", 13, 0600);
    assert_int_equal(load("big"), 1);
    assert_true(told_has("/big:2: a NUL byte"));
}

/* The example as it is installed, on a host without its key. */
static void test_example(void **state)
{
    const char *top = getenv("top_srcdir");
    char path[512];

    (void)state;
    snprintf(path, sizeof(path), "%s/etc/ipclusterd.conf", top != NULL ? top : ".");
    told.count = noted.count = 0;
    assert_int_equal(conf_check(path, told_add, note_add, &told), 0);
}

/* What the members compare. */

static uint64_t digest_of(const char *text)
{
    if (parse(text) != 0)
        fail_msg("%s", told.text[0]);
    return config.digest;
}

static void test_digest(void **state)
{
    static const char *const same[] = {
        BEAT_WITH("interval = \"90ms\"; port = 5; realtime = false;") "vips = (" VIP4 ");",
        NODE_WITH("name = \"other\"; weight = 3;") "vips = (" VIP4 ");",
        BASE "vips = ( { address = \"192.0.2.1/24\"; interface = \"other\"; early_drop = false;"
             "mac = \"02:bf:c0:00:02:01\"; orphan_after = \"2s\"; } );",
    };
    static const char *const other[] = {
        BASE,
        CLUSTER_WITH("buckets = 512;") "vips = (" VIP4 ");",
        BEAT_WITH("dead_after = \"500ms\"; lease = \"300ms\";") "vips = (" VIP4 ");",
        BEAT_WITH("lease = \"299ms\";") "vips = (" VIP4 ");",
        BASE "vips = ( { address = \"192.0.2.2/24\"; interface = \"eth0\"; "
             "mac = \"02:bf:c0:00:02:01\"; } );",
        BASE "vips = ( { address = \"192.0.2.1/25\"; interface = \"eth0\"; } );",
        VIP_WITH("mode = \"interface\";"),
        VIP_WITH("mac = \"02:bf:c0:00:02:02\";"),
        VIP_WITH("select = \"hash\";"),
        VIP_WITH("orphans = \"drop\";"),
        BASE "vips = (" VIP4 ", { address = \"2001:db8::1\"; interface = \"eth0\"; } );",
    };
    enum { SAME = sizeof(same) / sizeof(same[0]), OTHER = sizeof(other) / sizeof(other[0]) };
    uint64_t digest = digest_of(BASE "vips = (" VIP4 ");"), seen[OTHER];

    (void)state;
    /* The same on every architecture, and from version to version. */
    assert_int_equal(digest, UINT64_C(0x0));
    for (size_t i = 0; i < SAME; i++)
        assert_int_equal(digest_of(same[i]), digest);
    for (size_t i = 0; i < OTHER; i++) {
        seen[i] = digest_of(other[i]);
        assert_int_not_equal(seen[i], digest);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(seen[i], seen[j]);
    }
    /* The order in the file does not matter. */
    assert_int_equal(
        digest_of(BASE "vips = ({ address = \"2001:db8::1\"; interface = \"a\"; }," VIP4 ");"),
        seen[OTHER - 1]);
}

static void test_reload(void **state)
{
    static const char *const possible[] = {
        NODE_WITH("weight = 3; stop_drain = \"5s\"; name = \"a\";"),
        NODE_WITH("name = \"a\";") "vips = (" VIP4 ");",
        BEAT_WITH("interval = \"50ms\"; dead_after = \"300ms\";") "node = { name = \"a\"; };",
        CLUSTER_WITH("forget_after = \"2h\";") "node = { name = \"a\"; };",
    };
    static const struct {
        const char *text, *names;
    } refused[] = {
        {"cluster = { name = \"w\"; key_file = \"/k\"; };" BEAT, "cluster.name"},
        {CLUSTER_WITH("buckets = 512;"), "cluster.buckets"},
        {NODE_WITH("name = \"b\";"), "node.name"},
        {NODE_WITH("state_dir = \"/s\";"), "node.state_dir"},
        {CLUSTER "heartbeat = { interface = [ \"eth0\", \"eth1\" ]; };", "heartbeat.interface"},
        {CLUSTER "heartbeat = { interface = \"eth1\"; };", "heartbeat.interface"},
        {BEAT_WITH("port = 5;"), "heartbeat.port"},
        {BEAT_WITH("group = \"239.0.0.1\";"), "heartbeat.group"},
        {BEAT_WITH("group = \"239.255.77.42\"; peers = \"192.0.2.7\";"), "heartbeat.peers"},
        {BEAT_WITH("realtime = false;"), "heartbeat.realtime"},
        {BASE "control = { socket = \"/s\"; };", "control.socket"},
        {BASE "control = { group = \"wheel\"; };", "control.group"},
    };
    struct config was;

    (void)state;
    assert_int_equal(parse(NODE_WITH("name = \"a\";")), 0);
    was = config;
    assert_null(conf_reload_obstacle(&was, &config));
    for (size_t i = 0; i < sizeof(possible) / sizeof(possible[0]); i++) {
        assert_int_equal(parse(possible[i]), 0);
        assert_null(conf_reload_obstacle(&was, &config));
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        const char *obstacle;

        assert_int_equal(parse(refused[i].text), 0);
        if (strcmp(refused[i].names, "node.name") != 0)
            strcpy(config.node, "a");
        obstacle = conf_reload_obstacle(&was, &config);
        assert_non_null(obstacle);
        assert_non_null(strstr(obstacle, refused[i].names));
    }
    config = was;
    config.key[31] ^= 1;
    assert_non_null(strstr(conf_reload_obstacle(&was, &config), "cluster.key_file"));
}

static void test_node(void **state)
{
    struct node_config n;

    (void)state;
    assert_int_equal(parse(CLUSTER "node = { name = \"web1\"; weight = 5; stop_drain = \"7s\"; };"
                           BEAT "vips = ( " VIP4 ", { address = \"2001:db8::1\"; interface = \"a\";"
                           "orphan_after = \"3s\"; } );"), 0);
    memset(config.key, 0x42, sizeof(config.key));
    conf_node(&config, &n);
    assert_string_equal(n.cluster, "web");
    assert_string_equal(n.name, "web1");
    assert_memory_equal(n.key, config.key, KEY_BYTES);
    assert_int_equal(n.buckets, 256);
    assert_int_equal(n.weight, 5);
    assert_int_equal(n.datagram_max, DATAGRAM_MAX);
    assert_int_equal(n.interval, config.interval);
    assert_int_equal(n.dead_after, config.dead_after);
    assert_int_equal(n.lease, config.lease);
    assert_int_equal(n.orphan_after, 3 * USEC_PER_S);
    assert_int_equal(n.stop_drain, 7 * USEC_PER_S);
    assert_int_equal(n.forget_after, config.forget_after);
    assert_int_equal(n.config_digest, config.digest);
    assert_int_equal(n.address.family, FAMILY_NONE);
}

/* The small grammars. */

static void test_values(void **state)
{
    static const struct {
        const char *text;
        usec d; /* -1: refused */
    } durations[] = {
        {"0s", 0}, {"100ms", 100000}, {"1s", 1000000}, {"2m", 120000000}, {"24h", 86400000000},
        {"007s", 7000000}, {"", -1}, {"s", -1}, {"1", -1}, {"1 s", -1}, {" 1s", -1}, {"1S", -1},
        {"-1s", -1}, {"+1s", -1}, {"1.5s", -1}, {"1m30s", -1}, {"1us", -1}, {"99999999999h", -1},
        {"18446744073709551617ms", -1},
    };
    static const struct {
        const char *text;
        int prefix; /* -1: refused */
        bool host;
    } addresses[] = {
        {"192.0.2.1/24", 24, true}, {"192.0.2.1", 32, true}, {"192.0.2.1/0", 0, true},
        {"192.0.2.1/32", 32, true}, {"2001:db8::1/128", 128, true}, {"2001:db8::1", 128, true},
        {"127.0.0.1", 32, false}, {"0.0.0.0", 32, false}, {"255.255.255.255", 32, false},
        {"::", 128, false}, {"::1", 128, false}, {"fe80::1", 128, false},
        {"::ffff:192.0.2.1", 128, false}, {"ff02::1", 128, false}, {"fd00::1/64", 64, true},
        {"192.0.2.1/", -1, false}, {"192.0.2.1/33", -1, false}, {"192.0.2.1/24x", -1, false},
        {"192.0.2.1/-1", -1, false}, {"192.0.2.1/4294967320", -1, false}, {"192.0.2", -1, false},
        {"192.0.2.1/24/24", -1, false}, {"", -1, false}, {"/24", -1, false},
        {"2001:db8::1%eth0", -1, false}, {X63 X63, -1, false},
    };
    struct address a;
    char text[64];
    uint8_t prefix;
    usec d;

    (void)state;
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        assert_int_equal(duration_parse(durations[i].text, &d), durations[i].d >= 0);
        if (durations[i].d >= 0)
            assert_int_equal(d, durations[i].d);
    }
    assert_string_equal(duration_text(90 * USEC_PER_S, text), "90s");
    assert_string_equal(duration_text(3600 * USEC_PER_S, text), "1h");
    assert_string_equal(duration_text(22500, text), "22500us");
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        bool good = address_prefix_parse(addresses[i].text, &a, &prefix);
        assert_int_equal(good, addresses[i].prefix >= 0);
        if (good) {
            assert_int_equal(prefix, addresses[i].prefix);
            assert_int_equal(address_host(&a), addresses[i].host);
        }
    }
}

static void test_macs(void **state)
{
    struct address a;
    struct mac m, again;
    char text[18];

    (void)state;
    assert_true(mac_parse("02:bF:c0:A8:00:02", &m));
    assert_string_equal(mac_text(&m, text), "02:bf:c0:a8:00:02");
    assert_true(address_parse("192.168.0.2", &a));
    again = vip_auto_mac(&a);
    assert_true(mac_equal(&m, &again));
    assert_true(address_parse("2001:db8::1", &a));
    m = vip_auto_mac(&a);
    assert_string_equal(mac_text(&m, text), "02:bf:??");
    assert_false(mac_parse("02:bf:c0:a8:00:02:", &m));
    assert_false(mac_parse("02:bf:c0:a8:00:0", &m));
    assert_false(mac_parse("02-bf-c0-a8-00-02", &m));
    assert_false(mac_parse("02:bf:c0:a8:00:0g", &m));
    assert_false(mac_parse("", &m));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),      cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_all_keys),    cmocka_unit_test(test_limits),
        cmocka_unit_test(test_counts),      cmocka_unit_test(test_many_faults),
        cmocka_unit_test(test_key_file),    cmocka_unit_test(test_include),
        cmocka_unit_test(test_bad_files),   cmocka_unit_test(test_example),
        cmocka_unit_test(test_digest),      cmocka_unit_test(test_reload),
        cmocka_unit_test(test_node),        cmocka_unit_test(test_values),
        cmocka_unit_test(test_macs),
    };

    return cmocka_run_group_tests(tests, directory_make, directory_remove);
}
