/*
 * S2: every bucket has somebody who takes its new flows, within a bounded time
 * after a death and without a gap in a hand-over; and who has no flows of a
 * bucket left gives it up.
 */
#include <string.h>

#include "world.h"

/* Flows are counted every second while a node lingers; a flow may end right
 * after it was counted, and a bucket may begin to linger while a count is on
 * its way. */
#define LINGER_END (3 * USEC_PER_S)

/* Closes the gaps of buckets that have a path (again), or with `all` all. */
static void check_gaps(struct world *w, bool all)
{
    struct checks *c = &w->checks;
    usec longest = 0;
    unsigned count = 0, as = 0;
    for (unsigned b = 0; b < w->scenario.buckets; b++) {
        struct hosts acceptors = check_acceptors(w, b);
        bool path = !hosts_empty(&acceptors);
        if (!path && c->gap_since[b] < 0)
            c->gap_since[b] = w->now;
        if ((!path && !all) || c->gap_since[b] < 0)
            continue;
        usec gap = w->now - c->gap_since[b];
        c->gap_since[b] = -1;
        count += gap > 0;
        if (gap > longest) {
            longest = gap;
            as = b;
        }
    }
    if (longest > c->worst_gap)
        c->worst_gap = longest;
    if (count > 0)
        check_fail(w, CHECK_S2, "%u buckets had no path for %lld us of a hand-over, as bucket %u",
                   count, (long long)longest, as);
}

void check_gaps_begin(struct world *w)
{
    w->checks.gaps_watched = true;
    memset(w->checks.gap_since, 0xff, sizeof w->checks.gap_since);
    check_gaps(w, false);
}

void check_gaps_end(struct world *w)
{
    struct checks *c = &w->checks;
    if (!c->gaps_watched)
        return;
    check_gaps(w, true);
    c->gaps_watched = false;
}

static void check_bereft(struct world *w, unsigned i)
{
    struct checks *c = &w->checks;
    if (i == c->dead || c->bereft_count == 0)
        return;
    for (unsigned b = 0; b < w->scenario.buckets; b++)
        if (bitmap_test(&c->bereft, b) && check_claims(w, i, b)) {
            bitmap_clear(&c->bereft, b);
            c->bereft_count--;
        }
    if (c->bereft_count > 0)
        return;
    usec took = w->now - w->net.heard_by_any[c->dead];
    if (took > c->worst_takeover)
        c->worst_takeover = took;
    /* Who is starved has its say once an interval: it takes three of them to agree. */
    usec starved = w->course.act.drill == DRILL_STARVED ? 3 * w->scenario.interval : 0;
    if (took > check_takeover_limit(w) + starved)
        check_fail(w, CHECK_S2, "the buckets of node%02u were taken over only after %lld us",
                   c->dead, (long long)took);
}

void check_cover_changed(struct world *w, unsigned i)
{
    if (w->checks.death_watched)
        check_bereft(w, i);
    if (w->checks.gaps_watched)
        check_gaps(w, false);
}

usec check_takeover_limit(const struct world *w)
{
    const struct scenario *s = &w->scenario;
    return s->dead_after + (1 + w->net.rounds) * s->interval + 2 * s->kernel_calm.commit_max +
           4 * (s->net_calm.delay_min + s->net_calm.delay_jitter) + 2 * s->timer_late +
           s->dead_after / 500; /* clocks */
}

void check_death_begin(struct world *w, unsigned i)
{
    struct checks *c = &w->checks;
    c->death_watched = true;
    c->dead = i;
    c->death_at = w->now;
    c->bereft = (struct bitmap){0};
    c->bereft_count = 0;
    for (unsigned b = 0; b < w->scenario.buckets; b++)
        if (check_claims(w, i, b)) {
            bitmap_set(&c->bereft, b);
            c->bereft_count++;
        }
}

void check_death_end(struct world *w)
{
    struct checks *c = &w->checks;
    if (!c->death_watched)
        return;
    c->death_watched = false;
    if (c->bereft_count == 0)
        return;
    unsigned b = 0;
    while (!bitmap_test(&c->bereft, b))
        b++;
    check_fail(w, CHECK_S2, "%u buckets of dead node%02u are not claimed, as bucket %u",
               c->bereft_count, c->dead, b);
}

void check_lingering(struct world *w, usec calm)
{
    if (calm < LINGER_END)
        return;
    for (unsigned i = 0; i < w->scenario.nodes; i++) {
        const struct kernel *k = &w->host[i].kernel;
        unsigned count = 0, as = 0;
        for (unsigned b = 0; b < w->scenario.buckets && w->host[i].state == HOST_RUNNING; b++)
            if (k->plan.class_of[b] == CLASS_LINGER && k->flows[b] == 0 &&
                w->now - k->flowless_since[b] >= LINGER_END) {
                count++;
                as = b;
            }
        if (count > 0)
            check_fail(w, CHECK_LINGER,
                       "node%02u lingers on %u buckets without flows, as bucket %u", i, count, as);
    }
}
