/* Network namespaces for unit tests. */
#include "netlab.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { COMMAND_BYTES_MAX = 1024 };

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "netlab: %s: %s\n", what, detail);
    exit(99);
}

bool netlab_enter(void)
{
    if (geteuid() != 0) {
        fprintf(stderr, "netlab: needs root, skipped\n");
        return false;
    }
    if (unshare(CLONE_NEWNET) < 0) {
        fprintf(stderr, "netlab: no network namespace (%s), skipped\n", strerror(errno));
        return false;
    }
    netlab_run("ip link set lo up");
    return true;
}

int netlab_here(void)
{
    int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        fail("open", strerror(errno));
    return fd;
}

int netlab_create(void)
{
    if (unshare(CLONE_NEWNET) < 0)
        fail("unshare", strerror(errno));
    netlab_run("ip link set lo up");
    return netlab_here();
}

void netlab_go(int fd)
{
    if (setns(fd, CLONE_NEWNET) < 0)
        fail("setns", strerror(errno));
}

void netlab_one_cpu(void)
{
    cpu_set_t one;
    int cpu = sched_getcpu();

    CPU_ZERO(&one);
    CPU_SET((size_t)(cpu >= 0 ? cpu : 0), &one);
    sched_setaffinity(0, sizeof one, &one);
}

void netlab_run(const char *format, ...)
{
    char command[COMMAND_BYTES_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    if (system(command) != 0)
        fail("command failed", command);
}

json_t *netlab_json(const char *format, ...)
{
    char command[COMMAND_BYTES_MAX];
    json_error_t error;
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    FILE *out = popen(command, "r");
    if (out == NULL)
        fail("cannot run", command);
    json_t *json = json_loadf(out, JSON_DISABLE_EOF_CHECK, &error);
    if (pclose(out) != 0)
        fail("command failed", command);
    /* ip(8) prints nothing at all where there is nothing to tell. */
    return json != NULL ? json : json_array();
}

const json_t *netlab_find(const json_t *list, const char *key, const char *name, const char *value)
{
    size_t i;
    const json_t *object;

    json_array_foreach(list, i, object)
    {
        if (key != NULL) {
            const json_t *found = netlab_find(json_object_get(object, key), NULL, name, value);
            if (found != NULL)
                return found;
            continue;
        }
        const char *text = json_string_value(json_object_get(object, name));
        if (text != NULL && strcmp(text, value) == 0)
            return object;
    }
    return NULL;
}

static double clock_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

bool netlab_wait(bool (*ready)(void *arg), void *arg, double seconds)
{
    const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    const double end = clock_seconds() + seconds;

    while (!ready(arg)) {
        if (clock_seconds() >= end)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

static bool link_carries(void *arg)
{
    const char *link = arg;
    json_t *links = netlab_json("ip -j link show dev %s", link);
    bool up = netlab_find(links, NULL, "operstate", "UP") != NULL;

    json_decref(links);
    return up;
}

void netlab_settle(const char *link)
{
    char name[32];

    snprintf(name, sizeof(name), "%s", link);
    if (!netlab_wait(link_carries, name, 5.0))
        fail("no carrier", link);
}
