/*
 * Scripts: as text and back, drawn and followed, and cut down.
 */
#include "calm.h"

#include "shrink.h"

static struct script a, b;

static int scripts_free(void **state)
{
    (void)state;
    script_free(&a);
    script_free(&b);
    return 0;
}

static int all_free(void **state)
{
    return scripts_free(state) | tear_down(state);
}

/* Writes `s` to a file and reads it into `into`. */
static bool copy_as_text(const struct script *s, struct script *into)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    script_write(s, f);
    rewind(f);
    bool good = script_read(into, f, "test");
    fclose(f);
    return good;
}

static bool text_reads(const char *text)
{
    static const char settings[] = "nodes 3\nbuckets 16\ninterval 100000\ndead-after 400000\n"
                                   "lease 300000\nconnect-every 10\nsegment-every 10\n";
    FILE *f = tmpfile(), *real = stderr;
    assert_non_null(f);
    fputs(settings, f);
    fputs(text, f);
    rewind(f);
    stderr = tmpfile(); /* what is wrong is not wanted here */
    bool good = script_read(&b, f, "test");
    fclose(stderr);
    stderr = real;
    fclose(f);
    return good;
}

static void test_text(void **state)
{
    const struct scenario_wish wish = {.faults = -1};
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct rng r = rng_make(seed, 9);
        script_cut(&a, 0, a.acts);
        scenario_draw(&a.scenario, seed, &wish);
        a.scenario.faults = faults_all();
        storm_draw(&a, &r);
        drill_draw(&a, &r);
        rest_draw(&a, &r);
        assert_true(copy_as_text(&a, &b));
        assert_true(b.given);
        assert_int_equal(a.acts, b.acts);
        assert_memory_equal(a.act, b.act, a.acts * sizeof *a.act);
        /* What is only needed to draw is not in the text. */
        b.scenario.faults = a.scenario.faults;
        b.scenario.fault_every = a.scenario.fault_every;
        b.scenario.storm_max = a.scenario.storm_max;
        assert_memory_equal(&a.scenario, &b.scenario, sizeof a.scenario);
    }
}

static void test_text_wrong(void **state)
{
    static const char *const wrong[] = {
        "nodes 0\n",
        "nodes 257\n",
        "buckets 17\n",
        "lease 400000\n",
        "dead-after 299999\n",
        "interval\n",
        "seed 1 2\n",
        "nonsense\n",
        "weights 100 1001\n",
        "strike 1 2 pause hosts 0\n", /* of no storm */
        "storm\n",
        "storm 1\nstrike 1 2 mass hosts 0\n", /* is made of others */
        "storm 1\nstrike 1 2 pause hosts 256\n",
        "storm 1\nstrike 1 2 pause hosts 2-1\n",
        "storm 1\nstrike 1 2 pause hosts 1x\n",
        "storm 1\nstrike 1 2 pause whom 1\n",
        "storm 1\nstrike 1 2 pause value -1\n",
        "drill pause\n",
        "drill nothing 1\n",
    };
    (void)state;
    assert_true(text_reads(""));
    assert_true(text_reads("# all of it\nstorm 1 # short\nstrike 1 2 pause hosts 0,2-3\n"));
    assert_int_equal(b.acts, 2);
    assert_int_equal(b.act[1].hosts.word[0], 13);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (text_reads(wrong[i]))
            fail_msg("taken: %s", wrong[i]);
}

/* What a run drew, followed again, is the same run. */
static void test_replay(void **state)
{
    const struct scenario_wish wish = {.faults = -1, .duration = 3 * USEC_PER_S};
    struct result first, second;
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        script_cut(&a, 0, a.acts);
        scenario_draw(&a.scenario, seed, &wish);
        a.given = false;
        world_run(world, &a, &first);
        assert_true(a.acts > 0);
        assert_true(copy_as_text(&a, &b));
        world_run(world, &b, &second);
        assert_int_equal(first.hash, second.hash);
        assert_int_equal(first.events, second.events);
        b.scenario.noise = 1;
        world_run(world, &b, &second);
        assert_int_not_equal(first.hash, second.hash);
    }
}

/* One strike of many is to blame: then host 1, back from its crash, does not
 * wait, and claims what host 0 claims. */
static void test_shrink(void **state)
{
    struct act storm = {.kind = ACT_STORM, .lasts = 3 * USEC_PER_S};
    (void)state;
    a.scenario = calm;
    a.given = true;
    script_cut(&a, 0, a.acts);
    for (int k = 0; k < 4; k++) {
        script_add(&a, &storm);
        for (int i = 0; i < 10; i++) {
            struct act strike = {.kind = ACT_STRIKE,
                                 .fault = k == 2 && i == 7 ? FAULT_DRAIN : FAULT_RELOAD,
                                 .at = i * 150 * MS,
                                 .lasts = USEC_PER_S,
                                 .hosts = k == 2 && i == 7 ? hosts_below(3) : hosts_of(2),
                                 .value = 5};
            script_add(&a, &strike);
        }
    }
    fake_reset();
    owners_set(0);
    memset(fake[0].class_of, CLASS_OWN, calm.buckets);
    fake[1].seizes = true;
    struct shrink_result r = shrink(world, &a, 2000);
    assert_int_equal(r.check, CHECK_S1);
    assert_true(r.runs < 1000);
    assert_int_equal(a.acts, 2);
    assert_int_equal(a.act[0].kind, ACT_STORM);
    assert_int_equal(a.act[1].fault, FAULT_DRAIN);
    assert_int_equal(a.scenario.nodes, 2);
    assert_int_equal(hosts_count(&a.act[1].hosts), 1);
    assert_true(hosts_test(&a.act[1].hosts, 1));
    assert_true(a.act[1].at <= 100 * MS);
}

static void test_shrink_nothing(void **state)
{
    (void)state;
    a.scenario = calm;
    a.given = true;
    script_cut(&a, 0, a.acts);
    fake_reset();
    owners_set(0);
    memset(fake[0].class_of, CLASS_OWN, calm.buckets);
    assert_int_equal(shrink(world, &a, 100).check, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_wrong),
        cmocka_unit_test_setup(test_replay, set_up),
        cmocka_unit_test_setup(test_shrink, set_up),
        cmocka_unit_test_setup(test_shrink_nothing, set_up),
    };
    return cmocka_run_group_tests_name("sim scripts", tests, NULL, all_free);
}
