/*
 * The members that the cluster remembers, ourselves included, sorted by name,
 * so that every node that knows the same members lists them alike.
 */
#ifndef IPCLUSTERD_ROSTER_H
#define IPCLUSTERD_ROSTER_H

#include "ipclusterd/assign.h"
#include "ipclusterd/member.h"
#include "ipclusterd/told.h"

struct roster {
    struct member member[MEMBERS_MAX];
    struct told told;
    char cluster[NAME_BYTES_MAX + 1];
    size_t count;
    size_t self;                   /* index of ourselves */
    uint32_t id[MEMBERS_MAX];      /* of each, to search */
    uint64_t head[MEMBERS_MAX];    /* the first bytes of each name, as a number, likewise */
    instant proof[MEMBERS_MAX];    /* when somebody alive heard it both ways ... */
    instant evidence[MEMBERS_MAX]; /* ... and later by the time that we could not hear it */
};

enum { ROSTER_NONE = -1 };

/* A roster of one: ourselves. */
void roster_init(struct roster *r, const char *cluster, unsigned buckets, const char *self);

/* Index of a member, or ROSTER_NONE. Strangers are found too. */
int roster_find(const struct roster *r, const char *name);
int roster_find_id(const struct roster *r, uint32_t id);

/* The same, of a member that may well be at index `near` or right behind it. */
int roster_find_near(const struct roster *r, const char *name, int near);
int roster_find_id_near(const struct roster *r, uint32_t id, int near);

/* Adds a stranger; its index, or ROSTER_NONE if the roster is full or the name
 * collides with another's id. Indexes behind it move up by one. */
int roster_add(struct roster *r, const char *name);

/* Removes the member at `index` (not ourselves); indexes behind it move down. */
void roster_remove(struct roster *r, size_t index);

/* member_fall() and member_reboot() of the member at `index`, whose word of its buckets is
 * forgotten, too. */
void roster_fall(struct roster *r, size_t index, enum standing standing, instant since);
void roster_reboot(struct roster *r, size_t index, uint64_t salt, uint32_t sequence);

/* True if the member counts in the view: on the roster and not forgotten. */
bool roster_counts(const struct roster *r, size_t index);

/*
 * Who can own buckets now, into serves[count]: the living that are not
 * draining, unhealthy, leaving or, if `holds`, held. If there is none, all the
 * living but those who leave; if there is none, all the living. Who has no weight
 * does not make one. Returns how many are alive.
 */
size_t roster_serving(const struct roster *r, bool holds, bool serves[MEMBERS_MAX]);

/* How the last digest was come to: so far as the members are the same, in the same
 * order, so is the next. All zero: none yet. */
struct roster_chain {
    struct roster_link {
        uint64_t before, after; /* digests, without this member and with it */
        uint64_t hash;          /* of its name */
        uint32_t fallen;
        uint16_t weight;
        bool alive, serves, voters;
    } link[MEMBERS_MAX];
};

/*
 * What the view is made of: names, weights, who lives, who serves. Equal digests
 * mean equal tables. `voters`: a number that stands for the voters' version; 0
 * without a quorum, else the digest also covers in which incarnation the dead
 * died, so that equal digests at two times mean that nobody rose in between.
 */
uint64_t roster_digest(const struct roster *r, const bool serves[MEMBERS_MAX], uint64_t voters,
                       struct roster_chain *chain);

#endif
