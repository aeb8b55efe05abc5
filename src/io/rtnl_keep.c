/*
 * Keeping what a change takes away beside what it was meant to change, and
 * putting it back.
 *
 * The kernel's own descriptions are kept, message by message, and sent back as
 * requests to create: attributes that we know nothing about survive. What is
 * there again by itself answers EEXIST, which is as good.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"
#include "rtnl_impl.h"

/* Routes may lean on each other (a gateway on a network), so what was refused
 * is tried again after the rest. */
enum { KEEP_BYTES_MIN = 4096, PUT_BACK_PASSES = 3 };

static size_t message_bytes(const struct nlmsghdr *message)
{
    return ((size_t)message->nlmsg_len + MNL_ALIGNTO - 1) / MNL_ALIGNTO * MNL_ALIGNTO;
}

int keep_add(struct keep *k, const struct nlmsghdr *message)
{
    const size_t length = message_bytes(message);

    if (k->size - k->used < length) {
        size_t size = k->size * 2 + KEEP_BYTES_MIN + length;
        uint8_t *data = realloc(k->data, size);
        if (data == NULL)
            return -ENOMEM;
        k->data = data;
        k->size = size;
    }
    memset(k->data + k->used, 0, length);
    memcpy(k->data + k->used, message, message->nlmsg_len);
    k->used += length;
    k->count++;
    return 0;
}

void keep_clear(struct keep *k)
{
    free(k->data);
    *k = (struct keep){0};
}

static void keep_reset(void *arg)
{
    keep_clear(arg);
}

static int keep_address_take(void *arg, const struct nlmsghdr *message)
{
    return keep_add(arg, message);
}

int keep_addresses(struct keep *k, struct rtnl *r, unsigned ifindex, enum family family)
{
    return rtnl_address_dump(r, ifindex, family, keep_reset, keep_address_take, k);
}

/* A dump of one link's things into a keep. */
struct keep_dump {
    struct keep *keep;
    unsigned ifindex;
    size_t before; /* bytes of the keep that other dumps filled */
    size_t before_count;
};

static void keep_dump_reset(void *arg)
{
    struct keep_dump *d = arg;

    d->keep->used = d->before;
    d->keep->count = d->before_count;
}

static int neighbour_take(void *arg, const struct nlmsghdr *message)
{
    struct keep_dump *d = arg;
    const struct ndmsg *neighbour = mnl_nlmsg_get_payload(message);

    if (mnl_nlmsg_get_payload_len(message) < sizeof(*neighbour))
        return -EBADMSG;
    if ((unsigned)neighbour->ndm_ifindex != d->ifindex || !(neighbour->ndm_state & NUD_PERMANENT))
        return 0;
    return keep_add(d->keep, message);
}

/* What the kernel or a router's advertisement set comes back without us. */
static bool route_is_ours_to_keep(const struct rtmsg *route, unsigned table)
{
    return table != RT_TABLE_LOCAL && route->rtm_protocol != RTPROT_KERNEL &&
           route->rtm_protocol != RTPROT_RA && route->rtm_protocol != RTPROT_REDIRECT &&
           !(route->rtm_flags & RTM_F_CLONED);
}

static bool multipath_uses(const struct nlattr *attr, unsigned ifindex)
{
    const struct rtnexthop *hop = attr != NULL ? mnl_attr_get_payload(attr) : NULL;
    size_t left = attr != NULL ? mnl_attr_get_payload_len(attr) : 0;

    while (left >= sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) && hop->rtnh_len <= left) {
        if ((unsigned)hop->rtnh_ifindex == ifindex)
            return true;
        const size_t step = RTNH_ALIGN(hop->rtnh_len);
        if (step >= left)
            break;
        left -= step;
        hop = (const void *)((const uint8_t *)hop + step);
    }
    return false;
}

static int route_take(void *arg, const struct nlmsghdr *message)
{
    struct keep_dump *d = arg;
    const struct rtmsg *route = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute[RTA_MAX + 1];

    if (mnl_nlmsg_get_payload_len(message) < sizeof(*route))
        return -EBADMSG;
    netlink_attributes(message, sizeof(*route), attribute, RTA_MAX + 1);
    const unsigned table = netlink_u32(attribute[RTA_TABLE], route->rtm_table);
    const bool over = netlink_u32(attribute[RTA_OIF], 0) == d->ifindex ||
                      multipath_uses(attribute[RTA_MULTIPATH], d->ifindex);
    if (!over || !route_is_ours_to_keep(route, table))
        return 0;
    if (attribute[RTA_NH_ID] != NULL) {
        /* Its nexthop object dies with the link and is somebody's own business. */
        log_warn("rtnl", "link %u: a route by a nexthop object cannot be kept", d->ifindex);
        return 0;
    }
    return keep_add(d->keep, message);
}

static int dump_family(struct keep *k, struct rtnl *r, unsigned ifindex, unsigned type,
                       uint8_t family)
{
    uint8_t buffer[NETLINK_REQUEST_BYTES];
    void *header;
    const bool neighbours = type == RTM_GETNEIGH;
    struct nlmsghdr *request = rtnl_request(
        buffer, type, 0, neighbours ? sizeof(struct ndmsg) : sizeof(struct rtmsg), &header);
    struct keep_dump d = {
        .keep = k, .ifindex = ifindex, .before = k->used, .before_count = k->count};

    *(uint8_t *)header = family;
    int error = netlink_dump(&r->ask, request, keep_dump_reset,
                             neighbours ? neighbour_take : route_take, &d);
    /* A kernel without the family has nothing of it. */
    return error == -EOPNOTSUPP || error == -EAFNOSUPPORT ? 0 : error;
}

int keep_neighbours(struct keep *k, struct rtnl *r, unsigned ifindex)
{
    int error = dump_family(k, r, ifindex, RTM_GETNEIGH, AF_INET);

    return error < 0 ? error : dump_family(k, r, ifindex, RTM_GETNEIGH, AF_INET6);
}

int keep_routes(struct keep *k, struct rtnl *r, unsigned ifindex)
{
    int error = dump_family(k, r, ifindex, RTM_GETROUTE, AF_INET);

    return error < 0 ? error : dump_family(k, r, ifindex, RTM_GETROUTE, AF_INET6);
}

/* Makes a request of a description: some of what the kernel tells it refuses
 * to be told. */
static void request_prepare(struct nlmsghdr *message)
{
    const struct nlattr *attribute[IFA_FLAGS + 1];

    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL;
    switch (message->nlmsg_type) {
    case RTM_NEWROUTE:
        ((struct rtmsg *)mnl_nlmsg_get_payload(message))->rtm_flags &= RTNH_F_ONLINK;
        break;
    case RTM_NEWADDR:
        netlink_attributes(message, sizeof(struct ifaddrmsg), attribute, IFA_FLAGS + 1);
        uint32_t flags = netlink_u32(attribute[IFA_FLAGS], IFA_F_TENTATIVE);
        if (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED))
            break;
        /* The host has had an IPv6 address all along: asking the segment again
         * whether it is free would make it unusable for a second. */
        flags |= IFA_F_NODAD;
        memcpy(mnl_attr_get_payload(attribute[IFA_FLAGS]), &flags, sizeof(flags));
        break;
    default:
        break;
    }
}

size_t keep_put_back(const struct keep *k, struct rtnl *r)
{
    size_t refused = 0, before = SIZE_MAX;

    for (int pass = 0; pass < PUT_BACK_PASSES && before > 0; pass++) {
        size_t at = 0;
        refused = 0;
        for (size_t i = 0; i < k->count; i++) {
            struct nlmsghdr *message = (struct nlmsghdr *)(k->data + at);
            at += message_bytes(message);
            request_prepare(message);
            int error = netlink_ask(&r->ask, message, NULL, NULL);
            refused += error < 0 && error != -EEXIST;
        }
        before = refused;
    }
    return refused;
}
