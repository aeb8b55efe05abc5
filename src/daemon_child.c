/*
 * Programs that the daemon runs: nft(8) to list the rules, its own binary to have a
 * configuration judged.
 *
 * They take longer than a heartbeat may be late, so while one works the heartbeats go
 * on here, from the loop that waits for its text.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon_private.h"

enum { TEXT_BYTES_MAX = 8 << 20 };

/* Starts it with both outputs on the returned descriptor. */
static int child_spawn(const struct daemon_child *c, pid_t *pid, int *out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    int pipe_fd[2];
    if (pipe2(pipe_fd, O_CLOEXEC) < 0)
        return -errno;
    fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, pipe_fd[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, pipe_fd[1], STDERR_FILENO);
    int rc = -posix_spawnp(pid, c->file, &files, &attributes, c->arguments, c->environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    close(pipe_fd[1]);
    if (rc < 0)
        close(pipe_fd[0]);
    else
        *out = pipe_fd[0];
    return rc;
}

bool daemon_wait(struct daemon *d, int fd, instant patience)
{
    struct pollfd p[] = {{.fd = udp_fd(d->links.udp), .events = POLLIN},
                         {.fd = fd, .events = POLLIN}};
    usec left = instant_diff(instant_min(node_deadline(d->node), patience), loop_now());
    int ready = poll(p, sizeof p / sizeof *p, left <= 0 ? 0 : (int)(left / USEC_PER_MS) + 1);
    daemon_pump(d);
    return ready > 0 && p[1].revents != 0;
}

/* Moves the child's text into `out`, stepping the node meanwhile. 0 at its end. */
static int text_collect(struct daemon *d, int fd, instant patience, struct evbuffer *out)
{
    for (;;) {
        if (daemon_wait(d, fd, patience)) {
            int n = evbuffer_read(out, fd, -1);
            if (n == 0)
                return 0;
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                return -errno;
        }
        if (evbuffer_get_length(out) > TEXT_BYTES_MAX)
            return -EFBIG;
        if (!instant_before(loop_now(), patience))
            return -ETIMEDOUT;
    }
}

int daemon_child(struct daemon *d, const struct daemon_child *c, struct evbuffer *out, int *status)
{
    pid_t pid;
    int fd = -1;
    int rc = child_spawn(c, &pid, &fd);
    *status = -1;
    if (rc < 0)
        return rc;
    rc = text_collect(d, fd, instant_add(loop_now(), c->patience), out);
    close(fd);
    if (rc < 0)
        kill(pid, SIGKILL);
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        continue;
    return rc;
}
