/*
 * Cases that have a rig each: it is there when a case begins, and gone after it.
 * For test files, behind cmocka.h.
 */
#ifndef IPCLUSTERD_TESTS_RIG_CASE_H
#define IPCLUSTERD_TESTS_RIG_CASE_H

#include <stdlib.h>

#include "rig.h"

static struct rig *rig;

static int set_up(void **state)
{
    (void)state;
    rig = malloc(sizeof *rig);
    rig_init(rig);
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
