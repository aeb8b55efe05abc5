#include "ctl_canned.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/conf.h"
#include "io/selection.h"

/* The core's words, without the core. */

const char *node_state_name(enum node_state s)
{
    static const char *const name[NODE_STATE_MAX] = {
        [NODE_JOINING] = "joining", [NODE_SERVING] = "serving",     [NODE_DRAINING] = "draining",
        [NODE_HELD] = "held",       [NODE_UNHEALTHY] = "unhealthy", [NODE_ISOLATED] = "isolated",
        [NODE_LEAVING] = "leaving",
    };
    return name[s];
}

const char *member_state_name(enum member_state s)
{
    static const char *const name[MEMBER_STATE_MAX] = {
        [MEMBER_ALIVE] = "alive", [MEMBER_SUSPECT] = "suspect", [MEMBER_DEAD] = "dead",
        [MEMBER_LEFT] = "left",   [MEMBER_HELD] = "held",
    };
    return name[s];
}

/* Nothing that is computed. */
unsigned selection_bucket(const struct vip_config *vip, uint16_t buckets, const struct source *from)
{
    unsigned last = from->address.byte[from->address.family == FAMILY_IP4 ? 3 : 15];

    if (vip->affinity == AFFINITY_FLOW && from->has_port)
        last = from->port;
    return (last + (vip->select == SELECT_HASH ? 100 : 0)) % buckets;
}

/* ------------------------------------------------------------------- view */

static void vip_fill(struct vip_config *v, const char *address, uint8_t prefix,
                     enum vip_select select)
{
    address_parse(address, &v->address);
    v->prefix = prefix;
    v->select = select;
    v->mode = VIP_SHARED;
    snprintf(v->interface, sizeof v->interface, "eth0");
    mac_parse("02:bf:c0:a8:00:02", &v->mac);
}

static struct status_member *member_fill(struct status *s, size_t i, const char *name,
                                         const char *address, const char *mac)
{
    struct status_member *m = &s->member[i];

    snprintf(m->name, sizeof m->name, "%s", name);
    address_parse(address, &m->address);
    mac_parse(mac, &m->mac);
    m->healthy = true;
    m->weight = 100;
    m->incarnation = (uint32_t)(i + 3);
    m->version = 2;
    return m;
}

static void members_fill(struct status *s)
{
    struct status_member *m;

    s->members = 3;
    m = member_fill(s, 0, "web1", "192.168.0.11", "52:54:00:00:00:0b");
    m->self = true;
    m->flows = 1234;
    m = member_fill(s, 1, "web2", "192.168.0.12", "52:54:00:00:00:0c");
    m->last_heard = 12 * USEC_PER_MS + 345;
    m->rtt = 179.6;
    m->loss = 0.04;
    m->draining = true;
    m = member_fill(s, 2, "web3", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:13", "52:54:00:00:00:0d");
    m->state = MEMBER_DEAD;
    m->last_heard = 12 * USEC_PER_S;
}

/* Even buckets are web1's, odd ones web2's; web3's homes (i % 3 == 2) moved. */
static void buckets_fill(struct status *s)
{
    for (unsigned b = 0; b < s->buckets; b++) {
        int owner = (int)(b % 2);
        s->bucket[b] = (struct status_bucket){
            .owner = owner, .home = (int)(b % 3), .klass = owner == 0 ? CLASS_OWN : CLASS_FOREIGN};
        bitmap_set(&s->claim[owner], b);
        s->member[owner].buckets++;
        s->member[owner].claimed++;
    }
    for (unsigned b = 1; b <= 3; b += 2) {
        s->bucket[b].klass = CLASS_LINGER;
        bitmap_set(&s->linger[0], b);
        s->member[0].lingering++;
    }
    s->owned = s->member[0].buckets;
    s->lingering = s->member[0].lingering;
}

static size_t canned_standby(void *arg, unsigned bucket, int *order, size_t max)
{
    const struct canned *c = arg;

    if (max < 2)
        return 0;
    order[0] = c->status.bucket[bucket].owner;
    order[1] = 1 - order[0];
    return 2;
}

static void canned_fill(struct canned *c, const char *socket, const char *group)
{
    snprintf(c->config.control_socket, sizeof c->config.control_socket, "%s", socket);
    snprintf(c->config.control_group, sizeof c->config.control_group, "%s", group);
    c->config.vips = 3;
    vip_fill(&c->config.vip[0], "192.168.0.2", 24, SELECT_MASK);
    vip_fill(&c->config.vip[1], "192.168.0.3", 32, SELECT_HASH);
    vip_fill(&c->config.vip[2], "2001:db8::2", 64, SELECT_MASK);

    snprintf(c->status.cluster, sizeof c->status.cluster, "web");
    snprintf(c->status.node, sizeof c->status.node, "web1");
    c->status.state = NODE_SERVING;
    c->status.converged = true;
    c->status.view = 0x009f2c0102030405;
    c->status.uptime = 123456 * USEC_PER_MS + 789;
    c->status.lease_left = 271 * USEC_PER_MS;
    c->status.buckets = 256;
    c->status.takeovers = 85;
    c->status.unowned = 40 * USEC_PER_MS;
    c->status.rejected[REJECT_FORGED] = 7;
    c->status.rejected[REJECT_VERSION] = 1;
    c->status.quorum.have = true;
    c->status.witness_answers = true;
    c->status.key = 0x0123456789abcdef;
    c->status.wakeup.mean = 52;
    c->status.skew = (struct skew){.bucket = 7, .most = 870, .total = 1201, .nodes = 2};
    c->status.wakeup.worst = 1234;
    members_fill(&c->status);
    buckets_fill(&c->status);
    c->events = 3;

    c->counts.vip[0] = 1200;
    c->counts.vip[2] = 34;
    c->packets[0] = (struct nft_counters){.accepted = 5000000000, .foreign = 10, .orphan_reset = 2};
    c->xdp[0] = (struct ctl_xdp){"generic", 4};
    c->view = (struct ctl_view){
        .config = &c->config,
        .status = &c->status,
        .counts = &c->counts,
        .packets = c->packets,
        .xdp = c->xdp,
        .unread = 12345678901,
        .standby = canned_standby,
        .standby_arg = c,
        .inherited = 86,
    };
    c->why = "";
}

/* -------------------------------------------------------------------- ops */

/* One step of web1's drain: half the flows end with each look at it. */
static void drain_step(struct canned *c)
{
    struct status_member *m = &c->status.member[0];

    if (c->drains_in == 0)
        return;
    m->draining = true;
    m->claimed = 0;
    m->flows /= 2;
    m->lingering = m->flows > 0 ? m->lingering : 0;
    if (--c->drains_in == 0)
        m->flows = m->lingering = 0;
}

static const struct ctl_view *canned_view(void *arg)
{
    struct canned *c = arg;

    c->views++;
    drain_step(c);
    if (c->forgets_in > 0 && --c->forgets_in == 0)
        c->status.members = 2;
    return &c->view;
}

/* Event number `i`: one second after the other, the first in 2001. */
static void event_tell(const struct canned *c, uint64_t i, ctl_event_fn take, void *context)
{
    struct note note = {.kind = NOTE_MEMBER_DEAD, .number = (int64_t)i, .other = -1};
    char text[64];

    snprintf(text, sizeof text, "event number %u", (unsigned)i);
    snprintf(note.member, sizeof note.member, "%s", i % 2 == 0 ? "" : "web3");
    take(context, &(struct ctl_event){.id = i,
                                      .wall = (1000000000 + (int64_t)i) * USEC_PER_S + 45678,
                                      .kind = i == c->refused ? "voters_refused" : "member_dead",
                                      .level = i % 10 == 0 ? "error" : "info",
                                      .text = text,
                                      .note = &note});
}

static uint64_t canned_events(void *arg, uint64_t since, ctl_event_fn take, void *context)
{
    struct canned *c = arg;
    uint64_t first;

    if (c->dies_in > 0 && --c->dies_in == 0)
        _exit(0);
    if (c->anew_in > 0 && --c->anew_in == 0)
        c->events = 2;
    if (c->events_in > 0 && --c->events_in == 0)
        c->events++;
    first = c->events > 1000 ? c->events - 1000 : 0;
    for (uint64_t i = since > first ? since : first; i < c->events; i++)
        event_tell(c, i + 1, take, context);
    return c->events;
}

static int canned_answer(struct canned *c, char *why)
{
    snprintf(why, 256, "%s", c->why);
    return c->result;
}

static int canned_control(void *arg, enum control_verb verb, const char *member, char *why)
{
    static const char *const name[CONTROL_MAX] = {[CONTROL_DRAIN] = "drain",
                                                  [CONTROL_UNDRAIN] = "undrain",
                                                  [CONTROL_FORGET] = "forget",
                                                  [CONTROL_RELEASE] = "release",
                                                  [CONTROL_REKEY] = "rekey"};
    struct canned *c = arg;

    snprintf(c->asked, sizeof c->asked, "%s %s", name[verb], member != NULL ? member : "(self)");
    return canned_answer(c, why);
}

static int canned_leave(void *arg, char *why)
{
    struct canned *c = arg;

    snprintf(c->asked, sizeof c->asked, "leave");
    return canned_answer(c, why);
}

static int canned_reload(void *arg, char *why)
{
    struct canned *c = arg;

    snprintf(c->asked, sizeof c->asked, "reload");
    return canned_answer(c, why);
}

static int canned_restart(void *arg, char *why)
{
    struct canned *c = arg;

    snprintf(c->asked, sizeof c->asked, "restart");
    return canned_answer(c, why);
}

static int canned_rules(void *arg, enum ctl_rules form, struct evbuffer *out, char *why)
{
    static const char *const text[] = {"table inet ipclusterd {\n}\n", "*raw\n", "*raw6\n"};
    struct canned *c = arg;

    evbuffer_add_printf(out, "%s", text[form]);
    return canned_answer(c, why);
}

const struct ctl_ops canned_ops = {
    .view = canned_view,
    .events = canned_events,
    .control = canned_control,
    .leave = canned_leave,
    .reload = canned_reload,
    .restart = canned_restart,
    .rules = canned_rules,
};

/* ------------------------------------------------------------ its process */

struct canned *canned_new(const char *socket, const char *group)
{
    struct canned *c =
        mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (c == MAP_FAILED)
        abort();
    canned_fill(c, socket, group);
    return c;
}

void canned_free(struct canned *c)
{
    munmap(c, sizeof *c);
}

static void serve(struct canned *c, int ready)
{
    struct event_base *base = event_base_new();
    struct ctl *ctl = NULL;
    int rc = ctl_open(&ctl, base, &c->config, &canned_ops, c);

    if (write(ready, &rc, sizeof rc) != sizeof rc || rc != 0)
        _exit(1);
    close(ready);
    event_base_dispatch(base);
    _exit(0);
}

pid_t canned_serve(struct canned *c, int *rc)
{
    int ready[2];
    pid_t server;

    *rc = -1;
    if (pipe(ready) != 0)
        return -1;
    server = fork();
    if (server == 0)
        serve(c, ready[1]);
    close(ready[1]);
    if (read(ready[0], rc, sizeof *rc) != sizeof *rc)
        *rc = -1;
    close(ready[0]);
    if (*rc == 0)
        return server;
    canned_stop(server);
    return 0;
}

void canned_stop(pid_t server)
{
    if (server <= 0)
        return;
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}
