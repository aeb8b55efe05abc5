/*
 * A request to the control socket as its client wrote it: the first line is
 * method and target, what follows is the body. Whatever is accepted must have
 * just the arguments that its route takes.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "io/ctl_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void never(void *context, const struct ctl_request *r)
{
    (void)context;
    (void)r;
}

static const struct ctl_route routes[] = {
    {"/v1/status", CTL_GET, 0, never},
    {"/v1/which", CTL_GET, CTL_ARG_ADDRESS | CTL_ARG_VIP, never},
    {"/v1/drain", CTL_POST, CTL_ARG_NODE, never},
    {"/v1/forget", CTL_POST, CTL_ARG_NODE_REQUIRED, never},
    {"/v1/leave", CTL_POST, 0, never},
};

static void accepted_check(const struct ctl_request *r, enum ctl_method method)
{
    unsigned takes = r->route->arguments;

    assert(r->route->method == method);
    assert((r->address.family != FAMILY_NONE) == !!(takes & CTL_ARG_ADDRESS));
    assert(r->vip.family == FAMILY_NONE || (takes & CTL_ARG_VIP));
    assert(strlen(r->node) <= NAME_BYTES_MAX);
    assert(r->node[0] == '\0' || (takes & (CTL_ARG_NODE | CTL_ARG_NODE_REQUIRED)));
    assert(r->node[0] != '\0' || !(takes & CTL_ARG_NODE_REQUIRED));
    for (const char *p = r->node; *p != '\0'; p++)
        assert((unsigned char)*p > ' ');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = {"GET ", "POST "};
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t line = end != NULL ? (size_t)(end - data) : size;
    const uint8_t *body = end != NULL ? end + 1 : data + size;
    size_t length = size - (size_t)(body - data);
    enum ctl_method method = CTL_OTHER;
    char target[2 * CTL_TARGET_BYTES_MAX], why[CTL_WHY_BYTES];
    struct ctl_request r;
    int status;

    for (int m = CTL_GET; m <= CTL_POST; m++) {
        size_t n = strlen(methods[m]);
        if (line >= n && memcmp(data, methods[m], n) == 0) {
            method = (enum ctl_method)m;
            data += n;
            line -= n;
            break;
        }
    }
    if (line >= sizeof target)
        line = sizeof target - 1;
    if (line > 0)
        memcpy(target, data, line);
    target[line] = '\0';
    status = ctl_request_parse(routes, sizeof routes / sizeof *routes, method, target, body, length,
                               &r, why);
    assert(status == 200 || (status >= 400 && status < 500));
    assert((status == 200) == (why[0] == '\0'));
    if (status == 200)
        accepted_check(&r, method);
    return 0;
}
