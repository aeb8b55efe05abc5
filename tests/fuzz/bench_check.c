/*
 * What is checked on the bench: see bench.h.
 */
#include <string.h>

#include "bench.h"

#define check bench_check

/* --------------------------------------------------------------- speakers */

/* When the node said what `stamp` acknowledges; INSTANT_PAST: never, or long ago. */
static instant said_at(uint64_t stamp)
{
    uint64_t sequence = stamp - bench.seed;
    size_t slot = sequence % (sizeof bench.sent / sizeof bench.sent[0]);

    if (sequence == 0 || sequence > bench.sequence || bench.sent[slot].sequence != sequence)
        return INSTANT_PAST;
    return bench.sent[slot].at;
}

bool bench_ahead(const struct heartbeat *h)
{
    uint32_t self = member_id(bench.config.name);

    for (size_t i = 0; i < h->acks; i++) {
        uint64_t sequence = h->ack[i].stamp - bench.seed;
        if (h->ack[i].member == self && sequence > bench.sequence && sequence <= UINT32_MAX)
            return true;
    }
    return false;
}

/* NULL: it has said nothing, or there are too many. */
static struct speaker *speaker_find(const char *name)
{
    uint32_t id = member_id(name);

    for (size_t i = 0; i < bench.speakers; i++)
        if (bench.speaker[i].member == id)
            return &bench.speaker[i];
    return NULL;
}

/* Takes down what `h` tells, whether that is fresh or not. */
void bench_speaker_note(const struct heartbeat *h)
{
    struct speaker *s = speaker_find(h->name);
    uint32_t self = member_id(bench.config.name);

    if (strcmp(h->name, bench.config.name) == 0)
        return;
    if (s == NULL && bench.speakers < BENCH_SPEAKERS) {
        s = &bench.speaker[bench.speakers++];
        *s = (struct speaker){
            .member = member_id(h->name), .heard = INSTANT_PAST, .taken = INSTANT_PAST};
    }
    if (s == NULL)
        return;
    if (!bench.reboots) /* it may well be taken */
        s->taken = bench.now;
    for (size_t i = 0; i < h->acks; i++)
        if (h->ack[i].member == self)
            s->heard = instant_max(s->heard, said_at(h->ack[i].stamp));
    if (s->views == 0 || s->view[(s->views - 1) % BENCH_VIEWS].view != h->view)
        s->view[s->views++ % BENCH_VIEWS].view = h->view;
    s->view[(s->views - 1) % BENCH_VIEWS].at = bench.now;
}

bool bench_speaker_took(const char *name)
{
    const struct speaker *speaker = speaker_find(name);

    return speaker != NULL && speaker->taken.us == bench.now.us;
}

bool bench_speaker_taken(const char *name, const struct status *s)
{
    struct speaker *speaker = speaker_find(name);

    for (size_t i = 0; i < s->members; i++) {
        if (strcmp(s->member[i].name, name) != 0)
            continue;
        if (speaker == NULL || s->member[i].last_heard != 0 || speaker->taken.us == bench.now.us)
            return false;
        speaker->taken = bench.now;
        return true;
    }
    return true;
}

/* -------------------------------------------------------------- the checks */

/* The kernel may act on the claims that it was given. */
static bool lease_live(void)
{
    return bench.renewals > 0 || instant_before(bench.now, bench.lease_until);
}

static enum bucket_class class_at(const struct plan *p, unsigned b)
{
    return (enum bucket_class)p->class_of[b];
}

static bool plan_acts(const struct plan *p)
{
    for (unsigned b = 0; b < bench.config.buckets; b++)
        if (class_claims(class_at(p, b)) || class_at(p, b) == CLASS_RELEASE)
            return true;
    return false;
}

/* It lets in or forwards new flows, or may be about to. */
static bool kernel_acts(void)
{
    return lease_live() &&
           (plan_acts(&bench.applied) || (bench.in_flight && plan_acts(&bench.flight)));
}

static void bits_check(const struct heartbeat *h)
{
    bool live = lease_live();

    for (unsigned b = 0; b < bench.config.buckets; b++) {
        bool holds = class_claims(class_at(&bench.applied, b)) ||
                     (bench.in_flight && class_claims(class_at(&bench.flight, b)));
        check(!live || !holds || bitmap_test(&h->claim, b));
    }
}

/* The regular word, in the last version. */
static void word_check(const struct heartbeat *h)
{
    size_t slot = h->sequence % (sizeof bench.sent / sizeof bench.sent[0]);
    size_t before = (h->sequence - BENCH_SENDS) % (sizeof bench.sent / sizeof bench.sent[0]);

    check(h->sequence == bench.sequence + 1);
    check(h->incarnation == node_incarnation(bench.node));
    check(strcmp(h->name, bench.config.name) == 0 && h->salt == bench.seed);
    check(h->buckets == bench.config.buckets);
    bits_check(h);
    check((h->flags & HEARTBEAT_LEFT) == 0 || !kernel_acts());
    /* Without a view the others wait for us: we have to be getting it right. */
    check(h->view != 0 || bench.in_flight || bench.plan_failed || bench.renewal_failed ||
          instant_diff(bench.now, bench.failed_at) <= BENCH_RETRY);
    check(h->sequence <= BENCH_SENDS || bench.sent[before].sequence != h->sequence - BENCH_SENDS ||
          instant_diff(bench.now, bench.sent[before].at) >= bench.config.interval);
    bench.sequence = h->sequence;
    bench.sent[slot].sequence = h->sequence;
    bench.sent[slot].at = bench.now;
}

static void send_check(const struct action *a)
{
    static struct utterance u;
    static struct heartbeat old;

    check(a->send.length > 0 && a->send.length <= DATAGRAM_MAX);
    check(bench_open(a->send.data, a->send.length, &u));
    if (u.stamp.type == SEAL_TYPE_RELAY) {
        check(bench.hearing.length == u.length && bench.hearing.stamp.type == SEAL_TYPE_HEARTBEAT &&
              memcmp(bench.hearing.plain, u.plain, u.length) == 0);
        return;
    }
    check(a->send.length <= bench.config.datagram_max);
    if (u.stamp.version == WIRE_VERSION_LAST) {
        check(heartbeat_read(&bench.heard, WIRE_VERSION_LAST, u.plain, u.length) == 0);
        word_check(&bench.heard);
    } else { /* the same for those who know no better */
        check(heartbeat_read(&old, u.stamp.version, u.plain, u.length) == 0);
        check(old.sequence == bench.sequence && bitmap_equal(&old.claim, &bench.heard.claim));
    }
}

static bool mac_lives(const struct mac *mac)
{
    for (size_t i = 0; i < bench.status.members; i++) {
        const struct status_member *m = &bench.status.member[i];
        if (!m->self && m->state != MEMBER_DEAD && m->state != MEMBER_LEFT &&
            memcmp(&m->mac, mac, sizeof *mac) == 0)
            return true;
    }
    return false;
}

/* It has told our view within dead_after. */
static bool agrees(const char *name)
{
    const struct speaker *s = speaker_find(name);

    for (size_t i = 0; s != NULL && i < BENCH_VIEWS && i < s->views; i++)
        if (s->view[i].view == bench.status.view &&
            instant_diff(bench.now, s->view[i].at) < bench.config.dead_after)
            return true;
    return bench.speakers == BENCH_SPEAKERS;
}

/* All that live agree, and nobody else claims the bucket. */
static void claim_check(unsigned b)
{
    const struct status *s = &bench.status;

    for (size_t i = 0; i < s->members; i++) {
        const struct status_member *m = &s->member[i];
        if (m->self || m->state == MEMBER_DEAD || m->state == MEMBER_LEFT)
            continue;
        check(agrees(m->name) && !bitmap_test(&s->claim[i], b));
    }
}

static void plan_check(const struct plan *p)
{
    const struct status *s = &bench.status;
    bool joined = s->lease_left > 0;

    check(!bench.in_flight && p->generation > bench.generation);
    check(p->buckets == bench.config.buckets && !plan_equal(p, &bench.applied));
    for (unsigned b = 0; b < p->buckets; b++) {
        enum bucket_class is = class_at(p, b);
        check(is < CLASS_MAX);
        check((is == CLASS_RELEASE) == (p->target_of[b] != PLAN_TARGET_NONE));
        check(is != CLASS_RELEASE || p->target_of[b] < MEMBERS_MAX);
        check(is != CLASS_RELEASE || mac_lives(&p->target[p->target_of[b]]));
        check(joined || (!class_claims(is) && is != CLASS_RELEASE));
        bool begins = class_claims(is) && !class_claims(class_at(&bench.applied, b));
        if (begins && !bench.waits) /* else it may have been granted before */
            claim_check(b);
    }
    bench.flight = *p;
    bench.generation = p->generation;
    bench.in_flight = true;
}

/* A majority of the voters has heard what we said at `until` less the lease; they
 * may have changed just now, and twice. */
static void majority_check(instant until)
{
    size_t backing = 1;

    for (size_t i = 0; i < bench.speakers; i++)
        backing += instant_diff(until, bench.speaker[i].heard) <= bench.config.lease;
    check(bench.status.quorum.voters > 0);
    check(backing > bench.fewest_voters / 2 || bench.actions.lost_notes > 0);
}

static void renewal_check(usec span)
{
    check(bench.state != NODE_JOINING && bench.state != NODE_ISOLATED);
    check(span > 0 && span <= bench.config.lease && bench.renewals < BENCH_RENEWALS);
    bench.span[bench.renewals++] = span;
    if (bench.config.quorum == QUORUM_MAJORITY)
        majority_check(instant_add(bench.now, span));
}

/* Of zeroed memory, so that two can be compared as bytes. */
void bench_status(struct status *s)
{
    memset(s, 0, sizeof *s);
    node_status(bench.node, bench.now, s);
}

static void status_check(const struct status *s)
{
    unsigned owned = 0, selves = 0, claimed = 0;

    check(s->members <= MEMBERS_MAX && s->strangers <= STRANGERS_MAX);
    for (size_t i = 0; i < s->members; i++) {
        const struct status_member *m = &s->member[i];
        check(i == 0 || strcmp(s->member[i - 1].name, m->name) < 0);
        check(m->state < MEMBER_STATE_MAX && m->weight <= WEIGHT_MAX);
        check(m->last_heard >= -1 && m->rtt >= 0 && m->loss >= 0 && m->loss <= 100);
        check(m->claimed == bitmap_count(&s->claim[i]) && m->claimed <= s->buckets);
        check(m->lingering == bitmap_count(&s->linger[i]) && m->lingering <= s->buckets);
        check(m->hold_left >= 0);
        selves += m->self;
        owned += m->buckets;
    }
    /* Who is no voter has no place, and that may be we. */
    check(selves == 1 || (selves == 0 && s->quorum.policy == QUORUM_MAJORITY));
    check(owned <= s->buckets);
    for (unsigned b = 0; b < s->buckets; b++) {
        check(s->bucket[b].owner >= -1 && s->bucket[b].owner < (int)s->members);
        check(s->bucket[b].home >= -1 && s->bucket[b].home < (int)s->members);
        claimed += class_claims(s->bucket[b].klass);
    }
    check(s->owned == claimed && s->unowned >= 0 && s->contested >= 0);
    check(s->quorum.voters <= MEMBERS_MAX && s->quorum.heard <= s->quorum.voters);
}

static void note_check(const struct note *n)
{
    check(n->kind < NOTE_MAX && strlen(n->member) <= NAME_BYTES_MAX);
    if (n->kind == NOTE_STATE)
        bench.state = (enum node_state)n->number;
    if (n->kind == NOTE_VOTERS && (size_t)n->other < bench.fewest_voters)
        bench.fewest_voters = (size_t)n->other;
    if (n->kind == NOTE_ROSTER_FULL || n->kind == NOTE_MEMBER_FORGOTTEN)
        bench.forgetful = true;
}

static void action_check(const struct action *a)
{
    switch (a->kind) {
    case ACTION_SEND:
        send_check(a);
        return;
    case ACTION_APPLY:
        plan_check(a->plan);
        return;
    case ACTION_RENEW:
        renewal_check(a->renew.span);
        return;
    case ACTION_STORE:
        check(a->store.length > 0 && a->store.length <= sizeof bench.stored);
        memcpy(bench.stored, a->store.data, a->store.length);
        bench.stored_length = a->store.length;
        return;
    case ACTION_NOTE:
        note_check(&a->note);
        return;
    case ACTION_EXIT:
        check(!kernel_acts());
        bench.over = true;
        return;
    case ACTION_COUNT:
    case ACTION_MAX:
        return;
    }
}

/* The status is dear: it is looked at when something has happened. */
static bool eventful(void)
{
    for (size_t i = 0; i < bench.actions.count; i++) {
        enum action_kind kind = bench.actions.item[i].kind;
        if (kind == ACTION_APPLY || kind == ACTION_NOTE ||
            (kind == ACTION_RENEW && bench.config.quorum == QUORUM_MAJORITY))
            return true;
    }
    return false;
}

static void actions_check(void)
{
    static const unsigned most[ACTION_MAX] = {
        [ACTION_SEND] = 3, /* a relay, and a heartbeat in two versions */
        [ACTION_APPLY] = 1, [ACTION_RENEW] = 1,          [ACTION_STORE] = 1,
        [ACTION_COUNT] = 1, [ACTION_NOTE] = ACTIONS_MAX, [ACTION_EXIT] = 1,
    };
    unsigned of[ACTION_MAX] = {0};
    uint32_t said = bench.sequence;

    check(bench.actions.count <= ACTIONS_MAX);
    for (size_t i = 0; i < bench.actions.count; i++) {
        const struct action *a = &bench.actions.item[i];
        check(a->kind < ACTION_MAX && !bench.over && of[a->kind] < most[a->kind]);
        of[a->kind]++;
        action_check(a);
        /* A word may tell what has to be on the disk before. */
        check(a->kind != ACTION_STORE || bench.sequence == said);
        check(a->kind != ACTION_RENEW || bench.sequence != said ||
              bench.config.quorum == QUORUM_MAJORITY);
    }
}

void bench_actions_check(void)
{
    bool happened = eventful();

    if (happened) {
        bench_status(&bench.status);
        status_check(&bench.status);
        if (bench.status.quorum.voters < bench.fewest_voters)
            bench.fewest_voters = bench.status.quorum.voters;
    }
    actions_check();
    if (bench.actions.lost_notes > 0)
        bench.state = bench.status.state;
    check(!happened || bench.state == bench.status.state);
    bench.fewest_voters = bench.status.quorum.voters;
}
