/*
 * Flows to the VIPs, counted per bucket.
 *
 * One dump of the table per family that a VIP has. The kernel filters by
 * family only; a node's table holds little else than flows to its VIPs, since
 * foreign packets are dropped before they make an entry. Dumping is the
 * kernel's work by far and goes on as we read, so it is done in steps: the
 * daemon renews its lease in between. A dump costs 2 us a flow, so a second
 * one is not made while the first will do: the flows of buckets that linger are
 * kept in a set from then on, and what the kernel tells of them keeps it right.
 *
 * The dump and what is told come by different sockets, in no order. So the set
 * remembers what has ended: a flow that the dump shows, and that was told before
 * to have ended, is not counted. If a part of what is told is lost, or the set
 * finds no memory, the set is worth nothing until the next dump has ended; and
 * a dump is made now and then even so, for flows of which nothing is told: those
 * that were made while no daemon listened.
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
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "conntrack_watch.h"
#include "flow_set.h"
#include "log.h"
#include "netlink.h"
#include "selection.h"

static const enum family families[] = {FAMILY_IP4, FAMILY_IP6};

enum {
    FAMILIES = sizeof(families) / sizeof(families[0]),
    ATTEMPTS_MAX = 4,
    READS_MAX = 32, /* of what is told, before an answer */
};

/* While a set is kept, how long a dump is good for: this long, or as long as
 * dumps take up this part of a core. */
#define KNOWN_FOR (10 * USEC_PER_S)
#define KNOWN_PART 100
/* Where none is kept: dumps take up a fifth of a core at most. */
#define REST_PART 4

/* What of a flow concerns us. */
struct flow {
    size_t vip;
    unsigned bucket;
    bool kept; /* its node has to keep it */
    uint64_t key;
};

struct conntrack {
    struct netlink ask;
    struct conntrack_watch watch;
    uint64_t seed; /* of the flows' keys: nobody shall find two of the same */
    /* The buckets that are followed, and their flows. */
    bool follow[BUCKETS_MAX];
    bool following; /* any */
    uint32_t followed[BUCKETS_MAX];
    struct flow_set set;
    bool whole;       /* nothing was lost since the last dump, or the one under way, began */
    bool known;       /* that dump has ended, and `whole` */
    usec ended, took; /* the last dump, and its processor time */
    /* The count under way. */
    const struct config *config; /* NULL: none is */
    size_t at;                   /* index into families; FAMILIES: the end */
    int attempt;                 /* at this family */
    struct netlink_question question;
    struct conntrack_counts so_far;
    struct conntrack_counts before; /* without this family: what a new attempt starts from */
    usec spent;                     /* processor time */
};

static usec clock_usec(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (usec)t.tv_sec * USEC_PER_S + t.tv_nsec / 1000;
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
    if (getrandom(&c->seed, sizeof(c->seed), 0) != (ssize_t)sizeof(c->seed))
        c->seed = (uint64_t)clock_usec(CLOCK_MONOTONIC);
    error = conntrack_watch_open(&c->watch);
    if (error < 0)
        log_info("conntrack", "the kernel will not tell of flows that end, they are counted: %s",
                 strerror(-error));
    *out = c;
    return 0;
}

void conntrack_close(struct conntrack *c)
{
    if (c == NULL)
        return;
    conntrack_watch_close(&c->watch);
    flow_set_clear(&c->set);
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

static uint64_t mix(uint64_t sum, uint64_t more)
{
    sum = (sum ^ more) * 0x9e3779b97f4a7c15u;
    sum = (sum ^ sum >> 32) * 0xd6e8feb86659fd93u;
    return sum ^ sum >> 32;
}

static uint64_t flow_key(const struct conntrack *c, const struct nf_conntrack *flow,
                         const struct address *from, size_t vip)
{
    uint64_t half[2];
    uint64_t ports = (uint64_t)nfct_get_attr_u16(flow, ATTR_ORIG_PORT_SRC) << 16 |
                     nfct_get_attr_u16(flow, ATTR_ORIG_PORT_DST);

    memcpy(half, from->byte, sizeof(half));
    uint64_t key = mix(mix(c->seed, half[0]), half[1]);
    key = mix(key, ports << 32 | nfct_get_attr_u32(flow, ATTR_ID));
    return mix(key, vip);
}

/* True if the flow is a client's to a VIP. */
static bool flow_look(const struct conntrack *c, const struct config *config,
                      const struct nf_conntrack *nfct, struct flow *out)
{
    const bool four = nfct_get_attr_u8(nfct, ATTR_ORIG_L3PROTO) == AF_INET;
    const enum family family = four ? FAMILY_IP4 : FAMILY_IP6;
    struct address from, to;
    if (!flow_address(nfct, family, four ? ATTR_ORIG_IPV4_SRC : ATTR_ORIG_IPV6_SRC, &from) ||
        !flow_address(nfct, family, four ? ATTR_ORIG_IPV4_DST : ATTR_ORIG_IPV6_DST, &to))
        return false;
    *out = (struct flow){.vip = vip_find(config, &to)};
    if (out->vip == config->vips)
        return false;
    /* The host's own flows to a VIP go through lo, whoever owns the bucket. */
    if (nfct_get_attr_u8(nfct, ATTR_ORIG_L4PROTO) != IPPROTO_TCP ||
        vip_find(config, &from) < config->vips)
        return true;
    const uint8_t state = nfct_get_attr_u8(nfct, ATTR_TCP_STATE);
    out->kept = state < TCP_CONNTRACK_MAX && state_needs_node[state];
    const struct vip_config *vip = &config->vip[out->vip];
    const struct source source = {
        .address = from,
        .port = ntohs(nfct_get_attr_u16(nfct, ATTR_ORIG_PORT_SRC)),
        .has_port = true,
    };
    const struct service_config *service =
        selection_service(vip, IPPROTO_TCP, ntohs(nfct_get_attr_u16(nfct, ATTR_ORIG_PORT_DST)));
    const bool single = service != NULL && service->policy == POLICY_SINGLE;
    out->bucket = single ? service->bucket : selection_bucket(vip, config->buckets, &source);
    out->key = flow_key(c, nfct, &from, out->vip);
    return true;
}

static void set_spoil(struct conntrack *c)
{
    c->whole = c->known = false;
}

/* A flow of a bucket that is followed, seen in the dump or told to have begun. */
static void set_add(struct conntrack *c, const struct flow *flow)
{
    int added = flow_set_add(&c->set, flow->key);

    if (added < 0)
        set_spoil(c);
    else
        c->followed[flow->bucket] += (uint32_t)added;
}

static void set_end(struct conntrack *c, const struct flow *flow)
{
    int ended = flow_set_end(&c->set, flow->key);

    if (ended < 0)
        set_spoil(c);
    else
        c->followed[flow->bucket] -= (uint32_t)ended;
}

static void flow_count(struct conntrack *c, const struct nf_conntrack *nfct)
{
    struct flow flow;

    if (!flow_look(c, c->config, nfct, &flow))
        return;
    c->so_far.vip[flow.vip]++;
    if (!flow.kept)
        return;
    c->so_far.kept[flow.vip]++;
    c->so_far.of[flow.bucket]++;
    c->so_far.total++;
    if (c->follow[flow.bucket] && c->whole)
        set_add(c, &flow);
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
    c->spent = 0;
    c->so_far = c->before = (struct conntrack_counts){0};
    c->known = false;
    c->whole = !c->following || (c->watch.listening && conntrack_watch_works(&c->watch));
    flow_set_clear(&c->set);
    memset(c->followed, 0, sizeof(c->followed));
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
    const usec before = clock_usec(CLOCK_THREAD_CPUTIME_ID);
    if (c->at < FAMILIES) {
        result = netlink_step(&c->ask, &c->question);
        if (result != 0)
            result = family_end(c, result);
    }
    c->spent += clock_usec(CLOCK_THREAD_CPUTIME_ID) - before;
    if (result == 0 && c->at < FAMILIES)
        return 0;
    c->config = NULL;
    c->ended = clock_usec(CLOCK_MONOTONIC);
    c->took = c->spent;
    if (result < 0)
        return result;
    *out = c->so_far;
    c->known = c->whole;
    return 1;
}

int conntrack_count(struct conntrack *c, const struct config *config, struct conntrack_counts *out)
{
    int result = conntrack_start(c, config);

    while (result == 0)
        result = conntrack_step(c, out);
    return result < 0 ? result : 0;
}

void conntrack_follow(struct conntrack *c, const struct plan *plan)
{
    bool more = false;
    c->following = false;
    for (unsigned b = 0; b < plan->buckets; b++) {
        const bool follow = plan->class_of[b] == CLASS_LINGER;
        more = more || (follow && !c->follow[b]);
        c->following = c->following || follow;
        c->follow[b] = follow;
    }
    if (more)
        set_spoil(c);
    if (conntrack_watch_listen(&c->watch, c->following) < 0)
        set_spoil(c);
    if (!c->following && c->config == NULL)
        flow_set_clear(&c->set);
}

void conntrack_forget(struct conntrack *c)
{
    set_spoil(c);
}

int conntrack_told_fd(const struct conntrack *c)
{
    return c->watch.socket != NULL ? mnl_socket_get_fd(c->watch.socket) : -1;
}

struct telling {
    struct conntrack *c;
    const struct config *config;
};

static void told_take(void *arg, const struct nlmsghdr *message)
{
    const struct telling *t = arg;
    struct conntrack *c = t->c;
    struct nf_conntrack *nfct;
    struct flow flow;

    if (!c->whole || NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_CTNETLINK)
        return;
    nfct = nfct_new();
    if (nfct == NULL) {
        set_spoil(c);
        return;
    }
    const bool ended = NFNL_MSG_TYPE(message->nlmsg_type) == IPCTNL_MSG_CT_DELETE;
    if (nfct_nlmsg_parse(message, nfct) == 0 && flow_look(c, t->config, nfct, &flow) &&
        c->follow[flow.bucket]) {
        if (ended)
            set_end(c, &flow);
        else if (nfct_attr_is_set(nfct, ATTR_TCP_STATE)) /* a change of state, that is */
            flow.kept ? set_add(c, &flow) : set_end(c, &flow);
    }
    nfct_destroy(nfct);
}

int conntrack_told(struct conntrack *c, const struct config *config)
{
    struct telling t = {c, config};
    int result = conntrack_watch_read(&c->watch, told_take, &t);

    if (result < 0)
        set_spoil(c);
    return result == -ENOBUFS ? 1 : result;
}

bool conntrack_known(struct conntrack *c, const struct config *config, struct conntrack_counts *out)
{
    const usec since = clock_usec(CLOCK_MONOTONIC) - c->ended;

    for (int i = 0; c->known && c->following && conntrack_told(c, config) == 1; i++)
        if (i == READS_MAX)
            return false;
    if (c->config != NULL || !c->known || (since >= KNOWN_FOR && since >= KNOWN_PART * c->took))
        return false;
    out->total = 0;
    for (unsigned b = 0; b < config->buckets; b++) {
        if (c->follow[b])
            out->of[b] = c->followed[b];
        out->total += out->of[b];
    }
    return true;
}

usec conntrack_rest(const struct conntrack *c)
{
    const usec left = c->ended + REST_PART * c->took - clock_usec(CLOCK_MONOTONIC);

    return left > 0 ? left : 0;
}
