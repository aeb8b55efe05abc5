/*
 * The view: who lives, by verdicts; who owns what, by the tables; and whether
 * all agree.
 *
 * Agreement, the guard of S1: a bucket is claimed only when every living
 * member's last word has our view's digest, acknowledges a heartbeat that we
 * sent under this view, and does not claim the bucket. A member that would
 * claim it later does so only under another view, for which it needs our word
 * in that view, and that word carries our claim.
 *
 * Under a quorum there are two such rounds, the second on heartbeats sent after
 * the first was complete. So there was an instant, that at which it was, when all
 * of a majority had this view at once: before it they said so, after it they say
 * so again, and the digest would be another if anybody had risen in between.
 */
#include <string.h>

#include "node_impl.h"

void node_fell(struct node *n, struct actions *out, size_t index, enum standing standing,
               instant since)
{
    struct member *m = &n->roster.member[index];
    bool was_alive = member_alive(m);
    bool dies = standing == STANDING_DEAD && !m->misfit; /* that one has another configuration */
    bool unheard = instant_before(m->heard, instant_add(INSTANT_PAST, 1)) ||
                   (m->said & HEARTBEAT_JOINING) != 0;
    /* Who leaves has its flows until it has said so for the last time. */
    const struct told *told = &n->roster.told;
    usec parting = standing == STANDING_LEFT ? n->config.interval : 0;
    instant hold = instant_add(n->now, n->config.orphan_after + parting);
    for (unsigned b = 0; b < n->config.buckets; b++) {
        bool had = told_claims(told, index, b) || told_lingers(told, index, b);
        if (!had && !unheard)
            continue;
        n->hold_until[b] = instant_max(n->hold_until[b], hold);
        if (dies && told_claims(told, index, b))
            bitmap_set(&n->orphaned, b);
    }
    m->stranger = false;
    roster_fall(&n->roster, index, standing, since);
    if (dies)
        node_flap_fell(n, m);
    n->view_dirty = true;
    static const enum note_kind kinds[STANDING_MAX] = {
        [STANDING_DEAD] = NOTE_MEMBER_DEAD,
        [STANDING_LEFT] = NOTE_MEMBER_LEFT,
        [STANDING_FORGOTTEN] = NOTE_MEMBER_FORGOTTEN,
    };
    if (was_alive || standing == STANDING_FORGOTTEN)
        node_note(n, out, m->misfit ? NOTE_MEMBER_LEFT : kinds[standing], m->name,
                  instant_diff(n->now, n->roster.evidence[index]), 0);
}

usec node_dead_after(const struct node *n)
{
    return n->config.dead_after + n->patience;
}

/* Timers that come as they should: the patience goes again, in a second or so. */
void node_lateness(struct node *n, usec late)
{
    n->wake_mean += ((double)late - n->wake_mean) / 16;
    if (instant_diff(n->now, n->wake_window) >= WAKE_WINDOW) {
        n->wake_worst[1] = n->wake_worst[0];
        n->wake_worst[0] = 0;
        n->wake_window = n->now;
    }
    if (late > n->wake_worst[0])
        n->wake_worst[0] = late;
    if (late >= n->config.interval / 4) {
        n->patient_at = n->now;
        return;
    }
    if (n->patience == 0 || instant_diff(n->now, n->patient_at) < n->config.dead_after / 2)
        return;
    n->watch_stale = true;
    n->patience = n->patience < n->config.interval / 8 ? 0 : n->patience / 2;
    n->patient_at = n->now;
}

/* Our timers ran late: others get the time back, are accused of nothing, and have
 * more time from now on, for it may happen again (Lifeguard, Dadgar et al. 2018). The
 * regular heartbeat tells how late: what is urgent because of this must not add to it. */
void node_patience(struct node *n)
{
    usec late = instant_diff(n->now, n->tick_at);
    if (late < n->config.interval / 2)
        return;
    n->patience =
        n->patience + late > n->config.dead_after ? n->config.dead_after : n->patience + late;
    /* What waits in the socket is of before. Where the others may have gone on without us
     * since, words count again when they answer what we say from now on. */
    if (late >= n->config.dead_after / 2) {
        n->view_sequence = n->sequence + 1;
        n->seconded = false;
    }
    node_urgent(n);
    /* Nothing was heard meanwhile, and what was said waits in the socket. */
    instant listen = instant_add(n->now, 2 * n->config.interval);
    n->listen_until = instant_max(instant_add(n->listen_until, late), listen);
    n->join_at = instant_add(n->join_at, late);
    instant *evidence = n->roster.evidence;
    for (size_t i = 0; i < n->roster.count; i++) {
        struct member *m = &n->roster.member[i];
        if (!member_alive(m))
            continue;
        evidence[i] = instant_min(n->now, instant_add(evidence[i], late));
        m->direct = instant_min(n->now, instant_add(m->direct, late));
    }
}

/* A member that we hear, and that does not hear us: its heartbeats of this boot
 * come, without proof. One that is dead to us, for they had ceased to come, has a
 * while to answer ours: when a split heals all are in that place for a moment. Once
 * we are mute, it is not a heartbeat or two that fail to come that make us speak. */
static bool heard_one_way(const struct node *n, const struct member *m)
{
    usec gap = n->mute ? n->config.dead_after : node_gap(n);
    usec unheard = instant_diff(n->now, m->heard);
    if ((m->misfit && !m->refits) || instant_diff(n->now, m->arrived) >= gap)
        return false;
    if (member_alive(m))
        return unheard >= n->config.dead_after / 2;
    bool long_since = instant_diff(n->now, m->arriving) >= n->config.dead_after;
    return unheard >= n->config.dead_after && (long_since || n->mute);
}

/*
 * Members that we hear do not hear us: are they deaf, or are we mute? Whoever is
 * more goes on: those who do not hear us, or we and those who do. As many on both
 * sides: they do, for they cannot know of us.
 */
static bool are_we_mute(const struct node *n)
{
    size_t deaf = 0, with_us = 1;
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        if (m->self || m->stranger || m->outsider)
            continue;
        deaf += heard_one_way(n, m);
        with_us += member_alive(m) && instant_diff(n->now, m->heard) < n->config.dead_after / 2;
    }
    return deaf >= with_us;
}

/* When the verdict on a living member is to be looked at next. */
static instant verdict_due(const struct node *n, size_t index)
{
    const struct member *m = &n->roster.member[index];
    instant silent = instant_add(n->roster.evidence[index], node_dead_after(n));
    if (instant_before(n->now, silent))
        return silent;
    return instant_add(m->arrived, n->mute ? n->config.dead_after : node_gap(n));
}

/* True if nobody alive has heard the member for long enough to call it dead. */
static bool unproven(const struct node *n, size_t index)
{
    return instant_diff(n->now, n->roster.evidence[index]) >= node_dead_after(n);
}

/* True if somebody goes on without hearing us, and it is for us to yield. */
static bool mute_now(const struct node *n)
{
    bool heard = false;
    for (size_t i = 0; i < n->roster.count && !heard; i++) {
        const struct member *m = &n->roster.member[i];
        if (!m->self && !m->stranger && !m->outsider && (!member_alive(m) || unproven(n, i)))
            heard = heard_one_way(n, m);
    }
    return heard && are_we_mute(n);
}

/* The verdict on a living member, if it is due. */
static void living_watch(struct node *n, struct actions *out, size_t index)
{
    struct member *m = &n->roster.member[index];
    instant quiet = instant_max(m->direct, m->since);
    bool silent = instant_diff(n->now, quiet) >= node_dead_after(n);
    /* Without a majority nobody is pronounced dead: it may be we who are cut off. */
    if (unproven(n, index) && n->quorate && !(heard_one_way(n, m) && are_we_mute(n)))
        node_fell(n, out, index, STANDING_DEAD, n->now);
    else if (silent && !m->suspect)
        node_note(n, out, NOTE_MEMBER_SUSPECT, m->name, instant_diff(n->now, quiet), 0);
    m->suspect = silent && member_alive(m);
}

/* Nothing came of it for so long that no recording of what came can pass for fresh. */
static bool long_gone(const struct node *n, const struct member *m)
{
    instant last = instant_max(m->arrived, m->knocked);
    return instant_diff(n->now, last) > 4 * n->config.dead_after;
}

void node_watch(struct node *n, struct actions *out)
{
    if (!n->look)
        return;
    if (node_ticks(n))
        n->mute = mute_now(n);
    n->watch_at = INSTANT_NEVER;
    for (size_t i = 0; i < n->roster.count; i++) {
        struct member *m = &n->roster.member[i];
        if (m->self)
            continue;
        if (m->stranger) {
            if (long_gone(n, m))
                node_member_remove(n, i--);
        } else if (member_alive(m)) {
            living_watch(n, out, i);
            if (member_alive(m) && n->quorate)
                n->watch_at = instant_min(n->watch_at, verdict_due(n, i));
        } else if (m->standing != STANDING_FORGOTTEN) {
            /* A voter is only forgotten by a majority. */
            if (!voters_has(&n->voters, m->id) &&
                instant_diff(n->now, m->since) >= n->config.forget_after)
                node_fell(n, out, i, STANDING_FORGOTTEN, n->now);
        } else if (instant_diff(n->now, m->since) >= TOMBSTONE_KEPT && long_gone(n, m)) {
            node_member_remove(n, i--);
        }
    }
}

/* How many buckets each absent member's fall brought us. */
static void takeovers_note(struct node *n, const int16_t *owner_before, struct actions *out)
{
    unsigned of[MEMBERS_MAX] = {0};
    for (unsigned b = 0; b < n->config.buckets; b++) {
        int was = owner_before[b];
        bool ours = n->assign.owner[b] == (int)n->roster.self;
        if (ours && was >= 0 && !member_alive(&n->roster.member[was]))
            of[was]++;
    }
    for (size_t i = 0; i < n->roster.count; i++) {
        if (of[i] == 0 || n->roster.member[i].standing != STANDING_DEAD)
            continue;
        n->takeovers++;
        node_note(n, out, NOTE_TAKEOVER, n->roster.member[i].name, of[i], 0);
    }
}

/* Brings tables and digest up to date with the roster. */
static void view_form(struct node *n, struct actions *out)
{
    n->view_dirty = false;
    n->serve_dirty = n->others_stale = true;
    n->alive = roster_serving(&n->roster, !n->mixed, n->serves);
    uint64_t view = roster_digest(&n->roster, n->serves, node_quorum_digest(n), &n->chain);
    if (view == n->view)
        return;
    struct assign_member of[MEMBERS_MAX];
    size_t index[MEMBERS_MAX], count = 0;
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        if (!roster_counts(&n->roster, i))
            continue;
        of[count] = (struct assign_member){m->hash, m->weight, n->serves[i]};
        index[count++] = i;
    }
    int16_t before[BUCKETS_MAX];
    bool first = n->view == 0;
    memcpy(before, n->assign.owner, sizeof before);
    assign_compute(&n->assign, &n->lists, of, count, n->config.buckets);
    for (unsigned b = 0; b < n->config.buckets; b++) {
        int16_t *owner = &n->assign.owner[b], *home = &n->assign.home[b];
        *owner = *owner < 0 ? ASSIGN_NOBODY : (int16_t)index[*owner];
        *home = *home < 0 ? ASSIGN_NOBODY : (int16_t)index[*home];
    }
    if (!first && n->joined)
        takeovers_note(n, before, out);
    n->view = view;
    n->view_sequence = n->sequence + 1;
    n->seconded = false;
    n->view_at = n->now;
    node_note(n, out, NOTE_VIEW, "", (int64_t)view, (int64_t)n->alive);
    node_urgent(n);
}

/* True if every living member's last word agrees with our view and acknowledges
 * what we sent as `sequence` or later. */
static bool agreement(struct node *n, uint32_t sequence)
{
    size_t count = n->roster.count, first = n->dissenter;
    for (size_t k = 0; k < count; k++) {
        size_t i = (first + k) % count; /* who did not agree most likely does not yet */
        const struct member *m = &n->roster.member[i];
        if (m->self || !member_lives(m))
            continue;
        if (m->view != n->view || m->acked < sequence ||
            instant_diff(n->now, m->heard) >= n->config.dead_after) {
            n->dissenter = i;
            return false;
        }
    }
    return true;
}

/* One round; under a quorum that is founded two, see above. */
static bool agreed_now(struct node *n)
{
    bool first = agreement(n, n->view_sequence);
    if (!node_majority(n) || n->voters.lineage == 0)
        return first;
    if (!first || !node_quorum_grants(n)) {
        n->seconded = n->seconded && first;
        return false;
    }
    if (!n->seconded) {
        n->seconded = true;
        n->second_sequence = n->sequence + 1;
        node_urgent(n);
    }
    return agreement(n, n->second_sequence);
}

/* Who speaks the first version only keeps us from what it does not know. */
static void mixed_watch(struct node *n, struct actions *out)
{
    bool mixed = false;
    if (!n->look && !n->view_dirty)
        return;
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        mixed = mixed || (!m->self && member_lives(m) && m->version == WIRE_VERSION_FIRST);
    }
    if (mixed == n->mixed)
        return;
    n->mixed = mixed;
    n->view_dirty = true;
    if (!mixed)
        node_note(n, out, NOTE_VERSION, "", 0, 0);
}

void node_view(struct node *n, struct actions *out)
{
    mixed_watch(n, out);
    if (n->view_dirty)
        view_form(n, out);
    /* Agreement ends by another word, or by time; who may join in this step needs it now. */
    if (n->agreed && n->joined && !node_majority(n) && !n->serve_dirty && !n->serve_some &&
        !node_ticks(n))
        return;
    bool agreed = agreed_now(n);
    if (agreed == n->agreed)
        return;
    n->agreed = agreed;
    n->serve_dirty = true;
}
