/*
 * `drain --wait`. A node has drained when it claims no bucket and lingers on
 * none: its core ends the lingering of a bucket when the last flow is gone.
 * Both must hold twice in a row, because between the end of a claim and the
 * start of the lingering a bucket is neither for a moment.
 */
#include "drain.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "field.h"

enum { POLL_MS = 250, BAR = 24, QUIET_POLLS = 2 };

struct progress {
    long long claimed, lingering, flows; /* now */
    long long most;                      /* flows at the most */
    bool draining;
};

static long long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The member `node` (NULL: self) of a status. */
static const json_t *member_find(const json_t *status, const char *node)
{
    size_t i;
    json_t *m;

    json_array_foreach(json_object_get(status, "members"), i,
                       m) if (node != NULL ? strcmp(field_text(m, "name"), node) == 0
                                           : field_true(m, "self")) return m;
    return NULL;
}

static void bar_print(const struct screen *s, const char *name, const struct progress *p,
                      long long waited)
{
    int done = BAR;
    char bar[BAR + 1], span[16], flows[16];

    /* A node that still claims gets new flows: not begun. */
    if (p->claimed > 0)
        done = 0;
    else if (p->most > 0)
        done = (int)(BAR - BAR * p->flows / p->most);
    if (done == BAR && p->lingering > 0)
        done = BAR - 1;
    memset(bar, '.', BAR);
    memset(bar, '#', (size_t)done);
    bar[BAR] = '\0';
    printf("\r%.20s [%s%s%s] %s flows, %lld lingering, %s\033[K", name, screen_on(s, GOOD), bar,
           screen_off(s, GOOD), text_count(p->flows, flows), p->lingering, text_span(waited, span));
    screen_line_open();
    fflush(stdout);
}

/* A line when something changed since the last. */
static void line_print(const char *name, const struct progress *p, const struct progress *last)
{
    if (p->claimed == last->claimed && p->lingering == last->lingering && p->flows == last->flows)
        return;
    printf("%s: %lld buckets claimed, %lld lingering, %lld flows\n", name, p->claimed, p->lingering,
           p->flows);
    fflush(stdout);
}

/* Reads the member into `p`. DONE, or why waiting makes no sense. */
static int progress_read(const json_t *m, const char *name, struct progress *p)
{
    const char *state = m != NULL ? field_text(m, "state") : "forgotten";
    bool was_draining = p->draining;

    if (m == NULL || strcmp(state, "dead") == 0 || strcmp(state, "left") == 0)
        return fail(REFUSED, "%s is %s: its last flows cannot be waited for", name, state);
    p->draining = field_true(m, "draining");
    if (was_draining && !p->draining)
        return fail(REFUSED, "the drain of %s was called off", name);
    p->claimed = field_number(m, "claimed");
    p->lingering = field_number(m, "lingering");
    p->flows = field_number(m, "flows");
    if (p->flows > p->most)
        p->most = p->flows;
    return DONE;
}

static int wait_end(const struct call *c, const char *name, int code, long long waited)
{
    char span[16];

    if (code != DONE)
        return code;
    if (c->json) {
        json_t *answer = json_pack("{s:b, s:s, s:s, s:I}", "ok", 1, "done", "drain", "node", name,
                                   "waited_ms", (json_int_t)waited);
        json_print(c, answer);
        json_decref(answer);
    } else {
        printf("%s has drained after %s\n", name, text_span(waited, span));
    }
    return DONE;
}

int drain_wait(const struct call *c, const char *node)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    bool bar = c->screen.terminal && !c->json;
    struct progress p = {0}, last = {.claimed = -1};
    long long start = now_ms();
    char name[64] = "";
    int quiet = 0, code;

    do {
        json_t *status;
        const json_t *m;
        code = ask(c, "/v1/status", NULL, &status);
        if (code != DONE)
            break;
        m = member_find(status, node);
        snprintf(name, sizeof name, "%s", m != NULL ? field_text(m, "name") : node);
        code = progress_read(m, name, &p);
        json_decref(status);
        if (code != DONE)
            break;
        if (bar)
            bar_print(&c->screen, name, &p, now_ms() - start);
        else if (!c->json)
            line_print(name, &p, &last);
        last = p;
        quiet = p.draining && p.claimed == 0 && p.lingering == 0 ? quiet + 1 : 0;
        if (quiet == QUIET_POLLS)
            break;
        if (c->timeout_ms >= 0 && now_ms() - start >= c->timeout_ms) {
            code = fail(REFUSED, "%s still has %lld flows in %lld buckets", name, p.flows,
                        p.claimed + p.lingering);
            break;
        }
        nanosleep(&pause, NULL);
    } while (true);
    screen_line_end();
    return wait_end(c, name, code, now_ms() - start);
}
