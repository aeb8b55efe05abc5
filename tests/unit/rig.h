/*
 * A rig for tests of the node: a few nodes on a network of 0.1 ms that loses only
 * what it is told to, with kernels that obey at once and end claims with their
 * lease, and a log of the notes. Where more is needed the simulator is the tool.
 */
#ifndef IPCLUSTERD_TESTS_RIG_H
#define IPCLUSTERD_TESTS_RIG_H

#include "ipclusterd/status.h"
#include "ipclusterd/wire.h"

enum { RIG_NODES = 8, RIG_NOTES = 4096 };

struct rig_datagram {
    uint8_t data[DATAGRAM_MAX];
    size_t length;
};

struct rig_node {
    struct node *node;
    bool running, cut; /* cut: neither sends nor hears */
    bool paused;       /* gets no CPU: what comes for it waits */
    usec late;         /* its timers come so much after their time */
    int fail;          /* what the kernel answers: 0 or -errno */
    int fail_renew;
    bool mute_kernel; /* the kernel does not answer at all */
    uint32_t flows[BUCKETS_MAX];
    struct plan plan;      /* what the kernel holds */
    instant lease_until;   /* up to when its claims count */
    uint8_t stored[32768]; /* what ACTION_STORE gave; survives a crash */
    size_t stored_length;
    unsigned exits, counts;
    struct rig_datagram said[WIRE_VERSION_LAST + 1]; /* its last heartbeat of a version */
    unsigned says[WIRE_VERSION_LAST + 1], relays;    /* how many it sent */
};

struct rig_note {
    int node;
    instant at;
    struct note note;
};

struct rig {
    instant now;
    struct rig_node node[RIG_NODES];
    bool deaf[RIG_NODES][RIG_NODES]; /* the first does not hear the second */
    void (*watch)(struct rig *);     /* called after every step and commit; NULL: none */
    /* Called with every datagram, as it is sent; NULL: none. */
    void (*tap)(struct rig *, int from, const uint8_t *data, size_t length);
    unsigned notes;
    struct rig_note note[RIG_NOTES];
    uint8_t last[DATAGRAM_MAX]; /* the last heartbeat that anybody sent */
    size_t last_length;
};

void rig_init(struct rig *r);
void rig_free(struct rig *r);
/* The configuration of node `i`: "n0", "n1", ...; 64 buckets, 100/400/300 ms. */
struct node_config rig_config(int i);
void rig_start(struct rig *r, int i, uint32_t incarnation);
void rig_start_with(struct rig *r, int i, uint32_t incarnation, const struct node_config *c);
/* It starts over what its kernel holds, if the lease still runs; else as ever. */
void rig_resume(struct rig *r, int i, uint32_t incarnation, const struct node_config *c);
/* The process is gone, and with it what its kernel had. */
void rig_crash(struct rig *r, int i);
/* The process is gone; its kernel goes on until the lease ends. */
void rig_kill(struct rig *r, int i);
/* Both cannot hear each other, or can again. */
void rig_part(struct rig *r, int a, int b, bool parted);
void rig_step(struct rig *r, int i, const struct event *e);
void rig_event(struct rig *r, int i, enum event_kind kind);
void rig_hand(struct rig *r, int i, const uint8_t *data, size_t length);
void rig_control(struct rig *r, int i, enum control_verb verb, const char *member);
void rig_run(struct rig *r, usec span);
/* A node's status; valid until the next call. */
const struct status *rig_status(struct rig *r, int i);
/* The member's entry in the status of node `i`, or NULL. */
const struct status_member *rig_member(struct rig *r, int i, const char *name);
/* Notes of a kind that node `i` told (-1: any node) at or after `since`. */
unsigned rig_noted(const struct rig *r, int i, enum note_kind kind, instant since);
/* The last note of a kind that node `i` told, or NULL. */
const struct note *rig_last_note(const struct rig *r, int i, enum note_kind kind);
/* True if the kernel of node `i` lets in new flows of the bucket. */
bool rig_claims(const struct rig *r, int i, unsigned bucket);
/* In how many kernels the bucket is claimed. */
unsigned rig_claimants(const struct rig *r, unsigned bucket);
/* Every bucket is claimed in exactly one kernel. */
bool rig_covered(const struct rig *r);
/* A watch: no bucket is claimed in two kernels, be they of the dead or of who is cut off. */
void rig_nobody_twice(struct rig *r);

/* A member that the test itself plays. */
struct ghost {
    struct heartbeat say;
    struct node_config config;
};

void ghost_init(struct ghost *g, const struct node_config *c, uint64_t salt);
/* Acknowledges the last heartbeat (rig.last), if the ghost knows its version, and
 * makes the ghost's view that of the sender. */
void ghost_listen(struct ghost *g, const struct rig *r);
/* The same for the last one of a node in the ghost's version; one more
 * acknowledgement. True if there is one that it can read. */
bool ghost_hear(struct ghost *g, const struct rig *r, int from);
/* The last heartbeat that anybody sent (rig.last), if the ghost can read it. */
bool ghost_read(const struct ghost *g, const struct rig *r, struct heartbeat *heard);
/* Seals what it says, with the next sequence. */
size_t ghost_seal(struct ghost *g, uint8_t out[DATAGRAM_MAX]);
void ghost_say(struct ghost *g, struct rig *r, int to);
/* Listens and says, every 50 ms. */
void ghost_live(struct ghost *g, struct rig *r, int to, usec span);
/* The same with all that run. */
void ghost_mingle(struct ghost *g, struct rig *r, usec span);

#endif
