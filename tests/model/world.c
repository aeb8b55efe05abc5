/*
 * Turns: what may be chosen, and what follows.
 */
#include "world.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { PATTERNS_MAX = 24, OPS_MAX = 12 };

unsigned link_bit(unsigned from, unsigned to)
{
    return from * 2 + (to > from ? to - 1 : to);
}

static bool carries(uint8_t links, unsigned from, unsigned to)
{
    return (links >> link_bit(from, to) & 1) != 0;
}

static uint8_t cut(uint8_t links, unsigned from, unsigned to)
{
    return (uint8_t)(links & ~(1u << link_bit(from, to)));
}

/* Which links may carry at a time, beside all of them: each but those to one host,
 * from it, or both; each but that between two hosts, in one direction or both. */
static size_t patterns_add(unsigned kinds, uint8_t out[PATTERNS_MAX], size_t count)
{
    out[count++] = LINKS_ALL;
    if ((kinds & FAULT_CUT) != 0)
        out[count++] = 0;
    for (unsigned x = 0; x < HOSTS; x++) {
        unsigned y = (x + 1) % HOSTS, z = (x + 2) % HOSTS;
        uint8_t deaf = cut(cut(LINKS_ALL, y, x), z, x), mute = cut(cut(LINKS_ALL, x, y), x, z);
        if ((kinds & FAULT_CUT) != 0)
            out[count++] = deaf & mute;
        if ((kinds & FAULT_LINK) == 0)
            continue;
        out[count++] = deaf;
        out[count++] = mute;
        out[count++] = cut(LINKS_ALL, x, y);
        out[count++] = cut(LINKS_ALL, y, x);
        out[count++] = cut(cut(LINKS_ALL, x, y), y, x);
    }
    return count;
}

void state_init(struct state *s, enum quorum_policy quorum, unsigned faults)
{
    static struct host h;
    memset(s, 0, sizeof *s);
    for (unsigned i = 0; i < HOSTS; i++) {
        host_init(&h, i, quorum);
        s->host[i] = store_host(&h);
        s->mode[i] = MODE_DOWN;
    }
    s->links = LINKS_ALL;
    s->faults = (uint8_t)faults;
}

/* What the host whose turn it is may do, with the cost of each. */
static size_t ops_list(const struct state *s, unsigned kinds, struct choice op[OPS_MAX])
{
    static const struct {
        unsigned mode, kind;
        enum host_op op;
    } all[] = {
        {MODE_RUNS, 0, HOST_RUN},
        {MODE_PAUSED, 0, HOST_PASS},
        {MODE_PAUSED, 0, HOST_RUN},
        {MODE_PAUSED, 0, HOST_RUN_TIMER},
        {MODE_DOWN, 0, HOST_PASS},
        {MODE_DOWN, 0, HOST_START},
        {MODE_RUNS, FAULT_PAUSE, HOST_PASS},
        {MODE_RUNS, FAULT_KILL, HOST_KILL},
        {MODE_RUNS, FAULT_KILL, HOST_CRASH},
        {MODE_DOWN, FAULT_MEMORY, HOST_START_BLANK},
        {MODE_RUNS, FAULT_COMMIT, HOST_REFUSED},
        {MODE_RUNS, FAULT_CLOCK, HOST_FROZEN},
        {MODE_RUNS, FAULT_FORGET, HOST_FORGET},
        {MODE_RUNS, FAULT_FORGET, HOST_FORGET_2},
        {MODE_RUNS, FAULT_SICK, HOST_SICK},
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        bool fault = all[i].kind != 0;
        if (s->mode[s->turn] != all[i].mode ||
            (fault && (s->faults == 0 || !(kinds & all[i].kind))))
            continue;
        op[count++] = (struct choice){.op = (uint8_t)all[i].op, .cost = fault};
    }
    return count;
}

static bool speaks(enum host_op op)
{
    return op != HOST_PASS && op != HOST_KILL && op != HOST_CRASH && op != HOST_FROZEN;
}

static bool listens(enum host_op op)
{
    return speaks(op) && op != HOST_START && op != HOST_START_BLANK;
}

/* The fates of what the host may send: each fault costs one. */
static size_t fates_add(const struct state *s, unsigned kinds, struct choice c,
                        struct choice choice[CHOICES_MAX], size_t count)
{
    static const unsigned kind_of[FATE_MAX] = {0, FAULT_DELAY, FAULT_TWICE, FAULT_LOSS};
    unsigned to[2] = {s->turn == 0, s->turn == 2 ? 1 : 2};
    for (unsigned first = 0; first < FATE_MAX; first++) {
        for (unsigned second = 0; second < FATE_MAX; second++) {
            unsigned fate[2] = {first, second}, cost = c.cost;
            bool possible = true;
            for (unsigned i = 0; i < 2; i++) {
                bool open = speaks((enum host_op)c.op) && carries(c.links, s->turn, to[i]) &&
                            (kinds & kind_of[fate[i]]) != 0;
                possible = possible && (fate[i] == FATE_NEXT || open);
                cost += fate[i] != FATE_NEXT;
            }
            if (!possible || cost > s->faults)
                continue;
            assert(count < CHOICES_MAX);
            choice[count] = c;
            choice[count].fate[0] = (uint8_t)first;
            choice[count].fate[1] = (uint8_t)second;
            choice[count++].cost = (uint8_t)cost;
        }
    }
    return count;
}

unsigned state_held(const struct state *s, unsigned to)
{
    unsigned count = 0;
    for (size_t i = 0; i < s->flights; i++)
        count += s->flight[i].to == to && s->flight[i].held;
    return count;
}

size_t state_choices(const struct state *s, unsigned kinds, struct choice choice[CHOICES_MAX])
{
    uint8_t links[PATTERNS_MAX] = {s->links};
    struct choice op[OPS_MAX];
    size_t count = 0, patterns = 1, ops = ops_list(s, kinds, op);
    bool may_cut = (kinds & (FAULT_CUT | FAULT_LINK)) != 0 && s->faults > 0;
    unsigned held = state_held(s, s->turn);
    assert(held <= HELD_MAX);
    if (s->turn == 0 && may_cut)
        patterns = patterns_add(kinds, links, patterns);
    else if (s->turn == 0 && s->links != LINKS_ALL)
        links[patterns++] = LINKS_ALL;
    for (size_t p = 0; p < patterns; p++) {
        if (p > 0 && links[p] == s->links)
            continue;
        bool fault = links[p] != s->links && links[p] != LINKS_ALL; /* to heal is free */
        for (size_t i = 0; i < ops; i++) {
            unsigned releases = listens((enum host_op)op[i].op) ? 1u << held : 1;
            struct choice c = op[i];
            c.links = links[p];
            c.cost = (uint8_t)(c.cost + fault);
            for (unsigned release = 0; release < releases; release++) {
                c.release = (uint8_t)release;
                count = fates_add(s, kinds, c, choice, count);
            }
        }
    }
    return count;
}

/* Takes out what has come to the host, oldest first; the rest grows older. */
static size_t flights_land(struct state *s, unsigned to, unsigned release,
                           struct arrival arrival[INPUTS_MAX])
{
    size_t kept = 0, landed = 0, held = 0;
    for (size_t i = 0; i < s->flights; i++) {
        struct flight *f = &s->flight[i];
        if (f->to == to && (!f->held || (release >> held++ & 1) != 0)) {
            size_t at = landed++;
            assert(landed <= INPUTS_MAX);
            for (; at > 0 && arrival[at - 1].age < f->age; at--)
                arrival[at] = arrival[at - 1];
            arrival[at] = (struct arrival){f->bundle, f->age};
            continue;
        }
        if (f->to == to && f->age < pace_old())
            f->age++;
        s->flight[kept++] = *f;
    }
    s->flights = (uint8_t)kept;
    return landed;
}

/* What has come waits in the socket, as long as there is room: first come, first kept. */
static void flights_wait(struct state *s, unsigned to)
{
    size_t kept = 0, waiting = 0;
    for (size_t i = 0; i < s->flights; i++)
        waiting += s->flight[i].to == to && !s->flight[i].held;
    for (size_t i = s->flights; i-- > 0;) {
        struct flight *f = &s->flight[i];
        bool fresh = f->to == to && !f->held && f->age <= 1;
        if (fresh && waiting > WAITING_MAX) {
            waiting--;
            f->bundle = STORE_NONE;
        }
    }
    for (size_t i = 0; i < s->flights; i++) {
        struct flight f = s->flight[i];
        if (f.bundle == STORE_NONE)
            continue;
        if (f.to == to && f.age < pace_old())
            f.age++;
        s->flight[kept++] = f;
    }
    s->flights = (uint8_t)kept;
}

static bool flight_before(const struct flight *a, const struct flight *b)
{
    if (a->to != b->to)
        return a->to < b->to;
    if (a->age != b->age)
        return a->age > b->age;
    if (a->from != b->from)
        return a->from < b->from;
    if (a->held != b->held)
        return a->held < b->held;
    return a->bundle < b->bundle;
}

static void flight_add(struct state *s, uint32_t bundle, unsigned to, bool held)
{
    struct flight f = {.bundle = bundle, .to = (uint8_t)to, .from = s->turn, .held = held};
    f.age = to < s->turn;
    assert(s->flights < FLIGHTS_MAX);
    size_t at = s->flights++;
    for (; at > 0 && flight_before(&f, &s->flight[at - 1]); at--)
        s->flight[at] = s->flight[at - 1];
    s->flight[at] = f;
}

static void sends(struct state *s, uint32_t bundle, const struct choice *c)
{
    unsigned other = 0;
    for (unsigned to = 0; to < HOSTS; to++) {
        if (to == s->turn)
            continue;
        enum fate fate = (enum fate)c->fate[other++];
        if (bundle == STORE_NONE || !carries(s->links, s->turn, to))
            continue;
        if (fate == FATE_HELD || fate == FATE_TWICE)
            flight_add(s, bundle, to, true);
        if (fate == FATE_NEXT || fate == FATE_TWICE)
            flight_add(s, bundle, to, false);
    }
}

uint32_t state_apply(struct state *s, const struct choice *c, struct arrival arrival[INPUTS_MAX],
                     size_t *arrivals)
{
    enum host_op op = (enum host_op)c->op;
    unsigned i = s->turn;
    uint32_t bundle = STORE_NONE;
    s->links = c->links;
    s->faults = (uint8_t)(s->faults - c->cost);
    *arrivals = 0;
    if (op == HOST_PASS && s->mode[i] != MODE_DOWN) {
        s->mode[i] = MODE_PAUSED;
        flights_wait(s, i);
    } else if (op != HOST_FROZEN) {
        bool down = op == HOST_KILL || op == HOST_PASS || op == HOST_CRASH;
        *arrivals = flights_land(s, i, c->release, arrival);
        s->mode[i] = down ? MODE_DOWN : MODE_RUNS;
        if (!listens(op) && op != HOST_CRASH)
            *arrivals = 0;
    }
    if (op != HOST_FROZEN) {
        struct step_result r = store_step(s->host[i], op, arrival, *arrivals);
        s->host[i] = r.host;
        s->lets_in[i] = r.lets_in;
        s->lease[i] = r.lease;
        bundle = r.bundle;
    }
    if (speaks(op))
        sends(s, bundle, c);
    s->turn = (uint8_t)((i + 1) % HOSTS);
    memset(&s->flight[s->flights], 0, (FLIGHTS_MAX - s->flights) * sizeof s->flight[0]);
    return bundle;
}

unsigned state_doubles(const struct state *s)
{
    unsigned seen = 0, twice = 0;
    /* Who has not had its turn is one step behind; turn 0: nobody is. */
    for (unsigned i = 0; i < HOSTS; i++) {
        unsigned behind = s->turn != 0 && i >= s->turn;
        unsigned in = s->lease[i] > behind ? s->lets_in[i] : 0;
        twice |= seen & in;
        seen |= in;
    }
    return twice;
}

uint64_t state_print(const struct state *s)
{
    struct state copy = *s;
    copy.faults = 0;
    return print_bytes(&copy, sizeof copy);
}

void state_describe(const struct state *s, const struct choice *c, char *out, size_t size)
{
    static const char *const fates[FATE_MAX] = {"", " held back", " to come again", " lost"};
    static struct host h;
    char text[256];
    unsigned i = (unsigned)(s->turn + HOSTS - 1) % HOSTS;
    store_host_get(s->host[i], &h);
    host_describe(&h, text, sizeof text);
    int at = snprintf(out, size, "%s\n    %s;", text, host_op_name[c->op]);
    for (unsigned k = 0; k < 2; k++)
        if (c->fate[k] != FATE_NEXT)
            at += snprintf(out + at, size - (size_t)at, " what it sends to %c is%s;",
                           "bcacab"[i * 2 + k], fates[c->fate[k]]);
    if (c->release != 0)
        at += snprintf(out + at, size - (size_t)at, " takes what was held back (%u);", c->release);
    for (unsigned from = 0; from < HOSTS && s->links != LINKS_ALL; from++)
        for (unsigned to = 0; to < HOSTS; to++)
            if (from != to && !carries(s->links, from, to))
                at += snprintf(out + at, size - (size_t)at, " %c-/->%c", "abc"[from], "abc"[to]);
    unsigned twice = state_doubles(s);
    if (twice != 0)
        snprintf(out + at, size - (size_t)at, "  LET IN TWICE: buckets %02x", twice);
}
