/*
 * Cases that have a rig each: it is there when a case begins, and gone after it.
 * For test files, behind cmocka.h, and behind RIG_WATCH where all cases have one.
 */
#ifndef IPCLUSTERD_TESTS_RIG_CASE_H
#define IPCLUSTERD_TESTS_RIG_CASE_H

#include <stdlib.h>

#include "rig.h"

#ifndef RIG_WATCH
#define RIG_WATCH NULL
#endif

static struct rig *rig;

static int set_up(void **state)
{
    (void)state;
    rig = malloc(sizeof *rig);
    rig_init(rig);
    rig->watch = RIG_WATCH;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_free(rig);
    free(rig);
    return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
