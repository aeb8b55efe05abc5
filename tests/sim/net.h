/*
 * The fake network: bytes, not structs. It loses, delays, doubles, reorders
 * and corrupts datagrams, cuts hosts off from each other, and keeps recordings
 * to play again. It also knows who really heard whom, which is what the
 * invariants are about.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "hosts.h"
#include "rng.h"
#include "scenario.h"

struct world;

enum {
    PACKETS_MAX = 65536, /* under way or recorded at one time */
    ARCHIVE_MAX = 256,   /* recordings */
    PACKET_NONE = 0xffffffff,
};

struct packet {
    uint32_t references; /* deliveries under way, and the archive */
    uint32_t next_free;
    uint16_t from;
    uint16_t length;
    bool authentic; /* as it was sent, when it was sent */
    int64_t sent_at;
    uint8_t data[DATAGRAM_MAX];
};

/* How one host hears another. */
struct hearing {
    int64_t at;    /* it last handled a fresh one */
    int64_t since; /* and without a gap since then */
    int64_t ever;  /* heard, also of and by an earlier daemon */
    bool met;      /* these daemons have heard each other once */
};

struct net {
    struct rng rng;
    struct net_profile profile;
    struct hosts cut[HOSTS_MAX]; /* of a sender: the hosts that its datagrams do not reach */
    struct packet *packet;
    uint32_t free, fresh;            /* used before; never used from here on */
    uint32_t archive[ARCHIVE_MAX];   /* PACKET_NONE: empty */
    int64_t trouble_at;              /* when a datagram was last kept from a running node */
    int64_t trouble_from[HOSTS_MAX]; /* the same, by sender */
    struct hearing heard[HOSTS_MAX][HOSTS_MAX]; /* [b][a]: b by a; one's datagram reaches all */
    unsigned rounds;                 /* heartbeats that it takes a node to acknowledge all others */
    uint64_t cuts;                   /* counts up with each cut, or its end */
    int64_t replayed_at;             /* a young recording was last heard */
    int64_t heard_by_any[HOSTS_MAX]; /* anybody last handled one of this */
    uint64_t sent, lost;
};

void net_init(struct net *n); /* allocates; for the life of the world */
void net_free(struct net *n);
void net_reset(struct net *n, const struct scenario *s);

/* A datagram of host `from` to all others. */
void net_send(struct world *w, unsigned from, const uint8_t *data, size_t length);

/* A made-up datagram, or a recording, to host `to`; returns a packet to hand
 * over with net_release(), or PACKET_NONE. */
uint32_t net_forge(struct world *w, unsigned to);

void net_release(struct net *n, uint32_t packet);

/* Host `to` has handled the packet. */
void net_note_heard(struct world *w, unsigned to, const struct packet *p);

/* It has handled a recording: one that is young enough is a word like any other, and
 * whoever heard it vouches for its sender. */
void net_note_recording(struct world *w, unsigned to, const struct packet *p);

/* A daemon started: nobody has heard it yet, nor it anybody. */
void net_forget_heard(struct world *w, unsigned host);

/* Both daemons run, and each has handled the other's fresh datagrams without
 * a gap of over two intervals for the grace: three intervals, one more for each further
 * round of acknowledgements, and delays. */
bool net_hear_each_other(const struct world *w, unsigned a, unsigned b);

/* They hear each other, or each hears a third that tells it of the other (if
 * members do that: see RELAYS in net.c). */
bool net_connected(const struct world *w, unsigned a, unsigned b);

/* S1 binds these two, who run, at no time before this one, unless a host starts or
 * stops. */
int64_t net_bound_from(const struct world *w, unsigned a, unsigned b);

/* How long two have to hear each other before that counts. */
usec net_grace(const struct world *w);

/* The daemon can do what it has to: it runs, and its kernel has neither kept it
 * waiting nor refused a plan of late. */
bool net_able(const struct world *w, unsigned a);

/* S1 holds for these two: both are able to do what they want, and they are
 * connected, or one has heard the other for so long, and has not been heard by it
 * for so long, that it must know that it is mute and has to yield: unless more of
 * those it hears hear it too. */
bool net_bound(const struct world *w, unsigned a, unsigned b);

/* For people: how that is so. */
const char *net_relation(const struct world *w, unsigned a, unsigned b);

/* Host a was heard by host b, in that sense, at `then`, when a stopped. */
bool net_heard_until(const struct world *w, unsigned a, unsigned b, int64_t then);

/* No datagram of a host in `from` reaches one in `to`. */
void net_cut(struct net *n, const struct hosts *from, const struct hosts *to);

/* Cuts every pair of which one is in `side` and one is not. */
void net_partition(struct net *n, const struct hosts *side, bool one_way);
void net_heal(struct net *n);

#endif
