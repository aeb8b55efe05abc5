/*
 * The stream that one run leaves to the next: what is taken and what is not, and
 * that no number is lost that was sent, whenever the writer is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "boot.h"
#include "stream.h"

/* Where things are in the file. */
enum { MAGIC = 0, WIRE = 8, BOOT = 16, NETWORK = 56, CHECK = 128, BYTES = 136 };

static char directory[64], path[96];
static struct boot here; /* what boot_read() tells */
static bool here_known;
static const struct stream_owner owner = {"web", "web1", 0x1111, 0x2222, 0};
static const struct node_stream some = {0xabcdef0123456789, 4711, 42, false};

bool __wrap_boot_read(struct boot *out);
bool __wrap_boot_read(struct boot *out)
{
    *out = here;
    return here_known;
}

static int set_up(void **state)
{
    (void)state;
    here = (struct boot){.id = "0a1b2c3d-0000-4000-8000-123456789abc", .network = 4026531840};
    here_known = true;
    strcpy(directory, "/tmp/test_stream.XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/stream", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path) < 0 && errno != ENOENT ? -1 : rmdir(directory);
}

/* One run: opens, and if `now` is given leaves it. Returns what it found. */
static struct node_stream run_as(const struct stream_owner *who, const struct node_stream *now,
                                 int expected)
{
    struct stream *s = NULL;
    struct node_stream found;

    assert_int_equal(stream_open(&s, directory, who, &found), expected);
    if (now != NULL)
        stream_write(s, now);
    stream_close(s);
    return found;
}

static struct node_stream run(const struct node_stream *now, int expected)
{
    return run_as(&owner, now, expected);
}

static void assert_same(const struct node_stream *a, const struct node_stream *b)
{
    assert_true(a->salt == b->salt && a->sequence == b->sequence && a->relays == b->relays &&
                a->alone == b->alone);
}

static void bytes_read(uint8_t out[BYTES])
{
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, out, BYTES), BYTES);
    close(fd);
}

static void bytes_write(const uint8_t *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, bytes, length), length);
    close(fd);
}

/* The check that the writer would have made. */
static void bytes_check(uint8_t bytes[BYTES])
{
    uint64_t word[CHECK / 8], sum = 0xcbf29ce484222325u;
    memcpy(word, bytes, sizeof word);
    for (size_t i = 0; i < CHECK / 8; i++) {
        sum = (sum ^ word[i]) * 0x100000001b3u;
        sum ^= sum >> 29;
    }
    memcpy(bytes + CHECK, &sum, sizeof sum);
}

static void first_run_finds_nothing(void **state)
{
    struct stat s;
    (void)state;
    struct node_stream found = run(NULL, 0);
    assert_same(&found, &(struct node_stream){0});
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    assert_int_equal(s.st_size, BYTES);
    run(NULL, 0); /* opened, but no number was used: nothing to go on with */
}

static void next_run_goes_on(void **state)
{
    (void)state;
    run(&some, 0);
    struct node_stream found = run(NULL, 1);
    assert_same(&found, &some);
    found = run(NULL, 1); /* ended before its first step: still there */
    assert_same(&found, &some);
    struct node_stream later = some;
    later.sequence++;
    later.alone = true;
    run(&later, 1);
    found = run(NULL, 1);
    assert_same(&found, &later);
}

/* Another salt comes in the place of one that was not gone on with. */
static void another_salt_replaces_it(void **state)
{
    (void)state;
    const struct node_stream other = {7, 1, 0, true};
    run(&some, 0);
    run(&other, 1);
    struct node_stream found = run(NULL, 1);
    assert_same(&found, &other);
}

static void another_owner_takes_nothing(void **state)
{
    const struct stream_owner others[] = {
        {"web", "web2", 0x1111, 0x2222, 0}, {"we", "web1", 0x1111, 0x2222, 0},
        {"webw", "eb1", 0x1111, 0x2222, 0}, {"web", "web1", 0x1112, 0x2222, 0},
        {"web", "web1", 0x1111, 0x2223, 0}, {"web", "web1", 0x1111, 0x2223, 0x2222},
        {"web", "web1", 0x1111, 0, 0x2222},
    };
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        run(&some, 0);
        run_as(&others[i], NULL, 0);
        run(NULL, 0); /* it has gone for good */
    }
}

/* A key that was the next one is the cluster's by now. */
static void the_next_key_is_known(void **state)
{
    const struct stream_owner before = {"web", "web1", 0x1111, 0x3333, 0x2222};
    (void)state;
    run_as(&before, &some, 0);
    struct node_stream found = run(NULL, 1);
    assert_same(&found, &some);
}

static void a_reload_changes_the_owner(void **state)
{
    const struct stream_owner after = {"web", "web1", 0x9999, 0x2222, 0};
    struct stream *s = NULL;
    struct node_stream found;
    (void)state;
    assert_int_equal(stream_open(&s, directory, &owner, &found), 0);
    stream_write(s, &some);
    stream_owner_set(s, &after);
    stream_close(s);
    found = run_as(&after, NULL, 1);
    assert_same(&found, &some);
    run(NULL, 0);
}

static void another_place_takes_nothing(void **state)
{
    (void)state;
    run(&some, 0);
    here.id[0]++;
    run(&some, 0);
    here.network++;
    run(&some, 0);
    here_known = false;
    run(&some, 0);
    here_known = true;
    here.network--;
    run(NULL, 0);
}

static void another_version_takes_nothing(void **state)
{
    static const size_t fields[] = {MAGIC + 7, WIRE};
    uint8_t bytes[BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        run(&some, 0);
        bytes_read(bytes);
        bytes_check(bytes); /* the check is as we think, or this test proves nothing */
        bytes_write(bytes, BYTES);
        run(&some, 1);
        bytes_read(bytes);
        bytes[fields[i]]++;
        bytes_check(bytes);
        bytes_write(bytes, BYTES);
        run(NULL, 0);
    }
}

static void damage_takes_nothing(void **state)
{
    uint8_t bytes[BYTES + 1] = {0};
    (void)state;
    for (size_t i = 0; i < BYTES; i++) {
        run(&some, 0);
        bytes_read(bytes);
        bytes[i] ^= 0x10;
        bytes_write(bytes, BYTES);
        run(NULL, 0);
    }
    for (size_t length = 0; length <= BYTES + 1; length += BYTES / 8) {
        run(&some, 0);
        bytes_read(bytes);
        bytes_write(bytes, length);
        run(NULL, length == BYTES);
        unlink(path);
    }
    run(&some, 0);
    bytes_read(bytes);
    bytes_write(bytes, BYTES + 1);
    run(NULL, 0);
}

/* However far the writer got, it is what was before or what is now, or nothing. */
static void a_torn_record_takes_nothing(void **state)
{
    uint8_t before[BYTES], after[BYTES], torn[BYTES];
    const struct node_stream next = {some.salt, some.sequence + 1, some.relays + 3, true};
    unsigned taken = 0;
    (void)state;
    run(&some, 0);
    bytes_read(before);
    run(&next, 1);
    bytes_read(after);
    for (size_t k = 0; k <= BYTES; k++) {
        for (size_t i = 0; i < BYTES; i++)
            torn[i] = i < k ? after[i] : before[i];
        bool whole = memcmp(torn, before, BYTES) == 0 || memcmp(torn, after, BYTES) == 0;
        bytes_write(torn, BYTES);
        struct node_stream found = run(NULL, whole);
        if (whole)
            assert_same(&found, memcmp(torn, before, BYTES) == 0 ? &some : &next);
        taken += whole;
        if (!whole) { /* the file was made anew */
            bytes_write(before, BYTES);
        }
    }
    assert_true(taken < BYTES);
}

static void what_is_not_our_own_file_is_replaced(void **state)
{
    char other[96];
    struct stat s;
    (void)state;
    snprintf(other, sizeof other, "%s/other", directory);

    run(&some, 0);
    assert_int_equal(chmod(path, 0640), 0);
    run(&some, 0);
    assert_int_equal(link(path, other), 0);
    run(&some, 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(other, path), 0);
    run(&some, 0);
    assert_int_equal(lstat(path, &s), 0);
    assert_true(S_ISREG(s.st_mode));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    run(&some, 0);
    assert_int_equal(unlink(other), 0);
    if (geteuid() != 0)
        return;
    assert_int_equal(chown(path, 1, (gid_t)-1), 0);
    run(&some, 0);
}

static void without_a_file_there_is_none(void **state)
{
    struct stream *s = NULL;
    struct node_stream found;
    (void)state;
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(stream_open(&s, directory, &owner, &found) < 0);
    assert_null(s);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(stream_open(&s, "/tmp/test_stream/no/such", &owner, &found), -ENOENT);
    stream_close(s);
}

static void removed_it_is_gone(void **state)
{
    struct stream *s = NULL;
    struct node_stream found;
    (void)state;
    assert_int_equal(stream_open(&s, directory, &owner, &found), 0);
    stream_write(s, &some);
    stream_remove(s);
    assert_int_equal(access(path, F_OK), -1);
    stream_remove(NULL);
}

/* "Sends" each number after it has been kept, until it is killed. */
static _Noreturn void send_on(int out)
{
    struct stream *s = NULL;
    struct node_stream now, found;
    if (stream_open(&s, directory, &owner, &found) < 0)
        _exit(1);
    now = found;
    now.salt = some.salt;
    for (;;) {
        now.sequence++;
        now.relays += now.sequence % 3;
        stream_write(s, &now);
        if (write(out, &now.sequence, sizeof now.sequence) != (ssize_t)sizeof now.sequence)
            _exit(1);
    }
}

static void killed_at_any_time_no_number_is_used_twice(void **state)
{
    enum { KILLS = 200 };
    uint32_t last = 0, number;
    unsigned taken = 0;
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    for (int i = 0; i < KILLS; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            send_on(ends[1]);
        /* Of four one at any time, the others when they are at it. */
        struct pollfd first = {.fd = ends[0], .events = POLLIN};
        if (i % 4 != 0)
            assert_int_equal(poll(&first, 1, 10000), 1);
        const struct timespec a_while = {.tv_nsec = 100000 + i * 3000};
        nanosleep(&a_while, NULL);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        while (read(ends[0], &number, sizeof number) == (ssize_t)sizeof number) {
            assert_true(number > last);
            last = number;
        }
        struct stream *s = NULL;
        struct node_stream found;
        int rc = stream_open(&s, directory, &owner, &found);
        if (rc == 1)
            assert_true(found.sequence >= last);
        else
            last = 0; /* it begins with another salt */
        taken += rc == 1;
        stream_close(s);
    }
    assert_true(taken > KILLS / 2);
    close(ends[0]);
    close(ends[1]);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(first_run_finds_nothing),
        CASE(next_run_goes_on),
        CASE(another_salt_replaces_it),
        CASE(another_owner_takes_nothing),
        CASE(the_next_key_is_known),
        CASE(a_reload_changes_the_owner),
        CASE(another_place_takes_nothing),
        CASE(another_version_takes_nothing),
        CASE(damage_takes_nothing),
        CASE(a_torn_record_takes_nothing),
        CASE(what_is_not_our_own_file_is_replaced),
        CASE(without_a_file_there_is_none),
        CASE(removed_it_is_gone),
        CASE(killed_at_any_time_no_number_is_used_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
