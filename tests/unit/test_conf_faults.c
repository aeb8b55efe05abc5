/*
 * Faulty configurations, each with the faults that must be told for it, and no
 * others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "conf_told.h"

/* clang-format off */
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
    {BASE "@include \"x", {"F:3: @include is not possible here"}},
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
     {"F:3: node.stop_drain: must be a duration in quotes with a unit (ms, s, m, h), as in "
      "\"0s\""}},
    {NODE_WITH("mark = \"0x30000\";"), {"F:3: node.mark: must be a whole number"}},
    {NODE_WITH("mark = 2;"), {"F:3: node.mark: out of range; 0x3..0x7ffffffe"}},
    {NODE_WITH("mark = 0x40000;"),
     {"F:3: node.mark: 0x40000 has one bit; two are needed, as in 0x30000"}},
    {NODE_WITH("mark = 0x7fffffff;"), {"F:3: node.mark: out of range; 0x3..0x7ffffffe"}},
    {NODE_WITH("mark = 0xffff0000;"), {"F:3: node.mark: out of range; 0x3..0x7ffffffe"}},
    {NODE_WITH("xdp = true;"), {"F:3: node.xdp: must be a text in quotes"}},
    {NODE_WITH("xdp = \"hardware\";"),
     {"F:3: node.xdp: \"hardware\" is not known; available: \"off\", \"native\", \"generic\""}},
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
    {CLUSTER_WITH("forget_after = \"1d\";"),
     {"F:2: cluster.forget_after: \"1d\" is not a duration"}},
    {NODE_WITH("name = \"\";"), {"F:3: node.name: must not be empty"}},
    {NODE_WITH("name = \"a b\";"), {"F:3: node.name: \"a b\" is no name"}},
    {NODE_WITH("name = \"a\n\033[1m\";"), {"F:3: node.name: \"a??[1m\" is no name"}},
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
    {CLUSTER "heartbeat = { interface = "
             "[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]; };",
     {"F:2: heartbeat.interface[8]: more than 8 interfaces"}},
    {BEAT_WITH("group = \"192.0.2.1\";"), {"F:3: heartbeat.group: 192.0.2.1 is not a multicast"}},
    {BEAT_WITH("group = \"\";"), {"F:3: heartbeat.group: \"\" is not an IPv4 or IPv6 address"}},
    {BEAT_WITH("peers = [ \"192.0.2.1\", \"192.0.2.1\" ];"),
     {"F:3: heartbeat.peers[1]: 192.0.2.1 is listed twice"}},
    {BEAT_WITH("peers = \"ff02::1\";"), {"F:3: heartbeat.peers: ff02::1 is not the address of a"}},
    {VIP_WITH("mac = \"03:bf:00:00:00:01\";"),
     {"F:4: vips[0].mac: 03:bf:00:00:00:01 is a multicast MAC address"}},
    {VIP_WITH("mac = \"00:00:00:00:00:00\";"),
     {"F:4: vips[0].mac: \"00:00:00:00:00:00\" is no MAC"}},
    {VIP_WITH("mac = \"2:bf:0:0:0:1\";"), {"F:4: vips[0].mac: \"2:bf:0:0:0:1\" is no MAC address"}},
    {CLUSTER_WITH("buckets = 4096;") "vips = ({ address = \"192.0.2.1\"; interface = \"a\"; },"
                                     " { address = \"192.0.2.2\"; interface = \"a\"; },"
                                     " { address = \"192.0.2.3\"; interface = \"a\"; },"
                                     " { address = \"192.0.2.4\"; interface = \"a\"; },"
                                     " { address = \"192.0.2.5\"; interface = \"a\"; });",
     {"F:2: cluster.buckets: 4096 buckets for each of 5 virtual addresses are more than 16384"}},
    {CLUSTER_WITH("buckets = 4096;") "vips = ({ address = \"192.0.2.1\"; interface = \"a\"; },"
                                     " { address = \"192.0.2.2\"; interface = \"a\"; },"
                                     " { address = \"192.0.2.3\"; interface = \"a\";"
                                     "   affinity = \"flow\"; },"
                                     " { address = \"192.0.2.4\"; interface = \"a\"; });",
     {"F:2: cluster.buckets: 4096 buckets for each of 4 virtual addresses, twice for select "
      "\"mask\" with affinity \"flow\", are more than 16384"}},
    {VIP_WITH("mode = \"hub\";"),
     {"F:4: vips[0].mode: \"hub\" is not known; available: \"shared\", \"interface\""}},
    {BASE "vips = ({ address = \"192.0.2.1/33\"; interface = \"a\"; });",
     {"F:3: vips[0].address: \"192.0.2.1/33\" is not an address with a prefix length"}},
    {BASE "vips = ({ address = \"2001:db8::1/129\"; interface = \"a\"; });",
     {"F:3: vips[0].address: \"2001:db8::1/129\" is not an address with a prefix length"}},
    {BASE "vips = ({ address = \"224.0.0.1/24\"; interface = \"a\"; });",
     {"F:3: vips[0].address: 224.0.0.1/24 is not an address that a host can have"}},

    {CLUSTER_WITH("key_file_next = \"n\";"),
     {"F:2: cluster.key_file_next: \"n\" is not an absolute path"}},
    {CLUSTER_WITH("key_file_next = \"\";"), {"F:2: cluster.key_file_next: must not be empty"}},
    {CLUSTER_WITH("quorum = \"all\";"),
     {"F:2: cluster.quorum: \"all\" is not known; available: \"none\", \"majority\""}},
    {CLUSTER_WITH("quorum = \"majority\";\nmembers = [ \"web1\", \"web 2\" ];"),
     {"F:3: cluster.members[1]: \"web 2\" is no name of a node"}},
    {CLUSTER_WITH("quorum = \"majority\";\nmembers = [ \"web1\", \"\" ];"),
     {"F:3: cluster.members[1]: \"\" is no name of a node"}},
    {CLUSTER_WITH("quorum = \"majority\";\nmembers = [ \"" X63 "x\" ];"),
     {"F:3: cluster.members[0]: \"" X63 "x\" is no name of a node"}},
    {CLUSTER_WITH("quorum = \"majority\";\nmembers = [ \"a\", \"b\", \"a\" ];"),
     {"F:3: cluster.members[2]: \"a\" is listed twice"}},
    {CLUSTER_WITH("quorum = \"majority\"; members = [];"),
     {"F:2: cluster.members: must not be empty"}},
    {CLUSTER_WITH("quorum = \"majority\"; members = 3;"),
     {"F:2: cluster.members: must be a text in quotes, or a list"}},
    {CLUSTER_WITH("witness = \"gateway\";"),
     {"F:2: cluster.witness: \"gateway\" is not an IPv4 or IPv6 address"}},
    {CLUSTER_WITH("witness = \"224.0.0.1\";"),
     {"F:2: cluster.witness: 224.0.0.1 is not the address of a host"}},
    {CLUSTER_WITH("witness = \"fe80::1\";"),
     {"F:2: cluster.witness: fe80::1 is not the address of a host"}},
    {BASE "flap = { penalty = 1000001; };",
     {"F:3: flap.penalty: 1000001 is out of range; 0..1000000"}},
    {BASE "flap = { penalty = -1; };", {"F:3: flap.penalty: -1 is out of range"}},
    {BASE "flap = { reuse = 0; };", {"F:3: flap.reuse: 0 is out of range; 1..999999"}},
    {BASE "flap = { half_live = \"1s\"; };",
     {"F:3: flap.half_live: unknown key; did you mean \"half_life\"?"}},
    {BASE "flap = ();", {"F:3: flap: must be a group"}},

    /* Keys together. */
    {CLUSTER_WITH("members = [ \"web1\" ];"),
     {"F:2: cluster.members: names the first voters of quorum = \"majority\"; set that, or remove "
      "this"}},
    {CLUSTER_WITH("quorum = \"majority\";\nwitness = \"192.0.2.254\";"),
     {"F:3: cluster.witness: a witness has no voice in a majority"}},
    /* Two names whose hashes begin alike. */
    {CLUSTER_WITH("quorum = \"majority\";\nmembers = [ \"web155882\", \"x\", \"web177999\" ];"),
     {"F:3: cluster.members[2]: cannot be in one cluster with \"web155882\"; rename one of them"}},
    {CLUSTER_WITH("witness = \"192.0.2.1\";") "vips = (" VIP4 ");",
     {"F:2: cluster.witness: is the virtual address vips[0]; name a host beyond the cluster"}},
    {"cluster = { name = \"web\"; key_file = \"/k\"; witness = \"192.0.2.7\"; };\n"
     "heartbeat = { interface = \"a\"; peers = [ \"192.0.2.6\", \"192.0.2.7\" ]; };",
     {"F:1: cluster.witness: is heartbeat.peers[1]; name a host beyond the cluster"}},
    {BASE "flap = { suppress = 1000;\n };",
     {"F:3: flap.reuse: 1000 is not less than suppress (1000)"}},
    {BASE "flap = { suppress = 2;\n reuse = 3; };",
     {"F:4: flap.reuse: 3 is not less than suppress (2)"}},
    {BASE "flap = { suppress = 1;\n reuse = 3; };", {"F:3: flap.suppress: 1 is out of range"}},
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

    {VIP_WITH("affinity = \"port\";"),
     {"F:4: vips[0].affinity: \"port\" is not known; available: \"address\", \"network\", "
      "\"flow\""}},

    /* Services. */
    {VIP_WITH("services = { protocol = \"tcp\"; };"),
     {"F:4: vips[0].services: must be a list of groups"}},
    {VIP_WITH("services = ( \"tcp\" );"), {"F:4: vips[0].services[0]: must be a group"}},
    {VIP_WITH("services = ( { ports = 80; } );"),
     {"F:4: vips[0].services[0].protocol: is required"}},
    {VIP_WITH("services = ( { protocol = \"gre\"; } );"),
     {"F:4: vips[0].services[0].protocol: \"gre\" is not known; available: \"tcp\", \"udp\", "
      "\"sctp\", \"any\""}},
    {VIP_WITH("services = ( { protocol = \"tcp\"; policy = \"open\"; } );"),
     {"F:4: vips[0].services[0].policy: \"open\" is not known; available: \"balance\", "
      "\"single\", \"closed\""}},
    {VIP_WITH("services = ( { protocol = \"tcp\"; port = 80; } );"),
     {"F:4: vips[0].services[0].port: unknown key; did you mean \"ports\"?"}},
    {VIP_WITH("services = ( { protocol = \"tcp\"; ports = 0; },\n"
              "{ protocol = \"udp\"; ports = [ 1, 65536, 1 ]; } );"),
     {"F:4: vips[0].services[0].ports: 0 is no port; 1..65535",
      "F:5: vips[0].services[1].ports[1]: 65536 is no port; 1..65535",
      "F:5: vips[0].services[1].ports[2]: 1 is listed twice"}},
    {VIP_WITH("services = ( { protocol = \"tcp\"; ports = \"http\"; } );"),
     {"F:4: vips[0].services[0].ports: must be a whole number, or a list of them"}},
    {VIP_WITH("services = ( { protocol = \"tcp\"; ports = [ \"http\" ]; } );"),
     {"F:4: vips[0].services[0].ports[0]: must be a whole number"}},
    {VIP_WITH("services = ( { protocol = \"tcp\"; ports = []; } );"),
     {"F:4: vips[0].services[0].ports: must not be empty"}},
    {VIP_WITH("services = ( { protocol = \"any\"; ports = 80; } );"),
     {"F:4: vips[0].services[0].ports: not every protocol has ports; name one, or remove these"}},
    {VIP_WITH("services = ( { protocol = \"tcp\"; ports = [ 80, 81 ]; },\n"
              "{ protocol = \"udp\"; ports = 80; },\n"
              "{ protocol = \"tcp\"; ports = [ 82, 81 ]; } );"),
     {"F:6: vips[0].services[2].ports: tcp port 81 is in services[0], too"}},
    {VIP_WITH("services = ( { protocol = \"any\"; },\n{ protocol = \"any\"; } );"),
     {"F:5: vips[0].services[1]: all of any is services[0], too"}},

    /* Not in this version. */
    {VIP_WITH("mode = \"macvlan\";"),
     {"F:4: vips[0].mode: \"macvlan\" is " LATER "; available: \"shared\", \"interface\""}},
    {VIP_WITH("mode = \"multicast\";"), {"F:4: vips[0].mode: \"multicast\" is " LATER}},
    {VIP_WITH("mode = \"igmp\";"), {"F:4: vips[0].mode: \"igmp\" is " LATER}},
    {VIP_WITH("mode = \"dispatch\";"), {"F:4: vips[0].mode: \"dispatch\" is " LATER}},
    {BASE "health = ();", {"F:3: health: " LATER}},
    {BASE "multipath = ();", {"F:3: multipath: " LATER}},
    {BASE "hooks = { notify = \"/x\"; };", {"F:3: hooks: " LATER}},
    {BASE "control = { http = \"127.0.0.1:9742\"; };", {"F:3: control.http: " LATER}},

    /* All at once. */
    {"cluster = {\n buckets = 15;\n};\nheartbeat = {\n port = 0;\n};\nvips = (\n {},\n 1 );",
     {"F:2: cluster.buckets: 15", "F:1: cluster.name", "F:1: cluster.key_file",
      "F:5: heartbeat.port: 0 is out", "F:4: heartbeat.interface", "F:8: vips[0].address"}},
};
/* clang-format on */

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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
