/*
 * Log lines with a subsystem and a level, to stderr or syslog.
 */
#ifndef IPCLUSTERD_IO_LOG_H
#define IPCLUSTERD_IO_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Where lines go from now on. `to_stderr` false: syslog, facility daemon. */
void log_open(const char *program, bool to_stderr, enum log_level most);

/* One line; no newline in `format`. `subsystem` is a word such as "nft". */
__attribute__((format(printf, 3, 4))) void log_line(enum log_level level, const char *subsystem,
                                                    const char *format, ...);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
