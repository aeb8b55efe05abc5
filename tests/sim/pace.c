/*
 * Virtual time against the machine's.
 */
#include "pace.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const part_names[PACE_PARTS] = {[PACE_START] = "start",
                                                   [PACE_DRILL] = "drills",
                                                   [PACE_STORM] = "storms",
                                                   [PACE_REST] = "rests"};

static int64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void line(const char *of, const char *what, int64_t virtual_us, int64_t real_us)
{
    printf("pace: %-8s %-14s %9.3f s in %8.3f s, %6.1f times\n", of, what, (double)virtual_us / 1e6,
           (double)real_us / 1e6, real_us > 0 ? (double)virtual_us / (double)real_us : 0.0);
}

void pace_begin(struct pace *p)
{
    *p = (struct pace){.on = p->on};
}

static void pace_close(struct pace *p, int64_t now)
{
    int64_t took = clock_us() - p->began;
    if (p->begun && now > p->since)
        line("", p->what, now - p->since, took);
    if (p->begun) {
        p->virtual_us[p->part] += now - p->since;
        p->real_us[p->part] += took;
    }
    fflush(stdout);
}

void pace_enter(struct pace *p, int64_t now, enum pace_part part, const char *what)
{
    if (!p->on)
        return;
    pace_close(p, now);
    p->begun = true;
    p->part = part;
    p->what = what;
    p->since = now;
    p->began = clock_us();
}

void pace_end(struct pace *p, int64_t now)
{
    int64_t virtual_us = 0, real_us = 0;
    if (!p->on)
        return;
    pace_close(p, now);
    for (int k = 0; k < PACE_PARTS; k++) {
        line("all", part_names[k], p->virtual_us[k], p->real_us[k]);
        virtual_us += p->virtual_us[k];
        real_us += p->real_us[k];
    }
    line("all", "but the start", virtual_us - p->virtual_us[PACE_START],
         real_us - p->real_us[PACE_START]);
    line("all", "", virtual_us, real_us);
}
