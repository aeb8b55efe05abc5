/* Tables that are replaced while packets come: none of these is lost, since nobody
 * sends a datagram again. */
#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf.h"
#include "netlab.h"
#include "nft.h"
#include "nft_lab.h"

enum {
    REPLACEMENTS = 150,
    GAP_US = 200, /* between two datagrams */
    PORT = 4446,
    /* A packet that a processor judges in the very instant of the commit finds the old
     * rules and no element any more: a thousandth of what is lost without care. */
    UNLUCKY = 2,
};

static struct config config;
static struct nft_place place[VIPS_MAX];
static struct plan plan;
static struct nft *nft;
static volatile sig_atomic_t over;

static int setup(void **state)
{
    (void)state;
    config = (struct config){.buckets = 256, .lease = 60 * USEC_PER_S, .vips = 1};
    struct vip_config *v = &config.vip[0];
    assert_true(address_parse(lab_ip4.vip, &v->address));
    assert_true(mac_parse(LAB_SHARED_MAC, &v->mac));
    strcpy(v->interface, "eth0");
    v->early_drop = v->mask_source_mac = true;
    assert_true(mac_parse(LAB_NODE_MAC, &place[0].own));
    place[0].ifindex = if_nametoindex("eth0");
    plan_init(&plan, config.buckets);
    memset(plan.class_of, CLASS_OWN, plan.buckets);
    assert_int_equal(nft_open(&nft, &config, place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_renew(nft, config.lease), 0);
    lab_neighbour(lab_ip4.vip, LAB_SHARED_MAC);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(nft_clear(nft), 0);
    nft_close(nft);
    return 0;
}

static struct sockaddr_in vip_address(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    inet_pton(AF_INET, lab_ip4.vip, &a.sin_addr);
    return a;
}

static void end(int number)
{
    (void)number;
    over = 1;
}

/* Sends until it is told to end, then says how many. */
static _Noreturn void send_on(int out)
{
    const struct timespec gap = {.tv_nsec = GAP_US * 1000};
    const struct sockaddr_in to = vip_address();
    uint32_t sent = 0;
    signal(SIGTERM, end);
    netlab_go(lab_client());
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    while (!over) {
        sent += sendto(fd, &sent, sizeof sent, 0, (const struct sockaddr *)&to, sizeof to) > 0;
        nanosleep(&gap, NULL);
    }
    _exit(write(out, &sent, sizeof sent) == (ssize_t)sizeof sent ? 0 : 1);
}

static uint32_t receive_all(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint32_t count = 0, number;
    while (poll(&p, 1, count > 0 ? 0 : ms) > 0)
        while (recv(fd, &number, sizeof number, MSG_DONTWAIT) == (ssize_t)sizeof number)
            count++;
    return count;
}

static void test_nothing_is_lost(void **state)
{
    const struct sockaddr_in a = vip_address();
    uint32_t sent = 0, received;
    int room = 1 << 22, ends[2];
    (void)state;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        send_on(ends[1]);
    received = receive_all(fd, 5000);
    assert_true(received > 0);
    for (unsigned i = 0; i < REPLACEMENTS; i++) {
        nft_lost(nft);
        assert_int_equal(nft_apply(nft, &plan), 0);
        received += receive_all(fd, 1);
    }
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(read(ends[0], &sent, sizeof sent), sizeof sent);
    received += receive_all(fd, 100);
    assert_true(sent > REPLACEMENTS);
    if (sent - received > UNLUCKY)
        fail_msg("%u of %u datagrams lost", sent - received, sent);
    close(fd);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_is_lost, setup, teardown),
    };

    if (!lab_make())
        return 77;
    /* Mode shared: the NIC keeps its own MAC and takes frames for the other. */
    netlab_run("bridge fdb add " LAB_SHARED_MAC " dev eth0 self permanent");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
