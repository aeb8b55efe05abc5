/*
 * Tables for people: columns as wide as their cells, shortened in the middle
 * where the screen is narrower.
 */
#ifndef CLUSTERCTL_TABLE_H
#define CLUSTERCTL_TABLE_H

#include "screen.h"

enum { TABLE_COLUMNS_MAX = 12, TABLE_CELL_BYTES = 96 };

struct table_column {
    const char *title;
    bool right;   /* numbers */
    int shortest; /* may be shortened to so many columns; 0: never */
};

struct table;

/* `columns` must outlive the table. Ends the program if memory is short. */
struct table *table_new(const struct table_column *columns, size_t count);

/* The next cell; rows fill from left to right. */
__attribute__((format(printf, 3, 4))) void table_cell(struct table *t, enum colour colour,
                                                      const char *format, ...);

/* Prints the table and frees it. An unfinished row is a bug. */
void table_print(struct table *t, const struct screen *s);

#endif
