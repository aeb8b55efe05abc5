/* One bucket's state machine: every transition of the picture in bucket.h, and
 * over all inputs the invariants that hold in each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ipclusterd/bucket.h"

static void transitions(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        enum bucket_class now, next;
        struct bucket_view v;
    } table[] = {
        {"stays foreign", CLASS_FOREIGN, CLASS_FOREIGN, {.owner_claims = true}},
        {"prepares", CLASS_FOREIGN, CLASS_LINGER, {.mine = true}},
        {"claims", CLASS_LINGER, CLASS_OWN, {.mine = true, .granted = true}},
        {"claims at once", CLASS_FOREIGN, CLASS_OWN, {.mine = true, .granted = true}},
        {"adopts after a member that lingers",
         CLASS_LINGER,
         CLASS_ADOPT,
         {.mine = true, .granted = true, .others_flows = true}},
        {"adopts after a death",
         CLASS_LINGER,
         CLASS_ADOPT,
         {.mine = true, .granted = true, .holding = true}},
        {"owns when the hold ends", CLASS_ADOPT, CLASS_OWN, {.mine = true, .agreed = true}},
        {"does not before the others have told what they have",
         CLASS_ADOPT,
         CLASS_ADOPT,
         {.mine = true}},
        {"adopts when an older holder turns up",
         CLASS_OWN,
         CLASS_ADOPT,
         {.mine = true, .others_flows = true}},
        {"serves on until the owner is ready", CLASS_OWN, CLASS_OWN, {0}},
        {"releases", CLASS_OWN, CLASS_RELEASE, {.owner_ready = true, .others_flows = true}},
        {"keeps releasing", CLASS_RELEASE, CLASS_RELEASE, {.owner_ready = true}},
        {"lingers once the owner claims",
         CLASS_RELEASE,
         CLASS_LINGER,
         {.owner_ready = true, .owner_claims = true}},
        {"stops forwarding to nobody", CLASS_RELEASE, CLASS_LINGER, {0}},
        {"takes a release back", CLASS_RELEASE, CLASS_OWN, {.mine = true, .granted = true}},
        {"yields", CLASS_OWN, CLASS_LINGER, {.yield = true, .others_flows = true}},
        {"lingers with flows", CLASS_LINGER, CLASS_LINGER, {.flows = true}},
        {"ends lingering", CLASS_LINGER, CLASS_FOREIGN, {.owner_claims = true}},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (bucket_next(table[i].now, &table[i].v) != table[i].next)
            fail_msg("%s: %s", table[i].what,
                     bucket_class_name(bucket_next(table[i].now, &table[i].v)));
}

static void invariants(void **state)
{
    (void)state;
    for (unsigned c = 0; c < CLASS_MAX; c++) {
        for (unsigned bits = 0; bits < 512; bits++) {
            struct bucket_view v = {bits & 1,  bits & 2,  bits & 4,   bits & 8,  bits & 16,
                                    bits & 32, bits & 64, bits & 128, bits & 256};
            enum bucket_class now = (enum bucket_class)c, next = bucket_next(now, &v);
            if (!class_claims(now) && class_claims(next)) /* S1 */
                assert_true(v.mine && v.granted);
            if (now != CLASS_FOREIGN && next == CLASS_FOREIGN) /* S4 */
                assert_true(now == CLASS_LINGER && !v.flows);
            if (next == CLASS_OWN) /* S5 */
                assert_true(!v.others_flows && !v.holding && (now != CLASS_ADOPT || v.agreed));
            if (class_claims(now) && !class_claims(next)) /* S2 */
                assert_true(v.yield || v.owner_ready);
        }
    }
}

static void plans(void **state)
{
    (void)state;
    static struct plan a, b;
    plan_init(&a, 256);
    plan_init(&b, 256);
    assert_true(plan_equal(&a, &b));
    b.generation = 9;
    assert_true(plan_equal(&a, &b));
    b.class_of[255] = CLASS_OWN;
    assert_false(plan_equal(&a, &b));
    a.class_of[255] = b.class_of[255] = CLASS_RELEASE;
    a.target_of[255] = 3;
    assert_false(plan_equal(&a, &b));
    b.target_of[255] = 5;
    assert_true(plan_equal(&a, &b)); /* both all-zero MACs */
    b.target[5].byte[0] = 2;
    assert_false(plan_equal(&a, &b));
    a.target[3].byte[0] = 2;
    assert_true(plan_equal(&a, &b));
    plan_init(&b, 128);
    assert_false(plan_equal(&a, &b));
    assert_string_equal(bucket_class_name(CLASS_ADOPT), "adopt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transitions),
        cmocka_unit_test(invariants),
        cmocka_unit_test(plans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
