/*
 * One node of the cluster: (now, event) -> actions.
 *
 * The only part of the core that knows all the others. It has no clock, no
 * descriptor and no memory of its own: the shell (src/daemon.c, or the
 * simulator) owns the struct, tells the time, feeds events and carries out
 * the actions in the order given.
 */
#ifndef IPCLUSTERD_NODE_H
#define IPCLUSTERD_NODE_H

#include <assert.h>

#include "ipclusterd/flap.h"
#include "ipclusterd/plan.h"
#include "ipclusterd/types.h"
#include "ipclusterd/vips.h"

enum quorum_policy { QUORUM_NONE, QUORUM_MAJORITY, QUORUM_MAX };

/* Parts of the configuration that all members must have alike, so that a
 * difference can be named. */
enum config_part {
    PART_BUCKETS,
    PART_TIMING, /* dead_after, lease */
    PART_VIPS,   /* addresses, interfaces apart; modes and MACs */
    PART_SELECT, /* how the VIPs select buckets, orphans */
    PART_QUORUM, /* quorum, members, witness */
    PART_FLAP,
    PART_MAX
};
static_assert((int)PART_MAX <= (int)CONFIG_PARTS, "room in a heartbeat for every part");

/* What a node has to know of its configuration. */
struct node_config {
    char cluster[NAME_BYTES_MAX + 1];
    char name[NAME_BYTES_MAX + 1];
    uint8_t key[KEY_BYTES];
    uint8_t key_next[KEY_BYTES]; /* accepted too; all zero: none */
    uint16_t buckets;
    uint16_t weight;       /* 0..WEIGHT_MAX */
    uint16_t datagram_max; /* payload bytes, <= DATAGRAM_MAX */
    usec interval, dead_after, lease;
    usec orphan_after;
    usec stop_drain;
    usec forget_after;
    uint64_t config_digest;
    uint32_t part[CONFIG_PARTS]; /* hashes, by enum config_part; 0 beyond */
    struct vips_word vips;
    struct vips_word selection; /* as `vips`, but `rest` is of how it selects buckets */
    enum quorum_policy quorum;
    /* The first voters, by name, if the configuration lists them (majority
     * only); else the first that agree found the cluster. */
    size_t founders;
    uint32_t founder[MEMBERS_MAX]; /* member_id() of each, ourselves included */
    bool witness;                  /* EVENT_WITNESS tells of one */
    struct flap_config flap;
    struct mac mac;         /* the NIC's own: forwarded flows come to it */
    struct address address; /* told to the others for their status */
};

enum event_kind {
    EVENT_START, /* once, first */
    EVENT_TIMER, /* node_deadline() has come */
    EVENT_DATAGRAM,
    EVENT_LINK,
    EVENT_HEALTH,
    EVENT_FLOWS,
    EVENT_APPLIED,
    EVENT_CONTROL,
    EVENT_RELOAD,
    EVENT_LEAVE,   /* hand over and end */
    EVENT_WITNESS, /* the witness answers, or does not; told when it changes */
    EVENT_CLOCK,   /* what the wall clock shows, now and then */
    EVENT_MAX
};

enum control_verb {
    CONTROL_DRAIN,
    CONTROL_UNDRAIN,
    CONTROL_FORGET,
    CONTROL_RELEASE, /* a held member */
    CONTROL_REKEY,   /* to the next key; `member` is not looked at */
    CONTROL_MAX
};

struct event {
    enum event_kind kind;
    union {
        struct {
            const uint8_t *data;
            size_t length;
        } datagram;
        struct {
            bool up; /* every link of the VIPs can carry traffic */
        } link;
        struct {
            bool healthy;
        } health;
        struct {
            const uint32_t *of; /* TCP flows per bucket, node_config.buckets entries */
        } flows;
        struct {
            uint64_t generation; /* of the plan; 0: a lease renewal */
            int error;           /* 0 or -errno; on error nothing was changed */
        } applied;
        struct {
            enum control_verb verb;
            const char *member; /* a name; NULL or our own: this node */
        } control;
        const struct node_config *reload; /* same cluster, name, buckets, quorum; a
                                             key that is in use here stays known */
        struct {
            bool reachable;
        } witness;
        struct {
            int64_t ms; /* since 1970 */
        } clock;
    };
};

enum action_kind {
    ACTION_SEND,  /* to every peer */
    ACTION_APPLY, /* put the plan into the kernel, then EVENT_APPLIED */
    ACTION_RENEW, /* let the lease of the claims run for a span, then EVENT_APPLIED */
    /* Keep these bytes for node_init() of the next start. They have to be on the
     * disk before anything that follows is carried out: if that fails, no
     * further action of this list is, nor of later ones until it has been done. */
    ACTION_STORE,
    ACTION_COUNT, /* count flows per bucket, then EVENT_FLOWS */
    ACTION_NOTE,  /* tell: log, event list, counters, hooks */
    ACTION_EXIT,  /* clean up and end */
    ACTION_MAX
};

/* What can be told. The numbers' meaning is in the table of note.h. */
enum note_kind {
    NOTE_STARTED,        /* number: incarnation */
    NOTE_STATE,          /* number: enum node_state now; other: before */
    NOTE_MEMBER_ALIVE,   /* number: incarnation */
    NOTE_MEMBER_SUSPECT, /* number: us since heard here */
    NOTE_MEMBER_DEAD,    /* number: us since heard by anybody */
    NOTE_MEMBER_LEFT,
    NOTE_MEMBER_FORGOTTEN,
    NOTE_MEMBER_DRAINING, /* number: 1 draining, 0 no longer */
    NOTE_VIEW,            /* number: digest; other: members alive */
    NOTE_TAKEOVER,        /* number: buckets taken over from `member` */
    NOTE_HANDOVER,        /* number: buckets claimed, other: buckets released */
    NOTE_CONVERGED,       /* number: us since the view changed */
    NOTE_REFUTED,         /* number: our new incarnation */
    NOTE_LEASE_LAPSED,    /* number: us since the last renewal */
    NOTE_APPLY_FAILED,    /* number: errno; other: failures in a row */
    NOTE_REJECTED,        /* number: enum reject; rate-limited; other: count so far */
    NOTE_CONFIG_MISMATCH, /* member has another configuration; number: set of 1 << enum
                             config_part that differ, 0 if it does not tell */
    NOTE_NAME_CONFLICT,   /* two nodes have one name: `member`, or ours ("") */
    NOTE_ROSTER_FULL,
    NOTE_MEMBER_HEARD,    /* not suspect any more; number: us that it was */
    NOTE_MEMBER_HELD,     /* number: penalty; other: us until it is let in again */
    NOTE_MEMBER_RELEASED, /* number: penalty left */
    NOTE_QUORUM,          /* number: 1 have, 0 lost; other: voters heard */
    NOTE_VOTERS,          /* number: version; other: how many; member: who came or went */
    NOTE_VOTERS_REFUSED,  /* number: enum change_kind: no majority decided it in time */
    NOTE_DISSOLVED,       /* our founding has lost to that of `member`; other: its voters */
    NOTE_KEY_CHANGED,     /* number: hash of the key that is used from now on */
    NOTE_CLOCK,           /* number: ms that the member's clock is ahead of ours */
    NOTE_VERSION,         /* number: version of the protocol that `member` speaks; 0: all
                             speak ours again */
    NOTE_WITNESS,         /* number: 1 reachable, 0 not */
    NOTE_VIPS_DIFFER,     /* member has another list of VIPs; rate-limited */
    NOTE_MAX
};

/* Why a datagram changed nothing. */
enum reject {
    REJECT_NONE,
    REJECT_MALFORMED,
    REJECT_FOREIGN_CLUSTER,
    REJECT_FORGED,
    REJECT_REPLAYED,
    REJECT_CONFIG_MISMATCH,
    REJECT_VERSION,
    REJECT_MAX
};

struct note {
    enum note_kind kind;
    char member[NAME_BYTES_MAX + 1]; /* "" : this node */
    int64_t number, other;
};

struct action {
    enum action_kind kind;
    union {
        struct {
            const uint8_t *data; /* valid until the next step */
            size_t length;
        } send;
        const struct plan *plan; /* valid until the next step */
        struct {
            usec span; /* from now on, or when the kernel takes it, whichever is sooner */
        } renew;
        struct {
            const uint8_t *data; /* valid until the next step */
            size_t length;
        } store;
        struct note note;
    };
};

enum { ACTIONS_MAX = 64 };

struct actions {
    size_t count;
    size_t lost_notes; /* notes that found no room */
    struct action item[ACTIONS_MAX];
};

struct node;

/* Bytes that a node takes, for the shell to allocate (aligned as malloc does). */
size_t node_bytes(void);

/*
 * Makes a node. `seed` is the only randomness it ever sees: 64 unpredictable
 * bits, new at every start, or a recording of this node can be replayed to it.
 * `incarnation` is one more than the last that was persisted. The struct holds
 * no pointer to `config`.
 */
void node_init(struct node *n, const struct node_config *config, uint64_t seed,
               uint32_t incarnation);

/*
 * Gives back what the last ACTION_STORE of an earlier run asked to keep: after
 * node_init(), before EVENT_START. 0, or -EBADMSG: nothing is taken; a node with
 * `quorum = "majority"` then has to be admitted anew.
 */
int node_restore(struct node *n, const uint8_t *data, size_t length);

/* The stream of a node's heartbeats. A number of a salt is never used twice. */
struct node_stream {
    uint64_t salt;
    uint32_t sequence; /* of the last one */
    uint64_t relays;   /* of the last one that was passed on */
    bool alone;        /* as far as it knew then, no other member lived */
};
struct node_stream node_stream(const struct node *n);

/* What the run before this one left behind. */
struct node_heritage {
    const struct plan *plan; /* what the kernel holds, none of it RELEASE */
    usec left;               /* what its lease has still to run at EVENT_START, > 0 */
    struct node_stream stream;
};

/*
 * Goes on where the run before has ended, if a member hears it while that lease
 * runs: nobody else can have taken over yet. Its heartbeats go on with the stream, so
 * the others need not notice anything. After node_init() and node_restore(), before
 * EVENT_START.
 */
void node_inherit(struct node *n, const struct node_heritage *h);

/* A hint, for who steps many nodes in turn: soon a datagram will come, most likely of the
 * member that is at `place` in the order of names. Changes nothing but the cache. */
void node_expect(const struct node *n, size_t place);

/* Takes one event at `now`; `now` never goes back. `out` is overwritten. */
void node_step(struct node *n, instant now, const struct event *event, struct actions *out);

/* When the next EVENT_TIMER is due. */
instant node_deadline(const struct node *n);

/* Our present incarnation, for the shell to persist when it changes. */
uint32_t node_incarnation(const struct node *n);

#endif
