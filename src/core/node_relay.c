/*
 * Relays: a member that does not hear another, though both live, says so, and
 * one that hears both passes on what the other says. So a single link that
 * fails, in one direction or both, costs nobody a word: claims, acknowledgements
 * and hand-overs go round by the third.
 *
 * One hop only: what came by a relay is not passed on again. Of several that
 * could relay the first by name does, as far as it can know.
 */
#include "node_impl.h"

bool node_deaf_to(const struct node *n, const struct member *m)
{
    instant known = instant_max(m->direct, m->since);
    return !m->self && member_lives(m) && instant_diff(n->now, known) >= n->config.dead_after / 2;
}

/* Member `by` hears member `from`, and `to` hears it, as far as we know. */
static bool could_relay(const struct node *n, const struct member *by, const struct member *from,
                        const struct member *to)
{
    const struct member *self = &n->roster.member[n->roster.self];
    if (by == from || by == to || !member_lives(by) || by->version < WIRE_VERSION_LAST)
        return false;
    bool heard = by == self ? true : !member_deaf_to(by, from->id) && !node_deaf_to(n, by);
    return heard && !member_deaf_to(to, by->id);
}

/* True if it is ours to pass on what `from` says to `to`. */
static bool our_turn(const struct node *n, const struct member *from, const struct member *to)
{
    for (size_t i = 0; i < n->roster.self; i++)
        if (could_relay(n, &n->roster.member[i], from, to))
            return false;
    return !member_deaf_to(to, n->roster.member[n->roster.self].id);
}

void node_relay(struct node *n, size_t index, const struct letter *letter, struct actions *out)
{
    const struct member *from = &n->roster.member[index], *self = node_self(n);
    bool wanted = false;
    uint64_t unheard = 0;
    if ((n->unheard & member_mark(from->id)) == 0)
        return;
    if (n->in->version < WIRE_VERSION_LAST)
        return; /* it would pass for one that knows better */
    /* Who cannot keep up must not make more of it, for all may be as late as we; but one
     * stall does not keep two apart whom only we connect. */
    if (n->patience > n->config.dead_after / 2)
        return;
    for (size_t i = 0; i < n->roster.count && !wanted; i++) {
        const struct member *to = &n->roster.member[i];
        unheard |= to->deaf_marks;
        if (!member_deaf_to(to, from->id) || i == index || to->self || !member_lives(to))
            continue;
        wanted = our_turn(n, from, to);
    }
    if (!wanted)
        n->unheard = unheard;
    if (!wanted || out->count == ACTIONS_MAX)
        return;
    struct seal_stamp stamp = {.version = WIRE_VERSION_LAST,
                               .type = SEAL_TYPE_RELAY,
                               .salt = n->salt,
                               .member = self->id,
                               .sequence = ++n->relays};
    struct action *a = node_action(out, ACTION_SEND);
    a->send.data = n->relay;
    a->send.length = seal_close(node_keys_seal(n), &stamp, letter->plain, letter->length, n->relay,
                                sizeof n->relay);
}
