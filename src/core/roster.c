/*
 * The roster: a sorted array of members.
 *
 * Invariants: sorted by name, no name and no id twice, `self` is the index of
 * the only member with self set. The digest covers all that the assignment
 * depends on and nothing else.
 */
#include "ipclusterd/roster.h"

#include <assert.h>
#include <string.h>

#include "ipclusterd/buf.h"
#include "ipclusterd/seal.h"

/* Names that differ here are in the order of these numbers. Of one that ends with a zero
 * byte it is all. */
static uint64_t name_head(const char *name)
{
    uint64_t head = 0;
    for (unsigned i = 0; i < 8; i++) {
        head = head << 8 | (uint8_t)*name;
        name += *name != '\0';
    }
    return head;
}

void roster_init(struct roster *r, const char *cluster, unsigned buckets, const char *self)
{
    memset(r, 0, sizeof *r);
    told_init(&r->told, buckets);
    memcpy(r->cluster, cluster, strlen(cluster));
    member_init(&r->member[0], cluster, self);
    r->member[0].self = true;
    r->id[0] = r->member[0].id;
    r->head[0] = name_head(self);
    r->proof[0] = r->evidence[0] = INSTANT_PAST;
    r->count = 1;
}

/* How the name of a member compares with another, of which this is the head. */
static int name_order(const struct roster *r, size_t index, const char *name, uint64_t head)
{
    if (r->head[index] != head)
        return r->head[index] < head ? -1 : 1;
    return (head & 0xff) == 0 ? 0 : strcmp(r->member[index].name, name);
}

/* Index of the first member whose name is not below `name`. */
static size_t lower_bound(const struct roster *r, const char *name)
{
    size_t low = 0, high = r->count;
    uint64_t head = name_head(name);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (name_order(r, middle, name, head) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int roster_find(const struct roster *r, const char *name)
{
    size_t at = lower_bound(r, name);
    bool same = at < r->count && name_order(r, at, name, name_head(name)) == 0;
    return same ? (int)at : ROSTER_NONE;
}

int roster_find_near(const struct roster *r, const char *name, int near)
{
    assert(near >= 0);
    uint64_t head = name_head(name);
    for (size_t i = (size_t)near; i < (size_t)near + 2 && i < r->count; i++)
        if (name_order(r, i, name, head) == 0)
            return (int)i;
    return roster_find(r, name);
}

int roster_find_id(const struct roster *r, uint32_t id)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->id[i] == id)
            return (int)i;
    return ROSTER_NONE;
}

int roster_find_id_near(const struct roster *r, uint32_t id, int near)
{
    assert(near >= 0);
    for (size_t i = (size_t)near; i < (size_t)near + 2 && i < r->count; i++)
        if (r->id[i] == id)
            return (int)i;
    return roster_find_id(r, id);
}

int roster_add(struct roster *r, const char *name)
{
    assert(roster_find(r, name) == ROSTER_NONE);
    if (r->count == MEMBERS_MAX || roster_find_id(r, member_id(name)) != ROSTER_NONE)
        return ROSTER_NONE;
    size_t at = lower_bound(r, name);
    memmove(&r->member[at + 1], &r->member[at], (r->count - at) * sizeof r->member[0]);
    memmove(&r->id[at + 1], &r->id[at], (r->count - at) * sizeof r->id[0]);
    memmove(&r->head[at + 1], &r->head[at], (r->count - at) * sizeof r->head[0]);
    memmove(&r->proof[at + 1], &r->proof[at], (r->count - at) * sizeof r->proof[0]);
    memmove(&r->evidence[at + 1], &r->evidence[at], (r->count - at) * sizeof r->evidence[0]);
    told_insert(&r->told, at, r->count);
    member_init(&r->member[at], r->cluster, name);
    r->id[at] = r->member[at].id;
    r->head[at] = name_head(name);
    r->proof[at] = r->evidence[at] = INSTANT_PAST;
    r->member[at].stranger = true;
    r->count++;
    if (r->self >= at)
        r->self++;
    return (int)at;
}

void roster_remove(struct roster *r, size_t index)
{
    assert(index < r->count && index != r->self);
    r->count--;
    memmove(&r->member[index], &r->member[index + 1], (r->count - index) * sizeof r->member[0]);
    memmove(&r->id[index], &r->id[index + 1], (r->count - index) * sizeof r->id[0]);
    memmove(&r->head[index], &r->head[index + 1], (r->count - index) * sizeof r->head[0]);
    memmove(&r->proof[index], &r->proof[index + 1], (r->count - index) * sizeof r->proof[0]);
    memmove(&r->evidence[index], &r->evidence[index + 1],
            (r->count - index) * sizeof r->evidence[0]);
    told_remove(&r->told, index, r->count);
    if (r->self > index)
        r->self--;
}

void roster_fall(struct roster *r, size_t index, enum standing standing, instant since)
{
    assert(index < r->count);
    member_fall(&r->member[index], standing, since);
    told_clear(&r->told, index);
}

void roster_reboot(struct roster *r, size_t index, uint64_t salt, uint32_t sequence)
{
    assert(index < r->count);
    member_reboot(&r->member[index], salt, sequence);
    told_clear(&r->told, index);
}

bool roster_counts(const struct roster *r, size_t index)
{
    const struct member *m = &r->member[index];
    return !m->stranger && !m->outsider && member_standing(m) != STANDING_FORGOTTEN;
}

size_t roster_serving(const struct roster *r, bool holds, bool serves[MEMBERS_MAX])
{
    static const uint16_t barred[] = {HEARTBEAT_FACTS, HEARTBEAT_LEAVING, 0};
    size_t alive = 0, serving = 0;
    for (size_t round = 0; round < 3 && serving == 0; round++) {
        alive = 0;
        for (size_t i = 0; i < r->count; i++) {
            const struct member *m = &r->member[i];
            bool held = holds && round == 0 && flap_held(&m->flap);
            serves[i] = member_lives(m) && !held && (m->flags & barred[round]) == 0;
            alive += member_lives(m);
            serving += serves[i] && m->weight > 0;
        }
    }
    return alive;
}

/* What a member adds to the digest. */
static uint64_t link_digest(const struct roster_link *l, const char *name)
{
    uint8_t bytes[8 + NAME_BYTES_MAX + 12];
    struct writer w;
    writer_init(&w, bytes, sizeof bytes);
    write_u64(&w, l->before);
    write_name(&w, name);
    write_u16(&w, l->weight);
    write_u8(&w, l->alive);
    write_u8(&w, l->serves);
    if (l->voters)
        write_u32(&w, l->fallen);
    assert(!w.failed);
    return hash64(bytes, w.at);
}

static bool link_equal(const struct roster_link *a, const struct roster_link *b)
{
    return a->before == b->before && a->hash == b->hash && a->weight == b->weight &&
           a->alive == b->alive && a->serves == b->serves && a->voters == b->voters &&
           a->fallen == b->fallen;
}

uint64_t roster_digest(const struct roster *r, const bool serves[MEMBERS_MAX], uint64_t voters,
                       struct roster_chain *chain)
{
    uint64_t digest = voters;
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct member *m = &r->member[i];
        if (!roster_counts(r, i))
            continue;
        struct roster_link *last = &chain->link[count++];
        struct roster_link now = {.before = digest,
                                  .hash = m->hash,
                                  .fallen = voters == 0 || member_alive(m) ? 0 : m->fallen,
                                  .weight = m->weight,
                                  .alive = member_alive(m),
                                  .serves = serves[i],
                                  .voters = voters != 0};
        if (!link_equal(&now, last)) {
            *last = now;
            last->after = link_digest(last, m->name);
        }
        digest = last->after;
    }
    return digest;
}
