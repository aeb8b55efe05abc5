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
 */
#include "udp.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"

#define LOG "udp"

enum {
    PRIORITY = 6,                    /* TC_PRIO_INTERACTIVE, the most without privilege */
    TRAFFIC_CLASS = IPTOS_CLASS_CS6, /* network control */
    RECEIVE_BYTES = 256 * 1024,      /* a few rounds of a full cluster */
    HOPS = 1,
    RECEIVE_SKIP_MAX = 64, /* useless datagrams per call */
};

struct udp_link {
    char name[IFNAME_BYTES_MAX + 1];
    unsigned ifindex; /* 0: was not there */
    int fd;           /* -1: not open */
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

/* A bound, non-blocking socket, on one interface or (NULL) on none. */
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
    (void)option_set(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BYTES);

    error = option_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
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

static int link_open(const struct udp *u, struct udp_link *link)
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
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    const struct sock_fprog filter = {.len = 1, .filter = &nothing};

    if (c->peers == 0)
        return 0;
    int error = socket_make(u, NULL, &u->peer_fd);
    if (error == 0 &&
        setsockopt(u->peer_fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0)
        error = -errno;
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
    struct udp *u = calloc(1, sizeof(*u));
    size_t open = 0;
    int error = 0;

    assert(c->heartbeat_links >= 1 && c->heartbeat_links <= HEARTBEAT_LINKS_MAX);
    if (u == NULL)
        return -ENOMEM;
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

size_t udp_fds(const struct udp *u, int fds[HEARTBEAT_LINKS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < u->links; i++)
        if (u->link[i].fd >= 0)
            fds[count++] = u->link[i].fd;
    return count;
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
        const struct udp_link *link = &u->link[i];
        struct sockaddr_storage group;
        if (link->fd < 0)
            continue;
        endpoint_make(u->af, &u->group, u->port, link->ifindex, &group);
        int failure = copy_send(u, link->fd, data, length, &group);
        if (failure < 0)
            error = failure;
        sent += failure == 0;
    }
    for (size_t i = 0; i < u->peers; i++) {
        int failure = copy_send(u, u->peer_fd, data, length, &u->peer[i]);
        if (failure < 0)
            error = failure;
        sent += failure == 0;
    }
    return sent > 0 ? 0 : error;
}

int udp_receive(struct udp *u, int fd, void *data, size_t size)
{
    (void)u;
    for (int skipped = 0; skipped < RECEIVE_SKIP_MAX; skipped++) {
        ssize_t got = recv(fd, data, size, MSG_TRUNC | MSG_DONTWAIT);
        if (got > 0 && (size_t)got <= size)
            return (int)got;
        if (got < 0 && errno == EAGAIN)
            return 0;
        if (got < 0 && errno != EINTR)
            return -errno;
        /* Empty, too large, or interrupted: the next one. */
    }
    return 0;
}
