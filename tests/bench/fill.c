/*
 * Puts flows into the connection tracking of this namespace: established TCP to
 * the VIP, of as many clients as it takes, which last for an hour.
 *
 *   fill COUNT VIP
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 64, MESSAGE_MAX = 512, HOUR = 3600 };

static void die(const char *what)
{
    fprintf(stderr, "fill: %s: %s\n", what, strerror(errno));
    exit(1);
}

static size_t flow_put(char *at, struct nf_conntrack *flow, uint32_t number, uint16_t flags)
{
    struct nlmsghdr *m = mnl_nlmsg_put_header(at);
    struct nfgenmsg *family;

    m->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW;
    m->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_CREATE | flags);
    m->nlmsg_seq = number + 1;
    family = mnl_nlmsg_put_extra_header(m, sizeof *family);
    family->nfgen_family = AF_INET;
    family->version = NFNETLINK_V0;
    nfct_set_attr_u32(flow, ATTR_IPV4_SRC, htonl(0x0a000000u + number / 60000));
    nfct_set_attr_u16(flow, ATTR_PORT_SRC, htons((uint16_t)(1024 + number % 60000)));
    nfct_setobjopt(flow, NFCT_SOPT_SETUP_REPLY);
    if (nfct_nlmsg_build(m, flow) < 0)
        die("build");
    return m->nlmsg_len;
}

static void acknowledged(struct mnl_socket *s, uint32_t number)
{
    char answer[MNL_SOCKET_BUFFER_SIZE];
    ssize_t got = mnl_socket_recvfrom(s, answer, sizeof answer);

    if (got < 0 ||
        mnl_cb_run(answer, (size_t)got, number + 1, mnl_socket_get_portid(s), NULL, NULL) < 0)
        die("insert");
}

int main(int argc, char **argv)
{
    struct nf_conntrack *flow = nfct_new();
    struct mnl_socket *s = mnl_socket_open(NETLINK_NETFILTER);
    char buffer[BATCH * MESSAGE_MAX];
    uint32_t count, vip;

    if (argc != 3 || inet_pton(AF_INET, argv[2], &vip) != 1) {
        fprintf(stderr, "usage: fill COUNT VIP\n");
        return 2;
    }
    count = (uint32_t)atoi(argv[1]);
    if (flow == NULL || s == NULL || mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0)
        die("netlink");
    nfct_set_attr_u8(flow, ATTR_L3PROTO, AF_INET);
    nfct_set_attr_u8(flow, ATTR_L4PROTO, IPPROTO_TCP);
    nfct_set_attr_u32(flow, ATTR_IPV4_DST, vip);
    nfct_set_attr_u16(flow, ATTR_PORT_DST, htons(80));
    nfct_set_attr_u8(flow, ATTR_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
    nfct_set_attr_u32(flow, ATTR_TIMEOUT, HOUR);
    for (uint32_t at = 0; at < count;) {
        size_t used = 0;

        /* The last one of a batch is acknowledged: a failure before it shows there, too. */
        for (uint32_t i = 0; i < BATCH && at < count; i++, at++)
            used += flow_put(buffer + used, flow, at,
                             i + 1 == BATCH || at + 1 == count ? NLM_F_ACK : 0);
        if (mnl_socket_sendto(s, buffer, used) < 0)
            die("send");
        acknowledged(s, at - 1);
    }
    return 0;
}
