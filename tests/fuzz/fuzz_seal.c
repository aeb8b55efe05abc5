/*
 * Any bytes as a datagram: without the key none opens. The same bytes as plain
 * text: sealed they open to themselves, and with one byte of the datagram
 * changed, or its end cut off, they do not open at all.
 *
 * Input: where to change (2), by how much (1), the plain text.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ipclusterd/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* A copy of just this size, so that a sanitizer sees every overrun. */
static enum reject open_exact(const struct seal *s, const uint8_t *data, size_t length,
                              uint8_t plain[DATAGRAM_MAX], size_t *plain_length)
{
    uint8_t *exact = malloc(length > 0 ? length : 1);
    check(exact != NULL);
    memcpy(exact, data, length);
    enum reject why = seal_open(s, exact, length, plain, plain_length);
    check(why < REJECT_MAX);
    free(exact);
    return why;
}

static void sealed_check(const struct seal *s, const uint8_t *data, size_t size)
{
    uint8_t sealed[DATAGRAM_MAX], opened[DATAGRAM_MAX];
    size_t place = (size_t)data[0] << 8 | data[1], length = size - 3, got = 0;
    uint8_t change = data[2] != 0 ? data[2] : 1;

    size_t total = seal_close(s, place, change, length, data + 3, length, sealed, sizeof sealed);
    if (total == 0) {
        check(length > DATAGRAM_MAX - SEAL_OVERHEAD);
        return;
    }
    check(total == length + SEAL_OVERHEAD && total <= sizeof sealed);
    check(open_exact(s, sealed, total, opened, &got) ==
          (length > 0 ? REJECT_NONE : REJECT_MALFORMED));
    check(length == 0 || (got == length && memcmp(opened, data + 3, length) == 0));
    check(open_exact(s, sealed, place % total, opened, &got) != REJECT_NONE);
    sealed[place % total] ^= change;
    check(open_exact(s, sealed, total, opened, &got) != REJECT_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[KEY_BYTES] = "no input knows this key ......";
    uint8_t opened[DATAGRAM_MAX];
    size_t got = 0;
    struct seal s;

    seal_init(&s, "fuzz", key);
    check(size == 0 || open_exact(&s, data, size, opened, &got) != REJECT_NONE);
    if (size >= 3)
        sealed_check(&s, data, size);
    return 0;
}
