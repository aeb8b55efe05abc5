/*
 * Flows to the VIPs, counted per bucket.
 *
 * One dump of the table per family that a VIP has. The kernel filters by
 * family only; a node's table holds little else than flows to its VIPs, since
 * foreign packets are dropped before they make an entry. Dumping is the
 * kernel's work by far and goes on as we read, so it is done in steps: the
 * daemon renews its lease in between.
 *
 * A flow is one for us to keep while its next segment could be lost on another
 * node. A client's SYN that got no answer is not yet a flow: its
 * retransmission may go anywhere. What is closed (TIME_WAIT, CLOSE) has
 * nothing left to say.
 */
#include "conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "netlink.h"
#include "selection.h"

static const enum family families[] = {FAMILY_IP4, FAMILY_IP6};

enum {
    FAMILIES = sizeof(families) / sizeof(families[0]),
    ATTEMPTS_MAX = 4,
};

struct conntrack {
    struct netlink ask;
    /* The count under way. */
    const struct config *config; /* NULL: none is */
    size_t at;                   /* index into families; FAMILIES: the end */
    int attempt;                 /* at this family */
    struct netlink_question question;
    struct conntrack_counts so_far;
    struct conntrack_counts before; /* without this family: what a new attempt starts from */
};

int conntrack_open(struct conntrack **out)
{
    struct conntrack *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -ENOMEM;

    int error = netlink_open(&c->ask, NETLINK_NETFILTER, "conntrack");
    if (error < 0) {
        free(c);
        return error;
    }
    *out = c;
    return 0;
}

void conntrack_close(struct conntrack *c)
{
    if (c == NULL)
        return;
    netlink_close(&c->ask);
    free(c);
}

/* TCP states in which a node has a flow to keep. */
static const bool state_needs_node[TCP_CONNTRACK_MAX] = {
    [TCP_CONNTRACK_SYN_RECV] = true, [TCP_CONNTRACK_ESTABLISHED] = true,
    [TCP_CONNTRACK_FIN_WAIT] = true, [TCP_CONNTRACK_CLOSE_WAIT] = true,
    [TCP_CONNTRACK_LAST_ACK] = true,
};

/* The VIP with that address, or config->vips. */
static size_t vip_find(const struct config *config, const struct address *a)
{
    const size_t length = a->family == FAMILY_IP4 ? 4 : 16;
    size_t i;

    for (i = 0; i < config->vips; i++)
        if (config->vip[i].address.family == a->family &&
            memcmp(config->vip[i].address.byte, a->byte, length) == 0)
            break;
    return i;
}

static bool flow_address(const struct nf_conntrack *flow, enum family family,
                         enum nf_conntrack_attr attribute, struct address *out)
{
    const void *bytes = nfct_get_attr(flow, attribute);

    if (bytes == NULL)
        return false;
    *out = (struct address){.family = family};
    memcpy(out->byte, bytes, family == FAMILY_IP4 ? 4 : 16);
    return true;
}

static void flow_count(struct conntrack *c, const struct nf_conntrack *flow)
{
    const enum family family = families[c->at];
    const bool four = family == FAMILY_IP4;
    struct address from, to;

    if (!flow_address(flow, family, four ? ATTR_ORIG_IPV4_SRC : ATTR_ORIG_IPV6_SRC, &from) ||
        !flow_address(flow, family, four ? ATTR_ORIG_IPV4_DST : ATTR_ORIG_IPV6_DST, &to))
        return;
    const size_t vip = vip_find(c->config, &to);
    if (vip == c->config->vips)
        return;
    c->so_far.vip[vip]++;

    if (nfct_get_attr_u8(flow, ATTR_ORIG_L4PROTO) != IPPROTO_TCP)
        return;
    const struct source source = {
        .address = from,
        .port = ntohs(nfct_get_attr_u16(flow, ATTR_ORIG_PORT_SRC)),
        .has_port = true,
    };
    const uint8_t state = nfct_get_attr_u8(flow, ATTR_TCP_STATE);
    if (state >= TCP_CONNTRACK_MAX || !state_needs_node[state])
        return;
    /* The host's own flows to a VIP go through lo, whoever owns the bucket. */
    if (vip_find(c->config, &from) < c->config->vips)
        return;
    const struct service_config *service = selection_service(
        &c->config->vip[vip], IPPROTO_TCP, ntohs(nfct_get_attr_u16(flow, ATTR_ORIG_PORT_DST)));
    const bool single = service != NULL && service->policy == POLICY_SINGLE;
    c->so_far.of[single ? service->bucket
                        : selection_bucket(&c->config->vip[vip], c->config->buckets, &source)]++;
    c->so_far.total++;
}

static int flow_take(void *arg, const struct nlmsghdr *message)
{
    struct nf_conntrack *flow = nfct_new();

    if (flow == NULL)
        return -ENOMEM;
    if (nfct_nlmsg_parse(message, flow) == 0)
        flow_count(arg, flow);
    nfct_destroy(flow);
    return 0;
}

static bool config_has(const struct config *config, enum family family)
{
    for (size_t i = 0; i < config->vips; i++)
        if (config->vip[i].address.family == family)
            return true;
    return false;
}

/* Asks for the dump of the present family, or of the next that has a VIP. */
static int family_start(struct conntrack *c)
{
    uint8_t buffer[NETLINK_REQUEST_BYTES];

    while (c->at < FAMILIES && !config_has(c->config, families[c->at]))
        c->at++;
    if (c->at == FAMILIES)
        return 0;
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    request->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    struct nfgenmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
    header->nfgen_family = families[c->at] == FAMILY_IP4 ? AF_INET : AF_INET6;
    header->version = NFNETLINK_V0;
    return netlink_start(&c->ask, &c->question, request, flow_take, c);
}

int conntrack_fd(const struct conntrack *c)
{
    return mnl_socket_get_fd(c->ask.socket);
}

int conntrack_start(struct conntrack *c, const struct config *config)
{
    if (c->config != NULL)
        return 0;
    c->config = config;
    c->at = 0;
    c->attempt = 0;
    c->so_far = c->before = (struct conntrack_counts){0};
    int error = family_start(c);
    if (error < 0)
        c->config = NULL;
    return error;
}

/* The dump of one family has ended, well or not: what comes next. 0 or -errno. */
static int family_end(struct conntrack *c, int result)
{
    if (result == -EINTR && ++c->attempt < ATTEMPTS_MAX) {
        c->so_far = c->before;
    } else if (result < 0) {
        return result;
    } else {
        c->before = c->so_far;
        c->attempt = 0;
        c->at++;
    }
    return family_start(c);
}

int conntrack_step(struct conntrack *c, struct conntrack_counts *out)
{
    int result = 0;

    if (c->config == NULL)
        return 0;
    if (c->at < FAMILIES) {
        result = netlink_step(&c->ask, &c->question);
        if (result != 0)
            result = family_end(c, result);
    }
    if (result == 0 && c->at < FAMILIES)
        return 0;
    c->config = NULL;
    if (result < 0)
        return result;
    *out = c->so_far;
    return 1;
}

int conntrack_count(struct conntrack *c, const struct config *config, struct conntrack_counts *out)
{
    int result = conntrack_start(c, config);

    while (result == 0)
        result = conntrack_step(c, out);
    return result < 0 ? result : 0;
}
