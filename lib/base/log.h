/*
 * log: one line per event, to stderr or, after log_to_syslog(), to syslog.
 *
 * Thread-safe.  A line is cut at 1023 bytes, its control characters become
 * '?'.  Never pass a key, a plaintext, a passphrase or a ciphertext blob.
 */
#ifndef LIB_BASE_LOG_H
#define LIB_BASE_LOG_H

#include "lib/base/attrs.h"

enum log_level {
	LOG_LVL_ERROR, /* something failed and somebody must act */
	LOG_LVL_WARN,
	LOG_LVL_INFO,
	LOG_LVL_DEBUG
};

void log_set_level(enum log_level l);
enum log_level log_level(void);
/* From now on to syslog under ${ident} (not copied: give it static life). */
void log_to_syslog(const char *ident);
void log_line(enum log_level l, const char *fmt, ...) PRINTF(2, 3);

#define log_error(...) log_line(LOG_LVL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LVL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LVL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LVL_DEBUG, __VA_ARGS__)

#endif
