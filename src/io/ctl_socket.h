/*
 * The unix socket that the control requests come through: who may open it, and
 * what happens to one that is there already.
 */
#ifndef IPCLUSTERD_IO_CTL_SOCKET_H
#define IPCLUSTERD_IO_CTL_SOCKET_H

#include <sys/types.h>

/* A listening socket and its file, so that only our own file is removed. */
struct ctl_socket {
    int fd;
    char path[108]; /* as long as sockaddr_un allows */
    dev_t device;
    ino_t inode;
};

/*
 * Listens (non-blocking, close-on-exec) at `path`, whose last directory is
 * made if it is missing. A socket there that nobody answers on is replaced.
 * Mode 0660 and `group`; without such a group 0600. Returns 0 or -errno:
 * -EADDRINUSE when somebody answers there, -EEXIST when `path` is no socket,
 * -ENAMETOOLONG.
 */
int ctl_socket_open(struct ctl_socket *s, const char *path, const char *group);

/* Removes the file, if it is still the one of this socket. The descriptor is
 * the listener's to close. */
void ctl_socket_unlink(const struct ctl_socket *s);

#endif
