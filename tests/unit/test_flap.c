/*
 * Penalties for flapping: the curve, its waits, holding and letting go, and the
 * laws by which members that tell each other theirs end up with one.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/flap.h"

#define MINUTE (60 * USEC_PER_S)
#define LENGTH(a) (sizeof(a) / sizeof(a)[0])

/* The contract's defaults. */
static const struct flap_config defaults = {
    .penalty = 1000, .suppress = 3000, .reuse = 1000, .half_life = MINUTE, .max_hold = 10 * MINUTE};

static const instant start = {1000 * USEC_PER_S};

static instant after(usec span)
{
    return instant_add(start, span);
}

/* Of a life whose decay begins at `start`. */
static struct flap of(uint32_t penalty)
{
    return (struct flap){.penalty = penalty, .at = start, .living = true};
}

/* ------------------------------------------------------------------ curve */

static void it_decays_by_half_every_half_life(void **state)
{
    (void)state;
    static const uint32_t penalties[] = {0, 1, 2, 1000, 3000, 65535, 512000, 2000000000};
    static const usec half_lives[] = {1, 10, USEC_PER_S, MINUTE, 60 * MINUTE};
    for (size_t i = 0; i < LENGTH(penalties); i++) {
        for (size_t k = 0; k < LENGTH(half_lives); k++) {
            struct flap_config c = defaults;
            c.half_life = half_lives[k];
            struct flap f = of(penalties[i]);
            uint32_t before = penalties[i];
            for (int step = 0; step <= 40 * 16; step++) {
                usec age = c.half_life * step / 16;
                uint32_t now = flap_now(&f, &c, after(age));
                double curve = penalties[i] * exp2(-(double)age / (double)c.half_life);
                assert_true(now <= before);
                /* It lies above the curve by next to nothing. */
                assert_true(now <= curve * 1.001 + 1);
                assert_true(now + 1 >= curve);
                if (age % c.half_life == 0 && age / c.half_life < 32)
                    assert_int_equal(now, penalties[i] >> (age / c.half_life));
                before = now;
            }
            assert_int_equal(flap_now(&f, &c, after(40 * c.half_life)), 0);
        }
    }
}

static void looking_changes_nothing(void **state)
{
    (void)state;
    struct flap f = of(3000);
    uint32_t once = flap_now(&f, &defaults, after(5 * MINUTE));
    for (usec at = 0; at <= 5 * MINUTE; at += 1237)
        (void)flap_now(&f, &defaults, after(at));
    assert_int_equal(flap_now(&f, &defaults, after(5 * MINUTE)), once);
    assert_int_equal(flap_now(&f, &defaults, after(-MINUTE)), 3000); /* before it begins */
}

static void without_a_half_life_it_stays(void **state)
{
    (void)state;
    struct flap_config c = defaults;
    c.half_life = 0;
    struct flap f = of(3000);
    assert_int_equal(flap_now(&f, &c, after(1000 * MINUTE)), 3000);
}

static void a_life_begins_without_decay(void **state)
{
    (void)state;
    struct flap f = {.penalty = 2000};
    flap_rise(&f, &defaults, start);
    assert_int_equal(flap_now(&f, &defaults, after(MINUTE / 4)), 2000);
    assert_int_equal(flap_now(&f, &defaults, after(MINUTE / 4 + MINUTE)), 1000);
    flap_rise(&f, &defaults, after(MINUTE / 2)); /* it lives already: no news */
    assert_int_equal(flap_now(&f, &defaults, after(MINUTE / 4 + MINUTE)), 1000);
}

static void away_it_does_not_decay(void **state)
{
    (void)state;
    struct flap f = of(2000);
    flap_fall(&f, &defaults, after(MINUTE));
    assert_int_equal(flap_now(&f, &defaults, after(MINUTE)), 1000);
    assert_int_equal(flap_now(&f, &defaults, after(1000 * MINUTE)), 1000);
    flap_rise(&f, &defaults, after(1000 * MINUTE));
    assert_int_equal(flap_now(&f, &defaults, after(1000 * MINUTE + MINUTE / 4)), 1000);
    assert_int_equal(flap_now(&f, &defaults, after(1001 * MINUTE + MINUTE / 4)), 500);
}

/* --------------------------------------------------------------- counting */

static void each_fall_counts_once(void **state)
{
    (void)state;
    struct flap f = {0};
    flap_rise(&f, &defaults, start);
    flap_fall(&f, &defaults, after(USEC_PER_S));
    assert_true(flap_count(&f, &defaults, after(USEC_PER_S), 5));
    assert_false(flap_count(&f, &defaults, after(USEC_PER_S), 5));
    assert_false(flap_count(&f, &defaults, after(USEC_PER_S), 4)); /* an older one */
    assert_int_equal(flap_now(&f, &defaults, after(USEC_PER_S)), 1000);
    flap_rise(&f, &defaults, after(2 * USEC_PER_S));
    assert_true(flap_count(&f, &defaults, after(3 * USEC_PER_S), 6)); /* told late: it lives */
    assert_int_equal(flap_now(&f, &defaults, after(3 * USEC_PER_S)), 2000);
    assert_int_equal(flap_now(&f, &defaults, after(2 * USEC_PER_S + MINUTE / 4)), 2000);
    assert_int_equal(flap_now(&f, &defaults, after(2 * USEC_PER_S + MINUTE / 4 + MINUTE)), 1000);
}

/* Lives that are shorter than the wait lose nothing of it. */
static void short_lives_add_up_in_full(void **state)
{
    (void)state;
    struct flap f = {0};
    for (uint32_t i = 1; i <= 3; i++) {
        instant rise = after(i * 15 * USEC_PER_S);
        flap_rise(&f, &defaults, rise);
        assert_false(flap_decide(&f, &defaults, rise));
        flap_fall(&f, &defaults, instant_add(rise, 14 * USEC_PER_S));
        flap_count(&f, &defaults, instant_add(rise, 14 * USEC_PER_S), i);
        assert_int_equal(flap_now(&f, &defaults, instant_add(rise, 14 * USEC_PER_S)), 1000 * i);
    }
    assert_true(flap_decide(&f, &defaults, after(MINUTE)));
    assert_true(flap_held(&f));
}

/* ---------------------------------------------------- holding, letting go */

static void hysteresis(void **state)
{
    (void)state;
    static const struct {
        uint32_t hold, penalty, then;
    } cases[] = {
        {0, 0, 0},    {0, 1000, 0}, {0, 2999, 0}, {0, 3000, 1},    {0, 3001, 1}, {1, 3000, 1},
        {1, 1000, 1}, {1, 999, 2},  {1, 0, 2},    {2, 2999, 2},    {2, 3000, 3}, {7, 999, 8},
        {8, 999, 8},  {8, 9000, 9}, {9, 9000, 9}, {9, 1000000, 9},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct flap f = of(cases[i].penalty);
        f.hold = cases[i].hold;
        assert_int_equal(flap_decide(&f, &defaults, start), cases[i].then != cases[i].hold);
        assert_int_equal(f.hold, cases[i].then);
        assert_int_equal(flap_held(&f), cases[i].then % 2);
        assert_false(flap_decide(&f, &defaults, start));
        assert_int_equal(f.penalty, cases[i].penalty);
    }
}

static void switched_off_it_holds_nobody(void **state)
{
    (void)state;
    struct flap_config c = defaults;
    struct flap f = of(1000000);
    c.penalty = 0;
    assert_false(flap_decide(&f, &c, start));
    c = (struct flap_config){.penalty = 1, .half_life = MINUTE}; /* suppress and reuse 0 */
    f = of(0);
    assert_false(flap_decide(&f, &c, start));
    f = of(1);
    assert_true(flap_decide(&f, &c, start));
    assert_true(flap_decide(&f, &c, after(2 * MINUTE))); /* at 0 it is let go all the same */
}

static void released_it_has_a_clean_slate(void **state)
{
    (void)state;
    struct flap f = of(5000);
    assert_false(flap_release(&f));
    assert_int_equal(f.penalty, 5000);
    assert_true(flap_decide(&f, &defaults, start));
    assert_true(flap_release(&f));
    assert_false(flap_held(&f));
    assert_int_equal(f.hold, 2);
    assert_int_equal(flap_now(&f, &defaults, start), 0);
    assert_false(flap_release(&f));
    assert_false(flap_decide(&f, &defaults, start));
}

/* However often it fell, it is let in after max_hold of life at the latest, but not
 * much sooner than that. */
static void no_hold_is_longer_than_max_hold(void **state)
{
    (void)state;
    static const usec max_holds[] = {2 * MINUTE, 10 * MINUTE, 10 * MINUTE + 30 * USEC_PER_S,
                                     20 * MINUTE};
    for (size_t i = 0; i < LENGTH(max_holds); i++) {
        struct flap_config c = defaults;
        struct flap f = {0};
        c.max_hold = max_holds[i];
        c.penalty = 1000000000;
        for (uint32_t fall = 1; fall <= 5; fall++)
            flap_count(&f, &c, start, fall);
        assert_true(flap_decide(&f, &c, start));
        flap_rise(&f, &c, start);
        usec held = 0;
        while (!flap_decide(&f, &c, after(held)))
            held += USEC_PER_S / 10;
        assert_true(held <= c.max_hold);
        assert_true(held >= c.max_hold - c.half_life);
    }
}

static void one_fall_more_than_a_number_holds(void **state)
{
    (void)state;
    struct flap_config c = {UINT32_MAX, UINT32_MAX, UINT32_MAX, USEC_PER_S, 1000 * MINUTE};
    struct flap f = {0};
    for (uint32_t fall = 1; fall <= 3; fall++)
        assert_true(flap_count(&f, &c, start, fall));
    assert_int_equal(f.penalty, UINT32_MAX);
    flap_rise(&f, &c, start);
    assert_int_equal(flap_now(&f, &c, after(USEC_PER_S / 4 + USEC_PER_S)), UINT32_MAX / 2);
}

/* ------------------------------------------------------------------- left */

/* What is said to be left is left: then it is let go, and 1 % earlier it is not. */
static void left_holds(const struct flap_config *c, const struct flap *f, instant now)
{
    usec left = flap_left(f, c, now);
    struct flap then = *f, early = *f;
    assert_true(left > 0);
    flap_rise(&then, c, now); /* if it is away: it comes back at this very moment */
    flap_rise(&early, c, now);
    assert_false(flap_decide(&early, c, instant_add(now, left - left / 100 - 1)));
    assert_true(flap_decide(&then, c, instant_add(now, left)));
}

static void what_is_left_is_left(void **state)
{
    (void)state;
    static const uint32_t penalties[] = {1000, 1001, 1500, 1999, 2000, 3000, 4096, 77777, 512000};
    for (size_t i = 0; i < LENGTH(penalties); i++) {
        struct flap f = of(penalties[i]);
        f.hold = 1;
        for (usec age = 0; flap_now(&f, &defaults, after(age)) >= 1000; age += MINUTE / 7)
            left_holds(&defaults, &f, after(age));
        f.at = after(MINUTE / 5); /* it has just come back: the decay waits */
        left_holds(&defaults, &f, start);
        left_holds(&defaults, &f, after(MINUTE / 10));
        f.living = false;
        left_holds(&defaults, &f, after(20 * MINUTE));
    }
    struct flap f = of(5000);
    assert_int_equal(flap_left(&f, &defaults, start), 0); /* not held */
}

/* ------------------------------------------------------------------ merge */

struct word {
    uint32_t hold, fallen, penalty;
};

static struct word word_of(const struct flap *f)
{
    return (struct word){f->hold, f->fallen, flap_now(f, &defaults, start)};
}

static struct flap flap_of(struct word w)
{
    struct flap f = of(w.penalty);
    f.hold = w.hold;
    f.fallen = w.fallen;
    return f;
}

static int compare(struct word a, struct word b)
{
    if (a.hold != b.hold)
        return a.hold < b.hold ? -1 : 1;
    if (a.fallen != b.fallen)
        return a.fallen < b.fallen ? -1 : 1;
    return (a.penalty > b.penalty) - (a.penalty < b.penalty);
}

static struct word merged(struct word a, struct word b)
{
    struct flap f = flap_of(a);
    bool changed = flap_merge(&f, &defaults, start, b.hold, b.fallen, b.penalty);
    assert_int_equal(changed, compare(word_of(&f), a) != 0);
    return word_of(&f);
}

static void assert_words(struct word a, struct word b)
{
    assert_int_equal(a.hold, b.hold);
    assert_int_equal(a.fallen, b.fallen);
    assert_int_equal(a.penalty, b.penalty);
}

enum { WORDS = 3 * 3 * 3 };

static void words_make(struct word w[WORDS])
{
    static const uint32_t penalties[] = {0, 700, 5000};
    for (uint32_t i = 0; i < WORDS; i++)
        w[i] = (struct word){i / 9, i / 3 % 3, penalties[i % 3]};
}

/* In whatever order members tell each other, all end with the same. */
static void merging_has_no_order(void **state)
{
    (void)state;
    struct word w[WORDS];
    words_make(w);
    for (int a = 0; a < WORDS; a++) {
        assert_words(merged(w[a], w[a]), w[a]);
        for (int b = 0; b < WORDS; b++) {
            struct word ab = merged(w[a], w[b]);
            assert_words(ab, merged(w[b], w[a]));
            assert_words(merged(ab, w[b]), ab);
            assert_true(compare(ab, w[a]) >= 0 && compare(ab, w[b]) >= 0);
            for (int c = 0; c < WORDS; c++)
                assert_words(merged(ab, w[c]), merged(w[a], merged(w[b], w[c])));
        }
    }
}

static void of_two_the_greater_wins(void **state)
{
    (void)state;
    static const struct {
        struct word ours, theirs, then;
    } cases[] = {
        {{1, 4, 3000}, {2, 4, 0}, {2, 4, 0}},       /* a release goes before any penalty */
        {{1, 4, 3000}, {1, 5, 2000}, {1, 5, 2000}}, /* then the later fall */
        {{1, 4, 3000}, {1, 4, 4000}, {1, 4, 4000}}, /* then the higher penalty */
        {{1, 4, 3000}, {1, 4, 2000}, {1, 4, 3000}}, {{1, 4, 3000}, {1, 3, 9000}, {1, 4, 3000}},
        {{2, 4, 0}, {1, 4, 9000}, {2, 4, 0}},
    };
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_words(merged(cases[i].ours, cases[i].theirs), cases[i].then);
}

/* What is told is limited as what is counted is. */
static void nobody_can_tell_more_than_the_limit(void **state)
{
    (void)state;
    struct flap_config c = defaults;
    struct flap told = of(0), counted = of(0);
    c.penalty = UINT32_MAX;
    flap_count(&counted, &c, start, 1);
    assert_true(counted.penalty < UINT32_MAX);
    assert_true(flap_merge(&told, &c, start, 0, 1, UINT32_MAX));
    assert_int_equal(told.penalty, counted.penalty);
}

static void what_is_heard_decays_from_now(void **state)
{
    (void)state;
    struct flap f = of(100);
    assert_true(flap_merge(&f, &defaults, after(MINUTE), 0, 1, 4000));
    assert_int_equal(flap_now(&f, &defaults, after(2 * MINUTE)), 2000);
    f.at = after(MINUTE); /* it has just come back: the wait is kept */
    assert_true(flap_merge(&f, &defaults, after(MINUTE / 2), 0, 2, 4000));
    assert_int_equal(flap_now(&f, &defaults, after(2 * MINUTE)), 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_decays_by_half_every_half_life),
        cmocka_unit_test(looking_changes_nothing),
        cmocka_unit_test(without_a_half_life_it_stays),
        cmocka_unit_test(a_life_begins_without_decay),
        cmocka_unit_test(away_it_does_not_decay),
        cmocka_unit_test(each_fall_counts_once),
        cmocka_unit_test(short_lives_add_up_in_full),
        cmocka_unit_test(hysteresis),
        cmocka_unit_test(switched_off_it_holds_nobody),
        cmocka_unit_test(released_it_has_a_clean_slate),
        cmocka_unit_test(no_hold_is_longer_than_max_hold),
        cmocka_unit_test(one_fall_more_than_a_number_holds),
        cmocka_unit_test(what_is_left_is_left),
        cmocka_unit_test(merging_has_no_order),
        cmocka_unit_test(of_two_the_greater_wins),
        cmocka_unit_test(nobody_can_tell_more_than_the_limit),
        cmocka_unit_test(what_is_heard_decays_from_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
