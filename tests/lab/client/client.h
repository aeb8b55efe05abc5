/*
 * The measuring client: what its parts share. main.c says what it does.
 *
 * One process, one loop, fixed tables. A descriptor is an index into `slots`,
 * a source address an index into `sources`.
 */
#ifndef LAB_CLIENT_H
#define LAB_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    SOURCES_MAX = 2048,
    FDS_MAX = 16384,
    STREAMS_MAX = 2048,
};

/* Microseconds of CLOCK_MONOTONIC, or a span of them. */
typedef int64_t us;

union addr {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

enum kind { KIND_NONE, KIND_CONN, KIND_STREAM, KIND_UDP, KIND_SNIFF, KIND_STDIN, KIND_TIMER };

/* What a descriptor is. `prev` and `next` chain connections in order of start. */
struct slot {
    enum kind kind;
    bool connected;
    unsigned source, stream;
    us start, up;
    int prev, next;
    size_t got;
    char input[512];
};

/* What it was told to do. */
struct options {
    union addr vip[2]; /* IPv4, IPv6; family 0: none */
    double rate, udp_rate;
    us deadline, udp_deadline, line_every, stay;
    int http_port, stream_port, udp_port;
    unsigned streams;
};

extern struct options options;
extern union addr sources[SOURCES_MAX];
extern unsigned source_count;
extern struct slot slots[FDS_MAX];
extern us late_total; /* that the loop was held up, since the start */

/* --- base.c */

us clock_now(void);

/* Prints why, from errno, and ends the program. */
void die(const char *what);

/* The epoll descriptor. */
int poller(void);

/* Takes a descriptor into the loop; its slot is made new. */
void watch(int fd, enum kind kind, uint32_t events);
/* Changes the events that are waited for. */
void want(int fd, uint32_t events);

/* The word for an errno in a record. */
const char *reason_of(int error);

/* Where a source sends to; NULL if its family has no VIP. */
const union addr *vip_of(unsigned source);

bool addr_parse(const char *text, union addr *out);
socklen_t addr_bytes(const union addr *a);
void addr_port_set(union addr *a, int port);

/* A non-blocking connection from the source, or -1 with errno. */
int connect_from(unsigned source, int port);

/* --- sniff.c: two SYN-ACKs for one SYN */

void sniff_open(const char *iface);
/* A new connection from there: what was seen before is another one's. */
void sniff_expect(unsigned source, const union addr *from);
void sniff_step(int fd);

/* --- conn.c: HTTP connections */

void conn_start(unsigned source);
void conn_step(int fd);
/* Gives up those that are older than the deadline. True if any is left. */
bool conn_expire(us now);

/* --- stream.c: connections that stay */

void streams_open(void);
void stream_step(unsigned stream);
/* Sends the lines that are due. */
void streams_send(us now);
void streams_report(void);
/* With a time to stay: no new ones, and those that there are end as soon as they can. */
void streams_leave(void);
/* With a time to stay: ends those that are due. True if any is left. */
bool streams_expire(us now);

/* --- datagram.c */

void datagrams_open(void);
void datagram_send(unsigned source);
void datagram_read(int fd);
/* Tells those that have waited long enough. True if any is left. */
bool datagrams_expire(us now);

#endif
