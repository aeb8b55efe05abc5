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

#include "ipclusterd/plan.h"
#include "ipclusterd/types.h"

/* What a node has to know of its configuration. */
struct node_config {
    char cluster[NAME_BYTES_MAX + 1];
    char name[NAME_BYTES_MAX + 1];
    uint8_t key[KEY_BYTES];
    uint16_t buckets;
    uint16_t weight;       /* 0..WEIGHT_MAX */
    uint16_t datagram_max; /* payload bytes, <= DATAGRAM_MAX */
    usec interval, dead_after, lease;
    usec orphan_after;
    usec stop_drain;
    usec forget_after;
    uint64_t config_digest;
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
    EVENT_LEAVE, /* hand over and end */
    EVENT_MAX
};

enum control_verb { CONTROL_DRAIN, CONTROL_UNDRAIN, CONTROL_FORGET, CONTROL_MAX };

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
        const struct node_config *reload; /* same cluster, name, buckets, key */
    };
};

enum action_kind {
    ACTION_SEND,  /* to every peer */
    ACTION_APPLY, /* put the plan into the kernel, then EVENT_APPLIED */
    ACTION_RENEW, /* renew the lease of the claims, then EVENT_APPLIED */
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
    NOTE_CONFIG_MISMATCH, /* member has another configuration digest */
    NOTE_NAME_CONFLICT,   /* another node has our name */
    NOTE_ROSTER_FULL,
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

/* Takes one event at `now`; `now` never goes back. `out` is overwritten. */
void node_step(struct node *n, instant now, const struct event *event, struct actions *out);

/* When the next EVENT_TIMER is due. */
instant node_deadline(const struct node *n);

/* Our present incarnation, for the shell to persist when it changes. */
uint32_t node_incarnation(const struct node *n);

#endif
