/*
 * The model: S1 under quorum = "majority", searched for a way out.
 *
 *    explore [--faults N] [--kinds WORD,...] [--steps N] [--phases N] [--cold]
 *            [--pace INTERVAL/DEAD/LEASE] [--quorum majority|none] [--states N]
 *            [--check WALKS]
 *
 * Exit status: 0 all seen and no violation; 1 a violation, and its shortest trace; 2 the
 * bound of states was reached; 3 the bound of steps was, and no violation so far.
 *
 * What it is. Three hosts run the code of src/core, compiled with small limits, and not
 * a description of it. From hosts that serve together (--cold: that start), everything
 * that they can do with up to so many faults is done, breadth first, and in every state
 * no bucket may be let in by two kernels at once. A fault may begin in any turn, and what
 * lasts (a cut, a pause, a word that is held back, a death) may last for as long as it
 * likes: to go on and to end are free. When there are no new states, all has been seen:
 * then it holds for runs of any length with so many faults of these kinds. With a bound
 * of steps it holds for so many steps.
 *
 * What a state is: the hosts (host_normal.c), what is on its way, which links carry. What
 * two states that are taken for one differ in has to mean nothing for what follows; that
 * is what --check tries to refute (walk.c), and it has to be run again when the core gets
 * a new field: one that host_normal.c does not know is compared as it is, so at worst no
 * two states are alike any more and the search does not come to its end.
 *
 * What it takes for granted
 *  - Time goes in steps of half an interval, and all clocks at one rate: the margin
 *    between lease and dead_after is there for clocks that do not. Of a lease the model
 *    sees the end to the step. Hosts have their turns in a fixed order, so a word arrives
 *    in the same step or in the next, unless it is held back; their ticks fall together,
 *    or in other steps (--phases).
 *  - A turn is one piece: all that has come is taken, oldest first, and timers run then,
 *    late by up to a step; a host that was paused may have them run first. Between two
 *    actions of a turn nothing happens, but that the daemon may die before it sends.
 *  - The kernel does at once what it is told, or refuses all of it in a turn, and ends a
 *    lease on time; a new daemon finds no claims in it. The disk keeps what it was given.
 *    A paused host's socket takes five turns' worth of the others' words.
 *  - What a host sends in one turn to one other has one fate. What is more than twice
 *    dead_after old is equally old, and a pause of more than that is one of so long.
 *  - The voters are three, founded by the configuration; none leaves, weights and the
 *    configuration stay, flows are not counted, no member is held, orphan_after is 0.
 *  - No two states have one hash of 64 bits. With a hundred million states the odds
 *    that two do are one to several thousand.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "search.h"

static const struct {
    const char *name;
    unsigned kinds;
} kind_names[] = {
    {"all", FAULT_ALL},
    {"clock", FAULT_CLOCK},
    {"commit", FAULT_COMMIT},
    {"cut", FAULT_CUT},
    {"delay", FAULT_DELAY},
    {"forget", FAULT_FORGET},
    {"kill", FAULT_KILL},
    {"link", FAULT_LINK},
    {"loss", FAULT_LOSS},
    {"memory", FAULT_MEMORY},
    {"none", 0},
    {"pause", FAULT_PAUSE},
    {"sick", FAULT_SICK},
    {"twice", FAULT_TWICE},
};

/* A list with commas. False: an unknown word. */
static bool kinds_parse(char *list, unsigned *kinds)
{
    *kinds = 0;
    for (char *word = strtok(list, ","); word != NULL; word = strtok(NULL, ",")) {
        size_t i = 0, count = sizeof kind_names / sizeof kind_names[0];
        while (i < count && strcmp(word, kind_names[i].name) != 0)
            i++;
        if (i == count)
            return false;
        *kinds |= kind_names[i].kinds;
    }
    return true;
}

/* "INTERVAL/DEAD/LEASE", in steps. False: it is none, or not one of a cluster. A step is
 * half an interval at most, or all timers would seem to run late. */
static bool pace_parse(const char *text)
{
    int i, d, l, length = 0;
    if (sscanf(text, "%d/%d/%d%n", &i, &d, &l, &length) != 3 || text[length] != '\0')
        return false;
    pace = (struct pace){i, d, l};
    return i >= 2 && d >= 3 * i && d <= PACE_DEAD_MAX && l >= 1 && l < d;
}

static bool number_parse(const char *text, unsigned long long most, unsigned long long *number)
{
    char *end;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && *number <= most;
}

static bool option_take(struct options *o, int option, char *text)
{
    unsigned long long number = 0;
    switch (option) {
    case 'f':
    case 'p':
    case 's':
    case 'w':
        if (!number_parse(text, option == 's' ? 2000 : option == 'w' ? 1000000 : 4, &number))
            return false;
        *(option == 'f'   ? &o->faults
          : option == 'p' ? &o->phases
          : option == 's' ? &o->steps
                          : &o->walks) = (unsigned)number;
        return option != 'p' || number > 0;
    case 'n':
        if (!number_parse(text, UINT32_MAX - CHOICES_MAX, &number))
            return false;
        o->states = (size_t)number;
        return true;
    case 'k':
        return kinds_parse(text, &o->kinds);
    case 'o':
        o->cold = true;
        return true;
    case 't':
        return pace_parse(text);
    case 'q':
        o->quorum = strcmp(text, "none") == 0 ? QUORUM_NONE : QUORUM_MAJORITY;
        return strcmp(text, "none") == 0 || strcmp(text, "majority") == 0;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"check", required_argument, NULL, 'w'},  {"cold", no_argument, NULL, 'o'},
        {"faults", required_argument, NULL, 'f'}, {"kinds", required_argument, NULL, 'k'},
        {"pace", required_argument, NULL, 't'},   {"phases", required_argument, NULL, 'p'},
        {"quorum", required_argument, NULL, 'q'}, {"states", required_argument, NULL, 'n'},
        {"steps", required_argument, NULL, 's'},  {NULL, 0, NULL, 0},
    };
    struct options o = {.faults = 1,
                        .steps = 2000,
                        .kinds = FAULT_ALL,
                        .phases = ROOTS_MAX,
                        .states = 10000000,
                        .quorum = QUORUM_MAJORITY};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;)
        if (!option_take(&o, c, optarg))
            return 64;
    if (optind != argc)
        return 64;
    host_newcomers = (o.kinds & FAULT_MEMORY) != 0;
    if (o.walks > 0)
        return walk_check(&o) ? 0 : 1;
    return (int)search(&o);
}
