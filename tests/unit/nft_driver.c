/*
 * src/io/nft by hand: takes commands on standard input, one a line, and answers
 * each with one line, "ok ..." or "error ERRNO WORDS".
 *
 *   nft_driver INTERFACE OWN_MAC BUCKETS LEASE_MS VIP...
 *   VIP: ADDRESS,shared|interface,mask|hash,SHARED_MAC[,late][,drop][,nomask]
 *
 *   class FIRST LAST CLASS [TARGET_MAC]   in the plan
 *   apply renew lost clear reopen
 *   watch           "ok 0" or "ok 1"
 *   counters VIP    "ok ACCEPTED FOREIGN ORPHAN FORWARDED"
 *   print           the text, then a line "ok"
 *   bench apply|forward|renew|install ROUNDS    "ok MEDIAN_US P90_US MAX_US"
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nft.h"

static struct config config;
static struct nft_place place[VIPS_MAX];
static struct plan plan;
static struct nft *nft;

static const char *const class_names[CLASS_MAX] = {"foreign", "own", "adopt", "release", "linger"};

static struct mac mac_of(const char *text)
{
    struct mac m;
    unsigned b[6];

    if (sscanf(text, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6) {
        fprintf(stderr, "not a MAC: %s\n", text);
        exit(2);
    }
    for (int i = 0; i < 6; i++)
        m.byte[i] = (uint8_t)b[i];
    return m;
}

static void vip_of(char *text, const char *interface, const char *own)
{
    struct vip_config *v = &config.vip[config.vips];
    char *save = NULL, *word = strtok_r(text, ",", &save);

    memset(v, 0, sizeof *v);
    v->address.family = strchr(word, ':') ? FAMILY_IP6 : FAMILY_IP4;
    if (inet_pton(v->address.family == FAMILY_IP6 ? AF_INET6 : AF_INET, word, v->address.byte) != 1)
        exit(2);
    snprintf(v->interface, sizeof v->interface, "%s", interface);
    v->early_drop = v->mask_source_mac = true;
    while ((word = strtok_r(NULL, ",", &save)) != NULL) {
        if (strcmp(word, "shared") == 0)
            v->mode = VIP_SHARED;
        else if (strcmp(word, "interface") == 0)
            v->mode = VIP_INTERFACE;
        else if (strcmp(word, "mask") == 0)
            v->select = SELECT_MASK;
        else if (strcmp(word, "hash") == 0)
            v->select = SELECT_HASH;
        else if (strcmp(word, "late") == 0)
            v->early_drop = false;
        else if (strcmp(word, "drop") == 0)
            v->orphans = ORPHANS_DROP;
        else if (strcmp(word, "nomask") == 0)
            v->mask_source_mac = false;
        else
            v->mac = mac_of(word);
    }
    place[config.vips].own = mac_of(own);
    place[config.vips].ifindex = if_nametoindex(interface);
    config.vips++;
}

static void answer(int error)
{
    if (error == 0)
        puts("ok");
    else
        printf("error %d %s\n", -error, nft_error(nft));
    fflush(stdout);
}

static void command_class(const char *line)
{
    unsigned first, last;
    char name[16], target[18] = "";

    if (sscanf(line, "class %u %u %15s %17s", &first, &last, name, target) < 3 ||
        last >= plan.buckets) {
        answer(-EINVAL);
        return;
    }
    for (unsigned c = 0; c < CLASS_MAX; c++)
        if (strcmp(name, class_names[c]) == 0)
            memset(plan.class_of + first, (int)c, last - first + 1);
    if (target[0] != '\0')
        plan.target[0] = mac_of(target);
    for (unsigned i = first; i <= last; i++)
        plan.target_of[i] = target[0] != '\0' ? 0 : PLAN_TARGET_NONE;
    answer(0);
}

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Every round of `apply` gives each bucket another class, of `forward` another
 * target: data of a map in place of a verdict. */
static void command_bench(const char *line)
{
    char what[16];
    unsigned rounds;
    double *took;

    if (sscanf(line, "bench %15s %u", what, &rounds) != 2 || rounds == 0 || rounds > 100000) {
        answer(-EINVAL);
        return;
    }
    took = calloc(rounds, sizeof *took);
    for (unsigned i = 0; took != NULL && i < rounds; i++) {
        double start;
        int error;

        memset(plan.class_of, i % 2 == 0 ? CLASS_LINGER : CLASS_OWN, plan.buckets);
        if (strcmp(what, "forward") == 0) {
            memset(plan.class_of, CLASS_RELEASE, plan.buckets);
            memset(plan.target_of, 0, sizeof plan.target_of);
            plan.target[0].byte[0] = 2;
            plan.target[0].byte[5] = (uint8_t)i;
        }
        if (strcmp(what, "install") == 0)
            nft_lost(nft);
        start = now_us();
        error =
            strcmp(what, "renew") == 0 ? nft_renew(nft, 3600 * USEC_PER_S) : nft_apply(nft, &plan);
        took[i] = now_us() - start;
        if (error != 0) {
            answer(error);
            free(took);
            return;
        }
    }
    qsort(took, rounds, sizeof *took, by_size);
    printf("ok %.0f %.0f %.0f\n", took[rounds / 2], took[rounds * 9 / 10], took[rounds - 1]);
    fflush(stdout);
    free(took);
}

static void command_other(const char *line)
{
    struct nft_counters c;
    unsigned vip;
    int error;

    if (strncmp(line, "apply", 5) == 0) {
        answer(nft_apply(nft, &plan));
    } else if (strncmp(line, "renew", 5) == 0) {
        answer(nft_renew(nft, 3600 * USEC_PER_S));
    } else if (strncmp(line, "lost", 4) == 0) {
        nft_lost(nft);
        answer(0);
    } else if (strncmp(line, "clear", 5) == 0) {
        answer(nft_clear(nft));
    } else if (strncmp(line, "reopen", 6) == 0) {
        answer(nft_reconfigure(nft, &config, place));
    } else if (strncmp(line, "watch", 5) == 0) {
        printf("ok %d\n", nft_watch_read(nft));
    } else if (sscanf(line, "counters %u", &vip) == 1 && vip < config.vips) {
        error = nft_counters(nft, vip, &c);
        if (error != 0)
            answer(error);
        else
            printf("ok %lu %lu %lu %lu\n", c.accepted, c.foreign, c.orphan_reset, c.forwarded);
    } else if (strncmp(line, "print", 5) == 0) {
        answer(nft_print(&config, place, &plan, stdout));
    } else {
        answer(-EINVAL);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char line[256];
    int error;

    if (argc < 6) {
        fprintf(stderr, "usage: nft_driver INTERFACE OWN_MAC BUCKETS LEASE_MS VIP...\n");
        return 2;
    }
    config.buckets = plan.buckets = (uint16_t)atoi(argv[3]);
    config.lease = atoi(argv[4]) * USEC_PER_MS;
    for (int i = 5; i < argc && config.vips < VIPS_MAX; i++)
        vip_of(argv[i], argv[1], argv[2]);
    memset(plan.target_of, 0xff, sizeof plan.target_of);
    error = nft_open(&nft, &config, place);
    if (error != 0) {
        fprintf(stderr, "nft_open: %s\n", strerror(-error));
        return 1;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strncmp(line, "class", 5) == 0)
            command_class(line);
        else if (strncmp(line, "bench", 5) == 0)
            command_bench(line);
        else
            command_other(line);
    }
    nft_close(nft);
    return 0;
}
