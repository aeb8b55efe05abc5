/*
 * Explores every state that the hosts can get into with so many faults and steps,
 * breadth first, and looks for a bucket that two of them let in at once (S1). The
 * first trace found is a shortest one.
 *
 *    explore [--faults N] [--steps N] [--kinds SET] [--cold] [--states N]
 *            [--quorum majority|none] [--check WALKS]
 *
 * SET: a sum of enum fault. --cold begins with hosts that have not started;
 * otherwise they serve together. Exit status: 0 nothing found, 1 a violation, 2
 * the bound of states was reached first.
 */
#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "world.h"

/* How a state was come to: enough to come to it again. */
struct record {
    uint32_t parent;
    struct choice choice;
};

/* A state that has not been left yet. */
struct open {
    struct state state;
    uint32_t record;
};

struct level {
    struct open *item;
    size_t count, size;
};

enum { ROOTS_MAX = 4, TURNS_MAX = 3000 };

static struct options {
    unsigned faults, steps, kinds, walks;
    size_t states;
    bool cold;
    enum quorum_policy quorum;
} options = {
    .faults = 2, .steps = 30, .kinds = FAULT_ALL, .states = 20000000, .quorum = QUORUM_MAJORITY};

static struct {
    struct record *item;
    size_t count, size;
} records;
static struct state root[ROOTS_MAX]; /* of the first records */
static unsigned roots;
static struct table seen; /* state_print() to 1 + the faults left */
static uint64_t transitions;
static unsigned turns; /* of the level that is being left */
static double began;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* True if the state is new: no state like it was come to before with as many faults
 * left, in as many turns or less. */
static bool open_add(struct level *l, const struct state *s, const struct choice *c,
                     uint32_t parent)
{
    bool is_new;
    uint32_t *best = table_at(&seen, state_print(s), &is_new);
    if (!is_new && *best >= 1u + s->faults)
        return false;
    *best = 1u + s->faults;
    if (records.count == records.size) {
        records.size = records.size == 0 ? 1024 : 2 * records.size;
        records.item = realloc(records.item, records.size * sizeof records.item[0]);
        assert(records.item != NULL);
    }
    if (l->count == l->size) {
        l->size = l->size == 0 ? 1024 : 2 * l->size;
        l->item = realloc(l->item, l->size * sizeof l->item[0]);
        assert(l->item != NULL);
    }
    l->item[l->count++] = (struct open){*s, (uint32_t)records.count};
    records.item[records.count++] = (struct record){parent, *c};
    return true;
}

static void trace_print(uint32_t last)
{
    char text[512];
    static uint32_t path[TURNS_MAX];
    struct arrival arrival[INPUTS_MAX];
    size_t arrivals, length = 0;
    uint32_t at = last;
    for (; at >= roots && length < TURNS_MAX; at = records.item[at].parent)
        path[length++] = at;
    struct state s = root[at];
    for (unsigned turn = 1; length-- > 0; turn++) {
        const struct choice *c = &records.item[path[length]].choice;
        state_apply(&s, c, arrival, &arrivals);
        state_describe(&s, c, text, sizeof text);
        printf("%4.1f %s\n", (double)turn / HOSTS, text);
    }
}

static void figures_print(FILE *to, const char *result)
{
    struct store_figures f = store_figures();
    fprintf(to,
            "%s: %zu states, %llu transitions, depth %.1f steps, %zu hosts (%zu MB), %zu bundles, "
            "%zu of %llu steps run, %.1f s\n",
            result, records.count, (unsigned long long)transitions, (double)turns / HOSTS, f.hosts,
            f.host_bytes >> 20, f.bundles, f.steps, (unsigned long long)f.lookups,
            seconds() - began);
}

/* Lets them start, and run without faults. */
static void warm_up(struct state *s, unsigned steps, unsigned late_b, unsigned late_c)
{
    const unsigned late[HOSTS] = {0, late_b, late_c};
    struct arrival arrival[INPUTS_MAX];
    size_t arrivals;
    for (unsigned step = 0; step < steps; step++) {
        for (unsigned i = 0; i < HOSTS; i++) {
            struct choice c = {.links = LINKS_ALL, .op = HOST_RUN};
            if (s->mode[i] == MODE_DOWN)
                c.op = step < late[i] ? HOST_PASS : HOST_START;
            state_apply(s, &c, arrival, &arrivals);
        }
    }
}

/* True if every bucket is let in by one. */
static bool serves(const struct state *s)
{
    unsigned in = 0;
    for (unsigned i = 0; i < HOSTS; i++)
        in |= s->lease[i] > 0 ? s->lets_in[i] : 0;
    return in == (1u << BUCKETS) - 1 && state_doubles(s) == 0;
}

/* Where the search begins: the hosts' ticks fall together, or not. */
static void roots_add(struct level *l)
{
    struct choice none = {.links = LINKS_ALL};
    for (unsigned phase = 0; phase < ROOTS_MAX; phase++) {
        struct state *s = &root[roots];
        state_init(s, options.quorum, options.faults);
        warm_up(s, options.cold ? 2 : 60, phase & 1, phase >> 1);
        if (!options.cold && !serves(s)) {
            printf("the hosts do not come to serve without faults\n");
            exit(3);
        }
        roots += open_add(l, s, &none, UINT32_MAX);
    }
}

/* All that one state leads to; false: a violation. */
static bool leave(const struct open *from, struct level *next)
{
    static struct choice choice[CHOICES_MAX];
    struct arrival arrival[INPUTS_MAX];
    size_t arrivals, choices = state_choices(&from->state, options.kinds, choice);
    for (size_t i = 0; i < choices; i++) {
        struct state s = from->state;
        state_apply(&s, &choice[i], arrival, &arrivals);
        transitions++;
        if (open_add(next, &s, &choice[i], from->record) && state_doubles(&s) != 0) {
            trace_print((uint32_t)records.count - 1);
            return false;
        }
    }
    return true;
}

static int explore(void)
{
    static struct level now, next;
    roots_add(&now);
    double told = began = seconds();
    for (; now.count > 0 && turns < options.steps * HOSTS; turns++) {
        next.count = 0;
        for (size_t i = 0; i < now.count; i++) {
            if (!leave(&now.item[i], &next)) {
                figures_print(stdout, "VIOLATION");
                return 1;
            }
            if (records.count > options.states) {
                figures_print(stdout, "not finished");
                return 2;
            }
        }
        struct level swap = now;
        now = next;
        next = swap;
        if (seconds() - told > 10) {
            figures_print(stderr, "so far");
            told = seconds();
        }
    }
    figures_print(stdout, now.count == 0 ? "no violation, all seen" : "no violation so far");
    return 0;
}

static uint64_t rng = 88172645463325252;

static uint32_t draw(uint32_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)((rng >> 24) % below);
}

static bool print_equal(struct print a, struct print b)
{
    return a.low == b.low && a.high == b.high;
}

/* One turn of a host that is never exchanged for another one. True if it does what
 * the one in the store does. */
static bool shadow(struct host *h, struct state *s, const struct choice *c)
{
    static struct host stored;
    static struct host_output out;
    struct arrival arrival[INPUTS_MAX];
    struct host_input input[INPUTS_MAX];
    size_t arrivals, inputs = 0;
    unsigned i = s->turn;
    uint32_t bundle = state_apply(s, c, arrival, &arrivals);
    for (size_t k = 0; k < arrivals; k++) {
        struct bundle b = store_bundle_get(arrival[k].bundle);
        for (size_t m = 0; m < b.count; m++)
            input[inputs++] = (struct host_input){&b.message[m], arrival[k].age};
    }
    host_step(h, (enum host_op)c->op, input, inputs, &out);
    store_host_get(s->host[i], &stored);
    return print_equal(host_print(h), host_print(&stored)) && store_bundle(&out) == bundle;
}

/*
 * Is what host_print() makes alike alike? Random walks with as many faults as can
 * be, in each of which three hosts live on beside those in the store.
 */
static int check(void)
{
    static struct choice choice[CHOICES_MAX];
    static struct host h[HOSTS];
    static struct level roots_of;
    char text[512];
    roots_add(&roots_of);
    began = seconds();
    for (unsigned walk = 0; walk < options.walks; walk++) {
        struct state s = root[walk % roots];
        for (unsigned i = 0; i < HOSTS; i++)
            store_host_get(s.host[i], &h[i]);
        for (turns = 0; turns < options.steps * HOSTS; turns++) {
            s.faults = draw(walk % 2 == 0 ? 9 : 40) == 0 ? 2 : 0;
            size_t choices = state_choices(&s, options.kinds, choice);
            const struct choice *c = &choice[draw((uint32_t)choices)];
            unsigned i = s.turn;
            transitions++;
            bool alike = shadow(&h[i], &s, c);
            if (alike && state_doubles(&s) == 0)
                continue;
            state_describe(&s, c, text, sizeof text);
            printf("walk %u, turn %u: %s\n%s\n", walk, turns,
                   alike ? "VIOLATION" : "the store does something else", text);
            return 1;
        }
    }
    figures_print(stdout, "the store does as they do");
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"faults", required_argument, NULL, 'f'}, {"steps", required_argument, NULL, 's'},
        {"kinds", required_argument, NULL, 'k'},  {"states", required_argument, NULL, 'n'},
        {"quorum", required_argument, NULL, 'q'}, {"check", required_argument, NULL, 'c'},
        {"cold", no_argument, NULL, 'o'},         {0},
    };
    for (int o; (o = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (o) {
        case 'f':
            options.faults = (unsigned)atoi(optarg);
            break;
        case 's':
            options.steps = (unsigned)atoi(optarg);
            break;
        case 'k':
            options.kinds = (unsigned)atoi(optarg);
            break;
        case 'n':
            options.states = (size_t)atoll(optarg);
            break;
        case 'c':
            options.walks = (unsigned)atoi(optarg);
            break;
        case 'o':
            options.cold = true;
            break;
        case 'q':
            options.quorum = strcmp(optarg, "none") == 0 ? QUORUM_NONE : QUORUM_MAJORITY;
            break;
        default:
            return 64;
        }
    }
    return options.walks > 0 ? check() : explore();
}
