/*
 * The voters under fire: eight nodes, five of them founders, that want different
 * changes at the same time, over a network that loses, repeats and overtakes
 * words, and that crash at any moment and come back with no more than what they
 * had stored, or with nothing at all. No version may ever have two rosters, and
 * once the losses end, every change gets through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/buf.h"
#include "ipclusterd/voters.h"

enum {
    LINEAGE = 77,
    NODES = 8,
    FOUNDERS = 5,
    FLYING = 64, /* words on their way */
    VERSIONS = 512,
    SEEDS = 600,
    STEPS = 6000,
    CALM_ROUNDS = 200,
};

struct flying {
    unsigned from, to;
    uint64_t boot; /* of the receiver when it was sent: an older one is not fresh */
    size_t length;
    uint8_t bytes[128];
};

static struct world {
    uint64_t rng;
    struct voters node[NODES];
    uint64_t boot[NODES];
    size_t saved_bytes[NODES];
    uint8_t saved[NODES][VOTERS_SAVED_MAX];
    size_t words;
    struct flying word[FLYING];
    /* What each version is, as the first that entered it saw it. */
    struct {
        size_t count;
        uint32_t id[NODES];
    } roster[VERSIONS];
    uint32_t latest;
    uint32_t patience; /* of proposers: duels, if it is short */
} w;

static uint32_t draw(uint32_t below)
{
    w.rng ^= w.rng << 13;
    w.rng ^= w.rng >> 7;
    w.rng ^= w.rng << 17;
    return (uint32_t)((w.rng >> 20) % below);
}

static uint32_t id_of(unsigned node)
{
    return 1000 - 7 * node;
}

/* The invariant: one version, one roster. */
static void inspect(const struct voters *v)
{
    if (v->lineage == 0)
        return;
    assert_int_equal(v->lineage, LINEAGE);
    assert_true(v->version > 0 && v->version < VERSIONS);
    assert_true(v->count > 0 && v->count <= NODES);
    assert_true(ballot_compare(v->promised, v->accepted) >= 0);
    if (!voters_has(v, v->self))
        assert_false(ballot_led(v->promised));
    if (w.roster[v->version].count == 0) {
        w.roster[v->version].count = v->count;
        memcpy(w.roster[v->version].id, v->id, v->count * sizeof v->id[0]);
    }
    assert_int_equal(w.roster[v->version].count, v->count);
    assert_memory_equal(w.roster[v->version].id, v->id, v->count * sizeof v->id[0]);
    w.latest = w.latest < v->version ? v->version : w.latest;
}

static void store(unsigned i)
{
    w.saved_bytes[i] = voters_save(&w.node[i], w.saved[i], VOTERS_SAVED_MAX);
    assert_int_not_equal(w.saved_bytes[i], 0);
}

static void restart(unsigned i)
{
    assert_int_equal(voters_load(&w.node[i], id_of(i), w.saved[i], w.saved_bytes[i]), 0);
    w.boot[i]++;
}

static void say_to(unsigned from, unsigned to, bool list)
{
    struct flying *f = &w.word[w.words < FLYING ? w.words++ : draw(FLYING)];
    struct voters_word word;
    struct writer out;
    voters_tell(&w.node[from], list, &word);
    f->from = from;
    f->to = to;
    f->boot = w.boot[to];
    writer_init(&out, f->bytes, sizeof f->bytes);
    voters_word_write(&out, &word);
    assert_false(out.failed);
    f->length = out.at;
}

/* Stores what is new; some crash before they have. True if it still lives on. */
static bool settle(unsigned i, enum voters_result result, bool calm)
{
    inspect(&w.node[i]);
    if (result == VOTERS_SAME)
        return true;
    if (!calm && draw(100) == 0) {
        restart(i);
        return false;
    }
    store(i);
    return true;
}

static void hear(const struct flying *f, bool calm)
{
    struct voters_word word;
    struct reader r;
    if (f->boot != w.boot[f->to])
        return;
    reader_init(&r, f->bytes, f->length);
    voters_word_read(&r, &word);
    assert_true(reader_done(&r));
    settle(f->to, voters_hear(&w.node[f->to], id_of(f->from), &word), calm);
}

/* A voter that tells no lineage is to be removed. */
static void want_order(unsigned i)
{
    struct voters *v = &w.node[i];
    for (unsigned j = 0; j < NODES && v->want.kind == CHANGE_NONE; j++)
        if (w.node[j].lineage == 0 && voters_has(v, id_of(j)))
            voters_want(v, (struct voters_change){CHANGE_REMOVE, id_of(j)});
}

/* Who tells no lineage is not added. */
static void want_anything(unsigned i)
{
    unsigned other = draw(NODES);
    if (draw(2) == 0)
        want_order(i);
    if (w.node[i].want.kind != CHANGE_NONE && draw(4) != 0)
        return;
    bool in = voters_has(&w.node[i], id_of(other));
    if (in || w.node[other].lineage != 0)
        voters_want(&w.node[i],
                    (struct voters_change){in ? CHANGE_REMOVE : CHANGE_ADD, id_of(other)});
}

/* One at a time, and none at version 1, where it would vote at once. */
static void forget(unsigned i)
{
    for (unsigned j = 0; j < NODES; j++)
        if (w.node[j].lineage == 0)
            return;
    if (w.node[i].version == 1 || w.node[i].count < 4)
        return;
    voters_init(&w.node[i], id_of(i));
    store(i);
    w.boot[i]++;
}

static void anything_happens(void)
{
    unsigned i = draw(NODES), what = draw(100);
    if (what < 8) {
        for (unsigned to = 0; to < NODES; to++)
            if (to != i && draw(4) != 0)
                say_to(i, to, draw(3) == 0);
    } else if (what < 70 && w.words > 0) {
        size_t at = draw((uint32_t)w.words);
        struct flying f = w.word[at];
        if (draw(8) != 0) /* else it comes again */
            w.word[at] = w.word[--w.words];
        hear(&f, false);
    } else if (what < 92) {
        settle(i, voters_step(&w.node[i], draw(w.patience) == 0), false);
    } else if (what < 97) {
        want_anything(i);
    } else if (what < 99) {
        restart(i);
    } else if (draw(6) == 0) {
        forget(i);
    }
}

/* The node of this id. */
static const struct voters *node_of(uint32_t id)
{
    unsigned i = 0;
    while (w.node[i].self != id)
        i++;
    return &w.node[i];
}

/* True if more voters have lost their memory than a majority can bear. */
static bool beyond_help(void)
{
    size_t count = w.roster[w.latest].count, able = 0;
    for (size_t i = 0; i < count; i++)
        able += node_of(w.roster[w.latest].id[i])->lineage != 0;
    return able < count / 2 + 1;
}

/* True if nothing is wanted any more: all voters are founded and at one version. */
static bool all_content(void)
{
    for (size_t i = 0; i < w.roster[w.latest].count; i++) {
        const struct voters *v = node_of(w.roster[w.latest].id[i]);
        if (v->version != w.latest || v->want.kind != CHANGE_NONE)
            return false;
    }
    return true;
}

/* No losses; each has its turn to try again. False: there was nothing to be done. */
static bool calm_down(void)
{
    w.words = 0;
    for (unsigned round = 0; round < CALM_ROUNDS; round++) {
        if (all_content())
            return true;
        if (beyond_help())
            return false;
        for (unsigned i = 0; i < NODES; i++) {
            want_order(i);
            settle(i, voters_step(&w.node[i], round / 4 % NODES == i), true);
            for (unsigned j = 0; j < NODES; j++) {
                if (i == j)
                    continue;
                say_to(i, j, true);
                hear(&w.word[--w.words], true);
            }
        }
    }
    fail_msg("no rest after %d rounds", CALM_ROUNDS);
    return false;
}

static bool run(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    w.rng = seed * 0x9e3779b97f4a7c15 + 1;
    w.patience = seed % 2 == 0 ? 60 : 6;
    uint32_t founder[FOUNDERS];
    for (unsigned i = 0; i < FOUNDERS; i++)
        founder[i] = id_of(i);
    for (unsigned i = 0; i < NODES; i++) {
        voters_init(&w.node[i], id_of(i));
        if (i < FOUNDERS)
            voters_found(&w.node[i], LINEAGE, founder, FOUNDERS);
        store(i);
        inspect(&w.node[i]);
    }
    for (unsigned step = 0; step < STEPS; step++)
        anything_happens();
    return calm_down();
}

static void no_version_has_two_rosters(void **state)
{
    (void)state;
    uint64_t versions = 0;
    unsigned helpless = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        helpless += !run(seed);
        versions += w.latest;
    }
    print_message("%d worlds, %llu versions, %u beyond help\n", SEEDS, (unsigned long long)versions,
                  helpless);
    assert_true(helpless < SEEDS / 10);
    assert_true(versions > 4 * SEEDS); /* else nothing has been tried */
}

/* Who has the key may say what makes no sense: a list, and then another change for
 * the same version. What we go on to tell can be read all the same. */
static void a_list_and_another_change(void **state)
{
    (void)state;
    static struct voters v;
    static struct voters_word word, read;
    uint8_t bytes[VOTERS_SAVED_MAX];
    struct writer out;
    struct reader in;
    voters_init(&v, 9);
    word = (struct voters_word){
        .lineage = LINEAGE, .version = 2, .last = {CHANGE_ADD, 2}, .count = 2, .id = {1, 2}};
    voters_hear(&v, 1, &word);
    word.count = 0;
    word.last.member = 5;
    voters_hear(&v, 2, &word);
    assert_int_equal(v.version, 2);
    voters_tell(&v, true, &word);
    writer_init(&out, bytes, sizeof bytes);
    voters_word_write(&out, &word);
    reader_init(&in, bytes, out.at);
    voters_word_read(&in, &read);
    assert_false(in.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_version_has_two_rosters),
        cmocka_unit_test(a_list_and_another_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
