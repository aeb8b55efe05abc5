/*
 * The stream of this node's heartbeats, where the next run finds it: DIRECTORY/stream.
 *
 * The file is mapped, and written by plain stores after every step and before
 * anything that the step asked for is sent: the kernel keeps them when the process is
 * killed at any instant. So a number that was sent is always one that the file knows.
 * What is found damaged, torn, or of another boot, network, version, cluster, node,
 * configuration or key, or not our own file, is not taken; the next run then has a
 * salt of its own, under which no number was used.
 */
#ifndef IPCLUSTERD_IO_STREAM_H
#define IPCLUSTERD_IO_STREAM_H

#include "ipclusterd/node.h"

/* Whose stream it is. Who goes on with it has to be the same. */
struct stream_owner {
    const char *cluster, *node;
    uint64_t config_digest;
    uint64_t key;      /* seal_key_hash() of the key */
    uint64_t key_next; /* 0: none */
};

struct stream;

/*
 * Opens DIRECTORY/stream, anew if what is there is of no use. 1 and `found`: the run
 * before had this owner, or one who knew our key as its next; 0: nothing is taken,
 * `found` is all zero; -errno: there is no stream, and what was there is removed as
 * far as possible.
 */
int stream_open(struct stream **out, const char *directory, const struct stream_owner *owner,
                struct node_stream *found);

/* A new configuration. */
void stream_owner_set(struct stream *s, const struct stream_owner *owner);

/* Keeps where the stream is: to be called before a number of it is used. */
void stream_write(struct stream *s, const struct node_stream *now);

/* Leaves the file for the next run, or removes it. NULL is allowed. */
void stream_close(struct stream *s);
void stream_remove(struct stream *s);

#endif
