/*
 * The voters: one instance of single-decree Paxos per version of the roster.
 *
 * A word tells the whole state of an acceptor, so any number of words may be
 * lost, repeated or overtaken: of each voter the highest ballots ever heard are
 * kept, and since an acceptor's ballots only grow, they are its latest state.
 * To tell one's promise is to ask for that of the others, and to tell what one
 * accepted is to ask them to accept it too.
 *
 * Invariants
 *  - promised and accepted only grow within a version, and promised >= accepted;
 *    both are zero in a node that is no voter of this version, since it never
 *    promises, accepts or proposes.
 *  - One ballot has one value: only its member gives it one, once (`asked`), and
 *    it never leads the same ballot twice: it has promised each that it led, and
 *    its promise outlives a restart.
 *  - A value has been decided once a majority of the voters has accepted it under
 *    one ballot. A later ballot gets the promises of a majority before it gets
 *    its value, hears of the decided one from a voter in both, and takes it.
 *  - A voter of a version has all that it ever voted on it in its memory: who
 *    comes without memory enters where it cannot have voted (offer_hear()).
 */
#include "ipclusterd/voters.h"

#include <assert.h>
#include <string.h>

enum { NOT_LISTED = -1 };

static const struct ballot ballot_none = {0, 0};
static const struct voters_change change_none = {CHANGE_NONE, 0};

static struct ballot ballot_max(struct ballot a, struct ballot b)
{
    return ballot_compare(a, b) < 0 ? b : a;
}

/* The place of the first id that is not lower. */
static size_t list_lower_bound(const uint32_t *id, size_t count, uint32_t of)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (id[middle] < of)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int list_find(const uint32_t *id, size_t count, uint32_t of)
{
    size_t at = list_lower_bound(id, count, of);
    return at < count && id[at] == of ? (int)at : NOT_LISTED;
}

static void list_insert(uint32_t *id, size_t *count, uint32_t of)
{
    size_t at = list_lower_bound(id, *count, of);
    assert(*count < MEMBERS_MAX && (at == *count || id[at] != of));
    memmove(&id[at + 1], &id[at], (*count - at) * sizeof *id);
    id[at] = of;
    (*count)++;
}

void voters_init(struct voters *v, uint32_t self)
{
    memset(v, 0, sizeof *v);
    v->self = self;
}

void voters_found(struct voters *v, uint64_t lineage, const uint32_t *id, size_t count)
{
    assert(v->lineage == 0 && lineage != 0 && count > 0 && count <= MEMBERS_MAX);
    v->lineage = lineage;
    v->version = 1;
    for (size_t i = 0; i < count; i++)
        list_insert(v->id, &v->count, id[i]);
}

void voters_dissolve(struct voters *v)
{
    voters_init(v, v->self);
}

bool voters_has(const struct voters *v, uint32_t id)
{
    return list_find(v->id, v->count, id) != NOT_LISTED;
}

size_t voters_majority(const struct voters *v)
{
    return v->lineage == 0 ? 0 : v->count / 2 + 1;
}

/* True if the change makes another roster of this one, and not an empty one. */
static bool change_possible(const struct voters *v, struct voters_change c)
{
    switch (c.kind) {
    case CHANGE_ADD:
        return v->count < MEMBERS_MAX && !voters_has(v, c.member);
    case CHANGE_REMOVE:
        return v->count > 1 && voters_has(v, c.member);
    case CHANGE_NONE:
    case CHANGE_MAX:
        break;
    }
    return false;
}

/* A new version has been entered: its vote begins with nothing. */
static void version_begin(struct voters *v, uint32_t version, struct voters_change last)
{
    v->version = version;
    v->last = last;
    v->promised = v->accepted = v->mine = ballot_none;
    v->change = change_none;
    v->asked = false;
    memset(v->said_promised, 0, sizeof v->said_promised);
    memset(v->said_accepted, 0, sizeof v->said_accepted);
    memset(v->said_change, 0, sizeof v->said_change);
    if (!change_possible(v, v->want))
        v->want = change_none;
}

static void version_follow(struct voters *v, struct voters_change change)
{
    assert(change_possible(v, change));
    if (change.kind == CHANGE_ADD) {
        list_insert(v->id, &v->count, change.member);
    } else {
        size_t at = list_lower_bound(v->id, v->count, change.member);
        v->count--;
        memmove(&v->id[at], &v->id[at + 1], (v->count - at) * sizeof v->id[0]);
    }
    version_begin(v, v->version + 1, change);
}

static void version_enter(struct voters *v, uint64_t lineage, uint32_t version,
                          struct voters_change last, const uint32_t *id, size_t count)
{
    v->lineage = lineage;
    v->count = count;
    memset(v->id, 0, sizeof v->id);
    memcpy(v->id, id, count * sizeof v->id[0]);
    version_begin(v, version, last);
}

/* Enters the higher version of the word, if it can be entered from ours. */
static bool version_catch_up(struct voters *v, const struct voters_word *w)
{
    if (w->count > 0)
        version_enter(v, w->lineage, w->version, w->last, w->id, w->count);
    else if (w->version - v->version == 1 && change_possible(v, w->last))
        version_follow(v, w->last);
    else
        return false;
    return true;
}

/*
 * A word for a node without memory: true if its version may be entered now. Had
 * a version after it been decided before this node started, a majority of these
 * voters would have accepted that, and told it or a higher version ever since.
 */
static bool offer_hear(struct voters *v, uint32_t from, const struct voters_word *w)
{
    struct voters_offer *o = &v->offer;
    if (w->count > 0 && (w->lineage != o->lineage || w->version > o->version)) {
        memset(o, 0, sizeof *o);
        o->lineage = w->lineage;
        o->version = w->version;
        o->last = w->last;
        o->count = w->count;
        memcpy(o->id, w->id, w->count * sizeof o->id[0]);
    }
    if (w->lineage != o->lineage || w->version != o->version)
        return false;
    int at = list_find(o->id, o->count, from);
    if (at != NOT_LISTED && !ballot_led(w->accepted))
        o->open[at] = true;
    if (list_find(o->id, o->count, v->self) != NOT_LISTED)
        return o->version == 1;
    size_t open = 0;
    for (size_t i = 0; i < o->count; i++)
        open += o->open[i];
    return open > o->count / 2;
}

/* Enters the version of the word, if it is another and can be entered. */
static bool word_adopt(struct voters *v, uint32_t from, const struct voters_word *w)
{
    if (v->lineage != 0)
        return w->version > v->version && version_catch_up(v, w);
    if (!offer_hear(v, from, w))
        return false;
    struct voters_offer *o = &v->offer;
    version_enter(v, o->lineage, o->version, o->last, o->id, o->count);
    memset(o, 0, sizeof *o);
    return true;
}

/* As an acceptor: takes what was accepted elsewhere unless more was promised, and
 * promises. */
static bool acceptor_hear(struct voters *v, const struct voters_word *w)
{
    bool news = false;
    if (ballot_compare(w->accepted, v->accepted) > 0 &&
        ballot_compare(w->accepted, v->promised) >= 0) {
        v->accepted = v->promised = w->accepted;
        v->change = w->change;
        news = true;
    }
    if (ballot_compare(w->promised, v->promised) > 0) {
        v->promised = w->promised;
        news = true;
    }
    return news;
}

/* What is known of a voter's state; our own is what we have. */
static struct ballot promise_of(const struct voters *v, size_t i)
{
    return v->id[i] == v->self ? v->promised : v->said_promised[i];
}

static struct ballot accepted_of(const struct voters *v, size_t i)
{
    return v->id[i] == v->self ? v->accepted : v->said_accepted[i];
}

static struct voters_change change_of(const struct voters *v, size_t i)
{
    return v->id[i] == v->self ? v->change : v->said_change[i];
}

/* As a learner: enters the next version if a majority has accepted one ballot. */
static bool learner_decide(struct voters *v)
{
    for (size_t i = 0; i < v->count; i++) {
        struct ballot of = accepted_of(v, i);
        size_t alike = 0;
        for (size_t j = i; ballot_led(of) && j < v->count; j++)
            alike += ballot_compare(accepted_of(v, j), of) == 0;
        if (alike >= voters_majority(v)) {
            version_follow(v, change_of(v, i));
            return true;
        }
    }
    return false;
}

enum voters_result voters_hear(struct voters *v, uint32_t from, const struct voters_word *w)
{
    enum voters_result result = VOTERS_SAME;
    if (w->lineage == 0 || from == v->self || (v->lineage != 0 && w->lineage != v->lineage))
        return VOTERS_SAME;
    if (word_adopt(v, from, w))
        result = VOTERS_CHANGED;
    if (w->lineage != v->lineage || w->version != v->version)
        return result;

    int at = list_find(v->id, v->count, from);
    bool possible = !ballot_led(w->accepted) || change_possible(v, w->change);
    if (at == NOT_LISTED || !possible)
        return result;
    v->said_promised[at] = ballot_max(v->said_promised[at], w->promised);
    if (ballot_compare(w->accepted, v->said_accepted[at]) > 0) {
        v->said_accepted[at] = w->accepted;
        v->said_change[at] = w->change;
    }
    if (voters_has(v, v->self) && acceptor_hear(v, w) && result == VOTERS_SAME)
        result = VOTERS_TELL;
    return learner_decide(v) ? VOTERS_CHANGED : result;
}

void voters_want(struct voters *v, struct voters_change change)
{
    v->want = change_possible(v, change) ? change : change_none;
}

/* Leads a ballot above all that were seen: whatever was promised anywhere, and
 * told to us, we have promised too. */
static bool proposer_begin(struct voters *v)
{
    if (v->promised.round == UINT32_MAX)
        return false;
    v->mine = (struct ballot){v->promised.round + 1, v->self};
    v->asked = false;
    v->promised = v->mine;
    return true;
}

/* Gives our ballot its value once a majority has promised it: that of the highest
 * ballot which they have accepted, else ours to choose. */
static bool proposer_ask(struct voters *v)
{
    struct ballot highest = ballot_none;
    struct voters_change value = v->want;
    size_t promised = 0;
    if (v->asked || ballot_compare(v->promised, v->mine) != 0)
        return false;
    for (size_t i = 0; i < v->count; i++) {
        if (ballot_compare(promise_of(v, i), v->mine) != 0)
            continue;
        promised++;
        if (ballot_compare(accepted_of(v, i), highest) > 0) {
            highest = accepted_of(v, i);
            value = change_of(v, i);
        }
    }
    if (promised < voters_majority(v))
        return false;
    v->accepted = v->mine;
    v->change = value;
    v->asked = true;
    return true;
}

enum voters_result voters_step(struct voters *v, bool retry)
{
    bool news = false;
    if (v->want.kind == CHANGE_NONE || v->version == UINT32_MAX || !voters_has(v, v->self))
        return VOTERS_SAME;
    if (retry || !ballot_led(v->mine))
        news = proposer_begin(v);
    if (proposer_ask(v))
        news = true;
    if (learner_decide(v))
        return VOTERS_CHANGED;
    return news ? VOTERS_TELL : VOTERS_SAME;
}

bool voters_yields(const struct voters *v, const struct voters_word *w)
{
    if (v->lineage == 0 || w->lineage == 0 || v->lineage == w->lineage || w->count == 0)
        return false;
    return v->count != w->count ? v->count < w->count : v->lineage > w->lineage;
}

void voters_tell(const struct voters *v, bool list, struct voters_word *out)
{
    memset(out, 0, sizeof *out);
    if (v->lineage == 0)
        return;
    out->lineage = v->lineage;
    out->version = v->version;
    out->last = v->last;
    out->promised = v->promised;
    out->accepted = v->accepted;
    out->change = v->change;
    if (!list)
        return;
    out->count = v->count;
    memcpy(out->id, v->id, v->count * sizeof v->id[0]);
}
