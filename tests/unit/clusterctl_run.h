/*
 * Runs clusterctl as its user would, against a canned daemon, and keeps what it
 * prints.
 */
#ifndef TESTS_CLUSTERCTL_RUN_H
#define TESTS_CLUSTERCTL_RUN_H

#include <sys/types.h>

#include "ctl_canned.h"

enum { OUTPUT_BYTES = 1 << 21 };

extern char path[96];                              /* of the socket */
extern struct canned *canned;                      /* shared with the server's process */
extern pid_t server;                               /* 0: not running */
extern char output[OUTPUT_BYTES], complaint[8192]; /* stdout and stderr of the last run */

/* Around each test, with a directory of its own. */
int setup(void **state);
int teardown(void **state);

/* Runs it with the words of `line` and its output in pipes; returns how it ended. */
int run(const char *line);
/* Runs it on a terminal of `columns`, which gets stderr too. NO_COLOR is set to
 * `no_color`, and not set if that is NULL. */
int run_on_terminal(const char *line, unsigned short columns, const char *no_color);

/* Columns of the widest line, not counting colours. */
int widest(const char *text);

void assert_says(const char *text, const char *word);
/* It ends with `code`, one line on stderr that has `word` and nothing on stdout. */
void assert_fails(const char *line, int code, const char *word);

#endif
