/*
 * What one run is: sizes, timing, faults and their rates; drawn from the seed
 * unless given.
 */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "ipclusterd/types.h"

enum { HOSTS_MAX = 64 }; /* a set of hosts is a uint64_t */

/* Faults that a storm may choose from. */
enum fault {
    FAULT_HOST_CRASH,   /* daemon, kernel state and flows gone; later a start */
    FAULT_DAEMON_CRASH, /* the kernel stays as it is; later a start */
    FAULT_PAUSE,        /* SIGSTOP, later SIGCONT */
    FAULT_LEAVE,        /* a clean stop, later a start */
    FAULT_DRAIN,
    FAULT_HEALTH,
    FAULT_RELOAD, /* another weight */
    FAULT_PARTITION,
    FAULT_ONE_WAY,     /* a partition in one direction only; off by default */
    FAULT_LINK,        /* one host's cable */
    FAULT_BURST,       /* a burst of loss */
    FAULT_SLOW_NET,    /* long and uneven delays */
    FAULT_JUNK,        /* junk, forgeries, recordings */
    FAULT_JAM,         /* every commit of one kernel fails */
    FAULT_SLOW_KERNEL, /* slow commits everywhere */
    FAULT_KINDS
};

/* How the network treats a datagram; rates in parts per million. */
struct net_profile {
    uint32_t loss, twice, late, corrupt;
    usec delay_min, delay_jitter; /* delay_min .. delay_min + delay_jitter */
    usec late_max;                /* of those that come late */
};

struct kernel_profile {
    uint32_t fail, slow; /* ppm */
    usec commit_min, commit_max, slow_max;
};

/* What the command line may fix; zero (faults: -1) means: draw it. */
struct scenario_wish {
    unsigned nodes, buckets;
    usec duration, interval;
    int64_t faults; /* set of 1 << enum fault, or -1 */
};

struct scenario {
    uint64_t seed;
    unsigned nodes, buckets;
    usec duration, interval, dead_after, lease, orphan_after;
    uint32_t faults;  /* set of 1 << enum fault that this run has */
    usec fault_every; /* mean time between two faults of a storm */
    usec storm_max;   /* longest storm */
    uint16_t weight[HOSTS_MAX];
    usec timer_late; /* a timer comes up to this late */
    struct net_profile net_calm, net_storm;
    struct kernel_profile kernel_calm, kernel_storm;
    usec connect_every, segment_every; /* mean */
    uint32_t forget_incarnation;       /* ppm of the starts */
};

/* A set of faults by name ("none", "loss", "crash", "partition", "all",
 * "oneway"); -1 if there is no such name. */
int64_t faults_by_name(const char *name);
const char *fault_name(enum fault f);

void scenario_draw(struct scenario *s, uint64_t seed, const struct scenario_wish *wish);

#endif
