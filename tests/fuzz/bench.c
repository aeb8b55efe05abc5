/*
 * The bench: see bench.h.
 */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SAME_INSTANT = 16 };

struct bench bench;

void bench_check(bool holds)
{
    if (!holds)
        abort();
}

#define check bench_check

static const struct event timer = {.kind = EVENT_TIMER};

/* -------------------------------------------------------------- datagrams */

static struct seal seal[2]; /* under the key, under the next one */

size_t bench_seal(const struct utterance *u, uint8_t out[DATAGRAM_MAX])
{
    return seal_close(&seal[u->next_key], &u->stamp, u->plain, u->length, out, DATAGRAM_MAX);
}

bool bench_open(const uint8_t *data, size_t length, struct utterance *u)
{
    for (int k = 0; k < 2; k++)
        if (seal_open(&seal[k], data, length, &u->stamp, u->plain, &u->length) == REJECT_NONE)
            return true;
    return false;
}

/* ------------------------------------------------------------------- steps */

void bench_step(const struct event *e)
{
    node_step(bench.node, bench.now, e, &bench.actions);
    bench.steps++;
    bench_actions_check();
    check(node_incarnation(bench.node) >= bench.incarnation);
    bench.incarnation = node_incarnation(bench.node);
    instant due = node_deadline(bench.node);
    check(bench.over ? due.us == INSTANT_NEVER.us : !instant_before(due, bench.now));
    bench.waits = bench.in_flight || bench.plan_failed || bench.renewal_failed ||
                  instant_diff(bench.now, bench.failed_at) <= BENCH_RETRY;
}

/* --------------------------------------------------------- what happens to it */

bool bench_ended(void)
{
    return bench.over || bench.steps >= BENCH_STEPS;
}

void bench_run(usec span)
{
    instant end = instant_add(bench.now, span);
    unsigned same = 0, most = bench.steps + 200 + 64 * (unsigned)(span / bench.config.interval + 1);

    while (!bench_ended() && !instant_before(end, node_deadline(bench.node))) {
        instant due = node_deadline(bench.node);
        same = instant_before(bench.now, due) ? 0 : same + 1;
        check(same < SAME_INSTANT && bench.steps < most);
        bench.now = instant_max(bench.now, due);
        bench_step(&timer);
    }
    if (!bench_ended())
        bench.now = instant_max(bench.now, end);
}

static void renewal_answer(int error)
{
    instant until = instant_add(bench.now, bench.span[0]);

    bench.renewals--;
    memmove(&bench.span[0], &bench.span[1], bench.renewals * sizeof bench.span[0]);
    bench.renewal_failed = error != 0;
    if (error == 0)
        bench.lease_until = instant_max(bench.lease_until, until);
    else
        bench.failed_at = bench.now;
}

void bench_answer(uint64_t generation, int error)
{
    struct event e = {.kind = EVENT_APPLIED, .applied = {generation, error}};

    if (generation == 0 && bench.renewals > 0) {
        renewal_answer(error);
    } else if (generation != 0 && bench.in_flight && generation == bench.generation) {
        bench.in_flight = false;
        bench.plan_failed = error != 0;
        bench.failed_at = error != 0 ? bench.now : INSTANT_PAST;
        if (error == 0)
            bench.applied = bench.flight;
    }
    bench_step(&e);
}

void bench_obey(void)
{
    while (bench.renewals > 0 && !bench_ended())
        bench_answer(0, 0);
    if (bench.in_flight && !bench_ended())
        bench_answer(bench.generation, 0);
}

/* `data` is at the end of an array, so that a sanitizer sees every overrun. */
static void datagram_hand(const uint8_t *data, size_t length)
{
    static uint8_t room[2048];
    struct event e = {.kind = EVENT_DATAGRAM};

    check(length <= sizeof room);
    e.datagram.data = memcpy(room + sizeof room - length, data, length);
    e.datagram.length = length;
    bench_step(&e);
}

/* What may differ between two of one instant: counters of what was refused, and our
 * own bits, which are as of the last time that anything depended on them. */
static void status_mask(struct status *s)
{
    memset(s->rejected, 0, sizeof s->rejected);
    for (size_t i = 0; i < s->members; i++) {
        s->member[i].loss = 0; /* that is a count of what did not come, too */
        if (!s->member[i].self)
            continue;
        s->member[i].claimed = s->member[i].lingering = 0;
        memset(&s->claim[i], 0, sizeof s->claim[i]);
        memset(&s->linger[i], 0, sizeof s->linger[i]);
    }
}

/* At rest, as of now: nothing happens any more without an event. False: it ended. */
static bool settled(struct status *s)
{
    static struct status before;

    bench_status(s);
    for (unsigned i = 0; i < SAME_INSTANT && !bench_ended(); i++) {
        before = *s;
        bench_step(&timer);
        bench_status(s);
        if (memcmp(&before, s, sizeof before) == 0)
            break;
    }
    return !bench_ended();
}

/* True if nothing happened but counting, and answers. */
static bool ignored(struct status *before, struct status *after)
{
    status_mask(before);
    status_mask(after);
    for (size_t i = 0; i < bench.actions.count; i++) {
        enum action_kind kind = bench.actions.item[i].kind;
        if (kind != ACTION_NOTE && kind != ACTION_SEND)
            return false;
    }
    return memcmp(before, after, sizeof *before) == 0;
}

static bool member_known(const char *name, const struct status *s)
{
    for (size_t i = 0; i < s->members; i++)
        if (strcmp(s->member[i].name, name) == 0)
            return true;
    return false;
}

bool bench_hear(const uint8_t *data, size_t length, enum bench_hearing as, instant said)
{
    static struct status before, after;
    static struct heartbeat h;
    bool word = bench_open(data, length, &bench.hearing) &&
                heartbeat_read(&h, bench.hearing.stamp.version, bench.hearing.plain,
                               bench.hearing.length) == 0;

    /* Of a second word in one instant nothing tells whether it was taken, too. */
    bool second = word && bench_speaker_took(h.name);

    if (word)
        bench_speaker_note(&h);
    if (as != BENCH_NEWS && !settled(&before))
        return true;
    /* Who is no member may have been dropped, with what was known of its words: one that is
     * fresh still is news. */
    if (as != BENCH_NEWS && word && !member_known(h.name, &before) &&
        instant_diff(bench.now, said) <= bench.config.dead_after)
        as = BENCH_NEWS;
    datagram_hand(data, length);
    bench.hearing.length = 0;
    if (as == BENCH_NEWS && !(word && bench.reboots))
        return true;
    bench_status(&after);
    bool taken = word && bench_speaker_taken(h.name, &after);
    /* Of two rivals for our name the node remembers one: what the other has just said
     * counts again, as long as it is fresh. */
    if (word && strcmp(h.name, bench.config.name) == 0 &&
        instant_diff(bench.now, said) <= bench.config.dead_after)
        return taken;
    if (as != BENCH_NEWS && !ignored(&before, &after))
        check(as == BENCH_PASSED && (taken || second) &&
              instant_diff(bench.now, said) <= bench.config.dead_after);
    return taken;
}

static void node_begin(void)
{
    const struct event e = {.kind = EVENT_START};

    bench.in_flight = bench.plan_failed = bench.renewal_failed = bench.waits = false;
    bench.forgetful = bench.reboots = false;
    bench.state = NODE_JOINING;
    bench.generation = bench.sequence = 0;
    bench.renewals = bench.speakers = 0;
    bench.lease_until = bench.failed_at = INSTANT_PAST;
    bench.seed += UINT64_C(0x9e3779b97f4a7c15);
    memset(bench.sent, 0, sizeof bench.sent);
    plan_init(&bench.applied, bench.config.buckets);
    node_init(bench.node, &bench.config, bench.seed, bench.incarnation);
    if (bench.stored_length > 0) {
        int rc = node_restore(bench.node, bench.stored, bench.stored_length);
        /* Refused are only voters of another founding than the configured one. */
        check(rc == 0 || (rc == -EBADMSG && bench.config.founders > 0));
    }
    bench_step(&e);
}

void bench_init(const struct node_config *config, uint32_t incarnation)
{
    struct node *node = bench.node != NULL ? bench.node : malloc(node_bytes());

    check(node != NULL);
    memset(&bench, 0, sizeof bench);
    bench.node = node;
    bench.config = *config;
    bench.incarnation = incarnation;
    bench.now = (instant){10 * USEC_PER_S};
    seal_init(&seal[0], config->cluster, config->key);
    seal_init(&seal[1], config->cluster, config->key_next);
    node_begin();
}

void bench_restart(void)
{
    if (bench_ended())
        return;
    bench.incarnation++;
    node_begin();
}
