/*
 * Commands about this host rather than the cluster: the ruleset, a key, a
 * configuration file, versions.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "clusterctl.h"
#include "field.h"
#include "http.h"
#include "io/conf.h"

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif

int cmd_rules(const struct call *c)
{
    char why[HTTP_WHY_BYTES];
    struct http_reply reply;
    const char *target = c->iptables    ? "/v1/rules/iptables"
                         : c->ip6tables ? "/v1/rules/ip6tables"
                                        : "/v1/rules";
    int code = http_request(c->socket, target, NULL, &reply, why);

    if (code != DONE)
        return fail((enum exit_code)code, "%s", why);
    if (reply.status != 200) {
        json_t *answer = json_loadb(reply.body, reply.length, 0, NULL);
        code = fail(REFUSED, "%s", field_text(answer, "error"));
        json_decref(answer);
    } else if (c->json) {
        json_t *answer = json_pack("{s:s%}", "rules", reply.body, reply.length);
        json_print(c, answer);
        json_decref(answer);
    } else {
        fwrite(reply.body, 1, reply.length, stdout);
    }
    free(reply.body);
    return code;
}

int cmd_genkey(const struct call *c)
{
    enum { VARIANT = sodium_base64_VARIANT_ORIGINAL };
    unsigned char key[KEY_BYTES];
    char text[sodium_base64_ENCODED_LEN(KEY_BYTES, VARIANT)];

    if (sodium_init() < 0)
        return fail(REFUSED, "libsodium has no source of randomness");
    randombytes_buf(key, sizeof key);
    sodium_bin2base64(text, sizeof text, key, sizeof key, VARIANT);
    if (c->json)
        printf("{\"key\": \"%s\"}\n", text);
    else
        printf("%s\n", text);
    sodium_memzero(key, sizeof key);
    sodium_memzero(text, sizeof text);
    return DONE;
}

static void fault_print(void *arg, const char *fault)
{
    (void)arg;
    fprintf(stderr, "%s\n", fault);
}

static void fault_collect(void *arg, const char *fault)
{
    json_array_append_new(arg, json_string(fault));
}

int cmd_check(const struct call *c)
{
    const char *path = c->argc > 0 ? c->argv[0] : SYSCONFDIR "/ipclusterd.conf";
    json_t *faults = json_array();
    int count;

    if (faults == NULL)
        abort();
    count = conf_check(path, c->json ? fault_collect : fault_print, fault_print, faults);
    if (c->json) {
        json_t *answer =
            json_pack("{s:s, s:b, s:O}", "file", path, "ok", count == 0, "faults", faults);
        json_print(c, answer);
        json_decref(answer);
    }
    json_decref(faults);
    return count == 0 ? DONE : REFUSED;
}

/* The daemon's version too, if there is one; its absence is no fault here. */
int cmd_version(const struct call *c)
{
    char why[HTTP_WHY_BYTES];
    struct http_reply reply;
    json_t *daemon = NULL;

    if (http_request(c->socket, "/v1/version", NULL, &reply, why) == DONE) {
        daemon = json_loadb(reply.body, reply.length, 0, NULL);
        free(reply.body);
    }
    if (c->json) {
        json_t *answer = json_pack("{s:s, s:O?}", "version", PACKAGE_VERSION, "daemon", daemon);
        json_print(c, answer);
        json_decref(answer);
    } else {
        printf("clusterctl %s\n", PACKAGE_VERSION);
        if (daemon != NULL)
            printf("ipclusterd %s (node %s of cluster %s)\n", field_text(daemon, "version"),
                   field_text(daemon, "node"), field_text(daemon, "cluster"));
        else
            printf("ipclusterd not reached: %s\n", why);
    }
    json_decref(daemon);
    return DONE;
}
