/*
 * The tables as text that `nft -f` loads: `ipclusterd -n`. It comes from the
 * same description as the kernel's, with the plan's elements in the maps; the
 * lease is not running in it.
 */
#include <errno.h>
#include <stdlib.h>

#include "nft.h"
#include "nft_elem.h"

struct print {
    struct nft_sink sink; /* first */
    const struct plan *plan;
    FILE *out;
    bool in_table, in_chain;
};

static struct print *print_of(struct nft_sink *s)
{
    return (struct print *)s;
}

static void end_chain(struct print *p)
{
    if (p->in_chain)
        fputs("\t}\n", p->out);
    p->in_chain = false;
}

static void end_table(struct print *p)
{
    end_chain(p);
    if (p->in_table)
        fputs("}\n", p->out);
    p->in_table = false;
}

static void print_table(struct nft_sink *s, enum nft_table t)
{
    struct print *p = print_of(s);

    end_table(p);
    fprintf(p->out, "table %s %s {\n", nft_table_family_name(t), NFT_TABLE_NAME);
    p->in_table = true;
}

static void print_counter(struct nft_sink *s, const char *name)
{
    fprintf(print_of(s)->out, "\tcounter %s {\n\t}\n", name);
}

/* Elements go several to a line. */
struct elements {
    FILE *out;
    size_t count;
};

static void element_begin(struct elements *e)
{
    if (e->count == 0)
        fputs("\t\telements = {", e->out);
    fputs(e->count == 0 ? " " : e->count % 4 == 0 ? ",\n\t\t\t" : ", ", e->out);
    e->count++;
}

static void elements_end(struct elements *e)
{
    if (e->count > 0)
        fputs(" }\n", e->out);
}

static void print_elements(struct nft_sink *s, const struct nft_set_spec *spec)
{
    struct print *p = print_of(s);
    const struct vip_config *v = &s->layout->vip[spec->vip];
    size_t entries = nft_key_entries(v, spec->key, s->layout->buckets);
    struct elements e = {.out = p->out};
    char text[NFT_KEY_TEXT], name[NFT_NAME_BYTES];

    fprintf(p->out, "\t\tsize %zu\n", entries);
    for (size_t i = 0; i < entries; i++) {
        struct nft_entry entry = nft_key_entry(v, spec->key, i);
        enum nft_way way = nft_elem_way(v, p->plan, spec->key, &entry);
        const struct mac *mac = nft_elem_target(p->plan, spec->key, &entry);

        nft_key_text(v, spec->key, &entry, text);
        if (spec->kind == NFT_SET_ROUTE) {
            element_begin(&e);
            fprintf(p->out, "%s : goto %s", text,
                    nft_elem_route(name, spec->vip, spec->key, &entry));
        } else if (spec->kind == NFT_SET_CLASS && way != NFT_WAY_NONE) {
            element_begin(&e);
            fprintf(p->out, "%s : goto %s", text, nft_elem_chain(name, spec->vip, way));
        } else if (spec->kind == NFT_SET_FORWARD && mac != NULL) {
            element_begin(&e);
            fprintf(p->out, "%s : %02x:%02x:%02x:%02x:%02x:%02x", text, mac->byte[0], mac->byte[1],
                    mac->byte[2], mac->byte[3], mac->byte[4], mac->byte[5]);
        }
    }
    elements_end(&e);
}

static void print_present(struct nft_sink *s, const struct nft_set_spec *spec)
{
    struct print *p = print_of(s);
    const struct vip_config *v = &s->layout->vip[spec->vip];
    struct elements e = {.out = p->out};

    fprintf(p->out, "\t\tsize %u\n", s->layout->buckets);
    for (unsigned i = 0; i < s->layout->buckets; i++) {
        struct nft_entry entry = nft_key_entry(v, NFT_KEY_CLIENT, i);

        if (nft_elem_way(v, p->plan, NFT_KEY_CLIENT, &entry) == NFT_WAY_NONE)
            continue;
        element_begin(&e);
        fprintf(p->out, "%u", i);
    }
    elements_end(&e);
}

static void print_types(struct nft_sink *s, const struct nft_set_spec *spec)
{
    struct elements e = {.out = print_of(s)->out};

    for (size_t i = 0; i < spec->types_count; i++) {
        element_begin(&e);
        fprintf(e.out, "%u", spec->types[i]);
    }
    elements_end(&e);
}

static void print_set(struct nft_sink *s, const struct nft_set_spec *spec)
{
    struct print *p = print_of(s);
    const struct vip_config *v = &s->layout->vip[spec->vip];
    const char *address = v->address.family == FAMILY_IP4 ? "ipv4_addr" : "ipv6_addr";
    const char *const key[] = {[NFT_FORM_ADDRESS] = address,
                               [NFT_FORM_PORT] = "inet_service",
                               [NFT_FORM_NUMBER] = "meta cpu",
                               [NFT_FORM_PROTOCOL] = "inet_proto",
                               [NFT_FORM_SERVICE] = "inet_proto . inet_service"};
    bool hashed = nft_key_form(v, spec->key) == NFT_FORM_NUMBER;

    switch (spec->kind) {
    case NFT_SET_ICMP:
    case NFT_SET_ICMPV6:
    case NFT_SET_PROTO:
        fprintf(p->out, "\tset %s {\n\t\ttype %s\n", spec->name,
                spec->kind == NFT_SET_ICMP     ? "icmp_type"
                : spec->kind == NFT_SET_ICMPV6 ? "icmpv6_type"
                                               : "inet_proto");
        print_types(s, spec);
        break;
    case NFT_SET_LEASE:
        fprintf(p->out, "\tset %s {\n\t\ttype %s\n\t\tflags timeout\n", spec->name, address);
        break;
    case NFT_SET_PRESENT:
        fprintf(p->out, "\tset %s {\n\t\ttypeof @nh,%u,%d\n", spec->name, nft_quick_offset(v) * 8,
                NFT_QUICK_BYTES * 8);
        print_present(s, spec);
        break;
    case NFT_SET_CLASS:
    case NFT_SET_FORWARD:
    case NFT_SET_ROUTE:
        fprintf(p->out, "\tmap %s {\n\t\t%s %s : %s\n", spec->name, hashed ? "typeof" : "type",
                key[nft_key_form(v, spec->key)],
                spec->kind != NFT_SET_FORWARD ? "verdict"
                : hashed                      ? "ether saddr"
                                              : "ether_addr");
        print_elements(s, spec);
        break;
    }
    fputs("\t}\n", p->out);
}

static void print_chain(struct nft_sink *s, const char *name, const struct nft_hook *hook)
{
    struct print *p = print_of(s);

    end_chain(p);
    fprintf(p->out, "\tchain %s {\n", name);
    p->in_chain = true;
    if (hook == NULL)
        return;
    fprintf(p->out, "\t\ttype filter hook %s ", hook->name);
    if (hook->device != NULL)
        fprintf(p->out, "device \"%s\" ", hook->device);
    fprintf(p->out, "priority %d; policy accept;\n", hook->priority);
}

static void print_rule(struct nft_sink *s, const struct nft_rule *r)
{
    fprintf(print_of(s)->out, "\t\t%.*s\n", (int)r->length, r->text);
}

int nft_print(const struct config *c, const struct nft_place *place, const struct plan *plan,
              FILE *out)
{
    struct print p = {
        .sink = {.table = print_table,
                 .counter = print_counter,
                 .set = print_set,
                 .chain = print_chain,
                 .rule = print_rule},
        .plan = plan,
        .out = out,
    };
    struct nft_layout *l = malloc(sizeof *l);

    if (l == NULL)
        return -ENOMEM;
    nft_layout_init(l, c, place);
    fputs("# ipclusterd itself also puts the ICMPv6 checksum right where it writes into\n"
          "# \"@th\"; nft has no words for that.\n",
          out);
    nft_tables_tell(l, &p.sink);
    end_table(&p);
    free(l);
    if (p.sink.error == 0 && ferror(out))
        return -EIO;
    return p.sink.error;
}
