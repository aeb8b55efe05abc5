/*
 * The course of a run: start, storm, heal, and in the calm a drill, which is
 * where the exact promises (S2, S7, a hand-over without a gap) can be held
 * against the clock; then the next storm.
 */
#include <inttypes.h>
#include <string.h>

#include "world.h"

static void course_pace(struct world *w, enum phase phase)
{
    static const enum pace_part part_of[] = {
        [PHASE_STORM] = PACE_STORM,  [PHASE_HEAL] = PACE_STORM, [PHASE_DRILL] = PACE_DRILL,
        [PHASE_RETURN] = PACE_DRILL, [PHASE_REST] = PACE_REST,  [PHASE_DONE] = PACE_REST};
    static const char *const names[] = {
        [PHASE_STORM] = "storm",   [PHASE_HEAL] = "heal", [PHASE_DRILL] = "drill",
        [PHASE_RETURN] = "return", [PHASE_REST] = "rest", [PHASE_DONE] = "done"};
    enum pace_part part = w->now == 0 ? PACE_START : part_of[phase];
    const char *what = phase == PHASE_DRILL ? drill_name(w->course.act.drill) : names[phase];
    pace_enter(&w->pace, w->now, part, w->now == 0 ? "start" : what);
}

static void course_enter(struct world *w, enum phase phase)
{
    course_pace(w, phase);
    w->course.phase = phase;
    w->course.phase_since = w->now;
    trace_number(&w->trace, 0xc0a5eu + (uint64_t)phase);
}

void course_begin(struct world *w)
{
    const struct scenario *s = &w->scenario;
    struct rng starts = rng_make(s->seed ^ rng_mix(s->noise), 7);
    w->course.rng = rng_make(s->seed, 5);
    course_enter(w, PHASE_HEAL);
    for (size_t k = 0; k < w->script->acts; k++)
        w->script->act[k].on = false;
    for (unsigned i = 0; i < s->nodes; i++) {
        struct happening start = {.kind = HAPPEN_START, .node = (uint16_t)i};
        usec within = s->start_within > 0 ? s->start_within : 4 * s->dead_after;
        world_later(w, rng_between(&starts, 0, within), &start);
    }
    world_later(w, s->connect_every, &(struct happening){.kind = HAPPEN_CONNECT});
    world_later(w, s->segment_every, &(struct happening){.kind = HAPPEN_SEGMENT});
    world_later(w, 4 * s->dead_after + 1, &(struct happening){.kind = HAPPEN_PHASE});
}

/* The host that a table has; -1: nobody. */
static int16_t host_at(const struct world *w, const struct status_tables *t, int member)
{
    const char *name = member < 0 ? NULL : t->name[member];
    return (int16_t)(name == NULL ? -1 : world_host_named(w, name));
}

/* Reads host i's status; false if it does not agree with *view (0: not known). */
static bool host_agrees(struct world *w, unsigned i, uint64_t *view, bool *first)
{
    struct status_tables *t = &w->tables;
    struct status_brief s;
    w->brain->brief(w->host[i].node, &s);
    bool drilled = w->course.phase == PHASE_DRILL && i == w->course.act.victim;
    /* Who was held up lately takes longer to call another dead: that goes by. */
    if (!s.converged || (s.state != NODE_SERVING && !drilled) || s.patience > 0 ||
        (!*first && s.view != *view)) {
        trace_line(&w->trace, w->now, (int)i, "does not agree: state %d, %s, view %016" PRIx64,
                   (int)s.state, s.converged ? "converged" : "not converged", s.view);
        return false;
    }
    if (*first)
        w->brain->tables(w->host[i].node, t);
    for (unsigned b = 0; b < w->scenario.buckets && *first; b++) {
        w->course.owner_now[b] = host_at(w, t, t->owner[b]);
        w->course.home_now[b] = host_at(w, t, t->home[b]);
    }
    *view = s.view;
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
        struct hosts acceptors = check_acceptors(w, b);
        int host = hosts_first(&acceptors);
        if (host == HOST_NONE)
            continue;
        if (hosts_next(&acceptors, host) != HOST_NONE || w->host[host].state != HOST_RUNNING)
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
        struct hosts acceptors = check_acceptors(w, b);
        if (hosts_first(&acceptors) != w->course.owner_now[b])
            return false;
    }
    return true;
}

static void storm_begin(struct world *w)
{
    struct course *c = &w->course;
    const struct scenario *s = &w->scenario;
    trace_line(&w->trace, w->now, -1, "a storm begins");
    course_enter(w, PHASE_STORM);
    w->net.profile = s->net_storm;
    w->kernel_profile = s->kernel_storm;
    c->storm = c->next - 1;
    for (; c->next < w->script->acts && w->script->act[c->next].kind == ACT_STRIKE; c->next++) {
        struct happening h = {.kind = HAPPEN_FAULT, .arg = c->next};
        world_later(w, w->script->act[c->next].at, &h);
    }
}

/* Without the victim there is still somebody to own a bucket, and a majority. */
static bool drill_possible(const struct world *w, enum drill drill, unsigned victim)
{
    const struct scenario *s = &w->scenario;
    bool stays = drill == DRILL_DRAIN || drill == DRILL_RELOAD || drill == DRILL_RESTART ||
                 drill == DRILL_VIPS;
    bool three = drill == DRILL_BRIDGE || drill == DRILL_STARVED || (s->majority && !stays);
    if (victim >= s->nodes || (s->nodes < 3 && three))
        return false;
    if (drill == DRILL_RESTART) /* somebody has to hear it, and it has to know them */
        return s->nodes > 1 && !(s->careless && victim == s->nodes - 1);
    for (unsigned i = 0; i < s->nodes; i++)
        if (i != victim && w->host[i].config.weight > 0)
            return true;
    return false;
}

/* The victim and the next host do not hear each other; then it gets another
 * weight, and what has to move between the two moves all the same. */
static void drill_bridge(struct world *w, unsigned victim, const struct event *e)
{
    struct hosts a = hosts_of(victim), b = hosts_of((victim + 1) % w->scenario.nodes);
    net_cut(&w->net, &a, &b);
    net_cut(&w->net, &b, &a);
    world_step(w, victim, e);
}

/* Of each interval it has a fifth, until the dead one has been replaced. */
void course_starve(struct world *w, unsigned i)
{
    struct happening next = {.kind = HAPPEN_STARVE, .node = (uint16_t)i};
    usec fifth = w->scenario.interval / 5;
    bool over =
        w->course.phase != PHASE_DRILL || !w->checks.death_watched || w->checks.bereft_count == 0;
    if (w->host[i].state == HOST_PAUSED) {
        world_resume(w, i);
        if (!over)
            world_later(w, fifth, &next);
    } else if (!over) {
        world_pause(w, i);
        world_later(w, 4 * fifth, &next);
    }
}

/* Its daemon is away for a while, in which its lease does not run out. */
static void drill_restart(struct world *w, unsigned victim)
{
    struct happening start = {.kind = HAPPEN_START, .node = (uint16_t)victim};
    check_gaps_begin(w);
    world_kill_daemon(w, victim);
    world_later(w, w->scenario.interval / 4, &start);
}

static void drill_step(struct world *w, const struct event *e)
{
    check_gaps_begin(w);
    world_step(w, w->course.act.victim, e);
}

static void drill_begin(struct world *w)
{
    struct course *c = &w->course;
    unsigned victim = c->act.victim;
    struct host *h = &w->host[victim];
    struct event e = {0};
    memcpy(c->owner, c->owner_now, sizeof c->owner);
    memcpy(c->home, c->home_now, sizeof c->home);
    trace_line(&w->trace, w->now, (int)victim, "drill: %s", drill_name(c->act.drill));
    course_enter(w, PHASE_DRILL);
    switch (c->act.drill) {
    case DRILL_HOST_CRASH:
        check_death_begin(w, victim);
        world_kill_host(w, victim);
        break;
    case DRILL_STARVED:
        check_death_begin(w, victim);
        world_kill_host(w, victim);
        course_starve(w, (victim + 1) % w->scenario.nodes);
        break;
    case DRILL_DAEMON_CRASH:
        check_death_begin(w, victim);
        world_kill_daemon(w, victim);
        break;
    case DRILL_PAUSE:
        check_death_begin(w, victim);
        world_pause(w, victim);
        break;
    case DRILL_FREEZE:
        check_death_begin(w, victim);
        world_freeze(w, victim);
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
    case DRILL_RESTART:
        drill_restart(w, victim);
        break;
    case DRILL_VIPS:
        world_vips(w, victim, h->vips ^ 1u << c->next % VIPS_HERE);
        e = (struct event){.kind = EVENT_RELOAD, .reload = &h->config};
        drill_step(w, &e);
        break;
    case DRILL_RELOAD:
    case DRILL_BRIDGE:
    case DRILL_KINDS:
        h->config.weight = (uint16_t)(h->config.weight / 2 + 1);
        e.kind = EVENT_RELOAD;
        e.reload = &h->config;
        if (c->act.drill == DRILL_BRIDGE)
            drill_bridge(w, victim, &e);
        else
            drill_step(w, &e);
        break;
    }
}

/* The victim loses its buckets, and has them back in the end. */
static bool drill_moves(enum drill drill)
{
    return drill < DRILL_RELOAD || drill == DRILL_STARVED;
}

/* S7: what has moved, against what should have. */
static void drill_check_movement(struct world *w)
{
    const struct course *c = &w->course;
    unsigned stayed = 0, moved = 0, last = 0;
    bool stays = c->act.drill == DRILL_RESTART || c->act.drill == DRILL_VIPS;
    bool moves = drill_moves(c->act.drill);
    for (unsigned b = 0; b < w->scenario.buckets && (moves || stays); b++) {
        bool should = moves && c->home[b] == (int)c->act.victim;
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
                   c->act.victim, stayed, moved, last, c->owner[last], c->owner_now[last]);
}

static void drill_undo(struct world *w)
{
    struct course *c = &w->course;
    struct event e = {0};
    trace_line(&w->trace, w->now, (int)c->act.victim, "drill: return");
    course_enter(w, PHASE_RETURN);
    check_gaps_begin(w);
    switch (c->act.drill) {
    case DRILL_HOST_CRASH:
    case DRILL_STARVED:
    case DRILL_DAEMON_CRASH:
    case DRILL_LEAVE:
        world_start(w, c->act.victim);
        break;
    case DRILL_PAUSE:
        world_resume(w, c->act.victim);
        break;
    case DRILL_FREEZE:
        world_thaw(w, c->act.victim);
        break;
    case DRILL_DRAIN:
        e.kind = EVENT_CONTROL;
        e.control.verb = CONTROL_UNDRAIN;
        world_step(w, c->act.victim, &e);
        break;
    case DRILL_BRIDGE:
        net_heal(&w->net);
        break;
    case DRILL_RELOAD:
    case DRILL_RESTART:
    case DRILL_VIPS:
    case DRILL_KINDS:
        break;
    }
}

static void return_check(struct world *w)
{
    const struct course *c = &w->course;
    for (unsigned b = 0; b < w->scenario.buckets && drill_moves(c->act.drill); b++)
        if (c->owner_now[b] != c->owner[b]) {
            check_fail(w, CHECK_S7, "after the return of node%02u bucket %u is not node%02d's",
                       c->act.victim, b, c->owner[b]);
            return;
        }
}

/* The next act: a drill after the start and every storm, now and then a rest,
 * and as long as there is time another storm. False: there is none. */
static bool act_draw(struct world *w)
{
    struct course *c = &w->course;
    const struct scenario *s = &w->scenario;
    enum act_kind last = c->next == 0 ? ACT_STORM : c->act.kind;
    bool drills = drill_possible(w, DRILL_DRAIN, s->nodes - 1) || drill_possible(w, DRILL_DRAIN, 0);
    if (last == ACT_STORM && drills) {
        drill_draw(w->script, &c->rng);
        return true;
    }
    /* A rest takes seconds: not where it would be most of the run. */
    bool long_runs = s->interval >= 50 * USEC_PER_MS;
    if (last != ACT_REST && rng_chance(&c->rng, long_runs ? 200000 : 20000)) {
        rest_draw(w->script, &c->rng);
        return true;
    }
    if (w->now >= s->duration)
        return false;
    if (s->faults == 0 && drills)
        drill_draw(w->script, &c->rng);
    else
        storm_draw(w->script, &c->rng);
    return true;
}

/* All is calm and agreed: what comes next? */
static void act_begin(struct world *w)
{
    struct course *c = &w->course;
    for (;;) {
        if (c->next == w->script->acts && (w->script->given || !act_draw(w))) {
            w->over = true;
            return;
        }
        c->act = w->script->act[c->next++];
        if (c->act.kind == ACT_STORM) {
            storm_begin(w);
            return;
        }
        if (c->act.kind == ACT_REST) {
            course_enter(w, PHASE_REST);
            return;
        }
        if (c->act.kind == ACT_DRILL && drill_possible(w, c->act.drill, c->act.victim)) {
            drill_begin(w);
            return;
        }
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
        act_begin(w);
        break;
    case PHASE_DRILL:
        drill_check_movement(w);
        drill_undo(w);
        break;
    case PHASE_RETURN:
        return_check(w);
        act_begin(w);
        break;
    case PHASE_REST:
        check_lingering(w, took);
        act_begin(w);
        break;
    case PHASE_STORM:
    case PHASE_DONE:
        break;
    }
}

static void storm_look(struct world *w)
{
    if (w->now - w->course.phase_since < w->course.act.lasts)
        return;
    course_enter(w, PHASE_HEAL);
    nemesis_heal(w);
}

/* In a rest nobody may disagree, for nothing happens. */
static void rest_look(struct world *w)
{
    if (!course_agreed(w)) {
        check_fail(w, CHECK_HEAL, "what had been agreed is not, and nothing has happened");
        w->over = true;
    } else if (w->now - w->course.phase_since >= w->course.act.lasts) {
        course_next(w);
    }
}

static void calm_look(struct world *w)
{
    struct course *c = &w->course;
    const struct scenario *s = &w->scenario;
    usec since = w->now - c->phase_since;
    bool drill = c->phase == PHASE_DRILL || c->phase == PHASE_RETURN;
    for (unsigned i = 0; i < s->nodes && c->phase != PHASE_DRILL; i++)
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

void course_look(struct world *w)
{
    if (w->course.phase == PHASE_STORM)
        storm_look(w);
    else if (w->course.phase == PHASE_REST)
        rest_look(w);
    else
        calm_look(w);
    if (!w->over)
        world_later(w, 2 * w->scenario.interval, &(struct happening){.kind = HAPPEN_PHASE});
}
