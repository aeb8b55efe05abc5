/*
 * What the command line of the simulator asks for.
 */
#ifndef SIM_REQUEST_H
#define SIM_REQUEST_H

#include "scenario.h"

enum { JOBS_MAX = 64, SCRIPTS_MAX = 256 };

struct request {
    uint64_t first, last; /* seeds */
    struct scenario_wish wish;
    unsigned jobs;
    bool verbose;
    bool pace;
    bool stop;          /* at the first seed that breaks an invariant */
    bool shrink;        /* the one seed, or the script */
    const char *record; /* file for the script of the one seed */
    const char *script[SCRIPTS_MAX];
    unsigned scripts;
    int watch;       /* bucket, or -1 */
    char given[160]; /* options to give again for a replay */
};

/* 0: do it. 1: the program shall end with exit status 0; 2: with 2, it has said why. */
int request_parse(struct request *r, int argc, char **argv);

#endif
