/*
 * buckets and which: the table of who serves whom. The map is a letter per
 * bucket, 64 in a row, so that 4096 of them fill a screen and stay readable.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clusterctl.h"
#include "field.h"
#include "http.h"
#include "services.h"

enum { ROW = 64, GROUP = 16, OWNERS_MAX = 256, COLOURS = 12 };

/* Letters for so many owners; the rest share the last. */
static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+";

struct owner {
    const char *name; /* of the JSON */
    unsigned buckets, lingering, away;
};

struct map {
    size_t owners;
    struct owner owner[OWNERS_MAX];
    unsigned unowned, unclaimed, contested;
};

/* The index of `name`, added if it is new; -1 when there is no room. */
static int owner_index(struct map *m, const char *name)
{
    for (size_t i = 0; i < m->owners; i++)
        if (strcmp(m->owner[i].name, name) == 0)
            return (int)i;
    if (m->owners == OWNERS_MAX)
        return -1;
    m->owner[m->owners].name = name;
    return (int)m->owners++;
}

static int owner_compare(const void *a, const void *b)
{
    return strcmp(((const struct owner *)a)->name, ((const struct owner *)b)->name);
}

/* Everybody who is named, by name, so that a letter stays while owners move. */
static void owners_collect(struct map *m, const json_t *buckets)
{
    static const char *const keys[] = {"owner", "home"};
    size_t i, k;
    json_t *b, *name;

    json_array_foreach(buckets, i, b)
    {
        for (k = 0; k < sizeof keys / sizeof *keys; k++) {
            const char *text = json_string_value(json_object_get(b, keys[k]));
            if (text != NULL)
                owner_index(m, text);
        }
        json_array_foreach(json_object_get(b, "lingering_on"), k, name) if (json_is_string(name))
            owner_index(m, json_string_value(name));
    }
    qsort(m->owner, m->owners, sizeof *m->owner, owner_compare);
}

/* Counts one bucket and returns what stands for it; `owner` is its index. */
static char bucket_sign(struct map *m, const json_t *b, int *owner)
{
    const char *name = json_string_value(json_object_get(b, "owner"));
    const char *home = json_string_value(json_object_get(b, "home"));
    const json_t *claims = json_object_get(b, "claimed_by");
    size_t i;
    json_t *other;

    json_array_foreach(json_object_get(b, "lingering_on"), i, other)
    {
        int index = json_is_string(other) ? owner_index(m, json_string_value(other)) : -1;
        if (index >= 0)
            m->owner[index].lingering++;
    }
    *owner = name != NULL ? owner_index(m, name) : -1;
    if (*owner >= 0) {
        m->owner[*owner].buckets++;
        m->owner[*owner].away += home == NULL || strcmp(home, name) != 0;
    } else {
        m->unowned++;
    }
    if (json_array_size(claims) > 1) {
        m->contested++;
        return '!';
    }
    if (*owner < 0)
        return '.';
    if (json_array_size(claims) == 0) {
        m->unclaimed++;
        return '-';
    }
    return letters[(size_t)*owner < sizeof letters - 2 ? (size_t)*owner : sizeof letters - 2];
}

/* A colour for each of the first owners, in the order of the letters. */
static void sign_print(const struct screen *s, char sign, int owner)
{
    static const char *const colour[COLOURS] = {
        "32", "36", "33", "35", "34", "31", "1;32", "1;36", "1;33", "1;35", "1;34", "1;31",
    };

    if (!s->colour || owner < 0)
        putchar(sign);
    else if (sign == '!' || sign == '-')
        printf("\033[7;31m%c\033[0m", sign);
    else
        printf("\033[%sm%c\033[0m", colour[owner % COLOURS], sign);
}

static void map_print(const struct screen *s, struct map *m, const json_t *buckets)
{
    size_t i;
    json_t *b;

    json_array_foreach(buckets, i, b)
    {
        int owner;
        char sign = bucket_sign(m, b, &owner);
        if (i % ROW == 0)
            printf("%s%4zu%s ", screen_on(s, DIM), i, screen_off(s, DIM));
        if (i % GROUP == 0)
            putchar(' ');
        sign_print(s, sign, owner);
        if (i % ROW == ROW - 1 || i + 1 == json_array_size(buckets))
            putchar('\n');
    }
}

static void legend_print(const struct screen *s, const struct map *m)
{
    putchar('\n');
    for (size_t i = 0; i < m->owners; i++) {
        const struct owner *o = &m->owner[i];
        char text[256];
        int n = snprintf(text, sizeof text, "%.100s: %u bucket%s", o->name, o->buckets,
                         o->buckets == 1 ? "" : "s");
        if (o->away > 0)
            n += snprintf(text + n, sizeof text - (size_t)n, ", %u of them another's at home",
                          o->away);
        if (o->lingering > 0)
            snprintf(text + n, sizeof text - (size_t)n, ", lingers on %u", o->lingering);
        printf("  ");
        sign_print(s, letters[i < sizeof letters - 2 ? i : sizeof letters - 2], (int)i);
        putchar(' ');
        text_wrap(s, 4, text);
    }
    if (m->unowned > 0)
        printf("  . nobody: %u, not served\n", m->unowned);
    if (m->unclaimed > 0)
        printf("  - owner has not claimed it yet: %u\n", m->unclaimed);
    if (m->contested > 0)
        printf("  ! claimed by two members: %u\n", m->contested);
}

int cmd_buckets(const struct call *c)
{
    struct map *m;
    json_t *answer, *buckets;
    int code = ask(c, "/v1/buckets", NULL, &answer);

    if (code != DONE)
        return code;
    buckets = json_object_get(answer, "buckets");
    m = calloc(1, sizeof *m);
    if (c->json) {
        json_print(c, answer);
    } else if (m != NULL) {
        owners_collect(m, buckets);
        map_print(&c->screen, m, buckets);
        legend_print(&c->screen, m);
    }
    free(m);
    json_decref(answer);
    return DONE;
}

/* "web1, web2, web3" or `none`. */
static void names_print(const char *label, const json_t *names, const char *none)
{
    size_t i;
    json_t *name;

    printf("%-10s ", label);
    if (json_array_size(names) == 0)
        fputs(none, stdout);
    json_array_foreach(names, i, name) printf("%s%s", i > 0 ? ", " : "", json_string_value(name));
    putchar('\n');
}

/* "web1 33.6 %, web2 ..." */
static void shares_print(const json_t *answer)
{
    const json_t *shares = json_object_get(answer, "shares");
    const json_t *portless = json_object_get(answer, "portless");
    const char *owner = json_string_value(json_object_get(portless, "owner"));
    size_t i;
    json_t *share;

    printf("%-10s the source port decides; name it: ADDRESS:PORT\n", "bucket");
    printf("%-10s ", "share");
    if (json_array_size(shares) == 0)
        fputs("nobody", stdout);
    json_array_foreach(shares, i, share)
        printf("%s%s %.1f %%", i > 0 ? ", " : "", field_text(share, "name"),
               json_number_value(json_object_get(share, "percent")));
    putchar('\n');
    printf("%-10s %lld, %s: for packets without ports, such as ping's\n", "bucket",
           field_number(portless, "bucket"), owner != NULL ? owner : "nobody");
}

static void which_print(const json_t *answer)
{
    const char *owner = json_string_value(json_object_get(answer, "owner"));
    const char *address = field_text(answer, "address");
    bool six = strchr(address, ':') != NULL;
    json_t *order;

    printf("%-10s ", "client");
    if (json_is_integer(json_object_get(answer, "port")))
        printf("%s%s%s:%lld", six ? "[" : "", address, six ? "]" : "",
               field_number(answer, "port"));
    else
        fputs(address, stdout);
    printf(" at %s\n", field_text(answer, "vip"));
    if (json_is_array(json_object_get(answer, "shares"))) {
        shares_print(answer);
        services_lines(json_object_get(answer, "services"));
        return;
    }
    printf("%-10s %lld\n", "bucket", field_number(answer, "bucket"));
    printf("%-10s %s\n", "owner", owner != NULL ? owner : "nobody");
    order = json_deep_copy(json_object_get(answer, "order"));
    if (owner != NULL && json_array_size(order) > 0)
        json_array_remove(order, 0);
    names_print("standby", order, "nobody");
    names_print("claimed by", json_object_get(answer, "claimed_by"), "nobody");
    names_print("lingering", json_object_get(answer, "lingering_on"), "nobody");
    services_lines(json_object_get(answer, "services"));
    json_decref(order);
}

int cmd_which(const struct call *c)
{
    char target[1024];
    char *address = http_escape(c->argv[0]);
    char *vip = c->vip != NULL ? http_escape(c->vip) : NULL;
    json_t *answer;
    int code;

    if (strlen(address) + (vip != NULL ? strlen(vip) : 0) > 900)
        code = fail(REFUSED, "that is no address");
    else {
        snprintf(target, sizeof target, "/v1/which?address=%s%s%s", address,
                 vip != NULL ? "&vip=" : "", vip != NULL ? vip : "");
        code = ask(c, target, NULL, &answer);
    }
    free(address);
    free(vip);
    if (code != DONE)
        return code;
    if (c->json)
        json_print(c, answer);
    else
        which_print(answer);
    json_decref(answer);
    return DONE;
}
