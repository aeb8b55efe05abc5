#include "xdp_made.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct xdp_program made;

static int bpf_call(enum bpf_cmd command, union bpf_attr *a)
{
    return (int)syscall(SYS_bpf, command, a, sizeof *a);
}

static int load(void)
{
    static char log[1 << 20];
    union bpf_attr a;
    int fd;

    memset(&a, 0, sizeof a);
    a.prog_type = BPF_PROG_TYPE_XDP;
    a.license = (uintptr_t) "";
    a.insns = (uintptr_t)made.code;
    a.insn_cnt = (uint32_t)made.count;
    a.log_buf = (uintptr_t)log;
    a.log_size = sizeof log;
    a.log_level = 1;
    fd = bpf_call(BPF_PROG_LOAD, &a);
    if (fd < 0) {
        fprintf(stderr, "%s\nthe kernel refuses the program: %s\n", log, strerror(errno));
        exit(1);
    }
    return fd;
}

bool xdp_made_open(struct xdp_made *m)
{
    union bpf_attr a;
    void *at = MAP_FAILED;

    memset(&a, 0, sizeof a);
    a.map_type = BPF_MAP_TYPE_ARRAY;
    a.key_size = sizeof(uint32_t);
    a.value_size = sizeof(struct xdp_memory);
    a.max_entries = 1;
    a.map_flags = BPF_F_MMAPABLE;
    m->map = bpf_call(BPF_MAP_CREATE, &a);
    if (m->map >= 0)
        at = mmap(NULL, sizeof *m->memory, PROT_READ | PROT_WRITE, MAP_SHARED, m->map, 0);
    if (at == MAP_FAILED) {
        fprintf(stderr, "skipped: no BPF here (%s): it needs Linux 5.9 and root\n",
                strerror(errno));
        return false;
    }
    m->memory = at;
    return true;
}

int xdp_made_load(const struct xdp_made *m, const struct config *c, const char *interface)
{
    xdp_program_make(&made, c, interface, m->map);
    return load();
}

int xdp_made_bare(void)
{
    made.count = 2;
    made.code[0] = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_DROP};
    made.code[1] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
    return load();
}

unsigned xdp_made_run(int program, const uint8_t *frame, size_t length, unsigned repeat,
                      unsigned *ns)
{
    union bpf_attr a;

    memset(&a, 0, sizeof a);
    a.test.prog_fd = (uint32_t)program;
    a.test.data_in = (uintptr_t)frame;
    a.test.data_size_in = (uint32_t)length;
    a.test.repeat = repeat;
    if (bpf_call(BPF_PROG_TEST_RUN, &a) < 0) {
        fprintf(stderr, "BPF_PROG_TEST_RUN of %zu bytes: %s\n", length, strerror(errno));
        exit(1);
    }
    if (ns != NULL)
        *ns = a.test.duration;
    return a.test.retval;
}

void xdp_made_frame(uint8_t *frame, const struct address *from, const struct address *to)
{
    memset(frame, 0, XDP_MADE_FRAME);
    if (to->family == FAMILY_IP4) {
        memcpy(frame + 12, "\x08\x00\x45\x00\x00\x50", 6);
        frame[22] = 64;
        frame[23] = IPPROTO_TCP;
        memcpy(frame + 26, from->byte, 4);
        memcpy(frame + 30, to->byte, 4);
    } else {
        memcpy(frame + 12, "\x86\xdd\x60\x00\x00\x00\x00\x28\x06\x40", 10);
        memcpy(frame + 22, from->byte, 16);
        memcpy(frame + 38, to->byte, 16);
    }
}
