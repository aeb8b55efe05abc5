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

static void test_reload(void **state)
{
    static const char *const possible[] = {
        NODE_WITH("weight = 3; stop_drain = \"5s\"; name = \"a\";"),
        NODE_WITH("name = \"a\";") "vips = (" VIP4 ");",
        BEAT_WITH("interval = \"50ms\"; dead_after = \"300ms\";") "node = { name = \"a\"; };",
        CLUSTER_WITH("forget_after = \"2h\";") "node = { name = \"a\"; };",
        CLUSTER "heartbeat = { interface = [ \"eth0\", \"eth1\" ]; port = 5; };"
                "node = { name = \"a\"; };",
        BEAT_WITH("group = \"239.0.0.1\"; peers = \"192.0.2.7\";") "node = { name = \"a\"; };",
    };
    static const struct {
        const char *text, *names;
    } refused[] = {
        {"cluster = { name = \"w\"; key_file = \"/k\"; };" BEAT, "cluster.name"},
        {CLUSTER_WITH("buckets = 512;"), "cluster.buckets"},
        {NODE_WITH("name = \"b\";"), "node.name"},
        {NODE_WITH("state_dir = \"/s\";"), "node.state_dir"},
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
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
