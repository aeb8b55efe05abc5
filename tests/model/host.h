/*
 * One host of the model: the real core, a kernel that does what it is told and
 * honours the lease, and a disk. Time is counted in steps of half an interval;
 * each host counts its own, so that hosts that differ by nothing but the time
 * are one state.
 */
#ifndef MODEL_HOST_H
#define MODEL_HOST_H

#include "message.h"
#include "node_impl.h"

enum {
    HOSTS = 3,
    BUCKETS = 8,     /* a heartbeat tells of eight at least */
    STEP_US = 32000, /* spans up to 16 steps are told exactly (age_pack) */
    INTERVAL_STEPS = 2,
    DEAD_STEPS = 6,
    LEASE_STEPS = 5,
    OLD_STEPS = 14, /* what is older than twice DEAD_STEPS is equally old */
    DISK_BYTES = VOTERS_SAVED_MAX + 64,
    SENDS_MAX = 12, /* datagrams of one host in one step */
    INPUTS_MAX = 24,
};

struct host {
    unsigned index;
    int64_t step; /* its clock */
    unsigned boots;
    bool down; /* the daemon was killed; the kernel goes on */
    uint32_t incarnation;
    uint8_t class_of[BUCKETS]; /* in the kernel: enum bucket_class */
    int64_t lease_until;       /* us of its clock */
    size_t disk_bytes;
    uint8_t disk[DISK_BYTES];
    struct node node;
};

enum host_op {
    HOST_RUN,       /* takes what has come, then its timers */
    HOST_RUN_TIMER, /* after a pause: its timers, then what has come */
    HOST_PASS,      /* paused or down: time passes */
    HOST_KILL,      /* the daemon dies */
    HOST_START,     /* and starts again, with what is on the disk */
    HOST_FORGET,    /* HOST_RUN, then the operator removes the next voter by name */
    HOST_FORGET_2,  /* or the one after it */
    HOST_SICK,      /* HOST_RUN, then a check fails, or succeeds again */
    HOST_OPS,
};

extern const char *const host_op_name[HOST_OPS];

/* What has come: messages sent `age` steps ago. */
struct host_input {
    const struct message *message;
    unsigned age;
};

struct host_output {
    size_t count;
    struct message message[SENDS_MAX];
};

/* A host that has not started; `phase`: its clock. */
void host_init(struct host *h, unsigned index, enum quorum_policy quorum);

/* One step of its clock. False: an action that the model does not know. */
void host_step(struct host *h, enum host_op op, const struct host_input *input, size_t inputs,
               struct host_output *out);

/* True if its kernel lets new flows of the bucket in, `ahead` steps from now. */
bool host_lets_in(const struct host *h, unsigned bucket, unsigned ahead);

/*
 * What is kept of a host: all but the rooms that the core fills before it reads
 * them. One that is taken back from its image goes on as the other would have.
 */
enum { IMAGE_MAX = sizeof(struct host) };
size_t host_image(const struct host *h, uint8_t image[IMAGE_MAX]);
void host_from_image(struct host *h, const uint8_t *image);

/* Everything that can influence what the host does from here on. */
struct print {
    uint64_t low, high;
};
struct print host_print(const struct host *h);
struct print print_bytes(const void *data, size_t length);

void host_describe(const struct host *h, char *out, size_t size);

#endif
