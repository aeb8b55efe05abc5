/*
 * quorum = "majority": a claim lives only on a lease that a majority of the
 * voters has backed, so never do two nodes claim one bucket, whatever the network
 * and the schedulers do (S1). The argument, in the terms of the code:
 *
 *  - A voter pronounces us dead only `dead_after` after it last heard us both
 *    ways. So while a majority has heard what we sent at `quorum_at` or later, no
 *    majority can have pronounced us dead before quorum_at + dead_after, and our
 *    lease ends at quorum_at + lease, which is earlier. (Lampson's leases; the
 *    clocks' rates may differ by no more than dead_after / lease.)
 *  - Who claims a bucket had, at one instant after it formed its view, a majority
 *    of voters in that same view: two rounds of agreement enclose the instant
 *    (node_view.c). At that instant whoever the view calls dead had no lease, or
 *    one of that majority would have backed it; so it had lapsed, and what it
 *    claims later it has to be granted anew, after that instant.
 *  - Versions of the voters differ by one member, a later one counts only backing
 *    by those that have not moved on, and after a change nothing is granted for
 *    `dead_after`: so neighbouring majorities meet, and farther ones never hold a
 *    lease at one time.
 *
 * References: Gray and Cheriton, Leases (1989); Moraru et al., Paxos Quorum Leases
 * (2014); voters.h for the roster. tests/model searches this for a way out.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "ipclusterd/buf.h"
#include "node_impl.h"

bool node_majority(const struct node *n)
{
    return n->config.quorum == QUORUM_MAJORITY;
}

/* Who is no voter has no place in the view. */
static void outsiders_mark(struct node *n)
{
    bool founded = n->voters.lineage != 0;
    for (size_t i = 0; i < n->roster.count; i++) {
        struct member *m = &n->roster.member[i];
        bool outsider = founded && !voters_has(&n->voters, m->id);
        if (outsider == m->outsider)
            continue;
        m->outsider = outsider;
        n->view_dirty = true;
    }
}

static void found(struct node *n, const uint32_t *id, size_t count, uint64_t lineage)
{
    voters_found(&n->voters, lineage, id, count);
    n->voters_at = n->now;
    n->voters_settled = false;
    n->store_dirty = n->view_dirty = true;
}

void node_quorum_init(struct node *n)
{
    voters_init(&n->voters, n->roster.member[n->roster.self].id);
    n->quorum_at = n->ballot_at = n->want_until = INSTANT_PAST;
    n->voters_at = INSTANT_PAST;
    n->quorate = !node_majority(n);
}

/* Another version: nothing is granted on it before the old one's leases are over. */
static void changed(struct node *n, struct actions *out)
{
    const struct voters_change *last = &n->voters.last;
    int index = roster_find_id(&n->roster, last->member);
    const char *who = index == ROSTER_NONE ? "" : n->roster.member[index].name;
    n->voters_at = n->now;
    n->voters_settled = false;
    n->view_dirty = n->store_dirty = true;
    n->agreed = n->seconded = false;
    n->view_sequence = n->sequence + 1;
    if (n->voters.want.kind == CHANGE_NONE)
        n->want_until = INSTANT_PAST;
    outsiders_mark(n);
    node_note(n, out, NOTE_VOTERS, who, n->voters.version, (int64_t)n->voters.count);
    node_urgent(n);
    struct member *m = index == ROSTER_NONE ? NULL : &n->roster.member[index];
    if (m != NULL && last->kind == CHANGE_REMOVE && !m->self && !m->stranger && !member_alive(m) &&
        m->standing != STANDING_FORGOTTEN)
        node_fell(n, out, (size_t)index, STANDING_FORGOTTEN, n->now);
}

static void follow(struct node *n, enum voters_result result, struct actions *out)
{
    if (result == VOTERS_SAME)
        return;
    n->store_dirty = true;
    if (result == VOTERS_CHANGED)
        changed(n, out);
    else
        node_urgent(n);
}

/* Two foundings have met, and ours is the lesser: we are newcomers again. */
static void dissolve(struct node *n, const struct member *winner, struct actions *out)
{
    node_note(n, out, NOTE_DISSOLVED, winner->name, 0, (int64_t)n->in->voters.count);
    voters_dissolve(&n->voters);
    n->voters_at = n->now;
    n->voters_settled = false;
    n->store_dirty = n->view_dirty = true;
    outsiders_mark(n);
    node_rejoin(n);
}

/* Backs us: it is alive to us, calls us alive, and its version is not ahead. */
static void backing_take(struct node *n, struct member *m, const struct heartbeat_ack *ack,
                         instant sent_at)
{
    const struct voters_word *w = &n->in->voters;
    if (ack->proof == AGE_NEVER || w->lineage != n->voters.lineage ||
        w->version > n->voters.version || !member_alive(m))
        return;
    /* It heard us both ways `proof` before it sent this, and what it acknowledges
     * `age` before; the later of the two is the one that it acknowledges. */
    usec older = ack->proof > ack->age ? ack->proof - ack->age : 0;
    m->backed = instant_max(m->backed, instant_add(sent_at, -older));
    n->backed = true;
}

void node_quorum_hear(struct node *n, size_t index, const struct heartbeat_ack *ack,
                      instant sent_at, struct actions *out)
{
    struct member *m = &n->roster.member[index];
    const struct voters_word *w = &n->in->voters;
    if (!node_majority(n))
        return;
    m->lineage = w->lineage;
    m->voters_version = w->version;
    if (w->lineage == 0)
        return;
    if (n->voters.lineage != 0 && w->lineage != n->voters.lineage) {
        if (!voters_yields(&n->voters, w))
            return;
        dissolve(n, m, out);
    }
    follow(n, voters_hear(&n->voters, m->id, w), out);
    backing_take(n, m, ack, sent_at);
}

/* The latest instant that a majority has backed; INSTANT_PAST: none. */
static instant quorum_reckon(const struct node *n)
{
    instant best[MEMBERS_MAX];
    size_t count = 0, need = voters_majority(&n->voters);
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        if (!voters_has(&n->voters, m->id) || (!m->self && !member_alive(m)))
            continue;
        instant at = m->self ? n->now : m->backed;
        size_t k = count++;
        for (; k > 0 && instant_before(best[k - 1], at); k--)
            best[k] = best[k - 1];
        best[k] = at;
    }
    return need > 0 && count >= need ? best[need - 1] : INSTANT_PAST;
}

static size_t voters_heard(const struct node *n)
{
    size_t heard = 0;
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        bool here =
            m->self || (member_alive(m) && instant_diff(n->now, m->heard) < node_dead_after(n));
        heard += here && voters_has(&n->voters, m->id);
    }
    return heard;
}

/* The lineage of a founding by the configuration: the same on every node that has
 * the same list, in any order. */
static uint64_t founders_lineage(const struct node_config *c)
{
    uint64_t lineage = 0;
    for (size_t i = 0; i < c->founders; i++) {
        uint8_t bytes[4] = {(uint8_t)(c->founder[i] >> 24), (uint8_t)(c->founder[i] >> 16),
                            (uint8_t)(c->founder[i] >> 8), (uint8_t)c->founder[i]};
        lineage += hash64(bytes, sizeof bytes);
    }
    return lineage | 1;
}

/*
 * Nothing was stored, and nobody that is heard has been founded. With a list in
 * the configuration that is what is founded; else the living, of which all agree,
 * by the first of them by name, whom the others follow. One alone founds nothing:
 * it may have lost its memory, and be cut off from those who have not.
 */
static void founding_watch(struct node *n, struct actions *out)
{
    const struct node_config *c = &n->config;
    uint32_t id[MEMBERS_MAX];
    size_t count = 0;
    bool first = true;
    if (instant_diff(n->now, n->born) < 2 * c->dead_after || n->barred || n->mute || !n->link_up ||
        n->leaving || instant_before(n->now, n->listen_until))
        return;
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        if (m->stranger || !member_alive(m))
            continue;
        if (m->lineage != 0 && !m->self)
            return; /* there is a founded cluster: it will take us in */
        first = first && (count > 0 || m->self);
        id[count++] = m->id;
    }
    if (c->founders > 0)
        found(n, c->founder, c->founders, founders_lineage(c));
    else if (first && count > 1 && n->agreed)
        found(n, id, count, n->salt | 1);
    else
        return;
    changed(n, out);
}

/* Who comes, has learned of the voters, and is not yet one; or a voter that has
 * lost its memory: it has to go before it can come. */
static struct voters_change due_change(const struct node *n, const struct member *m)
{
    const struct voters_change none = {CHANGE_NONE, 0};
    if (m->self || m->stranger || m->misfit || !member_alive(m) ||
        instant_diff(n->now, m->heard) >= n->config.dead_after ||
        (m->flags & HEARTBEAT_LEAVING) != 0)
        return none;
    if (m->outsider && m->lineage == n->voters.lineage)
        return (struct voters_change){CHANGE_ADD, m->id};
    instant since = instant_max(m->since, n->voters_at); /* it may be about to follow */
    bool settled = instant_diff(n->now, since) >= 4 * n->config.dead_after;
    if (!m->outsider && m->lineage == 0 && settled)
        return (struct voters_change){CHANGE_REMOVE, m->id};
    return none;
}

/* What is due is proposed by the first voter that lives. */
static void change_propose(struct node *n)
{
    if (n->voters.want.kind != CHANGE_NONE)
        return;
    for (size_t i = 0; i < n->roster.self; i++) {
        const struct member *m = &n->roster.member[i];
        if (member_lives(m) && m->lineage == n->voters.lineage && voters_has(&n->voters, m->id))
            return;
    }
    for (size_t i = 0; i < n->roster.count; i++) {
        struct voters_change due = due_change(n, &n->roster.member[i]);
        if (due.kind == CHANGE_NONE)
            continue;
        voters_want(&n->voters, due);
        return;
    }
}

/* Goes on with what is proposed; duels of proposers end since they wait unequally. */
static void ballot_watch(struct node *n, struct actions *out)
{
    usec patience = n->config.interval * (usec)(3 + n->roster.self % 8);
    bool retry = node_ticks(n) && instant_diff(n->now, n->ballot_at) >= patience;
    if (retry)
        n->ballot_at = n->now;
    follow(n, voters_step(&n->voters, retry), out);
}

/* An operator's wish that has had its time. */
static void wish_watch(struct node *n, struct actions *out)
{
    if (!node_ticks(n) || n->want_until.us == INSTANT_PAST.us ||
        instant_before(n->now, n->want_until))
        return;
    if (n->voters.want.kind == CHANGE_REMOVE) {
        int index = roster_find_id(&n->roster, n->voters.want.member);
        node_note(n, out, NOTE_VOTERS_REFUSED,
                  index == ROSTER_NONE ? "" : n->roster.member[index].name, CHANGE_REMOVE, 0);
        voters_want(&n->voters, (struct voters_change){CHANGE_NONE, 0});
    }
    n->want_until = INSTANT_PAST;
}

void node_quorum_watch(struct node *n, struct actions *out)
{
    if (!node_majority(n))
        return;
    outsiders_mark(n);
    if (n->voters.lineage == 0 && node_ticks(n))
        founding_watch(n, out);
    bool settled = instant_diff(n->now, n->voters_at) >= n->config.dead_after;
    if (node_ticks(n) && settled != n->voters_settled) {
        n->voters_settled = settled;
        n->serve_dirty = true;
    }
    bool quorate = n->quorate;
    n->quorum_heard = voters_heard(n);
    size_t need = voters_majority(&n->voters);
    n->quorate = need > 0 && n->quorum_heard >= need;
    n->quorum_at = quorum_reckon(n);
    n->watch_stale = n->watch_stale || n->quorate != quorate;
    if (n->quorate != quorate)
        node_note(n, out, NOTE_QUORUM, "", n->quorate, (int64_t)n->quorum_heard);
    if (n->quorate && voters_has(&n->voters, node_self(n)->id)) {
        if (node_ticks(n))
            change_propose(n);
        ballot_watch(n, out);
    }
    wish_watch(n, out);
}

bool node_quorum_grants(const struct node *n)
{
    if (!node_majority(n))
        return true;
    return n->quorate && voters_has(&n->voters, n->roster.member[n->roster.self].id) &&
           instant_before(n->now, instant_add(n->quorum_at, n->config.lease)) && n->voters_settled;
}

usec node_lease_span(const struct node *n)
{
    if (!node_majority(n))
        return n->config.lease;
    if (!voters_has(&n->voters, n->roster.member[n->roster.self].id))
        return 0;
    return instant_diff(instant_add(n->quorum_at, n->config.lease), n->now);
}

usec node_lease_gained(const struct node *n)
{
    return instant_diff(instant_add(n->now, node_lease_span(n)), n->renew_until);
}

uint64_t node_quorum_digest(const struct node *n)
{
    if (!node_majority(n))
        return 0;
    return (n->voters.lineage ^ (uint64_t)n->voters.version * 0x9e3779b97f4a7c15u) | 1;
}

/* With the list for those who are behind, or of another founding. */
void node_quorum_tell(struct node *n, struct voters_word *w)
{
    w->lineage = 0;
    if (!node_majority(n))
        return;
    bool list = n->alive <= 1;
    for (size_t i = 0; i < n->roster.count && !list; i++) {
        const struct member *m = &n->roster.member[i];
        list = !m->self && !m->stranger && member_alive(m) &&
               (m->lineage != n->voters.lineage || m->voters_version < n->voters.version);
    }
    voters_tell(&n->voters, list, w);
}

void node_quorum_forget(struct node *n, size_t index, struct actions *out)
{
    const struct member *m = &n->roster.member[index];
    voters_want(&n->voters, (struct voters_change){CHANGE_REMOVE, m->id});
    n->want_until = instant_add(n->now, 10 * n->config.dead_after + USEC_PER_S);
    n->ballot_at = n->now;
    if (!n->quorate) {
        n->want_until = INSTANT_PAST;
        voters_want(&n->voters, (struct voters_change){CHANGE_NONE, 0});
        node_note(n, out, NOTE_VOTERS_REFUSED, m->name, CHANGE_REMOVE, 0);
    }
}

/* voters_save(), its length before it; the names of the voters that we know; a hash
 * of it all. */
void node_quorum_store(struct node *n, struct actions *out)
{
    if (!node_majority(n) || !n->store_dirty)
        return;
    n->store_dirty = false;
    struct writer w;
    writer_init(&w, n->stored, sizeof n->stored);
    write_u16(&w, 0);
    size_t length = voters_save(&n->voters, n->stored + 2, VOTERS_SAVED_MAX);
    n->stored[0] = (uint8_t)(length >> 8);
    n->stored[1] = (uint8_t)length;
    w.at += length;
    for (size_t i = 0; i < n->roster.count; i++) {
        const struct member *m = &n->roster.member[i];
        if (!m->self && voters_has(&n->voters, m->id))
            write_name(&w, m->name);
    }
    write_u64(&w, hash64(n->stored, w.at));
    assert(!w.failed);
    struct action *a = node_action(out, ACTION_STORE);
    a->store.data = n->stored;
    a->store.length = w.at;
}

int node_restore(struct node *n, const uint8_t *data, size_t length)
{
    struct reader r;
    struct voters v;
    if (!node_majority(n))
        return 0;
    if (length < sizeof(uint64_t))
        return -EBADMSG;
    length -= sizeof(uint64_t);
    reader_init(&r, data + length, sizeof(uint64_t));
    if (read_u64(&r) != hash64(data, length))
        return -EBADMSG;
    reader_init(&r, data, length);
    size_t saved = read_u16(&r);
    if (r.failed || saved > length - r.at ||
        voters_load(&v, node_self(n)->id, data + r.at, saved) != 0)
        return -EBADMSG;
    r.at += saved;
    char names[MEMBERS_MAX][NAME_BYTES_MAX + 1];
    size_t count = 0;
    while (!r.failed && r.at < r.length && count < MEMBERS_MAX)
        read_name(&r, names[count++], sizeof names[0]);
    if (!reader_done(&r))
        return -EBADMSG;
    if (v.lineage == 0)
        return 0;
    n->voters = v;
    /* Voters that have not been heard yet count as alive until they prove silent. */
    for (size_t i = 0; i < count; i++) {
        if (roster_find(&n->roster, names[i]) != ROSTER_NONE)
            continue;
        int index = node_member_add(n, names[i]);
        if (index == ROSTER_NONE)
            continue;
        n->roster.member[index].stranger = false;
        n->roster.member[index].incarnation = 1;
        n->roster.member[index].guessed = true;
    }
    return 0;
}
