/*
 * The live ruleset, as the distribution's nft(8) prints it.
 *
 * Printing takes longer than a heartbeat may be late, so while the child works
 * the heartbeats go on here, from the loop that waits for its text.
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

enum {
    WHY_BYTES = 256,
    RULES_PATIENCE_S = 5,
    RULES_BYTES_MAX = 8 << 20,
    RULES_ERROR_BYTES = 200, /* of nft's complaint */
};

/* Starts nft with both outputs on the returned descriptor. One table each time:
 * told to list two, nft 1.0.6 finds neither. */
static int nft_spawn(char *family, pid_t *pid, int *out)
{
    static char name[] = "nft", list[] = "list", table[] = "table", ours[] = "ipclusterd";
    static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C";
    char *const arguments[] = {name, list, table, family, ours, NULL};
    char *const environment[] = {path, locale, NULL};
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
    int rc = -posix_spawnp(pid, "nft", &files, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    close(pipe_fd[1]);
    if (rc < 0)
        close(pipe_fd[0]);
    else
        *out = pipe_fd[0];
    return rc;
}

static int wait_ms(const struct daemon *d, instant patience)
{
    usec left = instant_diff(instant_min(node_deadline(d->node), patience), loop_now());
    return left <= 0 ? 0 : (int)(left / USEC_PER_MS) + 1;
}

/* Moves the child's text into `out`, stepping the node meanwhile. 0 at its end. */
static int text_collect(struct daemon *d, int fd, struct evbuffer *out)
{
    instant patience = instant_add(loop_now(), RULES_PATIENCE_S * USEC_PER_S);
    for (;;) {
        struct pollfd p[] = {{.fd = fd, .events = POLLIN},
                             {.fd = udp_fd(d->links.udp), .events = POLLIN}};
        if (poll(p, sizeof p / sizeof *p, wait_ms(d, patience)) < 0 && errno != EINTR)
            return -errno;
        daemon_pump(d);
        if (p[0].revents != 0) {
            int n = evbuffer_read(out, fd, -1);
            if (n == 0)
                return 0;
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                return -errno;
        }
        if (evbuffer_get_length(out) > RULES_BYTES_MAX)
            return -EFBIG;
        if (!instant_before(loop_now(), patience))
            return -ETIMEDOUT;
    }
}

static int table_list(struct daemon *d, char *family, struct evbuffer *out, char *why)
{
    pid_t pid;
    int fd = -1, status = 0;
    size_t before = evbuffer_get_length(out);
    int rc = nft_spawn(family, &pid, &fd);
    if (rc < 0) {
        snprintf(why, WHY_BYTES, "cannot run nft: %s: install the package nftables", strerror(-rc));
        return rc;
    }
    rc = text_collect(d, fd, out);
    close(fd);
    if (rc < 0)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (rc < 0) {
        snprintf(why, WHY_BYTES, "nft gave no ruleset: %s", strerror(-rc));
    } else if (status != 0) {
        char complaint[RULES_ERROR_BYTES] = "";
        evbuffer_drain(out, before);
        evbuffer_copyout(out, complaint, sizeof complaint - 1);
        complaint[strcspn(complaint, "\n")] = '\0';
        snprintf(why, WHY_BYTES, "nft failed: %s", complaint);
        rc = -EIO;
    }
    return rc;
}

int daemon_rules(struct daemon *d, struct evbuffer *out, char *why)
{
    static char families[][8] = {"inet", "netdev"};
    struct evbuffer *text = evbuffer_new();
    int rc = text == NULL ? -ENOMEM : 0;
    why[0] = '\0';
    for (size_t i = 0; i < sizeof families / sizeof *families && rc == 0; i++)
        rc = table_list(d, families[i], text, why);
    if (rc == 0)
        evbuffer_add_buffer(out, text);
    else if (why[0] == '\0')
        snprintf(why, WHY_BYTES, "not enough memory");
    if (text != NULL)
        evbuffer_free(text);
    return rc;
}
