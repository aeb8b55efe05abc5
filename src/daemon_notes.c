/*
 * Notes of the core become log lines, the event list and the service manager's
 * status line, all from one table.
 *
 * A line's text is a template: {m} the member, {n} and {o} the numbers, {nt} a
 * span in us, {ns} and {os} node states, {nr} a reason of rejection, {ne} an
 * errno, {nx} a digest.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "daemon_private.h"
#include "io/notify.h"

#define REJECTED_PAUSE (60 * USEC_PER_S)

static const struct {
    enum log_level level;
    const char *text;
} rows[NOTE_MAX] = {
    [NOTE_STARTED] = {LOG_LEVEL_INFO, "started as incarnation {n}"},
    [NOTE_STATE] = {LOG_LEVEL_INFO, "this node is {ns} (was {os})"},
    [NOTE_MEMBER_ALIVE] = {LOG_LEVEL_INFO, "{m} is alive (incarnation {n})"},
    [NOTE_MEMBER_SUSPECT] = {LOG_LEVEL_WARN, "{m} is silent to this node for {nt}, others hear it: "
                                             "check the path from it to here"},
    [NOTE_MEMBER_DEAD] = {LOG_LEVEL_WARN, "{m} is dead: nobody has heard it for {nt}"},
    [NOTE_MEMBER_LEFT] = {LOG_LEVEL_INFO, "{m} has left"},
    [NOTE_MEMBER_FORGOTTEN] = {LOG_LEVEL_INFO, "{m} is off the roster"},
    [NOTE_MEMBER_DRAINING] = {LOG_LEVEL_INFO, "{m} {nd}"},
    [NOTE_VIEW] = {LOG_LEVEL_INFO, "view {nx}: {o} members alive"},
    [NOTE_TAKEOVER] = {LOG_LEVEL_WARN, "took over {n} buckets of {m}"},
    [NOTE_HANDOVER] = {LOG_LEVEL_INFO, "hand-over: {n} buckets claimed, {o} released"},
    [NOTE_CONVERGED] = {LOG_LEVEL_INFO, "converged {nt} after the change"},
    [NOTE_REFUTED] = {LOG_LEVEL_WARN, "was called dead while alive: going on as incarnation {n}"},
    [NOTE_LEASE_LAPSED] = {LOG_LEVEL_WARN,
                           "the lease lapsed, {nt} after its last renewal: this host was held up, "
                           "or its kernel refused"},
    [NOTE_APPLY_FAILED] = {LOG_LEVEL_ERROR,
                           "the kernel did not take the rules: {ne} ({o} in a row); trying again"},
    [NOTE_REJECTED] = {LOG_LEVEL_WARN, "datagrams rejected as {nr}: {o} so far{nh}"},
    [NOTE_CONFIG_MISMATCH] = {LOG_LEVEL_WARN,
                              "{m} has another configuration (buckets, vips, dead_after, "
                              "lease): make them equal on all nodes"},
    [NOTE_NAME_CONFLICT] = {LOG_LEVEL_ERROR,
                            "another node has our name: give each a node.name of its own"},
    [NOTE_ROSTER_FULL] = {LOG_LEVEL_ERROR,
                          "the roster is full: `clusterctl forget` the nodes that are gone"},
};

/* What to do about rejected datagrams. */
static const char *const remedies[REJECT_MAX] = {
    [REJECT_FORGED] = ": compare the key files of all nodes",
    [REJECT_FOREIGN_CLUSTER] = ": another cluster uses this port and group",
    [REJECT_CONFIG_MISMATCH] = ": compare the configurations of all nodes",
    [REJECT_VERSION] = ": run the same version on all nodes",
};

static bool in_range(int64_t n, int64_t below)
{
    return n >= 0 && n < below;
}

static void span_write(int64_t us, char *out, size_t size)
{
    if (us < 10 * USEC_PER_S)
        snprintf(out, size, "%" PRId64 " ms", us / USEC_PER_MS);
    else
        snprintf(out, size, "%" PRId64 " s", us / USEC_PER_S);
}

/* One number as `how` says; '\0': decimal. */
static void number_write(int64_t n, char how, char *out, size_t size)
{
    const char *word = NULL;
    switch (how) {
    case 't':
        span_write(n, out, size);
        return;
    case 'x':
        snprintf(out, size, "%016" PRIx64, (uint64_t)n);
        return;
    case 's':
        word = in_range(n, NODE_STATE_MAX) ? node_state_name((enum node_state)n) : NULL;
        break;
    case 'r':
        word = in_range(n, REJECT_MAX) ? reject_name((enum reject)n) : NULL;
        break;
    case 'h':
        word = in_range(n, REJECT_MAX) && remedies[n] != NULL ? remedies[n] : "";
        break;
    case 'e':
        word = strerror((int)(n < 0 ? -n : n));
        break;
    case 'd':
        word = n != 0 ? "drains" : "drains no longer";
        break;
    default:
        break;
    }
    if (word != NULL)
        snprintf(out, size, "%s", word);
    else
        snprintf(out, size, "%" PRId64, n);
}

/* Writes what the braces at `*from` name and moves past them. */
static void field_write(const struct note *n, const char **from, char *out, size_t size)
{
    char which = (*from)[1], how = (*from)[2] == '}' ? '\0' : (*from)[2];
    *from += how == '\0' ? 3 : 4;
    assert((*from)[-1] == '}');
    if (which == 'm')
        snprintf(out, size, "%s", n->member[0] != '\0' ? n->member : "this node");
    else
        number_write(which == 'n' ? n->number : n->other, how, out, size);
}

void note_text(const struct note *n, char *out, size_t size)
{
    assert(n->kind < NOTE_MAX && size > 0);
    size_t used = 0;
    for (const char *from = rows[n->kind].text; *from != '\0' && used + 1 < size;) {
        if (*from != '{') {
            out[used++] = *from++;
            continue;
        }
        field_write(n, &from, out + used, size - used);
        used += strlen(out + used);
    }
    out[used] = '\0';
}

/* A failure that repeats is told once, until it ends; what strangers send us,
 * once a minute for each reason. */
static bool note_is_repetition(struct daemon *d, const struct note *n)
{
    if (n->kind == NOTE_APPLY_FAILED)
        return n->other > 1;
    if (n->kind != NOTE_REJECTED || !in_range(n->number, REJECT_MAX))
        return false;
    instant *told = &d->rejected_told[n->number], now = loop_now();
    if (told->us != 0 && instant_diff(now, *told) < REJECTED_PAUSE)
        return true;
    *told = now;
    return false;
}

static void event_keep(struct daemon *d, const struct note *n)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    d->events[d->events_seen++ % EVENTS_KEPT] = (struct daemon_event){
        .wall = (int64_t)t.tv_sec * USEC_PER_S + t.tv_nsec / 1000,
        .note = *n,
    };
}

void daemon_note(struct daemon *d, const struct note *n)
{
    char text[256];
    event_keep(d, n);
    note_text(n, text, sizeof text);
    log_line(note_is_repetition(d, n) ? LOG_LEVEL_DEBUG : rows[n->kind].level, "node", "%s", text);
    if (n->kind == NOTE_STATE || n->kind == NOTE_VIEW)
        notify_send(NOTIFY_STATUS, text);
}
