/*
 * Which kernel this is, and which of its networks we are in. What is written down
 * about links, rules or claims is about these, and means nothing in others.
 */
#ifndef IPCLUSTERD_IO_BOOT_H
#define IPCLUSTERD_IO_BOOT_H

#include <stdbool.h>
#include <stdint.h>

enum { BOOT_ID_BYTES = 40 };

struct boot {
    char id[BOOT_ID_BYTES]; /* of this boot of the kernel, as text; "-" if it is not told */
    uint64_t network;       /* inode of our network namespace; 0 if it is not told */
};

/* Returns false if one of the two is not told: no other boot can be known by it. */
bool boot_read(struct boot *out);

#endif
