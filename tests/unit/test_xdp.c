/*
 * src/io/xdp on interfaces of a network namespace: attached, told of plans, given
 * another configuration, and gone with whoever had it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf.h"
#include "netlab.h"
#include "xdp.h"
#include "xdp_made.h"

enum { PATIENCE_MS = 5000 };

static struct config config;
static struct nft_place place[VIPS_MAX];
static struct plan plan;
static struct xdp *xdp;
static char why[XDP_WHY_BYTES];
static int wire, ear; /* frames go in there, and what is let through is seen here */

/* ---- what the tests share --------------------------------------------------------- */

static void vip_add(const char *address, const char *interface)
{
    struct vip_config *v = &config.vip[config.vips];

    *v = (struct vip_config){.early_drop = true};
    assert_true(address_parse(address, &v->address));
    strcpy(v->interface, interface);
    place[config.vips++].ifindex = if_nametoindex(interface);
}

static int setup(void **state)
{
    (void)state;
    config = (struct config){.buckets = 256, .xdp = XDP_MODE_GENERIC};
    vip_add("192.0.2.10", "eth0");
    plan_init(&plan, config.buckets);
    xdp = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    xdp_close(xdp);
    return 0;
}

static bool is_attached(const char *interface)
{
    json_t *links = netlab_json("ip -j link show dev %s", interface);
    bool is = json_object_get(json_array_get(links, 0), "xdp") != NULL;

    json_decref(links);
    return is;
}

/* From source number `bucket` to an address; it comes to eth0. */
static void frame_send(const char *address, unsigned bucket)
{
    struct address from, to;
    uint8_t frame[XDP_MADE_FRAME];

    assert_true(address_parse("198.51.100.0", &from) && address_parse(address, &to));
    from.byte[3] = (uint8_t)bucket;
    xdp_made_frame(frame, &from, &to);
    assert_int_equal(send(wire, frame, sizeof frame, 0), sizeof frame);
}

/* The last byte of the destination of the next frame that comes in. */
static unsigned frame_heard(void)
{
    struct pollfd p = {.fd = ear, .events = POLLIN};
    uint8_t frame[256];

    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    assert_true(recv(ear, frame, sizeof frame, 0) >= 34);
    return frame[33];
}

/* Whether a frame to 192.0.2.`vip` does: one that surely does follows. All that does
 * not is counted. */
static bool comes_in_to(unsigned vip, size_t index, unsigned bucket)
{
    enum { SURELY = 200 };
    uint64_t before = xdp_dropped(xdp, index);
    char address[32];
    bool comes = false;
    unsigned heard;

    snprintf(address, sizeof address, "192.0.2.%u", vip);
    frame_send(address, bucket);
    frame_send("192.0.2.200", bucket);
    while ((heard = frame_heard()) != SURELY)
        comes = comes || heard == vip;
    assert_int_equal(xdp_dropped(xdp, index), before + !comes);
    return comes;
}

static bool comes_in(unsigned bucket)
{
    return comes_in_to(10, 0, bucket);
}

/* ---- tests -------------------------------------------------------------------------- */

static void test_off(void **state)
{
    (void)state;
    config.xdp = XDP_MODE_OFF;
    assert_int_equal(xdp_open(&xdp, &config, place, why), 0);
    assert_null(xdp);
    assert_false(is_attached("eth0"));
    xdp_follow(xdp, &plan);
    xdp_pass(xdp);
    assert_int_equal(xdp_change(xdp, &config, place, why), 0);
    assert_false(xdp_attached(xdp, 0));
    assert_int_equal(xdp_dropped(xdp, 0), 0);
}

/* It follows the plans that the kernel has. */
static void test_plan(void **state)
{
    (void)state;
    assert_int_equal(xdp_open(&xdp, &config, place, why), 0);
    assert_string_equal(why, "");
    assert_true(xdp_attached(xdp, 0) && is_attached("eth0"));
    assert_true(comes_in(7));

    xdp_follow(xdp, &plan);
    assert_false(comes_in(7));
    plan.class_of[7] = CLASS_OWN;
    plan.class_of[8] = CLASS_RELEASE;
    xdp_follow(xdp, &plan);
    assert_true(comes_in(7) && comes_in(8));
    plan.class_of[7] = CLASS_FOREIGN;
    xdp_follow(xdp, &plan);
    assert_false(comes_in(7));

    xdp_pass(xdp);
    assert_true(comes_in(7));
    xdp_follow(xdp, &plan);
    xdp_close(xdp);
    xdp = NULL;
    assert_false(is_attached("eth0"));
    assert_true(comes_in_to(11, 0, 7));
}

/* VIPs come, go, and change interfaces; the program is where they are. */
static void test_change(void **state)
{
    (void)state;
    assert_int_equal(xdp_open(&xdp, &config, place, why), 0);
    xdp_follow(xdp, &plan);
    assert_false(comes_in(1));

    vip_add("192.0.2.11", "eth0");
    vip_add("2001:db8::10", "eth1");
    xdp_pass(xdp);
    assert_int_equal(xdp_change(xdp, &config, place, why), 0);
    xdp_follow(xdp, &plan);
    assert_int_equal(xdp_dropped(xdp, 0), 0);
    assert_true(is_attached("eth0") && is_attached("eth1"));
    assert_false(comes_in_to(11, 1, 1));
    assert_int_equal(xdp_dropped(xdp, 0), 0);

    config.vips = 0;
    vip_add("192.0.2.10", "eth1");
    assert_int_equal(xdp_change(xdp, &config, place, why), 0);
    assert_true(!is_attached("eth0") && is_attached("eth1"));
    assert_true(xdp_attached(xdp, 0) && !xdp_attached(xdp, 1));

    /* What the rules judge later, nobody judges earlier. */
    config.vip[0].affinity = AFFINITY_FLOW;
    assert_int_equal(xdp_change(xdp, &config, place, why), 0);
    assert_false(is_attached("eth1") || xdp_attached(xdp, 0));
}

static void test_faults(void **state)
{
    struct xdp *other;

    (void)state;
    vip_add("192.0.2.11", "eth1");
    assert_int_equal(xdp_open(&xdp, &config, place, why), 0);
    config.vips = 1;
    vip_add("192.0.2.12", "eth2");
    assert_int_equal(xdp_open(&other, &config, place, why), -EBUSY);
    assert_string_equal(why, "no XDP (generic) on eth0: another XDP program is there (ip link): "
                             "remove it, or set node.xdp = \"off\"");
    assert_false(xdp_attached(other, 0));
    assert_true(xdp_attached(other, 1) && is_attached("eth2"));
    xdp_close(other);
    assert_true(is_attached("eth0"));

    config.xdp = XDP_MODE_NATIVE;
    config.vips = 0;
    vip_add("192.0.2.12", "eth2"); /* a bridge has none */
    assert_int_equal(xdp_open(&other, &config, place, why), -EOPNOTSUPP);
    assert_string_equal(why, "no XDP (native) on eth2: the driver has no XDP of its own: "
                             "set node.xdp = \"generic\" or \"off\"");
    xdp_close(other);
}

/* However a process ends, what it attached is gone when that can be known. */
static void test_killed(void **state)
{
    char byte;
    int ready[2], status;
    pid_t child;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        if (xdp_open(&xdp, &config, place, why) != 0 || write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_true(is_attached("eth0"));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(is_attached("eth0"));
    close(ready[0]);
    close(ready[1]);
}

static void text_expect(const struct xdp *x, const char *wanted)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    xdp_print(x, &config, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, wanted);
    free(text);
}

static void test_print(void **state)
{
    static const char one[] = "# XDP (generic) on eth0 drops what is another's to 192.0.2.10 "
                              "before these rules see it.\n";

    (void)state;
    vip_add("192.0.2.11", "eth1");
    config.vip[1].early_drop = false;
    text_expect(NULL, one);
    assert_int_equal(xdp_open(&xdp, &config, place, why), 0);
    text_expect(xdp, one);
    config.xdp = XDP_MODE_OFF;
    text_expect(NULL, "");
}

static int socket_open(const char *interface, uint16_t protocol)
{
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

    at.sll_ifindex = (int)if_nametoindex(interface);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        exit(99);
    return fd;
}

static void wire_open(void)
{
    netlab_one_cpu();
    netlab_run("ip link add eth0 type veth peer name wire0");
    netlab_run("ip link add eth1 type veth peer name wire1");
    netlab_run("ip link add eth2 type bridge");
    netlab_run("ip link set eth0 up && ip link set wire0 up");
    netlab_settle("wire0");
    wire = socket_open("wire0", 0);
    ear = socket_open("eth0", ETH_P_IP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_print, setup, teardown),
    };
    struct xdp_made kernel;

    if (!netlab_enter() || !xdp_made_open(&kernel))
        return 77;
    wire_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
