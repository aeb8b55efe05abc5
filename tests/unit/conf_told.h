/*
 * What the tests of the configuration share: a text that is enough of one, and
 * a listener that keeps the faults.
 */
#ifndef IPCLUSTERD_TESTS_CONF_TOLD_H
#define IPCLUSTERD_TESTS_CONF_TOLD_H

#include <stdbool.h>
#include <stddef.h>

#include "io/conf.h"

enum { FAULTS_MAX = 128 };

/* What a load told. */
struct told {
    size_t count;
    char text[FAULTS_MAX][1024];
};

extern struct told told, noted;
extern struct config config; /* filled by parse() */

/* A conf_fault_fn that adds to the struct told `arg`; fails on a line break. */
void told_add(void *arg, const char *fault);

/* Parses `text` as the file "F" into `config` and `told`; the number of faults. */
int parse(const char *text);

/* True if some fault that was told has `part` in it. */
bool told_has(const char *part);

/* Lines 1 and 2: enough of a configuration. */
#define CLUSTER "cluster = { name = \"web\"; key_file = \"/k\"; };\n"
#define BEAT "heartbeat = { interface = \"eth0\"; };\n"
#define BASE CLUSTER BEAT
#define CLUSTER_WITH(s) "cluster = { name = \"web\"; key_file = \"/k\";\n" s " };\n" BEAT
#define BEAT_WITH(s) CLUSTER "heartbeat = { interface = \"eth0\";\n" s " };\n"
#define NODE_WITH(s) BASE "node = { " s " };\n"
#define VIP_WITH(s) \
    BASE "vips = ( { address = \"192.0.2.1/24\"; interface = \"eth0\";\n" s " } );\n"
#define VIP4 "{ address = \"192.0.2.1/24\"; interface = \"eth0\"; }"
#define LATER "not available in this version"
#define X63 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

#endif
