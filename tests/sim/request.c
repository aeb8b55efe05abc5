/*
 * The command line of the simulator.
 */
#include "request.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: sim [--seed N | --seeds A..B] [--nodes N] [--buckets N] [--duration 60s]\n"
    "           [--interval 100ms] [--faults none|loss|crash|partition|all|NAME]\n"
    "           [--jobs N] [--stop] [--verbose [--watch BUCKET]] [--pace] [--record FILE]\n"
    "       sim --shrink SEED [options as above]\n"
    "       sim --script FILE... [--shrink] [--verbose [--watch BUCKET]] [--pace]\n"
    "Runs the simulator, a line for each seed. --stop ends at the first seed that\n"
    "breaks an invariant. --record writes what happened in the run as a script;\n"
    "--script runs what such files say; --shrink prints the shortest script it finds\n"
    "that breaks the same invariant. --pace tells how fast virtual time goes. Exit\n"
    "status: 0, 1 violations, 2 usage.\n";

static bool duration_parse(const char *text, usec *out)
{
    static const struct {
        const char *unit;
        usec us;
    } units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}, {"m", 60000000}, {"h", 3600000000}};
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || errno != 0 || v <= 0 || v > 1000000)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].unit) == 0) {
            *out = v * units[i].us;
            return true;
        }
    return false;
}

static bool number_parse(const char *text, uint64_t max, uint64_t *out, const char **rest)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    if (rest != NULL)
        *rest = end;
    return end != text && text[0] != '-' && errno == 0 && *out <= max &&
           (rest != NULL || *end == '\0');
}

static bool seed_parse(const char *text, struct request *r)
{
    bool good = number_parse(text, INT64_MAX, &r->first, NULL);
    r->last = r->first;
    return good;
}

static bool seeds_parse(const char *text, struct request *r)
{
    const char *rest;
    return number_parse(text, INT64_MAX, &r->first, &rest) && strncmp(rest, "..", 2) == 0 &&
           number_parse(rest + 2, INT64_MAX, &r->last, NULL) && r->first <= r->last;
}

/* Keeps an option for the replay line. */
static void given_add(struct request *r, const char *name, const char *value)
{
    size_t used = strlen(r->given);
    snprintf(r->given + used, sizeof r->given - used, " --%s %s", name, value);
}

/* Options that are part of what a run is. */
static bool wish_take(struct scenario_wish *wish, char option, const char *value)
{
    uint64_t v = 0;
    bool good;
    switch (option) {
    case 'n':
        good = number_parse(value, HOSTS_MAX, &v, NULL) && v > 0;
        wish->nodes = (unsigned)v;
        return good;
    case 'b':
        good = number_parse(value, BUCKETS_MAX, &v, NULL) && v >= BUCKETS_MIN && (v & (v - 1)) == 0;
        wish->buckets = (unsigned)v;
        return good;
    case 'd':
        return duration_parse(value, &wish->duration);
    case 'i':
        return duration_parse(value, &wish->interval) && wish->interval >= 1000;
    default:
        wish->faults = faults_by_name(value);
        return wish->faults >= 0;
    }
}

static bool option_take(struct request *r, char option, const char *name, const char *value)
{
    uint64_t v = 0;
    bool good = true;
    switch (option) {
    case 's':
        return seed_parse(value, r);
    case 'S':
        return seeds_parse(value, r);
    case 'k':
        r->shrink = true;
        return value == NULL || seed_parse(value, r);
    case 'j':
        good = number_parse(value, JOBS_MAX, &v, NULL) && v > 0;
        r->jobs = (unsigned)v;
        return good;
    case 'w':
        good = number_parse(value, BUCKETS_MAX - 1, &v, NULL);
        r->watch = (int)v;
        return good;
    case 'v':
        r->verbose = true;
        return true;
    case 'x':
        r->stop = true;
        return true;
    case 'p':
        r->pace = true;
        return true;
    case 'r':
        r->record = value;
        return true;
    case 'c':
        r->script[0] = value;
        r->scripts = 1;
        return true;
    default:
        good = wish_take(&r->wish, option, value);
        given_add(r, name, value);
        return good;
    }
}

static int request_refuse(void)
{
    fputs(usage, stderr);
    return 2;
}

int request_parse(struct request *r, int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"seeds", required_argument, NULL, 'S'},
        {"nodes", required_argument, NULL, 'n'},
        {"buckets", required_argument, NULL, 'b'},
        {"duration", required_argument, NULL, 'd'},
        {"interval", required_argument, NULL, 'i'},
        {"faults", required_argument, NULL, 'f'},
        {"jobs", required_argument, NULL, 'j'},
        {"verbose", no_argument, NULL, 'v'},
        {"watch", required_argument, NULL, 'w'},
        {"stop", no_argument, NULL, 'x'},
        {"record", required_argument, NULL, 'r'},
        {"pace", no_argument, NULL, 'p'},
        {"script", required_argument, NULL, 'c'},
        {"shrink", optional_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c, which = 0;
    *r = (struct request){.first = 1, .last = 1, .jobs = 1, .watch = -1, .wish = {.faults = -1}};
    while ((c = getopt_long(argc, argv, "", options, &which)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 1;
        }
        if (c == '?' || !option_take(r, (char)c, options[which].name, optarg))
            return request_refuse();
    }
    for (; optind < argc; optind++) {
        /* `--shrink SEED` with a blank, and more files after `--script FILE`. */
        if (r->shrink && r->scripts == 0 && seed_parse(argv[optind], r))
            continue;
        if (r->scripts == 0 || r->scripts == SCRIPTS_MAX)
            return request_refuse();
        r->script[r->scripts++] = argv[optind];
    }
    bool one = r->first == r->last && r->scripts <= 1;
    if ((r->shrink || r->record != NULL) && !one)
        return request_refuse();
    if (r->last - r->first + 1 < r->jobs)
        r->jobs = (unsigned)(r->last - r->first + 1);
    return 0;
}
