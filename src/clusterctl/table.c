#include "table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 2 };

struct cell {
    enum colour colour;
    char text[TABLE_CELL_BYTES];
};

struct table {
    const struct table_column *column;
    size_t columns, cells, room;
    struct cell *cell;
    int width[TABLE_COLUMNS_MAX];
};

struct table *table_new(const struct table_column *columns, size_t count)
{
    struct table *t = calloc(1, sizeof *t);

    assert(count > 0 && count <= TABLE_COLUMNS_MAX);
    if (t == NULL)
        abort();
    t->column = columns;
    t->columns = count;
    for (size_t i = 0; i < count; i++)
        t->width[i] = text_width(columns[i].title);
    return t;
}

void table_cell(struct table *t, enum colour colour, const char *format, ...)
{
    size_t column = t->cells % t->columns;
    struct cell *cell;
    int width;
    va_list ap;

    if (t->cells == t->room) {
        t->room = t->room * 2 + t->columns * 8;
        t->cell = reallocarray(t->cell, t->room, sizeof *t->cell);
        if (t->cell == NULL)
            abort();
    }
    cell = &t->cell[t->cells++];
    cell->colour = colour;
    va_start(ap, format);
    vsnprintf(cell->text, sizeof cell->text, format, ap);
    va_end(ap);
    text_clean(cell->text);
    width = text_width(cell->text);
    if (width > t->width[column])
        t->width[column] = width;
}

/* Takes columns from the widest that may be shortened until the rest fits. */
static void widths_fit(struct table *t, int screen)
{
    int total = GAP * ((int)t->columns - 1);

    for (size_t i = 0; i < t->columns; i++)
        total += t->width[i];
    for (; total > screen; total--) {
        int widest = -1;
        for (size_t i = 0; i < t->columns; i++) {
            int shortest = t->column[i].shortest;
            if (shortest == 0 || t->width[i] <= shortest)
                continue;
            if (widest < 0 || t->width[i] > t->width[widest])
                widest = (int)i;
        }
        if (widest < 0)
            return;
        t->width[widest]--;
    }
}

static void cell_print(const struct table *t, size_t column, const char *text, enum colour colour,
                       const struct screen *s)
{
    int blanks = t->width[column] - text_width(text);
    bool last = column + 1 == t->columns;

    if (column > 0)
        printf("%*s", GAP, "");
    if (t->column[column].right)
        printf("%*s", blanks, "");
    printf("%s%s%s", screen_on(s, colour), text, screen_off(s, colour));
    if (!t->column[column].right && !last)
        printf("%*s", blanks, "");
    if (last)
        putchar('\n');
}

void table_print(struct table *t, const struct screen *s)
{
    assert(t->columns > 0 && t->cells % t->columns == 0);
    widths_fit(t, s->width);
    for (size_t i = 0; i < t->columns; i++)
        cell_print(t, i, t->column[i].title, DIM, s);
    for (size_t i = 0, column = 0; i < t->cells; i++) {
        char text[TABLE_CELL_BYTES];
        text_fit(t->cell[i].text, t->width[column], text, sizeof text);
        cell_print(t, column, text, t->cell[i].colour, s);
        column = column + 1 < t->columns ? column + 1 : 0;
    }
    free(t->cell);
    free(t);
}
