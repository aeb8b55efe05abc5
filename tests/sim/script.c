/*
 * Scripts as values.
 */
#include "script.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const drill_names[DRILL_KINDS] = {
    [DRILL_HOST_CRASH] = "host-crash",
    [DRILL_DAEMON_CRASH] = "daemon-crash",
    [DRILL_PAUSE] = "pause",
    [DRILL_FREEZE] = "freeze",
    [DRILL_STARVED] = "starved",
    [DRILL_LEAVE] = "leave",
    [DRILL_DRAIN] = "drain",
    [DRILL_RELOAD] = "reload",
    [DRILL_BRIDGE] = "bridge",
    [DRILL_RESTART] = "restart",
    [DRILL_VIPS] = "vips",
};

const char *drill_name(enum drill d)
{
    return drill_names[d];
}

void script_init(struct script *s)
{
    *s = (struct script){0};
}

void script_free(struct script *s)
{
    free(s->act);
    script_init(s);
}

static void script_reserve(struct script *s, size_t room)
{
    if (room <= s->room)
        return;
    room = room < 64 ? 64 : room;
    struct act *act = realloc(s->act, room * sizeof *act);
    if (act == NULL) {
        fputs("sim: out of memory\n", stderr);
        exit(2);
    }
    s->act = act;
    s->room = room;
}

void script_copy(struct script *to, const struct script *from)
{
    script_reserve(to, from->acts);
    to->scenario = from->scenario;
    to->given = from->given;
    to->acts = from->acts;
    if (from->acts > 0)
        memcpy(to->act, from->act, from->acts * sizeof *to->act);
}

void script_add(struct script *s, const struct act *a)
{
    if (s->acts == s->room)
        script_reserve(s, 2 * s->room + 1);
    s->act[s->acts++] = *a;
}

void script_cut(struct script *s, size_t first, size_t count)
{
    assert(first + count <= s->acts);
    if (count == 0)
        return;
    memmove(&s->act[first], &s->act[first + count], (s->acts - first - count) * sizeof *s->act);
    s->acts -= count;
}
