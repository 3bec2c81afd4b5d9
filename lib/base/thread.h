/*
 * thread: threads that owe nothing to the one that makes them.
 *
 * A thread inherits its maker's scheduling policy and processors.  A worker of
 * the mount gives up both for a while (fs/affine.h); who helps it, or others
 * after it, must not have to.
 */
#ifndef LIB_BASE_THREAD_H
#define LIB_BASE_THREAD_H

#include <pthread.h>

#include "lib/base/attrs.h"

/*
 * thread_make(run, arg, ret):
 * Begin a thread that runs on the processors of the process's main thread, and
 * with the usual policy if its maker has SCHED_IDLE for itself alone.
 * ${ret} may be NULL: nobody joins it.  0, or an errno.
 */
int thread_make(void *(*run)(void *arg), void *arg, pthread_t *ret) MUSTCHECK;

#endif
