/*
 * One member of the roster, as this node knows it.
 *
 * Three kinds of knowledge, kept apart:
 *  - facts (weight, flags), which an incarnation fixes: a higher incarnation
 *    replaces them, so all members end with the same (SWIM, Das et al. 2002);
 *  - liveness: a member lives while somebody alive has heard it both ways
 *    within `dead_after`. A verdict (dead, left) is on an incarnation; only a
 *    higher one, which the member alone can make, takes it back (refutation);
 *  - its word: what its last proven heartbeat said of itself.
 */
#ifndef IPCLUSTERD_MEMBER_H
#define IPCLUSTERD_MEMBER_H

#include "ipclusterd/flap.h"
#include "ipclusterd/types.h"
#include "ipclusterd/wire.h"

/* A boot that has not proved itself; sequence 0: none. */
struct boot {
    uint64_t salt;
    uint32_t sequence; /* highest seen */
    instant at;        /* that was heard */
    instant since;     /* when it came, or last proved itself */
};

enum { BOOTS_MAX = 5, BOOT_LAST = BOOTS_MAX - 1 };

/*
 * What each datagram of it touches, and what is looked at of all members in turn, is in
 * the first line of a cache; what each proven heartbeat changes, in the next ones.
 */
struct member {
    bool self;
    /* Heard of by a datagram alone: not on the roster before it proves itself. */
    bool stranger;
    /* A stranger, or what was a member, of another configuration. */
    bool misfit;
    bool refits;  /* what came of it last, proven or not, is of ours */
    bool apart;   /* it was a misfit last, and has not been alive since */
    bool differs; /* one of us, but it has another list of VIPs */
    /* Under quorum = "majority": not among the voters, so it counts for nothing. */
    bool outsider;
    bool guessed;    /* known by name from an earlier run: its facts are nobody's word */
    bool suspect;    /* alive to others, silent to us: told already */
    bool fall_open;  /* its last fall is still to be counted, at fall_due */
    uint8_t version; /* WIRE_VERSION_* of this boot; 0 unknown */

    uint32_t incarnation; /* of the facts; starts at 1 */
    uint32_t fallen;      /* highest incarnation with a verdict; 0 none */
    uint32_t sequence;    /* of its present boot: highest seen */
    uint64_t salt;        /* of that boot */
    uint64_t window;      /* bit i: sequence - i was seen */
    double loss;          /* share of its heartbeats missed, smoothed, 0..1 */
    instant arrived;      /* this node opened a datagram of it, also a relayed one */
    instant heard;        /* this node did, and it proved to be fresh */

    uint32_t accused; /* highest that anybody called dead */
    uint32_t order;
    uint16_t flags; /* HEARTBEAT_FACTS */
    uint16_t weight;
    uint16_t said;          /* flags of its last heartbeat */
    enum standing standing; /* of `fallen`, when incarnation <= fallen */
    uint32_t acked;         /* highest of our sequences that it proved to have heard ... */
    uint32_t proved;        /* ... in any of its boots */
    instant since;          /* of that standing */
    uint64_t view;          /* its word */
    uint64_t config;        /* digest of its configuration, as told last; 0: never */
    instant direct;         /* this node heard it both ways without a relay */

    uint64_t deaf_marks; /* member_mark() of each that it does not hear directly, though it lives */
    size_t deafs;        /* how many those are */
    instant arriving;    /* its datagrams have come without a gap since then */
    instant knocked;     /* when one of its other boots was last heard */
    double rtt;          /* us, smoothed */
    unsigned tell;       /* heartbeats that shall still carry it first */
    uint32_t flows;
    uint32_t id; /* member_id(name) */
    struct mac mac;
    bool clock_told;     /* that its clock is far off */
    int64_t clock_ahead; /* ms, of its clock against ours; 0 unknown */
    struct heartbeat_keys keys;
    struct address address;
    struct vips_word vips;

    uint64_t hash; /* assign_hash(cluster, name) */
    char name[NAME_BYTES_MAX + 1];
    unsigned parts; /* of both: set of 1 << enum config_part that differ; 0: not told */
    struct flap flap;
    instant fall_due;

    /* Under quorum = "majority": it heard both ways what we sent at `backed`, as a
     * voter of that version, and called us alive since. */
    instant backed;
    uint64_t lineage; /* of its voters, and their version, as it said last */
    uint32_t voters_version;

    struct boot boot[BOOTS_MAX];
    uint32_t deaf[DEAF_MAX];
    uint8_t spare[8]; /* up to a whole line */
};

void member_init(struct member *m, const char *cluster, const char *name);

/* True if it is on the roster and no verdict stands. */
static inline bool member_alive(const struct member *m)
{
    return !m->stranger && m->incarnation > m->fallen;
}

/* True if it lives and has a place in the view. */
static inline bool member_lives(const struct member *m)
{
    return member_alive(m) && !m->outsider;
}

/* Whom it does not hear, as it tells: at most DEAF_MAX. */
void member_deaf_take(struct member *m, const uint32_t *id, size_t count);

/* One of 64 bits: of a set of members, who has no bit in it is not in it. */
static inline uint64_t member_mark(uint32_t id)
{
    return UINT64_C(1) << id % 64;
}

/* True if it told that it does not hear the member `id`: most marks say no at once. */
bool member_deaf_listed(const struct member *m, uint32_t id);

static inline bool member_deaf_to(const struct member *m, uint32_t id)
{
    return (m->deaf_marks & member_mark(id)) != 0 && member_deaf_listed(m, id);
}

/* How it stands, for gossip. */
enum standing member_standing(const struct member *m);

enum stream_verdict {
    STREAM_NEW,       /* take it */
    STREAM_DUPLICATE, /* seen already: another link's copy, or a replay */
    STREAM_OLD,       /* older than the window: a replay */
};

/* Files `sequence` of the present boot; a lasting record of what was seen. */
enum stream_verdict member_stream(struct member *m, uint32_t sequence);

/* A new boot of the member begins with this heartbeat. */
void member_reboot(struct member *m, uint64_t salt, uint32_t sequence);

/* Takes the facts of an incarnation if they are not older than ours. Returns
 * true if something changed. */
bool member_facts(struct member *m, uint32_t incarnation, uint16_t flags, uint16_t weight);

/* A verdict on the present incarnation; its word is forgotten. (Of its buckets: see
 * roster_fall().) */
void member_fall(struct member *m, enum standing standing, instant since);

#endif
