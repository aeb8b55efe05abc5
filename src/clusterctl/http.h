/*
 * One HTTP request over the control socket (libcurl).
 */
#ifndef CLUSTERCTL_HTTP_H
#define CLUSTERCTL_HTTP_H

#include <stdbool.h>
#include <stddef.h>

enum { HTTP_WHY_BYTES = 256, HTTP_BODY_BYTES_MAX = 16 * 1024 * 1024 };

struct http_reply {
    long status;
    char *body; /* NUL-terminated; free() it */
    size_t length;
    bool cut; /* there is none: the daemon ended the connection instead */
};

/*
 * GETs `target` ("/v1/..."), or POSTs `body` to it when that is not NULL.
 * Returns DONE for any answer, whatever its status; NO_DAEMON or REFUSED with
 * `why` filled when there is none.
 */
int http_request(const char *socket, const char *target, const char *body, struct http_reply *out,
                 char why[HTTP_WHY_BYTES]);

/* `text` for a query; free() it. Ends the program if memory is short. */
char *http_escape(const char *text);

#endif
