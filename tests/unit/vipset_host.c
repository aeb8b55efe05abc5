/* A host with one NIC, for the tests of the VIPs. */
#include "vipset_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf.h"
#include "netlab.h"
#include "state.h"

struct rtnl *rtnl;
struct vipset *vipset;
struct config config;
struct nft_place place[VIPS_MAX];
char missing[IFNAME_BYTES_MAX + 1];

static char before[4096];

struct mac mac(const char *text)
{
    struct mac m;

    assert_true(mac_parse(text, &m));
    return m;
}

void vip_add(const char *address, uint8_t prefix, const char *virtual, enum vip_mode mode)
{
    struct vip_config *vip = &config.vip[config.vips++];

    *vip = (struct vip_config){.prefix = prefix, .mode = mode, .mac = mac(virtual)};
    assert_true(address_parse(address, &vip->address));
    memcpy(vip->interface, "a0", 3);
}

/* What ip(8) and bridge(8) tell of the host, as text to compare. */
static void host_text(char *out, size_t size)
{
    FILE *p = popen("ip -o link show a0 | sed 's/ state.*link/ link/'; ip -o addr show dev a0 | "
                    "sort; bridge fdb show dev a0 | sort; ip route; ip -6 route; "
                    "ip neigh show nud permanent",
                    "r");
    assert_non_null(p);
    size_t got = fread(out, 1, size - 1, p);
    out[got] = '\0';
    assert_int_equal(pclose(p), 0);
}

bool shown(const char *command, const char *word)
{
    char line[512];
    bool found = false;
    FILE *p = popen(command, "r");

    assert_non_null(p);
    while (fgets(line, sizeof(line), p) != NULL)
        found |= strstr(line, word) != NULL;
    pclose(p);
    return found;
}

bool address_shown(const char *address)
{
    char word[64];

    snprintf(word, sizeof(word), " %s ", address);
    return shown("ip -o addr show dev a0", word);
}

bool second_mac_shown(const char *text)
{
    return shown("bridge fdb show dev a0", text);
}

bool own_mac_shown(const char *text)
{
    return shown("ip -o link show dev a0", text);
}

bool journal_there(void)
{
    char text[4096];

    return state_read(config.state_dir, "host", text, sizeof(text)) >= 0;
}

void host_remember(void)
{
    host_text(before, sizeof(before));
}

void host_unchanged(void)
{
    char after[sizeof(before)];

    host_text(after, sizeof(after));
    assert_string_equal(after, before);
    assert_false(journal_there());
}

/* The link-local address comes with the carrier, a little later than the command. */
static bool settled(void *arg)
{
    (void)arg;
    return address_shown("fe80::ff:fe00:a/64");
}

int setup(void **state)
{
    (void)state;
    config = (struct config){.buckets = 256};
    strcpy(config.state_dir, "/tmp/ipclusterd-test-XXXXXX");
    assert_non_null(mkdtemp(config.state_dir));
    netlab_run("ip link add a0 address " OWN " type veth peer name b0");
    netlab_run("sysctl -qw net.ipv6.conf.a0.accept_dad=0 net.ipv6.conf.b0.disable_ipv6=1");
    netlab_run("ip link set a0 up; ip link set b0 up; ip addr add 192.0.2.11/24 dev a0; "
               "ip -6 addr add 2001:db8::11/64 dev a0 nodad; "
               "ip neigh add 192.0.2.254 lladdr 02:00:00:00:00:fe dev a0 nud permanent");
    assert_true(netlab_wait(settled, NULL, 5.0));
    host_remember();
    assert_int_equal(rtnl_open(&rtnl), 0);
    return 0;
}

int teardown(void **state)
{
    (void)state;
    vipset_close(vipset);
    vipset = NULL;
    rtnl_close(rtnl);
    (void)state_remove(config.state_dir, "host");
    assert_int_equal(rmdir(config.state_dir), 0);
    netlab_run("ip link del a0 2>/dev/null; :");
    return 0;
}

unsigned apply(void)
{
    unsigned repaired;

    assert_int_equal(vipset_apply(vipset, &repaired), 0);
    return repaired;
}

void start(void)
{
    assert_int_equal(vipset_open(&vipset, rtnl, &config, place, missing), 0);
    assert_int_equal(vipset_recover(vipset), 0);
}

void crash(void)
{
    vipset_close(vipset);
    vipset = NULL;
}
