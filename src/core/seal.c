/*
 * Sealing and opening of datagrams; the layout is in the header. Opening is
 * constant work: lengths, magic, version and cluster are compared, then the
 * tag is checked over the whole.
 */
#include "ipclusterd/seal.h"

#include <sodium/crypto_aead_xchacha20poly1305.h>
#include <sodium/crypto_generichash.h>
#include <assert.h>
#include <string.h>

#include "ipclusterd/buf.h"
#include "ipclusterd/wire.h"

static const uint8_t magic[4] = {'I', 'P', 'C', 'L'};

static_assert(SEAL_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
static_assert(SEAL_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");
static_assert(KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");

uint64_t hash64(const void *data, size_t length)
{
    uint8_t digest[crypto_generichash_BYTES_MIN];
    crypto_generichash(digest, sizeof digest, data, length, NULL, 0);
    struct reader r;
    reader_init(&r, digest, sizeof digest);
    return read_u64(&r);
}

void seal_init(struct seal *s, const char *cluster, const uint8_t key[KEY_BYTES])
{
    memcpy(s->key, key, KEY_BYTES);
    s->cluster_id = hash64(cluster, strlen(cluster));
    s->hash = seal_key_hash(key);
    s->key_id = (uint16_t)s->hash;
}

uint64_t seal_key_hash(const uint8_t key[KEY_BYTES])
{
    return hash64(key, KEY_BYTES);
}

static void header_write(struct writer *w, const struct seal *s, const struct seal_stamp *stamp)
{
    write_bytes(w, magic, sizeof magic);
    write_u8(w, stamp->version);
    write_u8(w, (uint8_t)stamp->type);
    write_u16(w, s->key_id);
    write_u64(w, s->cluster_id);
}

/* Keeps the nonces of versions and types apart. */
static uint32_t stream(const struct seal_stamp *stamp)
{
    if (stamp->version == WIRE_VERSION_FIRST)
        return 0;
    return (uint32_t)stamp->version << 8 | (uint32_t)stamp->type;
}

size_t seal_close(const struct seal *s, const struct seal_stamp *stamp, const uint8_t *plain,
                  size_t length, uint8_t *out, size_t size)
{
    assert(stamp->version != WIRE_VERSION_FIRST || stamp->type == SEAL_TYPE_HEARTBEAT);
    if (size < SEAL_OVERHEAD || length > size - SEAL_OVERHEAD)
        return 0;
    struct writer w;
    writer_init(&w, out, SEAL_HEADER_BYTES + SEAL_NONCE_BYTES);
    header_write(&w, s, stamp);
    write_u64(&w, stamp->salt);
    write_u32(&w, stamp->member);
    write_u32(&w, stream(stamp));
    write_u64(&w, stamp->sequence);
    unsigned long long sealed = 0;
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + w.at, &sealed, plain, length, out,
                                               SEAL_HEADER_BYTES, NULL, out + SEAL_HEADER_BYTES,
                                               s->key);
    return w.at + (size_t)sealed;
}

bool seal_key_id(const uint8_t *data, size_t length, uint16_t *id)
{
    if (length < SEAL_HEADER_BYTES)
        return false;
    *id = (uint16_t)(data[6] << 8 | data[7]);
    return true;
}

enum reject seal_open(const struct seal *s, const uint8_t *data, size_t length,
                      struct seal_stamp *stamp, uint8_t plain[DATAGRAM_MAX], size_t *plain_length)
{
    if (length <= SEAL_OVERHEAD || length > DATAGRAM_MAX)
        return REJECT_MALFORMED;
    struct reader r;
    uint8_t word[4];
    reader_init(&r, data, SEAL_HEADER_BYTES);
    read_bytes(&r, word, sizeof word);
    if (memcmp(word, magic, sizeof magic) != 0)
        return REJECT_MALFORMED;
    uint8_t version = read_u8(&r), type = read_u8(&r);
    if (version < WIRE_VERSION_FIRST || version > WIRE_VERSION_LAST)
        return REJECT_VERSION;
    (void)read_u16(&r);
    if (read_u64(&r) != s->cluster_id)
        return REJECT_FOREIGN_CLUSTER;
    bool relay = type == SEAL_TYPE_RELAY && version > WIRE_VERSION_FIRST;
    if (type != SEAL_TYPE_HEARTBEAT && !relay)
        return REJECT_MALFORMED;
    unsigned long long opened = 0;
    const size_t prefix = SEAL_HEADER_BYTES + SEAL_NONCE_BYTES;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, &opened, NULL, data + prefix,
                                                   length - prefix, data, SEAL_HEADER_BYTES,
                                                   data + SEAL_HEADER_BYTES, s->key) != 0)
        return REJECT_FORGED;
    *plain_length = (size_t)opened;
    *stamp = (struct seal_stamp){.version = version, .type = (enum seal_type)type};
    return REJECT_NONE;
}
