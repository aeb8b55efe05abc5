/*
 * Memory in large pages, if the kernel has them to give: if not, it is slower.
 */
#include "large.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static size_t whole(size_t bytes)
{
    return (bytes + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
}

void *large_new(size_t bytes)
{
    size_t size = whole(bytes), more = size + LARGE_PAGE;
    char *at = mmap(NULL, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
    if (at == MAP_FAILED) {
        fputs("sim: out of memory\n", stderr);
        exit(2);
    }
    size_t before = (LARGE_PAGE - (uintptr_t)at % LARGE_PAGE) % LARGE_PAGE;
    if (before > 0)
        (void)munmap(at, before);
    at += before;
    (void)munmap(at + size, more - before - size);
    (void)madvise(at, size, MADV_HUGEPAGE);
    return at;
}

void large_free(void *at, size_t bytes)
{
    if (at != NULL)
        (void)munmap(at, whole(bytes));
}
