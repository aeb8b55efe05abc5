/*
 * Commands that change something: one POST each, and a sentence.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clusterctl.h"
#include "drain.h"
#include "field.h"

/* POSTs, with the node of the command line if there is one. */
static int change(const struct call *c, const char *target, json_t **answer)
{
    json_t *body = c->argc > 0 ? json_pack("{s:s}", "node", c->argv[0]) : json_object();
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    int code;

    json_decref(body);
    *answer = NULL;
    if (text == NULL) /* jansson takes UTF-8 only */
        return fail(REFUSED, "that is no name of a node");
    code = ask(c, target, text, answer);
    free(text);
    return code;
}

__attribute__((format(printf, 2, 0))) static int
change_tell(const struct call *c, const char *sentence, const char *target)
{
    json_t *answer;
    int code = change(c, target, &answer);

    if (code == DONE && c->json)
        json_print(c, answer);
    else if (code == DONE)
        printf("%s %s\n", c->argc > 0 ? c->argv[0] : "this node", sentence);
    json_decref(answer);
    return code;
}

/* ------------------------------------------------------ forgetting a voter */

enum { FORGET_POLL_MS = 200, FORGET_MS = 15000 /* without --timeout */ };

static bool member_listed(const json_t *answer, const char *name)
{
    size_t i;
    json_t *m;

    json_array_foreach(json_object_get(answer, "members"), i,
                       m) if (strcmp(field_text(m, "name"), name) == 0) return true;
    return false;
}

static bool refusal_listed(const json_t *answer, const char *name)
{
    size_t i;
    json_t *e;

    json_array_foreach(json_object_get(answer, "events"), i,
                       e) if (strcmp(field_text(e, "kind"), "voters_refused") == 0 &&
                              strcmp(field_text(e, "member"), name) == 0) return true;
    return false;
}

/* True if `listed` finds the node in the page `target`; `code` is how asking went. */
static bool page_has(const struct call *c, const char *target,
                     bool (*listed)(const json_t *, const char *), int *code)
{
    json_t *answer;
    bool has;

    *code = ask(c, target, NULL, &answer);
    has = *code == DONE && listed(answer, c->argv[0]);
    json_decref(answer);
    return has;
}

/* Until a majority has taken the node off, or has not in time. */
static int forget_wait(const struct call *c, long long since)
{
    const struct timespec pause = {.tv_nsec = FORGET_POLL_MS * 1000000L};
    long long patience = c->timeout_ms >= 0 ? c->timeout_ms : FORGET_MS;
    char events[64], span[16];
    int code;

    snprintf(events, sizeof events, "/v1/events?since=%lld", since);
    for (long long waited = 0;; waited += FORGET_POLL_MS) {
        if (!page_has(c, "/v1/members", member_listed, &code))
            return code;
        if (page_has(c, events, refusal_listed, &code))
            return fail(REFUSED,
                        "%s stays on the roster: no majority of the voters decided it in time",
                        c->argv[0]);
        if (code != DONE)
            return code;
        if (waited >= patience)
            return fail(REFUSED,
                        "no majority of the voters has taken %s off the roster yet (waited %s)",
                        c->argv[0], text_span(patience, span));
        nanosleep(&pause, NULL);
    }
}

/* ------------------------------------------------------------- the commands */

int cmd_drain(const struct call *c)
{
    json_t *answer;
    int code;

    if (!c->wait)
        return change_tell(c, "takes no new flows", "/v1/drain");
    code = change(c, "/v1/drain", &answer);
    json_decref(answer);
    return code == DONE ? drain_wait(c, c->argc > 0 ? c->argv[0] : NULL) : code;
}

int cmd_undrain(const struct call *c)
{
    return change_tell(c, "takes new flows again", "/v1/undrain");
}

int cmd_leave(const struct call *c)
{
    return change_tell(c, "hands over its buckets and ends", "/v1/leave");
}

int cmd_reload(const struct call *c)
{
    return change_tell(c, "goes by the configuration as it is now", "/v1/reload");
}

int cmd_forget(const struct call *c)
{
    json_t *answer;
    int code = change(c, "/v1/forget", &answer);

    if (code == DONE && field_true(answer, "pending")) {
        long long since = field_number(answer, "since");
        json_decref(answer);
        code = forget_wait(c, since);
        answer = json_pack("{s:b, s:s}", "ok", 1, "done", "forget");
    }
    if (code == DONE && c->json)
        json_print(c, answer);
    else if (code == DONE)
        printf("%s is off the roster\n", c->argv[0]);
    json_decref(answer);
    return code;
}

int cmd_release(const struct call *c)
{
    return change_tell(c, "is let in again", "/v1/release");
}

int cmd_rekey(const struct call *c)
{
    json_t *answer;
    int code = change(c, "/v1/rekey", &answer);

    if (code == DONE && c->json)
        json_print(c, answer);
    else if (code == DONE)
        text_wrap(&c->screen, 0,
                  "the members change to the next key; when clusterctl status shows it in use on "
                  "every node, make it the cluster.key_file there and remove key_file_next");
    json_decref(answer);
    return code;
}
