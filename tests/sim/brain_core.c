/*
 * The core as the simulator's brain.
 */
#include "brain.h"

const struct brain brain_core = {
    .bytes = node_bytes,
    .init = node_init,
    .restore = node_restore,
    .inherit = node_inherit,
    .stream = node_stream,
    .step = node_step,
    .deadline = node_deadline,
    .incarnation = node_incarnation,
    .status = node_status,
    .brief = node_brief,
    .tables = node_tables,
};
