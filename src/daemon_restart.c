/*
 * The installed binary in the place of this process: USR2, `clusterctl restart`.
 *
 * It is the same process to whoever watches it: the service manager's watchdog and
 * the pid file go on. What it takes over is what any run takes over that starts in
 * time (daemon_heritage.c); all descriptors are closed by exec. Everything that can be
 * found wanting is looked at before, while this run serves on: the new binary judges
 * the configuration, and nothing may have changed in it that would make the node a
 * newcomer. Then comes the moment when no bucket is on its way to another node, right
 * after a renewal, when the lease has its whole length to run.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon_private.h"
#include "io/conf.h"
#include "io/notify.h"

enum { WHY_BYTES = 256, TEXT_BYTES = 200, CHECK_PATIENCE_S = 4 };

#define RENEWAL_PATIENCE USEC_PER_S
#define HANDOVER_PATIENCE USEC_PER_S

static int refuse(char *why, int rc, const char *sentence)
{
    snprintf(why, WHY_BYTES, "%s", sentence);
    return rc;
}

static void fault_ignore(void *arg, const char *fault)
{
    (void)arg;
    (void)fault;
}

/* What the new run would find changed. A file that we cannot read is for its binary
 * to judge, which may know more keys. */
static int change_check(struct daemon *d, struct config *c, char *why)
{
    struct node_config node_config;
    if (conf_load(d->options.config_path, c, fault_ignore, NULL) != 0)
        return 0;
    const struct status *s = daemon_status(d);
    const char *obstacle = conf_reload_obstacle(&d->config, c);
    if (obstacle == NULL && s != NULL)
        obstacle = conf_key_obstacle(c, s->key);
    conf_node(c, &node_config);
    if (obstacle == NULL && node_config.config_digest != d->node_config.config_digest)
        obstacle = "the configuration has changed in what all nodes have in common: "
                   "clusterctl reload first";
    sodium_memzero(&node_config, sizeof node_config);
    return obstacle == NULL ? 0 : refuse(why, -EINVAL, obstacle);
}

/* Why the child did not say yes: its first line, and how many more there are. */
static void complaint_write(const char *program, struct evbuffer *text, int status, char *why)
{
    char line[TEXT_BYTES] = "";
    unsigned more = 0;
    struct evbuffer_ptr at = evbuffer_search(text, "\n", 1, NULL);
    for (; at.pos >= 0; more++) {
        evbuffer_ptr_set(text, &at, 1, EVBUFFER_PTR_ADD);
        at = evbuffer_search(text, "\n", 1, &at);
    }
    evbuffer_copyout(text, line, sizeof line - 1);
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '\0' && WIFSIGNALED(status))
        snprintf(why, WHY_BYTES, "%.150s -t was ended by signal %d", program, WTERMSIG(status));
    else if (line[0] == '\0')
        snprintf(why, WHY_BYTES, "%.150s -t failed: exit status %d", program, WEXITSTATUS(status));
    else if (more > 1)
        snprintf(why, WHY_BYTES, "%s (and %u more lines)", line, more - 1);
    else
        snprintf(why, WHY_BYTES, "%s", line);
}

/* Whether the binary that is there now runs, and takes the configuration. */
static int binary_check(struct daemon *d, char *why)
{
    static char check[] = "-t", file[] = "-c";
    char program[PATH_MAX], config[PATH_MAX];
    char *const arguments[] = {program, check, file, config, NULL};
    const struct daemon_child child = {.file = program,
                                       .arguments = arguments,
                                       .environment = environ,
                                       .patience = CHECK_PATIENCE_S * USEC_PER_S};
    struct evbuffer *text = evbuffer_new();
    int status;
    if (text == NULL)
        return refuse(why, -ENOMEM, "not enough memory");
    snprintf(program, sizeof program, "%s", d->options.program);
    snprintf(config, sizeof config, "%s", d->options.config_path);
    int rc = daemon_child(d, &child, text, &status);
    if (rc == -ETIMEDOUT) {
        snprintf(why, WHY_BYTES, "%.150s -t did not end within %d s", program, CHECK_PATIENCE_S);
    } else if (rc < 0) {
        snprintf(why, WHY_BYTES, "cannot run %.150s: %s", program, strerror(-rc));
    } else if (status != 0) {
        complaint_write(program, text, status, why);
        rc = -EINVAL;
    }
    evbuffer_free(text);
    return rc;
}

/* Serves on until no bucket is being handed over, for what is forwarded meanwhile a new
 * run would not know, and the lease has been renewed since, if it is. */
static void moment_await(struct daemon *d)
{
    instant began = loop_now();
    instant settled = instant_add(began, HANDOVER_PATIENCE);
    for (instant now = began; !d->ended; now = loop_now()) {
        struct status_brief brief;
        node_brief(d->node, &brief);
        if (!brief.converged && instant_before(now, settled))
            began = now;
        usec two = 2 * d->node_config.interval;
        instant patience = instant_add(began, two < RENEWAL_PATIENCE ? two : RENEWAL_PATIENCE);
        if (!instant_before(d->renewed, began) || !instant_before(now, patience))
            break;
        daemon_wait(d, -1, instant_add(now, USEC_PER_MS * 5));
    }
}

void daemon_signals_block(bool block)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    sigset_t ours;
    sigemptyset(&ours);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&ours, numbers[i]);
    sigprocmask(block ? SIG_BLOCK : SIG_UNBLOCK, &ours, NULL);
}

/* Returns only on failure. Signals that come meanwhile are for the new run. */
static int execute(struct daemon *d, char *why)
{
    log_info("daemon", "executing %s in the place of this run", d->options.program);
    notify_send(NOTIFY_RELOADING, "executing the installed binary");
    daemon_signals_block(true);
    int rc = setenv(DAEMON_RESTARTED, d->options.token, 1) < 0 ? -errno : 0;
    if (rc == 0) {
        execve(d->options.program, d->options.arguments, environ);
        rc = -errno;
    }
    unsetenv(DAEMON_RESTARTED);
    daemon_signals_block(false);
    notify_send(NOTIFY_READY, NULL);
    snprintf(why, WHY_BYTES, "cannot execute %.150s: %s", d->options.program, strerror(-rc));
    return rc;
}

static int restart_try(struct daemon *d, char *why)
{
    if (d->leaving || d->ended)
        return refuse(why, -EBUSY, "this node is leaving the cluster");
    if (d->options.program == NULL)
        return refuse(why, -ENOENT,
                      "where this binary is installed is not known: stop the daemon and start it");
    struct config *c = malloc(sizeof *c);
    if (c == NULL)
        return refuse(why, -ENOMEM, "not enough memory");
    int rc = change_check(d, c, why);
    sodium_memzero(c, sizeof *c);
    free(c);
    if (rc == 0)
        rc = binary_check(d, why);
    if (rc == 0)
        rc = removals_end(d, why); /* the new run will know nothing of them */
    if (rc == 0)
        moment_await(d);
    if (rc == 0 && (d->leaving || d->ended))
        rc = refuse(why, -EBUSY, "this node is leaving the cluster");
    return rc < 0 ? rc : execute(d, why);
}

int daemon_restart(struct daemon *d, char *why)
{
    why[0] = '\0';
    int rc = restart_try(d, why);
    log_error("daemon", "not restarted, everything stays as it was: %s", why);
    return rc;
}
