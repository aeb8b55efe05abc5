/*
 * What the members compare, what a running daemon may take over, and what the
 * core is told of a configuration.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "conf_told.h"
#include "ipclusterd/seal.h"
#include "ipclusterd/wire.h"

#define MAJORITY(s) CLUSTER_WITH("quorum = \"majority\"; " s)
#define FLAP(s) BASE "flap = { " s " };\n"
#define VIPS "vips = (" VIP4 ");"

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
        VIP_WITH("affinity = \"network\";"),
        VIP_WITH("services = ( { protocol = \"tcp\"; } );"),
        VIP_WITH("services = ( { protocol = \"udp\"; } );"),
        VIP_WITH("services = ( { protocol = \"tcp\"; ports = 80; } );"),
        VIP_WITH("services = ( { protocol = \"tcp\"; ports = [ 80, 81 ]; } );"),
        VIP_WITH("services = ( { protocol = \"tcp\"; policy = \"single\"; } );"),
        VIP_WITH("affinity = \"flow\";"),
        VIP_WITH("orphans = \"drop\";"),
        BASE "vips = (" VIP4 ", { address = \"2001:db8::1\"; interface = \"eth0\"; } );",
    };
    enum { SAME = sizeof(same) / sizeof(same[0]), OTHER = sizeof(other) / sizeof(other[0]) };
    uint64_t digest = digest_of(BASE "vips = (" VIP4 ");"), seen[OTHER];

    (void)state;
    /* The same on every architecture, and from version to version. */
    assert_int_equal(digest, UINT64_C(0xcea989712ee64e42));
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

/* What only the present version knows. */
static void test_digest_of_new_keys(void **state)
{
    static const char *const same[] = {
        CLUSTER_WITH("quorum = \"none\"; key_file_next = \"/n\";") VIPS,
        CLUSTER_WITH("witness = \"192.0.2.254\";") VIPS,
        FLAP("penalty = 1000; suppress = 3000; reuse = 1000; half_life = \"1m\"; "
             "max_hold = \"600s\";") VIPS,
        FLAP("") VIPS,
    };
    static const char *const other[] = {
        MAJORITY("") VIPS,
        MAJORITY("members = [ \"a\", \"b\" ];") VIPS,
        MAJORITY("members = [ \"ab\" ];") VIPS,
        MAJORITY("members = [ \"a\", \"c\" ];") VIPS,
        FLAP("penalty = 999;") VIPS,
        FLAP("suppress = 3001;") VIPS,
        FLAP("reuse = 999;") VIPS,
        FLAP("half_life = \"61s\";") VIPS,
        FLAP("max_hold = \"9m\";") VIPS,
    };
    enum { SAME = sizeof(same) / sizeof(same[0]), OTHER = sizeof(other) / sizeof(other[0]) };
    uint64_t digest = digest_of(BASE VIPS), seen[OTHER];

    (void)state;
    for (size_t i = 0; i < SAME; i++)
        assert_int_equal(digest_of(same[i]), digest);
    for (size_t i = 0; i < OTHER; i++) {
        seen[i] = digest_of(other[i]);
        assert_int_not_equal(seen[i], digest);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(seen[i], seen[j]);
    }
    assert_int_equal(digest_of(MAJORITY("members = [ \"b\", \"a\" ];") VIPS), seen[1]);
    /* The same on every architecture, and from version to version. */
    assert_int_equal(seen[1], UINT64_C(0xa3adaa245490c33f));
    assert_int_equal(seen[4], UINT64_C(0xd91ed0ff9336d494));
}

#define PART(p) (1u << PART_##p)

/* Which hashes differ from those of `was`. */
static unsigned parts_of(const uint32_t was[CONFIG_PARTS])
{
    unsigned parts = 0;

    for (unsigned i = 0; i < CONFIG_PARTS; i++) {
        assert_int_equal(config.part[i] != 0, i < PART_MAX);
        if (config.part[i] != was[i])
            parts |= 1u << i;
    }
    return parts;
}

/* A difference is told as what it is, and every one that there can be. */
static void test_parts(void **state)
{
    static const struct {
        const char *text;
        unsigned parts;
    } cases[] = {
        {NODE_WITH("weight = 3;") VIPS, 0},
        {BASE "vips = ({ address = \"192.0.2.1/24\"; interface = \"other\"; });", 0},
        {CLUSTER_WITH("buckets = 512;") VIPS, PART(BUCKETS)},
        {BEAT_WITH("dead_after = \"500ms\"; lease = \"300ms\";") VIPS, PART(TIMING)},
        {BEAT_WITH("lease = \"299ms\";") VIPS, PART(TIMING)},
        {BASE, PART(VIPS)},
        {BASE "vips = (" VIP4 ", { address = \"2001:db8::1\"; interface = \"a\"; });", PART(VIPS)},
        {BASE "vips = ({ address = \"192.0.2.1/25\"; interface = \"eth0\"; });", PART(VIPS)},
        {VIP_WITH("mode = \"interface\";"), PART(VIPS)},
        {VIP_WITH("mac = \"02:bf:c0:00:02:02\";"), PART(VIPS)},
        {VIP_WITH("select = \"hash\";"), PART(SELECT)},
        {VIP_WITH("affinity = \"network\";"), PART(SELECT)},
        {VIP_WITH("services = ( { protocol = \"tcp\"; policy = \"closed\"; } );"), PART(SELECT)},
        {VIP_WITH("affinity = \"flow\";"), PART(SELECT)},
        {VIP_WITH("orphans = \"drop\";"), PART(SELECT)},
        {MAJORITY("") VIPS, PART(QUORUM)},
        {MAJORITY("members = \"a\";") VIPS, PART(QUORUM)},
        {FLAP("reuse = 999;") VIPS, PART(FLAP)},
        {"cluster = { name = \"web\"; key_file = \"/k\"; buckets = 16; quorum = \"majority\"; };"
         "heartbeat = { interface = \"a\"; dead_after = \"4s\"; };"
         "vips = ({ address = \"192.0.2.9\"; interface = \"a\"; select = \"hash\"; });"
         "flap = { penalty = 1; };",
         PART(BUCKETS) | PART(TIMING) | PART(VIPS) | PART(SELECT) | PART(QUORUM) | PART(FLAP)},
    };
    uint64_t digest = digest_of(BASE VIPS);
    struct config was = config;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(digest_of(cases[i].text) != digest, cases[i].parts != 0);
        if (parts_of(was.part) != cases[i].parts)
            fail_msg("case %zu: 0x%x, not 0x%x", i, parts_of(was.part), cases[i].parts);
    }
    /* The order of services, and of their ports, does not count. */
    assert_int_equal(digest_of(VIP_WITH("services = ( { protocol = \"udp\"; ports = [ 2, 1 ]; },"
                                        " { protocol = \"tcp\"; } );")),
                     digest_of(VIP_WITH("services = ( { protocol = \"tcp\"; },"
                                        " { protocol = \"udp\"; ports = [ 1, 2 ]; } );")));
    /* Two VIPs that change places in select are no other VIPs. */
    digest =
        digest_of(BASE "vips = ({ address = \"192.0.2.1\"; interface = \"a\"; "
                       "select = \"hash\"; }, { address = \"192.0.2.2\"; interface = \"a\"; });");
    was = config;
    assert_int_not_equal(
        digest,
        digest_of(BASE "vips = ({ address = \"192.0.2.1\"; interface = \"a\"; }, "
                       "{ address = \"192.0.2.2\"; interface = \"a\"; select = \"hash\"; });"));
    assert_int_equal(parts_of(was.part), PART(SELECT));
}

/* VIPs may come and go, and be in any order; nothing else may differ. */
static void test_vips(void **state)
{
#define VIP6 "{ address = \"2001:db8::1\"; interface = \"a\"; select = \"hash\"; }"
    static const struct {
        const char *text;
        bool fits, selects; /* as before, and in the same way */
    } cases[] = {
        {NODE_WITH("weight = 3;") VIPS, true, true},
        {BASE
         "vips = ({ address = \"192.0.2.1/24\"; interface = \"other\"; early_drop = false; });",
         true, true},
        {BASE, true, true},
        {BASE "vips = (" VIP4 "," VIP6 ");", true, true},
        {BASE "vips = (" VIP6 "," VIP4 ");", true, true},
        {BASE "vips = (" VIP6 ");", true, true},
        {CLUSTER_WITH("buckets = 512;") VIPS, false, true},
        {BEAT_WITH("dead_after = \"500ms\"; lease = \"300ms\";") VIPS, false, true},
        {BEAT_WITH("lease = \"299ms\";") VIPS, false, true},
        {MAJORITY("") VIPS, false, true},
        {FLAP("reuse = 999;") VIPS, false, true},
        {BASE "vips = ({ address = \"192.0.2.1/25\"; interface = \"eth0\"; });", false, true},
        {VIP_WITH("mode = \"interface\";"), false, true},
        {VIP_WITH("mac = \"02:bf:c0:00:02:02\";"), false, true},
        {VIP_WITH("orphans = \"drop\";"), false, true},
        {VIP_WITH("select = \"hash\";"), false, false},
        {VIP_WITH("affinity = \"network\";"), false, false},
        {VIP_WITH("services = ( { protocol = \"tcp\"; policy = \"closed\"; } );"), false, false},
    };
    struct config was;

    (void)state;
    digest_of(BASE VIPS);
    was = config;
    assert_int_equal(was.vips_word.count, 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        digest_of(cases[i].text);
        assert_int_equal(config.vips_word.count, config.vips);
        if (vips_fit(&was.vips_word, &config.vips_word) != cases[i].fits ||
            vips_fit(&was.selection, &config.selection) != cases[i].selects)
            fail_msg("case %zu", i);
    }
    digest_of(BASE "vips = (" VIP4 "," VIP6 ");");
    was = config;
    digest_of(BASE "vips = (" VIP6 "," VIP4 ");");
    assert_memory_equal(&was.vips_word, &config.vips_word, sizeof(was.vips_word));
    /* Nodes of different builds compare these. */
    assert_int_equal(config.vips_word.common, UINT64_C(0xe16e5cdecd9455e1));
    assert_int_equal(config.vips_word.vip[0].address, 0x6f2b953c);
    assert_int_equal(config.vips_word.vip[0].rest, 0xa67f6b4c);
}

static void test_part_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PART_MAX; i++) {
        assert_non_null(conf_part_name((enum config_part)i));
        assert_non_null(conf_part_keys((enum config_part)i));
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(conf_part_name((enum config_part)i),
                                    conf_part_name((enum config_part)j));
    }
    assert_string_equal(conf_part_name(PART_TIMING), "timing");
}

static void test_reload(void **state)
{
    static const char *const possible[] = {
        NODE_WITH("weight = 3; stop_drain = \"5s\"; name = \"a\";"),
        NODE_WITH("name = \"a\";") "vips = (" VIP4 ");",
        BEAT_WITH("interval = \"50ms\"; dead_after = \"300ms\";") "node = { name = \"a\"; };",
        CLUSTER_WITH("forget_after = \"2h\";") "node = { name = \"a\"; };",
        CLUSTER "heartbeat = { interface = [ \"eth0\", \"eth1\" ]; port = 5; };"
                "node = { name = \"a\"; };",
        CLUSTER_WITH(
            "key_file_next = \"/n\"; witness = \"192.0.2.254\";") "node = { name = \"a\"; }; flap "
                                                                  "= { penalty = 0; };",
        BEAT_WITH("group = \"239.0.0.1\"; peers = \"192.0.2.7\";") "node = { name = \"a\"; };",
    };
    static const struct {
        const char *text, *names;
    } refused[] = {
        {"cluster = { name = \"w\"; key_file = \"/k\"; };" BEAT, "cluster.name"},
        {CLUSTER_WITH("buckets = 512;"), "cluster.buckets"},
        {MAJORITY(""), "cluster.quorum"},
        {NODE_WITH("name = \"b\";"), "node.name"},
        {NODE_WITH("state_dir = \"/s\";"), "node.state_dir"},
        {NODE_WITH("name = \"a\"; xdp = \"generic\";"), "node.xdp"},
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
}

static void test_reload_of_founders(void **state)
{
    static const char *const texts[] = {
        MAJORITY("members = [ \"a\", \"c\" ];"),
        MAJORITY("members = [ \"a\" ];"),
        MAJORITY("members = [ \"a\", \"b\", \"c\" ];"),
        MAJORITY(""),
    };
    struct config was;

    (void)state;
    assert_int_equal(parse(MAJORITY("members = [ \"a\", \"b\" ];")), 0);
    was = config;
    assert_int_equal(parse(MAJORITY("members = [ \"b\", \"a\" ];")), 0);
    assert_null(conf_reload_obstacle(&was, &config));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(parse(texts[i]), 0);
        assert_non_null(strstr(conf_reload_obstacle(&was, &config), "cluster.members"));
    }
}

/* Keys by letter: '-' none. `was` and `is` are key and next key. */
static void keys_set(struct config *c, const char *keys)
{
    memset(c->key, keys[0], KEY_BYTES);
    memset(c->key_next, keys[1] == '-' ? 0 : keys[1], KEY_BYTES);
}

static void test_reload_of_keys(void **state)
{
    static const struct {
        const char *was, *is, *used; /* by the members */
        bool refused, lost;
    } cases[] = {
        {"A-", "A-", "A", false, false}, /* nothing */
        {"A-", "AB", "A", false, false}, /* a roll-over begins */
        {"AB", "A-", "A", false, false}, /* it is called off */
        {"AB", "AC", "A", false, false}, /* another next key */
        {"AB", "B-", "B", false, false}, /* it ends */
        {"AB", "BC", "B", false, false}, /* and the next begins */
        {"AB", "BA", "A", false, false}, /* turned round: both stay known */
        {"AB", "BB", "B", false, false}, /* over, and not tidied up */
        {"A-", "B-", "A", true, true},   /* never told before */
        {"A-", "BA", "A", true, false},  /* not in this order */
        {"AB", "C-", "B", true, true},   {"AB", "B-", "A", false, true}, /* too early */
        {"AB", "A-", "B", false, true},                                  /* too late */
        {"AB", "AC", "B", false, true},
    };
    struct config was;

    (void)state;
    assert_int_equal(parse(BASE), 0);
    was = config;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t used[KEY_BYTES];
        const char *refused, *lost;

        keys_set(&was, cases[i].was);
        keys_set(&config, cases[i].is);
        memset(used, cases[i].used[0], sizeof(used));
        refused = conf_reload_obstacle(&was, &config);
        lost = conf_key_obstacle(&config, seal_key_hash(used));
        if ((refused != NULL) != cases[i].refused || (lost != NULL) != cases[i].lost)
            fail_msg("%s to %s: %s; %s", cases[i].was, cases[i].is, refused ? refused : "possible",
                     lost ? lost : "kept");
        assert_true(refused == NULL || strstr(refused, "cluster.key_file_next on every node"));
        assert_true(lost == NULL || strstr(lost, "neither cluster.key_file nor"));
    }
    /* No next key is not the key of zeroes. */
    keys_set(&was, "A-");
    memset(config.key, 0, KEY_BYTES);
    assert_non_null(conf_reload_obstacle(&was, &config));
}

static void test_node(void **state)
{
    struct node_config n;

    (void)state;
    assert_int_equal(parse(CLUSTER
                           "node = { name = \"web1\"; weight = 5; stop_drain = \"7s\"; };" BEAT
                           "vips = ( " VIP4 ", { address = \"2001:db8::1\"; interface = \"a\";"
                           "orphan_after = \"3s\"; } );"),
                     0);
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
    assert_int_equal(n.quorum, QUORUM_NONE);
    assert_int_equal(n.founders, 0);
    assert_false(n.witness);
    assert_int_equal(n.key_next[0], 0);
    assert_int_equal(n.flap.max_hold, 600 * USEC_PER_S);
    assert_memory_equal(n.part, config.part, sizeof(n.part));
    assert_memory_equal(&n.vips, &config.vips_word, sizeof(n.vips));
    assert_memory_equal(&n.selection, &config.selection, sizeof(n.selection));

    assert_int_equal(parse(MAJORITY("members = [ \"web2\", \"web1\" ];")), 0);
    memset(config.key_next, 0x43, sizeof(config.key_next));
    conf_node(&config, &n);
    assert_int_equal(n.quorum, QUORUM_MAJORITY);
    assert_int_equal(n.founders, 2); /* whether we are among them or not */
    assert_int_equal(n.founder[0], member_id("web2"));
    assert_int_equal(n.founder[1], member_id("web1"));
    assert_memory_equal(n.key_next, config.key_next, KEY_BYTES);
    assert_int_equal(parse(CLUSTER_WITH("witness = \"192.0.2.254\";") "flap = { penalty = 7; };"),
                     0);
    conf_node(&config, &n);
    assert_true(n.witness);
    assert_int_equal(n.flap.penalty, 7);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_digest_of_new_keys),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_part_names),
        cmocka_unit_test(test_vips),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_reload_of_founders),
        cmocka_unit_test(test_reload_of_keys),
        cmocka_unit_test(test_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
