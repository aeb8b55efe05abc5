/*
 * Network namespaces for unit tests that need the kernel. They belong to the
 * test's process only and vanish with it.
 */
#ifndef NETLAB_H
#define NETLAB_H

#include <jansson.h>
#include <stdbool.h>

/* True in a new, empty network namespace with lo up; false (and a sentence on
 * stderr) where that is not possible: the test then exits with 77. */
bool netlab_enter(void);

/* Leaves for one more new namespace, lo up. Returns a descriptor of it. */
int netlab_create(void);
/* A descriptor of the present namespace. */
int netlab_here(void);
/* Goes to a namespace by its descriptor. */
void netlab_go(int fd);

/* Everything on one processor from now on, so that packets stay in their order. */
void netlab_one_cpu(void);

/* Runs a command that has to succeed. */
__attribute__((format(printf, 1, 2))) void netlab_run(const char *format, ...);

/* The JSON that a command prints; the caller drops the reference. */
__attribute__((format(printf, 1, 2))) json_t *netlab_json(const char *format, ...);

/* Waits until the link carries traffic: that comes a little after it is set up
 * and joined, and what is sent before is lost. */
void netlab_settle(const char *link);

/* The first object of `list`, or of the lists under `key` in its objects, whose
 * member `name` is the string `value`; NULL if there is none. `key` may be NULL. */
const json_t *netlab_find(const json_t *list, const char *key, const char *name, const char *value);

/* Polls `ready` until it is true; false after `seconds`. */
bool netlab_wait(bool (*ready)(void *arg), void *arg, double seconds);

#endif
