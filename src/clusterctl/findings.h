/*
 * What is not as it should be in a status, in words, with what to do about it.
 */
#ifndef CLUSTERCTL_FINDINGS_H
#define CLUSTERCTL_FINDINGS_H

#include <jansson.h>

#include "screen.h"

/* Prints the findings in `status`, or that all is well. */
void findings_print(const struct screen *s, const json_t *status);

#endif
