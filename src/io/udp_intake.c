/*
 * Reading the heartbeat sockets, also while they are flooded.
 *
 * What comes is read as it comes, many at once if many are there. Two things
 * change when more comes than members ever send:
 *
 * Each datagram that wakes this process costs five times what it takes to read
 * it and to find its tag wrong. So the sockets are polled then: read once a
 * millisecond, all that has come since. That is faster than a kernel delivers,
 * so what members send is neither pushed out of the queue nor late.
 *
 * Who does not even know the cluster's name is not read at all: a filter has
 * the kernel drop that before it is queued. The filter lets strangers in again
 * after a second, to see whether they are still that many, since in small
 * numbers they are worth telling: another cluster on the same port, or a
 * version of the protocol that is not known here.
 *
 * Who knows the name may still forge; but one datagram of his costs no more
 * than to open it. The source of a datagram is not looked at: it can be forged
 * too, and who is given less room by his address could be robbed of it.
 */
#include <assert.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "udp_impl.h"

#define LOG "udp"

#define WINDOW (20 * USEC_PER_MS)
#define SHUT_TIME (1 * USEC_PER_S)
#define QUIET_TIME (10 * USEC_PER_S) /* for the flood to count as over */

enum {
    FLOOD = 128, /* datagrams in a window: 6,400 a second */
    TICK_NS = 1000000,
};

int udp_intake_open(struct udp_intake *in, const struct udp_filter *f)
{
    *in = (struct udp_intake){
        .filter = *f, .window = INSTANT_PAST, .shut_at = INSTANT_PAST, .set = -1, .tick = -1};
    for (size_t i = 0; i < UDP_BATCH; i++) {
        in->part[i] = (struct iovec){in->data[i], sizeof in->data[i]};
        in->message[i].msg_hdr = (struct msghdr){.msg_iov = &in->part[i], .msg_iovlen = 1};
    }
    in->set = epoll_create1(EPOLL_CLOEXEC);
    if (in->set < 0)
        return -errno;
    in->tick = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (in->tick >= 0 && epoll_ctl(in->set, EPOLL_CTL_ADD, in->tick, &event) == 0)
        return 0;
    int rc = -errno;
    udp_intake_close(in);
    return rc;
}

void udp_intake_close(struct udp_intake *in)
{
    if (in->tick >= 0)
        close(in->tick);
    if (in->set >= 0)
        close(in->set);
    in->tick = in->set = -1;
    in->count = 0;
}

int udp_intake_add(struct udp_intake *in, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    assert(in->count < HEARTBEAT_LINKS_MAX && !in->polling);
    if (epoll_ctl(in->set, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    in->fd[in->count++] = fd;
    return 0;
}

/* The tick: fast while polling; to look at the filter again while that is shut
 * and nobody may wake us. */
static void tick_set(const struct udp_intake *in)
{
    struct timespec pace = {0};
    if (in->polling)
        pace.tv_nsec = TICK_NS;
    else if (in->shut)
        pace.tv_sec = 1;
    const struct itimerspec all = {.it_interval = pace, .it_value = pace};
    timerfd_settime(in->tick, 0, &all, NULL);
}

static void polling_set(struct udp_intake *in, bool on)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (in->polling == on)
        return;
    in->polling = on;
    for (size_t i = 0; i < in->count; i++)
        epoll_ctl(in->set, on ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, in->fd[i], &event);
    tick_set(in);
}

static void shut_set(struct udp_intake *in, bool on, instant now)
{
    if (in->shut == on)
        return;
    in->shut = on;
    for (size_t i = 0; i < in->count; i++) {
        int rc = udp_filter_attach(in->fd[i], &in->filter, on ? ADMIT_KNOWN : ADMIT_ALL);
        if (rc < 0)
            log_debug(LOG, "a filter was refused: %d", rc);
    }
    tick_set(in);
    if (!on)
        return;
    in->shut_at = now;
    if (!in->told)
        log_warn(LOG, "a flood of datagrams that are none of this cluster's comes to the heartbeat "
                      "port: they are dropped unread");
    in->told = true;
}

/* Counts what came, and draws the consequences. */
static void flood_watch(struct udp_intake *in, instant now, unsigned all, unsigned strangers)
{
    in->all += all;
    in->strangers += strangers;
    if (in->all > FLOOD)
        polling_set(in, true);
    if (in->strangers > FLOOD)
        shut_set(in, true, now);
    usec since_shut = instant_diff(now, in->shut_at);
    if (in->shut && since_shut >= SHUT_TIME)
        shut_set(in, false, now);
    if (in->told && since_shut >= QUIET_TIME) {
        in->told = false;
        log_info(LOG, "the flood is over: %llu datagrams were dropped so far",
                 (unsigned long long)udp_intake_dropped(in));
    }
    usec passed = instant_diff(now, in->window);
    if (passed < WINDOW)
        return;
    if (in->all <= FLOOD / 2 * (passed / WINDOW))
        polling_set(in, false);
    in->window = now;
    in->all = in->strangers = 0;
}

/* Reads up to `room` datagrams of one socket; how many. */
static size_t socket_read(struct udp_intake *in, int fd, size_t done,
                          struct udp_datagram out[UDP_BATCH])
{
    int got;
    do
        got = recvmmsg(fd, in->message + done, (unsigned)(UDP_BATCH - done), MSG_DONTWAIT, NULL);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return 0; /* nothing there; or an error of the link, which is gone by that */
    for (int i = 0; i < got; i++) {
        size_t at = done + (size_t)i;
        out[at] = (struct udp_datagram){in->data[at], in->message[at].msg_len};
    }
    return (size_t)got;
}

static void tick_read(const struct udp_intake *in)
{
    uint64_t times;
    if ((in->polling || in->shut) && read(in->tick, &times, sizeof times) < 0)
        return; /* called between two ticks */
}

size_t udp_intake_read(struct udp_intake *in, instant now, struct udp_datagram out[UDP_BATCH])
{
    size_t count = 0, at = in->next;
    unsigned strangers = 0;

    tick_read(in);
    for (size_t i = 0; i < in->count && count < UDP_BATCH; i++) {
        count += socket_read(in, in->fd[at], count, out);
        at = (at + 1) % in->count;
    }
    /* Who has filled up the batch comes last in the next. */
    in->next = at;
    for (size_t i = 0; i < count; i++)
        strangers += !udp_filter_knows(&in->filter, out[i].data, out[i].length);
    flood_watch(in, now, (unsigned)count, strangers);
    return count;
}

uint64_t udp_intake_dropped(const struct udp_intake *in)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < in->count; i++) {
        uint32_t figures[SK_MEMINFO_VARS] = {0};
        socklen_t length = sizeof figures;
        if (getsockopt(in->fd[i], SOL_SOCKET, SO_MEMINFO, figures, &length) == 0)
            sum += figures[SK_MEMINFO_DROPS];
    }
    return sum;
}
