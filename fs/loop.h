/*
 * loop: the threads that take requests from the kernel and serve them.
 *
 * One worker waits for requests.  It serves a quick one (a look-up, a small
 * read) itself and waits again: no other thread wakes, and the worker stays on
 * its client's processor (fs/affine.h).  Before a long one (a sync, a large
 * read or write) it brings in another worker to wait in its place.  Should a
 * quick request take long after all, a watch brings the other one in within
 * two ticks, so that nothing holds up the next request until ${threads} are
 * at work.  A worker that rested for a few seconds ends.
 */
#ifndef FS_LOOP_H
#define FS_LOOP_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"

/* The longest request that is read at once: a write of 1 MiB and what stands
 * before its data.  Whoever reads for the session asks for no more. */
#define LOOP_REQUEST_MAX ((1u << 20) + 4096u)

struct fuse_session;
struct loop;

struct loop_conf {
	unsigned threads;   /* most workers; 0: 16 */
	unsigned idle;      /* most that wait for a request; 0: 1 */
	size_t buffer_size; /* of each worker's own buffer */
	/* Sees each request first; true: it was answered. */
	bool (*raw)(void *arg, const void *mem, size_t len);
	void *arg;
};

/* Start serving ${se}, which is mounted. */
enum err loop_start(struct fuse_session *se, const struct loop_conf *conf,
    struct loop **ret) MUSTCHECK;
/* Becomes readable when the loop has ended: the filesystem was unmounted, or
 * reading requests failed. */
int loop_fd(const struct loop *l);
/* Make all workers leave, after the request each is serving, and free.  NULL
 * is fine. */
void loop_stop(struct loop *l);

/* In a worker: its buffer of conf.buffer_size bytes, page-aligned. */
void *loop_buffer(void);

#endif
