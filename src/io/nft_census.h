/*
 * What there is of our tables, as one number: whether what is in the kernel is what
 * this program would put there.
 */
#ifndef IPCLUSTERD_IO_NFT_CENSUS_H
#define IPCLUSTERD_IO_NFT_CENSUS_H

#include "nft_tables.h"

/* All zero to begin with. */
struct nft_census {
    uint64_t sum;               /* of what was counted, in any order */
    char chain[NFT_NAME_BYTES]; /* of the last rule */
    unsigned place;             /* of the next rule in it */
};

/* A set ('s') or a chain ('c'). */
void nft_census_name(struct nft_census *c, char kind, enum nft_table t, const char *name);

/* The rules of a chain come one after the other. */
void nft_census_rule(struct nft_census *c, enum nft_table t, const char *chain,
                     const struct nftnl_rule *rule);

/* The sum of all that the tables of `l` consist of. 0 or -errno. */
int nft_census_expected(const struct nft_layout *l, uint64_t *out);

#endif
