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

/* What a bucket adds to each member's score. */
static uint64_t bucket_mix(unsigned bucket)
{
    return mix((uint64_t)(bucket + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

/* Which bucket of two scores comes first: (score, then the lower number) is a total
 * order for one member, and with the members' hashes one of all pairs. */
static bool bucket_before(const uint64_t score[], unsigned a, unsigned b)
{
    return score[a] != score[b] ? score[a] > score[b] : a < b;
}

/* All buckets, the highest score first. Scores are as good as random, so spread by
 * their value the buckets are all but sorted. */
static void list_make(uint64_t hash, unsigned buckets, uint16_t *list)
{
    uint64_t score[BUCKETS_MAX];
    uint16_t from[BUCKETS_MAX + 1] = {0};
    for (unsigned b = 0; b < buckets; b++) {
        score[b] = mix(hash + bucket_mix(b));
        from[(~score[b] >> 32) * buckets >> 32]++;
    }
    for (unsigned cell = 0, sum = 0; cell < buckets; cell++) {
        unsigned count = from[cell];
        from[cell] = (uint16_t)sum;
        sum += count;
    }
    for (unsigned b = 0; b < buckets; b++)
        list[from[(~score[b] >> 32) * buckets >> 32]++] = (uint16_t)b;
    for (unsigned i = 1; i < buckets; i++) {
        uint16_t b = list[i];
        unsigned at = i;
        for (; at > 0 && bucket_before(score, b, list[at - 1]); at--)
            list[at] = list[at - 1];
        list[at] = b;
    }
}

/* The number of the list of that hash, made if need be; false: there is no room. */
static bool list_find(struct assign_lists *l, uint64_t hash, uint16_t *number)
{
    enum { SEATS = 2 * MEMBERS_MAX };
    unsigned at = (unsigned)(hash % SEATS);
    while (l->seat[at] != 0 && l->hash[l->seat[at] - 1] != hash)
        at = (at + 1) % SEATS;
    if (l->seat[at] == 0) {
        if (l->count == MEMBERS_MAX)
            return false;
        list_make(hash, l->buckets, l->list + (size_t)l->count * l->buckets);
        l->hash[l->count++] = hash;
        l->seat[at] = (uint16_t)l->count;
    }
    *number = (uint16_t)(l->seat[at] - 1);
    return true;
}

static void lists_clear(struct assign_lists *l, unsigned buckets)
{
    memset(l->seat, 0, sizeof l->seat);
    l->buckets = buckets;
    l->count = 0;
}

/* Everybody's list; false: with those of members that are gone they are too many. */
static bool lists_find(struct assign *a, struct assign_lists *l, const struct assign_member *m,
                       size_t members)
{
    bool found = l->buckets == a->buckets;
    for (size_t i = 0; i < members && found; i++)
        found = list_find(l, m[i].hash, &a->list[i]);
    return found;
}

/* True if member x is further below its exact share than y; ties by hash. */
static bool further_below(const struct assign *a, const struct assign_member *m, unsigned x,
                          unsigned y)
{
    return a->below[x] != a->below[y] ? a->below[x] > a->below[y] : m[x].hash > m[y].hash;
}

/* The heap of members in `queue`: who is furthest below is on top. */
static void below_sift(struct assign *a, const struct assign_member *m, size_t count, size_t at)
{
    uint16_t x = a->queue[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && further_below(a, m, a->queue[child + 1], a->queue[child]))
            child++;
        if (!further_below(a, m, a->queue[child], x))
            break;
        a->queue[at] = a->queue[child];
    }
    a->queue[at] = x;
}

/* Gives `left` buckets one by one to whoever of the `count` in the queue is furthest
 * below its exact share, out of `weight`. */
static void shares_fill(struct assign *a, const struct assign_member *m, size_t count,
                        uint32_t weight, uint32_t left)
{
    if (weight == 0)
        return;
    for (size_t i = count / 2; i > 0; i--)
        below_sift(a, m, count, i - 1);
    for (; left > 0; left--) {
        unsigned best = a->queue[0];
        a->share[best]++;
        a->below[best] -= weight;
        below_sift(a, m, count, 0);
    }
}

/* Shares of the home table: whole parts, then one each to the largest
 * remainders (Hamilton's method; ties by hash). */
static void home_shares(struct assign *a, const struct assign_member *m, size_t members)
{
    uint32_t weight = 0, given = 0;
    size_t count = 0;
    for (size_t i = 0; i < members; i++)
        weight += m[i].weight;
    for (size_t i = 0; i < members; i++) {
        uint32_t exact = a->buckets * m[i].weight;
        a->share[i] = 0;
        if (exact == 0)
            continue;
        a->share[i] = exact / weight;
        a->below[i] = exact % weight;
        a->queue[count++] = (uint16_t)i;
        given += a->share[i];
    }
    shares_fill(a, m, count, weight, a->buckets - given);
}

/* What those who serve may take beside their home buckets, of which each keeps
 * `kept`: one by one to whoever is furthest below its exact share. */
static void owner_shares(struct assign *a, const struct assign_member *m, size_t members,
                         const uint32_t kept[])
{
    uint32_t weight = 0, left = a->buckets;
    size_t count = 0;
    for (size_t i = 0; i < members; i++) {
        weight += m[i].serves ? m[i].weight : 0u;
        left -= m[i].serves ? kept[i] : 0;
    }
    for (size_t i = 0; i < members; i++) {
        a->share[i] = 0;
        if (!m[i].serves || m[i].weight == 0)
            continue;
        a->below[i] = (int64_t)a->buckets * m[i].weight - (int64_t)kept[i] * weight;
        a->queue[count++] = (uint16_t)i;
    }
    shares_fill(a, m, count, weight, left);
}

/* Deferred acceptance of the buckets that are not kept, under a->share: each member
 * asks for one after the other of its list until its share is full; a bucket goes to
 * the best that has asked for it. */
static void match(struct assign *a, const struct assign_lists *l, const struct assign_member *m,
                  size_t members, int16_t *table)
{
    size_t queued = 0;
    for (size_t i = 0; i < members; i++) {
        a->asked[i] = 0;
        if (a->share[i] > 0)
            a->queue[queued++] = (uint16_t)i;
    }
    while (queued > 0) {
        unsigned i = a->queue[--queued];
        const uint16_t *list = l->list + (size_t)a->list[i] * a->buckets;
        while (a->share[i] > 0 && a->asked[i] < a->buckets) {
            unsigned b = list[a->asked[i]++];
            if (a->kept[b])
                continue;
            uint64_t score = mix(m[i].hash + bucket_mix(b));
            int had = table[b];
            if (had != ASSIGN_NOBODY &&
                (score != a->score[b] ? score < a->score[b] : m[i].hash > m[had].hash))
                continue;
            table[b] = (int16_t)i;
            a->score[b] = score;
            a->share[i]--;
            if (had != ASSIGN_NOBODY && a->share[had]++ == 0)
                a->queue[queued++] = (uint16_t)had;
        }
    }
}

void assign_compute(struct assign *a, struct assign_lists *lists,
                    const struct assign_member *member, size_t members, unsigned buckets)
{
    assert(members <= MEMBERS_MAX && buckets <= BUCKETS_MAX);
    a->buckets = buckets;
    if (!lists_find(a, lists, member, members)) {
        lists_clear(lists, buckets);
        lists_find(a, lists, member, members);
    }
    for (unsigned b = 0; b < buckets; b++) {
        a->home[b] = ASSIGN_NOBODY;
        a->kept[b] = false;
    }
    home_shares(a, member, members);
    match(a, lists, member, members, a->home);

    uint32_t kept[MEMBERS_MAX] = {0};
    for (unsigned b = 0; b < buckets; b++) {
        int home = a->home[b];
        a->kept[b] = home != ASSIGN_NOBODY && member[home].serves;
        a->owner[b] = a->kept[b] ? (int16_t)home : ASSIGN_NOBODY;
        if (a->kept[b])
            kept[home]++;
    }
    owner_shares(a, member, members, kept);
    match(a, lists, member, members, a->owner);
}
