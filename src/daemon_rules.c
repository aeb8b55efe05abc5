/*
 * The live ruleset, as the distribution's nft(8) prints it, or in the words of
 * iptables.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_private.h"

enum {
    WHY_BYTES = 256,
    RULES_PATIENCE_S = 5,
    RULES_ERROR_BYTES = 200, /* of nft's complaint */
};

/* One table each time: told to list two, nft 1.0.6 finds neither. */
static int table_list(struct daemon *d, char *family, struct evbuffer *out, char *why)
{
    static char name[] = "nft", list[] = "list", table[] = "table", ours[] = "ipclusterd";
    static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C";
    char *const arguments[] = {name, list, table, family, ours, NULL};
    char *const environment[] = {path, locale, NULL};
    const struct daemon_child nft = {.file = name,
                                     .arguments = arguments,
                                     .environment = environment,
                                     .patience = RULES_PATIENCE_S * USEC_PER_S};
    size_t before = evbuffer_get_length(out);
    int status;
    int rc = daemon_child(d, &nft, out, &status);
    if (rc < 0 && status < 0) {
        snprintf(why, WHY_BYTES, "cannot run nft: %s: install the package nftables", strerror(-rc));
    } else if (rc < 0) {
        snprintf(why, WHY_BYTES, "nft gave no ruleset: %s", strerror(-rc));
    } else if (status != 0) {
        char complaint[RULES_ERROR_BYTES] = "";
        evbuffer_drain(out, before);
        evbuffer_copyout(out, complaint, sizeof complaint - 1);
        complaint[strcspn(complaint, "\n")] = '\0';
        snprintf(why, WHY_BYTES, "nft failed: %s", complaint);
        rc = -EIO;
    }
    return rc;
}

/* What is told of the rules that the kernel cannot list so. */
typedef int (*teller)(const struct daemon *d, FILE *file);

static int xdp_tell(const struct daemon *d, FILE *file)
{
    if (d->xdp != NULL)
        xdp_print(d->xdp, &d->config, file);
    return 0;
}

static int iptables_tell(const struct daemon *d, FILE *file)
{
    return nft_print_iptables(&d->config, d->place, &d->plan, FAMILY_IP4, file);
}

static int ip6tables_tell(const struct daemon *d, FILE *file)
{
    return nft_print_iptables(&d->config, d->place, &d->plan, FAMILY_IP6, file);
}

static int told_add(const struct daemon *d, teller tell, struct evbuffer *out)
{
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    if (file == NULL)
        return -ENOMEM;
    int rc = tell(d, file);
    if (fclose(file) != 0 && rc == 0)
        rc = -ENOMEM;
    if (rc == 0 && evbuffer_add(out, text, length) != 0)
        rc = -ENOMEM;
    free(text);
    return rc;
}

static int tables_list(struct daemon *d, struct evbuffer *out, char *why)
{
    static char families[][8] = {"inet", "netdev"};
    int rc = told_add(d, xdp_tell, out);
    for (size_t i = 0; i < sizeof families / sizeof *families && rc == 0; i++)
        rc = table_list(d, families[i], out, why);
    return rc;
}

int daemon_rules(struct daemon *d, enum ctl_rules form, struct evbuffer *out, char *why)
{
    struct evbuffer *text = evbuffer_new();
    int rc = text == NULL ? -ENOMEM : 0;
    why[0] = '\0';
    if (rc == 0)
        rc = form == CTL_RULES_NFT
                 ? tables_list(d, text, why)
                 : told_add(d, form == CTL_RULES_IPTABLES ? iptables_tell : ip6tables_tell, text);
    if (rc == 0)
        evbuffer_add_buffer(out, text);
    else if (why[0] == '\0')
        snprintf(why, WHY_BYTES, "not enough memory");
    if (text != NULL)
        evbuffer_free(text);
    return rc;
}
