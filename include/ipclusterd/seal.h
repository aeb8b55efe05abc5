/*
 * Datagrams under the cluster key: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha,
 * libsodium's crypto_aead_xchacha20poly1305_ietf).
 *
 *     0                4     5     6       8              16
 *    +----------------+-----+-----+-------+--------------+
 *    | "IPCL"         | ver | type| key id| cluster id   |   authenticated
 *    +----------------+-----+-----+-------+--------------+
 *    | nonce (24): boot salt 8, member id 4, stream 4, sequence 8   |
 *    +--------------------------------------------------------------+
 *    | ciphertext ... | tag (16)                                    |
 *
 * The nonce never repeats under one key: the salt is drawn anew at every
 * start, the sequence counts up, and every version and type has a number
 * ("stream") of its own: 0 heartbeats of version 1, then version * 256 + type.
 */
#ifndef IPCLUSTERD_SEAL_H
#define IPCLUSTERD_SEAL_H

#include "ipclusterd/node.h"
#include "ipclusterd/types.h"

enum seal_type {
    SEAL_TYPE_HEARTBEAT = 1,
    /* What another member said, sealed again by one that hears it for those who
     * do not: the nonce is the relaying member's, the inside is unchanged. */
    SEAL_TYPE_RELAY = 2,
};

enum {
    SEAL_HEADER_BYTES = 16,
    SEAL_NONCE_BYTES = 24,
    SEAL_TAG_BYTES = 16,
    SEAL_OVERHEAD = SEAL_HEADER_BYTES + SEAL_NONCE_BYTES + SEAL_TAG_BYTES,
};

struct seal {
    uint8_t key[KEY_BYTES];
    uint64_t cluster_id; /* hash of the cluster's name */
    uint64_t hash;       /* seal_key_hash() */
    uint16_t key_id;     /* of it, in the header: a wrong key is told from a forgery by no
                            other sign */
};

/* Who seals what. */
struct seal_stamp {
    uint8_t version;     /* WIRE_VERSION_* */
    enum seal_type type; /* version 1 knows only heartbeats */
    uint64_t salt;
    uint32_t member;
    uint64_t sequence; /* of this type */
};

void seal_init(struct seal *s, const char *cluster, const uint8_t key[KEY_BYTES]);

/*
 * Seals `length` bytes of `plain` into `out` (`size` bytes). Returns the
 * datagram's length, or 0 if it does not fit.
 */
size_t seal_close(const struct seal *s, const struct seal_stamp *stamp, const uint8_t *plain,
                  size_t length, uint8_t *out, size_t size);

/* The id of the key that a datagram names, without any proof. False if it is too
 * short for one. */
bool seal_key_id(const uint8_t *data, size_t length, uint16_t *id);

/*
 * Opens a datagram into `plain` (DATAGRAM_MAX bytes). REJECT_NONE and its
 * length in `plain_length`, and of `stamp` (version and type alone are filled in);
 * or why not. No byte of the inside is looked at before the tag is right.
 */
enum reject seal_open(const struct seal *s, const uint8_t *data, size_t length,
                      struct seal_stamp *stamp, uint8_t plain[DATAGRAM_MAX], size_t *plain_length);

/* The hash by which members compare keys without telling them. */
uint64_t seal_key_hash(const uint8_t key[KEY_BYTES]);

/* 64 bits of BLAKE2b over `length` bytes. */
uint64_t hash64(const void *data, size_t length);

#endif
