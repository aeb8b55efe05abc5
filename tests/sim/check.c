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
    [CHECK_S1] = "S1",
    [CHECK_S2] = "S2",
    [CHECK_S3] = "S3",
    [CHECK_S4] = "S4",
    [CHECK_S5] = "S5",
    [CHECK_S6] = "S6",
    [CHECK_S7] = "S7",
    [CHECK_S8] = "S8",
    [CHECK_HEAL] = "HEAL",
    [CHECK_LINGER] = "LINGER",
    [CHECK_CONTRACT] = "CONTRACT",
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
    for (unsigned i = 0; i < w->scenario.nodes; i++)
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
    if (w->until == (int)c || w->until == CHECK_KINDS)
        w->over = true;
    if (w->checks.violations++ < TOLD_MAX && !w->quiet)
        fprintf(stderr, "seed %" PRIu64 " at %" PRId64 ".%06" PRId64 ": violation of %s: %s\n",
                w->scenario.seed, w->now / 1000000, w->now % 1000000, check_names[c], text);
}

bool check_claims(const struct world *w, unsigned i, unsigned bucket)
{
    return hosts_test(&w->checks.claims[bucket], i) && world_kernel_up(w, i) &&
           kernel_leased(&w->host[i].kernel, w->now);
}

/* The host that takes what host r forwards, or -1. */
static int release_target(const struct world *w, unsigned r, unsigned bucket)
{
    const struct plan *p = &w->host[r].kernel.plan;
    uint16_t target = p->target_of[bucket];
    if (target >= MEMBERS_MAX)
        return -1;
    int t = world_host_with_mac(w, &p->target[target]);
    if (t < 0 || (unsigned)t == r || hosts_test(&w->net.cut[r], (unsigned)t) ||
        !world_kernel_up(w, (unsigned)t) || !kernel_leased(&w->host[t].kernel, w->now))
        return -1;
    enum bucket_class class = w->host[t].kernel.plan.class_of[bucket];
    return class_claims(class) || class == CLASS_LINGER ? t : -1;
}

struct hosts check_acceptors(const struct world *w, unsigned bucket)
{
    struct hosts found = {{0}};
    for (int i = HOST_NONE; (i = hosts_next(&w->checks.claims[bucket], i)) >= 0;)
        if (check_claims(w, (unsigned)i, bucket))
            hosts_set(&found, (unsigned)i);
    for (int r = HOST_NONE; (r = hosts_next(&w->checks.releases[bucket], r)) >= 0;) {
        if (!world_kernel_up(w, (unsigned)r) || !kernel_leased(&w->host[r].kernel, w->now))
            continue;
        int t = release_target(w, (unsigned)r, bucket);
        if (t >= 0)
            hosts_set(&found, (unsigned)t);
    }
    return found;
}

void check_class_changed(struct world *w, unsigned i, unsigned bucket, enum bucket_class old)
{
    struct checks *c = &w->checks;
    enum bucket_class new = w->host[i].kernel.plan.class_of[bucket];
    if ((int)bucket == w->trace.watch)
        trace_line(&w->trace, w->now, (int)i, "bucket %u: %s -> %s, %u flows", bucket,
                   bucket_class_name(old), bucket_class_name(new), w->host[i].kernel.flows[bucket]);
    hosts_assign(&c->claims[bucket], i, class_claims(new));
    hosts_assign(&c->releases[bucket], i, new == CLASS_RELEASE);
    bool doubtful = hosts_count(&c->claims[bucket]) + hosts_count(&c->releases[bucket]) > 1;
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

/* S1 binds both; of one that takes only what a third forwards, that third has to
 * be bound to the other as well: it is the one to stop. */
static bool pair_bound(const struct world *w, unsigned a, unsigned b, unsigned bucket)
{
    if (!net_bound(w, a, b))
        return false;
    for (int turn = 0; turn < 2; turn++) {
        unsigned by = turn == 0 ? a : b, other = turn == 0 ? b : a;
        bool direct = check_claims(w, by, bucket);
        const struct hosts *releases = &w->checks.releases[bucket];
        for (int r = HOST_NONE; !direct && (r = hosts_next(releases, r)) >= 0;)
            direct = release_target(w, (unsigned)r, bucket) == (int)by &&
                     (r == (int)other || net_bound(w, (unsigned)r, other));
        if (!direct)
            return false;
    }
    return true;
}

/* S1 and S3 on two hosts that both let the bucket's flows in. */
static bool check_pair(const struct world *w, unsigned a, unsigned b, unsigned bucket,
                       struct doubles *found, struct doubles *early)
{
    /* With a quorum there are never two, whoever hears whom. */
    if (w->scenario.majority || pair_bound(w, a, b, bucket)) {
        *found = (struct doubles){found->buckets + 1, a, b, bucket};
        return true;
    }
    /* A host whose daemon stopped, and one that took over too early: unless
     * its last heartbeats were lost, or its last renewal was asked for with a
     * heartbeat but took the kernel longer than the lease allows for. */
    usec spare = w->scenario.dead_after - w->scenario.lease - w->scenario.dead_after / 500;
    for (int turn = 0; turn < 2; turn++) {
        unsigned still = turn == 0 ? a : b, other = turn == 0 ? b : a;
        const struct host *h = &w->host[still];
        if ((h->state == HOST_BEREFT || h->state == HOST_PAUSED) &&
            check_claims(w, still, bucket) && check_claims(w, other, bucket) &&
            net_heard_until(w, still, other, h->stopped_at) &&
            w->net.trouble_from[still] < h->stopped_at - 2 * w->scenario.interval &&
            h->kernel.renewed_at - h->kernel.asked_at < spare) {
            *early = (struct doubles){early->buckets + 1, other, still, bucket};
            return true;
        }
    }
    return false;
}

/* Nothing binds two that are at work and do not hear each other: check_pair() has
 * nothing to find as long as that is so. */
static bool pair_settled(struct world *w, unsigned a, unsigned b)
{
    return !w->scenario.majority && w->host[a].state == HOST_RUNNING &&
           w->host[b].state == HOST_RUNNING && net_apart(w, a, b);
}

static void check_doubtful(struct world *w, unsigned bucket, struct doubles *found,
                           struct doubles *early)
{
    struct checks *c = &w->checks;
    struct hosts acceptors = check_acceptors(w, bucket);
    int first = hosts_first(&acceptors);
    if (first == HOST_NONE || hosts_next(&acceptors, first) == HOST_NONE) {
        bitmap_clear(&c->reported, bucket);
        bitmap_set(&c->settled, bucket); /* with time there can only be fewer */
        return;
    }
    if (bitmap_test(&c->reported, bucket))
        return;
    bool settled = true;
    for (int x = first; x >= 0; x = hosts_next(&acceptors, x))
        for (int y = x; (y = hosts_next(&acceptors, y)) >= 0;) {
            if (pair_settled(w, (unsigned)x, (unsigned)y))
                continue;
            settled = false;
            if (check_pair(w, (unsigned)x, (unsigned)y, bucket, found, early)) {
                bitmap_set(&c->reported, bucket);
                return;
            }
        }
    bitmap_assign(&c->settled, bucket, settled);
}

/* S3: nobody renews the lease of a daemon that does nothing. */
static void check_fenced(struct world *w, unsigned i)
{
    struct host *h = &w->host[i];
    int64_t last = h->stopped_at > h->kernel.busy_until ? h->stopped_at : h->kernel.busy_until;
    if (!kernel_leased(&h->kernel, w->now) || w->now <= last + world_span(w, i, w->scenario.lease))
        return;
    check_fail(w, CHECK_S3, "node%02u claims, its daemon stopped %lld us ago", i,
               (long long)(w->now - h->stopped_at));
    h->kernel.keep_lapsed = false;
    h->kernel.lease_until = w->now;
}

static void check_doubles(struct world *w)
{
    struct doubles found = {0}, early = {0};
    struct checks *c = &w->checks;
    if (c->looked != c->moves + w->net.turns) {
        c->looked = c->moves + w->net.turns;
        c->settled = (struct bitmap){0};
    }
    for (unsigned word = 0; word * 64 < w->scenario.buckets; word++)
        for (uint64_t m = c->doubtful.word[word] & ~c->settled.word[word]; m != 0; m &= m - 1)
            check_doubtful(w, word * 64 + (unsigned)__builtin_ctzll(m), &found, &early);
    if (found.buckets > 0)
        check_fail(w, CHECK_S1,
                   "node%02u and node%02u, %s, both accept bucket %u (%s, %s) and %u others",
                   found.a, found.b, net_relation(w, found.a, found.b), found.bucket,
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
    for (int i = HOST_NONE; (i = hosts_next(&w->stopped, i)) >= 0;)
        check_fenced(w, (unsigned)i);
    for (int i = HOST_NONE; (i = hosts_next(&w->unlooked, i)) >= 0;) {
        hosts_clear(&w->unlooked, (unsigned)i);
        if (w->host[i].state == HOST_RUNNING)
            check_view(w, (unsigned)i);
    }
}

/* S3: a daemon that comes back after its lease has run out must look about
 * before it renews it. Only judged when the network is not to blame, nor that a
 * renewal was under way while the whole host stood still. */
static void check_relapse(struct world *w, unsigned i)
{
    const struct host *h = &w->host[i];
    if (w->net.trouble_at >= h->stopped_at - 2 * w->scenario.interval ||
        h->kernel.asked_at <= h->stopped_at)
        return;
    for (unsigned b = 0; b < w->scenario.buckets; b++) {
        struct hosts others = w->checks.claims[b];
        hosts_clear(&others, i);
        int other = hosts_first(&others);
        if (other == HOST_NONE || !check_claims(w, i, b))
            continue;
        if (w->host[other].state == HOST_RUNNING && check_claims(w, (unsigned)other, b)) {
            check_fail(w, CHECK_S3, "node%02u renews a lapsed lease on bucket %u of node%02d", i, b,
                       other);
            return;
        }
    }
}

void check_kernel_changed(struct world *w, unsigned i, bool lapsed)
{
    check_cover_changed(w, i);
    if (lapsed && w->host[i].stopped_at > w->host[i].started_at)
        check_relapse(w, i);
}

/* What stands for each member in a table's hash. */
static void names_hash(const struct world *w, const struct status_tables *t, uint64_t hash[])
{
    for (size_t i = 0; i < t->members; i++) {
        int host = t->name[i] == NULL ? -1 : world_host_named(w, t->name[i]);
        hash[i] = t->name[i] == NULL ? 0 : host < 0 ? 1 : w->checks.name_hash[host];
    }
}

void check_view(struct world *w, unsigned i)
{
    struct checks *c = &w->checks;
    struct status_tables *t = &w->tables;
    struct status_brief s;
    uint64_t table = 0, name[MEMBERS_MAX];
    w->brain->brief(w->host[i].node, &s);
    w->brain->tables(w->host[i].node, t);
    names_hash(w, t, name);
    for (unsigned b = 0; b < w->scenario.buckets; b++) {
        uint64_t owner = t->owner[b] < 0 ? 0 : name[t->owner[b]];
        uint64_t home = t->home[b] < 0 ? 0 : name[t->home[b]];
        table = rng_mix(table * 3 + owner + 7 * home);
    }
    trace_number(&w->trace, table);
    size_t k = rng_mix(s.view) % TABLES_MAX;
    for (size_t tries = 0; tries < 64; tries++, k = (k + 1) % TABLES_MAX) {
        if (!c->table[k].used) {
            c->table[k].used = true;
            c->table[k].view = s.view;
            c->table[k].table = table;
            return;
        }
        if (c->table[k].view != s.view)
            continue;
        if (c->table[k].table != table)
            check_fail(w, CHECK_S6, "node%02u has another table for view %016" PRIx64, i, s.view);
        return;
    }
}
