/*
 * What a datagram changes.
 *
 * In this order: the seal, the parse, the sender, the stream; only then, and
 * only if the heartbeat proves to be fresh (it acknowledges one of ours that is
 * younger than `dead_after`), what it says of the sender and of ourselves; and
 * only if the sender is alive, what it says of others.
 *
 * Evidence for a third member is what a living member heard of it both ways
 * itself; it is never passed on, so it cannot go round in circles.
 */
#include <string.h>

#include "node_impl.h"

static void reject(struct node *n, enum reject why, const char *member, struct actions *out)
{
    n->rejected[why]++;
    if (instant_before(n->now, n->reject_note_at))
        return;
    n->reject_note_at = instant_add(n->now, NOTE_PAUSE);
    node_note(n, out, NOTE_REJECTED, member, (int64_t)why, (int64_t)n->rejected[why]);
}

/* Our heartbeat that `h` acknowledges, if it is younger than dead_after. */
static const struct heartbeat_ack *proof_find(struct node *n, const struct heartbeat *h,
                                              uint32_t *sequence, instant *sent_at)
{
    uint32_t id = node_self(n)->id;
    for (size_t i = 0; i < h->acks; i++) {
        uint64_t distance = h->ack[i].stamp - n->salt;
        if (h->ack[i].member != id || distance == 0 || distance > n->sequence)
            continue;
        *sequence = (uint32_t)distance;
        size_t slot = *sequence % SENT_KEPT;
        if (n->sent[slot].sequence != *sequence)
            continue;
        *sent_at = n->sent[slot].at;
        if (instant_diff(n->now, *sent_at) <= n->config.dead_after)
            return &h->ack[i];
    }
    return NULL;
}

/* Somebody says that we are dead, or knows a higher incarnation of us. */
static void refute(struct node *n, uint32_t incarnation, struct actions *out)
{
    struct member *self = node_self(n);
    if (incarnation < self->incarnation || n->farewells > 0)
        return;
    self->incarnation = incarnation;
    node_facts(n);
    node_note(n, out, NOTE_REFUTED, "", self->incarnation, 0);
}

static void order_take(struct node *n, struct member *m, uint32_t order)
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
    order_take(n, self, e->order);
    if (e->accused >= self->incarnation || e->incarnation > self->incarnation ||
        (e->standing != STANDING_ALIVE && e->incarnation >= self->incarnation))
        refute(n, e->accused > e->incarnation ? e->accused : e->incarnation, out);
}

/* The verdict of an entry on incarnation e->incarnation >= m->incarnation. */
static void entry_verdict(struct node *n, size_t index, const struct heartbeat_entry *e,
                          struct actions *out)
{
    struct member *m = &n->roster.member[index];
    instant since = instant_add(n->now, -(usec)e->age_ms * USEC_PER_MS);
    bool was_alive = member_alive(m);
    if (was_alive && e->standing == STANDING_DEAD &&
        instant_diff(n->now, m->evidence) < n->config.dead_after)
        return; /* the accusation stands in m->accused; the member will refute it */
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
    m->stranger = false;
    if (member_facts(m, e->incarnation, e->flags, e->weight))
        n->view_dirty = true;
    m->evidence = instant_max(m->evidence, instant_add(n->now, -proof));
    if (!was_alive && member_alive(m)) {
        n->view_dirty = true;
        m->since = n->now;
        node_note(n, out, NOTE_MEMBER_ALIVE, m->name, m->incarnation, 0);
    }
}

static usec proof_of(const struct heartbeat *h, uint32_t id)
{
    for (size_t i = 0; i < h->acks; i++)
        if (h->ack[i].member == id)
            return h->ack[i].proof;
    return AGE_NEVER;
}

/* What a living member says of a third. */
static void entry_take(struct node *n, const struct heartbeat_entry *e, struct actions *out)
{
    if (e->incarnation == 0)
        return;
    int index = roster_find(&n->roster, e->name);
    if (index == ROSTER_NONE) {
        if (e->standing == STANDING_FORGOTTEN)
            return;
        index = node_member_add(n, e->name);
        if (index == ROSTER_NONE) {
            node_note(n, out, NOTE_ROSTER_FULL, e->name, MEMBERS_MAX, 0);
            return;
        }
    }
    struct member *m = &n->roster.member[index];
    order_take(n, m, e->order);
    if (e->accused > m->accused && e->accused >= m->incarnation) {
        m->accused = e->accused;
        m->tell = URGENT_TIMES;
    }
    usec proof = proof_of(&n->in, m->id);
    if (e->standing == STANDING_ALIVE)
        entry_alive(n, (size_t)index, e, proof, out);
    else if (e->incarnation >= m->incarnation)
        entry_verdict(n, (size_t)index, e, out);
}

/* Evidence: whom the sender has heard both ways. */
static void acks_take(struct node *n, const struct heartbeat *h)
{
    for (size_t i = 0; i < h->acks; i++) {
        int index = roster_find_id(&n->roster, h->ack[i].member);
        if (index == ROSTER_NONE || h->ack[i].proof == AGE_NEVER)
            continue;
        struct member *m = &n->roster.member[index];
        instant at = instant_add(n->now, -h->ack[i].proof);
        if (!m->self && member_alive(m) && instant_before(m->evidence, at))
            m->evidence = at;
    }
}

/* The sender's word on itself; it has proved to be fresh. */
static void word_take(struct node *n, size_t index, const struct heartbeat *h, struct actions *out)
{
    struct member *m = &n->roster.member[index];
    bool was_alive = member_alive(m);
    uint16_t was_draining = m->flags & HEARTBEAT_DRAINING;
    m->stranger = false;
    m->heard = m->evidence = n->now;
    n->met = true;
    if (member_facts(m, h->incarnation, h->flags, h->weight))
        n->view_dirty = true;
    order_take(n, m, h->order);
    if (m->said != h->flags || m->view != h->view || !bitmap_equal(&m->claim, &h->claim) ||
        !bitmap_equal(&m->linger, &h->linger))
        n->serve_dirty = true;
    m->said = h->flags;
    m->view = h->view;
    m->flows = h->flows;
    m->claim = h->claim;
    m->linger = h->linger;
    m->mac = h->mac;
    m->address = h->address;
    if (m->suspect)
        m->suspect = false;
    if ((h->flags & HEARTBEAT_LEFT) != 0 && h->incarnation >= m->incarnation) {
        if (was_alive)
            node_fell(n, out, index, STANDING_LEFT, n->now);
        return;
    }
    if (!was_alive && member_alive(m)) {
        n->view_dirty = true;
        m->since = n->now;
        m->tell = URGENT_TIMES;
        node_note(n, out, NOTE_MEMBER_ALIVE, m->name, m->incarnation, 0);
    } else if (!member_alive(m)) {
        m->tell = URGENT_TIMES; /* it does not know its verdict */
        node_answer(n);
    }
    if ((m->flags & HEARTBEAT_DRAINING) != was_draining)
        node_note(n, out, NOTE_MEMBER_DRAINING, m->name, was_draining == 0, 0);
}

/* True if the heartbeat continues, or begins, a boot that we believe. */
static bool stream_take(struct node *n, struct member *m, const struct heartbeat *h, bool fresh,
                        struct actions *out)
{
    if (h->salt == m->salt) {
        instant first = m->arrived;
        switch (member_stream(m, h->sequence)) {
        case STREAM_NEW:
            m->arrived = n->now;
            return true;
        case STREAM_DUPLICATE:
            /* Another link's copy, or overtaken on the way; late, it is a replay. */
            if (instant_diff(n->now, first) > n->config.interval)
                reject(n, REJECT_REPLAYED, m->name, out);
            return false;
        case STREAM_OLD:
            reject(n, REJECT_REPLAYED, m->name, out);
            return false;
        }
    }
    if (fresh) {
        member_reboot(m, h->salt, h->sequence);
        m->arrived = n->now;
        return true;
    }
    /* An unknown boot, or a recording of an old one: it has to prove itself. */
    if (h->salt != m->next_salt || h->sequence > m->next_sequence) {
        m->next_salt = h->salt;
        m->next_sequence = h->sequence;
        m->next_at = n->now;
        node_answer(n);
    } else {
        reject(n, REJECT_REPLAYED, m->name, out);
    }
    return false;
}

/* True if the sender is one of us: not ourselves, not of another configuration. */
static bool sender_right(struct node *n, const struct heartbeat *h, struct actions *out)
{
    const struct member *self = node_self(n);
    if (strcmp(h->name, self->name) == 0) {
        if (h->salt != n->salt && !instant_before(n->now, n->conflict_note_at)) {
            n->conflict_note_at = instant_add(n->now, 10 * NOTE_PAUSE);
            node_note(n, out, NOTE_NAME_CONFLICT, "", 0, 0);
        }
        n->rejected[REJECT_REPLAYED]++;
        return false;
    }
    if (h->config == n->config.config_digest && h->buckets == n->config.buckets)
        return true;
    n->rejected[REJECT_CONFIG_MISMATCH]++;
    if (!instant_before(n->now, n->mismatch_note_at)) {
        n->mismatch_note_at = instant_add(n->now, 10 * NOTE_PAUSE);
        node_note(n, out, NOTE_CONFIG_MISMATCH, h->name, (int64_t)h->config, 0);
    }
    return false;
}

void node_hear(struct node *n, const uint8_t *data, size_t length, struct actions *out)
{
    struct heartbeat *h = &n->in;
    size_t plain_length = 0;
    enum reject why = seal_open(&n->seal, data, length, n->plain, &plain_length);
    if (why == REJECT_NONE && heartbeat_read(h, n->plain, plain_length) != 0)
        why = REJECT_MALFORMED;
    if (why != REJECT_NONE) {
        reject(n, why, "", out);
        return;
    }
    if (!sender_right(n, h, out))
        return;
    int index = roster_find(&n->roster, h->name);
    if (index == ROSTER_NONE)
        index = node_member_add(n, h->name);
    if (index == ROSTER_NONE) {
        node_note(n, out, NOTE_ROSTER_FULL, h->name, MEMBERS_MAX, 0);
        return;
    }
    struct member *m = &n->roster.member[index];
    uint32_t sequence = 0;
    instant sent_at = INSTANT_PAST;
    const struct heartbeat_ack *ack = proof_find(n, h, &sequence, &sent_at);
    if (!stream_take(n, m, h, ack != NULL, out) || ack == NULL)
        return;

    m->acked = sequence;
    double rtt = (double)(instant_diff(n->now, sent_at) - ack->age);
    if (rtt >= 0)
        m->rtt = m->rtt <= 0 ? rtt : m->rtt + (rtt - m->rtt) / 8;
    if ((h->flags & HEARTBEAT_ASKING) != 0)
        node_answer(n);
    word_take(n, (size_t)index, h, out);
    bool alive = member_alive(&n->roster.member[index]);
    if (alive)
        acks_take(n, h);
    for (size_t i = 0; i < h->entries; i++) {
        /* What a member that we call dead says of us we have to know: it may
         * call us dead too, and only a refutation brings us together. */
        bool of_self = strcmp(h->entry[i].name, node_self(n)->name) == 0;
        if (of_self)
            entry_self(n, &h->entry[i], out);
        else if (alive && strcmp(h->entry[i].name, h->name) != 0)
            entry_take(n, &h->entry[i], out);
    }
}
