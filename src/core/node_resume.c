/*
 * A daemon that starts while the kernel still acts on the claims of the run before
 * it: it was killed a moment ago, or has executed its own binary again.
 *
 * The lease has not run out, and it is shorter than `dead_after`: so to the others
 * this node is alive, and nobody has taken what it claims. Its heartbeats go on with
 * the salt and the numbers of the run before, and tell these claims from the first
 * on; but it makes the lease run no longer before a member has heard it, as others
 * have not heard it both ways since the last word of that run. If nobody has when the
 * lease runs out, it is a newcomer like any other. Recordings are worth nothing to
 * it: what it has not sent itself proves nothing.
 *
 * Nothing new is claimed before all agree on a view, as ever.
 */
#include <assert.h>

#include "node_impl.h"

struct node_stream node_stream(const struct node *n)
{
    return (struct node_stream){n->salt, n->sequence, n->relays, n->alive <= 1};
}

void node_inherit(struct node *n, const struct node_heritage *h)
{
    const struct plan *plan = h->plan;
    assert(!n->started && plan->buckets == n->config.buckets && h->left > 0);
    n->salt = h->stream.salt;
    n->sequence = h->stream.sequence;
    n->relays = h->stream.relays;
    n->applied = n->wanted = *plan;
    for (unsigned b = 0; b < plan->buckets; b++) {
        assert(plan->class_of[b] != CLASS_RELEASE);
        n->class_of[b] = plan->class_of[b];
        if (plan->class_of[b] != CLASS_FOREIGN)
            bitmap_set(&n->flows, b); /* until a count says otherwise */
    }
    n->resuming = true;
    n->alone = h->stream.alone;
    n->kernel_until = (instant){h->left};
}

void node_resume_start(struct node *n)
{
    n->kernel_until = instant_add(n->now, n->kernel_until.us);
    /* Whose flows may have died lately is not known any more. */
    for (unsigned b = 0; b < n->config.buckets; b++)
        if (n->class_of[b] != CLASS_OWN)
            n->hold_until[b] = instant_add(n->now, n->config.orphan_after);
    node_listen(n);
}

void node_resume_watch(struct node *n, bool kept_out)
{
    if (!n->resuming)
        return;
    if (kept_out || !n->link_up || n->parting || !instant_before(n->now, n->kernel_until)) {
        node_rejoin(n);
        return;
    }
    bool heard = n->met || (n->alone && !node_majority(n));
    if (!heard || node_lease_span(n) <= n->config.interval / 2)
        return;
    n->resuming = false;
    n->joined = n->leased = true;
    n->lease_until = n->kernel_until;
    n->renew_until = INSTANT_PAST;
    n->tick_at = n->now; /* it is told, and then the lease is renewed */
    n->serve_dirty = true;
    node_urgent(n);
}
