/*
 * Instead of libsodium's: a seal and a hash that cost next to nothing and
 * protect from nobody, for the target whose subject is the node. A tag that is
 * wrong in any bit is refused as the real one is. The real ones have the
 * targets fuzz_seal and fuzz_wire.
 */
#include <sodium/crypto_aead_xchacha20poly1305.h>
#include <sodium/crypto_generichash.h>
#include <stdint.h>
#include <string.h>

enum {
    NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    KEY = crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
};

static uint64_t stir(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 29;
}

static uint64_t absorb(uint64_t state, const unsigned char *data, unsigned long long length)
{
    uint64_t word;

    state = stir(state + length + 1);
    for (; length >= sizeof word; length -= sizeof word, data += sizeof word) {
        memcpy(&word, data, sizeof word);
        state = stir(state ^ word);
    }
    word = 0;
    if (length > 0)
        memcpy(&word, data, (size_t)length);
    return stir(state ^ word);
}

static void emit(uint64_t state, unsigned char *out, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (i % sizeof state == 0)
            state = stir(state + 1);
        out[i] = (unsigned char)(state >> (i % sizeof state * 8));
    }
}

int crypto_generichash(unsigned char *out, size_t outlen, const unsigned char *in,
                       unsigned long long inlen, const unsigned char *key, size_t keylen)
{
    emit(absorb(key != NULL ? absorb(1, key, keylen) : 1, in, inlen), out, outlen);
    return 0;
}

static void tag_make(unsigned char tag[TAG], const unsigned char *m, unsigned long long length,
                     const unsigned char *ad, unsigned long long adlen, const unsigned char *npub,
                     const unsigned char *k)
{
    uint64_t state = absorb(absorb(2, k, KEY), npub, NONCE);

    emit(absorb(absorb(state, ad, adlen), m, length), tag, TAG);
}

int crypto_aead_xchacha20poly1305_ietf_encrypt(unsigned char *c, unsigned long long *clen_p,
                                               const unsigned char *m, unsigned long long mlen,
                                               const unsigned char *ad, unsigned long long adlen,
                                               const unsigned char *nsec, const unsigned char *npub,
                                               const unsigned char *k)
{
    (void)nsec;
    tag_make(c + mlen, m, mlen, ad, adlen, npub, k);
    memcpy(c, m, (size_t)mlen);
    *clen_p = mlen + TAG;
    return 0;
}

int crypto_aead_xchacha20poly1305_ietf_decrypt(unsigned char *m, unsigned long long *mlen_p,
                                               unsigned char *nsec, const unsigned char *c,
                                               unsigned long long clen, const unsigned char *ad,
                                               unsigned long long adlen, const unsigned char *npub,
                                               const unsigned char *k)
{
    unsigned char tag[TAG];

    (void)nsec;
    if (clen < TAG)
        return -1;
    tag_make(tag, c, clen - TAG, ad, adlen, npub, k);
    if (memcmp(tag, c + clen - TAG, TAG) != 0)
        return -1;
    memcpy(m, c, (size_t)(clen - TAG));
    *mlen_p = clen - TAG;
    return 0;
}
