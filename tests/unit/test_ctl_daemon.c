/*
 * What the daemon makes of a request: which it refuses, with which sentence, what
 * it tells the core of the others, and the event list.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon_private.h"
#include "ipclusterd/seal.h"

static struct daemon *d;
static struct status canned;
static struct event told; /* the last one to the core; kind EVENT_MAX: none */
static char why[256];

/* ------------------------------------------------- what the daemon rests upon */

void __wrap_node_status(const struct node *n, instant now, struct status *out);
void __wrap_node_status(const struct node *n, instant now, struct status *out)
{
    (void)n;
    (void)now;
    *out = canned;
}

void daemon_step(struct daemon *of, const struct event *e)
{
    (void)of;
    told = *e;
}

void daemon_leave(struct daemon *of)
{
    of->leaving = true;
}

int daemon_reload(struct daemon *of, char *out)
{
    (void)of;
    (void)out;
    return 0;
}

int daemon_restart(struct daemon *of, char *out)
{
    (void)of;
    (void)out;
    return -1;
}

int daemon_rules(struct daemon *of, enum ctl_rules form, struct evbuffer *out, char *text)
{
    (void)of;
    (void)form;
    (void)out;
    (void)text;
    return 0;
}

int nft_counters(struct nft *n, size_t vip, struct nft_counters *out)
{
    (void)n;
    (void)vip;
    (void)out;
    return -ENOENT;
}

bool xdp_attached(const struct xdp *x, size_t vip)
{
    (void)x;
    (void)vip;
    return false;
}

uint64_t xdp_dropped(const struct xdp *x, size_t vip)
{
    (void)x;
    (void)vip;
    return 0;
}

const char *xdp_mode_name(enum xdp_mode mode)
{
    (void)mode;
    return NULL;
}

void daemon_count_refresh(struct daemon *of)
{
    (void)of;
}

uint64_t links_unread(const struct daemon *of)
{
    (void)of;
    return 0;
}

/* ------------------------------------------------------------------ a cluster */

static uint64_t hash_of(int letter)
{
    uint8_t key[KEY_BYTES];
    memset(key, letter, sizeof key);
    return seal_key_hash(key);
}

/* web1 is this node; web2 lives, web3 is dead; key A, and B the next one of all. */
static int cluster_make(void **state)
{
    (void)state;
    d = calloc(1, sizeof *d);
    memset(&canned, 0, sizeof canned);
    told = (struct event){.kind = EVENT_MAX};
    why[0] = '\0';
    if (d == NULL)
        return -1;
    snprintf(d->config.node, sizeof d->config.node, "web1");
    memset(d->config.key, 'A', KEY_BYTES);
    memset(d->config.key_next, 'B', KEY_BYTES);
    canned.members = 3;
    for (size_t i = 0; i < 3; i++) {
        snprintf(canned.member[i].name, NAME_BYTES_MAX, "web%zu", i + 1);
        canned.member[i].version = 2;
        canned.member[i].key_next = hash_of('B');
    }
    canned.member[0].self = true;
    canned.member[2].state = MEMBER_DEAD;
    canned.member[2].key_next = 0;
    canned.quorum.have = true;
    canned.key = hash_of('A');
    canned.key_next = hash_of('B');
    canned.rekey_ready = true;
    return 0;
}

static int cluster_free(void **state)
{
    (void)state;
    free(d->status);
    free(d);
    return 0;
}

static int control(enum control_verb verb, const char *member)
{
    told = (struct event){.kind = EVENT_MAX};
    why[0] = '\0';
    return daemon_ctl_ops.control(d, verb, member, why);
}

static void assert_told(enum control_verb verb, const char *member)
{
    assert_int_equal(told.kind, EVENT_CONTROL);
    assert_int_equal(told.control.verb, verb);
    if (member == NULL)
        assert_null(told.control.member);
    else
        assert_string_equal(told.control.member, member);
}

static void assert_refused(int rc, int expected, const char *sentence)
{
    assert_int_equal(rc, expected);
    assert_string_equal(why, sentence);
    assert_int_equal(told.kind, EVENT_MAX);
}

/* -------------------------------------------------------------------- members */

static void test_who_is_steered(void **state)
{
    (void)state;
    assert_int_equal(control(CONTROL_DRAIN, NULL), 0);
    assert_told(CONTROL_DRAIN, NULL);
    assert_int_equal(control(CONTROL_DRAIN, "web2"), 0);
    assert_told(CONTROL_DRAIN, "web2");
    assert_refused(control(CONTROL_UNDRAIN, "web3"), -EHOSTDOWN, "web3 is not alive");
    assert_refused(control(CONTROL_DRAIN, "web9"), -ENOENT, "web9 is not on the roster");
    d->leaving = true;
    assert_refused(control(CONTROL_DRAIN, NULL), -EBUSY, "this node is leaving the cluster");
}

static void test_forget(void **state)
{
    (void)state;
    assert_int_equal(control(CONTROL_FORGET, "web3"), 0);
    assert_told(CONTROL_FORGET, "web3");
    assert_refused(control(CONTROL_FORGET, "web1"), -EINVAL, "a node cannot forget itself");
    assert_refused(control(CONTROL_FORGET, "web2"), -EBUSY, "web2 is alive: stop it first");
    assert_refused(control(CONTROL_FORGET, "web9"), -ENOENT, "web9 is not on the roster");
    canned.member[1].state = MEMBER_HELD;
    assert_refused(control(CONTROL_FORGET, "web2"), -EBUSY, "web2 is alive: stop it first");
}

static void test_forget_a_voter(void **state)
{
    (void)state;
    canned.quorum.policy = QUORUM_MAJORITY;
    canned.member[2].voter = true;
    assert_int_equal(control(CONTROL_FORGET, "web3"), CTL_PENDING);
    assert_string_equal(why, "web3: a majority of the voters has to decide it");
    assert_told(CONTROL_FORGET, "web3");
    canned.quorum.have = false;
    assert_refused(control(CONTROL_FORGET, "web3"), -EAGAIN,
                   "too few voters are heard to decide it: a majority of them has to be up");
    canned.member[2].state = MEMBER_SUSPECT;
    assert_refused(control(CONTROL_FORGET, "web3"), -EAGAIN,
                   "too few voters are heard to decide it: a majority of them has to be up");
    canned.quorum.have = true;
    assert_refused(control(CONTROL_FORGET, "web3"), -EBUSY, "web3 is alive: stop it first");
    canned.member[2].state = MEMBER_LEFT;
    /* Whose voice does not count needs nobody's. */
    canned.member[2].voter = false;
    assert_int_equal(control(CONTROL_FORGET, "web3"), 0);
}

static void test_release(void **state)
{
    (void)state;
    assert_refused(control(CONTROL_RELEASE, "web2"), -EALREADY, "web2 is not held");
    assert_refused(control(CONTROL_RELEASE, "web1"), -EALREADY, "web1 is not held");
    assert_refused(control(CONTROL_RELEASE, "web3"), -EALREADY, "web3 is not alive");
    assert_refused(control(CONTROL_RELEASE, "web9"), -ENOENT, "web9 is not on the roster");
    canned.member[1].state = MEMBER_HELD;
    assert_int_equal(control(CONTROL_RELEASE, "web2"), 0);
    assert_told(CONTROL_RELEASE, "web2");
    canned.state = NODE_HELD;
    assert_int_equal(control(CONTROL_RELEASE, "web1"), 0);
    assert_told(CONTROL_RELEASE, "web1");
}

/* ----------------------------------------------------------------------- keys */

static void test_rekey(void **state)
{
    (void)state;
    assert_int_equal(control(CONTROL_REKEY, NULL), 0);
    assert_told(CONTROL_REKEY, NULL);
    canned.rekey_ready = false;
    assert_refused(control(CONTROL_REKEY, NULL), -EAGAIN,
                   "not every member has told its next key yet: try again");
    canned.key = hash_of('B');
    assert_refused(control(CONTROL_REKEY, NULL), -EALREADY,
                   "the next key is in use already: make it the key_file of every node, and "
                   "remove key_file_next");
    memset(d->config.key, 'B', KEY_BYTES);
    assert_refused(control(CONTROL_REKEY, NULL), -EALREADY,
                   "cluster.key_file and key_file_next hold the same key: there is nothing to "
                   "change");
    memset(d->config.key_next, 0, KEY_BYTES);
    assert_refused(control(CONTROL_REKEY, NULL), -EINVAL, "this node has no cluster.key_file_next");
}

static void test_rekey_leaves_nobody_behind(void **state)
{
    (void)state;
    canned.members = 4;
    canned.member[1].key_next = 0;
    canned.member[2].state = MEMBER_SUSPECT;
    canned.member[2].key_next = hash_of('C');
    snprintf(canned.member[3].name, NAME_BYTES_MAX, "web4");
    canned.member[3].state = MEMBER_HELD;
    canned.member[3].version = 1;
    assert_refused(control(CONTROL_REKEY, NULL), -EBUSY,
                   "web2 has no key_file_next, web3 has another next key, web4 has a version of "
                   "ipclusterd that cannot change keys");
    canned.member[3].version = 0; /* it has told nothing yet */
    canned.member[2].state = MEMBER_LEFT;
    assert_refused(control(CONTROL_REKEY, NULL), -EBUSY,
                   "web2 has no key_file_next, web4 has no key_file_next");
}

static void test_rekey_names_as_many_as_fit(void **state)
{
    (void)state;
    canned.members = MEMBERS_MAX;
    for (size_t i = 1; i < MEMBERS_MAX; i++) {
        memset(canned.member[i].name, 'n', NAME_BYTES_MAX);
        canned.member[i].state = MEMBER_ALIVE;
        canned.member[i].key_next = 0;
    }
    assert_int_equal(control(CONTROL_REKEY, NULL), -EBUSY);
    assert_true(strlen(why) < sizeof why);
    assert_non_null(strstr(why, "n has no key_file_next, and 253 more"));
    assert_int_equal(told.kind, EVENT_MAX);
    canned.members = 2;
    assert_int_equal(control(CONTROL_REKEY, NULL), -EBUSY);
    assert_null(strstr(why, " more"));
}

/* --------------------------------------------------------------------- events */

struct seen {
    size_t count;
    uint64_t first, last;
    char text[512];
};

static void event_see(void *context, const struct ctl_event *e)
{
    struct seen *s = context;
    s->first = s->count++ == 0 ? e->id : s->first;
    s->last = e->id;
    assert_string_equal(e->kind, "takeover");
    assert_string_equal(e->level, "warning");
    assert_int_equal(e->note->number, e->id);
    assert_true(e->wall > 0);
    snprintf(s->text, sizeof s->text, "%s", e->text);
}

static void test_events(void **state)
{
    struct seen seen = {0};
    (void)state;
    log_open("test", true, LOG_LEVEL_ERROR);
    assert_int_equal(daemon_ctl_ops.events(d, 0, event_see, &seen), 0);
    assert_int_equal(seen.count, 0);
    for (int i = 1; i <= 3; i++)
        daemon_note(d, &(struct note){.kind = NOTE_TAKEOVER, .number = i, .member = "web3"});
    assert_int_equal(daemon_ctl_ops.events(d, 0, event_see, &seen), 3);
    assert_int_equal(seen.count, 3);
    assert_string_equal(seen.text, "took over 3 buckets of web3");
    seen = (struct seen){0};
    assert_int_equal(daemon_ctl_ops.events(d, 2, event_see, &seen), 3);
    assert_int_equal(seen.first, 3);
    assert_int_equal(daemon_ctl_ops.events(d, UINT64_MAX, NULL, NULL), 3);

    for (int i = 4; i <= EVENTS_KEPT + 2; i++)
        daemon_note(d, &(struct note){.kind = NOTE_TAKEOVER, .number = i});
    seen = (struct seen){0};
    assert_int_equal(daemon_ctl_ops.events(d, 1, event_see, &seen), EVENTS_KEPT + 2);
    assert_int_equal(seen.count, EVENTS_KEPT);
    assert_int_equal(seen.first, 3);
    assert_int_equal(seen.last, EVENTS_KEPT + 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, cluster_make, cluster_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_who_is_steered),
        CASE(test_forget),
        CASE(test_forget_a_voter),
        CASE(test_release),
        CASE(test_rekey),
        CASE(test_rekey_leaves_nobody_behind),
        CASE(test_rekey_names_as_many_as_fit),
        CASE(test_events),
    };
    return cmocka_run_group_tests_name("ctl_daemon", tests, NULL, NULL);
}
