/*
 * Sound configurations: defaults, every key set, both ends of every range.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf_told.h"
#include "io/conf_schema.h"
#include "io/conf_source.h"
#include "io/conf_value.h"

enum { TEXT_MAX = 8192 };

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
    assert_string_equal(config.key_file_next, "");
    assert_int_equal(config.quorum, QUORUM_NONE);
    assert_int_equal(config.founders, 0);
    assert_int_equal(config.witness.family, FAMILY_NONE);
    assert_int_equal(config.forget_after, 24 * 3600 * USEC_PER_S);
    assert_int_equal(config.flap.penalty, 1000);
    assert_int_equal(config.flap.suppress, 3000);
    assert_int_equal(config.flap.reuse, 1000);
    assert_int_equal(config.flap.half_life, 60 * USEC_PER_S);
    assert_int_equal(config.flap.max_hold, 600 * USEC_PER_S);
    assert_string_equal(config.node, host);
    assert_int_equal(config.weight, 100);
    assert_int_equal(config.stop_drain, 0);
    assert_int_equal(config.mark, 0x70000);
    assert_int_equal(config.xdp, XDP_MODE_OFF);
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
    assert_int_equal(config.vip[0].affinity, AFFINITY_ADDRESS);
    assert_true(config.vip[0].early_drop);
    assert_int_equal(config.vip[0].orphans, ORPHANS_RESET);
    assert_int_equal(config.vip[0].orphan_after, USEC_PER_S);
    assert_string_equal(config.control_socket, "/run/ipclusterd/control.sock");
    assert_string_equal(config.control_group, "ipclusterd");
}

/* In their own order, whatever the file's. */
static void check_services(const struct vip_config *v)
{
    static const struct service_config wanted[] = {
        {SERVICE_TCP, 0, {0}, POLICY_BALANCE, 0},
        {SERVICE_TCP, 2, {80, 443}, POLICY_BALANCE, 0},
        {SERVICE_UDP, 1, {53}, POLICY_CLOSED, 0},
        {SERVICE_ANY, 0, {0}, POLICY_SINGLE, 0},
    };

    assert_int_equal(v->services, sizeof(wanted) / sizeof(wanted[0]));
    for (size_t i = 0; i < v->services; i++) {
        assert_int_equal(v->service[i].protocol, wanted[i].protocol);
        assert_int_equal(v->service[i].policy, wanted[i].policy);
        assert_int_equal(v->service[i].ports, wanted[i].ports);
        assert_memory_equal(v->service[i].port, wanted[i].port, sizeof(wanted[i].port));
        assert_true(v->service[i].bucket < 4096);
    }
    /* Made of the address and the service alone, on every architecture. */
    assert_int_equal(v->service[2].bucket, 0xda1);
}

static void test_all_keys(void **state)
{
    static const char text[] =
        "cluster : { name = \"" X63 "\"; key_file = \"/k\"; key_file_next = \"/n\";\n"
        " buckets = 4096; quorum = \"majority\"; members = [ \"web1\", \"" X63 "\" ];\n"
        " forget_after = \"2m\"; };\n"
        "node = { name = \"web1\"; weight = 0; stop_drain = \"90s\"; mark = 0x7ffffffe;\n "
        "xdp = \"native\"; state_dir = \"/tmp/s\"; };\n"
        "heartbeat = { interface = [ \"a\", \"b\" ]; port = 1; group = \"ff05::77\";\n"
        " peers = ( \"192.0.2.5\", \"2001:db8::5\" ); interval = \"20ms\"; dead_after = \"80ms\";\n"
        " lease = \"50ms\"; realtime = false; };\n"
        "flap = { penalty = 70000; suppress = 140000; reuse = 69999; half_life = \"1s\";\n"
        " max_hold = \"90s\"; };\n"
        "vips = ( { address = \"2001:db8::1\"; interface = \"b\"; mode = \"interface\";\n"
        "  mac = \"02:bf:00:AA:00:01\"; mask_source_mac = false; select = \"hash\";\n"
        "  affinity = \"flow\"; early_drop = false; orphans = \"drop\";\n"
        "  services = ( { protocol = \"udp\"; ports = 53; policy = \"closed\"; },\n"
        "   { protocol = \"any\"; policy = \"single\"; }, { protocol = \"tcp\";\n"
        "   ports = [ 443, 80 ]; }, { protocol = \"tcp\"; policy = \"balance\"; } );\n"
        "  orphan_after = \"0s\"; } );\n"
        "control = { socket = \"/s\"; group = \"\"; };\n";
    static const struct mac mac = {{0x02, 0xbf, 0x00, 0xaa, 0x00, 0x01}};
    char address[64];

    (void)state;
    assert_int_equal(parse(text), 0);
    assert_string_equal(config.cluster, X63);
    assert_string_equal(config.key_file_next, "/n");
    assert_int_equal(config.buckets, 4096);
    assert_int_equal(config.quorum, QUORUM_MAJORITY);
    assert_int_equal(config.founders, 2);
    assert_string_equal(config.founder[0], "web1");
    assert_string_equal(config.founder[1], X63);
    assert_int_equal(config.flap.penalty, 70000);
    assert_int_equal(config.flap.suppress, 140000);
    assert_int_equal(config.flap.reuse, 69999);
    assert_int_equal(config.flap.half_life, USEC_PER_S);
    assert_int_equal(config.flap.max_hold, 90 * USEC_PER_S);
    assert_int_equal(config.forget_after, 120 * USEC_PER_S);
    assert_string_equal(config.node, "web1");
    assert_int_equal(config.weight, 0);
    assert_int_equal(config.stop_drain, 90 * USEC_PER_S);
    assert_int_equal(config.mark, 0x7ffffffe);
    assert_int_equal(config.xdp, XDP_MODE_NATIVE);
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
    assert_int_equal(config.vip[0].affinity, AFFINITY_FLOW);
    assert_false(config.vip[0].early_drop);
    assert_int_equal(config.vip[0].orphans, ORPHANS_DROP);
    assert_int_equal(config.vip[0].orphan_after, 0);
    check_services(&config.vip[0]);
    assert_string_equal(config.control_group, "");

    assert_int_equal(parse(CLUSTER_WITH("witness = \"2001:db8::fe\"; quorum = \"none\";")), 0);
    assert_string_equal(address_text(&config.witness, address, sizeof(address)), "2001:db8::fe");
    assert_int_equal(parse(CLUSTER_WITH("quorum = \"majority\"; members = \"one\";")), 0);
    assert_int_equal(config.founders, 1);
    assert_int_equal(parse(CLUSTER_WITH("quorum = \"majority\";")), 0);
    assert_int_equal(config.founders, 0);

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
        snprintf(text, TEXT_MAX,
                 BASE "vips = ( { address = \"192.0.2.1\"; interface = \"a\"; %s } );", set);
    else if (cluster || beat)
        snprintf(text, TEXT_MAX,
                 "cluster = { name = \"web\"; key_file = \"/k\"; %s };\n"
                 "heartbeat = { interface = \"eth0\"; %s };\n",
                 cluster ? set : "", beat ? set : "");
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
    assert_true(tested >= 48);
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
            n += snprintf(text + n, sizeof(text) - (size_t)n, "%s\"10.0.%d.%d\"", i > 0 ? "," : "",
                          i / 256, i % 256);
        snprintf(text + n, sizeof(text) - (size_t)n, "]; };");
        assert_int_equal(parse(text), more);
        assert_true(more == 0 || told_has("heartbeat.peers[256]: more than 256 peers"));
        assert_true(more > 0 || config.peers == PEERS_MAX);

        n = snprintf(text, sizeof(text),
                     "cluster = { name = \"web\"; key_file = \"/k\"; quorum = \"majority\"; "
                     "members = [");
        for (int i = 0; i < MEMBERS_MAX + more; i++)
            n += snprintf(text + n, sizeof(text) - (size_t)n, "%s\"node%d\"", i > 0 ? "," : "", i);
        snprintf(text + n, sizeof(text) - (size_t)n, "]; };" BEAT);
        assert_int_equal(parse(text), more);
        assert_true(more == 0 || told_has("cluster.members[256]: more than 256 nodes"));
        assert_int_equal(config.founders, MEMBERS_MAX);
        assert_string_equal(config.founder[255], "node255");
    }
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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),    cmocka_unit_test(test_all_keys),
        cmocka_unit_test(test_limits),      cmocka_unit_test(test_counts),
        cmocka_unit_test(test_many_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
