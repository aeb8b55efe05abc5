/*
 * Large memory. What happens is of another host each time, all over it: in pages of the
 * usual size much of the time would go into looking up where they are.
 */
#ifndef SIM_LARGE_H
#define SIM_LARGE_H

#include <stddef.h>

enum { LARGE_PAGE = 2 << 20 };

/* Zeros, from the beginning of a large page, which it takes only where it is used. Ends
 * the program without memory. */
void *large_new(size_t bytes);
void large_free(void *at, size_t bytes); /* as it was asked for; NULL: nothing to do */

#endif
