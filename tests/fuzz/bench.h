/*
 * One node on a bench: the harness of fuzz_node. It plays the kernel, the disk and
 * the network, and after every step checks what the node promises:
 *
 *  - the contract of node.h: sizes, order and number of actions, one plan in
 *    flight, deadlines, nothing after the end, no storm of steps or datagrams;
 *  - S1, as far as one node can keep it: a claim begins only when joined, when
 *    every living member has told the same view, and if no such member's last word
 *    claims the bucket; it is told as long as the kernel may act on it; what is
 *    forwarded goes to a living member. Under a majority a lease ends before the
 *    voters that have heard us may evict us;
 *  - S3: a renewal follows the heartbeat, and is asked for only when joined;
 *  - the last word is said when the kernel acts on nothing any more;
 *  - S8: what is forged or replayed changes nothing that can be seen; what was
 *    passed over when it came first, another boot being about, may be taken up to
 *    dead_after later, as if it came late;
 *  - what a node relays is what it has just heard itself, unchanged.
 *
 * A broken promise aborts.
 */
#ifndef IPCLUSTERD_TESTS_BENCH_H
#define IPCLUSTERD_TESTS_BENCH_H

#include "ipclusterd/node.h"
#include "ipclusterd/seal.h"
#include "ipclusterd/status.h"
#include "ipclusterd/wire.h"

enum {
    BENCH_STEPS = 128,   /* of one life: then it ends */
    BENCH_SENDS = 40,    /* most heartbeats in an interval: three regular ones, all beside */
    BENCH_RENEWALS = 32, /* more than are ever on their way */
    BENCH_SPEAKERS = 32, /* names that have said something */
    BENCH_VIEWS = 4,     /* of each: views that it told last */
};

#define BENCH_RETRY USEC_PER_S /* after a failure no plan is held back for longer */

/* What was said, and how: bytes of a heartbeat and the stamp that they go under. */
struct utterance {
    struct seal_stamp stamp;
    bool next_key;
    bool taken; /* the node has followed it, or never will */
    instant said;
    size_t length;
    uint8_t plain[DATAGRAM_MAX];
};

/* What a datagram may do. */
enum bench_hearing {
    BENCH_NEWS,   /* anything */
    BENCH_PASSED, /* the first copy was not taken: nothing, or be taken now */
    BENCH_OLD,    /* nothing but count */
};

struct bench {
    struct node *node;
    struct node_config config;
    instant now;
    uint64_t seed;
    unsigned steps;
    bool over;
    bool forgetful; /* refused or forgot a member: what that said may be news later */
    bool reboots;   /* a member has started again: not every word of it is taken */

    /* The kernel. */
    struct plan applied, flight;
    bool in_flight;
    bool plan_failed, renewal_failed; /* and has not succeeded since */
    instant failed_at;                /* either of them last; no plan has succeeded since */
    bool waits;                       /* a plan that comes next may be wanted for a while */
    uint64_t generation;
    size_t renewals; /* not yet answered, the oldest first */
    usec span[BENCH_RENEWALS];
    instant lease_until;

    /* The disk. */
    size_t stored_length;
    uint8_t stored[16384];

    /* What it said last, and when it said what before. */
    struct heartbeat heard;
    uint32_t sequence, incarnation;
    struct {
        uint32_t sequence;
        instant at;
    } sent[256];

    /* What it hears, if it opens. Of each speaker: the latest of the node's words
     * that it has acknowledged, by when that was said, and the views that it told. */
    struct utterance hearing;
    size_t speakers;
    struct speaker {
        uint32_t member;
        instant heard;
        instant taken; /* when the node was seen to take a word of it */
        unsigned views;
        struct {
            uint64_t view;
            instant at;
        } view[BENCH_VIEWS];
    } speaker[BENCH_SPEAKERS];

    struct actions actions;
    struct status status; /* as of the last step that wanted it */
    enum node_state state;
    size_t fewest_voters; /* since the step before */
};

extern struct bench bench;

/* A new bench and a node on it, started; `config` is taken over. */
void bench_init(const struct node_config *config, uint32_t incarnation);

/* The node dies and is started again: its kernel is cleaned up, its disk is kept. */
void bench_restart(void);

bool bench_ended(void);

void bench_check(bool holds);

/* One event, now. */
void bench_step(const struct event *e);

/* On time: every deadline up to `span` from now is kept. */
void bench_run(usec span);

/* The kernel's answer; generation 0 is one to a renewal. */
void bench_answer(uint64_t generation, int error);

/* The kernel obeys in everything that it was told. */
void bench_obey(void);

/* A datagram, which the node has not been handed before `said`. False: it may have
 * been passed over. */
bool bench_hear(const uint8_t *data, size_t length, enum bench_hearing as, instant said);

/* Seals `u`; the datagram's length, 0 if that has no room. */
size_t bench_seal(const struct utterance *u, uint8_t out[DATAGRAM_MAX]);
bool bench_open(const uint8_t *data, size_t length, struct utterance *u);

/* bench_check.c: of the step that was just done. */
void bench_actions_check(void);
/* Takes down what is told to the node, whether that is fresh or not. */
void bench_speaker_note(const struct heartbeat *h);
/* It acknowledges what the node has yet to say. */
bool bench_ahead(const struct heartbeat *h);
/* It was seen at this very instant to take a word of `name`. */
bool bench_speaker_took(const char *name);
/* As `s` shows, the node has just now taken a word of `name`, or knows no such member;
 * false too if it was seen to at this very instant before. */
bool bench_speaker_taken(const char *name, const struct status *s);
/* Of zeroed memory, so that two can be compared as bytes. */
void bench_status(struct status *s);

#endif
