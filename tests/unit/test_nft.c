/* Plans into the real kernel's nftables, read back by the distribution's nft. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "netlab.h"
#include "nft_made.h"

/* ---- tables -------------------------------------------------------------------- */

static void test_install(void **state)
{
    (void)state;
    made_open_all();
    made_some_classes();
    assert_int_equal(nft_apply(nft, &plan), 0);
    made_check();
    assert_int_equal(made_leases_running(), 0);
    assert_string_equal(nft_error(nft), "");
}

/* The distribution's nft loads what it lists, and lists it again as it was. */
static void test_listing_loads(void **state)
{
    char *first, *second;
    (void)state;

    made_open_all();
    made_some_classes();
    assert_int_equal(nft_apply(nft, &plan), 0);
    first = made_listing("first");
    netlab_run("nft flush ruleset && nft -f %s/first", directory);
    second = made_listing("second");
    assert_string_equal(first, second);
    free(first);
    free(second);
}

static void test_print(void **state)
{
    char path[256], *ours, *printed;
    FILE *out;
    (void)state;

    made_open_all();
    made_some_classes();
    assert_int_equal(nft_apply(nft, &plan), 0);
    ours = made_listing("ours");
    snprintf(path, sizeof path, "%s/text", directory);
    out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(nft_print(&config, place, &plan, out), 0);
    fclose(out);
    netlab_run("nft flush ruleset && nft -f %s", path);
    printed = made_listing("printed");
    assert_string_equal(ours, printed);
    free(ours);
    free(printed);
}

/* A kernel may be built without the legacy tables; the program has to be there. */
static bool kernel_has(const char *program)
{
    char save[256];
    int status;

    snprintf(save, sizeof save, "%s-save >%s/saved 2>&1", program, directory);
    status = system(save);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 127);
    return WEXITSTATUS(status) == 0;
}

/* What is told of them to iptables: both of its kinds take it, and it has a rule for each bucket
 * that is not another's. */
static void test_iptables(void **state)
{
    static const char *const programs[] = {"iptables-nft", "iptables-legacy", "ip6tables-nft",
                                           "ip6tables-legacy"};
    char path[256];
    FILE *out;
    (void)state;

    made_open_all();
    made_vip_add("192.0.2.120", VIP_SHARED, SELECT_MASK)->early_drop = false;
    made_some_classes();
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        enum family family = programs[i][2] == '6' ? FAMILY_IP6 : FAMILY_IP4;

        snprintf(path, sizeof path, "%s/%s", directory, programs[i]);
        out = fopen(path, "w");
        assert_non_null(out);
        assert_int_equal(nft_print_iptables(&config, place, &plan, family, out), 0);
        fclose(out);
        if (kernel_has(programs[i]))
            netlab_run("%s-restore --test %s", programs[i], path);
        else
            assert_non_null(strstr(programs[i], "legacy"));
        netlab_run("test $(grep -c -- ' -s .* -g ipclusterd-[et][0-9]*-own$' %s) = %u", path,
                   family == FAMILY_IP4 ? 3 * 22 : 2 * 22);
        netlab_run("test $(grep -c -- ' -s .* -g ipclusterd-[et][0-9]*-adopt$' %s) = %u", path,
                   family == FAMILY_IP4 ? 3 * 10 + 32 : 2 * 10);
        netlab_run("test $(grep -c 'is left out' %s) = %u", path, family == FAMILY_IP4 ? 5 : 6);
    }
}

static void test_clear(void **state)
{
    char *text;
    (void)state;

    made_open_all();
    netlab_run("nft add table inet other");
    assert_int_equal(nft_clear(nft), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_clear(nft), 0);
    assert_int_equal(nft_clear(nft), 0);
    text = made_listing("cleared");
    assert_string_equal(text, "table inet other {\n}\n");
    free(text);
}

/* What a crashed run left is replaced, whatever is in it. */
static void test_replace(void **state)
{
    (void)state;
    made_open_all();
    netlab_run("nft 'table inet ipclusterd { set v0_lease { type mark; }; chain v0_own { }; "
               "chain x { type filter hook input priority 0; goto v0_own; }; }'");
    made_some_classes();
    assert_int_equal(nft_apply(nft, &plan), 0);
    made_check();
    netlab_run("! nft list chain inet ipclusterd x 2>/dev/null");
}

/* ---- changes ------------------------------------------------------------------- */

static void test_changes(void **state)
{
    unsigned seed = 1;
    (void)state;

    made_open_all();
    for (unsigned round = 0; round < 25; round++) {
        unsigned changes = round % 5 == 0 ? 256 : (unsigned)rand_r(&seed) % 40;

        for (unsigned i = 0; i < changes; i++) {
            unsigned b = (unsigned)rand_r(&seed) % 256;
            unsigned class = (unsigned)rand_r(&seed) % CLASS_MAX;

            made_classes(b, b, class);
            if (class == CLASS_RELEASE)
                plan.target_of[b] = (uint16_t)(rand_r(&seed) % 3);
        }
        assert_int_equal(nft_apply(nft, &plan), 0);
        assert_int_equal(nft_watch_read(nft), 0);
        made_check();
    }
}

enum { LARGE_VIPS = 6 };

/* Every bucket of large tables changes its value at once. */
static void test_large(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LARGE_VIPS; i++) {
        char address[32];

        snprintf(address, sizeof address, i % 2 ? "192.0.2.%u" : "2001:db8::%u", 100 + i);
        made_vip_add(address, VIP_SHARED, i % 3 ? SELECT_MASK : SELECT_HASH);
    }
    made_open(BUCKETS_MAX);
    made_classes(0, BUCKETS_MAX - 1, CLASS_OWN);
    assert_int_equal(nft_apply(nft, &plan), 0);
    made_classes(0, BUCKETS_MAX - 1, CLASS_RELEASE);
    assert_int_equal(nft_apply(nft, &plan), 0);
    made_classes(0, BUCKETS_MAX - 1, CLASS_ADOPT);
    assert_int_equal(nft_apply(nft, &plan), 0);
    assert_int_equal(nft_watch_read(nft), 0);
    made_check_classes(0);
    made_check_classes(1);
    made_check_forwards(0);
    made_check_classes(LARGE_VIPS - 1);
    assert_int_equal(nft_clear(nft), 0);
}

/* As many as have the set beside the map, and numbers of two bytes. */
static void test_numbers_of_two_bytes(void **state)
{
    (void)state;
    made_vip_add("192.0.2.100", VIP_SHARED, SELECT_MASK);
    made_vip_add("2001:db8::64", VIP_SHARED, SELECT_MASK);
    made_vip_add("192.0.2.101", VIP_SHARED, SELECT_MASK)->affinity = AFFINITY_NETWORK;
    made_open(1024);
    made_classes(200, 700, CLASS_OWN);
    assert_int_equal(nft_apply(nft, &plan), 0);
    made_check();
    made_classes(200, 300, CLASS_FOREIGN);
    made_classes(900, 1023, CLASS_ADOPT);
    assert_int_equal(nft_apply(nft, &plan), 0);
    made_check();
}

/* ---- failures ------------------------------------------------------------------ */

/* Tables that the kernel refuses in the middle (a hash modulo 0) leave those
 * that are there. (A missing device would not do: since 6.16 chains wait.) */
static void test_refused_tables(void **state)
{
    struct config wrong;
    struct plan none;
    char *before, *after;
    (void)state;

    made_open_all();
    made_some_classes();
    assert_int_equal(nft_apply(nft, &plan), 0);
    before = made_listing("before");
    wrong = config;
    wrong.buckets = 0;
    plan_init(&none, 0);
    assert_int_equal(nft_reconfigure(nft, &wrong, place), 0);
    assert_int_equal(nft_apply(nft, &none), -ERANGE);
    assert_non_null(strstr(nft_error(nft), "a rule (v3_early)"));
    after = made_listing("after");
    assert_string_equal(before, after);
    free(before);
    free(after);
    /* And out of it again. */
    assert_int_equal(nft_reconfigure(nft, &config, place), 0);
    assert_int_equal(nft_apply(nft, &plan), 0);
    made_check();
}

/* A difference that the kernel refuses changes nothing; the next plan is put
 * there whole. */
static void test_refused_change(void **state)
{
    char *before, *after;
    (void)state;

    made_open_all();
    made_some_classes();
    assert_int_equal(nft_apply(nft, &plan), 0);
    netlab_run("nft 'delete element netdev ipclusterd v4_class { 0.0.0.0 }'");
    before = made_listing("before");
    made_classes(0, 40, CLASS_LINGER);
    assert_int_equal(nft_apply(nft, &plan), -ENOENT);
    after = made_listing("after");
    assert_string_equal(before, after);
    assert_non_null(strstr(nft_error(nft), "v4_class"));
    free(before);
    free(after);
    assert_int_equal(nft_apply(nft, &plan), 0);
    made_check();
}

static void test_unprivileged(void **state)
{
    struct nft *other;
    int error;
    (void)state;

    made_open_all();
    assert_int_equal(seteuid(65534), 0);
    error = nft_open(&other, &config, place);
    if (error == 0) {
        error = nft_apply(other, &plan);
        nft_close(other);
    }
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(error, -EPERM);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_install, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_listing_loads, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_print, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_iptables, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_clear, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_replace, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_changes, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_large, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_numbers_of_two_bytes, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_refused_tables, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_refused_change, made_setup, made_teardown),
        cmocka_unit_test_setup_teardown(test_unprivileged, made_setup, made_teardown),
    };

    return made_run(tests, sizeof tests / sizeof *tests);
}
