/*
 * One finding, and the checks that make them. Shared by the findings*.c files
 * only.
 */
#ifndef CLUSTERCTL_FINDING_H
#define CLUSTERCTL_FINDING_H

#include <jansson.h>

#include "screen.h"

struct findings {
    const struct screen *screen;
    bool showing_faults; /* faults are printed first, then the notes */
    size_t faults, notes;
};

/* One finding, printed when its kind's turn has come; `remedy` may be "". */
__attribute__((format(printf, 4, 5))) void finding(struct findings *f, bool fault,
                                                   const char *remedy, const char *format, ...);

/* findings_members.c: each looks at one thing in a status. */
void check_members(struct findings *f, const json_t *status);
void check_hearing(struct findings *f, const json_t *status);
void check_quorum(struct findings *f, const json_t *status);
void check_strangers(struct findings *f, const json_t *status);
void check_vips(struct findings *f, const json_t *status);
void check_timers(struct findings *f, const json_t *status);
void check_clocks(struct findings *f, const json_t *status);
void check_versions(struct findings *f, const json_t *status);
void check_key(struct findings *f, const json_t *status);

#endif
