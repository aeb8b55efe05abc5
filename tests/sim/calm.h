/*
 * What tests of the checks begin with: three hosts that have heard each other
 * for a while, of which host 0 claims all buckets.
 */
#ifndef SIM_CALM_H
#define SIM_CALM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "fake.h"
#include "world.h"

#define MS USEC_PER_MS

extern struct world *world;
extern const struct scenario calm;

int set_up(void **state);
int tear_down(void **state);

/* All say that all buckets are this host's. */
void owners_set(int owner);

/* Host i commits the class for all buckets, now. */
void all_set(unsigned i, enum bucket_class class);

void run_for(usec us);

/* Only this check has failed; none has. */
void assert_red(enum check c);
void assert_green(void);

#endif
