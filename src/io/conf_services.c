/*
 * The services of virtual addresses: what two of them must not both name, their
 * order, which does not depend on the file's, and the bucket of each.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_file.h"

static const char *const protocol_name[SERVICE_MAX] = {
    [SERVICE_TCP] = "tcp", [SERVICE_UDP] = "udp", [SERVICE_SCTP] = "sctp", [SERVICE_ANY] = "any"};

static bool has_port(const struct service_config *s, uint16_t port)
{
    for (size_t i = 0; i < s->ports; i++)
        if (s->port[i] == port)
            return true;
    return false;
}

/* Service `j` comes before `i` in the file. */
static void pair_check(struct conf_file *f, const struct vip_config *v, size_t vip, size_t i,
                       size_t j)
{
    const struct service_config *s = &v->service[i], *t = &v->service[j];
    char label[CONF_LABEL_BYTES];

    if (s->protocol != t->protocol)
        return;
    if (s->ports == 0 && t->ports == 0) {
        snprintf(label, sizeof(label), "vips[%zu].services[%zu]", vip, i);
        conf_complain(f, label, "all of %s is services[%zu], too", protocol_name[s->protocol], j);
    }
    for (size_t p = 0; p < s->ports; p++) {
        if (!has_port(t, s->port[p]))
            continue;
        snprintf(label, sizeof(label), "vips[%zu].services[%zu].ports", vip, i);
        conf_complain(f, label, "%s port %u is in services[%zu], too", protocol_name[s->protocol],
                      s->port[p], j);
    }
}

void conf_services_check(struct conf_file *f, const struct config *c)
{
    char label[CONF_LABEL_BYTES];

    for (size_t vip = 0; vip < c->vips; vip++) {
        const struct vip_config *v = &c->vip[vip];

        for (size_t i = 0; i < v->services && !f->vip_faulty[vip]; i++) {
            if (v->service[i].protocol == SERVICE_ANY && v->service[i].ports > 0) {
                snprintf(label, sizeof(label), "vips[%zu].services[%zu].ports", vip, i);
                conf_complain(f, label, "not every protocol has ports; name one, or remove these");
            }
            for (size_t j = 0; j < i; j++)
                pair_check(f, v, vip, i, j);
        }
    }
}

static int port_compare(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

/* No two have protocol and first port in common. */
static int service_compare(const void *a, const void *b)
{
    const struct service_config *s = a, *t = b;

    if (s->protocol != t->protocol)
        return s->protocol < t->protocol ? -1 : 1;
    return (int)s->port[0] - (int)t->port[0];
}

/* The same on every node, whatever else its configuration says. */
static uint16_t bucket_make(const struct vip_config *v, const struct service_config *s,
                            uint16_t buckets)
{
    static const unsigned char start[16] = "ipclusterd serv";
    uint8_t hash[crypto_generichash_BYTES], word[2];
    crypto_generichash_state h;
    uint32_t number = 0;

    crypto_generichash_init(&h, NULL, 0, sizeof(hash));
    crypto_generichash_update(&h, start, sizeof(start));
    crypto_generichash_update(&h, v->address.byte, v->address.family == FAMILY_IP4 ? 4 : 16);
    word[0] = (uint8_t)s->protocol;
    crypto_generichash_update(&h, word, 1);
    for (size_t i = 0; i < s->ports; i++) {
        word[0] = (uint8_t)(s->port[i] >> 8);
        word[1] = (uint8_t)s->port[i];
        crypto_generichash_update(&h, word, sizeof(word));
    }
    crypto_generichash_final(&h, hash, sizeof(hash));
    for (size_t i = 0; i < sizeof(number); i++)
        number = number << 8 | hash[i];
    return (uint16_t)(number % buckets);
}

void conf_services_resolve(struct config *c)
{
    for (size_t vip = 0; vip < c->vips; vip++) {
        struct vip_config *v = &c->vip[vip];

        for (size_t i = 0; i < v->services; i++) {
            struct service_config *s = &v->service[i];

            qsort(s->port, s->ports, sizeof(s->port[0]), port_compare);
            s->bucket = bucket_make(v, s, c->buckets);
        }
        qsort(v->service, v->services, sizeof(v->service[0]), service_compare);
    }
}
