/*
 * The sections behind a heartbeat's entries, since version 2 (wire.h).
 */
#ifndef IPCLUSTERD_WIRE_SECTIONS_H
#define IPCLUSTERD_WIRE_SECTIONS_H

#include "ipclusterd/buf.h"
#include "ipclusterd/wire.h"

void sections_clear(struct heartbeat *h);
/* Writes those that are not empty. */
void sections_write(struct writer *w, const struct heartbeat *h);
/* Reads up to the end; fails the reader on anything that is not in order. */
void sections_read(struct reader *r, struct heartbeat *h);

#endif
