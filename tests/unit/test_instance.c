/*
 * One daemon per state directory and per network namespace. A child process
 * stands for the other daemon: flock() knows descriptors, but a second daemon is
 * what this is about.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/instance.h"

static char base[64], run_dir[96], other_run_dir[96], one[96], two[96];

static int setup(void **state)
{
    (void)state;
    strcpy(base, "/tmp/test_instance.XXXXXX");
    if (mkdtemp(base) == NULL)
        return -1;
    snprintf(run_dir, sizeof run_dir, "%s/run", base);
    snprintf(other_run_dir, sizeof other_run_dir, "%s/run2", base);
    snprintf(one, sizeof one, "%s/one", base);
    snprintf(two, sizeof two, "%s/two", base);
    return mkdir(one, 0700) < 0 || mkdir(two, 0700) < 0 ? -1 : 0;
}

/* Also the proof that nothing is left: rmdir() fails on what is not empty. */
static int teardown(void **state)
{
    (void)state;
    if ((rmdir(run_dir) < 0 && errno != ENOENT) || (rmdir(other_run_dir) < 0 && errno != ENOENT))
        return -1;
    return rmdir(one) < 0 || rmdir(two) < 0 ? -1 : rmdir(base);
}

/* Another process that holds the claim until it is killed. */
static pid_t holder_start(const char *state_dir, const char *run)
{
    int ends[2];
    char byte = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct instance i;
        char why[256];
        byte = instance_claim(&i, state_dir, run, why) == 0 ? 'y' : 'n';
        if (write(ends[1], &byte, 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(ends[0]);
    close(ends[1]);
    return pid;
}

static void holder_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void claims_and_releases(void **state)
{
    struct instance i;
    char why[256];
    (void)state;
    for (int n = 0; n < 2; n++) {
        assert_int_equal(instance_claim(&i, one, run_dir, why), 0);
        instance_release(&i);
        instance_release(&i);
    }
}

static void refuses_a_second_of_the_namespace(void **state)
{
    struct instance i;
    char why[256];
    (void)state;
    pid_t other = holder_start(one, run_dir);
    assert_int_equal(instance_claim(&i, two, run_dir, why), -EBUSY);
    assert_non_null(strstr(why, "network namespace"));
    holder_kill(other);
    /* The files of the killed one are no obstacle. */
    assert_int_equal(instance_claim(&i, one, run_dir, why), 0);
    instance_release(&i);
}

static void refuses_a_second_of_the_directory(void **state)
{
    struct instance i;
    char why[256];
    (void)state;
    pid_t other = holder_start(one, other_run_dir);
    assert_int_equal(instance_claim(&i, one, run_dir, why), -EBUSY);
    assert_non_null(strstr(why, "state directory"));
    holder_kill(other);
    assert_int_equal(instance_claim(&i, one, other_run_dir, why), 0);
    instance_release(&i);
}

static void tells_a_directory_that_cannot_be(void **state)
{
    struct instance i;
    char why[256];
    (void)state;
    assert_true(instance_claim(&i, one, "/proc/none", why) < 0);
    assert_non_null(strstr(why, "/proc/none"));
    assert_int_equal(instance_claim(&i, "/nonexistent", run_dir, why), -ENOENT);
    assert_non_null(strstr(why, "/nonexistent/lock"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(claims_and_releases),
        TEST(refuses_a_second_of_the_namespace),
        TEST(refuses_a_second_of_the_directory),
        TEST(tells_a_directory_that_cannot_be),
    };
    return cmocka_run_group_tests_name("instance", tests, NULL, NULL);
}
