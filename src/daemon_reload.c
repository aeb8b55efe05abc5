/*
 * Going over to a changed configuration.
 *
 * Everything new is opened beside the old; only when nothing is missing is the
 * kernel touched: addresses of VIPs that went go first, then the tables are
 * replaced in one batch, then new addresses come. If the kernel refuses, the old
 * state is put back. What did not change is left alone.
 *
 * A VIP that is no longer in the file stays while it has flows here, for node.stop_drain
 * at most (daemon_removal.c): it is part of the configuration until then.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_private.h"
#include "io/conf.h"
#include "io/notify.h"

enum { WHY_BYTES = 256 };

/* The configuration to be, and what belongs to it. */
struct reload {
    struct config config;
    struct node_config node_config;
    struct nft_place place[VIPS_MAX];
    struct removal removal[VIPS_MAX];
    struct vipset *vipset;
    struct links links;
    struct witnessing witnessing;
    bool vips_differ, udp_differ, witness_differs;
    char *why;
};

struct faults {
    unsigned count;
    char first[WHY_BYTES];
};

static void fault_take(void *arg, const char *fault)
{
    struct faults *f = arg;
    log_error("conf", "%s", fault);
    if (f->count++ == 0)
        snprintf(f->first, sizeof f->first, "%s", fault);
}

static int reload_read(struct daemon *d, struct reload *r)
{
    struct faults faults = {0};
    if (conf_load(d->options.config_path, &r->config, fault_take, &faults) != 0) {
        if (faults.count > 1)
            snprintf(r->why, WHY_BYTES, "%.200s (and %u more faults)", faults.first,
                     faults.count - 1);
        else
            snprintf(r->why, WHY_BYTES, "%s", faults.first);
        return -EINVAL;
    }
    const struct status *s = daemon_status(d);
    const char *obstacle = conf_reload_obstacle(&d->config, &r->config);
    if (obstacle == NULL && s != NULL)
        obstacle = conf_key_obstacle(&r->config, s->key);
    if (obstacle != NULL) {
        snprintf(r->why, WHY_BYTES, "%s", obstacle);
        return -EINVAL;
    }
    removals_add(d, &r->config, r->removal);
    return 0;
}

static bool vips_differ(const struct config *a, const struct config *b)
{
    /* Padding may differ too: a needless replacement hurts nobody. */
    return a->vips != b->vips || a->lease != b->lease || a->mark != b->mark ||
           memcmp(a->vip, b->vip, a->vips * sizeof *a->vip) != 0;
}

static bool udp_differs(const struct config *a, const struct config *b)
{
    return a->port != b->port || a->heartbeat_links != b->heartbeat_links || a->peers != b->peers ||
           memcmp(a->heartbeat_link, b->heartbeat_link, sizeof a->heartbeat_link) != 0 ||
           memcmp(&a->group, &b->group, sizeof a->group) != 0 ||
           memcmp(a->peer, b->peer, a->peers * sizeof *a->peer) != 0;
}

static int refusal(struct reload *r, int rc, const char *what)
{
    snprintf(r->why, WHY_BYTES, "%s: %s", what, strerror(-rc));
    return rc;
}

static int vips_open(struct daemon *d, struct reload *r)
{
    char missing[IFNAME_BYTES_MAX + 1] = "";
    int rc = vipset_open(&r->vipset, d->rtnl, &r->config, r->place, missing);
    if (rc < 0 && removals_drop(&r->config)) { /* they are not to be in the way of others */
        log_info("vip", "VIPs that are no longer in the configuration are removed at once");
        rc = vipset_open(&r->vipset, d->rtnl, &r->config, r->place, missing);
    }
    if (rc < 0 && missing[0] != '\0') {
        snprintf(r->why, WHY_BYTES,
                 "vips: there is no interface %s: create it, or name one "
                 "of `ip link`",
                 missing);
        return rc;
    }
    return rc < 0 ? refusal(r, rc, "cannot read the VIPs' interfaces") : 0;
}

/* Opens what is new. Changes nothing. */
static int reload_open(struct daemon *d, struct reload *r)
{
    r->vips_differ = vips_differ(&d->config, &r->config);
    r->udp_differ = udp_differs(&d->config, &r->config);
    r->witness_differs =
        memcmp(&d->config.witness, &r->config.witness, sizeof d->config.witness) != 0;
    memcpy(r->place, d->place, sizeof r->place);
    int rc = r->vips_differ ? vips_open(d, r) : 0;
    if (rc < 0)
        return rc;
    rc = daemon_node_config(d, &r->config, r->place, &r->node_config);
    if (rc < 0) {
        snprintf(r->why, WHY_BYTES, "%s", d->why);
        return rc;
    }
    if (r->udp_differ)
        rc = links_open(d, &r->config, &r->links);
    if (rc < 0)
        return refusal(r, rc, "cannot open the heartbeat sockets");
    if (r->witness_differs)
        rc = witnessing_open(d, &r->config, &r->witnessing);
    return rc < 0 ? refusal(r, rc, "cannot open a socket to ask cluster.witness") : 0;
}

/* The rules of `c`, with the plan and the lease that are in force. */
static int rules_change(struct daemon *d, const struct config *c, const struct nft_place *place)
{
    char why[XDP_WHY_BYTES];
    xdp_pass(d->xdp);
    int rc = nft_reconfigure(d->nft, c, place);
    if (rc == 0)
        rc = nft_apply(d->nft, &d->plan);
    if (rc < 0)
        return rc;
    if (xdp_change(d->xdp, c, place, why) < 0)
        log_warn("xdp", "%s; what is another's is dropped by the rules alone", why);
    xdp_follow(d->xdp, &d->plan);
    return 0;
}

static void reload_kernel_undo(struct daemon *d)
{
    unsigned repaired;
    int rc = rules_change(d, &d->config, d->place);
    if (rc == 0)
        rc = vipset_recover(d->vipset); /* writes its journal anew */
    if (rc == 0)
        rc = vipset_apply(d->vipset, &repaired);
    if (rc < 0)
        log_error("daemon", "cannot put the old state back: %s", strerror(-rc));
}

static int reload_kernel(struct daemon *d, struct reload *r)
{
    unsigned repaired;
    if (!r->vips_differ)
        return 0;
    int rc = vipset_recover(r->vipset);
    if (rc == 0)
        rc = rules_change(d, &r->config, r->place);
    if (rc == 0)
        rc = vipset_apply(r->vipset, &repaired);
    if (rc < 0) {
        reload_kernel_undo(d);
        return refusal(r, rc, "the kernel refuses the new VIPs");
    }
    vipset_close(d->vipset);
    d->vipset = r->vipset;
    r->vipset = NULL;
    memcpy(d->place, r->place, sizeof d->place);
    return 0;
}

static void reload_tell(struct daemon *d, struct reload *r)
{
    if (r->udp_differ)
        links_replace(d, &r->links);
    d->config = r->config;
    conntrack_forget(d->conntrack);
    d->node_config = r->node_config;
    heritage_reload(d);
    daemon_step(d, &(struct event){.kind = EVENT_RELOAD, .reload = &d->node_config});
    if (r->witness_differs)
        daemon_witness_replace(d, &r->witnessing);
    memcpy(d->removal, r->removal, sizeof d->removal);
    if (r->vips_differ)
        d->vips_since = loop_now();
    removals_watch(d);
    if (!r->vips_differ)
        return;
    daemon_links_tell(d);
    daemon_announce(d);
}

/* Goes over to r->config. */
static int reload_try(struct daemon *d, struct reload *r)
{
    int rc = reload_open(d, r);
    if (rc == 0)
        rc = reload_kernel(d, r);
    if (rc == 0)
        reload_tell(d, r);
    return rc;
}

static struct reload *reload_new(char *why)
{
    struct reload *r = calloc(1, sizeof *r);
    why[0] = '\0';
    if (r == NULL)
        snprintf(why, WHY_BYTES, "not enough memory");
    else
        r->why = why;
    return r;
}

static void reload_free(struct reload *r)
{
    links_close(&r->links);
    witnessing_close(&r->witnessing);
    if (r->vipset != NULL)
        vipset_close(r->vipset);
    sodium_memzero(r, sizeof *r);
    free(r);
}

int daemon_reload(struct daemon *d, char *why)
{
    if (d->leaving || d->ended) {
        snprintf(why, WHY_BYTES, "this node is leaving the cluster");
        return -EBUSY;
    }
    struct reload *r = reload_new(why);
    if (r == NULL)
        return -ENOMEM;
    notify_send(NOTIFY_RELOADING, NULL);
    int rc = reload_read(d, r);
    if (rc == 0)
        rc = reload_try(d, r);
    if (rc == 0)
        log_info("conf", "reloaded %s", d->options.config_path);
    else
        log_error("conf", "not reloaded, everything stays as it was: %s", why);
    notify_send(NOTIFY_READY, NULL);
    reload_free(r);
    return rc;
}

int daemon_vips_remove(struct daemon *d, const bool gone[VIPS_MAX], char *why)
{
    struct reload *r = reload_new(why);
    if (r == NULL)
        return -ENOMEM;
    r->config = d->config;
    r->config.vips = 0;
    for (size_t i = 0; i < d->config.vips; i++) {
        if (gone[i])
            continue;
        r->removal[r->config.vips] = d->removal[i];
        r->config.vip[r->config.vips++] = d->config.vip[i];
    }
    int rc = reload_try(d, r);
    reload_free(r);
    return rc;
}
