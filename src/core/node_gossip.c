/*
 * What a heartbeat says of third members, and of ourselves.
 *
 * Evidence for a third member is what a living member heard of it both ways
 * itself; it is never passed on, so it cannot go round in circles. An accusation
 * only makes the accused refute; a verdict needs silence here, too.
 */
#include "node_impl.h"

/* Somebody says that we are dead, or knows a higher incarnation of us. */
void node_refute(struct node *n, uint32_t incarnation, struct actions *out)
{
    struct member *self = node_self(n);
    if (incarnation < self->incarnation || n->farewells > 0)
        return;
    self->incarnation = incarnation;
    node_facts(n);
    node_note(n, out, NOTE_REFUTED, "", self->incarnation, 0);
}

void node_order(struct node *n, struct member *m, uint32_t order)
{
    if (order <= m->order)
        return;
    m->order = order;
    m->tell = URGENT_TIMES;
    if (m->self)
        node_facts(n);
}

/* What the sender says of ourselves. */
static void entry_self(struct node *n, const struct heartbeat_entry *e, struct actions *out)
{
    struct member *self = node_self(n);
    node_order(n, self, e->order);
    if (e->accused >= self->incarnation || e->incarnation > self->incarnation ||
        (e->standing != STANDING_ALIVE && e->incarnation >= self->incarnation))
        node_refute(n, e->accused > e->incarnation ? e->accused : e->incarnation, out);
}

/* Whether a verdict of others on a living member can be right. Who is late gives it the
 * time back, but holds up nobody whose timers are right. */
static bool verdict_stands(const struct node *n, size_t index)
{
    instant proof = n->roster.proof[index];
    return n->quorate && instant_diff(n->now, proof) >= n->config.dead_after;
}

/* The verdict of an entry on incarnation e->incarnation >= m->incarnation. */
static void entry_verdict(struct node *n, size_t index, const struct heartbeat_entry *e,
                          struct actions *out)
{
    struct member *m = &n->roster.member[index];
    instant since = instant_add(n->now, -(usec)e->age_ms * USEC_PER_MS);
    bool was_alive = member_alive(m);
    if (was_alive && e->standing != STANDING_LEFT && !verdict_stands(n, index))
        return; /* the accusation stands in m->accused; the member will refute it */
    if (e->standing == STANDING_FORGOTTEN && voters_has(&n->voters, m->id))
        return; /* a majority decides that, and we shall hear of it */
    if (!was_alive && m->fallen >= e->incarnation && m->standing >= e->standing) {
        if (m->standing == e->standing && instant_before(since, m->since))
            m->since = since; /* all end with the earliest */
        return;
    }
    if (member_facts(m, e->incarnation, e->flags, e->weight))
        n->view_dirty = true;
    node_fell(n, out, index, e->standing, since);
}

/* An entry says that the member lives in a newer incarnation than we knew. */
static void entry_alive(struct node *n, size_t index, const struct heartbeat_entry *e, usec proof,
                        struct actions *out)
{
    struct member *m = &n->roster.member[index];
    if (proof == AGE_NEVER || proof >= n->config.dead_after || e->incarnation <= m->fallen)
        return;
    bool was_alive = member_alive(m);
    m->stranger = m->guessed = false;
    if (member_facts(m, e->incarnation, e->flags, e->weight))
        n->view_dirty = true;
    instant *evidence = &n->roster.evidence[index], at = instant_add(n->now, -proof);
    *evidence = instant_max(*evidence, at);
    n->roster.proof[index] = instant_max(n->roster.proof[index], at);
    if (!was_alive && member_alive(m))
        node_rose(n, m, out);
}

static usec proof_of(const struct heartbeat *h, uint32_t id)
{
    for (size_t i = 0; i < h->acks; i++)
        if (h->ack[i].member == id)
            return h->ack[i].proof;
    return AGE_NEVER;
}

/* An entry as most are: it says what we know. It may also be evidence, but that has
 * been taken with the acknowledgements. */
static bool entry_known(const struct member *m, const struct heartbeat_entry *e)
{
    return member_alive(m) && !m->guessed && e->standing == STANDING_ALIVE &&
           e->incarnation == m->incarnation && (e->flags & HEARTBEAT_FACTS) == m->flags &&
           e->weight == m->weight && e->order <= m->order && e->accused <= m->accused;
}

/* A place for the member that an entry is of, if it is to have one. */
static int entry_add(struct node *n, const struct heartbeat_entry *e, struct actions *out)
{
    if (e->standing == STANDING_FORGOTTEN)
        return ROSTER_NONE;
    int index = node_member_add(n, e->name);
    if (index == ROSTER_NONE)
        node_note(n, out, NOTE_ROSTER_FULL, e->name, MEMBERS_MAX, 0);
    return index;
}

/* What a living member says of a third, at `index`. */
static void entry_take(struct node *n, const struct heartbeat_entry *e, int index,
                       struct actions *out)
{
    struct member *m = &n->roster.member[index];
    if (entry_known(m, e))
        return;
    bool rises = e->standing == STANDING_ALIVE && !member_alive(m) && e->incarnation > m->fallen;
    if (m->guessed && e->incarnation >= m->incarnation && !rises) {
        m->guessed = false;
        n->view_dirty = member_facts(m, e->incarnation, e->flags, e->weight) || n->view_dirty;
    }
    node_order(n, m, e->order);
    if (e->accused > m->accused && e->accused >= m->incarnation) {
        m->accused = e->accused;
        m->tell = URGENT_TIMES;
    }
    usec proof = proof_of(n->in, m->id);
    if (e->standing == STANDING_ALIVE)
        entry_alive(n, (size_t)index, e, proof, out);
    else if (e->incarnation >= m->incarnation)
        entry_verdict(n, (size_t)index, e, out);
}

/* Evidence: whom the sender has heard both ways. */
static void acks_take(struct node *n, const struct heartbeat *h)
{
    int index = ROSTER_NONE;
    for (size_t i = 0; i < h->acks; i++) {
        /* They come in the order of a roster, which is most likely like ours. */
        index = roster_find_id_near(&n->roster, h->ack[i].member, index + 1);
        if (index == ROSTER_NONE || h->ack[i].proof == AGE_NEVER)
            continue;
        const struct member *m = &n->roster.member[index];
        instant at = instant_add(n->now, -h->ack[i].proof), *evidence = &n->roster.evidence[index];
        if (!instant_before(n->roster.proof[index], at) || m->self || !member_alive(m))
            continue;
        n->roster.proof[index] = at;
        *evidence = instant_max(*evidence, at);
    }
}

size_t node_gossip(struct node *n, size_t sender, struct actions *out)
{
    const struct heartbeat *h = n->in;
    bool alive = member_alive(&n->roster.member[sender]);
    if (alive)
        acks_take(n, h);
    int index = ROSTER_NONE;
    for (size_t i = 0; i < h->entries; i++) {
        const struct heartbeat_entry *e = &h->entry[i];
        index = roster_find_near(&n->roster, e->name, index + 1); /* most are in its order */
        /* What a member that we call dead says of us we have to know: it may
         * call us dead too, and only a refutation brings us together. */
        if (index == (int)n->roster.self)
            entry_self(n, e, out);
        if (index == (int)n->roster.self || !alive || e->incarnation == 0 || index == (int)sender)
            continue;
        if (index == ROSTER_NONE) {
            index = entry_add(n, e, out);
            sender += index != ROSTER_NONE && index <= (int)sender;
        }
        if (index != ROSTER_NONE)
            entry_take(n, e, index, out);
    }
    return sender;
}
