/*
 * A client of the control socket for the tests: a canned daemon is served from
 * a process of its own, and raw HTTP spoken to it.
 */
#ifndef TESTS_CTL_CLIENT_H
#define TESTS_CTL_CLIENT_H

#include <jansson.h>
#include <sys/types.h>

#include "ctl_canned.h"

enum { ANSWER_BYTES = 1 << 21 };

extern char path[96];         /* of the socket */
extern struct canned *canned; /* shared with the server's process */
extern pid_t server;          /* 0: not running */
extern char answer[ANSWER_BYTES];

/* Around each test, with a directory of its own. */
int setup(void **state);
int teardown(void **state);

/* What ctl_open() said there. */
int server_start(void);
void server_stop(void);

int client_open(void);
/* Reads to the end of the connection into `answer`; the bytes read. */
size_t client_read(int fd);

/* One request on a connection of its own; the HTTP status of the answer. */
int exchange_raw(const char *text);
int exchange(const char *method, const char *target, const char *body);

/* The body of `answer`; json_decref() it. */
json_t *answer_json(void);
/* GET that must succeed. */
json_t *get(const char *target);
/* `status` is as expected, and the error's sentence has `word` in it. */
void assert_refused(int status, int expected, const char *word);

#endif
