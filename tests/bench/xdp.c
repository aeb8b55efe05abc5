/*
 * XDP, our own program and one that drops everything.
 *
 *   xdp run VIP                     "NAME NANOSECONDS" a packet, of each, in turn
 *   xdp attach VIP INTERFACE NAME   above the driver, until standard input ends
 *
 * NAME: bare; mask, hash: ours, by that way of selecting; half of the buckets are
 * another's, of "hash" all; own: by mask, and none is.
 *
 * `run` is the kernel's test_run: the program alone, as a driver calls it, with the data in
 * the cache and no driver around it.
 */
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "conf.h"
#include "xdp.h"
#include "xdp_made.h"

enum { REPEAT = 1000000, ROUNDS = 15 };

static struct config config;
static struct nft_place place[VIPS_MAX];
static struct plan plan;

static void die(const char *what)
{
    fprintf(stderr, "xdp: %s\n", what);
    exit(1);
}

static void configure(const char *vip, const char *interface, const char *name)
{
    struct vip_config *v = &config.vip[0];

    config = (struct config){.buckets = 256, .xdp = XDP_MODE_GENERIC, .vips = 1};
    v->early_drop = true;
    v->select = strcmp(name, "hash") == 0 ? SELECT_HASH : SELECT_MASK;
    snprintf(v->interface, sizeof v->interface, "%s", interface);
    if (!address_parse(vip, &v->address))
        die("not an address");
    place[0].ifindex = if_nametoindex(interface);
    plan_init(&plan, config.buckets);
    for (unsigned b = 0; b < config.buckets && strcmp(name, "hash") != 0; b++)
        if (b % 2 == 0 || strcmp(name, "own") == 0)
            plan.class_of[b] = CLASS_OWN;
}

/* In CPU time of ours, for the machine may have others to serve. */
static double run_one(int program, const uint8_t *frame)
{
    struct timespec began, ended;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
    if (xdp_made_run(program, frame, XDP_MADE_FRAME, REPEAT, NULL) != XDP_DROP)
        die("it did not drop");
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
    return ((double)(ended.tv_sec - began.tv_sec) * 1e9 + (double)(ended.tv_nsec - began.tv_nsec)) /
           REPEAT;
}

static void run(const char *vip)
{
    static const char *const names[] = {"bare", "mask", "hash"};
    enum { NAMES = sizeof names / sizeof *names };
    uint8_t frame[XDP_MADE_FRAME];
    struct xdp_made kernel;
    struct address from;
    int program[NAMES];

    if (!xdp_made_open(&kernel) ||
        !address_parse(strchr(vip, ':') != NULL ? "2001:db8::1" : "198.51.100.1", &from))
        exit(1);
    memset(kernel.memory->foreign, 1, sizeof kernel.memory->foreign);
    for (size_t i = 0; i < NAMES; i++) {
        configure(vip, "eth0", names[i]);
        program[i] = i == 0 ? xdp_made_bare() : xdp_made_load(&kernel, &config, "eth0");
    }
    xdp_made_frame(frame, &from, &config.vip[0].address);
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < NAMES; i++)
            printf("%s %.2f\n", names[i], run_one(program[i], frame));
}

static void attach_bare(const char *interface)
{
    union bpf_attr a;

    memset(&a, 0, sizeof a);
    a.link_create.prog_fd = (uint32_t)xdp_made_bare();
    a.link_create.target_ifindex = if_nametoindex(interface);
    a.link_create.attach_type = BPF_XDP;
    a.link_create.flags = XDP_FLAGS_SKB_MODE;
    if (syscall(SYS_bpf, BPF_LINK_CREATE, &a, sizeof a) < 0)
        die("cannot attach it");
}

static void attach(const char *vip, const char *interface, const char *name)
{
    char why[XDP_WHY_BYTES];
    struct xdp *xdp;

    if (strcmp(name, "bare") == 0) {
        attach_bare(interface);
    } else {
        configure(vip, interface, name);
        if (xdp_open(&xdp, &config, place, why) < 0)
            die(why);
        xdp_follow(xdp, &plan);
    }
    puts("attached");
    fflush(stdout);
    while (getchar() != EOF)
        continue;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "run") == 0) {
        run(argv[2]);
    } else if (argc == 5 && strcmp(argv[1], "attach") == 0) {
        attach(argv[2], argv[3], argv[4]);
    } else {
        fprintf(stderr, "usage: xdp run VIP | xdp attach VIP INTERFACE NAME\n");
        return 2;
    }
    return 0;
}
