/*
 * What the run before left behind, and what this one leaves to the next: the stream
 * of the heartbeats in a file, the claims and their lease in the kernel.
 *
 * Both are needed, and both are of use only while that lease runs: the others have
 * not called this node dead then, and the core goes on (node_inherit). Without them,
 * or too late, the node is a newcomer, and its first rules let nothing in anew.
 */
#include <errno.h>
#include <string.h>

#include "daemon_private.h"
#include "ipclusterd/seal.h"

/* A lease with less left would run out before anybody has heard us; and of so little
 * new tables take nothing over (nft.c). */
#define LEAST_LEFT (40 * USEC_PER_MS)

static struct stream_owner owner_of(const struct daemon *d)
{
    static const uint8_t none[KEY_BYTES];
    const struct config *c = &d->config;
    bool next = memcmp(c->key_next, none, KEY_BYTES) != 0;
    return (struct stream_owner){.cluster = c->cluster,
                                 .node = c->node,
                                 .config_digest = d->node_config.config_digest,
                                 .key = seal_key_hash(c->key),
                                 .key_next = next ? seal_key_hash(c->key_next) : 0};
}

void heritage_open(struct daemon *d)
{
    struct heritage *h = &d->heritage;
    char directory[PATH_BYTES_MAX + 1];
    const struct stream_owner owner = owner_of(d);
    daemon_run_dir(&d->config, directory);
    int rc = stream_open(&h->stream, directory, &owner, &h->found);
    h->there = rc == 1;
    if (rc < 0)
        log_warn("daemon",
                 "cannot keep the stream of heartbeats in %s (%s): a restart of this daemon will "
                 "not go unnoticed",
                 directory, strerror(-rc));
}

bool heritage_plan(struct daemon *d)
{
    struct heritage *h = &d->heritage;
    if (!h->there)
        return false;
    int rc = nft_inherit(d->nft, &d->plan, &h->until);
    h->there = rc == 0 && instant_diff(h->until, loop_now()) >= LEAST_LEFT;
    if (!h->there)
        log_info("daemon", "the run before is not gone on with: %s",
                 rc == 0 || rc == -ETIME ? "its lease has run out"
                 : rc == -ENOENT         ? "the kernel does not have its rules"
                                         : strerror(-rc));
    return h->there;
}

static unsigned claims_count(const struct plan *p)
{
    unsigned count = 0;
    for (unsigned b = 0; b < p->buckets; b++)
        count += class_claims(p->class_of[b]);
    return count;
}

bool heritage_tell(struct daemon *d)
{
    struct heritage *h = &d->heritage;
    usec left = instant_diff(h->until, loop_now());
    if (h->there && left < LEAST_LEFT) {
        log_info("daemon", "the run before is not gone on with: its lease ran out meanwhile");
        h->there = false;
        return false;
    }
    if (!h->there)
        return true;
    const struct node_heritage heritage = {.plan = &d->plan, .left = left, .stream = h->found};
    node_inherit(d->node, &heritage);
    h->buckets = claims_count(&d->plan);
    log_info("daemon", "went on with %u buckets of the run before, its lease had %lld ms left",
             h->buckets, (long long)(left / USEC_PER_MS));
    return true;
}

void heritage_keep(struct daemon *d)
{
    const struct node_stream now = node_stream(d->node);
    if (d->heritage.stream != NULL)
        stream_write(d->heritage.stream, &now);
}

void heritage_reload(struct daemon *d)
{
    const struct stream_owner owner = owner_of(d);
    if (d->heritage.stream != NULL)
        stream_owner_set(d->heritage.stream, &owner);
}

void heritage_close(struct daemon *d, bool keep)
{
    if (keep)
        stream_close(d->heritage.stream);
    else
        stream_remove(d->heritage.stream);
    d->heritage.stream = NULL;
}
