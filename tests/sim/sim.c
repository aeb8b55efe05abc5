/*
 * The simulator's command line: one seed, one run, one line; or many.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

enum { JOBS_MAX = 64 };

struct request {
    uint64_t first, last;
    struct scenario_wish wish;
    unsigned jobs;
    bool verbose;
    int watch;       /* bucket, or -1 */
    char given[160]; /* options to give again for a replay */
};

/* What the jobs add up, in shared memory. */
struct sum {
    uint64_t runs, bad, violations, events, of[CHECK_KINDS];
    usec worst_takeover, worst_heal, virtual_time;
    uint64_t flows, unserved;
};

static const char usage[] =
    "usage: sim [--seed N | --seeds A..B] [--nodes N] [--buckets N] [--duration 60s]\n"
    "           [--interval 100ms] [--faults none|loss|crash|partition|all|oneway|NAME]\n"
    "           [--jobs N] [--verbose [--watch BUCKET]]\n"
    "Runs the simulator, a line for each seed. Exit status: 0, 1 violations, 2 usage.\n";

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

static bool seeds_parse(const char *text, struct request *r)
{
    const char *rest;
    return number_parse(text, UINT64_MAX - 1, &r->first, &rest) && strncmp(rest, "..", 2) == 0 &&
           number_parse(rest + 2, UINT64_MAX - 1, &r->last, NULL) && r->first <= r->last;
}

static void print_run(const struct request *r, const struct result *x)
{
    printf("seed %" PRIu64 " nodes %u duration %" PRId64 ".%03" PRId64 "s events %" PRIu64
           " takeover %" PRId64 ".%03" PRId64 "ms violations %" PRIu64 " hash %016" PRIx64 "\n",
           x->seed, x->nodes, x->duration / 1000000, x->duration / 1000 % 1000, x->events,
           x->worst_takeover / 1000, x->worst_takeover % 1000, x->violations, x->hash);
    fflush(stdout);
    if (x->violations > 0)
        fprintf(stderr, "seed %" PRIu64 ": replay with: sim --seed %" PRIu64 "%s --verbose\n",
                x->seed, x->seed, r->given);
}

static void sum_add(struct sum *s, const struct result *x)
{
    s->runs++;
    s->bad += x->violations > 0;
    s->violations += x->violations;
    s->events += x->events;
    s->virtual_time += x->duration;
    s->flows += x->flows;
    s->unserved += x->unserved;
    for (int c = 0; c < CHECK_KINDS; c++)
        s->of[c] += x->of[c];
    if (x->worst_takeover > s->worst_takeover)
        s->worst_takeover = x->worst_takeover;
    if (x->worst_heal > s->worst_heal)
        s->worst_heal = x->worst_heal;
}

/* Every jobs-th seed from the job's first. */
static void run_job(const struct request *r, unsigned job, struct sum *sum)
{
    struct world *w = world_new(&brain_core);
    w->trace.verbose = r->verbose;
    w->trace.watch = r->watch;
    for (uint64_t seed = r->first + job; seed <= r->last && seed >= r->first; seed += r->jobs) {
        struct scenario s;
        struct result x;
        scenario_draw(&s, seed, &r->wish);
        world_run(w, &s, &x);
        print_run(r, &x);
        sum_add(sum, &x);
    }
    world_free(w);
}

static bool run_jobs(const struct request *r, struct sum *sum)
{
    pid_t child[JOBS_MAX];
    bool good = true;
    for (unsigned j = 0; j < r->jobs; j++) {
        child[j] = fork();
        if (child[j] == 0) {
            run_job(r, j, &sum[j]);
            exit(0);
        }
    }
    for (unsigned j = 0; j < r->jobs; j++) {
        int status = 1;
        if (child[j] < 0 || waitpid(child[j], &status, 0) < 0 || status != 0)
            good = false;
    }
    return good;
}

static void print_sum(const struct sum *sum, unsigned jobs)
{
    struct sum t = {0};
    for (unsigned j = 0; j < jobs; j++) {
        t.runs += sum[j].runs;
        t.bad += sum[j].bad;
        t.violations += sum[j].violations;
        t.events += sum[j].events;
        t.virtual_time += sum[j].virtual_time;
        t.flows += sum[j].flows;
        t.unserved += sum[j].unserved;
        for (int c = 0; c < CHECK_KINDS; c++)
            t.of[c] += sum[j].of[c];
        if (sum[j].worst_takeover > t.worst_takeover)
            t.worst_takeover = sum[j].worst_takeover;
        if (sum[j].worst_heal > t.worst_heal)
            t.worst_heal = sum[j].worst_heal;
    }
    printf("%" PRIu64 " runs, %" PRId64 " s of virtual time, %" PRIu64 " events, %" PRIu64
           " flows (%" PRIu64 " unserved); worst take-over %" PRId64 " ms, healing %" PRId64
           " ms; %" PRIu64 " violations in %" PRIu64 " runs",
           t.runs, t.virtual_time / 1000000, t.events, t.flows, t.unserved, t.worst_takeover / 1000,
           t.worst_heal / 1000, t.violations, t.bad);
    for (int c = 0; c < CHECK_KINDS; c++)
        if (t.of[c] > 0)
            printf(" %s:%" PRIu64, check_name((enum check)c), t.of[c]);
    putchar('\n');
}

/* Keeps an option for the replay line. */
static void given_add(struct request *r, const char *name, const char *value)
{
    size_t used = strlen(r->given);
    snprintf(r->given + used, sizeof r->given - used, " --%s %s", name, value);
}

static bool option_take(struct request *r, char option, const char *name, const char *value)
{
    uint64_t v = 0;
    bool good = true;
    switch (option) {
    case 's':
        good = number_parse(value, UINT64_MAX - 1, &r->first, NULL);
        r->last = r->first;
        return good;
    case 'S':
        return seeds_parse(value, r);
    case 'n':
        good = number_parse(value, HOSTS_MAX, &v, NULL) && v > 0;
        r->wish.nodes = (unsigned)v;
        break;
    case 'b':
        good = number_parse(value, BUCKETS_MAX, &v, NULL) && v >= BUCKETS_MIN && (v & (v - 1)) == 0;
        r->wish.buckets = (unsigned)v;
        break;
    case 'd':
        good = duration_parse(value, &r->wish.duration);
        break;
    case 'i':
        good = duration_parse(value, &r->wish.interval) && r->wish.interval >= 1000;
        break;
    case 'f':
        r->wish.faults = faults_by_name(value);
        good = r->wish.faults >= 0;
        break;
    case 'j':
        good = number_parse(value, JOBS_MAX, &v, NULL) && v > 0;
        r->jobs = (unsigned)v;
        return good;
    case 'w':
        good = number_parse(value, BUCKETS_MAX - 1, &v, NULL);
        r->watch = (int)v;
        return good;
    default:
        r->verbose = true;
        return true;
    }
    given_add(r, name, value);
    return good;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},     {"seeds", required_argument, NULL, 'S'},
        {"nodes", required_argument, NULL, 'n'},    {"buckets", required_argument, NULL, 'b'},
        {"duration", required_argument, NULL, 'd'}, {"interval", required_argument, NULL, 'i'},
        {"faults", required_argument, NULL, 'f'},   {"jobs", required_argument, NULL, 'j'},
        {"verbose", no_argument, NULL, 'v'},        {"watch", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
    };
    struct request r = {.first = 1, .last = 1, .jobs = 1, .watch = -1, .wish = {.faults = -1}};
    int c, which = 0;
    while ((c = getopt_long(argc, argv, "", options, &which)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c == '?' || !option_take(&r, (char)c, options[which].name, optarg)) {
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind != argc) {
        fputs(usage, stderr);
        return 2;
    }
    if (r.last - r.first + 1 < r.jobs)
        r.jobs = (unsigned)(r.last - r.first + 1);
    struct sum *sum = mmap(NULL, JOBS_MAX * sizeof *sum, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sum == MAP_FAILED) {
        perror("sim: mmap");
        return 2;
    }
    bool good = true;
    if (r.jobs == 1)
        run_job(&r, 0, &sum[0]);
    else
        good = run_jobs(&r, sum);
    if (r.last > r.first)
        print_sum(sum, r.jobs);
    for (unsigned j = 0; j < r.jobs; j++)
        good = good && sum[j].bad == 0;
    return good ? 0 : 1;
}
