/*
 * What the program says, of each frame:
 *
 *   no Ethernet, IPv4 or IPv6 header to be seen, or no VIP of this interface: pass
 *   ICMP other than echoes; of IPv6 what is no transport protocol: pass
 *   foreign[bucket of the source]: count, drop; else pass
 *
 * It is made anew for each configuration, instruction by instruction, rather than
 * compiled once, so that all that the configuration says is a constant in it, and
 * nothing but the kernel is needed: no compiler for eBPF where the daemon is built, no
 * loader where it runs. Addresses are compared with constants, one VIP after the other.
 * Registers from r6 on would have to be saved, and a call loses r1 to r5; the only one,
 * for the number of the processor, comes after all is decided, and is none where the
 * kernel puts it in line (6.10).
 *
 * What passes is judged by the rules as ever, so what is rare or odd passes: fragments of
 * ICMP, options before ICMP, IPv6 with extension headers, frames with VLAN tags. What
 * is dropped the rules would drop: they too look at nothing but the addresses of
 * packets that are not ICMP, be they whole, sound, or for this host at all.
 */
#include "xdp_program.h"

#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "selection.h"

/* r1 is the context at the start, then free. */
enum { R0, R1, R2, R3, R4, R5 };
enum { DATA = R2, A = R3, B = R4, C = R5 /* of a hash */ };

/* Where the parts of a frame are. */
enum {
    AT_TYPE = 12,
    AT_IP = ETHER_HDR_LEN,
    IP4_BYTES = 20,
    IP6_BYTES = 40,
    ICMP_TYPE_BYTES = 1,
    IP4_FRAGMENT = 6,
    IP4_FRAGMENT_BITS = 0x3fff, /* more of them, and the offset */
    IP4_NO_OPTIONS = 0x45,
};

/* Where jumps lead to, forward only. */
enum xdp_place { GO_NEXT_INSTRUCTION, GO_PASS, GO_FAMILY, GO_VIP, GO_LOOKUP, GO_ECHO };

/* Of either family: offsets from the start of the frame. */
struct shape {
    enum family family;
    uint16_t ether_type;
    int16_t protocol, source, destination, end;
    size_t address_bytes;
    uint8_t icmp, echo, echo_reply;
};

static const struct shape shapes[] = {
    {FAMILY_IP4, ETHERTYPE_IP, AT_IP + 9, AT_IP + 12, AT_IP + 16, AT_IP + IP4_BYTES, 4,
     IPPROTO_ICMP, ICMP_ECHO, ICMP_ECHOREPLY},
    {FAMILY_IP6, ETHERTYPE_IPV6, AT_IP + 6, AT_IP + 8, AT_IP + 24, AT_IP + IP6_BYTES, 16,
     IPPROTO_ICMPV6, ICMP6_ECHO_REQUEST, ICMP6_ECHO_REPLY},
};

/* ---- instructions ----------------------------------------------------------- */

static void add(struct xdp_program *p, uint8_t code, uint8_t to, uint8_t from, int16_t offset,
                uint32_t constant)
{
    assert(p->count < XDP_INSTRUCTIONS_MAX);
    p->jump[p->count] = GO_NEXT_INSTRUCTION;
    p->code[p->count++] = (struct bpf_insn){.code = code,
                                            .dst_reg = to & 0xfu,
                                            .src_reg = from & 0xfu,
                                            .off = offset,
                                            .imm = (int32_t)constant};
}

/* `size`: BPF_B, BPF_H, BPF_W, BPF_DW. */
static void load(struct xdp_program *p, uint8_t size, uint8_t to, uint8_t from, int16_t offset)
{
    add(p, BPF_LDX | BPF_MEM | size, to, from, offset, 0);
}

/* Of 32 bits: `operation` is BPF_ADD and so on. */
static void compute(struct xdp_program *p, uint8_t operation, uint8_t to, uint8_t from)
{
    add(p, BPF_ALU | BPF_X | operation, to, from, 0, 0);
}

static void compute_constant(struct xdp_program *p, uint8_t operation, uint8_t to, uint32_t with)
{
    add(p, BPF_ALU | BPF_K | operation, to, 0, 0, with);
}

/* The same of all 64 bits, as addresses need it. */
static void compute_wide(struct xdp_program *p, uint8_t operation, uint8_t to, uint8_t from)
{
    add(p, BPF_ALU64 | BPF_X | operation, to, from, 0, 0);
}

static void compute_wide_constant(struct xdp_program *p, uint8_t operation, uint8_t to,
                                  uint32_t with)
{
    add(p, BPF_ALU64 | BPF_K | operation, to, 0, 0, with);
}

/* A word as it is in the packet, as a number, or, `BPF_TO_LE`, as a little one. */
static void turn(struct xdp_program *p, uint8_t to, uint8_t order)
{
    add(p, BPF_ALU | BPF_END | order, to, 0, 0, 32);
}

/* The address of a place in the map's value. */
static void point(struct xdp_program *p, uint8_t to, int memory, size_t offset)
{
    add(p, BPF_LD | BPF_IMM | BPF_DW, to, BPF_PSEUDO_MAP_VALUE, 0, (uint32_t)memory);
    add(p, 0, 0, 0, 0, (uint32_t)offset);
}

/* Jumps if a register compares with a constant so. */
static void jump_if(struct xdp_program *p, uint8_t comparison, uint8_t reg, uint32_t with,
                    enum xdp_place where)
{
    add(p, BPF_JMP32 | BPF_K | comparison, reg, 0, 0, with);
    p->jump[p->count - 1] = (uint8_t)where;
}

static void end_with(struct xdp_program *p, enum xdp_action verdict)
{
    compute_wide_constant(p, BPF_MOV, R0, (uint32_t)verdict);
    add(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* All jumps to `place` that have been made so far lead here. */
static void arrive(struct xdp_program *p, enum xdp_place place)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->jump[i] != place)
            continue;
        assert(p->count - i - 1 <= INT16_MAX);
        p->code[i].off = (int16_t)(p->count - i - 1);
        p->jump[i] = GO_NEXT_INSTRUCTION;
    }
}

/* ---- the bucket, into r1 ----------------------------------------------------- */

/* With a word rotated by `bits`: jhash is made of these. */
static void rotated(struct xdp_program *p, uint8_t operation, uint8_t to, uint8_t by, uint32_t bits)
{
    compute(p, BPF_MOV, R0, by);
    compute(p, BPF_MOV, R1, by);
    compute_constant(p, BPF_LSH, R0, bits);
    compute_constant(p, BPF_RSH, R1, 32 - bits);
    compute(p, BPF_OR, R0, R1);
    compute(p, operation, to, R0);
}

/* A block of three words, after they were added. */
static void hash_mix(struct xdp_program *p, uint8_t a, uint8_t b, uint8_t c)
{
    static const uint32_t bits[] = {4, 6, 8, 16, 19, 4};

    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        uint8_t first = a;

        compute(p, BPF_SUB, a, c);
        rotated(p, BPF_XOR, a, c, bits[i]);
        compute(p, BPF_ADD, c, b);
        a = b, b = c, c = first; /* each step is of the next */
    }
}

/* From step `first` on. */
static void hash_final(struct xdp_program *p, size_t first, uint8_t a, uint8_t b, uint8_t c)
{
    static const uint32_t bits[] = {14, 11, 25, 16, 4, 14, 24};

    for (size_t i = first; i < sizeof bits / sizeof *bits; i++) {
        uint8_t last = c;

        compute(p, BPF_XOR, c, b);
        rotated(p, BPF_SUB, c, b, bits[i]);
        c = a, a = b, b = last;
    }
}

/* The last word of the source, of the network only if `network`, as jhash reads what is
 * left after whole blocks. */
static void hash_rest(struct xdp_program *p, const struct shape *s, uint8_t to, bool network)
{
    load(p, BPF_W, to, DATA, (int16_t)(s->source + (int16_t)(s->address_bytes - 4)));
    if (network)
        compute_constant(p, BPF_AND, to, htonl(0xffffff00));
    if (htole32(1) != 1)
        turn(p, to, BPF_TO_LE);
}

/* One word: what the first steps make of the two others is known. */
static void hash4(struct xdp_program *p, const struct shape *s, bool network, uint32_t start)
{
    uint32_t c = 0 - (start << 14 | start >> 18);

    hash_rest(p, s, A, network);
    compute_constant(p, BPF_ADD, A, start);
    compute_constant(p, BPF_XOR, A, c);
    compute_constant(p, BPF_SUB, A, c << 11 | c >> 21);
    compute_constant(p, BPF_MOV, B, start);
    compute_constant(p, BPF_MOV, C, c);
    hash_final(p, 2, C, A, B);
}

/* A block of three words, and one more. Of the network, two are not 0. */
static void hash6(struct xdp_program *p, const struct shape *s, bool network, uint32_t start)
{
    static const uint8_t word[] = {A, B, C};

    for (int16_t i = 0; i < 3; i++) {
        bool zero = network && i == 2;

        if (zero)
            compute_constant(p, BPF_MOV, word[i], start);
        else
            load(p, BPF_W, word[i], DATA, (int16_t)(s->source + 4 * i));
        if (!zero)
            compute_constant(p, BPF_ADD, word[i], start);
    }
    hash_mix(p, A, B, C);
    if (!network) {
        hash_rest(p, s, R0, false);
        compute(p, BPF_ADD, A, R0);
    }
    hash_final(p, 0, A, B, C);
}

/* See selection.c. */
static void bucket_by_hash(struct xdp_program *p, const struct shape *s, const struct vip_config *v,
                           uint16_t buckets)
{
    uint32_t start = 0xdeadbeefu + (uint32_t)s->address_bytes + SELECTION_HASH_SEED;

    (s->family == FAMILY_IP4 ? hash4 : hash6)(p, s, v->affinity == AFFINITY_NETWORK, start);
    /* hash * buckets >> 32, of a power of two */
    compute(p, BPF_MOV, R1, C);
    compute_constant(p, BPF_RSH, R1, 32 - (uint32_t)__builtin_ctz(buckets));
}

static void bucket_by_mask(struct xdp_program *p, const struct shape *s, const struct vip_config *v,
                           uint16_t buckets)
{
    bool network = v->affinity == AFFINITY_NETWORK, four = s->family == FAMILY_IP4;
    int16_t word = (int16_t)(s->source + (four ? 0 : network ? 4 : 12));

    if (buckets <= 256) {
        load(p, BPF_B, R1, DATA, (int16_t)(word + (four && network ? 2 : 3)));
        if (buckets < 256)
            compute_constant(p, BPF_AND, R1, buckets - 1u);
        return;
    }
    load(p, BPF_W, R1, DATA, word);
    turn(p, R1, BPF_TO_BE);
    if (four && network)
        compute_constant(p, BPF_RSH, R1, 8);
    compute_constant(p, BPF_AND, R1, buckets - 1u);
}

/* ---- the program ------------------------------------------------------------- */

/* To GO_PASS, if a frame does not have so many bytes. */
static void need_bytes(struct xdp_program *p, uint32_t bytes)
{
    compute_wide(p, BPF_MOV, R4, DATA);
    compute_wide_constant(p, BPF_ADD, R4, bytes);
    add(p, BPF_JMP | BPF_JGT | BPF_X, R4, R3, 0, 0);
    p->jump[p->count - 1] = GO_PASS;
}

/* Words of the address, the last one first: it is the one that differs. */
static void need_destination(struct xdp_program *p, const struct shape *s,
                             const struct address *vip)
{
    for (size_t at = s->address_bytes; at > 0; at -= 4) {
        uint32_t word;

        memcpy(&word, vip->byte + at - 4, sizeof word);
        load(p, BPF_W, R4, DATA, (int16_t)(s->destination + (int16_t)(at - 4)));
        jump_if(p, BPF_JNE, R4, word, GO_VIP);
    }
}

/* On to GO_LOOKUP for what follows the bucket of its addresses; the rest passes. */
static void need_plain(struct xdp_program *p, const struct shape *s)
{
    load(p, BPF_B, R4, DATA, s->protocol);
    if (s->family == FAMILY_IP4) {
        jump_if(p, BPF_JNE, R4, s->icmp, GO_LOOKUP);
        load(p, BPF_B, R4, DATA, AT_IP);
        jump_if(p, BPF_JNE, R4, IP4_NO_OPTIONS, GO_PASS);
        load(p, BPF_H, R4, DATA, AT_IP + IP4_FRAGMENT);
        compute_constant(p, BPF_AND, R4, htons(IP4_FRAGMENT_BITS));
        jump_if(p, BPF_JNE, R4, 0, GO_PASS);
    } else {
        for (size_t i = 0; i < SELECTION_PORT_PROTOCOLS; i++)
            jump_if(p, BPF_JEQ, R4, selection_port_protocols[i], GO_LOOKUP);
        jump_if(p, BPF_JNE, R4, s->icmp, GO_PASS);
    }
    need_bytes(p, (uint32_t)s->end + ICMP_TYPE_BYTES);
    load(p, BPF_B, R4, DATA, s->end);
    jump_if(p, BPF_JEQ, R4, s->echo, GO_LOOKUP);
    jump_if(p, BPF_JNE, R4, s->echo_reply, GO_PASS);
}

/* One processor works at one packet at a time: nobody else writes to its slot. */
static void drop_counted(struct xdp_program *p, size_t vip, int memory)
{
    uint32_t slot = (uint32_t)__builtin_ctz(sizeof((struct xdp_memory *)0)->dropped[0]);

    add(p, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_smp_processor_id);
    compute_constant(p, BPF_AND, R0, XDP_CPUS - 1);
    compute_constant(p, BPF_LSH, R0, slot);
    point(p, R1, memory, offsetof(struct xdp_memory, dropped[0][vip]));
    compute_wide(p, BPF_ADD, R1, R0);
    load(p, BPF_DW, R2, R1, 0);
    compute_wide_constant(p, BPF_ADD, R2, 1);
    add(p, BPF_STX | BPF_MEM | BPF_DW, R1, R2, 0, 0);
    end_with(p, XDP_DROP);
}

static void judge_vip(struct xdp_program *p, const struct shape *s, const struct config *c,
                      size_t vip, int memory)
{
    const struct vip_config *v = &c->vip[vip];

    need_destination(p, s, &v->address);
    need_plain(p, s);
    arrive(p, GO_LOOKUP);
    (v->select == SELECT_HASH ? bucket_by_hash : bucket_by_mask)(p, s, v, c->buckets);
    point(p, R4, memory, offsetof(struct xdp_memory, foreign));
    compute_wide(p, BPF_ADD, R4, R1);
    load(p, BPF_B, R4, R4, 0);
    jump_if(p, BPF_JEQ, R4, 0, GO_PASS);
    drop_counted(p, vip, memory);
    arrive(p, GO_VIP);
}

bool xdp_judges(const struct vip_config *v)
{
    return v->early_drop && selection_by_address(v);
}

void xdp_program_make(struct xdp_program *p, const struct config *c, const char *interface,
                      int memory)
{
    size_t families = 0;

    p->count = 0;
    for (size_t f = 0; f < sizeof shapes / sizeof *shapes; f++) {
        const struct shape *s = &shapes[f];
        bool begun = false;

        for (size_t i = 0; i < c->vips; i++) {
            const struct vip_config *v = &c->vip[i];

            if (v->address.family != s->family || strcmp(v->interface, interface) != 0 ||
                !xdp_judges(v))
                continue;
            if (!begun && families++ == 0) {
                load(p, BPF_W, R3, R1, offsetof(struct xdp_md, data_end));
                load(p, BPF_W, DATA, R1, offsetof(struct xdp_md, data));
            }
            if (!begun) {
                need_bytes(p, (uint32_t)s->end);
                load(p, BPF_H, R4, DATA, AT_TYPE);
                jump_if(p, BPF_JNE, R4, htons(s->ether_type), GO_FAMILY);
            }
            begun = true;
            judge_vip(p, s, c, i, memory);
        }
        if (begun)
            end_with(p, XDP_PASS);
        arrive(p, GO_FAMILY);
    }
    if (families == 0)
        return;
    arrive(p, GO_PASS);
    end_with(p, XDP_PASS);
}
