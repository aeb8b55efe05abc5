/*
 * The tables into a transaction.
 */
#ifndef IPCLUSTERD_IO_NFT_INSTALL_H
#define IPCLUSTERD_IO_NFT_INSTALL_H

#include "nft_batch.h"
#include "nft_tables.h"

/* Adds the removal of both tables, whether or not they are there. */
void nft_install_remove(struct nft_batch *b);

/* Adds both tables, whole, with empty maps and no lease running. */
void nft_install(struct nft_batch *b, const struct nft_layout *l);

#endif
