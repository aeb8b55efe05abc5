/*
 * Datagrams are kept once and counted by reference; only a corrupted one is
 * copied. Who hears whom is measured, not computed from the faults: that way
 * every fault counts, also those that nobody thought of.
 */
#include "net.h"

#include <assert.h>
#include <string.h>

#include "ipclusterd/seal.h"
#include "ipclusterd/wire.h"
#include "large.h"
#include "world.h"

#define LONG_AGO (INT64_MIN / 4)

/* Whether a member passes on what it hears of others' claims, so that two that
 * do not hear each other, but both a third, are bound by S1. */
enum { RELAYS = 1 };

/* Of whom more than every second datagram is lost, in ppm: what comes through does not
 * make two hear each other. */
enum { LOSS_DEAF = 500000 };

void net_init(struct net *n)
{
    n->packet = large_new(PACKETS_MAX * sizeof *n->packet);
}

void net_free(struct net *n)
{
    large_free(n->packet, PACKETS_MAX * sizeof *n->packet);
}

/* Acknowledgements have three quarters of what a heartbeat leaves them, in the worst case
 * beside a full DEAF; who finds no room there has its turn in the next. */
static unsigned rounds(const struct scenario *s)
{
    enum { SECTIONS = 64 + 4 * DEAF_MAX, LEAST = 8 };
    int base = (int)(SEAL_OVERHEAD + heartbeat_base_bytes("node000", (uint16_t)s->buckets));
    int acks = (DATAGRAM_MAX - SECTIONS - base) * 3 / 4 / HEARTBEAT_ACK_BYTES - 1;
    unsigned most = acks > LEAST ? (unsigned)acks : LEAST;
    return s->nodes < 2 ? 1 : (s->nodes - 2) / most + 1;
}

void net_reset(struct net *n, const struct scenario *s)
{
    n->rounds = rounds(s);
    n->rng = rng_make(s->seed ^ rng_mix(s->noise), 2);
    n->profile = s->net_calm;
    n->sent = n->lost = 0;
    n->trouble_at = n->replayed_at = LONG_AGO;
    n->free = PACKET_NONE;
    n->fresh = 0;
    for (size_t i = 0; i < ARCHIVE_MAX; i++)
        n->archive[i] = PACKET_NONE;
    for (unsigned a = 0; a < s->nodes; a++) {
        n->cut[a] = (struct hosts){{0}};
        n->trouble_from[a] = n->heard_by_any[a] = LONG_AGO;
        for (unsigned b = 0; b < s->nodes; b++)
            n->heard[b][a] = (struct hearing){LONG_AGO, LONG_AGO, LONG_AGO, false};
    }
}

static uint32_t packet_new(struct net *n)
{
    uint32_t i = n->free;
    if (i != PACKET_NONE)
        n->free = n->packet[i].next_free;
    else if (n->fresh < PACKETS_MAX)
        i = n->fresh++;
    else
        return PACKET_NONE;
    n->packet[i].references = 1;
    return i;
}

void net_release(struct net *n, uint32_t packet)
{
    struct packet *p = &n->packet[packet];
    assert(p->references > 0);
    if (--p->references == 0) {
        p->next_free = n->free;
        n->free = packet;
    }
}

/* A copy of which some bytes differ, or that is too short, or too long. */
static uint32_t packet_corrupt(struct net *n, uint32_t from)
{
    uint32_t i = packet_new(n);
    if (i == PACKET_NONE)
        return i;
    struct packet *p = &n->packet[i];
    const struct packet *q = &n->packet[from];
    p->from = q->from;
    p->length = q->length;
    p->sent_at = q->sent_at;
    p->authentic = false;
    memcpy(p->data, q->data, q->length);
    switch (p->length == 0 ? 2 : rng_below(&n->rng, 3)) {
    case 0:
        p->length = (uint16_t)rng_below(&n->rng, p->length);
        break;
    case 1:
        for (uint64_t k = rng_below(&n->rng, 8) + 1; k > 0; k--)
            p->data[rng_below(&n->rng, p->length)] ^= (uint8_t)(1u << rng_below(&n->rng, 8));
        if (memcmp(p->data, q->data, p->length) == 0)
            p->data[0] ^= 1;
        break;
    default:
        if (p->length < DATAGRAM_MAX)
            p->data[p->length++] = (uint8_t)rng_next(&n->rng);
        else
            p->data[0] ^= 0x80;
        break;
    }
    return i;
}

static void net_trouble(struct world *w, unsigned from, unsigned to)
{
    if (w->host[to].state != HOST_RUNNING)
        return;
    w->net.trouble_at = w->net.trouble_from[from] = w->now;
    w->net.lost++;
}

/* One arrival of the packet at `to`, some time later. */
static void net_carry(struct world *w, uint32_t packet, unsigned to)
{
    struct net *n = &w->net;
    const struct net_profile *p = &n->profile;
    unsigned from = n->packet[packet].from;
    usec delay = rng_between(&n->rng, p->delay_min, p->delay_min + p->delay_jitter);
    if (rng_chance(&n->rng, p->late)) {
        delay += rng_between(&n->rng, 0, p->late_max);
        net_trouble(w, from, to);
    }
    if (delay > w->scenario.interval)
        net_trouble(w, from, to);
    if (rng_chance(&n->rng, p->corrupt)) {
        net_trouble(w, from, to);
        packet = packet_corrupt(n, packet);
        if (packet == PACKET_NONE)
            return;
    } else {
        n->packet[packet].references++;
    }
    struct happening h = {
        .kind = HAPPEN_DELIVER, .node = (uint16_t)to, .boot = w->host[to].boot, .arg = packet};
    world_later(w, delay, &h);
}

void net_send(struct world *w, unsigned from, const uint8_t *data, size_t length)
{
    struct net *n = &w->net;
    uint32_t i = packet_new(n);
    if (i == PACKET_NONE) {
        n->trouble_at = n->trouble_from[from] = w->now;
        return;
    }
    struct packet *p = &n->packet[i];
    p->from = (uint16_t)from;
    p->length = (uint16_t)length;
    p->sent_at = w->now;
    p->authentic = true;
    memcpy(p->data, data, length);
    n->sent++;
    for (unsigned to = 0; to < w->scenario.nodes; to++) {
        if (to == from)
            continue;
        if (hosts_test(&n->cut[from], to) || rng_chance(&n->rng, n->profile.loss)) {
            net_trouble(w, from, to);
            continue;
        }
        net_carry(w, i, to);
        if (rng_chance(&n->rng, n->profile.twice))
            net_carry(w, i, to);
    }
    if (rng_chance(&n->rng, 30000)) {
        uint32_t *slot = &n->archive[rng_below(&n->rng, ARCHIVE_MAX)];
        if (*slot != PACKET_NONE)
            net_release(n, *slot);
        *slot = i;
    } else {
        net_release(n, i);
    }
}

uint32_t net_forge(struct world *w, unsigned to)
{
    struct net *n = &w->net;
    uint32_t recorded = PACKET_NONE;
    for (int tries = 0; tries < 8 && recorded == PACKET_NONE; tries++)
        recorded = n->archive[rng_below(&n->rng, ARCHIVE_MAX)];
    if (recorded != PACKET_NONE && rng_chance(&n->rng, 600000)) {
        /* Played again as it was, also to its own sender or a later boot. */
        struct packet *p = &n->packet[recorded];
        p->references++;
        return recorded;
    }
    if (recorded != PACKET_NONE)
        return packet_corrupt(n, recorded);
    uint32_t i = packet_new(n);
    if (i == PACKET_NONE)
        return i;
    struct packet *p = &n->packet[i];
    p->from = (uint16_t)to;
    p->authentic = false;
    p->sent_at = w->now;
    p->length = (uint16_t)rng_below(&n->rng, DATAGRAM_MAX + 1);
    for (size_t k = 0; k < p->length; k++)
        p->data[k] = (uint8_t)rng_next(&n->rng);
    return i;
}

/* Longest honest way of a heartbeat beside its interval: delay and lateness. */
static usec net_slack(const struct world *w)
{
    const struct scenario *s = &w->scenario;
    const struct net_profile *p = &s->net_storm;
    return p->delay_min + p->delay_jitter + s->timer_late;
}

void net_note_heard(struct world *w, unsigned to, const struct packet *p)
{
    struct net *n = &w->net;
    usec interval = w->scenario.interval;
    if (!p->authentic || p->from == to || w->now - p->sent_at > interval + net_slack(w) ||
        p->sent_at < w->host[p->from].started_at)
        return;
    struct hearing *h = &n->heard[p->from][to], *back = &n->heard[to][p->from];
    if (w->now - h->at > 2 * interval || n->profile.loss > LOSS_DEAF)
        h->since = w->now;
    h->at = h->ever = w->now;
    if (!h->met && w->now - back->at <= 2 * interval)
        h->met = back->met = true;
    n->heard_by_any[p->from] = w->now;
}

void net_note_recording(struct world *w, unsigned to, const struct packet *p)
{
    if (p->authentic && p->from != to && w->now - p->sent_at <= w->scenario.dead_after)
        w->net.heard[p->from][to].ever = w->net.replayed_at = w->now;
}

void net_forget_heard(struct world *w, unsigned host)
{
    for (unsigned i = 0; i < w->scenario.nodes; i++) {
        struct hearing *there = &w->net.heard[i][host], *back = &w->net.heard[host][i];
        there->at = there->since = back->at = back->since = LONG_AGO;
        there->met = back->met = false;
    }
    w->net.heard_by_any[host] = LONG_AGO;
}

/* Who was apart has its turn twice: to be acknowledged, and to answer that. */
usec net_grace(const struct world *w)
{
    unsigned turns = w->net.rounds > 1 ? 2 * w->net.rounds : 1;
    return (2 + turns) * w->scenario.interval + 4 * net_slack(w) + 4 * w->kernel_profile.commit_max;
}

/* Host a has heard host b without a gap for the grace times `graces`. */
static bool net_hears(const struct world *w, unsigned a, unsigned b, int graces)
{
    const struct net *n = &w->net;
    return w->now - n->heard[b][a].at <= 2 * w->scenario.interval &&
           w->now - n->heard[b][a].since >= graces * net_grace(w);
}

static bool net_hear_long(const struct world *w, unsigned a, unsigned b, int graces)
{
    return w->host[a].state == HOST_RUNNING && w->host[b].state == HOST_RUNNING &&
           net_hears(w, a, b, graces) && net_hears(w, b, a, graces);
}

bool net_hear_each_other(const struct world *w, unsigned a, unsigned b)
{
    return net_hear_long(w, a, b, 1);
}

/* What goes round by a third has to be an answer to what was said within dead_after:
 * four ways on a network that may be slow just now. */
static bool net_relays(const struct world *w)
{
    const struct net_profile *p = &w->net.profile;
    usec way = p->delay_min + p->delay_jitter;
    way = way > net_slack(w) ? way : net_slack(w);
    return RELAYS && w->scenario.interval + 4 * way < w->scenario.dead_after;
}

/* It is not, and was not lately, kept apart by VIPs that are other ones. */
static bool net_fits(const struct world *w, unsigned a, usec span)
{
    const struct host *h = &w->host[a];
    return h->vips < VIPS_LISTS && w->now - h->misfit_until >= span;
}

bool net_connected(const struct world *w, unsigned a, unsigned b)
{
    usec patience = 2 * w->scenario.dead_after + net_grace(w);
    if (net_hear_long(w, a, b, 1))
        return true;
    if (!net_relays(w) || !net_fits(w, a, patience) || !net_fits(w, b, patience))
        return false;
    for (unsigned c = 0; c < w->scenario.nodes; c++)
        if (c != a && c != b && net_fits(w, c, patience) && net_hear_long(w, a, c, 2) &&
            net_hear_long(w, b, c, 2))
            return true;
    return false;
}

/* Each of them has heard the other within the span. */
static bool net_met(const struct world *w, unsigned a, unsigned b, usec span)
{
    const struct net *n = &w->net;
    return w->now - n->heard[b][a].ever <= span && w->now - n->heard[a][b].ever <= span;
}

/* They met, or each a third that passes on what they say. */
static bool net_in_touch(const struct world *w, unsigned a, unsigned b, usec span)
{
    bool touch = net_met(w, a, b, span);
    for (unsigned c = 0; RELAYS && c < w->scenario.nodes && !touch; c++)
        touch = c != a && c != b && net_met(w, a, c, span) && net_met(w, b, c, span);
    return touch;
}

/* Host a has heard host b for long, and b, which knew a as a knew it, has not
 * heard it for long: twice the time after which somebody has to act on it. */
static bool net_hears_one_way(const struct world *w, unsigned a, unsigned b)
{
    const struct net *n = &w->net;
    usec patience = 2 * w->scenario.dead_after + net_grace(w);
    return w->host[b].state == HOST_RUNNING && net_hears(w, a, b, 1) &&
           w->now - n->heard[b][a].since >= patience && n->heard[b][a].met &&
           w->now - n->heard[a][b].at >= patience && w->now - n->replayed_at >= patience &&
           !net_in_touch(w, a, b, patience) && net_fits(w, a, patience) && net_fits(w, b, patience);
}

/* Host a is one of the mute: those who do not hear it are as many as it and those
 * with whom it was in touch, not too long ago to have noticed the end of that. The
 * others cannot know of it; it can. */
static bool net_mute(const struct world *w, unsigned a)
{
    usec lately = 2 * w->scenario.dead_after + net_grace(w);
    unsigned deaf = 0, with = 1;
    for (unsigned c = 0; c < w->scenario.nodes; c++) {
        if (c == a)
            continue;
        deaf += net_hears_one_way(w, a, c);
        with += net_in_touch(w, a, c, lately);
    }
    return deaf >= with;
}

bool net_able(const struct world *w, unsigned a)
{
    const struct host *h = &w->host[a];
    return h->state == HOST_RUNNING && !h->kernel.refused &&
           w->now >= h->kernel.held_until + net_grace(w);
}

/* Since when a hears b, at the earliest, if it hears it at any time from now on: what
 * breaks off begins anew. */
static int64_t net_hears_since(const struct world *w, unsigned a, unsigned b)
{
    const struct hearing *h = &w->net.heard[b][a];
    return w->now - h->at > 2 * w->scenario.interval ? w->now : h->since;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t net_bound_from(const struct world *w, unsigned a, unsigned b)
{
    const struct net *n = &w->net;
    usec grace = net_grace(w), patience = 2 * w->scenario.dead_after + grace;
    int64_t there = net_hears_since(w, a, b), back = net_hears_since(w, b, a);
    int64_t first = later(there, back) + grace;
    int64_t one_way[] = {later(there, n->heard[a][b].at) + patience,
                         later(back, n->heard[b][a].at) + patience};
    for (unsigned c = 0; RELAYS && c < w->scenario.nodes; c++) {
        if (c == a || c == b)
            continue;
        int64_t third = later(net_hears_since(w, a, c), net_hears_since(w, b, c));
        if (third + 2 * grace >= first)
            continue;
        third = later(third, later(net_hears_since(w, c, a), net_hears_since(w, c, b)));
        first = third + 2 * grace < first ? third + 2 * grace : first;
    }
    for (int i = 0; i < 2; i++)
        first = one_way[i] < first ? one_way[i] : first;
    return first;
}

bool net_bound(const struct world *w, unsigned a, unsigned b)
{
    if (!net_able(w, a) || !net_able(w, b))
        return false;
    return net_connected(w, a, b) || (net_hears_one_way(w, a, b) && net_mute(w, a)) ||
           (net_hears_one_way(w, b, a) && net_mute(w, b));
}

const char *net_relation(const struct world *w, unsigned a, unsigned b)
{
    if (net_hear_each_other(w, a, b))
        return "who hear each other";
    if (net_connected(w, a, b))
        return "who both hear a third";
    return net_bound(w, a, b) ? "of whom one hears the other" : "who do not hear each other";
}

bool net_heard_until(const struct world *w, unsigned a, unsigned b, int64_t then)
{
    const struct net *n = &w->net;
    const struct hearing *there = &n->heard[a][b], *back = &n->heard[b][a];
    int64_t lately = then - 2 * w->scenario.interval, long_since = then - net_grace(w);
    return w->host[b].state == HOST_RUNNING && there->at >= lately && back->at >= lately &&
           there->since <= long_since && back->since <= long_since;
}

void net_cut(struct net *n, const struct hosts *from, const struct hosts *to)
{
    n->cuts++;
    for (int h = HOST_NONE; (h = hosts_next(from, h)) >= 0;)
        hosts_merge(&n->cut[h], to);
}

void net_partition(struct net *n, const struct hosts *side, bool one_way)
{
    struct hosts rest;
    for (unsigned i = 0; i < HOSTS_WORDS; i++)
        rest.word[i] = ~side->word[i];
    net_cut(n, side, &rest);
    if (!one_way)
        net_cut(n, &rest, side);
}

void net_heal(struct net *n)
{
    memset(n->cut, 0, sizeof n->cut);
    n->cuts++;
}
