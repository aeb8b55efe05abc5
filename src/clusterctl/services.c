/*
 * Services: what of an address is balanced, served by one node, or closed.
 */
#include "services.h"

#include <stdio.h>
#include <string.h>

#include "field.h"
#include "table.h"

enum { PORTS_BYTES = 48 };

/* "80, 443", or "all"; many are cut. */
static const char *ports_text(const json_t *service, char out[PORTS_BYTES])
{
    const json_t *ports = json_object_get(service, "ports");
    size_t used = 0, i;
    json_t *port;

    snprintf(out, PORTS_BYTES, "all");
    json_array_foreach(ports, i, port)
    {
        if (used + sizeof ", 65535, ..." > PORTS_BYTES) {
            snprintf(out + used, PORTS_BYTES - used, ", ...");
            break;
        }
        used += (size_t)snprintf(out + used, PORTS_BYTES - used, "%s%lld", i > 0 ? ", " : "",
                                 (long long)json_integer_value(port));
    }
    return out;
}

static bool by_client(const json_t *service)
{
    return strcmp(field_text(service, "policy"), "balance") == 0;
}

static const char *owner_text(const json_t *service)
{
    const char *owner = json_string_value(json_object_get(service, "owner"));

    return owner != NULL ? owner : "nobody";
}

static void service_row(struct table *t, const json_t *vip, const json_t *service)
{
    char ports[PORTS_BYTES];

    table_cell(t, PLAIN, "%s", field_text(vip, "address"));
    table_cell(t, PLAIN, "%s", field_text(service, "protocol"));
    table_cell(t, PLAIN, "%s", ports_text(service, ports));
    table_cell(t, PLAIN, "%s", field_text(service, "policy"));
    if (by_client(service)) {
        table_cell(t, DIM, "-");
        table_cell(t, DIM, "-");
    } else {
        table_cell(t, PLAIN, "%lld", field_number(service, "bucket"));
        table_cell(t, PLAIN, "%s", owner_text(service));
    }
}

void services_table(const struct screen *s, const json_t *vips)
{
    static const struct table_column columns[] = {
        {"VIRTUAL ADDRESS", false, 15}, {"PROTOCOL", false, 0}, {"PORTS", false, 8},
        {"POLICY", false, 0},           {"BUCKET", true, 0},    {"OWNER", false, 8},
    };
    struct table *t = NULL;
    size_t i, k;
    json_t *v, *service;

    json_array_foreach(vips, i, v) json_array_foreach(json_object_get(v, "services"), k, service)
    {
        if (t == NULL)
            t = table_new(columns, sizeof columns / sizeof *columns);
        service_row(t, v, service);
    }
    if (t == NULL)
        return;
    putchar('\n');
    table_print(t, s);
}

void services_lines(const json_t *services)
{
    char ports[PORTS_BYTES];
    size_t i;
    json_t *service;

    json_array_foreach(services, i, service)
    {
        bool closed = strcmp(field_text(service, "policy"), "closed") == 0;

        if (!by_client(service))
            printf("%-10s %s %s: %s %s\n", "but", field_text(service, "protocol"),
                   ports_text(service, ports), closed ? "closed, refused by" : "single, served by",
                   owner_text(service));
    }
}
