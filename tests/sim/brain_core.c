/*
 * The core as the simulator's brain.
 */
#include "brain.h"

#include "ipclusterd/assign.h"

static_assert(offsetof(struct assign_lists, list) + sizeof((struct assign_lists *)0)->list ==
                  sizeof(struct assign_lists),
              "nothing behind it");

/* Three quarters of a node are these lists, at its very end; memo.c has them for all. */
static size_t bytes(void)
{
    return node_bytes() - sizeof((struct assign_lists *)0)->list;
}

const struct brain brain_core = {
    .bytes = bytes,
    .init = node_init,
    .restore = node_restore,
    .inherit = node_inherit,
    .stream = node_stream,
    .expect = node_expect,
    .step = node_step,
    .deadline = node_deadline,
    .incarnation = node_incarnation,
    .status = node_status,
    .brief = node_brief,
    .tables = node_tables,
};
