/*
 * What the files of clusterctl share: how it was called, how it ends, and the
 * commands.
 */
#ifndef CLUSTERCTL_H
#define CLUSTERCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "screen.h"

/* How clusterctl ends; scripts rely on it. */
enum exit_code {
    DONE = 0,
    REFUSED = 1, /* refused or failed; one line on stderr says why */
    USAGE = 2,
    NO_DAEMON = 3, /* nobody to talk to; one line on stderr says why */
};

struct call {
    const char *socket; /* path of the control socket */
    bool json;
    const char *vip;      /* --vip, or NULL */
    bool wait;            /* --wait */
    long long timeout_ms; /* --timeout; -1: none */
    bool matrix;          /* --matrix */
    bool follow;          /* --follow */
    bool iptables;        /* --iptables */
    bool ip6tables;       /* --ip6tables */
    int lines;            /* --lines; -1: not given */
    int argc;             /* the command's own arguments, without its name */
    char **argv;
    struct screen screen; /* standard output */
};

/* Prints "clusterctl: ..." on stderr and returns `code`. */
__attribute__((format(printf, 2, 3))) int fail(enum exit_code code, const char *format, ...);

/*
 * GET `target` (or POST `body` to it when it is not NULL) and read the answer's
 * JSON into `out`, which is the caller's to release. Returns DONE, or what
 * went wrong, which has been told. A change that is begun only has "pending" in
 * its answer.
 */
int ask(const struct call *c, const char *target, const char *body, json_t **out);

/* Prints JSON to standard output: on one line, or indented for people. */
void json_print(const struct call *c, const json_t *json);

/* One command each: DONE or another exit_code, with the reason told. */
int cmd_status(const struct call *c);
int cmd_members(const struct call *c);
int cmd_vips(const struct call *c);
int cmd_buckets(const struct call *c);
int cmd_which(const struct call *c);
int cmd_events(const struct call *c);
int cmd_rules(const struct call *c);
int cmd_drain(const struct call *c);
int cmd_undrain(const struct call *c);
int cmd_leave(const struct call *c);
int cmd_reload(const struct call *c);
int cmd_restart(const struct call *c);
int cmd_forget(const struct call *c);
int cmd_release(const struct call *c);
int cmd_rekey(const struct call *c);
int cmd_genkey(const struct call *c);
int cmd_check(const struct call *c);
int cmd_version(const struct call *c);

#endif
