#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"
#include "lib/base/log.h"
#include "lib/base/thread.h"

/* Pages and attributes.  -ENOENT: the kernel has forgotten it meanwhile; -ENODEV
 * and -ENOTCONN: all of it. */
static void
drop_pages(void *arg, uint64_t ino)
{
	struct fs *fs = arg;
	const int rc =
	    fuse_lowlevel_notify_inval_inode(fs->se, fs_node(fs, ino), 0, 0);

	if (rc != 0 && rc != -ENOENT && rc != -ENODEV && rc != -ENOTCONN)
		log_error("fs: inode %llu: its cached pages could not be "
			  "dropped: %s; unmount and mount again",
		    (unsigned long long)ino, strerror(-rc));
}

/* Runs on a thread of the store, not of the loop: dropping a page may wait
 * until a request for it has been answered. */
void
fs_revoke(void *arg, uint32_t keyref)
{
	struct fs *fs = arg;

	LOCK_SCOPE(&fs->revoke);
	if (fs->ending)
		return;
	if (inodes_each_key(fs->inodes, keyref, drop_pages, fs) != OK)
		log_error("fs: a key went out of use, but its files' cached "
			  "pages could not be dropped: out of memory");
}

/* ---- Files whose writes failed after the answer ------------------------------- */

#define STALE_MAX ((size_t)1 << 16)

void
fs_stale_init(struct fs *fs)
{

	lock_init(&fs->stale.lock, RANK_FS_STALE, "fs stale");
	(void)pthread_cond_init(&fs->stale.cond, NULL);
}

static void *
stale_main(void *arg)
{
	struct fs *fs = arg;
	struct fs_stale *s = &fs->stale;

	lock_take(&s->lock);
	for (;;) {
		while (s->n == 0 && !s->ending)
			lock_wait(&s->lock, &s->cond);
		if (s->n == 0)
			break;
		const uint64_t ino = s->ino[--s->n];

		lock_drop(&s->lock);
		drop_pages(fs, ino);
		lock_take(&s->lock);
	}
	lock_drop(&s->lock);
	return (NULL);
}

/* False: it is not told. */
static bool
stale_add(struct fs *fs, uint64_t ino)
{
	struct fs_stale *s = &fs->stale;

	for (size_t i = 0; i < s->n; i++)
		if (s->ino[i] == ino)
			return (true);
	if (s->n == s->room) {
		const size_t room = s->room == 0 ? 64 : 2 * s->room;
		uint64_t *p = NULL;

		if (room <= STALE_MAX)
			p = realloc(s->ino, room * sizeof(*p));
		if (p == NULL)
			return (false);
		s->ino = p;
		s->room = room;
	}
	if (!s->started && thread_make(stale_main, fs, &s->thread) != 0)
		return (false);
	s->started = true;
	s->ino[s->n++] = ino;
	(void)pthread_cond_signal(&s->cond);
	return (true);
}

void
fs_stale(struct fs *fs, uint64_t ino)
{
	lock_take(&fs->stale.lock);
	const bool told = fs->stale.ending || stale_add(fs, ino);

	lock_drop(&fs->stale.lock);
	if (!told)
		log_error("fs: inode %llu: a write failed, but the cached "
			  "pages could not be dropped: out of memory; unmount "
			  "and mount again",
		    (unsigned long long)ino);
}

void
fs_stale_end(struct fs *fs)
{
	struct fs_stale *s = &fs->stale;

	lock_take(&s->lock);
	s->ending = true;
	(void)pthread_cond_signal(&s->cond);
	lock_drop(&s->lock);
	if (s->started)
		(void)pthread_join(s->thread, NULL);
	s->started = false;
	free(s->ino);
	s->ino = NULL;
	s->n = s->room = 0;
}
