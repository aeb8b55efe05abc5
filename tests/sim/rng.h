/*
 * Random numbers of the simulator: splitmix64, integers only, so that a seed
 * means the same run with every compiler. Each part of the world has a stream
 * of its own, so that a change in one does not shift the draws of another.
 */
#ifndef SIM_RNG_H
#define SIM_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

static inline uint64_t rng_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Stream number `stream` of `seed`. */
static inline struct rng rng_make(uint64_t seed, uint64_t stream)
{
    return (struct rng){rng_mix(seed + 0x9e3779b97f4a7c15u) ^ rng_mix(~stream)};
}

static inline uint64_t rng_next(struct rng *r)
{
    r->state += 0x9e3779b97f4a7c15u;
    return rng_mix(r->state);
}

/* 0 .. n - 1; n > 0. The bias is far below what a run could show. */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
    return rng_next(r) % n;
}

/* lo .. hi, both included; lo <= hi. */
static inline int64_t rng_between(struct rng *r, int64_t lo, int64_t hi)
{
    return lo + (int64_t)rng_below(r, (uint64_t)(hi - lo) + 1);
}

/* True in `ppm` of a million cases. */
static inline bool rng_chance(struct rng *r, uint32_t ppm)
{
    return ppm != 0 && rng_below(r, 1000000) < ppm;
}

/* lo .. hi with equal weight to every power of two between; 0 < lo <= hi. */
static inline int64_t rng_scaled(struct rng *r, int64_t lo, int64_t hi)
{
    unsigned doublings = 0;
    while (lo << (doublings + 1) <= hi)
        doublings++;
    int64_t low = lo << rng_below(r, doublings + 1);
    int64_t high = low * 2 - 1 < hi ? low * 2 - 1 : hi;
    return rng_between(r, low, high);
}

#endif
