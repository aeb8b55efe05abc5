/*
 * The cluster keys: 32 bytes as base64, each in a file of its own, which only its
 * owner may read.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_file.h"

/* 44 letters, and room for white space around them. */
enum { KEY_FILE_BYTES_MAX = 128 };

/* A key that is to be read, and the setting that names its file. */
struct key_file {
    struct conf_file *conf;
    const char *label, *path;
};

/* Whether the file may be trusted; tells why not. */
static bool file_guarded(const struct key_file *k, int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        conf_complain(k->conf, k->label, "cannot read \"%s\": %s", k->path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        conf_complain(k->conf, k->label, "\"%s\" is not a regular file", k->path);
    else if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        conf_complain(k->conf, k->label,
                      "\"%s\" is open to group or others (mode %04o); chmod 600 it", k->path,
                      (unsigned)(st.st_mode & 07777));
    else if (st.st_uid != 0 && st.st_uid != geteuid())
        conf_complain(k->conf, k->label, "\"%s\" belongs to another user (uid %u)", k->path,
                      (unsigned)st.st_uid);
    else
        return true;
    return false;
}

static bool key_decode(const char *text, size_t length, uint8_t key[KEY_BYTES])
{
    size_t bytes = 0;

    return sodium_base642bin(key, KEY_BYTES, text, length, " \t\r\n", &bytes, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           bytes == KEY_BYTES;
}

/* The text of the file, whose length is returned; -1: its fault was told. */
static ssize_t file_read(const struct key_file *k, char text[KEY_FILE_BYTES_MAX])
{
    size_t length = 0;
    ssize_t n = -1;
    /* Without O_NONBLOCK a named pipe would hang the start. */
    int fd = open(k->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0 && errno == ENOENT && k->conf->note != NULL) {
        conf_remark(k->conf, k->label,
                    "note: \"%s\" does not exist yet; ipclusterd does not start without "
                    "it (clusterctl genkey makes one)",
                    k->path);
        return -1;
    }
    if (fd < 0) {
        conf_complain(k->conf, k->label, "cannot read \"%s\": %s%s", k->path, strerror(errno),
                      errno == ENOENT ? "; make one with clusterctl genkey, mode 600" : "");
        return -1;
    }
    if (!file_guarded(k, fd))
        goto out;
    do {
        n = read(fd, text + length, KEY_FILE_BYTES_MAX - length);
        if (n > 0)
            length += (size_t)n;
    } while ((n > 0 && length < KEY_FILE_BYTES_MAX) || (n < 0 && errno == EINTR));
    if (n < 0)
        conf_complain(k->conf, k->label, "cannot read \"%s\": %s", k->path, strerror(errno));
out:
    close(fd);
    return n < 0 ? -1 : (ssize_t)length;
}

/* True if `key` holds the file's key. */
static bool key_read(const struct key_file *k, uint8_t key[KEY_BYTES])
{
    char text[KEY_FILE_BYTES_MAX];
    ssize_t length = file_read(k, text);
    bool good = false;

    if (length < 0)
        return false;
    if (length == KEY_FILE_BYTES_MAX || !key_decode(text, (size_t)length, key))
        conf_complain(k->conf, k->label,
                      "\"%s\" is not a key: %d bytes in base64, as clusterctl genkey "
                      "prints them",
                      k->path, KEY_BYTES);
    else if (sodium_is_zero(key, KEY_BYTES)) /* stands for none elsewhere */
        conf_complain(k->conf, k->label, "\"%s\" is not a key: all its bits are 0", k->path);
    else
        good = true;
    sodium_memzero(text, sizeof(text));
    return good;
}

void conf_keys_load(struct conf_file *f, struct config *c)
{
    const struct key_file now = {f, "cluster.key_file", c->key_file};
    const struct key_file next = {f, "cluster.key_file_next", c->key_file_next};
    bool first = false, second = false;

    if (conf_sound(f, now.label) && c->key_file[0] != '\0')
        first = key_read(&now, c->key);
    if (conf_sound(f, next.label) && c->key_file_next[0] != '\0')
        second = key_read(&next, c->key_next);
    if (first && second && f->note != NULL && sodium_memcmp(c->key, c->key_next, KEY_BYTES) == 0)
        conf_remark(f, next.label,
                    "note: \"%s\" holds the same key as cluster.key_file: the roll-over is over, "
                    "remove it",
                    c->key_file_next);
}
