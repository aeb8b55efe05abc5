/*
 * What the daemon may do after its start. Capabilities are a one-way street:
 * each test gives them up in a child, which tells what it is left with.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cap-ng.h>
#include <cmocka.h>

#include "privilege.h"

enum { SOMEBODY = 64123, WHY_BYTES = 256, EXIT_SKIP = 77 };

#define BIT(capability) ((uint64_t)1 << (capability))
#define NET (BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW))

/* What is left of a process. */
struct left {
    int rc;
    uint64_t effective, permitted, bounding, ambient;
    int dumpable, policy;
    char why[WHY_BYTES];
};

static char base[64];

static int setup(void **state)
{
    (void)state;
    strcpy(base, "/tmp/test_privilege.XXXXXX");
    return mkdtemp(base) == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(base);
}

static struct config config_make(void)
{
    struct config c = {.port = 7742};

    snprintf(c.key_file, sizeof c.key_file, "/etc/passwd");
    snprintf(c.state_dir, sizeof c.state_dir, "/");
    snprintf(c.control_socket, sizeof c.control_socket, "/control.sock");
    return c;
}

static uint64_t mask_of(const char *name)
{
    char line[256];
    unsigned long long mask = 0;
    FILE *in = fopen("/proc/self/status", "r");

    assert_non_null(in);
    while (fgets(line, sizeof line, in) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            mask = strtoull(line + strlen(name) + 1, NULL, 16);
    fclose(in);
    return mask;
}

/* Runs `act` in a child that has been made by `prepare` (may be NULL). */
static struct left in_child(void (*prepare)(void), int (*act)(const struct config *, char *),
                            const struct config *c)
{
    struct left *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (prepare != NULL)
            prepare();
        shared->rc = act(c, shared->why);
        shared->effective = mask_of("CapEff:");
        shared->permitted = mask_of("CapPrm:");
        shared->bounding = mask_of("CapBnd:");
        shared->ambient = mask_of("CapAmb:");
        shared->dumpable = prctl(PR_GET_DUMPABLE);
        shared->policy = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP)
        skip();
    assert_int_equal(status, 0);
    struct left left = *shared;
    munmap(shared, sizeof *shared);
    return left;
}

static int act_drop(const struct config *c, char *why)
{
    (void)why;
    return privilege_drop(c);
}

static int act_check(const struct config *c, char *why)
{
    (void)c;
    return privilege_check(why);
}

static int act_realtime(const struct config *c, char *why)
{
    (void)c;
    return privilege_realtime(why);
}

static int act_realtime_end(const struct config *c, char *why)
{
    int rc = act_realtime(c, why);
    privilege_realtime_end();
    return rc;
}

/* Another user, with these capabilities as systemd gives them: ambient. */
static void become(uint64_t capabilities)
{
    if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setresgid(SOMEBODY, SOMEBODY, SOMEBODY) < 0 ||
        setresuid(SOMEBODY, SOMEBODY, SOMEBODY) < 0)
        _exit(1);
    capng_clear(CAPNG_SELECT_CAPS);
    for (unsigned i = 0; i <= CAP_LAST_CAP; i++)
        if ((capabilities & BIT(i)) != 0)
            capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE, i);
    if (capng_apply(CAPNG_SELECT_CAPS) < 0)
        _exit(1);
    for (unsigned i = 0; i <= CAP_LAST_CAP; i++)
        if ((capabilities & BIT(i)) != 0 &&
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
            _exit(1);
    prctl(PR_SET_DUMPABLE, 1); /* as after an execve() */
}

static void unit_user(void)
{
    become(NET);
}

static void rich_user(void)
{
    become(NET | BIT(CAP_CHOWN) | BIT(CAP_SYS_TIME));
}

static void half_user(void)
{
    become(BIT(CAP_NET_RAW));
}

static void nobody(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_RTPRIO, &none);
    setrlimit(RLIMIT_MEMLOCK, &none);
    become(0);
}

/* What LimitRTPRIO= and LimitMEMLOCK= of the unit do; not every root may. */
static void limits_lifted(void)
{
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY}, some = {50, 50};
    if (setrlimit(RLIMIT_MEMLOCK, &all) < 0 || setrlimit(RLIMIT_RTPRIO, &some) < 0)
        _exit(EXIT_SKIP);
    become(NET);
}

static void memory_limited(void)
{
    const struct rlimit little = {65536, 65536};
    if (setrlimit(RLIMIT_MEMLOCK, &little) < 0)
        _exit(1);
}

static void assert_keeps(const struct left *l, uint64_t capabilities)
{
    assert_int_equal(l->rc, 0);
    assert_int_equal(l->effective, capabilities);
    assert_int_equal(l->permitted, capabilities);
}

static void test_root_keeps_two(void **state)
{
    struct config c = config_make();
    struct left l = in_child(NULL, act_drop, &c);

    (void)state;
    assert_keeps(&l, NET);
    assert_int_equal(l.bounding, NET);
    assert_int_equal(l.ambient, 0);
}

static void test_what_the_configuration_needs_is_kept(void **state)
{
    struct config c = config_make();
    (void)state;

    c.port = 1023;
    struct left l = in_child(NULL, act_drop, &c);
    assert_keeps(&l, NET | BIT(CAP_NET_BIND_SERVICE));
    c.port = 1024;
    l = in_child(NULL, act_drop, &c);
    assert_keeps(&l, NET);

    strcpy(c.control_group, "ipclusterd");
    l = in_child(NULL, act_drop, &c);
    assert_keeps(&l, NET | BIT(CAP_CHOWN));
    c.control_group[0] = '\0';

    c.xdp = XDP_MODE_NATIVE;
    l = in_child(NULL, act_drop, &c);
    assert_keeps(&l, NET | BIT(CAP_BPF));
    c.xdp = XDP_MODE_OFF;

    c.realtime = true;
    l = in_child(memory_limited, act_drop, &c);
    assert_keeps(&l, NET | BIT(CAP_IPC_LOCK));
}

/* Files that the unit's user has left are root's to read and write. */
static void test_root_among_files_of_another(void **state)
{
    const uint64_t more = NET | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_CHOWN);
    struct config c = config_make();
    (void)state;

    snprintf(c.state_dir, sizeof c.state_dir, "%s", base);
    struct left l = in_child(NULL, act_drop, &c);
    assert_keeps(&l, NET);
    assert_int_equal(chown(base, SOMEBODY, SOMEBODY), 0);
    l = in_child(NULL, act_drop, &c);
    assert_keeps(&l, more);

    c = config_make();
    snprintf(c.key_file, sizeof c.key_file, "%s", base);
    l = in_child(NULL, act_drop, &c);
    assert_keeps(&l, more);

    c = config_make();
    snprintf(c.key_file_next, sizeof c.key_file_next, "%s", base);
    l = in_child(NULL, act_drop, &c);
    assert_keeps(&l, more);

    c = config_make();
    snprintf(c.control_socket, sizeof c.control_socket, "%s/control.sock", base);
    l = in_child(NULL, act_drop, &c);
    assert_keeps(&l, more);
    l = in_child(rich_user, act_drop, &c); /* another's files are not for a user */
    assert_keeps(&l, NET);
}

static void test_a_user_keeps_two(void **state)
{
    struct config c = config_make();
    struct left l = in_child(unit_user, act_drop, &c);

    (void)state;
    assert_keeps(&l, NET);
    assert_int_equal(l.ambient, NET); /* nft(8) has them too */
    l = in_child(rich_user, act_drop, &c);
    assert_keeps(&l, NET);
    assert_int_equal(l.ambient, NET);
}

static void test_nobody_dumps_it(void **state)
{
    struct config c = config_make();
    struct left l = in_child(NULL, act_check, &c);

    (void)state;
    assert_int_equal(l.dumpable, 1);
    l = in_child(NULL, act_drop, &c);
    assert_int_equal(l.dumpable, 0);
    l = in_child(unit_user, act_drop, &c);
    assert_int_equal(l.dumpable, 0);
}

static void test_check(void **state)
{
    struct left l = in_child(NULL, act_check, NULL);
    (void)state;

    assert_int_equal(l.rc, 0);
    l = in_child(unit_user, act_check, NULL);
    assert_int_equal(l.rc, 0);
    l = in_child(half_user, act_check, NULL);
    assert_int_equal(l.rc, -EPERM);
    assert_non_null(strstr(l.why, "missing CAP_NET_ADMIN:"));
    l = in_child(nobody, act_check, NULL);
    assert_int_equal(l.rc, -EPERM);
    assert_non_null(strstr(l.why, "missing CAP_NET_ADMIN and CAP_NET_RAW:"));
}

static void test_realtime(void **state)
{
    struct left l = in_child(nobody, act_realtime, NULL);
    (void)state;

    assert_true(l.rc < 0);
    assert_int_equal(l.policy, SCHED_OTHER);
    assert_non_null(strstr(l.why, "CAP_SYS_NICE"));
}

static void test_realtime_by_limits(void **state)
{
    struct left l = in_child(limits_lifted, act_realtime, NULL);
    (void)state;

    assert_int_equal(l.rc, 0);
    assert_int_equal(l.policy, SCHED_RR);
    l = in_child(limits_lifted, act_realtime_end, NULL);
    assert_int_equal(l.policy, SCHED_OTHER);
}

/* On a host where the daemon has run as another user, root keeps more. */
static bool untouched(void)
{
    struct stat s;
    return stat("/run/ipclusterd", &s) < 0 || s.st_uid == 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root_keeps_two),
        cmocka_unit_test(test_what_the_configuration_needs_is_kept),
        cmocka_unit_test_setup_teardown(test_root_among_files_of_another, setup, teardown),
        cmocka_unit_test(test_a_user_keeps_two),
        cmocka_unit_test(test_nobody_dumps_it),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_realtime),
        cmocka_unit_test(test_realtime_by_limits),
    };

    if (geteuid() != 0 || !untouched()) {
        fprintf(stderr, "privilege: needs root, and a /run/ipclusterd that is its own: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests_name("privilege", tests, NULL, NULL);
}
