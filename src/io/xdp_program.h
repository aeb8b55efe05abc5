/*
 * The program that drops, as early as a network interface allows (XDP), what
 * the early rules would drop as another's: eBPF, made for one interface and
 * one configuration.
 */
#ifndef IPCLUSTERD_IO_XDP_PROGRAM_H
#define IPCLUSTERD_IO_XDP_PROGRAM_H

#include <linux/bpf.h>
#include <stddef.h>

#include "ipclusterd/config.h"

enum {
    XDP_INSTRUCTIONS_MAX = 8192,
    XDP_CPUS = 1024, /* beyond that processors share slots, and may miss a packet in the count */
};

/* The memory that the programs of all interfaces read, and count in: the value of a map. */
struct xdp_memory {
    uint8_t foreign[BUCKETS_MAX]; /* 1: all of the bucket's packets are dropped */
    uint64_t dropped[XDP_CPUS][VIPS_MAX];
};

struct xdp_program {
    size_t count;
    struct bpf_insn code[XDP_INSTRUCTIONS_MAX];
    uint8_t jump[XDP_INSTRUCTIONS_MAX]; /* while it is made: where to, enum xdp_place */
};

/* Whether a VIP's packets can be judged here: where the rules do so at ingress. */
bool xdp_judges(const struct vip_config *v);

/* The program for `interface`; `memory` is the map's descriptor. Empty if there is nothing
 * to be judged. */
void xdp_program_make(struct xdp_program *p, const struct config *c, const char *interface,
                      int memory);

#endif
