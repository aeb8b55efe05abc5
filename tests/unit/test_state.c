/*
 * The state directory: what is written is read back, what is damaged is not
 * believed, and nothing is left half written.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/state.h"

static char base[64];

static void path_of(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/%s", base, name);
}

static int base_make(void **state)
{
    (void)state;
    strcpy(base, "/tmp/test_state.XXXXXX");
    return mkdtemp(base) == NULL ? -1 : 0;
}

/* Removes the directory and the one below it. */
static void tree_remove(const char *path)
{
    char below[PATH_MAX];
    DIR *d = opendir(path);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        if (unlink(below) < 0)
            tree_remove(below);
    }
    closedir(d);
    rmdir(path);
}

static int base_remove(void **state)
{
    (void)state;
    tree_remove(base);
    return 0;
}

static unsigned files_in(const char *path)
{
    unsigned n = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    closedir(d);
    return n;
}

static void raw_write(const char *name, const char *text)
{
    char path[PATH_MAX];
    path_of(path, sizeof path, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void prepares_directories(void **state)
{
    char path[PATH_MAX];
    struct stat s;
    (void)state;
    path_of(path, sizeof path, "a/b/c//");
    assert_int_equal(state_prepare(path), 0);
    assert_int_equal(state_prepare(path), 0);
    path_of(path, sizeof path, "a/b/c");
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0700);
    path_of(path, sizeof path, "a");
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0755);
}

static void refuses_a_file_for_a_directory(void **state)
{
    char path[PATH_MAX];
    (void)state;
    raw_write("file", "");
    path_of(path, sizeof path, "file");
    assert_int_equal(state_prepare(path), -ENOTDIR);
    path_of(path, sizeof path, "file/below");
    assert_int_equal(state_prepare(path), -ENOTDIR);
    assert_int_equal(state_prepare(""), -EINVAL);
}

static void reads_what_was_written(void **state)
{
    char out[16];
    (void)state;
    assert_int_equal(state_write(base, "text", "first"), 0);
    assert_int_equal(state_read(base, "text", out, sizeof out), 5);
    assert_string_equal(out, "first");
    assert_int_equal(state_write(base, "text", "2"), 0);
    assert_int_equal(state_read(base, "text", out, sizeof out), 1);
    assert_string_equal(out, "2");
    assert_int_equal(state_write(base, "text", ""), 0);
    assert_int_equal(state_read(base, "text", out, sizeof out), 0);
    assert_string_equal(out, "");
    assert_int_equal(files_in(base), 1);
}

static void tells_missing_and_too_large(void **state)
{
    char out[6];
    (void)state;
    assert_int_equal(state_read(base, "none", out, sizeof out), -ENOENT);
    assert_int_equal(state_read("/nonexistent/x", "none", out, sizeof out), -ENOENT);
    assert_int_equal(state_write(base, "text", "12345"), 0);
    assert_int_equal(state_read(base, "text", out, sizeof out), 5);
    assert_int_equal(state_write(base, "text", "123456"), 0);
    assert_int_equal(state_read(base, "text", out, sizeof out), -EFBIG);
    assert_int_equal(state_write("/nonexistent/x", "text", ""), -ENOENT);
}

static void follows_no_link(void **state)
{
    char out[16], from[PATH_MAX], to[PATH_MAX];
    (void)state;
    raw_write("target", "precious");
    path_of(from, sizeof from, "link");
    path_of(to, sizeof to, "target");
    assert_int_equal(symlink(to, from), 0);
    assert_int_equal(state_read(base, "link", out, sizeof out), -ELOOP);
    assert_int_equal(state_write(base, "link", "new"), 0); /* replaces the link */
    assert_int_equal(state_read(base, "target", out, sizeof out), 8);
    assert_string_equal(out, "precious");
    assert_int_equal(state_read(base, "link", out, sizeof out), 3);
}

/* What a crash between writing and renaming leaves is written over. */
static void overwrites_a_left_temporary(void **state)
{
    char out[16];
    (void)state;
    raw_write(".text.new", "half of a much longer te");
    assert_int_equal(state_write(base, "text", "whole"), 0);
    assert_int_equal(state_read(base, "text", out, sizeof out), 5);
    assert_int_equal(files_in(base), 1);
}

static void removes(void **state)
{
    (void)state;
    assert_int_equal(state_write(base, "text", "x"), 0);
    assert_int_equal(state_remove(base, "text"), 0);
    assert_int_equal(state_remove(base, "text"), 0);
    assert_int_equal(state_remove("/nonexistent/x", "text"), 0);
    assert_int_equal(files_in(base), 0);
}

static void keeps_the_incarnation(void **state)
{
    static const uint32_t values[] = {1, 2, 4095, UINT32_MAX};
    (void)state;
    assert_int_equal(state_incarnation_read(base), 0);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        assert_int_equal(state_incarnation_write(base, values[i]), 0);
        assert_int_equal(state_incarnation_read(base), values[i]);
    }
}

static void believes_no_damaged_incarnation(void **state)
{
    static const char *const damaged[] = {
        "",
        "\n",
        "12",
        "1 2\n",
        "-1\n",
        "+1\n",
        "0x10\n",
        "4294967296\n",
        "1\n\n",
        "1\n2\n",
        "99999999999999999999999999999\n",
        "seven\n",
        " 7\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        raw_write("incarnation", damaged[i]);
        assert_int_equal(state_incarnation_read(base), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, base_make, base_remove)
        TEST(prepares_directories),
        TEST(refuses_a_file_for_a_directory),
        TEST(reads_what_was_written),
        TEST(tells_missing_and_too_large),
        TEST(follows_no_link),
        TEST(overwrites_a_left_temporary),
        TEST(removes),
        TEST(keeps_the_incarnation),
        TEST(believes_no_damaged_incarnation),
    };
    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
