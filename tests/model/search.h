/*
 * The search: every state that the hosts can get into, breadth first, so that the
 * first trace that is found is a shortest one.
 */
#ifndef MODEL_SEARCH_H
#define MODEL_SEARCH_H

#include "world.h"

struct options {
    unsigned faults; /* in one run */
    unsigned steps;  /* at most */
    unsigned kinds;  /* set of enum fault */
    unsigned phases; /* how many alignments of the hosts' ticks: 1 .. ROOTS_MAX */
    unsigned walks;  /* of walk_check(); 0: search */
    size_t states;   /* at most */
    bool cold;       /* from hosts that start, not from hosts that serve together */
    enum quorum_policy quorum;
};

enum search_result { SEARCH_SEEN, SEARCH_VIOLATION, SEARCH_UNFINISHED, SEARCH_BOUNDED };

enum { ROOTS_MAX = 4 };

/* Where it begins: the hosts' ticks fall together, or not. False: they do not come to
 * serve without any fault. */
bool search_roots(const struct options *o, struct state root[ROOTS_MAX]);

/* Prints a violation's trace, and a line of figures. */
enum search_result search(const struct options *o);

/* Random walks with as many faults as can be, in each of which three hosts live on
 * beside those in the store, and have to do what these do. False, and a word on it,
 * if they do not, or if a walk finds a violation. */
bool walk_check(const struct options *o);

#endif
