/*
 * The invariants S1 to S8 of the design, and that a healed cluster converges.
 */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include "ipclusterd/bitmap.h"
#include "ipclusterd/plan.h"
#include "hosts.h"
#include "scenario.h"

struct world;

enum check {
    CHECK_S1,
    CHECK_S2,
    CHECK_S3,
    CHECK_S4,
    CHECK_S5,
    CHECK_S6,
    CHECK_S7,
    CHECK_S8,
    CHECK_HEAL,     /* after the storm everything agrees within a bounded time, and stays so */
    CHECK_LINGER,   /* who lingers without flows gives the bucket up */
    CHECK_CONTRACT, /* the brain breaks the contract of node.h */
    CHECK_KINDS
};

enum { TABLES_MAX = 8192 };

struct checks {
    struct hosts claims[BUCKETS_MAX];   /* hosts whose plan claims the bucket */
    struct hosts releases[BUCKETS_MAX]; /* hosts that release it */
    struct bitmap doubtful;             /* more than one host in these two */
    struct bitmap reported;             /* a double acceptor already told of */
    unsigned doubtful_count;
    struct bitmap settled;  /* of these, and nobody has to be looked at again before ... */
    uint64_t moves, looked; /* ... a kernel or a host moves, or the net turns: counts */
    struct {
        uint64_t view, table; /* S6: digest of a view -> hash of its tables */
        bool used;
    } table[TABLES_MAX];
    uint64_t name_hash[HOSTS_MAX];

    /* S2: one death under observation. */
    bool death_watched;
    unsigned dead;
    int64_t death_at;
    struct bitmap bereft; /* buckets not claimed again yet */
    unsigned bereft_count;
    usec worst_takeover;

    /* S2 of a hand-over: no bucket without a path. */
    bool gaps_watched;
    int64_t gap_since[BUCKETS_MAX]; /* -1: has a path */
    usec worst_gap;

    uint64_t violations;
    uint64_t of[CHECK_KINDS];
};

const char *check_name(enum check c);

void checks_reset(struct checks *c, const struct world *w);

/* Tells of a violation: to stderr unless the world is quiet, and counts it. */
void check_fail(struct world *w, enum check c, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Hosts that would let a new flow of the bucket in now. */
struct hosts check_acceptors(const struct world *w, unsigned bucket);

/* Host i's plan and lease let new flows of the bucket in. */
bool check_claims(const struct world *w, unsigned i, unsigned bucket);

/* Host i's class of the bucket changed from `old` to what its kernel has now. */
void check_class_changed(struct world *w, unsigned i, unsigned bucket, enum bucket_class old);

/* All classes of host i are in place (also after a renewal of its lease;
 * `lapsed`: it had run out before). */
void check_kernel_changed(struct world *w, unsigned i, bool lapsed);

/* After every event. */
void check_always(struct world *w);

/* S6, when a view has changed: reads host i's status. */
void check_view(struct world *w, unsigned i);

/* S2 (check_cover.c): host i has just stopped serving, and nothing else is wrong. */
void check_death_begin(struct world *w, unsigned i);
void check_death_end(struct world *w);
usec check_takeover_limit(const struct world *w);

/* S2 of hand-overs. */
void check_gaps_begin(struct world *w);
void check_gaps_end(struct world *w);

/* S2 on a change of host i's kernel. */
void check_cover_changed(struct world *w, unsigned i);

/* All have agreed for so long, and nothing has happened: nobody lingers on a
 * bucket whose last flow ended long ago. */
void check_lingering(struct world *w, usec calm);

#endif
