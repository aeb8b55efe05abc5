/*
 * One bucket on this node: which class it has next.
 *
 *              mine, not yet granted
 *     FOREIGN -----------------------> LINGER ("prepared")
 *        ^                               |  granted
 *        | no flows                      v
 *     LINGER <--- RELEASE <--- ADOPT <-> OWN
 *        owner claims   owner ready
 *
 * A hand-over takes four heartbeats and has no moment with two acceptors and
 * none with no path: the new owner prepares (it will take what is forwarded to
 * it); the old one releases (forwards new flows); the new one claims, since
 * nobody does; the old one lingers until its last flow has ended.
 */
#ifndef IPCLUSTERD_BUCKET_H
#define IPCLUSTERD_BUCKET_H

#include "ipclusterd/plan.h"

/* What one bucket's step depends on. */
struct bucket_view {
    bool mine;         /* the owner table gives it to this node */
    bool agreed;       /* all the living agree on the view */
    bool granted;      /* they do, and none claims it */
    bool yield;        /* another claims it too, and goes first */
    bool owner_claims; /* its owner, another node, claims it */
    bool owner_ready;  /* its owner, another node, is prepared for it */
    bool others_flows; /* a living member claims it or lingers on it */
    bool holding;      /* a member that may have its flows died lately */
    bool flows;        /* this node has, or may have, flows of it */
};

enum bucket_class bucket_next(enum bucket_class now, const struct bucket_view *v);

#endif
