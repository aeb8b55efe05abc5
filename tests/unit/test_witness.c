/* The witness asked over a cable: what its kernel answers, and what others forge. */
#include <errno.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
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

#include "conf.h"
#include "netlab.h"
#include "witness.h"

enum { BYTES = 24, HEADER4 = 20, TYPE = 0, CHECKSUM = 2, IDENTIFIER = 4, SEQUENCE = 6, COOKIE = 8 };

/* The node asks the witness; beside it on the cable is another address of the same
 * host, which is somebody else's. */
static int node, host;
static struct witness *w;
static bool ip6;
static int tap = -1; /* the host's: what is asked, and forged answers */
static const char *const witness_of[] = {"192.0.2.254", "2001:db8::fe"};
static const char *const other_of[] = {"192.0.2.253", "2001:db8::fd"};
static const char *const node_of[] = {"192.0.2.1", "2001:db8::1"};

static struct address address(const char *text)
{
    struct address out;

    assert_true(address_parse(text, &out));
    return out;
}

static int setup(void **state, bool six)
{
    (void)state;
    ip6 = six;
    host = netlab_create();
    node = netlab_create();
    netlab_run("ip link add n0 type veth peer name h0 netns /proc/%d/fd/%d", (int)getpid(), host);
    netlab_run("sysctl -qw net.ipv6.conf.n0.accept_dad=0; ip link set n0 up; "
               "ip addr add 192.0.2.1/24 dev n0; ip -6 addr add 2001:db8::1/64 dev n0 nodad");
    netlab_go(host);
    netlab_run("sysctl -qw net.ipv6.conf.h0.accept_dad=0; ip link set h0 up; "
               "ip addr add 192.0.2.254/24 dev h0; ip addr add 192.0.2.253/24 dev h0; "
               "ip -6 addr add 2001:db8::fe/64 dev h0 nodad; "
               "ip -6 addr add 2001:db8::fd/64 dev h0 nodad");
    netlab_settle("h0");
    tap = socket(ip6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC,
                 ip6 ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP);
    assert_true(tap >= 0);
    netlab_go(node);
    netlab_settle("n0");
    const struct address at = address(witness_of[ip6]);
    assert_int_equal(witness_open(&w, &at), 0);
    return 0;
}

static int setup_ip4(void **state)
{
    return setup(state, false);
}

static int setup_ip6(void **state)
{
    return setup(state, true);
}

static int teardown(void **state)
{
    (void)state;
    witness_close(w);
    w = NULL;
    close(tap);
    netlab_go(node);
    netlab_run("ip link del n0 2>/dev/null; :");
    close(node);
    close(host);
    return 0;
}

/* The kernel of the witness answers no more: who does is we. */
static void silence(void)
{
    netlab_go(host);
    netlab_run("sysctl -qw net.ipv4.icmp_echo_ignore_all=1 net.ipv6.icmp.echo_ignore_all=1");
    netlab_go(node);
}

static instant at(int64_t us)
{
    return (instant){us};
}

/* witness_read() after something has come, or nothing within `ms`. */
static int read_within(int ms, instant *asked)
{
    struct pollfd p = {.fd = witness_fd(w), .events = POLLIN};

    poll(&p, 1, ms);
    return witness_read(w, asked);
}

static void assert_answered(int64_t us)
{
    instant asked = at(-1);

    assert_int_equal(read_within(2000, &asked), 1);
    assert_int_equal(asked.us, us);
}

/* Nothing comes that counts. What was sent before is there already: packets on a
 * veth arrive within the call that sends them. */
static void assert_nothing(void)
{
    instant asked = at(-1);

    assert_int_equal(read_within(100, &asked), 0);
    assert_int_equal(asked.us, -1);
}

/* The next echo request that the witness gets, as the message alone. */
static void request_take(uint8_t out[BYTES])
{
    uint8_t data[256];
    struct pollfd p = {.fd = tap, .events = POLLIN};
    const size_t head = ip6 ? 0 : HEADER4;

    while (poll(&p, 1, 2000) > 0) {
        ssize_t got = recv(tap, data, sizeof(data), 0);
        if (got != (ssize_t)(head + BYTES))
            continue;
        memcpy(out, data + head, BYTES);
        if (out[TYPE] == (ip6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO))
            return;
    }
    fail_msg("no request came");
}

static uint16_t checksum(const uint8_t *data, size_t length)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < length; i += 2)
        sum += (uint32_t)data[i] << 8 | data[i + 1];
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* Sends a message to the node from one of the host's addresses. */
static void message_send(const char *from, uint8_t *data, size_t length)
{
    const struct address to = address(node_of[ip6]), source = address(from);
    int fd = -1;

    netlab_go(host);
    if (ip6) {
        struct sockaddr_in6 a = {.sin6_family = AF_INET6}, b = a;
        memcpy(&a.sin6_addr, source.byte, 16);
        memcpy(&b.sin6_addr, to.byte, 16);
        fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);
        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(sendto(fd, data, length, 0, (struct sockaddr *)&b, sizeof(b)), length);
    } else {
        struct sockaddr_in a = {.sin_family = AF_INET}, b = a;
        memcpy(&a.sin_addr, source.byte, 4);
        memcpy(&b.sin_addr, to.byte, 4);
        memset(data + CHECKSUM, 0, 2);
        uint16_t sum = htons(checksum(data, length));
        memcpy(data + CHECKSUM, &sum, 2);
        fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(sendto(fd, data, length, 0, (struct sockaddr *)&b, sizeof(b)), length);
    }
    close(fd);
    netlab_go(node);
}

static void reply_send(const uint8_t request[BYTES])
{
    uint8_t reply[BYTES];

    memcpy(reply, request, BYTES);
    reply[TYPE] = ip6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
    message_send(witness_of[ip6], reply, BYTES);
}

static void test_it_answers(void **state)
{
    (void)state;
    for (int i = 1; i <= 70; i++) { /* more than twice what is kept */
        assert_int_equal(witness_probe(w, at(i)), 0);
        assert_answered(i);
    }
    assert_nothing();
}

/* What the request looks like, which others' tools shall understand. */
static void test_the_request(void **state)
{
    uint8_t first[BYTES], second[BYTES];
    (void)state;

    silence();
    assert_int_equal(witness_probe(w, at(1)), 0);
    request_take(first);
    assert_int_equal(witness_probe(w, at(2)), 0);
    request_take(second);
    if (!ip6)
        assert_int_equal(checksum(first, BYTES), 0);
    assert_int_equal(first[1], 0);
    assert_memory_equal(first + IDENTIFIER, second + IDENTIFIER, 2);
    assert_memory_not_equal(first + SEQUENCE, second + SEQUENCE, 2);
    assert_memory_not_equal(first + COOKIE, second + COOKIE, BYTES - COOKIE);
    assert_nothing();
}

static void test_each_answer_counts_once(void **state)
{
    uint8_t first[BYTES], second[BYTES];
    (void)state;

    silence();
    assert_int_equal(witness_probe(w, at(1)), 0);
    assert_int_equal(witness_probe(w, at(2)), 0);
    request_take(first);
    request_take(second);
    reply_send(second);
    assert_answered(2);
    reply_send(second);
    assert_nothing();
    reply_send(first);
    assert_answered(1); /* it says when that was asked */
    reply_send(first);
    assert_nothing();
}

/* Of several that wait, the latest asked is told. */
static void test_the_latest_of_several(void **state)
{
    uint8_t request[3][BYTES];
    (void)state;

    silence();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(witness_probe(w, at(i)), 0);
        request_take(request[i]);
    }
    reply_send(request[2]);
    reply_send(request[0]);
    reply_send(request[1]);
    assert_answered(2);
    assert_nothing();
}

static void test_forged_answers(void **state)
{
    uint8_t request[BYTES], forged[BYTES + 1];
    (void)state;

    silence();
    assert_int_equal(witness_probe(w, at(1)), 0);
    request_take(request);
    request[TYPE] = ip6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
    for (size_t i = 0; i < BYTES; i++) { /* each byte counts but for the checksum's */
        if (i == CHECKSUM || i == CHECKSUM + 1)
            continue;
        memcpy(forged, request, BYTES);
        forged[i] ^= 1;
        message_send(witness_of[ip6], forged, BYTES);
    }
    assert_nothing();
    memcpy(forged, request, BYTES); /* somebody else */
    message_send(other_of[ip6], forged, BYTES);
    assert_nothing();
    memset(forged, 0, sizeof(forged)); /* too short, too long */
    memcpy(forged, request, BYTES);
    message_send(witness_of[ip6], forged, BYTES - 1);
    message_send(witness_of[ip6], forged, BYTES + 1);
    message_send(witness_of[ip6], forged, COOKIE);
    assert_nothing();
    reply_send(request); /* the true one still counts */
    assert_answered(1);
}

/* One that comes after 32 more have been asked is too old. */
static void test_an_old_answer(void **state)
{
    uint8_t oldest[BYTES], last_kept[BYTES], request[BYTES];
    (void)state;

    silence();
    for (int i = 0; i <= 32; i++) {
        assert_int_equal(witness_probe(w, at(i)), 0);
        request_take(i == 0 ? oldest : i == 1 ? last_kept : request);
    }
    reply_send(oldest);
    assert_nothing();
    reply_send(last_kept);
    assert_answered(1);
}

/* Others' pings neither wake us nor fill the queue. */
static void test_what_others_ask(void **state)
{
    struct pollfd p = {.fd = witness_fd(w), .events = POLLIN};
    uint8_t request[BYTES], foreign[BYTES];
    (void)state;

    silence();
    assert_int_equal(witness_probe(w, at(1)), 0);
    request_take(request);
    memcpy(foreign, request, BYTES);
    foreign[TYPE] = ip6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
    foreign[IDENTIFIER] ^= 1;
    for (int i = 0; i < 2000; i++)
        message_send(witness_of[ip6], foreign, BYTES);
    message_send(witness_of[ip6], request, BYTES); /* a request is none, either */
    assert_int_equal(poll(&p, 1, 100), 0);
    reply_send(request);
    assert_answered(1);
}

/* More than one call reads: the rest waits for the next. */
static void test_a_batch(void **state)
{
    uint8_t request[BYTES], forged[BYTES];
    instant asked = at(-1);
    int calls = 0;
    (void)state;

    silence();
    assert_int_equal(witness_probe(w, at(1)), 0);
    request_take(request);
    memcpy(forged, request, BYTES);
    forged[TYPE] = ip6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
    forged[COOKIE] ^= 1;
    for (int i = 0; i < 40; i++)
        message_send(witness_of[ip6], forged, BYTES);
    reply_send(request);
    while (read_within(2000, &asked) == 0)
        assert_true(++calls < 3);
    assert_int_equal(calls, 1);
    assert_int_equal(asked.us, 1);
}

/* No way there is an error, and once there is one it goes on. */
static void test_no_way(void **state)
{
    (void)state;
    netlab_run("ip link set n0 down");
    assert_int_equal(witness_probe(w, at(1)), -ENETUNREACH);
    assert_nothing();
    netlab_run("ip link set n0 up; ip -6 addr replace 2001:db8::1/64 dev n0 nodad");
    netlab_settle("n0");
    assert_int_equal(witness_probe(w, at(2)), 0);
    assert_answered(2);
    netlab_run("ip link del n0");
    assert_int_equal(witness_probe(w, at(3)), -ENETUNREACH);
    assert_nothing();
}

/* Neither the refusal of a router nor silence is an answer. */
static void test_nobody_there(void **state)
{
    const struct address nobody = address(ip6 ? "2001:db8:1::9" : "198.51.100.9");
    (void)state;

    witness_close(w);
    assert_int_equal(witness_open(&w, &nobody), 0);
    netlab_run(ip6 ? "ip -6 route add 2001:db8:1::/64 via 2001:db8::fe"
                   : "ip route add 198.51.100.0/24 via 192.0.2.254");
    netlab_go(host);
    netlab_run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    netlab_go(node);
    assert_int_equal(witness_probe(w, at(1)), 0);
    assert_nothing();
}

#define BOTH(test)                                       \
    {#test " (IPv4)", test, setup_ip4, teardown, NULL},  \
    {                                                    \
#test " (IPv6)", test, setup_ip6, teardown, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_it_answers),
        BOTH(test_the_request),
        BOTH(test_each_answer_counts_once),
        BOTH(test_the_latest_of_several),
        BOTH(test_forged_answers),
        BOTH(test_an_old_answer),
        BOTH(test_what_others_ask),
        BOTH(test_a_batch),
        BOTH(test_no_way),
        BOTH(test_nobody_there),
    };

    if (!netlab_enter())
        return 77;
    return cmocka_run_group_tests_name("witness", tests, NULL, NULL);
}
