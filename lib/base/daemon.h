/*
 * daemon: a process that goes on in the background once it works.
 *
 * Threads and locked memory do not survive a fork, so the child does everything
 * and says how it went; the starter waits for its word.  For a process with one
 * thread.
 */
#ifndef LIB_BASE_DAEMON_H
#define LIB_BASE_DAEMON_H

#include <stdbool.h>

/*
 * daemon_run(serve, arg, failed, ret_child):
 * Fork.  In the child, the leader of a new session: call serve(arg, ready) and
 * return what it does, which must have told its code to ${ready} by
 * daemon_tell().  In the parent: return the code that was told, or ${failed}
 * after saying on stderr that there is no child, or none any more.  Both return,
 * so that whoever holds a passphrase can wipe it; *${ret_child} tells them
 * apart.
 */
int daemon_run(
    int (*serve)(void *arg, int ready), void *arg, int failed, bool *ret_child);

/* The starter hears the code (0 to 255) and stops waiting, unless it has heard
 * one before.  ${ready} -1: there is none. */
void daemon_tell(int ready, int code);

/* From here on nobody reads our output: messages go to syslog, stderr to
 * ${dir}/${log} (lib/base/trace.h), and the working directory is left. */
void daemon_silence(const char *dir, const char *log);

#endif
