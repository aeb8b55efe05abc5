/*
 * Flows in the kernel's table that no packet made.
 */
#ifndef FLOW_MADE_H
#define FLOW_MADE_H

#include <stdint.h>

/* Enters a flow to port 80; `tcp_state` < 0: UDP. */
void flow_add(const char *from, const char *to, uint16_t port, int tcp_state);
/* Brings a flow that was entered into another TCP state. */
void flow_change(const char *from, const char *to, uint16_t port, int tcp_state);
/* Takes a TCP flow out. */
void flow_delete(const char *from, const char *to, uint16_t port);

/* Enters established TCP flows from `count` IPv4 addresses, the first is `from`. */
void flows_add(const char *from, const char *to, uint32_t count);
/* Takes every flow out. */
void flows_flush(void);

#endif
