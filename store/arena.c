/*
 * arena: the files that slots lie in: space on the disk, reading, writing,
 * syncing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/sys.h"

#include "store/alloc_internal.h"
#include "store/redo.h"

#define RESERVE_EXTENTS 16u /* reserved at once while space is plentiful */
#define AHEAD_EXTENTS 4u    /* fewer reserved before a writer: … */
#define AHEAD_ONCE 2u       /* … so many after each of its writes */
#define LEFT_PART 20u       /* of the disk is left, … */
#define LEFT_MAX ((uint64_t)64 << 20) /* … at most */
#define KEEP_FREE_EXTENTS 128u        /* empty but reserved: not punched */

/* Open arena ${path}; a new one is made when ${make}, and its name synced: the
 * sync of its blocks does not promise that. */
static enum err
arena_open(struct store *st, const char *path, bool make, int *ret)
{
	const int how = (st->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC |
			O_NOFOLLOW | O_NONBLOCK;
	struct stat sb;
	int fd = sys->open(path, how, 0600);

	if (fd < 0 && errno == ENOENT && make) {
		fd = sys->open(
		    path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd >= 0) {
			const enum err e = sys_sync_dir(st->dir);

			if (e != OK) {
				(void)sys->close(fd);
				return (epoch_stop(st, e, "making an arena"));
			}
		}
	}
	if (fd < 0 && errno == ENOENT)
		return (err_fail(ERR_CORRUPT, "%s is missing", path));
	if (fd < 0 && errno != ELOOP && errno != EISDIR && errno != ENXIO)
		return (err_from_errno(errno));
	if (fd >= 0 && sys->fstat(fd, &sb) != 0) {
		const enum err e = err_from_errno(errno);

		(void)sys->close(fd);
		return (err_fail(e, "%s: %s", path, err_text(e)));
	}
	if (fd < 0 || !S_ISREG(sb.st_mode)) {
		if (fd >= 0)
			(void)sys->close(fd);
		return (err_fail(ERR_CORRUPT, "%s is no regular file", path));
	}
	*ret = fd;
	return (OK);
}

/* The descriptor of an arena, opened at its first use. */
static enum err
arena_fd(struct store *st, uint64_t no, bool make, int *ret)
{
	struct arena *ar;
	char path[4096];
	int fd, none = -1;

	if (no >= ARENAS_MAX)
		return (ERR_CORRUPT);
	ar = &st->alloc->arena[no];
	fd = ar->fd;
	if (fd < 0) {
		if ((size_t)snprintf(path, sizeof(path), "%s/arena-%u", st->dir,
			(unsigned)no) >= sizeof(path))
			return (ERR_NAMETOOLONG);
		TRY(arena_open(st, path, make, &fd));
		if (!atomic_compare_exchange_strong(&ar->fd, &none, fd)) {
			(void)sys->close(fd);
			fd = none;
		}
	}
	*ret = fd;
	return (OK);
}

static void
backed(struct alloc *a, struct group *g, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++) {
		if (!g->backed[i] && g->ext_busy[i] == 0)
			a->backed_empty++;
		g->backed[i] = true;
	}
}

uint64_t
arena_left(const struct statvfs *v)
{
	const uint64_t part = (uint64_t)v->f_blocks * v->f_frsize / LEFT_PART;

	return (part < LEFT_MAX ? part : LEFT_MAX);
}

bool
arena_room(struct store *st, uint64_t bytes, unsigned part)
{
	struct statvfs v;

	return (
	    sys->statvfs(st->dir, &v) != 0 ||
	    (uint64_t)v.f_bavail * v.f_frsize >= arena_left(&v) / part + bytes);
}

enum err
arena_reserve(struct store *st, uint64_t ext)
{
	struct alloc *a = st->alloc;
	struct group *g = a->grp[ext / GROUP_EXTENTS];
	const uint32_t first = (uint32_t)(ext % GROUP_EXTENTS);
	const uint64_t arena = ext * EXTENT_SLOTS / ARENA_SLOTS;
	uint32_t n = 1;
	int fd, rc;

	if (g->backed[first])
		return (OK);
	TRY(arena_fd(st, arena, true, &fd));
	while (n < RESERVE_EXTENTS && first + n < GROUP_EXTENTS &&
	       !g->backed[first + n] && g->ext_busy[first + n] == 0)
		n++;
	for (;;) {
		if (!arena_room(st, (uint64_t)n * EXTENT_SLOTS * BLOCK, 1)) {
			if (n == 1)
				return (ERR_NOSPC);
			n = 1;
			continue;
		}
		rc = sys->fallocate(fd, 0,
		    (off_t)(ext * EXTENT_SLOTS % ARENA_SLOTS * BLOCK),
		    (off_t)n * EXTENT_SLOTS * BLOCK);
		if (rc == 0)
			break;
		if (errno == EINTR)
			continue;
		if (n == 1)
			return (err_from_errno(errno));
		n = 1;
	}
	/* The new length must be on disk with the data in it. */
	a->arena[arena].written = true;
	backed(a, g, first, n);
	return (OK);
}

void
arena_wanted(struct store *st, uint64_t ext)
{
	struct alloc *a = st->alloc;
	const struct group *g = a->grp[ext / GROUP_EXTENTS];
	uint32_t i = (uint32_t)(ext % GROUP_EXTENTS) + 1;
	const uint32_t end = i + AHEAD_EXTENTS;

	while (i < end && i < GROUP_EXTENTS && g->backed[i])
		i++;
	if (i == end || i >= GROUP_EXTENTS || g->ext_busy[i] != 0)
		return;
	a->ahead = ext / GROUP_EXTENTS * GROUP_EXTENTS + i;
}

/* What arena_wanted() asked for, if it can still be had; with the lock. */
static uint32_t
ahead_run(struct store *st, uint64_t x)
{
	const struct alloc *a = st->alloc;
	const struct group *g = a->grp[x / GROUP_EXTENTS];
	const uint32_t first = (uint32_t)(x % GROUP_EXTENTS);
	uint32_t n = 0;

	while (g != NULL && n < AHEAD_ONCE && first + n < GROUP_EXTENTS &&
	       !g->backed[first + n] && g->ext_busy[first + n] == 0)
		n++;
	if (n != 0 && !arena_room(st, (uint64_t)n * EXTENT_SLOTS * BLOCK, 1))
		return (0);
	return (n);
}

/* One extent: writes to the same file wait meanwhile.  The lock is not held
 * while the disk works. */
static bool
ahead_one(struct store *st, int fd, uint64_t x)
{
	struct alloc *a = st->alloc;
	int rc;

	lock_drop(&st->alloc_lock);
	do
		rc = sys->fallocate(fd, 0,
		    (off_t)(x * EXTENT_SLOTS % ARENA_SLOTS * BLOCK),
		    (off_t)EXTENT_SLOTS * BLOCK);
	while (rc != 0 && errno == EINTR);
	lock_take(&st->alloc_lock);
	if (rc != 0)
		return (false);
	a->arena[x * EXTENT_SLOTS / ARENA_SLOTS].written = true;
	backed(a, a->grp[x / GROUP_EXTENTS], (uint32_t)(x % GROUP_EXTENTS), 1);
	return (true);
}

/*
 * On some filesystems reserving takes as long as writing, and a writer who was
 * answered is not waiting now.  It is done without the lock: another writer who
 * comes to one of these extents meanwhile reserves it as well, which does no
 * harm; that it is given back before its reservation here ends would do, so who
 * does that waits (arena_settle()).  An error is left to who comes to that space:
 * he reserves it himself, and is told.
 */
void
arena_ahead(struct store *st)
{
	struct alloc *a = st->alloc;
	uint64_t x;
	uint32_t n;
	int fd = -1;

	LOCK_SCOPE(&st->alloc_lock);
	if (a->ahead_on)
		return;
	x = a->ahead;
	a->ahead = 0;
	n = x == 0 ? 0 : ahead_run(st, x);
	if (n == 0)
		return;
	if (arena_fd(st, x * EXTENT_SLOTS / ARENA_SLOTS, true, &fd) != OK) {
		err_clear();
		return;
	}
	a->ahead_on = true;
	while (n-- != 0 && ahead_one(st, fd, x))
		x++;
	a->ahead_on = false;
	(void)pthread_cond_broadcast(&a->ahead_done);
}

void
arena_settle(struct store *st)
{
	while (st->alloc->ahead_on)
		lock_wait(&st->alloc_lock, &st->alloc->ahead_done);
}

/* Give ${n} extents back; they are reserved again before their next use,
 * whatever becomes of this. */
static void
punch_run(struct store *st, uint64_t x, uint64_t n)
{
	int fd;

	if (n == 0 ||
	    arena_fd(st, x * EXTENT_SLOTS / ARENA_SLOTS, false, &fd) != OK)
		return;
	if (sys->fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		(off_t)(x * EXTENT_SLOTS % ARENA_SLOTS * BLOCK),
		(off_t)(n * EXTENT_SLOTS * BLOCK)) != 0 &&
	    errno != EOPNOTSUPP)
		log_warn("store: free extents could not be punched");
}

/* Is extent ${x} empty, owned since its blocks were freed or it was reserved by
 * us, and not among the ${keep} that stay?  Then it is owned no more. */
static bool
extent_leave(struct alloc *a, uint64_t x, uint64_t keep)
{
	struct group *g = a->grp[x / GROUP_EXTENTS];
	const uint32_t i = (uint32_t)(x % GROUP_EXTENTS);

	if (g->ext_busy[i] != 0)
		return (false);
	if (!g->backed[i] && !g->older[i])
		return (false);
	if (g->backed[i]) {
		if (a->backed_empty <= keep)
			return (false);
		a->backed_empty--;
	}
	g->backed[i] = g->older[i] = false;
	return (true);
}

void
arena_punch(struct store *st, uint64_t slot, uint32_t n)
{
	struct alloc *a = st->alloc;
	const uint64_t last = (slot + n - 1) / EXTENT_SLOTS;
	uint64_t x = slot / EXTENT_SLOTS, run = 0;

	/* A span lies in one group, so a run in one arena. */
	for (; x <= last; x++) {
		if (!extent_leave(a, x, KEEP_FREE_EXTENTS)) {
			punch_run(st, x - run, run);
			run = 0;
			continue;
		}
		run++;
	}
	punch_run(st, x - run, run);
}

void
alloc_trim(struct store *st, bool all)
{
	struct alloc *a = st->alloc;

	LOCK_SCOPE(&st->alloc_lock);
	arena_settle(st);
	for (uint32_t n = 0; n < a->ngrp; n++) {
		const uint64_t base = (uint64_t)n * GROUP_EXTENTS;
		uint64_t run = 0;

		if (a->grp[n] == NULL)
			continue;
		for (uint32_t e = 0; e < GROUP_EXTENTS; e++) {
			if (a->grp[n]->ext_busy[e] == 0 && all)
				a->grp[n]->older[e] = true;
			if (extent_leave(a, base + e, 0)) {
				run++;
				continue;
			}
			punch_run(st, base + e - run, run);
			run = 0;
		}
		punch_run(st, base + GROUP_EXTENTS - run, run);
	}
}

enum err
alloc_sync(struct store *st)
{
	struct alloc *a = st->alloc;
	const uint64_t n = (alloc_groups(st) + ARENA_GROUPS - 1) / ARENA_GROUPS;

	redo_sync_begins(st);
	for (uint64_t i = 0; i < n && i < ARENAS_MAX; i++) {
		if (!atomic_exchange(&a->arena[i].written, false))
			continue;
		if (sys->fdatasync(a->arena[i].fd) != 0)
			return (err_fail(err_from_errno(errno), "arena-%u: %s",
			    (unsigned)i, strerror(errno)));
	}
	redo_synced(st);
	return (OK);
}

static enum err
read_singly(struct store *st, uint64_t slot, uint32_t n, uint8_t *ret)
{
	for (uint32_t i = 0; i < n; i++)
		TRY(alloc_read(st, slot + i, 1, ret + (size_t)i * BLOCK));
	return (OK);
}

enum err
alloc_read(struct store *st, uint64_t slot, uint32_t n, void *ret)
{
	int fd;

	if (slot / GROUP_SLOTS >= alloc_groups(st))
		return (err_fail(ERR_CORRUPT, "a block lies in no arena"));
	/* Few in a store that may not be written to, none in others. */
	if (n == 1 && redo_shown(st, slot, ret))
		return (OK);
	for (uint32_t i = 0; n > 1 && i < n; i++)
		if (redo_shown(st, slot + i, NULL))
			return (read_singly(st, slot, n, ret));
	TRY(arena_fd(st, slot / ARENA_SLOTS, false, &fd));
	return (sys_pread_full(
	    fd, ret, (size_t)n * BLOCK, slot % ARENA_SLOTS * BLOCK));
}

enum err
alloc_write(struct store *st, uint64_t slot, uint32_t n, const void *data)
{
	int fd;

	TRY(arena_fd(st, slot / ARENA_SLOTS, false, &fd));
	const enum err e = sys_pwrite_full(
	    fd, data, (size_t)n * BLOCK, slot % ARENA_SLOTS * BLOCK);
	/* After the write: writers hold the epoch, so that the committer's last
	 * sync comes later and sees the mark. */
	st->alloc->arena[slot / ARENA_SLOTS].written = true;
	/* After the mark: a sync that begins in between covers it. */
	redo_written(st, slot, n);
	return (e);
}

enum err
alloc_slot_ok(struct store *st, uint64_t slot, bool *ret)
{
	struct stat sb;
	enum err e;
	int fd;

	/* The file is asked, not the bitmap, which may be what is damaged. */
	*ret = redo_shown(st, slot, NULL);
	if (*ret || slot == 0)
		return (OK);
	e = arena_fd(st, slot / ARENA_SLOTS, false, &fd);
	if (e != OK)
		return (e == ERR_CORRUPT ? OK : e);
	if (sys->fstat(fd, &sb) != 0)
		return (err_from_errno(errno));
	*ret = slot % ARENA_SLOTS * BLOCK + BLOCK <= (uint64_t)sb.st_size;
	return (OK);
}
