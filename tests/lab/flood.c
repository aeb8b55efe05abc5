/*
 * Heartbeats recorded, and floods of datagrams made of them.
 *
 *   flood record INTERFACE GROUP PORT COUNT FILE
 *   flood send KIND FILE ADDRESS PORT RATE COUNT SOURCE...
 *
 * record  writes the first COUNT datagrams to the group into FILE, each with
 *         its length (4 bytes) before it, and says "ready" when it listens.
 * send    sends COUNT datagrams, RATE a second, from the IPv4 addresses SOURCE
 *         in turn, which need not be our own:
 *           junk      random bytes of any length
 *           forged    a recorded header and nonce, the rest random
 *           stranger  the same, with a nonce that nobody uses
 *           replay    what was recorded
 *         and prints "COUNT MICROSECONDS": how many it sent, and in what time.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BYTES_MAX = 1452,
    RECORDS_MAX = 256,
    SOURCES_MAX = 64,
    BATCH = 64,
    POOL = 4096,
    TICK_NS = 500000,
    HEADER_BYTES = 16,
    SEALED_FROM = 40, /* header and nonce */
};

struct record {
    uint32_t length;
    uint8_t data[BYTES_MAX];
};

static struct record records[RECORDS_MAX];
static size_t recorded;
static uint64_t random_state = 88172645463325252u;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t clock_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void random_fill(uint8_t *out, size_t length)
{
    for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
        uint64_t word = random_next();
        memcpy(out + i, &word, length - i < sizeof word ? length - i : sizeof word);
    }
}

/* ------------------------------------------------------------------ record */

static void record(const char *interface, const char *group, int port, int count, const char *path)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct ip_mreqn join = {.imr_ifindex = (int)if_nametoindex(interface)};
    FILE *out = fopen(path, "wb");
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (out == NULL || fd < 0 || inet_pton(AF_INET, group, &join.imr_multiaddr) != 1 ||
        bind(fd, (struct sockaddr *)&here, sizeof here) < 0 ||
        setsockopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, &join, sizeof join) < 0)
        die("record");
    puts("ready");
    fflush(stdout);
    for (int i = 0; i < count; i++) {
        struct record r;
        ssize_t got = recv(fd, r.data, sizeof r.data, 0);
        if (got < 0)
            die("recv");
        r.length = (uint32_t)got;
        if (fwrite(&r.length, sizeof r.length, 1, out) != 1 ||
            fwrite(r.data, (size_t)got, 1, out) != 1)
            die("fwrite");
    }
    if (fclose(out) != 0)
        die("fclose");
}

static void records_read(const char *path)
{
    FILE *in = fopen(path, "rb");

    if (in == NULL)
        die(path);
    while (recorded < RECORDS_MAX) {
        struct record *r = &records[recorded];
        if (fread(&r->length, sizeof r->length, 1, in) != 1)
            break;
        if (r->length < SEALED_FROM || r->length > BYTES_MAX ||
            fread(r->data, r->length, 1, in) != 1)
            die(path);
        recorded++;
    }
    fclose(in);
    if (recorded == 0) {
        fprintf(stderr, "%s: nothing recorded\n", path);
        exit(1);
    }
}

/* -------------------------------------------------------------------- send */

enum kind { JUNK, FORGED, STRANGER, REPLAY };

static enum kind kind_of(const char *word)
{
    static const char *const words[] = {"junk", "forged", "stranger", "replay"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0)
            return (enum kind)i;
    fprintf(stderr, "%s: no such kind\n", word);
    exit(2);
}

/* One datagram; returns its length. */
static size_t datagram_make(enum kind kind, uint64_t number, uint8_t out[BYTES_MAX])
{
    const struct record *r = &records[recorded > 0 ? number % recorded : 0];

    switch (kind) {
    case JUNK: {
        size_t length = 1 + random_next() % BYTES_MAX;
        random_fill(out, length);
        return length;
    }
    case FORGED:
        memcpy(out, r->data, SEALED_FROM);
        random_fill(out + SEALED_FROM, r->length - SEALED_FROM);
        return r->length;
    case STRANGER:
        memcpy(out, r->data, HEADER_BYTES);
        random_fill(out + HEADER_BYTES, r->length - HEADER_BYTES);
        return r->length;
    case REPLAY:
        break;
    }
    memcpy(out, r->data, r->length);
    return r->length;
}

/* A socket that sends from `source`, ours or not. */
static int source_open(const char *source, const struct sockaddr_in *to)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = to->sin_port};
    struct ip_mreqn out = {.imr_ifindex = (int)if_nametoindex("eth0")};
    const int on = 1, off = 0, bytes = 4 << 20;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0 || inet_pton(AF_INET, source, &from.sin_addr) != 1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        setsockopt(fd, SOL_IP, IP_TRANSPARENT, &on, sizeof on) < 0 ||
        setsockopt(fd, SOL_IP, IP_MULTICAST_IF, &out, sizeof out) < 0 ||
        setsockopt(fd, SOL_IP, IP_MULTICAST_LOOP, &off, sizeof off) < 0 ||
        bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
        die(source);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
    if (connect(fd, (const struct sockaddr *)to, sizeof *to) < 0)
        die(source);
    return fd;
}

/* Made beforehand, or making them would take longer than sending them. */
static uint8_t data[POOL][BYTES_MAX];
static struct iovec part[POOL];
static struct mmsghdr message[POOL];

static void pool_fill(enum kind kind)
{
    for (unsigned i = 0; i < POOL; i++) {
        part[i] = (struct iovec){data[i], datagram_make(kind, i, data[i])};
        message[i].msg_hdr = (struct msghdr){.msg_iov = &part[i], .msg_iovlen = 1};
    }
}

static void send_all(const int *fd, size_t fds, uint64_t rate, uint64_t count)
{
    const int64_t began = clock_us();
    uint64_t sent = 0, batches = 0;
    size_t at = 0;

    while (sent < count) {
        uint64_t due = (uint64_t)(clock_us() - began) * rate / 1000000 + 1;
        if (due > count)
            due = count;
        if (due <= sent) {
            nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
            continue;
        }
        unsigned want = due - sent > BATCH ? BATCH : (unsigned)(due - sent);
        if (at + want > POOL)
            at = 0;
        int done = sendmmsg(fd[batches++ % fds], message + at, want, 0);
        if (done > 0)
            sent += (uint64_t)done;
        at += want;
    }
    printf("%llu %lld\n", (unsigned long long)sent, (long long)(clock_us() - began));
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "record") == 0) {
        record(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]), argv[6]);
        return 0;
    }
    if (argc < 9 || strcmp(argv[1], "send") != 0) {
        fputs("usage: see flood.c\n", stderr);
        return 2;
    }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[5]))};
    const enum kind kind = kind_of(argv[2]);
    int fd[SOURCES_MAX];
    size_t fds = 0;

    if (inet_pton(AF_INET, argv[4], &to.sin_addr) != 1)
        die(argv[4]);
    if (kind != JUNK)
        records_read(argv[3]);
    for (int i = 8; i < argc && fds < SOURCES_MAX; i++)
        fd[fds++] = source_open(argv[i], &to);
    pool_fill(kind);
    send_all(fd, fds, strtoull(argv[6], NULL, 10), strtoull(argv[7], NULL, 10));
    return 0;
}
