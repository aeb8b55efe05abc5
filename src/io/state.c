/*
 * Small files of the state directory.
 *
 * A file is written beside its place, synced and renamed over it, and the
 * directory is synced after that, so that a crash leaves the old text or the
 * new one. Everything is opened relative to the directory and without following
 * links.
 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium/utils.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INCARNATION_FILE "incarnation"
#define STORE_FILE "voters"

/* Makes the directories above `directory` (mode 0755) and itself (0700). */
int state_prepare(const char *directory)
{
    char path[PATH_MAX];
    size_t length = strlen(directory);
    if (length == 0)
        return -EINVAL;
    if (length >= sizeof path)
        return -ENAMETOOLONG;
    memcpy(path, directory, length + 1);
    while (length > 1 && path[length - 1] == '/')
        path[--length] = '\0';
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    struct stat s;
    if (stat(path, &s) < 0)
        return -errno;
    return S_ISDIR(s.st_mode) ? 0 : -ENOTDIR;
}

static int directory_open(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int read_all(int fd, char *out, size_t size)
{
    size_t used = 0;
    for (;;) {
        ssize_t n = read(fd, out + used, size - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
        if (used == size)
            return -EFBIG;
    }
    out[used] = '\0';
    return (int)used;
}

static int write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, text, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text += n;
        length -= (size_t)n;
    }
    return 0;
}

int state_read(const char *directory, const char *file, char *out, size_t size)
{
    if (size == 0 || size > INT_MAX)
        return -EINVAL;
    int dir = directory_open(directory);
    if (dir < 0)
        return dir;
    int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int rc = fd < 0 ? -errno : read_all(fd, out, size);
    if (fd >= 0)
        close(fd);
    close(dir);
    return rc;
}

/* A directory that root uses as a guest stays its owner's: who that is must be able to
 * go on with what is written here. Where that is not permitted, the file is root's. */
static void owner_keep(int dir, int fd)
{
    struct stat s;
    if (geteuid() == 0 && fstat(dir, &s) == 0 && s.st_uid != 0 &&
        fchown(fd, s.st_uid, s.st_gid) < 0)
        return;
}

int state_write(const char *directory, const char *file, const char *text)
{
    char temporary[NAME_MAX + 1];
    int n = snprintf(temporary, sizeof temporary, ".%s.new", file);
    if (n < 0 || (size_t)n >= sizeof temporary)
        return -ENAMETOOLONG;
    int rc = directory_open(directory);
    if (rc < 0)
        return rc;
    int dir = rc;
    int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        rc = -errno;
        goto out;
    }
    owner_keep(dir, fd);
    rc = write_all(fd, text, strlen(text));
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && renameat(dir, temporary, dir, file) < 0)
        rc = -errno;
    if (rc == 0 && fsync(dir) < 0)
        rc = -errno;
    if (rc < 0)
        unlinkat(dir, temporary, 0);
out:
    close(dir);
    return rc;
}

int state_remove(const char *directory, const char *file)
{
    int dir = directory_open(directory);
    if (dir < 0)
        return dir == -ENOENT ? 0 : dir;
    int rc = unlinkat(dir, file, 0) < 0 && errno != ENOENT ? -errno : 0;
    close(dir);
    return rc;
}

uint32_t state_incarnation_read(const char *directory)
{
    char text[16];
    int length = state_read(directory, INCARNATION_FILE, text, sizeof text);
    uint64_t value = 0;
    for (int i = 0; i < length; i++) {
        if (text[i] == '\n' && i == length - 1 && i > 0)
            return (uint32_t)value;
        if (text[i] < '0' || text[i] > '9')
            return 0;
        value = value * 10 + (uint64_t)(text[i] - '0');
        if (value > UINT32_MAX)
            return 0;
    }
    return 0; /* nothing, or no newline at its end: cut short */
}

int state_incarnation_write(const char *directory, uint32_t incarnation)
{
    char text[16];
    snprintf(text, sizeof text, "%u\n", incarnation);
    return state_write(directory, INCARNATION_FILE, text);
}

/* In hexadecimal, so that it is a line of text like the other files. */
int state_store_write(const char *directory, const uint8_t *data, size_t length)
{
    if (length > STATE_STORE_MAX)
        return -EFBIG;
    char *text = malloc(2 * length + 2);
    if (text == NULL)
        return -ENOMEM;
    sodium_bin2hex(text, 2 * length + 1, data, length);
    memcpy(text + 2 * length, "\n", 2);
    int rc = state_write(directory, STORE_FILE, text);
    free(text);
    return rc;
}

int state_store_read(const char *directory, uint8_t out[STATE_STORE_MAX])
{
    const size_t size = 2 * STATE_STORE_MAX + 2;
    size_t length = 0;
    char *text = malloc(size);
    if (text == NULL)
        return -ENOMEM;
    int rc = state_read(directory, STORE_FILE, text, size);
    if (rc > 0 && sodium_hex2bin(out, STATE_STORE_MAX, text, (size_t)rc, "\n", &length, NULL) != 0)
        rc = -EBADMSG;
    free(text);
    if (rc == -ENOENT)
        return 0;
    return rc < 0 ? rc : (int)length;
}
