/*
 * The status as OpenMetrics text (openmetrics.io, version 1.0): the same figures
 * as the JSON pages have, in base units.
 */
#ifndef IPCLUSTERD_IO_CTL_METRICS_H
#define IPCLUSTERD_IO_CTL_METRICS_H

#include "ctl.h"

#define CTL_METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Appends the page to `out`. 0 or -ENOMEM. */
int ctl_metrics(const struct ctl_view *v, struct evbuffer *out);

#endif
