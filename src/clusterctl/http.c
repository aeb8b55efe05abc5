#include "http.h"

#include <curl/curl.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "clusterctl.h"

enum { TIMEOUT_MS = 10000 };

static size_t body_take(char *data, size_t size, size_t count, void *arg)
{
    struct http_reply *r = arg;
    size_t length = size * count;
    char *body;

    if (length > HTTP_BODY_BYTES_MAX - r->length)
        return 0;
    body = realloc(r->body, r->length + length + 1);
    if (body == NULL)
        return 0;
    r->body = body;
    memcpy(r->body + r->length, data, length);
    r->length += length;
    r->body[r->length] = '\0';
    return length;
}

/* Why connect(2) fails: tried again, since curl does not always tell. */
static int connect_error(const char *socket_path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error;

    if (fd < 0)
        return errno;
    memcpy(name.sun_path, socket_path, strlen(socket_path) + 1);
    error = connect(fd, (struct sockaddr *)&name, sizeof name) == 0 ? 0 : errno;
    close(fd);
    return error;
}

static void why_permission(const char *socket_path, char *why)
{
    struct stat st;
    const struct group *group = NULL;

    if (stat(socket_path, &st) == 0 && (st.st_mode & S_IWGRP) && st.st_gid != 0)
        group = getgrgid(st.st_gid);
    if (group != NULL)
        snprintf(why, HTTP_WHY_BYTES, "no permission to use %s: be root or a member of group %s",
                 socket_path, group->gr_name);
    else
        snprintf(why, HTTP_WHY_BYTES, "no permission to use %s: be root", socket_path);
}

static int why_unreachable(const char *socket_path, char *why)
{
    int error = connect_error(socket_path);

    if (error == ENOENT || error == ENOTDIR)
        snprintf(why, HTTP_WHY_BYTES, "there is no socket %s: ipclusterd is not running here",
                 socket_path);
    else if (error == ECONNREFUSED)
        snprintf(why, HTTP_WHY_BYTES, "nobody answers on %s: ipclusterd is not running here",
                 socket_path);
    else if (error == EACCES || error == EPERM)
        why_permission(socket_path, why);
    else
        snprintf(why, HTTP_WHY_BYTES, "cannot talk to %s: %s", socket_path,
                 error != 0 && error != EAGAIN ? strerror(error) : "it is too busy");
    return NO_DAEMON;
}

static int why_failed(CURLcode rc, const char *socket_path, char *why)
{
    switch (rc) {
    case CURLE_COULDNT_CONNECT:
        return why_unreachable(socket_path, why);
    case CURLE_OPERATION_TIMEDOUT:
        snprintf(why, HTTP_WHY_BYTES, "the daemon at %s does not answer (waited %d s)", socket_path,
                 TIMEOUT_MS / 1000);
        return NO_DAEMON;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        snprintf(why, HTTP_WHY_BYTES, "the daemon at %s ended before it answered", socket_path);
        return NO_DAEMON;
    default:
        snprintf(why, HTTP_WHY_BYTES, "%s: %s", socket_path, curl_easy_strerror(rc));
        return REFUSED;
    }
}

int http_request(const char *socket, const char *target, const char *body, struct http_reply *out,
                 char why[HTTP_WHY_BYTES])
{
    char url[2048];
    struct curl_slist *headers = NULL;
    CURL *curl = NULL;
    CURLcode rc;
    int code = REFUSED;
    bool cut = false;

    memset(out, 0, sizeof *out);
    if (strlen(socket) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        snprintf(why, HTTP_WHY_BYTES, "the path of the socket is too long: %.100s...", socket);
        return NO_DAEMON;
    }
    snprintf(why, HTTP_WHY_BYTES, "memory is short");
    out->body = calloc(1, 1);
    curl = curl_easy_init();
    headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (out->body == NULL || curl == NULL || headers == NULL)
        goto out;
    snprintf(url, sizeof url, "http://ipclusterd%s", target);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, body_take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    }
    rc = curl_easy_perform(curl);
    if (rc == CURLE_OK) {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
        code = DONE;
    } else {
        code = why_failed(rc, socket, why);
        cut = rc == CURLE_GOT_NOTHING || rc == CURLE_RECV_ERROR || rc == CURLE_SEND_ERROR;
    }
out:
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    if (code != DONE) {
        free(out->body);
        memset(out, 0, sizeof *out);
        out->cut = cut;
    }
    return code;
}

char *http_escape(const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    char *copy = escaped != NULL ? strdup(escaped) : NULL;

    if (copy == NULL)
        abort();
    curl_free(escaped);
    return copy;
}
