/*
 * The daemon's command line, and going into the background.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "io/conf.h"
#include "io/log.h"

#define DEFAULT_CONFIG SYSCONFDIR "/ipclusterd.conf"
#define PID_FILE "ipclusterd.pid"

enum { EXIT_USAGE = 2 };

struct arguments {
    bool foreground, test, print, debug;
    bool restarted; /* executed in the place of a run that served */
    const char *config;
};

static void usage(FILE *out)
{
    fputs("usage: ipclusterd [-f] [-c FILE] [-t] [-n] [-d] [-V] [-h]\n"
          "  -f       stay in the foreground, log to stderr\n"
          "  -c FILE  configuration file (default " DEFAULT_CONFIG ")\n"
          "  -t       check the configuration, print every fault\n"
          "  -n       print what would be put into the kernel, touch nothing\n"
          "  -d       log debug lines too\n"
          "  -V       print the version\n"
          "  -h       print this\n",
          out);
}

/* Returns -1 to go on, or an exit status. */
static int arguments_parse(int argc, char **argv, struct arguments *out)
{
    int option;
    *out = (struct arguments){.config = DEFAULT_CONFIG};
    while ((option = getopt(argc, argv, "fc:tndVh")) != -1) {
        switch (option) {
        case 'f':
            out->foreground = true;
            break;
        case 'c':
            out->config = optarg;
            break;
        case 't':
            out->test = true;
            break;
        case 'n':
            out->print = true;
            break;
        case 'd':
            out->debug = true;
            break;
        case 'V':
            puts("ipclusterd " PACKAGE_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            usage(stdout);
            return EXIT_SUCCESS;
        default:
            usage(stderr);
            return EXIT_USAGE;
        }
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, "ipclusterd: unknown argument %s\n", argv[optind]);
    usage(stderr);
    return EXIT_USAGE;
}

static void fault_print(void *arg, const char *fault)
{
    (void)arg;
    fprintf(stderr, "%s\n", fault);
}

/* True if the run before has told us that it executed us: it was this process. What
 * children of ours see is no such word. */
static bool restarted_take(void)
{
    const char *token = getenv(DAEMON_RESTARTED);
    bool is = token != NULL && strtol(token, NULL, 10) == getpid();
    unsetenv(DAEMON_RESTARTED);
    return is;
}

/* What the parent waits for while we start, and what is left when we end. */
struct background {
    bool used, pid_written;
    int pipe; /* a byte: started; closed without: failed */
    char pid_file[PATH_BYTES_MAX + sizeof "/" PID_FILE];
};

static int null_onto(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, fd) < 0)
        return -errno;
    close(null);
    return 0;
}

static int pid_file_write(const char *path)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return -errno;
    int rc = write(fd, text, (size_t)length) == length ? 0 : -EIO;
    return close(fd) < 0 && rc == 0 ? -errno : rc;
}

/* The node serves: let the parent go, and the terminal. */
static void background_ready(void *arg)
{
    struct background *b = arg;
    if (!b->used)
        return;
    if (b->pid_written) /* and everything else is, too */
        return;
    int rc = pid_file_write(b->pid_file);
    b->pid_written = rc == 0;
    if (rc < 0)
        log_warn("daemon", "cannot write %s: %s", b->pid_file, strerror(-rc));
    if (write(b->pipe, "", 1) != 1)
        log_debug("daemon", "the starter is gone");
    close(b->pipe);
    null_onto(STDERR_FILENO);
}

/* In the parent: waits for the daemon and ends. */
static _Noreturn void parent_wait(int fd)
{
    char byte;
    ssize_t n;
    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    _exit(n == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* Returns in the daemon only. Stderr stays until it is ready, to say why not. */
static int background_enter(struct background *b)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid_t child = fork();
    if (child < 0)
        return -errno;
    if (child > 0) {
        close(ends[1]);
        parent_wait(ends[0]);
    }
    close(ends[0]);
    if (setsid() < 0)
        return -errno;
    child = fork(); /* no leader of a session: never gets a terminal again */
    if (child < 0)
        return -errno;
    if (child > 0)
        _exit(EXIT_SUCCESS);
    umask(022);
    b->used = true;
    b->pipe = ends[1];
    int rc = null_onto(STDIN_FILENO);
    if (rc == 0)
        rc = null_onto(STDOUT_FILENO);
    return rc == 0 && chdir("/") < 0 ? -errno : rc;
}

/* Goes into the background, or finds itself there. */
static int background_start(struct background *b, const struct arguments *a, const struct config *c)
{
    char dir[PATH_BYTES_MAX + 1];
    daemon_run_dir(c, dir);
    snprintf(b->pid_file, sizeof b->pid_file, "%s/" PID_FILE, dir);
    if (!a->restarted)
        return background_enter(b);
    b->used = b->pid_written = true;
    return 0;
}

/* Where we were installed: a name that a new version will have, too. */
static const char *program_find(char out[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", out, PATH_MAX - 1);
    if (length <= 0 || out[0] != '/')
        return NULL;
    out[length] = '\0';
    return out;
}

static int run(const struct arguments *a, const struct config *c)
{
    char why[DAEMON_WHY_BYTES], path[PATH_MAX], program[PATH_MAX], token[32];
    struct background b = {.pipe = -1};
    int rc = 0;
    if (realpath(a->config, path) == NULL)
        snprintf(path, sizeof path, "%s", a->config);
    if (!a->foreground) {
        rc = background_start(&b, a, c);
        if (rc < 0) {
            fprintf(stderr, "ipclusterd: cannot go into the background: %s\n", strerror(-rc));
            return EXIT_FAILURE;
        }
    }
    log_open("ipclusterd", a->foreground, a->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    snprintf(token, sizeof token, "%ld", (long)getpid());
    char name[] = "ipclusterd", option_c[] = "-c", option_f[] = "-f", option_d[] = "-d";
    char *arguments[6] = {name, option_c, path};
    size_t count = 3;
    if (a->foreground)
        arguments[count++] = option_f;
    if (a->debug)
        arguments[count++] = option_d;
    const struct daemon_options o = {.config_path = path,
                                     .config = c,
                                     .ready = background_ready,
                                     .arg = &b,
                                     .program = program_find(program),
                                     .arguments = arguments,
                                     .token = token};
    rc = daemon_run(&o, why);
    if (rc < 0 && b.used)
        fprintf(stderr, "ipclusterd: %s\n", why);
    if (b.pid_written)
        unlink(b.pid_file);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static struct config config;
    struct arguments a;
    bool restarted = restarted_take();
    int status = arguments_parse(argc, argv, &a);
    if (status >= 0)
        return status;
    a.restarted = restarted;
    if (a.test)
        return conf_check(a.config, fault_print, fault_print, NULL) != 0 ? EXIT_FAILURE
                                                                         : EXIT_SUCCESS;
    if (conf_load(a.config, &config, fault_print, NULL) != 0)
        return EXIT_FAILURE;
    if (a.print) {
        char why[DAEMON_WHY_BYTES];
        if (daemon_preview(&config, stdout, why) == 0)
            return EXIT_SUCCESS;
        fprintf(stderr, "ipclusterd: %s\n", why);
        return EXIT_FAILURE;
    }
    return run(&a, &config);
}
