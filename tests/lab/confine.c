/*
 * Runs a program under a system call filter that allows a list and nothing
 * else: any other call ends the process.
 *
 *   confine NUMBERS PROGRAM ARGUMENT...
 *
 * NUMBERS is a file with the calls' numbers on this architecture. Who made a
 * call that is not on the list is told by the kernel's log (audit type 1326).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined __riscv
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#else
#error "this architecture is not known here"
#endif

enum { CALLS_MAX = 512, HEAD = 4, EXIT_CANNOT = 125 };

static struct sock_filter code[HEAD + 2 * CALLS_MAX + 1];
static unsigned short count;

static void add(uint16_t what, uint8_t jt, uint8_t jf, uint32_t k)
{
    code[count++] = (struct sock_filter){what, jt, jf, k};
}

static void cannot(const char *what)
{
    perror(what);
    exit(EXIT_CANNOT);
}

int main(int argc, char **argv)
{
    unsigned number;

    if (argc < 3)
        return EXIT_CANNOT;
    FILE *list = fopen(argv[1], "r");
    if (list == NULL)
        cannot(argv[1]);
    add(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
    add(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, ARCHITECTURE);
    add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
    add(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
    while (fscanf(list, "%u", &number) == 1 && count < HEAD + 2 * CALLS_MAX) {
        add(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number);
        add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
    }
    fclose(list);
    add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);

    const struct sock_fprog program = {.len = count, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, &program) < 0)
        cannot("seccomp");
    execv(argv[2], argv + 2);
    cannot(argv[2]);
}
