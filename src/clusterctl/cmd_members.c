/*
 * members: who does what, what each one is, how it stands, and who hears whom.
 *
 * The matrix has a column of one character for each member where there are many,
 * so that 64 fit on a screen of 80 columns; more are drawn in blocks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clusterctl.h"
#include "field.h"
#include "members.h"
#include "table.h"

static void detail_table(const struct screen *s, const json_t *members)
{
    static const struct table_column columns[] = {
        {"MEMBER", false, 10},    {"MAC", false, 0}, {"CLAIMED", true, 0},
        {"INCARNATION", true, 0}, {"RTT", true, 0},  {"LOSS", true, 0},
    };
    struct table *t = table_new(columns, sizeof columns / sizeof *columns);
    size_t i;
    json_t *m;

    json_array_foreach(members, i, m)
    {
        double loss = json_number_value(json_object_get(m, "loss_percent"));
        long long rtt = field_number(m, "rtt_us");
        table_cell(t, PLAIN, "%s", field_text(m, "name"));
        table_cell(t, PLAIN, "%s", field_text(m, "mac"));
        table_cell(t, PLAIN, "%lld", field_number(m, "claimed"));
        table_cell(t, PLAIN, "%lld", field_number(m, "incarnation"));
        if (rtt > 0)
            table_cell(t, PLAIN, "%.1fms", (double)rtt / 1000.0);
        else
            table_cell(t, PLAIN, "-");
        table_cell(t, loss >= 5.0 ? WARN : PLAIN, "%.1f%%", loss);
    }
    table_print(t, s);
}

static void standing_table(const struct screen *s, const json_t *members)
{
    static const struct table_column columns[] = {
        {"MEMBER", false, 10}, {"VOTER", false, 0},   {"PROTOCOL", true, 0},  {"CLOCK", true, 0},
        {"PENALTY", true, 0},  {"HELD FOR", true, 0}, {"NEXT KEY", false, 0},
    };
    struct table *t = table_new(columns, sizeof columns / sizeof *columns);
    char text[16];
    size_t i;
    json_t *m;

    json_array_foreach(members, i, m)
    {
        long long protocol = field_number(m, "protocol"), clock = field_number(m, "clock_ms");
        long long penalty = field_number(m, "flap_penalty"), hold = field_number(m, "hold_ms");
        table_cell(t, PLAIN, "%s", field_text(m, "name"));
        table_cell(t, PLAIN, "%s", field_true(m, "voter") ? "yes" : "-");
        if (protocol > 0)
            table_cell(t, PLAIN, "%lld", protocol);
        else
            table_cell(t, PLAIN, "-");
        table_cell(t, clock_is_off(m) ? WARN : PLAIN, "%s%s",
                   clock == 0  ? ""
                   : clock < 0 ? "-"
                               : "+",
                   text_span(clock_distance(m), text));
        table_cell(t, penalty > 0 ? WARN : PLAIN, "%lld", penalty);
        table_cell(t, hold > 0 ? BAD : PLAIN, "%s", hold > 0 ? text_span(hold, text) : "-");
        table_cell(t, PLAIN, "%.8s", field_text(m, "key_next"));
    }
    table_print(t, s);
}

/* ---------------------------------------------------------------- the matrix */

enum { LIVING_MAX = 256, LABEL_LEAST = 16, WIDE = 3 };

struct matrix {
    size_t living;
    const json_t *member[LIVING_MAX];
    bool deaf[LIVING_MAX][LIVING_MAX]; /* row does not hear column */
    bool any;
    int label, width; /* columns of a row's label, and of a cell */
};

static int matrix_index(const struct matrix *x, const char *name)
{
    for (size_t i = 0; i < x->living; i++)
        if (strcmp(field_text(x->member[i], "name"), name) == 0)
            return (int)i;
    return -1;
}

static void matrix_fill(struct matrix *x, const json_t *members)
{
    size_t i;
    json_t *m, *name;

    json_array_foreach(members, i, m) if (member_lives(m) && x->living < LIVING_MAX)
        x->member[x->living++] = m;
    for (size_t row = 0; row < x->living; row++) {
        json_array_foreach(json_object_get(x->member[row], "deaf_to"), i, name)
        {
            const char *text = json_string_value(name);
            int column = text != NULL ? matrix_index(x, text) : -1;
            if (column >= 0)
                x->deaf[row][column] = x->any = true;
        }
    }
}

static int matrix_digits(const struct matrix *x)
{
    return x->living > 99 ? 3 : 2;
}

/* Names get what the cells leave. */
static void matrix_layout(struct matrix *x, const struct screen *s)
{
    int living = (int)x->living, longest = 0;

    for (size_t i = 0; i < x->living; i++) {
        int name = text_width(field_text(x->member[i], "name"));
        longest = name > longest ? name : longest;
    }
    x->width = living * WIDE <= s->width - LABEL_LEAST ? WIDE : 1;
    x->label = s->width - living * x->width;
    if (x->label > longest + matrix_digits(x) + 2)
        x->label = longest + matrix_digits(x) + 2;
    if (x->label < LABEL_LEAST)
        x->label = LABEL_LEAST;
}

/* Numbers over the columns from `from` up to `to`; narrow ones stand upright. */
static void matrix_head(const struct screen *s, const struct matrix *x, size_t from, size_t to)
{
    static const size_t powers[] = {100, 10, 1};

    fputs(screen_on(s, DIM), stdout);
    for (size_t p = 0; p < sizeof powers / sizeof *powers; p++) {
        if (x->width == WIDE ? powers[p] != 1 : to < powers[p])
            continue;
        printf("%*s", x->label, "");
        for (size_t column = from; column < to; column++) {
            size_t n = column + 1;
            if (x->width == WIDE)
                printf("%*zu", WIDE, n);
            else
                putchar(n >= powers[p] ? (char)('0' + (int)(n / powers[p] % 10)) : ' ');
        }
        putchar('\n');
    }
    fputs(screen_off(s, DIM), stdout);
}

static void matrix_row(const struct screen *s, const struct matrix *x, size_t row, size_t from,
                       size_t to)
{
    char name[256];
    int digits = matrix_digits(x);

    text_fit(field_text(x->member[row], "name"), x->label - digits - 2, name, sizeof name);
    printf("%*zu %s%*s", digits, row + 1, name, x->label - digits - 1 - text_width(name), "");
    for (size_t column = from; column < to; column++) {
        bool deaf = x->deaf[row][column];
        enum colour colour = deaf ? BAD : PLAIN;
        printf("%*s%s%c%s", x->width - 1, "", screen_on(s, colour),
               row == column ? '-'
               : deaf        ? 'X'
                             : '.',
               screen_off(s, colour));
    }
    putchar('\n');
}

static void matrix_print(const struct screen *s, const struct matrix *x)
{
    size_t block = (size_t)((s->width - x->label) / x->width);

    text_wrap(s, 0, "Who hears whom: a row hears (.) the columns, or does not (X).");
    for (size_t from = 0; from < x->living; from += block) {
        size_t to = from + block < x->living ? from + block : x->living;
        matrix_head(s, x, from, to);
        for (size_t row = 0; row < x->living; row++)
            matrix_row(s, x, row, from, to);
    }
}

static void matrix_show(const struct call *c, const json_t *members)
{
    struct matrix *x = calloc(1, sizeof *x);

    if (x == NULL)
        abort();
    matrix_fill(x, members);
    matrix_layout(x, &c->screen);
    if (x->any || c->matrix) {
        putchar('\n');
        matrix_print(&c->screen, x);
    }
    free(x);
}

int cmd_members(const struct call *c)
{
    json_t *answer, *members;
    int code = ask(c, "/v1/members", NULL, &answer);

    if (code != DONE)
        return code;
    members = json_object_get(answer, "members");
    if (c->json) {
        json_print(c, answer);
    } else {
        members_table(&c->screen, members);
        putchar('\n');
        detail_table(&c->screen, members);
        putchar('\n');
        standing_table(&c->screen, members);
        matrix_show(c, members);
    }
    json_decref(answer);
    return DONE;
}
