/*
 * What the control socket may ask of the daemon, and the status dump of USR1.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_private.h"
#include "io/conf.h"
#include "ipclusterd/seal.h"
#include "ipclusterd/wire.h"

enum { WHY_BYTES = 256, EVENT_TEXT_BYTES = 512 };

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

static void packets_count(struct daemon *d, size_t vip)
{
    struct nft_counters *p = &d->packets[vip];
    struct ctl_xdp *early = &d->early[vip];
    if (nft_counters(d->nft, vip, p) < 0)
        *p = (struct nft_counters){0};
    early->mode = xdp_attached(d->xdp, vip) ? xdp_mode_name(d->config.xdp) : NULL;
    early->dropped = xdp_dropped(d->xdp, vip);
    p->foreign += early->dropped;
}

static const struct ctl_view *ops_view(void *arg)
{
    struct daemon *d = arg;
    if (daemon_status(d) == NULL)
        return NULL;
    daemon_count_refresh(d);
    for (size_t i = 0; i < d->config.vips; i++)
        packets_count(d, i);
    d->view = (struct ctl_view){
        .config = &d->config,
        .status = d->status,
        .counts = &d->counts,
        .packets = d->packets,
        .xdp = d->early,
        .unread = links_unread(d),
        .standby = ops_standby,
        .standby_arg = d,
        .inherited = d->heritage.there ? (int)d->heritage.buckets : -1,
    };
    return &d->view;
}

static uint64_t ops_events(void *arg, uint64_t since, ctl_event_fn take, void *context)
{
    static const char *const levels[] = {[LOG_LEVEL_ERROR] = "error",
                                         [LOG_LEVEL_WARN] = "warning",
                                         [LOG_LEVEL_INFO] = "info",
                                         [LOG_LEVEL_DEBUG] = "debug"};
    const struct daemon *d = arg;
    uint64_t first = d->events_seen > EVENTS_KEPT ? d->events_seen - EVENTS_KEPT : 0;
    for (uint64_t i = since > first ? since : first; i < d->events_seen; i++) {
        const struct daemon_event *e = &d->events[i % EVENTS_KEPT];
        char text[EVENT_TEXT_BYTES];
        note_text(&e->note, text, sizeof text);
        take(context, &(struct ctl_event){.id = i + 1,
                                          .wall = e->wall,
                                          .kind = note_name(&e->note),
                                          .level = levels[note_level(&e->note)],
                                          .text = text,
                                          .note = &e->note});
    }
    return d->events_seen;
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

static bool lives(const struct status_member *m)
{
    return m->state != MEMBER_DEAD && m->state != MEMBER_LEFT;
}

/* It is for a majority of the voters to forget one of them. */
static int forget_check(const struct status *s, const struct status_member *m, char *why)
{
    if (m->voter && !s->quorum.have) /* who is silent is not dead then either */
        return refuse(why, -EAGAIN,
                      "too few voters are heard to decide it: a majority of them has to be up", "");
    return lives(m) ? refuse(why, -EBUSY, " is alive: stop it first", m->name) : 0;
}

static int release_check(const struct status *s, const struct status_member *m, char *why)
{
    if (m->state == MEMBER_HELD || (m->self && s->state == NODE_HELD))
        return 0;
    return refuse(why, -EALREADY, lives(m) ? " is not held" : " is not alive", m->name);
}

/* Whether `verb` makes sense for `member`; the core ignores what does not. */
static int control_check(const struct daemon *d, const struct status *s, enum control_verb verb,
                         const char *member, char *why)
{
    bool self = member == NULL || strcmp(member, d->config.node) == 0;
    const struct status_member *m = member_find(s, self ? d->config.node : member);
    if (self && verb == CONTROL_FORGET)
        return refuse(why, -EINVAL, "a node cannot forget itself", "");
    if (m == NULL)
        return self && verb != CONTROL_RELEASE
                   ? 0
                   : refuse(why, -ENOENT, " is not on the roster", self ? d->config.node : member);
    if (verb == CONTROL_FORGET)
        return forget_check(s, m, why);
    if (verb == CONTROL_RELEASE)
        return release_check(s, m, why);
    return self || lives(m) ? 0 : refuse(why, -EHOSTDOWN, " is not alive", member);
}

/* Why `m` would be left behind by a change to the key of hash `next`; NULL: it
 * would not. */
static const char *rekey_lack(const struct status_member *m, uint64_t next)
{
    if (m->self || !lives(m) || m->key_next == next)
        return NULL;
    if (m->version != 0 && m->version < WIRE_VERSION_LAST)
        return " has a version of ipclusterd that cannot change keys";
    return m->key_next == 0 ? " has no key_file_next" : " has another next key";
}

/* Tells every member that is not ready for the key `next`, as far as there is
 * room. The number of them. */
static unsigned rekey_lacking(const struct status *s, uint64_t next, char *why)
{
    enum { ROOM = WHY_BYTES - 16 }; /* for ", and 255 more" */
    unsigned count = 0, told = 0;
    size_t used = 0;
    why[0] = '\0';
    for (size_t i = 0; i < s->members; i++) {
        const char *lack = rekey_lack(&s->member[i], next);
        char one[NAME_BYTES_MAX + 64];
        if (lack == NULL)
            continue;
        snprintf(one, sizeof one, "%s%s%s", count > 0 ? ", " : "", s->member[i].name, lack);
        if (told == count++ && used + strlen(one) < ROOM) {
            used += (size_t)snprintf(why + used, WHY_BYTES - used, "%s", one);
            told++;
        }
    }
    if (told < count)
        snprintf(why + used, WHY_BYTES - used, ", and %u more", count - told);
    return count;
}

static int rekey_check(const struct daemon *d, const struct status *s, char *why)
{
    static const uint8_t none[KEY_BYTES];
    uint64_t next = seal_key_hash(d->config.key_next);
    if (memcmp(d->config.key_next, none, KEY_BYTES) == 0)
        return refuse(why, -EINVAL, "this node has no cluster.key_file_next", "");
    if (memcmp(d->config.key_next, d->config.key, KEY_BYTES) == 0)
        return refuse(why, -EALREADY,
                      "cluster.key_file and key_file_next hold the same key: there is nothing to "
                      "change",
                      "");
    if (s->key == next)
        return refuse(why, -EALREADY,
                      "the next key is in use already: make it the key_file of every node, and "
                      "remove key_file_next",
                      "");
    if (rekey_lacking(s, next, why) > 0)
        return -EBUSY;
    if (!s->rekey_ready)
        return refuse(why, -EAGAIN, "not every member has told its next key yet: try again", "");
    return 0;
}

static int ops_control(void *arg, enum control_verb verb, const char *member, char *why)
{
    struct daemon *d = arg;
    if (d->leaving)
        return refuse(why, -EBUSY, "this node is leaving the cluster", "");
    const struct status *s = daemon_status(d);
    if (s == NULL)
        return refuse(why, -ENOMEM, "not enough memory", "");
    int rc =
        verb == CONTROL_REKEY ? rekey_check(d, s, why) : control_check(d, s, verb, member, why);
    if (rc < 0)
        return rc;
    const struct status_member *m = member != NULL ? member_find(s, member) : NULL;
    bool voter = verb == CONTROL_FORGET && m != NULL && m->voter;
    daemon_step(
        d, &(struct event){.kind = EVENT_CONTROL, .control = {.verb = verb, .member = member}});
    return voter ? refuse(why, CTL_PENDING, ": a majority of the voters has to decide it", member)
                 : 0;
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

static int ops_restart(void *arg, char *why)
{
    return daemon_restart(arg, why);
}

static int ops_rules(void *arg, enum ctl_rules form, struct evbuffer *out, char *why)
{
    return daemon_rules(arg, form, out, why);
}

const struct ctl_ops daemon_ctl_ops = {
    .view = ops_view,
    .events = ops_events,
    .control = ops_control,
    .leave = ops_leave,
    .reload = ops_reload,
    .restart = ops_restart,
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
    const struct nft_counters *p = &d->packets[i];
    packets_count(d, i);
    log_info("status",
             "vip %s on %s: packets accepted %" PRIu64 ", foreign %" PRIu64 " (%" PRIu64
             " by XDP), orphaned %" PRIu64 ", forwarded %" PRIu64 ", refused %" PRIu64,
             address_text(&d->config.vip[i].address, address, sizeof address),
             d->config.vip[i].interface, p->accepted, p->foreign, d->early[i].dropped,
             p->orphan_reset, p->forwarded, p->refused);
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
    log_info("status",
             "%zu of %zu voters heard, roster %" PRIu32 ", quorum %s; timers %" PRId64
             " us late, at most %" PRId64 " us; patience %" PRId64 " ms",
             s->quorum.heard, s->quorum.voters, s->quorum.version, s->quorum.have ? "yes" : "no",
             s->wakeup.mean, s->wakeup.worst, s->patience / USEC_PER_MS);
    for (size_t i = 0; i < s->members; i++)
        dump_member(&s->member[i]);
    for (size_t i = 0; i < d->config.vips; i++)
        dump_vip(d, i);
    for (size_t r = REJECT_NONE + 1; r < REJECT_MAX; r++)
        if (s->rejected[r] > 0)
            log_info("status", "datagrams rejected as %s: %" PRIu64, reject_name((enum reject)r),
                     s->rejected[r]);
    if (links_unread(d) > 0)
        log_info("status", "datagrams dropped unread: %" PRIu64, links_unread(d));
}
