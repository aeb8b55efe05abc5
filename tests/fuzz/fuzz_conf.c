/*
 * Any bytes as a configuration: no crash, no leak, every fault told with its
 * line, nothing taken of what is faulty, and what is accepted keeps every limit
 * that the rest of the program relies on, and means the same below a comment.
 *
 * Leaks are counted here, block by block, and not left to LeakSanitizer: what
 * libconfig forgets at a syntax error is freed, so that a run of millions neither
 * grows nor stops to search its memory.
 *
 * With FUZZ_DICTIONARY=FILE in the environment it writes the words of the schema
 * there, for -dict=FILE, and ends.
 */
#include <sanitizer/allocator_interface.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/conf.h"
#include "io/conf_schema.h"

enum { FAULTS_TOLD_MAX = 100 + 1 }; /* the last says that there are more */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* ----------------------------------------------------------------- blocks */

/* The blocks that are held: open addressing, a block that is freed leaves FREED. */
enum { SLOTS = 16384, SLOTS_FULL = SLOTS / 4 * 3 };
static const char freed;
#define FREED ((const volatile void *)&freed)

static struct {
    bool counting;
    size_t taken; /* slots that are not NULL */
    size_t held;
    const volatile void *slot[SLOTS];
} blocks;

static size_t slot_of(const volatile void *block)
{
    return (size_t)((uint64_t)(uintptr_t)block * UINT64_C(0x9e3779b97f4a7c15) >> 32) % SLOTS;
}

static void block_taken(const volatile void *block, size_t size)
{
    (void)size;
    if (!blocks.counting || block == NULL || blocks.taken == SLOTS_FULL)
        return;
    size_t at = slot_of(block);
    while (blocks.slot[at] != NULL && blocks.slot[at] != FREED)
        at = (at + 1) % SLOTS;
    blocks.taken += blocks.slot[at] == NULL;
    blocks.slot[at] = block;
    blocks.held++;
}

static void block_freed(const volatile void *block)
{
    if (!blocks.counting || block == NULL)
        return;
    for (size_t at = slot_of(block); blocks.slot[at] != NULL; at = (at + 1) % SLOTS) {
        if (blocks.slot[at] != block)
            continue;
        blocks.slot[at] = FREED;
        blocks.held--;
        return;
    }
}

static void blocks_begin(void)
{
    if (blocks.taken > 0)
        memset(blocks.slot, 0, sizeof blocks.slot);
    blocks.taken = blocks.held = 0;
    blocks.counting = true;
}

/* Frees what is left; how many that were. */
static size_t blocks_end(void)
{
    size_t left = blocks.taken == SLOTS_FULL ? 0 : blocks.held;

    blocks.counting = false;
    for (size_t at = 0; at < SLOTS && blocks.held > 0; at++) {
        if (blocks.slot[at] == NULL || blocks.slot[at] == FREED)
            continue;
        free((void *)(uintptr_t)blocks.slot[at]);
        blocks.held--;
    }
    return left;
}

/* ----------------------------------------------------------------- faults */

struct told {
    size_t faults;
    unsigned lines; /* of the text */
    bool syntax;    /* an error: libconfig 1.5 forgets the string that it was reading */
};

static void fault_check(void *arg, const char *fault)
{
    struct told *t = arg;
    char *after = NULL;

    t->faults++;
    check(strncmp(fault, "F:", 2) == 0 && strchr(fault, '\n') == NULL);
    unsigned long line = strtoul(fault + 2, &after, 10);
    check(line >= 1 && line <= t->lines && strncmp(after, ": ", 2) == 0 && after[2] != '\0');
    for (const char *p = fault; *p != '\0'; p++)
        check((unsigned char)*p >= ' ' && *p != 0x7f);
    t->syntax = t->syntax || strncmp(after, ": syntax error", 14) == 0;
}

static void config_check(const struct config *c)
{
    struct node_config n;

    check(c->cluster[0] != '\0' && strlen(c->cluster) <= NAME_BYTES_MAX);
    check(c->node[0] != '\0' && strlen(c->node) <= NAME_BYTES_MAX);
    check(c->key_file[0] == '/' && c->state_dir[0] == '/' && c->control_socket[0] == '/');
    check(c->buckets >= BUCKETS_MIN && c->buckets <= BUCKETS_MAX);
    check((c->buckets & (c->buckets - 1)) == 0);
    check(c->weight <= WEIGHT_MAX && c->port > 0);
    check(c->heartbeat_links >= 1 && c->heartbeat_links <= HEARTBEAT_LINKS_MAX);
    check(c->peers <= PEERS_MAX && (c->peers > 0 || c->group.family != FAMILY_NONE));
    check(c->interval >= 10 * USEC_PER_MS && c->dead_after >= 3 * c->interval);
    check(c->lease < c->dead_after && c->lease >= 2 * c->interval);
    check(c->forget_after > c->dead_after);
    check(c->quorum < QUORUM_MAX && c->founders <= MEMBERS_MAX);
    for (size_t i = 0; i < c->founders; i++)
        check(c->founder[i][0] != '\0' && strlen(c->founder[i]) <= NAME_BYTES_MAX);
    check(c->flap.reuse <= c->flap.suppress && c->flap.half_life > 0 && c->flap.max_hold > 0);
    check(c->vips <= VIPS_MAX && c->vips * c->buckets <= VIP_BUCKETS_MAX);
    for (size_t i = 0; i < c->vips; i++) {
        const struct vip_config *v = &c->vip[i];
        check(v->address.family == FAMILY_IP4 || v->address.family == FAMILY_IP6);
        check(v->prefix <= (v->address.family == FAMILY_IP4 ? 32 : 128));
        check(v->services <= SERVICES_MAX);
        for (size_t j = 0; j < v->services; j++) {
            const struct service_config *s = &v->service[j];

            check(s->protocol < SERVICE_MAX && s->policy < POLICY_MAX);
            check(s->ports <= SERVICE_PORTS_MAX && s->bucket < c->buckets);
            check(s->protocol != SERVICE_ANY || s->ports == 0);
            for (size_t p = 1; p < s->ports; p++)
                check(s->port[p - 1] < s->port[p]);
        }
        check(v->mode < VIP_MODE_MAX && v->select < SELECT_MAX && v->affinity < AFFINITY_MAX &&
              v->orphans < ORPHANS_MAX);
        check(v->interface[0] != '\0' && strlen(v->interface) <= IFNAME_BYTES_MAX);
        check((v->mac.byte[0] & 1) == 0);
    }
    conf_node(c, &n);
    check(n.buckets == c->buckets && n.lease == c->lease && n.config_digest == c->digest);
    check(conf_reload_obstacle(c, c) == NULL);
}

static void no_fault(void *arg, const char *fault)
{
    (void)arg;
    (void)fault;
    abort();
}

/* The text once more, in a place of its own and a line further down. */
static void again_check(const uint8_t *data, size_t size, const struct config *was)
{
    static const char comment[] = "# \"{ /*\n";
    static char text[8192];
    static struct config is;
    size_t above = sizeof comment - 1;

    if (size > sizeof text - above)
        return;
    memcpy(text, comment, above);
    memcpy(text + above, data, size);
    check(conf_parse("G", text, above + size, &is, no_fault, NULL) == 0);
    check(memcmp(&is, was, sizeof is) == 0);
}

/* ------------------------------------------------------------- dictionary */

static void word_print(FILE *out, const char *word)
{
    if (word == NULL || *word == '\0')
        return;
    putc('"', out);
    for (const char *p = word; *p != '\0'; p++)
        fprintf(out, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
    fputs("\"\n", out);
}

/* Names, and values that are right. */
static void dictionary_write(const char *path)
{
    static const char *const syntax[] = {
        " = { ",       "}; ",   " = ( { ", " } ); ", " = [ \"", "\", \"",
        "\" ]; ",      " = \"", "\"; ",    "true; ", "false; ", "0x10L; ",
        "@include \"", "# ",    "/* ",     "*/ ",    "1e9; ",   "\\",
    };
    FILE *out = fopen(path, "w");

    check(out != NULL);
    for (size_t i = 0; i < sizeof syntax / sizeof *syntax; i++)
        word_print(out, syntax[i]);
    for (size_t i = 0; i < conf_keys_count; i++) {
        word_print(out, conf_key_name(&conf_keys[i]));
        word_print(out, conf_keys[i].fallback);
        for (const struct conf_word *w = conf_keys[i].words; w != NULL && w->text != NULL; w++)
            word_print(out, w->text);
    }
    check(fclose(out) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *path = getenv("FUZZ_DICTIONARY");

    (void)argc;
    (void)argv;
    if (path != NULL) {
        dictionary_write(path);
        exit(0);
    }
    /* What is taken once and kept has been taken before anything is counted. */
    (void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    (void)LLVMFuzzerTestOneInput((const uint8_t *)"x=1.0;", 6);
    check(__sanitizer_install_malloc_and_free_hooks(block_taken, block_freed) != 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config, untouched;
    struct told told = {.lines = 1};

    for (size_t i = 0; i < size; i++)
        told.lines += data[i] == '\n';
    memset(&untouched, 0x5a, sizeof untouched);
    config = untouched;
    blocks_begin();
    int faults = conf_parse("F", (const char *)data, size, &config, fault_check, &told);
    size_t left = blocks_end();

    check(faults >= 0 &&
          told.faults == (size_t)(faults < FAULTS_TOLD_MAX ? faults : FAULTS_TOLD_MAX));
    check(left <= told.syntax);
    if (faults == 0) {
        config_check(&config);
        again_check(data, size, &config);
        return 0;
    }
    check(memcmp(&config, &untouched, sizeof config) == 0);
    return 0;
}
