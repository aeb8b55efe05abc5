/*
 * Any bytes as a configuration: no crash, no leak, and what is accepted keeps
 * every limit that the rest of the program relies on.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "io/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 forgets the string that it was reading at a syntax error. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig";
}

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void fault_check(void *arg, const char *fault)
{
    size_t *told = arg;

    (*told)++;
    check(strncmp(fault, "F:", 2) == 0 && strchr(fault, '\n') == NULL);
}

static void config_check(const struct config *c)
{
    struct node_config n;

    check(c->cluster[0] != '\0' && strlen(c->cluster) <= NAME_BYTES_MAX);
    check(c->node[0] != '\0' && strlen(c->node) <= NAME_BYTES_MAX);
    check(c->key_file[0] == '/' && c->state_dir[0] == '/' && c->control_socket[0] == '/');
    check(c->buckets >= BUCKETS_MIN && c->buckets <= BUCKETS_MAX);
    check((c->buckets & (c->buckets - 1)) == 0);
    check(c->weight <= WEIGHT_MAX && c->port > 0);
    check(c->heartbeat_links >= 1 && c->heartbeat_links <= HEARTBEAT_LINKS_MAX);
    check(c->peers <= PEERS_MAX && (c->peers > 0 || c->group.family != FAMILY_NONE));
    check(c->interval >= 10 * USEC_PER_MS && c->dead_after >= 3 * c->interval);
    check(c->lease < c->dead_after && c->lease >= 2 * c->interval);
    check(c->vips <= VIPS_MAX);
    for (size_t i = 0; i < c->vips; i++) {
        const struct vip_config *v = &c->vip[i];
        check(v->address.family == FAMILY_IP4 || v->address.family == FAMILY_IP6);
        check(v->prefix <= (v->address.family == FAMILY_IP4 ? 32 : 128));
        check(v->mode < VIP_MODE_MAX && v->select < SELECT_MAX && v->orphans < ORPHANS_MAX);
        check(v->interface[0] != '\0' && strlen(v->interface) <= IFNAME_BYTES_MAX);
        check((v->mac.byte[0] & 1) == 0);
    }
    conf_node(c, &n);
    check(conf_reload_obstacle(c, c) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config;
    size_t told = 0;
    int faults = conf_parse("F", (const char *)data, size, &config, fault_check, &told);

    check((faults > 0) == (told > 0));
    if (faults == 0)
        config_check(&config);
    return 0;
}
