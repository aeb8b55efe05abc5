/*
 * One daemon per network namespace and per state directory: two would undo
 * each other's rules, and the second one's failing start would take the first
 * one's away.
 */
#ifndef IPCLUSTERD_IO_INSTANCE_H
#define IPCLUSTERD_IO_INSTANCE_H

enum { INSTANCE_LOCKS = 2 };

struct instance {
    int fd[INSTANCE_LOCKS]; /* locked files; -1: none */
    char path[INSTANCE_LOCKS][320];
};

/*
 * Claims both, by locks on STATE_DIR/lock and RUN_DIR/netns-N.lock. Makes
 * `run_dir` (mode 0755) if it is missing. 0, or -errno with a sentence in
 * `why` (256 bytes); -EBUSY: another daemon has one of them. The claim ends
 * with instance_release() or with the process.
 */
int instance_claim(struct instance *i, const char *state_dir, const char *run_dir, char *why);

/* Gives both up and removes the files. Safe to call twice. */
void instance_release(struct instance *i);

#endif
