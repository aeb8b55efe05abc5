/* clusterctl in a process of its own, on pipes or on a terminal. */
#include "clusterctl_run.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 20000, ARGUMENTS_MAX = 16 };

static char directory[64];

char path[96];
struct canned *canned;
pid_t server;
char output[OUTPUT_BYTES], complaint[8192];

int setup(void **state)
{
    int rc;

    (void)state;
    snprintf(directory, sizeof directory, "/tmp/test_clusterctl.XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/control.sock", directory);
    canned = canned_new(path, "");
    server = canned_serve(canned, &rc);
    return rc;
}

int teardown(void **state)
{
    (void)state;
    canned_stop(server);
    unlink(path);
    canned_free(canned);
    return rmdir(directory);
}

static void program_exec(char *const arguments[])
{
    const char *program = getenv("CLUSTERCTL");

    execv(program != NULL ? program : "./clusterctl", arguments);
    _exit(126);
}

/* Reads `fd` to its end (or the terminal's) into `text`. */
static void drink(int fd, char *text, size_t size)
{
    size_t length = 0;
    ssize_t n;

    do {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
        n = read(fd, text + length, size - 1 - length);
        if (n > 0)
            length += (size_t)n;
    } while (n > 0);
    text[length] = '\0';
    close(fd);
}

/* Words of `line`, after the program's name and the socket. */
static void arguments_make(char *line, char *arguments[ARGUMENTS_MAX])
{
    size_t n = 0;
    char *save = NULL;

    arguments[n++] = (char *)(uintptr_t) "clusterctl";
    arguments[n++] = (char *)(uintptr_t) "-s";
    arguments[n++] = path;
    for (char *word = strtok_r(line, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        assert_true(n < ARGUMENTS_MAX - 1);
        arguments[n++] = word;
    }
    arguments[n] = NULL;
}

int run(const char *line)
{
    char copy[256], *arguments[ARGUMENTS_MAX];
    int out[2], err[2], status;
    pid_t child;

    snprintf(copy, sizeof copy, "%s", line);
    arguments_make(copy, arguments);
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(err), 0);
    child = fork();
    if (child == 0) {
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        close(out[0]);
        close(err[0]);
        program_exec(arguments);
    }
    close(out[1]);
    close(err[1]);
    drink(out[0], output, sizeof output);
    drink(err[0], complaint, sizeof complaint);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

int run_on_terminal(const char *line, unsigned short columns, const char *no_color)
{
    char copy[256], *arguments[ARGUMENTS_MAX];
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), status;
    pid_t child;

    snprintf(copy, sizeof copy, "%s", line);
    arguments_make(copy, arguments);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
    child = fork();
    if (child == 0) {
        int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
        dup2(slave, STDOUT_FILENO);
        dup2(slave, STDERR_FILENO);
        setenv("TERM", "xterm", 1);
        unsetenv("NO_COLOR");
        if (no_color != NULL)
            setenv("NO_COLOR", no_color, 1);
        program_exec(arguments);
    }
    drink(master, output, sizeof output);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

int widest(const char *text)
{
    int width = 0, most = 0;

    for (; *text != '\0'; text++) {
        if (*text == '\033') {
            text += strcspn(text, "mK");
            continue;
        }
        width = *text == '\n' || *text == '\r' ? 0 : width + 1;
        most = width > most ? width : most;
    }
    return most;
}

void assert_says(const char *text, const char *word)
{
    if (strstr(text, word) == NULL)
        fail_msg("\"%s\" is not in:\n%s", word, text);
}

void assert_fails(const char *line, int code, const char *word)
{
    int have = run(line);

    if (have != code)
        fail_msg("%s: exit %d, not %d: %s", line, have, code, complaint);
    assert_string_equal(output, "");
    assert_says(complaint, word);
    assert_ptr_equal(strchr(complaint, '\n'), complaint + strlen(complaint) - 1);
}
