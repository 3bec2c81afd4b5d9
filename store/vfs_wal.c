/*
 * vfs_wal: the WAL's place on the disk, and what is done to it from outside
 * SQLite.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/sys.h"

#include "store/store_internal.h"
#include "store/vfs_seal.h"

#define WAL_STEP ((uint64_t)4 << 20)
#define WAL_KEEP ((uint64_t)16 << 20)

/* The WAL's format, as SQLite documents it. */
#define WAL_MAGIC 0x377f0682u
#define WAL_HEAD 32u  /* magic 4, version 4, page size 4, …, salts 8 at 16 */
#define WAL_FRAME 24u /* before each page; salts 8 at 8 */
#define WAL_COPY ((size_t)1 << 20)

int
vfs_wal_grow(struct vfs_node *n, uint64_t want)
{
	const uint64_t have = atomic_load(&n->have);
	uint64_t end = (want + WAL_STEP - 1) / WAL_STEP * WAL_STEP;
	int r;

	if (want <= have)
		return (SQLITE_OK);
	r = sys->fallocate(n->fd, 0, (off_t)have, (off_t)(end - have));
	if (r != 0 && errno == ENOSPC) {
		end = want;
		r = sys->fallocate(n->fd, 0, (off_t)have, (off_t)(end - have));
	}
	if (r != 0) {
		/* A filesystem without fallocate grows the file as it is
		 * written. */
		if (errno != EOPNOTSUPP && errno != ENOSYS)
			return (vfs_rc(errno, SQLITE_IOERR_WRITE));
		end = want;
	}
	atomic_store(&n->have, end);
	return (SQLITE_OK);
}

/*
 * What is kept is for removing files on a full disk, and not let go for a moment:
 * others would have it.  All frames are home, but the first ones alone would be an
 * older state, so that their header goes before the rest of them does.
 */
void
vfs_wal_cut(struct vfs_node *n)
{
	static const uint8_t none[WAL_HEAD];

	/* A sealed one is a log of its own kind. */
	if (n->seal != NULL || atomic_load(&n->have) <= WAL_KEEP ||
	    sys_pwrite_full(n->fd, none, sizeof(none), 0) != OK ||
	    vfs_node_sync(n) != SQLITE_OK ||
	    sys->ftruncate(n->fd, WAL_KEEP) != 0)
		return;
	atomic_store(&n->have, WAL_KEEP);
	atomic_store(&n->used, 0);
	atomic_store(&n->pos, 0);
}

/* The node of ${path}'s WAL with a reference, or NULL. */
static struct vfs_node *
wal_get(const char *path)
{
	char name[PATH_MAX];
	struct vfs_node *n;

	if (snprintf(name, sizeof(name), "%s-wal", path) >= (int)sizeof(name))
		return (NULL);
	LOCK_SCOPE(&vfs_lock);
	n = vfs_node_find(name);
	if (n != NULL)
		n->refs++;
	return (n);
}

static void
wal_put(struct vfs_node **n)
{
	if (*n == NULL)
		return;
	lock_take(&vfs_lock);
	vfs_node_put(*n);
	lock_drop(&vfs_lock);
}

enum err
vfs_wal_sync(const char *path)
{
	struct vfs_node *n CLEANUP(wal_put) = wal_get(path);

	if (n == NULL)
		return (ERR_IO);
	const enum err e = db_err(
	    n->seal != NULL ? vfs_seal_sync(n, false) : vfs_node_sync(n));
	return (e == OK ? OK : err_fail(e, "%s: %s", n->path, err_text(e)));
}

/* Bytes of the log that frames of its present round take, its header with them;
 * 0 when it has none. */
static enum err
wal_round(const struct vfs_node *n, uint64_t *ret)
{
	uint8_t head[WAL_HEAD], frame[WAL_FRAME];
	uint64_t at = WAL_HEAD, step;

	*ret = 0;
	if (n->seal != NULL) {
		*ret = vfs_seal_used(n);
		return (OK);
	}
	if (atomic_load(&n->have) < WAL_HEAD)
		return (OK);
	TRY(sys_pread_full(n->fd, head, sizeof(head), 0));
	step = WAL_FRAME + (uint64_t)get_u32(head + 8);
	if ((get_u32(head) & ~1u) != WAL_MAGIC || step < WAL_FRAME + 512 ||
	    step > WAL_FRAME + 65536)
		return (OK);
	while (at + step <= atomic_load(&n->have)) {
		TRY(sys_pread_full(n->fd, frame, sizeof(frame), at));
		if (memcmp(frame + 8, head + 16, 8) != 0)
			break;
		at += step;
	}
	*ret = at == WAL_HEAD ? 0 : at;
	return (OK);
}

static enum err
renew(const struct vfs_node *n)
{
	uint8_t *buf CLEANUP_FREE = malloc(WAL_COPY);
	uint64_t end;

	if (buf == NULL)
		return (ERR_NOMEM);
	TRY(wal_round(n, &end));
	for (uint64_t at = 0; at < end; at += WAL_COPY) {
		const size_t len =
		    end - at < WAL_COPY ? (size_t)(end - at) : WAL_COPY;

		TRY(sys_pread_full(n->fd, buf, len, at));
		TRY(sys_pwrite_full(n->fd, buf, len, at));
	}
	return (OK);
}

enum err
vfs_wal_renew(const char *path)
{
	struct vfs_node *n CLEANUP(wal_put) = wal_get(path);

	return (n == NULL ? OK : renew(n));
}

int
vfs_wal_mend(const struct vfs_node *n, bool always)
{
	char name[PATH_MAX];
	struct vfs_node *wal;
	struct stat sb;
	enum err e;

	if (snprintf(name, sizeof(name), "%s-wal", n->path) >=
	    (int)sizeof(name))
		return (SQLITE_CANTOPEN);
	wal = vfs_node_find(name);
	if (wal == NULL || wal->readonly ||
	    (!always && !atomic_load(&wal->failed)))
		return (SQLITE_OK);
	if (sys->fstat(wal->fd, &sb) != 0)
		return (SQLITE_IOERR_FSTAT);
	atomic_store(&wal->have, (uint64_t)sb.st_size);
	e = renew(wal);
	if (e != OK)
		return (e == ERR_NOMEM   ? SQLITE_IOERR_NOMEM
			: e == ERR_NOSPC ? SQLITE_FULL
					 : SQLITE_IOERR_WRITE);
	atomic_store(&wal->failed, false);
	return (SQLITE_OK);
}

enum err
vfs_wal_reserve(const char *path, bool from_start, uint64_t bytes)
{
	struct vfs_node *n CLEANUP(wal_put) = wal_get(path);

	if (n == NULL)
		return (ERR_IO);
	if (from_start)
		atomic_store(&n->pos, 0);
	return (db_err(vfs_wal_grow(n, atomic_load(&n->pos) + bytes)));
}

uint64_t
vfs_wal_rounds(const char *path)
{
	struct vfs_node *n CLEANUP(wal_put) = wal_get(path);

	return (n == NULL ? 0 : atomic_load(&n->rounds));
}

bool
vfs_wal_large(const char *path)
{
	struct vfs_node *n CLEANUP(wal_put) = wal_get(path);

	return (
	    n != NULL && n->seal == NULL && atomic_load(&n->have) > WAL_KEEP);
}
