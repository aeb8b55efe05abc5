/*
 * Somebody else's hand in our tables, as the kernel notifies it.
 */
#ifndef IPCLUSTERD_IO_NFT_WATCH_H
#define IPCLUSTERD_IO_NFT_WATCH_H

#include <stdint.h>

struct mnl_socket;

struct nft_watch {
    struct mnl_socket *socket;
    uint32_t own_portid; /* whose changes are ours */
};

/* 0 or -errno. */
int nft_watch_open(struct nft_watch *w, uint32_t own_portid);
void nft_watch_close(struct nft_watch *w);

/*
 * No news for a while, and again: making it is half the price, and most of the
 * memory, of a commit of many elements, even if the filter drops it. The caller
 * has to look by other means for what others did meanwhile. 0 or -errno.
 */
int nft_watch_pause(struct nft_watch *w);
int nft_watch_resume(struct nft_watch *w);

/* Reads all that waits: 1 if our tables were changed or news was lost, 0, -errno. */
int nft_watch_drain(struct nft_watch *w);

#endif
