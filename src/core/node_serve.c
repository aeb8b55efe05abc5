/*
 * Buckets, the plan and the lease: what this node wants of its kernel.
 *
 * Invariants: at most one plan is in flight; a claim is told from the moment it
 * is wanted until the kernel is known to hold it no longer, or its lease has
 * run out; "lingering" of a bucket of ours is told only of what the kernel
 * holds, because a member that releases it relies on it. Both bits together
 * say: about to claim, and prepared; the releaser forwards until the second
 * is gone.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "ipclusterd/bucket.h"
#include "node_impl.h"

/* What the others do, as it is now. */
static const struct others *others_gather(struct node *n)
{
    struct others *o = &n->others;
    const struct told *told = &n->roster.told;
    uint64_t any = 0;
    if (!n->others_stale)
        return o;
    n->others_stale = false;
    memset(o, 0, sizeof *o);
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        const uint64_t *claim = told_claim(told, i), *linger = told_linger(told, i);
        bool lives = !m->self && member_alive(m);
        /* Who has just started may have flows of anything. */
        if ((lives && (m->said & HEARTBEAT_JOINING) != 0) || node_apart(n, m))
            any = UINT64_MAX;
        for (size_t w = 0; w < told->words && lives; w++) {
            o->twice.word[w] |= o->claim.word[w] & claim[w];
            o->claim.word[w] |= claim[w];
            o->flows.word[w] |= claim[w] | linger[w];
        }
    }
    for (size_t w = 0; w < told->words; w++)
        o->flows.word[w] |= any;
    return o;
}

/* True if the kernel may act on claims that it was given: now, or when a renewal
 * comes through, of which a node that has joined never stops asking. */
static bool lease_live(const struct node *n)
{
    return n->joined || n->renewals > 0 || instant_before(n->now, n->kernel_until);
}

void node_bits(struct node *n)
{
    bool live = lease_live(n);
    for (unsigned b = 0; b < n->config.buckets; b++) {
        enum bucket_class applied = (enum bucket_class)n->applied.class_of[b];
        enum bucket_class flight =
            n->in_flight ? (enum bucket_class)n->flight.class_of[b] : applied;
        bool claim = class_claims((enum bucket_class)n->class_of[b]) ||
                     (live && (class_claims(applied) || class_claims(flight)));
        bool holds = applied == CLASS_LINGER || applied == CLASS_RELEASE ||
                     (class_claims(applied) && !claim);
        /* Of a bucket of ours it tells that we are prepared: not before we are,
         * nor when we are about not to be. Of another's it tells of flows: at once. */
        if (n->assign.owner[b] == (int)n->roster.self)
            holds = holds && (!n->in_flight || flight != CLASS_FOREIGN);
        else if (n->class_of[b] == CLASS_LINGER)
            holds = true;
        bitmap_assign(&n->claim, b, claim);
        bitmap_assign(&n->linger, b, holds);
    }
}

static bool forwards_astray(const struct node *n, const struct plan *p)
{
    for (unsigned b = 0; b < p->buckets; b++) {
        int owner = n->assign.owner[b];
        if (p->class_of[b] != CLASS_RELEASE)
            continue;
        if (owner < 0 || memcmp(&p->target[p->target_of[b]], &n->roster.member[owner].mac,
                                sizeof p->target[0]) != 0)
            return true;
    }
    return false;
}

bool node_astray(const struct node *n)
{
    return forwards_astray(n, &n->applied) || (n->in_flight && forwards_astray(n, &n->flight));
}

/* Another living member claims what we claim: does it go first? Under one view
 * the owner does; else, and among others, the first by name. */
static bool yields(const struct node *n, unsigned b)
{
    int owner = n->assign.owner[b];
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        if (!told_claims(&n->roster.told, i, b) || m->self || !member_alive(m))
            continue;
        bool one_view = m->view == n->view;
        if (one_view && owner == (int)n->roster.self)
            continue;
        if ((one_view && owner == (int)i) || i < n->roster.self)
            return true;
    }
    return false;
}

static void bucket_look(const struct node *n, const struct others *o, unsigned b,
                        struct bucket_view *v)
{
    const struct told *told = &n->roster.told;
    int owner = n->assign.owner[b];
    bool mine = owner == (int)n->roster.self;
    const struct member *m = owner >= 0 && !mine ? &n->roster.member[owner] : NULL;
    bool other_claims = bitmap_test(&o->claim, b);
    v->mine = mine && n->joined;
    v->agreed = n->agreed;
    v->granted = n->agreed && n->joined && !other_claims;
    v->yield = other_claims && class_claims((enum bucket_class)n->class_of[b]) && yields(n, b);
    bool owner_will = m != NULL && member_alive(m) && told_claims(told, (size_t)owner, b);
    bool owner_lingers = m != NULL && told_lingers(told, (size_t)owner, b);
    v->owner_claims = owner_will && !owner_lingers;
    /* While a third claims it too, what we forwarded would be taken twice. */
    bool third = other_claims && (!owner_will || bitmap_test(&o->twice, b));
    bool begun = n->class_of[b] == CLASS_RELEASE;
    /* What we forward already goes on while the view changes, if the owner does
     * not: nobody else can claim it before we agree. */
    bool one_view = m != NULL && (m->view == n->view || begun);
    /* Nobody claims anything while the voters have just changed. */
    bool settled = !node_majority(n) || n->voters_settled;
    v->owner_ready = m != NULL && member_alive(m) && one_view && (begun || settled) &&
                     (m->said & HEARTBEAT_JOINING) == 0 && (owner_lingers || owner_will) && !third;
    /* What is being forwarded to one must not be turned to another: the first
     * may have claimed already. */
    if (begun && m != NULL && n->wanted.target_of[b] < MEMBERS_MAX)
        v->owner_ready = v->owner_ready && memcmp(&n->wanted.target[n->wanted.target_of[b]],
                                                  &m->mac, sizeof m->mac) == 0;
    v->others_flows = bitmap_test(&o->flows, b);
    v->holding = instant_before(n->now, n->hold_until[b]);
    v->flows = bitmap_test(&n->flows, b);
}

/* Claims, or would claim: what the accounts of unowned and contested say. */
static void account(struct node *n, const struct others *o)
{
    unsigned unowned = 0, contested = 0;
    bool settled = n->agreed;
    node_bits(n);
    for (unsigned b = 0; b < n->config.buckets; b += 64) {
        uint64_t ours = n->claim.word[b / 64], others = o->claim.word[b / 64];
        uint64_t all =
            n->config.buckets - b < 64 ? (UINT64_C(1) << (n->config.buckets - b)) - 1 : UINT64_MAX;
        unowned += (unsigned)__builtin_popcountll(~(ours | others) & all);
        contested +=
            (unsigned)__builtin_popcountll(((ours & others) | o->twice.word[b / 64]) & all);
    }
    for (unsigned b = 0; b < n->config.buckets && settled; b++) {
        int owner = n->assign.owner[b];
        if (owner >= 0)
            settled = owner == (int)n->roster.self
                          ? class_claims((enum bucket_class)n->applied.class_of[b])
                          : told_claims(&n->roster.told, (size_t)owner, b);
    }
    n->unowned_now = unowned;
    n->contested_now = contested;
    n->converged = settled && contested == 0;
}

/* The sets that a member told last become those that it tells now. True if they differ. */
static bool sets_take(struct node *n, size_t index, const struct heartbeat *h)
{
    struct told *t = &n->roster.told;
    struct others *o = &n->others;
    bool same = true, alive = member_alive(&n->roster.member[index]);
    for (size_t w = 0; w < t->words; w++) {
        uint64_t claim = h->claim.word[w], linger = h->linger.word[w];
        uint64_t claimed = told_claim(t, index)[w], lingered = told_linger(t, index)[w];
        if (claim == claimed && linger == lingered)
            continue;
        same = false;
        n->serve_set.word[w] |= (claim ^ claimed) | (linger ^ lingered);
        told_put(t, index, w, claim, linger);
        if ((claimed & ~claim) != 0 || (lingered & ~(claim | linger)) != 0 || !alive) {
            n->others_stale = true; /* what it has no more another may have */
            continue;
        }
        o->twice.word[w] |= o->claim.word[w] & claim & ~claimed;
        o->claim.word[w] |= claim;
        o->flows.word[w] |= claim | linger;
    }
    return !same;
}

void node_serve_word(struct node *n, size_t index)
{
    struct member *m = &n->roster.member[index];
    const struct heartbeat *h = n->in;
    bool changed = sets_take(n, index, h);
    if (((m->said ^ h->flags) & HEARTBEAT_JOINING) != 0) {
        n->others_stale = n->serve_dirty = true;
        return;
    }
    bool other = m->view != h->view || memcmp(&m->mac, &h->mac, sizeof m->mac) != 0;
    n->serve_some = n->serve_some || changed || other;
    if (!other)
        return;
    for (size_t w = 0; w < n->roster.told.words; w++) /* not only what has changed */
        n->serve_set.word[w] |= told_claim(&n->roster.told, index)[w];
    for (unsigned b = 0; b < n->config.buckets; b++)
        if (n->assign.owner[b] == (int)index)
            bitmap_set(&n->serve_set, b);
}

/* What the others do does not matter to one that neither serves nor may soon: it is not
 * asked for accounts either. */
static bool looks_at_others(struct node *n)
{
    if (n->joined || n->agreed)
        return true;
    n->converged = false;
    for (unsigned b = 0; b < n->config.buckets; b++)
        if (n->class_of[b] != CLASS_FOREIGN)
            return true;
    return false;
}

/* Steps every bucket, or those that something changed for. True if one moved on. */
static bool buckets_step(struct node *n, const struct others *o)
{
    bool changed = false;
    if (n->serve_dirty)
        n->hold_end = INSTANT_NEVER; /* else it may be early, and is looked for again then */
    for (unsigned b = 0; b < n->config.buckets; b++) {
        struct bucket_view v;
        if (!n->serve_dirty && !bitmap_test(&n->serve_set, b))
            continue;
        enum bucket_class was = (enum bucket_class)n->class_of[b];
        enum bucket_class is = was;
        bool ours = n->joined && n->assign.owner[b] == (int)n->roster.self;
        if (was == CLASS_FOREIGN && !ours) {
            v = (struct bucket_view){0}; /* and it stays so: nothing to look at */
        } else {
            bucket_look(n, o, b, &v);
            is = bucket_next(was, &v);
        }
        if (class_claims(is) && v.holding)
            n->hold_end = instant_min(n->hold_end, n->hold_until[b]);
        if (!v.mine)
            bitmap_clear(&n->orphaned, b);
        if (v.mine || (is == CLASS_LINGER && was != CLASS_LINGER))
            bitmap_set(&n->flows, b); /* until a count says otherwise */
        uint16_t target = is == CLASS_RELEASE ? (uint16_t)n->assign.owner[b] : PLAN_TARGET_NONE;
        changed = changed || n->wanted.class_of[b] != is || n->wanted.target_of[b] != target;
        n->class_of[b] = (uint8_t)is;
        n->wanted.class_of[b] = (uint8_t)is;
        n->wanted.target_of[b] = target;
    }
    return changed;
}

void node_serve(struct node *n, struct actions *out)
{
    if (!instant_before(n->now, n->hold_end))
        n->serve_dirty = true;
    if (n->serve_dirty || n->serve_some) {
        const struct others *o = looks_at_others(n) ? others_gather(n) : NULL;
        if (buckets_step(n, o)) {
            n->plan_dirty = true;
            for (size_t i = 0; i < n->roster.count; i++)
                n->wanted.target[i] = n->roster.member[i].mac;
        }
        if (o != NULL)
            account(n, o);
        else
            node_bits(n);
        n->serve_dirty = n->serve_some = false;
        memset(&n->serve_set, 0, sizeof n->serve_set);
    }
    if (!n->plan_dirty || n->in_flight || instant_before(n->now, n->retry_at))
        return;
    n->plan_dirty = false;
    if (plan_equal(&n->wanted, &n->applied))
        return;
    n->flight = n->wanted;
    n->flight.generation = ++n->generation;
    n->in_flight = true;
    struct action *a = node_action(out, ACTION_APPLY);
    a->plan = &n->flight;
}

/* True if the kernel lets in what it should not, and does not take that back. */
static bool overclaims(const struct node *n)
{
    for (unsigned b = 0; b < n->config.buckets && n->failures > 0; b++)
        if (class_claims((enum bucket_class)n->applied.class_of[b]) &&
            !class_claims((enum bucket_class)n->wanted.class_of[b]))
            return true;
    return false;
}

void node_renew(struct node *n, struct actions *out)
{
    usec span = node_lease_span(n);
    if (n->renewals == RENEWALS_MAX || span <= 0 || overclaims(n))
        return; /* the kernel does not obey, or no majority backs us: let it run out */
    n->renewal_span[n->renewals] = span;
    n->renew_until = instant_add(n->now, span);
    n->renewal_until[n->renewals++] = n->renew_until;
    node_action(out, ACTION_RENEW)->renew.span = span;
}

static void commit_failed(struct node *n, int error, struct actions *out)
{
    if (error == -ETIME)
        return; /* we were stalled, the kernel was not asked */
    if (n->failures == 0)
        n->failing_since = n->now;
    usec pause = RETRY_FIRST << (n->failures < 7 ? n->failures : 7);
    n->retry_at = instant_add(n->now, pause < RETRY_MOST ? pause : RETRY_MOST);
    n->failures++;
    node_note(n, out, NOTE_APPLY_FAILED, "", -error, (int64_t)n->failures);
}

/* The oldest renewal on its way is answered: the lease counts from when it was
 * asked for, and may go on in the kernel as if it had begun just now. */
static void renewed(struct node *n, int error, struct actions *out)
{
    if (n->renewals == 0)
        return; /* of an earlier life of this struct: nothing that we asked for */
    instant until = n->renewal_until[0];
    usec span = n->renewal_span[0];
    n->renewals--;
    memmove(&n->renewal_until[0], &n->renewal_until[1], n->renewals * sizeof n->renewal_until[0]);
    memmove(&n->renewal_span[0], &n->renewal_span[1], n->renewals * sizeof n->renewal_span[0]);
    if (error != 0) {
        commit_failed(n, error, out);
        return;
    }
    n->kernel_until = instant_max(n->kernel_until, instant_add(n->now, span));
    n->lease_until = instant_max(n->lease_until, until);
    if (n->joined && !n->leased) {
        n->leased = true;
        node_urgent(n);
    }
    if (!n->in_flight && n->failures > 0 && plan_equal(&n->wanted, &n->applied)) {
        n->failures = 0;
        n->retry_at = INSTANT_PAST;
    }
}

/* Tells what a committed plan moved. */
static void applied_note(struct node *n, struct actions *out)
{
    int64_t claimed = 0, released = 0;
    bool lingers = false;
    for (unsigned b = 0; b < n->config.buckets; b++) {
        enum bucket_class was = (enum bucket_class)n->applied.class_of[b];
        enum bucket_class is = (enum bucket_class)n->flight.class_of[b];
        claimed += class_claims(is) && !class_claims(was);
        released += !class_claims(is) && class_claims(was);
        lingers = lingers || (is == CLASS_LINGER && was != CLASS_LINGER);
    }
    if (claimed > 0 || released > 0)
        node_note(n, out, NOTE_HANDOVER, "", claimed, released);
    if (lingers) /* late enough for a SYN that was let in just now to be a flow */
        n->count_at = instant_min(n->count_at, instant_add(n->now, 20 * USEC_PER_MS));
}

void node_applied(struct node *n, uint64_t generation, int error, struct actions *out)
{
    if (generation == 0) {
        renewed(n, error, out);
        return;
    }
    if (!n->in_flight || generation != n->flight.generation)
        return;
    n->in_flight = false;
    n->serve_dirty = n->plan_dirty = true;
    if (error != 0) {
        commit_failed(n, error, out);
        return;
    }
    applied_note(n, out);
    n->applied = n->flight;
    n->failures = 0;
    n->retry_at = INSTANT_PAST;
    node_urgent(n);
}

instant node_count_due(const struct node *n)
{
    if (!n->count_waits)
        return n->count_at;
    return instant_max(n->count_at, instant_add(n->count_asked, COUNT_LOST));
}

void node_count(struct node *n, struct actions *out)
{
    if (instant_before(n->now, node_count_due(n)))
        return;
    bool lingers = false;
    const struct others *o = others_gather(n);
    memset(&n->counting, 0, sizeof n->counting);
    for (unsigned b = 0; b < n->config.buckets; b++) {
        bool both = n->applied.class_of[b] == CLASS_LINGER && n->class_of[b] == CLASS_LINGER;
        /* While it may be ours, a member may still forward new flows to us. */
        bool settled =
            n->agreed && n->assign.owner[b] != (int)n->roster.self && bitmap_test(&o->claim, b);
        bitmap_assign(&n->counting, b, both && settled);
        lingers = lingers || both;
    }
    /* A count may take its time: the next is asked for when this one has come. */
    n->count_asked = n->now;
    n->count_at = instant_add(n->now, lingers || n->leaving ? COUNT_EVERY : COUNT_IDLE);
    n->count_waits = true;
    node_action(out, ACTION_COUNT);
}

static void skew_look(struct node *n, const uint32_t *of)
{
    uint64_t total = n->flows_total;
    size_t nodes = 0;
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        total += !m->self && member_alive(m) ? m->flows : 0;
        nodes += n->serves[i];
    }
    skew_judge(&n->skew, of, n->config.buckets, total, nodes);
}

void node_counted(struct node *n, const uint32_t *of)
{
    n->flows_total = 0;
    for (unsigned b = 0; b < n->config.buckets; b++) {
        n->flows_total += of[b];
        if (of[b] > 0 && n->class_of[b] == CLASS_FOREIGN) {
            /* Flows of an earlier run of ours: they stay (S4). */
            n->class_of[b] = CLASS_LINGER;
            bitmap_set(&n->flows, b);
        } else if (of[b] == 0 && bitmap_test(&n->counting, b)) {
            bitmap_clear(&n->flows, b);
        }
    }
    skew_look(n, of);
    n->counted = true;
    n->count_waits = false;
    n->serve_dirty = true;
}

bool node_serving(const struct node *n)
{
    if (n->in_flight)
        return true;
    for (unsigned b = 0; b < n->config.buckets; b++) {
        enum bucket_class wanted = (enum bucket_class)n->class_of[b];
        enum bucket_class applied = (enum bucket_class)n->applied.class_of[b];
        if (class_claims(wanted) || class_claims(applied) || applied == CLASS_RELEASE)
            return true;
    }
    return false;
}

bool node_acts(const struct node *n)
{
    if (!lease_live(n))
        return false;
    if (n->in_flight)
        return true;
    for (unsigned b = 0; b < n->config.buckets; b++) {
        enum bucket_class applied = (enum bucket_class)n->applied.class_of[b];
        if (class_claims(applied) || applied == CLASS_RELEASE)
            return true;
    }
    return false;
}

void node_reselected(struct node *n)
{
    for (unsigned b = 0; b < n->config.buckets; b++) {
        if (n->class_of[b] == CLASS_FOREIGN)
            n->class_of[b] = CLASS_LINGER;
        bitmap_set(&n->flows, b);
    }
    n->count_at = instant_min(n->count_at, n->now);
    n->serve_dirty = true;
}

void node_yield(struct node *n)
{
    for (unsigned b = 0; b < n->config.buckets; b++) {
        if (n->class_of[b] == CLASS_FOREIGN)
            continue;
        n->class_of[b] = CLASS_LINGER;
        bitmap_set(&n->flows, b);
    }
    n->serve_dirty = true;
}
