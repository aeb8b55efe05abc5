/*
 * Penalties: decay, decisions, agreement.
 *
 * Invariants: `hold` and, within one hold, `fallen` only grow, so what members
 * tell each other can be merged in any order; the stored penalty is changed by
 * events alone, never by looking at it, so rounding does not add up.
 */
#include "ipclusterd/flap.h"

/* Between two halvings the curve is a straight line. */
uint32_t flap_now(const struct flap *f, const struct flap_config *c, instant now)
{
    if (!f->living || !instant_before(f->at, now) || c->half_life <= 0)
        return f->penalty;
    usec age = instant_diff(now, f->at);
    usec halves = age / c->half_life, rest = age % c->half_life;
    if (halves > 31)
        return 0;
    uint64_t value = f->penalty >> halves;
    return (uint32_t)(value - value * (uint64_t)rest / (2 * (uint64_t)c->half_life));
}

/* More than this would hold it for longer than max_hold. */
static uint32_t ceiling(const struct flap_config *c)
{
    usec halves = c->half_life > 0 ? c->max_hold / c->half_life : 31;
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
    if (fallen > f->fallen)
        f->fallen = fallen;
    f->penalty = penalty;
    f->at = instant_max(now, f->at);
    return true;
}

usec flap_left(const struct flap *f, const struct flap_config *c, instant now)
{
    if (!flap_held(f))
        return 0;
    uint64_t value = flap_now(f, c, now), reuse = c->reuse > 0 ? c->reuse : 1;
    usec left = f->living && instant_before(now, f->at) ? instant_diff(f->at, now) : 0;
    if (!f->living)
        left = c->half_life / 4;
    for (; value / 2 >= reuse; value /= 2)
        left += c->half_life;
    if (value >= reuse)
        left += (usec)(2 * (uint64_t)c->half_life * (value - reuse) / value) + 1;
    return left;
}
