/*
 * Files: the key, includes, what is no configuration, and the example.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_told.h"
#include "io/conf_source.h"

static void note_add(void *arg, const char *fault)
{
    (void)arg;
    told_add(&noted, fault);
}

static char directory[] = "/tmp/test_conf.XXXXXX";

static const char *file_path(const char *name)
{
    static char path[4][128];
    static unsigned turn;
    char *p = path[turn++ % 4];

    snprintf(p, sizeof(path[0]), "%s/%s", directory, name);
    return p;
}

static void file_write(const char *name, const char *text, size_t length, mode_t mode)
{
    int fd = open(file_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, length), (ssize_t)length);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void text_write(const char *name, const char *text)
{
    file_write(name, text, strlen(text), 0600);
}

static int load(const char *name)
{
    told.count = 0;
    return conf_load(file_path(name), &config, told_add, &told);
}

static int directory_make(void **state)
{
    (void)state;
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int directory_remove(void **state)
{
    static const char *const names[] = {"conf", "key", "next", "inc",
                                        "inc2", "big", "pipe", "empty"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(file_path(names[i]));
    return rmdir(directory);
}

#define KEY64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static void test_key_file(void **state)
{
    static const struct {
        const char *text;
        mode_t mode;
        const char *fault; /* NULL: none */
    } cases[] = {
        {KEY64, 0600, NULL},
        {KEY64 "\n", 0400, NULL},
        {"  " KEY64 " \r\n", 0600, NULL},
        {KEY64 "\n", 0640, "is open to group or others (mode 0640); chmod 600 it"},
        {KEY64 "\n", 0604, "is open to group or others"},
        {KEY64 "\n", 0620, "is open to group or others"},
        {"", 0600, "is not a key: 32 bytes in base64"},
        {"AAECAwQF\n", 0600, "is not a key"},
        {KEY64 "AA==", 0600, "is not a key"},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n", 0600, "is not a key"},
        {"!AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 0600, "is not a key"},
    };
    char text[512];

    (void)state;
    snprintf(text, sizeof(text), "cluster = { name = \"web\";\n key_file = \"%s\"; };\n" BEAT,
             file_path("key"));
    text_write("conf", text);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        file_write("key", cases[i].text, strlen(cases[i].text), cases[i].mode);
        assert_int_equal(load("conf"), cases[i].fault != NULL);
        if (cases[i].fault != NULL) {
            assert_true(told_has(cases[i].fault));
            assert_true(told_has("conf:2: cluster.key_file: "));
        }
    }
    file_write("key", KEY64, strlen(KEY64), 0600);
    assert_int_equal(load("conf"), 0);
    for (size_t i = 0; i < KEY_BYTES; i++)
        assert_int_equal(config.key[i], i);

    unlink(file_path("key"));
    assert_int_equal(mkfifo(file_path("key"), 0600), 0);
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("is not a regular file"));

    /* Missing: a fault for a start, a note for a check. */
    unlink(file_path("key"));
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("No such file or directory"));
    told.count = noted.count = 0;
    assert_int_equal(conf_check(file_path("conf"), told_add, note_add, &told), 0);
    assert_int_equal(told.count, 0);
    assert_int_equal(noted.count, 1);
    assert_non_null(strstr(noted.text[0], "conf:2: cluster.key_file: note: "));
}

#define OTHER64 "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define ZERO64 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

/* A check of "conf", which must have no fault; the notes. */
static size_t checked(void)
{
    told.count = noted.count = 0;
    assert_int_equal(conf_check(file_path("conf"), told_add, note_add, &told), 0);
    assert_int_equal(told.count, 0);
    return noted.count;
}

static void test_next_key_file(void **state)
{
    static const uint8_t none[KEY_BYTES];
    char text[512];

    (void)state;
    snprintf(text, sizeof(text),
             "cluster = { name = \"web\"; key_file = \"%s\";\n key_file_next = \"%s\"; };\n" BEAT,
             file_path("key"), file_path("next"));
    text_write("conf", text);
    file_write("key", KEY64, strlen(KEY64), 0600);

    /* Missing: as the key itself. */
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("conf:2: cluster.key_file_next: cannot read \""));
    assert_true(told_has("No such file or directory"));
    assert_int_equal(checked(), 1);
    assert_non_null(strstr(noted.text[0], "conf:2: cluster.key_file_next: note: "));

    file_write("next", OTHER64, strlen(OTHER64), 0640);
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("cluster.key_file_next: \""));
    assert_true(told_has("is open to group or others"));
    file_write("next", "key", 3, 0600);
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("is not a key: 32 bytes in base64"));
    file_write("next", ZERO64, strlen(ZERO64), 0600);
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("is not a key: all its bits are 0"));

    file_write("next", OTHER64, strlen(OTHER64), 0600);
    assert_int_equal(load("conf"), 0);
    assert_int_equal(config.key[0], 0);
    assert_int_equal(config.key_next[0], 1);
    assert_memory_equal(config.key + 1, config.key_next + 1, KEY_BYTES - 1);
    assert_int_equal(checked(), 0);

    /* A roll-over that is over. */
    file_write("next", KEY64, strlen(KEY64), 0600);
    assert_int_equal(load("conf"), 0);
    assert_memory_equal(config.key, config.key_next, KEY_BYTES);
    assert_int_equal(checked(), 1);
    assert_non_null(strstr(noted.text[0], "cluster.key_file_next: note: \""));
    assert_non_null(strstr(noted.text[0], "the roll-over is over"));

    /* None. */
    snprintf(text, sizeof(text), "cluster = { name = \"web\"; key_file = \"%s\"; };\n" BEAT,
             file_path("key"));
    text_write("conf", text);
    assert_int_equal(load("conf"), 0);
    assert_memory_equal(config.key_next, none, KEY_BYTES);
    file_write("key", ZERO64, strlen(ZERO64), 0600);
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("cluster.key_file: \""));
}

static void test_include(void **state)
{
    char text[1024];

    (void)state;
    file_write("key", KEY64, strlen(KEY64), 0600);
    snprintf(text, sizeof(text), "cluster = { name = \"web\"; key_file = \"%s\"; };\n",
             file_path("key"));
    text_write("inc2", text);
    /* Relative to the configuration's directory, nested, absolute, in a comment. */
    text_write("inc", "# one\n@include \"inc2\"\nnode = { weight = 7; };");
    text_write("conf", "@include \"inc\"\n/*\n@include \"no such file\"\n*/\n" BEAT);
    assert_int_equal(load("conf"), 0);
    assert_int_equal(config.weight, 7);
    snprintf(text, sizeof(text), "  @include\t\"%s\" # here\n" BEAT, file_path("inc"));
    text_write("conf", text);
    assert_int_equal(load("conf"), 0);

    /* Faults are told of the right file and line. */
    text_write("inc", "\n@include \"inc2\"\n\nnode = { weight = 1001;\n what = 1; };\n");
    text_write("conf", "@include \"inc\"\n\n" BEAT "x = 1;\n");
    assert_int_equal(load("conf"), 3);
    assert_true(told_has("/inc:4: node.weight: 1001 is out of range"));
    assert_true(told_has("/inc:5: node.what: unknown key"));
    assert_true(told_has("/conf:4: x: unknown key"));
    text_write("inc", "\n\nnode = { weight = = 3; };\n");
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("/inc:3: syntax error"));
    text_write("inc", "\n@include \"none\"\n");
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("/inc:2: cannot read \""));
    assert_true(told_has("/none\": No such file or directory"));
    text_write("inc", "\n@include \"none");
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("/inc:2: @include: not a file name in quotes"));
    text_write("inc", "\n\n@include \"inc\"\n");
    assert_int_equal(load("conf"), 1);
    assert_true(told_has("/inc:3: @include: too many files"));
}

static void test_bad_files(void **state)
{
    static char big[CONF_BYTES_MAX + 1];

    (void)state;
    unlink(file_path("empty"));
    assert_int_equal(load("empty"), 1);
    assert_true(told_has("/empty:1: cannot read \""));
    text_write("empty", "");
    assert_int_equal(load("empty"), 3);
    told.count = 0;
    assert_int_equal(conf_load(directory, &config, told_add, &told), 1);
    assert_true(told_has("Is a directory"));

    memset(big, '#', sizeof(big));
    file_write("big", big, sizeof(big), 0600);
    assert_int_equal(load("big"), 1);
    assert_true(told_has("/big:1: the configuration is larger than 65536 bytes"));
    memset(big, '\n', sizeof(big));
    file_write("big", big, sizeof(big), 0600);
    assert_int_equal(load("big"), 1);
    file_write("big", "x = 1;\nab\0cd\n", 13, 0600);
    assert_int_equal(load("big"), 1);
    assert_true(told_has("/big:2: a NUL byte"));
}

/* The example as it is installed, on a host without its key. */
static void test_example(void **state)
{
    const char *top = getenv("top_srcdir");
    char path[512];

    (void)state;
    snprintf(path, sizeof(path), "%s/etc/ipclusterd.conf", top != NULL ? top : ".");
    told.count = noted.count = 0;
    assert_int_equal(conf_check(path, told_add, note_add, &told), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_file), cmocka_unit_test(test_next_key_file),
        cmocka_unit_test(test_include),  cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_example),
    };

    return cmocka_run_group_tests(tests, directory_make, directory_remove);
}
