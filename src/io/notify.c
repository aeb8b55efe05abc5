/*
 * The service manager's notification socket, without libsystemd.
 *
 * Nothing here blocks: a manager that does not read loses our message.
 */
#include "notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The address in NOTIFY_SOCKET: a path, or "@name" in the abstract namespace.
 * Returns its length, 0 if there is none, or -errno. */
static int socket_address(struct sockaddr_un *out)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (path == NULL || path[0] == '\0')
        return 0;
    size_t length = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || length < 2)
        return -EINVAL;
    if (length >= sizeof out->sun_path)
        return -ENAMETOOLONG;
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(out->sun_path, path, length);
    if (path[0] == '@')
        out->sun_path[0] = '\0';
    return (int)(offsetof(struct sockaddr_un, sun_path) + length);
}

static int64_t monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * USEC_PER_S + t.tv_nsec / 1000;
}

static int message_write(char *out, size_t size, enum notify_state state, const char *status)
{
    char first[64] = "";
    switch (state) {
    case NOTIFY_READY:
        snprintf(first, sizeof first, "READY=1\nMAINPID=%ld\n", (long)getpid());
        break;
    case NOTIFY_RELOADING:
        snprintf(first, sizeof first, "RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\n", monotonic_us());
        break;
    case NOTIFY_STOPPING:
        snprintf(first, sizeof first, "STOPPING=1\n");
        break;
    case NOTIFY_WATCHDOG:
        snprintf(first, sizeof first, "WATCHDOG=1\n");
        break;
    case NOTIFY_STATUS:
        break;
    }
    int n = status != NULL ? snprintf(out, size, "%sSTATUS=%s\n", first, status)
                           : snprintf(out, size, "%s", first);
    return n < 0 || (size_t)n >= size ? -EMSGSIZE : n;
}

int notify_send(enum notify_state state, const char *status)
{
    struct sockaddr_un to;
    int to_length = socket_address(&to);
    if (to_length <= 0)
        return to_length;
    char message[512];
    int length = message_write(message, sizeof message, state, status);
    if (length < 0)
        return length;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    ssize_t sent = sendto(fd, message, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL,
                          (const struct sockaddr *)&to, (socklen_t)to_length);
    int rc = sent < 0 ? -errno : 1;
    close(fd);
    return rc;
}

/* A positive decimal number, or 0. */
static int64_t number_from(const char *text)
{
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return 0;
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    return errno != 0 || *end != '\0' ? 0 : n;
}

usec notify_watchdog_interval(void)
{
    const char *pid = getenv("WATCHDOG_PID");
    if (pid != NULL && number_from(pid) != getpid())
        return 0;
    return number_from(getenv("WATCHDOG_USEC")) / 2;
}
