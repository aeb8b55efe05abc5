/*
 * A view of the node as JSON, in the shapes that `clusterctl -j` prints. The
 * fields are a promise to scripts: added to, never renamed or removed.
 */
#ifndef IPCLUSTERD_IO_CTL_JSON_H
#define IPCLUSTERD_IO_CTL_JSON_H

#include <jansson.h>

#include "ctl.h"
#include "selection.h"

/* Each returns a new reference, or NULL when memory is short. */
json_t *ctl_json_status(const struct ctl_view *v);
json_t *ctl_json_members(const struct ctl_view *v); /* {"members": [...]} */
json_t *ctl_json_vips(const struct ctl_view *v);    /* {"vips": [...]} */
json_t *ctl_json_version(const struct ctl_view *v);

/*
 * Who serves `client` at VIP number `vip` (an index into v->config->vip, of
 * the client's family). Where the port decides and is not told: who serves how
 * much of what it may send.
 */
json_t *ctl_json_which(const struct ctl_view *v, const struct source *client, size_t vip);

/*
 * {"buckets": [...]} into `out`, one bucket at a time: 4096 of them as one
 * tree would take megabytes from a daemon that lives on few. 0 or -ENOMEM.
 */
int ctl_json_buckets(const struct ctl_view *v, struct evbuffer *out);

/*
 * {"last": N, "events": [...]} into `out`: the events after number `since`. 0 or
 * -ENOMEM.
 */
int ctl_json_events(const struct ctl_ops *ops, void *arg, uint64_t since, struct evbuffer *out);

/* A string for a page; bytes that are no UTF-8, which JSON cannot carry, become
 * question marks. */
json_t *ctl_json_text(const char *text);

/* null for FAMILY_NONE. */
json_t *ctl_json_address(const struct address *a);

json_t *ctl_json_vip_list(const struct ctl_view *v);

/* The contract counts in milliseconds. */
static inline json_int_t ctl_json_ms(usec t)
{
    return t / USEC_PER_MS;
}

/* How every page is written. */
#define CTL_JSON_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(6))

/* Appends `json` as text. 0 or -ENOMEM. */
int ctl_json_write(const json_t *json, struct evbuffer *out);

#endif
