/*
 * A life of one node, as the input tells it: time that passes on time or late,
 * datagrams of members that the input plays (under the cluster key, with
 * acknowledgements that prove them fresh, or not), replays, garbage, a kernel
 * that answers late, wrongly, twice or never, and every other event.
 *
 * Checked after every step: the contract of node.h (deadline, one action of a
 * kind, sizes, one plan in flight, nothing after the end), what the plan and
 * the heartbeat promise, and S1 as far as one node can keep it: it starts to
 * claim only when joined, and only what no living member's last word claims.
 *
 * Input: the configuration (4), then operations, a byte each with the bytes
 * that they take.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/rig.h"
#include "ipclusterd/buf.h"
#include "ipclusterd/seal.h"

enum { GHOSTS = 6, KEPT = 8, OPERATIONS = 256, SAME_INSTANT = 16 };

static struct {
    const uint8_t *at, *end;
} input;

static struct {
    struct node *node;
    struct node_config config;
    instant now;
    bool over;
    bool in_flight;
    bool quiet; /* no plan was in flight or had failed: the kernel has what is wanted */
    uint64_t generation;
    unsigned renewals, counts; /* not yet answered */
    uint32_t sequence;         /* of its last heartbeat */
    struct plan applied, flight;
    uint32_t flows[BUCKETS_MAX];
} bench;

static struct ghost ghost[GHOSTS];
static struct {
    uint8_t data[DATAGRAM_MAX];
    size_t length;
} kept[KEPT]; /* datagrams of the ghosts, to be replayed */
static unsigned kept_count;

static struct rig air; /* for ghost_listen(): the node's last datagram */
static struct actions actions;
static struct status status;
static struct heartbeat heard;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static uint8_t take(void)
{
    return input.at < input.end ? *input.at++ : 0;
}

static uint32_t take32(void)
{
    uint32_t v = take();
    v = v << 8 | take();
    v = v << 8 | take();
    return v << 8 | take();
}

/* ------------------------------------------------------------- the checks */

static void send_check(const struct action *a)
{
    uint8_t plain[DATAGRAM_MAX];
    size_t length = 0;
    struct seal seal;

    check(a->send.length > 0 && a->send.length <= bench.config.datagram_max);
    seal_init(&seal, bench.config.cluster, bench.config.key);
    check(seal_open(&seal, a->send.data, a->send.length, plain, &length) == REJECT_NONE);
    check(heartbeat_read(&heard, plain, length) == 0);
    check(heard.sequence == bench.sequence + 1);
    check(heard.incarnation == node_incarnation(bench.node));
    bench.sequence = heard.sequence;
    memcpy(air.last, a->send.data, a->send.length);
    air.last_length = a->send.length;
}

static void plan_check(const struct plan *p)
{
    check(!bench.in_flight && p->generation > bench.generation);
    check(p->buckets == bench.config.buckets && !plan_equal(p, &bench.applied));
    bool joined = status.lease_left > 0;
    for (unsigned b = 0; b < p->buckets; b++) {
        enum bucket_class is = (enum bucket_class)p->class_of[b];
        check(is < CLASS_MAX);
        check((is == CLASS_RELEASE) == (p->target_of[b] != PLAN_TARGET_NONE));
        check(is != CLASS_RELEASE || p->target_of[b] < MEMBERS_MAX);
        check(joined || (!class_claims(is) && is != CLASS_RELEASE));
        bool begins =
            class_claims(is) && !class_claims((enum bucket_class)bench.applied.class_of[b]);
        if (!begins || !bench.quiet) /* it may have been granted when the plan had to wait */
            continue;
        for (size_t i = 0; i < status.members; i++)
            check(status.member[i].self || !bitmap_test(&status.claim[i], b));
    }
    bench.flight = *p;
    bench.generation = p->generation;
    bench.in_flight = true;
}

static void status_check(void)
{
    unsigned owned = 0, selves = 0;

    node_status(bench.node, bench.now, &status);
    check(status.members >= 1 && status.members <= MEMBERS_MAX);
    for (size_t i = 0; i < status.members; i++) {
        const struct status_member *m = &status.member[i];
        check(i == 0 || strcmp(status.member[i - 1].name, m->name) < 0);
        check(name_valid(m->name) && m->state < MEMBER_STATE_MAX && m->weight <= WEIGHT_MAX);
        check(m->last_heard >= -1 && m->rtt >= 0 && m->loss >= 0 && m->loss <= 100);
        selves += m->self;
        owned += m->buckets;
    }
    check(selves == 1 && owned <= status.buckets);
    for (unsigned b = 0; b < status.buckets; b++) {
        check(status.bucket[b].owner >= -1 && status.bucket[b].owner < (int)status.members);
        check(status.bucket[b].home >= -1 && status.bucket[b].home < (int)status.members);
    }
    check(status.unowned >= 0 && status.contested >= 0);
}

static void actions_check(void)
{
    unsigned of[ACTION_MAX] = {0};

    check(actions.count <= ACTIONS_MAX);
    check(!bench.over || actions.count == 0);
    for (size_t i = 0; i < actions.count; i++) {
        const struct action *a = &actions.item[i];
        check(a->kind < ACTION_MAX && (a->kind == ACTION_NOTE || of[a->kind] == 0));
        of[a->kind]++;
        if (a->kind == ACTION_SEND)
            send_check(a);
        else if (a->kind == ACTION_APPLY)
            plan_check(a->plan);
        else if (a->kind == ACTION_NOTE)
            check(a->note.kind < NOTE_MAX && strlen(a->note.member) <= NAME_BYTES_MAX);
    }
    bench.renewals += of[ACTION_RENEW];
    bench.counts += of[ACTION_COUNT];
    bench.over = bench.over || of[ACTION_EXIT] > 0;
}

static void step(const struct event *e)
{
    node_step(bench.node, bench.now, e, &actions);
    instant due = node_deadline(bench.node);
    if (actions.count > 0)
        status_check();
    actions_check();
    check(!instant_before(due, bench.now) || bench.over);
    check(!bench.over || due.us == INSTANT_NEVER.us);
    bench.quiet = !bench.in_flight && status.apply_failures == 0;
}

/* ----------------------------------------------------------------- events */

/* On time: every deadline of the span is kept, and they are not too many. */
static void run(usec span)
{
    instant end = instant_add(bench.now, span);
    unsigned same = 0, steps = 0, most = 200 + 64 * (unsigned)(span / bench.config.interval + 1);
    const struct event timer = {.kind = EVENT_TIMER};

    while (!instant_before(end, node_deadline(bench.node))) {
        instant due = node_deadline(bench.node);
        same = instant_before(bench.now, due) ? 0 : same + 1;
        check(same < SAME_INSTANT && ++steps < most);
        bench.now = instant_max(bench.now, due);
        step(&timer);
    }
    bench.now = instant_max(bench.now, end);
}

static void op_on_time(void)
{
    run((usec)take() * bench.config.interval / 16);
}

static void op_late(void)
{
    const struct event timer = {.kind = EVENT_TIMER};
    uint8_t how = take();

    bench.now = instant_add(bench.now, (usec)how * bench.config.interval / 16);
    if (how == 255) /* slept for long */
        bench.now = instant_add(bench.now, (usec)take() * 60 * USEC_PER_S);
    step(&timer);
}

static void op_applied(void)
{
    uint8_t how = take();
    struct event e = {.kind = EVENT_APPLIED};

    e.applied.error = (how & 1) == 0 ? 0 : (how & 2) == 0 ? -ENOBUFS : -ETIME;
    e.applied.generation = (how & 4) != 0 ? take() : bench.in_flight ? bench.generation : 0;
    bool ours = bench.in_flight && e.applied.generation == bench.generation;
    if (ours) {
        bench.in_flight = false;
        if (e.applied.error == 0)
            bench.applied = bench.flight;
    } else if (e.applied.generation == 0 && bench.renewals > 0) {
        bench.renewals--;
    }
    step(&e);
}

/* The kernel obeys at once: what an undisturbed life needs to get anywhere. */
static void op_obey(void)
{
    struct event e = {.kind = EVENT_APPLIED};

    for (; bench.renewals > 0; bench.renewals--)
        step(&e);
    if (bench.in_flight) {
        bench.in_flight = false;
        bench.applied = bench.flight;
        e.applied.generation = bench.generation;
        step(&e);
    }
}

static void op_flows(void)
{
    uint8_t how = take();
    struct event e = {.kind = EVENT_FLOWS, .flows = {bench.flows}};

    for (unsigned b = 0; b < bench.config.buckets; b++)
        bench.flows[b] = (b % 8u) < (how & 15u) ? how : 0;
    if (how == 255)
        bench.flows[0] = UINT32_MAX;
    bench.counts = 0;
    step(&e);
}

static void op_link(void)
{
    struct event e = {.kind = EVENT_LINK, .link = {(take() & 1) != 0}};
    step(&e);
}

static void op_health(void)
{
    struct event e = {.kind = EVENT_HEALTH, .health = {(take() & 1) != 0}};
    step(&e);
}

static const char *some_name(void)
{
    static char name[8] = "x??";
    uint8_t which = take();

    if (which < GHOSTS)
        return ghost[which].config.name;
    if (which < 16)
        return bench.config.name;
    name[1] = (char)('a' + which % 16);
    name[2] = (char)('a' + take() % 20);
    return name;
}

static void op_control(void)
{
    uint8_t how = take();
    struct event e = {.kind = EVENT_CONTROL};

    e.control.verb = (enum control_verb)(how % CONTROL_MAX);
    /* An operator does not forget the node that he talks to. */
    e.control.member = (how & 128) != 0 && e.control.verb != CONTROL_FORGET ? NULL : some_name();
    step(&e);
}

static void op_reload(void)
{
    struct event e = {.kind = EVENT_RELOAD, .reload = &bench.config};

    bench.config.weight = (uint16_t)(take() * 4 % (WEIGHT_MAX + 1));
    bench.config.stop_drain = (usec)take() * 10 * USEC_PER_MS;
    step(&e);
}

static void op_leave(void)
{
    struct event e = {.kind = EVENT_LEAVE};
    if (take() == 77) /* rarely: a life after it is short */
        step(&e);
}

/* -------------------------------------------------------------- datagrams */

static void deliver(const uint8_t *data, size_t length)
{
    /* A copy of just this size, so that a sanitizer sees every overrun. */
    uint8_t *exact = malloc(length > 0 ? length : 1);
    check(exact != NULL);
    memcpy(exact, data, length);
    struct event e = {.kind = EVENT_DATAGRAM, .datagram = {exact, length}};
    step(&e);
    free(exact);
}

static void op_garbage(void)
{
    size_t length = take() * 2u, left = (size_t)(input.end - input.at);
    length = length < left ? length : left;
    const uint8_t *data = input.at;
    input.at += length;
    deliver(data, length);
}

static void op_replay(void)
{
    uint8_t which = take(), place = take(), change = take();
    if (kept_count == 0)
        return;
    unsigned slot = which % (kept_count < KEPT ? kept_count : KEPT);
    uint8_t data[DATAGRAM_MAX];
    memcpy(data, kept[slot].data, kept[slot].length);
    data[place % kept[slot].length] ^= (uint8_t)(which < 128 ? 0 : change);
    deliver(data, kept[slot].length);
}

static void ghost_utter(struct ghost *g)
{
    unsigned slot = kept_count % KEPT;
    kept[slot].length = ghost_seal(g, kept[slot].data);
    check(kept[slot].length > 0);
    kept_count++;
    deliver(kept[slot].data, kept[slot].length);
}

/* A member that behaves: fresh, of the node's view, claims what it said last. */
static void op_ghost(void)
{
    uint8_t how = take();
    struct ghost *g = &ghost[how % GHOSTS];
    uint64_t view = g->say.view;

    ghost_listen(g, &air);
    if ((how & 128) != 0)
        g->say.view = view;
    g->say.entries = 0;
    ghost_utter(g);
}

static void entry_fill(struct heartbeat_entry *e)
{
    uint8_t how = take();
    const char *name = some_name();

    memset(e, 0, sizeof *e);
    memcpy(e->name, name, strlen(name));
    e->standing = (enum standing)(how % STANDING_MAX);
    e->flags = (uint16_t)(how >> 2 & HEARTBEAT_KNOWN);
    e->weight = (uint16_t)(take() * 4 % (WEIGHT_MAX + 1));
    e->incarnation = (how & 4) != 0 ? take32() : take() % 4u;
    e->accused = (how & 8) != 0 ? take32() : take() % 4u;
    e->order = (how & 16) != 0 ? take32() : take() % 4u;
    e->age_ms = (how & 32) != 0 ? take32() : take();
}

/* What the bytes say of itself. */
static void ghost_change(struct ghost *g)
{
    uint8_t what = take();

    if ((what & 1) != 0)
        g->say.flags = take() & HEARTBEAT_KNOWN;
    if ((what & 2) != 0)
        g->say.incarnation += take() % 4u;
    if ((what & 4) != 0)
        g->say.sequence += take();
    if ((what & 8) != 0)
        memset(&g->say.claim, take(), bench.config.buckets / 8u);
    if ((what & 16) != 0)
        memset(&g->say.linger, take(), bench.config.buckets / 8u);
    if ((what & 32) != 0)
        g->say.mac.byte[5] = take();
    if ((what & 64) != 0)
        g->say.weight = (uint16_t)(take() * 4 % (WEIGHT_MAX + 1));
    if ((what & 128) == 0)
        return;
    uint8_t boot = take();
    if (boot < 64) { /* it has started again */
        g->say.salt ^= boot;
        g->say.sequence = 0;
    } else if (boot < 128) {
        g->say.config ^= boot & 1;
    } else if (boot < 192) {
        g->say.order = boot & 7u;
    } else {
        g->say.view = boot;
    }
}

/* A member that says anything; bytes decide whether it is fresh. */
static void op_ghost_says(void)
{
    uint8_t how = take();
    struct ghost *g = &ghost[how % GHOSTS];

    ghost_change(g);
    if ((how & 128) == 0)
        ghost_listen(g, &air);
    for (unsigned more = how >> 3 & 3; more > 0; more--) { /* of others */
        struct heartbeat_ack *a = &g->say.ack[g->say.acks++];
        a->member = member_id(some_name());
        a->stamp = (uint64_t)take32() << 32;
        a->age = age_unpack((uint16_t)(take() << 8));
        a->proof = (how & 32) != 0 ? 0 : age_unpack((uint16_t)(take() << 8));
    }
    g->say.entries = take() % 4u;
    for (size_t i = 0; i < g->say.entries; i++)
        entry_fill(&g->say.entry[i]);
    ghost_utter(g);
    g->say.acks = g->say.acks < 1 ? g->say.acks : 1;
}

/* ------------------------------------------------------------------- life */

static void node_make(void)
{
    const struct event e = {.kind = EVENT_START};
    uint8_t size = take();
    struct node_config *c = &bench.config;

    *c = rig_config(0);
    c->buckets = (uint16_t)(BUCKETS_MIN << (size & 3));
    c->datagram_max = (size & 4) != 0 ? DATAGRAM_MAX : 400;
    c->weight = (size & 8) != 0 ? 0 : 100;
    c->interval = (1 + (usec)take()) * USEC_PER_MS;
    c->dead_after = c->interval * (3 + (size >> 4 & 3));
    c->lease = c->dead_after - c->interval * ((size & 64) != 0 ? 1 : 2);
    c->orphan_after = (usec)take() * 10 * USEC_PER_MS;
    c->forget_after = (size & 128) != 0 ? USEC_PER_S : 3600 * USEC_PER_S;
    uint8_t incarnation = take();
    for (int i = 0; i < GHOSTS; i++) {
        struct node_config as = *c;
        as.name[1] = (char)('1' + i);
        if (i == GHOSTS - 1)
            memcpy(as.name, "n0", 3); /* an impostor */
        as.mac.byte[5] = (uint8_t)(i + 2);
        as.weight = 100;
        ghost_init(&ghost[i], &as, UINT64_C(0x1000000000) * (uint64_t)(i + 1));
    }
    plan_init(&bench.applied, c->buckets);
    node_init(bench.node, c, UINT64_C(0x9e3779b97f4a7c15), incarnation);
    bench.now = (instant){10 * USEC_PER_S};
    step(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const operation[])(void) = {
        op_on_time, op_ghost,  op_obey,   op_ghost_says, op_applied, op_flows,   op_late,
        op_replay,  op_health, op_reload, op_control,    op_link,    op_garbage, op_leave,
    };
    struct node *node = bench.node != NULL ? bench.node : malloc(node_bytes());

    check(node != NULL);
    memset(&bench, 0, sizeof bench);
    bench.node = node;
    kept_count = 0;
    air.last_length = 0;
    input.at = data;
    input.end = data + size;
    node_make();
    for (unsigned i = 0; i < OPERATIONS && input.at < input.end; i++)
        operation[take() % (sizeof operation / sizeof operation[0])]();
    return 0;
}
