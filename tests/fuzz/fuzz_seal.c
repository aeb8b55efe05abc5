/*
 * Seal and wire. Any bytes as a datagram: without the key none opens. The same
 * bytes as plain text: sealed they open to themselves, and with one byte of the
 * datagram changed, with its end cut off or more behind it, under another key or
 * for another cluster, they do not open at all. If they read as a heartbeat,
 * then that arrives as it was said, and neither as one of another version nor
 * as a relayed one that was said directly, or the other way round.
 *
 * Input: where to change (2), by how much (1), version and type (1), the plain
 * text.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ipclusterd/seal.h"
#include "ipclusterd/wire.h"

enum { PREFIX = 4, VERSION_AT = 4, TYPE_AT = 5 /* in the datagram */ };

static const uint8_t key[KEY_BYTES] = "no input knows this key ......";
static const uint8_t other_key[KEY_BYTES] = "nor has it seen this one ......";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* At the end of an array, so that a sanitizer sees every overrun. */
static bool opens(const struct seal *s, const uint8_t *data, size_t length,
                  struct seal_stamp *stamp, uint8_t plain[DATAGRAM_MAX], size_t *plain_length)
{
    static uint8_t room[8192];
    uint16_t id = 0;

    check(length <= sizeof room);
    uint8_t *exact = memcpy(room + sizeof room - length, data, length);
    enum reject why = seal_open(s, exact, length, stamp, plain, plain_length);
    check(why < REJECT_MAX && seal_key_id(exact, length, &id) == (length >= SEAL_HEADER_BYTES));
    return why == REJECT_NONE;
}

static bool opens_at_all(const struct seal *s, const uint8_t *data, size_t length)
{
    uint8_t plain[DATAGRAM_MAX];
    struct seal_stamp stamp;
    size_t got = 0;

    return opens(s, data, length, &stamp, plain, &got);
}

/* Of the heartbeat that `plain` reads as, if any: all the way to another member. */
static void heartbeat_check(const struct seal *s, const struct seal_stamp *stamp,
                            const uint8_t *plain, size_t length)
{
    static struct heartbeat said, heard;
    uint8_t written[DATAGRAM_MAX], again[DATAGRAM_MAX], sealed[DATAGRAM_MAX], opened[DATAGRAM_MAX];
    struct seal_stamp as = {0};
    size_t got = 0;

    if (heartbeat_read(&said, stamp->version, plain, length) != 0)
        return;
    size_t bytes = heartbeat_write(&said, written, sizeof written);
    size_t total = bytes > 0 ? seal_close(s, stamp, written, bytes, sealed, sizeof sealed) : 0;
    check(total > 0 || length > DATAGRAM_MAX - SEAL_OVERHEAD);
    if (total == 0)
        return;
    check(opens(s, sealed, total, &as, opened, &got) && as.version == stamp->version);
    check(heartbeat_read(&heard, as.version, opened, got) == 0);
    check(heard.version == stamp->version && strcmp(heard.name, said.name) == 0);
    check(heard.salt == said.salt && heard.sequence == said.sequence && heard.view == said.view);
    check(bitmap_equal(&heard.claim, &said.claim) && bitmap_equal(&heard.linger, &said.linger));
    check(heartbeat_write(&heard, again, sizeof again) == bytes &&
          memcmp(again, written, bytes) == 0);
    sealed[VERSION_AT] ^= WIRE_VERSION_FIRST ^ WIRE_VERSION_LAST;
    check(!opens_at_all(s, sealed, total));
    sealed[VERSION_AT] ^= WIRE_VERSION_FIRST ^ WIRE_VERSION_LAST;
    sealed[TYPE_AT] ^= SEAL_TYPE_HEARTBEAT ^ SEAL_TYPE_RELAY;
    check(!opens_at_all(s, sealed, total));
}

static void sealed_check(const struct seal *s, const uint8_t *data, size_t size)
{
    uint8_t sealed[DATAGRAM_MAX + 1], opened[DATAGRAM_MAX];
    size_t place = (size_t)data[0] << 8 | data[1], length = size - PREFIX, got = 0;
    uint8_t change = data[2] != 0 ? data[2] : 1;
    struct seal_stamp stamp =
                          {
                              .version =
                                  (data[3] & 1) != 0 ? WIRE_VERSION_FIRST : WIRE_VERSION_LAST,
                              .type = (data[3] & 3) == 2 ? SEAL_TYPE_RELAY : SEAL_TYPE_HEARTBEAT,
                              .salt = place,
                              .member = change,
                              .sequence = length,
                          },
                      as = {0};
    struct seal other;

    size_t total = seal_close(s, &stamp, data + PREFIX, length, sealed, DATAGRAM_MAX);
    if (total == 0) {
        check(length > DATAGRAM_MAX - SEAL_OVERHEAD);
        return;
    }
    check(total == length + SEAL_OVERHEAD && total <= DATAGRAM_MAX);
    check(opens(s, sealed, total, &as, opened, &got) == (length > 0));
    check(length == 0 || (got == length && memcmp(opened, data + PREFIX, length) == 0 &&
                          as.version == stamp.version && as.type == stamp.type));
    check(!opens_at_all(s, sealed, place % total));
    sealed[total] = change;
    check(!opens_at_all(s, sealed, total + 1));
    seal_init(&other, "fuzz", other_key);
    check(!opens_at_all(&other, sealed, total));
    seal_init(&other, "other", key);
    check(!opens_at_all(&other, sealed, total));
    sealed[place % total] ^= change;
    check(!opens_at_all(s, sealed, total));
    heartbeat_check(s, &stamp, data + PREFIX, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seal s;

    if (size > 4096)
        return 0;
    seal_init(&s, "fuzz", key);
    check(size == 0 || !opens_at_all(&s, data, size));
    if (size >= PREFIX)
        sealed_check(&s, data, size);
    return 0;
}
