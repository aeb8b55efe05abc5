/*
 * Socket filters (classic BPF): the kernel compares a datagram's header with
 * what a heartbeat of this cluster has there, and drops what differs before it
 * takes room in a queue or wakes anybody.
 *
 * The program sees the datagram from its UDP header on.
 */
#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <string.h>

#include "ipclusterd/seal.h"
#include "udp_impl.h"

enum {
    UDP_HEADER = 8,
    PROGRAM_MAX = 16,
    /* Offsets in the datagram, see seal.h. */
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_CLUSTER = 8,
};

#define MAGIC 0x4950434cu /* "IPCL" */

static uint32_t word(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

static uint32_t high(uint64_t id)
{
    return (uint32_t)(id >> 32);
}

bool udp_filter_knows(const struct udp_filter *f, const uint8_t *data, size_t length)
{
    return length > SEAL_OVERHEAD && length <= DATAGRAM_MAX && word(data + AT_MAGIC) == MAGIC &&
           data[AT_VERSION] >= f->version_first && data[AT_VERSION] <= f->version_last &&
           word(data + AT_CLUSTER) == high(f->cluster_id) &&
           word(data + AT_CLUSTER + 4) == (uint32_t)f->cluster_id;
}

/* A program in the making. Each demand that is not met ends in its last but
 * one instruction, which drops. */
struct program {
    unsigned short count;
    struct sock_filter code[PROGRAM_MAX];
};

static void code_add(struct program *p, uint16_t code, uint32_t k)
{
    assert(p->count < PROGRAM_MAX);
    p->code[p->count++] = (struct sock_filter){.code = code, .k = k};
}

/* Goes on if the accumulator compares with `k` so, or (`wanted` false) if not. */
static void demand(struct program *p, uint16_t comparison, uint32_t k, bool wanted)
{
    code_add(p, BPF_JMP | BPF_K | comparison, k);
    /* Which of the two jumps leads to the end is noted; how far, is not known yet. */
    if (wanted)
        p->code[p->count - 1].jf = 1;
    else
        p->code[p->count - 1].jt = 1;
}

static void program_end(struct program *p)
{
    code_add(p, BPF_RET | BPF_K, UINT32_MAX);
    code_add(p, BPF_RET | BPF_K, 0);
    for (unsigned i = 0; i + 2U < p->count; i++) {
        struct sock_filter *c = &p->code[i];
        if (BPF_CLASS(c->code) != BPF_JMP)
            continue;
        uint8_t far = (uint8_t)(p->count - 1U - (i + 1U));
        c->jt = c->jt != 0 ? far : 0;
        c->jf = c->jf != 0 ? far : 0;
    }
}

static void load(struct program *p, uint16_t size, uint32_t offset)
{
    code_add(p, BPF_LD | BPF_ABS | size, UDP_HEADER + offset);
}

static void program_make(struct program *p, const struct udp_filter *f, enum udp_admit admit)
{
    if (admit == ADMIT_NONE) {
        code_add(p, BPF_RET | BPF_K, 0);
        return;
    }
    code_add(p, BPF_LD | BPF_W | BPF_LEN, 0);
    demand(p, BPF_JGT, UDP_HEADER + (admit == ADMIT_KNOWN ? SEAL_OVERHEAD : 0), true);
    demand(p, BPF_JGT, UDP_HEADER + DATAGRAM_MAX, false);
    if (admit == ADMIT_KNOWN) {
        load(p, BPF_W, AT_MAGIC);
        demand(p, BPF_JEQ, MAGIC, true);
        load(p, BPF_B, AT_VERSION);
        demand(p, BPF_JGE, f->version_first, true);
        demand(p, BPF_JGT, f->version_last, false);
        load(p, BPF_W, AT_CLUSTER);
        demand(p, BPF_JEQ, high(f->cluster_id), true);
        load(p, BPF_W, AT_CLUSTER + 4);
        demand(p, BPF_JEQ, (uint32_t)f->cluster_id, true);
    }
    program_end(p);
}

int udp_filter_attach(int fd, const struct udp_filter *f, enum udp_admit admit)
{
    struct program p = {0};
    program_make(&p, f, admit);
    const struct sock_fprog all = {.len = p.count, .filter = p.code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof all) < 0 ? -errno : 0;
}
