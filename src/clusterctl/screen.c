#include "screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH_DEFAULT = 80, WIDTH_MIN = 40, WIDTH_MAX = 160 };

struct screen screen_open(void)
{
    struct screen s = {.terminal = isatty(STDOUT_FILENO) == 1, .width = WIDTH_DEFAULT};
    const char *kind = getenv("TERM");
    struct winsize size;

    if (!s.terminal)
        return s;
    s.colour = getenv("NO_COLOR") == NULL && kind != NULL && strcmp(kind, "dumb") != 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        s.width = size.ws_col;
    if (s.width < WIDTH_MIN)
        s.width = WIDTH_MIN;
    if (s.width > WIDTH_MAX)
        s.width = WIDTH_MAX;
    return s;
}

const char *screen_on(const struct screen *s, enum colour c)
{
    static const char *const sequence[COLOUR_MAX] = {
        [PLAIN] = "",       [GOOD] = "\033[32m", [WARN] = "\033[33m",
        [BAD] = "\033[31m", [DIM] = "\033[2m",   [STRONG] = "\033[1m",
    };

    return s->colour ? sequence[c] : "";
}

const char *screen_off(const struct screen *s, enum colour c)
{
    return s->colour && c != PLAIN ? "\033[0m" : "";
}

static bool line_open;

void screen_line_open(void)
{
    line_open = true;
}

void screen_line_end(void)
{
    if (line_open)
        putchar('\n');
    line_open = false;
    fflush(stdout);
}

int text_width(const char *text)
{
    int width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* Bytes of the first `characters` characters. */
static size_t bytes_of(const char *text, int characters)
{
    size_t n = 0;

    while (text[n] != '\0' && characters > 0) {
        n++;
        while (((unsigned char)text[n] & 0xc0) == 0x80)
            n++;
        characters--;
    }
    return n;
}

void text_fit(const char *text, int width, char *out, size_t size)
{
    int have = text_width(text);
    int head = (width - 1) / 2, tail = width - 1 - head;

    if (have <= width)
        snprintf(out, size, "%s", text);
    else
        snprintf(out, size, "%.*s~%s", (int)bytes_of(text, head), text,
                 text + bytes_of(text, have - tail));
}

void text_clean(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

const char *text_span(long long ms, char out[16])
{
    long long s = ms / 1000;

    if (ms < 0)
        snprintf(out, 16, "never");
    else if (ms < 1000)
        snprintf(out, 16, "%lldms", ms);
    else if (s < 10)
        snprintf(out, 16, "%lld.%llds", s, ms % 1000 / 100);
    else if (s < 60)
        snprintf(out, 16, "%llds", s);
    else if (s < 3600)
        snprintf(out, 16, "%lldm%02llds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, 16, "%lldh%02lldm", s / 3600, s % 3600 / 60);
    else
        snprintf(out, 16, "%lldd%02lldh", s / 86400 % 1000000, s % 86400 / 3600);
    return out;
}

const char *text_count(long long n, char out[16])
{
    static const char unit[] = "kMGTPE";
    double value = (double)n;
    int power = -1;

    while (value >= 999.95 && power < 5) {
        value /= 1000.0;
        power++;
    }
    if (power < 0)
        snprintf(out, 16, "%lld", n);
    else
        snprintf(out, 16, "%.1f%c", value, unit[power]);
    return out;
}

void text_wrap(const struct screen *s, int indent, const char *text)
{
    int column = indent;
    bool fresh = true;

    while (*text != '\0') {
        int length = (int)strcspn(text, " ");
        if (!fresh && column + 1 + length > s->width) {
            printf("\n%*s", indent, "");
            column = indent;
            fresh = true;
        }
        printf("%s%.*s", fresh ? "" : " ", length, text);
        column += length + !fresh;
        fresh = false;
        text += length;
        text += strspn(text, " ");
    }
    putchar('\n');
}
