/*
 * clusterctl: asks the daemon and tells people. One table names the commands,
 * what they take and what runs them; the usage text is made of it.
 */
#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clusterctl.h"
#include "http.h"

#ifndef RUNSTATEDIR
#define RUNSTATEDIR "/run"
#endif

enum {
    OPTION_VIP = 256,
    OPTION_WAIT,
    OPTION_TIMEOUT,
    OPTION_MATRIX,
    OPTION_IPTABLES,
    OPTION_IP6TABLES,
};

enum { LINES_MAX = 1000 }; /* what a daemon keeps */

static const long long YEAR_MS = 365LL * 24 * 3600 * 1000; /* longest --timeout */

/* Options that only some commands take. */
enum {
    TAKES_VIP = 1,
    TAKES_WAIT = 2,
    TAKES_TIMEOUT = 4,
    TAKES_MATRIX = 8,
    TAKES_FOLLOW = 16,
    TAKES_IPTABLES = 32,
};

struct command {
    const char *name;
    const char *arguments; /* for the usage */
    const char *help;
    int least, most; /* arguments */
    unsigned takes;
    int (*run)(const struct call *c);
};

static const struct command commands[] = {
    {"status", "", "this node, the members, the addresses", 0, 0, 0, cmd_status},
    {"members", "[--matrix]", "the members in detail", 0, 0, TAKES_MATRIX, cmd_members},
    {"vips", "", "the virtual addresses in detail", 0, 0, 0, cmd_vips},
    {"buckets", "", "the map of buckets and their owners", 0, 0, 0, cmd_buckets},
    {"which", "ADDRESS[:PORT] [--vip VIP]", "who serves this client", 1, 1, TAKES_VIP, cmd_which},
    {"rules", "[--iptables | --ip6tables]", "the ruleset in the kernel", 0, 0, TAKES_IPTABLES,
     cmd_rules},
    {"events", "[-n N] [-f]", "what happened here", 0, 0, TAKES_FOLLOW, cmd_events},
    {"drain", "[NODE] [--wait [--timeout T]]", "take no new flows", 0, 1,
     TAKES_WAIT | TAKES_TIMEOUT, cmd_drain},
    {"undrain", "[NODE]", "take new flows again", 0, 1, 0, cmd_undrain},
    {"leave", "", "hand over and end the daemon", 0, 0, 0, cmd_leave},
    {"reload", "", "read the configuration again", 0, 0, 0, cmd_reload},
    {"restart", "", "execute the daemon's binary again", 0, 0, 0, cmd_restart},
    {"forget", "NODE [--timeout T]", "take a dead node off the roster", 1, 1, TAKES_TIMEOUT,
     cmd_forget},
    {"release", "NODE", "let a held node back in", 1, 1, 0, cmd_release},
    {"rekey", "", "change to the next cluster key", 0, 0, 0, cmd_rekey},
    {"genkey", "", "a fresh cluster key", 0, 0, 0, cmd_genkey},
    {"check", "[FILE]", "check a configuration file", 0, 1, 0, cmd_check},
    {"version", "", "versions of clusterctl and the daemon", 0, 0, 0, cmd_version},
};

static void usage(FILE *out)
{
    fputs("usage: clusterctl [-s SOCKET] [-j] COMMAND [ARGUMENT...]\n\n", out);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char line[80];
        snprintf(line, sizeof line, "%s %s", commands[i].name, commands[i].arguments);
        fprintf(out, "  %-37s %s\n", line, commands[i].help);
    }
    fputs("\n  -s, --socket SOCKET   the control socket (" RUNSTATEDIR "/ipclusterd/control.sock)\n"
          "  -j, --json            print JSON\n"
          "  -n, --lines N         events: only the last N\n"
          "  -f, --follow          events: go on as they happen\n"
          "      --matrix          members: who hears whom, also if all do\n"
          "      --iptables        rules: the nearest for iptables-restore\n"
          "      --ip6tables       rules: the nearest for ip6tables-restore\n"
          "  -V, --version         print the version\n"
          "  -h, --help            print this\n",
          out);
}

int fail(enum exit_code code, const char *format, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    text_clean(text);
    screen_line_end();
    fprintf(stderr, "clusterctl: %s\n", text);
    return (int)code;
}

__attribute__((format(printf, 1, 2))) static int misused(const char *format, ...)
{
    va_list ap;

    fputs("clusterctl: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputs("\n\n", stderr);
    usage(stderr);
    return USAGE;
}

/* Takes control characters out of all strings: names come from other hosts. */
static void json_clean(json_t *json)
{
    const char *key;
    size_t i;
    json_t *value;
    char *text;

    if (json_is_string(json) && (text = strdup(json_string_value(json))) != NULL) {
        text_clean(text);
        json_string_set(json, text);
        free(text);
    }
    json_array_foreach(json, i, value) json_clean(value);
    json_object_foreach(json, key, value) json_clean(value);
}

int ask(const struct call *c, const char *target, const char *body, json_t **out)
{
    char why[HTTP_WHY_BYTES];
    struct http_reply reply;
    const char *error;
    int code = http_request(c->socket, target, body, &reply, why);

    *out = NULL;
    if (code != DONE)
        return fail((enum exit_code)code, "%s", why);
    *out = json_loadb(reply.body, reply.length, 0, NULL);
    free(reply.body);
    if ((reply.status == 200 || reply.status == 202) && *out != NULL) {
        if (!c->json)
            json_clean(*out);
        return DONE;
    }
    error = json_string_value(json_object_get(*out, "error"));
    if (error != NULL)
        code = fail(REFUSED, "%s", error);
    else
        code = fail(REFUSED, "the daemon's answer cannot be read (HTTP %ld)", reply.status);
    json_decref(*out);
    *out = NULL;
    return code;
}

void json_print(const struct call *c, const json_t *json)
{
    size_t flags = JSON_REAL_PRECISION(6);

    json_dumpf(json, stdout, c->screen.terminal ? flags | JSON_INDENT(2) : flags);
    putchar('\n');
}

/* "500ms", "30s", "2m", "24h" into milliseconds; -1 if it is none. */
static long long duration_read(const char *text)
{
    static const struct {
        const char *unit;
        long long ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    char *end;
    long long value;

    if (*text < '0' || *text > '9')
        return -1;
    errno = 0;
    value = strtoll(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].unit) == 0 && errno == 0 && value <= YEAR_MS / units[i].ms)
            return value * units[i].ms;
    return -1;
}

/* "0".."1000"; -1 if it is none. */
static int lines_read(const char *text)
{
    size_t length = strspn(text, "0123456789");
    long value = length > 0 && length <= 4 && text[length] == '\0' ? strtol(text, NULL, 10) : -1;

    return value <= LINES_MAX ? (int)value : -1;
}

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* Checks the call against its command and runs it. */
static int command_run(struct call *c)
{
    const struct command *command = c->argc > 0 ? command_find(c->argv[0]) : NULL;
    const struct {
        bool is;
        unsigned takes;
        const char *option;
    } given[] = {
        {c->vip != NULL, TAKES_VIP, "--vip"},
        {c->wait, TAKES_WAIT, "--wait"},
        {c->timeout_ms >= 0, TAKES_TIMEOUT, "--timeout"},
        {c->matrix, TAKES_MATRIX, "--matrix"},
        {c->follow, TAKES_FOLLOW, "--follow"},
        {c->iptables, TAKES_IPTABLES, "--iptables"},
        {c->ip6tables, TAKES_IPTABLES, "--ip6tables"},
        {c->lines >= 0, TAKES_FOLLOW, "--lines"},
    };

    if (c->argc == 0)
        return misused("no command");
    if (command == NULL)
        return misused("there is no command \"%s\"", c->argv[0]);
    c->argc--;
    c->argv++;
    if (c->argc < command->least || c->argc > command->most)
        return misused("%s: %s", command->name,
                       c->argc < command->least ? "an argument is missing" : "too many arguments");
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (given[i].is && !(command->takes & given[i].takes))
            return misused("%s does not take %s", command->name, given[i].option);
    if (c->timeout_ms >= 0 && (command->takes & TAKES_WAIT) && !c->wait)
        return misused("--timeout goes with --wait");
    if (c->iptables && c->ip6tables)
        return misused("--iptables and --ip6tables are two texts: one at a time");
    return command->run(c);
}

/* One option of the command line; DONE, or how the program ends, with `end` set. */
static int option_take(struct call *c, int option, bool *end)
{
    *end = false;
    switch (option) {
    case 's':
        c->socket = optarg;
        return DONE;
    case 'j':
        c->json = true;
        return DONE;
    case 'f':
        c->follow = true;
        return DONE;
    case 'n':
        c->lines = lines_read(optarg);
        *end = c->lines < 0;
        return *end ? misused("--lines takes a number up to %d", LINES_MAX) : DONE;
    case OPTION_VIP:
        c->vip = optarg;
        return DONE;
    case OPTION_WAIT:
        c->wait = true;
        return DONE;
    case OPTION_MATRIX:
        c->matrix = true;
        return DONE;
    case OPTION_IPTABLES:
        c->iptables = true;
        return DONE;
    case OPTION_IP6TABLES:
        c->ip6tables = true;
        return DONE;
    case OPTION_TIMEOUT:
        c->timeout_ms = duration_read(optarg);
        *end = c->timeout_ms < 0;
        return *end ? misused("--timeout takes a duration such as 500ms, 30s, 2m") : DONE;
    default:
        break;
    }
    *end = true;
    if (option == 'V')
        printf("clusterctl %s\n", PACKAGE_VERSION);
    else if (option == 'h')
        usage(stdout);
    else
        usage(stderr);
    return option == 'V' || option == 'h' ? DONE : USAGE;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {"follow", no_argument, NULL, 'f'},
        {"lines", required_argument, NULL, 'n'},
        {"matrix", no_argument, NULL, OPTION_MATRIX},
        {"iptables", no_argument, NULL, OPTION_IPTABLES},
        {"ip6tables", no_argument, NULL, OPTION_IP6TABLES},
        {"vip", required_argument, NULL, OPTION_VIP},
        {"wait", no_argument, NULL, OPTION_WAIT},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {NULL, 0, NULL, 0},
    };
    struct call c = {
        .socket = RUNSTATEDIR "/ipclusterd/control.sock", .timeout_ms = -1, .lines = -1};
    int option, code;
    bool end;

    while ((option = getopt_long(argc, argv, "s:jfn:Vh", options, NULL)) != -1) {
        code = option_take(&c, option, &end);
        if (end)
            return code;
    }
    c.argc = argc - optind;
    c.argv = argv + optind;
    c.screen = screen_open();
    curl_global_init(CURL_GLOBAL_NOTHING);
    code = command_run(&c);
    curl_global_cleanup();
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == DONE)
        code = fail(REFUSED, "cannot write: %s", strerror(errno));
    return code;
}
