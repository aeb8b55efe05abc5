/*
 * Scripts as text. A line is a word and its values; `#` begins a comment. All
 * times are microseconds. Settings come first, then the acts in their order:
 *
 *     nodes 4
 *     net-storm.loss 20000
 *     weights 100 100 20 300
 *     drill pause 2
 *     storm 4000000
 *     strike 120000 500000 daemon-crash hosts 0,2-3 spread 1000
 *     strike 150000 900000 bridge hosts 0 against 3 both
 *     rest 4000000
 *
 * A strike has its time in the storm and how long it lasts. What is not set is
 * zero; "seed" and "noise" choose the random numbers of everything else.
 */
#include "script.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES_MAX = 4096, ACTS_MAX = 100000 };

/* Settings that are one number; sizes tell their type. */
#define SETTING(name, field, least, most)                                                          \
    {                                                                                              \
        name, offsetof(struct scenario, field), sizeof(((struct scenario *)0)->field), least, most \
    }
#define SPAN_MAX (3600 * USEC_PER_S)
#define PPM_MAX 1000000
#define NET_SETTINGS(name, field)                                 \
    SETTING(name ".loss", field.loss, 0, PPM_MAX),                \
        SETTING(name ".twice", field.twice, 0, PPM_MAX),          \
        SETTING(name ".late", field.late, 0, PPM_MAX),            \
        SETTING(name ".corrupt", field.corrupt, 0, PPM_MAX),      \
        SETTING(name ".delay-min", field.delay_min, 0, SPAN_MAX), \
        SETTING(name ".jitter", field.delay_jitter, 0, SPAN_MAX), \
        SETTING(name ".late-max", field.late_max, 0, SPAN_MAX)
#define KERNEL_SETTINGS(name, field)                                                              \
    SETTING(name ".fail", field.fail, 0, PPM_MAX), SETTING(name ".slow", field.slow, 0, PPM_MAX), \
        SETTING(name ".commit-min", field.commit_min, 0, SPAN_MAX),                               \
        SETTING(name ".commit-max", field.commit_max, 0, SPAN_MAX),                               \
        SETTING(name ".slow-max", field.slow_max, 0, SPAN_MAX)

static const struct setting {
    const char *name;
    size_t at, bytes;
    int64_t least, most;
} settings[] = {
    SETTING("seed", seed, 0, INT64_MAX),
    SETTING("noise", noise, 0, INT64_MAX),
    SETTING("nodes", nodes, 1, HOSTS_MAX),
    SETTING("buckets", buckets, BUCKETS_MIN, BUCKETS_MAX),
    SETTING("duration", duration, 0, 1000 * SPAN_MAX),
    SETTING("interval", interval, 1000, SPAN_MAX),
    SETTING("dead-after", dead_after, 3000, SPAN_MAX),
    SETTING("lease", lease, 1000, SPAN_MAX),
    SETTING("orphan-after", orphan_after, 1, SPAN_MAX),
    SETTING("start-within", start_within, 0, SPAN_MAX),
    SETTING("timer-late", timer_late, 0, SPAN_MAX),
    SETTING("connect-every", connect_every, 1, SPAN_MAX),
    SETTING("segment-every", segment_every, 1, SPAN_MAX),
    SETTING("forget-incarnation", forget_incarnation, 0, PPM_MAX),
    SETTING("clock-ppm", clock_ppm, 0, 10000),
    SETTING("majority", majority, 0, 1),
    SETTING("founders", founders, 0, 1),
    SETTING("careless", careless, 0, 1),
    SETTING("witness", witness, 0, 1),
    SETTING("rekey", rekey, 0, 1),
    SETTING("penalty", penalty, 0, 1000000),
    SETTING("half-life", half_life, 0, SPAN_MAX),
    SETTING("max-hold", max_hold, 0, 10 * SPAN_MAX),
    NET_SETTINGS("net-calm", net_calm),
    NET_SETTINGS("net-storm", net_storm),
    KERNEL_SETTINGS("kernel-calm", kernel_calm),
    KERNEL_SETTINGS("kernel-storm", kernel_storm),
};

enum { SETTINGS = sizeof settings / sizeof *settings };

static int64_t setting_get(const struct scenario *s, const struct setting *t)
{
    uint32_t small;
    int64_t large;
    if (t->bytes == sizeof large) {
        memcpy(&large, (const char *)s + t->at, sizeof large);
        return large;
    }
    memcpy(&small, (const char *)s + t->at, sizeof small);
    return small;
}

static void setting_put(struct scenario *s, const struct setting *t, int64_t v)
{
    uint32_t small = (uint32_t)v;
    if (t->bytes == sizeof v)
        memcpy((char *)s + t->at, &v, sizeof v);
    else
        memcpy((char *)s + t->at, &small, sizeof small);
}

static void hosts_write(const struct hosts *s, const char *word, FILE *f)
{
    const char *comma = "";
    fprintf(f, " %s ", word);
    for (int h = HOST_NONE; (h = hosts_next(s, h)) >= 0;) {
        int last = h;
        while (last + 1 < HOSTS_MAX && hosts_test(s, (unsigned)last + 1))
            last++;
        fprintf(f, last > h ? "%s%d-%d" : "%s%d", comma, h, last);
        comma = ",";
        h = last;
    }
}

static void strike_write(const struct act *a, FILE *f)
{
    fprintf(f, "strike %" PRId64 " %" PRId64 " %s", a->at, a->lasts, fault_name(a->fault));
    if (!hosts_empty(&a->hosts))
        hosts_write(&a->hosts, "hosts", f);
    if (!hosts_empty(&a->against))
        hosts_write(&a->against, "against", f);
    if (a->both)
        fputs(" both", f);
    if (a->spread != 0)
        fprintf(f, " spread %" PRId64, a->spread);
    if (a->value != 0)
        fprintf(f, " value %" PRId64, a->value);
    fputc('\n', f);
}

void script_write(const struct script *s, FILE *f)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        int64_t v = setting_get(&s->scenario, &settings[i]);
        if (v != 0)
            fprintf(f, "%s %" PRId64 "\n", settings[i].name, v);
    }
    fputs("weights", f);
    for (unsigned i = 0; i < s->scenario.nodes; i++)
        fprintf(f, " %u", s->scenario.weight[i]);
    fputc('\n', f);
    for (size_t i = 0; i < s->acts; i++) {
        const struct act *a = &s->act[i];
        switch (a->kind) {
        case ACT_STORM:
            fprintf(f, "storm %" PRId64 "\n", a->lasts);
            break;
        case ACT_STRIKE:
            strike_write(a, f);
            break;
        case ACT_DRILL:
            fprintf(f, "drill %s %u\n", drill_name(a->drill), a->victim);
            break;
        case ACT_REST:
            fprintf(f, "rest %" PRId64 "\n", a->lasts);
            break;
        case ACT_KINDS:
            break;
        }
    }
}

/* The words of a line, taken one after another. */
struct words {
    char *rest;
};

static const char *word_take(struct words *w)
{
    return strtok_r(NULL, " \t\n", &w->rest);
}

static bool number_of(const char *text, int64_t least, int64_t most, int64_t *out)
{
    char *end;
    if (text == NULL)
        return false;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    *out = v;
    return end != text && *end == '\0' && errno == 0 && v >= least && v <= most;
}

static bool number_take(struct words *w, int64_t least, int64_t most, int64_t *out)
{
    return number_of(word_take(w), least, most, out);
}

static bool hosts_take(struct words *w, struct hosts *out)
{
    const char *text = word_take(w);
    while (text != NULL && *text != '\0') {
        char *end;
        unsigned long first = strtoul(text, &end, 10), last = first;
        if (end == text)
            return false;
        text = end;
        if (*text == '-') {
            last = strtoul(text + 1, &end, 10);
            text = end;
        }
        if (last >= HOSTS_MAX || first > last || (*text != '\0' && *text != ','))
            return false;
        for (unsigned long h = first; h <= last; h++)
            hosts_set(out, (unsigned)h);
        if (*text == ',')
            text++;
    }
    return text != NULL;
}

static bool strike_take(struct words *w, struct act *a)
{
    const char *word;
    if (!number_take(w, 0, SPAN_MAX, &a->at) || !number_take(w, 0, SPAN_MAX, &a->lasts) ||
        (word = word_take(w)) == NULL)
        return false;
    a->fault = fault_by_name(word);
    bool good = a->fault < FAULT_COMPOUND;
    while (good && (word = word_take(w)) != NULL) {
        if (strcmp(word, "hosts") == 0)
            good = hosts_take(w, &a->hosts);
        else if (strcmp(word, "against") == 0)
            good = hosts_take(w, &a->against);
        else if (strcmp(word, "both") == 0)
            a->both = true;
        else if (strcmp(word, "spread") == 0)
            good = number_take(w, 0, SPAN_MAX, &a->spread);
        else if (strcmp(word, "value") == 0)
            good = number_take(w, 0, INT64_MAX, &a->value);
        else
            good = false;
    }
    return good;
}

static bool drill_take(struct words *w, struct act *a)
{
    const char *word = word_take(w);
    int64_t victim = 0;
    int d = 0;
    while (word != NULL && d < DRILL_KINDS && strcmp(drill_name((enum drill)d), word) != 0)
        d++;
    bool good = word != NULL && d < DRILL_KINDS && number_take(w, 0, HOSTS_MAX - 1, &victim);
    a->drill = (enum drill)d;
    a->victim = (unsigned)victim;
    return good;
}

/* An act, if `word` begins one. */
static bool act_take(struct script *s, const char *word, struct words *w)
{
    struct act a = {0};
    bool good = false;
    if (strcmp(word, "storm") == 0 || strcmp(word, "rest") == 0) {
        a.kind = word[0] == 's' ? ACT_STORM : ACT_REST;
        good = number_take(w, 0, 1000 * SPAN_MAX, &a.lasts);
    } else if (strcmp(word, "strike") == 0) {
        a.kind = ACT_STRIKE;
        good = s->acts > 0 && s->act[s->acts - 1].kind <= ACT_STRIKE && strike_take(w, &a);
    } else if (strcmp(word, "drill") == 0) {
        a.kind = ACT_DRILL;
        good = drill_take(w, &a);
    }
    if (good && s->acts < ACTS_MAX)
        script_add(s, &a);
    return good && s->acts < ACTS_MAX;
}

static bool line_take(struct script *s, const char *word, struct words *w)
{
    int64_t v = 0;
    for (size_t i = 0; i < SETTINGS; i++)
        if (strcmp(word, settings[i].name) == 0) {
            if (!number_take(w, settings[i].least, settings[i].most, &v))
                return false;
            setting_put(&s->scenario, &settings[i], v);
            return true;
        }
    if (strcmp(word, "weights") == 0) {
        const char *text;
        for (unsigned i = 0; (text = word_take(w)) != NULL; i++) {
            if (i == HOSTS_MAX || !number_of(text, 0, WEIGHT_MAX, &v))
                return false;
            s->scenario.weight[i] = (uint16_t)v;
        }
        return true;
    }
    return act_take(s, word, w);
}

/* What the settings must have to do with each other; NULL if all is well. */
static const char *scenario_fault(const struct scenario *s)
{
    if (s->nodes == 0 || s->interval == 0 || s->connect_every == 0 || s->segment_every == 0)
        return "nodes, interval, connect-every and segment-every have to be set";
    if (s->buckets < BUCKETS_MIN || (s->buckets & (s->buckets - 1)) != 0)
        return "buckets is no power of two";
    if (s->dead_after < 3 * s->interval || s->lease == 0 || s->lease >= s->dead_after)
        return "dead-after is below three intervals, or the lease not below dead-after";
    if (s->kernel_calm.commit_max < s->kernel_calm.commit_min ||
        s->kernel_storm.commit_max < s->kernel_storm.commit_min ||
        s->kernel_storm.slow_max < s->kernel_storm.commit_max)
        return "the kernels' times are not in order";
    return NULL;
}

bool script_read(struct script *s, FILE *f, const char *name)
{
    char line[LINE_BYTES_MAX];
    unsigned number = 0;
    script_cut(s, 0, s->acts);
    s->scenario = (struct scenario){0};
    s->given = true;
    while (fgets(line, sizeof line, f) != NULL) {
        number++;
        struct words w;
        line[strcspn(line, "#")] = '\0';
        const char *word = strtok_r(line, " \t\n", &w.rest);
        if (word != NULL && (!line_take(s, word, &w) || word_take(&w) != NULL)) {
            fprintf(stderr, "%s:%u: not understood\n", name, number);
            return false;
        }
    }
    const char *fault = scenario_fault(&s->scenario);
    if (fault != NULL)
        fprintf(stderr, "%s: %s\n", name, fault);
    return fault == NULL;
}
