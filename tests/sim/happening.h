/*
 * Something that happens at a time.
 */
#ifndef SIM_HAPPENING_H
#define SIM_HAPPENING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum happening_kind {
    HAPPEN_TIMER,    /* a node's timer; arg: its version */
    HAPPEN_DELIVER,  /* a datagram at a node; arg: packet; error: 1 if an attacker's */
    HAPPEN_EFFECT,   /* a commit takes effect in a kernel; arg: generation, 0 a renewal */
    HAPPEN_APPLIED,  /* its answer reaches the daemon; arg as above, error */
    HAPPEN_COUNTED,  /* flow counts reach the daemon */
    HAPPEN_CONNECT,  /* a client opens a connection */
    HAPPEN_SEGMENT,  /* a client sends a segment of a flow */
    HAPPEN_FLOW_END, /* arg: flow handle */
    HAPPEN_FAULT,    /* a strike of the storm; arg: its act */
    HAPPEN_UNDO,     /* its end for one host; arg: its act */
    HAPPEN_PHASE,    /* look whether the phase is over */
    HAPPEN_START,    /* a node's first start */
    HAPPEN_STARVE,   /* a node gets CPU time again, or none for a while */
    HAPPEN_KINDS
};

struct happening {
    int64_t at; /* us of virtual time */
    int64_t made_at;
    uint64_t order; /* of being made */
    enum happening_kind kind;
    uint32_t boot; /* of the node's daemon; another boot: void */
    uint16_t node;
    int32_t error;
    uint64_t arg;
    int64_t span; /* us, of a renewal */
};

/* A total order, so that equal times never depend on how they are kept. */
static inline bool happening_before(const struct happening *a, const struct happening *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

#endif
