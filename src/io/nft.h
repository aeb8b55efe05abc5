/*
 * Plans into nftables: tables `inet ipclusterd` and `netdev ipclusterd`, by
 * libnftnl objects in one libmnl batch per change.
 *
 * Success of a batch: no error in any reply and the batch's end was reached
 * (a generation counter that advanced). Anything else: -errno, nothing changed.
 */
#ifndef IPCLUSTERD_IO_NFT_H
#define IPCLUSTERD_IO_NFT_H

#include <stdio.h>

#include "ipclusterd/config.h"
#include "ipclusterd/plan.h"

/* Bits of the packet mark that we use between our own chains and clear again,
 * where the configuration names none. */
#define NFT_MARK_DEFAULT 0x00070000u

/* A VIP's place on this host, beside its configuration. */
struct nft_place {
    unsigned ifindex;
    struct mac own; /* the NIC's own (original) MAC, also in mode interface */
};

struct nft;

/*
 * Opens the netlink sockets. `place` has an entry per c->vip. Copies what it
 * needs. Returns 0 or -errno.
 */
int nft_open(struct nft **out, const struct config *c, const struct nft_place *place);
void nft_close(struct nft *n);

/*
 * Puts the whole of `plan` into the kernel: the first time, after a new
 * configuration, or after nft_lost() the tables are replaced in one batch;
 * later only the elements that differ. The lease is not touched by an
 * element change; in new tables it runs on for what it had left, if nft_renew()
 * was called within `lease`, and is lapsed otherwise.
 * Returns 0 or -errno, with nothing changed in the kernel.
 */
int nft_apply(struct nft *n, const struct plan *plan);

/*
 * Reads back what the kernel holds of a run before this one, before the first
 * nft_apply(): `plan` has no RELEASE, it is LINGER; the lease ends at `until`
 * (CLOCK_BOOTTIME), and runs on to then in the tables that nft_apply() makes. 0;
 * -ENOENT: there are no tables, or not those of this configuration; -ETIME: its lease
 * has run out; -errno. On error nothing is changed.
 */
int nft_inherit(struct nft *n, struct plan *plan, instant *until);

/* Lets the lease of all VIPs run for `span` from now on: at least a millisecond, at
 * most `lease` (config), whatever is asked. */
int nft_renew(struct nft *n, usec span);

/* Forget what was applied: the next nft_apply() replaces the tables. */
void nft_lost(struct nft *n);

/* A new configuration (`place` as for nft_open). The kernel keeps the tables,
 * and a running lease, until the next nft_apply() replaces them. 0 or -errno. */
int nft_reconfigure(struct nft *n, const struct config *c, const struct nft_place *place);

/* Why the last nft_apply(), nft_renew() or nft_clear() failed, in words; "" if
 * it did not. Valid until the next call. */
const char *nft_error(const struct nft *n);

/* Deletes our tables; 0 if there are none. */
int nft_clear(struct nft *n);

/* A descriptor that is readable when somebody changed the ruleset. */
int nft_watch_fd(const struct nft *n);

/*
 * Reads the notifications waiting there. Returns 1 if somebody else deleted
 * or changed something in our tables (or the queue overflowed), 0 if not, or
 * -errno.
 */
int nft_watch_read(struct nft *n);

/* Packet counters of VIP `vip`. */
struct nft_counters {
    uint64_t accepted, foreign, orphan_reset, forwarded, refused;
};
int nft_counters(struct nft *n, size_t vip, struct nft_counters *out);

/* The same tables as text that `nft -f` loads (ipclusterd -n). */
int nft_print(const struct config *c, const struct nft_place *place, const struct plan *plan,
              FILE *out);

/* The nearest that iptables-restore, or ip6tables-restore, can say to them. */
int nft_print_iptables(const struct config *c, const struct nft_place *place,
                       const struct plan *plan, enum family family, FILE *out);

#endif
