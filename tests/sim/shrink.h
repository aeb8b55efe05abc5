/*
 * From a run that breaks an invariant to a short one that breaks the same.
 */
#ifndef SIM_SHRINK_H
#define SIM_SHRINK_H

#include "script.h"

struct world;

struct shrink_result {
    int check;     /* the check that fails first; -1: none does */
    unsigned runs; /* that it took */
    size_t acts_before;
};

/* Cuts *s down as long as the same check fails, in at most `runs_max` runs. *s
 * need not have its acts; in the end they are given. */
struct shrink_result shrink(struct world *w, struct script *s, unsigned runs_max);

#endif
