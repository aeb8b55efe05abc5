/*
 * One nftables transaction: messages between BATCH_BEGIN and BATCH_END, sent
 * as one datagram, and whether the kernel committed it.
 */
#ifndef IPCLUSTERD_IO_NFT_BATCH_H
#define IPCLUSTERD_IO_NFT_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mnl_socket;
struct nlattr;
struct nlmsghdr;

struct nft_batch {
    struct mnl_socket *socket;
    uint8_t *data; /* the messages so far */
    size_t used, room;
    uint32_t seq;       /* of the last message */
    uint32_t begin_seq; /* of BATCH_BEGIN */
    int error;          /* sticky while building: 0 or -errno */
    bool end_acked;     /* this kernel acknowledges BATCH_END (6.10 and later) */
    char why[192];      /* the last failure, for people; "" if there was none */
};

/* Bytes that one message may take; `nft_batch_message` makes room for it. */
enum { NFT_MESSAGE_MAX = 96 * 1024 };

/* 0 or -errno. */
int nft_batch_open(struct nft_batch *b);
void nft_batch_close(struct nft_batch *b);

/* Our netlink port, as others see it in notifications. */
uint32_t nft_batch_portid(const struct nft_batch *b);

/* Starts a transaction, forgetting what was built before. */
void nft_batch_begin(struct nft_batch *b);

/* A new message (`type` without the subsystem). Fill it in, then nft_batch_add
 * it before the next one. Never NULL: a want of memory shows in the sending. */
struct nlmsghdr *nft_batch_message(struct nft_batch *b, uint16_t type, uint16_t family,
                                   uint16_t flags);
void nft_batch_add(struct nft_batch *b, struct nlmsghdr *message);

/* Notes a failure while building (-errno): the transaction is not sent. */
void nft_batch_fail(struct nft_batch *b, int error);

/*
 * Sends the transaction. 0: committed. -errno: nothing was changed, `why` tells
 * the first refusal; only after -ENOBUFS the outcome is not known.
 */
int nft_batch_send(struct nft_batch *b);

/* The ruleset's generation: one more after every commit of anybody's. 0 or -errno. */
int nft_batch_generation(struct nft_batch *b, uint32_t *out);

/* One request outside of a transaction; `take` gets its answer, or, of a dump, each of
 * them. 0, or -errno: the first that the kernel or `take` says. */
int nft_batch_ask(struct nft_batch *b, struct nlmsghdr *request,
                  int (*take)(const struct nlmsghdr *answer, void *arg), void *arg);

/* The first attribute of a type in a message of nfnetlink; NULL: none. */
const struct nlattr *nft_message_attribute(const struct nlmsghdr *m, uint16_t type);

#endif
