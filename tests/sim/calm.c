/*
 * The calm that tests of the checks begin with.
 */
#include "calm.h"

#include <string.h>

struct world *world;
static struct script script = {.given = true}; /* nothing follows */

const struct scenario calm = {
    .seed = 12,
    .nodes = 3,
    .buckets = 16,
    .duration = USEC_PER_S,
    .interval = 100 * MS,
    .dead_after = 400 * MS,
    .lease = 300 * MS,
    .orphan_after = USEC_PER_S,
    .timer_late = 100,
    .net_calm = {.delay_min = 50, .delay_jitter = 50},
    .net_storm = {.delay_min = 50, .delay_jitter = 50},
    .kernel_calm = {.commit_min = 50, .commit_max = 500, .slow_max = 500},
    .kernel_storm = {.commit_min = 50, .commit_max = 500, .slow_max = 500},
    .connect_every = 10 * MS,
    .segment_every = 10 * MS,
};

void owners_set(int owner)
{
    for (unsigned i = 0; i < calm.nodes; i++)
        for (unsigned b = 0; b < calm.buckets; b++)
            fake[i].owner[b] = fake[i].home[b] = (int16_t)owner;
}

void all_set(unsigned i, enum bucket_class class)
{
    struct event e = {.kind = EVENT_TIMER};
    memset(fake[i].class_of, (int)class, calm.buckets);
    if (world->host[i].state == HOST_RUNNING)
        world_step(world, i, &e);
    world_advance(world, world->now + 2 * MS);
}

int set_up(void **state)
{
    (void)state;
    if (world == NULL)
        world = world_new(&brain_fake);
    world->quiet = true;
    fake_reset();
    owners_set(0);
    world_reset(world, &calm);
    world->script = &script;
    for (unsigned i = 0; i < calm.nodes; i++)
        world_start(world, i);
    all_set(0, CLASS_OWN);
    world_advance(world, USEC_PER_S);
    return 0;
}

int tear_down(void **state)
{
    (void)state;
    world_free(world);
    world = NULL;
    return 0;
}

void run_for(usec us)
{
    world_advance(world, world->now + us);
}

void assert_red(enum check c)
{
    for (int k = 0; k < CHECK_KINDS; k++) {
        if (k == (int)c)
            assert_true(world->checks.of[k] > 0);
        else
            assert_int_equal(world->checks.of[k], 0);
    }
}

void assert_green(void)
{
    assert_int_equal(world->checks.violations, 0);
}
