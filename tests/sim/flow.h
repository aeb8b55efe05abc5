/*
 * Clients: flows like TCP's, that begin where a SYN is let in, stay on that
 * node, and send segments that every host receives.
 */
#ifndef SIM_FLOW_H
#define SIM_FLOW_H

#include "queue.h"
#include "rng.h"
#include "scenario.h"

struct world;

enum { FLOWS_MAX = 2048, FLOW_NONE = -1 };

struct flow {
    uint32_t number;        /* unlike those before it in this place; 0: free */
    int16_t next, previous; /* of its bucket */
    uint16_t place;         /* in flows.live */
    uint16_t bucket;
    uint16_t node;   /* where it lives, or lived */
    bool orphan;     /* its host died */
    bool excused;    /* its daemon was restarted: it may break */
    int64_t died_at; /* orphan: when */
};

struct flows {
    struct rng rng;
    uint32_t numbers;
    struct flow item[FLOWS_MAX];
    int16_t head[BUCKETS_MAX];
    uint16_t live[FLOWS_MAX], free[FLOWS_MAX];
    size_t live_count, free_count;
    uint64_t opened, unserved, resets, broken_by_restart, segments;
};

void flows_reset(struct flows *f, const struct scenario *s);

/* HAPPEN_CONNECT, HAPPEN_SEGMENT, HAPPEN_FLOW_END. */
void flow_connect(struct world *w);
void flow_segment(struct world *w);
void flow_end(struct world *w, uint64_t handle);

/* Every flow of the bucket sends a segment. */
void flow_probe(struct world *w, unsigned bucket);

/* The host of these flows died; its daemon was restarted; it stopped cleanly. */
void flow_host_died(struct world *w, unsigned host);
void flow_daemon_restarted(struct world *w, unsigned host);
void flow_host_left(struct world *w, unsigned host);

/* Host i no longer lets the bucket's flows in. */
void flow_shut_out(struct world *w, unsigned i, unsigned bucket);

/* Opens one in `bucket` on `host` that lasts `life` us; FLOW_NONE if full. */
int flow_open(struct world *w, unsigned bucket, unsigned host, usec life);

#endif
