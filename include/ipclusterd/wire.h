/*
 * The heartbeat: struct <-> bytes (the inside of a sealed datagram, seal.h).
 * All numbers are big-endian.
 *
 *    name        1 + n   the sender
 *    salt        8       drawn at its start
 *    sequence    4       counts up with every heartbeat of this salt
 *    incarnation 4
 *    flags       2       HEARTBEAT_*
 *    weight      2
 *    order       4       see struct heartbeat_entry
 *    config      8       configuration digest
 *    view        8       view digest
 *    flows       4       TCP flows that it has
 *    mac         6
 *    address     1 + 16  family (0, 4, 6) and address
 *    buckets     2       B
 *    claim       B / 8   bit b of byte b / 8, least significant first
 *    linger      B / 8   both bits: about to claim, takes what is forwarded
 *    acks        2       count, then of each:
 *        member      4   first 32 bits of the BLAKE2b of the name
 *        stamp       8   salt + sequence of the last heartbeat heard
 *        age         2   since then (age_pack)
 *        proof       2   since that member was last heard both ways
 *    entries     2       count, then of each:
 *        name        1 + n
 *        standing    1   enum standing
 *        flags       2   as of that incarnation
 *        weight      2
 *        incarnation 4
 *        accused     4   highest incarnation that anybody called dead
 *        order       4
 *        age         4   milliseconds since it died or left
 *
 * Version 1 ends here. Since version 2 sections follow up to the end: type 1,
 * length 2, then as many bytes. A reader skips the types that it does not know,
 * and refuses one that it knows if it comes twice or is not as long as it says.
 *
 *    1 deaf      member 4 each: alive, but not heard directly by the sender
 *    2 holds     member 4, hold 4, fallen 4, penalty 4 of each
 *    3 keys      next 8, order 4, target 8
 *    4 clock     8   milliseconds since 1970, as the sender's clock shows
 *    5 parts     4 each: hashes of the parts of its configuration
 *    6 voters    see voters.h
 *    7 vips      common 8, then address 4, rest 4 of each VIP: see vips.h
 */
#ifndef IPCLUSTERD_WIRE_H
#define IPCLUSTERD_WIRE_H

#include "ipclusterd/bitmap.h"
#include "ipclusterd/types.h"
#include "ipclusterd/vips.h"
#include "ipclusterd/voters.h"

/* Versions of the heartbeat that are understood; the last is spoken, and so is
 * the first while a member that knows no better is about. */
enum { WIRE_VERSION_FIRST = 1, WIRE_VERSION_LAST = 2 };

enum {
    HEARTBEAT_JOINING = 1,   /* claims nothing yet */
    HEARTBEAT_DRAINING = 2,  /* no new flows: by an operator */
    HEARTBEAT_UNHEALTHY = 4, /* no new flows: a check failed */
    HEARTBEAT_LEAVING = 8,   /* no new flows: about to end */
    HEARTBEAT_LEFT = 16,     /* the last word of this incarnation */
    HEARTBEAT_ASKING = 32,   /* please answer at once */
    /* Flags that are facts of an incarnation: a change makes a new one. */
    HEARTBEAT_FACTS = HEARTBEAT_DRAINING | HEARTBEAT_UNHEALTHY | HEARTBEAT_LEAVING,
    HEARTBEAT_KNOWN = 63,
};

/* What a member is in the eyes of the sender. */
enum standing { STANDING_ALIVE, STANDING_DEAD, STANDING_LEFT, STANDING_FORGOTTEN, STANDING_MAX };

enum { AGE_NEVER = -1 };

struct heartbeat_ack {
    uint32_t member;
    uint64_t stamp;
    usec age;   /* since the stamp was heard */
    usec proof; /* since heard both ways; AGE_NEVER */
};

struct heartbeat_entry {
    char name[NAME_BYTES_MAX + 1];
    enum standing standing;
    uint16_t flags, weight;
    uint32_t incarnation, accused;
    /* The operators' last order to the member: odd: drain; even: serve. The
     * higher number wins, so an order given anywhere reaches it. */
    uint32_t order;
    uint32_t age_ms;
};

enum { DEAF_MAX = 64 }; /* members told as not heard; who is deaf to more is deaf */

/* Flapping (flap.h): the higher hold wins; of one hold, the higher fallen; then
 * the higher penalty. */
struct heartbeat_hold {
    uint32_t member;
    uint32_t hold;    /* odd: held, even: free */
    uint32_t fallen;  /* incarnation of the last fall that is counted */
    uint32_t penalty; /* now */
};

/* Key roll-over. The higher order wins, so an order given anywhere reaches all. */
struct heartbeat_keys {
    uint64_t next;   /* hash of the next key that the sender holds; 0 none */
    uint32_t order;  /* operators' orders so far to change over ... */
    uint64_t target; /* ... to the key of this hash */
};

struct heartbeat {
    uint8_t version; /* WIRE_VERSION_*: as told by the seal, not in the bytes */
    char name[NAME_BYTES_MAX + 1];
    uint64_t salt;
    uint32_t sequence, incarnation;
    uint16_t flags, weight;
    uint32_t order;
    uint64_t config, view;
    uint32_t flows;
    struct mac mac;
    struct address address;
    uint16_t buckets;
    struct bitmap claim, linger;
    size_t acks, entries;
    struct heartbeat_ack ack[MEMBERS_MAX];
    struct heartbeat_entry entry[MEMBERS_MAX];

    /* Sections; all empty in version 1. */
    size_t deafs, holds, parts;
    uint32_t deaf[DEAF_MAX];
    struct heartbeat_hold hold[MEMBERS_MAX];
    struct heartbeat_keys keys;
    int64_t clock_ms; /* 0: not told */
    uint32_t part[CONFIG_PARTS];
    struct voters_word voters; /* lineage 0: none */
    struct vips_word vips;     /* common 0: not told */
};

/* Bytes of one ack and of one entry, to fill a datagram to its limit. */
enum { HEARTBEAT_ACK_BYTES = 16 };
size_t heartbeat_entry_bytes(const char *name);
/* Bytes of everything but acks and entries. */
size_t heartbeat_base_bytes(const char *name, uint16_t buckets);

/* Bytes of the sections, which come out of the same room. */
size_t heartbeat_sections_bytes(const struct heartbeat *h);

/* Writes it as h->version; the length, or 0 if it does not fit into `size`. */
size_t heartbeat_write(const struct heartbeat *h, uint8_t *out, size_t size);

/* Parses bytes of `version` completely or not at all: 0, or -EBADMSG with `h`
 * undefined. */
int heartbeat_read(struct heartbeat *h, uint8_t version, const uint8_t *data, size_t length);

/* A span as 11 bits of mantissa and 5 of exponent (error < 0.1 %); 0xffff is
 * AGE_NEVER. */
uint16_t age_pack(usec age);
usec age_unpack(uint16_t packed);

/* The number by which acknowledgements name a member. */
uint32_t member_id(const char *name);

#endif
