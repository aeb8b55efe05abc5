/*
 * One host of the model: the real core, a kernel that does what it is told and
 * honours the lease, and a disk. Time is counted in steps;
 * each host counts its own, so that hosts that differ by nothing but the time
 * are one state.
 */
#ifndef MODEL_HOST_H
#define MODEL_HOST_H

#include <assert.h>

#include "message.h"
#include "node_impl.h"

enum {
    HOSTS = 3,
    BUCKETS = 8,     /* a heartbeat tells of eight at least */
    STEP_US = 32000, /* spans up to 16 steps are told exactly (age_pack) */
    STEP_FIRST = 1000,
    DISK_BYTES = VOTERS_SAVED_MAX + 64,
    SENDS_MAX = 12, /* datagrams of one host in one step */
    INPUTS_MAX = 24,
};

/* The timing of the cluster, in steps. */
struct pace {
    int64_t interval, dead, lease;
};
extern struct pace pace;    /* 2/6/5, unless told otherwise */
enum { PACE_DEAD_MAX = 8 }; /* see STEP_US */

/* What is so many steps old is as good as older: more than twice `dead`. */
static inline int64_t pace_old(void)
{
    return 2 * pace.dead + 2;
}

struct host {
    unsigned index;
    int64_t step; /* its clock */
    unsigned boots;
    bool down;     /* the daemon was killed; the kernel goes on */
    bool alone;    /* and it knew of no other that lived */
    int64_t since; /* the first step of this run, if it goes on with the stream of the last */
    uint32_t incarnation;
    uint8_t class_of[BUCKETS]; /* in the kernel: enum bucket_class */
    int64_t lease_until;       /* us of its clock */
    size_t disk_bytes;
    uint8_t disk[DISK_BYTES];
    struct node node;
};

enum host_op {
    HOST_RUN,         /* takes what has come, then its timers */
    HOST_RUN_TIMER,   /* after a pause: its timers, then what has come */
    HOST_PASS,        /* paused or down: time passes */
    HOST_KILL,        /* the daemon dies */
    HOST_CRASH,       /* HOST_RUN, but the daemon dies before anything is sent */
    HOST_START,       /* and starts again, with what is on the disk */
    HOST_START_BLANK, /* or without */
    HOST_FORGET,      /* HOST_RUN, then the operator removes the next voter by name */
    HOST_FORGET_2,    /* or the one after it */
    HOST_SICK,        /* HOST_RUN, then a check fails, or succeeds again */
    HOST_REFUSED,     /* HOST_RUN, but the kernel refuses all that it is given */
    HOST_FROZEN,      /* not even time passes */
    HOST_OPS,
};

extern const char *const host_op_name[HOST_OPS];

/* A voter may lose its memory, or come without one. */
extern bool host_newcomers;

/* What has come: messages sent `age` steps ago. */
struct host_input {
    const struct message *message;
    unsigned age;
};

struct host_output {
    size_t count;
    struct message message[SENDS_MAX];
};

/* A host that has not started. */
void host_init(struct host *h, unsigned index, enum quorum_policy quorum);

/* One step of its clock. */
void host_step(struct host *h, enum host_op op, const struct host_input *input, size_t inputs,
               struct host_output *out);

/* True if its kernel lets new flows of the bucket in, `ahead` steps from now. */
bool host_lets_in(const struct host *h, unsigned bucket, unsigned ahead);

/* The parts of a host that last, as offsets: one that is put together from them
 * goes on as the whole would have. */
enum { PARTS = 20 };
struct part {
    size_t from, to;
};
struct part host_part(size_t i);

/* Makes alike what does the same from here on: host_normal.c. */
void host_normal(struct host *h);

void host_describe(const struct host *h, char *out, size_t size);

#endif
