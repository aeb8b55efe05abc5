/*
 * What the tests of the VIPs share: a host with one NIC, a0, at a cable to b0,
 * its configuration, and a daemon's life on it: start, apply, crash.
 */
#ifndef IPCLUSTERD_TESTS_VIPSET_HOST_H
#define IPCLUSTERD_TESTS_VIPSET_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "ipclusterd/config.h"
#include "nft.h"
#include "rtnl.h"
#include "vipset.h"

#define OWN "02:00:00:00:00:0a" /* the MAC that a0 comes with */
#define V1 "02:bf:c0:00:02:02"
#define V2 "02:bf:c0:00:02:03"

extern struct rtnl *rtnl;
extern struct vipset *vipset; /* NULL: not open; teardown() closes it */
extern struct config config;  /* with a state directory of its own */
extern struct nft_place place[VIPS_MAX];
extern char missing[IFNAME_BYTES_MAX + 1];

/* Around each test; the host is remembered as it is then. */
int setup(void **state);
int teardown(void **state);

/* The MAC that `text` tells; fails if it is none. */
struct mac mac(const char *text);

/* One more VIP on a0 in `config`. */
void vip_add(const char *address, uint8_t prefix, const char *virtual, enum vip_mode mode);

/* Opens and recovers `vipset`; both have to succeed. */
void start(void);
/* What it had to repair; has to succeed. */
unsigned apply(void);
/* A daemon that is killed leaves everything as it is. */
void crash(void);

/* Remembers how the host is now, for host_unchanged(). */
void host_remember(void);
/* Fails unless the host is as remembered and there is no journal. */
void host_unchanged(void);

/* True if `word` is in what `command` prints. */
bool shown(const char *command, const char *word);
/* True if a0 has the address, told with its prefix. */
bool address_shown(const char *address);
bool own_mac_shown(const char *text);
bool second_mac_shown(const char *text);
bool journal_there(void);

#endif
