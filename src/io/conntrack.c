/*
 * Flows to the VIPs, counted per bucket.
 *
 * One dump of the table per family that a VIP has. The kernel filters by
 * family only; a node's table holds little else than flows to its VIPs, since
 * foreign packets are dropped before they make an entry.
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

struct conntrack {
    struct netlink ask;
    struct conntrack_counts before;
};

/* The seed is part of the rules that we load, see design "Selection". */
#define HASH_SEED 0xdeadbeefu

static uint32_t rotate(uint32_t x, unsigned by)
{
    return x << by | x >> (32 - by);
}

/*
 * The kernel's jhash (Bob Jenkins' lookup3) of 4 or 16 bytes, as nftables
 * computes it. It reads whole blocks of 12 bytes as words of the host's byte
 * order, and the rest byte by byte: for IPv6, hosts of different byte order
 * put a client into different buckets.
 */
static uint32_t hash_of(const uint8_t *byte, uint32_t length)
{
    uint32_t a, b, c;

    a = b = c = 0xdeadbeefu + length + HASH_SEED;
    if (length > 12) {
        uint32_t word[3];
        memcpy(word, byte, sizeof(word));
        a += word[0], b += word[1], c += word[2];
        a -= c, a ^= rotate(c, 4), c += b;
        b -= a, b ^= rotate(a, 6), a += c;
        c -= b, c ^= rotate(b, 8), b += a;
        a -= c, a ^= rotate(c, 16), c += b;
        b -= a, b ^= rotate(a, 19), a += c;
        c -= b, c ^= rotate(b, 4), b += a;
        byte += 12;
    }
    a += (uint32_t)byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 |
         (uint32_t)byte[3] << 24;
    c ^= b, c -= rotate(b, 14);
    a ^= c, a -= rotate(c, 11);
    b ^= a, b -= rotate(a, 25);
    c ^= b, c -= rotate(b, 16);
    a ^= c, a -= rotate(c, 4);
    b ^= a, b -= rotate(a, 14);
    c ^= b, c -= rotate(b, 24);
    return c;
}

unsigned bucket_of(enum vip_select select, uint16_t buckets, const struct address *client)
{
    const bool four = client->family == FAMILY_IP4;
    const uint8_t *low = client->byte + (four ? 0 : 12);

    if (select == SELECT_HASH)
        return (unsigned)((uint64_t)hash_of(client->byte, four ? 4 : 16) * buckets >> 32);
    const uint32_t bits = (uint32_t)low[0] << 24 | (uint32_t)low[1] << 16 |
                          (uint32_t)low[2] << 8 | (uint32_t)low[3];
    return bits & (buckets - 1u);
}

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
    [TCP_CONNTRACK_SYN_RECV] = true,   [TCP_CONNTRACK_ESTABLISHED] = true,
    [TCP_CONNTRACK_FIN_WAIT] = true,   [TCP_CONNTRACK_CLOSE_WAIT] = true,
    [TCP_CONNTRACK_LAST_ACK] = true,
};

/* What one family's dump adds to the counts. */
struct tally {
    const struct config *config;
    enum family family;
    struct conntrack_counts *out;
    const struct conntrack_counts *before; /* this dump: what it starts again from */
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

static void flow_count(struct tally *t, const struct nf_conntrack *flow)
{
    const bool four = t->family == FAMILY_IP4;
    struct address from, to;

    if (!flow_address(flow, t->family, four ? ATTR_ORIG_IPV4_SRC : ATTR_ORIG_IPV6_SRC, &from) ||
        !flow_address(flow, t->family, four ? ATTR_ORIG_IPV4_DST : ATTR_ORIG_IPV6_DST, &to))
        return;
    const size_t vip = vip_find(t->config, &to);
    if (vip == t->config->vips)
        return;
    t->out->vip[vip]++;

    if (nfct_get_attr_u8(flow, ATTR_ORIG_L4PROTO) != IPPROTO_TCP)
        return;
    const uint8_t state = nfct_get_attr_u8(flow, ATTR_TCP_STATE);
    if (state >= TCP_CONNTRACK_MAX || !state_needs_node[state])
        return;
    /* The host's own flows to a VIP go through lo, whoever owns the bucket. */
    if (vip_find(t->config, &from) < t->config->vips)
        return;
    t->out->of[bucket_of(t->config->vip[vip].select, t->config->buckets, &from)]++;
    t->out->total++;
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

static void tally_reset(void *arg)
{
    struct tally *t = arg;

    *t->out = *t->before;
}

static bool config_has(const struct config *config, enum family family)
{
    for (size_t i = 0; i < config->vips; i++)
        if (config->vip[i].address.family == family)
            return true;
    return false;
}

static int family_count(struct conntrack *c, const struct config *config, enum family family,
                        struct conntrack_counts *out)
{
    uint8_t buffer[NETLINK_REQUEST_BYTES];
    struct tally t = {.config = config, .family = family, .out = out, .before = &c->before};
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct nfgenmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

    if (!config_has(config, family))
        return 0;
    request->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
    header->nfgen_family = family == FAMILY_IP4 ? AF_INET : AF_INET6;
    header->version = NFNETLINK_V0;
    c->before = *out;
    return netlink_dump(&c->ask, request, tally_reset, flow_take, &t);
}

int conntrack_count(struct conntrack *c, const struct config *config,
                    struct conntrack_counts *out)
{
    *out = (struct conntrack_counts){0};
    int error = family_count(c, config, FAMILY_IP4, out);
    return error < 0 ? error : family_count(c, config, FAMILY_IP6, out);
}
