/*
 * The voters: a vote step by step, who may vote, how versions and lineages are
 * entered, words and the saved part as bytes. See test_voters_world.c too.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/buf.h"
#include "ipclusterd/voters.h"

enum { LINEAGE = 77 };

static const struct voters_change nothing = {CHANGE_NONE, 0};

static struct voters_change add(uint32_t id)
{
    return (struct voters_change){CHANGE_ADD, id};
}

static struct voters_change drop(uint32_t id)
{
    return (struct voters_change){CHANGE_REMOVE, id};
}

static const uint32_t ten[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};

/* A node of the first `count` ids at version 1. */
static void found(struct voters *v, uint32_t self, size_t count)
{
    voters_init(v, self);
    voters_found(v, LINEAGE, ten, count);
}

static enum voters_result say(const struct voters *from, struct voters *to, bool list)
{
    struct voters_word w;
    voters_tell(from, list, &w);
    return voters_hear(to, from->self, &w);
}

static struct voters_word word(uint32_t version, struct ballot promised, struct ballot accepted,
                               struct voters_change change)
{
    return (struct voters_word){
        LINEAGE, version, version > 1 ? add(10) : nothing, promised, accepted, change, 0, {0}};
}

static void assert_ballot(struct ballot b, uint32_t round, uint32_t member)
{
    assert_int_equal(b.round, round);
    assert_int_equal(b.member, member);
}

static void is_not_founded_at_first(void **state)
{
    (void)state;
    struct voters v;
    struct voters_word w;
    voters_init(&v, 1);
    assert_int_equal(voters_majority(&v), 0);
    assert_false(voters_has(&v, 1));
    voters_want(&v, add(2));
    assert_int_equal(voters_step(&v, true), VOTERS_SAME);
    voters_tell(&v, true, &w);
    assert_int_equal(w.lineage, 0);
    assert_int_equal(voters_word_bytes(&w), 8);
    assert_int_equal(voters_hear(&v, 2, &w), VOTERS_SAME);
    assert_false(voters_yields(&v, &w));
}

static void counts_majorities(void **state)
{
    (void)state;
    static const size_t majority[] = {0, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6};
    for (size_t count = 1; count <= 10; count++) {
        struct voters v;
        found(&v, 1, count);
        assert_int_equal(v.version, 1);
        assert_int_equal(voters_majority(&v), majority[count]);
        assert_true(voters_has(&v, (uint32_t)count));
        assert_false(voters_has(&v, (uint32_t)count + 1));
    }
}

static void one_alone_decides(void **state)
{
    (void)state;
    struct voters v;
    found(&v, 1, 1);
    voters_want(&v, drop(1));
    assert_int_equal(v.want.kind, CHANGE_NONE); /* the last one stays */
    voters_want(&v, add(9));
    assert_int_equal(voters_step(&v, false), VOTERS_CHANGED);
    assert_int_equal(v.version, 2);
    assert_true(voters_has(&v, 9));
    assert_int_equal(v.last.kind, CHANGE_ADD);
    assert_int_equal(v.last.member, 9);
    assert_int_equal(v.want.kind, CHANGE_NONE);
    assert_int_equal(voters_step(&v, true), VOTERS_SAME);
}

static void a_change_goes_through_step_by_step(void **state)
{
    (void)state;
    struct voters a, b, c;
    found(&a, 1, 3);
    found(&b, 2, 3);
    found(&c, 3, 3);
    voters_want(&a, drop(3));
    assert_int_equal(voters_step(&a, false), VOTERS_TELL);
    assert_ballot(a.promised, 1, 1);
    assert_int_equal(voters_step(&a, false), VOTERS_SAME);
    assert_int_equal(say(&a, &b, false), VOTERS_TELL); /* promises */
    assert_ballot(b.promised, 1, 1);
    assert_int_equal(say(&b, &a, false), VOTERS_SAME);
    assert_int_equal(voters_step(&a, false), VOTERS_TELL); /* a majority: asks */
    assert_ballot(a.accepted, 1, 1);
    assert_int_equal(a.version, 1);
    assert_int_equal(say(&a, &b, false), VOTERS_CHANGED); /* accepts, and sees that two have */
    assert_int_equal(say(&b, &a, false), VOTERS_CHANGED);
    assert_int_equal(a.version, 2);
    assert_int_equal(b.version, 2);
    assert_false(voters_has(&a, 3));
    assert_ballot(a.promised, 0, 0);
    assert_int_equal(say(&a, &c, false), VOTERS_CHANGED); /* learns without a list */
    assert_int_equal(c.version, 2);
    assert_int_equal(say(&a, &c, true), VOTERS_SAME);
}

static void a_later_ballot_takes_what_was_accepted_last(void **state)
{
    (void)state;
    struct voters b;
    found(&b, 2, 5);
    voters_want(&b, add(9));
    assert_int_equal(voters_step(&b, false), VOTERS_TELL);
    struct voters_word w = word(1, b.mine, (struct ballot){1, 1}, drop(3));
    assert_int_equal(voters_hear(&b, 3, &w), VOTERS_SAME); /* promised more: does not accept */
    w = word(1, b.mine, (struct ballot){0, 7}, drop(4));
    assert_int_equal(voters_hear(&b, 4, &w), VOTERS_SAME);
    struct voters late = b;
    assert_int_equal(voters_step(&b, false), VOTERS_TELL);
    assert_ballot(b.accepted, 1, 2);
    assert_int_equal(b.change.member, 3);
    assert_int_equal(b.want.member, 9); /* still wanted, for the next version */

    w = word(1, (struct ballot){2, 5}, (struct ballot){0, 0}, nothing);
    assert_int_equal(voters_hear(&late, 5, &w), VOTERS_TELL);
    w = word(1, late.mine, (struct ballot){0, 0}, nothing);
    assert_int_equal(voters_hear(&late, 1, &w), VOTERS_SAME);
    assert_int_equal(voters_step(&late, false), VOTERS_SAME); /* it has promised more itself */
}

static void promises_are_kept(void **state)
{
    (void)state;
    struct voters v;
    found(&v, 1, 5);
    struct voters_word w = word(1, (struct ballot){5, 2}, (struct ballot){0, 0}, nothing);
    assert_int_equal(voters_hear(&v, 2, &w), VOTERS_TELL);
    assert_int_equal(voters_hear(&v, 3, &w), VOTERS_SAME);
    w = word(1, (struct ballot){4, 3}, (struct ballot){4, 3}, add(9));
    assert_int_equal(voters_hear(&v, 3, &w), VOTERS_SAME);
    assert_ballot(v.promised, 5, 2);
    assert_ballot(v.accepted, 0, 0);
    w = word(1, (struct ballot){5, 2}, (struct ballot){5, 2}, add(9));
    assert_int_equal(voters_hear(&v, 2, &w), VOTERS_TELL);
    assert_ballot(v.accepted, 5, 2);
    /* A higher promise does not take back what was accepted. */
    w = word(1, (struct ballot){7, 4}, (struct ballot){0, 0}, nothing);
    assert_int_equal(voters_hear(&v, 4, &w), VOTERS_TELL);
    assert_ballot(v.promised, 7, 4);
    assert_ballot(v.accepted, 5, 2);
    /* An old word lowers nothing. */
    w = word(1, (struct ballot){1, 2}, (struct ballot){0, 0}, nothing);
    assert_int_equal(voters_hear(&v, 2, &w), VOTERS_SAME);
    assert_ballot(v.said_promised[1], 5, 2);
    assert_ballot(v.said_accepted[1], 5, 2);
    /* Ours go above all that was seen. */
    voters_want(&v, drop(2));
    assert_int_equal(voters_step(&v, false), VOTERS_TELL);
    assert_ballot(v.mine, 8, 1);
    assert_int_equal(voters_step(&v, false), VOTERS_SAME);
    assert_int_equal(voters_step(&v, true), VOTERS_TELL);
    assert_ballot(v.mine, 9, 1);
}

static void only_voters_vote(void **state)
{
    (void)state;
    struct voters a, x;
    found(&a, 1, 3);
    voters_want(&a, drop(3));
    voters_step(&a, false);
    struct voters_word w = word(1, a.mine, (struct ballot){0, 0}, nothing);
    assert_int_equal(voters_hear(&a, 9, &w), VOTERS_SAME);
    assert_int_equal(voters_hear(&a, 10, &w), VOTERS_SAME);
    assert_int_equal(voters_step(&a, false), VOTERS_SAME);
    assert_ballot(a.accepted, 0, 0);
    w = word(1, (struct ballot){9, 9}, (struct ballot){9, 9}, drop(2));
    assert_int_equal(voters_hear(&a, 9, &w), VOTERS_SAME);
    assert_ballot(a.promised, 1, 1);

    /* One that is none learns, and neither promises nor proposes. */
    voters_init(&x, 9);
    voters_found(&x, LINEAGE, ten, 3);
    voters_want(&x, drop(1));
    assert_int_equal(voters_step(&x, true), VOTERS_SAME);
    w = word(1, (struct ballot){1, 1}, (struct ballot){1, 1}, drop(3));
    assert_int_equal(voters_hear(&x, 1, &w), VOTERS_SAME);
    assert_ballot(x.promised, 0, 0);
    assert_int_equal(voters_hear(&x, 1, &w), VOTERS_SAME);
    assert_int_equal(voters_hear(&x, 2, &w), VOTERS_CHANGED);
    assert_int_equal(x.version, 2);
    assert_int_equal(x.want.member, 1);
    assert_int_equal(voters_hear(&x, 2, &w), VOTERS_SAME); /* of a version that is over */
}

/* Acceptances of one ballot count, not those of one value. */
static void ballots_are_not_mixed(void **state)
{
    (void)state;
    struct voters v;
    found(&v, 9, 5);
    struct voters_word w = word(1, (struct ballot){1, 1}, (struct ballot){1, 1}, add(9));
    assert_int_equal(voters_hear(&v, 1, &w), VOTERS_SAME);
    assert_int_equal(voters_hear(&v, 2, &w), VOTERS_SAME);
    w.promised = w.accepted = (struct ballot){2, 3};
    assert_int_equal(voters_hear(&v, 3, &w), VOTERS_SAME);
    w.promised = w.accepted = (struct ballot){1, 1};
    assert_int_equal(voters_hear(&v, 4, &w), VOTERS_CHANGED);
}

static void versions_are_caught_up_with(void **state)
{
    (void)state;
    struct voters a, b;
    found(&a, 1, 1);
    found(&b, 2, 1);
    for (uint32_t id = 2; id <= 4; id++) {
        voters_want(&a, add(id));
        for (uint32_t other = 2; other < id; other++) {
            voters_step(&a, false);
            struct voters_word w = word(a.version, a.mine, (struct ballot){0, 0}, nothing);
            voters_hear(&a, other, &w);
            voters_step(&a, false);
            w = word(a.version, a.mine, a.mine, add(id));
            voters_hear(&a, other, &w);
        }
        voters_step(&a, false);
    }
    assert_int_equal(a.version, 4);
    assert_int_equal(say(&a, &b, false), VOTERS_SAME); /* too far ahead, without a list */
    assert_int_equal(b.version, 1);
    assert_int_equal(say(&a, &b, true), VOTERS_CHANGED);
    assert_int_equal(b.version, 4);
    assert_int_equal(b.count, 4);
    assert_memory_equal(b.id, ten, 4 * sizeof ten[0]);
    /* A change that cannot have followed is not followed. */
    struct voters_word w = word(5, (struct ballot){0, 0}, (struct ballot){0, 0}, nothing);
    w.last = add(4);
    assert_int_equal(voters_hear(&b, 1, &w), VOTERS_SAME);
    assert_int_equal(b.version, 4);
}

static void who_has_no_memory_enters_with_care(void **state)
{
    (void)state;
    struct voters a, b, x;
    found(&a, 1, 3);
    found(&b, 2, 3);
    voters_init(&x, 3);
    assert_int_equal(say(&a, &x, false), VOTERS_SAME);   /* no list */
    assert_int_equal(say(&a, &x, true), VOTERS_CHANGED); /* founded with us */

    /* A newcomer: once a majority of the voters says that nothing is going on. */
    voters_init(&x, 9);
    assert_int_equal(say(&a, &x, true), VOTERS_SAME);
    assert_int_equal(say(&a, &x, true), VOTERS_SAME);
    struct voters_word w = word(1, (struct ballot){1, 2}, (struct ballot){1, 2}, add(9));
    assert_int_equal(voters_hear(&x, 2, &w), VOTERS_SAME);
    assert_int_equal(voters_hear(&x, 8, &w), VOTERS_SAME);
    assert_int_equal(x.lineage, 0);
    assert_int_equal(say(&b, &x, false), VOTERS_CHANGED);
    assert_int_equal(x.lineage, LINEAGE);
    assert_int_equal(x.count, 3);

    /* A voter that has lost its memory waits until it is none. */
    w = word(2, (struct ballot){0, 0}, (struct ballot){0, 0}, nothing);
    w.last = add(3);
    w.count = 3;
    memcpy(w.id, ten, sizeof w.id[0] * 3);
    voters_init(&x, 3);
    assert_int_equal(voters_hear(&x, 1, &w), VOTERS_SAME);
    assert_int_equal(voters_hear(&x, 2, &w), VOTERS_SAME);
    assert_int_equal(x.lineage, 0);
    w.version = 3;
    w.last = drop(3);
    w.count = 2;
    assert_int_equal(voters_hear(&x, 1, &w), VOTERS_SAME);
    assert_int_equal(voters_hear(&x, 2, &w), VOTERS_CHANGED);
    assert_int_equal(x.version, 3);
    assert_false(voters_has(&x, 3));
}

static void lineages_do_not_mix(void **state)
{
    (void)state;
    struct voters a, b, c;
    struct voters_word w;
    found(&a, 1, 3);
    voters_init(&b, 2);
    voters_found(&b, LINEAGE + 1, ten, 3);
    voters_init(&c, 4);
    voters_found(&c, LINEAGE + 2, ten, 4);
    voters_tell(&b, true, &w);
    w.version = 9;
    assert_int_equal(voters_hear(&a, 2, &w), VOTERS_SAME);
    assert_int_equal(a.version, 1);
    assert_false(voters_yields(&a, &w)); /* equal size, lower number */
    voters_tell(&a, false, &w);
    assert_false(voters_yields(&b, &w)); /* without its list */
    voters_tell(&a, true, &w);
    assert_true(voters_yields(&b, &w));
    assert_false(voters_yields(&a, &w));
    assert_false(voters_yields(&c, &w));
    voters_tell(&c, true, &w);
    assert_true(voters_yields(&a, &w));
    voters_want(&a, drop(3));
    voters_dissolve(&a);
    struct voters fresh;
    voters_init(&fresh, 1);
    assert_memory_equal(&a, &fresh, sizeof a);
    assert_int_equal(say(&c, &a, true), VOTERS_CHANGED);
    assert_int_equal(a.lineage, LINEAGE + 2);
}

/* ------------------------------------------------------------------- bytes */

static bool read_back(const uint8_t *bytes, size_t length, struct voters_word *w)
{
    struct reader r;
    reader_init(&r, bytes, length);
    voters_word_read(&r, w);
    return reader_done(&r);
}

static struct voters_word rich(size_t count)
{
    struct voters_word w = word(7, (struct ballot){5, 2}, (struct ballot){4, 3}, drop(3));
    w.last = drop(100000);
    w.count = count;
    for (size_t i = 0; i < count; i++)
        w.id[i] = (uint32_t)i + 1;
    return w;
}

static void a_word_comes_back(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 3, 10, MEMBERS_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        uint8_t bytes[VOTERS_SAVED_MAX];
        struct voters_word w = rich(counts[i]), back;
        struct writer wr;
        writer_init(&wr, bytes, sizeof bytes);
        voters_word_write(&wr, &w);
        assert_int_equal(wr.at, voters_word_bytes(&w));
        assert_int_equal(wr.at, 40 + 4 * counts[i]);
        assert_true(read_back(bytes, wr.at, &back));
        assert_memory_equal(&back, &w, sizeof w);
        for (size_t cut = 0; cut < wr.at; cut++)
            assert_false(read_back(bytes, cut, &back));
    }
}

static void writes_as_it_is(struct voters_word w, bool good)
{
    uint8_t bytes[VOTERS_SAVED_MAX];
    struct voters_word back;
    struct writer wr;
    writer_init(&wr, bytes, sizeof bytes);
    voters_word_write(&wr, &w);
    assert_false(wr.failed);
    assert_int_equal(read_back(bytes, wr.at, &back), good);
}

static void unsound_words_are_refused(void **state)
{
    (void)state;
    struct voters_word w;
#define REFUSED(change_it) \
    w = rich(4);           \
    change_it;             \
    writes_as_it_is(w, false)
    writes_as_it_is(rich(4), true);
    REFUSED(w.version = 0);
    REFUSED(w.version = 1);
    REFUSED(w.last = nothing);
    REFUSED(w.last.kind = CHANGE_MAX);
    REFUSED(w.last = drop(2));
    REFUSED(w.last = add(100000));
    REFUSED(w.change = nothing);
    REFUSED(w.change = add(2));
    REFUSED(w.change = drop(9));
    REFUSED(w.change.kind = (enum change_kind)200);
    REFUSED(w.accepted = ((struct ballot){0, 0}));
    REFUSED(w.accepted = ((struct ballot){0, 3}));
    REFUSED(w.accepted = ((struct ballot){5, 3})); /* above the promise */
    REFUSED(w.id[2] = w.id[1]);
    REFUSED(w.id[0] = 3);
    REFUSED(w.count = 1; w.id[0] = 3); /* it would leave nobody */
    w = rich(MEMBERS_MAX);
    w.change = add(99999);
    writes_as_it_is(w, false);
#undef REFUSED
    uint8_t bytes[VOTERS_SAVED_MAX + 8];
    struct writer wr;
    w = rich(MEMBERS_MAX);
    writer_init(&wr, bytes, sizeof bytes);
    voters_word_write(&wr, &w);
    write_u32(&wr, 5000);
    bytes[38] = (MEMBERS_MAX + 1) >> 8;
    bytes[39] = (MEMBERS_MAX + 1) & 0xff;
    assert_false(read_back(bytes, wr.at, &w));
}

static void what_is_saved_comes_back_or_is_refused(void **state)
{
    (void)state;
    struct voters v, back, fresh;
    uint8_t bytes[VOTERS_SAVED_MAX + 1];
    found(&v, 1, 5);
    struct voters_word w = word(1, (struct ballot){5, 2}, (struct ballot){5, 2}, add(9));
    voters_hear(&v, 2, &w);
    w = word(1, (struct ballot){6, 2}, (struct ballot){0, 0}, nothing);
    voters_hear(&v, 3, &w);
    size_t length = voters_save(&v, bytes, VOTERS_SAVED_MAX);
    assert_int_not_equal(length, 0);
    assert_int_equal(voters_save(&v, bytes, length - 1), 0);
    assert_int_equal(voters_save(&v, bytes, length), length);
    assert_int_equal(voters_load(&back, 1, bytes, length), 0);
    assert_ballot(back.promised, 6, 2);
    assert_ballot(back.accepted, 5, 2);
    assert_int_equal(back.change.member, 9);
    assert_int_equal(back.count, 5);
    assert_memory_equal(back.id, v.id, sizeof v.id);
    assert_ballot(back.said_promised[1], 0, 0); /* what others said is not kept */

    voters_init(&fresh, 1);
    for (size_t i = 0; i < length * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1U << (i % 8));
        assert_int_equal(voters_load(&back, 1, bytes, length), -EBADMSG);
        assert_memory_equal(&back, &fresh, sizeof back);
        bytes[i / 8] ^= (uint8_t)(1U << (i % 8));
    }
    for (size_t cut = 0; cut < length; cut++)
        assert_int_equal(voters_load(&back, 1, bytes, cut), -EBADMSG);
    assert_int_equal(voters_load(&back, 1, bytes, length + 1), -EBADMSG);
    assert_int_equal(voters_load(&back, 2, bytes, length), -EBADMSG); /* another's */

    length = voters_save(&fresh, bytes, sizeof bytes);
    assert_int_equal(voters_load(&back, 1, bytes, length), 0);
    assert_memory_equal(&back, &fresh, sizeof back);
    memset(&v, 0, sizeof v);
    v.count = MEMBERS_MAX;
    v.lineage = v.version = 1;
    for (uint32_t i = 0; i < MEMBERS_MAX; i++)
        v.id[i] = i + 1;
    length = voters_save(&v, bytes, VOTERS_SAVED_MAX);
    assert_int_equal(voters_load(&back, 0, bytes, length), 0);
    assert_int_equal(back.count, MEMBERS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_not_founded_at_first),
        cmocka_unit_test(counts_majorities),
        cmocka_unit_test(one_alone_decides),
        cmocka_unit_test(a_change_goes_through_step_by_step),
        cmocka_unit_test(a_later_ballot_takes_what_was_accepted_last),
        cmocka_unit_test(promises_are_kept),
        cmocka_unit_test(only_voters_vote),
        cmocka_unit_test(ballots_are_not_mixed),
        cmocka_unit_test(versions_are_caught_up_with),
        cmocka_unit_test(who_has_no_memory_enters_with_care),
        cmocka_unit_test(lineages_do_not_mix),
        cmocka_unit_test(a_word_comes_back),
        cmocka_unit_test(unsound_words_are_refused),
        cmocka_unit_test(what_is_saved_comes_back_or_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
