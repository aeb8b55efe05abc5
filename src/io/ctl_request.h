/*
 * A request to the control socket, from text to values: the route that serves
 * it and its checked arguments. No sockets here; the fuzzer feeds it.
 */
#ifndef IPCLUSTERD_IO_CTL_REQUEST_H
#define IPCLUSTERD_IO_CTL_REQUEST_H

#include "selection.h"

enum {
    CTL_TARGET_BYTES_MAX = 1024, /* path and query */
    CTL_BODY_BYTES_MAX = 4096,
    CTL_WHY_BYTES = 256, /* a refusal, with its NUL */
};

enum ctl_method { CTL_GET, CTL_POST, CTL_OTHER };

/* Arguments that a route takes; anything else in a request is refused. */
enum ctl_argument {
    CTL_ARG_ADDRESS = 1,       /* ?address=ADDRESS, or ADDRESS:PORT; required */
    CTL_ARG_VIP = 2,           /* ?vip=, optional */
    CTL_ARG_NODE = 4,          /* {"node": NAME}, optional */
    CTL_ARG_NODE_REQUIRED = 8, /* {"node": NAME} */
    CTL_ARG_SINCE = 16,        /* ?since=, optional */
};

struct ctl_request;

/* Answers a request; `context` is the caller's. */
typedef void (*ctl_answer_fn)(void *context, const struct ctl_request *r);

struct ctl_route {
    const char *path;
    enum ctl_method method;
    unsigned arguments; /* of enum ctl_argument */
    ctl_answer_fn answer;
};

struct ctl_request {
    const struct ctl_route *route;
    char node[NAME_BYTES_MAX + 1]; /* "": not given */
    struct source client;          /* ?address=; FAMILY_NONE: not given */
    struct address vip;            /* FAMILY_NONE: not given */
    uint64_t since;                /* 0: not given */
};

/*
 * Finds the route of a request in `routes` and reads its arguments. `target`
 * is the request's path and query, or an absolute URI. Returns 200 with `out`
 * filled, or the HTTP status of the refusal with `why` filled; with 404 and
 * 405 `out->route` tells the route of another method, or NULL.
 */
int ctl_request_parse(const struct ctl_route *routes, size_t count, enum ctl_method method,
                      const char *target, const void *body, size_t length, struct ctl_request *out,
                      char why[CTL_WHY_BYTES]);

#endif
