/*
 * The text of a configuration file with everything it includes, and where each
 * line of it came from.
 */
#ifndef IPCLUSTERD_IO_CONF_SOURCE_H
#define IPCLUSTERD_IO_CONF_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    CONF_BYTES_MAX = 64 * 1024, /* of all files together; libconfig takes quadratic time */
    CONF_FILES_MAX = 32,
    CONF_DEPTH_MAX = 8, /* of files including files */
    CONF_FILE_NAME_MAX = 511,
};

/* A line of the joined text: line `number` (from 1) of file `file`. */
struct conf_line {
    unsigned short file;
    unsigned number;
};

struct conf_source {
    char *text; /* NUL-terminated */
    size_t length, room;
    struct conf_line *line; /* one per line of `text` */
    size_t lines, lines_room;
    size_t files;
    char file[CONF_FILES_MAX][CONF_FILE_NAME_MAX + 1];
    bool closed; /* no further file is opened: @include is a fault */
};

/* Takes a fault at line `number` of `file`. */
typedef void (*conf_source_fault_fn)(void *arg, const char *file, unsigned number,
                                     const char *message);

/* Reads `path` and what it includes. Returns the number of faults, each told;
 * conf_source_free() is due in any case. */
int conf_source_read(struct conf_source *s, const char *path, conf_source_fault_fn fault,
                     void *arg);

/* The same for `length` bytes in memory, called `path`; opens no file. */
int conf_source_take(struct conf_source *s, const char *path, const char *text, size_t length,
                     conf_source_fault_fn fault, void *arg);

void conf_source_free(struct conf_source *s);

/* Where line `number` (from 1) of the joined text came from. */
void conf_source_origin(const struct conf_source *s, unsigned number, const char **file,
                        unsigned *line);

#endif
