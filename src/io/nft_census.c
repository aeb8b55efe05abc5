/*
 * A chain and a set count by their names, a rule by its place in its chain, the kinds
 * of its expressions and the bits of masks; other values differ in how the kernel
 * returns them. Each becomes a number, and these are added, since the kernel lists in
 * an order of its own.
 */
#include "nft_census.h"

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <string.h>

static uint64_t mix(uint64_t sum, const void *data, size_t length)
{
    const uint8_t *byte = data;

    for (size_t i = 0; i < length; i++)
        sum = (sum ^ byte[i]) * 0x100000001b3u;
    return sum;
}

static uint64_t mix_text(uint64_t sum, const char *text)
{
    return mix(sum, text, strlen(text) + 1);
}

static void census_add(struct nft_census *c, uint64_t number)
{
    number ^= number >> 33;
    number *= 0xff51afd7ed558ccdu;
    c->sum += number ^ number >> 33;
}

void nft_census_name(struct nft_census *c, char kind, enum nft_table t, const char *name)
{
    uint64_t sum = mix(0xcbf29ce484222325u, &kind, 1);

    census_add(c, mix_text(mix(sum, &t, sizeof t), name));
}

/* Its kind; and of masks the bits, for which ones of the mark are ours may change. */
static uint64_t mix_expression(uint64_t sum, const struct nftnl_expr *e)
{
    const char *kind = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);
    uint32_t length = 0;
    const void *mask = NULL;

    if (strcmp(kind, "bitwise") == 0)
        mask = nftnl_expr_get(e, NFTNL_EXPR_BITWISE_MASK, &length);
    return mix(mix_text(sum, kind), mask, mask != NULL ? length : 0);
}

void nft_census_rule(struct nft_census *c, enum nft_table t, const char *chain,
                     const struct nftnl_rule *rule)
{
    struct nftnl_expr_iter *each = nftnl_expr_iter_create(rule);
    uint64_t sum = mix_text(mix(0xcbf29ce484222325u, &t, sizeof t), chain);
    struct nftnl_expr *e;

    if (strncmp(c->chain, chain, sizeof c->chain) != 0) {
        strncpy(c->chain, chain, sizeof c->chain - 1);
        c->place = 0;
    }
    c->place++;
    sum = mix(sum, &c->place, sizeof c->place);
    while (each != NULL && (e = nftnl_expr_iter_next(each)) != NULL)
        sum = mix_expression(sum, e);
    if (each != NULL)
        nftnl_expr_iter_destroy(each);
    census_add(c, sum);
}

/* ---- what it should be --------------------------------------------------------- */

struct expected {
    struct nft_sink sink; /* first */
    struct nft_census census;
};

static void expected_table(struct nft_sink *s, enum nft_table t)
{
    (void)s;
    (void)t;
}

static void expected_counter(struct nft_sink *s, const char *name)
{
    (void)s;
    (void)name;
}

static void expected_set(struct nft_sink *s, const struct nft_set_spec *spec)
{
    nft_census_name(&((struct expected *)s)->census, 's', s->now_table, spec->name);
}

static void expected_chain(struct nft_sink *s, const char *name, const struct nft_hook *hook)
{
    (void)hook;
    nft_census_name(&((struct expected *)s)->census, 'c', s->now_table, name);
}

static void expected_rule(struct nft_sink *s, const struct nft_rule *r)
{
    nft_census_rule(&((struct expected *)s)->census, s->now_table, s->now_chain, r->kernel);
}

int nft_census_expected(const struct nft_layout *l, uint64_t *out)
{
    struct expected e = {.sink = {.table = expected_table,
                                  .counter = expected_counter,
                                  .set = expected_set,
                                  .chain = expected_chain,
                                  .rule = expected_rule}};

    nft_tables_tell(l, &e.sink);
    *out = e.census.sum;
    return e.sink.error;
}
