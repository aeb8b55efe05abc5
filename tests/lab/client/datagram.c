/*
 * Datagrams with a number each; who answered it, how often, is a record.
 */
#define _GNU_SOURCE
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DATAGRAMS = 8192 }; /* on their way, at most */

struct datagram {
    bool used;
    uint32_t id;
    unsigned source, replies;
    us start, rtt;
    char nodes[96];
};

static int udp_fd[SOURCES_MAX];
static struct datagram datagrams[DATAGRAMS];
static uint32_t udp_next, udp_done;

void datagrams_open(void)
{
    for (unsigned i = 0; i < source_count; i++) {
        union addr to;

        udp_fd[i] = -1;
        if (vip_of(i) == NULL)
            continue;
        udp_fd[i] = socket(sources[i].sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (udp_fd[i] < 0 || bind(udp_fd[i], &sources[i].sa, addr_bytes(&sources[i])) < 0)
            die("udp socket");
        to = *vip_of(i);
        addr_port_set(&to, options.udp_port);
        /* connected: an answer from any other address is not taken */
        if (connect(udp_fd[i], &to.sa, addr_bytes(&to)) < 0)
            die("udp connect");
        watch(udp_fd[i], KIND_UDP, EPOLLIN);
        slots[udp_fd[i]].source = i;
    }
}

void datagram_send(unsigned source)
{
    struct datagram *d = &datagrams[udp_next % DATAGRAMS];
    char text[16];
    int bytes = snprintf(text, sizeof(text), "%u", udp_next);

    *d = (struct datagram){
        .used = true, .id = udp_next, .source = source, .start = clock_now(), .rtt = -1};
    udp_next++;
    (void)send(udp_fd[source], text, (size_t)bytes, MSG_NOSIGNAL);
}

void datagram_read(int fd)
{
    char text[128];
    ssize_t n;

    while ((n = recv(fd, text, sizeof(text) - 1, 0)) > 0) {
        char *space;
        struct datagram *d;
        unsigned long id;

        text[n] = '\0';
        space = strchr(text, ' ');
        if (space == NULL)
            continue;
        *space = '\0';
        id = strtoul(space + 1, NULL, 10);
        d = &datagrams[id % DATAGRAMS];
        if (!d->used || d->id != id)
            continue;
        if (d->replies++ == 0)
            d->rtt = clock_now() - d->start;
        if (strlen(d->nodes) + strlen(text) + 2 < sizeof(d->nodes)) {
            if (d->nodes[0] != '\0')
                strcat(d->nodes, ",");
            strcat(d->nodes, text);
        }
    }
}

bool datagrams_expire(us now)
{
    while (udp_done != udp_next) {
        struct datagram *d = &datagrams[udp_done % DATAGRAMS];

        if (d->used && d->start + options.udp_deadline > now && udp_next - udp_done < DATAGRAMS)
            break;
        if (d->used)
            printf("u %lld %u %u %lld %s\n", (long long)d->start, d->source, d->replies,
                   (long long)d->rtt, d->nodes[0] != '\0' ? d->nodes : "-");
        d->used = false;
        udp_done++;
    }
    return udp_done != udp_next;
}
