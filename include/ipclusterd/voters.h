/*
 * The voters of a cluster with `quorum = "majority"`: the roster of which a
 * majority is needed, and how it changes.
 *
 * Each version of the roster differs from the one before by one member. Which
 * one, is decided by the voters of the version before with single-decree Paxos
 * (Lamport, Paxos Made Simple, 2001), carried by the heartbeats: every word
 * tells what its sender has promised and accepted. So versions are totally
 * ordered, and majorities of neighbouring versions have a member in common.
 *
 * Members are named by their ids (member_id()). What voters_save() writes has
 * to be on the disk before a word that tells it is sent.
 */
#ifndef IPCLUSTERD_VOTERS_H
#define IPCLUSTERD_VOTERS_H

#include "ipclusterd/types.h"

/* A round of one proposer; {0, 0} is below all. */
struct ballot {
    uint32_t round, member;
};

/* -1, 0 or 1: a is lower, equal or higher. */
static inline int ballot_compare(struct ballot a, struct ballot b)
{
    if (a.round != b.round)
        return a.round < b.round ? -1 : 1;
    return (a.member > b.member) - (a.member < b.member);
}

/* False of {0, 0}. */
static inline bool ballot_led(struct ballot b)
{
    return b.round != 0 || b.member != 0;
}

enum change_kind { CHANGE_NONE, CHANGE_ADD, CHANGE_REMOVE, CHANGE_MAX };

struct voters_change {
    enum change_kind kind;
    uint32_t member;
};

/*
 * What a heartbeat tells of its sender's voters.
 *
 *    lineage   8   of the founding; 0: not founded, and nothing follows
 *    version   4   counts up from 1
 *    last      1 + 4   the change that made this version (kind, member)
 *    promised  4 + 4   round, member
 *    accepted  4 + 4   round, member
 *    change    1 + 4   what was accepted
 *    count     2       the voters, or 0 if they are left out
 *    id        4 each, in ascending order
 */
struct voters_word {
    uint64_t lineage;
    uint32_t version;
    struct voters_change last;
    struct ballot promised, accepted;
    struct voters_change change;
    size_t count;
    uint32_t id[MEMBERS_MAX];
};

/* A version that a node that is not founded heard of, but has not entered. */
struct voters_offer {
    uint64_t lineage; /* 0: none */
    uint32_t version;
    struct voters_change last; /* as told with the list, to which it fits */
    size_t count;
    uint32_t id[MEMBERS_MAX];
    bool open[MEMBERS_MAX]; /* that voter was in this version, and had accepted nothing */
};

struct voters {
    uint32_t self;
    uint64_t lineage; /* 0: not founded */
    uint32_t version;
    struct voters_change last;
    size_t count;
    uint32_t id[MEMBERS_MAX]; /* ascending */

    /* As an acceptor, of the change from this version to the next. */
    struct ballot promised, accepted;
    struct voters_change change;

    /* As a proposer and learner: forgotten at a restart. */
    struct voters_change want; /* ours to propose; CHANGE_NONE: nothing */
    struct ballot mine;        /* the ballot that we lead; {0, 0}: none */
    bool asked;                /* `mine` has been given its value */
    /* Per voter, the last word of this version. */
    struct ballot said_promised[MEMBERS_MAX], said_accepted[MEMBERS_MAX];
    struct voters_change said_change[MEMBERS_MAX];
    struct voters_offer offer;
};

void voters_init(struct voters *v, uint32_t self);

/* Founds version 1 with these voters (any order, none twice). */
void voters_found(struct voters *v, uint64_t lineage, const uint32_t *id, size_t count);

/* Back to not founded: this lineage has lost to another. */
void voters_dissolve(struct voters *v);

bool voters_has(const struct voters *v, uint32_t id);

/* How many are a majority; 0 if not founded. */
size_t voters_majority(const struct voters *v);

/* What voters_hear() and voters_step() return. */
enum voters_result {
    VOTERS_SAME,    /* nothing to store */
    VOTERS_TELL,    /* store and tell: a promise, an acceptance */
    VOTERS_CHANGED, /* another version: store, tell, and form the view anew */
};

/*
 * Takes a word of the sender `from`; the datagram has been proved to be fresh.
 * A word of another lineage is ignored here: see voters_yields(). A word of a
 * higher version is adopted if it follows ours by one change, or lists all.
 *
 * A node that is not founded may have been a voter before it lost its memory,
 * and must not vote again on what it has voted on. So it adopts a version 1 that
 * lists it; else only a version that does not list it, after a majority of its
 * voters have told to be in that version and to have accepted nothing: then the
 * next had not been decided when this node started. Hence: add only who tells
 * our lineage, and remove a voter that lives and tells none.
 */
enum voters_result voters_hear(struct voters *v, uint32_t from, const struct voters_word *w);

/*
 * Wants a change (ours to propose until it is decided, has become void, or
 * another is wanted). Void is: to add a voter, to remove what is none or the
 * last one.
 */
void voters_want(struct voters *v, struct voters_change change);

/*
 * Goes on proposing, if something is wanted. `retry`: the ballot under way has
 * had its time: a new round. Call it after voters_hear() and at a steady pace.
 */
enum voters_result voters_step(struct voters *v, bool retry);

/* True if this lineage has to dissolve when it meets that of the word: the one
 * with fewer voters; of two equal ones the one with the higher number. A word
 * without its list of voters decides nothing. */
bool voters_yields(const struct voters *v, const struct voters_word *w);

/* What to tell; `list`: with the voters, for who lags behind. */
void voters_tell(const struct voters *v, bool list, struct voters_word *out);

/* The word of version 2's section 6. */
size_t voters_word_bytes(const struct voters_word *w);
struct writer;
struct reader;
void voters_word_write(struct writer *w, const struct voters_word *word);
/* Fails the reader on anything but a complete, ordered, bounded word. */
void voters_word_read(struct reader *r, struct voters_word *word);

/* The lasting part, as bytes: for a file. The length, or 0 if it does not fit. */
enum { VOTERS_SAVED_MAX = 64 + 4 * MEMBERS_MAX };
size_t voters_save(const struct voters *v, uint8_t *out, size_t size);
/* 0, or -EBADMSG with `v` as voters_init() leaves it: damaged, or of another node. */
int voters_load(struct voters *v, uint32_t self, const uint8_t *data, size_t length);

#endif
