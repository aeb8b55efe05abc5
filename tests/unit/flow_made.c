/* Flows by libnetfilter_conntrack. */
#include "flow_made.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>

#include "conf.h"

enum { FLOW_SECONDS = 1000 };

static struct nf_conntrack *flow_make(const struct address *source, const struct address *target,
                                      uint16_t port, int tcp_state)
{
    struct nf_conntrack *flow = nfct_new();
    const bool four = source->family == FAMILY_IP4;

    assert_non_null(flow);
    nfct_set_attr_u8(flow, ATTR_L3PROTO, four ? AF_INET : AF_INET6);
    nfct_set_attr(flow, four ? ATTR_IPV4_SRC : ATTR_IPV6_SRC, source->byte);
    nfct_set_attr(flow, four ? ATTR_IPV4_DST : ATTR_IPV6_DST, target->byte);
    nfct_set_attr_u8(flow, ATTR_L4PROTO, tcp_state < 0 ? IPPROTO_UDP : IPPROTO_TCP);
    nfct_set_attr_u16(flow, ATTR_PORT_SRC, htons(port));
    nfct_set_attr_u16(flow, ATTR_PORT_DST, htons(80));
    nfct_setobjopt(flow, NFCT_SOPT_SETUP_REPLY);
    if (tcp_state >= 0)
        nfct_set_attr_u8(flow, ATTR_TCP_STATE, (uint8_t)tcp_state);
    nfct_set_attr_u32(flow, ATTR_TIMEOUT, FLOW_SECONDS);
    return flow;
}

static struct nfct_handle *handle_open(void)
{
    struct nfct_handle *h = nfct_open(CONNTRACK, 0);

    assert_non_null(h);
    return h;
}

static void query(struct nfct_handle *h, enum nf_conntrack_query what, const void *data)
{
    int error = nfct_query(h, what, data);

    if (error < 0)
        print_error("nfct_query: %s\n", strerror(errno));
    assert_int_equal(error, 0);
}

static void flow_query(enum nf_conntrack_query what, const char *from, const char *to,
                       uint16_t port, int tcp_state)
{
    struct address source, target;

    assert_true(address_parse(from, &source) && address_parse(to, &target));
    struct nfct_handle *h = handle_open();
    struct nf_conntrack *flow = flow_make(&source, &target, port, tcp_state);
    query(h, what, flow);
    nfct_destroy(flow);
    nfct_close(h);
}

void flow_add(const char *from, const char *to, uint16_t port, int tcp_state)
{
    flow_query(NFCT_Q_CREATE, from, to, port, tcp_state);
}

void flow_change(const char *from, const char *to, uint16_t port, int tcp_state)
{
    flow_query(NFCT_Q_UPDATE, from, to, port, tcp_state);
}

void flow_delete(const char *from, const char *to, uint16_t port)
{
    flow_query(NFCT_Q_DESTROY, from, to, port, TCP_CONNTRACK_ESTABLISHED);
}

void flows_add(const char *from, const char *to, uint32_t count)
{
    struct address source, target;
    uint32_t first;

    assert_true(address_parse(from, &source) && address_parse(to, &target));
    memcpy(&first, source.byte, sizeof(first));
    struct nfct_handle *h = handle_open();
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = htonl(ntohl(first) + i);
        memcpy(source.byte, &number, sizeof(number));
        struct nf_conntrack *flow = flow_make(&source, &target, 5000, TCP_CONNTRACK_ESTABLISHED);
        query(h, NFCT_Q_CREATE, flow);
        nfct_destroy(flow);
    }
    nfct_close(h);
}

void flows_flush(void)
{
    struct nfct_handle *h = handle_open();
    uint32_t family = AF_UNSPEC;

    query(h, NFCT_Q_FLUSH, &family);
    nfct_close(h);
}
