/*
 * Standard output as a screen: its width, whether it has colours, and words
 * that are safe and short enough for it.
 */
#ifndef CLUSTERCTL_SCREEN_H
#define CLUSTERCTL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum colour { PLAIN, GOOD, WARN, BAD, DIM, STRONG, COLOUR_MAX };

struct screen {
    bool terminal;
    bool colour; /* a terminal, and NO_COLOR is not set */
    int width;   /* columns: the terminal's, at least 40; 80 when there is none */
};

struct screen screen_open(void);

/* Sequences around coloured text; "" where there are no colours. */
const char *screen_on(const struct screen *s, enum colour c);
const char *screen_off(const struct screen *s, enum colour c);

/* Tells that an unfinished line is on the terminal, or ends that line. */
void screen_line_open(void);
void screen_line_end(void);

/* Columns that UTF-8 text takes (one for each character). */
int text_width(const char *text);

/* `text` in at most `width` columns, and `size` bytes: cut from the middle, since
 * names and addresses differ at their ends. */
void text_fit(const char *text, int width, char *out, size_t size);

/* Replaces control characters: names come from other hosts. */
void text_clean(char *text);

/* "12ms", "1.2s", "3m20s", "4h05m", "3d04h" */
const char *text_span(long long ms, char out[16]);

/* "999", "12.3k", "4.5M": at most six characters. */
const char *text_count(long long n, char out[16]);

/* Prints words wrapped to the screen's width, from column `indent`, where the
 * caller has left off; the lines after the first begin there too. */
void text_wrap(const struct screen *s, int indent, const char *text);

#endif
