/*
 * Names and sets of faults.
 */
#include "fault.h"

#include <stddef.h>
#include <string.h>

static const char *const fault_names[FAULT_KINDS] = {
    [FAULT_HOST_CRASH] = "host-crash",
    [FAULT_DAEMON_CRASH] = "daemon-crash",
    [FAULT_COMMIT_CRASH] = "commit-crash",
    [FAULT_PAUSE] = "pause",
    [FAULT_STALL] = "stall",
    [FAULT_FREEZE] = "freeze",
    [FAULT_LEAVE] = "leave",
    [FAULT_DRAIN] = "drain",
    [FAULT_FORGET] = "forget",
    [FAULT_REKEY] = "rekey",
    [FAULT_HEALTH] = "health",
    [FAULT_RELOAD] = "reload",
    [FAULT_VIPS] = "vips",
    [FAULT_MISFIT] = "misfit",
    [FAULT_PARTITION] = "partition",
    [FAULT_ONE_WAY] = "one-way",
    [FAULT_BRIDGE] = "bridge",
    [FAULT_LINK_PAIR] = "link-pair",
    [FAULT_LINK] = "link",
    [FAULT_BURST] = "burst",
    [FAULT_SLOW_NET] = "slow-net",
    [FAULT_JUNK] = "junk",
    [FAULT_WITNESS] = "witness",
    [FAULT_CLOCK] = "clock",
    [FAULT_DISK] = "disk",
    [FAULT_JAM] = "jam",
    [FAULT_SLOW_KERNEL] = "slow-kernel",
    [FAULT_LONG_PAUSE] = "long-pause",
    [FAULT_MASS] = "mass",
    [FAULT_SIDE] = "side",
};

#define F(name) FAULT_BIT(FAULT_##name)
#define LOSS_FAULTS (F(BURST) | F(SLOW_NET) | F(JUNK))
#define STOP_FAULTS                                                                        \
    (F(HOST_CRASH) | F(DAEMON_CRASH) | F(COMMIT_CRASH) | F(PAUSE) | F(STALL) | F(FREEZE) | \
     F(LEAVE) | F(LONG_PAUSE) | F(MASS))
#define CRASH_FAULTS                                                                               \
    (STOP_FAULTS | F(DRAIN) | F(HEALTH) | F(RELOAD) | F(VIPS) | F(MISFIT) | F(FORGET) | F(REKEY) | \
     F(CLOCK) | F(DISK))
#define PARTITION_FAULTS \
    (F(PARTITION) | F(ONE_WAY) | F(BRIDGE) | F(LINK_PAIR) | F(LINK) | F(SIDE) | F(WITNESS))
#define KERNEL_FAULTS (F(JAM) | F(SLOW_KERNEL))
#define ALL_FAULTS (LOSS_FAULTS | CRASH_FAULTS | PARTITION_FAULTS | KERNEL_FAULTS)

static const struct {
    const char *name;
    uint32_t faults;
} fault_sets[] = {
    {"none", 0},
    {"loss", LOSS_FAULTS},
    {"crash", CRASH_FAULTS | KERNEL_FAULTS},
    {"partition", PARTITION_FAULTS},
    {"all", ALL_FAULTS},
    {"oneway", ALL_FAULTS}, /* as it was called while "all" was without it */
};

const char *fault_name(enum fault f)
{
    return fault_names[f];
}

enum fault fault_by_name(const char *name)
{
    int f = 0;
    while (f < FAULT_KINDS && strcmp(fault_names[f], name) != 0)
        f++;
    return (enum fault)f;
}

int64_t faults_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof fault_sets / sizeof *fault_sets; i++)
        if (strcmp(fault_sets[i].name, name) == 0)
            return fault_sets[i].faults;
    enum fault f = fault_by_name(name);
    return f == FAULT_KINDS ? -1 : (int64_t)FAULT_BIT(f);
}

uint32_t faults_of_loss(void)
{
    return LOSS_FAULTS;
}

uint32_t faults_of_kernel(void)
{
    return KERNEL_FAULTS;
}

uint32_t faults_all(void)
{
    return ALL_FAULTS;
}
