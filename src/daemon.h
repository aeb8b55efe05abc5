/*
 * The daemon: the shell around the core (node.h). File descriptors, signals and
 * the clock become events; actions become calls of src/io.
 */
#ifndef IPCLUSTERD_DAEMON_H
#define IPCLUSTERD_DAEMON_H

#include <stdio.h>

#include "ipclusterd/config.h"

enum { DAEMON_WHY_BYTES = 256 };

/* The variable by which a run knows that it was executed in the place of another. */
#define DAEMON_RESTARTED "IPCLUSTERD_RESTARTED"

/* All but `config` has to last as long as the daemon. */
struct daemon_options {
    const char *config_path;     /* read again on a reload; absolute unless -f */
    const struct config *config; /* as first read; copied */
    void (*ready)(void *arg);    /* called once the node has started; or NULL */
    void *arg;
    const char *program;    /* what a restart executes; NULL: not known */
    char *const *arguments; /* by these, the first is its name; ends with NULL */
    const char *token;      /* the value of DAEMON_RESTARTED then */
};

/*
 * Runs until told to end, and leaves the kernel as it was found. 0, or -errno
 * with a sentence in `why` (DAEMON_WHY_BYTES), which has been logged as well.
 */
int daemon_run(const struct daemon_options *o, char *why);

/* What a node that is alone would put into the kernel, as text. Changes
 * nothing. 0, or -errno with a sentence in `why`. */
int daemon_preview(const struct config *c, FILE *out, char *why);

/* The directory of the control socket (which holds the pid file too) into
 * `out` (PATH_BYTES_MAX + 1). */
void daemon_run_dir(const struct config *c, char *out);

#endif
