/*
 * What can go wrong, by kind and by name.
 */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include <stdint.h>

/* Faults that a storm may draw. Those from FAULT_COMPOUND on are made of others
 * and never stand in a script. */
enum fault {
    FAULT_HOST_CRASH,   /* daemon, kernel state and flows gone; later a start */
    FAULT_DAEMON_CRASH, /* the kernel stays as it is; later a start */
    FAULT_COMMIT_CRASH, /* the daemon dies as its next plan takes effect, or as it has stored
                           something, before it tells */
    FAULT_PAUSE,        /* SIGSTOP, later SIGCONT */
    FAULT_STALL,        /* the same in the midst of carrying out what a step wanted */
    FAULT_FREEZE,       /* the whole host stands still, its clock goes on */
    FAULT_LEAVE,        /* a clean stop, later a start */
    FAULT_DRAIN,
    FAULT_FORGET, /* an operator takes a dead member off the roster */
    FAULT_REKEY,  /* an operator asks for the next key */
    FAULT_HEALTH,
    FAULT_RELOAD, /* another weight */
    FAULT_VIPS,   /* another list of VIPs, which stays */
    FAULT_MISFIT, /* VIPs that are other ones than the others have under that address */
    FAULT_PARTITION,
    FAULT_ONE_WAY,     /* a partition in one direction only */
    FAULT_BRIDGE,      /* three parts, the outer two do not hear each other */
    FAULT_LINK_PAIR,   /* one host does not hear one other */
    FAULT_LINK,        /* one host's cable */
    FAULT_BURST,       /* a burst of loss */
    FAULT_SLOW_NET,    /* long and uneven delays */
    FAULT_JUNK,        /* junk, forgeries, recordings */
    FAULT_WITNESS,     /* some do not reach the witness */
    FAULT_CLOCK,       /* a host's wall clock steps */
    FAULT_DISK,        /* a host's disk takes nothing */
    FAULT_JAM,         /* every commit of one kernel fails */
    FAULT_SLOW_KERNEL, /* slow commits everywhere */
    FAULT_COMPOUND,
    FAULT_LONG_PAUSE = FAULT_COMPOUND, /* far beyond dead_after */
    FAULT_MASS,                        /* many or all at once, back one by one or together */
    FAULT_SIDE,                        /* a partition, and one side of it starts anew */
    FAULT_KINDS
};

/* The set of a fault. */
#define FAULT_BIT(fault) (UINT32_C(1) << (fault))

/* A set of faults by name ("none", "loss", "crash", "partition", "all",
 * "oneway"), or one fault; -1 if there is no such name. */
int64_t faults_by_name(const char *name);

const char *fault_name(enum fault f);

/* The fault of that name, or FAULT_KINDS. */
enum fault fault_by_name(const char *name);

/* What a set holds that concerns the network's or the kernels' quality. */
uint32_t faults_of_loss(void);
uint32_t faults_of_kernel(void);
uint32_t faults_all(void);

#endif
