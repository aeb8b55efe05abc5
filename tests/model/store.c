/*
 * Tables of parts, hosts, bundles and steps. A host is the numbers of its parts, and
 * each part, each host and each bundle is compared byte by byte with what it passes
 * for; only steps are told apart by their prints alone.
 */
#include "store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_FIRST = 1 << 12, TRIES_MAX = 8 };

/* Things of any length, each once, numbered from 0. */
struct shelf {
    struct table table;
    size_t bytes, room; /* of data */
    uint8_t *data;
    size_t count, size; /* of at */
    size_t *at;         /* where each begins; one more for the end */
};

static struct shelf parts, hosts, bundles;
static struct table steps;
static struct {
    struct step_result *item;
    size_t size, count;
} results;
static uint64_t lookups;

static void *grown(void *p, size_t *size, size_t need, size_t item)
{
    if (need <= *size)
        return p;
    *size = need > *size + *size / 2 ? need : *size + *size / 2;
    p = realloc(p, *size * item);
    assert(p != NULL);
    return p;
}

static uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93;
    h ^= h >> 32;
    return h;
}

/* Zeros are skipped, but their place counts. */
uint64_t print_bytes(const void *data, size_t length)
{
    const uint8_t *p = data;
    uint64_t low = 0x9e3779b97f4a7c15 ^ length, high = 0xc2b2ae3d27d4eb4f;
    for (size_t at = 0; at < length; at += 8) {
        uint64_t word = 0;
        memcpy(&word, p + at, length - at < 8 ? length - at : 8);
        if (word == 0)
            continue;
        word ^= (uint64_t)at * 0xa0761d6478bd642f;
        low = (low ^ word) * 0xff51afd7ed558ccd;
        low ^= low >> 29;
        high = (high + word) * 0xc4ceb9fe1a85ec53;
        high ^= high >> 31;
    }
    uint64_t print = mix(mix(low) + high);
    return print != 0 ? print : 1; /* 0 is no key */
}

static size_t table_find(const struct table *t, uint64_t key)
{
    size_t i = key & (t->size - 1);
    while (t->key[i] != 0 && t->key[i] != key)
        i = (i + 1) & (t->size - 1);
    return i;
}

static void table_grow(struct table *t)
{
    struct table old = *t;
    t->size = old.size == 0 ? TABLE_FIRST : 2 * old.size;
    t->key = calloc(t->size, sizeof *t->key);
    t->value = calloc(t->size, sizeof *t->value);
    assert(t->key != NULL && t->value != NULL);
    for (size_t i = 0; i < old.size; i++) {
        if (old.key[i] == 0)
            continue;
        size_t at = table_find(t, old.key[i]);
        t->key[at] = old.key[i];
        t->value[at] = old.value[i];
    }
    free(old.key);
    free(old.value);
}

uint32_t *table_at(struct table *t, uint64_t key, bool *is_new)
{
    if (t->count * 4 >= t->size * 3)
        table_grow(t);
    size_t at = table_find(t, key);
    *is_new = t->key[at] == 0;
    if (*is_new) {
        t->key[at] = key;
        t->count++;
    }
    return &t->value[at];
}

static const uint8_t *shelf_get(const struct shelf *s, uint32_t id, size_t *length)
{
    *length = s->at[id + 1] - s->at[id];
    return s->data + s->at[id];
}

/* The number of what may be there already. Two that differ may have one print: then
 * the next print is tried. */
static uint32_t shelf_put(struct shelf *s, const void *data, size_t length)
{
    uint64_t print = print_bytes(data, length);
    bool is_new;
    uint32_t *id = table_at(&s->table, print, &is_new);
    for (unsigned tries = 0; !is_new; tries++) {
        size_t there;
        const uint8_t *p = shelf_get(s, *id, &there);
        if (there == length && memcmp(p, data, length) == 0)
            return *id;
        assert(tries < TRIES_MAX);
        print = mix(print + 1) | 1;
        id = table_at(&s->table, print, &is_new);
    }
    assert(s->count < UINT32_MAX);
    *id = (uint32_t)s->count;
    s->at = grown(s->at, &s->size, s->count + 2, sizeof s->at[0]);
    s->data = grown(s->data, &s->room, s->bytes + length, 1);
    memcpy(s->data + s->bytes, data, length);
    s->at[s->count++] = s->bytes;
    s->bytes += length;
    s->at[s->count] = s->bytes;
    return *id;
}

uint32_t store_host(const struct host *h)
{
    static struct host normal;
    uint32_t id[PARTS];
    for (size_t i = 0; i < PARTS; i++) {
        struct part p = host_part(i);
        memcpy((uint8_t *)&normal + p.from, (const uint8_t *)h + p.from, p.to - p.from);
    }
    host_normal(&normal);
    for (size_t i = 0; i < PARTS; i++) {
        struct part p = host_part(i);
        id[i] = shelf_put(&parts, (const uint8_t *)&normal + p.from, p.to - p.from);
    }
    return shelf_put(&hosts, id, sizeof id);
}

void store_host_get(uint32_t host, struct host *out)
{
    size_t length;
    uint32_t id[PARTS];
    memcpy(id, shelf_get(&hosts, host, &length), sizeof id);
    for (size_t i = 0; i < PARTS; i++) {
        struct part p = host_part(i);
        memcpy((uint8_t *)out + p.from, shelf_get(&parts, id[i], &length), p.to - p.from);
    }
}

/* Bundle 0 is the empty one. */
uint32_t store_bundle(const struct host_output *o)
{
    if (o->count == 0)
        return STORE_NONE;
    return shelf_put(&bundles, o->message, o->count * sizeof o->message[0]) + 1;
}

struct bundle store_bundle_get(uint32_t id)
{
    size_t length;
    if (id == STORE_NONE)
        return (struct bundle){0, NULL};
    const void *p = shelf_get(&bundles, id - 1, &length);
    return (struct bundle){length / sizeof(struct message), p};
}

static struct step_result step_run(uint32_t id, enum host_op op, const struct arrival *arrival,
                                   size_t arrivals)
{
    static struct host h;
    static struct host_output out;
    struct host_input input[INPUTS_MAX];
    size_t inputs = 0;
    store_host_get(id, &h);
    for (size_t i = 0; i < arrivals; i++) {
        struct bundle b = store_bundle_get(arrival[i].bundle);
        for (size_t k = 0; k < b.count; k++) {
            assert(inputs < INPUTS_MAX);
            input[inputs++] = (struct host_input){&b.message[k], arrival[i].age};
        }
    }
    host_step(&h, op, input, inputs, &out);
    struct step_result r = {.bundle = store_bundle(&out)};
    for (unsigned b = 0; b < BUCKETS; b++)
        if (host_lets_in(&h, b, 0))
            r.lets_in |= (uint8_t)(1u << b);
    for (unsigned ahead = 0; ahead <= pace.lease && r.lets_in != 0; ahead++)
        for (unsigned b = 0; b < BUCKETS; b++)
            if (host_lets_in(&h, b, ahead))
                r.lease = (uint8_t)(ahead + 1);
    r.host = store_host(&h);
    return r;
}

struct step_result store_step(uint32_t host, enum host_op op, const struct arrival *arrival,
                              size_t arrivals)
{
    uint64_t words[2 + INPUTS_MAX] = {host, (uint64_t)op};
    bool is_new;
    assert(arrivals <= INPUTS_MAX);
    for (size_t i = 0; i < arrivals; i++)
        words[2 + i] = (uint64_t)arrival[i].bundle << 8 | arrival[i].age;
    lookups++;
    uint32_t *at = table_at(&steps, print_bytes(words, (2 + arrivals) * sizeof words[0]), &is_new);
    if (!is_new)
        return results.item[*at];
    *at = (uint32_t)results.count;
    struct step_result r = step_run(host, op, arrival, arrivals);
    results.item = grown(results.item, &results.size, results.count + 1, sizeof results.item[0]);
    results.item[results.count++] = r;
    return r;
}

struct store_figures store_figures(void)
{
    return (struct store_figures){
        .hosts = hosts.count,
        .parts = parts.count,
        .bundles = bundles.count,
        .steps = steps.count,
        .bytes = parts.bytes + hosts.bytes + bundles.bytes +
                 (parts.size + hosts.size + bundles.size) * sizeof(size_t) +
                 (parts.table.size + hosts.table.size + bundles.table.size + steps.size) *
                     (sizeof(uint64_t) + sizeof(uint32_t)) +
                 results.size * sizeof results.item[0],
        .lookups = lookups,
    };
}
