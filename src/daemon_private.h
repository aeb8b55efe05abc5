/*
 * What the files of the daemon share among themselves.
 */
#ifndef IPCLUSTERD_DAEMON_PRIVATE_H
#define IPCLUSTERD_DAEMON_PRIVATE_H

#include "daemon.h"
#include "io/announce.h"
#include "io/conntrack.h"
#include "io/ctl.h"
#include "io/instance.h"
#include "io/log.h"
#include "io/nft.h"
#include "io/rtnl.h"
#include "io/state.h"
#include "io/stream.h"
#include "io/udp.h"
#include "io/vipset.h"
#include "io/witness.h"
#include "io/xdp.h"
#include "ipclusterd/node.h"
#include "ipclusterd/status.h"
#include "loop.h"

enum {
    EVENTS_KEPT = 1000,     /* notes in the event list */
    QUEUE_MAX = 8,          /* answers of one list of actions */
    DATAGRAM_BATCHES = 128, /* of UDP_BATCH datagrams, per wake-up: more than a queue holds */
    ANNOUNCEMENTS = 3,      /* of each VIP, one second apart */
};

/* A note and when it came. */
struct daemon_event {
    int64_t wall; /* us since 1970 */
    struct note note;
};

/* Failures in a row of one kind of call: told at the first and at the end. */
struct streak {
    unsigned failures;
};

/* A repair that may not be made too often: at once when all was quiet, then at
 * growing distances. */
struct repair {
    struct watch *alarm;
    instant looked, made; /* last; `made` if there was something to repair */
    usec wait;            /* least distance to the next look */
    unsigned in_a_row;    /* without a quiet spell in between */
};

/* Of a VIP that is being removed. */
struct removal {
    instant until; /* then it goes, whatever flows it has */
};

/* The heartbeat sockets and their watch. */
struct links {
    struct udp *udp;
    struct watch *watch;
};

/* The witness and what is known of it. */
struct witnessing {
    struct witness *witness; /* NULL: none is configured */
    struct watch *readable, *alarm;
    instant asked;  /* when what it answered last was sent */
    instant next;   /* when it is to be asked again */
    instant due;    /* of the alarm */
    bool reachable; /* as the core knows it */
    struct streak streak;
};

/* What the run before left, and where this one leaves it. */
struct heritage {
    struct stream *stream;    /* NULL: it cannot be kept */
    struct node_stream found; /* if `there` */
    bool there;               /* to be gone on with, or gone on with */
    instant until;            /* when the lease that was found runs out */
    unsigned buckets;         /* claimed, of those gone on with */
};

struct daemon {
    struct daemon_options options; /* but for `config` */

    struct config config;
    struct node_config node_config;
    struct nft_place place[VIPS_MAX];
    struct removal removal[VIPS_MAX]; /* of those of config.vip that are removed, by index */
    instant vips_since;               /* config.vip is as it is */

    struct loop *loop;
    struct instance instance;
    struct rtnl *rtnl;
    struct vipset *vipset;
    struct nft *nft;
    struct xdp *xdp; /* NULL: none */
    struct conntrack *conntrack;
    struct links links;
    uint64_t unread; /* by links that were in use before */
    struct witnessing witnessing;
    struct ctl *ctl;
    struct node *node;

    struct watch *step_alarm; /* node_deadline() */
    struct watch *exit_alarm;
    struct watch *watchdog_alarm;
    struct watch *clock_alarm; /* when the core is told the wall clock */
    struct watch *announce_alarm;
    struct watch *count_watch;
    struct watch *count_alarm; /* for a count that has to wait until the table has had its rest */
    struct watch *told_watch;  /* of flows */
    struct watch *removal_alarm;
    struct watch *links_watch;
    struct watch *rules_watch;
    struct watch *signal_watch[8];

    bool kernel_touched; /* something has to be given back */
    bool leaving;        /* EVENT_LEAVE was told */
    bool ended;          /* ACTION_EXIT came: no more steps */
    bool links_up;
    uint32_t incarnation; /* as persisted */
    usec watchdog_interval;
    unsigned announcements; /* rounds still to be made */
    size_t announce_next;   /* VIP of the present round */
    struct repair rules_repair, links_repair;
    struct streak send_streak, apply_streak, renew_streak, count_streak, told_streak;
    struct streak store_streak, rules_streak, links_streak, address_streak, reopen_streak;
    struct streak removal_streak;

    /* Answers to actions, stepped after the list that asked for them. */
    struct event queue[QUEUE_MAX];
    size_t queued;
    bool stepping;
    struct actions actions;

    uint8_t store[STATE_STORE_MAX]; /* what the core wants kept */
    size_t stored;
    bool unstored; /* it is not on the disk yet */

    struct plan plan;               /* as last put into the kernel */
    struct conntrack_counts counts; /* of the last count that ended */
    bool counting;                  /* one is under way */
    bool count_for_core;            /* it was the core that asked */
    bool count_outdated;            /* another was asked for since it began */
    instant count_began;
    instant counted_from; /* when the last dump that has ended well began */
    usec count_took;      /* the last one that ended */

    struct heritage heritage;
    instant renewed; /* when the lease last began anew */

    struct daemon_event events[EVENTS_KEPT]; /* a ring */
    uint64_t events_seen;
    instant rejected_told[REJECT_MAX]; /* when last logged; 0: never */
    instant strangers_told;            /* the same for all that strangers bring about */

    struct ctl_view view;
    struct nft_counters packets[VIPS_MAX];
    struct ctl_xdp early[VIPS_MAX]; /* of `packets` */
    struct status *status;          /* allocated when first asked for */

    char why[DAEMON_WHY_BYTES];
};

/* Takes an event and carries out what the core makes of it. Not to be called
 * from within a step. */
void daemon_step(struct daemon *d, const struct event *e);

/* Reads what the links have, within bounds, then steps the timer if it is due.
 * For loops of our own that hold up the main one. */
void daemon_pump(struct daemon *d);

/* Opens and watches the heartbeat sockets of `c`; on -errno `out` is empty. */
int links_open(struct daemon *d, const struct config *c, struct links *out);
void links_close(struct links *l);
/* Closes the links that are in use, and uses `fresh`, which is empty then. */
void links_replace(struct daemon *d, struct links *fresh);
/* Datagrams that the kernel has dropped for us since the start. */
uint64_t links_unread(const struct daemon *d);

/* Leaves the cluster in order; a second time: ends at once. */
void daemon_leave(struct daemon *d);

/* Ends the loop after replies under way have been sent. */
void daemon_exit_soon(struct daemon *d);

/* Logs a fault and keeps the sentence for the one who started or asked us.
 * Returns `rc`. */
__attribute__((format(printf, 4, 5))) int
daemon_fail(struct daemon *d, int rc, const char *subsystem, const char *format, ...);

/* daemon_start.c */

/* Brings everything up, or says why not (d->why) and returns -errno. What was
 * brought up is for daemon_stop(). */
int daemon_start(struct daemon *d);
/* Gives everything back, in whatever state. */
void daemon_stop(struct daemon *d);
/* The core's configuration of `c`: MAC, address and datagram size filled in. */
int daemon_node_config(struct daemon *d, const struct config *c, const struct nft_place *place,
                       struct node_config *out);

/* Rules that let nothing in anew, but let flows that they know go on. 0 or -errno. */
int daemon_linger(struct daemon *d);

/* daemon_heritage.c */

/* Opens the stream of the run before; without one this run has none to go on with. */
void heritage_open(struct daemon *d);
/* Reads the plan of the run before into d->plan. False: there is none to go on with,
 * d->plan means nothing. */
bool heritage_plan(struct daemon *d);
/* Tells the core what there is, right before EVENT_START. False: it has run out since
 * heritage_plan(), whose rules are not to stay. */
bool heritage_tell(struct daemon *d);
/* Keeps the stream as it is after a step, before any of its actions. */
void heritage_keep(struct daemon *d);
/* d->config is another. */
void heritage_reload(struct daemon *d);
/* Leaves it to the next run, or nothing. */
void heritage_close(struct daemon *d, bool keep);

/* daemon_mtu.c */

/* The largest heartbeat that all heartbeat links of `c` carry. -errno, told, if one is not
 * there or is too small for any. */
int daemon_datagram_size(struct daemon *d, const struct config *c, uint16_t *out);
/* Tells the core if that has changed. */
void daemon_mtu_tell(struct daemon *d);

/* daemon_actions.c */

/* Puts a plan into the kernel: the rules, and what is dropped before them. 0 or -errno, as
 * nft_apply(). */
int daemon_apply(struct daemon *d, const struct plan *plan);
/* Carries out d->actions, which a step at `now` asked for. */
void daemon_carry_out(struct daemon *d, instant now);
/* Opens connection tracking and watches its answers. 0 or -errno. */
int daemon_count_start(struct daemon *d);
void daemon_count_stop(struct daemon *d);
/* Counts flows for the status, unless that was done just now. */
void daemon_count_refresh(struct daemon *d);
/* Tells the first failure of a row (`what` cannot be done) and its end. */
void streak_tell(struct streak *s, int rc, const char *subsystem, const char *what);
/* Why the last call of nft failed with `rc`. */
const char *nft_reason(const struct daemon *d, int rc);
/* Queues an answer for the step after this one. */
void daemon_answer(struct daemon *d, const struct event *e);

/* daemon_repair.c */

/* Watches the ruleset, links and addresses. 0 or -errno. */
int daemon_repair_start(struct daemon *d);
void daemon_repair_stop(struct daemon *d);
/* Tells the neighbours the VIPs' MACs, soon and some times after. */
void daemon_announce(struct daemon *d);
/* Tells the core if the links' state is another than it knows. */
void daemon_links_tell(struct daemon *d);

/* daemon_witness.c */

/* Opens what is needed to ask the witness of `c`, if it has one; on -errno `out` is
 * empty. */
int witnessing_open(struct daemon *d, const struct config *c, struct witnessing *out);
void witnessing_close(struct witnessing *w);
/* Begins to ask; after the node has started. */
void daemon_witness_begin(struct daemon *d);
/* Goes over to another witness, or to none; after the core has been told of the new
 * configuration. `fresh` is empty then. */
void daemon_witness_replace(struct daemon *d, struct witnessing *fresh);

/* daemon_notes.c */

/* Log line, event list and status line of a note. */
void daemon_note(struct daemon *d, const struct note *n);
/* A note as a sentence, as the name of an event, and how it is logged. */
void note_text(const struct note *n, char *out, size_t size);
const char *note_name(const struct note *n);
enum log_level note_level(const struct note *n);

/* daemon_control.c */

extern const struct ctl_ops daemon_ctl_ops;
/* Writes the status to the log, line by line. */
void daemon_dump(struct daemon *d);
/* A fresh status, or NULL without memory. */
const struct status *daemon_status(struct daemon *d);

/* daemon_child.c */

/* A program to be run. */
struct daemon_child {
    const char *file; /* looked for in PATH, unless it has a slash */
    char *const *arguments, *const *environment;
    usec patience; /* then it is killed */
};
/* Runs it while the heartbeats go on: 0 and how it ended, as waitpid() tells it, with
 * its output, standard and error, appended to `out`. -errno: `status` is -1 if it did
 * not start. */
int daemon_child(struct daemon *d, const struct daemon_child *c, struct evbuffer *out, int *status);
/* Serves on until `fd` (-1: none) can be read, `patience` is over, or something was to
 * be done. True if `fd` can be read. */
bool daemon_wait(struct daemon *d, int fd, instant patience);

/* daemon_restart.c */

/* Executes the installed binary in the place of this run. Returns only if that cannot
 * be, with everything as it was: -errno, and a sentence in `why` (256 bytes). */
int daemon_restart(struct daemon *d, char *why);
/* Holds the signals that we answer back, or no longer. They are held back across a
 * restart. */
void daemon_signals_block(bool block);

/* daemon_rules.c */

/* The ruleset as nft(8) lists it, or for iptables. 0, or -errno and a sentence in `why`. */
int daemon_rules(struct daemon *d, enum ctl_rules form, struct evbuffer *out, char *why);

/* daemon_reload.c */

/* Goes over to the configuration file as it is now, or leaves everything as it
 * was: 0, or -errno with a sentence in `why` (256 bytes). */
int daemon_reload(struct daemon *d, char *why);
/* Removes the VIPs `gone` (by index) of those that are being removed: 0, or -errno with a
 * sentence in `why`, and everything as it was. */
int daemon_vips_remove(struct daemon *d, const bool gone[VIPS_MAX], char *why);

/* daemon_removal.c */

/* Adds to `c`, which is to be the configuration, the VIPs of the present one that it lacks
 * and that have a while yet. */
void removals_add(const struct daemon *d, struct config *c, struct removal of[VIPS_MAX]);
/* Takes them away again. False: there is none. */
bool removals_drop(struct config *c);
/* d->config is another: looks after those that are being removed. */
void removals_watch(struct daemon *d);
/* Ends them now. 0, or -errno and a sentence in `why` (256 bytes). */
int removals_end(struct daemon *d, char *why);
/* 0 or -errno. */
int removals_start(struct daemon *d);
void removals_stop(struct daemon *d);

#endif
