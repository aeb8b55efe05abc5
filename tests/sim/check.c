/*
 * The checks look at the fake kernels and at what was really delivered, not at
 * what the nodes believe; only S6 and convergence read a node's own status.
 * Each is written so that an honest cluster cannot fail it by bad luck: the
 * exceptions that the design allows are named where they are made.
 */
#include "check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

enum { TOLD_MAX = 20 /* violations printed of one run */ };

static const char *const check_names[CHECK_KINDS] = {
    [CHECK_S1] = "S1",     [CHECK_S2] = "S2",
    [CHECK_S3] = "S3",     [CHECK_S4] = "S4",
    [CHECK_S5] = "S5",     [CHECK_S6] = "S6",
    [CHECK_S7] = "S7",     [CHECK_S8] = "S8",
    [CHECK_HEAL] = "HEAL", [CHECK_CONTRACT] = "CONTRACT",
};

const char *check_name(enum check c)
{
    return check_names[c];
}

static uint64_t text_hash(const char *s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *s != '\0'; s++)
        h = (h ^ (uint8_t)*s) * 0x100000001b3u;
    return h;
}

void checks_reset(struct checks *c, const struct world *w)
{
    memset(c, 0, sizeof *c);
    for (unsigned i = 0; i < HOSTS_MAX; i++)
        c->name_hash[i] = text_hash(w->host[i].config.name);
}

void check_fail(struct world *w, enum check c, const char *format, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    trace_number(&w->trace, 0xbad00u + (uint64_t)c);
    trace_line(&w->trace, w->now, -1, "VIOLATION %s: %s", check_names[c], text);
    w->checks.of[c]++;
    if (w->checks.violations++ < TOLD_MAX && !w->quiet)
        fprintf(stderr, "seed %" PRIu64 " at %" PRId64 ".%06" PRId64 ": violation of %s: %s\n",
                w->scenario.seed, w->now / 1000000, w->now % 1000000, check_names[c], text);
}

static bool host_claims(const struct world *w, unsigned i, unsigned bucket)
{
    return (w->checks.claims[bucket] >> i & 1) != 0 && kernel_leased(&w->host[i].kernel, w->now);
}

/* The host that takes what host r forwards, or -1. */
static int release_target(const struct world *w, unsigned r, unsigned bucket)
{
    const struct plan *p = &w->host[r].kernel.plan;
    uint16_t target = p->target_of[bucket];
    if (target >= MEMBERS_MAX)
        return -1;
    int t = world_host_with_mac(w, &p->target[target]);
    if (t < 0 || (unsigned)t == r || (w->net.cut[r] >> t & 1) != 0 ||
        !world_kernel_up(w, (unsigned)t) || !kernel_leased(&w->host[t].kernel, w->now))
        return -1;
    enum bucket_class class = w->host[t].kernel.plan.class_of[bucket];
    return class_claims(class) || class == CLASS_LINGER ? t : -1;
}

uint64_t check_acceptors(const struct world *w, unsigned bucket)
{
    uint64_t found = 0;
    for (uint64_t m = w->checks.claims[bucket]; m != 0; m &= m - 1) {
        unsigned i = (unsigned)__builtin_ctzll(m);
        if (kernel_leased(&w->host[i].kernel, w->now))
            found |= (uint64_t)1 << i;
    }
    for (uint64_t m = w->checks.releases[bucket]; m != 0; m &= m - 1) {
        unsigned r = (unsigned)__builtin_ctzll(m);
        if (!kernel_leased(&w->host[r].kernel, w->now))
            continue;
        int t = release_target(w, r, bucket);
        if (t >= 0)
            found |= (uint64_t)1 << t;
    }
    return found;
}

static void set_bit(uint64_t *set, unsigned bit, bool on)
{
    *set = (*set & ~((uint64_t)1 << bit)) | (uint64_t)on << bit;
}

void check_class_changed(struct world *w, unsigned i, unsigned bucket, enum bucket_class old)
{
    struct checks *c = &w->checks;
    enum bucket_class new = w->host[i].kernel.plan.class_of[bucket];
    if ((int)bucket == w->trace.watch)
        trace_line(&w->trace, w->now, (int)i, "bucket %u: %s -> %s, %u flows", bucket,
                   bucket_class_name(old), bucket_class_name(new), w->host[i].kernel.flows[bucket]);
    set_bit(&c->claims[bucket], i, class_claims(new));
    set_bit(&c->releases[bucket], i, new == CLASS_RELEASE);
    bool doubtful =
        __builtin_popcountll(c->claims[bucket]) + __builtin_popcountll(c->releases[bucket]) > 1;
    if (doubtful != bitmap_test(&c->doubtful, bucket)) {
        bitmap_assign(&c->doubtful, bucket, doubtful);
        c->doubtful_count = doubtful ? c->doubtful_count + 1 : c->doubtful_count - 1;
        bitmap_clear(&c->reported, bucket);
    }
    if (new == CLASS_FOREIGN && old != CLASS_FOREIGN)
        flow_shut_out(w, i, bucket);
}

/* Double acceptors found after one event: told of together. By S1 two that hear
 * each other; by S3 (early) a has taken over from b, whose lease goes on. */
struct doubles {
    unsigned buckets, a, b, bucket; /* how many; one of them */
};

/* Both hear each other; of one that takes only what a third forwards, that
 * third has to hear the other as well: it is the one to stop. */
static bool pair_hears(const struct world *w, unsigned a, unsigned b, unsigned bucket)
{
    if (!net_hear_each_other(w, a, b))
        return false;
    for (int turn = 0; turn < 2; turn++) {
        unsigned by = turn == 0 ? a : b, other = turn == 0 ? b : a;
        bool direct = host_claims(w, by, bucket);
        for (uint64_t m = w->checks.releases[bucket]; m != 0 && !direct; m &= m - 1) {
            unsigned r = (unsigned)__builtin_ctzll(m);
            direct = release_target(w, r, bucket) == (int)by &&
                     (r == other || net_hear_each_other(w, r, other));
        }
        if (!direct)
            return false;
    }
    return true;
}

/* S1 and S3 on two hosts that both let the bucket's flows in. */
static bool check_pair(const struct world *w, unsigned a, unsigned b, unsigned bucket,
                       struct doubles *found, struct doubles *early)
{
    if (pair_hears(w, a, b, bucket)) {
        *found = (struct doubles){found->buckets + 1, a, b, bucket};
        return true;
    }
    /* A host whose daemon stopped, and one that took over too early: unless
     * its last heartbeats were lost, or its last renewal was asked for with a
     * heartbeat but took the kernel longer than the lease allows for. */
    usec spare = w->scenario.dead_after - w->scenario.lease;
    for (int turn = 0; turn < 2; turn++) {
        unsigned still = turn == 0 ? a : b, other = turn == 0 ? b : a;
        const struct host *h = &w->host[still];
        if ((h->state == HOST_BEREFT || h->state == HOST_PAUSED) && host_claims(w, still, bucket) &&
            host_claims(w, other, bucket) && net_heard_until(w, still, other, h->stopped_at) &&
            w->net.trouble_from[still] < h->stopped_at - 2 * w->scenario.interval &&
            h->kernel.renewed_at - h->kernel.asked_at < spare) {
            *early = (struct doubles){early->buckets + 1, other, still, bucket};
            return true;
        }
    }
    return false;
}

static void check_doubtful(struct world *w, unsigned bucket, struct doubles *found,
                           struct doubles *early)
{
    struct checks *c = &w->checks;
    uint64_t acceptors = check_acceptors(w, bucket);
    if ((acceptors & (acceptors - 1)) == 0) {
        bitmap_clear(&c->reported, bucket);
        return;
    }
    if (bitmap_test(&c->reported, bucket))
        return;
    for (uint64_t m = acceptors; m != 0; m &= m - 1)
        for (uint64_t k = m & (m - 1); k != 0; k &= k - 1)
            if (check_pair(w, (unsigned)__builtin_ctzll(m), (unsigned)__builtin_ctzll(k), bucket,
                           found, early)) {
                bitmap_set(&c->reported, bucket);
                return;
            }
}

/* S3: nobody renews the lease of a daemon that does nothing. */
static void check_fenced(struct world *w, unsigned i)
{
    struct host *h = &w->host[i];
    int64_t last = h->stopped_at > h->kernel.busy_until ? h->stopped_at : h->kernel.busy_until;
    if (!kernel_leased(&h->kernel, w->now) || w->now <= last + w->scenario.lease)
        return;
    check_fail(w, CHECK_S3, "node%02u claims, its daemon stopped %lld us ago", i,
               (long long)(w->now - h->stopped_at));
    h->kernel.keep_lapsed = false;
    h->kernel.lease_until = w->now;
}

static void check_doubles(struct world *w)
{
    struct doubles found = {0}, early = {0};
    for (unsigned word = 0; word * 64 < w->scenario.buckets; word++)
        for (uint64_t m = w->checks.doubtful.word[word]; m != 0; m &= m - 1)
            check_doubtful(w, word * 64 + (unsigned)__builtin_ctzll(m), &found, &early);
    if (found.buckets > 0)
        check_fail(w, CHECK_S1,
                   "node%02u and node%02u both accept bucket %u (%s, %s) and %u others", found.a,
                   found.b, found.bucket,
                   bucket_class_name(w->host[found.a].kernel.plan.class_of[found.bucket]),
                   bucket_class_name(w->host[found.b].kernel.plan.class_of[found.bucket]),
                   found.buckets - 1);
    if (early.buckets > 0)
        check_fail(w, CHECK_S3,
                   "node%02u took bucket %u and %u others from node%02u, whose lease goes on for "
                   "%lld us",
                   early.a, early.bucket, early.buckets - 1, early.b,
                   (long long)(w->host[early.b].kernel.lease_until - w->now));
}

void check_always(struct world *w)
{
    if (w->checks.doubtful_count > 0)
        check_doubles(w);
    for (unsigned i = 0; i < w->scenario.nodes; i++) {
        struct host *h = &w->host[i];
        if (h->state == HOST_BEREFT || h->state == HOST_PAUSED)
            check_fenced(w, i);
        if (h->unlooked) {
            h->unlooked = false;
            if (h->state == HOST_RUNNING)
                check_view(w, i);
        }
    }
}

/* S3: a daemon that comes back after its lease has run out must look about
 * before it renews it. Only judged when the network is not to blame. */
static void check_relapse(struct world *w, unsigned i)
{
    const struct host *h = &w->host[i];
    if (w->net.trouble_at >= h->stopped_at - 2 * w->scenario.interval)
        return;
    for (unsigned b = 0; b < w->scenario.buckets; b++) {
        uint64_t others = w->checks.claims[b] & ~((uint64_t)1 << i);
        if (!host_claims(w, i, b) || others == 0)
            continue;
        unsigned other = (unsigned)__builtin_ctzll(others);
        if (w->host[other].state == HOST_RUNNING && host_claims(w, other, b)) {
            check_fail(w, CHECK_S3, "node%02u renews a lapsed lease on bucket %u of node%02u", i, b,
                       other);
            return;
        }
    }
}

/* Closes the gaps of buckets that have a path (again), or with `all` all. */
static void check_gaps(struct world *w, bool all)
{
    struct checks *c = &w->checks;
    usec longest = 0;
    unsigned count = 0, as = 0;
    for (unsigned b = 0; b < w->scenario.buckets; b++) {
        bool path = check_acceptors(w, b) != 0;
        if (!path && c->gap_since[b] < 0)
            c->gap_since[b] = w->now;
        if ((!path && !all) || c->gap_since[b] < 0)
            continue;
        usec gap = w->now - c->gap_since[b];
        c->gap_since[b] = -1;
        count += gap > 0;
        if (gap > longest) {
            longest = gap;
            as = b;
        }
    }
    if (longest > c->worst_gap)
        c->worst_gap = longest;
    if (count > 0)
        check_fail(w, CHECK_S2, "%u buckets had no path for %lld us of a hand-over, as bucket %u",
                   count, (long long)longest, as);
}

void check_gaps_begin(struct world *w)
{
    w->checks.gaps_watched = true;
    memset(w->checks.gap_since, 0xff, sizeof w->checks.gap_since);
    check_gaps(w, false);
}

void check_gaps_end(struct world *w)
{
    struct checks *c = &w->checks;
    if (!c->gaps_watched)
        return;
    check_gaps(w, true);
    c->gaps_watched = false;
}

static void check_bereft(struct world *w, unsigned i)
{
    struct checks *c = &w->checks;
    if (i == c->dead || c->bereft_count == 0)
        return;
    for (unsigned b = 0; b < w->scenario.buckets; b++)
        if (bitmap_test(&c->bereft, b) && host_claims(w, i, b)) {
            bitmap_clear(&c->bereft, b);
            c->bereft_count--;
        }
    if (c->bereft_count > 0)
        return;
    usec took = w->now - w->net.heard_by_any[c->dead];
    if (took > c->worst_takeover)
        c->worst_takeover = took;
    if (took > check_takeover_limit(w))
        check_fail(w, CHECK_S2, "the buckets of node%02u were taken over only after %lld us",
                   c->dead, (long long)took);
}

void check_kernel_changed(struct world *w, unsigned i, bool lapsed)
{
    if (w->checks.death_watched)
        check_bereft(w, i);
    if (w->checks.gaps_watched)
        check_gaps(w, false);
    if (lapsed && w->host[i].stopped_at > w->host[i].started_at)
        check_relapse(w, i);
}

usec check_takeover_limit(const struct world *w)
{
    const struct scenario *s = &w->scenario;
    return s->dead_after + 2 * s->interval + 2 * s->kernel_calm.commit_max +
           4 * (s->net_calm.delay_min + s->net_calm.delay_jitter) + 2 * s->timer_late;
}

void check_death_begin(struct world *w, unsigned i)
{
    struct checks *c = &w->checks;
    c->death_watched = true;
    c->dead = i;
    c->death_at = w->now;
    c->bereft = (struct bitmap){0};
    c->bereft_count = 0;
    for (unsigned b = 0; b < w->scenario.buckets; b++)
        if (host_claims(w, i, b)) {
            bitmap_set(&c->bereft, b);
            c->bereft_count++;
        }
}

void check_death_end(struct world *w)
{
    struct checks *c = &w->checks;
    if (!c->death_watched)
        return;
    c->death_watched = false;
    if (c->bereft_count == 0)
        return;
    unsigned b = 0;
    while (!bitmap_test(&c->bereft, b))
        b++;
    check_fail(w, CHECK_S2, "%u buckets of dead node%02u are not claimed, as bucket %u",
               c->bereft_count, c->dead, b);
}

static uint64_t name_of(const struct world *w, const struct status *s, int member)
{
    if (member < 0)
        return 0;
    int i = world_host_named(w, s->member[member].name);
    return i < 0 ? 1 : w->checks.name_hash[i];
}

void check_view(struct world *w, unsigned i)
{
    struct checks *c = &w->checks;
    struct status *s = w->status;
    w->brain->status(w->host[i].node, world_clock(w, i), s);
    uint64_t table = 0;
    for (unsigned b = 0; b < w->scenario.buckets; b++)
        table = rng_mix(table * 3 + name_of(w, s, s->bucket[b].owner) +
                        7 * name_of(w, s, s->bucket[b].home));
    trace_number(&w->trace, table);
    size_t k = rng_mix(s->view) % TABLES_MAX;
    for (size_t tries = 0; tries < 64; tries++, k = (k + 1) % TABLES_MAX) {
        if (!c->table[k].used) {
            c->table[k].used = true;
            c->table[k].view = s->view;
            c->table[k].table = table;
            return;
        }
        if (c->table[k].view != s->view)
            continue;
        if (c->table[k].table != table)
            check_fail(w, CHECK_S6, "node%02u has another table for view %016" PRIx64, i, s->view);
        return;
    }
}
