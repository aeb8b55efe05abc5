/*
 * Words that every layer shares: limits, names, addresses, instants.
 *
 * No header of the core includes a socket, libevent or netlink header; the
 * shell converts at its edge.
 */
#ifndef IPCLUSTERD_TYPES_H
#define IPCLUSTERD_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* tests/model compiles the core with lower limits. */
#ifndef LIMIT_MEMBERS
#define LIMIT_MEMBERS 256
#endif
#ifndef LIMIT_VIPS
#define LIMIT_VIPS 32
#endif
#ifndef LIMIT_BUCKETS_MIN
#define LIMIT_BUCKETS_MIN 16
#endif
#ifndef LIMIT_BUCKETS_MAX
#define LIMIT_BUCKETS_MAX 4096 /* a multiple of 64: see bitmap.h */
#endif

enum {
    NAME_BYTES_MAX = 63,             /* node and cluster names, without the NUL */
    MEMBERS_MAX = LIMIT_MEMBERS,     /* members of one roster, ourselves included */
    BUCKETS_MIN = LIMIT_BUCKETS_MIN, /* a power of two ... */
    BUCKETS_MAX = LIMIT_BUCKETS_MAX, /* ... up to here */
    VIPS_MAX = LIMIT_VIPS,           /* virtual addresses of one cluster */
    VIP_BUCKETS_MAX = 16384,         /* buckets of all of them: map elements of one commit */
    WEIGHT_MAX = 1000,               /* a member's weight; 0 owns nothing */
    DATAGRAM_MAX = 1452,             /* UDP payload: 1500 less an IPv6 and a UDP header */
    KEY_BYTES = 32,                  /* the cluster key */
    CONFIG_PARTS = 8,                /* parts of the configuration that members compare */
};

/* An instant of the monotonic clock (CLOCK_BOOTTIME in the daemon), in
 * microseconds. Its origin means nothing; only differences do. */
typedef struct {
    int64_t us;
} instant;

/* A span of time in microseconds. */
typedef int64_t usec;

#define USEC_PER_MS ((usec)1000)
#define USEC_PER_S ((usec)1000000)

/* Later than any instant that a clock shows: "no deadline". */
#define INSTANT_NEVER ((instant){INT64_MAX})
/* Earlier than any instant: "has not happened". */
#define INSTANT_PAST ((instant){INT64_MIN / 2})

static inline instant instant_add(instant t, usec d)
{
    return (instant){t.us + d};
}

static inline usec instant_diff(instant later, instant earlier)
{
    return later.us - earlier.us;
}

static inline bool instant_before(instant a, instant b)
{
    return a.us < b.us;
}

static inline instant instant_min(instant a, instant b)
{
    return a.us < b.us ? a : b;
}

static inline instant instant_max(instant a, instant b)
{
    return a.us > b.us ? a : b;
}

/* An Ethernet address. All zero: unknown. */
struct mac {
    uint8_t byte[6];
};

enum family {
    FAMILY_NONE = 0,
    FAMILY_IP4 = 4,
    FAMILY_IP6 = 6,
};

/* An IP address in network byte order; IPv4 uses the first four bytes. */
struct address {
    enum family family;
    uint8_t byte[16];
};

#endif
