/*
 * What is another's, dropped by a program at each interface that has VIPs (XDP),
 * before the kernel makes packets of the frames. What it lets through is judged by the
 * rules (nft.h) as ever, and it drops nothing that they would not.
 *
 * It goes with the process, however that ends. After xdp_open() and xdp_change() there
 * are no system calls: the plan is memory that the program reads.
 */
#ifndef IPCLUSTERD_IO_XDP_H
#define IPCLUSTERD_IO_XDP_H

#include <stdio.h>

#include "ipclusterd/config.h"
#include "ipclusterd/plan.h"
#include "nft.h"

struct xdp;

enum { XDP_WHY_BYTES = 256 };

/*
 * Attaches the program to every interface that has a VIP whose packets it can judge,
 * as c->xdp says. It drops nothing before xdp_follow(). `place` as for nft_open().
 * *out is NULL if c->xdp is off, and if nothing could be done; all else here takes
 * NULL. 0, or -errno and a sentence in `why` (XDP_WHY_BYTES), of the first fault; the
 * interfaces without one have it.
 */
int xdp_open(struct xdp **out, const struct config *c, const struct nft_place *place, char *why);
void xdp_close(struct xdp *x);

/* The kernel has the plan: drops what is another's in it. */
void xdp_follow(struct xdp *x, const struct plan *plan);

/* Lets everything pass until the next xdp_follow(): the rules change as a whole. */
void xdp_pass(struct xdp *x);
/* Between the two: another configuration, with the same c->xdp. Counts begin at 0. As
 * xdp_open(). */
int xdp_change(struct xdp *x, const struct config *c, const struct nft_place *place, char *why);

/* Whether packets to VIP `vip` are judged by the program. */
bool xdp_attached(const struct xdp *x, size_t vip);
/* Packets to it that the program has dropped. */
uint64_t xdp_dropped(const struct xdp *x, size_t vip);

/* "off", "native", "generic". */
const char *xdp_mode_name(enum xdp_mode mode);
/* As comments of nft(8), a line for each VIP: what the program drops; `x` NULL: what it
 * would, by the configuration. */
void xdp_print(const struct xdp *x, const struct config *c, FILE *out);

#endif
