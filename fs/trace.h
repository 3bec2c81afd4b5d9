/*
 * trace: what a daemon that dies leaves behind.
 *
 * A background mount has no terminal, and not every machine has a syslog.  Its
 * stderr is STORE/mount.log: failed assertions speak there, and a fatal signal
 * leaves one line and the addresses of the calls (no memory, no arguments, so
 * no key).  Core dumps stay off.
 */
#ifndef FS_TRACE_H
#define FS_TRACE_H

/* Make stderr of this process ${store}/mount.log, begun anew beyond 1 MiB;
 * /dev/null when it cannot be opened. */
void trace_stderr(const char *store);
/* Handle SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT. */
void trace_signals(void);

#endif
