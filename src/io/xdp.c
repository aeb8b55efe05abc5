/*
 * The program (xdp_program.c) in the kernel.
 *
 * One map, of one value, is mapped into this process and read by the programs of all
 * interfaces. Each program hangs on a link, whose descriptor is closed on exec and at
 * the process' end, whichever comes first; whatever the map says then is gone with it.
 */
#include "xdp.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "conf.h"
#include "xdp_program.h"

#define NAME "ipclusterd" /* as bpftool(8) and ip(8) show it */

/* An interface that has the program, or had it. */
struct port {
    char interface[IFNAME_BYTES_MAX + 1];
    unsigned ifindex;
    int link; /* -1: none */
};

struct ports {
    size_t count;
    struct port port[VIPS_MAX];
};

struct xdp {
    enum xdp_mode mode;
    int map;
    struct xdp_memory *memory;
    struct ports ports;
    size_t vips;
    int port_of[VIPS_MAX]; /* of the VIPs that are judged; else -1 */
    struct xdp_program program;
};

/* All of it: the kernel looks at what a command does not use, too. An initializer would
 * leave that to the compiler. */
static union bpf_attr attributes(void)
{
    union bpf_attr a;

    memset(&a, 0, sizeof a);
    return a;
}

static int bpf_call(enum bpf_cmd command, union bpf_attr *a)
{
    long rc = syscall(SYS_bpf, command, a, sizeof *a);

    return rc < 0 ? -errno : (int)rc;
}

/* ---- faults ------------------------------------------------------------------- */

static const char *fault_text(enum xdp_mode mode, int error)
{
    switch (error) {
    case EPERM:
    case EACCES:
        return "that needs CAP_BPF beside CAP_NET_ADMIN, and bpf among the unit's system calls; "
               "see node.xdp in ipclusterd.conf(5)";
    case EBUSY:
    case EEXIST:
        return "another XDP program is there (ip link): remove it, or set node.xdp = \"off\"";
    case EOPNOTSUPP:
        return mode == XDP_MODE_NATIVE
                   ? "the driver has no XDP of its own: set node.xdp = \"generic\" or \"off\""
                   : "the kernel has no XDP: set node.xdp = \"off\"";
    case ENOSYS:
    case E2BIG:
    case EINVAL:
        return "the kernel is older than 5.9, or the driver cannot do it with this MTU or "
               "these offloads (dmesg): set node.xdp = \"off\"";
    default:
        return strerror(error);
    }
}

static int fault(const struct xdp *x, int rc, const char *interface, char *why)
{
    if (why[0] == '\0')
        snprintf(why, XDP_WHY_BYTES, "no XDP (%s)%s%s: %s", xdp_mode_name(x->mode),
                 interface != NULL ? " on " : "", interface != NULL ? interface : "",
                 fault_text(x->mode, -rc));
    return rc;
}

/* ---- the kernel ---------------------------------------------------------------- */

static int memory_open(struct xdp *x)
{
    union bpf_attr a = attributes();
    void *at;

    a.map_type = BPF_MAP_TYPE_ARRAY;
    a.key_size = sizeof(uint32_t);
    a.value_size = sizeof(struct xdp_memory);
    a.max_entries = 1;
    a.map_flags = BPF_F_MMAPABLE;
    strcpy(a.map_name, NAME);
    x->map = bpf_call(BPF_MAP_CREATE, &a);
    if (x->map < 0)
        return x->map;
    at = mmap(NULL, sizeof(struct xdp_memory), PROT_READ | PROT_WRITE, MAP_SHARED, x->map, 0);
    if (at == MAP_FAILED)
        return -errno;
    x->memory = at;
    return 0;
}

/*
 * The descriptor of the program for one interface. Frames in pieces (of 5.18 on) are as
 * good to it as others, for it looks at the headers only; drivers need that for large
 * MTUs. Not so above the driver: for such a program the kernel makes a copy of each
 * packet that has forgotten how long its link-layer header is (6.18), and what the rules
 * forward is lost.
 */
static int program_load(struct xdp *x, const struct config *c, const char *interface)
{
    union bpf_attr a = attributes();
    int fd;

    xdp_program_make(&x->program, c, interface, x->map);
    a.prog_type = BPF_PROG_TYPE_XDP;
    a.license = (uintptr_t) "";
    a.prog_flags = x->mode == XDP_MODE_NATIVE ? BPF_F_XDP_HAS_FRAGS : 0;
    a.expected_attach_type = BPF_XDP;
    strcpy(a.prog_name, NAME);
    a.insns = (uintptr_t)x->program.code;
    a.insn_cnt = (uint32_t)x->program.count;
    fd = bpf_call(BPF_PROG_LOAD, &a);
    if (fd == -EINVAL && a.prog_flags != 0) {
        a.prog_flags = 0;
        fd = bpf_call(BPF_PROG_LOAD, &a);
    }
    return fd;
}

static int port_attach(const struct xdp *x, struct port *p, int program)
{
    union bpf_attr a = attributes();
    int rc;

    if (p->link >= 0) {
        a.link_update.link_fd = (uint32_t)p->link;
        a.link_update.new_prog_fd = (uint32_t)program;
        return bpf_call(BPF_LINK_UPDATE, &a);
    }
    a.link_create.prog_fd = (uint32_t)program;
    a.link_create.target_ifindex = p->ifindex;
    a.link_create.attach_type = BPF_XDP;
    a.link_create.flags = x->mode == XDP_MODE_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
    rc = bpf_call(BPF_LINK_CREATE, &a);
    if (rc < 0)
        return rc;
    p->link = rc;
    return 0;
}

static void port_detach(struct port *p)
{
    if (p->link >= 0)
        close(p->link);
    p->link = -1;
}

static int port_open(struct xdp *x, struct port *p, const struct config *c)
{
    int program = program_load(x, c, p->interface);
    int rc = program < 0 ? program : port_attach(x, p, program);

    if (program >= 0)
        close(program); /* the link has it */
    if (rc < 0)
        port_detach(p); /* what may still be there is of another configuration */
    return rc;
}

/* ---- interfaces ----------------------------------------------------------------- */

static size_t port_find(const struct ports *p, const char *interface, unsigned ifindex)
{
    size_t i = 0;

    while (i < p->count &&
           (strcmp(p->port[i].interface, interface) != 0 || p->port[i].ifindex != ifindex))
        i++;
    return i;
}

/* A new one, with the link that it has had. */
static void port_add(struct ports *p, struct ports *was, const char *interface, unsigned ifindex)
{
    struct port *new = &p->port[p->count++];
    size_t old = port_find(was, interface, ifindex);

    *new = (struct port){.ifindex = ifindex, .link = -1};
    strcpy(new->interface, interface);
    if (old == was->count)
        return;
    new->link = was->port[old].link;
    was->port[old].link = -1;
}

/* The ports of a configuration, with the links of those that stay. */
static void ports_renew(struct xdp *x, const struct config *c, const struct nft_place *place)
{
    struct ports was = x->ports;

    x->ports.count = 0;
    x->vips = c->vips;
    for (size_t i = 0; i < c->vips; i++) {
        const struct vip_config *v = &c->vip[i];
        size_t at = port_find(&x->ports, v->interface, place[i].ifindex);

        x->port_of[i] = xdp_judges(v) ? (int)at : -1;
        if (xdp_judges(v) && at == x->ports.count)
            port_add(&x->ports, &was, v->interface, place[i].ifindex);
    }
    for (size_t i = 0; i < was.count; i++)
        port_detach(&was.port[i]);
}

int xdp_change(struct xdp *x, const struct config *c, const struct nft_place *place, char *why)
{
    int first = 0;

    why[0] = '\0';
    if (x == NULL)
        return 0;
    ports_renew(x, c, place);
    for (size_t i = 0; i < x->ports.count; i++) {
        struct port *p = &x->ports.port[i];
        int rc = port_open(x, p, c);

        if (rc < 0)
            fault(x, rc, p->interface, why);
        if (first == 0)
            first = rc;
    }
    assert(x->memory != NULL);
    memset(x->memory->dropped, 0, sizeof x->memory->dropped);
    return first;
}

int xdp_open(struct xdp **out, const struct config *c, const struct nft_place *place, char *why)
{
    struct xdp *x;
    int rc;

    *out = NULL;
    why[0] = '\0';
    if (c->xdp == XDP_MODE_OFF)
        return 0;
    x = calloc(1, sizeof *x);
    if (x == NULL) {
        snprintf(why, XDP_WHY_BYTES, "not enough memory");
        return -ENOMEM;
    }
    x->mode = c->xdp;
    rc = memory_open(x);
    if (rc < 0) {
        fault(x, rc, NULL, why);
        xdp_close(x);
        return rc;
    }
    *out = x;
    return xdp_change(x, c, place, why);
}

void xdp_close(struct xdp *x)
{
    if (x == NULL)
        return;
    for (size_t i = 0; i < x->ports.count; i++)
        port_detach(&x->ports.port[i]);
    if (x->memory != NULL)
        munmap(x->memory, sizeof *x->memory);
    if (x->map >= 0)
        close(x->map);
    free(x);
}

/* ---- the plan ------------------------------------------------------------------- */

static void foreign_set(struct xdp *x, unsigned bucket, bool foreign)
{
    __atomic_store_n(&x->memory->foreign[bucket], foreign, __ATOMIC_RELAXED);
}

void xdp_follow(struct xdp *x, const struct plan *plan)
{
    for (unsigned b = 0; x != NULL && b < plan->buckets; b++)
        foreign_set(x, b, plan->class_of[b] == CLASS_FOREIGN);
}

void xdp_pass(struct xdp *x)
{
    for (unsigned b = 0; x != NULL && b < BUCKETS_MAX; b++)
        foreign_set(x, b, false);
}

/* ---- what there is --------------------------------------------------------------- */

bool xdp_attached(const struct xdp *x, size_t vip)
{
    return x != NULL && vip < x->vips && x->port_of[vip] >= 0 &&
           x->ports.port[x->port_of[vip]].link >= 0;
}

uint64_t xdp_dropped(const struct xdp *x, size_t vip)
{
    uint64_t sum = 0;

    assert(vip < VIPS_MAX);
    for (size_t cpu = 0; x != NULL && cpu < XDP_CPUS; cpu++)
        sum += __atomic_load_n(&x->memory->dropped[cpu][vip], __ATOMIC_RELAXED);
    return sum;
}

const char *xdp_mode_name(enum xdp_mode mode)
{
    static const char *const name[XDP_MODE_MAX] = {
        [XDP_MODE_OFF] = "off", [XDP_MODE_NATIVE] = "native", [XDP_MODE_GENERIC] = "generic"};

    return name[mode];
}

void xdp_print(const struct xdp *x, const struct config *c, FILE *out)
{
    char text[INET6_ADDRSTRLEN];

    for (size_t i = 0; i < c->vips; i++) {
        const struct vip_config *v = &c->vip[i];
        bool is = x != NULL ? xdp_attached(x, i) : c->xdp != XDP_MODE_OFF && xdp_judges(v);

        if (is)
            fprintf(
                out, "# XDP (%s) on %s drops what is another's to %s before these rules see it.\n",
                xdp_mode_name(c->xdp), v->interface, address_text(&v->address, text, sizeof text));
    }
}
