/*
 * Notes of the core become log lines, the event list and the service manager's
 * status line, all from one table.
 *
 * A line's text is a template: {m} the member, {n} and {o} the numbers, {nt} a
 * span in us, {ns} and {os} node states, {nr} a reason of rejection, {nh} what to
 * do about it, {ne} an errno, {nx} a digest, {np} parts of the configuration, {nc}
 * how far off a clock is, {nv} a change of the voters.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon_private.h"
#include "io/conf.h"
#include "io/notify.h"
#include "ipclusterd/voters.h"

#define REJECTED_PAUSE (60 * USEC_PER_S)
#define STRANGERS_PAUSE USEC_PER_S

enum { TEXT_BYTES = 512 };

/* When the second text of a row is the right one. */
enum other_if { NEVER, IF_ZERO /* the number is 0 */, IF_NOBODY /* no member is named */ };

#define ERROR LOG_LEVEL_ERROR
#define WARN LOG_LEVEL_WARN
#define INFO LOG_LEVEL_INFO

struct line {
    enum log_level level;
    const char *text;
};

static const struct {
    const char *name; /* of the event */
    struct line usual;
    enum other_if other_if;
    struct line other;
} rows[NOTE_MAX] = {
    [NOTE_STARTED] = {.name = "started", .usual = {INFO, "started as incarnation {n}"}},
    [NOTE_STATE] = {.name = "state", .usual = {INFO, "this node is {ns} (was {os})"}},
    [NOTE_MEMBER_ALIVE] = {.name = "member_alive",
                           .usual = {INFO, "{m} is alive (incarnation {n})"}},
    [NOTE_MEMBER_SUSPECT] =
        {.name = "member_suspect",
         .usual = {WARN, "{m} is silent to this node for {nt}, and others may hear it: check the "
                         "path from it to here (`clusterctl members` shows who hears whom)"}},
    [NOTE_MEMBER_DEAD] = {.name = "member_dead",
                          .usual = {WARN, "{m} is dead: nobody has heard it for {nt}"}},
    [NOTE_MEMBER_LEFT] = {.name = "member_left", .usual = {INFO, "{m} has left"}},
    [NOTE_MEMBER_FORGOTTEN] = {.name = "member_forgotten",
                               .usual = {INFO, "{m} is off the roster"}},
    [NOTE_MEMBER_DRAINING] = {.name = "member_draining",
                              .usual = {INFO, "{m} drains"},
                              .other_if = IF_ZERO,
                              .other = {INFO, "{m} drains no longer"}},
    [NOTE_VIEW] = {.name = "view", .usual = {INFO, "view {nx}: {o} members alive"}},
    [NOTE_TAKEOVER] = {.name = "takeover", .usual = {WARN, "took over {n} buckets of {m}"}},
    [NOTE_HANDOVER] = {.name = "handover",
                       .usual = {INFO, "hand-over: {n} buckets claimed, {o} released"}},
    [NOTE_CONVERGED] = {.name = "converged", .usual = {INFO, "converged {nt} after the change"}},
    [NOTE_REFUTED] = {.name = "refuted",
                      .usual = {WARN, "was called dead while alive: going on as incarnation {n}"}},
    [NOTE_LEASE_LAPSED] =
        {.name = "lease_lapsed",
         .usual = {WARN, "the lease lapsed, {nt} after its last renewal: this host was held up, "
                         "its kernel refused, or no majority backed it"}},
    [NOTE_APPLY_FAILED] =
        {.name = "apply_failed",
         .usual = {ERROR, "the kernel did not take the rules: {ne} ({o} in a row); trying again"}},
    [NOTE_REJECTED] = {.name = "rejected",
                       .usual = {WARN, "datagrams rejected as {nr}: {o} so far{nh}"}},
    [NOTE_CONFIG_MISMATCH] =
        {.name = "config_mismatch",
         .usual =
             {WARN,
              "{m} has another configuration, so it is no member here; what differs: {np}: make it "
              "equal on all nodes"},
         .other_if = IF_ZERO,
         .other = {WARN,
                   "{m} has another configuration, so it is no member here, and does not tell what "
                   "differs: make buckets, vips, dead_after, lease, quorum and flap equal on all "
                   "nodes"}},
    [NOTE_VIPS_DIFFER] =
        {.name = "vips_differ",
         .usual = {WARN, "{m} has another list of VIPs: what only one has is served by that one "
                         "alone, until all nodes have been reloaded"}},
    [NOTE_NAME_CONFLICT] =
        {.name = "name_conflict",
         .usual = {ERROR, "two nodes are called {m}: give each a node.name of its own"},
         .other_if = IF_NOBODY,
         .other = {ERROR, "another node has our name: give each a node.name of its own"}},
    [NOTE_ROSTER_FULL] =
        {.name = "roster_full",
         .usual = {ERROR, "the roster is full: `clusterctl forget` the nodes that are gone"}},
    [NOTE_MEMBER_HEARD] = {.name = "member_heard",
                           .usual = {INFO, "{m} is heard by this node again, after {nt}"}},
    [NOTE_MEMBER_HELD] =
        {.name = "member_held",
         .usual = {WARN, "{m} is held for {ot}, since it died too often (penalty {n}): it owns "
                         "nothing. Find out why it dies; `clusterctl release {m}` lets it in now"}},
    [NOTE_MEMBER_RELEASED] = {.name = "member_released",
                              .usual = {INFO, "{m} is let in again (penalty {n})"}},
    [NOTE_QUORUM] =
        {.name = "quorum",
         .usual = {INFO, "a majority of the voters is heard: {o} of them"},
         .other_if = IF_ZERO,
         .other = {ERROR,
                   "no majority: only {o} voters are heard, so this node lets in no new flows. "
                   "Bring the others back, or mend the network to them"}},
    [NOTE_VOTERS] = {.name = "voters",
                     .usual = {INFO, "the voters are {o} now, in version {n}: {m} came or went"},
                     .other_if = IF_NOBODY,
                     .other = {INFO, "the voters are {o} now, in version {n}"}},
    [NOTE_VOTERS_REFUSED] =
        {.name = "voters_refused",
         .usual = {WARN, "{m} was not {nv}: no majority of the voters decided it in time; see "
                         "in `clusterctl status` who is missing, and try again"}},
    [NOTE_DISSOLVED] =
        {.name = "dissolved",
         .usual = {WARN, "two clusters of this name were founded apart: that of {m}, with {o} "
                         "voters, goes on, and this node joins it"}},
    [NOTE_KEY_CHANGED] = {.name = "key_changed",
                          .usual = {INFO, "heartbeats are sealed with the key {nx} from now on"}},
    [NOTE_CLOCK] =
        {.name = "clock",
         .usual = {WARN,
                   "the clock of {m} is {nc} this node's: heartbeats do not mind, logs do; check "
                   "the time service of both"}},
    [NOTE_VERSION] =
        {.name = "version",
         .usual = {WARN, "{m} speaks version {n} of the protocol: everything is told in both "
                         "versions until it is upgraded"},
         .other_if = IF_ZERO,
         .other = {INFO, "all members speak this version of the protocol again"}},
    [NOTE_WITNESS] =
        {.name = "witness",
         .usual = {INFO, "the witness answers"},
         .other_if = IF_ZERO,
         .other = {WARN,
                   "the witness does not answer: without other nodes this one would not serve"}},
};

#undef ERROR
#undef WARN
#undef INFO

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

/* What a set of 1 << enum config_part is made of. */
static void parts_write(int64_t parts, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (unsigned part = 0; part < PART_MAX && used < size; part++)
        if (parts >= 0 && ((uint64_t)parts & 1u << part) != 0)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? "; " : "",
                                     conf_part_keys((enum config_part)part));
}

static void clock_write(int64_t ms, char *out, size_t size)
{
    const int64_t most = INT64_MAX / USEC_PER_MS; /* the other node says what it likes */
    char span[32];
    int64_t off = ms < -most || ms > most ? most : ms < 0 ? -ms : ms;
    span_write(off * USEC_PER_MS, span, sizeof span);
    snprintf(out, size, "%s %s", span, ms < 0 ? "behind" : "ahead of");
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
    case 'p':
        parts_write(n, out, size);
        return;
    case 'c':
        clock_write(n, out, size);
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
        word = n > -4096 && n < 4096 ? strerror(abs((int)n)) : NULL;
        break;
    case 'v':
        word = n == CHANGE_ADD ? "let in" : "forgotten";
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

static const struct line *line_of(const struct note *n)
{
    bool other = false;
    assert(n->kind < NOTE_MAX);
    switch (rows[n->kind].other_if) {
    case IF_ZERO:
        other = n->number == 0;
        break;
    case IF_NOBODY:
        other = n->member[0] == '\0';
        break;
    case NEVER:
        break;
    }
    return other ? &rows[n->kind].other : &rows[n->kind].usual;
}

const char *note_name(const struct note *n)
{
    assert(n->kind < NOTE_MAX);
    return rows[n->kind].name;
}

enum log_level note_level(const struct note *n)
{
    return line_of(n)->level;
}

void note_text(const struct note *n, char *out, size_t size)
{
    assert(size > 0);
    size_t used = 0;
    for (const char *from = line_of(n)->text; *from != '\0' && used + 1 < size;) {
        if (*from != '{') {
            out[used++] = *from++;
            continue;
        }
        field_write(n, &from, out + used, size - used);
        used += strlen(out + used);
    }
    out[used] = '\0';
}

/* What nodes that are no members can bring about. */
static bool strangers_provoke(enum note_kind kind)
{
    return kind == NOTE_REJECTED || kind == NOTE_CONFIG_MISMATCH || kind == NOTE_NAME_CONFLICT ||
           kind == NOTE_ROSTER_FULL;
}

static bool since(instant told, instant now, usec pause)
{
    return told.us != 0 && instant_diff(now, told) < pause;
}

/* A failure that repeats is told once, until it ends; what strangers bring about,
 * once a second altogether, and each reason of rejection once a minute. */
static bool note_is_repetition(struct daemon *d, const struct note *n)
{
    instant now = loop_now(), *reason = NULL;
    if (n->kind == NOTE_APPLY_FAILED)
        return n->other > 1;
    if (!strangers_provoke(n->kind))
        return false;
    if (n->kind == NOTE_REJECTED && in_range(n->number, REJECT_MAX))
        reason = &d->rejected_told[n->number];
    if (since(d->strangers_told, now, STRANGERS_PAUSE) ||
        (reason != NULL && since(*reason, now, REJECTED_PAUSE)))
        return true;
    d->strangers_told = now;
    if (reason != NULL)
        *reason = now;
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
    char text[TEXT_BYTES];
    bool again = note_is_repetition(d, n);
    note_text(n, text, sizeof text);
    log_line(again ? LOG_LEVEL_DEBUG : note_level(n), "node", "%s", text);
    if (!again) /* or they would push everything else off the list */
        event_keep(d, n);
    if (n->kind == NOTE_STATE || n->kind == NOTE_VIEW)
        notify_send(NOTIFY_STATUS, text);
}
