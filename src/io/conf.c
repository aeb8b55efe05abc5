/*
 * The configuration file -> one struct config.
 *
 * Four passes, each of which tells every fault that it finds: the text and its
 * includes (conf_source), libconfig's syntax, the schema (here), and what
 * concerns several keys (conf_check). The result is built beside the caller's
 * struct and copied only when it is faultless.
 */
#include "conf.h"

#include <assert.h>
#include <libconfig.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf_file.h"
#include "conf_schema.h"
#include "conf_value.h"

/* Names in messages are cut to this. */
#define SHOWN_NAME "%.60s"

static void tell(struct conf_file *f, conf_fault_fn fn, const char *file, unsigned line,
                 const char *message)
{
    char text[CONF_FILE_NAME_MAX + 16 + CONF_LABEL_BYTES + CONF_WHY_BYTES];

    snprintf(text, sizeof(text), "%s:%u: %s", file, line, message);
    /* Quoted values may hold line breaks and terminal sequences. */
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    fn(f->arg, text);
}

/* Counts a fault; false if it is one too many to tell. */
static bool fault_count(struct conf_file *f, const char *file, unsigned line)
{
    f->faults++;
    if (f->faults == CONF_FAULTS_TOLD_MAX + 1)
        tell(f, f->fault, file, line, "too many faults; the rest is not told");
    return f->faults <= CONF_FAULTS_TOLD_MAX;
}

static void source_fault(void *arg, const char *file, unsigned line, const char *message)
{
    struct conf_file *f = arg;

    if (fault_count(f, file, line))
        tell(f, f->fault, file, line, message);
}

/* The setting `label` or NULL. "vips[0].mode" is "vips.[0].mode" to libconfig. */
static const config_setting_t *setting_find(const struct conf_file *f, const char *label)
{
    char path[2 * CONF_LABEL_BYTES];
    size_t n = 0;

    for (const char *p = label; *p != '\0' && n + 3 < sizeof(path); p++) {
        if (*p == '[')
            path[n++] = '.';
        path[n++] = *p;
    }
    path[n] = '\0';
    return config_lookup(f->tree, path);
}

/* Where `label` is: itself, or the nearest thing around it. */
static void label_origin(const struct conf_file *f, const char *label, const char **file,
                         unsigned *line)
{
    char around[CONF_LABEL_BYTES];
    const config_setting_t *s;
    char *cut;

    snprintf(around, sizeof(around), "%s", label);
    while ((s = setting_find(f, around)) == NULL) {
        if ((cut = strpbrk(around, ".[")) == NULL) {
            conf_source_origin(&f->source, 1, file, line);
            return;
        }
        for (char *next; (next = strpbrk(cut + 1, ".[")) != NULL;)
            cut = next;
        *cut = '\0';
    }
    conf_source_origin(&f->source, config_setting_source_line(s), file, line);
}

/* Notes which row or VIP `label` belongs to. */
static void faulty_mark(struct conf_file *f, const char *label)
{
    unsigned vip;

    if (sscanf(label, "vips[%u]", &vip) == 1) {
        if (vip < VIPS_MAX)
            f->vip_faulty[vip] = true;
        return;
    }
    for (size_t i = 0; i < conf_keys_count; i++) {
        size_t n = strlen(conf_keys[i].path);
        if (strncmp(label, conf_keys[i].path, n) == 0 && (label[n] == '\0' || label[n] == '['))
            f->faulty[i] = true;
    }
}

__attribute__((format(printf, 4, 0))) static void
label_tell(struct conf_file *f, conf_fault_fn fn, const char *label, const char *format, va_list ap)
{
    char message[CONF_LABEL_BYTES + CONF_WHY_BYTES];
    const char *file;
    unsigned line;
    int n = snprintf(message, sizeof(message), "%s: ", label);

    assert(n > 0 && (size_t)n < sizeof(message));
    vsnprintf(message + n, sizeof(message) - (size_t)n, format, ap);
    label_origin(f, label, &file, &line);
    tell(f, fn, file, line, message);
}

void conf_complain(struct conf_file *f, const char *label, const char *format, ...)
{
    va_list ap;

    faulty_mark(f, label);
    if (!fault_count(f, f->source.file[0], 1))
        return;
    va_start(ap, format);
    label_tell(f, f->fault, label, format, ap);
    va_end(ap);
}

void conf_remark(struct conf_file *f, const char *label, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    label_tell(f, f->note, label, format, ap);
    va_end(ap);
}

bool conf_said(const struct conf_file *f, const char *label)
{
    return setting_find(f, label) != NULL;
}

bool conf_sound(const struct conf_file *f, const char *path)
{
    const struct conf_key *k = conf_key_find(path);

    assert(k != NULL);
    return !f->faulty[k - conf_keys];
}

static const char *const form_wanted[FORM_MAX] = {
    [FORM_GROUP] = "must be a group: { ... }",
    [FORM_LIST] = "must be a list of groups: ( { ... }, { ... } )",
    [FORM_TEXT] = "must be a text in quotes",
    [FORM_TEXTS] = "must be a text in quotes, or a list of them: [ \"...\", \"...\" ]",
    [FORM_NUMBER] = "must be a whole number, without quotes",
    [FORM_NUMBERS] = "must be a whole number, or a list of them: [ 80, 443 ], without quotes",
    [FORM_TRUTH] = "must be true or false, without quotes",
};

static bool is_number(const config_setting_t *s)
{
    int type = config_setting_type(s);

    return type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
}

/* Whether a setting is written as `form` wants. */
static bool form_fits(const config_setting_t *s, enum conf_form form)
{
    int type = config_setting_type(s);

    switch (form) {
    case FORM_GROUP:
        return type == CONFIG_TYPE_GROUP;
    case FORM_LIST:
        return config_setting_is_list(s) ||
               (config_setting_is_array(s) && config_setting_length(s) == 0);
    case FORM_TEXT:
        return type == CONFIG_TYPE_STRING;
    case FORM_TEXTS:
        return type == CONFIG_TYPE_STRING || type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST;
    case FORM_NUMBER:
        return is_number(s);
    case FORM_NUMBERS:
        return is_number(s) || type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST;
    case FORM_TRUTH:
        return type == CONFIG_TYPE_BOOL;
    case FORM_MAX:
        break;
    }
    return false;
}

static void form_refuse(struct conf_file *f, const struct conf_key *k, const config_setting_t *s,
                        const char *label)
{
    enum conf_form form = k->type->form;

    assert(form < FORM_MAX);
    if (form == FORM_TEXT && config_setting_is_number(s) && strcmp(k->type->name, "duration") == 0)
        conf_complain(f, label,
                      "must be a duration in quotes with a unit (ms, s, m, h), "
                      "as in \"%s\"",
                      k->fallback != NULL ? k->fallback : "100ms");
    else
        conf_complain(f, label, "%s", form_wanted[form]);
}

static void scalar_take(struct conf_file *f, const struct conf_key *k, const config_setting_t *s,
                        const char *label, void *base)
{
    struct conf_input in = {.text = ""};
    char why[CONF_WHY_BYTES];

    switch (k->type->form) {
    case FORM_NUMBER:
    case FORM_NUMBERS:
        in.number = config_setting_get_int64(s);
        break;
    case FORM_TRUTH:
        in.number = config_setting_get_bool(s);
        break;
    default:
        in.text = config_setting_get_string(s);
        break;
    }
    if (!k->type->set(k, &in, base, why))
        conf_complain(f, label, "%s", why);
}

/* One value after the other. */
static void values_take(struct conf_file *f, const struct conf_key *k, const config_setting_t *s,
                        const char *label, void *base)
{
    enum conf_form each = k->type->form == FORM_TEXTS ? FORM_TEXT : FORM_NUMBER;
    int count = config_setting_length(s);

    if (form_fits(s, each)) {
        scalar_take(f, k, s, label, base);
        return;
    }
    if (count < k->min)
        conf_complain(f, label, "must not be empty");
    for (int i = 0; i < count; i++) {
        const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
        char name[CONF_LABEL_BYTES];

        snprintf(name, sizeof(name), "%.160s[%d]", label, i);
        if (form_fits(e, each))
            scalar_take(f, k, e, name, base);
        else
            conf_complain(f, name, "%s", form_wanted[each]);
    }
}

/* The defaults of all keys of one struct: of those in a list's groups ("vips[]"), or,
 * NULL, of those that are in none. */
static void defaults_take(const char *within, void *base)
{
    for (size_t i = 0; i < conf_keys_count; i++) {
        const struct conf_key *k = &conf_keys[i];

        if (within != NULL ? conf_key_within(k, within) : strchr(k->path, '[') == NULL)
            conf_key_default(k, base);
    }
}

static void group_take(struct conf_file *f, const config_setting_t *group, const char *path,
                       const char *label, void *base);

/* Where the groups of a list go: what they are, and room for one. */
struct list {
    const char *path, *what;
    void *(*room)(void *base, size_t i);
};

static void *vip_room(void *base, size_t i)
{
    struct config *c = base;

    c->vips = i + 1;
    return &c->vip[i];
}

static void *service_room(void *base, size_t i)
{
    struct vip_config *v = base;

    v->services = i + 1;
    return &v->service[i];
}

static void list_take(struct conf_file *f, const struct conf_key *k, const config_setting_t *s,
                      const char *label, void *base)
{
    static const struct list lists[] = {{"vips", "virtual addresses", vip_room},
                                        {"vips[].services", "services", service_room}};
    const struct list *list = &lists[0];
    char within[CONF_LABEL_BYTES];
    int count = config_setting_length(s);

    while (strcmp(list->path, k->path) != 0)
        list++;
    if (count > k->max) {
        conf_complain(f, label, "more than %d %s", (int)k->max, list->what);
        count = (int)k->max;
    }
    snprintf(within, sizeof(within), "%s[]", k->path);
    for (int i = 0; i < count; i++) {
        const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
        void *room = list->room(base, (size_t)i);
        char name[CONF_LABEL_BYTES];

        snprintf(name, sizeof(name), "%.160s[%d]", label, i);
        defaults_take(within, room);
        if (config_setting_is_group(e))
            group_take(f, e, within, name, room);
        else
            conf_complain(f, name, "%s", form_wanted[FORM_GROUP]);
    }
}

static void member_take(struct conf_file *f, const config_setting_t *s, const char *path,
                        const char *label, void *base)
{
    const char *name = config_setting_name(s), *dot = path[0] != '\0' ? "." : "";
    char member_path[CONF_LABEL_BYTES], member_label[CONF_LABEL_BYTES];
    const struct conf_key *k, *near;

    snprintf(member_path, sizeof(member_path), "%s%s" SHOWN_NAME, path, dot, name);
    snprintf(member_label, sizeof(member_label), "%.100s%s" SHOWN_NAME, label, dot, name);
    k = conf_key_find(member_path);
    if (k == NULL && (near = conf_key_nearest(path, name)) != NULL) {
        conf_complain(f, member_label, "unknown key; did you mean \"%s\"?",
                      conf_key_within(near, path) ? conf_key_name(near) : near->path);
    } else if (k == NULL) {
        conf_complain(f, member_label, "unknown key");
    } else if (k->need == CONF_LATER) {
        conf_complain(f, member_label, "not available in this version; remove it");
    } else if (!form_fits(s, k->type->form)) {
        form_refuse(f, k, s, member_label);
    } else if (k->type->form == FORM_GROUP) {
        group_take(f, s, k->path, member_label, base);
    } else if (k->type->form == FORM_LIST) {
        list_take(f, k, s, member_label, base);
    } else if (k->type->form == FORM_TEXTS || k->type->form == FORM_NUMBERS) {
        values_take(f, k, s, member_label, base);
    } else {
        scalar_take(f, k, s, member_label, base);
    }
}

/* Everything in a group, then what it lacks. `group` NULL: it is not there. */
static void group_take(struct conf_file *f, const config_setting_t *group, const char *path,
                       const char *label, void *base)
{
    int count = group != NULL ? config_setting_length(group) : 0;

    for (int i = 0; i < count; i++)
        member_take(f, config_setting_get_elem(group, (unsigned)i), path, label, base);

    for (size_t i = 0; i < conf_keys_count; i++) {
        const struct conf_key *k = &conf_keys[i];
        char lacking[CONF_LABEL_BYTES];

        if (k->need != CONF_REQUIRED || !conf_key_within(k, path))
            continue;
        if (group != NULL && config_setting_get_member(group, conf_key_name(k)) != NULL)
            continue;
        snprintf(lacking, sizeof(lacking), "%.100s%s%s", label, path[0] != '\0' ? "." : "",
                 conf_key_name(k));
        if (k->type->form == FORM_GROUP)
            group_take(f, NULL, k->path, lacking, base);
        else
            conf_complain(f, lacking, "is required");
    }
}

/* libconfig's pass over the joined text. */
static bool syntax_take(struct conf_file *f)
{
    const char *file, *text;
    unsigned line;

    config_set_include_dir(f->tree, "/dev/null"); /* nothing is left to include */
    if (config_read_string(f->tree, f->source.text != NULL ? f->source.text : ""))
        return true;
    conf_source_origin(&f->source, (unsigned)config_error_line(f->tree), &file, &line);
    text = config_error_text(f->tree);
    if (text == NULL)
        text = "cannot be parsed";
    else if (strcmp(text, "syntax error") == 0)
        text = "syntax error, here or at the end of the line before";
    source_fault(f, file, line, text);
    return false;
}

/* All passes after the text was read; `out` may be NULL. */
static int file_take(struct conf_file *f, struct config *out)
{
    static const struct config empty;
    struct config c = empty;
    config_t tree;

    static_assert(CONF_KEYS_MAX >= 64, "one flag per row of conf_keys");
    assert(conf_keys_count <= CONF_KEYS_MAX);
    config_init(&tree);
    f->tree = &tree;
    if (f->faults == 0 && syntax_take(f)) {
        defaults_take(NULL, &c);
        group_take(f, config_root_setting(&tree), "", "", &c);
        conf_resolve(f, &c);
        if (!f->keyless)
            conf_keys_load(f, &c);
    }
    if (f->faults == 0 && out != NULL)
        *out = c;
    sodium_memzero(&c, sizeof(c));
    config_destroy(&tree);
    f->tree = NULL;
    conf_source_free(&f->source);
    return f->faults;
}

int conf_load(const char *path, struct config *out, conf_fault_fn fault, void *arg)
{
    struct conf_file f = {.fault = fault, .arg = arg};

    conf_source_read(&f.source, path, source_fault, &f);
    return file_take(&f, out);
}

int conf_check(const char *path, conf_fault_fn fault, conf_fault_fn note, void *arg)
{
    struct conf_file f = {.fault = fault, .note = note, .arg = arg};

    assert(note != NULL);
    conf_source_read(&f.source, path, source_fault, &f);
    return file_take(&f, NULL);
}

int conf_parse(const char *name, const char *text, size_t length, struct config *out,
               conf_fault_fn fault, void *arg)
{
    struct conf_file f = {.fault = fault, .arg = arg, .keyless = true};

    conf_source_take(&f.source, name, text, length, source_fault, &f);
    return file_take(&f, out);
}
