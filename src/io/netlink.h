/*
 * One netlink socket and its questions: a request, its answers, its verdict.
 */
#ifndef IPCLUSTERD_IO_NETLINK_H
#define IPCLUSTERD_IO_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mnl_socket;
struct nlattr;
struct nlmsghdr;

/* The kernel fills dumps up to this much per datagram. */
enum { NETLINK_ANSWER_BYTES = 32768, NETLINK_REQUEST_BYTES = 1024 };

struct netlink {
    struct mnl_socket *socket;
    unsigned port;
    uint32_t sequence;
    const char *subsystem; /* the word in log lines */
    uint8_t answer[NETLINK_ANSWER_BYTES];
};

/* Opens a socket on `bus` (NETLINK_ROUTE, ...); `subsystem` must outlive it.
 * 0 or -errno. */
int netlink_open(struct netlink *n, int bus, const char *subsystem);
void netlink_close(struct netlink *n);

/* Takes one message of an answer. 0, or -errno: what the question returns;
 * the rest of the answer is then read and skipped. */
typedef int (*netlink_take_fn)(void *arg, const struct nlmsghdr *message);

/*
 * Asks and waits for the kernel's verdict: 0 or -errno. The request needs type
 * and flags (NLM_F_ACK is added). `take` may be NULL. After -EINTR or
 * -ETIMEDOUT it is not known whether the request was carried out.
 */
int netlink_ask(struct netlink *n, struct nlmsghdr *request, netlink_take_fn take, void *arg);

/*
 * Asks for a dump. The table may change under it, or answers may get lost:
 * then it is asked again after `reset` (may be NULL), a few times, before
 * -EBUSY is returned.
 */
int netlink_dump(struct netlink *n, struct nlmsghdr *request, void (*reset)(void *arg),
                 netlink_take_fn take, void *arg);

/* A question in pieces, for dumps that take longer than the caller may wait.
 * One at a time per socket. */
struct netlink_question {
    uint32_t sequence;
    netlink_take_fn take;
    void *arg;
    bool ended, interrupted; /* interrupted: the dump is not of one table */
    int error;
};

/* Sends the request, with its flags as they are: 0 or -errno. */
int netlink_start(struct netlink *n, struct netlink_question *q, struct nlmsghdr *request,
                  netlink_take_fn take, void *arg);

/* Reads one datagram of answers (up to NETLINK_ANSWER_BYTES), waiting for it.
 * 1: that was all; 0: there is more; -errno: the verdict; -EINTR: that was all,
 * but the table changed meanwhile, or a part was lost. */
int netlink_step(struct netlink *n, struct netlink_question *q);

/*
 * Attributes by type: table[t] for t < count, NULL where there is none (the
 * last of several). Those of a message behind its `header` bytes, or inside
 * another attribute.
 */
void netlink_attributes(const struct nlmsghdr *message, size_t header, const struct nlattr **table,
                        size_t count);
void netlink_attributes_nested(const struct nlattr *nest, const struct nlattr **table,
                               size_t count);

/* The value of an attribute of that size; `otherwise` if it is missing or of another size. */
uint32_t netlink_u32(const struct nlattr *attribute, uint32_t otherwise);
uint8_t netlink_u8(const struct nlattr *attribute, uint8_t otherwise);

#endif
