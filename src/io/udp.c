/*
 * Heartbeat sockets.
 *
 * Each heartbeat interface has a socket of its own, bound to it: it hears the
 * group and the unicast peers that come in there, and says to the group what
 * goes out there. Unicast peers are spoken to by a socket that is bound to no
 * interface, so that the routing table decides; it sends from the same port,
 * and a filter keeps it from queueing what other interfaces bring.
 *
 * Sockets are IPv4 only, unless the group or a peer is IPv6; then they are
 * IPv6 sockets that speak both.
 *
 * A network that is not there yet, or not any more, is no failure here: the
 * copies that can go out do, and the rest is told as -errno. A group is joined
 * by interface index and needs no address; it is lost only with the interface,
 * see udp_stale().
 *
 * Heartbeats are never fragmented: they leave with DF, and what does not fit
 * the interface is refused by the kernel. Smaller paths that an ICMP message
 * tells of are not believed (IP_PMTUDISC_PROBE): anybody can send one, and who
 * did could silence a member.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipclusterd/seal.h"
#include "ipclusterd/wire.h"
#include "log.h"
#include "udp_impl.h"

#define LOG "udp"

enum {
    PRIORITY = 6,                    /* TC_PRIO_INTERACTIVE, the most without privilege */
    TRAFFIC_CLASS = IPTOS_CLASS_CS6, /* network control */
    RECEIVE_BYTES = 2 << 20,         /* a flood of 100,000 a second for 30 ms */
    HOPS = 1,
    HEADERS = 48, /* IPv6 and UDP */
    TARGET_TEXT = 64,
    /* In a row, before a target is called lost, or well again: what fails now
     * and then is not worth a line. */
    FAILURES_TOLD = 3,
    SUCCESSES_TOLD = 50,
};

/* How copies to one target fare. */
struct udp_streak {
    bool told; /* that it fails */
    uint8_t in_a_row;
};

struct udp_link {
    char name[IFNAME_BYTES_MAX + 1];
    unsigned ifindex; /* 0: was not there */
    int fd;           /* -1: not open */
    struct udp_streak streak;
};

struct udp {
    int af; /* of every socket here */
    size_t links;
    struct udp_link link[HEARTBEAT_LINKS_MAX];
    struct address group;
    uint16_t port;
    int peer_fd; /* -1: no peers */
    size_t peers;
    struct sockaddr_storage peer[PEERS_MAX];
    struct udp_streak peer_streak[PEERS_MAX];
    struct udp_intake intake;
};

static socklen_t endpoint_length(int af)
{
    return af == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* The socket address of `a` for a socket of family `af`. FAMILY_NONE: any. */
static void endpoint_make(int af, const struct address *a, uint16_t port, unsigned scope,
                          struct sockaddr_storage *out)
{
    *out = (struct sockaddr_storage){.ss_family = (sa_family_t)af};
    if (af == AF_INET) {
        struct sockaddr_in *four = (struct sockaddr_in *)out;
        assert(a->family != FAMILY_IP6);
        four->sin_port = htons(port);
        memcpy(&four->sin_addr, a->byte, 4);
        return;
    }
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    six->sin6_port = htons(port);
    if (a->family == FAMILY_IP4) {
        memset(&six->sin6_addr.s6_addr[10], 0xff, 2);
        memcpy(&six->sin6_addr.s6_addr[12], a->byte, 4);
        return;
    }
    memcpy(&six->sin6_addr, a->byte, 16);
    if (IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr) || IN6_IS_ADDR_MC_LINKLOCAL(&six->sin6_addr))
        six->sin6_scope_id = scope;
}

static int option_set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* What is sent keeps its size; see above. */
static int fragments_refuse(int fd, int af)
{
    int error = option_set(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    if (error == 0 && af == AF_INET6)
        error = option_set(fd, SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    return error;
}

/* A bound, non-blocking socket: on one interface, to hear what comes in there,
 * or (NULL) on none, to send only. */
static int socket_make(const struct udp *u, const char *interface, int *out)
{
    const struct address any = {.family = FAMILY_NONE};
    struct sockaddr_storage local;
    int error;
    int fd = socket(u->af, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    /* What these do is wanted, not needed. */
    (void)option_set(fd, SOL_IP, IP_TOS, TRAFFIC_CLASS);
    (void)option_set(fd, SOL_IP, IP_MULTICAST_ALL, 0);
    if (u->af == AF_INET6)
        (void)option_set(fd, SOL_IPV6, IPV6_TCLASS, TRAFFIC_CLASS);
    (void)option_set(fd, SOL_SOCKET, SO_PRIORITY, PRIORITY);
    if (option_set(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES) < 0)
        (void)option_set(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BYTES);

    error = option_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (error == 0)
        error = fragments_refuse(fd, u->af);
    if (error == 0)
        error = udp_filter_attach(fd, &u->intake.filter, interface ? ADMIT_ALL : ADMIT_NONE);
    if (error == 0 && u->af == AF_INET6)
        error = option_set(fd, SOL_IPV6, IPV6_V6ONLY, 0);
    if (error == 0 && interface != NULL &&
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) < 0)
        error = -errno;
    endpoint_make(u->af, &any, u->port, 0, &local);
    if (error == 0 && bind(fd, (const struct sockaddr *)&local, endpoint_length(u->af)) < 0)
        error = -errno;
    if (error < 0)
        close(fd);
    else
        *out = fd;
    return error;
}

static int group_join_ip4(int fd, const struct address *group, unsigned ifindex)
{
    struct ip_mreqn membership = {.imr_ifindex = (int)ifindex};
    int error;

    memcpy(&membership.imr_multiaddr, group->byte, 4);
    if (setsockopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, &membership, sizeof(membership)) < 0 ||
        setsockopt(fd, SOL_IP, IP_MULTICAST_IF, &membership, sizeof(membership)) < 0)
        return -errno;
    error = option_set(fd, SOL_IP, IP_MULTICAST_TTL, HOPS);
    return error < 0 ? error : option_set(fd, SOL_IP, IP_MULTICAST_LOOP, 0);
}

static int group_join_ip6(int fd, const struct address *group, unsigned ifindex)
{
    struct ipv6_mreq membership = {.ipv6mr_interface = ifindex};
    int error;

    memcpy(&membership.ipv6mr_multiaddr, group->byte, 16);
    if (setsockopt(fd, SOL_IPV6, IPV6_JOIN_GROUP, &membership, sizeof(membership)) < 0)
        return -errno;
    error = option_set(fd, SOL_IPV6, IPV6_MULTICAST_IF, (int)ifindex);
    if (error == 0)
        error = option_set(fd, SOL_IPV6, IPV6_MULTICAST_HOPS, HOPS);
    return error < 0 ? error : option_set(fd, SOL_IPV6, IPV6_MULTICAST_LOOP, 0);
}

static int link_open(struct udp *u, struct udp_link *link)
{
    int error = 0;

    link->ifindex = if_nametoindex(link->name);
    if (link->ifindex == 0)
        return -ENODEV;
    error = socket_make(u, link->name, &link->fd);
    if (error < 0)
        return error;
    if (u->group.family == FAMILY_IP4)
        error = group_join_ip4(link->fd, &u->group, link->ifindex);
    else if (u->group.family == FAMILY_IP6)
        error = group_join_ip6(link->fd, &u->group, link->ifindex);
    if (error == 0)
        error = udp_intake_add(&u->intake, link->fd);
    if (error < 0) {
        close(link->fd);
        link->fd = -1;
    }
    return error;
}

static bool address_is(const struct address *a, const struct sockaddr *s)
{
    if (s == NULL)
        return false;
    if (a->family == FAMILY_IP4 && s->sa_family == AF_INET)
        return memcmp(a->byte, &((const struct sockaddr_in *)s)->sin_addr, 4) == 0;
    if (a->family == FAMILY_IP6 && s->sa_family == AF_INET6)
        return memcmp(a->byte, &((const struct sockaddr_in6 *)s)->sin6_addr, 16) == 0;
    return false;
}

/* The peers but ourselves: one list of peers is meant to fit all nodes. */
static void peers_take(struct udp *u, const struct config *c)
{
    struct ifaddrs *own = NULL;

    if (c->peers > 0 && getifaddrs(&own) < 0)
        own = NULL;
    for (size_t i = 0; i < c->peers; i++) {
        const struct ifaddrs *at = own;
        while (at != NULL && !address_is(&c->peer[i], at->ifa_addr))
            at = at->ifa_next;
        if (at == NULL)
            endpoint_make(u->af, &c->peer[i], c->port, u->link[0].ifindex, &u->peer[u->peers++]);
    }
    if (own != NULL)
        freeifaddrs(own);
}

static int peers_open(struct udp *u, const struct config *c)
{
    if (c->peers == 0)
        return 0;
    int error = socket_make(u, NULL, &u->peer_fd);
    if (error == 0)
        peers_take(u, c);
    return error;
}

static int family_of(const struct config *c)
{
    if (c->group.family == FAMILY_IP6)
        return AF_INET6;
    for (size_t i = 0; i < c->peers; i++)
        if (c->peer[i].family == FAMILY_IP6)
            return AF_INET6;
    return AF_INET;
}

int udp_open(struct udp **out, const struct config *c)
{
    const struct udp_filter filter = {.cluster_id = hash64(c->cluster, strlen(c->cluster)),
                                      .version_first = WIRE_VERSION_FIRST,
                                      .version_last = WIRE_VERSION_LAST};
    struct udp *u = calloc(1, sizeof(*u));
    size_t open = 0;

    assert(c->heartbeat_links >= 1 && c->heartbeat_links <= HEARTBEAT_LINKS_MAX);
    if (u == NULL)
        return -ENOMEM;
    int error = udp_intake_open(&u->intake, &filter);
    if (error < 0) {
        free(u);
        return error;
    }
    u->af = family_of(c);
    u->links = c->heartbeat_links;
    u->group = c->group;
    u->port = c->port;
    u->peer_fd = -1;
    for (size_t i = 0; i < u->links; i++) {
        struct udp_link *link = &u->link[i];
        memcpy(link->name, c->heartbeat_link[i], sizeof(link->name));
        link->fd = -1;
    }
    for (size_t i = 0; i < u->links; i++) {
        int failure = link_open(u, &u->link[i]);
        open += failure == 0;
        if (failure < 0) {
            log_warn(LOG, "no heartbeats on %s: %s", u->link[i].name, strerror(-failure));
            error = failure;
        }
    }
    if (open > 0)
        error = peers_open(u, c);
    if (error < 0) {
        udp_close(u);
        return error;
    }
    *out = u;
    return 0;
}

void udp_close(struct udp *u)
{
    if (u == NULL)
        return;
    for (size_t i = 0; i < u->links; i++)
        if (u->link[i].fd >= 0)
            close(u->link[i].fd);
    if (u->peer_fd >= 0)
        close(u->peer_fd);
    udp_intake_close(&u->intake);
    free(u);
}

bool udp_stale(const struct udp *u)
{
    for (size_t i = 0; i < u->links; i++) {
        unsigned now = if_nametoindex(u->link[i].name);
        if (now != 0 && (now != u->link[i].ifindex || u->link[i].fd < 0))
            return true;
    }
    return false;
}

int udp_fd(const struct udp *u)
{
    return u->intake.set;
}

size_t udp_receive(struct udp *u, instant now, struct udp_datagram out[UDP_BATCH])
{
    return udp_intake_read(&u->intake, now, out);
}

uint64_t udp_dropped(const struct udp *u)
{
    return udp_intake_dropped(&u->intake);
}

/* "eth0", or "192.0.2.7". */
static const char *target_text(const struct udp_link *link, const struct sockaddr_storage *to,
                               char text[TARGET_TEXT])
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)to;
    const void *address = &six->sin6_addr;
    int af = AF_INET6;

    if (link != NULL)
        return link->name;
    if (to->ss_family == AF_INET) {
        address = &((const struct sockaddr_in *)to)->sin_addr;
        af = AF_INET;
    } else if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        address = &six->sin6_addr.s6_addr[12];
        af = AF_INET;
    }
    const char *written = inet_ntop(af, address, text, TARGET_TEXT);
    return written != NULL ? written : "?";
}

/* Tells when copies to a target begin to fail, and when they go out again. */
static void target_watch(struct udp_streak *s, int error, size_t length,
                         const struct udp_link *link, const struct sockaddr_storage *to)
{
    char text[TARGET_TEXT];

    if ((error < 0) == s->told) {
        s->in_a_row = 0;
        return;
    }
    if (++s->in_a_row < (s->told ? SUCCESSES_TOLD : FAILURES_TOLD))
        return;
    s->told = !s->told;
    s->in_a_row = 0;
    const char *target = target_text(link, to, text);
    if (!s->told)
        log_info(LOG, "heartbeats go out to %s again", target);
    else if (error == -EMSGSIZE)
        log_error(LOG,
                  "heartbeats to %s do not go out: %zu bytes do not fit the MTU there; "
                  "raise it to %zu, or take fewer cluster.buckets",
                  target, length, length + HEADERS);
    else
        log_warn(LOG, "heartbeats to %s do not go out: %s", target, strerror(-error));
}

static int copy_send(const struct udp *u, int fd, const void *data, size_t length,
                     const struct sockaddr_storage *to)
{
    ssize_t sent;

    do
        sent = sendto(fd, data, length, MSG_NOSIGNAL, (const struct sockaddr *)to,
                      endpoint_length(u->af));
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

int udp_send(struct udp *u, const void *data, size_t length)
{
    size_t sent = 0;
    int error = 0; /* with nobody to send to, all is sent */

    for (size_t i = 0; i < u->links && u->group.family != FAMILY_NONE; i++) {
        struct udp_link *link = &u->link[i];
        struct sockaddr_storage group;
        if (link->fd < 0)
            continue;
        endpoint_make(u->af, &u->group, u->port, link->ifindex, &group);
        int failure = copy_send(u, link->fd, data, length, &group);
        target_watch(&link->streak, failure, length, link, &group);
        if (failure < 0)
            error = failure;
        sent += failure == 0;
    }
    for (size_t i = 0; i < u->peers; i++) {
        int failure = copy_send(u, u->peer_fd, data, length, &u->peer[i]);
        target_watch(&u->peer_streak[i], failure, length, NULL, &u->peer[i]);
        if (failure < 0)
            error = failure;
        sent += failure == 0;
    }
    return sent > 0 ? 0 : error;
}
