/*
 * Findings about the members: who is missing, held, deaf or a stranger, and what
 * hinders their common decisions.
 */
#include <stdio.h>
#include <string.h>

#include "field.h"
#include "finding.h"
#include "members.h"

enum { NAMES_TOLD = 6, DEAF_TOLD = 8 };

/* "a, b, c and 4 more" of a list of names into `out`. */
static const char *names_write(const json_t *names, char *out, size_t size)
{
    size_t count = json_array_size(names), used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < count && i < NAMES_TOLD && used < size; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        const char *between = i == 0 ? "" : i + 1 == count ? " and " : ", ";
        used += (size_t)snprintf(out + used, size - used, "%s%.63s", between, name ? name : "-");
    }
    if (count > NAMES_TOLD && used < size)
        snprintf(out + used, size - used, " and %zu more", count - NAMES_TOLD);
    return out;
}

/* The names of the members for which `is` holds, as a new list. */
static json_t *members_that(const json_t *status,
                            bool (*is)(const json_t *member, const json_t *arg), const json_t *arg)
{
    json_t *names = json_array(), *m;
    size_t i;

    json_array_foreach(json_object_get(status, "members"), i, m) if (is(m, arg))
        json_array_append(names, json_object_get(m, "name"));
    return names;
}

static bool list_has(const json_t *names, const json_t *name)
{
    size_t i;
    json_t *other;

    json_array_foreach(names, i, other) if (json_equal(other, name)) return true;
    return false;
}

/* `arg` is a name. */
static bool member_hears(const json_t *m, const json_t *arg)
{
    return list_has(json_object_get(m, "hears"), arg);
}

static const json_t *member_self(const json_t *status)
{
    size_t i;
    json_t *m;

    json_array_foreach(json_object_get(status, "members"), i,
                       m) if (field_true(m, "self")) return m;
    return NULL;
}

/* -------------------------------------------------------------- one at a time */

static void check_dead(struct findings *f, const json_t *m)
{
    const char *name = field_text(m, "name");
    long long heard = field_number(m, "last_heard_ms");
    char span[16], remedy[256];

    snprintf(remedy, sizeof remedy,
             "Check its power, its link and its daemon. Gone for good: clusterctl forget %.63s",
             name);
    if (heard < 0)
        finding(f, true, remedy,
                "%s is dead: it was never heard here. Its buckets are the others'.", name);
    else
        finding(f, true, remedy, "%s is dead: last heard %s ago. Its buckets are the others'.",
                name, text_span(heard, span));
}

static void check_suspect(struct findings *f, const json_t *status, const json_t *m)
{
    const char *name = field_text(m, "name"), *node = field_text(status, "node");
    json_t *hearers = members_that(status, member_hears, json_object_get(m, "name"));
    bool both = list_has(json_object_get(m, "deaf_to"), json_object_get(status, "node"));
    char span[16], remedy[400], names[512];

    text_span(field_number(m, "last_heard_ms"), span);
    if (json_array_size(hearers) == 0) {
        /* What it said last of others, and they of it, may be out of date. */
        finding(f, true, "Check its power, its link and its daemon, and the network between.",
                "%s is suspect: nobody is known to have heard it for %s.", name, span);
    } else {
        snprintf(remedy, sizeof remedy,
                 "The way %s %.63s %s %.63s is broken%s: check the switch port, the multicast "
                 "group and the firewall between the two.",
                 both ? "between" : "from", name, both ? "and" : "to", node,
                 both ? "" : ", and only that way");
        finding(f, true, remedy,
                "%s is suspect: it lives, this node last heard it %s ago; heard by %s.", name, span,
                names_write(hearers, names, sizeof names));
    }
    json_decref(hearers);
}

static void check_held(struct findings *f, const json_t *m)
{
    const char *name = field_text(m, "name");
    char span[16], remedy[256];

    snprintf(remedy, sizeof remedy,
             "Find out why it dies. To let it in at once: clusterctl release %.63s", name);
    finding(f, true, remedy,
            "%s is held for %s: it died too often lately (penalty %lld), so it owns nothing.", name,
            text_span(field_number(m, "hold_ms"), span), field_number(m, "flap_penalty"));
}

static void check_member(struct findings *f, const json_t *status, const json_t *m)
{
    const char *name = field_text(m, "name"), *state = field_text(m, "state");
    bool self = field_true(m, "self");
    char remedy[256];

    if (strcmp(state, "dead") == 0) {
        check_dead(f, m);
    } else if (strcmp(state, "suspect") == 0) {
        check_suspect(f, status, m);
    } else if (strcmp(state, "held") == 0) {
        check_held(f, m);
    } else if (strcmp(state, "left") == 0) {
        snprintf(remedy, sizeof remedy, "If it will not be back: clusterctl forget %.63s", name);
        finding(f, false, remedy, "%s has left in order.", name);
    } else if (!self && !field_true(m, "healthy")) {
        finding(f, true, "See the log of its daemon.", "%s is unhealthy: it owns nothing.", name);
    } else if (!self && field_true(m, "draining")) {
        snprintf(remedy, sizeof remedy, "To let it serve again: clusterctl undrain %.63s", name);
        finding(f, false, remedy, "%s is draining: it takes no new flows.", name);
    }
}

void check_members(struct findings *f, const json_t *status)
{
    size_t i;
    json_t *m;

    json_array_foreach(json_object_get(status, "members"), i, m) check_member(f, status, m);
}

/* ------------------------------------------------------------- between members */

/* Whom `m` does not hear, without those who are told as suspect. */
static json_t *deaf_list(const json_t *status, const json_t *m)
{
    json_t *names = json_array(), *other;
    size_t i;

    json_array_foreach(json_object_get(status, "members"), i, other)
    {
        bool told = field_true(m, "self") && strcmp(field_text(other, "state"), "suspect") == 0;
        json_t *name = json_object_get(other, "name");
        if (!told && list_has(json_object_get(m, "deaf_to"), name))
            json_array_append(names, name);
    }
    return names;
}

void check_hearing(struct findings *f, const json_t *status)
{
    static const char remedy[] =
        "Others pass on what is said. Check the switch ports and firewalls "
        "between them: clusterctl members draws who hears whom.";
    size_t i, deaf = 0;
    json_t *m;

    json_array_foreach(json_object_get(status, "members"), i, m)
    {
        json_t *names = deaf_list(status, m);
        char text[512];
        if (json_array_size(names) > 0 && deaf++ < DEAF_TOLD)
            finding(f, true, remedy, "%s does not hear %s, though both live.",
                    field_text(m, "name"), names_write(names, text, sizeof text));
        json_decref(names);
    }
    if (deaf > DEAF_TOLD)
        finding(f, true, "clusterctl members draws who hears whom.",
                "%zu more members do not hear all others.", deaf - DEAF_TOLD);
}

static bool waits_for_admission(const json_t *m, const json_t *arg)
{
    (void)arg;
    return member_lives(m) && json_is_false(json_object_get(m, "voter"));
}

static void check_majority(struct findings *f, const json_t *status, const json_t *quorum)
{
    long long voters = field_number(quorum, "voters"), heard = field_number(quorum, "heard");
    long long needed = field_number(quorum, "needed");
    json_t *waiting = members_that(status, waits_for_admission, NULL);
    char names[512];

    if (voters == 0)
        finding(f, false,
                "Wait a second. If it stays so, start a second node, or find out why they do not "
                "hear each other; one alone founds a cluster only if it is in cluster.members.",
                "The cluster is not founded yet: nobody serves before its first nodes agree.");
    else if (!field_true(quorum, "have"))
        finding(f, true,
                "Start the voters that are missing, or mend the network to them; none can be "
                "forgotten before a majority is up.",
                "There is no majority here: %lld of %lld voters are heard, %lld are needed. This "
                "node lets in no new flows.",
                heard, voters, needed);
    else if (heard == needed && heard < voters)
        finding(
            f, false, "Bring back those who are missing, or forget those who are gone for good.",
            "%lld of %lld voters are heard, just a majority: if one more is lost, nobody serves.",
            heard, voters);
    if (voters > 0 && json_array_size(waiting) > 0)
        finding(f, false, "A majority of the voters has to let it in, which takes a moment.",
                "Not among the voters yet, and serving nobody: %s.",
                names_write(waiting, names, sizeof names));
    json_decref(waiting);
}

void check_quorum(struct findings *f, const json_t *status)
{
    const json_t *quorum = json_object_get(status, "quorum");
    const json_t *witness = json_object_get(status, "witness");

    if (strcmp(field_text(quorum, "policy"), "majority") == 0)
        check_majority(f, status, quorum);
    if (json_is_object(witness) && !field_true(witness, "answers"))
        finding(f, true,
                "Check the way to it. While it is silent, this node does not serve once it hears "
                "no other node.",
                "The witness %s does not answer.", field_text(witness, "address"));
}

void check_strangers(struct findings *f, const json_t *status)
{
    size_t i;
    json_t *s;

    json_array_foreach(json_object_get(status, "strangers"), i, s)
    {
        const json_t *differs = json_object_get(s, "differs");
        char parts[128];
        finding(f, true,
                "All nodes need equal buckets, dead_after, lease, quorum, members, flap and vips: "
                "see ipclusterd.conf(5), then clusterctl reload.",
                "%s has another configuration, so it is no member here. What differs: %s.",
                field_text(s, "name"),
                json_array_size(differs) > 0 ? names_write(differs, parts, sizeof parts)
                                             : "it does not tell");
    }
}

void check_vips(struct findings *f, const json_t *status)
{
    json_t *others = json_array();
    char names[256];
    size_t i;
    json_t *m;

    json_array_foreach(json_object_get(status, "members"), i,
                       m) if (json_array_size(json_object_get(m, "differs")) > 0)
        json_array_append(others, json_object_get(m, "name"));
    if (json_array_size(others) > 0)
        finding(f, false, "Give all nodes the same vips, then clusterctl reload on each.",
                "Another list of VIPs than this node's: %s. What only some have is served by those "
                "alone.",
                names_write(others, names, sizeof names));
    json_decref(others);
}

/* --------------------------------------------------------- what they go by */

void check_timers(struct findings *f, const json_t *status)
{
    long long patience = field_number(status, "patience_ms");
    long long worst = field_number(json_object_get(status, "wakeup_us"), "worst");
    char more[16], late[16];

    if (patience > 0)
        finding(f, false, "Something keeps this host from running its daemon: see its load.",
                "This node's timers run late, by %s at the worst: it waits %s longer before it "
                "calls others dead.",
                text_span(worst / 1000, late), text_span(patience, more));
}

void check_clocks(struct findings *f, const json_t *status)
{
    size_t i;
    json_t *m;
    char span[16];

    json_array_foreach(json_object_get(status, "members"), i,
                       m) if (member_lives(m) && clock_is_off(m))
        finding(f, false,
                "Heartbeats do not mind, but logs do: check the time service of both hosts.",
                "The clock of %s is %s %s this node's.", field_text(m, "name"),
                text_span(clock_distance(m), span),
                field_number(m, "clock_ms") < 0 ? "behind" : "ahead of");
}

/* `arg` is the number of a version. */
static bool speaks_older(const json_t *m, const json_t *arg)
{
    long long version = field_number(m, "protocol");

    return member_lives(m) && version > 0 && version < json_integer_value(arg);
}

void check_versions(struct findings *f, const json_t *status)
{
    json_t *newest = json_integer(field_number(member_self(status), "protocol"));
    json_t *older = members_that(status, speaks_older, newest);
    char names[512];

    if (json_array_size(older) > 0)
        finding(f, false, "Upgrade these: until then nobody is held, and no key is changed.",
                "An older version of the protocol is spoken by %s.",
                names_write(older, names, sizeof names));
    json_decref(older);
    json_decref(newest);
}

/* `arg` is the hash of a key. */
static bool lacks_key(const json_t *m, const json_t *arg)
{
    return member_lives(m) && !json_equal(json_object_get(m, "key_next"), arg);
}

void check_key(struct findings *f, const json_t *status)
{
    const json_t *key = json_object_get(status, "key"), *next = json_object_get(key, "next");
    json_t *lacking;
    char names[512];

    if (!json_is_string(next))
        return;
    lacking = members_that(status, lacks_key, next);
    if (field_true(key, "changed"))
        finding(f, false,
                "Make it the cluster.key_file of every node, remove key_file_next, and "
                "clusterctl reload.",
                "The members use the next key, %.8s.", json_string_value(next));
    else if (field_true(key, "ready"))
        finding(f, false, "When you are ready, on any node: clusterctl rekey",
                "Every member has the next key, %.8s, beside the one in use.",
                json_string_value(next));
    else
        finding(f, false, "Put the same key into cluster.key_file_next there, and reload.",
                "A change of the key waits: the next key, %.8s, is not with %s.",
                json_string_value(next),
                json_array_size(lacking) > 0 ? names_write(lacking, names, sizeof names)
                                             : "everybody");
    json_decref(lacking);
}
