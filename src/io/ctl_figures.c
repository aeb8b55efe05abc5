#include "ctl_figures.h"

#include <assert.h>

struct ctl_coverage ctl_coverage(const struct status *s)
{
    struct ctl_coverage c = {0};
    struct bitmap once = {0}, twice = {0};

    for (size_t m = 0; m < s->members; m++) {
        for (size_t w = 0; w < BUCKETS_MAX / 64; w++) {
            twice.word[w] |= once.word[w] & s->claim[m].word[w];
            once.word[w] |= s->claim[m].word[w];
        }
    }
    for (unsigned b = 0; b < s->buckets; b++) {
        c.unowned += s->bucket[b].owner < 0;
        c.unclaimed += !bitmap_test(&once, b);
        c.contested += bitmap_test(&twice, b);
    }
    return c;
}

bool ctl_member_lives(const struct status_member *m)
{
    return m->state == MEMBER_ALIVE || m->state == MEMBER_SUSPECT || m->state == MEMBER_HELD;
}

size_t ctl_quorum_needed(const struct status *s)
{
    return s->quorum.voters > 0 ? s->quorum.voters / 2 + 1 : 0;
}

const char *ctl_quorum_name(enum quorum_policy p)
{
    static const char *const name[QUORUM_MAX] = {
        [QUORUM_NONE] = "none", [QUORUM_MAJORITY] = "majority"};

    assert(p < QUORUM_MAX);
    return name[p];
}

uint64_t ctl_key_next(const struct status *s)
{
    for (size_t i = 0; i < s->members; i++)
        if (s->member[i].self)
            return s->member[i].key_next;
    return 0;
}

const struct ctl_reject ctl_rejects[] = {
    {REJECT_FORGED, "forged"},
    {REJECT_REPLAYED, "replayed"},
    {REJECT_MALFORMED, "malformed"},
    {REJECT_FOREIGN_CLUSTER, "foreign_cluster"},
    {REJECT_CONFIG_MISMATCH, "config_mismatch"},
    {REJECT_VERSION, "version"},
};
