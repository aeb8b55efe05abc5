/*
 * Programs of xdp_program.h in the kernel, run on frames that no network has seen.
 */
#ifndef XDP_MADE_H
#define XDP_MADE_H

#include <stdbool.h>

#include "xdp_program.h"

/* A map's value as programs see it. */
struct xdp_made {
    int map;
    struct xdp_memory *memory;
};

/* False (and a sentence on stderr) where the kernel permits no BPF: exit with 77. */
bool xdp_made_open(struct xdp_made *m);

/* The descriptor of the program for an interface. */
int xdp_made_load(const struct xdp_made *m, const struct config *c, const char *interface);
/* The same of one that drops everything. */
int xdp_made_bare(void);

/* What the program says (XDP_DROP, ...) of a frame of 14 bytes at least, and, unless NULL,
 * what it took of `repeat` times, in ns. */
unsigned xdp_made_run(int program, const uint8_t *frame, size_t length, unsigned repeat,
                      unsigned *ns);

/* A TCP segment from `from` to `to`: XDP_MADE_FRAME bytes. */
enum { XDP_MADE_FRAME = 94 };
void xdp_made_frame(uint8_t *frame, const struct address *from, const struct address *to);

#endif
