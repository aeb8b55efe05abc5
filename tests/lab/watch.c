/*
 * Tells when the machine stood still: a real-time process on each CPU that
 * wakes every few milliseconds and prints a line "T US" (CLOCK_MONOTONIC in
 * us, when it woke; how late it was) if it was not let run for LATE_US. What
 * is measured in that time says nothing about a cluster.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { EVERY_US = 5000, LATE_US = 50000 };

static int64_t clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void watch(unsigned cpu)
{
    struct sched_param most = {.sched_priority = sched_get_priority_max(SCHED_FIFO)};
    int64_t last = clock_now();
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
    sched_setscheduler(0, SCHED_FIFO, &most);
    for (;;) {
        struct timespec pause = {0, EVERY_US * 1000};
        int64_t now;

        nanosleep(&pause, NULL);
        now = clock_now();
        if (now - last > EVERY_US + LATE_US) {
            char line[64];
            int bytes = snprintf(line, sizeof(line), "%lld %lld\n", (long long)now,
                                 (long long)(now - last - EVERY_US));

            if (write(1, line, (size_t)bytes) != bytes)
                return;
        }
        last = now;
    }
}

int main(void)
{
    cpu_set_t allowed;
    unsigned first = CPU_SETSIZE;

    if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
        return 1;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed))
            continue;
        if (first == CPU_SETSIZE) {
            first = cpu; /* this process watches the first itself */
        } else if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            watch(cpu);
            return 0;
        }
    }
    watch(first);
    return 0;
}
