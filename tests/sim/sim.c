/*
 * The simulator: one seed, one run, one line; or many; or scripts.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "request.h"
#include "shrink.h"
#include "world.h"

enum { SHRINK_RUNS = 3000 };

/* What the jobs add up, in shared memory. */
struct sum {
    uint64_t runs, bad, violations, events, of[CHECK_KINDS];
    uint64_t first_bad; /* seed */
    usec worst_takeover, worst_heal, virtual_time;
    uint64_t flows, unserved;
};

static void print_run(const struct request *r, const struct result *x)
{
    printf("seed %" PRIu64 " nodes %u duration %" PRId64 ".%03" PRId64 "s events %" PRIu64
           " takeover %" PRId64 ".%03" PRId64 "ms violations %" PRIu64 " hash %016" PRIx64 "\n",
           x->seed, x->nodes, x->duration / 1000000, x->duration / 1000 % 1000, x->events,
           x->worst_takeover / 1000, x->worst_takeover % 1000, x->violations, x->hash);
    fflush(stdout);
    if (x->violations > 0 && r->scripts == 0)
        fprintf(stderr, "seed %" PRIu64 ": replay with: sim --seed %" PRIu64 "%s --verbose\n",
                x->seed, x->seed, r->given);
}

static void sum_add(struct sum *s, const struct result *x)
{
    s->runs++;
    if (x->violations > 0 && s->bad++ == 0)
        s->first_bad = x->seed;
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

static struct world *world_for(const struct request *r)
{
    struct world *w = world_new(&brain_core);
    w->trace.verbose = r->verbose;
    w->trace.watch = r->watch;
    w->pace.on = r->pace;
    return w;
}

static void script_record(const struct script *s, const char *name)
{
    FILE *f = fopen(name, "w");
    if (f == NULL) {
        fprintf(stderr, "sim: %s: %s\n", name, strerror(errno));
        exit(2);
    }
    script_write(s, f);
    fclose(f);
}

static void script_load(struct script *s, const char *name)
{
    FILE *f = fopen(name, "r");
    if (f == NULL)
        fprintf(stderr, "sim: %s: %s\n", name, strerror(errno));
    if (f == NULL || !script_read(s, f, name))
        exit(2);
    fclose(f);
}

/* Every jobs-th seed from the job's first. */
static void run_job(const struct request *r, unsigned job, struct sum *all)
{
    struct world *w = world_for(r);
    struct sum *sum = &all[job];
    struct script s;
    struct result x;
    script_init(&s);
    for (uint64_t seed = r->first + job; seed <= r->last; seed += r->jobs) {
        bool found = false;
        for (unsigned j = 0; j < r->jobs; j++)
            found = found || __atomic_load_n(&all[j].bad, __ATOMIC_RELAXED) > 0;
        if (found && r->stop)
            break;
        script_cut(&s, 0, s.acts);
        scenario_draw(&s.scenario, seed, &r->wish);
        world_run(w, &s, &x);
        if (r->record != NULL)
            script_record(&s, r->record);
        print_run(r, &x);
        sum_add(sum, &x);
    }
    script_free(&s);
    world_free(w);
}

/* Each script once; a line that names it, then that of the run. */
static void run_scripts(const struct request *r, struct sum *sum)
{
    struct world *w = world_for(r);
    struct script s;
    struct result x;
    script_init(&s);
    for (unsigned i = 0; i < r->scripts; i++) {
        script_load(&s, r->script[i]);
        world_run(w, &s, &x);
        printf("%s: ", r->script[i]);
        print_run(r, &x);
        sum_add(sum, &x);
    }
    script_free(&s);
    world_free(w);
}

/* The shortest script that fails alike, to stdout. */
static bool run_shrink(const struct request *r)
{
    struct world *w = world_for(r);
    struct script s;
    script_init(&s);
    if (r->scripts > 0)
        script_load(&s, r->script[0]);
    else
        scenario_draw(&s.scenario, r->first, &r->wish);
    struct shrink_result x = shrink(w, &s, SHRINK_RUNS);
    if (x.check >= 0) {
        printf("# %s; seed %" PRIu64 "%s, from %zu acts to %zu in %u runs\n",
               check_name((enum check)x.check), s.scenario.seed, r->given, x.acts_before, s.acts,
               x.runs);
        script_write(&s, stdout);
    } else {
        fprintf(stderr, "sim: no invariant is broken\n");
    }
    script_free(&s);
    world_free(w);
    return x.check < 0;
}

static bool run_jobs(const struct request *r, struct sum *sum)
{
    pid_t child[JOBS_MAX];
    bool good = true;
    for (unsigned j = 0; j < r->jobs; j++) {
        child[j] = fork();
        if (child[j] == 0) {
            run_job(r, j, sum);
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
        if (sum[j].bad > 0 && (t.bad == 0 || sum[j].first_bad < t.first_bad))
            t.first_bad = sum[j].first_bad;
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
    if (t.bad > 0)
        printf(", first at seed %" PRIu64 ":", t.first_bad);
    for (int c = 0; c < CHECK_KINDS; c++)
        if (t.of[c] > 0)
            printf(" %s:%" PRIu64, check_name((enum check)c), t.of[c]);
    putchar('\n');
}

int main(int argc, char **argv)
{
    struct request r;
    int ends = request_parse(&r, argc, argv);
    if (ends != 0)
        return ends == 1 ? 0 : ends;
    if (r.shrink)
        return run_shrink(&r) ? 0 : 1;
    struct sum *sum = mmap(NULL, JOBS_MAX * sizeof *sum, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sum == MAP_FAILED) {
        perror("sim: mmap");
        return 2;
    }
    bool good = true;
    if (r.scripts > 0)
        run_scripts(&r, &sum[0]);
    else if (r.jobs == 1)
        run_job(&r, 0, sum);
    else
        good = run_jobs(&r, sum);
    if (r.last > r.first || r.scripts > 1)
        print_sum(sum, r.jobs);
    for (unsigned j = 0; j < r.jobs; j++)
        good = good && sum[j].bad == 0;
    return good ? 0 : 1;
}
