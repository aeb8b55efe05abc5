/*
 * Waiting until a draining node serves nobody any more.
 */
#ifndef CLUSTERCTL_DRAIN_H
#define CLUSTERCTL_DRAIN_H

#include "clusterctl.h"

/*
 * Polls the status until `node` (NULL: the daemon's own) claims and lingers on
 * nothing, with a bar on a terminal and a line per change elsewhere. DONE;
 * REFUSED when c->timeout_ms ran out, or the drain was called off, or the node
 * died.
 */
int drain_wait(const struct call *c, const char *node);

#endif
