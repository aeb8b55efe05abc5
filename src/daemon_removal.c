/*
 * VIPs that are no longer in the configuration file.
 *
 * A VIP that a reload removes may have flows here, which nobody else has. While
 * node.stop_drain lasts it stays, behind the others in d->config, with its address,
 * its MAC and its rules, but without a lease: no new flow is let in nor sent on, and
 * those that conntrack knows go on (nft_elem.c). When it has none any more, or the
 * time is over, it goes by a reload of its own. A reload that brings it back just
 * gives it its lease again.
 */
#include <errno.h>
#include <string.h>

#include "daemon_private.h"
#include "io/conf.h"

#define LOOK_EVERY USEC_PER_S
#define SYN_MARGIN (20 * USEC_PER_MS) /* until what was let in just now is a flow */

static bool address_listed(const struct config *c, const struct address *a)
{
    for (size_t i = 0; i < c->vips; i++)
        if (memcmp(&c->vip[i].address, a, sizeof *a) == 0)
            return true;
    return false;
}

void removals_add(const struct daemon *d, struct config *c, struct removal of[VIPS_MAX])
{
    size_t wanted = c->vips;
    for (size_t i = 0; i < d->config.vips && c->stop_drain > 0; i++) {
        const struct vip_config *vip = &d->config.vip[i];
        char address[64];
        if (address_listed(c, &vip->address))
            continue;
        if (c->vips == VIPS_MAX || (c->vips + 1) * c->buckets > VIP_BUCKETS_MAX) {
            log_warn("vip", "%s is removed at once: there is no room for it beside the others",
                     address_text(&vip->address, address, sizeof address));
            continue;
        }
        of[c->vips].until =
            vip->removing ? d->removal[i].until : instant_add(loop_now(), c->stop_drain);
        c->vip[c->vips] = *vip;
        c->vip[c->vips++].removing = true;
    }
    if (c->vips > wanted)
        log_info("vip", "%zu VIPs that are no longer in the configuration take no new flows",
                 c->vips - wanted);
}

bool removals_drop(struct config *c)
{
    size_t vips = c->vips;
    while (c->vips > 0 && c->vip[c->vips - 1].removing)
        c->vips--;
    return c->vips < vips;
}

/* Nothing is left of it that it is here for. */
static bool is_over(const struct daemon *d, size_t i)
{
    instant counted = instant_add(d->vips_since, SYN_MARGIN);
    bool known = !instant_before(d->counted_from, counted);
    return !instant_before(loop_now(), d->removal[i].until) || (known && d->counts.kept[i] == 0);
}

/* Those that are over, or `all`. 0 or -errno; `left`: some go on. */
static int removals_go(struct daemon *d, bool all, bool *left, char *why)
{
    bool gone[VIPS_MAX] = {false}, any = false;
    char address[64];
    *left = false;
    for (size_t i = 0; i < d->config.vips; i++) {
        if (!d->config.vip[i].removing)
            continue;
        gone[i] = all || is_over(d, i);
        any = any || gone[i];
        *left = *left || !gone[i];
        if (gone[i])
            log_info("vip", "removing %s, %llu flows are left",
                     address_text(&d->config.vip[i].address, address, sizeof address),
                     (unsigned long long)d->counts.kept[i]);
    }
    return any ? daemon_vips_remove(d, gone, why) : 0;
}

static void removal_rang(void *arg, int number)
{
    struct daemon *d = arg;
    char why[DAEMON_WHY_BYTES];
    bool left;
    (void)number;
    if (d->leaving || d->ended)
        return; /* all of them go with the rest */
    int rc = removals_go(d, false, &left, why);
    streak_tell(&d->removal_streak, rc, "vip", "remove what is no longer in the configuration");
    if (rc < 0)
        watch_at(d->removal_alarm, instant_add(loop_now(), LOOK_EVERY));
    else if (left)
        removals_watch(d);
}

void removals_watch(struct daemon *d)
{
    instant next = INSTANT_NEVER;
    for (size_t i = 0; i < d->config.vips; i++)
        if (d->config.vip[i].removing)
            next = instant_min(next, d->removal[i].until);
    if (next.us != INSTANT_NEVER.us) {
        daemon_count_refresh(d);
        next = instant_max(next, loop_now());
        next = instant_min(next, instant_add(loop_now(), LOOK_EVERY));
    }
    watch_at(d->removal_alarm, next);
}

int removals_end(struct daemon *d, char *why)
{
    bool left;
    return removals_go(d, true, &left, why);
}

int removals_start(struct daemon *d)
{
    return loop_alarm(d->loop, removal_rang, d, &d->removal_alarm);
}

void removals_stop(struct daemon *d)
{
    watch_close(d->removal_alarm);
    d->removal_alarm = NULL;
}
