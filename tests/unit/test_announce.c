/* The frames that announce a VIP, as the other end of the cable gets them. */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "announce.h"
#include "log.h"
#include "netlab.h"
#include "vipset_host.h"

/* The frame of an announcement, at the other end of the cable. */
static size_t announced(const struct vip_config *vip, uint8_t *frame, size_t size)
{
    struct sockaddr_ll from = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t got = -1;

    assert_true(fd >= 0);
    from.sll_ifindex = (int)if_nametoindex("b0");
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
    assert_int_equal(announce_vip(vip, &place[0]), 0);
    const uint8_t type = vip->address.family == FAMILY_IP4 ? 0x06 : 0xdd;
    while (poll(&p, 1, 2000) > 0) {
        got = recv(fd, frame, size, 0);
        if (got > 54 && frame[13] == type && (type == 0x06 || frame[54] == 136))
            break;
    }
    close(fd);
    assert_true(got >= 60);
    return (size_t)got;
}

static void test_announce_ip4(void **state)
{
    static const uint8_t head[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00,
                                   0x0a, 0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,
                                   0x02, 0xbf, 0xc0, 0x00, 0x02, 0x02, 192,  0,    2,    2,    0x00,
                                   0x00, 0x00, 0x00, 0x00, 0x00, 192,  0,    2,    2};
    uint8_t frame[256];
    (void)state;

    vip_add("192.0.2.2", 24, V1, VIP_SHARED);
    start();
    assert_true(announced(&config.vip[0], frame, sizeof(frame)) >= sizeof(head));
    assert_memory_equal(frame, head, sizeof(head));
}

static void test_announce_ip6(void **state)
{
    uint8_t frame[256];
    uint32_t sum = 58 + 32;
    struct mac own = mac(OWN), virtual = mac(V1);
    (void)state;

    vip_add("2001:db8::2", 64, V1, VIP_SHARED);
    start();
    size_t length = announced(&config.vip[0], frame, sizeof(frame));
    assert_int_equal(length, 14 + 40 + 32);
    assert_memory_equal(frame + 6, own.byte, 6);
    assert_int_equal(frame[21], 255);           /* hop limit */
    assert_int_equal(frame[14 + 40 + 4], 0x20); /* override, not solicited */
    assert_memory_equal(frame + 14 + 40 + 8, config.vip[0].address.byte, 16);
    assert_memory_equal(frame + 14 + 40 + 26, virtual.byte, 6);
    /* The checksum over pseudo-header and message comes out as all ones. */
    for (size_t i = 14 + 8; i < length; i += 2)
        sum += (uint32_t)frame[i] << 8 | frame[i + 1];
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    assert_int_equal(sum, 0xffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_announce_ip4, setup, teardown),
        cmocka_unit_test_setup_teardown(test_announce_ip6, setup, teardown),
    };

    if (!netlab_enter())
        return 77;
    log_open("test", true, LOG_LEVEL_WARN);
    return cmocka_run_group_tests_name("announce", tests, NULL, NULL);
}
