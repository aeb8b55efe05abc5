/*
 * How large heartbeats may be: as large as the smallest MTU of the heartbeat
 * links takes, for all copies are equal and none is fragmented.
 *
 * A link that takes not even the smallest heartbeat bounds nothing: at the start
 * it is a fault; later it is lost like one that is down, and udp.c tells of it.
 */
#include <errno.h>
#include <string.h>

#include "daemon_private.h"
#include "ipclusterd/seal.h"
#include "ipclusterd/wire.h"

enum { IP_UDP_HEADERS = 48 /* IPv6 and UDP */ };

/* The smallest heartbeat that a cluster can live on: all of the sender, of others
 * an acknowledgement of each of two and one entry, which take turns. Lists of
 * voters, of the deaf and of the held wait until there is room. */
static size_t heartbeat_least(const struct config *c)
{
    static struct heartbeat told = {
        .version = WIRE_VERSION_LAST,
        .keys = {.order = 1},
        .clock_ms = 1,
        .parts = CONFIG_PARTS,
        .voters = {.lineage = 1},
        .vips = {.common = 1},
    };
    char longest[NAME_BYTES_MAX + 1];
    told.vips.count = c->vips;
    memset(longest, 'x', NAME_BYTES_MAX);
    longest[NAME_BYTES_MAX] = '\0';
    return SEAL_OVERHEAD + heartbeat_base_bytes(c->node, c->buckets) +
           heartbeat_sections_bytes(&told) + (size_t)2 * HEARTBEAT_ACK_BYTES +
           heartbeat_entry_bytes(longest);
}

/* The largest datagram that all links carry whole which can carry any: 0 if none
 * can. `small`: one that cannot, or HEARTBEAT_LINKS_MAX. Links that are not there
 * are passed over, unless `all` have to be. */
static int mtu_read(struct daemon *d, const struct config *c, bool all, size_t *small,
                    unsigned *mtu, size_t *out)
{
    size_t least = heartbeat_least(c);
    *small = HEARTBEAT_LINKS_MAX;
    *mtu = 0;
    *out = 0;
    for (size_t i = 0; i < c->heartbeat_links; i++) {
        struct rtnl_link link;
        int rc = rtnl_link_get(d->rtnl, c->heartbeat_link[i], &link);
        if (rc < 0 && all)
            return daemon_fail(
                d, rc, "heartbeat", "heartbeat.interface %s: %s: name an interface of `ip link`",
                c->heartbeat_link[i], rc == -ENODEV ? "there is none of this name" : strerror(-rc));
        if (rc < 0)
            continue;
        if (link.mtu < least + IP_UDP_HEADERS) {
            *small = i;
            *mtu = link.mtu;
            continue;
        }
        size_t room = link.mtu - IP_UDP_HEADERS;
        room = room < DATAGRAM_MAX ? room : DATAGRAM_MAX;
        *out = *out == 0 || room < *out ? room : *out;
    }
    return 0;
}

int daemon_datagram_size(struct daemon *d, const struct config *c, uint16_t *out)
{
    size_t small, size;
    unsigned mtu;
    int rc = mtu_read(d, c, true, &small, &mtu, &size);
    if (rc < 0)
        return rc;
    if (small != HEARTBEAT_LINKS_MAX)
        return daemon_fail(d, -EMSGSIZE, "heartbeat",
                           "heartbeat.interface %s needs an MTU of %zu, it has %u: raise it, or "
                           "take fewer cluster.buckets",
                           c->heartbeat_link[small], heartbeat_least(c) + IP_UDP_HEADERS, mtu);
    *out = (uint16_t)size;
    return 0;
}

void daemon_mtu_tell(struct daemon *d)
{
    size_t small, size;
    unsigned mtu;
    if (mtu_read(d, &d->config, false, &small, &mtu, &size) < 0 || size == 0 ||
        size == d->node_config.datagram_max)
        return;
    log_info("heartbeat", "heartbeats have at most %zu bytes from now on, as the links' MTU is",
             size);
    d->node_config.datagram_max = (uint16_t)size;
    daemon_step(d, &(struct event){.kind = EVENT_RELOAD, .reload = &d->node_config});
}
