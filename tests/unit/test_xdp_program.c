/*
 * The program in the kernel, asked of single frames: 10,000 random clients in every way
 * of selecting, whose buckets selection_bucket() knows (test_selection asks the rules
 * the same); all that has to pass whoever sent it; and what is no sound frame at all.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf.h"
#include "selection.h"
#include "xdp_made.h"

enum { CLIENTS = 10000, NOISE = 100000, END4 = 34, END6 = 54 };

static const char *const vip_text[] = {"192.0.2.10", "2001:db8::10"};
static const char *const client_text[] = {"198.51.100.7", "2001:db8:1::7"};

static struct xdp_made kernel;
static struct config config;
static uint64_t random_state = 88172645463325252;

static uint32_t draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 16);
}

static struct address address_of(const char *text)
{
    struct address a;

    assert_true(address_parse(text, &a));
    return a;
}

static struct vip_config *vip_add(const char *address, const char *interface)
{
    struct vip_config *v = &config.vip[config.vips++];

    *v = (struct vip_config){.address = address_of(address), .early_drop = true};
    strcpy(v->interface, interface);
    return v;
}

static void config_begin(uint16_t buckets)
{
    config = (struct config){.buckets = buckets};
}

static void all_foreign(void)
{
    memset(kernel.memory->foreign, 1, sizeof kernel.memory->foreign);
}

static uint64_t dropped(size_t vip)
{
    uint64_t sum = 0;

    for (size_t cpu = 0; cpu < XDP_CPUS; cpu++)
        sum += kernel.memory->dropped[cpu][vip];
    return sum;
}

/* ---- buckets --------------------------------------------------------------------- */

struct way {
    bool six;
    enum vip_select select;
    enum vip_affinity affinity;
    uint16_t buckets;
};

static struct source client_draw(bool six)
{
    struct source s = {.address.family = six ? FAMILY_IP6 : FAMILY_IP4};

    for (size_t i = 0; i < (six ? 16 : 4); i++)
        s.address.byte[i] = (uint8_t)draw();
    return s;
}

static void test_way(void **state)
{
    const struct way *w = *state;
    uint8_t frame[XDP_MADE_FRAME];
    struct vip_config *v;
    uint64_t before, drops = 0;
    int program;

    config_begin(w->buckets);
    v = vip_add(vip_text[w->six], "eth0");
    v->select = w->select;
    v->affinity = w->affinity;
    program = xdp_made_load(&kernel, &config, "eth0");
    for (size_t b = 0; b < BUCKETS_MAX; b++)
        kernel.memory->foreign[b] = b < w->buckets && draw() % 2 == 0;
    before = dropped(0);
    for (size_t i = 0; i < CLIENTS; i++) {
        struct source from = client_draw(w->six);
        bool foreign = kernel.memory->foreign[selection_bucket(v, w->buckets, &from)] != 0;

        xdp_made_frame(frame, &from.address, &v->address);
        assert_int_equal(xdp_made_run(program, frame, sizeof frame, 1, NULL),
                         foreign ? XDP_DROP : XDP_PASS);
        drops += foreign;
    }
    assert_int_equal(dropped(0) - before, drops);
    assert_in_range(drops, 1, CLIENTS - 1);
    close(program);
}

/* ---- what passes, and what does not ----------------------------------------------- */

/* Changes to a TCP segment to the VIP: up to three of so many bytes at an offset. */
struct odd {
    const char *name;
    bool six, drops;
    struct {
        size_t at;
        uint8_t byte[2], length;
    } change[3];
};

#define AT(offset, value)                              \
    {                                                  \
        .at = (offset), .byte = {(value)}, .length = 1 \
    }
#define AT2(offset, high, low)                               \
    {                                                        \
        .at = (offset), .byte = {(high), (low)}, .length = 2 \
    }
enum { PASS = false, DROP = true, PROTOCOL4 = 23, PROTOCOL6 = 20, TYPE = 12, PIECE = 20 };

static const struct odd odds[] = {
    {"TCP", false, DROP, {{0}}},
    {"UDP", false, DROP, {AT(PROTOCOL4, 17)}},
    {"a protocol without ports", false, DROP, {AT(PROTOCOL4, 47)}},
    {"a first piece", false, DROP, {AT2(PIECE, 0x20, 0)}},
    {"a later piece", false, DROP, {AT2(PIECE, 0, 0xb9)}},
    {"a header with options", false, DROP, {AT(14, 0x46)}},
    {"a header of another version", false, DROP, {AT(14, 0x65)}},
    {"to another host's MAC", false, DROP, {AT(0, 2), AT(5, 9)}},
    {"echo request", false, DROP, {AT(PROTOCOL4, 1), AT(END4, 8)}},
    {"echo reply", false, DROP, {AT(PROTOCOL4, 1), AT(END4, 0)}},
    {"destination unreachable", false, PASS, {AT(PROTOCOL4, 1), AT(END4, 3)}},
    {"time exceeded", false, PASS, {AT(PROTOCOL4, 1), AT(END4, 11)}},
    {"parameter problem", false, PASS, {AT(PROTOCOL4, 1), AT(END4, 12)}},
    {"ICMP behind options", false, PASS, {AT(PROTOCOL4, 1), AT(14, 0x46), AT(END4, 8)}},
    {"ICMP, a first piece", false, PASS, {AT(PROTOCOL4, 1), AT2(PIECE, 0x20, 0), AT(END4, 8)}},
    {"ICMP, a later piece", false, PASS, {AT(PROTOCOL4, 1), AT2(PIECE, 0, 1), AT(END4, 8)}},
    {"ARP", false, PASS, {AT2(TYPE, 8, 6)}},
    {"a VLAN tag", false, PASS, {AT2(TYPE, 0x81, 0)}},
    {"a provider's VLAN tag", false, PASS, {AT2(TYPE, 0x88, 0xa8)}},
    {"the other family's type", false, PASS, {AT2(TYPE, 0x86, 0xdd)}},
    {"to another address", false, PASS, {AT(33, 11)}},
    {"to another network", false, PASS, {AT(30, 193)}},

    {"TCP", true, DROP, {{0}}},
    {"UDP", true, DROP, {AT(PROTOCOL6, 17)}},
    {"SCTP", true, DROP, {AT(PROTOCOL6, 132)}},
    {"echo request", true, DROP, {AT(PROTOCOL6, 58), AT(END6, 128)}},
    {"echo reply", true, DROP, {AT(PROTOCOL6, 58), AT(END6, 129)}},
    {"destination unreachable", true, PASS, {AT(PROTOCOL6, 58), AT(END6, 1)}},
    {"packet too big", true, PASS, {AT(PROTOCOL6, 58), AT(END6, 2)}},
    {"time exceeded", true, PASS, {AT(PROTOCOL6, 58), AT(END6, 3)}},
    {"parameter problem", true, PASS, {AT(PROTOCOL6, 58), AT(END6, 4)}},
    {"router solicitation", true, PASS, {AT(PROTOCOL6, 58), AT(END6, 133)}},
    {"router advertisement", true, PASS, {AT(PROTOCOL6, 58), AT(END6, 134)}},
    {"neighbour solicitation", true, PASS, {AT(PROTOCOL6, 58), AT(END6, 135)}},
    {"neighbour advertisement", true, PASS, {AT(PROTOCOL6, 58), AT(END6, 136)}},
    {"redirect", true, PASS, {AT(PROTOCOL6, 58), AT(END6, 137)}},
    {"hop-by-hop options", true, PASS, {AT(PROTOCOL6, 0)}},
    {"a routing header", true, PASS, {AT(PROTOCOL6, 43)}},
    {"a piece", true, PASS, {AT(PROTOCOL6, 44)}},
    {"destination options", true, PASS, {AT(PROTOCOL6, 60)}},
    {"no next header", true, PASS, {AT(PROTOCOL6, 59)}},
    {"a VLAN tag", true, PASS, {AT2(TYPE, 0x81, 0)}},
    {"the other family's type", true, PASS, {AT2(TYPE, 8, 0)}},
    {"to another address", true, PASS, {AT(53, 0x11)}},
    {"to another network", true, PASS, {AT(38, 0x21)}},
};

/* The frame of an odd one. */
static void odd_frame(uint8_t *frame, const struct odd *o)
{
    struct address from = address_of(client_text[o->six]), to = address_of(vip_text[o->six]);

    xdp_made_frame(frame, &from, &to);
    for (size_t i = 0; i < sizeof o->change / sizeof *o->change; i++)
        memcpy(frame + o->change[i].at, o->change[i].byte, o->change[i].length);
}

static void odds_ask(int program, unsigned families)
{
    uint8_t frame[XDP_MADE_FRAME];

    for (size_t i = 0; i < sizeof odds / sizeof *odds; i++) {
        const struct odd *o = &odds[i];
        bool drops = o->drops && (families & 1u << o->six) != 0;

        odd_frame(frame, o);
        if (xdp_made_run(program, frame, sizeof frame, 1, NULL) != (drops ? XDP_DROP : XDP_PASS))
            fail_msg("IPv%c, %s: does not %s", o->six ? '6' : '4', o->name,
                     drops ? "drop" : "pass");
    }
}

/* One family's VIPs on the interface, or both, in either order. */
static void test_odd(void **state)
{
    (void)state;
    for (unsigned families = 1; families <= 3; families++)
        for (unsigned select = 0; select < SELECT_MAX; select++) {
            int program;

            config_begin(256);
            for (unsigned six = 0; six < 2; six++)
                if ((families & 1u << six) != 0)
                    vip_add(vip_text[six], "eth0")->select = (enum vip_select)select;
            program = xdp_made_load(&kernel, &config, "eth0");
            all_foreign();
            odds_ask(program, families);
            close(program);
        }
}

/* Cut off anywhere: what cannot be seen is not judged. */
static void test_short(void **state)
{
    uint8_t frame[XDP_MADE_FRAME];
    int program;

    (void)state;
    config_begin(256);
    vip_add(vip_text[0], "eth0");
    vip_add(vip_text[1], "eth0");
    program = xdp_made_load(&kernel, &config, "eth0");
    all_foreign();
    for (size_t i = 0; i < sizeof odds / sizeof *odds; i++) {
        const struct odd *o = &odds[i];
        bool icmp = o->change[0].at == (o->six ? PROTOCOL6 : PROTOCOL4) &&
                    o->change[0].byte[0] == (o->six ? 58 : 1);
        size_t needed = (o->six ? END6 : END4) + (size_t)icmp;

        odd_frame(frame, o);
        for (size_t length = 14; length < sizeof frame; length++)
            assert_int_equal(xdp_made_run(program, frame, length, 1, NULL),
                             o->drops && length >= needed ? XDP_DROP : XDP_PASS);
    }
    close(program);
}

/* Whether the rules may drop it as another's, by what is in the frame. */
static bool rules_may_drop(const uint8_t *frame, size_t length)
{
    struct address to4 = address_of(vip_text[0]), to6 = address_of(vip_text[1]);
    bool four = length >= END4 && memcmp(frame + TYPE, "\x08\x00", 2) == 0 &&
                memcmp(frame + 30, to4.byte, 4) == 0;
    bool six = length >= END6 && memcmp(frame + TYPE, "\x86\xdd", 2) == 0 &&
               memcmp(frame + 38, to6.byte, 16) == 0;

    if (four && frame[PROTOCOL4] == 1)
        return length > END4 && frame[END4] != 3 && frame[END4] != 11 && frame[END4] != 12;
    if (six && frame[PROTOCOL6] == 58)
        return length > END6 && frame[END6] > 4 && (frame[END6] < 133 || frame[END6] > 137);
    return four || six;
}

/* Noise to the VIPs, with some of it made likely. */
static void test_noise(void **state)
{
    static const uint8_t protocols[] = {1, 6, 17, 44, 58, 132};
    struct address to[] = {address_of(vip_text[0]), address_of(vip_text[1])};
    size_t drops = 0;
    int program;

    (void)state;
    config_begin(256);
    vip_add(vip_text[0], "eth0")->select = SELECT_HASH;
    vip_add(vip_text[1], "eth0")->affinity = AFFINITY_NETWORK;
    program = xdp_made_load(&kernel, &config, "eth0");
    all_foreign();
    for (size_t i = 0; i < NOISE; i++) {
        uint8_t frame[XDP_MADE_FRAME];
        size_t length = 14 + draw() % (sizeof frame - 13);
        bool six = draw() % 2 == 0, dropped_it;

        for (size_t b = 0; b < sizeof frame; b++)
            frame[b] = (uint8_t)draw();
        memcpy(frame + TYPE, six ? "\x86\xdd" : "\x08\x00", 2);
        memcpy(frame + (six ? 38 : 30), to[six].byte, six ? 16 : 4);
        if (draw() % 4 != 0)
            frame[six ? PROTOCOL6 : PROTOCOL4] = protocols[draw() % sizeof protocols];
        if (draw() % 4 == 0)
            frame[draw() % sizeof frame] ^= (uint8_t)(1u << draw() % 8);
        dropped_it = xdp_made_run(program, frame, length, 1, NULL) == XDP_DROP;
        assert_true(!dropped_it || rules_may_drop(frame, length));
        drops += dropped_it;
    }
    assert_in_range(drops, NOISE / 10, NOISE);
    close(program);
}

/* Each VIP is counted for itself; those of other interfaces, and those whose ports
 * matter, are let alone. */
static void test_vips(void **state)
{
    uint8_t frame[XDP_MADE_FRAME];
    struct address from = address_of(client_text[0]), to;
    char text[32];
    int program;

    (void)state;
    config_begin(256);
    for (size_t i = 0; i < VIPS_MAX; i++) {
        struct vip_config *v;

        snprintf(text, sizeof text, "192.0.2.%zu", i + 1);
        v = vip_add(text, i % 4 == 1 ? "eth1" : "eth0");
        v->select = (enum vip_select)(i / 4 % 2);
        v->services = i % 8 == 2 ? 1 : 0;
        v->affinity = i % 8 == 6 ? AFFINITY_FLOW : AFFINITY_ADDRESS;
        v->early_drop = i % 8 != 4;
    }
    program = xdp_made_load(&kernel, &config, "eth0");
    all_foreign();
    memset(kernel.memory->dropped, 0, sizeof kernel.memory->dropped);
    for (size_t i = 0; i < VIPS_MAX; i++) {
        bool judged = i % 4 != 1 && i % 8 != 2 && i % 8 != 6 && i % 8 != 4;

        to = config.vip[i].address;
        xdp_made_frame(frame, &from, &to);
        assert_int_equal(xdp_made_run(program, frame, sizeof frame, (unsigned)i + 1, NULL),
                         judged ? XDP_DROP : XDP_PASS);
        assert_int_equal(dropped(i), judged ? i + 1 : 0);
    }
    close(program);
}

/* The longest program there can be has room, and the verifier's consent. */
static void test_longest(void **state)
{
    char text[64];

    (void)state;
    config_begin(BUCKETS_MAX);
    for (size_t i = 0; i < VIPS_MAX; i++) {
        snprintf(text, sizeof text, "2001:db8::%zu", i + 1);
        vip_add(text, "eth0")->select = SELECT_HASH;
    }
    close(xdp_made_load(&kernel, &config, "eth0"));
}

int main(void)
{
    static const uint16_t buckets[] = {16, 256, 4096};
    enum { WAYS = 2 * SELECT_MAX * 2 * 3, OTHERS = 5 };
    static const struct CMUnitTest others[OTHERS] = {
        cmocka_unit_test(test_odd),     cmocka_unit_test(test_short), cmocka_unit_test(test_noise),
        cmocka_unit_test(test_longest), cmocka_unit_test(test_vips),
    };
    static struct way ways[WAYS];
    static struct CMUnitTest tests[WAYS + OTHERS];
    static char names[WAYS][64];

    for (size_t i = 0; i < WAYS; i++) {
        struct way *w = &ways[i];

        *w = (struct way){.six = i % 2 == 1,
                          .select = (enum vip_select)(i / 2 % SELECT_MAX),
                          .affinity = i / 4 % 2 == 0 ? AFFINITY_ADDRESS : AFFINITY_NETWORK,
                          .buckets = buckets[i / 8]};
        snprintf(names[i], sizeof names[i], "%s %s %s, %u buckets", w->six ? "ip6" : "ip",
                 w->select == SELECT_MASK ? "mask" : "hash",
                 w->affinity == AFFINITY_ADDRESS ? "address" : "network", w->buckets);
        tests[i] = (struct CMUnitTest){names[i], test_way, NULL, NULL, w};
    }
    memcpy(tests + WAYS, others, sizeof others);
    if (!xdp_made_open(&kernel))
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
