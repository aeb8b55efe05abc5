/*
 * The control socket's file. Two daemons may start at once and find the same
 * left-over: the directory is locked from the look to the bind, so one of them
 * replaces it and the other finds a daemon that answers. The file is made with
 * no rights for anybody else and opened to the group when it is the group's.
 */
#include "ctl_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

enum { BACKLOG = 16 };

static int path_set(struct sockaddr_un *name, const char *path)
{
    size_t length = strlen(path);

    memset(name, 0, sizeof *name);
    name->sun_family = AF_UNIX;
    if (length == 0)
        return -EINVAL;
    if (length >= sizeof name->sun_path)
        return -ENAMETOOLONG;
    memcpy(name->sun_path, path, length + 1);
    return 0;
}

/* Opens and locks the directory of `path`, made if missing: an fd or -errno. */
static int directory_lock(const char *path)
{
    char directory[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char *slash;
    int fd;

    snprintf(directory, sizeof directory, "%s", path);
    slash = strrchr(directory, '/');
    if (slash == NULL)
        snprintf(directory, sizeof directory, ".");
    else if (slash == directory)
        slash[1] = '\0';
    else
        *slash = '\0';
    if (mkdir(directory, 0755) != 0 && errno != EEXIST)
        return -errno;
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX) != 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

/* Removes a socket that nobody answers on; 0 when the path is free then. */
static int stale_remove(const struct sockaddr_un *name)
{
    struct stat st;
    int fd, rc;

    if (lstat(name->sun_path, &st) != 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* A daemon too busy to answer (EAGAIN: its queue is full) is a daemon. */
    rc = connect(fd, (const struct sockaddr *)name, sizeof *name) == 0 || errno == EAGAIN
             ? -EADDRINUSE
             : -errno;
    close(fd);
    if (rc == -ECONNREFUSED)
        rc = unlink(name->sun_path) == 0 || errno == ENOENT ? 0 : -errno;
    return rc == -ENOENT ? 0 : rc;
}

/* Opens the socket to the group. That the group is missing, or that we may
 * not give the file away, is no reason not to start. */
static int access_set(const char *path, const char *name)
{
    const struct group *group = NULL;
    mode_t mode = 0600;

    if (name != NULL && *name != '\0') {
        group = getgrnam(name);
        if (group == NULL)
            log_warn("ctl", "there is no group %s: only the owner may use %s", name, path);
        else if (lchown(path, (uid_t)-1, group->gr_gid) != 0)
            log_warn("ctl", "cannot give %s to group %s: %s", path, name, strerror(errno));
        else
            mode = 0660;
    }
    return chmod(path, mode) == 0 ? 0 : -errno;
}

static int socket_bind(int fd, const struct sockaddr_un *name)
{
    mode_t before = umask(0177);
    int rc = bind(fd, (const struct sockaddr *)name, sizeof *name) == 0 ? 0 : -errno;

    umask(before);
    return rc;
}

int ctl_socket_open(struct ctl_socket *s, const char *path, const char *group)
{
    struct sockaddr_un name;
    struct stat st;
    int lock = -1, fd = -1;
    int rc = path_set(&name, path);

    if (rc != 0)
        return rc;
    lock = directory_lock(path);
    if (lock < 0)
        return lock;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        rc = -errno;
        goto out;
    }
    rc = stale_remove(&name);
    if (rc == 0)
        rc = socket_bind(fd, &name);
    if (rc != 0)
        goto out;
    rc = access_set(path, group);
    if (rc == 0 && (listen(fd, BACKLOG) != 0 || lstat(path, &st) != 0))
        rc = -errno;
    if (rc != 0) {
        unlink(path);
        goto out;
    }
    snprintf(s->path, sizeof s->path, "%s", path);
    s->device = st.st_dev;
    s->inode = st.st_ino;
    s->fd = fd;
    fd = -1;
out:
    if (fd >= 0)
        close(fd);
    close(lock);
    return rc;
}

void ctl_socket_unlink(const struct ctl_socket *s)
{
    struct stat st;

    if (lstat(s->path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode)
        unlink(s->path);
}
