/*
 * What the kernel holds of our tables, read back.
 */
#ifndef IPCLUSTERD_IO_NFT_READ_H
#define IPCLUSTERD_IO_NFT_READ_H

#include "ipclusterd/plan.h"
#include "nft_tables.h"

/*
 * Reads the plan that the tables carry out, RELEASE as LINGER, and how long all of
 * their leases have still to run. 0; -ENOENT: there are no tables, or not exactly
 * those that this program makes of `l`, or they do not say the same of every VIP;
 * -ETIME: the tables are ours, but a lease does not run; -errno. On error `plan` and
 * `left` mean nothing.
 */
int nft_read(const struct nft_layout *l, struct plan *plan, usec *left);

#endif
