/*
 * Breadth first, in turns: the states that were come to in the same turn are a level.
 *
 * Of a state that has been left nothing is kept but a hash, with how many faults were
 * left then, and how it was come to, which is enough to come to it again. A state
 * that is come to once more is left once more only if more faults are left than before.
 */
#include "search.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TURNS_MAX = 6000 };

/* How a state was come to. */
struct record {
    uint32_t parent;
    struct choice choice;
};

/* States that have not been left yet, one behind the other: the number of the record,
 * then the state up to its last flight. */
struct level {
    uint8_t *data;
    size_t bytes, room, count;
};

static struct {
    struct record *item;
    size_t count, size;
} records;
static struct state root[ROOTS_MAX]; /* of the first records */
static unsigned roots;
static struct table seen; /* state_print() to 1 + the faults left */
static struct level now, next;
static uint64_t transitions;
static unsigned turns; /* of the level that is being left */
static double began;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t memory(void)
{
    return store_figures().bytes + records.size * sizeof records.item[0] +
           seen.size * (sizeof seen.key[0] + sizeof seen.value[0]) + now.room + next.room;
}

static void figures_print(FILE *to, const char *result)
{
    struct store_figures f = store_figures();
    fprintf(to,
            "%s: %zu states, %llu transitions, %.1f steps deep; %zu hosts of %zu parts, "
            "%zu bundles, %zu steps run; %zu MB, %.0f s\n",
            result, records.count, (unsigned long long)transitions, (double)turns / HOSTS, f.hosts,
            f.parts, f.bundles, f.steps, memory() >> 20, seconds() - began);
}

static void level_put(struct level *l, const struct state *s, uint32_t record)
{
    size_t length = offsetof(struct state, flight) + s->flights * sizeof s->flight[0];
    if (l->bytes + sizeof record + length > l->room) {
        l->room = l->room == 0 ? 1 << 16 : l->room + l->room / 2;
        l->data = realloc(l->data, l->room);
        assert(l->data != NULL);
    }
    memcpy(l->data + l->bytes, &record, sizeof record);
    memcpy(l->data + l->bytes + sizeof record, s, length);
    l->bytes += sizeof record + length;
    l->count++;
}

/* The one at `at`; where the next is. */
static size_t level_get(const struct level *l, size_t at, struct state *s, uint32_t *record)
{
    memset(s, 0, sizeof *s);
    memcpy(record, l->data + at, sizeof *record);
    at += sizeof *record;
    memcpy(s, l->data + at, offsetof(struct state, flight));
    at += offsetof(struct state, flight);
    memcpy(s->flight, l->data + at, s->flights * sizeof s->flight[0]);
    return at + s->flights * sizeof s->flight[0];
}

/* True if the state is new: no state like it was come to before with as many faults
 * left, in as many turns or less. */
static bool state_new(const struct state *s, const struct choice *c, uint32_t parent)
{
    bool is_new;
    uint32_t *best = table_at(&seen, state_print(s), &is_new);
    if (!is_new && *best >= 1u + s->faults)
        return false;
    *best = 1u + s->faults;
    if (records.count == records.size) {
        records.size = records.size == 0 ? 1024 : records.size + records.size / 2;
        records.item = realloc(records.item, records.size * sizeof records.item[0]);
        assert(records.item != NULL);
    }
    assert(records.count < UINT32_MAX);
    level_put(&next, s, (uint32_t)records.count);
    records.item[records.count++] = (struct record){parent, *c};
    return true;
}

static void trace_print(uint32_t last)
{
    char text[768];
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

bool search_roots(const struct options *o, struct state of[ROOTS_MAX])
{
    for (unsigned phase = 0; phase < o->phases; phase++) {
        state_init(&of[phase], o->quorum, o->faults);
        warm_up(&of[phase], o->cold ? 2 : 60, phase & 1, phase >> 1);
        if (!o->cold && !serves(&of[phase]))
            return false;
    }
    return true;
}

/* All that one state leads to; false: a violation. */
static bool leave(const struct options *o, const struct state *from, uint32_t record)
{
    static struct choice choice[CHOICES_MAX];
    struct arrival arrival[INPUTS_MAX];
    size_t arrivals, choices = state_choices(from, o->kinds, choice);
    for (size_t i = 0; i < choices; i++) {
        struct state s = *from;
        state_apply(&s, &choice[i], arrival, &arrivals);
        transitions++;
        if (state_new(&s, &choice[i], record) && state_doubles(&s) != 0) {
            trace_print((uint32_t)records.count - 1);
            return false;
        }
    }
    return true;
}

/* One turn of all that was come to in the one before. */
static enum search_result level_leave(const struct options *o)
{
    struct state s;
    uint32_t record;
    for (size_t at = 0; at < now.bytes;) {
        at = level_get(&now, at, &s, &record);
        if (!leave(o, &s, record))
            return SEARCH_VIOLATION;
        if (records.count > o->states)
            return SEARCH_UNFINISHED;
    }
    return next.count > 0 ? SEARCH_BOUNDED : SEARCH_SEEN;
}

static void level_turn(void)
{
    struct level left = now;
    now = next;
    next = left;
    next.count = next.bytes = 0;
}

enum search_result search(const struct options *o)
{
    static const char *const word[] = {
        [SEARCH_SEEN] = "no violation, all seen",
        [SEARCH_VIOLATION] = "VIOLATION",
        [SEARCH_UNFINISHED] = "not finished",
        [SEARCH_BOUNDED] = "no violation so far",
    };
    struct choice none = {.links = LINKS_ALL};
    enum search_result result = SEARCH_BOUNDED;
    double told = began = seconds();
    if (!search_roots(o, root)) {
        printf("the hosts do not come to serve without faults\n");
        return SEARCH_UNFINISHED;
    }
    for (unsigned i = 0; i < o->phases; i++)
        if (state_new(&root[i], &none, UINT32_MAX))
            root[roots++] = root[i];
    while (turns < o->steps * HOSTS && result == SEARCH_BOUNDED) {
        level_turn();
        result = level_leave(o);
        turns++;
        if (seconds() - told > 30) {
            figures_print(stderr, "so far");
            told = seconds();
        }
    }
    figures_print(stdout, word[result]);
    return result;
}
