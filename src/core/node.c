/*
 * One node: takes events, keeps time, follows every consequence.
 *
 * After every event node_settle() brings the node to rest: verdicts that are
 * due, the view, the agreement, its own condition, the buckets; then what has
 * to be told is told. So no order of events has a case of its own.
 */
#include <assert.h>
#include <string.h>

#include "node_impl.h"

size_t node_bytes(void)
{
    return sizeof(struct node);
}

uint32_t node_incarnation(const struct node *n)
{
    return n->roster.member[n->roster.self].incarnation;
}

instant node_deadline(const struct node *n)
{
    return n->deadline;
}

static bool config_sane(const struct node_config *c)
{
    return c->buckets >= BUCKETS_MIN && c->buckets <= BUCKETS_MAX &&
           (c->buckets & (c->buckets - 1)) == 0 && c->weight <= WEIGHT_MAX &&
           c->datagram_max <= DATAGRAM_MAX && c->interval > 0 && c->dead_after >= 3 * c->interval &&
           c->lease < c->dead_after && c->lease > 0;
}

void node_init(struct node *n, const struct node_config *config, uint64_t seed,
               uint32_t incarnation)
{
    assert(config_sane(config));
    memset(n, 0, offsetof(struct node, lists));
    n->lists.buckets = 0;
    n->config = *config;
    node_keys_init(n);
    roster_init(&n->roster, config->cluster, config->buckets, config->name);
    n->salt = seed;
    n->link_up = n->healthy = true;
    n->now = n->deadline = INSTANT_PAST;
    n->said_at = n->retry_at = INSTANT_PAST;
    n->lease_until = n->kernel_until = n->renew_until = INSTANT_PAST;
    n->old_until = n->rival.at = n->rival.proven = INSTANT_PAST;
    n->reject_note_at = n->conflict_note_at = n->mismatch_note_at = INSTANT_PAST;
    n->drain_by = INSTANT_PAST;
    n->hold_end = n->watch_at = n->fall_at = INSTANT_NEVER;
    n->budget = BUDGET_MOST;
    for (unsigned b = 0; b < BUCKETS_MAX; b++)
        n->hold_until[b] = INSTANT_PAST;
    plan_init(&n->wanted, config->buckets);
    plan_init(&n->applied, config->buckets);
    struct member *self = node_self(n);
    self->incarnation = incarnation > 0 ? incarnation : 1;
    self->weight = config->weight;
    self->standing = STANDING_ALIVE;
    node_quorum_init(n);
    n->view_dirty = n->serve_dirty = n->others_stale = true;
}

struct action *node_action(struct actions *out, enum action_kind kind)
{
    assert(out->count < ACTIONS_MAX);
    struct action *a = &out->item[out->count++];
    memset(a, 0, sizeof *a);
    a->kind = kind;
    return a;
}

void node_note(struct node *n, struct actions *out, enum note_kind kind, const char *member,
               int64_t number, int64_t other)
{
    if (out->count >= ACTIONS_MAX - ACTIONS_KEPT) {
        out->lost_notes++;
        n->lost_notes++;
        return;
    }
    struct action *a = node_action(out, ACTION_NOTE);
    a->note.kind = kind;
    memcpy(a->note.member, member, strlen(member));
    a->note.number = number;
    a->note.other = other;
}

/* The owner table holds indexes into the roster: keeps them right. */
static void owners_shift(struct node *n, size_t from, int by)
{
    for (unsigned b = 0; b < n->config.buckets; b++) {
        if (n->assign.owner[b] >= (int)from)
            n->assign.owner[b] = (int16_t)(n->assign.owner[b] + by);
        if (n->assign.home[b] >= (int)from)
            n->assign.home[b] = (int16_t)(n->assign.home[b] + by);
    }
    n->serve_dirty = true;
}

int node_member_add(struct node *n, const char *name)
{
    int index = roster_add(&n->roster, name);
    if (index != ROSTER_NONE)
        owners_shift(n, (size_t)index, 1);
    return index;
}

void node_member_remove(struct node *n, size_t index)
{
    for (unsigned b = 0; b < n->config.buckets; b++) {
        if (n->assign.owner[b] == (int)index)
            n->assign.owner[b] = ASSIGN_NOBODY;
        if (n->assign.home[b] == (int)index)
            n->assign.home[b] = ASSIGN_NOBODY;
    }
    roster_remove(&n->roster, index);
    owners_shift(n, index + 1, -1);
}

void node_facts(struct node *n)
{
    struct member *self = node_self(n);
    uint16_t flags = 0;
    if ((self->order & 1) != 0)
        flags |= HEARTBEAT_DRAINING;
    if (!n->healthy || n->sick)
        flags |= HEARTBEAT_UNHEALTHY;
    if (n->leaving)
        flags |= HEARTBEAT_LEAVING;
    member_facts(self, self->incarnation + 1, flags, n->config.weight);
    n->view_dirty = true;
    node_urgent(n);
}

void node_listen(struct node *n)
{
    n->joined = n->leased = n->met = n->agreed = false;
    n->listen_until = instant_add(n->now, 2 * n->config.interval);
    n->join_at = instant_add(n->now, 2 * n->config.dead_after);
    n->view_sequence = n->sequence + 1; /* agreement has to be earned anew */
    node_urgent(n);
}

void node_rejoin(struct node *n)
{
    node_listen(n);
    n->resuming = false;
    node_yield(n);
}

/* Somebody whom we call dead is about, and has not refuted it yet: then nobody is
 * alone, whatever the view says. */
static bool in_company(const struct node *n)
{
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        if (!m->self && !m->stranger && !m->misfit && !m->outsider && !member_alive(m) &&
            m->standing != STANDING_LEFT && instant_diff(n->now, m->heard) < n->config.dead_after)
            return true;
    }
    return false;
}

/* Whether this node may claim: link, lease, and the wait of a newcomer. */
static void join_watch(struct node *n, struct actions *out)
{
    if (n->joined && !instant_before(n->now, n->lease_until)) {
        usec since = instant_diff(n->now, n->lease_until) + n->config.lease;
        node_note(n, out, NOTE_LEASE_LAPSED, "", since, 0);
        node_rejoin(n);
    }
    bool kept_out = n->mute || n->barred;
    if (n->joined && kept_out)
        node_rejoin(n);
    if (kept_out) /* until it is silent for good, or answers */
        n->join_at = instant_add(n->now, 2 * n->config.dead_after);
    node_resume_watch(n, kept_out);
    /* Company leaves with time, but it comes only when it is heard, or falls. */
    if (node_ticks(n) || (!n->company && (n->look || n->dead_heard)))
        n->company = in_company(n);
    n->dead_heard = false;
    if (n->joined || n->resuming || kept_out || !n->link_up || n->in_flight || n->parting)
        return;
    if (!node_quorum_grants(n) || node_lease_span(n) <= n->config.interval / 2)
        return;
    for (unsigned b = 0; b < n->config.buckets; b++) {
        enum bucket_class applied = (enum bucket_class)n->applied.class_of[b];
        if (class_claims(applied) || applied == CLASS_RELEASE)
            return; /* what a new lease would wake has to leave the kernel first */
    }
    bool heard_all = n->met && n->agreed && !node_misfit_serves(n);
    if (instant_before(n->now, n->listen_until) ||
        (!heard_all && instant_before(n->now, n->join_at)) || n->company)
        return;
    n->joined = true;
    n->serve_dirty = true;
    for (unsigned b = 0; b < n->config.buckets; b++) {
        instant hold = instant_add(n->now, n->config.orphan_after);
        n->hold_until[b] = instant_max(n->hold_until[b], hold);
    }
    n->renew_until = INSTANT_PAST;
    n->tick_at = n->now; /* tells it, and starts the lease, for whose confirmation we wait: */
    n->lease_until = instant_add(n->now, node_lease_span(n));
    node_urgent(n);
}

/* Commits that keep failing make this node unhealthy: others can serve. */
static void health_watch(struct node *n)
{
    bool sick = n->failures > 0 && instant_diff(n->now, n->failing_since) >= n->config.dead_after;
    if (sick == n->sick)
        return;
    n->sick = sick;
    node_facts(n);
}

/* Whether the hand-over is done, or has taken too long, and stop_drain is over. */
static bool may_part(struct node *n)
{
    bool alone = n->alive <= 1, late = !instant_before(n->now, n->leave_by);
    if (node_serving(n) && !alone && !late)
        return false;
    if (n->drain_by.us == INSTANT_PAST.us) {
        n->drain_by = instant_add(n->now, n->config.stop_drain);
        n->counted = false;
        n->count_at = instant_min(n->count_at, n->now);
    }
    bool drained = n->counted && n->flows_total == 0;
    return drained || !instant_before(n->now, n->drain_by);
}

/* The way out: hand over, wait for the flows, give up the rest, say farewell. */
static void leave_watch(struct node *n)
{
    if (!n->leaving || n->farewells > 0)
        return;
    if (!n->parting && may_part(n)) {
        n->parting = true;
        n->joined = false; /* for good: who parts never claims again */
        node_yield(n);
    }
    /* Nobody may take what the kernel still lets in. */
    if (!n->parting || node_acts(n))
        return;
    n->farewells = FAREWELLS + 1;
    node_urgent(n);
}

static enum node_state condition(const struct node *n)
{
    uint16_t flags = n->roster.member[n->roster.self].flags;
    if (n->leaving)
        return NODE_LEAVING;
    if (!n->link_up || n->mute || n->barred || (!n->quorate && n->voters.lineage != 0))
        return NODE_ISOLATED;
    if (!n->joined)
        return NODE_JOINING;
    if (flap_held(&n->roster.member[n->roster.self].flap) && !n->mixed)
        return NODE_HELD;
    if ((flags & HEARTBEAT_UNHEALTHY) != 0)
        return NODE_UNHEALTHY;
    if ((flags & HEARTBEAT_DRAINING) != 0)
        return NODE_DRAINING;
    return NODE_SERVING;
}

static instant deadline_make(const struct node *n)
{
    if (n->over)
        return INSTANT_NEVER;
    if (n->serve_dirty)
        return n->now;
    instant d = instant_min(n->tick_at, node_count_due(n));
    d = instant_min(d, n->hold_end);
    if (n->urgent_left > 0 && n->budget > 0 && !n->in_flight)
        d = instant_min(d, n->urgent_at);
    if (n->joined)
        d = instant_min(d, n->lease_until);
    else if (n->resuming)
        d = instant_min(d, n->kernel_until);
    else if (n->link_up)
        d = instant_min(d, instant_before(n->now, n->listen_until) ? n->listen_until
                           : instant_before(n->now, n->join_at)    ? n->join_at
                                                                   : INSTANT_NEVER);
    if (instant_before(n->now, n->retry_at))
        d = instant_min(d, n->retry_at);
    if (n->failures > 0 && !n->sick)
        d = instant_min(d, instant_add(n->failing_since, n->config.dead_after));
    if (n->leaving && n->farewells == 0) {
        if (instant_before(n->now, n->leave_by))
            d = instant_min(d, n->leave_by);
        if (instant_before(n->now, n->drain_by))
            d = instant_min(d, n->drain_by);
        if (n->parting && instant_before(n->now, n->kernel_until))
            d = instant_min(d, n->kernel_until);
    }
    d = instant_min(d, instant_min(n->watch_at, n->fall_at));
    return instant_max(d, n->now);
}

/* Accounts the time since the last step, then follows every consequence. */
static void node_settle(struct node *n, struct actions *out)
{
    bool converged = n->converged;
    node_quorum_watch(n, out);
    n->look =
        node_ticks(n) || n->watch_stale || n->view_dirty || !instant_before(n->now, n->watch_at);
    n->watch_stale = false;
    node_watch(n, out);
    node_flap_watch(n, out);
    node_bars_watch(n);
    health_watch(n);
    node_view(n, out);
    join_watch(n, out);
    leave_watch(n);
    node_serve(n, out);
    if (n->converged && !converged)
        node_note(n, out, NOTE_CONVERGED, "", instant_diff(n->now, n->view_at), 0);
    enum node_state state = condition(n);
    if (state != n->state) {
        node_note(n, out, NOTE_STATE, "", (int64_t)state, (int64_t)n->state);
        n->state = state;
    }
    node_count(n, out);
    node_quorum_store(n, out);
    node_say(n, out);
    if (n->farewells == 1) { /* the last one has just been said */
        n->over = true;
        node_action(out, ACTION_EXIT);
    }
    n->deadline = deadline_make(n);
}

static void start(struct node *n, struct actions *out)
{
    assert(!n->started);
    n->started = true;
    n->born = n->now;
    n->tick_at = n->count_at = n->wake_window = n->now;
    for (size_t i = 0; i < n->roster.count; i++) { /* also those of an earlier run */
        struct member *m = &n->roster.member[i];
        m->since = n->roster.proof[i] = n->roster.evidence[i] = n->now;
        flap_rise(&m->flap, &n->config.flap, n->now);
    }
    if (node_majority(n) && n->voters.lineage != 0)
        n->voters_at = n->now;
    node_note(n, out, NOTE_STARTED, "", node_incarnation(n), 0);
    if (n->resuming)
        node_resume_start(n);
    else
        node_rejoin(n);
}

static void control(struct node *n, enum control_verb verb, const char *member, struct actions *out)
{
    int index = member == NULL ? (int)n->roster.self : roster_find(&n->roster, member);
    if (index == ROSTER_NONE)
        return; /* the shell has looked before it asked */
    struct member *m = &n->roster.member[index];
    switch (verb) {
    case CONTROL_DRAIN:
    case CONTROL_UNDRAIN: {
        bool drain = verb == CONTROL_DRAIN;
        if ((m->order & 1) == drain)
            return;
        m->order++;
        m->tell = URGENT_TIMES;
        node_urgent(n);
        if (m->self) {
            node_facts(n);
            node_note(n, out, NOTE_MEMBER_DRAINING, m->name, drain, 0);
        }
        return;
    }
    case CONTROL_FORGET:
        if (m->self || (member_alive(m) && n->quorate))
            return;
        if (voters_has(&n->voters, m->id))
            node_quorum_forget(n, (size_t)index, out);
        else if (!member_alive(m) && !m->stranger && m->standing != STANDING_FORGOTTEN) {
            node_fell(n, out, (size_t)index, STANDING_FORGOTTEN, n->now);
            node_urgent(n);
        }
        return;
    case CONTROL_RELEASE:
        node_flap_release(n, (size_t)index, out);
        return;
    case CONTROL_REKEY:
        node_keys_change(n, out);
        return;
    case CONTROL_MAX:
        break;
    }
    assert(verb < CONTROL_MAX);
}

static void reload(struct node *n, const struct node_config *c, struct actions *out)
{
    assert(config_sane(c) && c->buckets == n->config.buckets && c->quorum == n->config.quorum);
    bool heavier = c->weight != n->config.weight;
    bool other = c->config_digest != n->config.config_digest;
    bool reselected = c->part[PART_SELECT] != n->config.part[PART_SELECT] &&
                      !vips_fit(&c->selection, &n->config.selection);
    n->config = *c;
    n->mingled |= other;
    if (reselected)
        node_reselected(n);
    if (other && !node_fits_all(n, c))
        node_rejoin(n); /* the others go on under the old one, and are strangers now */
    node_keys_reload(n, c, out);
    if (heavier)
        node_facts(n);
    n->dead_heard = true; /* or of late, by now */
}

static void dispatch(struct node *n, const struct event *e, struct actions *out)
{
    switch (e->kind) {
    case EVENT_START:
        start(n, out);
        return;
    case EVENT_TIMER:
        return;
    case EVENT_DATAGRAM:
        node_hear(n, e->datagram.data, e->datagram.length, out);
        return;
    case EVENT_LINK:
        if (e->link.up != n->link_up) {
            n->link_up = e->link.up;
            node_rejoin(n);
        }
        return;
    case EVENT_HEALTH:
        if (e->health.healthy != n->healthy) {
            n->healthy = e->health.healthy;
            node_facts(n);
        }
        return;
    case EVENT_FLOWS:
        node_counted(n, e->flows.of);
        return;
    case EVENT_APPLIED:
        node_applied(n, e->applied.generation, e->applied.error, out);
        return;
    case EVENT_CONTROL:
        control(n, e->control.verb, e->control.member, out);
        return;
    case EVENT_RELOAD:
        reload(n, e->reload, out);
        return;
    case EVENT_LEAVE:
        if (!n->leaving) {
            n->leaving = true;
            usec wait = 4 * n->config.dead_after;
            n->leave_by = instant_add(n->now, wait > USEC_PER_S ? wait : USEC_PER_S);
            node_facts(n);
        }
        return;
    case EVENT_WITNESS:
        if (n->witness_down == e->witness.reachable)
            node_note(n, out, NOTE_WITNESS, "", e->witness.reachable, 0);
        n->witness_down = !e->witness.reachable;
        n->watch_stale = true;
        return;
    case EVENT_CLOCK:
        n->clock_ms = e->clock.ms;
        n->clock_at = n->now;
        return;
    case EVENT_MAX:
        break;
    }
    assert(e->kind < EVENT_MAX);
}

void node_step(struct node *n, instant now, const struct event *event, struct actions *out)
{
    assert(n->started || event->kind == EVENT_START);
    assert(!instant_before(now, n->now));
    out->count = out->lost_notes = 0;
    if (n->started && n->joined) {
        usec passed = instant_diff(now, n->now);
        n->unowned += passed * n->unowned_now;
        n->contested += passed * n->contested_now;
    }
    n->now = now;
    if (n->over)
        return;
    if (n->started && instant_before(n->deadline, now))
        node_patience(n);
    /* Also by a datagram: after a stall the shell hears what waits before it tells
     * the time, and then nothing is late any more. */
    if (n->started && !instant_before(now, n->deadline))
        node_lateness(n, instant_diff(now, n->deadline));
    dispatch(n, event, out);
    node_settle(n, out);
}
