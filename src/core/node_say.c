/*
 * What a node tells: one heartbeat, to all, every interval; at once and three
 * times after a change; once more when somebody asks. Everything beside the
 * regular heartbeat is spaced and budgeted, so that a storm of changes cannot
 * become a storm of datagrams.
 *
 * A heartbeat never exceeds the datagram limit: acknowledgements come first
 * (liveness hangs on them), then members with news, then the others in turn.
 */
#include <string.h>

#include "node_impl.h"

/* Between two heartbeats that follow each other at once. */
static usec gap(const struct node *n)
{
    usec g = n->config.interval / 64;
    return g > 5 * USEC_PER_MS ? 5 * USEC_PER_MS : g;
}

/* How many heartbeats may go out beside the regular one, until the next. Each is
 * heard by all: the more there are, the less each of them needs to say. */
static unsigned budget(const struct node *n)
{
    /* Also of those that seem to be dead: if that is for want of time, it would get worse. */
    size_t fair = BUDGET_OF_ALL / n->roster.count;
    return fair > BUDGET_MOST ? BUDGET_MOST : fair < BUDGET_LEAST ? BUDGET_LEAST : (unsigned)fair;
}

void node_urgent(struct node *n)
{
    n->urgent_left = URGENT_TIMES;
    n->urgent_at = instant_max(n->now, instant_add(n->said_at, gap(n)));
}

/* Of many that ask at once each hears the one answer. */
void node_answer(struct node *n)
{
    usec pause = gap(n) * (usec)(1 + n->alive / 4), most = n->config.interval / 8;
    instant at = instant_add(n->said_at, pause < most ? pause : most);
    if (n->urgent_left > 0 && !instant_before(at, n->urgent_at))
        return;
    if (n->farewells > 0)
        return; /* who asks does not hasten the last word */
    if (n->urgent_left == 0)
        n->urgent_left = 1;
    n->urgent_at = instant_max(n->now, at);
}

static uint16_t flags(const struct node *n)
{
    uint16_t f = n->roster.member[n->roster.self].flags;
    if (!n->joined || !n->leased) /* what is forwarded to us needs the lease */
        f |= HEARTBEAT_JOINING;
    if ((!n->agreed && n->alive > 1) || n->resuming)
        f |= HEARTBEAT_ASKING;
    if (n->farewells > 0)
        f |= HEARTBEAT_LEFT;
    return f;
}

static void ack_add(struct node *n, struct heartbeat *h, const struct member *m, uint64_t stamp,
                    instant at)
{
    if (instant_diff(n->now, at) > 2 * n->config.dead_after)
        return;
    /* Of who has become a misfit we hear, but it is none of us: nobody is to keep it. */
    bool one_of_us = member_alive(m) && !m->misfit;
    usec proof = one_of_us ? instant_diff(n->now, m->heard) : n->config.dead_after;
    h->ack[h->acks++] = (struct heartbeat_ack){
        .member = m->id,
        .stamp = stamp,
        .age = instant_diff(n->now, at),
        .proof = proof < n->config.dead_after ? proof : AGE_NEVER,
    };
}

/* Acknowledges whoever was heard lately; in turn if there is no room for all. */
static void acks_add(struct node *n, struct heartbeat *h, size_t room)
{
    size_t most = room / HEARTBEAT_ACK_BYTES, count = n->roster.count;
    most = most < MEMBERS_MAX ? most : MEMBERS_MAX;
    if (most > 0 && instant_diff(n->now, n->rival.at) <= 2 * n->config.dead_after)
        h->ack[h->acks++] = (struct heartbeat_ack){
            .member = node_self(n)->id,
            .stamp = n->rival.salt + n->rival.sequence,
            .age = instant_diff(n->now, n->rival.at),
            .proof = AGE_NEVER,
        };
    for (size_t i = 0; i < count && h->acks + 2 <= most; i++) {
        size_t at = (n->ack_cursor + i) % count;
        const struct member *m = &n->roster.member[at];
        if (m->self)
            continue;
        ack_add(n, h, m, m->salt + m->sequence, m->arrived);
        /* A new boot that wants to prove itself, or a recording of an old one:
         * it must not displace the member that we know. */
        for (size_t k = 0; k < BOOTS_MAX && h->acks < most; k++)
            if (m->boot[k].sequence != 0)
                ack_add(n, h, m, m->boot[k].salt + m->boot[k].sequence, m->boot[k].at);
        if (h->acks + 2 > most)
            n->ack_cursor = (at + 1) % count;
    }
}

static void entry_add(struct node *n, struct heartbeat *h, const struct member *m)
{
    struct heartbeat_entry *e = &h->entry[h->entries++];
    memcpy(e->name, m->name, sizeof e->name);
    e->standing = member_standing(m);
    e->flags = m->flags;
    e->weight = m->weight;
    e->incarnation = m->incarnation;
    e->accused = m->accused;
    e->order = m->order;
    usec age = e->standing == STANDING_ALIVE ? 0 : instant_diff(n->now, m->since) / USEC_PER_MS;
    e->age_ms = age > UINT32_MAX ? UINT32_MAX : (uint32_t)age;
}

static void entries_add(struct node *n, struct heartbeat *h, size_t room)
{
    bool taken[MEMBERS_MAX] = {false};
    size_t count = n->roster.count, cursor = n->entry_cursor % count;
    for (int news = 1; news >= 0; news--) {
        for (size_t i = 0; i < count; i++) {
            size_t at = (cursor + i) % count;
            struct member *m = &n->roster.member[at];
            if (room < heartbeat_entry_bytes(""))
                return;
            if (m->self || m->stranger || m->guessed || taken[at] || (news && m->tell == 0))
                continue;
            size_t bytes = heartbeat_entry_bytes(m->name);
            if (bytes > room)
                continue;
            taken[at] = true;
            room -= bytes;
            entry_add(n, h, m);
            if (m->tell > 0)
                m->tell--;
            if (!news)
                n->entry_cursor = at + 1;
        }
    }
}

/* Members of another configuration are told what ours is made of. */
static bool misfits_about(const struct node *n)
{
    for (size_t i = 0; i < n->roster.count; i++)
        if (n->roster.member[i].misfit)
            return true;
    return false;
}

/* Everything but holds, which take what room is left. */
static void sections_fill(struct node *n, struct heartbeat *h)
{
    h->deafs = h->holds = h->parts = 0;
    for (size_t i = 0; i < n->roster.count && h->deafs < DEAF_MAX; i++)
        if (node_deaf_to(n, &n->roster.member[i]))
            h->deaf[h->deafs++] = n->roster.id[i];
    h->keys = n->rekey;
    h->clock_ms = 0;
    if (n->clock_ms > 0)
        h->clock_ms = n->clock_ms + instant_diff(n->now, n->clock_at) / USEC_PER_MS;
    if (misfits_about(n)) {
        h->parts = PART_MAX;
        memcpy(h->part, n->config.part, sizeof h->part);
    }
    node_quorum_tell(n, &h->voters);
    h->vips = n->config.vips;
}

/* Fills n->out but for acknowledgements and entries. */
static void heartbeat_fill(struct node *n)
{
    struct heartbeat *h = &n->out;
    const struct member *self = node_self(n);
    memcpy(h->name, self->name, sizeof h->name);
    h->salt = n->salt;
    h->sequence = n->sequence;
    h->incarnation = self->incarnation;
    h->flags = flags(n);
    h->weight = self->weight;
    h->order = self->order;
    h->config = n->config.config_digest;
    h->view = node_astray(n) ? 0 : n->view;
    h->flows = n->flows_total > UINT32_MAX ? UINT32_MAX : (uint32_t)n->flows_total;
    h->mac = n->config.mac;
    h->address = n->config.address;
    h->buckets = n->config.buckets;
    node_bits(n);
    h->claim = n->claim;
    h->linger = n->linger;
    h->acks = h->entries = 0;
    sections_fill(n, h);
}

/* Seals n->out as `version` into `out`; its length. */
static size_t heartbeat_seal(struct node *n, uint8_t version, uint8_t out[DATAGRAM_MAX])
{
    struct seal_stamp stamp = {.version = version,
                               .type = SEAL_TYPE_HEARTBEAT,
                               .salt = n->salt,
                               .member = node_self(n)->id,
                               .sequence = n->sequence};
    n->out.version = version;
    size_t length = heartbeat_write(&n->out, n->plain, sizeof n->plain);
    return seal_close(node_keys_seal(n), &stamp, n->plain, length, out, n->config.datagram_max);
}

/* Fills n->out up to the limit. */
static void heartbeat_make(struct node *n)
{
    struct heartbeat *h = &n->out;
    heartbeat_fill(n);
    h->version = WIRE_VERSION_LAST;
    size_t base = heartbeat_base_bytes(h->name, h->buckets) + heartbeat_sections_bytes(h);
    size_t limit = (size_t)n->config.datagram_max - SEAL_OVERHEAD;
    size_t room = limit > base ? limit - base : 0;
    size_t kept_for_entries = room / 4; /* so that facts travel even among many */
    acks_add(n, h, room - kept_for_entries);
    room -= h->acks * HEARTBEAT_ACK_BYTES;
    node_flap_tell(n, h, room / 4);
    room = limit - heartbeat_base_bytes(h->name, h->buckets) - h->acks * HEARTBEAT_ACK_BYTES;
    size_t sections = heartbeat_sections_bytes(h);
    entries_add(n, h, room > sections ? room - sections : 0);
}

static void send(struct node *n, struct actions *out)
{
    if (n->farewells > 1)
        n->farewells--;
    n->sequence++;
    size_t slot = n->sequence % SENT_KEPT;
    n->sent[slot].sequence = n->sequence;
    n->sent[slot].at = n->now;
    n->said_at = n->now;
    heartbeat_make(n);
    struct action *a = node_action(out, ACTION_SEND);
    a->send.data = n->datagram;
    a->send.length = heartbeat_seal(n, WIRE_VERSION_LAST, n->datagram);
    if (!instant_before(n->now, n->old_until))
        return;
    a = node_action(out, ACTION_SEND);
    a->send.data = n->old_datagram;
    a->send.length = heartbeat_seal(n, WIRE_VERSION_FIRST, n->old_datagram);
}

/*
 * The lease is renewed right after the heartbeat has been sent, never before:
 * then it outlives what the others heard last by no more than one commit,
 * and ends before anybody can evict us (S3). A shell that was stalled between
 * the two does not renew.
 */
void node_say(struct node *n, struct actions *out)
{
    bool tick = !instant_before(n->now, n->tick_at);
    if (tick) {
        instant next = instant_add(n->tick_at, n->config.interval);
        bool behind = !instant_before(n->now, next);
        n->tick_at = behind ? instant_add(n->now, n->config.interval) : next;
        n->budget = budget(n);
    }
    /* News of a plan that is on its way are told when it is in. */
    bool urgent = n->urgent_left > 0 && n->budget > 0 && !n->in_flight &&
                  !instant_before(n->now, n->urgent_at);
    /* Under a quorum the lease runs from what a majority has heard: it is renewed
     * when that gets later, whenever that is. */
    bool backed = node_majority(n) && n->joined && (tick || n->backed) &&
                  node_lease_gained(n) >= n->config.interval / 4;
    n->backed = false;
    if (!tick && !urgent) {
        if (backed)
            node_renew(n, out);
        return;
    }
    send(n, out);
    if (node_majority(n) ? backed : tick && n->joined)
        node_renew(n, out);
    if (n->urgent_left > 0 && !n->in_flight) {
        n->urgent_left--;
        /* Spaced, so that one burst of loss does not take all: 1/20, 1/5. */
        usec pause = n->urgent_left > 1 ? n->config.interval / 20 : n->config.interval / 5;
        n->urgent_at = instant_add(n->now, pause);
    }
    if (!tick)
        n->budget--;
}
