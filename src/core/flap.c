/*
 * Penalties: decay, decisions, agreement.
 *
 * Invariants: `hold` and, within one hold, `fallen` only grow, so what members
 * tell each other can be merged in any order; the stored penalty is changed by
 * events alone, never by looking at it, so rounding does not add up.
 */
#include "ipclusterd/flap.h"

enum { STEPS = 64 };

/* 2^(-i / STEPS) as a 32-bit fraction; between two of them the curve is straight,
 * which is wrong by less than 1 in 60,000. */
static const uint32_t fraction[STEPS + 1] = {
    0xffffffff, 0xfd3e0c0d, 0xfa83b2db, 0xf7d0df73, 0xf5257d15, 0xf281773c, 0xefe4b99c, 0xed4f301f,
    0xeac0c6e8, 0xe8396a50, 0xe5b906e7, 0xe33f8973, 0xe0ccdeec, 0xde60f482, 0xdbfbb798, 0xd99d15c2,
    0xd744fccb, 0xd4f35aac, 0xd2a81d92, 0xd06333db, 0xce248c15, 0xcbec14ff, 0xc9b9bd86, 0xc78d74c9,
    0xc5672a11, 0xc346ccda, 0xc12c4cca, 0xbf1799b6, 0xbd08a39f, 0xbaff5ab2, 0xb8fbaf47, 0xb6fd91e3,
    0xb504f334, 0xb311c413, 0xb123f582, 0xaf3b78ad, 0xad583eea, 0xab7a39b6, 0xa9a15ab5, 0xa7cd93b5,
    0xa5fed6aa, 0xa43515ae, 0xa2704303, 0xa0b05110, 0x9ef53261, 0x9d3ed9a7, 0x9b8d39ba, 0x99e04593,
    0x9837f052, 0x96942d37, 0x94f4efa9, 0x935a2b2f, 0x91c3d374, 0x9031dc43, 0x8ea4398b, 0x8d1adf5b,
    0x8b95c1e4, 0x8a14d575, 0x88980e81, 0x871f6197, 0x85aac368, 0x843a28c4, 0x82cd8699, 0x8164d1f4,
    0x80000000,
};

uint32_t flap_now(const struct flap *f, const struct flap_config *c, instant now)
{
    if (!f->living || !instant_before(f->at, now) || c->half_life <= 0)
        return f->penalty;
    usec age = instant_diff(now, f->at);
    usec halves = age / c->half_life, rest = age % c->half_life;
    if (halves > 31)
        return 0;
    usec step = rest * STEPS / c->half_life, within = rest * STEPS % c->half_life;
    uint64_t high = fraction[step], low = fraction[step + 1];
    uint64_t part = high - (high - low) * (uint64_t)within / (uint64_t)c->half_life;
    return (uint32_t)((((uint64_t)f->penalty * part + (UINT64_C(1) << 31)) >> 32) >> halves);
}

/* More than this would hold it for longer than max_hold. */
static uint32_t ceiling(const struct flap_config *c)
{
    usec decays = c->max_hold - c->half_life / 4;
    usec halves = c->half_life <= 0 ? 31 : decays > 0 ? decays / c->half_life : 0;
    uint64_t most = halves > 31 ? UINT32_MAX : (uint64_t)(c->reuse > 0 ? c->reuse : 1) << halves;
    if (most < c->suppress)
        most = c->suppress;
    return most > UINT32_MAX ? UINT32_MAX : (uint32_t)most;
}

void flap_fall(struct flap *f, const struct flap_config *c, instant now)
{
    f->penalty = flap_now(f, c, now);
    f->at = now;
    f->living = false;
}

bool flap_count(struct flap *f, const struct flap_config *c, instant now, uint32_t fallen)
{
    if (fallen <= f->fallen)
        return false;
    f->fallen = fallen;
    uint64_t sum = (uint64_t)flap_now(f, c, now) + c->penalty;
    uint32_t most = ceiling(c);
    f->penalty = sum < most ? (uint32_t)sum : most;
    if (f->living)
        f->at = instant_max(now, f->at);
    return true;
}

void flap_rise(struct flap *f, const struct flap_config *c, instant now)
{
    if (f->living)
        return;
    f->living = true;
    f->at = instant_add(now, c->half_life / 4);
}

bool flap_decide(struct flap *f, const struct flap_config *c, instant now)
{
    if (c->penalty == 0)
        return false;
    uint32_t value = flap_now(f, c, now);
    bool due = flap_held(f) ? value < c->reuse || value == 0 : value > 0 && value >= c->suppress;
    f->hold += due;
    return due;
}

bool flap_release(struct flap *f)
{
    if (!flap_held(f))
        return false;
    f->hold++;
    f->penalty = 0;
    return true;
}

bool flap_merge(struct flap *f, const struct flap_config *c, instant now, uint32_t hold,
                uint32_t fallen, uint32_t penalty)
{
    uint32_t value = flap_now(f, c, now), most = ceiling(c);
    if (penalty > most)
        penalty = most;
    bool equal = hold == f->hold && fallen == f->fallen;
    bool newer = hold > f->hold || (hold == f->hold && fallen > f->fallen);
    if (!newer && !(equal && penalty > value))
        return false;
    f->hold = hold;
    f->fallen = fallen;
    f->penalty = penalty;
    f->at = instant_max(now, f->at);
    return true;
}

usec flap_left(const struct flap *f, const struct flap_config *c, instant now)
{
    if (!flap_held(f))
        return 0;
    struct flap living = *f;
    flap_rise(&living, c, now);
    uint32_t reuse = c->reuse > 0 ? c->reuse : 1;
    instant low = now, high = instant_add(instant_max(living.at, now), 32 * c->half_life + 1);
    while (instant_before(low, high)) { /* the curve only falls */
        instant middle = instant_add(low, instant_diff(high, low) / 2);
        if (flap_now(&living, c, middle) < reuse)
            high = middle;
        else
            low = instant_add(middle, 1);
    }
    return instant_diff(low, now);
}
