/*
 * Addresses of links by rtnetlink.
 *
 * A VIP is a guest on its link. It must not become the source address of the
 * host's own traffic (IPv6: deprecated; IPv4: behind the host's own address,
 * which came first), must not ask the segment whether somebody else has it
 * (every member has: nodad), and must not compete for the route to its network
 * (noprefixroute, where another address has that route already).
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"
#include "rtnl.h"
#include "rtnl_impl.h"

enum { LIFETIME_FOREVER = -1 };

/* One address of a link. */
struct found {
    struct address address;
    uint8_t prefix, scope;
    uint32_t flags;
};

static size_t address_bytes(enum family family)
{
    return family == FAMILY_IP4 ? 4 : 16;
}

static uint8_t address_af(enum family family)
{
    return family == FAMILY_IP4 ? AF_INET : family == FAMILY_IP6 ? AF_INET6 : AF_UNSPEC;
}

static bool address_same(const struct address *a, const struct address *b)
{
    return a->family == b->family && memcmp(a->byte, b->byte, address_bytes(a->family)) == 0;
}

/* True if the first `bits` bits are the same. */
static bool address_same_network(const struct address *a, const struct address *b, unsigned bits)
{
    const unsigned whole = bits / 8, rest = bits % 8;

    if (a->family != b->family || memcmp(a->byte, b->byte, whole) != 0)
        return false;
    return rest == 0 || ((a->byte[whole] ^ b->byte[whole]) >> (8 - rest)) == 0;
}

/* 0, or -EBADMSG; an address of a family that we do not know is FAMILY_NONE. */
static int found_read(const struct nlmsghdr *message, struct found *out)
{
    const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute[IFA_FLAGS + 1], *local;

    *out = (struct found){0};
    if (message->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(message) < sizeof(*info))
        return -EBADMSG;
    out->prefix = info->ifa_prefixlen;
    out->scope = info->ifa_scope;
    netlink_attributes(message, sizeof(*info), attribute, IFA_FLAGS + 1);
    out->flags = netlink_u32(attribute[IFA_FLAGS], info->ifa_flags);
    local = attribute[attribute[IFA_LOCAL] != NULL ? IFA_LOCAL : IFA_ADDRESS];
    if (info->ifa_family != AF_INET && info->ifa_family != AF_INET6)
        return 0;
    const enum family family = info->ifa_family == AF_INET ? FAMILY_IP4 : FAMILY_IP6;
    if (local == NULL || mnl_attr_get_payload_len(local) != address_bytes(family))
        return -EBADMSG;
    out->address.family = family;
    memcpy(out->address.byte, mnl_attr_get_payload(local), address_bytes(family));
    return 0;
}

struct address_dump {
    unsigned ifindex;
    netlink_take_fn take;
    void (*reset)(void *arg);
    void *arg;
};

static int address_dump_take(void *arg, const struct nlmsghdr *message)
{
    const struct address_dump *d = arg;
    const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);

    if (mnl_nlmsg_get_payload_len(message) < sizeof(*info))
        return -EBADMSG;
    return info->ifa_index == d->ifindex ? d->take(d->arg, message) : 0;
}

static void address_dump_reset(void *arg)
{
    const struct address_dump *d = arg;

    if (d->reset != NULL)
        d->reset(d->arg);
}

int rtnl_address_dump(struct rtnl *r, unsigned ifindex, enum family family,
                      void (*reset)(void *arg), netlink_take_fn take, void *arg)
{
    uint8_t buffer[NETLINK_REQUEST_BYTES];
    void *header;
    struct nlmsghdr *request =
        rtnl_request(buffer, RTM_GETADDR, 0, sizeof(struct ifaddrmsg), &header);
    struct address_dump d = {.ifindex = ifindex, .take = take, .reset = reset, .arg = arg};

    ((struct ifaddrmsg *)header)->ifa_family = address_af(family);
    ((struct ifaddrmsg *)header)->ifa_index = ifindex;
    return netlink_dump(&r->ask, request, address_dump_reset, address_dump_take, &d);
}

struct pick {
    const struct address *not_these;
    size_t count;
    int rank; /* of `best`; 0: none */
    struct address best;
};

/* How well an address stands for its host: 0 not at all. */
static int found_rank(const struct found *f)
{
    if (f->flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED))
        return 0;
    if (f->scope == RT_SCOPE_HOST)
        return 0;
    if (f->address.family == FAMILY_IP4)
        return f->flags & IFA_F_SECONDARY ? 4 : 5;
    if (f->scope == RT_SCOPE_LINK)
        return 1;
    return f->flags & IFA_F_TEMPORARY ? 2 : 3;
}

static void pick_reset(void *arg)
{
    ((struct pick *)arg)->rank = 0;
}

static int pick_take(void *arg, const struct nlmsghdr *message)
{
    struct pick *p = arg;
    struct found f;
    int error = found_read(message, &f);

    if (error < 0 || f.address.family == FAMILY_NONE || found_rank(&f) <= p->rank)
        return error;
    for (size_t i = 0; i < p->count; i++)
        if (address_same(&f.address, &p->not_these[i]))
            return 0;
    p->rank = found_rank(&f);
    p->best = f.address;
    return 0;
}

int rtnl_link_address(struct rtnl *r, unsigned ifindex, const struct address *not_these,
                      size_t count, struct address *out)
{
    struct pick p = {.not_these = not_these, .count = count};
    int error = rtnl_address_dump(r, ifindex, FAMILY_NONE, pick_reset, pick_take, &p);

    if (error < 0)
        return error;
    if (p.rank == 0)
        return -EADDRNOTAVAIL;
    *out = p.best;
    return 0;
}

/* What a link has that concerns one address. */
struct survey {
    struct address address;
    uint8_t prefix;
    bool present;           /* the address, with any prefix */
    bool covered;           /* another address has a network that contains ours */
    bool primary;           /* present and not a secondary */
    struct keep dependants; /* secondaries of ours (IPv4) */
};

static void survey_reset(void *arg)
{
    struct survey *s = arg;

    s->present = s->covered = s->primary = false;
    keep_clear(&s->dependants);
}

static int survey_take(void *arg, const struct nlmsghdr *message)
{
    struct survey *s = arg;
    struct found f;
    int error = found_read(message, &f);

    if (error < 0)
        return error;
    if (address_same(&f.address, &s->address)) {
        s->present = true;
        s->primary |= !(f.flags & IFA_F_SECONDARY);
        return 0;
    }
    if (f.prefix <= s->prefix && !(f.flags & IFA_F_NOPREFIXROUTE) &&
        address_same_network(&f.address, &s->address, f.prefix))
        s->covered = true;
    if (f.address.family == FAMILY_IP4 && (f.flags & IFA_F_SECONDARY) && f.prefix == s->prefix &&
        address_same_network(&f.address, &s->address, f.prefix))
        return keep_add(&s->dependants, message);
    return 0;
}

static int survey_make(struct rtnl *r, unsigned ifindex, const struct address *a, uint8_t prefix,
                       struct survey *s)
{
    *s = (struct survey){.address = *a, .prefix = prefix};
    return rtnl_address_dump(r, ifindex, a->family, survey_reset, survey_take, s);
}

static int address_change(struct rtnl *r, unsigned type, unsigned ifindex, const struct address *a,
                          uint8_t prefix, uint32_t flags)
{
    uint8_t buffer[NETLINK_REQUEST_BYTES];
    void *header;
    const bool add = type == RTM_NEWADDR;
    struct nlmsghdr *request = rtnl_request(buffer, type, add ? NLM_F_CREATE | NLM_F_EXCL : 0,
                                            sizeof(struct ifaddrmsg), &header);
    struct ifaddrmsg *info = header;

    info->ifa_family = address_af(a->family);
    info->ifa_prefixlen = prefix;
    info->ifa_scope = RT_SCOPE_UNIVERSE;
    info->ifa_index = ifindex;
    mnl_attr_put(request, IFA_LOCAL, address_bytes(a->family), a->byte);
    mnl_attr_put(request, IFA_ADDRESS, address_bytes(a->family), a->byte);
    if (add) {
        mnl_attr_put_u32(request, IFA_FLAGS, flags);
        if (a->family == FAMILY_IP6) {
            /* No time left to be preferred: deprecated from the start. */
            const struct ifa_cacheinfo life = {.ifa_prefered = 0,
                                               .ifa_valid = (uint32_t)LIFETIME_FOREVER};
            mnl_attr_put(request, IFA_CACHEINFO, sizeof(life), &life);
        }
    }
    return netlink_ask(&r->ask, request, NULL, NULL);
}

int rtnl_address_add(struct rtnl *r, unsigned ifindex, const struct address *a, uint8_t prefix,
                     bool *added)
{
    struct survey s;
    uint32_t flags = 0;

    assert(a->family != FAMILY_NONE);
    *added = false;
    int error = survey_make(r, ifindex, a, prefix, &s);
    keep_clear(&s.dependants);
    if (error < 0 || s.present)
        return error;
    if (a->family == FAMILY_IP6)
        flags |= IFA_F_NODAD;
    if (s.covered)
        flags |= IFA_F_NOPREFIXROUTE;
    error = address_change(r, RTM_NEWADDR, ifindex, a, prefix, flags);
    *added = error == 0;
    return error == -EEXIST ? 0 : error;
}

int rtnl_address_del(struct rtnl *r, unsigned ifindex, const struct address *a, uint8_t prefix)
{
    struct survey s;

    assert(a->family != FAMILY_NONE);
    int error = survey_make(r, ifindex, a, prefix, &s);
    if (error == 0)
        error = address_change(r, RTM_DELADDR, ifindex, a, prefix, 0);
    /* Without promote_secondaries, the addresses that came to our network after
     * us went with us. They are not ours to take. */
    if (error == 0 && s.primary && keep_put_back(&s.dependants, r) > 0)
        log_warn("rtnl", "link %u: an address of the same network was lost", ifindex);
    keep_clear(&s.dependants);
    return error;
}

int rtnl_address_has(struct rtnl *r, unsigned ifindex, const struct address *a)
{
    struct survey s;
    int error = survey_make(r, ifindex, a, 0, &s);

    keep_clear(&s.dependants);
    return error < 0 ? error : s.present;
}
