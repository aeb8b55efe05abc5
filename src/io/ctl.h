/*
 * The control socket: HTTP/1.1 with JSON bodies over a unix socket (evhttp).
 * It holds no state of the cluster; it asks the daemon through `struct ctl_ops`.
 *
 *   GET  /v1/status /v1/members /v1/vips /v1/buckets /v1/version
 *   GET  /v1/rules                 text/plain: the live ruleset
 *   GET  /v1/rules/iptables /v1/rules/ip6tables   text/plain: the nearest to it
 *   GET  /v1/which?address=A[:PORT][&vip=V]
 *   GET  /v1/events[?since=N]      those after number N
 *   GET  /metrics                  OpenMetrics
 *   POST /v1/drain /v1/undrain [{"node": NAME}]   /v1/leave   /v1/reload   /v1/rekey
 *   POST /v1/restart               answered only if it is refused
 *   POST /v1/forget /v1/release {"node": NAME}
 *
 * A change that is begun, and for others to decide, answers 202. A refused or
 * failed request answers 4xx/5xx with {"error": "a sentence"}.
 */
#ifndef IPCLUSTERD_IO_CTL_H
#define IPCLUSTERD_IO_CTL_H

#include "conntrack.h"
#include "ipclusterd/config.h"
#include "ipclusterd/status.h"
#include "nft.h"

struct event_base;
struct evbuffer;

/* Of the packets to a VIP that are another's, those that XDP has dropped. */
struct ctl_xdp {
    const char *mode; /* "native", "generic"; NULL: it does not see them */
    uint64_t dropped;
};

/* What the pages are made of, beside the core's status. */
struct ctl_view {
    const struct config *config;
    const struct status *status;
    const struct conntrack_counts *counts; /* of this node, the latest */
    const struct nft_counters *packets;    /* per VIP; `foreign` includes what XDP has dropped */
    const struct ctl_xdp *xdp;             /* per VIP */
    uint64_t unread;                       /* datagrams that the kernel dropped for us */
    size_t (*standby)(void *arg, unsigned bucket, int *order, size_t max);
    void *standby_arg;
    int inherited; /* buckets of the run before that this one went on with; -1: it did not */
};

/* A note of the core, as the event list has it. */
struct ctl_event {
    uint64_t id;       /* counts up from 1 */
    int64_t wall;      /* us since 1970 */
    const char *kind;  /* "member_dead" */
    const char *level; /* "error", "warning", "info" */
    const char *text;  /* a sentence */
    const struct note *note;
};

typedef void (*ctl_event_fn)(void *context, const struct ctl_event *e);

enum { CTL_PENDING = 1 };

/* As nft lists it; as it would be for iptables-restore, for ip6tables-restore. */
enum ctl_rules { CTL_RULES_NFT, CTL_RULES_IPTABLES, CTL_RULES_IP6TABLES };

/* What the daemon does for a request: 0, or -errno and a sentence in `why` (256
 * bytes); control() also CTL_PENDING, and `why` says what it waits for. */
struct ctl_ops {
    /* A fresh view, valid until the next call; NULL when memory is short. */
    const struct ctl_view *(*view)(void *arg);
    /* Tells the events that are kept after number `since`, oldest first; `take` may
     * be NULL if there can be none. Returns the number of the last one ever; 0: none. */
    uint64_t (*events)(void *arg, uint64_t since, ctl_event_fn take, void *context);
    int (*control)(void *arg, enum control_verb verb, const char *member, char *why);
    int (*leave)(void *arg, char *why);
    int (*reload)(void *arg, char *why);
    /* Returns only if it cannot be done. */
    int (*restart)(void *arg, char *why);
    /* The ruleset as text into `out`. */
    int (*rules)(void *arg, enum ctl_rules form, struct evbuffer *out, char *why);
};

struct ctl;

/* Listens on config->control_socket (removing a stale one), mode 0660 and the
 * control group if there is one. 0 or -errno; -EADDRINUSE: another daemon
 * answers there. */
int ctl_open(struct ctl **out, struct event_base *base, const struct config *c,
             const struct ctl_ops *ops, void *arg);
void ctl_close(struct ctl *c);

#endif
