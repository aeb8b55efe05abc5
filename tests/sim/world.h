/*
 * The world: virtual time, hosts, their daemons and kernels, the network
 * between them, clients, and the course of a run.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "brain.h"
#include "check.h"
#include "flow.h"
#include "kernel.h"
#include "net.h"
#include "pace.h"
#include "queue.h"
#include "rng.h"
#include "script.h"
#include "trace.h"

enum {
    INBOX_MAX = 256,
    SOCKET_DATAGRAMS = 150, /* what a socket buffer holds of them */
    STORE_MAX = 32768,      /* bytes on a host's disk */
};

enum host_state {
    HOST_OFF,    /* no daemon, no kernel state */
    HOST_BEREFT, /* the daemon died, the kernel goes on */
    HOST_RUNNING,
    HOST_PAUSED, /* SIGSTOP */
    HOST_FROZEN, /* all of it stands still but its clock: a virtual machine's pause */
};

struct host {
    /* What each datagram touches. */
    struct node *node;
    enum host_state state;
    uint32_t boot;        /* of the daemon */
    int64_t clock_origin; /* what its clock shows at virtual time 0 */
    int64_t clock_ppm;    /* how much faster it goes */
    int64_t deadline;     /* the node's, on its own clock */
    uint64_t timer;       /* version of the armed timer */
    int64_t stepped_at;
    uint64_t steps_now;   /* steps at this very instant */
    int64_t started_at;   /* daemon */
    uint32_t incarnation; /* as persisted */
    unsigned place;       /* in the order of names */
    bool stalling;        /* it is to be stopped amid the actions of its next step ... */

    int64_t stopped_at;   /* when it last ceased to run */
    unsigned vips;        /* its list, see VIPS_HERE */
    int64_t misfit_since; /* when it last began to have VIPs that are other ones ... */
    int64_t misfit_until; /* ... and ceased to */
    bool drained;         /* since the last calm, at some time */
    bool unhealthy, unlinked, leaving;
    bool witnessless; /* the witness does not answer */
    bool diskless;    /* its disk takes nothing */
    bool unstored;    /* something is still to be written: until then it says nothing */
    bool doomed;      /* its daemon dies when its next plan takes effect, or is stored */
    unsigned overdue; /* timer steps in a row that left a deadline in the past */
    size_t stored, to_store;
    size_t inbox_count, inbox_datagrams;
    int64_t rest_of;     /* ... when that step was, on its clock ... */
    struct actions rest; /* ... of which these are left to carry out */
    struct node_config config;
    struct kernel kernel;
    uint8_t store[STORE_MAX], pending[STORE_MAX]; /* on the disk; to be written */
    struct happening inbox[INBOX_MAX];            /* what came while it was paused */
};

enum phase {
    PHASE_STORM,
    PHASE_HEAL,   /* all is well again; waiting for agreement */
    PHASE_DRILL,  /* one thing happens in the calm; waiting for agreement */
    PHASE_RETURN, /* it is undone; waiting for agreement */
    PHASE_REST,   /* nothing happens, and nothing may */
    PHASE_DONE,
};

struct course {
    struct rng rng; /* of what is drawn: acts, and when hosts start */
    enum phase phase;
    size_t next;    /* act of the script */
    size_t storm;   /* the present one, or the last: its act */
    struct act act; /* the present storm, drill or rest */
    int64_t phase_since;
    int16_t owner[BUCKETS_MAX], home[BUCKETS_MAX]; /* before the drill */
    int16_t owner_now[BUCKETS_MAX], home_now[BUCKETS_MAX];
    usec worst_heal;
};

struct world {
    const struct brain *brain;
    struct scenario scenario;
    struct script *script; /* of this run */
    int64_t now;           /* us */
    struct queue queue;
    struct net net;
    struct kernel_profile kernel_profile;
    struct rng rng;           /* seeds, clocks, commits, lateness */
    struct host *host;        /* HOSTS_MAX */
    char *rooms;              /* memory of the nodes ... */
    size_t room, rooms_bytes; /* ... of one, and of all */
    struct hosts stopped;     /* those whose daemon is dead or paused, their kernel at work */
    struct hosts unlooked;    /* those whose view changed: check_view() is due */
    struct flows flows;
    struct checks checks;
    struct course course;
    struct trace trace;
    struct pace pace;
    struct actions actions;
    struct status *status;
    struct status_tables tables;
    uint64_t events;
    bool quiet; /* violations are only counted */
    int until;  /* the run is over when this check fails; CHECK_KINDS: any; -1: it goes on */
    bool over;  /* no use in going on */
};

struct result {
    uint64_t seed;
    unsigned nodes;
    usec duration;
    uint64_t events;
    usec worst_takeover, worst_gap, worst_heal;
    uint64_t violations;
    uint64_t of[CHECK_KINDS];
    uint64_t flows, unserved, resets;
    uint64_t hash;
};

/* Large; made once and used for many runs. Ends the program without memory. */
struct world *world_new(const struct brain *brain);
void world_free(struct world *w);

/* Sets the world up for a scenario, at virtual time 0, all hosts off. */
void world_reset(struct world *w, const struct scenario *s);

/* One whole run of a script; if its acts are not given, they are added to it. */
void world_run(struct world *w, struct script *s, struct result *out);

/* Lets everything happen up to virtual time `until`. */
void world_advance(struct world *w, int64_t until);

/* A happening `after` us from now. */
void world_later(struct world *w, usec after, const struct happening *h);

/* Daemon of host i: start, kill -9, SIGSTOP, SIGCONT; its host dies, stands still,
 * goes on. Nothing happens where it cannot. */
void world_start(struct world *w, unsigned i);
void world_kill_daemon(struct world *w, unsigned i);
void world_kill_host(struct world *w, unsigned i);
void world_pause(struct world *w, unsigned i);
void world_resume(struct world *w, unsigned i);
void world_freeze(struct world *w, unsigned i);
void world_thaw(struct world *w, unsigned i);

/* Gives host i's daemon an event now; it runs. */
void world_step(struct world *w, unsigned i, const struct event *e);
/* Its configuration has this list of VIPs from now on; EVENT_RELOAD tells its node. */
void world_vips(struct world *w, unsigned i, unsigned list);

/* A timer, datagram, answer, count or effect for host h->node: handed to its daemon
 * or kernel, or kept while that is stopped, as far as its socket's buffer goes. */
void host_receive(struct world *w, const struct happening *h);

/* It happens next: fetches what it will touch, so that it need not wait for it. */
void host_expect(const struct world *w, const struct happening *h);

/* Host i is up, with a kernel that has our state and is at work. */
bool world_kernel_up(const struct world *w, unsigned i);

/* The index of the host of that name or MAC; -1. */
int world_host_named(const struct world *w, const char *name);
int world_host_with_mac(const struct world *w, const struct mac *mac);

/* What host i's clock shows, and how long a span of it really takes at the least. */
instant world_clock(const struct world *w, unsigned i);
usec world_span(const struct world *w, unsigned i, usec on_its_clock);

/* Storms (nemesis.c): a strike of the script, and its end for one host. */
void nemesis_strike(struct world *w, const struct happening *h);
void nemesis_undo(struct world *w, const struct happening *h);
void nemesis_heal(struct world *w);             /* everything is well again */
void nemesis_mend(struct world *w, unsigned i); /* a host that was still on its way out */

/* Course of a run (course.c). */
void course_begin(struct world *w);
void course_look(struct world *w);               /* HAPPEN_PHASE */
void course_starve(struct world *w, unsigned i); /* HAPPEN_STARVE */

#endif
