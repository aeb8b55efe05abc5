/*
 * A snapshot of a node for people and programs: plain values, no pointers into
 * the node. The shell renders it as JSON (contract: `clusterctl -j status`).
 */
#ifndef IPCLUSTERD_STATUS_H
#define IPCLUSTERD_STATUS_H

#include "ipclusterd/bitmap.h"
#include "ipclusterd/node.h"
#include "ipclusterd/plan.h"
#include "ipclusterd/skew.h"
#include "ipclusterd/types.h"

enum node_state {
    NODE_JOINING,
    NODE_SERVING,
    NODE_DRAINING,
    NODE_HELD,
    NODE_UNHEALTHY,
    NODE_ISOLATED,
    NODE_LEAVING,
    NODE_STATE_MAX
};

enum member_state {
    MEMBER_ALIVE,
    MEMBER_SUSPECT, /* alive to others, silent to us */
    MEMBER_DEAD,
    MEMBER_LEFT,
    MEMBER_HELD,
    MEMBER_STATE_MAX
};

struct status_member {
    char name[NAME_BYTES_MAX + 1];
    struct address address;
    struct mac mac;
    bool self;
    enum member_state state;
    bool draining, healthy;
    uint16_t weight;
    uint32_t incarnation;
    unsigned buckets;   /* owned in this view */
    unsigned claimed;   /* bits in its claim bitmap */
    unsigned lingering; /* bits in its linger bitmap */
    uint64_t flows;     /* TCP flows it counts; 0 if unknown */
    usec last_heard;    /* ago; -1 never; 0 for ourselves */
    double rtt;         /* us; 0 unknown */
    double loss;        /* percent of its heartbeats missing lately */
    uint32_t penalty;   /* for flapping, now */
    usec hold_left;     /* state MEMBER_HELD: until it is let in again; else 0 */
    bool voter;         /* quorum = "majority": its voice counts */
    unsigned version;   /* of the protocol that it speaks; 0 unknown */
    int64_t clock_ms;   /* its clock is ahead of ours by; 0 if unknown */
    uint64_t key_next;  /* hash of the next key that it holds; 0 none */
    unsigned parts;     /* set of 1 << enum config_part in which it differs from us */
};

/* A node that is heard, but is not taken for a member. */
struct status_stranger {
    char name[NAME_BYTES_MAX + 1];
    unsigned parts; /* set of 1 << enum config_part that differ; 0: not told */
};
enum { STRANGERS_MAX = 8 };

struct status_bucket {
    int owner, home;         /* index into members; -1 nobody */
    enum bucket_class klass; /* on this node */
};

struct status {
    char cluster[NAME_BYTES_MAX + 1];
    char node[NAME_BYTES_MAX + 1];
    enum node_state state;
    bool converged; /* views agree and every bucket is claimed by its owner */
    uint64_t view;  /* digest */
    usec uptime;
    usec lease_left; /* of our claims; <= 0: lapsed */
    uint16_t buckets;
    size_t members;
    struct status_member member[MEMBERS_MAX]; /* by name */
    struct status_bucket bucket[BUCKETS_MAX];
    struct bitmap claim[MEMBERS_MAX];  /* per member: buckets it claims */
    struct bitmap linger[MEMBERS_MAX]; /* per member: buckets it lingers on */
    struct bitmap deaf[MEMBERS_MAX];   /* per member: members it does not hear directly,
                                            though they live; by index */
    size_t strangers;
    struct status_stranger stranger[STRANGERS_MAX];
    struct {
        enum quorum_policy policy;
        bool have;        /* true without a policy */
        size_t voters;    /* 0: not founded */
        size_t heard;     /* of them, ourselves included */
        uint32_t version; /* of the roster of voters */
    } quorum;
    bool witness_answers;   /* true without a witness */
    uint64_t key, key_next; /* hashes: of the one in use, of the other (0 none) */
    bool rekey_ready;       /* every living member holds the same next key */
    struct {
        usec mean, worst; /* lateness of our timers: smoothed; worst of the last minute or two */
    } wakeup;
    usec patience; /* by which our verdicts wait longer, our timers being late */
    unsigned owned, lingering, orphaned; /* of this node */
    uint64_t takeovers;
    usec unowned, contested; /* bucket-time, in us, as seen here */
    uint64_t rejected[REJECT_MAX];
    unsigned apply_failures; /* in a row, now */
    struct skew skew;        /* of the last count */
};

const char *node_state_name(enum node_state s);
const char *member_state_name(enum member_state s);
const char *reject_name(enum reject r);

/* Fills `out` (large: allocate it once). Shell only, between steps. */
void node_status(const struct node *n, instant now, struct status *out);

/* Of the snapshot what a shell can look at often. */
struct status_brief {
    enum node_state state;
    bool converged;
    uint64_t view;
    usec patience;
};
void node_brief(const struct node *n, struct status_brief *out);

/* Who owns what. The names are the node's: until the next step. */
struct status_tables {
    size_t members;
    const char *name[MEMBERS_MAX];                 /* NULL: it has no place in the view */
    int16_t owner[BUCKETS_MAX], home[BUCKETS_MAX]; /* index into the names; -1 nobody */
};
void node_tables(const struct node *n, struct status_tables *out);

/*
 * Who would own `bucket`, best first: the owner, then who takes over if the
 * owner dies, and so on over the living. Writes at most `max` indexes into
 * status.member and returns how many.
 */
size_t node_standby(const struct node *n, unsigned bucket, int *order, size_t max);

#endif
