/*
 * The control socket: HTTP/1.1 with JSON bodies over a unix socket (evhttp).
 * It holds no state of the cluster; it asks the daemon through `struct ctl_ops`.
 *
 *   GET  /v1/status /v1/members /v1/vips /v1/buckets /v1/version
 *   GET  /v1/rules                 text/plain: the live ruleset
 *   GET  /v1/which?address=A[&vip=V]
 *   POST /v1/drain /v1/undrain [{"node": NAME}]   /v1/leave   /v1/reload
 *   POST /v1/forget {"node": NAME}
 *
 * A refused or failed request answers 4xx/5xx with {"error": "a sentence"}.
 */
#ifndef IPCLUSTERD_IO_CTL_H
#define IPCLUSTERD_IO_CTL_H

#include "conntrack.h"
#include "ipclusterd/config.h"
#include "ipclusterd/status.h"
#include "nft.h"

struct event_base;
struct evbuffer;

/* What the pages are made of, beside the core's status. */
struct ctl_view {
    const struct config *config;
    const struct status *status;
    const struct conntrack_counts *counts; /* of this node, the latest */
    const struct nft_counters *packets;    /* per VIP */
    size_t (*standby)(void *arg, unsigned bucket, int *order, size_t max);
    void *standby_arg;
};

/* What the daemon does for a request. `why` (256 bytes) tells a refusal. */
struct ctl_ops {
    /* A fresh view, valid until the next call; NULL when memory is short. */
    const struct ctl_view *(*view)(void *arg);
    int (*control)(void *arg, enum control_verb verb, const char *member, char *why);
    int (*leave)(void *arg, char *why);
    int (*reload)(void *arg, char *why);
    /* The live ruleset as text into `out`. */
    int (*rules)(void *arg, struct evbuffer *out, char *why);
};

struct ctl;

/* Listens on config->control_socket (removing a stale one), mode 0660 and the
 * control group if there is one. 0 or -errno; -EADDRINUSE: another daemon
 * answers there. */
int ctl_open(struct ctl **out, struct event_base *base, const struct config *c,
             const struct ctl_ops *ops, void *arg);
void ctl_close(struct ctl *c);

#endif
