/*
 * A datagram, opened and read.
 */
#ifndef IPCLUSTERD_LETTER_H
#define IPCLUSTERD_LETTER_H

#include "ipclusterd/node.h"
#include "ipclusterd/seal.h"
#include "ipclusterd/wire.h"

struct letter {
    struct seal_stamp stamp;
    size_t length; /* of the plain bytes */
    uint8_t plain[DATAGRAM_MAX];
    bool readable; /* they are a heartbeat: */
    struct heartbeat says;
};

/*
 * Opens a datagram and reads it: the letter, in `room`, or NULL with *why it does not
 * open. Whoever hands one datagram to many nodes may put something in between that
 * returns a letter which it has kept of it.
 */
const struct letter *letter_open(const struct seal *s, const uint8_t *data, size_t length,
                                 struct letter *room, enum reject *why);

#endif
