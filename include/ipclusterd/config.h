/*
 * The configuration as one immutable value. `conf` (src/io) makes it of a
 * file; a reload makes a new one. Layout and defaults: ipclusterd.conf(5).
 */
#ifndef IPCLUSTERD_CONFIG_H
#define IPCLUSTERD_CONFIG_H

#include "ipclusterd/flap.h"
#include "ipclusterd/node.h"
#include "ipclusterd/types.h"

enum {
    PATH_BYTES_MAX = 255,
    IFNAME_BYTES_MAX = 15,
    HEARTBEAT_LINKS_MAX = 8,
    PEERS_MAX = MEMBERS_MAX,
};

enum vip_mode { VIP_SHARED, VIP_INTERFACE, VIP_MODE_MAX };
enum vip_select { SELECT_MASK, SELECT_HASH, SELECT_MAX };
/* What of a client stays together on one node: its address, all of its /24 or
 * /64, or each address and port. */
enum vip_affinity { AFFINITY_ADDRESS, AFFINITY_NETWORK, AFFINITY_FLOW, AFFINITY_MAX };
enum vip_orphans { ORPHANS_RESET, ORPHANS_DROP, ORPHANS_MAX };

/* Whether what is another's is dropped by XDP: not; in the driver; above it. */
enum xdp_mode { XDP_MODE_OFF, XDP_MODE_NATIVE, XDP_MODE_GENERIC, XDP_MODE_MAX };

enum service_protocol { SERVICE_TCP, SERVICE_UDP, SERVICE_SCTP, SERVICE_ANY, SERVICE_MAX };

/* BALANCE  each client goes to the owner of its bucket, as without services.
 * SINGLE   all clients go to the owner of the service's own bucket.
 * CLOSED   refused, by the owner of the service's own bucket. */
enum service_policy { POLICY_BALANCE, POLICY_SINGLE, POLICY_CLOSED, POLICY_MAX };

enum { SERVICES_MAX = 16, SERVICE_PORTS_MAX = 64 };

/* A part of what comes to a virtual address. ANY is all but ICMP. */
struct service_config {
    enum service_protocol protocol;
    size_t ports;                     /* 0: all that no other service names; of ANY always 0 */
    uint16_t port[SERVICE_PORTS_MAX]; /* ascending */
    enum service_policy policy;
    uint16_t bucket; /* made of the address, the protocol and the ports */
};

/* One virtual address. */
struct vip_config {
    struct address address;
    uint8_t prefix; /* length: 0..32 or 0..128 */
    char interface[IFNAME_BYTES_MAX + 1];
    enum vip_mode mode;
    struct mac mac; /* the shared MAC; "auto" resolved */
    enum vip_select select;
    enum vip_affinity affinity;
    bool mask_source_mac;
    bool early_drop;
    enum vip_orphans orphans;
    usec orphan_after;
    bool removing;   /* no longer in the file: here, behind all others, until the flows that it
                      has have ended */
    size_t services; /* ordered by protocol and first port; what none names is balanced */
    struct service_config service[SERVICES_MAX];
};

struct config {
    /* cluster */
    char cluster[NAME_BYTES_MAX + 1];
    char key_file[PATH_BYTES_MAX + 1];
    uint8_t key[KEY_BYTES];                 /* read from key_file */
    char key_file_next[PATH_BYTES_MAX + 1]; /* "" : none */
    uint8_t key_next[KEY_BYTES];            /* read from it; all zero: none */
    uint16_t buckets;
    enum quorum_policy quorum;
    size_t founders; /* cluster.members; 0: not listed */
    char founder[MEMBERS_MAX][NAME_BYTES_MAX + 1];
    struct address witness; /* FAMILY_NONE: none */
    usec forget_after;

    /* node */
    char node[NAME_BYTES_MAX + 1];
    uint16_t weight;
    usec stop_drain;
    uint32_t mark; /* bits of the packet mark that are ours, at least two; 0: the default's */
    enum xdp_mode xdp;
    char state_dir[PATH_BYTES_MAX + 1];

    /* heartbeat */
    size_t heartbeat_links; /* >= 1 */
    char heartbeat_link[HEARTBEAT_LINKS_MAX][IFNAME_BYTES_MAX + 1];
    uint16_t port;
    struct address group; /* FAMILY_NONE when only peers are used */
    size_t peers;
    struct address peer[PEERS_MAX];
    usec interval, dead_after, lease;
    bool realtime;

    struct flap_config flap;

    /* vips */
    size_t vips;
    struct vip_config vip[VIPS_MAX];

    /* control */
    char control_socket[PATH_BYTES_MAX + 1];
    char control_group[NAME_BYTES_MAX + 1]; /* "" : none */

    /* What the members must have in common (buckets, selection, VIPs, and the
     * heartbeat's dead_after and lease): equal on all nodes or they refuse each other. */
    uint64_t digest;
    uint32_t part[CONFIG_PARTS]; /* the same by parts, enum config_part; never 0 */
    /* The same by VIPs, which may come and go; and how each selects buckets. */
    struct vips_word vips_word, selection;
};

#endif
