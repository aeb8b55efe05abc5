/*
 * The inside of a node, shared by node.c (events, time), node_view.c (verdicts,
 * tables, agreement), node_hear.c (what
 * heartbeats change), node_say.c (what we tell), node_serve.c (buckets, plan,
 * lease) and status.c (the snapshot). Nothing else includes it.
 */
#ifndef IPCLUSTERD_NODE_IMPL_H
#define IPCLUSTERD_NODE_IMPL_H

#include "ipclusterd/assign.h"
#include "ipclusterd/bitmap.h"
#include "ipclusterd/node.h"
#include "ipclusterd/plan.h"
#include "ipclusterd/roster.h"
#include "ipclusterd/seal.h"
#include "ipclusterd/status.h"
#include "ipclusterd/wire.h"

enum {
    SENT_KEPT = 256,      /* heartbeats whose time of sending we remember */
    URGENT_TIMES = 3,     /* a change is told so often at once */
    BUDGET_PER_TICK = 12, /* heartbeats beside the regular one, per interval */
    FAREWELLS = 3,
    RENEWALS_MAX = 8, /* on their way at once */
};

#define COUNT_EVERY USEC_PER_S         /* how often lingering flows are counted ... */
#define COUNT_IDLE (30 * USEC_PER_S)   /* ... and when nothing lingers */
#define COUNT_LOST (10 * USEC_PER_S)   /* a count that has not come by then never will */
#define RETRY_FIRST (10 * USEC_PER_MS) /* backoff after a failed commit ... */
#define RETRY_MOST USEC_PER_S          /* ... up to here */
#define TOMBSTONE_KEPT (600 * USEC_PER_S)
#define NOTE_PAUSE USEC_PER_S /* between two notes of rejected datagrams */

struct node {
    struct node_config config;
    struct seal seal;
    struct roster roster;
    instant now, deadline, born;
    bool started;

    /* Heartbeats. */
    uint64_t salt;
    uint32_t sequence; /* of the last one sent */
    struct {
        uint32_t sequence;
        instant at;
    } sent[SENT_KEPT];
    instant tick_at;   /* the next regular one */
    instant urgent_at; /* the next other one, if urgent_left */
    unsigned urgent_left, budget;
    instant said_at;
    size_t ack_cursor, entry_cursor;
    struct heartbeat in, out;
    uint8_t plain[DATAGRAM_MAX], datagram[DATAGRAM_MAX];

    /* The view. */
    uint64_t view;
    uint32_t view_sequence; /* the first heartbeat that told it */
    instant view_at;
    bool view_dirty, agreed, converged;
    size_t alive;
    bool serves[MEMBERS_MAX];
    struct assign assign;

    /* This node's own condition. */
    enum node_state state;
    bool joined; /* may claim */
    bool leased; /* the kernel has confirmed a lease since */
    bool met;    /* heard a member since the joining began */
    instant listen_until, join_at;
    bool link_up, healthy, sick;
    bool mute; /* we hear members that hear us no more: the others serve */
    bool leaving;
    instant leave_by, drain_by; /* drain_by: INSTANT_PAST before the hand-over is done */
    bool parting;               /* gives up what it still claims; then come the farewells */
    unsigned farewells;         /* last words still to say; 0 not yet */
    bool over;

    /* Buckets and the kernel. */
    uint8_t class_of[BUCKETS_MAX]; /* wanted */
    struct bitmap flows;           /* this node may have flows of it */
    instant hold_until[BUCKETS_MAX];
    struct bitmap claim, linger; /* what we tell */
    struct bitmap counting;      /* lingering when the count was asked for */
    struct bitmap orphaned;      /* its flows died with a member */
    bool serve_dirty;            /* something that buckets depend on changed */
    bool plan_dirty;             /* the wanted plan may differ from the applied one */
    struct plan wanted, applied, flight;
    bool in_flight;
    uint64_t generation;
    instant retry_at, failing_since;
    unsigned failures;
    instant lease_until;  /* of the last renewal that is confirmed, from when it was asked */
    instant kernel_until; /* the latest that the lease can end in the kernel ... */
    unsigned renewals;    /* ... but for renewals that are still on their way */
    instant renewal_asked[RENEWALS_MAX];
    instant hold_end; /* when the next hold on a bucket of ours ends */
    instant count_at, count_asked;
    bool counted, count_waits;
    uint64_t flows_total;

    /* For the status. */
    uint64_t takeovers, rejected[REJECT_MAX];
    usec unowned, contested;
    unsigned unowned_now, contested_now;
    uint64_t lost_notes;
    instant reject_note_at, conflict_note_at, mismatch_note_at;
    struct assign scratch;
};

static inline struct member *node_self(struct node *n)
{
    return &n->roster.member[n->roster.self];
}

/* node.c */
void node_note(struct node *n, struct actions *out, enum note_kind kind, const char *member,
               int64_t number, int64_t other);
/* Says something new three times, the first time at once. */
void node_urgent(struct node *n);
/* Says what we know once, soon. */
void node_answer(struct node *n);
/* Stops claiming, and earns the right anew. */
void node_rejoin(struct node *n);
/* Own facts changed: a new incarnation. */
void node_facts(struct node *n);
/* roster_add/remove with the owner table kept right. */
int node_member_add(struct node *n, const char *name);
void node_member_remove(struct node *n, size_t index);

/* node_view.c */
/* A verdict on a member's present incarnation, with all that follows. */
void node_fell(struct node *n, struct actions *out, size_t index, enum standing standing,
               instant since);
/* Our timers ran late: others get the time back. */
void node_patience(struct node *n);
/* When the verdict on a living member is to be looked at next. */
instant node_verdict_due(const struct node *n, const struct member *m);
/* Verdicts that are due by time; whether we are mute. */
void node_watch(struct node *n, struct actions *out);
/* Brings tables, digest and agreement up to date. */
void node_view(struct node *n, struct actions *out);

/* node_hear.c */
void node_hear(struct node *n, const uint8_t *data, size_t length, struct actions *out);

/* node_say.c: the SEND that is due, if any. */
void node_say(struct node *n, struct actions *out);

/* node_serve.c */
/* The claim and linger bits to tell. */
void node_bits(struct node *n);
/* Steps all buckets; emits APPLY when the plan changed. */
void node_serve(struct node *n, struct actions *out);
void node_renew(struct node *n, struct actions *out);
void node_applied(struct node *n, uint64_t generation, int error, struct actions *out);
void node_counted(struct node *n, const uint32_t *of);
/* True if the kernel holds, or is about to hold, a claim or a release. */
bool node_serving(const struct node *n);
/* True while the kernel forwards new flows of a bucket to another than its
 * owner in this view: then nobody may claim it yet, so we agree with nobody. */
bool node_astray(const struct node *n);
/* When the next count of flows is due; asks for it then. */
instant node_count_due(const struct node *n);
void node_count(struct node *n, struct actions *out);
/* True if the kernel may let in or forward new flows, now or by a plan or a
 * renewal that is on its way. */
bool node_acts(const struct node *n);
/* Gives up every claim at once: the lease has lapsed, or the link is gone. */
void node_yield(struct node *n);

#endif
