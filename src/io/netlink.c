/*
 * Questions over netlink.
 *
 * A question ends with the kernel's verdict (NLMSG_ERROR, which is also the
 * acknowledgement) or, for a dump, with NLMSG_DONE. Answers carry the sequence
 * number of their question; anything else is what is left of a question given
 * up, and is skipped. The kernel answers within the send, so the receive
 * timeout is there only for the case that an answer was lost.
 */
#include "netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "log.h"

enum { ATTEMPTS_MAX = 8 };

int netlink_open(struct netlink *n, int bus, const char *subsystem)
{
    static const int options[] = {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK};
    const struct timeval timeout = {.tv_usec = 200000};

    n->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
    if (n->socket == NULL)
        return -errno;
    if (mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
        setsockopt(mnl_socket_get_fd(n->socket), SOL_SOCKET, SO_RCVTIMEO, &timeout,
                   sizeof(timeout)) < 0) {
        int error = -errno;
        netlink_close(n);
        return error;
    }
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        int on = 1;
        /* Comforts of newer kernels; callers filter again for themselves. */
        (void)mnl_socket_setsockopt(n->socket, options[i], &on, sizeof(on));
    }
    n->port = mnl_socket_get_portid(n->socket);
    n->sequence = (uint32_t)time(NULL);
    n->subsystem = subsystem;
    return 0;
}

void netlink_close(struct netlink *n)
{
    if (n->socket != NULL)
        mnl_socket_close(n->socket);
    n->socket = NULL;
}

/* The kernel's own words on a refusal are worth more than the number. */
static void explanation_log(const struct netlink *n, const struct nlmsghdr *message, int error)
{
    const struct nlmsgerr *refusal = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute[NLMSGERR_ATTR_MSG + 1] = {0};
    const char *text = NULL;
    size_t offset = sizeof(*refusal);

    if (!(message->nlmsg_flags & NLM_F_CAPPED)) {
        if (refusal->msg.nlmsg_len < sizeof(refusal->msg))
            return;
        offset += refusal->msg.nlmsg_len - sizeof(refusal->msg);
    }
    if ((message->nlmsg_flags & NLM_F_ACK_TLVS) && offset < mnl_nlmsg_get_payload_len(message))
        netlink_attributes(message, offset, attribute, NLMSGERR_ATTR_MSG + 1);
    if (attribute[NLMSGERR_ATTR_MSG] != NULL &&
        mnl_attr_validate(attribute[NLMSGERR_ATTR_MSG], MNL_TYPE_NUL_STRING) >= 0)
        text = mnl_attr_get_str(attribute[NLMSGERR_ATTR_MSG]);
    log_debug(n->subsystem, "kernel refuses request %u: %s%s%s", refusal->msg.nlmsg_type,
              strerror(-error), text != NULL ? ": " : "", text != NULL ? text : "");
}

static void answer_take(const struct netlink *n, struct netlink_question *q,
                        const struct nlmsghdr *message)
{
    int error = 0;

    if (message->nlmsg_flags & NLM_F_DUMP_INTR)
        q->interrupted = true;
    switch (message->nlmsg_type) {
    case NLMSG_NOOP:
        return;
    case NLMSG_ERROR:
        q->ended = true;
        if (mnl_nlmsg_get_payload_len(message) < sizeof(struct nlmsgerr))
            error = -EBADMSG;
        else
            error = ((const struct nlmsgerr *)mnl_nlmsg_get_payload(message))->error;
        if (error < 0 && error != -EBADMSG)
            explanation_log(n, message, error);
        break;
    case NLMSG_DONE:
        q->ended = true;
        if (mnl_nlmsg_get_payload_len(message) >= sizeof(error))
            memcpy(&error, mnl_nlmsg_get_payload(message), sizeof(error));
        break;
    default:
        if (q->take != NULL && q->error == 0)
            error = q->take(q->arg, message);
        break;
    }
    if (q->error == 0 && error < 0)
        q->error = error;
}

static int request_send(struct netlink *n, const struct nlmsghdr *request)
{
    for (int attempt = 0;; attempt++) {
        if (mnl_socket_sendto(n->socket, request, request->nlmsg_len) >= 0)
            return 0;
        if (errno != EINTR && (errno != ENOBUFS || attempt >= ATTEMPTS_MAX))
            return -errno;
    }
}

int netlink_start(struct netlink *n, struct netlink_question *q, struct nlmsghdr *request,
                  netlink_take_fn take, void *arg)
{
    *q = (struct netlink_question){.sequence = ++n->sequence, .take = take, .arg = arg};
    request->nlmsg_seq = q->sequence;
    return request_send(n, request);
}

int netlink_step(struct netlink *n, struct netlink_question *q)
{
    ssize_t got;

    do
        got = mnl_socket_recvfrom(n->socket, n->answer, sizeof(n->answer));
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == ENOBUFS) {
        /* The dump goes on, and another cannot begin before it has ended. */
        q->interrupted = true;
        return 0;
    }
    if (got < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    int left = (int)got;
    const struct nlmsghdr *message = (const struct nlmsghdr *)n->answer;
    for (; !q->ended && mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
        if (message->nlmsg_seq == q->sequence && message->nlmsg_pid == n->port)
            answer_take(n, q, message);
    if (!q->ended)
        return 0;
    if (q->error < 0)
        return q->error;
    return q->interrupted ? -EINTR : 1;
}

/* As netlink_ask(); -EINTR: a dump over a table that changed meanwhile. */
static int question_ask(struct netlink *n, struct nlmsghdr *request, netlink_take_fn take,
                        void *arg)
{
    struct netlink_question q;
    int result = netlink_start(n, &q, request, take, arg);

    while (result == 0)
        result = netlink_step(n, &q);
    return result < 0 ? result : 0;
}

int netlink_ask(struct netlink *n, struct nlmsghdr *request, netlink_take_fn take, void *arg)
{
    request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    return question_ask(n, request, take, arg);
}

int netlink_dump(struct netlink *n, struct nlmsghdr *request, void (*reset)(void *arg),
                 netlink_take_fn take, void *arg)
{
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        if (attempt > 0 && reset != NULL)
            reset(arg);
        int error = question_ask(n, request, take, arg);
        if (error != -EINTR)
            return error;
    }
    return -EBUSY;
}

struct attribute_table {
    const struct nlattr **table;
    size_t count;
};

static int attribute_take(const struct nlattr *attribute, void *data)
{
    const struct attribute_table *t = data;

    if (mnl_attr_get_type(attribute) < t->count)
        t->table[mnl_attr_get_type(attribute)] = attribute;
    return MNL_CB_OK;
}

void netlink_attributes(const struct nlmsghdr *message, size_t header, const struct nlattr **table,
                        size_t count)
{
    struct attribute_table t = {.table = table, .count = count};

    memset(table, 0, count * sizeof(*table));
    (void)mnl_attr_parse(message, (unsigned)header, attribute_take, &t);
}

void netlink_attributes_nested(const struct nlattr *nest, const struct nlattr **table, size_t count)
{
    struct attribute_table t = {.table = table, .count = count};

    memset(table, 0, count * sizeof(*table));
    (void)mnl_attr_parse_nested(nest, attribute_take, &t);
}

uint32_t netlink_u32(const struct nlattr *attribute, uint32_t otherwise)
{
    if (attribute == NULL || mnl_attr_get_payload_len(attribute) != sizeof(uint32_t))
        return otherwise;
    return mnl_attr_get_u32(attribute);
}

uint8_t netlink_u8(const struct nlattr *attribute, uint8_t otherwise)
{
    if (attribute == NULL || mnl_attr_get_payload_len(attribute) != sizeof(uint8_t))
        return otherwise;
    return mnl_attr_get_u8(attribute);
}
