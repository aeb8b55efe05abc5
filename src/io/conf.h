/*
 * The configuration file (libconfig) -> one struct config, from one schema
 * table. Every fault is reported with file and line.
 */
#ifndef IPCLUSTERD_IO_CONF_H
#define IPCLUSTERD_IO_CONF_H

#include "ipclusterd/config.h"
#include "ipclusterd/node.h"

/* Takes each fault as "FILE:LINE: message" (no newline). */
typedef void (*conf_fault_fn)(void *arg, const char *fault);

/*
 * Reads and checks `path` and the keys it names. Returns 0 and fills `out`, or
 * the number of faults (> 0), each told to `fault`; `out` is then untouched.
 */
int conf_load(const char *path, struct config *out, conf_fault_fn fault, void *arg);

/*
 * The same for `ipclusterd -t`, which judges what is written: a key file that
 * does not exist yet is told to `note` instead, and so is a next key that is the
 * present one. Nothing is kept.
 */
int conf_check(const char *path, conf_fault_fn fault, conf_fault_fn note, void *arg);

/*
 * The same for `length` bytes of text called `name`: no file is opened, so
 * @include is a fault and the keys stay zero.
 */
int conf_parse(const char *name, const char *text, size_t length, struct config *out,
               conf_fault_fn fault, void *arg);

/*
 * Whether a running daemon can go over from `was` to `is`. Returns NULL, or a
 * sentence naming the key that needs a restart (cluster name, node name,
 * buckets, quorum, state_dir, ...). Weight, the heartbeat, flap and vips may
 * change; the key only to one of the two that were known.
 */
const char *conf_reload_obstacle(const struct config *was, const struct config *is);

/* The same for the key that heartbeats are sealed with now (seal_key_hash() of
 * it), which the daemon must go on knowing. */
const char *conf_key_obstacle(const struct config *is, uint64_t in_use);

/* "buckets", "timing", "vips", "select", "quorum", "flap". */
const char *conf_part_name(enum config_part part);

/* The keys that it is made of, for people: "heartbeat.dead_after or lease". */
const char *conf_part_keys(enum config_part part);

/* What the core needs of it; `mac` and `address` are left for the caller. */
void conf_node(const struct config *c, struct node_config *out);

/* "192.168.0.2" / "2001:db8::1" into `out` (INET6_ADDRSTRLEN bytes). */
const char *address_text(const struct address *a, char *out, size_t size);
bool address_parse(const char *text, struct address *out);
const char *mac_text(const struct mac *m, char out[18]);
bool mac_parse(const char *text, struct mac *out);
bool mac_equal(const struct mac *a, const struct mac *b);

/* The shared MAC that "auto" means for an address: 02:bf + the IPv4 address;
 * for IPv6 02:bf + four bytes of a hash of it. */
struct mac vip_auto_mac(const struct address *a);

#endif
