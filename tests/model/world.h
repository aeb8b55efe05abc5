/*
 * A state of the whole: three hosts, what is on its way between them, which links
 * carry, and how many more faults there may be. In each step the hosts have their
 * turns one after another, so a word arrives in the same step or in the next; or,
 * by a fault, whenever the search likes, or again later, or never.
 */
#ifndef MODEL_WORLD_H
#define MODEL_WORLD_H

#include "store.h"

enum {
    FLIGHTS_MAX = 16,
    WAITING_MAX = 5, /* what a paused host's socket takes */
    HELD_MAX = 3,    /* held back for one host */
    LINKS_ALL = 0x3f,
    CHOICES_MAX = 4096,
};

enum mode { MODE_RUNS, MODE_PAUSED, MODE_DOWN };

/* Of what one host sends to one other in one step. */
enum fate { FATE_NEXT, FATE_HELD, FATE_TWICE, FATE_LOST, FATE_MAX };

/* Faults that may be chosen. */
enum fault {
    FAULT_CUT = 1,      /* a host is cut off, or all are */
    FAULT_LINK = 2,     /* a link is, in one direction or both; a host is deaf, or mute */
    FAULT_DELAY = 4,    /* a word is held back, for as long as it may be */
    FAULT_LOSS = 8,     /* a word is lost */
    FAULT_PAUSE = 16,   /* a daemon is stopped for a while */
    FAULT_KILL = 32,    /* or killed, before or after its work, and started later */
    FAULT_FORGET = 64,  /* an operator wants a voter off the roster */
    FAULT_SICK = 128,   /* a check fails, or succeeds again */
    FAULT_TWICE = 256,  /* a word comes, and once more later */
    FAULT_COMMIT = 512, /* the kernel refuses what it is given in a step */
    FAULT_ALL = 1023,
    FAULT_MEMORY = 1024, /* a killed host starts without what it has stored */
    FAULT_CLOCK = 2048,  /* a host's clock stands still for a step */
};

struct flight {
    uint32_t bundle;
    uint8_t to, from, held, age;
};

/* What is chosen in one turn. */
struct choice {
    uint8_t links, op;
    uint8_t fate[2]; /* of what is sent to the first and to the second other host */
    uint8_t release; /* of what is held back for this host: set of places */
    uint8_t cost;
};

struct state {
    uint32_t host[HOSTS];
    uint8_t lets_in[HOSTS], lease[HOSTS]; /* of store_step() */
    uint8_t mode[HOSTS];
    uint8_t links; /* bit: link_bit() carries */
    uint8_t turn;
    uint8_t faults; /* that there may still be */
    uint8_t flights;
    struct flight flight[FLIGHTS_MAX];
};

unsigned link_bit(unsigned from, unsigned to);

/* Hosts that have not started yet. */
void state_init(struct state *s, enum quorum_policy quorum, unsigned faults);

/* The choices of the present turn; how many. */
size_t state_choices(const struct state *s, unsigned kinds, struct choice choice[CHOICES_MAX]);

/* One turn. `arrival`: what the host took in. The bundle that it sent. */
uint32_t state_apply(struct state *s, const struct choice *c, struct arrival arrival[INPUTS_MAX],
                     size_t *arrivals);

/* How many words are held back for a host. */
unsigned state_held(const struct state *s, unsigned to);

/* Buckets that two hosts let in at once. */
unsigned state_doubles(const struct state *s);

/* All but the faults that are left. */
uint64_t state_print(const struct state *s);

void state_describe(const struct state *s, const struct choice *c, char *out, size_t size);

#endif
