/*
 * restart: the daemon executes its binary again. Done, that ends the connection
 * without an answer, and soon the new run answers on the socket; refused, it answers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "clusterctl.h"
#include "field.h"
#include "http.h"

enum { POLL_MS = 10, PATIENCE_MS = 10000 };

static long long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Asks for it. DONE: it is under way. */
static int restart_ask(const struct call *c)
{
    char why[HTTP_WHY_BYTES];
    struct http_reply reply;
    int code = http_request(c->socket, "/v1/restart", "{}", &reply, why);
    json_t *answer;

    if (code != DONE)
        return reply.cut ? DONE : fail((enum exit_code)code, "%s", why);
    answer = json_loadb(reply.body, reply.length, 0, NULL);
    code = fail(REFUSED, "%s", field_text(answer, "error"));
    json_decref(answer);
    free(reply.body);
    return code;
}

/* What a daemon tells of itself that has started since `began`; NULL: none does. */
static json_t *successor_ask(const struct call *c, long long began)
{
    char why[HTTP_WHY_BYTES];
    struct http_reply reply;
    json_t *answer;

    if (http_request(c->socket, "/v1/version", NULL, &reply, why) != DONE)
        return NULL;
    answer = json_loadb(reply.body, reply.length, 0, NULL);
    free(reply.body);
    if (reply.status == 200 && json_object_get(answer, "uptime_ms") != NULL &&
        field_number(answer, "uptime_ms") <= now_ms() - began)
        return answer;
    json_decref(answer);
    return NULL;
}

static void restart_tell(const struct call *c, const char *before, const json_t *after,
                         long long took)
{
    const json_t *inherited = json_object_get(after, "inherited_buckets");
    char span[16];

    if (c->json) {
        json_t *answer =
            json_pack("{s:b, s:s, s:s, s:s, s:I, s:O?}", "ok", 1, "done", "restart",
                      "version_before", before, "version", field_text(after, "version"), "took_ms",
                      (json_int_t)took, "inherited_buckets", inherited);
        json_print(c, answer);
        json_decref(answer);
        return;
    }
    printf("ipclusterd %s is in the place of %s after %s", field_text(after, "version"), before,
           text_span(took, span));
    if (json_is_integer(inherited))
        printf(" and went on with %lld buckets\n", json_integer_value(inherited));
    else
        printf("; it joins as a new one, as there was nothing to go on with\n");
}

int cmd_restart(const struct call *c)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    json_t *before, *after = NULL;
    long long began;
    int code = ask(c, "/v1/version", NULL, &before);

    if (code != DONE)
        return code;
    began = now_ms();
    code = restart_ask(c);
    while (code == DONE && (after = successor_ask(c, began)) == NULL) {
        if (now_ms() - began >= PATIENCE_MS)
            code =
                fail(NO_DAEMON, "the daemon did not say no, and no new one answers; its log says "
                                "why");
        else
            nanosleep(&pause, NULL);
    }
    if (code == DONE)
        restart_tell(c, field_text(before, "version"), after, now_ms() - began);
    json_decref(before);
    json_decref(after);
    return code;
}
