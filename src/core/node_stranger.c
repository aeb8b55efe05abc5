/*
 * Who is not one of us: a node of another configuration, or another node of our
 * name. Neither is a member, and both are said on both sides. While one of them
 * is about that has the better right, this node does not serve: it would let in
 * what that one lets in, too.
 *
 * They prove to be fresh as members do, so a recording bars nobody.
 */
#include <string.h>

#include "node_impl.h"

/*
 * Our own name. The rival cannot acknowledge us as one member does another, for
 * it takes our heartbeats for its own; so each acknowledges the other's under
 * the name that they share.
 */
void node_rival_hear(struct node *n, struct actions *out)
{
    const struct heartbeat *h = n->in;
    uint32_t sequence = 0;
    instant sent_at = INSTANT_PAST;
    if (h->salt == n->salt)
        return; /* our own, by a relay or a recording */
    bool known = h->salt == n->rival.salt;
    if (known && h->sequence <= n->rival.sequence) {
        n->rejected[REJECT_REPLAYED]++;
        return;
    }
    bool fresh = node_proof(n, &sequence, &sent_at) != NULL;
    bool current = instant_diff(n->now, n->rival.proven) < n->config.dead_after;
    if (!known && !fresh && current)
        return; /* a recording must not push out the one that is there */
    n->rival.salt = h->salt;
    n->rival.sequence = h->sequence;
    n->rival.at = n->now;
    if (!fresh) {
        node_answer(n);
        return;
    }
    n->rival.proven = n->now;
    n->watch_stale = true;
    n->rival.joining = (h->flags & HEARTBEAT_JOINING) != 0;
    if (instant_before(n->now, n->conflict_note_at))
        return;
    n->conflict_note_at = instant_add(n->now, 10 * NOTE_PAUSE);
    node_note(n, out, NOTE_NAME_CONFLICT, "", 0, 0);
}

bool node_fits(const struct node *n)
{
    const struct heartbeat *h = n->in;
    return h->config == n->config.config_digest && h->buckets == n->config.buckets;
}

/* Which parts of the configuration differ, as far as it tells. */
static unsigned parts_differing(const struct node *n)
{
    unsigned parts = 0;
    for (size_t i = 0; i < n->in->parts && i < PART_MAX; i++)
        if (n->in->part[i] != n->config.part[i])
            parts |= 1u << i;
    if (n->in->buckets != n->config.buckets)
        parts |= 1u << PART_BUCKETS;
    return parts;
}

void node_misfit_hear(struct node *n, size_t index, struct actions *out)
{
    struct member *m = &n->roster.member[index];
    bool first = !m->misfit || instant_before(m->heard, instant_add(INSTANT_PAST, 1));
    m->misfit = true;
    n->watch_stale = true;
    m->parts = parts_differing(n);
    m->said = n->in->flags;
    m->heard = n->now;
    if (first)
        node_answer(n); /* now with what our configuration is made of */
    if (instant_before(n->now, n->mismatch_note_at))
        return;
    n->mismatch_note_at = instant_add(n->now, 10 * NOTE_PAUSE);
    node_note(n, out, NOTE_CONFIG_MISMATCH, m->name, m->parts, 0);
}

/* Those of another configuration serve, and we yield to them: they are more, or
 * as many and the first by name is theirs. Who serves goes before who joins. */
static bool outnumbered(const struct node *n)
{
    size_t theirs = 0, first = MEMBERS_MAX, ours = 0, our_first = MEMBERS_MAX;
    bool serve = false, we_serve = n->joined;
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        if (m->self || member_lives(m)) {
            ours++;
            our_first = our_first < i ? our_first : i;
            we_serve = we_serve || (!m->self && (m->said & HEARTBEAT_JOINING) == 0);
        } else if (m->misfit && instant_diff(n->now, m->heard) < n->config.dead_after) {
            theirs++;
            first = first < i ? first : i;
            serve = serve || (m->said & HEARTBEAT_JOINING) == 0;
        }
    }
    if (theirs == 0 || serve != we_serve)
        return theirs > 0 && serve;
    return theirs > ours || (theirs == ours && first < our_first);
}

static bool rivalled(const struct node *n)
{
    if (instant_diff(n->now, n->rival.proven) >= n->config.dead_after)
        return false;
    bool joining = !n->joined;
    if (joining != n->rival.joining)
        return joining;
    return n->rival.salt < n->salt;
}

/* Nobody is heard, and the witness does not answer: it is we who are cut off. Who is not
 * may call us dead a moment before we call it so: company is whoever was heard so lately
 * that it cannot have done that yet. */
static bool cut_off(const struct node *n)
{
    if (!n->config.witness || !n->witness_down)
        return false;
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        if (!m->self && member_lives(m) &&
            instant_diff(n->now, m->heard) < n->config.dead_after / 2)
            return false;
    }
    return true;
}

void node_bars_watch(struct node *n)
{
    if (n->look || n->view_dirty)
        n->barred = outnumbered(n) || rivalled(n) || cut_off(n);
}
