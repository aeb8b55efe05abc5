/*
 * events: what happened on this node, oldest first. Following is asking again,
 * since the last number that was seen.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clusterctl.h"
#include "field.h"

enum { POLL_MS = 500, FOLLOW_FIRST = 10 /* lines before following */ };

static enum colour level_colour(const char *level)
{
    return strcmp(level, "error") == 0 ? BAD : strcmp(level, "warning") == 0 ? WARN : PLAIN;
}

static void event_print(const struct call *c, const json_t *e)
{
    const struct screen *s = &c->screen;
    enum colour colour = level_colour(field_text(e, "level"));

    if (c->json) {
        json_dumpf(e, stdout, JSON_COMPACT);
        putchar('\n');
        return;
    }
    printf("%s%s%s  %s%s%s\n", screen_on(s, DIM), field_text(e, "time"), screen_off(s, DIM),
           screen_on(s, colour), field_text(e, "text"), screen_off(s, colour));
}

/* All but the last `lines` go from the list. */
static void events_cut(json_t *events, size_t lines)
{
    while (json_array_size(events) > lines)
        json_array_remove(events, 0);
}

static void events_print(const struct call *c, const json_t *answer)
{
    size_t i;
    json_t *e;

    json_array_foreach(json_object_get(answer, "events"), i, e) event_print(c, e);
}

/* Prints what comes after number `since`, until the daemon or the output ends. */
static int events_follow(const struct call *c, long long since)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    int code = DONE;

    while (fflush(stdout) == 0 && code == DONE) {
        char target[64];
        json_t *answer;
        nanosleep(&pause, NULL);
        snprintf(target, sizeof target, "/v1/events?since=%lld", since);
        code = ask(c, target, NULL, &answer);
        if (code != DONE)
            break;
        /* A daemon that was started anew counts anew. */
        if (field_number(answer, "last") < since) {
            since = 0;
        } else {
            events_print(c, answer);
            since = field_number(answer, "last");
        }
        json_decref(answer);
    }
    return code;
}

int cmd_events(const struct call *c)
{
    json_t *answer;
    int code = ask(c, "/v1/events", NULL, &answer);
    long long last;

    if (code != DONE)
        return code;
    last = field_number(answer, "last");
    if (c->lines >= 0 || c->follow)
        events_cut(json_object_get(answer, "events"),
                   c->lines >= 0 ? (size_t)c->lines : (size_t)FOLLOW_FIRST);
    if (c->json && !c->follow)
        json_print(c, answer);
    else
        events_print(c, answer);
    json_decref(answer);
    return c->follow ? events_follow(c, last) : DONE;
}
