/*
 * What members told of their buckets, whoever comes or goes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/told.h"

static struct told t;

/* Every word of a member is a number of its own. */
static void say(size_t index, uint64_t what)
{
    for (size_t w = 0; w < t.words; w++)
        told_put(&t, index, w, what * 1000 + w, what * 1000 + 500 + w);
}

static void assert_says(size_t index, uint64_t what)
{
    struct bitmap claim, linger;
    memset(&claim, 0xff, sizeof claim);
    memset(&linger, 0xff, sizeof linger);
    told_sets(&t, index, &claim, &linger);
    for (size_t w = 0; w < BUCKETS_MAX / 64; w++) {
        bool used = what != 0 && w < t.words;
        assert_int_equal(claim.word[w], used ? what * 1000 + w : 0);
        assert_int_equal(linger.word[w], used ? what * 1000 + 500 + w : 0);
    }
    for (unsigned b = 0; b < t.words * 64; b++) {
        assert_int_equal(told_claims(&t, index, b), bitmap_test(&claim, b));
        assert_int_equal(told_lingers(&t, index, b), bitmap_test(&linger, b));
    }
}

static void as_many_words_as_buckets_need(void **state)
{
    (void)state;
    static const struct {
        unsigned buckets;
        size_t words;
    } cases[] = {{1, 1}, {64, 1}, {65, 2}, {256, 4}, {BUCKETS_MAX, BUCKETS_MAX / 64}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(&t, 0xff, sizeof t);
        told_init(&t, cases[i].buckets);
        assert_int_equal(t.words, cases[i].words);
        assert_says(0, 0);
        assert_says(MEMBERS_MAX - 1, 0);
    }
}

/* Up to as many members as there can be, one in the middle, at the end, at the start. */
static void sets_move_with_members(void **state)
{
    (void)state;
    told_init(&t, 130);
    for (size_t count = 0; count < MEMBERS_MAX; count++) { /* each behind the one before */
        told_insert(&t, count, count);
        say(count, count + 1);
    }
    told_remove(&t, 100, MEMBERS_MAX - 1);
    told_insert(&t, 0, MEMBERS_MAX - 1);
    assert_says(0, 0);
    for (size_t i = 1; i < MEMBERS_MAX; i++)
        assert_says(i, i <= 100 ? i : i + 1);
    told_clear(&t, 7);
    assert_says(6, 6);
    assert_says(7, 0);
    assert_says(8, 8);
    size_t used = 2 * t.words * MEMBERS_MAX;
    for (size_t i = used; i < sizeof t.word / sizeof t.word[0]; i++)
        assert_int_equal(t.word[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_words_as_buckets_need),
        cmocka_unit_test(sets_move_with_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
