/*
 * The course of a run: start, storm, heal, and in the calm a drill, which is
 * where the exact promises (S2, S7, a hand-over without a gap) can be held
 * against the clock; then the next storm.
 */
#include <inttypes.h>
#include <string.h>

#include "world.h"

static void course_enter(struct world *w, enum phase phase)
{
    w->course.phase = phase;
    w->course.phase_since = w->now;
    trace_number(&w->trace, 0xc0a5eu + (uint64_t)phase);
}

void course_begin(struct world *w)
{
    const struct scenario *s = &w->scenario;
    w->course.rng = rng_make(s->seed, 5);
    course_enter(w, PHASE_HEAL);
    for (unsigned i = 0; i < s->nodes; i++) {
        struct happening start = {.kind = HAPPEN_START, .node = (uint16_t)i};
        world_later(w, rng_between(&w->course.rng, 0, 4 * s->dead_after), &start);
    }
    world_later(w, s->connect_every, &(struct happening){.kind = HAPPEN_CONNECT});
    world_later(w, s->segment_every, &(struct happening){.kind = HAPPEN_SEGMENT});
    world_later(w, 4 * s->dead_after + 1, &(struct happening){.kind = HAPPEN_PHASE});
}

/* Reads host i's status; false if it does not agree with *view (0: not known). */
static bool host_agrees(struct world *w, unsigned i, uint64_t *view, bool *first)
{
    struct status *s = w->status;
    w->brain->status(w->host[i].node, world_clock(w, i), s);
    bool drilled = w->course.phase == PHASE_DRILL && i == w->course.victim;
    if (!s->converged || (s->state != NODE_SERVING && !drilled) || (!*first && s->view != *view)) {
        trace_line(&w->trace, w->now, (int)i, "does not agree: state %d, %s, view %016" PRIx64,
                   (int)s->state, s->converged ? "converged" : "not converged", s->view);
        return false;
    }
    if (*first) {
        for (unsigned b = 0; b < w->scenario.buckets; b++) {
            int owner = s->bucket[b].owner, home = s->bucket[b].home;
            w->course.owner_now[b] =
                (int16_t)(owner < 0 ? -1 : world_host_named(w, s->member[owner].name));
            w->course.home_now[b] =
                (int16_t)(home < 0 ? -1 : world_host_named(w, s->member[home].name));
        }
    }
    *view = s->view;
    *first = false;
    return true;
}

/* Every running node has the same view and says that all is in order, and so
 * it is: each bucket is let in by its owner and nobody else. */
static bool course_agreed(struct world *w)
{
    uint64_t view = 0;
    bool first = true;
    for (unsigned b = 0; b < w->scenario.buckets; b++) {
        uint64_t acceptors = check_acceptors(w, b);
        if ((acceptors & (acceptors - 1)) != 0)
            return false;
        if (acceptors != 0 && w->host[__builtin_ctzll(acceptors)].state != HOST_RUNNING)
            return false;
    }
    for (unsigned i = 0; i < w->scenario.nodes; i++) {
        const struct host *h = &w->host[i];
        if (h->state != HOST_RUNNING)
            continue;
        if (h->leaving || !host_agrees(w, i, &view, &first))
            return false;
    }
    for (unsigned b = 0; b < w->scenario.buckets && !first; b++) {
        int16_t owner = w->course.owner_now[b];
        if (check_acceptors(w, b) != (owner < 0 ? 0 : (uint64_t)1 << owner))
            return false;
    }
    return true;
}

static void storm_begin(struct world *w)
{
    struct course *c = &w->course;
    const struct scenario *s = &w->scenario;
    c->storm++;
    c->storm_until = w->now + rng_between(&c->rng, s->storm_max / 4, s->storm_max);
    trace_line(&w->trace, w->now, -1, "a storm begins");
    course_enter(w, PHASE_STORM);
    w->net.profile = s->net_storm;
    w->kernel_profile = s->kernel_storm;
    struct happening h = {.kind = HAPPEN_FAULT, .arg = c->storm};
    world_later(w, rng_between(&c->rng, 1, s->fault_every), &h);
}

/* A victim without whom there is still somebody to own a bucket. */
static bool drill_choose(struct world *w)
{
    struct course *c = &w->course;
    c->drill = (enum drill)rng_below(&c->rng, DRILL_KINDS);
    c->victim = (unsigned)rng_below(&c->rng, w->scenario.nodes);
    for (unsigned i = 0; i < w->scenario.nodes; i++)
        if (i != c->victim && w->host[i].config.weight > 0)
            return true;
    return false;
}

static void drill_step(struct world *w, const struct event *e)
{
    check_gaps_begin(w);
    world_step(w, w->course.victim, e);
}

static void drill_begin(struct world *w)
{
    static const char *const names[DRILL_KINDS] = {"host crash", "daemon crash", "pause",
                                                   "leave",      "drain",        "reload"};
    struct course *c = &w->course;
    struct host *h = &w->host[c->victim];
    struct event e = {0};
    memcpy(c->owner, c->owner_now, sizeof c->owner);
    memcpy(c->home, c->home_now, sizeof c->home);
    trace_line(&w->trace, w->now, (int)c->victim, "drill: %s", names[c->drill]);
    course_enter(w, PHASE_DRILL);
    switch (c->drill) {
    case DRILL_HOST_CRASH:
        check_death_begin(w, c->victim);
        world_kill_host(w, c->victim);
        break;
    case DRILL_DAEMON_CRASH:
        check_death_begin(w, c->victim);
        world_kill_daemon(w, c->victim);
        break;
    case DRILL_PAUSE:
        check_death_begin(w, c->victim);
        world_pause(w, c->victim);
        break;
    case DRILL_LEAVE:
        h->leaving = true;
        e.kind = EVENT_LEAVE;
        drill_step(w, &e);
        break;
    case DRILL_DRAIN:
        e.kind = EVENT_CONTROL;
        e.control.verb = CONTROL_DRAIN;
        drill_step(w, &e);
        break;
    case DRILL_RELOAD:
    case DRILL_KINDS:
        h->config.weight = (uint16_t)(h->config.weight / 2 + 1);
        e.kind = EVENT_RELOAD;
        e.reload = &h->config;
        drill_step(w, &e);
        break;
    }
}

/* S7: what has moved, against what should have. */
static void drill_check_movement(struct world *w)
{
    const struct course *c = &w->course;
    unsigned stayed = 0, moved = 0, last = 0;
    for (unsigned b = 0; b < w->scenario.buckets && c->drill != DRILL_RELOAD; b++) {
        bool should = c->home[b] == (int)c->victim;
        bool did = c->owner_now[b] != c->owner[b];
        if (should == did)
            continue;
        stayed += should;
        moved += did;
        last = b;
    }
    if (stayed + moved > 0)
        check_fail(w, CHECK_S7,
                   "without node%02u %u of its buckets stayed, %u of others moved, as bucket %u "
                   "from node%02d to node%02d",
                   c->victim, stayed, moved, last, c->owner[last], c->owner_now[last]);
}

static void drill_undo(struct world *w)
{
    struct course *c = &w->course;
    struct event e = {0};
    trace_line(&w->trace, w->now, (int)c->victim, "drill: return");
    course_enter(w, PHASE_RETURN);
    check_gaps_begin(w);
    switch (c->drill) {
    case DRILL_HOST_CRASH:
    case DRILL_DAEMON_CRASH:
    case DRILL_LEAVE:
        world_start(w, c->victim);
        break;
    case DRILL_PAUSE:
        world_resume(w, c->victim);
        break;
    case DRILL_DRAIN:
        e.kind = EVENT_CONTROL;
        e.control.verb = CONTROL_UNDRAIN;
        world_step(w, c->victim, &e);
        break;
    case DRILL_RELOAD:
    case DRILL_KINDS:
        break;
    }
}

static void return_check(struct world *w)
{
    const struct course *c = &w->course;
    for (unsigned b = 0; b < w->scenario.buckets && c->drill != DRILL_RELOAD; b++)
        if (c->owner_now[b] != c->owner[b]) {
            check_fail(w, CHECK_S7, "after the return of node%02u bucket %u is not node%02d's",
                       c->victim, b, c->owner[b]);
            return;
        }
}

/* The phase is over: everything agrees. */
static void course_next(struct world *w)
{
    struct course *c = &w->course;
    usec took = w->now - c->phase_since;
    trace_line(&w->trace, w->now, -1, "all agree after %lld us", (long long)took);
    check_gaps_end(w);
    check_death_end(w);
    switch (c->phase) {
    case PHASE_HEAL:
        if (took > c->worst_heal)
            c->worst_heal = took;
        for (unsigned i = 0; i < w->scenario.nodes; i++)
            w->host[i].drained = false;
        if (drill_choose(w))
            drill_begin(w);
        else if (w->now >= w->scenario.duration)
            w->over = true;
        else
            storm_begin(w);
        break;
    case PHASE_DRILL:
        drill_check_movement(w);
        drill_undo(w);
        break;
    case PHASE_RETURN:
        return_check(w);
        if (w->now >= w->scenario.duration)
            w->over = true;
        else if (w->scenario.faults != 0)
            storm_begin(w);
        else if (drill_choose(w))
            drill_begin(w);
        break;
    case PHASE_STORM:
    case PHASE_DONE:
        break;
    }
}

void course_look(struct world *w)
{
    struct course *c = &w->course;
    const struct scenario *s = &w->scenario;
    usec since = w->now - c->phase_since;
    bool drill = c->phase == PHASE_DRILL || c->phase == PHASE_RETURN;
    if (c->phase == PHASE_STORM) {
        if (w->now >= c->storm_until) {
            course_enter(w, PHASE_HEAL);
            nemesis_heal(w);
        }
    } else {
        for (unsigned i = 0; i < s->nodes && c->phase == PHASE_HEAL; i++)
            nemesis_mend(w, i);
        if ((!drill || since >= s->dead_after + 4 * s->interval) && course_agreed(w)) {
            course_next(w);
        } else if (since > 10 * USEC_PER_S + 20 * s->dead_after) {
            check_fail(w, CHECK_HEAL, "no agreement %lld us after the %s", (long long)since,
                       drill ? "drill" : "storm");
            check_death_end(w);
            w->over = true;
        }
    }
    if (!w->over)
        world_later(w, 2 * s->interval, &(struct happening){.kind = HAPPEN_PHASE});
}
