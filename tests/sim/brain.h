/*
 * What the simulator steers: the core, or in the simulator's own tests a
 * stand-in with faults to order. The functions are those of node.h, status.h.
 */
#ifndef SIM_BRAIN_H
#define SIM_BRAIN_H

#include "ipclusterd/node.h"
#include "ipclusterd/status.h"

struct brain {
    size_t (*bytes)(void);
    void (*init)(struct node *n, const struct node_config *config, uint64_t seed,
                 uint32_t incarnation);
    int (*restore)(struct node *n, const uint8_t *data, size_t length);
    /* NULL: a daemon that starts does away with what its kernel holds. */
    void (*inherit)(struct node *n, const struct node_heritage *h);
    struct node_stream (*stream)(const struct node *n);
    /* What a datagram of the member at `place` touches is about to be needed. NULL: why not. */
    void (*expect)(const struct node *n, size_t place);
    void (*step)(struct node *n, instant now, const struct event *event, struct actions *out);
    instant (*deadline)(const struct node *n);
    uint32_t (*incarnation)(const struct node *n);
    void (*status)(const struct node *n, instant now, struct status *out);
    void (*brief)(const struct node *n, struct status_brief *out);
    void (*tables)(const struct node *n, struct status_tables *out);
};

/* The core itself. */
extern const struct brain brain_core;

#endif
