/*
 * The event loop as the daemon sees it: descriptors, signals and alarms.
 *
 * A thin cover over libevent, so that no other file of the daemon meets
 * libevent's `struct event` beside the core's. Alarms are told as instants of
 * the daemon's one clock.
 */
#ifndef IPCLUSTERD_LOOP_H
#define IPCLUSTERD_LOOP_H

#include "ipclusterd/types.h"

struct event_base;
struct loop;
struct watch;

/* The daemon's clock: CLOCK_BOOTTIME, so that a suspended host knows how long
 * it was away. */
instant loop_now(void);

/* 0 or -errno. */
int loop_open(struct loop **out);
/* All watches must be closed before. NULL is allowed. */
void loop_close(struct loop *l);

/* libevent's own, for modules that need it (evhttp). */
struct event_base *loop_base(struct loop *l);

/* Calls back until loop_end(). 0 or -errno. */
int loop_run(struct loop *l);
void loop_end(struct loop *l);

/* `number` is the descriptor or the signal; 0 for an alarm. */
typedef void (*loop_fn)(void *arg, int number);

/* Each returns 0 and a watch for the caller to close, or -errno. */
int loop_readable(struct loop *l, int fd, loop_fn fn, void *arg, struct watch **out);
int loop_signal(struct loop *l, int number, loop_fn fn, void *arg, struct watch **out);
int loop_alarm(struct loop *l, loop_fn fn, void *arg, struct watch **out);

/* Sets an alarm to one instant (past ones ring at once); INSTANT_NEVER: off. */
void watch_at(struct watch *alarm, instant when);

/* NULL is allowed; also from within the callback. */
void watch_close(struct watch *w);

#endif
