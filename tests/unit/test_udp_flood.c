/* Heartbeat sockets under a flood: what is dropped, how is read, who is heard. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipclusterd/seal.h"
#include "ipclusterd/wire.h"
#include "netlab.h"
#include "udp_impl.h"

#define AT(ms) ((instant){(ms)*USEC_PER_MS})

enum { PORT = 7742, FLOOD = 1000 };

/* The sockets under test hear in this host; the test speaks from another, over
 * two cables. */
static struct udp *u;
static int speaker[2]; /* connected to the host's address on each cable */
static struct udp_datagram in[UDP_BATCH];

static int speaker_open(int cable)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(PORT),
                             .sin_addr.s_addr = htonl(0x0a000002u | (unsigned)cable << 8)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static int setup(void **state)
{
    struct config c = {.cluster = "lab",
                       .heartbeat_links = 2,
                       .heartbeat_link = {"b0", "b1"},
                       .port = PORT,
                       .group = {.family = FAMILY_IP4, .byte = {239, 255, 77, 42}}};
    int host = netlab_create(), other = netlab_create();

    (void)state;
    for (int i = 0; i < 2; i++)
        netlab_run("ip link add a%d type veth peer name b%d netns /proc/%d/fd/%d; "
                   "ip link set a%d up; ip addr add 10.0.%d.1/24 dev a%d",
                   i, i, (int)getpid(), host, i, i, i);
    netlab_go(host);
    for (int i = 0; i < 2; i++)
        netlab_run("ip link set b%d up; ip addr add 10.0.%d.2/24 dev b%d", i, i, i);
    netlab_settle("b0");
    netlab_settle("b1");
    assert_int_equal(udp_open(&u, &c), 0);
    netlab_go(other);
    netlab_settle("a0");
    netlab_settle("a1");
    for (int i = 0; i < 2; i++)
        speaker[i] = speaker_open(i);
    close(host);
    close(other);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    udp_close(u);
    for (int i = 0; i < 2; i++)
        close(speaker[i]);
    return 0;
}

static void say(int cable, const void *data, size_t length, int times)
{
    for (int i = 0; i < times; i++)
        assert_int_equal(send(speaker[cable], data, length, 0), (ssize_t)length);
}

/* A datagram as a member of the cluster sends it. */
static size_t genuine(uint8_t version, uint8_t out[DATAGRAM_MAX])
{
    const uint8_t key[KEY_BYTES] = {7}, plain[100] = {0};
    struct seal s;

    seal_init(&s, "lab", key);
    return seal_close(
        &s,
        &(struct seal_stamp){
            .version = version, .type = SEAL_TYPE_HEARTBEAT, .salt = 1, .member = 2, .sequence = 3},
        plain, sizeof plain, out, DATAGRAM_MAX);
}

static bool readable(int wait_ms)
{
    struct pollfd p = {.fd = udp_fd(u), .events = POLLIN};

    return poll(&p, 1, wait_ms) == 1;
}

/* Reads until nothing is there; how many came. */
static size_t drain(instant now)
{
    size_t sum = 0, count;

    do {
        count = udp_receive(u, now, in);
        sum += count;
    } while (count == UDP_BATCH);
    return sum;
}

/* Reads until as many as that have come, or none comes any more. */
static size_t drain_all(instant now, size_t expected)
{
    size_t sum = drain(now);

    while (sum < expected && readable(2000))
        sum += drain(now);
    return sum;
}

static struct udp_filter filter_of(const char *cluster)
{
    return (struct udp_filter){.cluster_id = hash64(cluster, strlen(cluster)),
                               .version_first = WIRE_VERSION_FIRST,
                               .version_last = WIRE_VERSION_LAST};
}

/* True if a socket with the filter queues the datagram; the C function has to
 * say the same. */
static bool admitted(const struct udp_filter *f, const uint8_t *data, size_t length)
{
    int pair[2];
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    uint8_t got[2048];

    for (int i = 0; i < 2; i++)
        assert_true((pair[i] = socket(AF_INET, SOCK_DGRAM, 0)) >= 0);
    assert_int_equal(bind(pair[0], (struct sockaddr *)&here, sizeof here), 0);
    assert_int_equal(getsockname(pair[0], (struct sockaddr *)&here, &size), 0);
    assert_int_equal(udp_filter_attach(pair[0], f, ADMIT_KNOWN), 0);
    assert_int_equal(sendto(pair[1], data, length, 0, (struct sockaddr *)&here, sizeof here),
                     (ssize_t)length);
    bool came = recv(pair[0], got, sizeof got, MSG_DONTWAIT) == (ssize_t)length;
    close(pair[0]);
    close(pair[1]);
    assert_int_equal(came, udp_filter_knows(f, data, length));
    return came;
}

static void test_filter(void **state)
{
    const struct udp_filter lab = filter_of("lab"), web = filter_of("web");
    uint8_t good[DATAGRAM_MAX + 1] = {0}, bad[DATAGRAM_MAX + 1];
    (void)state;

    for (uint8_t v = WIRE_VERSION_FIRST; v <= WIRE_VERSION_LAST; v++) {
        size_t length = genuine(v, good);
        assert_true(admitted(&lab, good, length));
        assert_false(admitted(&web, good, length));
    }
    /* Every bit of magic and cluster id counts. */
    for (size_t byte = 0; byte < SEAL_HEADER_BYTES; byte++)
        for (int bit = 0; bit < 8; bit++) {
            bool matters = byte < 4 || byte >= 8;
            memcpy(bad, good, sizeof bad);
            bad[byte] ^= (uint8_t)(1 << bit);
            if (byte != 4)
                assert_int_equal(admitted(&lab, bad, 200), !matters);
        }
    for (int v = 0; v < 256; v++) {
        good[4] = (uint8_t)v;
        assert_int_equal(admitted(&lab, good, 200),
                         v >= WIRE_VERSION_FIRST && v <= WIRE_VERSION_LAST);
    }
    good[4] = WIRE_VERSION_LAST;
    assert_false(admitted(&lab, good, 3));
    assert_false(admitted(&lab, good, SEAL_OVERHEAD));
    assert_true(admitted(&lab, good, SEAL_OVERHEAD + 1));
    assert_true(admitted(&lab, good, DATAGRAM_MAX));
    assert_false(admitted(&lab, good, DATAGRAM_MAX + 1));
}

/* A few strangers are heard; many are not, until a second has passed. */
static void test_strangers(void **state)
{
    uint8_t known[DATAGRAM_MAX];
    size_t length = genuine(WIRE_VERSION_LAST, known);
    (void)state;

    say(0, "junk", 4, 100);
    assert_int_equal(drain_all(AT(0), 100), 100);
    assert_int_equal(udp_dropped(u), 0);

    say(0, "junk", 4, FLOOD);
    assert_int_equal(drain_all(AT(100), FLOOD), FLOOD);
    say(0, "junk", 4, FLOOD);
    say(1, "junk", 4, FLOOD);
    say(0, known, length, 1);
    assert_int_equal(drain_all(AT(101), 1), 1);
    assert_memory_equal(in[0].data, known, length);
    assert_int_equal(drain(AT(1099)), 0);
    assert_int_equal(udp_dropped(u), 2 * FLOOD);

    /* The filter opens when somebody looks; nobody has to be heard for that. */
    assert_true(readable(3000));
    assert_int_equal(drain(AT(1100)), 0);
    say(0, "junk", 4, 100);
    assert_int_equal(drain_all(AT(1101), 100), 100);
    say(0, "junk", 4, FLOOD);
    assert_int_equal(drain_all(AT(1102), FLOOD), FLOOD);
    say(0, "junk", 4, FLOOD);
    assert_int_equal(drain(AT(1103)), 0);
}

/* Under a flood the descriptor rings at a pace; else when something comes. */
static void test_polling(void **state)
{
    uint8_t known[DATAGRAM_MAX];
    size_t length = genuine(WIRE_VERSION_LAST, known);
    (void)state;

    say(0, known, length, 100);
    assert_int_equal(drain_all(AT(0), 100), 100);
    assert_false(readable(20));
    say(0, known, length, FLOOD);
    assert_int_equal(drain_all(AT(1000), FLOOD), FLOOD);
    for (int i = 0; i < 5; i++) {
        assert_true(readable(2000)); /* though nothing came */
        assert_int_equal(drain(AT(1001)), 0);
    }
    say(1, known, length, 1);
    assert_int_equal(drain_all(AT(1002), 1), 1);
    assert_int_equal(udp_dropped(u), 0);

    assert_int_equal(drain(AT(1030)), 0); /* a window with the flood */
    assert_int_equal(drain(AT(1060)), 0); /* and one without */
    assert_false(readable(20));
    say(1, known, length, 1);
    assert_true(readable(2000));
    assert_int_equal(drain(AT(1061)), 1);
}

/* Who floods one interface does not keep the other from being heard. */
static void test_fairness(void **state)
{
    uint8_t known[DATAGRAM_MAX], other[DATAGRAM_MAX];
    size_t length = genuine(WIRE_VERSION_LAST, known);
    size_t first = genuine(WIRE_VERSION_FIRST, other);
    (void)state;

    for (int cable = 0; cable < 2; cable++) {
        say(cable, known, length, 10 * UDP_BATCH);
        say(1 - cable, other, first, 1);
        bool found = false;
        for (int i = 0; i < 3; i++) {
            size_t count = udp_receive(u, AT(cable * 1000), in);
            for (size_t k = 0; k < count; k++)
                found = found || in[k].data[4] == WIRE_VERSION_FIRST;
        }
        assert_true(found);
        drain(AT(cable * 1000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter),
        cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_polling, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fairness, setup, teardown),
    };

    return netlab_enter() ? cmocka_run_group_tests_name("udp_flood", tests, NULL, NULL) : 77;
}
