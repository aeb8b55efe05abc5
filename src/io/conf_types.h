/*
 * The kinds of values that a configuration has: how each is written, checked and
 * stored. Shared by the conf_*.c files only.
 */
#ifndef IPCLUSTERD_IO_CONF_TYPES_H
#define IPCLUSTERD_IO_CONF_TYPES_H

#include "conf_schema.h"

extern const struct conf_type conf_type_group;
extern const struct conf_type conf_type_list;
extern const struct conf_type conf_type_name;
extern const struct conf_type conf_type_path;
extern const struct conf_type conf_type_interface;
extern const struct conf_type conf_type_interfaces;
extern const struct conf_type conf_type_names;
extern const struct conf_type conf_type_host;
extern const struct conf_type conf_type_addresses;
extern const struct conf_type conf_type_number;
extern const struct conf_type conf_type_count;
extern const struct conf_type conf_type_ports;
extern const struct conf_type conf_type_power;
extern const struct conf_type conf_type_mark;
extern const struct conf_type conf_type_truth;
extern const struct conf_type conf_type_duration;
extern const struct conf_type conf_type_multicast;
extern const struct conf_type conf_type_vip;
extern const struct conf_type conf_type_mac;
extern const struct conf_type conf_type_word;
extern const struct conf_type conf_type_later;

/* `"a", "b"` of the words that this version has: each as `format` says, with
 * `between` between two. `size` must be large enough. Returns `out`. */
const char *conf_words_text(const struct conf_word *words, const char *format, const char *between,
                            char *out, size_t size);

#endif
