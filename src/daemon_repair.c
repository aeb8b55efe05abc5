/*
 * Watching what we put into the kernel, and putting back what others take out.
 *
 * The first repair after a quiet spell is made at once. Somebody who keeps
 * undoing it (another manager of rules or addresses) is answered at growing
 * distances, but not long ones: without its rules this host answers for the VIP
 * beside the others. In the log it is told about ever more rarely.
 */
#include <errno.h>
#include <string.h>

#include "daemon_private.h"

#define REPAIR_QUIET (10 * USEC_PER_S)
#define REPAIR_LOOK_MIN (10 * USEC_PER_MS) /* between looks that find nothing */
#define REPAIR_WAIT_MIN (12 * USEC_PER_MS)
#define ANNOUNCE_GAP (10 * USEC_PER_MS)
#define REPAIR_WAIT_MAX (100 * USEC_PER_MS)

/* Something may need repair: sets the alarm, now or when it may be. */
static void repair_due(struct repair *r)
{
    instant now = loop_now();
    if (instant_diff(now, r->made) > REPAIR_QUIET) {
        r->wait = REPAIR_LOOK_MIN;
        r->in_a_row = 0;
    }
    watch_at(r->alarm, instant_max(now, instant_add(r->looked, r->wait)));
}

/* We looked, and if `made` repaired something, or tried to: the next one has to
 * wait longer. */
static void repair_done(struct repair *r, bool made)
{
    r->looked = loop_now();
    if (!made)
        return;
    r->made = r->looked;
    r->wait = r->in_a_row++ == 0 ? REPAIR_WAIT_MIN : r->wait * 2;
    if (r->wait > REPAIR_WAIT_MAX)
        r->wait = REPAIR_WAIT_MAX;
}

/* Of a row, the 1st, 2nd, 4th, 8th ... are worth a line. */
static bool repair_is_told(const struct repair *r)
{
    return (r->in_a_row & (r->in_a_row - 1)) == 0;
}

static void rules_repair(void *arg, int number)
{
    struct daemon *d = arg;
    (void)number;
    nft_lost(d->nft);
    int rc = daemon_apply(d, &d->plan);
    repair_done(&d->rules_repair, true);
    if (rc < 0) {
        if (repair_is_told(&d->rules_repair))
            log_error("nft", "our rules were changed by somebody else and cannot be put back: %s",
                      nft_reason(d, rc));
        repair_due(&d->rules_repair);
        return;
    }
    if (repair_is_told(&d->rules_repair))
        log_warn("nft",
                 "our rules were changed or deleted by somebody else: put back (%u times); "
                 "keep other tools off the tables named ipclusterd",
                 d->rules_repair.in_a_row);
}

static void rules_changed(void *arg, int number)
{
    struct daemon *d = arg;
    (void)number;
    int rc = nft_watch_read(d->nft);
    streak_tell(&d->rules_streak, rc, "nft", "watch the ruleset");
    if (rc == 1)
        repair_due(&d->rules_repair);
}

void daemon_links_tell(struct daemon *d)
{
    bool up = vipset_links_up(d->vipset);
    if (up == d->links_up)
        return;
    d->links_up = up;
    if (up)
        log_info("vip", "all links of the VIPs are up");
    else
        log_warn("vip", "a link of the VIPs is down or has no carrier: see `ip link`");
    daemon_step(d, &(struct event){.kind = EVENT_LINK, .link = {.up = up}});
    if (up)
        daemon_announce(d);
}

static void links_repair(void *arg, int number)
{
    struct daemon *d = arg;
    unsigned repaired = 0;
    (void)number;
    int rc = vipset_apply(d->vipset, &repaired);
    repair_done(&d->links_repair, rc < 0 || repaired > 0);
    streak_tell(&d->address_streak, rc, "vip", "put the VIPs back");
    if (rc < 0)
        repair_due(&d->links_repair);
    if (repaired == 0)
        return;
    if (repair_is_told(&d->links_repair))
        log_warn("vip",
                 "addresses or MACs of the VIPs were removed by somebody else: put back "
                 "(%u times)",
                 d->links_repair.in_a_row);
    daemon_announce(d);
}

/* A heartbeat interface came, or came again: the group has to be joined anew. */
static void links_reopen(struct daemon *d)
{
    struct links fresh;
    if (!udp_stale(d->links.udp))
        return;
    int rc = links_open(d, &d->config, &fresh);
    streak_tell(&d->reopen_streak, rc, "udp", "open the heartbeat sockets anew");
    if (rc < 0)
        return;
    links_replace(d, &fresh);
    log_info("udp", "a heartbeat interface has come: sockets opened anew");
}

static void links_changed(void *arg, int number)
{
    struct daemon *d = arg;
    (void)number;
    int rc = rtnl_watch_read(d->rtnl);
    streak_tell(&d->links_streak, rc, "rtnl", "watch links and addresses");
    if (rc <= 0)
        return;
    if (rc & RTNL_LINK) {
        links_reopen(d);
        daemon_mtu_tell(d);
        daemon_links_tell(d);
    }
    repair_due(&d->links_repair);
}

/* One VIP at a time: closing a packet socket takes the kernel some milliseconds,
 * which many VIPs together would take from the heartbeats. */
static void announce_rang(void *arg, int number)
{
    struct daemon *d = arg;
    size_t i = d->announce_next++;
    (void)number;
    if (i < d->config.vips) {
        const struct vip_config *vip = &d->config.vip[i];
        int rc = vip->removing ? 0 : announce_vip(vip, &d->place[i]);
        if (rc < 0)
            log_debug("vip", "cannot announce: %s", strerror(-rc));
        watch_at(d->announce_alarm, instant_add(loop_now(), ANNOUNCE_GAP));
        return;
    }
    d->announce_next = 0;
    if (--d->announcements > 0)
        watch_at(d->announce_alarm, instant_add(loop_now(), USEC_PER_S));
}

void daemon_announce(struct daemon *d)
{
    d->announcements = ANNOUNCEMENTS;
    d->announce_next = 0;
    watch_at(d->announce_alarm, loop_now());
}

int daemon_repair_start(struct daemon *d)
{
    int rc = loop_alarm(d->loop, rules_repair, d, &d->rules_repair.alarm);
    if (rc == 0)
        rc = loop_alarm(d->loop, links_repair, d, &d->links_repair.alarm);
    if (rc == 0)
        rc = loop_alarm(d->loop, announce_rang, d, &d->announce_alarm);
    if (rc == 0)
        rc = loop_readable(d->loop, rtnl_watch_fd(d->rtnl), links_changed, d, &d->links_watch);
    if (rc == 0)
        rc = loop_readable(d->loop, nft_watch_fd(d->nft), rules_changed, d, &d->rules_watch);
    return rc;
}

void daemon_repair_stop(struct daemon *d)
{
    watch_close(d->rules_repair.alarm);
    watch_close(d->links_repair.alarm);
    watch_close(d->announce_alarm);
    watch_close(d->links_watch);
    watch_close(d->rules_watch);
    d->rules_repair.alarm = d->links_repair.alarm = NULL;
    d->announce_alarm = d->links_watch = d->rules_watch = NULL;
}
