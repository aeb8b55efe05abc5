/*
 * Plans as values: initial state, comparison, names.
 */
#include "ipclusterd/plan.h"

#include <assert.h>
#include <string.h>

static const char *const class_names[CLASS_MAX] = {
    [CLASS_FOREIGN] = "foreign", [CLASS_OWN] = "own",       [CLASS_ADOPT] = "adopt",
    [CLASS_RELEASE] = "release", [CLASS_LINGER] = "linger",
};

const char *bucket_class_name(enum bucket_class c)
{
    assert(c < CLASS_MAX);
    return class_names[c];
}

void plan_init(struct plan *p, uint16_t buckets)
{
    assert(buckets <= BUCKETS_MAX);
    memset(p, 0, sizeof *p);
    p->buckets = buckets;
    for (unsigned b = 0; b < buckets; b++)
        p->target_of[b] = PLAN_TARGET_NONE;
}

/* Where bucket `b` is forwarded; NULL nowhere. */
static const struct mac *target(const struct plan *p, unsigned b)
{
    return p->target_of[b] == PLAN_TARGET_NONE ? NULL : &p->target[p->target_of[b]];
}

bool plan_equal(const struct plan *a, const struct plan *b)
{
    if (a->buckets != b->buckets ||
        memcmp(a->class_of, b->class_of, a->buckets * sizeof a->class_of[0]) != 0)
        return false;
    for (unsigned i = 0; i < a->buckets; i++) {
        const struct mac *x = target(a, i), *y = target(b, i);
        if ((x == NULL) != (y == NULL) || (x != NULL && memcmp(x, y, sizeof *x) != 0))
            return false;
    }
    return true;
}
