/*
 * Requests to the control socket. A request is read as a whole before anything
 * is done with it: the path against the table of routes, the query and the
 * body against the arguments that the route takes. An argument that the route
 * does not know is refused, not ignored: a misspelt `vip=` must not answer for
 * another address.
 */
#include "ctl_request.h"

#include <assert.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "conf.h"

__attribute__((format(printf, 3, 4))) static int refuse(char why[CTL_WHY_BYTES], int status,
                                                        const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(why, CTL_WHY_BYTES, format, ap);
    va_end(ap);
    return status;
}

/* The route of (path, method); 404 and 405 as ctl_request_parse() says. */
static int route_find(const struct ctl_route *routes, size_t count, enum ctl_method method,
                      const char *path, struct ctl_request *out, char *why)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(routes[i].path, path) != 0)
            continue;
        out->route = &routes[i];
        if (routes[i].method == method)
            return 200;
    }
    if (out->route == NULL)
        return refuse(why, 404, "no such page");
    return refuse(why, 405, "%s takes only %s", out->route->path,
                  out->route->method == CTL_GET ? "GET" : "POST");
}

/* An address, with or without a prefix length after it, which is not looked at. */
static bool address_read(const char *text, struct address *out)
{
    char plain[64];
    size_t length = strcspn(text, "/");

    if (length == 0 || length >= sizeof plain)
        return false;
    memcpy(plain, text, length);
    plain[length] = '\0';
    return address_parse(plain, out);
}

/* A whole number, in decimal digits alone; at most 18 of them. */
static bool number_read(const char *text, uint64_t *out)
{
    size_t length = strspn(text, "0123456789");

    if (length == 0 || length > 18 || text[length] != '\0')
        return false;
    *out = strtoull(text, NULL, 10);
    return true;
}

/* A port, 1..65535. */
static bool port_read(const char *text, struct source *out)
{
    uint64_t port;

    if (!number_read(text, &port) || port == 0 || port > UINT16_MAX)
        return false;
    out->port = (uint16_t)port;
    out->has_port = true;
    return true;
}

/* An address as above, or as in URLs: 198.51.100.7:4711, [2001:db8::1]:4711. */
static bool client_read(const char *text, struct source *out)
{
    bool bracket = text[0] == '[';
    const char *end = bracket ? strchr(text, ']') : strrchr(text, ':');
    char plain[64];
    size_t length;

    if (!bracket && (end == NULL || strchr(text, ':') != end))
        return address_read(text, &out->address);
    if (end == NULL || (length = (size_t)(end - text) - bracket) >= sizeof plain)
        return false;
    memcpy(plain, text + bracket, length);
    plain[length] = '\0';
    if (!address_read(plain, &out->address) || bracket != (out->address.family == FAMILY_IP6))
        return false;
    end += bracket;
    return *end == '\0' || (*end == ':' && port_read(end + 1, out));
}

static int query_read(struct evkeyvalq *query, struct ctl_request *out, char *why)
{
    const struct {
        const char *key;
        unsigned argument;
        struct source *client; /* where it goes, or ... */
        struct address *address;
        uint64_t *number;
        const char *wrong;
    } known[] = {
        {"address", CTL_ARG_ADDRESS, &out->client, NULL, NULL,
         "is not an IPv4 or IPv6 address, nor one with a port"},
        {"vip", CTL_ARG_VIP, NULL, &out->vip, NULL, "is not an IPv4 or IPv6 address"},
        {"since", CTL_ARG_SINCE, NULL, NULL, &out->since, "is not a whole number"},
    };
    const struct evkeyval *pair;
    unsigned seen = 0;

    TAILQ_FOREACH(pair, query, next)
    {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && (strcmp(known[i].key, pair->key) != 0 ||
                                                    !(out->route->arguments & known[i].argument)))
            i++;
        if (i == sizeof known / sizeof *known)
            return refuse(why, 400, "%s has an argument that it does not take", out->route->path);
        if ((seen & known[i].argument) != 0)
            return refuse(why, 400, "%s is given twice", known[i].key);
        seen |= known[i].argument;
        if (known[i].client != NULL    ? !client_read(pair->value, known[i].client)
            : known[i].address != NULL ? !address_read(pair->value, known[i].address)
                                       : !number_read(pair->value, known[i].number))
            return refuse(why, 400, "%s %s", known[i].key, known[i].wrong);
    }
    if ((out->route->arguments & CTL_ARG_ADDRESS) && out->client.address.family == FAMILY_NONE)
        return refuse(why, 400, "%s needs ?address=", out->route->path);
    return 200;
}

/* Names go into the log: no blanks, no control characters. */
static bool name_read(const json_t *value, char out[NAME_BYTES_MAX + 1])
{
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);

    if (text == NULL || length == 0 || length > NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
            return false;
    memcpy(out, text, length + 1);
    return true;
}

static int body_members_read(json_t *object, struct ctl_request *out, char *why)
{
    unsigned takes = out->route->arguments & (CTL_ARG_NODE | CTL_ARG_NODE_REQUIRED);
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        if (strcmp(key, "node") != 0 || takes == 0)
            return refuse(why, 400, "the body has a member that %s does not take",
                          out->route->path);
        if (!name_read(value, out->node))
            return refuse(why, 400, "\"node\" is not a name of 1 to %d characters", NAME_BYTES_MAX);
    }
    return 200;
}

static int body_read(const void *body, size_t length, struct ctl_request *out, char *why)
{
    json_error_t error;
    int status = 200;

    if (length > CTL_BODY_BYTES_MAX)
        return refuse(why, 413, "the body is larger than %d bytes", CTL_BODY_BYTES_MAX);
    if (length > 0) {
        json_t *object = json_loadb(body, length, JSON_REJECT_DUPLICATES, &error);
        if (object == NULL)
            return refuse(why, 400, "the body is not JSON: line %d, column %d", error.line,
                          error.column);
        status = json_is_object(object) ? body_members_read(object, out, why)
                                        : refuse(why, 400, "the body is not a JSON object");
        json_decref(object);
    }
    if (status == 200 && (out->route->arguments & CTL_ARG_NODE_REQUIRED) && out->node[0] == '\0')
        return refuse(why, 400, "%s needs a body: {\"node\": NAME}", out->route->path);
    return status;
}

int ctl_request_parse(const struct ctl_route *routes, size_t count, enum ctl_method method,
                      const char *target, const void *body, size_t length, struct ctl_request *out,
                      char why[CTL_WHY_BYTES])
{
    struct evkeyvalq query;
    struct evhttp_uri *uri = NULL;
    const char *text;
    int status;

    assert(routes != NULL && target != NULL && (body != NULL || length == 0));
    memset(out, 0, sizeof *out);
    why[0] = '\0';
    TAILQ_INIT(&query);

    if (strnlen(target, CTL_TARGET_BYTES_MAX + 1) > CTL_TARGET_BYTES_MAX)
        return refuse(why, 414, "the request is longer than %d bytes", CTL_TARGET_BYTES_MAX);
    uri = evhttp_uri_parse(target);
    if (uri == NULL || evhttp_uri_get_path(uri) == NULL) {
        status = refuse(why, 400, "the request's path cannot be read");
        goto out;
    }
    status = route_find(routes, count, method, evhttp_uri_get_path(uri), out, why);
    if (status != 200)
        goto out;
    text = evhttp_uri_get_query(uri);
    if (text != NULL && *text != '\0' && evhttp_parse_query_str(text, &query) != 0) {
        status = refuse(why, 400, "the request's query cannot be read");
        goto out;
    }
    status = query_read(&query, out, why);
    if (status == 200)
        status = body_read(body, length, out, why);
out:
    evhttp_clear_headers(&query);
    if (uri != NULL)
        evhttp_uri_free(uri);
    return status;
}
