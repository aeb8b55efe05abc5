/*
 * The text of a configuration file with its @include lines replaced by what
 * they name.
 *
 * libconfig could open included files itself, but it cuts integers to 32 bits
 * in silence, stops at a NUL byte as if the file ended there, bounds nothing,
 * and takes an absolute path as a relative one. So the text is joined here, in
 * one pass that knows comments and strings, and libconfig sees one buffer that
 * is free of all of these. The line table turns its line numbers back.
 */
#include "conf_source.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the scanner is in, from one line to the next. */
enum context { IN_TEXT, IN_STRING, IN_COMMENT };

struct scanner {
    struct conf_source *source;
    conf_source_fault_fn fault;
    void *arg;
    int faults;
    unsigned depth;
    enum context context;
};

/* One file under the scanner. */
struct input {
    unsigned short file;
    unsigned number;
};

__attribute__((format(printf, 3, 4))) static void
complain(struct scanner *sc, const struct input *in, const char *format, ...)
{
    char message[CONF_FILE_NAME_MAX + 128];
    va_list ap;

    va_start(ap, format);
    vsnprintf(message, sizeof(message), format, ap);
    va_end(ap);
    sc->faults++;
    sc->fault(sc->arg, sc->source->file[in->file], in->number, message);
}

static bool line_append(struct conf_source *s, const struct input *in, const char *text,
                        size_t length)
{
    if (s->lines == s->lines_room) {
        size_t room = s->lines_room * 2 + 64;
        struct conf_line *more = realloc(s->line, room * sizeof(*more));
        if (more == NULL)
            return false;
        s->line = more;
        s->lines_room = room;
    }
    if (s->length + length + 2 > s->room) {
        size_t room = s->room * 2 + length + 1024;
        char *more = realloc(s->text, room);
        if (more == NULL)
            return false;
        s->text = more;
        s->room = room;
    }
    memcpy(s->text + s->length, text, length);
    s->length += length;
    s->text[s->length++] = '\n';
    s->text[s->length] = '\0';
    s->line[s->lines++] = (struct conf_line){.file = in->file, .number = in->number};
    return true;
}

static bool word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '*' || c == '.';
}

/* A number that libconfig would cut to 32 bits becomes the largest that it does
 * not cut, which every key's range refuses. It is at least as long as that: ten
 * bytes. `p` is at its first digit. Returns the byte after it. */
static char *number_scan(char *p, const char *end)
{
    static const char largest[] = "2147483647";
    bool hex = end - p > 1 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
    char *start = p, digits[32] = "";
    size_t n;

    static_assert(INT_MAX == 2147483647, "largest");
    while (p < end && word_byte(*p))
        p++;
    n = (size_t)(p - start);
    if (memchr(start, '.', n) != NULL)
        return p;
    if (!hex && (memchr(start, 'e', n) != NULL || memchr(start, 'E', n) != NULL))
        return p;
    if (n < sizeof(largest) - 1)
        return p;
    memcpy(digits, start, n < sizeof(digits) ? n : sizeof(digits) - 1);
    if (n >= sizeof(digits) || strtoull(digits, NULL, hex ? 16 : 10) > INT_MAX) {
        memset(start, ' ', n);
        memcpy(start, largest, sizeof(largest) - 1);
    }
    return p;
}

/* Moves the context over one line, as libconfig's own scanner would. */
static void line_scan(struct scanner *sc, char *p, const char *end)
{
    bool in_word = false;

    while (p < end) {
        char c = *p, next = p + 1 < end ? p[1] : '\0';

        switch (sc->context) {
        case IN_COMMENT:
            if (c == '*' && next == '/') {
                sc->context = IN_TEXT;
                p++;
            }
            break;
        case IN_STRING:
            if (c == '\\')
                p++;
            else if (c == '"')
                sc->context = IN_TEXT;
            break;
        case IN_TEXT:
            if (c == '#' || (c == '/' && next == '/'))
                return;
            if (c == '/' && next == '*') {
                sc->context = IN_COMMENT;
                p++;
            } else if (c == '"') {
                sc->context = IN_STRING;
            } else if (!in_word && c >= '0' && c <= '9') {
                p = number_scan(p, end);
                continue;
            }
            in_word = word_byte(c) || (in_word && c == '-');
            break;
        }
        p++;
    }
}

/* If the line is an @include: its file name, quotes off, and `rest` after it. One
 * whose quote is not closed has no name; libconfig would pass over it in silence. */
static bool include_match(const char *p, const char *end, const char **name, size_t *length,
                          const char **rest)
{
    static const char word[] = "@include";
    const char *quote;

    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    if ((size_t)(end - p) < sizeof(word) || memcmp(p, word, sizeof(word) - 1) != 0)
        return false;
    p += sizeof(word) - 1;
    if (*p != ' ' && *p != '\t')
        return false;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    if (p == end || *p != '"')
        return false;
    quote = memchr(p + 1, '"', (size_t)(end - p - 1));
    *name = p + 1;
    *length = quote != NULL ? (size_t)(quote - *name) : 0;
    *rest = quote != NULL ? quote + 1 : end;
    return true;
}

static bool file_scan(struct scanner *sc, const struct input *by, const char *path);

/* Names in @include are relative to the directory of the configuration file. */
static bool include_scan(struct scanner *sc, const struct input *in, const char *name,
                         size_t length)
{
    const char *top = sc->source->file[0], *slash = strrchr(top, '/');
    int directory = slash != NULL && name[0] != '/' ? (int)(slash - top) + 1 : 0;
    char path[CONF_FILE_NAME_MAX + 1];
    int n;

    if (sc->source->closed) {
        complain(sc, in, "@include is not possible here");
        return true;
    }
    n = snprintf(path, sizeof(path), "%.*s%.*s", directory, top, (int)length, name);
    if (n < 0 || (size_t)n >= sizeof(path) || length == 0) {
        complain(sc, in, "@include: not a file name in quotes");
        return true;
    }
    return file_scan(sc, in, path);
}

/* One file's bytes. False: out of memory or over a limit, told already. */
static bool text_scan(struct scanner *sc, unsigned short file, const char *text, size_t length)
{
    struct input in = {.file = file};
    const char *p = text, *end = text + length;

    while (p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p)), *name, *rest;
        const char *next = stop != NULL ? stop + 1 : end;
        size_t name_length;
        char *line_end;

        if (stop == NULL)
            stop = end;
        in.number++;
        if (memchr(p, '\0', (size_t)(stop - p)) != NULL) {
            complain(sc, &in, "a NUL byte; this is not a text file");
            return false;
        }
        if (sc->context == IN_TEXT && include_match(p, stop, &name, &name_length, &rest)) {
            if (!include_scan(sc, &in, name, name_length))
                return false;
            p = rest;
        }
        if (sc->source->length + (size_t)(stop - p) + 1 > CONF_BYTES_MAX) {
            complain(sc, &in, "the configuration is larger than %d bytes", CONF_BYTES_MAX);
            return false;
        }
        if (!line_append(sc->source, &in, p, (size_t)(stop - p))) {
            complain(sc, &in, "out of memory");
            return false;
        }
        line_end = sc->source->text + sc->source->length - 1;
        line_scan(sc, line_end - (stop - p), line_end);
        p = next;
    }
    return true;
}

/* The bytes of `path`, at most one more than allowed. NULL: errno is set. */
static char *file_read(const char *path, size_t *length)
{
    size_t room = CONF_BYTES_MAX + 1;
    char *text = malloc(room);
    struct stat st;
    int fd = -1, error = ENOMEM;

    *length = 0;
    if (text == NULL)
        goto out;
    error = 0;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0)
        error = errno;
    else if (S_ISDIR(st.st_mode))
        error = EISDIR;
    while (error == 0 && *length < room) {
        ssize_t n = read(fd, text + *length, room - *length);
        if (n == 0)
            break;
        if (n > 0)
            *length += (size_t)n;
        else if (errno != EINTR)
            error = errno;
    }
out:
    if (fd >= 0)
        close(fd);
    if (error != 0) {
        free(text);
        text = NULL;
    }
    errno = error;
    return text;
}

/* `by` is the including line, or line 1 of the file itself. */
static bool file_scan(struct scanner *sc, const struct input *by, const char *path)
{
    struct conf_source *s = sc->source;
    size_t length, files = s->files;
    bool whole;
    char *text;

    if (sc->depth == CONF_DEPTH_MAX || files == CONF_FILES_MAX) {
        complain(sc, by, "@include: too many files, or a file that includes itself");
        return false;
    }
    if ((text = file_read(path, &length)) == NULL) {
        complain(sc, by, "cannot read \"%s\": %s", path, strerror(errno));
        return true;
    }
    snprintf(s->file[files], sizeof(s->file[files]), "%s", path);
    s->files = files + 1;
    sc->depth++;
    whole = text_scan(sc, (unsigned short)files, text, length);
    sc->depth--;
    free(text);
    return whole;
}

static void source_init(struct conf_source *s, const char *path)
{
    memset(s, 0, sizeof(*s));
    snprintf(s->file[0], sizeof(s->file[0]), "%s", path);
}

int conf_source_read(struct conf_source *s, const char *path, conf_source_fault_fn fault, void *arg)
{
    struct scanner sc = {.source = s, .fault = fault, .arg = arg};
    struct input top = {.file = 0, .number = 1};

    source_init(s, path);
    if (strlen(path) > CONF_FILE_NAME_MAX)
        complain(&sc, &top, "the file's name is too long");
    else
        file_scan(&sc, &top, path);
    return sc.faults;
}

int conf_source_take(struct conf_source *s, const char *path, const char *text, size_t length,
                     conf_source_fault_fn fault, void *arg)
{
    struct scanner sc = {.source = s, .fault = fault, .arg = arg, .depth = 1};

    source_init(s, path);
    s->files = 1;
    s->closed = true;
    text_scan(&sc, 0, text, length);
    return sc.faults;
}

void conf_source_free(struct conf_source *s)
{
    free(s->text);
    free(s->line);
    memset(s, 0, sizeof(*s));
}

void conf_source_origin(const struct conf_source *s, unsigned number, const char **file,
                        unsigned *line)
{
    struct conf_line at = {.file = 0, .number = 1};

    if (s->lines > 0)
        at = s->line[number == 0 ? 0 : number > s->lines ? s->lines - 1 : number - 1];
    *file = s->file[at.file];
    *line = at.number;
}
