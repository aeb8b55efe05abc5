/*
 * The claims on a network namespace and on a state directory.
 *
 * Both are locks on files that only our own user can open. The namespace is
 * known by the inode of /proc/self/ns/net. The files are removed at the end:
 * whoever got the lock of a file that was removed in the meantime has to start
 * over with the new one.
 */
#include "instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WHY_BYTES = 256, TRIES_MAX = 16 };

/* True if `path` still names the file behind `fd`. */
static int lock_is_current(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

/* A locked descriptor, -EBUSY or -errno. */
static int lock_take(const char *path)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            int rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
            close(fd);
            return rc;
        }
        if (lock_is_current(fd, path))
            return fd;
        close(fd);
    }
    return -EBUSY;
}

static int paths_write(struct instance *i, const char *state_dir, const char *run_dir)
{
    struct stat net;
    if (stat("/proc/self/ns/net", &net) < 0)
        return -errno;
    int a = snprintf(i->path[0], sizeof i->path[0], "%s/lock", state_dir);
    int b = snprintf(i->path[1], sizeof i->path[1], "%s/netns-%llu.lock", run_dir,
                     (unsigned long long)net.st_ino);
    return a < 0 || (size_t)a >= sizeof i->path[0] || b < 0 || (size_t)b >= sizeof i->path[1]
               ? -ENAMETOOLONG
               : 0;
}

int instance_claim(struct instance *i, const char *state_dir, const char *run_dir, char *why)
{
    static const char *const whose[INSTANCE_LOCKS] = {
        "uses this state directory: stop it, or give this one a node.state_dir of its own",
        "runs in this network namespace: stop it first",
    };
    *i = (struct instance){.fd = {-1, -1}};
    int rc = paths_write(i, state_dir, run_dir);
    if (rc == 0 && mkdir(run_dir, 0755) < 0 && errno != EEXIST)
        rc = -errno;
    if (rc < 0) {
        snprintf(why, WHY_BYTES, "cannot use %s: %s", run_dir, strerror(-rc));
        return rc;
    }
    for (int n = 0; n < INSTANCE_LOCKS; n++) {
        int fd = lock_take(i->path[n]);
        if (fd < 0) {
            if (fd == -EBUSY)
                snprintf(why, WHY_BYTES, "another ipclusterd %s", whose[n]);
            else
                snprintf(why, WHY_BYTES, "cannot lock %.150s: %s", i->path[n], strerror(-fd));
            instance_release(i);
            return fd;
        }
        i->fd[n] = fd;
    }
    return 0;
}

void instance_release(struct instance *i)
{
    for (int n = 0; n < INSTANCE_LOCKS; n++) {
        if (i->fd[n] < 0)
            continue;
        unlink(i->path[n]);
        close(i->fd[n]);
        i->fd[n] = -1;
    }
}
