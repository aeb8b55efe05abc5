/*
 * What the pages derive from a status, the same on each of them.
 */
#ifndef IPCLUSTERD_IO_CTL_FIGURES_H
#define IPCLUSTERD_IO_CTL_FIGURES_H

#include "ctl.h"

/* Buckets without an owner, without a claimant, and with more than one. */
struct ctl_coverage {
    unsigned unowned, unclaimed, contested;
};
struct ctl_coverage ctl_coverage(const struct status *s);

/* Alive, also if it is suspect or held. */
bool ctl_member_lives(const struct status_member *m);

/* How many voters are a majority; 0 without voters. */
size_t ctl_quorum_needed(const struct status *s);

/* "none", "majority". */
const char *ctl_quorum_name(enum quorum_policy p);

/* The hash of the key in cluster.key_file_next, also when it is in use already; 0:
 * there is none. */
uint64_t ctl_key_next(const struct status *s);

/* Every reason for which heartbeats are rejected, and its name on the pages. */
struct ctl_reject {
    enum reject why;
    const char *name;
};
enum { CTL_REJECTS = REJECT_MAX - 1 };
extern const struct ctl_reject ctl_rejects[CTL_REJECTS];

#endif
