/*
 * A node and a client, each in a network namespace, on one wire: what the
 * packet tests of src/io/nft send and see. Every function leaves in the node's
 * namespace; sockets stay where they were made.
 */
#ifndef NFT_LAB_H
#define NFT_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LAB_NODE_MAC "02:00:00:00:00:01"   /* the NIC's own */
#define LAB_SHARED_MAC "02:bf:00:00:00:64" /* of both VIPs */
#define LAB_TARGET_MAC "02:00:00:00:00:07" /* another member's; it does not exist */

enum { LAB_PORT = 80 };

/* The addresses of one family. The client has all of 198.51.100.0/24 and
 * 2001:db8:1::/64 as sources. */
struct lab_family {
    const char *vip, *node, *client;
    const char *source[4]; /* in four buckets, by mask and by hash */
};
extern const struct lab_family lab_ip4, lab_ip6;

/* False where there are no namespaces: exit with 77. */
bool lab_make(void);

/* A descriptor of the client's namespace. */
int lab_client(void);

/* The NIC's MAC, and the client's neighbour entry of a VIP: a MAC, or NULL to
 * ask for it. */
void lab_nic(const char *mac);
void lab_neighbour(const char *address, const char *mac);
/* The MAC that the client has learned of an address; "" if none. */
const char *lab_learned(const char *address);

/* On the node. Sockets do not block. */
int lab_listen(const char *address);
/* Takes the next connection within a second, or -1. */
int lab_accept(int listener);

/* On the client. */
int lab_connect(const char *from, const char *to);
int lab_connect_port(const char *from, uint16_t port, const char *to);
/* Whether the connection comes about within `ms`. */
bool lab_connected(int fd, int ms);
/* Whether it is refused within `ms`. */
bool lab_refused(int fd, int ms);
/* Whether a datagram is answered by "port unreachable" within `ms`. */
bool lab_unreachable(const char *from, const char *to, int ms);
/* Sends a word each way; false if it does not arrive within a second. */
bool lab_talk(int a, int b);
void lab_close(int fd);

enum lab_packet { LAB_ACK, LAB_UDP, LAB_ECHO };
/* Sends one packet, a TCP segment from the middle of nowhere among others. */
void lab_send(enum lab_packet what, const char *from, const char *to);

/* Sends one datagram of so many bytes, in pieces if it has to be. */
void lab_send_datagram(const char *from, uint16_t port, const char *to, size_t bytes);

/* On the node: a UDP socket; and the next datagram's length within `ms`, or -1. */
int lab_udp(const char *address);
ssize_t lab_received(int fd, int ms);
/* Likewise for ICMP echo requests. */
int lab_pings(const char *address);
bool lab_pinged(int fd, int ms);

/* A raw socket that sees TCP segments to `from`; and whether a reset came. */
int lab_ear(const char *from, const char *to);
bool lab_reset_heard(int ear, int ms);

/* Frames on the client's side of the wire, from now on. */
int lab_sniff(void);
/* Waits up to `ms` for a frame from `source` to `destination` (a MAC each). */
bool lab_sniffed(int sniffer, const char *source, const char *destination, int ms);
/* Whether one of the frames seen so far has this source. */
bool lab_sniffed_from(int sniffer, const char *source);

#endif
