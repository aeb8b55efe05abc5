/*
 * When two states of a host are the same: a copy is brought into a normal form
 * and hashed. Two hosts with equal prints do the same from here on, as far as the
 * model looks: who is let in. What the copy leaves out or makes alike, and why:
 *
 *  - Instants are ages, in the host's own time, and sequences count from the
 *    present step: the core only looks at differences. An age is cut off where
 *    all longer ones pass or fail every comparison alike.
 *  - Figures, notes and the status: nothing is decided by them (loss, rtt,
 *    wake_*, rejected, takeovers, converged, state, *_note_at, suspect, ...).
 *  - What is computed anew before it is read (claim, linger, quorum_at, the rooms
 *    of assign and bucket computation, datagrams).
 *  - OWN and ADOPT: one and the same to new flows and to the core's decisions;
 *    with them all that only decides between the two (hold_until, orphaned).
 *  - Flapping has no penalty here, flows are never counted, there are one key, one
 *    configuration and one wire version, and the wall clock is not told.
 *
 * What is forgotten here only makes more states than need be; what is left out
 * wrongly would merge two that differ. `explore --check` searches for that: it
 * compares hosts that live on with what stands for them in the store.
 */
#include <string.h>

#include "host.h"

enum {
    HEARD_OLD = 2 * DEAD_STEPS + 1, /* the longest patience is dead_after */
    WAIT_OLD = 24,                  /* what a pause is added to */
    STRANGER_OLD = 4 * DEAD_STEPS,  /* until it is forgotten */
};

static struct host copy;

/* Steps (as us) since `t`, at most a little over `most` steps; ahead: negative. */
static void age(instant *t, int64_t most)
{
    int64_t now = copy.step * STEP_US;
    if (t->us >= INT64_MAX / 4)
        return;
    int64_t passed = now - t->us;
    t->us = passed > most * STEP_US ? most * STEP_US + 1 : passed;
}

/* Something that is due only matters until it is. */
static void due(instant *t)
{
    age(t, 0);
}

static void sequence(uint32_t *s, int64_t most_steps)
{
    int64_t passed = copy.step * SEQUENCES - (int64_t)*s;
    if (passed > most_steps * SEQUENCES)
        passed = most_steps * SEQUENCES + 1;
    *s = (uint32_t)passed;
}

static void fold(uint8_t class_of[], size_t count)
{
    for (size_t b = 0; b < count; b++)
        if (class_of[b] == CLASS_ADOPT)
            class_of[b] = CLASS_OWN;
}

static void plan_normal(struct plan *p)
{
    p->generation = 0;
    fold(p->class_of, BUCKETS);
}

static void boot_normal(struct boot *b)
{
    age(&b->at, HEARD_OLD);
    age(&b->since, DEAD_STEPS);
    sequence(&b->sequence, OLD_STEPS);
    if (b->at.us > HEARD_OLD * STEP_US) /* not told any more; what it rejects is as old */
        memset(b, 0, sizeof *b);
}

static void member_normal(struct member *m)
{
    const struct node *n = &copy.node;
    bool lives = member_alive(m);
    unsigned acked = m->acked >= n->view_sequence;
    if (n->seconded && m->acked >= n->second_sequence)
        acked |= 2;
    m->acked = acked;
    age(&m->since, lives ? HEARD_OLD : 0);
    if (!lives)
        m->since.us = m->evidence.us = m->heard.us = 0;
    age(&m->evidence, lives ? WAIT_OLD : 0);
    age(&m->heard, lives ? HEARD_OLD : 0);
    age(&m->arrived, m->stranger ? STRANGER_OLD : HEARD_OLD);
    age(&m->direct, HEARD_OLD);
    age(&m->backed, LEASE_STEPS);
    age(&m->knocked, m->stranger ? STRANGER_OLD : HEARD_OLD);
    for (size_t i = 0; i < BOOTS_MAX; i++)
        boot_normal(&m->boot[i]);
    sequence(&m->sequence, OLD_STEPS);
    if (m->fall_open)
        due(&m->fall_due);
    else
        m->fall_due.us = 0;
    memset(&m->deaf[m->deafs], 0, (DEAF_MAX - m->deafs) * sizeof m->deaf[0]);
    m->suspect = m->clock_told = false;
    memset(&m->flap, 0, sizeof m->flap);
    m->window = 0;
    m->clock_ahead = 0;
    m->flows = 0;
    m->rtt = m->loss = 0;
    m->tell = 0;
    m->parts = 0;
}

/* View, agreement, the node's own condition. */
static void condition_normal(struct node *n)
{
    n->now.us = n->said_at.us = n->view_at.us = 0;
    age(&n->born, 2 * DEAD_STEPS);
    for (size_t i = 0; i < STALE_KEPT; i++) {
        due(&n->stale[i].until);
        if (n->stale[i].until.us >= 0)
            n->stale[i].salt = 0;
    }
    age(&n->deadline, WAIT_OLD);
    due(&n->tick_at);
    if (n->urgent_left > 0) {
        /* In the next step, or by then. */
        due(&n->urgent_at);
        n->urgent_at.us = n->urgent_at.us < -STEP_US;
    } else {
        n->urgent_at.us = 0;
    }
    n->old_until.us = n->clock_at.us = n->wake_window.us = 0;
    n->wake_mean = 0;
    n->wake_worst[0] = n->wake_worst[1] = 0;
    n->relays = 0;
    n->converged = false;
    n->state = 0;
    n->quorum_heard = 0;
    n->quorum_at.us = 0;
    age(&n->rival.at, HEARD_OLD);
    age(&n->rival.proven, DEAD_STEPS);
    sequence(&n->rival.sequence, OLD_STEPS);
    age(&n->listen_until, WAIT_OLD);
    age(&n->join_at, WAIT_OLD);
    if (n->joined) /* set anew before they are looked at again */
        n->listen_until.us = n->join_at.us = 0;
    age(&n->voters_at, DEAD_STEPS);
    age(&n->ballot_at, WAIT_OLD);
    due(&n->want_until);
    due(&n->leave_by);
    due(&n->drain_by);
}

/* Buckets, the plan, the lease. */
static void kernel_normal(struct node *n)
{
    fold(n->class_of, BUCKETS);
    plan_normal(&n->wanted);
    plan_normal(&n->applied);
    plan_normal(&n->flight);
    if (!n->in_flight)
        memset(&n->flight, 0, sizeof n->flight);
    n->generation = 0;
    memset(n->hold_until, 0, sizeof n->hold_until);
    memset(&n->claim, 0, sizeof n->claim);
    memset(&n->linger, 0, sizeof n->linger);
    memset(&n->counting, 0, sizeof n->counting);
    memset(&n->orphaned, 0, sizeof n->orphaned);
    due(&n->retry_at);
    age(&n->failing_since, DEAD_STEPS);
    due(&n->lease_until);
    due(&n->kernel_until);
    due(&n->renew_until);
    for (unsigned i = 0; i < RENEWALS_MAX; i++) {
        n->renewal_span[i] = 0;
        n->renewal_until[i].us = 0;
    }
    n->hold_end.us = n->count_at.us = n->count_asked.us = 0;
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
    memset(a->heap_at, 0, sizeof a->heap_at);
    memset(a->heap_count, 0, sizeof a->heap_count);
    memset(a->heap, 0, sizeof a->heap);
    memset(a->queue, 0, sizeof a->queue);
    memset(a->asked, 0, sizeof a->asked);
}

struct print host_print(const struct host *h)
{
    static uint8_t image[IMAGE_MAX];
    host_image(h, image);
    host_from_image(&copy, image);
    struct node *n = &copy.node;
    copy.lease_until =
        copy.step * STEP_US < h->lease_until ? h->lease_until - copy.step * STEP_US : 0;
    fold(copy.class_of, BUCKETS);
    if (h->down) {
        /* Only the kernel, the disk and the number of the next start are left. */
        memset(n, 0, sizeof *n);
        copy.step = 0;
        return print_bytes(image, host_image(&copy, image));
    }
    for (size_t i = 0; i < n->roster.count; i++)
        member_normal(&n->roster.member[i]);
    condition_normal(n);
    kernel_normal(n);
    assign_normal(&n->assign);
    sequence(&n->view_sequence, DEAD_STEPS);
    if (n->seconded)
        sequence(&n->second_sequence, DEAD_STEPS);
    else
        n->second_sequence = 0;
    n->sequence = 0;
    copy.step = 0;
    return print_bytes(image, host_image(&copy, image));
}

static uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93;
    h ^= h >> 32;
    return h;
}

/* Zeros are skipped, but their place counts. */
struct print print_bytes(const void *data, size_t length)
{
    const uint8_t *p = data;
    struct print out = {0x9e3779b97f4a7c15 ^ length, 0xc2b2ae3d27d4eb4f};
    for (size_t at = 0; at < length; at += 8) {
        uint64_t word = 0;
        memcpy(&word, p + at, length - at < 8 ? length - at : 8);
        if (word == 0)
            continue;
        word ^= (uint64_t)at * 0xa0761d6478bd642f;
        out.low = (out.low ^ word) * 0xff51afd7ed558ccd;
        out.low ^= out.low >> 29;
        out.high = (out.high + word) * 0xc4ceb9fe1a85ec53;
        out.high ^= out.high >> 31;
    }
    out.low = mix(out.low);
    out.high = mix(out.high);
    return out;
}
