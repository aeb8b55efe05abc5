/*
 * What a datagram changes.
 *
 * In this order: the seal, the parse, the sender, the stream; only then, and
 * only if the heartbeat proves to be fresh (it acknowledges one of ours that is
 * younger than `dead_after`), what it says of the sender and of ourselves; and
 * only if the sender is alive, what it says of others.
 *
 * A heartbeat that came by a relay is the sender's own word like any other; only
 * who hears whom directly is reckoned without it.
 */
#include <string.h>

#include "node_impl.h"

void node_reject(struct node *n, enum reject why, const char *member, struct actions *out)
{
    n->rejected[why]++;
    if (instant_before(n->now, n->reject_note_at))
        return;
    n->reject_note_at = instant_add(n->now, NOTE_PAUSE);
    node_note(n, out, NOTE_REJECTED, member, (int64_t)why, (int64_t)n->rejected[why]);
}

const struct heartbeat_ack *node_proof(const struct node *n, uint32_t *sequence, instant *sent_at)
{
    const struct heartbeat *h = n->in;
    uint32_t id = n->roster.member[n->roster.self].id;
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

void node_rose(struct node *n, struct member *m, struct actions *out)
{
    n->view_dirty = true;
    m->since = n->now;
    node_flap_rose(n, m);
    node_note(n, out, NOTE_MEMBER_ALIVE, m->name, m->incarnation, 0);
}

/* What the sections tell of the sender itself. */
static void sections_take(struct node *n, struct member *m, struct actions *out)
{
    const struct heartbeat *h = n->in;
    member_deaf_take(m, h->deaf, h->deafs);
    n->unheard |= m->deaf_marks;
    if (h->clock_ms == 0 || n->clock_ms == 0)
        return;
    int64_t here = n->clock_ms + instant_diff(n->now, n->clock_at) / USEC_PER_MS;
    m->clock_ahead = h->clock_ms - here;
    bool far = m->clock_ahead > CLOCK_FAR || m->clock_ahead < -CLOCK_FAR;
    if (far && !m->clock_told)
        node_note(n, out, NOTE_CLOCK, m->name, m->clock_ahead, 0);
    m->clock_told = far;
}

static void direct_take(struct node *n, struct member *m, struct actions *out)
{
    if (m->suspect)
        node_note(n, out, NOTE_MEMBER_HEARD, m->name, instant_diff(n->now, m->direct), 0);
    m->suspect = false;
    m->direct = n->now;
}

/* The sender's word on itself; it has proved to be fresh. */
static void word_take(struct node *n, size_t index, struct actions *out)
{
    struct member *m = &n->roster.member[index];
    const struct heartbeat *h = n->in;
    bool was_alive = member_alive(m);
    uint16_t was_draining = m->flags & HEARTBEAT_DRAINING;
    m->stranger = m->misfit = m->guessed = false;
    m->heard = n->roster.proof[index] = n->roster.evidence[index] = n->now;
    node_config_hear(n, m, out);
    if (member_facts(m, h->incarnation, h->flags, h->weight))
        n->view_dirty = true;
    if (!member_alive(m))
        n->dead_heard = true;
    m->apart = m->apart && !member_alive(m) && (h->flags & HEARTBEAT_LEFT) == 0;
    node_order(n, m, h->order);
    node_serve_word(n, index);
    n->met = n->met || member_alive(m);
    m->said = h->flags;
    m->view = h->view;
    m->flows = h->flows;
    m->mac = h->mac;
    m->address = h->address;
    if ((h->flags & HEARTBEAT_LEFT) != 0 && h->incarnation >= m->incarnation) {
        if (was_alive)
            node_fell(n, out, index, STANDING_LEFT, n->now);
        return;
    }
    if (!was_alive && member_alive(m)) {
        m->tell = URGENT_TIMES;
        node_rose(n, m, out);
    } else if (!member_alive(m)) {
        m->tell = URGENT_TIMES; /* it does not know its verdict */
        node_answer(n);
    }
    if ((m->flags & HEARTBEAT_DRAINING) != was_draining)
        node_note(n, out, NOTE_MEMBER_DRAINING, m->name, was_draining == 0, 0);
}

/* Seen already: another link's copy, a relay's, or overtaken on the way; late, it
 * is a replay. */
static bool seen_take(struct node *n, const struct member *m, enum stream_verdict v, bool direct,
                      struct actions *out)
{
    bool late = instant_diff(n->now, m->arrived) > n->config.interval;
    if (direct && (v == STREAM_OLD || late))
        node_reject(n, REJECT_REPLAYED, m->name, out);
    return false;
}

/* True if the heartbeat continues, or begins, a boot that we believe. `proof`: of our
 * sequences the one that it has heard; 0: none lately. A boot that is over has heard
 * nothing that its successor has not, or later, so what is left of it begins no other. */
static bool stream_take(struct node *n, struct member *m, uint32_t proof, bool direct,
                        struct actions *out)
{
    const struct heartbeat *h = n->in;
    if (h->salt != m->salt || (m->sequence == 0 && m->salt == 0))
        return node_boot_take(n, m, proof > m->proved, direct, out);
    if (h->version < m->version)
        return false; /* what it says for those who know no better */
    enum stream_verdict v = member_stream(m, h->sequence);
    if (v != STREAM_NEW)
        return seen_take(n, m, v, direct, out);
    if (instant_diff(n->now, m->arrived) >= node_gap(n))
        m->arriving = n->now;
    m->arrived = n->now;
    return true;
}

/* The sender's version: of one that knows the first only, we speak that, too. */
static void version_take(struct node *n, struct member *m, bool proven, struct actions *out)
{
    if (n->in->version == WIRE_VERSION_FIRST &&
        (m->version != WIRE_VERSION_LAST || n->in->salt != m->salt)) {
        instant until = instant_add(n->now, (proven ? 4 : 1) * n->config.dead_after);
        n->old_until = instant_max(n->old_until, until);
    }
    if (!proven)
        return;
    if (m->version != n->in->version && n->in->version != WIRE_VERSION_LAST)
        node_note(n, out, NOTE_VERSION, m->name, n->in->version, 0);
    n->watch_stale = n->watch_stale || m->version != n->in->version;
    m->version = n->in->version;
}

/* The sender's place on the roster, a new one if need be; of nodes that are not
 * like us only a few have one. */
static int sender_find(struct node *n, bool fits, struct actions *out)
{
    int index = roster_find(&n->roster, n->in->name);
    size_t misfits = 0;
    if (index != ROSTER_NONE)
        return index;
    for (size_t i = 0; i < n->roster.count; i++)
        misfits += n->roster.member[i].misfit;
    if (!fits && misfits >= MISFITS_MAX)
        return ROSTER_NONE;
    index = node_member_add(n, n->in->name);
    if (index == ROSTER_NONE)
        node_note(n, out, NOTE_ROSTER_FULL, n->in->name, MEMBERS_MAX, 0);
    else
        n->roster.member[index].misfit = !fits;
    n->odd = n->odd || !fits;
    return index;
}

/* A heartbeat of another node that opens and parses: the member that it is of, if
 * it is news and fresh, else ROSTER_NONE. */
static int sender_take(struct node *n, bool direct, const struct heartbeat_ack **ack,
                       instant *sent_at, struct actions *out)
{
    bool fits = node_fits(n);
    if (!fits)
        n->rejected[REJECT_CONFIG_MISMATCH]++;
    int index = sender_find(n, fits, out);
    if (index == ROSTER_NONE)
        return ROSTER_NONE;
    struct member *m = &n->roster.member[index];
    uint32_t sequence = 0;
    *ack = node_proof(n, &sequence, sent_at);
    bool news = stream_take(n, m, *ack != NULL ? sequence : 0, direct, out);
    m->refits = news ? fits : m->refits;
    version_take(n, m, news && *ack != NULL, out);
    /* A boot that goes on, by a daemon that has heard nobody yet. */
    if (news && fits && n->in->acks == 0 && (n->in->flags & HEARTBEAT_ASKING) != 0)
        node_answer(n);
    if (!news || *ack == NULL)
        return ROSTER_NONE;
    if (sequence > m->proved)
        m->proved = sequence;
    if (!fits) {
        node_misfit_hear(n, (size_t)index, out);
        return ROSTER_NONE;
    }
    m->acked = sequence;
    double rtt = (double)(instant_diff(n->now, *sent_at) - (*ack)->age);
    if (rtt >= 0 && direct)
        m->rtt = m->rtt <= 0 ? rtt : m->rtt + (rtt - m->rtt) / 8;
    return index;
}

/* A heartbeat that opens and parses. */
static void letter_hear(struct node *n, const struct letter *letter, struct actions *out)
{
    const struct heartbeat *h = n->in;
    bool direct = letter->stamp.type != SEAL_TYPE_RELAY;
    if (strcmp(h->name, node_self(n)->name) == 0) {
        node_rival_hear(n, out);
        return;
    }
    const struct heartbeat_ack *ack = NULL;
    instant sent_at = INSTANT_PAST;
    int index = sender_take(n, direct, &ack, &sent_at, out);
    if (index == ROSTER_NONE)
        return;
    /* Who has another view will ask again when that has changed; a newcomer has all
     * to learn. */
    if ((h->flags & HEARTBEAT_ASKING) != 0 &&
        (h->view == n->view || (h->flags & HEARTBEAT_JOINING) != 0))
        node_answer(n);
    word_take(n, (size_t)index, out);
    if (direct)
        direct_take(n, &n->roster.member[index], out);
    if (h->version > WIRE_VERSION_FIRST) {
        sections_take(n, &n->roster.member[index], out);
        node_keys_hear(n, (size_t)index, out);
        if (member_alive(&n->roster.member[index]))
            node_flap_hear(n, out);
        node_quorum_hear(n, (size_t)index, ack, sent_at, out);
    }
    size_t sender = node_gossip(n, (size_t)index, out);
    if (direct && member_lives(&n->roster.member[sender]))
        node_relay(n, sender, letter, out);
}

void node_hear(struct node *n, const uint8_t *data, size_t length, struct actions *out)
{
    enum reject why = REJECT_NONE;
    const struct letter *letter = node_keys_open(n, data, length, &why);
    if (letter == NULL || !letter->readable) {
        node_reject(n, letter == NULL ? why : REJECT_MALFORMED, "", out);
        return;
    }
    n->in = &letter->says;
    letter_hear(n, letter, out);
    n->in = NULL;
}

void node_expect(const struct node *n, size_t place)
{
    enum { LINE = 64 };
    if (place >= MEMBERS_MAX)
        return;
    const char *member = (const char *)&n->roster.member[place];
    __builtin_prefetch(member, 1);
    __builtin_prefetch(member + LINE, 1);
}
