/*
 * A life of one node, as the input tells it: time that passes on time or late,
 * datagrams of members that the input plays (under either key, with
 * acknowledgements that prove them fresh, or not, directly or relayed), replays,
 * garbage, a kernel that answers late, wrongly, twice or never, restarts, and
 * every other event. What is checked after every step: bench.h.
 *
 * It is built with a core of its own, whose limits are small and whose seal
 * costs nothing, so that a life takes microseconds and limits are reached.
 *
 * Input: the configuration (4), then operations, a byte each with the bytes
 * that they take.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

enum { GHOSTS = 6, KEPT = 8, IMPOSTOR = GHOSTS - 1 };

static struct {
    const uint8_t *at, *end;
} input;

/* A member that the input plays, and what it says next. */
static struct ghost {
    struct heartbeat say;
    bool next_key;
} ghost[GHOSTS];

static struct utterance kept[KEPT]; /* of the ghosts, to be replayed */
static unsigned kept_count;

static uint32_t flows[BUCKETS_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

/* ----------------------------------------------------------------- events */

static void op_on_time(void)
{
    bench_run((usec)take() * bench.config.interval / 16);
}

static void op_late(void)
{
    const struct event e = {.kind = EVENT_TIMER};
    uint8_t how = take();

    bench.now = instant_add(bench.now, (usec)how * bench.config.interval / 16);
    if (how == 255) /* slept for long */
        bench.now = instant_add(bench.now, (usec)take() * 60 * USEC_PER_S);
    bench_step(&e);
}

static void op_applied(void)
{
    uint8_t how = take();
    int error = (how & 1) == 0 ? 0 : (how & 2) == 0 ? -ENOBUFS : -ETIME;

    bench_answer((how & 4) != 0 ? take() : bench.in_flight ? bench.generation : 0, error);
}

static void op_obey(void)
{
    bench_obey();
}

static void op_flows(void)
{
    uint8_t how = take();
    struct event e = {.kind = EVENT_FLOWS, .flows = {flows}};

    for (unsigned b = 0; b < bench.config.buckets; b++)
        flows[b] = (b % 8u) < (how & 15u) ? how : 0;
    if (how == 255)
        flows[0] = UINT32_MAX;
    bench_step(&e);
}

/* What this host finds of itself and around it. */
static void op_condition(void)
{
    static const enum event_kind kinds[] = {EVENT_LINK, EVENT_HEALTH, EVENT_WITNESS, EVENT_CLOCK};
    uint8_t how = take();
    bool well = (how & 4) != 0;
    struct event e = {.kind = kinds[how & 3]};

    if (e.kind == EVENT_LINK)
        e.link.up = well;
    else if (e.kind == EVENT_HEALTH)
        e.health.healthy = well;
    else if (e.kind == EVENT_WITNESS)
        e.witness.reachable = well;
    else
        e.clock.ms = (int64_t)take32() << (how >> 4);
    bench_step(&e);
}

static const char *some_name(void)
{
    static char name[4] = "x??";
    uint8_t which = take();

    if (which < GHOSTS)
        return ghost[which].say.name;
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
    bench_step(&e);
}

/* A list of three VIPs at most, one of them of two kinds; or it is not told. */
static uint64_t vips_make(struct vips_word *w, uint8_t how)
{
    *w = (struct vips_word){.common = (how & 16) == 0 ? 1 : 0};
    for (uint32_t i = 0; i < 3 && w->common != 0; i++)
        if ((how >> i & 1) != 0)
            vips_add(w, (struct vip_word){i, i == 0 ? how >> 3 & 1u : 0});
    return 4711 + (how & 15u);
}

static void op_reload(void)
{
    struct event e = {.kind = EVENT_RELOAD, .reload = &bench.config};
    uint8_t more;

    bench.config.weight = (uint16_t)(take() * 4 % (WEIGHT_MAX + 1));
    more = take();
    bench.config.stop_drain = (usec)(more & 0xe0) * 10 * USEC_PER_MS;
    bench.config.config_digest = vips_make(&bench.config.vips, more);
    bench_step(&e);
}

/* Rarely: a life after these is short, or is another's. */
static void op_end(void)
{
    struct event e = {.kind = EVENT_LEAVE};
    uint8_t how = take();

    if (how == 77)
        bench_step(&e);
    else if (how == 78)
        bench_restart();
}

/* -------------------------------------------------------------- datagrams */

static void op_garbage(void)
{
    size_t length = take() * 2u, left = (size_t)(input.end - input.at);
    length = length < left ? length : left;
    const uint8_t *data = input.at;
    input.at += length;
    bench_hear(data, length, BENCH_OLD, bench.now);
}

/* What was said before: again, by a relay, or with a byte changed on the way. */
static void op_replay(void)
{
    uint8_t which = take(), place = take(), change = take();
    uint8_t data[DATAGRAM_MAX];

    if (kept_count == 0)
        return;
    struct utterance *was = &kept[which % (kept_count < KEPT ? kept_count : KEPT)], u = *was;
    if ((which & 64) != 0 && u.stamp.version > WIRE_VERSION_FIRST)
        u.stamp.type = SEAL_TYPE_RELAY;
    size_t length = bench_seal(&u, data);
    bool forged = which >= 128 && change != 0;
    data[place % length] ^= forged ? change : 0;
    enum bench_hearing as = forged            ? BENCH_OLD
                            : bench.forgetful ? BENCH_NEWS
                            : u.taken         ? BENCH_OLD
                                              : BENCH_PASSED;
    if (bench_hear(data, length, as, u.said) && !forged)
        was->taken = true;
}

/* Acknowledges the node's last word, and takes over its view and its voters. */
static void ghost_listen(struct ghost *g)
{
    g->say.view = bench.heard.view;
    g->say.voters = bench.heard.voters;
    g->say.acks = 1;
    g->say.ack[0] = (struct heartbeat_ack){
        .member = member_id(bench.heard.name),
        .stamp = bench.heard.salt + bench.heard.sequence,
    };
}

/* The bytes of what it says next, into a place where they are kept. */
static struct utterance *ghost_write(struct ghost *g)
{
    struct utterance *u = &kept[kept_count++ % KEPT];

    g->say.sequence++;
    u->next_key = g->next_key;
    u->said = bench.now;
    u->stamp = (struct seal_stamp){g->say.version, SEAL_TYPE_HEARTBEAT, g->say.salt,
                                   member_id(g->say.name), g->say.sequence};
    u->length = heartbeat_write(&g->say, u->plain, sizeof u->plain);
    bench_check(u->length > 0);
    return u;
}

static void utterance_hand(struct utterance *u)
{
    uint8_t data[DATAGRAM_MAX];
    size_t length = bench_seal(u, data);

    bench_check(length > 0);
    u->taken = bench_hear(data, length, BENCH_NEWS, u->said);
}

/* A member that behaves: fresh, of the node's view, claims what it said last. */
static void op_ghost(void)
{
    uint8_t how = take();
    struct ghost *g = &ghost[how % GHOSTS];
    uint64_t view = g->say.view;

    ghost_listen(g);
    if ((how & 128) != 0)
        g->say.view = view;
    g->say.entries = 0;
    struct utterance *u = ghost_write(g);
    if ((how & 64) != 0 && u->stamp.version > WIRE_VERSION_FIRST)
        u->stamp.type = SEAL_TYPE_RELAY;
    utterance_hand(u);
}

/* Fresh, but its bytes are changed and continued at will before they are sealed. */
static void op_ghost_raw(void)
{
    static struct heartbeat as;
    uint8_t how = take();
    struct ghost *g = &ghost[how % GHOSTS];

    if ((how & 128) == 0)
        ghost_listen(g);
    struct utterance *u = ghost_write(g);
    for (unsigned n = how >> 4 & 7; n > 0; n--) {
        size_t place = take();
        u->plain[(place << 2 | (n & 3)) % u->length] = take();
    }
    for (size_t n = take() % 64u; n > 0 && u->length < DATAGRAM_MAX - SEAL_OVERHEAD; n--)
        u->plain[u->length++] = take();
    /* Who lies about its name, its place in the stream or what it has heard may be heard
     * only later. */
    if (heartbeat_read(&as, u->stamp.version, u->plain, u->length) != 0 || as.salt != g->say.salt ||
        as.sequence != g->say.sequence || strcmp(as.name, g->say.name) != 0 || bench_ahead(&as))
        bench.forgetful = true;
    utterance_hand(u);
}

/* All of `who` behave, one after the other, for some intervals. */
static void op_ghosts(void)
{
    uint8_t who = take();

    for (unsigned n = take() % 8u + 1; n > 0 && !bench_ended(); n--) {
        for (unsigned i = 0; i < GHOSTS && !bench_ended(); i++) {
            if ((who >> i & 1) == 0)
                continue;
            ghost_listen(&ghost[i]);
            utterance_hand(ghost_write(&ghost[i]));
        }
        bench_obey();
        bench_run(bench.config.interval / 2);
    }
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
        g->say.salt += boot + 1u;
        g->say.sequence = 0;
        bench.reboots = true;
    } else if (boot < 96) {
        g->say.config = vips_make(&g->say.vips, boot);
    } else if (boot < 128) {
        g->say.version = boot % 2 == 0 ? WIRE_VERSION_FIRST : WIRE_VERSION_LAST;
    } else if (boot < 192) {
        g->say.order = boot & 7u;
    } else {
        g->next_key = (boot & 1) != 0;
    }
}

static void ballots_change(struct voters_word *w)
{
    uint8_t what = take();

    w->lineage = (what & 1) != 0 ? take() : w->lineage;
    w->version += (what >> 1) & 1;
    if ((what & 4) != 0)
        w->last = (struct voters_change){CHANGE_ADD, member_id(some_name())};
    if ((what & 8) != 0)
        w->promised = (struct ballot){take() % 4u + 1, member_id(some_name())};
    if ((what & 16) != 0)
        w->accepted = w->promised;
    if ((what & 32) != 0)
        w->change = (struct voters_change){take() % CHANGE_MAX, member_id(some_name())};
    if (w->change.kind == CHANGE_NONE)
        w->change.member = 0;
    if ((what & 64) != 0)
        w->count = 0;
}

/* What the sections of its next words tell. */
static void op_ghost_sections(void)
{
    uint8_t how = take(), what = take();
    struct ghost *g = &ghost[how % GHOSTS];
    struct heartbeat *h = &g->say;

    if ((what & 1) != 0)
        h->deafs = take() % 4u;
    for (size_t i = 0; (what & 1) != 0 && i < h->deafs; i++)
        h->deaf[i] = member_id(some_name());
    if ((what & 2) != 0) {
        h->holds = take() % 3u;
        for (size_t i = 0; i < h->holds; i++)
            h->hold[i] = (struct heartbeat_hold){member_id(some_name()), take() % 4u, take() % 4u,
                                                 take() * 64u};
    }
    if ((what & 4) != 0)
        h->keys = (struct heartbeat_keys){seal_key_hash(bench.config.key_next), take() % 4u,
                                          seal_key_hash(bench.config.key_next)};
    if ((what & 8) != 0)
        h->clock_ms = take32();
    if ((what & 16) != 0) {
        h->parts = take() % (CONFIG_PARTS + 1u);
        memset(h->part, take(), sizeof h->part);
    }
    ghost_listen(g);
    if ((what & 32) != 0)
        ballots_change(&h->voters);
    utterance_hand(ghost_write(g));
}

/* A member that says anything; bytes decide whether it is fresh. */
static void op_ghost_says(void)
{
    uint8_t how = take();
    struct ghost *g = &ghost[how % GHOSTS];

    ghost_change(g);
    if ((how & 128) == 0)
        ghost_listen(g);
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
    utterance_hand(ghost_write(g));
    g->say.acks = g->say.acks < 1 ? g->say.acks : 1;
}

/* ------------------------------------------------------------------- life */

static void ghost_make(struct ghost *g, int i, const struct node_config *c)
{
    memset(g, 0, sizeof *g);
    snprintf(g->say.name, sizeof g->say.name, "n%d", i == IMPOSTOR ? 0 : i + 1);
    g->say.version = WIRE_VERSION_LAST;
    g->say.salt = UINT64_C(0x1000000000) * (uint64_t)(i + 1);
    g->say.incarnation = 1;
    g->say.weight = 100;
    g->say.config = c->config_digest;
    g->say.vips = c->vips;
    g->say.mac = c->mac;
    g->say.mac.byte[5] = (uint8_t)(i + 2);
    g->say.address = c->address;
    g->say.buckets = c->buckets;
}

static void node_make(void)
{
    uint8_t size = take(), interval = take(), orphans = take(), more = take();
    struct node_config c = {
        .cluster = "bench",
        .name = "n0",
        .key = {1, 2, 3},
        .key_next = {(uint8_t)(more >> 2 & 1)},
        .buckets = (uint16_t)(BUCKETS_MIN << (size & 1)),
        .datagram_max = (size & 4) != 0 ? DATAGRAM_MAX : 500,
        .weight = (size & 8) != 0 ? 0 : 100,
        .interval = (1 + (usec)interval) * USEC_PER_MS,
        .orphan_after = (usec)orphans * 10 * USEC_PER_MS,
        .forget_after = (size & 128) != 0 ? USEC_PER_S : 3600 * USEC_PER_S,
        .quorum = (size & 2) != 0 ? QUORUM_MAJORITY : QUORUM_NONE,
        .witness = (more & 1) != 0,
        .mac = {{2, 0, 0, 0, 0, 1}},
        .address = {FAMILY_IP4, {10, 0, 0, 1}},
    };

    c.config_digest = vips_make(&c.vips, 0);
    c.dead_after = c.interval * (3 + (size >> 4 & 3));
    c.lease = c.dead_after - c.interval * ((size & 64) != 0 ? 1 : 2);
    if ((more & 8) != 0)
        c.flap = (struct flap_config){1000, 2500, 800, 10 * c.dead_after, 100 * c.dead_after};
    for (int i = 0; i < GHOSTS; i++)
        ghost_make(&ghost[i], i, &c);
    for (unsigned i = 0; c.quorum == QUORUM_MAJORITY && i < (more >> 4 & 3u); i++)
        c.founder[c.founders++] = member_id(i == 0 ? c.name : ghost[i - 1].say.name);
    bench_init(&c, more >> 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const operation[])(void) = {
        op_on_time, op_ghost,  op_obey,      op_ghost_says,     op_applied, op_flows,
        op_late,    op_replay, op_condition, op_reload,         op_control, op_garbage,
        op_end,     op_ghosts, op_ghost_raw, op_ghost_sections,
    };

    kept_count = 0;
    input.at = data;
    input.end = data + size;
    node_make();
    while (input.at < input.end && !bench_ended())
        operation[take() % (sizeof operation / sizeof operation[0])]();
    return 0;
}
