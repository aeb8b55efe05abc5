/*
 * Runs or attaches the programs of xdp.bpf.c.
 *
 *   xdp OBJECT run VIP          "NAME NANOSECONDS" a packet, of each, several times in turn
 *   xdp OBJECT attach VIP INTERFACE bare|ours     until standard input ends
 *
 * `run` is the kernel's test_run: the program alone, as a driver calls it, with
 * the data in the cache and no driver around it.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPEAT = 1000000, ROUNDS = 9, BUCKETS = 256, FRAME = 94 };

static struct bpf_object *object;

static void die(const char *what)
{
    fprintf(stderr, "xdp: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int map_of(const char *name)
{
    int fd = bpf_object__find_map_fd_by_name(object, name);

    if (fd < 0)
        die(name);
    return fd;
}

static int program_of(const char *name)
{
    struct bpf_program *p = bpf_object__find_program_by_name(object, name);

    if (p == NULL)
        die(name);
    return bpf_program__fd(p);
}

/* The VIP's key, and a frame to it of source number 1, whose bucket is another's. */
static void frame_fill(unsigned char *frame, const char *vip, uint32_t key[4])
{
    memset(frame, 0, FRAME);
    memset(key, 0, 16);
    if (strchr(vip, ':') == NULL) {
        memcpy(frame + 12, "\x08\x00\x45\x00\x00\x50", 6);
        frame[23] = IPPROTO_TCP;
        frame[29] = 1;
        inet_pton(AF_INET, vip, key);
        memcpy(frame + 30, key, 4);
    } else {
        memcpy(frame + 12, "\x86\xdd\x60", 3);
        frame[20] = IPPROTO_TCP;
        frame[37] = 1;
        inet_pton(AF_INET6, vip, key);
        memcpy(frame + 38, key, 16);
    }
}

static void run(const char *name, unsigned char *frame)
{
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = FRAME,
                .repeat = REPEAT);

    if (bpf_prog_test_run_opts(program_of(name), &options) != 0)
        die(name);
    if (options.retval != XDP_DROP) {
        fprintf(stderr, "xdp: %s did not drop\n", name);
        exit(1);
    }
    printf("%s %u\n", name, options.duration);
}

int main(int argc, char **argv)
{
    uint32_t mask = BUCKETS - 1, key[4];
    unsigned char frame[FRAME];
    char line[8];
    unsigned index;

    if (argc != 4 && argc != 6) {
        fprintf(stderr, "usage: xdp OBJECT run VIP | OBJECT attach VIP INTERFACE PROGRAM\n");
        return 2;
    }
    object = bpf_object__open_file(argv[1], NULL);
    if (object == NULL || bpf_object__load(object) != 0)
        die(argv[1]);
    frame_fill(frame, argv[3], key);
    if (bpf_map_update_elem(map_of("vips"), key, &mask, BPF_ANY) != 0)
        die("vips");
    for (uint32_t i = 0; i < BUCKETS; i += 2) {
        uint8_t ours = 1;

        if (bpf_map_update_elem(map_of("buckets"), &i, &ours, BPF_ANY) != 0)
            die("buckets");
    }
    if (argc == 4) {
        for (int i = 0; i < ROUNDS; i++) {
            run("bare", frame);
            run("ours", frame);
        }
        return 0;
    }
    index = if_nametoindex(argv[4]);
    if (index == 0 ||
        bpf_xdp_attach((int)index, program_of(argv[5]), XDP_FLAGS_SKB_MODE, NULL) != 0)
        die(argv[4]);
    puts("attached");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL)
        continue;
    return 0;
}
