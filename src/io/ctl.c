/*
 * The control server: evhttp on a unix socket. One table of routes says what
 * there is; ctl_request.c reads a request against it, ctl_json.c renders the
 * answers, and what changes something goes to the daemon through ctl_ops.
 */
#include "ctl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf.h"
#include "ctl_connections.h"
#include "ctl_json.h"
#include "ctl_metrics.h"
#include "ctl_request.h"
#include "ctl_socket.h"
#include "log.h"

enum { HEADER_BYTES_MAX = 8192, HTTP_ACCEPTED = 202 };

struct ctl {
    struct evhttp *http; /* owns the listener */
    struct ctl_socket socket;
    struct ctl_connections connections;
    const struct ctl_ops *ops;
    void *arg;
};

/* One request being answered. */
struct exchange {
    struct ctl *ctl;
    struct evhttp_request *http;
};

/* ---------------------------------------------------------------- replies */

static void reply_send(const struct exchange *x, int status, const char *type,
                       struct evbuffer *body)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(x->http);
    char length[24];

    /* The library itself tells none if the client's version of HTTP is an overflow of
     * its own, and keeps the connection: the next answer would run into this one. */
    snprintf(length, sizeof length, "%zu", evbuffer_get_length(body));
    evhttp_add_header(headers, "Content-Length", length);
    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_send_reply(x->http, status, NULL, body);
}

/* Takes the reference of `json`; NULL: memory was short. */
static void reply_json(const struct exchange *x, int status, json_t *json)
{
    struct evbuffer *body = evbuffer_new();

    if (body == NULL || ctl_json_write(json, body) != 0 || evbuffer_add(body, "\n", 1) != 0)
        evhttp_send_error(x->http, HTTP_INTERNAL, NULL);
    else
        reply_send(x, status, "application/json", body);
    if (body != NULL)
        evbuffer_free(body);
    json_decref(json);
}

static void reply_error(const struct exchange *x, int status, const char *why)
{
    reply_json(x, status, json_pack("{s:o}", "error", ctl_json_text(why)));
}

/* What an -errno of the daemon is in HTTP. */
static int error_status(int rc)
{
    static const struct {
        int error, status;
    } known[] = {
        {-EINVAL, 400}, {-EPERM, 403},    {-EACCES, 403}, {-ENOENT, 404},    {-EBUSY, 409},
        {-EEXIST, 409}, {-EALREADY, 409}, {-EAGAIN, 503}, {-EHOSTDOWN, 409},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].error == rc)
            return known[i].status;
    return 500;
}

/* ------------------------------------------------------------------ pages */

/* Answers with what `page` makes of the present view. */
static void page_send(const struct exchange *x, json_t *(*page)(const struct ctl_view *))
{
    const struct ctl_view *v = x->ctl->ops->view(x->ctl->arg);

    reply_json(x, HTTP_OK, v != NULL ? page(v) : NULL);
}

static void answer_status(void *context, const struct ctl_request *r)
{
    (void)r;
    page_send(context, ctl_json_status);
}

static void answer_members(void *context, const struct ctl_request *r)
{
    (void)r;
    page_send(context, ctl_json_members);
}

static void answer_vips(void *context, const struct ctl_request *r)
{
    (void)r;
    page_send(context, ctl_json_vips);
}

static void answer_version(void *context, const struct ctl_request *r)
{
    (void)r;
    page_send(context, ctl_json_version);
}

/* The VIP that was asked for, or the first of the client's family; -1: none. */
static int vip_find(const struct config *c, const struct ctl_request *r)
{
    for (size_t i = 0; i < c->vips; i++) {
        const struct address *a = &c->vip[i].address;
        size_t bytes = a->family == FAMILY_IP4 ? 4 : 16;
        if (a->family != r->client.address.family)
            continue;
        if (r->vip.family == FAMILY_NONE ||
            (r->vip.family == a->family && memcmp(r->vip.byte, a->byte, bytes) == 0))
            return (int)i;
    }
    return -1;
}

static void answer_which(void *context, const struct ctl_request *r)
{
    const struct exchange *x = context;
    const struct ctl_view *v = x->ctl->ops->view(x->ctl->arg);
    int vip = v != NULL ? vip_find(v->config, r) : -1;

    if (v == NULL)
        evhttp_send_error(x->http, HTTP_INTERNAL, NULL);
    else if (vip >= 0)
        reply_json(x, HTTP_OK, ctl_json_which(v, &r->client, (size_t)vip));
    else if (r->vip.family == FAMILY_NONE)
        reply_error(x, HTTP_NOTFOUND,
                    r->client.address.family == FAMILY_IP4 ? "no virtual address here is IPv4"
                                                           : "no virtual address here is IPv6");
    else if (r->vip.family != r->client.address.family)
        reply_error(x, HTTP_BADREQUEST, "one of the two addresses is IPv4 and the other IPv6");
    else
        reply_error(x, HTTP_NOTFOUND, "that is no virtual address of this cluster");
}

static void rules_send(const struct exchange *x, enum ctl_rules form)
{
    struct evbuffer *body = evbuffer_new();
    char why[CTL_WHY_BYTES] = "";
    int rc;

    if (body == NULL) {
        evhttp_send_error(x->http, HTTP_INTERNAL, NULL);
        return;
    }
    rc = x->ctl->ops->rules(x->ctl->arg, form, body, why);
    if (rc == 0)
        reply_send(x, HTTP_OK, "text/plain; charset=utf-8", body);
    else
        reply_error(x, error_status(rc), *why != '\0' ? why : strerror(-rc));
    evbuffer_free(body);
}

static void answer_rules(void *context, const struct ctl_request *r)
{
    (void)r;
    rules_send(context, CTL_RULES_NFT);
}

static void answer_rules_iptables(void *context, const struct ctl_request *r)
{
    (void)r;
    rules_send(context, CTL_RULES_IPTABLES);
}

static void answer_rules_ip6tables(void *context, const struct ctl_request *r)
{
    (void)r;
    rules_send(context, CTL_RULES_IP6TABLES);
}

/* Answers with the body that `rc` says has been written. */
static void body_send(const struct exchange *x, int rc, const char *type, struct evbuffer *body)
{
    if (rc != 0)
        evhttp_send_error(x->http, HTTP_INTERNAL, NULL);
    else
        reply_send(x, HTTP_OK, type, body);
    if (body != NULL)
        evbuffer_free(body);
}

static void answer_buckets(void *context, const struct ctl_request *r)
{
    const struct exchange *x = context;
    const struct ctl_view *v = x->ctl->ops->view(x->ctl->arg);
    struct evbuffer *body = evbuffer_new();

    (void)r;
    body_send(x, v != NULL && body != NULL ? ctl_json_buckets(v, body) : -ENOMEM,
              "application/json", body);
}

static void answer_events(void *context, const struct ctl_request *r)
{
    const struct exchange *x = context;
    struct evbuffer *body = evbuffer_new();

    body_send(x, body != NULL ? ctl_json_events(x->ctl->ops, x->ctl->arg, r->since, body) : -ENOMEM,
              "application/json", body);
}

static void answer_metrics(void *context, const struct ctl_request *r)
{
    const struct exchange *x = context;
    const struct ctl_view *v = x->ctl->ops->view(x->ctl->arg);
    struct evbuffer *body = evbuffer_new();

    (void)r;
    body_send(x, v != NULL && body != NULL ? ctl_metrics(v, body) : -ENOMEM, CTL_METRICS_TYPE,
              body);
}

/* ---------------------------------------------------------------- changes */

/* Who asked, for the log. */
static void peer_text(const struct exchange *x, char *out, size_t size)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(x->http);
    int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(connection));
    struct ucred cred;
    socklen_t length = sizeof cred;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) == 0)
        snprintf(out, size, "uid %u gid %u pid %d", cred.uid, cred.gid, (int)cred.pid);
    else
        snprintf(out, size, "an unknown peer");
}

/* Logs who wanted what and what came of it, and answers. */
static void change_finish(const struct exchange *x, const struct ctl_request *r, int rc,
                          const char *why)
{
    const char *verb = r->route->path + strlen("/v1/");
    const char *blank = r->node[0] != '\0' ? " " : "";
    char peer[64];

    peer_text(x, peer, sizeof peer);
    if (rc == 0) {
        log_info("ctl", "%s%s%s by %s", verb, blank, r->node, peer);
        reply_json(x, HTTP_OK, json_pack("{s:b, s:s}", "ok", 1, "done", verb));
        return;
    }
    if (*why == '\0')
        why = strerror(-rc);
    log_info("ctl", "%s%s%s by %s refused: %s", verb, blank, r->node, peer, why);
    reply_error(x, error_status(rc), why);
}

/* It is begun: the events after number `since` will tell what becomes of it. */
static void change_begun(const struct exchange *x, const struct ctl_request *r, const char *why,
                         uint64_t since)
{
    const char *verb = r->route->path + strlen("/v1/");
    char peer[64];

    peer_text(x, peer, sizeof peer);
    log_info("ctl", "%s %s by %s begun: %s", verb, r->node, peer, why);
    reply_json(x, HTTP_ACCEPTED,
               json_pack("{s:b, s:s, s:b, s:I, s:o}", "ok", 1, "done", verb, "pending", 1, "since",
                         (json_int_t)since, "message", ctl_json_text(why)));
}

static void change_control(const struct exchange *x, const struct ctl_request *r,
                           enum control_verb verb)
{
    const struct ctl *c = x->ctl;
    char why[CTL_WHY_BYTES] = "";
    const char *member = r->node[0] != '\0' ? r->node : NULL;
    uint64_t since = c->ops->events(c->arg, UINT64_MAX, NULL, NULL);
    int rc = c->ops->control(c->arg, verb, member, why);

    if (rc == CTL_PENDING)
        change_begun(x, r, why, since);
    else
        change_finish(x, r, rc, why);
}

static void answer_drain(void *context, const struct ctl_request *r)
{
    change_control(context, r, CONTROL_DRAIN);
}

static void answer_undrain(void *context, const struct ctl_request *r)
{
    change_control(context, r, CONTROL_UNDRAIN);
}

static void answer_forget(void *context, const struct ctl_request *r)
{
    change_control(context, r, CONTROL_FORGET);
}

static void answer_release(void *context, const struct ctl_request *r)
{
    change_control(context, r, CONTROL_RELEASE);
}

static void answer_rekey(void *context, const struct ctl_request *r)
{
    change_control(context, r, CONTROL_REKEY);
}

static void answer_leave(void *context, const struct ctl_request *r)
{
    const struct exchange *x = context;
    char why[CTL_WHY_BYTES] = "";

    change_finish(x, r, x->ctl->ops->leave(x->ctl->arg, why), why);
}

static void answer_reload(void *context, const struct ctl_request *r)
{
    const struct exchange *x = context;
    char why[CTL_WHY_BYTES] = "";

    change_finish(x, r, x->ctl->ops->reload(x->ctl->arg, why), why);
}

/* Done, it ends all connections without an answer: it is logged before. */
static void answer_restart(void *context, const struct ctl_request *r)
{
    const struct exchange *x = context;
    char why[CTL_WHY_BYTES] = "", peer[64];

    peer_text(x, peer, sizeof peer);
    log_info("ctl", "restart by %s", peer);
    change_finish(x, r, x->ctl->ops->restart(x->ctl->arg, why), why);
}

static const struct ctl_route routes[] = {
    {"/v1/status", CTL_GET, 0, answer_status},
    {"/v1/members", CTL_GET, 0, answer_members},
    {"/v1/vips", CTL_GET, 0, answer_vips},
    {"/v1/buckets", CTL_GET, 0, answer_buckets},
    {"/v1/version", CTL_GET, 0, answer_version},
    {"/v1/rules", CTL_GET, 0, answer_rules},
    {"/v1/rules/iptables", CTL_GET, 0, answer_rules_iptables},
    {"/v1/rules/ip6tables", CTL_GET, 0, answer_rules_ip6tables},
    {"/v1/which", CTL_GET, CTL_ARG_ADDRESS | CTL_ARG_VIP, answer_which},
    {"/v1/events", CTL_GET, CTL_ARG_SINCE, answer_events},
    {"/metrics", CTL_GET, 0, answer_metrics},
    {"/v1/drain", CTL_POST, CTL_ARG_NODE, answer_drain},
    {"/v1/undrain", CTL_POST, CTL_ARG_NODE, answer_undrain},
    {"/v1/forget", CTL_POST, CTL_ARG_NODE_REQUIRED, answer_forget},
    {"/v1/release", CTL_POST, CTL_ARG_NODE_REQUIRED, answer_release},
    {"/v1/rekey", CTL_POST, 0, answer_rekey},
    {"/v1/leave", CTL_POST, 0, answer_leave},
    {"/v1/reload", CTL_POST, 0, answer_reload},
    {"/v1/restart", CTL_POST, 0, answer_restart},
};

static void request_arrived(struct evhttp_request *http, void *arg)
{
    struct exchange x = {.ctl = arg, .http = http};
    struct evbuffer *input = evhttp_request_get_input_buffer(http);
    size_t length = evbuffer_get_length(input);
    enum ctl_method method = evhttp_request_get_command(http) == EVHTTP_REQ_GET    ? CTL_GET
                             : evhttp_request_get_command(http) == EVHTTP_REQ_POST ? CTL_POST
                                                                                   : CTL_OTHER;
    const void *body = length > 0 ? evbuffer_pullup(input, -1) : NULL;
    char why[CTL_WHY_BYTES];
    struct ctl_request r;
    int status;

    status =
        ctl_request_parse(routes, sizeof routes / sizeof *routes, method,
                          evhttp_request_get_uri(http), body, body != NULL ? length : 0, &r, why);
    if (status == HTTP_OK) {
        r.route->answer(&x, &r);
        return;
    }
    if (status == HTTP_BADMETHOD)
        evhttp_add_header(evhttp_request_get_output_headers(http), "Allow",
                          r.route->method == CTL_GET ? "GET" : "POST");
    if (evhttp_request_get_command(http) == EVHTTP_REQ_HEAD)
        evhttp_send_reply(http, status, NULL, NULL); /* a body would not belong */
    else
        reply_error(&x, status, why);
}

/* ------------------------------------------------------------ open, close */

static int server_start(struct ctl *c, struct event_base *base)
{
    struct evconnlistener *listener;
    int rc;

    c->http = evhttp_new(base);
    if (c->http == NULL)
        return -ENOMEM;
    evhttp_set_gencb(c->http, request_arrived, c);
    evhttp_set_max_headers_size(c->http, HEADER_BYTES_MAX);
    evhttp_set_max_body_size(c->http, CTL_BODY_BYTES_MAX);
    evhttp_set_default_content_type(c->http, "application/json");
    /* All methods come here, so that a wrong one is told which is right. */
    evhttp_set_allowed_methods(c->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
                                            EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                            EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
    listener = evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
                                  0, c->socket.fd);
    if (listener == NULL)
        return -ENOMEM;
    c->socket.fd = -1; /* the listener's now */
    rc = ctl_connections_begin(&c->connections, base, c->http, listener);
    if (rc == 0 && evhttp_bind_listener(c->http, listener) == NULL)
        rc = -ENOMEM;
    if (rc != 0)
        evconnlistener_free(listener);
    return rc;
}

int ctl_open(struct ctl **out, struct event_base *base, const struct config *config,
             const struct ctl_ops *ops, void *arg)
{
    struct ctl *c = calloc(1, sizeof *c);
    int rc;

    if (c == NULL)
        return -ENOMEM;
    c->ops = ops;
    c->arg = arg;
    rc = ctl_socket_open(&c->socket, config->control_socket, config->control_group);
    if (rc != 0) {
        free(c);
        return rc;
    }
    rc = server_start(c, base);
    if (rc != 0) {
        ctl_close(c);
        return rc;
    }
    /* A client that goes away amid an answer must not end the daemon. */
    signal(SIGPIPE, SIG_IGN);
    *out = c;
    return 0;
}

void ctl_close(struct ctl *c)
{
    if (c == NULL)
        return;
    ctl_socket_unlink(&c->socket);
    if (c->socket.fd >= 0)
        close(c->socket.fd);
    ctl_connections_flush(&c->connections);
    if (c->http != NULL)
        evhttp_free(c->http); /* with its connections and the listener */
    ctl_connections_end(&c->connections);
    free(c);
}
