/*
 * When two states of a host are the same: each is brought into a normal form, and
 * that is what the store keeps and what goes on. Two hosts with one normal form do
 * the same from here on, as far as the model looks: who is let in. What is made
 * alike, and why:
 *
 *  - Time. The clock is set back to STEP_FIRST and every instant and sequence with
 *    it: the core only looks at differences. What is so long ago that it passes or
 *    fails every comparison is as long ago as the shortest span that does.
 *  - A pause of more than pause_long() steps is one of so many: by then everything
 *    that a pause is not taken off from is as old as it can get, and the patience
 *    that it earns has an upper bound, too.
 *  - Figures, notes and the status: nothing is decided by them (loss, rtt, wake_*,
 *    rejected, takeovers, converged, state, *_note_at, suspect, ...).
 *  - What is computed anew before it is read (claim, linger, quorum_at, the rooms
 *    of assign).
 *  - OWN and ADOPT: one and the same to new flows and to the core's decisions; with
 *    them all that only decides between the two (hold_until, orphaned).
 *  - Flapping has no penalty here, flows are never counted, there are one key, one
 *    configuration and one wire version, and the wall clock is not told.
 *
 * What is forgotten here only makes more states than need be; what is made alike
 * wrongly would merge two that differ. `explore --check` searches for that: hosts
 * that live on untouched have to do the same as those in the store, and to come to
 * the same normal forms.
 */
#include <string.h>

#include "host.h"

/* The longest patience is as long as dead_after. */
static int64_t dead_long(void)
{
    return 2 * pace.dead + 1;
}

static int64_t pause_long(void)
{
    return dead_long() + 1;
}

/* Until a voter without memory has to go. */
static int64_t settle_long(void)
{
    return 4 * pace.dead + 1;
}

/* Until it is forgotten. */
static int64_t stranger_long(void)
{
    return 4 * pace.dead + 1;
}

static int64_t ballot_long(void)
{
    return 5 * pace.interval + 1;
}

/* The same time on a clock that shows STEP_FIRST now, but for what is longer ago
 * than `most` steps. */
static void age(const struct host *h, instant *t, int64_t most)
{
    int64_t passed = h->step * STEP_US - t->us;
    if (t->us >= INT64_MAX / 4)
        return;
    if (passed > most * STEP_US)
        passed = most * STEP_US + 1;
    t->us = STEP_FIRST * STEP_US - passed;
}

/* Something that is due only matters until it is. */
static void due(const struct host *h, instant *t)
{
    age(h, t, 0);
}

/* How late the regular heartbeat is: what node_patience() will give back. */
static int64_t lateness(const struct host *h)
{
    int64_t late = h->step * STEP_US - h->node.tick_at.us;
    return late > 0 ? late : 0;
}

/* The same of what the lateness will be taken off from. */
static void age_paused(const struct host *h, instant *t, int64_t most)
{
    int64_t late = lateness(h), longest = pause_long() * STEP_US;
    t->us += late;
    age(h, t, most);
    t->us -= late > longest ? longest : late;
}

static void sequence(const struct host *h, uint32_t *s, int64_t most)
{
    int64_t passed = h->step * SEQUENCES - (int64_t)*s;
    if (*s == 0)
        return;
    if (passed > most * SEQUENCES)
        passed = most * SEQUENCES + 1;
    *s = (uint32_t)(STEP_FIRST * SEQUENCES - passed);
}

static void boot_normal(const struct host *h, struct boot *b)
{
    if (b->sequence == 0) {
        memset(b, 0, sizeof *b);
        return;
    }
    age(h, &b->at, dead_long());
    age(h, &b->since, pace.dead);
    sequence(h, &b->sequence, pace_old());
}

/* Figures, and what has no meaning here. */
static void member_figures(struct member *m)
{
    memset(&m->deaf[m->deafs], 0, (DEAF_MAX - m->deafs) * sizeof m->deaf[0]);
    m->suspect = m->clock_told = false;
    memset(&m->flap, 0, sizeof m->flap);
    m->window = 0;
    m->clock_ahead = 0;
    m->flows = 0;
    m->rtt = m->loss = 0;
    m->tell = 0;
    m->parts = 0;
    m->config = 0; /* that of all, or not heard yet: no difference */
}

static void member_normal(const struct host *h, struct member *m, instant *proof, instant *evidence)
{
    int64_t settle = host_newcomers || m->lineage == 0 ? settle_long() : pace.dead;
    int64_t known = m->stranger ? stranger_long() : dead_long();
    age(h, &m->since, settle);
    age_paused(h, evidence, dead_long());
    age(h, proof, dead_long());
    age(h, &m->heard, dead_long()); /* also of the dead: gossip may raise them */
    age(h, &m->arrived, known);
    age(h, &m->arriving, pace.dead);
    age_paused(h, &m->direct, dead_long());
    age(h, &m->backed, pace.lease);
    age(h, &m->knocked, known);
    for (size_t i = 0; i < BOOTS_MAX; i++)
        boot_normal(h, &m->boot[i]);
    sequence(h, &m->sequence, pace_old());
    sequence(h, &m->proved, pace.dead + 1); /* an older proof is none */
    if (m->fall_open)
        due(h, &m->fall_due);
    else
        m->fall_due.us = 0;
    if (m->lineage == 0)
        m->voters_version = 0; /* whatever was read before */
    member_figures(m);
}

/* Of our heartbeats that a member acknowledged, which of the two rounds they complete
 * is what counts. The first is cut off later, so that it stays the earlier one. */
static void rounds_normal(const struct host *h, struct node *n)
{
    uint32_t view = n->view_sequence, second = n->second_sequence;
    sequence(h, &n->view_sequence, pace.dead + 1);
    sequence(h, &n->second_sequence, pace.dead);
    if (!n->seconded)
        n->second_sequence = 0;
    for (size_t i = 0; i < n->roster.count; i++) {
        struct member *m = &n->roster.member[i];
        if (n->seconded && m->acked >= second)
            m->acked = n->second_sequence;
        else
            m->acked = m->acked >= view ? n->view_sequence : 0;
    }
}

/* The node's own condition. */
static void condition_normal(const struct host *h, struct node *n)
{
    n->now.us = n->said_at.us = n->view_at.us = 0;
    age(h, &n->born, 2 * pace.dead);
    for (size_t i = 0; i < STALE_KEPT; i++) {
        if (n->stale[i].until.us <= h->step * STEP_US)
            memset(&n->stale[i], 0, sizeof n->stale[i]);
        else
            due(h, &n->stale[i].until);
    }
    due(h, &n->watch_at);
    due(h, &n->fall_at);
    n->look = false;
    memset(&n->others, 0, sizeof n->others);
    n->others_stale = true;
    n->dissenter = 0;
    n->unheard = UINT64_MAX; /* to have to look makes no difference */
    n->odd = true;
    /* In the next step, or by then. */
    bool later = n->urgent_at.us > (h->step + 1) * STEP_US;
    n->urgent_at.us = n->urgent_left > 0 ? (STEP_FIRST + later) * STEP_US + later : 0;
    n->old_until.us = n->clock_at.us = n->wake_window.us = 0;
    n->wake_mean = 0;
    n->wake_worst[0] = n->wake_worst[1] = 0;
    n->relays = 0;
    n->converged = false;
    n->state = 0;
    n->quorum_heard = 0;
    n->quorum_at.us = 0;
    age(h, &n->patient_at, pace.dead);
    age(h, &n->rival.at, dead_long());
    age(h, &n->rival.proven, pace.dead);
    sequence(h, &n->rival.sequence, pace_old());
    age_paused(h, &n->listen_until, dead_long());
    age_paused(h, &n->join_at, dead_long());
    if (n->joined) /* set anew before they are looked at again */
        n->listen_until.us = n->join_at.us = 0;
    age(h, &n->voters_at, host_newcomers ? settle_long() : pace.dead);
    age(h, &n->ballot_at, ballot_long());
    if (n->want_until.us != INSTANT_PAST.us) /* has its time, or none was given */
        due(h, &n->want_until);
    due(h, &n->leave_by);
    due(h, &n->drain_by);
}

/* Buckets, the plan, the lease. */
static void kernel_normal(const struct host *h, struct node *n)
{
    n->wanted.generation = n->applied.generation = 0;
    if (!n->in_flight)
        memset(&n->flight, 0, sizeof n->flight);
    n->generation = 0;
    memset(n->hold_until, 0, sizeof n->hold_until);
    memset(&n->claim, 0, sizeof n->claim);
    memset(&n->linger, 0, sizeof n->linger);
    memset(&n->counting, 0, sizeof n->counting);
    memset(&n->orphaned, 0, sizeof n->orphaned);
    due(h, &n->retry_at);
    age(h, &n->failing_since, pace.dead);
    due(h, &n->lease_until);
    due(h, &n->kernel_until);
    due(h, &n->renew_until);
    for (unsigned i = 0; i < RENEWALS_MAX; i++) {
        n->renewal_span[i] = 0;
        n->renewal_until[i].us = 0;
    }
    n->hold_end = INSTANT_NEVER;
    n->count_at = INSTANT_NEVER;
    n->count_asked.us = 0;
    n->flows_total = 0;
    n->takeovers = n->lost_notes = 0;
    memset(n->rejected, 0, sizeof n->rejected);
    n->unowned = n->contested = 0;
    n->unowned_now = n->contested_now = 0;
    n->reject_note_at.us = n->conflict_note_at.us = n->mismatch_note_at.us = 0;
}

static void assign_normal(struct assign *a)
{
    memset(a->share, 0, sizeof a->share);
    memset(a->below, 0, sizeof a->below);
    memset(a->queue, 0, sizeof a->queue);
    memset(a->asked, 0, sizeof a->asked);
    memset(a->score, 0, sizeof a->score);
    memset(a->kept, 0, sizeof a->kept);
    memset(a->list, 0, sizeof a->list);
}

/* Only the kernel, the disk, the configuration and the number of the next start
 * are left. */
static void node_down(struct node *n)
{
    const struct node_config kept = n->config;
    memset(n, 0, sizeof *n);
    n->config = kept;
}

/* What is not down. */
static void node_normal(const struct host *h, struct node *n)
{
    for (size_t i = 0; i < n->roster.count; i++)
        member_normal(h, &n->roster.member[i], &n->roster.proof[i], &n->roster.evidence[i]);
    rounds_normal(h, n);
    condition_normal(h, n);
    kernel_normal(h, n);
    assign_normal(&n->assign);
    n->sequence = 0;
    /* Last, for the others hang on it. */
    int64_t late = lateness(h), longest = pause_long() * STEP_US;
    n->tick_at.us += (STEP_FIRST - h->step) * STEP_US + (late > longest ? late - longest : 0);
    age(h, &n->deadline, 1); /* by a step it is late */
}

void host_normal(struct host *h)
{
    int64_t left = h->lease_until - h->step * STEP_US;
    if (h->down)
        node_down(&h->node);
    else
        node_normal(h, &h->node);
    /* What is not in the record any more is as good as never sent. */
    int64_t ago = h->step - h->since;
    h->since = ago < SENT_KEPT / SEQUENCES && !h->down ? STEP_FIRST - ago : 0;
    h->lease_until = left > 0 ? STEP_FIRST * STEP_US + left : 0;
    h->step = STEP_FIRST;
}
