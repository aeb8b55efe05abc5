/*
 * A transaction of nftables is one datagram BEGIN ... END. Two traps are in it.
 * A batch whose end the kernel did not reach acknowledges every operation and
 * commits nothing; and when one operation fails, the others still acknowledge
 * success. So we ask for no acknowledgement but that of END, take any error as
 * the failure of the whole, and, where the kernel is too old to acknowledge
 * END, demand that the ruleset's generation has advanced.
 *
 * The kernel works on the datagram inside of sendto(): when that returns, all
 * answers wait in the socket's queue, so that reading never has to block. The
 * socket is kept open, for closing one after a commit takes milliseconds.
 */
#include "nft_batch.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/batch.h>
#include <libnftnl/common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    /* 32 VIPs of 4096 buckets, each deleted and added, take 13 MB. */
    SEND_BYTES = 32 << 20,
    RECEIVE_BYTES = 4 << 20,
    ANSWER_BYTES = 16 * 1024,
    /* Room kept between transactions; a rare large one gives its back. */
    KEPT_BYTES = 2 * NFT_MESSAGE_MAX,
    TRIES = 8,
};

static void batch_tune(struct mnl_socket *socket)
{
    int fd = mnl_socket_get_fd(socket), one = 1;
    int send_bytes = SEND_BYTES, receive_bytes = RECEIVE_BYTES;

    /* Without the right to force it, the system's limit has to do. */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_bytes, sizeof send_bytes) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes, sizeof receive_bytes) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    /* Refusals need not carry our own message back, but a word why. */
    mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &one, sizeof one);
    mnl_socket_setsockopt(socket, NETLINK_EXT_ACK, &one, sizeof one);
}

int nft_batch_open(struct nft_batch *b)
{
    int error;

    memset(b, 0, sizeof *b);
    b->data = malloc(KEPT_BYTES);
    if (b->data == NULL)
        return -ENOMEM;
    b->room = KEPT_BYTES;
    b->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (b->socket == NULL || mnl_socket_bind(b->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        error = -errno;
        nft_batch_close(b);
        return error;
    }
    batch_tune(b->socket);
    return 0;
}

void nft_batch_close(struct nft_batch *b)
{
    if (b->socket != NULL)
        mnl_socket_close(b->socket);
    free(b->data);
    memset(b, 0, sizeof *b);
}

uint32_t nft_batch_portid(const struct nft_batch *b)
{
    return mnl_socket_get_portid(b->socket);
}

void nft_batch_fail(struct nft_batch *b, int error)
{
    assert(error < 0);
    if (b->error == 0)
        b->error = error;
}

/* A place for one message of any size. If memory ran out the message goes over
 * the first one: the transaction will not be sent. */
static uint8_t *batch_place(struct nft_batch *b)
{
    if (b->room - b->used < NFT_MESSAGE_MAX) {
        size_t room = b->room * 2;
        uint8_t *data = realloc(b->data, room);

        if (data == NULL) {
            nft_batch_fail(b, -ENOMEM);
            b->used = 0;
        } else {
            b->data = data;
            b->room = room;
        }
    }
    return b->data + b->used;
}

void nft_batch_begin(struct nft_batch *b)
{
    b->used = 0;
    b->error = 0;
    b->why[0] = '\0';
    b->begin_seq = ++b->seq;
    nft_batch_add(b, nftnl_batch_begin((char *)batch_place(b), b->seq));
}

struct nlmsghdr *nft_batch_message(struct nft_batch *b, uint16_t type, uint16_t family,
                                   uint16_t flags)
{
    return nftnl_nlmsg_build_hdr((char *)batch_place(b), type, family, flags, ++b->seq);
}

void nft_batch_add(struct nft_batch *b, struct nlmsghdr *message)
{
    assert((uint8_t *)message == b->data + b->used);
    assert(message->nlmsg_len <= NFT_MESSAGE_MAX);
    b->used += (message->nlmsg_len + 3u) & ~3u;
}

const struct nlattr *nft_message_attribute(const struct nlmsghdr *m, uint16_t type)
{
    const struct nlattr *a = mnl_nlmsg_get_payload_offset(m, sizeof(struct nfgenmsg));
    const char *end = mnl_nlmsg_get_payload_tail(m);

    for (; mnl_attr_ok(a, (int)(end - (const char *)a)); a = mnl_attr_next(a))
        if (mnl_attr_get_type(a) == type)
            return a;
    return NULL;
}

/* ---- what the kernel answers ---------------------------------------------- */

struct verdict {
    uint32_t begin_seq, end_seq;
    int error; /* of the first refusal */
    uint32_t error_seq;
    char word[96]; /* the kernel's own, "" if it has none */
    bool ended;
};

static int extended_word(const struct nlattr *attribute, void *arg)
{
    struct verdict *v = arg;

    if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG &&
        mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
        snprintf(v->word, sizeof v->word, "%s", mnl_attr_get_str(attribute));
    return MNL_CB_OK;
}

static void verdict_take(struct verdict *v, const struct nlmsghdr *answer)
{
    const struct nlmsgerr *e = mnl_nlmsg_get_payload(answer);

    if (answer->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(answer) < sizeof *e)
        return;
    if ((int32_t)(answer->nlmsg_seq - v->begin_seq) < 0)
        return; /* of an earlier transaction */
    if (e->error == 0) {
        v->ended |= answer->nlmsg_seq == v->end_seq;
        return;
    }
    if (v->error != 0)
        return;
    v->error = e->error;
    v->error_seq = answer->nlmsg_seq;
    if (answer->nlmsg_flags & NLM_F_ACK_TLVS) {
        /* NETLINK_CAP_ACK: after the header of our message come the attributes. */
        mnl_attr_parse(answer, sizeof *e, extended_word, v);
    }
}

/* Reads all answers there are. 0, or -ENOBUFS if some were lost, or -errno. */
static int verdict_read(struct nft_batch *b, struct verdict *v)
{
    char buffer[ANSWER_BYTES] __attribute__((aligned(8)));
    int lost = 0;

    for (;;) {
        ssize_t got = mnl_socket_recvfrom(b->socket, buffer, sizeof buffer);
        const struct nlmsghdr *answer = (const struct nlmsghdr *)buffer;
        int length = (int)got;

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == ENOBUFS || errno == ENOSPC)) {
            lost = -ENOBUFS;
            continue;
        }
        if (got < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? lost : -errno;
        for (; mnl_nlmsg_ok(answer, length); answer = mnl_nlmsg_next(answer, &length))
            verdict_take(v, answer);
    }
}

static const char *message_noun(uint16_t type)
{
    static const char *const noun[NFT_MSG_MAX] = {
        [NFT_MSG_NEWTABLE] = "a table", [NFT_MSG_DELTABLE] = "the removal of a table",
        [NFT_MSG_NEWCHAIN] = "a chain", [NFT_MSG_NEWRULE] = "a rule",
        [NFT_MSG_NEWSET] = "a set",     [NFT_MSG_NEWSETELEM] = "elements of a set",
        [NFT_MSG_NEWOBJ] = "a counter", [NFT_MSG_DELSETELEM] = "the removal of elements",
    };
    uint8_t id = (uint8_t)NFNL_MSG_TYPE(type);

    if (NFNL_SUBSYS_ID(type) != NFNL_SUBSYS_NFTABLES || id >= NFT_MSG_MAX || noun[id] == NULL)
        return "the transaction";
    return noun[id];
}

/* Says in `why` which of our messages was refused. */
static void batch_blame(struct nft_batch *b, const struct verdict *v)
{
    const struct nlmsghdr *m = (const struct nlmsghdr *)b->data;
    int length = (int)b->used;
    const char *noun = "the transaction";
    const char *name = "";
    const struct nlattr *a;

    for (; mnl_nlmsg_ok(m, length); m = mnl_nlmsg_next(m, &length)) {
        if (m->nlmsg_seq != v->error_seq)
            continue;
        noun = message_noun(m->nlmsg_type);
        /* In all these messages attribute 1 is the table, 2 or 3 the name. */
        for (uint16_t type = 3; type >= 2; type--) {
            a = nft_message_attribute(m, type);
            if (a != NULL && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
                name = mnl_attr_get_str(a);
        }
        break;
    }
    snprintf(b->why, sizeof b->why, "the kernel refused %s%s%.40s%s: %s%s%s", noun,
             name[0] ? " (" : "", name, name[0] ? ")" : "", strerror(-v->error),
             v->word[0] ? ", " : "", v->word);
}

/* ---- sending ---------------------------------------------------------------- */

static int socket_send(struct mnl_socket *socket, const void *data, size_t length)
{
    for (int i = 0; i < TRIES; i++) {
        if (mnl_socket_sendto(socket, data, length) >= 0)
            return 0;
        if (errno != EINTR && errno != EAGAIN)
            return -errno;
    }
    return -EAGAIN;
}

int nft_batch_ask(struct nft_batch *b, struct nlmsghdr *request,
                  int (*take)(const struct nlmsghdr *answer, void *arg), void *arg)
{
    char buffer[ANSWER_BYTES] __attribute__((aligned(8)));
    int result, taken = 0;

    request->nlmsg_seq = ++b->seq;
    result = socket_send(b->socket, request, request->nlmsg_len);
    while (result == 0) {
        ssize_t got = mnl_socket_recvfrom(b->socket, buffer, sizeof buffer);
        const struct nlmsghdr *answer = (const struct nlmsghdr *)buffer;
        int length = (int)got;

        if (got < 0 && (errno == EINTR || errno == ENOBUFS))
            continue;
        if (got < 0)
            return errno == EAGAIN ? -EIO : -errno;
        for (; mnl_nlmsg_ok(answer, length); answer = mnl_nlmsg_next(answer, &length)) {
            if (answer->nlmsg_seq != request->nlmsg_seq)
                continue; /* left over from before */
            if (answer->nlmsg_type == NLMSG_DONE)
                return taken;
            if (answer->nlmsg_type != NLMSG_ERROR) {
                if (taken == 0)
                    taken = take(answer, arg);
                if ((answer->nlmsg_flags & NLM_F_MULTI) == 0)
                    return taken;
                continue;
            }
            if (mnl_nlmsg_get_payload_len(answer) >= sizeof(struct nlmsgerr))
                return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(answer))->error;
        }
    }
    return result;
}

static int generation_take(const struct nlmsghdr *answer, void *arg)
{
    const struct nlattr *a = nft_message_attribute(answer, NFTA_GEN_ID);

    if (a == NULL || mnl_attr_validate(a, MNL_TYPE_U32) < 0)
        return -EPROTO;
    *(uint32_t *)arg = ntohl(mnl_attr_get_u32(a));
    return 0;
}

int nft_batch_generation(struct nft_batch *b, uint32_t *out)
{
    char buffer[128] __attribute__((aligned(8)));

    return nft_batch_ask(b, nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETGEN, AF_UNSPEC, 0, 0),
                         generation_take, out);
}

/* Gives back what a large transaction took. */
static void batch_shrink(struct nft_batch *b)
{
    uint8_t *data;

    b->used = 0;
    if (b->room <= KEPT_BYTES)
        return;
    data = realloc(b->data, KEPT_BYTES);
    if (data != NULL) {
        b->data = data;
        b->room = KEPT_BYTES;
    }
}

static int batch_exchange(struct nft_batch *b)
{
    uint32_t before = 0, after = 0;
    struct verdict v = {.begin_seq = b->begin_seq, .end_seq = b->seq};
    int error = b->end_acked ? 0 : nft_batch_generation(b, &before);
    int lost;

    if (error == 0)
        error = socket_send(b->socket, b->data, b->used);
    if (error != 0)
        return error;
    lost = verdict_read(b, &v);
    if (v.error != 0) {
        batch_blame(b, &v);
        return v.error;
    }
    if (v.ended) {
        b->end_acked = true;
        return 0;
    }
    if (lost != 0)
        return lost;
    if (b->end_acked)
        return -EIO;
    error = nft_batch_generation(b, &after);
    if (error != 0)
        return error;
    return after != before ? 0 : -EIO;
}

int nft_batch_send(struct nft_batch *b)
{
    struct nlmsghdr *end = nftnl_batch_end((char *)batch_place(b), ++b->seq);
    int error;

    end->nlmsg_flags |= NLM_F_ACK;
    nft_batch_add(b, end);
    error = b->error != 0 ? b->error : batch_exchange(b);
    if (error != 0 && b->why[0] == '\0')
        snprintf(b->why, sizeof b->why, "the rules could not be put into the kernel: %s",
                 strerror(-error));
    batch_shrink(b);
    return error;
}
