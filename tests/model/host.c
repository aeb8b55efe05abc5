/*
 * One host: events to the core, its actions to the kernel, the disk and the net.
 */
#include "host.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { TIMERS_MAX = 20, APPLIED_MAX = 8 };

const char *const host_op_name[HOST_OPS] = {
    [HOST_RUN] = "runs",
    [HOST_RUN_TIMER] = "runs, its timers first",
    [HOST_PASS] = "stands still",
    [HOST_KILL] = "is killed",
    [HOST_CRASH] = "runs, and dies before it sends",
    [HOST_START] = "starts",
    [HOST_START_BLANK] = "starts without memory",
    [HOST_FORGET] = "is told to forget the next",
    [HOST_SICK] = "gets sick, or well",
    [HOST_FORGET_2] = "is told to forget the one before",
    [HOST_REFUSED] = "runs, its kernel refuses",
    [HOST_FROZEN] = "is out of time",
};

struct pace pace = {.interval = 2, .dead = 6, .lease = 5};
bool host_newcomers;

static const char *const name_of[HOSTS] = {"a", "b", "c"};

/* What one step of a host works on. */
struct turn {
    struct host *host;
    struct host_output *out;
    struct actions actions;
    int error;      /* of the kernel */
    size_t applied; /* answers of the kernel that are waiting */
    uint64_t generation[APPLIED_MAX];
};

static instant clock_of(const struct host *h)
{
    return (instant){h->step * STEP_US};
}

static void config_make(struct node_config *c, unsigned index, enum quorum_policy quorum)
{
    memset(c, 0, sizeof *c);
    strcpy(c->cluster, "model");
    strcpy(c->name, name_of[index]);
    memset(c->key, 7, sizeof c->key);
    c->buckets = BUCKETS;
    c->weight = 100;
    c->datagram_max = DATAGRAM_MAX;
    c->interval = pace.interval * STEP_US;
    c->dead_after = pace.dead * STEP_US;
    c->lease = pace.lease * STEP_US;
    c->orphan_after = 0;
    c->stop_drain = 0;
    c->forget_after = INT64_MAX / 4;
    c->config_digest = 1;
    c->quorum = quorum;
    c->founders = quorum == QUORUM_MAJORITY ? HOSTS : 0;
    for (size_t i = 0; i < c->founders; i++)
        c->founder[i] = member_id(name_of[i]);
    c->flap.half_life = c->flap.max_hold = USEC_PER_S;
    c->mac.byte[5] = (uint8_t)(index + 1);
}

/* Boots differ in their salts, by more than any run sends; what is acknowledged is the
 * salt and a sequence, which is negative on the way (message.h), so it borrows. */
static uint64_t salt_of(const struct host *h)
{
    uint64_t boot = ((uint64_t)h->index + 1) << 8 | h->boots;
    return boot << (64 - SALT_SHIFT);
}

static void boot(struct host *h, const struct node_config *c)
{
    node_init(&h->node, c, salt_of(h), h->incarnation + 1);
}

void host_init(struct host *h, unsigned index, enum quorum_policy quorum)
{
    struct node_config c;
    memset(h, 0, sizeof *h);
    h->index = index;
    h->down = true;
    h->step = STEP_FIRST;
    config_make(&c, index, quorum);
    boot(h, &c);
}

static void act(struct turn *t, const struct action *a)
{
    struct host *h = t->host;
    assert(a->kind < ACTION_EXIT); /* nobody leaves */
    switch (a->kind) {
    case ACTION_SEND:
        assert(t->out->count < SENDS_MAX);
        message_take(&t->out->message[t->out->count++], &h->node.key[0], a->send.data,
                     a->send.length, h->step, pace_old());
        return;
    case ACTION_APPLY:
        if (t->error == 0)
            memcpy(h->class_of, a->plan->class_of, BUCKETS);
        assert(t->applied < APPLIED_MAX);
        t->generation[t->applied++] = a->plan->generation;
        return;
    case ACTION_RENEW:
        if (t->error == 0)
            h->lease_until = clock_of(h).us + a->renew.span;
        assert(t->applied < APPLIED_MAX);
        t->generation[t->applied++] = 0;
        return;
    case ACTION_STORE:
        assert(a->store.length <= DISK_BYTES);
        memset(h->disk, 0, sizeof h->disk);
        memcpy(h->disk, a->store.data, a->store.length);
        h->disk_bytes = a->store.length;
        return;
    case ACTION_COUNT:
    case ACTION_NOTE:
        return;
    case ACTION_EXIT:
    case ACTION_MAX:
        return;
    }
}

/* One event, with what the kernel answers to it. */
static void feed(struct turn *t, const struct event *e)
{
    struct host *h = t->host;
    struct event applied = {.kind = EVENT_APPLIED, .applied = {0, t->error}};
    node_step(&h->node, clock_of(h), e, &t->actions);
    for (size_t i = 0; i < t->actions.count; i++)
        act(t, &t->actions.item[i]);
    while (t->applied > 0) {
        applied.applied.generation = t->generation[0];
        t->applied--;
        memmove(&t->generation[0], &t->generation[1], t->applied * sizeof t->generation[0]);
        node_step(&h->node, clock_of(h), &applied, &t->actions);
        for (size_t i = 0; i < t->actions.count; i++)
            act(t, &t->actions.item[i]);
    }
    h->incarnation = node_incarnation(&h->node);
}

static void timers(struct turn *t)
{
    struct event e = {.kind = EVENT_TIMER};
    for (unsigned i = 0; !instant_before(clock_of(t->host), node_deadline(&t->host->node)); i++) {
        assert(i < TIMERS_MAX);
        feed(t, &e);
    }
}

static void inputs_take(struct turn *t, const struct host_input *input, size_t inputs)
{
    static uint8_t bytes[DATAGRAM_MAX];
    struct host *h = t->host;
    for (size_t i = 0; i < inputs; i++) {
        struct event e = {.kind = EVENT_DATAGRAM, .datagram = {bytes, 0}};
        e.datagram.length =
            message_make(input[i].message, &h->node.key[0], h->step - (int64_t)input[i].age, bytes);
        feed(t, &e);
    }
}

/* What means nothing is cleared, so that fewer hosts differ. */
static void tidy(struct host *h)
{
    struct node *n = &h->node;
    /* A heartbeat has room for everything: only the order in it depends on these. */
    n->ack_cursor = n->entry_cursor = n->hold_cursor = 0;
    for (size_t i = 0; i < n->roster.count; i++)
        n->roster.member[i].tell = 0;
    for (size_t i = n->roster.count; i < MEMBERS_MAX; i++) {
        memset(&n->roster.member[i], 0, sizeof n->roster.member[i]);
        n->roster.id[i] = 0;
        n->roster.head[i] = 0;
        n->roster.proof[i] = n->roster.evidence[i] = INSTANT_PAST;
    }
    /* Flows are never counted: what lingers, lingers. */
    n->count_at = INSTANT_NEVER;
    n->count_waits = false;
    /* The pace of retries begins with what is wanted. */
    if (n->voters.want.kind == CHANGE_NONE)
        n->ballot_at = INSTANT_PAST;
}

/* When a sequence was sent follows from the sequence, and nobody acknowledges one
 * that was not: so the record is made anew for each step. What the run before has
 * sent is not in it. */
static void sent_fill(struct host *h)
{
    memset(h->node.sent, 0, sizeof h->node.sent);
    for (int64_t i = 0; i < SENT_KEPT; i++) {
        int64_t s = h->step * SEQUENCES - 1 - i;
        if (s < h->since * SEQUENCES)
            return;
        h->node.sent[s % SENT_KEPT].sequence = (uint32_t)s;
        h->node.sent[s % SENT_KEPT].at.us = s / SEQUENCES * STEP_US;
    }
}

static void control(struct turn *t, enum control_verb verb, unsigned member)
{
    struct event e = {.kind = EVENT_CONTROL, .control = {verb, name_of[member % HOSTS]}};
    if (roster_find(&t->host->node.roster, name_of[member % HOSTS]) != ROSTER_NONE)
        feed(t, &e);
}

/* The kernel and the stream of the run before, while its lease runs; else the kernel is
 * cleared, and the stream is a new one. */
static void inherit(struct host *h)
{
    struct plan plan;
    struct node_heritage heritage = {.plan = &plan, .left = h->lease_until - clock_of(h).us};
    plan_init(&plan, BUCKETS);
    if (heritage.left <= 0) {
        h->lease_until = h->since = 0;
        memset(h->class_of, CLASS_FOREIGN, sizeof h->class_of);
        return;
    }
    for (unsigned b = 0; b < BUCKETS; b++)
        if (h->class_of[b] == CLASS_RELEASE)
            h->class_of[b] = CLASS_LINGER;
    memcpy(plan.class_of, h->class_of, BUCKETS);
    heritage.stream.salt = salt_of(h);
    heritage.stream.alone = h->alone;
    h->since = h->step;
    node_inherit(&h->node, &heritage);
}

static void start(struct turn *t)
{
    struct host *h = t->host;
    struct node_config c = h->node.config;
    struct event e = {.kind = EVENT_START};
    if (h->lease_until <= clock_of(h).us)
        h->boots++;
    boot(h, &c);
    if (h->disk_bytes > 0) {
        int error = node_restore(&h->node, h->disk, h->disk_bytes);
        assert(error == 0);
    }
    inherit(h);
    h->down = false;
    h->node.sequence = (uint32_t)(h->step * SEQUENCES);
    feed(t, &e);
    timers(t);
}

static void die(struct host *h)
{
    h->down = true;
    h->alone = node_stream(&h->node).alone;
}

void host_step(struct host *h, enum host_op op, const struct host_input *input, size_t inputs,
               struct host_output *out)
{
    static struct turn t;
    struct event health = {.kind = EVENT_HEALTH, .health = {!h->node.healthy}};
    t.host = h;
    t.out = out;
    t.applied = out->count = 0;
    t.error = op == HOST_REFUSED ? -EBUSY : 0;
    h->step++;
    if (op == HOST_KILL)
        die(h);
    if (op == HOST_KILL || op == HOST_PASS)
        return;
    if (op == HOST_START_BLANK)
        h->disk_bytes = 0;
    if (op == HOST_START || op == HOST_START_BLANK) {
        start(&t);
        tidy(h);
        return;
    }
    assert(!h->down);
    h->node.sequence = (uint32_t)(h->step * SEQUENCES);
    sent_fill(h);
    if (op == HOST_RUN_TIMER)
        timers(&t);
    inputs_take(&t, input, inputs);
    timers(&t);
    if (op == HOST_FORGET || op == HOST_FORGET_2)
        control(&t, CONTROL_FORGET, h->index + (op == HOST_FORGET ? 1 : 2));
    if (op == HOST_SICK)
        feed(&t, &health);
    timers(&t);
    assert(h->node.sequence < (uint32_t)(h->step + 1) * SEQUENCES);
    tidy(h);
    if (op == HOST_CRASH) {
        die(h);
        out->count = 0;
    }
}

bool host_lets_in(const struct host *h, unsigned bucket, unsigned ahead)
{
    int64_t now = clock_of(h).us + (int64_t)ahead * STEP_US;
    return now < h->lease_until && class_claims((enum bucket_class)h->class_of[bucket]);
}

void host_describe(const struct host *h, char *out, size_t size)
{
    const struct node *n = &h->node;
    char class_of[BUCKETS + 1] = {0};
    for (unsigned b = 0; b < BUCKETS; b++)
        class_of[b] = "-OARL"[h->class_of[b]];
    int at = snprintf(
        out, size, "%s %s lease %+.1f view %04x%s%s%s%s v%u%s inc %u  ", name_of[h->index],
        class_of, (double)(h->lease_until - clock_of(h).us) / STEP_US, (unsigned)(n->view & 0xffff),
        n->agreed ? " agreed" : "", n->seconded ? " 2nd" : "", n->joined ? " joined" : "",
        n->quorate ? " quorate" : "", n->voters.version, h->down ? " DOWN" : "", h->incarnation);
    for (size_t i = 0; i < n->roster.count && at > 0 && (size_t)at < size; i++) {
        const struct member *m = &n->roster.member[i];
        if (!m->self)
            at += snprintf(out + at, size - (size_t)at, " %s:%s%s", m->name,
                           member_alive(m) ? "alive" : "dead", m->outsider ? "(out)" : "");
    }
}
