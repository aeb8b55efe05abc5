/*
 * The small grammars of the configuration: durations, names, interfaces,
 * paths, addresses with a prefix. Each parser takes a whole string, fills its
 * output only on success and allocates nothing.
 */
#ifndef IPCLUSTERD_IO_CONF_VALUE_H
#define IPCLUSTERD_IO_CONF_VALUE_H

#include "ipclusterd/config.h"

/* Bytes that duration_text() writes at most, with the NUL. */
enum { DURATION_TEXT_BYTES = 24 };

/* Copies a text that is known to fit into `size` bytes, with its NUL. */
void text_copy(char *to, size_t size, const char *from);

/* "100ms", "1s", "2m", "24h": a whole number and one unit; at most 10 years. */
bool duration_parse(const char *text, usec *out);

/* The same spelling, in the largest unit that loses nothing ("1500us" below
 * a millisecond). Returns `out`. */
const char *duration_text(usec d, char out[DURATION_TEXT_BYTES]);

/* A node, cluster or group name: letters, digits and "._-", the first a letter
 * or digit (or "_"), 1..NAME_BYTES_MAX bytes. */
bool conf_name_valid(const char *text);

/* A network interface's name, as the kernel takes it and with nothing in it
 * that is special in a ruleset. */
bool interface_valid(const char *text);

/* An absolute path without control characters. */
bool path_valid(const char *text);

/* "192.168.0.2/24" or "2001:db8::1/64"; without a prefix length the address
 * stands alone (32 or 128), as with ip(8). */
bool address_prefix_parse(const char *text, struct address *out, uint8_t *prefix);

bool address_equal(const struct address *a, const struct address *b);
bool address_multicast(const struct address *a);

/* An address that a host can have on an Ethernet: not multicast, broadcast,
 * loopback, unspecified, IPv6 link-local or IPv4-mapped. */
bool address_host(const struct address *a);

#endif
