/*
 * Who is not one of us: a node of another configuration, or another node of our
 * name. Neither is a member, and both are said on both sides. While one of them
 * is about that has the better right, this node does not serve: it would let in
 * what that one lets in, too.
 *
 * They prove to be fresh as members do, so a recording bars nobody.
 *
 * A list of VIPs makes its way through the cluster node by node. Who has a VIP more
 * or less is one of us all the while: claims are of buckets, and of a VIP that only
 * some have each lets in its own buckets' clients, and nobody the others'. But two
 * that have one VIP each in its own way do not fit each other, and may both fit a
 * third, which has none of it. All must take one side: that of who has the better
 * right (it serves, or is the first by name), by what all hear of both. So everybody
 * finds the same, and who has lost finds that all others are against it.
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

static bool alike(uint64_t config, const struct vips_word *vips, uint64_t other,
                  const struct vips_word *others)
{
    return config == other || vips_fit(vips, others);
}

/* Of two that do not fit each other: who serves goes before who joins, then the first
 * by name. */
static bool has_better_right(uint16_t said, const char *name, uint16_t other_said,
                             const char *other_name)
{
    bool joins = (said & HEARTBEAT_JOINING) != 0,
         other_joins = (other_said & HEARTBEAT_JOINING) != 0;
    return joins != other_joins ? other_joins : strcmp(name, other_name) < 0;
}

bool node_fits(const struct node *n)
{
    const struct heartbeat *h = n->in;
    if (h->buckets != n->config.buckets ||
        !alike(h->config, &h->vips, n->config.config_digest, &n->config.vips))
        return false;
    if (h->config == n->config.config_digest && !n->mingled)
        return true;
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        if (m->self || m->misfit || m->config == 0 || !member_alive(m) ||
            alike(h->config, &h->vips, m->config, &m->vips) || strcmp(m->name, h->name) == 0)
            continue;
        if (!has_better_right(h->flags, h->name, m->said, m->name))
            return false;
    }
    return true;
}

bool node_fits_all(const struct node *n, const struct node_config *c)
{
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        if (!m->self && !m->misfit && member_lives(m) &&
            !alike(c->config_digest, &c->vips, m->config, &m->vips))
            return false;
    }
    return true;
}

void node_config_hear(struct node *n, struct member *m, struct actions *out)
{
    m->config = n->in->config;
    vips_take(&m->vips, &n->in->vips);
    m->differs = m->config != n->config.config_digest;
    m->parts = m->differs ? 1u << PART_VIPS : 0;
    n->mingled = n->mingled || m->differs;
    if (!m->differs || instant_before(n->now, n->mismatch_note_at))
        return;
    n->mismatch_note_at = instant_add(n->now, 10 * NOTE_PAUSE);
    node_note(n, out, NOTE_VIPS_DIFFER, m->name, 0, 0);
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

/* It claims nothing, and will not while it hears us serve: what was its own need not
 * wait until it has been silent for long enough. */
static bool gave_up(const struct node *n)
{
    static const struct bitmap none;
    return n->joined && n->quorate && (n->in->flags & HEARTBEAT_JOINING) != 0 &&
           bitmap_equal(&n->in->claim, &none);
}

void node_misfit_hear(struct node *n, size_t index, struct actions *out)
{
    struct member *m = &n->roster.member[index];
    bool first = !m->misfit || instant_before(m->heard, instant_add(INSTANT_PAST, 1));
    m->misfit = m->apart = n->odd = true;
    m->differs = false;
    n->watch_stale = true;
    m->config = n->in->config;
    vips_take(&m->vips, &n->in->vips);
    m->parts = parts_differing(n);
    m->said = n->in->flags;
    m->heard = n->now;
    if (member_alive(m) && gave_up(n))
        node_fell(n, out, index, STANDING_DEAD, n->now);
    if (first)
        node_answer(n); /* now with what our configuration is made of */
    bool to_tell = first && n->in->parts == 0 && n->in->version > WIRE_VERSION_FIRST;
    if (to_tell || instant_before(n->now, n->mismatch_note_at))
        return; /* it will tell when it has heard ours */
    n->mismatch_note_at = instant_add(n->now, 10 * NOTE_PAUSE);
    node_note(n, out, NOTE_CONFIG_MISMATCH, m->name, m->parts, 0);
}

static bool misfit_is_about(const struct node *n, const struct member *m)
{
    return m->misfit && instant_diff(n->now, m->heard) < n->config.dead_after;
}

bool node_misfit_serves(const struct node *n)
{
    for (size_t i = 0; i < n->roster.count && n->odd; i++) {
        const struct member *m = &n->roster.member[i];
        if (misfit_is_about(n, m) && (m->said & HEARTBEAT_JOINING) == 0)
            return true;
    }
    return false;
}

bool node_apart(const struct node *n, const struct member *m)
{
    usec wait = n->config.dead_after + n->config.orphan_after;
    return m->apart && !m->stranger && instant_diff(n->now, m->heard) < wait;
}

/* A member that fits us, and also one that does not fit us and has the better right. */
static bool sides_with_misfits(const struct node *n, const struct member *m)
{
    uint16_t said = n->joined ? 0 : HEARTBEAT_JOINING;
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *x = &n->roster.member[i];
        if (misfit_is_about(n, x) && alike(m->config, &m->vips, x->config, &x->vips) &&
            has_better_right(x->said, x->name, said, n->config.name))
            return true;
    }
    return false;
}

/* Those of another configuration serve, and we yield to them: they are more, or
 * as many and the first by name is theirs. Who serves goes before who joins. */
static bool outnumbered(const struct node *n)
{
    size_t theirs = 0, first = MEMBERS_MAX, ours = 0, our_first = MEMBERS_MAX;
    bool serve = false, we_serve = n->joined;
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        bool lives = m->self || (member_lives(m) && !m->misfit);
        if (m->self || (lives && !sides_with_misfits(n, m))) {
            ours++;
            our_first = our_first < i ? our_first : i;
            we_serve = we_serve || (!m->self && (m->said & HEARTBEAT_JOINING) == 0);
        } else if (lives || misfit_is_about(n, m)) {
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

/* Whether there is any member yet of those that most clusters never have. */
static void odd_look(struct node *n)
{
    n->mingled = n->odd = false;
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        n->odd = n->odd || m->misfit || m->apart;
        n->mingled = n->mingled || (!m->self && !m->misfit && m->config != 0 &&
                                    m->config != n->config.config_digest);
    }
}

void node_bars_watch(struct node *n)
{
    bool apart = false;
    if (n->look)
        odd_look(n);
    if (!n->look && !n->view_dirty)
        return;
    n->barred = (n->odd && outnumbered(n)) || rivalled(n) || cut_off(n);
    for (size_t i = 0; i < n->roster.count && n->odd; i++)
        apart = apart || node_apart(n, &n->roster.member[i]);
    n->serve_dirty = n->serve_dirty || apart != n->apart;
    n->others_stale = n->others_stale || apart || n->apart;
    n->apart = apart;
}
