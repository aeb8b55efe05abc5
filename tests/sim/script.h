/*
 * What happens in a run, as a list of acts: drills, rests and storms, each storm
 * with its strikes. The course draws it as it goes (storm.c) or follows one that
 * is given, read from a file or cut down by shrink.c. All that is random about
 * a fault is in its strike.
 */
#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include <stdio.h>

#include "rng.h"
#include "scenario.h"

enum act_kind {
    ACT_STORM,  /* lasts so long */
    ACT_STRIKE, /* one fault of the storm before it */
    ACT_DRILL,  /* one thing happens in the calm, and is undone */
    ACT_REST,   /* nothing happens for so long */
    ACT_KINDS
};

enum drill {
    DRILL_HOST_CRASH,
    DRILL_DAEMON_CRASH,
    DRILL_PAUSE,
    DRILL_FREEZE,
    DRILL_LEAVE,
    DRILL_DRAIN,
    DRILL_RELOAD,
    DRILL_BRIDGE,  /* a reload at one that does not hear the next host, nor that it */
    DRILL_RESTART, /* its daemon is killed and starts again within the lease */
    DRILL_VIPS,    /* a reload that adds or removes a VIP */
    DRILL_STARVED, /* a host crashes, while the next one hardly gets any CPU time */
    DRILL_KINDS,
};

struct act {
    enum act_kind kind;
    usec lasts; /* storm, rest; strike: until it is undone */
    /* Drill. */
    enum drill drill;
    unsigned victim;
    /* Strike. */
    enum fault fault;
    usec at;                     /* since the storm began */
    usec spread;                 /* between the hosts' returns; 0: together */
    struct hosts hosts, against; /* struck; cuts: from these to those */
    bool both;                   /* a cut in both directions */
    int64_t value;               /* weight, rate, delay or seed, as the fault needs */
    bool on;                     /* in a run: struck and not undone yet */
};

struct script {
    struct scenario scenario;
    bool given; /* the acts are given; else they are drawn in the run */
    struct act *act;
    size_t acts, room;
};

void script_init(struct script *s);
void script_free(struct script *s);
void script_copy(struct script *to, const struct script *from);

/* Adds a copy; the program ends without memory. */
void script_add(struct script *s, const struct act *a);

/* Removes `count` acts from `first` on. */
void script_cut(struct script *s, size_t first, size_t count);

const char *drill_name(enum drill d);

/* Draws a storm and its strikes, or one act of the other kinds, and adds them. */
void storm_draw(struct script *s, struct rng *r);
void drill_draw(struct script *s, struct rng *r);
void rest_draw(struct script *s, struct rng *r);

/* As text, a line for each setting and each act, and back. Reading returns true,
 * or false after a line on stderr that says where and what. */
void script_write(const struct script *s, FILE *f);
bool script_read(struct script *s, FILE *f, const char *name);

#endif
