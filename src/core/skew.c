/*
 * Skew: one bucket with more flows than a node's fair share, so that no table of
 * owners can spread them evenly.
 *
 * A fair share is one part in as many as there are nodes; below a fifth of all
 * flows one bucket does no harm, however many nodes there are. Few flows say
 * nothing: of 200 in 16 buckets the fullest has 20 or so by chance, half of what
 * it takes. Once told, it stays so until the bucket is well below, or the flows
 * are few: a warning that comes and goes is worse than none.
 */
#include "ipclusterd/skew.h"

enum {
    FLOWS_TO_TELL = 200,
    FLOWS_TO_KEEP = 100,
    PARTS_MAX = 5, /* a fifth */
};

static bool judge(const struct skew *s)
{
    uint64_t parts = s->nodes < PARTS_MAX ? s->nodes : PARTS_MAX;

    if (s->nodes < 2)
        return false;
    if (s->skewed)
        return s->total >= FLOWS_TO_KEEP && 4 * s->most * parts >= 3 * s->total;
    return s->total >= FLOWS_TO_TELL && s->most * parts > s->total;
}

void skew_judge(struct skew *s, const uint32_t *of, unsigned buckets, uint64_t total, size_t nodes)
{
    s->most = 0;
    for (unsigned b = 0; b < buckets; b++) {
        if (of[b] <= s->most)
            continue;
        s->most = of[b];
        s->bucket = b;
    }
    s->total = total;
    s->nodes = nodes;
    s->skewed = judge(s);
}
