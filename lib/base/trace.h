/*
 * trace: what a daemon that dies leaves behind.
 *
 * A process in the background has no terminal, and not every machine has a
 * syslog.  Its stderr is a file: failed assertions speak there, and a fatal
 * signal leaves one line and the addresses of the calls (no memory, no
 * arguments, so no key).  Core dumps stay off.
 */
#ifndef LIB_BASE_TRACE_H
#define LIB_BASE_TRACE_H

/* Make stderr of this process the file ${dir}/${name}, begun anew beyond 1 MiB;
 * /dev/null when it cannot be opened. */
void trace_stderr(const char *dir, const char *name);
/* Handle SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT.  ${last} is called, in the
 * handler, when all is said and before the process ends. */
void trace_signals(void (*last)(void));

#endif
