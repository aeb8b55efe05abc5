/*
 * Tables of hosts, bundles and steps. A host is stored as where it differs from
 * the first of its index: some hundred bytes of twenty thousand.
 */
#include "store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_FIRST = 1 << 12, GAP = 8 };

/* Appends to an array that grows. */
struct heap {
    size_t size, count;
    uint8_t *data;
};

static struct table hosts, bundles, steps;
static struct heap host_data, message_data;
static struct {
    size_t *at;
    size_t size, count;
} host_at, bundle_at;
static struct {
    struct step_result *item;
    size_t size, count;
} results;
static uint8_t base[HOSTS][IMAGE_MAX];
static size_t image_bytes;
static bool based[HOSTS];
static uint64_t lookups;

static void *grown(void *p, size_t *size, size_t need, size_t item)
{
    if (need <= *size)
        return p;
    *size = need > 2 * *size ? need : 2 * *size;
    p = realloc(p, *size * item);
    assert(p != NULL);
    return p;
}

static size_t table_find(const struct table *t, struct print key)
{
    size_t i = key.low & (t->size - 1);
    while ((t->key[i].low | t->key[i].high) != 0 &&
           (t->key[i].low != key.low || t->key[i].high != key.high))
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
        if ((old.key[i].low | old.key[i].high) == 0)
            continue;
        size_t at = table_find(t, old.key[i]);
        t->key[at] = old.key[i];
        t->value[at] = old.value[i];
    }
    free(old.key);
    free(old.value);
}

uint32_t *table_at(struct table *t, struct print key, bool *is_new)
{
    if (t->count * 3 >= t->size * 2)
        table_grow(t);
    size_t at = table_find(t, key);
    *is_new = (t->key[at].low | t->key[at].high) == 0;
    if (*is_new) {
        t->key[at] = key;
        t->count++;
    }
    return &t->value[at];
}

static void heap_add(struct heap *h, const void *data, size_t length)
{
    h->data = grown(h->data, &h->size, h->count + length, 1);
    memcpy(h->data + h->count, data, length);
    h->count += length;
}

/* Runs of bytes that differ from the base: offset, length, bytes; a length of 0
 * ends it. A gap of a few equal bytes is cheaper inside a run. */
static void image_pack(unsigned index, const uint8_t *a, size_t length)
{
    const uint8_t *b = base[index];
    uint8_t first = (uint8_t)index;
    uint16_t head[2] = {0, 0};
    static_assert(IMAGE_MAX < UINT16_MAX, "offsets of 16 bits");
    heap_add(&host_data, &first, 1);
    size_t at = 0;
    while (at < length) {
        if (at + 8 <= length && memcmp(a + at, b + at, 8) == 0) {
            at += 8;
            continue;
        }
        if (a[at] == b[at]) {
            at++;
            continue;
        }
        size_t end = at + 1;
        for (size_t i = end; i < length && i < end + GAP; i++)
            if (a[i] != b[i])
                end = i + 1;
        head[0] = (uint16_t)at;
        head[1] = (uint16_t)(end - at);
        heap_add(&host_data, head, sizeof head);
        heap_add(&host_data, a + at, end - at);
        at = end;
    }
    head[1] = 0;
    heap_add(&host_data, head, sizeof head);
}

void store_host_get(uint32_t id, struct host *out)
{
    static uint8_t image[IMAGE_MAX];
    const uint8_t *p = host_data.data + host_at.at[id];
    memcpy(image, base[*p++], image_bytes);
    for (;;) {
        uint16_t head[2];
        memcpy(head, p, sizeof head);
        p += sizeof head;
        if (head[1] == 0)
            break;
        memcpy(image + head[0], p, head[1]);
        p += head[1];
    }
    host_from_image(out, image);
}

uint32_t store_host(const struct host *h)
{
    bool is_new;
    uint32_t *id = table_at(&hosts, host_print(h), &is_new);
    if (!is_new)
        return *id;
    *id = (uint32_t)host_at.count;
    static uint8_t image[IMAGE_MAX];
    image_bytes = host_image(h, image);
    if (!based[h->index])
        memcpy(base[h->index], image, image_bytes);
    based[h->index] = true;
    host_at.at = grown(host_at.at, &host_at.size, host_at.count + 1, sizeof host_at.at[0]);
    host_at.at[host_at.count++] = host_data.count;
    image_pack(h->index, image, image_bytes);
    return *id;
}

uint32_t store_bundle(const struct host_output *o)
{
    struct print p = {o->count, 1};
    bool is_new;
    if (o->count == 0)
        return STORE_NONE;
    for (size_t i = 0; i < o->count; i++) {
        struct print one = print_bytes(&o->message[i], sizeof o->message[i]);
        p.low = (p.low ^ one.low) * 0x9e3779b97f4a7c15;
        p.high = (p.high + one.high) * 0xc2b2ae3d27d4eb4f;
    }
    uint32_t *id = table_at(&bundles, p, &is_new);
    if (!is_new)
        return *id;
    if (bundle_at.count == 0)
        bundle_at.count = 1; /* 0 is the empty one */
    *id = (uint32_t)bundle_at.count;
    bundle_at.at =
        grown(bundle_at.at, &bundle_at.size, bundle_at.count + 1, sizeof bundle_at.at[0]);
    bundle_at.at[bundle_at.count++] = message_data.count;
    uint64_t count = o->count;
    heap_add(&message_data, &count, sizeof count);
    heap_add(&message_data, o->message, o->count * sizeof o->message[0]);
    return *id;
}

struct bundle store_bundle_get(uint32_t id)
{
    uint64_t count = 0;
    if (id == STORE_NONE)
        return (struct bundle){0, NULL};
    const uint8_t *p = message_data.data + bundle_at.at[id];
    memcpy(&count, p, sizeof count);
    return (struct bundle){count, (const struct message *)(const void *)(p + sizeof count)};
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
    for (unsigned ahead = 0; ahead <= LEASE_STEPS && r.lets_in != 0; ahead++)
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
    return (struct store_figures){hosts.count, bundles.count, steps.count, host_data.count,
                                  lookups};
}

static void table_free(struct table *t)
{
    free(t->key);
    free(t->value);
    memset(t, 0, sizeof *t);
}

void store_free(void)
{
    table_free(&hosts);
    table_free(&bundles);
    table_free(&steps);
    free(host_data.data);
    free(message_data.data);
    free(host_at.at);
    free(bundle_at.at);
    free(results.item);
}
