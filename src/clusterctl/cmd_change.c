/*
 * Commands that change something: one POST each, and a sentence.
 */
#include <stdio.h>
#include <string.h>

#include "clusterctl.h"
#include "drain.h"
#include "http.h"

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
    return change_tell(c, "is off the roster", "/v1/forget");
}
