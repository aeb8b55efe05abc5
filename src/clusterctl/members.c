#include "members.h"

#include <limits.h>
#include <string.h>

#include "field.h"
#include "table.h"

enum { CLOCK_OFF_MS = 5000 };

enum colour state_colour(const char *state)
{
    static const struct {
        const char *state;
        enum colour colour;
    } known[] = {
        {"serving", GOOD}, {"alive", GOOD},    {"dead", BAD}, {"isolated", BAD},
        {"held", BAD},     {"unhealthy", BAD}, {"left", DIM},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].state, state) == 0)
            return known[i].colour;
    return WARN;
}

/* What a member does, in one word. */
static const char *member_state(const json_t *m)
{
    const char *state = field_text(m, "state");

    if (strcmp(state, "alive") != 0)
        return state;
    if (!field_true(m, "healthy"))
        return "unhealthy";
    return field_true(m, "draining") ? "draining" : state;
}

bool member_lives(const json_t *member)
{
    const char *state = field_text(member, "state");

    return strcmp(state, "alive") == 0 || strcmp(state, "suspect") == 0 ||
           strcmp(state, "held") == 0;
}

long long clock_distance(const json_t *member)
{
    long long ahead = field_number(member, "clock_ms");

    return ahead == LLONG_MIN ? LLONG_MAX : ahead < 0 ? -ahead : ahead;
}

bool clock_is_off(const json_t *member)
{
    return clock_distance(member) >= CLOCK_OFF_MS;
}

void members_table(const struct screen *s, const json_t *members)
{
    static const struct table_column columns[] = {
        {"MEMBER", false, 10}, {"ADDRESS", false, 15}, {"STATE", false, 0}, {"WEIGHT", true, 0},
        {"BUCKETS", true, 0},  {"LINGER", true, 0},    {"FLOWS", true, 0},  {"HEARD", true, 0},
    };
    struct table *t = table_new(columns, sizeof columns / sizeof *columns);
    char text[16];
    size_t i;
    json_t *m;

    json_array_foreach(members, i, m)
    {
        const char *state = member_state(m);
        bool self = field_true(m, "self");
        table_cell(t, self ? STRONG : PLAIN, "%s%s", field_text(m, "name"), self ? " *" : "");
        table_cell(t, PLAIN, "%s", field_text(m, "address"));
        table_cell(t, state_colour(state), "%s", state);
        table_cell(t, PLAIN, "%lld", field_number(m, "weight"));
        table_cell(t, PLAIN, "%lld", field_number(m, "buckets"));
        table_cell(t, PLAIN, "%lld", field_number(m, "lingering"));
        table_cell(t, PLAIN, "%s", text_count(field_number(m, "flows"), text));
        table_cell(t, PLAIN, "%s", self ? "-" : text_span(field_number(m, "last_heard_ms"), text));
    }
    table_print(t, s);
}
