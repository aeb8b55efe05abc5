/*
 * Fields of the daemon's JSON, each with an answer for a field that is not
 * there: another version of the daemon may be at the other end.
 */
#ifndef CLUSTERCTL_FIELD_H
#define CLUSTERCTL_FIELD_H

#include <jansson.h>
#include <stdbool.h>

/* The string, or "-". */
static inline const char *field_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "-";
}

/* The whole number, or 0. */
static inline long long field_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static inline bool field_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

#endif
