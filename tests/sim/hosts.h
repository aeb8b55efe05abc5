/*
 * A set of hosts, one bit each.
 */
#ifndef SIM_HOSTS_H
#define SIM_HOSTS_H

#include <stdbool.h>
#include <stdint.h>

enum { HOSTS_MAX = 256, HOSTS_WORDS = HOSTS_MAX / 64 };

struct hosts {
    uint64_t word[HOSTS_WORDS];
};

/* No host: what hosts_next() finds in the end. */
enum { HOST_NONE = -1 };

static inline bool hosts_test(const struct hosts *s, unsigned host)
{
    return (s->word[host / 64] >> (host % 64) & 1) != 0;
}

static inline void hosts_set(struct hosts *s, unsigned host)
{
    s->word[host / 64] |= (uint64_t)1 << (host % 64);
}

static inline void hosts_clear(struct hosts *s, unsigned host)
{
    s->word[host / 64] &= ~((uint64_t)1 << (host % 64));
}

static inline void hosts_assign(struct hosts *s, unsigned host, bool on)
{
    if (on)
        hosts_set(s, host);
    else
        hosts_clear(s, host);
}

static inline struct hosts hosts_of(unsigned host)
{
    struct hosts s = {{0}};
    hosts_set(&s, host);
    return s;
}

/* The hosts 0 .. count - 1. */
static inline struct hosts hosts_below(unsigned count)
{
    struct hosts s = {{0}};
    for (unsigned i = 0; i < HOSTS_WORDS; i++)
        if (count >= (i + 1) * 64)
            s.word[i] = UINT64_MAX;
        else if (count > i * 64)
            s.word[i] = ((uint64_t)1 << (count - i * 64)) - 1;
    return s;
}

static inline bool hosts_empty(const struct hosts *s)
{
    uint64_t any = 0;
    for (unsigned i = 0; i < HOSTS_WORDS; i++)
        any |= s->word[i];
    return any == 0;
}

static inline bool hosts_equal(const struct hosts *a, const struct hosts *b)
{
    uint64_t differ = 0;
    for (unsigned i = 0; i < HOSTS_WORDS; i++)
        differ |= a->word[i] ^ b->word[i];
    return differ == 0;
}

static inline unsigned hosts_count(const struct hosts *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < HOSTS_WORDS; i++)
        n += (unsigned)__builtin_popcountll(s->word[i]);
    return n;
}

/* into |= from */
static inline void hosts_merge(struct hosts *into, const struct hosts *from)
{
    for (unsigned i = 0; i < HOSTS_WORDS; i++)
        into->word[i] |= from->word[i];
}

/* The first host of the set after `host`, or HOST_NONE; hosts_next(s, HOST_NONE)
 * is the first of all. */
static inline int hosts_next(const struct hosts *s, int host)
{
    unsigned from = (unsigned)(host + 1);
    for (unsigned i = from / 64; i < HOSTS_WORDS; i++) {
        uint64_t word = s->word[i];
        if (i == from / 64)
            word &= UINT64_MAX << (from % 64);
        if (word != 0)
            return (int)(i * 64) + __builtin_ctzll(word);
    }
    return HOST_NONE;
}

static inline int hosts_first(const struct hosts *s)
{
    return hosts_next(s, HOST_NONE);
}

#endif
