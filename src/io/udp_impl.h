/*
 * What the files of the heartbeat sockets share among themselves.
 */
#ifndef IPCLUSTERD_IO_UDP_IMPL_H
#define IPCLUSTERD_IO_UDP_IMPL_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "udp.h"

/* udp_filter.c: what a socket queues at all */

enum udp_admit {
    ADMIT_NONE,
    ADMIT_KNOWN, /* only what may be one of this cluster's */
    ADMIT_ALL,   /* whatever is neither empty nor too large for a heartbeat */
};

struct udp_filter {
    uint64_t cluster_id;
    uint8_t version_first, version_last; /* of the seal */
};

/* True if the datagram may be one of this cluster's: length, magic, version and
 * cluster id are right. */
bool udp_filter_knows(const struct udp_filter *f, const uint8_t *data, size_t length);

/* Has the kernel drop everything else before it is queued. `f` may be NULL with
 * ADMIT_NONE. 0 or -errno. */
int udp_filter_attach(int fd, const struct udp_filter *f, enum udp_admit admit);

/* udp_intake.c: reading, also under a flood */

struct udp_intake {
    struct udp_filter filter;
    size_t count;
    int fd[HEARTBEAT_LINKS_MAX]; /* not owned */
    size_t next;                 /* the one that is read first */

    int set;      /* epoll: the sockets; while polling, the tick alone */
    int tick;     /* timerfd */
    bool polling; /* the sockets are read at each tick, not when something comes */
    bool shut;    /* ADMIT_KNOWN */

    instant window; /* began then; since then: */
    unsigned all, strangers;
    instant shut_at; /* last */
    bool told;       /* of the flood, and not yet of its end */

    struct mmsghdr message[UDP_BATCH];
    struct iovec part[UDP_BATCH];
    uint8_t data[UDP_BATCH][DATAGRAM_MAX];
};

/* 0 or -errno, with nothing to close then. */
int udp_intake_open(struct udp_intake *in, const struct udp_filter *f);
void udp_intake_close(struct udp_intake *in);

/* A socket to read from, of which ADMIT_ALL is the filter. 0 or -errno. */
int udp_intake_add(struct udp_intake *in, int fd);

/* As udp_receive(). */
size_t udp_intake_read(struct udp_intake *in, instant now, struct udp_datagram out[UDP_BATCH]);

/* As udp_dropped(). */
uint64_t udp_intake_dropped(const struct udp_intake *in);

#endif
