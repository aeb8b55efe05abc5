/*
 * The roster: order, the index of ourselves, limits, who serves, the digest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/roster.h"

enum { BUCKETS = 256 };

static struct roster_chain chain;

static struct roster *r, *s;
static bool serves[MEMBERS_MAX];

static int set_up(void **state)
{
    (void)state;
    r = malloc(sizeof *r);
    s = malloc(sizeof *s);
    roster_init(r, "web", BUCKETS, "m");
    r->member[0].incarnation = 1;
    r->member[0].weight = 100;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(r);
    free(s);
    return 0;
}

/* Adds a member and lets it live. */
static struct member *admit(struct roster *to, const char *name)
{
    int at = roster_add(to, name);
    assert_int_not_equal(at, ROSTER_NONE);
    struct member *m = &to->member[at];
    assert_true(m->stranger);
    m->stranger = false;
    m->incarnation = 1;
    m->weight = 100;
    return m;
}

static struct member *named(struct roster *in, const char *name)
{
    int at = roster_find(in, name);
    assert_int_not_equal(at, ROSTER_NONE);
    return &in->member[at];
}

/* Sorted, no name twice, and the one self where `self` says. */
static void assert_right(const struct roster *of)
{
    unsigned selves = 0;
    for (size_t i = 0; i < of->count; i++) {
        if (i > 0)
            assert_true(strcmp(of->member[i - 1].name, of->member[i].name) < 0);
        selves += of->member[i].self;
        assert_int_equal(roster_find(of, of->member[i].name), (int)i);
        assert_int_equal(roster_find_id(of, of->member[i].id), (int)i);
        for (int near = 0; near <= (int)of->count; near++) {
            assert_int_equal(roster_find_near(of, of->member[i].name, near), (int)i);
            assert_int_equal(roster_find_id_near(of, of->member[i].id, near), (int)i);
        }
    }
    assert_int_equal(selves, 1);
    assert_true(of->member[of->self].self);
}

static void begins_with_ourselves(void **state)
{
    (void)state;
    assert_int_equal(r->count, 1);
    assert_int_equal(r->self, 0);
    assert_string_equal(r->member[0].name, "m");
    assert_int_equal(roster_find(r, "n"), ROSTER_NONE);
    assert_int_equal(roster_find_id(r, member_id("n")), ROSTER_NONE);
    assert_right(r);
}

/* What a member told of its buckets moves with it, and ends with its boot, or its life. */
static void words_stay_with_members(void **state)
{
    (void)state;
    static const char *const names[] = {"z", "a", "p", "b"};
    for (unsigned i = 0; i < 4; i++) {
        size_t at = (size_t)(admit(r, names[i]) - r->member);
        assert_false(told_claims(&r->told, at, 200) || told_lingers(&r->told, at, 3));
        told_put(&r->told, at, 0, 0, UINT64_C(8) << i);
        told_put(&r->told, at, 3, UINT64_C(1) << (200 - 192 + i), 0);
    }
    for (unsigned gone = 0; gone < 4; gone++) {
        for (unsigned i = gone; i < 4; i++) {
            size_t at = (size_t)roster_find(r, names[i]);
            for (unsigned k = 0; k < 4; k++) {
                assert_int_equal(told_claims(&r->told, at, 200 + k), k == i);
                assert_int_equal(told_lingers(&r->told, at, 3 + k), k == i);
            }
        }
        assert_false(told_claims(&r->told, r->self, 200 + gone));
        roster_remove(r, (size_t)roster_find(r, names[gone]));
    }
}

static void words_end_with_a_life_or_a_boot(void **state)
{
    (void)state;
    for (unsigned turn = 0; turn < 2; turn++) {
        size_t a = (size_t)(admit(r, "a") - r->member);
        size_t b = (size_t)(admit(r, "b") - r->member);
        told_put(&r->told, a, 1, 1, 1);
        told_put(&r->told, b, 1, 1, 1);
        if (turn == 0)
            roster_fall(r, a, STANDING_DEAD, (instant){7});
        else
            roster_reboot(r, a, 5, 9);
        assert_int_equal(member_alive(&r->member[a]), turn == 1);
        assert_int_equal(r->member[a].sequence, turn == 1 ? 9 : 0);
        assert_false(told_claims(&r->told, a, 64) || told_lingers(&r->told, a, 64));
        assert_true(told_claims(&r->told, b, 64));
        roster_remove(r, b);
        roster_remove(r, a);
    }
}

static void stays_sorted(void **state)
{
    (void)state;
    static const char *const names[] = {"z", "a", "mm", "M", "l", "m1", "-"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        admit(r, names[i]);
        assert_right(r);
    }
    assert_int_equal(r->self, 4); /* behind "-", "M", "a", "l" */
    roster_remove(r, 0);
    assert_right(r);
    assert_int_equal(r->self, 3);
    roster_remove(r, r->count - 1);
    assert_right(r);
    assert_int_equal(r->self, 3);
    roster_remove(r, (size_t)roster_find(r, "mm"));
    assert_right(r);
    while (r->count > 1) {
        roster_remove(r, r->self == 0 ? 1 : 0);
        assert_right(r);
    }
    assert_string_equal(r->member[0].name, "m");
}

static void is_full_at_its_limit(void **state)
{
    (void)state;
    char name[16];
    for (int i = 1; i < MEMBERS_MAX; i++) {
        snprintf(name, sizeof name, "%c%03d", i % 2 == 0 ? 'a' : 'z', i);
        assert_int_not_equal(roster_add(r, name), ROSTER_NONE);
    }
    assert_int_equal(r->count, MEMBERS_MAX);
    assert_right(r);
    assert_int_equal(roster_add(r, "one-more"), ROSTER_NONE);
    assert_int_equal(r->count, MEMBERS_MAX);
    roster_remove(r, 0);
    assert_int_not_equal(roster_add(r, "one-more"), ROSTER_NONE);
    assert_right(r);
}

static void no_two_of_one_id(void **state)
{
    (void)state;
    /* Two names whose BLAKE2b begins with the same 32 bits. */
    assert_int_equal(member_id("web155882"), member_id("web177999"));
    admit(r, "web155882");
    assert_int_equal(roster_add(r, "web177999"), ROSTER_NONE);
    assert_right(r);
}

static void who_counts(void **state)
{
    (void)state;
    size_t at = (size_t)(admit(r, "a") - r->member);
    struct member *m = &r->member[at];
    assert_true(roster_counts(r, at));
    member_fall(m, STANDING_DEAD, (instant){0});
    assert_true(roster_counts(r, at)); /* its home is kept */
    m->standing = STANDING_LEFT;
    assert_true(roster_counts(r, at));
    m->standing = STANDING_FORGOTTEN;
    assert_false(roster_counts(r, at));
    m->incarnation++;
    assert_true(roster_counts(r, at));
    m->stranger = true;
    assert_false(roster_counts(r, at));
}

static void who_serves(void **state)
{
    (void)state;
    admit(r, "a");
    admit(r, "b");
    named(r, "a")->flags = HEARTBEAT_DRAINING;
    assert_int_equal(roster_serving(r, true, serves), 3);
    assert_true(!serves[0] && serves[1] && serves[2]);
    named(r, "b")->flags = HEARTBEAT_UNHEALTHY;
    assert_int_equal(roster_serving(r, true, serves), 3);
    assert_true(!serves[0] && !serves[1] && serves[2]);
    member_fall(named(r, "b"), STANDING_DEAD, (instant){0});
    assert_int_equal(roster_serving(r, true, serves), 2);
    /* None is fit: all the living but who leaves. */
    named(r, "m")->flags = HEARTBEAT_LEAVING;
    assert_int_equal(roster_serving(r, true, serves), 2);
    assert_true(serves[0] && !serves[1] && !serves[2]);
    /* All leave: all the living. */
    named(r, "a")->flags |= HEARTBEAT_LEAVING;
    assert_int_equal(roster_serving(r, true, serves), 2);
    assert_true(serves[0] && !serves[1] && serves[2]);
}

static uint64_t digest(struct roster *of)
{
    roster_serving(of, true, serves);
    return roster_digest(of, serves, 0, &chain);
}

/* What every node that knows the same makes of it. */
static void fill(struct roster *of)
{
    admit(of, "a");
    admit(of, "b");
    admit(of, "c");
    named(of, "c")->flags = HEARTBEAT_DRAINING;
    member_fall(named(of, "b"), STANDING_DEAD, (instant){0});
}

static void rename_b(struct roster *of)
{
    roster_remove(of, (size_t)roster_find(of, "b"));
    admit(of, "b2");
    member_fall(named(of, "b2"), STANDING_DEAD, (instant){0});
}
static void weigh(struct roster *of)
{
    named(of, "b")->weight = 99; /* the dead have a share of the homes too */
}
static void kill_a(struct roster *of)
{
    member_fall(named(of, "a"), STANDING_DEAD, (instant){0});
}
static void wake_b(struct roster *of)
{
    named(of, "b")->incarnation++;
}
static void drain_a(struct roster *of)
{
    named(of, "a")->flags = HEARTBEAT_DRAINING;
}
static void undrain_c(struct roster *of)
{
    named(of, "c")->flags = 0;
}
static void forget_b(struct roster *of)
{
    named(of, "b")->standing = STANDING_FORGOTTEN;
}
static void add_d(struct roster *of)
{
    admit(of, "d");
}
static void forget_all(struct roster *of)
{
    while (of->count > 1)
        roster_remove(of, of->self == 0 ? 1 : 0);
}

static void every_fact_is_in_the_digest(void **state)
{
    (void)state;
    static void (*const changes[])(struct roster *) = {
        rename_b, weigh, kill_a, wake_b, drain_a, undrain_c, forget_b, add_d, forget_all};
    uint64_t seen[1 + sizeof changes / sizeof changes[0]];
    size_t count = 0;
    fill(r);
    seen[count++] = digest(r);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        *s = *r;
        changes[i](s);
        assert_right(s);
        seen[count++] = digest(s);
        for (size_t k = 0; k + 1 < count; k++)
            assert_true(seen[k] != seen[count - 1]);
    }
}

static void nothing_else_is_in_the_digest(void **state)
{
    (void)state;
    fill(r);
    uint64_t before = digest(r);
    /* The same roster on another node, by another way. */
    roster_init(s, "web", BUCKETS, "b");
    s->member[0].incarnation = 17;
    s->member[0].weight = 100;
    member_fall(&s->member[0], STANDING_LEFT, (instant){55});
    admit(s, "m")->incarnation = 4;
    admit(s, "c")->flags = HEARTBEAT_UNHEALTHY; /* does not serve either */
    admit(s, "a")->order = 6;
    named(s, "a")->suspect = true;
    told_put(&s->told, (size_t)roster_find(s, "a"), 0, 1, 0);
    roster_add(s, "stranger");
    assert_true(digest(s) == before);
}

/* Under a quorum equal digests at two times mean that nobody rose in between, and
 * that the voters are the same; who is no voter does not count. */
static void under_a_quorum_more_is_in_the_digest(void **state)
{
    (void)state;
    fill(r);
    roster_serving(r, true, serves);
    uint64_t none = roster_digest(r, serves, 0, &chain),
             seven = roster_digest(r, serves, 7, &chain);
    assert_true(seven != roster_digest(r, serves, 8, &chain));
    assert_true(seven != none);
    named(r, "b")->fallen = named(r, "b")->incarnation = 9; /* dead, once more */
    assert_false(member_alive(named(r, "b")));
    assert_true(roster_digest(r, serves, 0, &chain) == none);
    assert_true(roster_digest(r, serves, 7, &chain) != seven);
    seven = roster_digest(r, serves, 7, &chain);
    named(r, "a")->incarnation += 5; /* of the living it does not matter */
    assert_true(roster_digest(r, serves, 7, &chain) == seven);
    admit(r, "d")->outsider = true;
    assert_int_equal(roster_serving(r, true, serves), 3);
    assert_true(roster_digest(r, serves, 7, &chain) == seven);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(begins_with_ourselves),
        CASE(stays_sorted),
        CASE(words_stay_with_members),
        CASE(words_end_with_a_life_or_a_boot),
        CASE(is_full_at_its_limit),
        CASE(no_two_of_one_id),
        CASE(who_counts),
        CASE(who_serves),
        CASE(every_fact_is_in_the_digest),
        CASE(nothing_else_is_in_the_digest),
        CASE(under_a_quorum_more_is_in_the_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
