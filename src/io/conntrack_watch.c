/*
 * Since Linux 5.19 (nf_conntrack_events=2) a flow tells of itself only if
 * somebody listened when it was made. So we are a member of one group all the
 * time, that of flows that end, with a filter that lets nothing through: the
 * kernel makes one message for each flow that ends, and throws it away. While
 * flows are followed the filter is open, and the group of changes is joined:
 * TCP's end is a change of state long before conntrack forgets the flow.
 */
#include "conntrack_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_compat.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RECEIVE_BYTES = 8 << 20, /* about 10,000 changes */
    MESSAGE_BYTES = 8192,
    READ_MAX = 512, /* messages; about half a millisecond */
};

#define EVENTS_SYSCTL "/proc/sys/net/netfilter/nf_conntrack_events"

/* Lets everything through, or nothing. */
static int watch_filter(struct conntrack_watch *w, bool open)
{
    struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, open ? UINT32_MAX : 0);
    struct sock_fprog program = {.len = 1, .filter = &code};

    return setsockopt(mnl_socket_get_fd(w->socket), SOL_SOCKET, SO_ATTACH_FILTER, &program,
                      sizeof(program)) < 0
               ? -errno
               : 0;
}

static int watch_membership(struct conntrack_watch *w, int option, int group)
{
    return mnl_socket_setsockopt(w->socket, option, &group, sizeof(group)) < 0 ? -errno : 0;
}

int conntrack_watch_open(struct conntrack_watch *w)
{
    int bytes = RECEIVE_BYTES;
    int error = 0;

    w->listening = false;
    w->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (w->socket == NULL)
        return -errno;
    if (setsockopt(mnl_socket_get_fd(w->socket), SOL_SOCKET, SO_RCVBUFFORCE, &bytes,
                   sizeof(bytes)) < 0)
        (void)setsockopt(mnl_socket_get_fd(w->socket), SOL_SOCKET, SO_RCVBUF, &bytes,
                         sizeof(bytes));
    if (mnl_socket_bind(w->socket, 0, MNL_SOCKET_AUTOPID) < 0)
        error = -errno;
    if (error == 0)
        error = watch_filter(w, false);
    if (error == 0)
        error = watch_membership(w, NETLINK_ADD_MEMBERSHIP, NFNLGRP_CONNTRACK_DESTROY);
    if (error < 0)
        conntrack_watch_close(w);
    return error;
}

void conntrack_watch_close(struct conntrack_watch *w)
{
    if (w->socket != NULL)
        mnl_socket_close(w->socket);
    *w = (struct conntrack_watch){0};
}

bool conntrack_watch_works(const struct conntrack_watch *w)
{
    char value = '0';
    int fd = open(EVENTS_SYSCTL, O_RDONLY | O_CLOEXEC);

    if (w->socket == NULL)
        return false;
    if (fd < 0) /* hidden from us, or a kernel without events */
        return errno != ENOENT;
    if (read(fd, &value, 1) != 1)
        value = '0';
    close(fd);
    return value != '0';
}

int conntrack_watch_listen(struct conntrack_watch *w, bool on)
{
    int error;

    if (w->socket == NULL || w->listening == on)
        return 0;
    error = watch_filter(w, on);
    if (error == 0)
        error = watch_membership(w, on ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP,
                                 NFNLGRP_CONNTRACK_UPDATE);
    if (error == 0)
        w->listening = on;
    return error;
}

int conntrack_watch_read(struct conntrack_watch *w, conntrack_watch_fn take, void *arg)
{
    char buffer[MESSAGE_BYTES] __attribute__((aligned(8)));

    for (int i = 0; w->socket != NULL && i < READ_MAX; i++) {
        ssize_t got = mnl_socket_recvfrom(w->socket, buffer, sizeof(buffer));
        const struct nlmsghdr *m = (const struct nlmsghdr *)buffer;
        int length = (int)got;

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
        for (; mnl_nlmsg_ok(m, length); m = mnl_nlmsg_next(m, &length))
            take(arg, m);
    }
    return w->socket != NULL;
}
