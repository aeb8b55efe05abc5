/*
 * The tables: equal everywhere (golden), exact shares, least movement (S6, S7),
 * over thousands of rosters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/assign.h"
#include "ipclusterd/seal.h"

static struct assign before, after;
static struct assign_lists lists;
static uint64_t rng;

static uint32_t draw(uint32_t below)
{
    rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(rng >> 33) % below;
}

static unsigned roster_draw(struct assign_member m[64], unsigned most, unsigned *buckets)
{
    unsigned count = 1 + draw(most);
    bool even = draw(2);
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u-%u", i, draw(1000000));
        uint16_t weight = even ? 100 : (uint16_t)draw(WEIGHT_MAX + 1);
        m[i] = (struct assign_member){assign_hash("web", name), weight, true};
    }
    *buckets = 16u << draw(9);
    return count;
}

static uint64_t serving_weight(const struct assign_member *m, unsigned count)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += m[i].serves ? m[i].weight : 0;
    return sum;
}

/* Every bucket once, shares within one bucket of the exact weighted share. */
static void check_shares(const int16_t *table, const struct assign_member *m, unsigned count,
                         unsigned buckets)
{
    int64_t of[64] = {0};
    int64_t weight = (int64_t)serving_weight(m, count);
    for (unsigned b = 0; b < buckets; b++) {
        if (weight == 0) {
            assert_int_equal(table[b], ASSIGN_NOBODY);
            continue;
        }
        assert_in_range(table[b], 0, count - 1);
        assert_true(m[table[b]].serves);
        of[table[b]]++;
    }
    for (unsigned i = 0; i < count && weight > 0; i++) {
        int64_t exact = (int64_t)buckets * (m[i].serves ? m[i].weight : 0);
        assert_true(llabs(of[i] * weight - exact) < weight);
    }
}

static void properties(void **state)
{
    (void)state;
    for (rng = 1; rng < 3001; rng++) {
        uint64_t seed = rng;
        struct assign_member m[64];
        unsigned buckets, count = roster_draw(m, 64, &buckets);
        assign_compute(&before, &lists, m, count, buckets);
        check_shares(before.home, m, count, buckets);
        assert_memory_equal(before.home, before.owner, buckets * sizeof before.home[0]);

        /* Some die: their home buckets move, no other does. */
        for (unsigned deaths = 1 + draw(3); deaths > 0; deaths--)
            m[draw(count)].serves = false;
        assign_compute(&after, &lists, m, count, buckets);
        assert_memory_equal(before.home, after.home, buckets * sizeof before.home[0]);
        if (serving_weight(m, count) > 0) {
            check_shares(after.owner, m, count, buckets);
            for (unsigned b = 0; b < buckets; b++)
                if (m[before.home[b]].serves)
                    assert_int_equal(after.owner[b], before.home[b]);
        }
        rng = seed;
    }
}

/* Another order of the members gives the same owners. */
static void order_does_not_matter(void **state)
{
    (void)state;
    for (rng = 1; rng < 301; rng++) {
        uint64_t seed = rng;
        struct assign_member m[64], turned[64];
        unsigned buckets, count = roster_draw(m, 64, &buckets);
        m[draw(count)].serves = false;
        for (unsigned i = 0; i < count; i++)
            turned[count - 1 - i] = m[i];
        assign_compute(&before, &lists, m, count, buckets);
        assign_compute(&after, &lists, turned, count, buckets);
        for (unsigned b = 0; b < buckets; b++) {
            int owner = after.owner[b];
            assert_int_equal(before.owner[b],
                             owner == ASSIGN_NOBODY ? owner : (int)count - 1 - owner);
        }
        rng = seed;
    }
}

/* A second death moves little more than the dead's buckets; with at least 32
 * buckets a member, a newcomer too. Sums over many rosters. */
static void movement(void **state)
{
    (void)state;
    unsigned moved_death = 0, least_death = 0, moved_join = 0, least_join = 0;
    for (rng = 1; rng < 501; rng++) {
        uint64_t seed = rng;
        struct assign_member m[64];
        unsigned buckets, count = roster_draw(m, 8, &buckets);
        buckets = 256;
        if (count < 4) {
            rng = seed;
            continue;
        }
        for (unsigned i = 0; i < count; i++)
            m[i].weight = 100;
        m[0].serves = false;
        assign_compute(&before, &lists, m, count, buckets);
        m[1].serves = false;
        assign_compute(&after, &lists, m, count, buckets);
        for (unsigned b = 0; b < buckets; b++) {
            moved_death += before.owner[b] != after.owner[b];
            least_death += before.owner[b] == 1;
        }
        m[0].serves = m[1].serves = true;
        assign_compute(&before, &lists, m, count - 1, buckets);
        assign_compute(&after, &lists, m, count, buckets);
        for (unsigned b = 0; b < buckets; b++) {
            moved_join += before.owner[b] != after.owner[b];
            least_join += after.owner[b] == (int)count - 1;
        }
        rng = seed;
    }
    print_message("moved / least: second death %.3f, newcomer %.3f\n",
                  (double)moved_death / least_death, (double)moved_join / least_join);
    assert_true(moved_death * 10 < least_death * 15);
    assert_true(moved_join * 10 < least_join * 15);
}

/* The tables of rosters that are written down here, so that another compiler
 * or architecture has to agree. A change of these numbers is a change of the
 * protocol. */
static void golden(void **state)
{
    (void)state;
    static const struct {
        unsigned members, buckets, absent;
        uint16_t weight_step;
        uint64_t home, owner;
    } table[] = {
#include "assign_golden.h"
    };
    for (size_t t = 0; t < sizeof table / sizeof table[0]; t++) {
        struct assign_member m[64];
        for (unsigned i = 0; i < table[t].members; i++) {
            char name[16];
            snprintf(name, sizeof name, "web%u", i + 1);
            uint16_t weight = (uint16_t)(100 + i * table[t].weight_step);
            m[i] = (struct assign_member){assign_hash("web", name), weight, i >= table[t].absent};
        }
        assign_compute(&after, &lists, m, table[t].members, table[t].buckets);
        uint8_t bytes[2][2 * BUCKETS_MAX];
        for (unsigned b = 0; b < table[t].buckets; b++) {
            bytes[0][2 * b] = (uint8_t)(after.home[b] >> 8);
            bytes[0][2 * b + 1] = (uint8_t)after.home[b];
            bytes[1][2 * b] = (uint8_t)(after.owner[b] >> 8);
            bytes[1][2 * b + 1] = (uint8_t)after.owner[b];
        }
        uint64_t home = hash64(bytes[0], 2 * table[t].buckets);
        uint64_t owner = hash64(bytes[1], 2 * table[t].buckets);
        if (home != table[t].home || owner != table[t].owner)
            fail_msg("{%u, %u, %u, %u, UINT64_C(0x%016llx), UINT64_C(0x%016llx)},",
                     table[t].members, table[t].buckets, table[t].absent, table[t].weight_step,
                     (unsigned long long)home, (unsigned long long)owner);
    }
    /* And one written out, to be read by people. */
    static const char *const names[] = {"web1", "web2", "web3"};
    struct assign_member m[3];
    char drawn[17] = {0};
    for (unsigned i = 0; i < 3; i++)
        m[i] = (struct assign_member){assign_hash("web", names[i]), 100, true};
    assign_compute(&after, &lists, m, 3, 16);
    for (unsigned b = 0; b < 16; b++)
        drawn[b] = (char)('1' + after.home[b]);
    assert_string_equal(drawn, "1233232211233111");
}

static void nobody(void **state)
{
    (void)state;
    struct assign_member m[2] = {{1, 0, true}, {2, 0, true}};
    assign_compute(&after, &lists, m, 2, 16);
    for (unsigned b = 0; b < 16; b++)
        assert_int_equal(after.owner[b], ASSIGN_NOBODY);
    m[0] = (struct assign_member){1, 5, false};
    assign_compute(&after, &lists, m, 2, 16);
    assert_int_equal(after.home[3], 0);
    assert_int_equal(after.owner[3], ASSIGN_NOBODY);
    assert_true(assign_hash("ab", "c") != assign_hash("a", "bc"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties), cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(movement),   cmocka_unit_test(golden),
        cmocka_unit_test(nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
