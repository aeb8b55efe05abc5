/* A node and a client on one wire. */
#include "nft_lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf.h"
#include "netlab.h"

const struct lab_family lab_ip4 = {
    "192.0.2.100",
    "192.0.2.1",
    "192.0.2.10",
    {"198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"}};
const struct lab_family lab_ip6 = {
    "2001:db8::64",
    "2001:db8::1",
    "2001:db8::a",
    {"2001:db8:1::1", "2001:db8:1::2", "2001:db8:1::3", "2001:db8:1::4"}};

static int node_ns, client_ns;

static void lab_check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "nft_lab: %s: %s\n", what, strerror(errno));
    exit(99);
}

bool lab_make(void)
{
    if (!netlab_enter())
        return false;
    node_ns = netlab_here();
    client_ns = netlab_create();
    netlab_run("ip link add cli0 type veth peer name eth0 netns /proc/%d/fd/%d", getpid(), node_ns);
    netlab_run("sysctl -qw net.ipv6.conf.cli0.accept_dad=0 net.ipv6.ip_nonlocal_bind=1");
    netlab_run("ip link set cli0 up");
    netlab_run("ip addr add %s/24 dev cli0", lab_ip4.client);
    netlab_run("ip addr add %s/64 dev cli0 nodad", lab_ip6.client);
    netlab_run("ip route add local 198.51.100.0/24 dev lo");
    netlab_run("ip route add local 2001:db8:1::/64 dev lo");
    netlab_go(node_ns);
    lab_nic(LAB_NODE_MAC);
    return true;
}

int lab_client(void)
{
    return client_ns;
}

/* Down and up: addresses of IPv6 and routes go with it. */
void lab_nic(const char *mac)
{
    netlab_run("ip link set eth0 down && ip link set eth0 address %s && ip link set eth0 up", mac);
    netlab_run("ip addr flush dev eth0");
    netlab_run("ip addr add %s/24 dev eth0 && ip addr add %s/32 dev eth0", lab_ip4.node,
               lab_ip4.vip);
    netlab_run("ip addr add %s/64 dev eth0 nodad && ip addr add %s/128 dev eth0 nodad",
               lab_ip6.node, lab_ip6.vip);
    netlab_run("ip route add 198.51.100.0/24 via %s", lab_ip4.client);
    netlab_run("ip route add 2001:db8:1::/64 via %s", lab_ip6.client);
    lab_neighbour(lab_ip4.vip, NULL);
    lab_neighbour(lab_ip6.vip, NULL);
    lab_neighbour(lab_ip4.node, NULL);
    lab_neighbour(lab_ip6.node, NULL);
}

void lab_neighbour(const char *address, const char *mac)
{
    netlab_go(client_ns);
    netlab_run("ip neigh del %s dev cli0 2>/dev/null; true", address);
    if (mac != NULL)
        netlab_run("ip neigh replace %s lladdr %s nud permanent dev cli0", address, mac);
    netlab_go(node_ns);
}

const char *lab_learned(const char *address)
{
    static char mac[18];
    const char *found;
    json_t *all;

    netlab_go(client_ns);
    all = netlab_json("ip -j neigh show %s dev cli0", address);
    netlab_go(node_ns);
    found = json_string_value(json_object_get(json_array_get(all, 0), "lladdr"));
    snprintf(mac, sizeof mac, "%s", found != NULL ? found : "");
    json_decref(all);
    return mac;
}

/* ---- sockets ------------------------------------------------------------------- */

static socklen_t sockaddr_make(struct sockaddr_storage *out, const char *text, uint16_t port)
{
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    struct sockaddr_in *four = (struct sockaddr_in *)out;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        return sizeof *four;
    }
    lab_check(inet_pton(AF_INET6, text, &six->sin6_addr) == 1, text);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    return sizeof *six;
}

static int socket_make(const char *address, int type, int protocol)
{
    int family = strchr(address, ':') ? AF_INET6 : AF_INET;
    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

    lab_check(fd >= 0, "socket");
    return fd;
}

static void socket_bind(int fd, const char *address, uint16_t port)
{
    struct sockaddr_storage a;
    socklen_t length = sockaddr_make(&a, address, port);
    int one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    lab_check(bind(fd, (struct sockaddr *)&a, length) == 0, "bind");
}

static bool readable(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, ms) == 1;
}

int lab_listen(const char *address)
{
    int fd = socket_make(address, SOCK_STREAM, 0);

    socket_bind(fd, address, LAB_PORT);
    lab_check(listen(fd, 64) == 0, "listen");
    return fd;
}

int lab_accept(int listener)
{
    return readable(listener, 1000) ? accept4(listener, NULL, NULL, SOCK_NONBLOCK) : -1;
}

int lab_connect(const char *from, const char *to)
{
    return lab_connect_port(from, 0, to);
}

int lab_connect_port(const char *from, uint16_t port, const char *to)
{
    struct sockaddr_storage a;
    int fd;

    netlab_go(client_ns);
    fd = socket_make(from, SOCK_STREAM, 0);
    socket_bind(fd, from, port);
    lab_check(connect(fd, (struct sockaddr *)&a, sockaddr_make(&a, to, LAB_PORT)) < 0 &&
                  errno == EINPROGRESS,
              "connect");
    netlab_go(node_ns);
    return fd;
}

bool lab_connected(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof error;

    if (poll(&p, 1, ms) != 1)
        return false;
    lab_check(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0, "SO_ERROR");
    return error == 0;
}

bool lab_refused(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int error = 0;
    socklen_t size = sizeof error;

    if (poll(&p, 1, ms) != 1)
        return false;
    lab_check(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0, "SO_ERROR");
    return error == ECONNREFUSED;
}

bool lab_unreachable(const char *from, const char *to, int ms)
{
    struct sockaddr_storage a;
    bool refused;
    int fd;

    netlab_go(client_ns);
    fd = socket_make(from, SOCK_DGRAM, 0);
    socket_bind(fd, from, 0);
    lab_check(connect(fd, (struct sockaddr *)&a, sockaddr_make(&a, to, LAB_PORT)) == 0, "connect");
    lab_check(send(fd, "hello", 5, 0) == 5, "send");
    refused = lab_refused(fd, ms);
    close(fd);
    netlab_go(node_ns);
    return refused;
}

static bool talk_one_way(int from, int to)
{
    char word[8] = {0};

    return send(from, "hello", 5, MSG_NOSIGNAL) == 5 && readable(to, 1000) &&
           recv(to, word, sizeof word, 0) == 5 && memcmp(word, "hello", 5) == 0;
}

bool lab_talk(int a, int b)
{
    return talk_one_way(a, b) && talk_one_way(b, a);
}

/* Without a word to the other side: no segment disturbs the next test. */
void lab_close(int fd)
{
    int one = 1;

    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &one, sizeof one);
    close(fd);
}

/* ---- single packets ------------------------------------------------------------ */

static uint32_t sum_words(const void *data, size_t length, uint32_t sum)
{
    const uint8_t *p = data;

    for (size_t i = 0; i + 1 < length; i += 2)
        sum += (uint32_t)p[i] << 8 | p[i + 1];
    return sum;
}

static uint16_t sum_end(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

static void segment_make(struct tcphdr *tcp, const char *from, const char *to)
{
    struct address a, b;
    size_t bytes;
    uint32_t sum;

    lab_check(address_parse(from, &a) && address_parse(to, &b), "address");
    bytes = a.family == FAMILY_IP4 ? 4 : 16;
    memset(tcp, 0, sizeof *tcp);
    tcp->source = htons(4444);
    tcp->dest = htons(LAB_PORT);
    tcp->seq = htonl(1000);
    tcp->ack_seq = htonl(2000);
    tcp->doff = 5;
    tcp->ack = 1;
    tcp->window = htons(1000);
    sum = sum_words(a.byte, bytes, sum_words(b.byte, bytes, 0));
    sum += IPPROTO_TCP + (uint32_t)sizeof *tcp;
    tcp->check = sum_end(sum_words(tcp, sizeof *tcp, sum));
}

void lab_send(enum lab_packet what, const char *from, const char *to)
{
    bool six = strchr(from, ':') != NULL;
    uint8_t echo[8] = {(uint8_t)(six ? 128 : 8), 0, 0, 0, 1, 2, 3, 4};
    uint16_t port = what == LAB_UDP ? LAB_PORT : 0;
    struct sockaddr_storage a;
    socklen_t length = sockaddr_make(&a, to, port);
    struct tcphdr tcp;
    int fd;

    netlab_go(client_ns);
    switch (what) {
    case LAB_ACK:
        fd = socket_make(from, SOCK_RAW, IPPROTO_TCP);
        socket_bind(fd, from, 0);
        segment_make(&tcp, from, to);
        lab_check(sendto(fd, &tcp, sizeof tcp, 0, (struct sockaddr *)&a, length) > 0, "ACK");
        break;
    case LAB_UDP:
        fd = socket_make(from, SOCK_DGRAM, 0);
        socket_bind(fd, from, 4445);
        lab_check(sendto(fd, "hello", 5, 0, (struct sockaddr *)&a, length) > 0, "UDP");
        break;
    default:
        /* ICMPv6's checksum is the kernel's affair, ICMP's is ours. */
        fd = socket_make(from, SOCK_RAW, six ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
        socket_bind(fd, from, 0);
        if (!six) {
            uint16_t sum = sum_end(sum_words(echo, sizeof echo, 0));
            memcpy(echo + 2, &sum, sizeof sum);
        }
        lab_check(sendto(fd, echo, sizeof echo, 0, (struct sockaddr *)&a, length) > 0, "echo");
        break;
    }
    close(fd);
    netlab_go(node_ns);
}

void lab_send_datagram(const char *from, uint16_t port, const char *to, size_t bytes)
{
    static const uint8_t words[8192];
    struct sockaddr_storage a;
    socklen_t length = sockaddr_make(&a, to, LAB_PORT);
    int fd;

    netlab_go(client_ns);
    fd = socket_make(from, SOCK_DGRAM, 0);
    socket_bind(fd, from, port);
    lab_check(sendto(fd, words, bytes, 0, (struct sockaddr *)&a, length) == (ssize_t)bytes,
              "datagram");
    close(fd);
    netlab_go(node_ns);
}

int lab_udp(const char *address)
{
    int fd = socket_make(address, SOCK_DGRAM, 0);

    socket_bind(fd, address, LAB_PORT);
    return fd;
}

ssize_t lab_received(int fd, int ms)
{
    uint8_t datagram[8192];

    return readable(fd, ms) ? recv(fd, datagram, sizeof datagram, 0) : -1;
}

int lab_pings(const char *address)
{
    bool six = strchr(address, ':') != NULL;
    int fd = socket_make(address, SOCK_RAW, six ? IPPROTO_ICMPV6 : IPPROTO_ICMP);

    socket_bind(fd, address, 0);
    return fd;
}

bool lab_pinged(int fd, int ms)
{
    struct sockaddr_storage a;
    socklen_t size = sizeof a;
    uint8_t packet[2048];

    lab_check(getsockname(fd, (struct sockaddr *)&a, &size) == 0, "getsockname");
    while (readable(fd, ms)) {
        ssize_t got = recv(fd, packet, sizeof packet, 0);
        size_t header = a.ss_family == AF_INET ? (size_t)(packet[0] & 15) * 4 : 0;

        if (got > (ssize_t)header && packet[header] == (a.ss_family == AF_INET ? 8 : 128))
            return true;
    }
    return false;
}

int lab_ear(const char *from, const char *to)
{
    struct sockaddr_storage a;
    int fd;

    netlab_go(client_ns);
    fd = socket_make(from, SOCK_RAW, IPPROTO_TCP);
    socket_bind(fd, from, 0);
    lab_check(connect(fd, (struct sockaddr *)&a, sockaddr_make(&a, to, 0)) == 0, "connect");
    netlab_go(node_ns);
    return fd;
}

bool lab_reset_heard(int ear, int ms)
{
    uint8_t packet[2048];

    while (readable(ear, ms)) {
        ssize_t got = recv(ear, packet, sizeof packet, 0);
        struct sockaddr_storage a;
        socklen_t size = sizeof a;
        size_t header = 0;
        struct tcphdr tcp;

        lab_check(getsockname(ear, (struct sockaddr *)&a, &size) == 0, "getsockname");
        if (a.ss_family == AF_INET)
            header = (size_t)(packet[0] & 15) * 4;
        if (got < 0 || (size_t)got < header + sizeof tcp)
            continue;
        memcpy(&tcp, packet + header, sizeof tcp);
        if (tcp.rst && tcp.source == htons(LAB_PORT))
            return true;
    }
    return false;
}

/* ---- frames -------------------------------------------------------------------- */

int lab_sniff(void)
{
    struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int fd;

    netlab_go(client_ns);
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    lab_check(fd >= 0, "AF_PACKET");
    a.sll_ifindex = (int)if_nametoindex("cli0");
    lab_check(bind(fd, (struct sockaddr *)&a, sizeof a) == 0, "bind");
    netlab_go(node_ns);
    return fd;
}

bool lab_sniffed(int sniffer, const char *source, const char *destination, int ms)
{
    struct mac from, to;
    uint8_t frame[2048];

    lab_check(mac_parse(source, &from) && mac_parse(destination, &to), "MAC");
    while (readable(sniffer, ms)) {
        ssize_t got = recv(sniffer, frame, sizeof frame, 0);

        if (got >= (ssize_t)sizeof(struct ether_header) &&
            memcmp(frame, to.byte, sizeof to.byte) == 0 &&
            memcmp(frame + 6, from.byte, sizeof from.byte) == 0)
            return true;
    }
    return false;
}

bool lab_sniffed_from(int sniffer, const char *source)
{
    struct mac from;
    uint8_t frame[2048];

    lab_check(mac_parse(source, &from), "MAC");
    while (readable(sniffer, 0)) {
        ssize_t got = recv(sniffer, frame, sizeof frame, 0);

        if (got >= (ssize_t)sizeof(struct ether_header) &&
            memcmp(frame + 6, from.byte, sizeof from.byte) == 0)
            return true;
    }
    return false;
}
