/*
 * A datagram of the model, freed of time: sequences count from the step in which
 * it was sent. The core numbers its heartbeats one by one; the model lets it skip
 * numbers, so that those of one step begin at a fixed place. Only the order of
 * numbers means something to the core.
 */
#ifndef MODEL_MESSAGE_H
#define MODEL_MESSAGE_H

#include "ipclusterd/seal.h"
#include "ipclusterd/wire.h"

enum {
    SEQUENCES = 32, /* of one step; the core remembers 256 */
    MESSAGE_BYTES = 512,
    SALT_SHIFT = 24, /* salts are above the low 64 - 24 bits */
};

struct message {
    uint8_t type; /* enum seal_type */
    uint32_t member;
    size_t length;
    uint8_t plain[MESSAGE_BYTES];
};

/* From a datagram that was sent in `step` of the sender's clock. To acknowledge what is
 * more than `old` steps old is as good as not to. */
void message_take(struct message *m, const struct seal *key, const uint8_t *data, size_t length,
                  int64_t step, int64_t old);

/* To a datagram for a receiver on whose clock it was sent in `step`; its length. */
size_t message_make(const struct message *m, const struct seal *key, int64_t step,
                    uint8_t out[DATAGRAM_MAX]);

#endif
