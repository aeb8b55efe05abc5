/*
 * The inside of a node, shared by its files and by nothing else: node.c (events,
 * time), node_hear.c (what heartbeats change), node_gossip.c (what members say of
 * others), node_boot.c (who has started again), node_say.c (what we tell),
 * node_relay.c (what we pass on), node_view.c (verdicts, tables, agreement),
 * node_quorum.c (voters, majority), node_flap.c (who is held), node_stranger.c
 * (who is not one of us), node_keys.c (which key), node_resume.c (what the run before
 * left), node_serve.c (buckets, plan, lease) and status.c (the snapshot).
 */
#ifndef IPCLUSTERD_NODE_IMPL_H
#define IPCLUSTERD_NODE_IMPL_H

#include "ipclusterd/assign.h"
#include "ipclusterd/bitmap.h"
#include "ipclusterd/letter.h"
#include "ipclusterd/node.h"
#include "ipclusterd/plan.h"
#include "ipclusterd/roster.h"
#include "ipclusterd/seal.h"
#include "ipclusterd/status.h"
#include "ipclusterd/voters.h"
#include "ipclusterd/wire.h"

enum {
    SENT_KEPT = 256,    /* heartbeats whose time of sending we remember */
    URGENT_TIMES = 3,   /* a change is told so often at once */
    BUDGET_OF_ALL = 96, /* heartbeats beside the regular ones, per interval, of all ... */
    BUDGET_MOST = 12,   /* ... and of one: from so many ... */
    BUDGET_LEAST = 1,   /* ... down to so many */
    FAREWELLS = 3,
    RENEWALS_MAX = 8,  /* on their way at once */
    STALE_KEPT = 64,   /* boots that never proved themselves */
    MISFITS_MAX = 16,  /* nodes of another configuration that are looked at */
    ACTIONS_KEPT = 16, /* notes leave room for so many other actions */
};

#define COUNT_EVERY USEC_PER_S         /* how often lingering flows are counted ... */
#define COUNT_IDLE (30 * USEC_PER_S)   /* ... and when nothing lingers */
#define COUNT_LOST (10 * USEC_PER_S)   /* a count that has not come by then never will */
#define RETRY_FIRST (10 * USEC_PER_MS) /* backoff after a failed commit ... */
#define RETRY_MOST USEC_PER_S          /* ... up to here */
#define TOMBSTONE_KEPT (600 * USEC_PER_S)
#define NOTE_PAUSE USEC_PER_S   /* between two notes of rejected datagrams */
#define CLOCK_FAR INT64_C(5000) /* ms between two clocks that are worth a note */
#define WAKE_WINDOW (60 * USEC_PER_S)

/* What the living others claim and linger on. */
struct others {
    struct bitmap claim, twice, flows;
};

/* What every step looks at comes before what is large: it is in a few lines of the cache. */
struct node {
    struct roster roster; /* first: lines of a cache begin where members do */
    struct node_config config;
    instant now, deadline, born;
    bool started, over;

    /* This node's own condition. */
    enum node_state state;
    bool joined;          /* may claim */
    bool leased;          /* the kernel has confirmed a lease since */
    bool met;             /* heard a member since the joining began */
    bool company;         /* one that we call dead is about, as of the last tick or later */
    bool dead_heard;      /* one that we call dead was heard in this step */
    bool resuming, alone; /* node_inherit(): claims of the run before, not yet ours */
    bool link_up, healthy, sick;
    bool mute;   /* we hear members that hear us no more: the others serve */
    bool barred; /* we must not serve beside those that we hear: node_stranger.c */
    bool apart;  /* node_apart() of somebody */
    bool witness_down;
    bool mingled; /* some member may have another list of VIPs */
    bool odd;     /* ... or be a misfit, or apart */
    bool mixed;   /* a living member speaks no better version than the first */
    bool leaving;
    bool parting;               /* gives up what it still claims; then come the farewells */
    unsigned farewells;         /* last words still to say; 0 not yet */
    instant leave_by, drain_by; /* drain_by: INSTANT_PAST before the hand-over is done */
    instant listen_until, join_at;
    usec patience;      /* by which verdicts wait longer */
    instant patient_at; /* when it was halved last, or grew */
    double wake_mean;
    usec wake_worst[2]; /* of this window and the one before */
    instant wake_window;

    /* Members are looked over at every tick, when one is due, and after what may make
     * one due sooner; not for each of their heartbeats. */
    instant watch_at, fall_at; /* no verdict, no fall to be counted is due before */
    bool watch_stale, look;    /* in this step they are looked over */

    /* The view. */
    bool view_dirty, agreed, converged;
    bool seconded;            /* majority: the first round of agreement is complete; ... */
    uint32_t second_sequence; /* ... the second is on what we send from here on */
    uint32_t view_sequence;   /* the first heartbeat that told it */
    uint64_t view;
    instant view_at;
    size_t dissenter; /* index of who did not agree when we last looked */
    size_t alive;     /* with a place in the view */

    /* Heartbeats. */
    uint64_t salt;
    uint32_t sequence; /* of the last one sent */
    unsigned urgent_left, budget;
    instant tick_at;   /* the next regular one */
    instant urgent_at; /* the next other one, if urgent_left */
    instant said_at;
    instant old_until;          /* up to here everything is told in the first version, too */
    const struct heartbeat *in; /* what the one that is being heard says; NULL: none */
    uint64_t unheard; /* the deaf_marks of all members, or more: who has none is heard by all */
    uint64_t relays;  /* sealed so far */
    instant clock_at; /* when the wall clock showed clock_ms */
    int64_t clock_ms;
    size_t ack_cursor, entry_cursor, hold_cursor, stale_next;

    /* Keys. */
    unsigned keys, using;        /* how many; the one that we seal with */
    uint64_t opened;             /* hash of the one that opened a datagram last */
    struct heartbeat_keys rekey; /* the operators' orders, as far as we know */

    /* quorum = "majority" */
    bool quorate;        /* we hear a majority of the voters */
    bool backed;         /* somebody has backed us since we last looked */
    bool voters_settled; /* dead_after ago */
    bool store_dirty;
    size_t quorum_heard; /* of them, ourselves included */
    instant quorum_at;   /* a majority has heard what we sent then, or later */
    instant voters_at;   /* when this version came */
    instant ballot_at;   /* when the ballot under way began */
    instant want_until;  /* an operator's wish: until then; INSTANT_PAST none */

    /* The kernel. */
    bool others_stale; /* one lives or not, or said something else, since then */
    bool serve_dirty;  /* something that all buckets depend on changed ... */
    bool serve_some;   /* ... or what those in serve_set depend on */
    bool plan_dirty;   /* the wanted plan may differ from the applied one */
    bool in_flight;
    bool counted, count_waits;
    unsigned failures;
    unsigned renewals;    /* not yet answered */
    instant hold_end;     /* when the next hold on a bucket of ours ends */
    instant lease_until;  /* of the last renewal that is confirmed, from when it was asked */
    instant kernel_until; /* the latest that the lease can end in the kernel, but for renewals */
    instant renew_until;  /* of the last one asked for */
    instant retry_at, failing_since;
    instant count_at, count_asked;
    uint64_t flows_total, generation;

    /* For the status. */
    uint64_t takeovers;
    usec unowned, contested;
    unsigned unowned_now, contested_now;
    uint64_t lost_notes;
    instant reject_note_at, conflict_note_at, mismatch_note_at;
    uint64_t rejected[REJECT_MAX];

    struct {
        uint64_t salt;
        uint32_t sequence;
        instant at;     /* it was heard */
        instant proven; /* it was heard fresh */
        bool joining;
    } rival;            /* another node of our name */
    struct seal key[2]; /* what we have: of the key file, and of the next one */
    struct {
        uint32_t sequence;
        instant at;
    } sent[SENT_KEPT];
    usec renewal_span[RENEWALS_MAX];
    instant renewal_until[RENEWALS_MAX];
    bool serves[MEMBERS_MAX];
    struct {
        uint64_t salt;
        instant until;
    } stale[STALE_KEPT]; /* boots that are not looked at, and until when */
    struct voters voters;

    /* Buckets. */
    struct bitmap serve_set;
    struct bitmap flows;           /* this node may have flows of it */
    struct bitmap claim, linger;   /* what we tell */
    struct bitmap counting;        /* lingering when the count was asked for */
    struct bitmap orphaned;        /* its flows died with a member */
    struct others others;          /* as of when that was last looked at */
    uint8_t class_of[BUCKETS_MAX]; /* wanted */
    instant hold_until[BUCKETS_MAX];
    struct plan wanted, applied, flight;
    struct skew skew;

    /* Room. */
    struct letter letter; /* for the one that is being heard */
    struct heartbeat out;
    uint8_t plain[DATAGRAM_MAX], datagram[DATAGRAM_MAX], old_datagram[DATAGRAM_MAX];
    uint8_t relay[DATAGRAM_MAX];
    uint8_t stored[VOTERS_SAVED_MAX + MEMBERS_MAX * (NAME_BYTES_MAX + 1) + 16];
    struct assign assign, scratch;
    struct roster_chain chain;
    struct assign_lists lists; /* last: node_init() leaves its memory alone */
};

static inline struct member *node_self(struct node *n)
{
    return &n->roster.member[n->roster.self];
}

/* How long a member may be silent that we still hear: one heartbeat may be lost. */
static inline usec node_gap(const struct node *n)
{
    return 5 * n->config.interval / 2;
}

/* The regular heartbeat is due in this step. What only time decides is decided
 * then, so that no datagram of a stranger can bring it about. */
static inline bool node_ticks(const struct node *n)
{
    return !instant_before(n->now, n->tick_at);
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
/* Its first half: begins to listen. */
void node_listen(struct node *n);
/* Own facts changed: a new incarnation. */
void node_facts(struct node *n);
/* roster_add/remove with the owner table kept right. */
int node_member_add(struct node *n, const char *name);
void node_member_remove(struct node *n, size_t index);

/* Lets one more action in, of any kind but a note. */
struct action *node_action(struct actions *out, enum action_kind kind);

/* node_resume.c */
/* The lease that this run was left begins to count. */
void node_resume_start(struct node *n);
/* Goes on with the claims of the run before, or gives them up. `kept_out`: we must
 * not serve. */
void node_resume_watch(struct node *n, bool kept_out);

/* node_gossip.c */
/* What the sender of n->in, member `sender`, says of others, and of us. They may be new
 * members: returns where the sender is now. */
size_t node_gossip(struct node *n, size_t sender, struct actions *out);
/* An operator's order to a member, as somebody tells it. */
void node_order(struct node *n, struct member *m, uint32_t order);

/* node_relay.c */
/* True if we ought to have heard it directly, and have not. */
bool node_deaf_to(const struct node *n, const struct member *m);
/* Passes the heartbeat of member `index` on to those who do not hear it, if that is ours
 * to do. */
void node_relay(struct node *n, size_t index, const struct letter *letter, struct actions *out);

/* node_quorum.c */
bool node_majority(const struct node *n);
void node_quorum_init(struct node *n);
/* The sender's word on the voters; `ack` is its answer to what we sent at
 * `sent_at`. The datagram is fresh. */
void node_quorum_hear(struct node *n, size_t index, const struct heartbeat_ack *ack,
                      instant sent_at, struct actions *out);
/* Who is heard, founding, changes of the voters. */
void node_quorum_watch(struct node *n, struct actions *out);
/* What is to be told. */
void node_quorum_tell(struct node *n, struct voters_word *w);
/* What stands for the voters in the view's digest. */
uint64_t node_quorum_digest(const struct node *n);
/* An operator wants a voter off the roster. */
void node_quorum_forget(struct node *n, size_t index, struct actions *out);
/* True if we may claim as far as the quorum is concerned. */
bool node_quorum_grants(const struct node *n);
/* Asks to store what has to be, before anything is told. */
void node_quorum_store(struct node *n, struct actions *out);
/* How long a lease may run from now: <= 0: not at all. */
usec node_lease_span(const struct node *n);
/* By how much that is more than what was asked for last. */
usec node_lease_gained(const struct node *n);

/* node_flap.c */
void node_flap_hear(struct node *n, struct actions *out);
void node_flap_watch(struct node *n, struct actions *out);
void node_flap_release(struct node *n, size_t index, struct actions *out);
void node_flap_tell(struct node *n, struct heartbeat *h, size_t room);
/* A member fell by dying, or rose. */
void node_flap_fell(struct node *n, struct member *m);
void node_flap_rose(struct node *n, struct member *m);

/* node_stranger.c */
/* A heartbeat in n->in of our own name. */
void node_rival_hear(struct node *n, struct actions *out);
/* True if n->in is of our configuration, or of one that differs only in which VIPs there
 * are, and of no VIP is another than a living member has. */
bool node_fits(const struct node *n);
/* True if with that configuration every living member would still fit us. */
bool node_fits_all(const struct node *n, const struct node_config *c);
/* What the sender of n->in, a member, tells of its configuration. */
void node_config_hear(struct node *n, struct member *m, struct actions *out);
/* What was a member is about under another configuration, or is about to return from it,
 * or has just died so: it may have flows of any bucket. */
bool node_apart(const struct node *n, const struct member *m);
/* A sender that does not fit has proved to be fresh. */
void node_misfit_hear(struct node *n, size_t index, struct actions *out);
/* One that does not fit us serves, and has not heard yet that we are more. */
bool node_misfit_serves(const struct node *n);
/* Whether others keep us from serving. */
void node_bars_watch(struct node *n);

/* node_keys.c */
void node_keys_init(struct node *n);
/* Opens a datagram with the key that it names; NULL: see *why. */
const struct letter *node_keys_open(struct node *n, const uint8_t *data, size_t length,
                                    enum reject *why);
/* What a datagram of ours is sealed with. */
const struct seal *node_keys_seal(const struct node *n);
void node_keys_hear(struct node *n, size_t index, struct actions *out);
void node_keys_change(struct node *n, struct actions *out); /* the operator's order */
bool node_keys_ready(const struct node *n);
void node_keys_reload(struct node *n, const struct node_config *c, struct actions *out);

/* node_boot.c */
/* n->in is of a boot of its sender that we do not know. True if it is the present
 * one from now on. */
bool node_boot_take(struct node *n, struct member *m, bool fresh, bool direct, struct actions *out);

/* node_hear.c */
/* n->in proves to be fresh by acknowledging one of ours: that acknowledgement,
 * which it is of and when that was sent; or NULL. */
const struct heartbeat_ack *node_proof(const struct node *n, uint32_t *sequence, instant *sent_at);
void node_reject(struct node *n, enum reject why, const char *member, struct actions *out);
/* Another incarnation of ours has to outdo this one. */
void node_refute(struct node *n, uint32_t incarnation, struct actions *out);
/* A member that was away lives. */
void node_rose(struct node *n, struct member *m, struct actions *out);

/* node_view.c */
/* Some event came `late` us after the deadline: how late our timers run. */
void node_lateness(struct node *n, usec late);
/* A verdict on a member's present incarnation, with all that follows. */
void node_fell(struct node *n, struct actions *out, size_t index, enum standing standing,
               instant since);
/* Our timers ran late: others get the time back. */
void node_patience(struct node *n);
/* No verdict before this long a silence. */
usec node_dead_after(const struct node *n);
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
/* Takes what n->in, of a member, says of buckets: which of ours it matters to. The rest of
 * its word is still the last one. */
void node_serve_word(struct node *n, size_t index);
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
/* Flows are in other buckets than before: of every one there may be some here. */
void node_reselected(struct node *n);

#endif
