/*
 * Every commit in this network namespace is told to the group NFNLGRP_NFTABLES,
 * with the netlink port of whoever made it. Our own commits would be most of
 * it, thousands of elements at a time, so a filter in the kernel drops them
 * before they are queued; the rest is few and is read through.
 */
#include "nft_watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "nft_batch.h"
#include "nft_rule.h"

enum {
    RECEIVE_BYTES = 1 << 20,
    NEWS_BYTES = 32 * 1024,
    TABLE_ATTRIBUTE = 1, /* the table's name, in every kind of message */
};

/* All news of one commit comes from one port: its first header tells. */
static int watch_ignore_own(struct nft_watch *w)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
        /* the load is in network order, the field in the host's */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(w->own_portid), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};

    if (setsockopt(mnl_socket_get_fd(w->socket), SOL_SOCKET, SO_ATTACH_FILTER, &program,
                   sizeof program) < 0)
        return -errno;
    return 0;
}

int nft_watch_open(struct nft_watch *w, uint32_t own_portid)
{
    int bytes = RECEIVE_BYTES;
    int error;

    w->own_portid = own_portid;
    w->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (w->socket == NULL)
        return -errno;
    if (setsockopt(mnl_socket_get_fd(w->socket), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) <
        0)
        setsockopt(mnl_socket_get_fd(w->socket), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    error = watch_ignore_own(w);
    if (error == 0 && mnl_socket_bind(w->socket, 0, MNL_SOCKET_AUTOPID) < 0)
        error = -errno;
    if (error == 0)
        error = nft_watch_resume(w);
    if (error != 0)
        nft_watch_close(w);
    return error;
}

void nft_watch_close(struct nft_watch *w)
{
    if (w->socket != NULL)
        mnl_socket_close(w->socket);
    w->socket = NULL;
}

static int watch_membership(struct nft_watch *w, int option)
{
    int group = NFNLGRP_NFTABLES;

    return mnl_socket_setsockopt(w->socket, option, &group, sizeof group) < 0 ? -errno : 0;
}

int nft_watch_pause(struct nft_watch *w)
{
    return watch_membership(w, NETLINK_DROP_MEMBERSHIP);
}

int nft_watch_resume(struct nft_watch *w)
{
    return watch_membership(w, NETLINK_ADD_MEMBERSHIP);
}

/* Whether one notification is of a change, by another, to a table of ours. */
static bool news_concerns(const struct nft_watch *w, const struct nlmsghdr *m)
{
    const struct nfgenmsg *g = mnl_nlmsg_get_payload(m);
    const struct nlattr *table;

    if (NFNL_SUBSYS_ID(m->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
        mnl_nlmsg_get_payload_len(m) < sizeof *g || m->nlmsg_pid == w->own_portid)
        return false;
    switch (NFNL_MSG_TYPE(m->nlmsg_type)) {
    case NFT_MSG_NEWGEN: /* only that there was a commit */
    case NFT_MSG_NEWOBJ: /* also sent when counters are read and reset */
        return false;
    }
    if (g->nfgen_family != NFPROTO_INET && g->nfgen_family != NFPROTO_NETDEV)
        return false;
    table = nft_message_attribute(m, TABLE_ATTRIBUTE);
    return table != NULL && mnl_attr_validate(table, MNL_TYPE_NUL_STRING) >= 0 &&
           strcmp(mnl_attr_get_str(table), NFT_TABLE_NAME) == 0;
}

int nft_watch_drain(struct nft_watch *w)
{
    char buffer[NEWS_BYTES] __attribute__((aligned(8)));
    int changed = 0;

    for (;;) {
        ssize_t got = mnl_socket_recvfrom(w->socket, buffer, sizeof buffer);
        const struct nlmsghdr *m = (const struct nlmsghdr *)buffer;
        int length = (int)got;

        if (got < 0 && errno == EINTR)
            continue;
        /* News was lost, or too long to read: it may have been about us. */
        if (got < 0 && (errno == ENOBUFS || errno == ENOSPC)) {
            changed = 1;
            continue;
        }
        if (got < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? changed : -errno;
        for (; mnl_nlmsg_ok(m, length); m = mnl_nlmsg_next(m, &length))
            changed |= news_concerns(w, m);
    }
}
