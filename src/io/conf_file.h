/*
 * One configuration file while it is read: its tree, and who hears of faults.
 * Shared by the conf_*.c files only.
 */
#ifndef IPCLUSTERD_IO_CONF_FILE_H
#define IPCLUSTERD_IO_CONF_FILE_H

#include "conf.h"
#include "conf_source.h"

enum {
    CONF_KEYS_MAX = 64,
    CONF_FAULTS_TOLD_MAX = 100, /* of one file; the rest is only counted */
    CONF_LABEL_BYTES = 192,
};

struct config_t; /* libconfig's */

struct conf_file {
    struct conf_source source;
    struct config_t *tree;
    conf_fault_fn fault;
    conf_fault_fn note; /* NULL: a missing key file is a fault */
    void *arg;
    int faults;
    bool keyless;               /* the key files are not looked at */
    bool faulty[CONF_KEYS_MAX]; /* by row of conf_keys */
    bool vip_faulty[VIPS_MAX];
};

/*
 * Tells a fault of the key `label` ("node.weight", "vips[0].mode"). Its place
 * is the key's line, or that of the group around it.
 */
__attribute__((format(printf, 3, 4))) void conf_complain(struct conf_file *f, const char *label,
                                                         const char *format, ...);

/* The same for something that is no fault. */
__attribute__((format(printf, 3, 4))) void conf_remark(struct conf_file *f, const char *label,
                                                       const char *format, ...);

/* True if the file has the key. */
bool conf_said(const struct conf_file *f, const char *label);

/* True if no fault of the key `path` was told; not for keys of a VIP. */
bool conf_sound(const struct conf_file *f, const char *path);

/* Fills in what follows from other keys or from the host, then checks what
 * concerns several keys (conf_check.c). */
void conf_resolve(struct conf_file *f, struct config *c);

/* Reads c->key_file into c->key, and the next key if there is one
 * (conf_keyfile.c). */
void conf_keys_load(struct conf_file *f, struct config *c);

/* Orders the VIPs' services and gives them their buckets (conf_services.c); before,
 * checks what concerns several of them. */
void conf_services_check(struct conf_file *f, const struct config *c);
void conf_services_resolve(struct config *c);

/* What c->digest and c->part must be (conf_digest.c). */
uint64_t conf_digest(const struct config *c);
uint32_t conf_part_hash(const struct config *c, enum config_part part);
/* And c->vips_word and c->selection. */
void conf_vips_hash(const struct config *c, struct vips_word *vips, struct vips_word *selection);

#endif
