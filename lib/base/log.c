/*
 * log: a line is made in one buffer and leaves in one write(), so that lines
 * of several threads do not mix and no lock is needed.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "lib/base/log.h"

#define LINE_MAX_BYTES 1023

static _Atomic(enum log_level) level = LOG_LVL_INFO;
static atomic_bool to_syslog;

void
log_set_level(enum log_level l)
{
	atomic_store_explicit(&level, l, memory_order_relaxed);
}

enum log_level
log_level(void)
{
	return atomic_load_explicit(&level, memory_order_relaxed);
}

void
log_to_syslog(const char *ident)
{
	openlog(ident, LOG_PID | LOG_PERROR, LOG_DAEMON);
	atomic_store(&to_syslog, true);
}

static const char *
level_prefix(enum log_level l)
{
	switch (l) {
	case LOG_LVL_ERROR:
		return "ssefs: error: ";
	case LOG_LVL_WARN:
		return "ssefs: warning: ";
	case LOG_LVL_INFO:
		return "ssefs: ";
	case LOG_LVL_DEBUG:
		return "ssefs: debug: ";
	}
	return "ssefs: ";
}

static int
level_priority(enum log_level l)
{
	switch (l) {
	case LOG_LVL_ERROR:
		return LOG_ERR;
	case LOG_LVL_WARN:
		return LOG_WARNING;
	case LOG_LVL_INFO:
		return LOG_INFO;
	case LOG_LVL_DEBUG:
		return LOG_DEBUG;
	}
	return LOG_ERR;
}

/* A terminal obeys control characters, also those of two bytes in UTF-8
 * (U+0080 to U+009F): names from outside must not reach it so. */
static void
defuse(char *s)
{
	for (; *s != '\0'; s++) {
		const unsigned char c = (unsigned char)s[0];
		const unsigned char next = (unsigned char)s[1];

		if (c < 0x20 || c == 0x7f) {
			s[0] = '?';
		} else if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
			s[0] = '?';
			s[1] = '?';
		}
	}
}

static void
write_stderr(const char *p, size_t len)
{
	while (len > 0) {
		const ssize_t n = write(STDERR_FILENO, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}

void
log_line(enum log_level l, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES + 2];
	const bool sys_log = atomic_load(&to_syslog);
	const int saved = errno;
	size_t used = 0;
	va_list ap;

	if (l > log_level())
		return;
	if (!sys_log) {
		used = strlen(level_prefix(l));
		memcpy(line, level_prefix(l), used);
	}
	va_start(ap, fmt);
	const int n =
	    vsnprintf(line + used, LINE_MAX_BYTES + 1 - used, fmt, ap);
	va_end(ap);
	if (n < 0)
		line[used] = '\0';
	defuse(line);
	if (sys_log) {
		syslog(level_priority(l), "%s", line);
	} else {
		used = strlen(line);
		line[used++] = '\n';
		write_stderr(line, used);
	}
	errno = saved;
}
