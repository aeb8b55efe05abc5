/*
 * The listener of conf_told.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "conf_told.h"

struct told told, noted;
struct config config;

void told_add(void *arg, const char *fault)
{
    struct told *t = arg;

    assert_true(t->count < FAULTS_MAX);
    assert_null(strchr(fault, '\n'));
    assert_true(strlen(fault) < sizeof(t->text[0]));
    strcpy(t->text[t->count++], fault);
}

int parse(const char *text)
{
    told.count = 0;
    return conf_parse("F", text, strlen(text), &config, told_add, &told);
}

bool told_has(const char *part)
{
    for (size_t i = 0; i < told.count; i++)
        if (strstr(told.text[i], part) != NULL)
            return true;
    return false;
}
