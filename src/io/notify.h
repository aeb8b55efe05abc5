/*
 * What systemd is told (sd_notify(3)'s protocol): one datagram of assignments
 * to the socket that NOTIFY_SOCKET names. Without that variable nothing is
 * sent and nothing fails.
 */
#ifndef IPCLUSTERD_IO_NOTIFY_H
#define IPCLUSTERD_IO_NOTIFY_H

#include "ipclusterd/types.h"

enum notify_state {
    NOTIFY_READY,     /* started, or done reloading */
    NOTIFY_RELOADING, /* with the monotonic time, as Type=notify-reload wants */
    NOTIFY_STOPPING,
    NOTIFY_WATCHDOG, /* the loop turns */
    NOTIFY_STATUS,   /* nothing but `status` */
};

/* Tells the state; `status` is a line for `systemctl status`, or NULL.
 * Returns 1 if it was sent, 0 if nobody wants to know, or -errno. */
int notify_send(enum notify_state state, const char *status);

/* How often NOTIFY_WATCHDOG is due: half of what WATCHDOG_USEC allows, or 0
 * if there is no watchdog, or it is another process's (WATCHDOG_PID). */
usec notify_watchdog_interval(void);

#endif
