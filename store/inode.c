/*
 * inode: inodes in core.
 *
 * A table of inodes by number.  Unpinned clean ones are kept in LRU order up to
 * opts.inode_cache; the KEYED_MAX last used of them keep their keys (every open
 * still asks the KMS, and revoke.c takes them away); dirty ones stay until they are flushed
 * (by the committer, or a few at a time when many are dirty).  A new inode
 * meets the table only at its first flush: a file that lives less than an
 * epoch never does.
 */
#include <string.h>
#include <sys/stat.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"

#include "store/object.h"

#define HASH_SIZE 32768u
#define TIMES_LEN 48
#define KEYED_MAX 8192u /* some 250 bytes of locked memory each */

static uint32_t
slot_of(uint64_t ino)
{
	return (
	    (uint32_t)((ino * 0x9e3779b97f4a7c15u) >> 32) & (HASH_SIZE - 1));
}

enum err
inode_open(struct store *st)
{
	st->ihash = calloc(HASH_SIZE, sizeof(*st->ihash));
	if (st->ihash == NULL)
		return (ERR_NOMEM);
	st->lru.lprev = st->lru.lnext = &st->lru;
	st->dirty_list.dprev = st->dirty_list.dnext = &st->dirty_list;
	st->keyed.kprev = st->keyed.knext = &st->keyed;
	return (OK);
}

static void
keyed_remove(struct store *st, struct inode *ip)
{
	if (ip->knext == NULL)
		return;
	ip->kprev->knext = ip->knext;
	ip->knext->kprev = ip->kprev;
	ip->kprev = ip->knext = NULL;
	st->ikeyed--;
}

/* The inode, which nobody uses now, keeps its keys; the oldest loses them. */
static void
keyed_add(struct store *st, struct inode *ip)
{
	obj_rest(ip->obj);
	ip->knext = st->keyed.knext;
	ip->kprev = &st->keyed;
	ip->knext->kprev = ip;
	st->keyed.knext = ip;
	if (++st->ikeyed <= KEYED_MAX)
		return;
	ip = st->keyed.kprev;
	keyed_remove(st, ip);
	obj_lock(st, ip->obj);
}

static void
lru_remove(struct inode *ip)
{
	if (ip->lnext == NULL)
		return;
	ip->lprev->lnext = ip->lnext;
	ip->lnext->lprev = ip->lprev;
	ip->lprev = ip->lnext = NULL;
}

static void
lru_add(struct store *st, struct inode *ip)
{
	if (ip->lnext != NULL)
		return;
	ip->lnext = st->lru.lnext;
	ip->lprev = &st->lru;
	ip->lnext->lprev = ip;
	st->lru.lnext = ip;
}

static void
dirty_remove(struct store *st, struct inode *ip)
{
	if (!ip->dirty)
		return;
	ip->dprev->dnext = ip->dnext;
	ip->dnext->dprev = ip->dprev;
	ip->dprev = ip->dnext = NULL;
	ip->dirty = ip->obj_dirty = false;
	st->idirty--;
}

void
inode_dirty(struct store *st, struct inode *ip)
{
	if (ip->dirty || ip->gone)
		return;
	ip->dirty = true;
	ip->dnext = &st->dirty_list;
	ip->dprev = st->dirty_list.dprev;
	ip->dprev->dnext = ip;
	st->dirty_list.dprev = ip;
	st->idirty++;
}

static void
inode_free(struct store *st, struct inode *ip)
{
	struct inode **pp = &st->ihash[slot_of(ip->ino)];

	while (*pp != ip)
		pp = &(*pp)->hnext;
	*pp = ip->hnext;
	lru_remove(ip);
	keyed_remove(st, ip);
	dirty_remove(st, ip);
	st->icount--;
	obj_free(ip->obj);
	free(ip->dflt);
	rwlock_destroy(&ip->lock);
	free(ip);
}

void
inode_close(struct store *st)
{
	if (st->ihash == NULL)
		return;
	for (uint32_t i = 0; i < HASH_SIZE; i++)
		while (st->ihash[i] != NULL)
			inode_free(st, st->ihash[i]);
	free(st->ihash);
	st->ihash = NULL;
}

struct timespec
inode_now(void)
{
	return (clock_wall());
}

struct inode *
inode_peek(struct store *st, uint64_t ino)
{
	struct inode *ip = st->ihash[slot_of(ino)];

	while (ip != NULL && ip->ino != ino)
		ip = ip->hnext;
	if (ip != NULL) {
		ip->pins++;
		lru_remove(ip);
		keyed_remove(st, ip);
	}
	return (ip);
}

uint32_t
inode_buckets(void)
{
	return (HASH_SIZE);
}

struct inode *
inode_next(struct store *st, uint32_t b, uint64_t *after)
{
	struct inode *best = NULL;

	LOCK_SCOPE(&st->db);
	for (struct inode *ip = st->ihash[b]; ip != NULL; ip = ip->hnext)
		if (ip->ino > *after && !ip->gone &&
		    (best == NULL || ip->ino < best->ino))
			best = ip;
	if (best == NULL)
		return (NULL);
	*after = best->ino;
	best->pins++;
	lru_remove(best);
	keyed_remove(st, best);
	return (best);
}

static struct inode *
inode_alloc(struct store *st, uint64_t ino)
{
	struct inode *ip = calloc(1, sizeof(*ip));

	if (ip == NULL)
		return (NULL);
	ip->ino = ino;
	ip->pins = 1;
	rwlock_init(&ip->lock, RANK_STORE_INODE, "inode");
	ip->hnext = st->ihash[slot_of(ino)];
	st->ihash[slot_of(ino)] = ip;
	st->icount++;
	while (st->icount > st->opts.inode_cache && st->lru.lprev != &st->lru)
		inode_free(st, st->lru.lprev);
	return (ip);
}

static void
times_read(const uint8_t *p, struct timespec *t[4])
{
	for (unsigned i = 0; i < 4; i++) {
		t[i]->tv_sec = (int64_t)get_u64(p + i * 12);
		t[i]->tv_nsec = get_u32(p + i * 12 + 8);
	}
}

static bool
kind_ok(uint32_t mode)
{
	return (S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) ||
		S_ISFIFO(mode) || S_ISSOCK(mode) || S_ISCHR(mode) ||
		S_ISBLK(mode));
}

/* Numbers that an inode can have: what stands above would be cut off, or refused
 * by those who are told. */
static bool
row_ok(sqlite3_stmt *s, int col)
{
	static const uint64_t most[] = { UINT32_MAX, UINT32_MAX, UINT32_MAX,
		UINT32_MAX, UINT32_MAX, STORE_SIZE_MAX, STORE_SIZE_MAX / BLOCK,
		0 /* times */, INO_MAX, INO_MAX, UINT32_MAX, UINT32_MAX };

	for (int i = 0; i < (int)COUNTOF(most); i++)
		if (i != 7 &&
		    (uint64_t)sqlite3_column_int64(s, col + i) > most[i])
			return (false);
	return (kind_ok((uint32_t)sqlite3_column_int64(s, col)) &&
		sqlite3_column_bytes(s, col + 7) == TIMES_LEN);
}

enum err
inode_row_attr(sqlite3_stmt *s, int col, uint64_t ino, struct store_attr *a)
{
	struct timespec *t[4] = { &a->atime, &a->mtime, &a->ctime, &a->btime };
	const uint8_t *rec;

	memset(a, 0, sizeof(*a));
	if (!row_ok(s, col))
		return (err_fail(ERR_CORRUPT, "inode %llu: damaged row",
		    (unsigned long long)ino));
	a->ino = ino;
	a->mode = (uint32_t)sqlite3_column_int64(s, col);
	a->nlink = (uint32_t)sqlite3_column_int64(s, col + 1);
	a->uid = (uint32_t)sqlite3_column_int64(s, col + 2);
	a->gid = (uint32_t)sqlite3_column_int64(s, col + 3);
	a->rdev = (uint32_t)sqlite3_column_int64(s, col + 4);
	a->size = (uint64_t)sqlite3_column_int64(s, col + 5);
	a->blocks = (uint64_t)sqlite3_column_int64(s, col + 6) * (BLOCK / 512);
	times_read(sqlite3_column_blob(s, col + 7), t);
	for (unsigned i = 0; i < 4; i++)
		if (t[i]->tv_nsec > 999999999)
			return (
			    err_fail(ERR_CORRUPT, "inode %llu: damaged times",
				(unsigned long long)ino));
	a->bucket = (uint64_t)sqlite3_column_int64(s, col + 9);
	a->keyref = (uint32_t)sqlite3_column_int64(s, col + 10);
	a->xattrs = (uint32_t)sqlite3_column_int64(s, col + 11);
	rec = sqlite3_column_blob(s, col + 12);
	if (rec != NULL && sqlite3_column_bytes(s, col + 12) > 1 &&
	    rec[1] <= SSE_KMS)
		a->sse = (enum sse)rec[1];
	return (OK);
}

static enum err
inode_load(struct store *st, sqlite3_stmt *s, struct inode *ip)
{
	struct store_attr a;

	TRY(inode_row_attr(s, 0, ip->ino, &a));
	ip->mode = a.mode;
	ip->nlink = a.nlink;
	ip->uid = a.uid;
	ip->gid = a.gid;
	ip->rdev = a.rdev;
	ip->size = a.size;
	ip->blocks = a.blocks / (BLOCK / 512);
	ip->atime = a.atime;
	ip->mtime = a.mtime;
	ip->ctime = a.ctime;
	ip->btime = a.btime;
	ip->keyref = a.keyref;
	ip->parent = (uint64_t)sqlite3_column_int64(s, 8);
	ip->bucket = a.bucket;
	ip->xattrs = a.xattrs;
	ip->in_table = true;
	if (!S_ISREG(ip->mode))
		return (OK);
	const enum err e = obj_parse(sqlite3_column_blob(s, 12),
	    (size_t)sqlite3_column_bytes(s, 12), &ip->obj);
	if (e == ERR_CORRUPT)
		return (err_fail(ERR_CORRUPT,
		    "inode %llu: damaged object "
		    "record",
		    (unsigned long long)ip->ino));
	TRY(e);
	ip->obj->seg.st = st;
	return (OK);
}

enum err
inode_get(struct store *st, uint64_t ino, struct inode **ret)
{
	struct inode *ip = inode_peek(st, ino);
	enum err e;

	*ret = NULL;
	if (ino == 0 || ino > INO_MAX)
		return (ERR_STALE);
	if (ip != NULL) {
		if (ip->gone) {
			inode_put(st, ip);
			return (ERR_STALE);
		}
		*ret = ip;
		return (OK);
	}
	sqlite3_stmt *s = db_stmt(st, ST_INODE_GET);
	sqlite3_bind_int64(s, 1, (int64_t)ino);
	e = db_row(st, ST_INODE_GET);
	if (e != OK)
		return (e == ERR_NOENT ? ERR_STALE : e);
	ip = inode_alloc(st, ino);
	e = ip == NULL ? ERR_NOMEM : inode_load(st, s, ip);
	db_done(st, ST_INODE_GET);
	if (e == OK && ip->nlink == 0) {
		/* Only the nameless are asked for; others cost nothing. */
		s = db_stmt(st, ST_ORPHAN_HAS);
		sqlite3_bind_int64(s, 1, (int64_t)ino);
		e = db_row(st, ST_ORPHAN_HAS);
		if (e == OK)
			db_done(st, ST_ORPHAN_HAS);
		ip->orphan = ip->orphan_row = e == OK;
		e = e == ERR_NOENT ? OK : e;
	}
	if (e != OK) {
		if (ip != NULL)
			inode_free(st, ip);
		return (e);
	}
	*ret = ip;
	return (OK);
}

enum err
inode_new(struct store *st, uint32_t mode, struct inode **ret)
{
	struct inode *ip = inode_alloc(st, st->next_ino);

	if (ip == NULL)
		return (ERR_NOMEM);
	st->next_ino++;
	ip->mode = mode;
	ip->atime = ip->mtime = ip->ctime = ip->btime = inode_now();
	inode_dirty(st, ip);
	*ret = ip;
	return (OK);
}

void
inode_put(struct store *st, struct inode *ip)
{
	if (--ip->pins != 0)
		return;
	if (ip->gone) {
		inode_free(st, ip);
		return;
	}
	if (ip->dirty)
		return;
	if (ip->obj != NULL && ip->obj->open)
		keyed_add(st, ip);
	lru_add(st, ip);
}

void
inode_unpin(struct store *st, struct inode *ip)
{
	LOCK_SCOPE(&st->db);
	inode_put(st, ip);
}

enum err
inode_erase(struct store *st, struct inode *ip)
{
	if (ip->in_table) {
		TRY(db_begin(st));
		sqlite3_stmt *s = db_stmt(st, ST_INODE_DEL);
		sqlite3_bind_int64(s, 1, (int64_t)ip->ino);
		TRY(db_run(st, ST_INODE_DEL));
	}
	dirty_remove(st, ip);
	ip->gone = true;
	return (OK);
}

void
inode_attr(const struct inode *ip, struct store_attr *a)
{
	memset(a, 0, sizeof(*a));
	a->ino = ip->ino;
	a->mode = ip->mode;
	a->nlink = ip->nlink;
	a->uid = ip->uid;
	a->gid = ip->gid;
	a->rdev = ip->rdev;
	a->size = ip->size;
	a->blocks = ip->blocks * (BLOCK / 512);
	a->atime = ip->atime;
	a->mtime = ip->mtime;
	a->ctime = ip->ctime;
	a->btime = ip->btime;
	a->keyref = ip->keyref;
	a->xattrs = ip->xattrs;
	a->bucket = ip->bucket;
	/* The method never changes while others can see the inode. */
	if (ip->obj != NULL)
		a->sse = ip->obj->method;
}

/* ---- Flushing ---------------------------------------------------------------- */

static void
bind_meta(sqlite3_stmt *s, const struct inode *ip, const uint8_t *times)
{
	sqlite3_bind_int64(s, 1, (int64_t)ip->ino);
	sqlite3_bind_int64(s, 2, ip->mode);
	sqlite3_bind_int64(s, 3, ip->nlink);
	sqlite3_bind_int64(s, 4, ip->uid);
	sqlite3_bind_int64(s, 5, ip->gid);
	sqlite3_bind_int64(s, 6, ip->rdev);
	sqlite3_bind_int64(s, 7, (int64_t)ip->size);
	sqlite3_bind_int64(s, 8, (int64_t)ip->blocks);
	sqlite3_bind_blob(s, 9, times, TIMES_LEN, SQLITE_STATIC);
	sqlite3_bind_int64(s, 10, (int64_t)ip->parent);
	sqlite3_bind_int64(s, 11, (int64_t)ip->bucket);
	sqlite3_bind_int64(s, 12, ip->keyref);
	sqlite3_bind_int64(s, 13, ip->xattrs);
}

/* The row in table orphan as it has to be. st->db held. */
static enum err
flush_orphan(struct store *st, struct inode *ip)
{
	const enum stmt which = ip->orphan ? ST_ORPHAN_PUT : ST_ORPHAN_DEL;

	if (ip->orphan == ip->orphan_row)
		return (OK);
	sqlite3_stmt *s = db_stmt(st, which);
	sqlite3_bind_int64(s, 1, (int64_t)ip->ino);
	TRY(db_run(st, which));
	ip->orphan_row = ip->orphan;
	return (OK);
}

enum err
inode_flush(struct store *st, struct inode *ip)
{
	const struct timespec *t[4] = { &ip->atime, &ip->mtime, &ip->ctime,
		&ip->btime };
	uint8_t times[TIMES_LEN];
	enum stmt which;

	lock_take(&st->db);
	const bool any = ip->dirty && !ip->gone;
	const bool whole = ip->obj_dirty || !ip->in_table;
	lock_drop(&st->db);
	if (!any)
		return (OK);
	if (whole && ip->obj != NULL)
		TRY(obj_flush(st, ip));

	LOCK_SCOPE(&st->db);
	TRY(db_begin(st));
	for (unsigned i = 0; i < 4; i++) {
		put_u64(times + i * 12, (uint64_t)t[i]->tv_sec);
		put_u32(times + i * 12 + 8, (uint32_t)t[i]->tv_nsec);
	}
	which = whole ? ST_INODE_PUT : ST_INODE_META;
	sqlite3_stmt *s = db_stmt(st, which);
	bind_meta(s, ip, times);
	if (whole && ip->obj != NULL)
		sqlite3_bind_blob(
		    s, 14, ip->obj->rec, (int)ip->obj->reclen, SQLITE_STATIC);
	TRY(db_run(st, which));
	TRY(flush_orphan(st, ip));
	ip->in_table = true;
	dirty_remove(st, ip);
	return (OK);
}

/* The oldest dirty inode that nobody uses, pinned; NULL when the oldest few
 * are all in use. */
static struct inode *
oldest(struct store *st)
{
	unsigned looked = 0;

	for (struct inode *ip = st->dirty_list.dnext;
	     ip != &st->dirty_list && looked < 64; ip = ip->dnext, looked++)
		if (ip->pins == 0) {
			ip->pins++;
			return (ip);
		}
	return (NULL);
}

enum err
inode_flush_some(struct store *st, uint32_t keep)
{
	for (unsigned n = 0; n < 8; n++) {
		struct inode *ip = NULL;
		enum err e;

		lock_take(&st->db);
		if (st->idirty > keep)
			ip = oldest(st);
		lock_drop(&st->db);
		if (ip == NULL)
			return (OK);
		rwlock_write(&ip->lock);
		e = inode_flush(st, ip);
		rwlock_drop(&ip->lock);
		inode_unpin(st, ip);
		TRY(e);
	}
	return (OK);
}

void
obj_failed(struct store *st, struct inode *ip, int64_t blocks_delta)
{
	obj_changed(st, ip, ip->size, blocks_delta, 0);
}

void
obj_changed(struct store *st, struct inode *ip, uint64_t size,
    int64_t blocks_delta, unsigned flags)
{
	const uint64_t most = (size + BLOCK - 1) / BLOCK;
	int64_t blocks;

	LOCK_SCOPE(&st->db);
	ip->size = size;
	/* What a shared segment holds is not looked at block by block, so that
	 * the count of a sparse copy can be too high: never beyond the size. */
	blocks = (int64_t)ip->blocks + blocks_delta;
	ip->blocks = blocks < 0 ? 0 : (uint64_t)blocks;
	if (ip->blocks > most)
		ip->blocks = most;
	if ((flags & CHANGED_TIMES) != 0)
		ip->mtime = ip->ctime = inode_now();
	if ((flags & CHANGED_KILLPRIV) != 0) {
		ip->mode &= ~(uint32_t)S_ISUID;
		if ((ip->mode & S_IXGRP) != 0)
			ip->mode &= ~(uint32_t)S_ISGID;
	}
	inode_dirty(st, ip);
	ip->obj_dirty = true;
}
