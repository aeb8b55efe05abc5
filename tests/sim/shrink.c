/*
 * Each step takes something away and runs what is left: stretches of acts, down
 * to single ones; hosts; what the network and the kernels do of their own
 * accord; time. Taking anything away shifts all random numbers after it, so
 * each candidate is tried under several noises. What still fails in the same
 * check is kept, and all is tried again until nothing more can be taken away.
 */
#include "shrink.h"

#include "world.h"

enum { NOISES = 4 };

struct shrinking {
    struct world *w;
    struct script *best;
    struct script candidate;
    int check;
    unsigned runs, runs_max;
};

static bool shrink_spent(const struct shrinking *k)
{
    return k->runs >= k->runs_max;
}

/* The candidate begins as the best so far. */
static struct script *shrink_begin(struct shrinking *k)
{
    script_copy(&k->candidate, k->best);
    return &k->candidate;
}

/* Runs the candidate under its noise and others; keeps it if it fails alike. */
static bool shrink_try(struct shrinking *k)
{
    struct script *c = &k->candidate;
    struct result r;
    uint64_t noise = c->scenario.noise;
    for (uint64_t i = 0; i < NOISES && !shrink_spent(k); i++) {
        c->scenario.noise = noise + i;
        k->runs++;
        world_run(k->w, c, &r);
        if (r.of[k->check] > 0) {
            script_copy(k->best, c);
            return true;
        }
    }
    return false;
}

/* Without strikes that have lost their storm. */
static void script_tidy(struct script *s)
{
    for (size_t i = 0; i < s->acts;)
        if (s->act[i].kind == ACT_STRIKE && (i == 0 || s->act[i - 1].kind > ACT_STRIKE))
            script_cut(s, i, 1);
        else
            i++;
}

static bool shrink_acts(struct shrinking *k)
{
    bool smaller = false;
    for (size_t length = (k->best->acts + 1) / 2; length > 0; length /= 2)
        for (size_t i = 0; i < k->best->acts && !shrink_spent(k);) {
            struct script *c = shrink_begin(k);
            script_cut(c, i, i + length < c->acts ? length : c->acts - i);
            script_tidy(c);
            if (shrink_try(k))
                smaller = true;
            else
                i += length;
        }
    return smaller;
}

/* The set without `host`; those behind it move up. */
static void hosts_drop(struct hosts *s, unsigned host)
{
    struct hosts left = {{0}};
    for (int h = HOST_NONE; (h = hosts_next(s, h)) >= 0;)
        if (h != (int)host)
            hosts_set(&left, (unsigned)(h > (int)host ? h - 1 : h));
    *s = left;
}

static void script_drop_host(struct script *s, unsigned host)
{
    struct scenario *c = &s->scenario;
    c->nodes--;
    c->careless = c->careless && c->nodes > 2; /* of two voters none may be */
    for (unsigned i = host; i < c->nodes; i++)
        c->weight[i] = c->weight[i + 1];
    for (size_t i = 0; i < s->acts; i++) {
        struct act *a = &s->act[i];
        hosts_drop(&a->hosts, host);
        hosts_drop(&a->against, host);
        a->victim -= a->victim > host;
    }
}

static bool shrink_hosts(struct shrinking *k)
{
    bool smaller = false;
    for (unsigned host = k->best->scenario.nodes; host-- > 0 && k->best->scenario.nodes > 2;) {
        script_drop_host(shrink_begin(k), host);
        smaller = shrink_try(k) || smaller;
    }
    return smaller;
}

/* One thing at a time made as simple as can be; false if it is already. */
static bool scenario_simplify(struct scenario *s, unsigned what)
{
    const struct scenario was = *s;
    switch (what) {
    case 0:
        s->net_storm = s->net_calm;
        return was.net_storm.loss + was.net_storm.late + was.net_storm.twice > 0 ||
               was.net_storm.corrupt > 0 || was.net_storm.delay_jitter > s->net_calm.delay_jitter;
    case 1:
        s->net_storm.loss = s->net_storm.corrupt = 0;
        return was.net_storm.loss + was.net_storm.corrupt > 0;
    case 2:
        s->net_storm.late = s->net_storm.twice = 0;
        return was.net_storm.late + was.net_storm.twice > 0;
    case 3:
        s->kernel_storm = s->kernel_calm;
        return was.kernel_storm.fail + was.kernel_storm.slow > 0;
    case 4:
        s->forget_incarnation = 0;
        return was.forget_incarnation > 0;
    case 5:
        s->clock_ppm = 0;
        return was.clock_ppm > 0;
    case 6:
        s->buckets = BUCKETS_MIN;
        return was.buckets > BUCKETS_MIN;
    case 7: {
        bool equal = true;
        for (unsigned i = 0; i < s->nodes; i++) {
            equal = equal && s->weight[i] == 100;
            s->weight[i] = 100;
        }
        return !equal;
    }
    case 8:
        s->timer_late = 1;
        return was.timer_late > 1;
    case 9:
        s->dead_after = 4 * s->interval;
        s->lease = 3 * s->interval;
        return was.dead_after != s->dead_after || was.lease != s->lease;
    default:
        return false;
    }
}

static bool shrink_scenario(struct shrinking *k)
{
    bool smaller = false;
    for (unsigned what = 0; what < 10 && !shrink_spent(k); what++)
        if (scenario_simplify(&shrink_begin(k)->scenario, what))
            smaller = shrink_try(k) || smaller;
    return smaller;
}

/* One thing about one act; false if there is nothing to do. */
static bool act_simplify(struct act *a, const struct scenario *s, unsigned what)
{
    const struct act was = *a;
    switch (what) {
    case 0:
        a->spread = 0;
        return was.spread != 0;
    case 1:
        a->lasts /= 2;
        return was.kind != ACT_DRILL && was.lasts > s->interval;
    case 2:
        a->at -= a->at / 2;
        return was.kind == ACT_STRIKE && was.at > s->interval;
    case 3: /* whole intervals are easier to read */
        a->at -= a->at % s->interval;
        return was.kind == ACT_STRIKE && was.at % s->interval != 0;
    case 4:
        a->lasts -= a->lasts % s->interval;
        return was.kind != ACT_DRILL && was.lasts % s->interval != 0;
    default: { /* one host less */
        int host = (int)what - 5;
        if (was.kind != ACT_STRIKE || host >= (int)s->nodes)
            return false;
        hosts_clear(&a->hosts, (unsigned)host);
        hosts_clear(&a->against, (unsigned)host);
        return !hosts_equal(&a->hosts, &was.hosts) || !hosts_equal(&a->against, &was.against);
    }
    }
}

static bool shrink_details(struct shrinking *k)
{
    bool smaller = false;
    for (size_t i = 0; i < k->best->acts; i++)
        for (unsigned what = 0; what < 5 + k->best->scenario.nodes && !shrink_spent(k); what++) {
            struct script *c = shrink_begin(k);
            if (act_simplify(&c->act[i], &c->scenario, what))
                smaller = shrink_try(k) || smaller;
        }
    return smaller;
}

/* All of it once. True if something could be taken away. */
static bool shrink_once(struct shrinking *k)
{
    bool acts = shrink_acts(k), hosts = shrink_hosts(k);
    bool scenario = shrink_scenario(k), details = shrink_details(k);
    return acts || hosts || scenario || details;
}

/* What had not happened yet when the check failed has no part in it. */
static void script_end(struct script *s, const struct world *w)
{
    const struct course *c = &w->course;
    script_cut(s, c->next, s->acts - c->next);
    if (c->phase != PHASE_STORM)
        return;
    for (size_t i = s->acts; i-- > c->storm + 1;)
        if (s->act[i].at > w->now - c->phase_since)
            script_cut(s, i, 1);
}

struct shrink_result shrink(struct world *w, struct script *s, unsigned runs_max)
{
    struct shrinking k = {.w = w, .best = s, .check = -1, .runs = 1, .runs_max = runs_max};
    struct shrink_result out = {.check = -1};
    bool quiet = w->quiet;
    struct result r;
    w->quiet = true;
    w->until = CHECK_KINDS; /* any */
    world_run(w, s, &r);
    for (int c = 0; c < CHECK_KINDS && k.check < 0; c++)
        if (r.of[c] > 0)
            k.check = c;
    s->given = true;
    if (k.check >= 0) {
        out.acts_before = s->acts;
        script_end(s, w);
        w->until = k.check;
        script_init(&k.candidate);
        while (shrink_once(&k) && !shrink_spent(&k))
            continue;
        script_free(&k.candidate);
    }
    w->until = -1;
    w->quiet = quiet;
    out.check = k.check;
    out.runs = k.runs;
    return out;
}
