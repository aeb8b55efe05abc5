/*
 * Log lines to stderr or syslog.
 *
 * A line must never hold up the loop, whose delay would cost us the lease: a
 * stderr that nobody reads (a full pipe) loses lines instead of blocking, and
 * the number of lines lost is told with the next one that fits. Texts may
 * contain names that came over the network, so control characters are
 * replaced.
 */
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 1024 };

static const struct {
    const char *name;
    int priority; /* of syslog(3); also the journal's "<N>" prefix */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", LOG_ERR},
    [LOG_LEVEL_WARN] = {"warn", LOG_WARNING},
    [LOG_LEVEL_INFO] = {"info", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

static struct {
    const char *program;
    bool to_syslog;
    bool journal; /* stderr is the journal's: it has clocks and levels itself */
    enum log_level most;
    unsigned long lost;
} sink = {.program = "ipclusterd", .most = LOG_LEVEL_INFO};

/* True if stderr is the stream that systemd names in JOURNAL_STREAM (device:inode). */
static bool stderr_is_journal(void)
{
    unsigned long long device, inode;
    struct stat s;
    const char *stream = getenv("JOURNAL_STREAM");
    if (stream == NULL || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
        return false;
    return fstat(STDERR_FILENO, &s) == 0 && s.st_dev == device && s.st_ino == inode;
}

void log_open(const char *program, bool to_stderr, enum log_level most)
{
    sink.program = program;
    sink.most = most;
    sink.to_syslog = !to_stderr;
    sink.journal = to_stderr && stderr_is_journal();
    sink.lost = 0;
    if (sink.to_syslog)
        openlog(program, LOG_PID | LOG_NDELAY, LOG_DAEMON);
    else
        closelog();
}

/* A pipe is writable when a line of less than PIPE_BUF bytes fits as a whole. */
static bool stderr_writable(void)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

static size_t prefix_write(char *out, size_t size, enum log_level level)
{
    int n;
    if (sink.journal) {
        n = snprintf(out, size, "<%d>", levels[level].priority);
    } else {
        struct timespec t;
        struct tm local;
        clock_gettime(CLOCK_REALTIME, &t);
        localtime_r(&t.tv_sec, &local);
        n = snprintf(out, size, "%02d:%02d:%02d.%03ld %s: %s ", local.tm_hour, local.tm_min,
                     local.tm_sec, t.tv_nsec / 1000000, sink.program, levels[level].name);
    }
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

static void stderr_write(enum log_level level, const char *text)
{
    char line[LINE_BYTES_MAX + 128];
    size_t used = prefix_write(line, sizeof line - 1, level);
    int n = snprintf(line + used, sizeof line - 1 - used, "%s", text);
    if (n > 0)
        used += (size_t)n < sizeof line - 1 - used ? (size_t)n : sizeof line - 2 - used;
    if (sink.lost > 0 && used < sizeof line - 64) {
        n = snprintf(line + used, 60, " (%lu lines before this were lost)", sink.lost);
        used += n > 0 ? (size_t)n : 0;
    }
    line[used++] = '\n';
    if (!stderr_writable()) {
        sink.lost++;
        return;
    }
    ssize_t written;
    do
        written = write(STDERR_FILENO, line, used);
    while (written < 0 && errno == EINTR);
    sink.lost = written < 0 ? sink.lost + 1 : 0;
}

void log_line(enum log_level level, const char *subsystem, const char *format, ...)
{
    if (level > sink.most)
        return;
    char text[LINE_BYTES_MAX];
    int used = snprintf(text, sizeof text, "%s: ", subsystem);
    if (used < 0 || (size_t)used >= sizeof text)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, sizeof text - (size_t)used, format, arguments);
    va_end(arguments);
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    if (sink.to_syslog)
        syslog(levels[level].priority, "%s", text);
    else
        stderr_write(level, text);
}
