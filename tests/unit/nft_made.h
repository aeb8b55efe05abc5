/*
 * For the tests of src/io/nft: a configuration and a plan, put into the kernel
 * of a namespace, and read back by the distribution's nft. All fail the test
 * that calls them if something is not as it should be.
 */
#ifndef NFT_MADE_H
#define NFT_MADE_H

#include "ipclusterd/config.h"
#include "nft.h"

struct CMUnitTest;

/* Of the present test. */
extern struct config config;
extern struct nft_place place[VIPS_MAX];
extern struct plan plan;
extern struct nft *nft;
extern char directory[]; /* for files */

enum { LEASE_MS = 600 };

/* One more VIP on eth0; then nft_open() with what there is. */
struct vip_config *made_vip_add(const char *address, enum vip_mode mode, enum vip_select select);
void made_open(uint16_t buckets);
/* All there is: both families, selections and modes, early and late. 256 buckets. */
void made_open_all(void);

/* Classes of buckets in the plan: these, or a few of each. */
void made_classes(unsigned first, unsigned last, enum bucket_class class);
void made_some_classes(void);

/* `nft list ruleset`, nothing counted; also in the file. Free it. */
char *made_listing(const char *file);
/* The maps in the kernel are what the plan says. */
void made_check_classes(size_t vip);
void made_check_forwards(size_t vip);
void made_check(void);
/* Lease elements in the kernel, and how many there are when all run. */
size_t made_leases_running(void);
size_t made_leases_wanted(void);
/* The family of the table that has a VIP's classes. */
const char *made_early_table(size_t vip);

int made_setup(void **state);
int made_teardown(void **state);
/* Runs the tests in a namespace with an eth0: for main(). */
int made_run(const struct CMUnitTest *tests, size_t count);

#endif
