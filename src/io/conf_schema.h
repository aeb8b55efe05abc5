/*
 * What a configuration may say: one table, a row per key, in the order of
 * ipclusterd.conf(5). Everything else about a key follows from its row: how it
 * is parsed, where it goes, what is told when it is wrong, and what the manual
 * must say (tests compare the two).
 */
#ifndef IPCLUSTERD_IO_CONF_SCHEMA_H
#define IPCLUSTERD_IO_CONF_SCHEMA_H

#include <stdio.h>

#include "ipclusterd/config.h"

enum { CONF_WHY_BYTES = 512 };

/* How a value is written. */
enum conf_form {
    FORM_GROUP, /* { ... } */
    FORM_LIST,  /* ( { ... }, ... ): groups */
    FORM_TEXT,  /* "..." */
    FORM_TEXTS, /* "..." or [ "...", ... ]; the setter takes one after the other */
    FORM_NUMBER,
    FORM_NUMBERS, /* 80 or [ 80, 443 ]; likewise */
    FORM_TRUTH,
    FORM_MAX
};

enum conf_need { CONF_OPTIONAL, CONF_REQUIRED, CONF_LATER };

/* One scalar of the file. */
struct conf_input {
    const char *text;
    long long number; /* FORM_TRUTH: 0 or 1 */
};

struct conf_key;

/* Checks `in` and stores it in `base`. False: `why` (CONF_WHY_BYTES) says what
 * is wrong, as the end of a sentence that began with the key. */
typedef bool (*conf_set_fn)(const struct conf_key *k, const struct conf_input *in, void *base,
                            char *why);

struct conf_type {
    const char *name; /* in the manual */
    enum conf_form form;
    conf_set_fn set;
};

struct conf_word {
    const char *text; /* NULL: the end */
    bool later;       /* known, but not in this version */
};

struct conf_key {
    const char *path; /* "node.weight"; inside a list "vips[].mode" */
    const struct conf_type *type;
    enum conf_need need;
    size_t at;            /* in struct config; below "vips[]" in struct vip_config, and so on */
    int64_t min, max;     /* numbers; durations in us; bytes of a text; elements */
    const char *fallback; /* the default, as written in the file; NULL: none */
    const char *shown;    /* the default in words, if it is not `fallback` */
    const struct conf_word *words; /* the value stored is the index */
};

extern const struct conf_key conf_keys[];
extern const size_t conf_keys_count;

/* The row of `path`, or NULL. */
const struct conf_key *conf_key_find(const char *path);

/* True if `k` is directly in the group `group` ("" is the top). */
bool conf_key_within(const struct conf_key *k, const char *group);

/* Its last word: "weight". */
const char *conf_key_name(const struct conf_key *k);

/* The known key that somebody who wrote `name` in `group` most likely meant:
 * one that looks like it there, or one of that name elsewhere. NULL: none. */
const struct conf_key *conf_key_nearest(const char *group, const char *name);

/* Stores the default, if there is one, in `base`. */
void conf_key_default(const struct conf_key *k, void *base);

/* One line per row: path, "present" or "later", and the facts as the manual
 * has them, between tabs. */
void conf_schema_dump(FILE *out);

#endif
