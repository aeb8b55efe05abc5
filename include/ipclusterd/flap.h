/*
 * Penalties of members that keep dying: after RFC 2439 (route flap damping),
 * 4.2 to 4.4. Each fall adds `penalty`; it decays by half every `half_life`,
 * but only while the member lives, and not in the first quarter of a half life
 * of each life: so the falls of a member that never lives long add up in full.
 * At `suppress` the member is held: it lives, and owns nothing; below `reuse`
 * it is let in again, after `max_hold` of life at the latest.
 *
 * All integers: every member reckons alike on every machine.
 */
#ifndef IPCLUSTERD_FLAP_H
#define IPCLUSTERD_FLAP_H

#include "ipclusterd/types.h"

struct flap_config {
    uint32_t penalty; /* of one fall; 0: no member is ever held */
    uint32_t suppress, reuse;
    usec half_life, max_hold;
};

struct flap {
    uint32_t hold;    /* odd: held */
    uint32_t fallen;  /* incarnation of the last fall that is counted */
    uint32_t penalty; /* as of `at` */
    instant at;       /* from here on it decays; may lie ahead */
    bool living;      /* else it does not decay */
};

/* The penalty at `now`. */
uint32_t flap_now(const struct flap *f, const struct flap_config *c, instant now);

/* A life ended: no decay until the next. */
void flap_fall(struct flap *f, const struct flap_config *c, instant now);

/* That life, of incarnation `fallen`, ended by dying: adds the penalty, but not
 * for a fall that has been counted already, here or by others. True if it did. */
bool flap_count(struct flap *f, const struct flap_config *c, instant now, uint32_t fallen);

/* A life begins: the decay waits. */
void flap_rise(struct flap *f, const struct flap_config *c, instant now);

/* Holds, or lets go, if that is due. True if `hold` changed. */
bool flap_decide(struct flap *f, const struct flap_config *c, instant now);

/* An operator lets it in, with a clean slate. False if it is not held. */
bool flap_release(struct flap *f);

/* Another member's reckoning of now; the greater wins (struct heartbeat_hold).
 * True if ours changed. */
bool flap_merge(struct flap *f, const struct flap_config *c, instant now, uint32_t hold,
                uint32_t fallen, uint32_t penalty);

static inline bool flap_held(const struct flap *f)
{
    return (f->hold & 1) != 0;
}

/* How long until it is let in, if it goes on living; 0 if it is not held. */
usec flap_left(const struct flap *f, const struct flap_config *c, instant now);

#endif
