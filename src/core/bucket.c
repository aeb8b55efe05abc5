/*
 * The state machine of one bucket on one node; the picture is in the header.
 *
 * Invariants: a class that claims is entered only when granted (S1), and left
 * only when another claims, or is ready to take what is forwarded (S2); LINGER
 * turns FOREIGN only without flows (S4); OWN, in which the stack resets unknown
 * flows, only when no living member can have any and none died lately (S5).
 */
#include "ipclusterd/bucket.h"

#include <assert.h>

/* From ADOPT to OWN only when all the living have told under this view what they have. */
static enum bucket_class claimed(enum bucket_class now, const struct bucket_view *v)
{
    if (v->others_flows || v->holding)
        return CLASS_ADOPT;
    return now == CLASS_ADOPT && !v->agreed ? CLASS_ADOPT : CLASS_OWN;
}

/* A bucket that this node claims. */
static enum bucket_class step_claimed(enum bucket_class now, const struct bucket_view *v)
{
    if (v->yield)
        return CLASS_LINGER;
    if (!v->mine && v->owner_ready)
        return CLASS_RELEASE;
    return claimed(now, v);
}

/* A bucket that this node does not claim. */
static enum bucket_class step_unclaimed(enum bucket_class now, const struct bucket_view *v)
{
    if (v->mine)
        return v->granted ? claimed(now, v) : CLASS_LINGER;
    if (now == CLASS_RELEASE)
        return v->owner_claims || !v->owner_ready ? CLASS_LINGER : CLASS_RELEASE;
    if (now == CLASS_LINGER)
        return v->flows ? CLASS_LINGER : CLASS_FOREIGN;
    return CLASS_FOREIGN;
}

enum bucket_class bucket_next(enum bucket_class now, const struct bucket_view *v)
{
    switch (now) {
    case CLASS_OWN:
    case CLASS_ADOPT:
        return step_claimed(now, v);
    case CLASS_FOREIGN:
    case CLASS_RELEASE:
    case CLASS_LINGER:
        return step_unclaimed(now, v);
    case CLASS_MAX:
        break;
    }
    assert(now < CLASS_MAX);
    return now;
}
