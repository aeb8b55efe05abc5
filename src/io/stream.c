#include "stream.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"
#include "ipclusterd/config.h"
#include "ipclusterd/seal.h"
#include "ipclusterd/wire.h"

#define STREAM_FILE "stream"
#define MAGIC "ipclstr1" /* the last digit: of this layout */

/* The file. Only programs of this machine read it, so all numbers are its own. */
struct record {
    char magic[8];
    uint64_t wire; /* WIRE_VERSION_LAST */
    char boot[BOOT_ID_BYTES];
    uint64_t network;
    uint64_t name; /* hash of the cluster's and the node's */
    uint64_t config_digest;
    uint64_t key, key_next;
    uint64_t salt;
    uint64_t sequence;
    uint64_t relays;
    uint64_t alone;
    uint64_t check; /* hash of all before it */
};

_Static_assert(sizeof(struct record) == 8 * 12 + BOOT_ID_BYTES, "no padding in the file");

struct stream {
    struct record *record; /* mapped */
    struct record is;      /* what it holds */
    char path[PATH_BYTES_MAX + sizeof "/" STREAM_FILE];
};

/* FNV-1a over words: not against forgers, who cannot open the file, but to know a
 * record that was written in part. */
static uint64_t record_check(const struct record *r)
{
    uint64_t word[offsetof(struct record, check) / 8], sum = 0xcbf29ce484222325u;

    memcpy(word, r, sizeof word);
    for (size_t i = 0; i < sizeof word / sizeof *word; i++) {
        sum = (sum ^ word[i]) * 0x100000001b3u;
        sum ^= sum >> 29;
    }
    return sum;
}

static uint64_t name_hash(const struct stream_owner *owner)
{
    char text[2 * (NAME_BYTES_MAX + 1)] = "";

    snprintf(text, NAME_BYTES_MAX + 1, "%s", owner->cluster);
    snprintf(text + NAME_BYTES_MAX + 1, NAME_BYTES_MAX + 1, "%s", owner->node);
    return hash64(text, sizeof text);
}

static void record_owner(struct record *r, const struct stream_owner *owner)
{
    r->name = name_hash(owner);
    r->config_digest = owner->config_digest;
    r->key = owner->key;
    r->key_next = owner->key_next;
}

/* What we would write, with no stream in it yet. False: this boot is not known. */
static bool record_init(struct record *r, const struct stream_owner *owner)
{
    struct boot boot;
    bool known = boot_read(&boot);

    memset(r, 0, sizeof *r);
    memcpy(r->magic, MAGIC, sizeof r->magic);
    r->wire = WIRE_VERSION_LAST;
    memcpy(r->boot, boot.id, sizeof r->boot);
    r->network = boot.network;
    record_owner(r, owner);
    r->check = record_check(r);
    return known;
}

/* True if who wrote `was` could be us: then its stream is ours to go on with. */
static bool record_fits(const struct record *was, const struct record *is)
{
    return memcmp(was->magic, is->magic, sizeof is->magic) == 0 &&
           was->check == record_check(was) && was->wire == is->wire &&
           memcmp(was->boot, is->boot, sizeof is->boot) == 0 && was->network == is->network &&
           was->name == is->name && was->config_digest == is->config_digest &&
           (was->key == is->key || (was->key_next != 0 && was->key_next == is->key)) &&
           was->sequence > 0 && was->sequence <= UINT32_MAX;
}

/* Nobody else may have had a hand in it. */
static bool file_is_ours(int fd)
{
    struct stat s;

    return fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_uid == geteuid() && s.st_nlink == 1 &&
           (s.st_mode & 077) == 0 && s.st_size == (off_t)sizeof(struct record);
}

/* The file of the run before, open and read into `was`; -1: none that could be taken. */
static int file_find(const char *path, struct record *was)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd >= 0 && file_is_ours(fd) && read(fd, was, sizeof *was) == (ssize_t)sizeof *was)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A new one, of its full length, since a store beyond its end would be a signal. */
static int file_make(const char *path, const struct record *is)
{
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (write(fd, is, sizeof *is) == (ssize_t)sizeof *is)
        return fd;
    close(fd);
    unlink(path);
    return -ENOSPC;
}

static int file_map(int fd, struct record **out)
{
    void *at = mmap(NULL, sizeof(struct record), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int rc = at == MAP_FAILED ? -errno : 0;

    close(fd);
    *out = rc == 0 ? at : NULL;
    return rc;
}

int stream_open(struct stream **out, const char *directory, const struct stream_owner *owner,
                struct node_stream *found)
{
    struct stream *s = calloc(1, sizeof *s);
    struct record was;

    *found = (struct node_stream){0};
    if (s == NULL)
        return -ENOMEM;
    snprintf(s->path, sizeof s->path, "%s/" STREAM_FILE, directory);
    bool known = record_init(&s->is, owner);
    int fd = file_find(s->path, &was);
    bool taken = fd >= 0 && known && record_fits(&was, &s->is);
    if (fd >= 0 && !taken)
        close(fd);
    if (!taken)
        fd = file_make(s->path, &s->is);
    int rc = fd < 0 ? fd : file_map(fd, &s->record);
    if (rc < 0) {
        unlink(s->path);
        free(s);
        return rc;
    }
    if (taken) {
        *found = (struct node_stream){was.salt, (uint32_t)was.sequence, was.relays, was.alone != 0};
        s->is = was;
        stream_owner_set(s, owner);
    }
    *out = s;
    return taken;
}

/* Whoever is killed amid this leaves a record whose check is wrong: the next run
 * takes nothing. */
static void record_store(struct stream *s)
{
    assert(s->record != NULL);
    s->is.check = record_check(&s->is);
    memcpy(s->record, &s->is, sizeof s->is);
}

void stream_owner_set(struct stream *s, const struct stream_owner *owner)
{
    record_owner(&s->is, owner);
    record_store(s);
}

void stream_write(struct stream *s, const struct node_stream *now)
{
    struct record *is = &s->is;

    if (is->salt == now->salt && is->sequence == now->sequence && is->relays == now->relays &&
        (is->alone != 0) == now->alone)
        return;
    is->salt = now->salt;
    is->sequence = now->sequence;
    is->relays = now->relays;
    is->alone = now->alone;
    record_store(s);
}

void stream_close(struct stream *s)
{
    if (s == NULL)
        return;
    munmap(s->record, sizeof *s->record);
    free(s);
}

void stream_remove(struct stream *s)
{
    if (s != NULL)
        unlink(s->path);
    stream_close(s);
}
