/*
 * Links and MACs by rtnetlink.
 *
 * Changing a NIC's own MAC makes the kernel forget the permanent neighbours of
 * the link. Drivers that refuse to do it live (EBUSY) want the link down, and
 * that takes its routes and IPv6 addresses too, and on the way up the kernel
 * would make a link-local address of the new MAC - the same one on every
 * member. So all of that is kept and put back, and no address is generated
 * while the link comes up.
 */
#include "rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"
#include "rtnl_impl.h"

#define LOG "rtnl"

enum { WATCH_READ_MAX = 256, GEN_MODE_UNKNOWN = -1 };

struct nlmsghdr *rtnl_request(void *buffer, unsigned type, unsigned flags, size_t extra,
                              void **header)
{
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

    request->nlmsg_type = (uint16_t)type;
    request->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    *header = mnl_nlmsg_put_extra_header(request, extra);
    return request;
}

/*
 * Neighbour news are for the NIC's MAC filter (AF_BRIDGE, NTF_SELF) only: the
 * ARP and ND chatter of the segment would wake the daemon all the time.
 */
static int watch_filter(int fd)
{
    enum {
        AT_TYPE = offsetof(struct nlmsghdr, nlmsg_type),
        AT_FAMILY = sizeof(struct nlmsghdr) + offsetof(struct ndmsg, ndm_family),
        AT_FLAGS = sizeof(struct nlmsghdr) + offsetof(struct ndmsg, ndm_flags),
    };
    const unsigned added = htons(RTM_NEWNEIGH), gone = htons(RTM_DELNEIGH);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, AT_TYPE),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, added, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, gone, 0, 4),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, AT_FAMILY),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_BRIDGE, 0, 3),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, AT_FLAGS),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NTF_SELF, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
        return -errno;
    return 0;
}

static int watch_open(struct rtnl *r)
{
    const unsigned groups = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;

    r->watch = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (r->watch == NULL)
        return -errno;
    int error = watch_filter(mnl_socket_get_fd(r->watch));
    if (error < 0)
        return error;
    return mnl_socket_bind(r->watch, groups, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
}

int rtnl_open(struct rtnl **out)
{
    struct rtnl *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return -ENOMEM;

    int error = netlink_open(&r->ask, NETLINK_ROUTE, LOG);
    if (error == 0)
        error = watch_open(r);
    if (error < 0) {
        rtnl_close(r);
        return error;
    }
    *out = r;
    return 0;
}

void rtnl_close(struct rtnl *r)
{
    if (r == NULL)
        return;
    if (r->watch != NULL)
        mnl_socket_close(r->watch);
    netlink_close(&r->ask);
    free(r);
}

/* What we read of a link, beside what callers see. */
struct link_read {
    struct rtnl_link link;
    int gen_mode; /* IFLA_INET6_ADDR_GEN_MODE, -1 unknown */
};

/* Leaves `out` alone if there is none, or one that is not an Ethernet address. */
static void mac_read(const struct nlattr *attribute, struct mac *out)
{
    if (attribute != NULL && mnl_attr_get_payload_len(attribute) == sizeof(out->byte))
        memcpy(out->byte, mnl_attr_get_payload(attribute), sizeof(out->byte));
}

static int gen_mode_read(const struct nlattr *spec)
{
    const struct nlattr *family[AF_INET6 + 1], *mode[IFLA_INET6_ADDR_GEN_MODE + 1];

    if (spec == NULL)
        return GEN_MODE_UNKNOWN;
    netlink_attributes_nested(spec, family, AF_INET6 + 1);
    if (family[AF_INET6] == NULL)
        return GEN_MODE_UNKNOWN;
    netlink_attributes_nested(family[AF_INET6], mode, IFLA_INET6_ADDR_GEN_MODE + 1);
    if (mode[IFLA_INET6_ADDR_GEN_MODE] == NULL)
        return GEN_MODE_UNKNOWN;
    return netlink_u8(mode[IFLA_INET6_ADDR_GEN_MODE], IN6_ADDR_GEN_MODE_EUI64);
}

static int link_take(void *arg, const struct nlmsghdr *message)
{
    struct link_read *out = arg;
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute[IFLA_MAX + 1];

    if (message->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(message) < sizeof(*info))
        return -EBADMSG;
    netlink_attributes(message, sizeof(*info), attribute, IFLA_MAX + 1);
    out->link.index = (unsigned)info->ifi_index;
    out->link.up = info->ifi_flags & IFF_UP;
    out->link.carrier = info->ifi_flags & IFF_LOWER_UP;
    out->link.mtu = netlink_u32(attribute[IFLA_MTU], 0);
    mac_read(attribute[IFLA_ADDRESS], &out->link.mac);
    mac_read(attribute[IFLA_PERM_ADDRESS], &out->link.permanent);
    out->gen_mode = gen_mode_read(attribute[IFLA_AF_SPEC]);
    return 0;
}

/* Reads by name, or by index if `name` is NULL. */
static int link_read(struct rtnl *r, const char *name, unsigned ifindex, struct link_read *out)
{
    uint8_t buffer[NETLINK_REQUEST_BYTES];
    void *header;
    struct nlmsghdr *request =
        rtnl_request(buffer, RTM_GETLINK, 0, sizeof(struct ifinfomsg), &header);

    *out = (struct link_read){.gen_mode = GEN_MODE_UNKNOWN};
    if (name != NULL)
        mnl_attr_put_strz(request, IFLA_IFNAME, name);
    else
        ((struct ifinfomsg *)header)->ifi_index = (int)ifindex;
    mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    int error = netlink_ask(&r->ask, request, link_take, out);
    return error == 0 && out->link.index == 0 ? -EBADMSG : error;
}

int rtnl_link_get(struct rtnl *r, const char *name, struct rtnl_link *out)
{
    struct link_read read;

    if (strlen(name) > IFNAME_BYTES_MAX)
        return -ENODEV;
    int error = link_read(r, name, 0, &read);
    if (error == 0)
        *out = read.link;
    return error;
}

/* The MAC filter of a NIC, which rtnetlink shows as a bridge's table of itself. */
static int filter_change(struct rtnl *r, unsigned type, unsigned flags, unsigned ifindex,
                         const struct mac *mac)
{
    uint8_t buffer[NETLINK_REQUEST_BYTES];
    void *header;
    struct nlmsghdr *request = rtnl_request(buffer, type, flags, sizeof(struct ndmsg), &header);
    struct ndmsg *neighbour = header;

    neighbour->ndm_family = AF_BRIDGE;
    neighbour->ndm_ifindex = (int)ifindex;
    neighbour->ndm_state = NUD_PERMANENT | NUD_NOARP;
    neighbour->ndm_flags = NTF_SELF;
    mnl_attr_put(request, NDA_LLADDR, sizeof(mac->byte), mac->byte);
    return netlink_ask(&r->ask, request, NULL, NULL);
}

int rtnl_mac_add(struct rtnl *r, unsigned ifindex, const struct mac *mac, bool *added)
{
    int error = filter_change(r, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, ifindex, mac);

    *added = error == 0;
    return error == -EEXIST ? 0 : error;
}

int rtnl_mac_del(struct rtnl *r, unsigned ifindex, const struct mac *mac)
{
    return filter_change(r, RTM_DELNEIGH, 0, ifindex, mac);
}

struct filter_search {
    unsigned ifindex;
    const struct mac *mac;
    bool found;
};

static int filter_take(void *arg, const struct nlmsghdr *message)
{
    struct filter_search *search = arg;
    const struct ndmsg *neighbour = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute[NDA_LLADDR + 1];
    struct mac mac = {0};

    if (message->nlmsg_type != RTM_NEWNEIGH ||
        mnl_nlmsg_get_payload_len(message) < sizeof(*neighbour))
        return -EBADMSG;
    if ((unsigned)neighbour->ndm_ifindex != search->ifindex || !(neighbour->ndm_flags & NTF_SELF))
        return 0;
    netlink_attributes(message, sizeof(*neighbour), attribute, NDA_LLADDR + 1);
    mac_read(attribute[NDA_LLADDR], &mac);
    if (memcmp(mac.byte, search->mac->byte, sizeof(mac.byte)) == 0)
        search->found = true;
    return 0;
}

int rtnl_mac_has(struct rtnl *r, unsigned ifindex, const struct mac *mac)
{
    uint8_t buffer[NETLINK_REQUEST_BYTES];
    void *header;
    struct nlmsghdr *request = rtnl_request(buffer, RTM_GETNEIGH, 0, sizeof(struct ndmsg), &header);
    struct ndmsg *neighbour = header;
    struct filter_search search = {.ifindex = ifindex, .mac = mac};

    neighbour->ndm_family = AF_BRIDGE;
    neighbour->ndm_ifindex = (int)ifindex;
    int error = netlink_dump(&r->ask, request, NULL, filter_take, &search);
    return error < 0 ? error : search.found;
}

static int link_mac_change(struct rtnl *r, unsigned ifindex, const struct mac *mac)
{
    uint8_t buffer[NETLINK_REQUEST_BYTES];
    void *header;
    struct nlmsghdr *request =
        rtnl_request(buffer, RTM_SETLINK, 0, sizeof(struct ifinfomsg), &header);

    ((struct ifinfomsg *)header)->ifi_index = (int)ifindex;
    mnl_attr_put(request, IFLA_ADDRESS, sizeof(mac->byte), mac->byte);
    return netlink_ask(&r->ask, request, NULL, NULL);
}

static int link_up_change(struct rtnl *r, unsigned ifindex, bool up)
{
    uint8_t buffer[NETLINK_REQUEST_BYTES];
    void *header;
    struct nlmsghdr *request =
        rtnl_request(buffer, RTM_SETLINK, 0, sizeof(struct ifinfomsg), &header);
    struct ifinfomsg *info = header;

    info->ifi_index = (int)ifindex;
    info->ifi_change = IFF_UP;
    info->ifi_flags = up ? IFF_UP : 0;
    return netlink_ask(&r->ask, request, NULL, NULL);
}

static int link_gen_mode_change(struct rtnl *r, unsigned ifindex, int mode)
{
    uint8_t buffer[NETLINK_REQUEST_BYTES];
    void *header;
    struct nlmsghdr *request =
        rtnl_request(buffer, RTM_SETLINK, 0, sizeof(struct ifinfomsg), &header);

    if (mode < 0)
        return 0;
    ((struct ifinfomsg *)header)->ifi_index = (int)ifindex;
    struct nlattr *spec = mnl_attr_nest_start(request, IFLA_AF_SPEC);
    struct nlattr *family = mnl_attr_nest_start(request, AF_INET6);
    mnl_attr_put_u8(request, IFLA_INET6_ADDR_GEN_MODE, (uint8_t)mode);
    mnl_attr_nest_end(request, family);
    mnl_attr_nest_end(request, spec);
    return netlink_ask(&r->ask, request, NULL, NULL);
}

/* Down, change, up: whatever fails, the link comes up again. */
static int link_mac_change_down(struct rtnl *r, const struct link_read *was, const struct mac *mac)
{
    const unsigned ifindex = was->link.index;
    struct keep addresses = {0}, routes = {0};
    int error, back;

    error = keep_addresses(&addresses, r, ifindex, FAMILY_IP6);
    if (error == 0)
        error = keep_routes(&routes, r, ifindex);
    if (error < 0)
        goto out;
    (void)link_gen_mode_change(r, ifindex, IN6_ADDR_GEN_MODE_NONE);
    error = link_up_change(r, ifindex, false);
    if (error == 0)
        error = link_mac_change(r, ifindex, mac);
    back = link_up_change(r, ifindex, true);
    if (error == 0)
        error = back;
    size_t lost = keep_put_back(&addresses, r) + keep_put_back(&routes, r);
    if (lost > 0)
        log_warn(LOG,
                 "link %u: %zu addresses or routes did not come back after the change of "
                 "its MAC",
                 ifindex, lost);
    (void)link_gen_mode_change(r, ifindex, was->gen_mode);
out:
    keep_clear(&addresses);
    keep_clear(&routes);
    return error;
}

int rtnl_mac_set(struct rtnl *r, unsigned ifindex, const struct mac *mac)
{
    struct keep neighbours = {0};
    struct link_read was;
    int error = link_read(r, NULL, ifindex, &was);

    if (error < 0)
        return error;
    if (memcmp(was.link.mac.byte, mac->byte, sizeof(mac->byte)) == 0)
        return 0;
    error = keep_neighbours(&neighbours, r, ifindex);
    if (error < 0)
        goto out;
    error = link_mac_change(r, ifindex, mac);
    if (error == -EBUSY && was.link.up)
        error = link_mac_change_down(r, &was, mac);
    (void)keep_put_back(&neighbours, r);
out:
    keep_clear(&neighbours);
    return error;
}

int rtnl_watch_fd(const struct rtnl *r)
{
    return mnl_socket_get_fd(r->watch);
}

static int watch_change(const struct nlmsghdr *message)
{
    switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
    case RTM_NEWNEIGH: /* of the NIC's own filter, see watch_filter() */
    case RTM_DELNEIGH:
        return RTNL_LINK;
    case RTM_NEWADDR:
    case RTM_DELADDR:
        return RTNL_ADDRESS;
    default:
        return 0;
    }
}

int rtnl_watch_read(struct rtnl *r)
{
    int changed = 0;

    for (int i = 0; i < WATCH_READ_MAX; i++) {
        ssize_t got = mnl_socket_recvfrom(r->watch, r->ask.answer, sizeof(r->ask.answer));
        if (got < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN)
                break;
            /* Something was lost: as if everything had changed. */
            if (errno != ENOBUFS && errno != ENOSPC)
                return -errno;
            changed |= RTNL_LINK | RTNL_ADDRESS;
            continue;
        }
        int left = (int)got;
        const struct nlmsghdr *message = (const struct nlmsghdr *)r->ask.answer;
        for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
            changed |= watch_change(message);
    }
    return changed;
}
