/*
 * Boots that have not proved themselves: a member that has started again, or a
 * recording of a life that it had before. A few per member are acknowledged,
 * which is all that the former needs; the latter never answers it. When there are
 * more than a few, those that have had their time make room, and have no place
 * for a while: so recordings take nobody's place, unless there are scores of lives
 * to play. Of those without a place the last one heard is acknowledged: a member
 * that was heard one way for long, and had to make room, needs no more when it
 * hears us again.
 *
 * A second node of the name waits until the first is silent: two that live at
 * once must not take each other's place in turn.
 */
#include <string.h>

#include "node_impl.h"

static bool stale(const struct node *n, uint64_t salt)
{
    for (size_t i = 0; i < STALE_KEPT; i++)
        if (n->stale[i].salt == salt && instant_before(n->now, n->stale[i].until))
            return true;
    return false;
}

static void stale_keep(struct node *n, uint64_t salt)
{
    n->stale[n->stale_next].salt = salt;
    n->stale[n->stale_next].until = instant_add(n->now, 16 * n->config.dead_after);
    n->stale_next = (n->stale_next + 1) % STALE_KEPT;
}

/* It had its time to prove itself. */
static bool overdue(const struct node *n, const struct boot *b)
{
    return instant_diff(n->now, b->since) >= n->config.dead_after;
}

static struct boot *boot_find(struct member *m, uint64_t salt)
{
    for (size_t i = 0; i < BOOTS_MAX; i++)
        if (m->boot[i].salt == salt && m->boot[i].sequence != 0)
            return &m->boot[i];
    return NULL;
}

/* Room for another; for one that had its time, or if all are still being given it, that
 * which the next takes away. */
static struct boot *boot_room(struct node *n, struct member *m, uint64_t salt)
{
    for (size_t i = 0; i < BOOT_LAST && !stale(n, salt); i++) {
        struct boot *b = &m->boot[i];
        if (b->sequence != 0 && !overdue(n, b))
            continue;
        if (b->sequence != 0)
            stale_keep(n, b->salt);
        return b;
    }
    return &m->boot[BOOT_LAST];
}

bool node_boot_take(struct node *n, struct member *m, bool fresh, bool direct, struct actions *out)
{
    const struct heartbeat *h = n->in;
    bool present = member_alive(m) && instant_diff(n->now, m->arrived) < n->config.dead_after / 2;
    struct boot *b = boot_find(m, h->salt);
    if (fresh && !present && (b == NULL || h->sequence > b->sequence)) {
        if (b != NULL)
            b->sequence = 0;
        roster_reboot(&n->roster, (size_t)(m - n->roster.member), h->salt, h->sequence);
        n->others_stale = n->serve_dirty = true; /* it may have flows of anything */
        m->arrived = n->now;
        return true;
    }
    if ((b != NULL && h->sequence <= b->sequence) || h->sequence == 0) {
        /* Another link's copy comes at once; later it is a recording. */
        bool late = b == NULL || instant_diff(n->now, b->at) > n->config.interval;
        if (direct && late)
            node_reject(n, REJECT_REPLAYED, m->name, out);
        return false;
    }
    bool new = b == NULL;
    if (new)
        b = boot_room(n, m, h->salt);
    if (new || fresh)
        b->since = n->now;
    b->salt = h->salt;
    b->sequence = h->sequence;
    b->at = n->now;
    m->knocked = n->now;
    if (b != &m->boot[BOOT_LAST])
        node_answer(n);
    return false;
}
