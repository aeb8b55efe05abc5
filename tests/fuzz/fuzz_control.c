/*
 * The control socket, with a client that sends anything.
 *
 * A request: the first line is method and target, what follows is the body. The
 * server gets it as HTTP, over its socket: one answer has to come, well-formed and
 * of the status that ctl_request_parse() has found (which the linker hands to the
 * harness to look on: what it accepts must have just the arguments that its route
 * takes); and the daemon is asked for something if the request is in order, for a
 * change just once, and not at all if it is not.
 *
 * After a NUL as the first byte the input is what the client sends, as it is:
 * whatever comes back has to be a row of whole answers.
 *
 * In both a byte 1 stands for MORE times the byte before it: so short inputs, which
 * are quick, come to the limits on lengths.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../unit/ctl_canned.h"
#include "io/ctl_request.h"
#include "io/log.h"

enum {
    SENT_MAX = 8192, /* fits into a socket */
    TURNS_IDLE = 4,  /* of the loop without a byte: no more is to come */
    TURNS_MAX = 10000,
    ANSWER_BYTES = 1 << 18,
    MORE = 60,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct {
    struct event_base *base;
    char path[64]; /* to connect to: of the descriptor, the name is gone */
    /* Of this exchange: how often the daemon was asked for something, and for a
     * change; how often a request was parsed, and what came of the last one. */
    unsigned asked, changes, parsed;
    int verdict;
    enum ctl_method method;
} server;

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* --------------------------------------------------------------- the daemon */

/* Instead of the log: only what may stand there. */
void log_line(enum log_level level, const char *subsystem, const char *format, ...)
{
    char line[2048];
    va_list ap;

    check(level <= LOG_LEVEL_DEBUG && subsystem[0] != '\0');
    va_start(ap, format);
    int length = vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    check(length > 0 && (size_t)length < sizeof line);
    for (const char *p = line; *p != '\0'; p++)
        check((unsigned char)*p >= ' ' && *p != 0x7f);
}

static const struct ctl_view *fuzz_view(void *arg)
{
    server.asked++;
    return canned_ops.view(arg);
}

static uint64_t fuzz_events(void *arg, uint64_t since, ctl_event_fn take, void *context)
{
    server.asked++;
    return canned_ops.events(arg, since, take, context);
}

/* Says no, or not yet, to names of some lengths, in words with the name in them. */
static int fuzz_change(void *arg, enum control_verb verb, const char *member, char *why)
{
    (void)arg;
    server.changes++;
    check(verb < CONTROL_MAX && (member != NULL || verb != CONTROL_FORGET));
    if (member == NULL || strlen(member) % 3 == 0)
        return 0;
    snprintf(why, CTL_WHY_BYTES, "no word of %s", member);
    return strlen(member) % 3 == 1 ? -ENOENT : CTL_PENDING;
}

static int fuzz_leave(void *arg, char *why)
{
    (void)arg;
    (void)why;
    server.changes++;
    return 0;
}

static int fuzz_reload(void *arg, char *why)
{
    (void)arg;
    server.changes++;
    snprintf(why, CTL_WHY_BYTES, "/etc/ipclusterd.conf:7: \"\xff\"");
    return -EINVAL;
}

static int fuzz_rules(void *arg, enum ctl_rules form, struct evbuffer *out, char *why)
{
    server.asked++;
    return canned_ops.rules(arg, form, out, why);
}

static const struct ctl_ops ops = {
    .view = fuzz_view,
    .events = fuzz_events,
    .control = fuzz_change,
    .leave = fuzz_leave,
    .reload = fuzz_reload,
    .restart = fuzz_reload,
    .rules = fuzz_rules,
};

/* Nothing is left behind: the socket has no name any more when this returns. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char directory[] = "/tmp/fuzz_control.XXXXXX", name[64];
    struct ctl *ctl = NULL;

    (void)argc;
    (void)argv;
    check(mkdtemp(directory) != NULL);
    snprintf(name, sizeof name, "%s/s", directory);
    struct canned *canned = canned_new(name, "");
    canned->events = 3;
    server.base = event_base_new();
    check(ctl_open(&ctl, server.base, &canned->config, &ops, canned) == 0);
    snprintf(server.path, sizeof server.path, "/proc/self/fd/%d", open(name, O_PATH | O_CLOEXEC));
    check(unlink(name) == 0 && rmdir(directory) == 0);
    return 0;
}

/* --------------------------------------------------------------- the client */

static char answer[ANSWER_BYTES + 1];

static int client_open(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(to.sun_path, sizeof to.sun_path, "%s", server.path);
    check(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

/* Lets the server work, until it closes or has nothing more to say; what it said. */
static size_t client_read(int fd, bool *closed)
{
    size_t length = 0;
    unsigned idle = 0;

    *closed = false;
    for (unsigned turn = 0; idle < TURNS_IDLE; turn++) {
        check(turn < TURNS_MAX && length < ANSWER_BYTES);
        event_base_loop(server.base, EVLOOP_NONBLOCK);
        ssize_t n = recv(fd, answer + length, ANSWER_BYTES - length, 0);
        idle = n > 0 ? 0 : idle + 1;
        if (n > 0)
            length += (size_t)n;
        else if (n == 0 || errno != EAGAIN)
            *closed = true;
        if (*closed)
            break;
    }
    answer[length] = '\0';
    return length;
}

static bool exchange(const char *sent, size_t length, size_t *got)
{
    bool closed;
    int fd = client_open();

    server.asked = server.changes = server.parsed = 0;
    check(send(fd, sent, length, MSG_NOSIGNAL) == (ssize_t)length);
    *got = client_read(fd, &closed);
    close(fd);
    event_base_loop(server.base, EVLOOP_NONBLOCK); /* it lets go of it */
    return closed;
}

/* -------------------------------------------------------------- the answers */

static const char *header_find(const char *head, const char *name)
{
    size_t length = strlen(name);

    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) == 0 && strncmp(line + length, ": ", 2) == 0)
            return line + length + 2;
    }
    return NULL;
}

static void body_check(const char *type, int status, const char *body, size_t length)
{
    if (strncmp(type, "application/json", 16) != 0) {
        check(strncmp(type, "text/html", 9) == 0 ||
              (status == 200 && (strncmp(type, "text/plain", 10) == 0 ||
                                 strncmp(type, "application/openmetrics-text", 28) == 0)));
        return;
    }
    json_t *json = json_loadb(body, length, JSON_REJECT_DUPLICATES, NULL);
    const json_t *error = json_object_get(json, "error");
    check(json_is_object(json) && (status >= 400) == (error != NULL));
    check(error == NULL || (json_object_size(json) == 1 && json_string_length(error) > 0));
    json_decref(json);
}

/* The answer at `p`: its bytes, and its status. */
static size_t answer_check(char *p, size_t left, bool head_only, int *status)
{
    char *end = strstr(p, "\r\n\r\n");
    int major = -1, minor = -1; /* as the client wrote them */

    check(end != NULL && sscanf(p, "HTTP/%d.%d %3d ", &major, &minor, status) == 3);
    check(*status >= 200 && *status < 600);
    end[2] = '\0';
    const char *length = header_find(p, "Content-Length"), *type = header_find(p, "Content-Type");
    left -= (size_t)(end + 4 - p);
    /* To a client of less than HTTP/1.1 the end of the connection is the end of the body. */
    size_t bytes = length != NULL ? strtoul(length, NULL, 10) : left;
    if (head_only && left == 0) /* what evhttp itself refuses has a body all the same */
        bytes = 0;
    check((type != NULL || head_only) && bytes <= left);
    check(length != NULL || head_only || major != 1 || minor != 1);
    if (bytes > 0)
        body_check(type, *status, end + 4, bytes);
    return (size_t)(end + 4 - p) + bytes;
}

static void stream_check(const uint8_t *data, size_t size)
{
    size_t got, at = 0;
    int status;

    /* A request of HEAD has an answer without its body: not told apart here. */
    if (size == 0 || size > SENT_MAX || memmem(data, size, "HEAD", 4) != NULL)
        return;
    exchange((const char *)data, size, &got);
    while (at < got)
        at += answer_check(answer + at, got - at, false, &status);
}

/* ------------------------------------------------------------- the requests */

static void accepted_check(const struct ctl_request *r, enum ctl_method method)
{
    unsigned takes = r->route->arguments;

    check(r->route->method == method);
    check((r->client.address.family != FAMILY_NONE) == !!(takes & CTL_ARG_ADDRESS));
    check(r->client.has_port == (r->client.port != 0));
    check(r->vip.family == FAMILY_NONE || (takes & CTL_ARG_VIP));
    check(r->since == 0 || (takes & CTL_ARG_SINCE));
    check(strlen(r->node) <= NAME_BYTES_MAX);
    check(r->node[0] == '\0' || (takes & (CTL_ARG_NODE | CTL_ARG_NODE_REQUIRED)));
    check(r->node[0] != '\0' || !(takes & CTL_ARG_NODE_REQUIRED));
    for (const char *p = r->node; *p != '\0'; p++)
        check((unsigned char)*p > ' ');
}

/* With --wrap the server's call comes here, and this goes on to the real one. */
int __real_ctl_request_parse(const struct ctl_route *routes, size_t count, enum ctl_method method,
                             const char *target, const void *body, size_t length,
                             struct ctl_request *out, char why[CTL_WHY_BYTES]);
int __wrap_ctl_request_parse(const struct ctl_route *routes, size_t count, enum ctl_method method,
                             const char *target, const void *body, size_t length,
                             struct ctl_request *out, char why[CTL_WHY_BYTES]);

int __wrap_ctl_request_parse(const struct ctl_route *routes, size_t count, enum ctl_method method,
                             const char *target, const void *body, size_t length,
                             struct ctl_request *out, char why[CTL_WHY_BYTES])
{
    int status = __real_ctl_request_parse(routes, count, method, target, body, length, out, why);

    server.parsed++;
    server.verdict = status;
    server.method = method;
    check(status == 200 || (status >= 400 && status < 500));
    check((status == 200) == (why[0] == '\0') && strlen(why) < CTL_WHY_BYTES);
    if (status == 200)
        accepted_check(out, method);
    return status;
}

struct request {
    char word[8], target[2 * CTL_TARGET_BYTES_MAX];
    const uint8_t *body;
    size_t length;
};

/* "METHOD TARGET\nBODY" */
static void request_read(struct request *q, const uint8_t *data, size_t size)
{
    static const char *const words[] = {"GET", "POST", "HEAD", "PUT", "DELETE"};
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t line = end != NULL ? (size_t)(end - data) : size, word = 0;

    q->body = end != NULL ? end + 1 : data + size;
    q->length = size - (size_t)(q->body - data);
    snprintf(q->word, sizeof q->word, "PATCH");
    for (size_t m = 0; m < sizeof words / sizeof *words; m++) {
        size_t n = strlen(words[m]);
        if (line <= n || memcmp(data, words[m], n) != 0 || data[n] != ' ')
            continue;
        snprintf(q->word, sizeof q->word, "%s", words[m]);
        word = n + 1;
    }
    line -= word;
    line = line < sizeof q->target ? line : sizeof q->target - 1;
    memcpy(q->target, data + word, line);
    q->target[line] = '\0';
}

/* It can stand in the first line of a request. */
static bool target_plain(const char *target)
{
    for (const char *p = target; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
            return false;
    return target[0] == '/';
}

static void request_check(const struct request *q)
{
    static char sent[SENT_MAX];
    int status = 0;
    size_t got;

    int head = snprintf(sent, sizeof sent,
                        "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                        "Content-Length: %zu\r\n\r\n",
                        q->word, q->target, q->length);
    check(head > 0 && (size_t)head < sizeof sent);
    if ((size_t)head + q->length > sizeof sent)
        return;
    memcpy(sent + head, q->body, q->length);
    bool closed = exchange(sent, (size_t)head + q->length, &got);
    bool plain = target_plain(q->target);
    check(got > 0 || !plain);
    if (got == 0)
        return;
    check(answer_check(answer, got, strcmp(q->word, "HEAD") == 0, &status) == got && closed);
    check(!plain || server.parsed <= 1);
    if (server.parsed != 1) { /* evhttp itself has refused it */
        check(server.parsed > 1 || (status >= 400 && server.asked + server.changes == 0));
        return;
    }
    if (server.verdict != 200)
        check(status == server.verdict && server.asked + server.changes == 0);
    else if (server.method == CTL_POST)
        check(server.changes == 1);
    else
        check(server.changes == 0 && server.asked == 1);
    check(status < 500);
}

/* The input with what it repeats; cut off where there is no more room. */
static size_t input_expand(const uint8_t *data, size_t size, uint8_t out[SENT_MAX])
{
    size_t length = 0;

    for (size_t i = 0; i < size; i++) {
        bool repeat = data[i] == 1 && i > 0;
        for (int times = repeat ? MORE : 1; times > 0 && length < SENT_MAX; times--)
            out[length++] = repeat ? data[i - 1] : data[i];
    }
    return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct request q;
    static uint8_t text[SENT_MAX];
    size_t length = input_expand(data, size, text);

    if (length > 0 && text[0] == '\0') {
        stream_check(text + 1, length - 1);
        return 0;
    }
    request_read(&q, text, length);
    request_check(&q);
    return 0;
}
