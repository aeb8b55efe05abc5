/*
 * The assignment of buckets to members.
 *
 * Invariants: every bucket has one home and one owner, or nobody has any
 * weight; shares are within one bucket of the exact weighted share; a member
 * that serves owns all its home buckets, so one member's death or return moves
 * exactly its home buckets.
 *
 * Only integers are used, so every architecture computes the same tables.
 */
#include "ipclusterd/assign.h"

#include <assert.h>
#include <string.h>

#include "ipclusterd/seal.h"

uint64_t assign_hash(const char *cluster, const char *name)
{
    char text[2 * (NAME_BYTES_MAX + 1)] = {0};
    size_t length = strlen(cluster);
    assert(length <= NAME_BYTES_MAX && strlen(name) <= NAME_BYTES_MAX);
    memcpy(text, cluster, length);
    memcpy(text + length + 1, name, strlen(name));
    return hash64(text, length + 1 + strlen(name));
}

/* A finaliser of good avalanche (the constants of SplitMix64). */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return x;
}

static uint64_t score(const struct assign_member *m, unsigned bucket)
{
    return mix(m->hash + mix((uint64_t)(bucket + 1) * UINT64_C(0x9e3779b97f4a7c15)));
}

/* True if (bucket a, member x) comes before (bucket b, member y). */
static bool pair_before(const struct assign_member *x, unsigned a, const struct assign_member *y,
                        unsigned b)
{
    uint64_t p = score(x, a), q = score(y, b);
    if (p != q)
        return p > q;
    return a != b ? a < b : x->hash < y->hash;
}

/* Shares of the home table: whole parts, then one each to the largest
 * remainders (Hamilton's method; ties by hash). */
static void home_shares(struct assign *a, const struct assign_member *m, size_t members)
{
    uint64_t weight = 0, given = 0;
    bool topped[MEMBERS_MAX] = {false};
    for (size_t i = 0; i < members; i++)
        weight += m[i].weight;
    for (size_t i = 0; i < members; i++) {
        a->share[i] = weight == 0 ? 0 : (uint32_t)((uint64_t)a->buckets * m[i].weight / weight);
        given += a->share[i];
    }
    while (weight != 0 && given < a->buckets) {
        size_t best = MEMBERS_MAX;
        uint64_t most = 0;
        for (size_t i = 0; i < members; i++) {
            uint64_t rest = (uint64_t)a->buckets * m[i].weight % weight;
            if (topped[i] || m[i].weight == 0)
                continue;
            if (best == MEMBERS_MAX || rest > most || (rest == most && m[i].hash > m[best].hash)) {
                best = i;
                most = rest;
            }
        }
        assert(best != MEMBERS_MAX);
        topped[best] = true;
        a->share[best]++;
        given++;
    }
}

/* What those who serve may take beside their home buckets: one by one to
 * whoever is furthest below its exact share. `kept` buckets stay at home. */
static void owner_shares(struct assign *a, const struct assign_member *m, size_t members,
                         const uint32_t kept[])
{
    uint64_t weight = 0, free_buckets = a->buckets;
    for (size_t i = 0; i < members; i++) {
        a->share[i] = 0;
        if (m[i].serves) {
            weight += m[i].weight;
            free_buckets -= kept[i];
        }
    }
    for (; weight != 0 && free_buckets > 0; free_buckets--) {
        size_t best = MEMBERS_MAX;
        int64_t most = INT64_MIN;
        for (size_t i = 0; i < members; i++) {
            if (!m[i].serves || m[i].weight == 0)
                continue;
            int64_t below = (int64_t)((uint64_t)a->buckets * m[i].weight) -
                            (int64_t)((uint64_t)(kept[i] + a->share[i]) * weight);
            if (below > most || (below == most && m[i].hash > m[best].hash)) {
                best = i;
                most = below;
            }
        }
        assert(best < MEMBERS_MAX); /* somebody has weight */
        a->share[best]++;
    }
}

/* True if the heap of member `m` has `x` above `y`: the worst is on top. */
static bool heap_above(const struct assign_member *m, unsigned x, unsigned y)
{
    return pair_before(m, y, m, x);
}

static void heap_sift_down(const struct assign_member *m, uint16_t *heap, uint32_t count)
{
    for (uint32_t at = 0;;) {
        uint32_t top = at, left = 2 * at + 1, right = left + 1;
        if (left < count && heap_above(m, heap[left], heap[top]))
            top = left;
        if (right < count && heap_above(m, heap[right], heap[top]))
            top = right;
        if (top == at)
            return;
        uint16_t swap = heap[at];
        heap[at] = heap[top];
        heap[top] = swap;
        at = top;
    }
}

static void heap_push(const struct assign_member *m, uint16_t *heap, uint32_t count, uint16_t b)
{
    uint32_t at = count;
    heap[at] = b;
    while (at > 0 && heap_above(m, heap[at], heap[(at - 1) / 2])) {
        uint32_t up = (at - 1) / 2;
        uint16_t swap = heap[at];
        heap[at] = heap[up];
        heap[up] = swap;
        at = up;
    }
}

/* The member that `bucket` likes best after the one it asked last. */
static int next_choice(const struct assign *a, const struct assign_member *m, size_t members,
                       unsigned bucket)
{
    int last = a->asked[bucket], best = ASSIGN_NOBODY;
    for (size_t i = 0; i < members; i++) {
        if (a->share[i] == 0)
            continue;
        if (last != ASSIGN_NOBODY && !pair_before(&m[last], bucket, &m[i], bucket))
            continue;
        if (best == ASSIGN_NOBODY || pair_before(&m[i], bucket, &m[best], bucket))
            best = (int)i;
    }
    return best;
}

/* Deferred acceptance of the `queued` buckets, under a->share. */
static void match(struct assign *a, const struct assign_member *m, size_t members, unsigned queued,
                  int16_t *table)
{
    a->heap_at[0] = 0;
    for (size_t i = 0; i < members; i++) {
        a->heap_at[i + 1] = a->heap_at[i] + a->share[i];
        a->heap_count[i] = 0;
    }
    assert(a->heap_at[members] <= a->buckets);
    for (unsigned i = 0; i < queued; i++)
        a->asked[a->queue[i]] = ASSIGN_NOBODY;
    while (queued > 0) {
        uint16_t bucket = a->queue[--queued];
        int i = next_choice(a, m, members, bucket);
        if (i == ASSIGN_NOBODY)
            continue; /* nobody has any share left: the table stays NOBODY */
        a->asked[bucket] = (int16_t)i;
        uint16_t *heap = a->heap + a->heap_at[i];
        if (a->heap_count[i] < a->share[i]) {
            heap_push(&m[i], heap, a->heap_count[i]++, bucket);
        } else if (pair_before(&m[i], bucket, &m[i], heap[0])) {
            a->queue[queued++] = heap[0];
            heap[0] = bucket;
            heap_sift_down(&m[i], heap, a->heap_count[i]);
        } else {
            a->queue[queued++] = bucket;
        }
    }
    for (size_t i = 0; i < members; i++)
        for (uint32_t k = 0; k < a->heap_count[i]; k++)
            table[a->heap[a->heap_at[i] + k]] = (int16_t)i;
}

void assign_compute(struct assign *a, const struct assign_member *member, size_t members,
                    unsigned buckets)
{
    assert(members <= MEMBERS_MAX && buckets <= BUCKETS_MAX);
    a->buckets = buckets;
    for (unsigned b = 0; b < buckets; b++) {
        a->home[b] = ASSIGN_NOBODY;
        a->queue[b] = (uint16_t)b;
    }
    home_shares(a, member, members);
    match(a, member, members, buckets, a->home);

    uint32_t kept[MEMBERS_MAX] = {0};
    unsigned queued = 0;
    for (unsigned b = 0; b < buckets; b++) {
        int home = a->home[b];
        a->owner[b] = ASSIGN_NOBODY;
        if (home != ASSIGN_NOBODY && member[home].serves) {
            a->owner[b] = (int16_t)home;
            kept[home]++;
        } else {
            a->queue[queued++] = (uint16_t)b;
        }
    }
    owner_shares(a, member, members, kept);
    match(a, member, members, queued, a->owner);
}
