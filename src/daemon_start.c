/*
 * Bringing a node up and down.
 *
 * Everything that can be found wanting is looked at before the kernel is
 * touched: interfaces, sockets, the state directory. Then the rules go in
 * before the address does, and at the end the address goes before the rules:
 * at no moment does this host answer for a VIP without them.
 */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_private.h"
#include "io/conf.h"
#include "io/notify.h"
#include "io/privilege.h"
#include "io/state.h"

/* The same for all daemons of a host, wherever their sockets are. */
#define LOCK_DIR "/run/ipclusterd"

enum { CLEAR_TRIES = 3 };

void daemon_run_dir(const struct config *c, char *out)
{
    snprintf(out, PATH_BYTES_MAX + 1, "%s", c->control_socket);
    char *slash = strrchr(out, '/');
    if (slash == NULL)
        strcpy(out, ".");
    else
        slash[slash == out] = '\0';
}

static int start_privileges(struct daemon *d)
{
    char why[256];
    int rc = privilege_check(why);
    if (rc < 0)
        return daemon_fail(d, rc, "daemon", "%s", why);
    if (d->config.realtime && privilege_realtime(why) < 0)
        log_warn("daemon", "%s", why);
    rc = privilege_drop(&d->config);
    if (rc < 0)
        return daemon_fail(d, rc, "daemon", "cannot give up capabilities: %s", strerror(-rc));
    return 0;
}

static int start_claims(struct daemon *d)
{
    char why[256];
    int rc = state_prepare(d->config.state_dir);
    if (rc < 0)
        return daemon_fail(d, rc, "state", "cannot use node.state_dir %s: %s", d->config.state_dir,
                           strerror(-rc));
    rc = instance_claim(&d->instance, d->config.state_dir, LOCK_DIR, why);
    return rc < 0 ? daemon_fail(d, rc, "daemon", "%s", why) : 0;
}

int daemon_node_config(struct daemon *d, const struct config *c, const struct nft_place *place,
                       struct node_config *out)
{
    struct address vips[VIPS_MAX];
    struct rtnl_link link;
    conf_node(c, out);
    int rc = daemon_datagram_size(d, c, &out->datagram_max);
    if (rc == 0)
        rc = rtnl_link_get(d->rtnl, c->heartbeat_link[0], &link);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < c->vips; i++)
        vips[i] = c->vip[i].address;
    out->mac = c->vips > 0 ? place[0].own : link.mac;
    if (rtnl_link_address(d->rtnl, link.index, vips, c->vips, &out->address) < 0)
        out->address = (struct address){.family = FAMILY_NONE};
    return 0;
}

static int start_links(struct daemon *d)
{
    char missing[IFNAME_BYTES_MAX + 1] = "";
    int rc = rtnl_open(&d->rtnl);
    if (rc < 0)
        return daemon_fail(d, rc, "rtnl", "cannot open rtnetlink: %s", strerror(-rc));
    rc = vipset_open(&d->vipset, d->rtnl, &d->config, d->place, missing);
    if (rc == -ENODEV)
        return daemon_fail(d, rc, "vip",
                           "vips: there is no interface %s: create it, or name one of `ip link`",
                           missing);
    if (rc < 0)
        return daemon_fail(d, rc, "vip", "cannot read the VIPs' interfaces: %s", strerror(-rc));
    return daemon_node_config(d, &d->config, d->place, &d->node_config);
}

static int start_sockets(struct daemon *d)
{
    const struct config *c = &d->config;
    int rc = nft_open(&d->nft, c, d->place);
    if (rc < 0)
        return daemon_fail(d, rc, "nft", "cannot open nftables (%s): the kernel needs nf_tables",
                           strerror(-rc));
    rc = daemon_count_start(d);
    if (rc < 0)
        return daemon_fail(d, rc, "conntrack",
                           "cannot open connection tracking (%s): the kernel needs "
                           "nf_conntrack_netlink",
                           strerror(-rc));
    rc = links_open(d, c, &d->links);
    if (rc < 0)
        return daemon_fail(d, rc, "udp", "cannot open heartbeat port %u: %s", c->port,
                           strerror(-rc));
    rc = witnessing_open(d, c, &d->witnessing);
    if (rc < 0)
        return daemon_fail(d, rc, "witness", "cannot open a socket to ask cluster.witness: %s",
                           strerror(-rc));
    rc = ctl_open(&d->ctl, loop_base(d->loop), c, &daemon_ctl_ops, d);
    if (rc < 0)
        return daemon_fail(d, rc, "control", "cannot listen on control.socket %s: %s",
                           c->control_socket,
                           rc == -EADDRINUSE ? "another daemon answers there" : strerror(-rc));
    rc = removals_start(d);
    return rc < 0 ? rc : daemon_repair_start(d);
}

/* What the last run was asked to keep. A damaged file is no reason not to start:
 * without it the node has to be admitted by the others. */
static int node_remember(struct daemon *d)
{
    int length = state_store_read(d->config.state_dir, d->store);
    if (length == -ENOMEM)
        return daemon_fail(d, length, "daemon", "not enough memory");
    if (length == 0)
        return 0;
    int rc = length < 0 ? length : node_restore(d->node, d->store, (size_t)length);
    if (rc < 0)
        log_warn("state",
                 "cannot use %s/voters (%s): this node has to be admitted by the others again",
                 d->config.state_dir, strerror(-rc));
    return 0;
}

static int start_node(struct daemon *d)
{
    uint64_t seed;
    d->node = calloc(1, node_bytes());
    if (d->node == NULL || sodium_init() < 0)
        return daemon_fail(d, -ENOMEM, "daemon", "not enough memory");
    d->incarnation = state_incarnation_read(d->config.state_dir) + 1;
    int rc = state_incarnation_write(d->config.state_dir, d->incarnation);
    if (rc < 0)
        return daemon_fail(d, rc, "state", "cannot write to node.state_dir %s: %s",
                           d->config.state_dir, strerror(-rc));
    randombytes_buf(&seed, sizeof seed);
    node_init(d->node, &d->node_config, seed, d->incarnation);
    heritage_open(d);
    return node_remember(d);
}

int daemon_linger(struct daemon *d)
{
    plan_init(&d->plan, d->config.buckets);
    memset(d->plan.class_of, CLASS_LINGER, d->plan.buckets);
    int rc = daemon_apply(d, &d->plan);
    if (rc < 0)
        return daemon_fail(d, rc, "nft",
                           "the kernel refuses our rules (%s): it needs nf_tables "
                           "with inet and netdev families, nft_fwd_netdev and nf_conntrack",
                           nft_reason(d, rc));
    return 0;
}

/* To go without is no reason not to start. Before the addresses come: a driver may take
 * the link down for it. */
static void start_xdp(struct daemon *d)
{
    char why[XDP_WHY_BYTES];
    int rc = xdp_open(&d->xdp, &d->config, d->place, why);
    if (rc < 0)
        log_warn("xdp", "%s; what is another's is dropped by the rules alone", why);
    xdp_follow(d->xdp, &d->plan);
}

/* What the run before left stays in force until it is replaced in one batch. If its
 * lease still runs, the first plan is its own; else it claims nothing, but lets flows
 * that it knows go on. */
static int start_kernel(struct daemon *d)
{
    unsigned repaired;
    d->kernel_touched = true;
    int rc = vipset_recover(d->vipset);
    if (rc < 0)
        return daemon_fail(d, rc, "vip", "cannot undo what the last run left: %s", strerror(-rc));
    if (!heritage_plan(d) || daemon_apply(d, &d->plan) < 0) {
        d->heritage.there = false;
        rc = daemon_linger(d);
    }
    if (rc < 0)
        return rc;
    start_xdp(d);
    rc = vipset_apply(d->vipset, &repaired);
    if (rc < 0)
        return daemon_fail(d, rc, "vip", "cannot add the VIPs: %s", strerror(-rc));
    daemon_announce(d);
    return 0;
}

int daemon_start(struct daemon *d)
{
    static int (*const steps[])(struct daemon *) = {
        start_privileges, start_claims, start_links, start_sockets, start_node, start_kernel,
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int rc = steps[i](d);
        if (rc < 0) {
            if (d->why[0] == '\0')
                daemon_fail(d, rc, "daemon", "cannot start: %s", strerror(-rc));
            return rc;
        }
    }
    log_info("daemon",
             "ipclusterd %s: node %s of cluster %s, %zu virtual addresses, "
             "%" PRIu16 " buckets",
             PACKAGE_VERSION, d->config.node, d->config.cluster, d->config.vips, d->config.buckets);
    return 0;
}

/* Addresses first. Without them gone the rules have to stay, or this host would
 * answer for the VIP beside the others. */
static void kernel_give_back(struct daemon *d)
{
    int rc = -EAGAIN;
    for (int i = 0; i < CLEAR_TRIES && rc < 0; i++)
        rc = vipset_clear(d->vipset);
    if (rc < 0) {
        log_error("vip",
                  "cannot remove the VIPs (%s): our rules stay, so that this host does not "
                  "answer for them; the next start cleans up",
                  strerror(-rc));
        return;
    }
    for (int i = 0; i < CLEAR_TRIES; i++) {
        rc = nft_clear(d->nft);
        if (rc == 0)
            return;
    }
    log_error("nft",
              "cannot delete our tables (%s): nft delete table inet ipclusterd; "
              "nft delete table netdev ipclusterd",
              strerror(-rc));
}

void daemon_stop(struct daemon *d)
{
    notify_send(NOTIFY_STOPPING, NULL);
    d->ended = true;
    removals_stop(d);
    daemon_repair_stop(d);
    if (d->kernel_touched)
        kernel_give_back(d);
    xdp_close(d->xdp);
    heritage_close(d, !d->kernel_touched);
    privilege_realtime_end();
    if (d->ctl != NULL)
        ctl_close(d->ctl);
    links_close(&d->links);
    witnessing_close(&d->witnessing);
    daemon_count_stop(d);
    if (d->nft != NULL)
        nft_close(d->nft);
    if (d->vipset != NULL)
        vipset_close(d->vipset);
    if (d->rtnl != NULL)
        rtnl_close(d->rtnl);
    instance_release(&d->instance);
    free(d->node);
    free(d->status);
    sodium_memzero(&d->config, sizeof d->config);
    sodium_memzero(&d->node_config, sizeof d->node_config);
    if (d->kernel_touched)
        log_info("daemon", "ended");
}

int daemon_preview(const struct config *c, FILE *out, char *why)
{
    struct nft_place place[VIPS_MAX];
    char missing[IFNAME_BYTES_MAX + 1] = "";
    struct vipset *v = NULL;
    struct rtnl *r = NULL;
    struct plan *plan = malloc(sizeof *plan);
    int rc = plan == NULL ? -ENOMEM : rtnl_open(&r);
    if (rc == 0)
        rc = vipset_open(&v, r, c, place, missing);
    if (rc < 0)
        goto out;
    plan_init(plan, c->buckets);
    memset(plan->class_of, CLASS_OWN, plan->buckets);
    fputs("# links and addresses\n", out);
    rc = vipset_print(c, place, out);
    fputs("\n# rules\n", out);
    xdp_print(NULL, c, out);
    if (rc == 0)
        rc = nft_print(c, place, plan, out);
    if (rc == 0 && fflush(out) != 0)
        rc = -errno;
out:
    if (rc == -ENODEV && missing[0] != '\0')
        snprintf(why, DAEMON_WHY_BYTES,
                 "vips: there is no interface %s: create it, or name one of `ip link`", missing);
    else if (rc < 0)
        snprintf(why, DAEMON_WHY_BYTES, "cannot print the plan: %s", strerror(-rc));
    if (v != NULL)
        vipset_close(v);
    if (r != NULL)
        rtnl_close(r);
    free(plan);
    return rc;
}
