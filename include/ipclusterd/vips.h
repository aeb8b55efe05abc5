/*
 * What a node tells of its configuration, so that members may differ in their
 * lists of VIPs while a change makes its way: hashes of what must be alike in any
 * case, of each VIP's address, and of all that must be alike about it.
 */
#ifndef IPCLUSTERD_VIPS_H
#define IPCLUSTERD_VIPS_H

#include "ipclusterd/types.h"

struct vips_word {
    uint64_t common; /* of all but the VIPs; 0: nothing is told */
    size_t count;
    struct vip_word {
        uint32_t address, rest;
    } vip[VIPS_MAX]; /* ascending by address, no two of one */
};

/* True if both tell, what is common is alike, and so is every VIP that both have. */
bool vips_fit(const struct vips_word *a, const struct vips_word *b);

/* Files a VIP in its place; two whose addresses have one hash become one. Room is
 * the caller's business. */
void vips_add(struct vips_word *w, struct vip_word vip);

/* The one becomes the other; what is beyond its count stays as it was. */
void vips_take(struct vips_word *to, const struct vips_word *from);

#endif
