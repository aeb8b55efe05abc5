/*
 * Plans into nftables: what is in the kernel, what is wanted, and the one
 * transaction that goes from the first to the second.
 *
 * The tables are replaced whole, in one transaction, whenever we cannot be
 * sure what is in them: the first time, after a new configuration, after
 * somebody else touched them, and after a difference that the kernel refused.
 * A lease that is running runs on in the new tables, for the time it had left:
 * a repair must not stop a node that serves, nor make it serve longer.
 */
#include "nft.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nft_batch.h"
#include "nft_elem.h"
#include "nft_install.h"
#include "nft_read.h"
#include "nft_tables.h"
#include "nft_watch.h"

/* Of a lease with less than this left nothing is worth keeping; the kernel
 * counts in ticks of up to 10 ms and takes 0 for "the whole". */
#define LEASE_WORTH (30 * USEC_PER_MS)

/* From so many elements on a commit is worth turning the notifications off. */
enum { ELEMENTS_MANY = 32, QUIET_TRIES = 3 };

struct nft {
    struct nft_layout layout;
    struct nft_batch batch;
    struct nft_watch watch;
    bool installed; /* the tables are ours and hold `applied` */
    struct plan applied;
    instant renewed; /* when the lease last began, not later; or would have, as a whole one */
    struct nft_counters base[VIPS_MAX]; /* counted by tables that are gone */
};

static instant clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (instant){(int64_t)t.tv_sec * USEC_PER_S + t.tv_nsec / 1000};
}

int nft_open(struct nft **out, const struct config *c, const struct nft_place *place)
{
    struct nft *n = calloc(1, sizeof *n);
    int error;

    if (n == NULL)
        return -ENOMEM;
    nft_layout_init(&n->layout, c, place);
    n->renewed = INSTANT_PAST;
    error = nft_batch_open(&n->batch);
    if (error != 0)
        goto fail;
    error = nft_watch_open(&n->watch, nft_batch_portid(&n->batch));
    if (error != 0)
        goto fail;
    *out = n;
    return 0;
fail:
    nft_close(n);
    return error;
}

void nft_close(struct nft *n)
{
    if (n == NULL)
        return;
    nft_watch_close(&n->watch);
    nft_batch_close(&n->batch);
    free(n);
}

/* Its address may not be there yet: it claims nothing before it is. */
static bool vip_is_fresh(const struct nft_layout *before, const struct vip_config *v)
{
    for (size_t i = 0; i < before->vips; i++)
        if (memcmp(&before->vip[i].address, &v->address, sizeof v->address) == 0)
            return before->fresh[i];
    return true;
}

int nft_reconfigure(struct nft *n, const struct config *c, const struct nft_place *place)
{
    struct nft_layout fresh;
    usec was = n->layout.lease;

    nft_layout_init(&fresh, c, place);
    for (size_t i = 0; i < fresh.vips; i++)
        fresh.fresh[i] = vip_is_fresh(&n->layout, &fresh.vip[i]);
    n->layout = fresh;
    /* What is left of the lease must not grow by a longer one. */
    if (n->layout.lease > was)
        n->renewed = instant_add(n->renewed, was - n->layout.lease);
    memset(n->base, 0, sizeof n->base);
    nft_lost(n);
    return 0;
}

void nft_lost(struct nft *n)
{
    n->installed = false;
}

const char *nft_error(const struct nft *n)
{
    return n->batch.why;
}

/* ---- counters ------------------------------------------------------------------- */

static int counter_take(const struct nlmsghdr *answer, void *arg)
{
    struct nftnl_obj *o = nftnl_obj_alloc();
    int error = 0;

    if (o == NULL)
        return -ENOMEM;
    if (nftnl_obj_nlmsg_parse(answer, o) < 0 || !nftnl_obj_is_set(o, NFTNL_OBJ_CTR_PKTS))
        error = -EPROTO;
    else
        *(uint64_t *)arg = nftnl_obj_get_u64(o, NFTNL_OBJ_CTR_PKTS);
    nftnl_obj_free(o);
    return error;
}

static int counter_read(struct nft *n, enum nft_table t, size_t vip, const char *noun,
                        uint64_t *out)
{
    char buffer[256] __attribute__((aligned(8)));
    char name[NFT_NAME_BYTES];
    struct nlmsghdr *m = nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETOBJ, nft_table_family(t), 0, 0);

    mnl_attr_put_strz(m, NFTA_OBJ_TABLE, NFT_TABLE_NAME);
    mnl_attr_put_strz(m, NFTA_OBJ_NAME, nft_name(name, vip, noun));
    mnl_attr_put_u32(m, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
    return nft_batch_ask(&n->batch, m, counter_take, out);
}

/* Which of a chain's counters without a name, and what it has. */
struct nth_counter {
    size_t left; /* of those before it */
    bool found;
    uint64_t packets;
};

static void rule_counter_look(struct nth_counter *n, const struct nftnl_expr *e)
{
    if (n->found || strcmp(nftnl_expr_get_str(e, NFTNL_EXPR_NAME), "counter") != 0)
        return;
    n->found = n->left == 0;
    if (n->found)
        n->packets = nftnl_expr_get_u64(e, NFTNL_EXPR_CTR_PACKETS);
    else
        n->left--;
}

static int rule_counter_take(const struct nlmsghdr *answer, void *arg)
{
    struct nftnl_rule *r = nftnl_rule_alloc();
    struct nftnl_expr_iter *i = NULL;
    struct nftnl_expr *e;
    int error = r != NULL ? 0 : -ENOMEM;

    if (error == 0 && nftnl_rule_nlmsg_parse(answer, r) < 0)
        error = -EPROTO;
    if (error == 0 && (i = nftnl_expr_iter_create(r)) == NULL)
        error = -ENOMEM;
    while (error == 0 && (e = nftnl_expr_iter_next(i)) != NULL)
        rule_counter_look(arg, e);
    if (i != NULL)
        nftnl_expr_iter_destroy(i);
    if (r != NULL)
        nftnl_rule_free(r);
    return error;
}

static int ingress_foreign_read(struct nft *n, size_t vip, uint64_t *out)
{
    char buffer[256] __attribute__((aligned(8)));
    char name[NFT_NAME_BYTES];
    enum nft_table t = NFT_TABLE_NETDEV;
    struct nth_counter counter = {.left = nft_ingress_counter(&n->layout, vip)};
    struct nlmsghdr *m =
        nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETRULE, nft_table_family(t), NLM_F_DUMP, 0);
    int error;

    mnl_attr_put_strz(m, NFTA_RULE_TABLE, NFT_TABLE_NAME);
    mnl_attr_put_strz(m, NFTA_RULE_CHAIN, nft_ingress_chain(&n->layout, vip, name));
    error = nft_batch_ask(&n->batch, m, rule_counter_take, &counter);
    *out = counter.packets;
    return error == 0 && !counter.found ? -ENOENT : error;
}

static int counters_read(struct nft *n, size_t vip, struct nft_counters *out)
{
    const struct {
        enum nft_table table;
        const char *noun;
        uint64_t *to;
    } each[] = {
        {NFT_TABLE_INET, "accepted", &out->accepted},
        {NFT_TABLE_INET, "orphan", &out->orphan_reset},
        {NFT_TABLE_NETDEV, "forwarded", &out->forwarded},
        {NFT_TABLE_INET, "foreign", &out->foreign},
        {NFT_TABLE_INET, "refused", &out->refused},
    };
    bool ingress = nft_early_table(&n->layout.vip[vip]) == NFT_TABLE_NETDEV;
    size_t count = sizeof each / sizeof *each - (ingress ? 2 : 0); /* without the last two */
    int error = 0;

    out->refused = 0;
    for (size_t i = 0; error == 0 && i < count; i++)
        error = counter_read(n, each[i].table, vip, each[i].noun, each[i].to);
    if (error == 0 && ingress)
        error = ingress_foreign_read(n, vip, &out->foreign);
    return error;
}

static void counters_add(struct nft_counters *to, const struct nft_counters *more)
{
    to->accepted += more->accepted;
    to->foreign += more->foreign;
    to->orphan_reset += more->orphan_reset;
    to->forwarded += more->forwarded;
    to->refused += more->refused;
}

int nft_counters(struct nft *n, size_t vip, struct nft_counters *out)
{
    struct nft_counters now;
    int error;

    assert(vip < n->layout.vips);
    error = counters_read(n, vip, &now);
    if (error != 0)
        return error;
    counters_add(&now, &n->base[vip]);
    *out = now;
    return 0;
}

/* ---- plans ---------------------------------------------------------------------- */

/* What the tables counted that are about to be replaced, if they are still there. */
static void counters_save(struct nft *n, struct nft_counters saved[VIPS_MAX])
{
    memset(saved, 0, sizeof(struct nft_counters[VIPS_MAX]));
    for (size_t vip = 0; vip < n->layout.vips; vip++)
        if (counters_read(n, vip, &saved[vip]) != 0)
            memset(&saved[vip], 0, sizeof saved[vip]);
}

/*
 * Sends a large transaction with the notifications off: the kernel keeps one of
 * a page for each element until it commits, if anybody listens. Whether somebody
 * else committed meanwhile shows in the generation, which then has not advanced
 * by exactly one: -EINTR, and the tables are to be replaced.
 */
static int send_quietly(struct nft *n)
{
    uint32_t before, after;
    int error = nft_batch_generation(&n->batch, &before);
    int resumed;

    if (error == 0)
        error = nft_watch_pause(&n->watch);
    if (error != 0)
        return error;
    error = nft_batch_send(&n->batch);
    resumed = nft_watch_resume(&n->watch);
    if (error != 0 || resumed != 0)
        return error != 0 ? error : resumed;
    error = nft_batch_generation(&n->batch, &after);
    if (error == 0 && after != before + 1)
        error = -EINTR;
    return error;
}

static void install_build(struct nft *n, const struct plan *plan)
{
    usec left;

    nft_batch_begin(&n->batch);
    nft_install_remove(&n->batch);
    nft_install(&n->batch, &n->layout);
    nft_elem_change(&n->batch, &n->layout, NULL, plan);
    left = n->layout.lease - instant_diff(clock_now(), n->renewed);
    if (left >= LEASE_WORTH)
        nft_elem_lease_start(&n->batch, &n->layout, (uint64_t)(left / USEC_PER_MS));
}

static int plan_install(struct nft *n, const struct plan *plan)
{
    struct nft_counters saved[VIPS_MAX];
    int error = -EINTR;

    counters_save(n, saved);
    /* Where others commit all the time, the last try is made in their sight. */
    for (int i = 0; i < QUIET_TRIES && error == -EINTR; i++) {
        install_build(n, plan);
        error = send_quietly(n);
    }
    if (error == -EINTR) {
        install_build(n, plan);
        error = nft_batch_send(&n->batch);
    }
    if (error != 0)
        return error;
    for (size_t vip = 0; vip < n->layout.vips; vip++)
        counters_add(&n->base[vip], &saved[vip]);
    return 0;
}

static int plan_change(struct nft *n, const struct plan *plan)
{
    size_t count;
    int error;

    nft_batch_begin(&n->batch);
    count = nft_elem_change(&n->batch, &n->layout, &n->applied, plan);
    if (count == 0)
        return 0;
    if (count < ELEMENTS_MANY)
        return nft_batch_send(&n->batch);
    error = send_quietly(n);
    return error == -EINTR ? plan_install(n, plan) : error;
}

int nft_apply(struct nft *n, const struct plan *plan)
{
    int error;

    assert(plan->buckets == n->layout.buckets);
    error = n->installed ? plan_change(n, plan) : plan_install(n, plan);
    if (error != 0) {
        /* The kernel may hold something else than we think: begin afresh. */
        n->installed = false;
        return error;
    }
    n->applied = *plan;
    n->installed = true;
    return 0;
}

int nft_inherit(struct nft *n, struct plan *plan, instant *until)
{
    instant before = clock_now();
    usec left;
    int error = nft_read(&n->layout, plan, &left);

    if (error != 0)
        return error;
    *until = instant_add(before, left);
    n->renewed = instant_add(*until, -n->layout.lease);
    return 0;
}

int nft_renew(struct nft *n, usec span)
{
    instant now;
    int error = -ENOENT;

    if (span > n->layout.lease)
        span = n->layout.lease;
    if (span < USEC_PER_MS)
        span = USEC_PER_MS;

    /* Before 6.8 an element may end between our first add and the delete. */
    for (int tries = 0; tries < 2 && error == -ENOENT; tries++) {
        now = clock_now();
        nft_batch_begin(&n->batch);
        bool any = nft_elem_lease_renew(&n->batch, &n->layout, (uint64_t)(span / USEC_PER_MS));
        error = any ? nft_batch_send(&n->batch) : 0;
    }
    if (error == 0)
        memset(n->layout.fresh, 0, sizeof n->layout.fresh);
    if (error == 0)
        n->renewed = instant_add(now, span - n->layout.lease);
    else if (error == -ENOENT)
        nft_lost(n); /* the tables are gone */
    return error;
}

int nft_clear(struct nft *n)
{
    n->installed = false;
    n->renewed = INSTANT_PAST;
    nft_batch_begin(&n->batch);
    nft_install_remove(&n->batch);
    return nft_batch_send(&n->batch);
}

/* ---- watching ------------------------------------------------------------------- */

int nft_watch_fd(const struct nft *n)
{
    return mnl_socket_get_fd(n->watch.socket);
}

int nft_watch_read(struct nft *n)
{
    return nft_watch_drain(&n->watch);
}
