/*
 * Capabilities and scheduling.
 *
 * Kept for good: CAP_NET_ADMIN (rules, addresses, MACs, connection tracking)
 * and CAP_NET_RAW (announcements, sockets bound to an interface); with a port
 * below 1024 CAP_NET_BIND_SERVICE, with a control group CAP_CHOWN, with node.xdp
 * CAP_BPF, since a reload may open these anew. CAP_SYS_NICE and CAP_SYS_RESOURCE are
 * used once, to become real-time; CAP_IPC_LOCK as well, but it stays where the limit of
 * locked memory could not be lifted, or the next mmap() would fail.
 *
 * The systemd unit runs the daemon as a user of its own. Who then runs it as
 * root finds files that belong to that user: only for these root keeps
 * CAP_DAC_OVERRIDE, and CAP_CHOWN to leave new ones to their owner.
 *
 * The process is made undumpable, or a core file would have the cluster's key,
 * and other processes of the same user could read it here.
 */
#include "privilege.h"

#include <cap-ng.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the unit leaves to its user, wherever the control socket is. */
#define RUN_DIR "/run/ipclusterd"

enum { WHY_BYTES = 256, PORT_PRIVILEGED = 1024 };

static bool have(unsigned capability)
{
    return capng_have_capability(CAPNG_EFFECTIVE, capability) == 1;
}

int privilege_check(char *why)
{
    if (capng_get_caps_process() < 0) {
        snprintf(why, WHY_BYTES, "cannot read the capabilities of this process: is /proc mounted?");
        return -EPERM;
    }
    bool admin = have(CAP_NET_ADMIN), raw = have(CAP_NET_RAW);
    if (admin && raw)
        return 0;
    snprintf(why, WHY_BYTES,
             "missing %s%s%s: run ipclusterd as root, or give its unit "
             "AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW",
             admin ? "" : "CAP_NET_ADMIN", admin || raw ? "" : " and ", raw ? "" : "CAP_NET_RAW");
    return -EPERM;
}

static bool memlock_is_unlimited(void)
{
    struct rlimit is;
    return getrlimit(RLIMIT_MEMLOCK, &is) == 0 && is.rlim_cur == RLIM_INFINITY;
}

/* Without this, MCL_FUTURE makes allocations fail beyond a few MB. */
static bool memlock_lift(void)
{
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    return setrlimit(RLIMIT_MEMLOCK, &all) == 0 || memlock_is_unlimited();
}

/* Before becoming real-time, which a large process would keep waiting here. */
static int memory_lock(char *why)
{
    capng_get_caps_process();
    if (!memlock_lift() && !have(CAP_IPC_LOCK)) {
        snprintf(why, WHY_BYTES,
                 "memory is not locked (RLIMIT_MEMLOCK): heartbeats may be late "
                 "when memory is short; give CAP_IPC_LOCK or LimitMEMLOCK=infinity");
        return -EPERM;
    }
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0)
        return 0;
    int rc = -errno;
    snprintf(why, WHY_BYTES,
             "memory is not locked (%s): heartbeats may be late when memory is "
             "short",
             strerror(-rc));
    return rc;
}

int privilege_realtime(char *why)
{
    int rc = memory_lock(why);
    /* The lowest priority is above everything that is not real-time;
     * children do not inherit it. */
    const struct sched_param p = {.sched_priority = sched_get_priority_min(SCHED_RR)};
    if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &p) == 0)
        return rc;
    rc = -errno;
    snprintf(why, WHY_BYTES,
             "no real-time scheduling (%s): heartbeats may be late under load; "
             "give CAP_SYS_NICE, or set heartbeat.realtime = false",
             strerror(-rc));
    return rc;
}

void privilege_realtime_end(void)
{
    const struct sched_param p = {.sched_priority = 0};
    sched_setscheduler(0, SCHED_OTHER, &p);
}

static bool is_foreign(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && s.st_uid != 0;
}

/* Root, where the unit's user has been before. */
static bool needs_override(const struct config *c)
{
    char socket_dir[sizeof c->control_socket];
    snprintf(socket_dir, sizeof socket_dir, "%s", c->control_socket);
    char *slash = strrchr(socket_dir, '/');
    if (slash != NULL)
        slash[slash == socket_dir] = '\0';
    return geteuid() == 0 &&
           (is_foreign(c->key_file) || is_foreign(c->key_file_next) || is_foreign(c->state_dir) ||
            is_foreign(socket_dir) || is_foreign(RUN_DIR));
}

int privilege_drop(const struct config *c)
{
    const bool override = needs_override(c);
    const struct {
        unsigned capability;
        bool keep;
    } wanted[] = {
        {CAP_NET_ADMIN, true},
        {CAP_NET_RAW, true},
        {CAP_NET_BIND_SERVICE, c->port < PORT_PRIVILEGED},
        {CAP_CHOWN, c->control_group[0] != '\0' || override},
        {CAP_DAC_OVERRIDE, override},
        {CAP_BPF, c->xdp != XDP_MODE_OFF},
        {CAP_IPC_LOCK, c->realtime && !memlock_is_unlimited()},
    };
    if (capng_get_caps_process() < 0)
        return -EPERM;
    bool kept[sizeof wanted / sizeof *wanted];
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        kept[i] = wanted[i].keep && have(wanted[i].capability);
    bool bounds = have(CAP_SETPCAP);
    bool ambient = capng_have_capabilities(CAPNG_SELECT_AMBIENT) > CAPNG_NONE;
    capng_clear(bounds ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS);
    capng_clear(CAPNG_SELECT_AMBIENT);
    capng_type_t sets = CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE;
    if (bounds)
        sets |= CAPNG_BOUNDING_SET;
    if (ambient)
        sets |= CAPNG_AMBIENT;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (kept[i])
            capng_update(CAPNG_ADD, sets, wanted[i].capability);
    if (capng_apply(bounds ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) < 0)
        return -EPERM;
    if (ambient && capng_apply(CAPNG_SELECT_AMBIENT) < 0)
        return -EPERM;
    return prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : 0;
}
