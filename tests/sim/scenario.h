/*
 * What one run is: sizes, timing, faults and their rates; drawn from the seed
 * unless given.
 */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "ipclusterd/types.h"

#include "fault.h"
#include "hosts.h"

/* A host's list of VIPs: bit i: it has VIP i; bit VIPS_HERE + i: as no other VIP of that
 * address is. */
enum { VIPS_HERE = 3, VIPS_LISTS = 1 << VIPS_HERE };

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
    int64_t faults; /* set, or -1 */
};

struct scenario {
    uint64_t seed;
    uint64_t noise; /* 0, or another run of the same seed: delays, losses, flows, lateness */
    unsigned nodes, buckets;
    usec duration, interval, dead_after, lease, orphan_after;
    uint32_t faults;   /* set that this run draws from */
    usec start_within; /* all start, in the beginning; 0: within four times dead_after */
    usec fault_every;  /* mean time between two faults of a storm */
    usec storm_max;    /* longest storm */
    uint16_t weight[HOSTS_MAX];
    usec timer_late; /* a timer comes up to this late */
    struct net_profile net_calm, net_storm;
    struct kernel_profile kernel_calm, kernel_storm;
    usec connect_every, segment_every; /* mean */
    uint32_t forget_incarnation;       /* ppm of the starts: an older one, or none */
    uint32_t clock_ppm;                /* clocks go wrong by up to this */
    uint32_t majority;                 /* 1: quorum = "majority" */
    uint32_t founders;                 /* 1: its first voters are in the configuration */
    uint32_t careless;                 /* 1: the last host keeps nothing over a restart */
    uint32_t witness, rekey;           /* 1: there is one; there is a next key */
    uint32_t penalty;                  /* of flapping, 0: none; suppress 3, reuse 1 of these */
    usec half_life, max_hold;
};

void scenario_draw(struct scenario *s, uint64_t seed, const struct scenario_wish *wish);

#endif
