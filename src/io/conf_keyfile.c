/*
 * The cluster key: 32 bytes as base64 in a file of its own, which only its
 * owner may read.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_file.h"

static const char label[] = "cluster.key_file";

/* 44 letters, and room for white space around them. */
enum { KEY_FILE_BYTES_MAX = 128 };

/* Whether the file may be trusted; tells why not. */
static bool file_guarded(struct conf_file *f, const struct config *c, int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        conf_complain(f, label, "cannot read \"%s\": %s", c->key_file, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        conf_complain(f, label, "\"%s\" is not a regular file", c->key_file);
    else if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        conf_complain(f, label, "\"%s\" is open to group or others (mode %04o); chmod 600 it",
                      c->key_file, (unsigned)(st.st_mode & 07777));
    else if (st.st_uid != 0 && st.st_uid != geteuid())
        conf_complain(f, label, "\"%s\" belongs to another user (uid %u)", c->key_file,
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

void conf_key_load(struct conf_file *f, struct config *c)
{
    char text[KEY_FILE_BYTES_MAX];
    size_t length = 0;
    ssize_t n = 0;
    /* Without O_NONBLOCK a named pipe would hang the start. */
    int fd = open(c->key_file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0 && errno == ENOENT && f->note != NULL) {
        conf_remark(f, label,
                    "note: \"%s\" does not exist yet; ipclusterd does not start without "
                    "it (clusterctl genkey makes one)",
                    c->key_file);
        return;
    }
    if (fd < 0) {
        conf_complain(f, label, "cannot read \"%s\": %s%s", c->key_file, strerror(errno),
                      errno == ENOENT ? "; make one with clusterctl genkey, mode 600" : "");
        return;
    }
    if (!file_guarded(f, c, fd))
        goto out;
    while (length < sizeof(text)) {
        n = read(fd, text + length, sizeof(text) - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    if (n < 0)
        conf_complain(f, label, "cannot read \"%s\": %s", c->key_file, strerror(errno));
    else if (length == sizeof(text) || !key_decode(text, length, c->key))
        conf_complain(f, label,
                      "\"%s\" is not a key: %d bytes in base64, as clusterctl genkey "
                      "prints them",
                      c->key_file, KEY_BYTES);
    sodium_memzero(text, sizeof(text));
out:
    close(fd);
}
