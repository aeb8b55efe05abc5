/*
 * Two lists of VIPs fit if no VIP that both have differs. Both are sorted, so they
 * are walked side by side. This does not carry over: two that do not fit each other
 * may both fit a third, which node_stranger.c has to judge.
 */
#include "ipclusterd/vips.h"

#include <assert.h>
#include <string.h>

bool vips_fit(const struct vips_word *a, const struct vips_word *b)
{
    size_t i = 0, k = 0;
    if (a->common == 0 || a->common != b->common)
        return false;
    while (i < a->count && k < b->count) {
        const struct vip_word *x = &a->vip[i], *y = &b->vip[k];
        if (x->address == y->address && x->rest != y->rest)
            return false;
        i += x->address <= y->address;
        k += y->address <= x->address;
    }
    return true;
}

void vips_add(struct vips_word *w, struct vip_word vip)
{
    size_t at = 0;
    while (at < w->count && w->vip[at].address < vip.address)
        at++;
    if (at < w->count && w->vip[at].address == vip.address) {
        w->vip[at].rest ^= vip.rest;
        return;
    }
    assert(w->count < VIPS_MAX);
    memmove(&w->vip[at + 1], &w->vip[at], (w->count - at) * sizeof w->vip[0]);
    w->vip[at] = vip;
    w->count++;
}

void vips_take(struct vips_word *to, const struct vips_word *from)
{
    to->common = from->common;
    to->count = from->count;
    memcpy(to->vip, from->vip, from->count * sizeof from->vip[0]);
}
