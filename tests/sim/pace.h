/*
 * How fast virtual time goes: a line for each phase of a run, and sums. The only clock
 * in the simulator that is not virtual; nothing hangs on it.
 */
#ifndef SIM_PACE_H
#define SIM_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum pace_part {
    PACE_START, /* until all agree for the first time */
    PACE_DRILL, /* one thing happens, and is undone */
    PACE_STORM, /* and until all agree again */
    PACE_REST,  /* nothing happens */
    PACE_PARTS
};

struct pace {
    bool on; /* false: nothing is printed */
    bool begun;
    enum pace_part part;
    const char *what; /* of the phase */
    int64_t since;    /* it began: us of virtual time ... */
    int64_t began;    /* ... and of the machine's */
    int64_t virtual_us[PACE_PARTS], real_us[PACE_PARTS];
};

/* A run begins. */
void pace_begin(struct pace *p);

/* A phase begins at `now`, and the last one is over. `what` is not copied. */
void pace_enter(struct pace *p, int64_t now, enum pace_part part, const char *what);

/* The run is over. */
void pace_end(struct pace *p, int64_t now);

#endif
