/*
 * The services of a virtual address, for people.
 */
#ifndef CLUSTERCTL_SERVICES_H
#define CLUSTERCTL_SERVICES_H

#include <jansson.h>

#include "screen.h"

/* A row for each service of these virtual addresses; nothing if there are none. */
void services_table(const struct screen *s, const json_t *vips);

/* A line for each service that does not go by the client: "tcp 5432: single, web2". */
void services_lines(const json_t *services);

#endif
