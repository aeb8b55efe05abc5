/*
 * The voters as bytes: the word that a heartbeat carries, and what is kept over a
 * restart, which is that word with its list, under the name of its owner and a sum.
 */
#include "ipclusterd/voters.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "ipclusterd/buf.h"

enum {
    SAVED_MAGIC = 0x49505631, /* "IPV1" */
    LINEAGE_BYTES = 8,
    WORD_BYTES = LINEAGE_BYTES + 4 + 5 + 8 + 8 + 5 + 2, /* without the list */
    SUM_BYTES = 8,
    SAVED_BYTES = 4 + 4 + WORD_BYTES + 4 * MEMBERS_MAX + SUM_BYTES,
};
static_assert((int)SAVED_BYTES <= (int)VOTERS_SAVED_MAX, "the saved part has room");

size_t voters_word_bytes(const struct voters_word *w)
{
    return w->lineage == 0 ? LINEAGE_BYTES : WORD_BYTES + 4 * w->count;
}

static void change_write(struct writer *w, struct voters_change c)
{
    write_u8(w, (uint8_t)c.kind);
    write_u32(w, c.member);
}

static void ballot_write(struct writer *w, struct ballot b)
{
    write_u32(w, b.round);
    write_u32(w, b.member);
}

void voters_word_write(struct writer *w, const struct voters_word *word)
{
    write_u64(w, word->lineage);
    if (word->lineage == 0)
        return;
    write_u32(w, word->version);
    change_write(w, word->last);
    ballot_write(w, word->promised);
    ballot_write(w, word->accepted);
    change_write(w, word->change);
    write_u16(w, (uint16_t)word->count);
    for (size_t i = 0; i < word->count; i++)
        write_u32(w, word->id[i]);
}

/* Nothing is written in one way only. */
static struct voters_change change_read(struct reader *r)
{
    uint8_t kind = read_u8(r);
    uint32_t member = read_u32(r);
    if (kind >= CHANGE_MAX || (kind == CHANGE_NONE && member != 0)) {
        r->failed = true;
        return (struct voters_change){CHANGE_NONE, 0};
    }
    return (struct voters_change){(enum change_kind)kind, member};
}

static struct ballot ballot_read(struct reader *r)
{
    struct ballot b;
    b.round = read_u32(r);
    b.member = read_u32(r);
    r->failed = r->failed || (b.round == 0 && b.member != 0);
    return b;
}

static bool word_lists(const struct voters_word *w, uint32_t member)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->id[i] == member)
            return true;
    return false;
}

/* True if the list is in order, and the changes before and after it fit to it. */
static bool list_sound(const struct voters_word *w)
{
    for (size_t i = 1; i < w->count; i++)
        if (w->id[i - 1] >= w->id[i])
            return false;
    if (w->last.kind != CHANGE_NONE &&
        word_lists(w, w->last.member) != (w->last.kind == CHANGE_ADD))
        return false;
    switch (w->change.kind) {
    case CHANGE_ADD:
        return w->count < MEMBERS_MAX && !word_lists(w, w->change.member);
    case CHANGE_REMOVE:
        return w->count > 1 && word_lists(w, w->change.member);
    case CHANGE_NONE:
    case CHANGE_MAX:
        break;
    }
    return true;
}

/* True if it can be the state of a node. */
static bool word_sound(const struct voters_word *w)
{
    return w->version > 0 && (w->last.kind == CHANGE_NONE) == (w->version == 1) &&
           ballot_led(w->accepted) == (w->change.kind != CHANGE_NONE) &&
           ballot_compare(w->accepted, w->promised) <= 0 && (w->count == 0 || list_sound(w));
}

void voters_word_read(struct reader *r, struct voters_word *word)
{
    memset(word, 0, sizeof *word);
    word->lineage = read_u64(r);
    if (word->lineage == 0)
        return;
    word->version = read_u32(r);
    word->last = change_read(r);
    word->promised = ballot_read(r);
    word->accepted = ballot_read(r);
    word->change = change_read(r);
    size_t count = read_u16(r);
    if (count > MEMBERS_MAX)
        r->failed = true;
    for (size_t i = 0; i < count && !r->failed; i++)
        word->id[word->count++] = read_u32(r);
    r->failed = r->failed || !word_sound(word);
}

/* FNV-1a: any one damaged byte changes it. */
static uint64_t sum64(const uint8_t *data, size_t length)
{
    uint64_t sum = 0xcbf29ce484222325;
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ data[i]) * 0x100000001b3;
    return sum;
}

size_t voters_save(const struct voters *v, uint8_t *out, size_t size)
{
    struct voters_word word;
    struct writer w;
    voters_tell(v, true, &word);
    writer_init(&w, out, size);
    write_u32(&w, SAVED_MAGIC);
    write_u32(&w, v->self);
    voters_word_write(&w, &word);
    if (!w.failed)
        write_u64(&w, sum64(out, w.at));
    return w.failed ? 0 : w.at;
}

int voters_load(struct voters *v, uint32_t self, const uint8_t *data, size_t length)
{
    struct voters_word word;
    struct reader r;
    voters_init(v, self);
    if (length < SUM_BYTES)
        return -EBADMSG;
    reader_init(&r, data, length);
    bool known = read_u32(&r) == SAVED_MAGIC && read_u32(&r) == self;
    voters_word_read(&r, &word);
    size_t summed = r.at;
    uint64_t sum = read_u64(&r);
    if (!known || !reader_done(&r) || sum != sum64(data, summed) ||
        (word.lineage != 0 && word.count == 0))
        return -EBADMSG;
    v->lineage = word.lineage;
    v->version = word.version;
    v->last = word.last;
    v->count = word.count;
    memcpy(v->id, word.id, sizeof v->id);
    v->promised = word.promised;
    v->accepted = word.accepted;
    v->change = word.change;
    return 0;
}
