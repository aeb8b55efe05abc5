/*
 * What the control socket may ask of the daemon, and the status dump of USR1.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_private.h"
#include "io/conf.h"

enum { WHY_BYTES = 256 };

const struct status *daemon_status(struct daemon *d)
{
    if (d->status == NULL)
        d->status = malloc(sizeof *d->status);
    if (d->status != NULL)
        node_status(d->node, loop_now(), d->status);
    return d->status;
}

static size_t ops_standby(void *arg, unsigned bucket, int *order, size_t max)
{
    const struct daemon *d = arg;
    return node_standby(d->node, bucket, order, max);
}

static const struct ctl_view *ops_view(void *arg)
{
    struct daemon *d = arg;
    if (daemon_status(d) == NULL)
        return NULL;
    for (size_t i = 0; i < d->config.vips; i++)
        if (nft_counters(d->nft, i, &d->packets[i]) < 0)
            d->packets[i] = (struct nft_counters){0};
    d->view = (struct ctl_view){
        .config = &d->config,
        .status = d->status,
        .counts = &d->counts,
        .packets = d->packets,
        .standby = ops_standby,
        .standby_arg = d,
    };
    return &d->view;
}

static int refuse(char *why, int rc, const char *sentence, const char *member)
{
    snprintf(why, WHY_BYTES, "%s%s", member, sentence);
    return rc;
}

static const struct status_member *member_find(const struct status *s, const char *name)
{
    for (size_t i = 0; i < s->members; i++)
        if (strcmp(s->member[i].name, name) == 0)
            return &s->member[i];
    return NULL;
}

/* Whether `verb` makes sense for `member`; the core ignores what does not. */
static int control_check(struct daemon *d, enum control_verb verb, const char *member, char *why)
{
    if (member == NULL || strcmp(member, d->config.node) == 0)
        return verb != CONTROL_FORGET ? 0 : refuse(why, -EINVAL, "a node cannot forget itself", "");
    const struct status *s = daemon_status(d);
    if (s == NULL)
        return refuse(why, -ENOMEM, "not enough memory", "");
    const struct status_member *m = member_find(s, member);
    if (m == NULL)
        return refuse(why, -ENOENT, " is not on the roster", member);
    bool gone = m->state == MEMBER_DEAD || m->state == MEMBER_LEFT;
    if (verb == CONTROL_FORGET && !gone)
        return refuse(why, -EBUSY, " is alive: stop it first", member);
    if (verb != CONTROL_FORGET && gone)
        return refuse(why, -EHOSTDOWN, " is not alive", member);
    return 0;
}

static int ops_control(void *arg, enum control_verb verb, const char *member, char *why)
{
    struct daemon *d = arg;
    if (d->leaving)
        return refuse(why, -EBUSY, "this node is leaving the cluster", "");
    int rc = control_check(d, verb, member, why);
    if (rc < 0)
        return rc;
    daemon_step(
        d, &(struct event){.kind = EVENT_CONTROL, .control = {.verb = verb, .member = member}});
    return 0;
}

static int ops_leave(void *arg, char *why)
{
    struct daemon *d = arg;
    if (d->leaving)
        return refuse(why, -EBUSY, "this node is leaving the cluster already", "");
    daemon_leave(d);
    return 0;
}

static int ops_reload(void *arg, char *why)
{
    return daemon_reload(arg, why);
}

static int ops_rules(void *arg, struct evbuffer *out, char *why)
{
    return daemon_rules(arg, out, why);
}

const struct ctl_ops daemon_ctl_ops = {
    .view = ops_view,
    .control = ops_control,
    .leave = ops_leave,
    .reload = ops_reload,
    .rules = ops_rules,
};

static void dump_member(const struct status_member *m)
{
    log_info("status",
             "member %s%s: %s%s%s, weight %u, incarnation %" PRIu32 ", %u buckets, "
             "%u claimed, %u lingering, heard %" PRId64 " ms ago",
             m->name, m->self ? " (self)" : "", member_state_name(m->state),
             m->draining ? ", draining" : "", m->healthy ? "" : ", unhealthy", m->weight,
             m->incarnation, m->buckets, m->claimed, m->lingering,
             m->last_heard < 0 ? -1 : m->last_heard / USEC_PER_MS);
}

static void dump_vip(struct daemon *d, size_t i)
{
    char address[64];
    struct nft_counters p;
    if (nft_counters(d->nft, i, &p) < 0)
        p = (struct nft_counters){0};
    log_info("status",
             "vip %s on %s: packets accepted %" PRIu64 ", foreign %" PRIu64 ", orphaned %" PRIu64
             ", forwarded %" PRIu64,
             address_text(&d->config.vip[i].address, address, sizeof address),
             d->config.vip[i].interface, p.accepted, p.foreign, p.orphan_reset, p.forwarded);
}

void daemon_dump(struct daemon *d)
{
    const struct status *s = daemon_status(d);
    if (s == NULL)
        return;
    log_info("status",
             "node %s of cluster %s: %s, %s, view %016" PRIx64 ", up %" PRId64 " s, "
             "lease %" PRId64 " ms",
             s->node, s->cluster, node_state_name(s->state),
             s->converged ? "converged" : "not converged", s->view, s->uptime / USEC_PER_S,
             s->lease_left / USEC_PER_MS);
    log_info("status",
             "buckets %u: %u owned, %u lingering, %u orphaned; take-overs %" PRIu64
             ", unowned %" PRId64 " ms, contested %" PRId64 " ms, failing commits in a row %u",
             s->buckets, s->owned, s->lingering, s->orphaned, s->takeovers,
             s->unowned / USEC_PER_MS, s->contested / USEC_PER_MS, s->apply_failures);
    for (size_t i = 0; i < s->members; i++)
        dump_member(&s->member[i]);
    for (size_t i = 0; i < d->config.vips; i++)
        dump_vip(d, i);
    for (size_t r = REJECT_NONE + 1; r < REJECT_MAX; r++)
        if (s->rejected[r] > 0)
            log_info("status", "datagrams rejected as %s: %" PRIu64, reject_name((enum reject)r),
                     s->rejected[r]);
}
