/*
 * epoch: the committer (design: the four rules).
 *
 *   1 data before map   the arenas are synced, under the exclusive epoch lock,
 *                       before the transaction that refers to them commits,
 *                       or it holds the data itself (redo.h);
 *   2 no early reuse    slots freed in an epoch leave quarantine after the
 *                       WAL's sync (alloc_epoch_durable);
 *   3 fail-stop         any error of a sync or a commit ends in epoch_stop;
 *   4 one transaction   all dirty inodes, maps, bitmaps and counters are
 *                       written into the one transaction that holds the names.
 *
 * An epoch's life: open (operations share st->epoch) -> sealed and committed
 * (commit_exclusive) -> durable (db_sync) -> its quarantine is released.
 */
#include <errno.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"

#include "store/object.h"
#include "store/redo.h"

#define NODES_MAX 16384u                /* dirty map nodes in core */
#define INODES_MAX 32768u               /* dirty inodes in core */
#define SYNC_AHEAD ((uint64_t)32 << 20) /* bytes between early syncs */
#define WAL_HOME ((uint64_t)16 << 20)   /* brought home in idle time */
#define WAL_FULL ((uint64_t)96 << 20)   /* brought home by the committer */
#define SCARCE 8u                       /* this part of the disk is free */
#define DRAIN_STEPS 64u                 /* batches between looks at the clock */

enum err
epoch_stop(struct store *st, enum err e, const char *what)
{
	if (!atomic_exchange(&st->stopped, true))
		log_error(
		    "store %s: %s failed: %s; the store takes no more "
		    "changes, what was acknowledged by fsync is safe: unmount, "
		    "mend the disk, mount again",
		    st->dir, what, err_detail(e));
	return (ERR_FAILSTOP);
}

enum err
epoch_damage(struct store *st, enum err e)
{
	if (e != ERR_CORRUPT || !st->stopped)
		return (e);
	return (err_fail(ERR_IO, "lost when the store stopped"));
}

enum err
epoch_enter(struct store *st)
{
	if (st->readonly)
		return (ERR_ROFS);
	if (st->stopped)
		return (ERR_FAILSTOP);
	if (st->dirty_bytes > st->opts.dirty_max ||
	    st->dirty_nodes > NODES_MAX || st->idirty > INODES_MAX)
		TRY(epoch_commit(st));
	rwlock_read(&st->epoch);
	if (st->stopped) {
		rwlock_drop(&st->epoch);
		return (ERR_FAILSTOP);
	}
	return (OK);
}

void
epoch_leave(struct store *st)
{
	rwlock_drop(&st->epoch);
	if (st->dirty_bytes - st->synced_bytes > SYNC_AHEAD)
		epoch_kick(st);
}

void
epoch_kick(struct store *st)
{
	LOCK_SCOPE(&st->state);
	st->kick = true;
	(void)pthread_cond_broadcast(&st->state_cond);
}

/* The first inode of the dirty list, pinned. */
static struct inode *
dirty_first(struct store *st)
{
	LOCK_SCOPE(&st->db);
	struct inode *ip = st->dirty_list.dnext;

	if (ip == &st->dirty_list)
		return (NULL);
	ip->pins++;
	return (ip);
}

static enum err
flush_all(struct store *st)
{
	struct inode *ip;

	while ((ip = dirty_first(st)) != NULL) {
		rwlock_write(&ip->lock);
		const enum err e = inode_flush(st, ip);

		rwlock_drop(&ip->lock);
		inode_unpin(st, ip);
		TRY(e);
	}
	return (OK);
}

/* With the exclusive epoch. */
static enum err
commit_exclusive(struct store *st)
{
	TRY(flush_all(st));
	if (!redo_gather(st))
		TRY(alloc_sync(st));
	LOCK_SCOPE(&st->db);
	TRY(db_begin(st));
	TRY(keyrefs_write(st));
	TRY(alloc_write_rows(st));
	TRY(redo_write_rows(st));
	sqlite3_stmt *s = db_stmt(st, ST_SUPER_SET);
	sqlite3_bind_int64(s, 1, (int64_t)st->epoch_no);
	sqlite3_bind_int64(s, 2, (int64_t)st->next_ino);
	sqlite3_bind_int64(s, 3, (int64_t)st->next_seg);
	sqlite3_bind_int64(s, 4, db_format(st));
	TRY(db_run(st, ST_SUPER_SET));
	TRY(db_commit(st));
	st->epoch_no++;
	st->dirty_bytes = 0;
	st->synced_bytes = 0;
	alloc_epoch_end(st);
	if (db_wal_bytes(st) > WAL_FULL)
		TRY(db_checkpoint(st, true));
	return (OK);
}

/* st->commit held; ${epoch} is the open epoch. */
static enum err
commit_now(struct store *st, uint64_t epoch)
{
	enum err e = OK;

	/* Most of the sync happens while others go on. */
	if (!redo_likely(st))
		e = alloc_sync(st);
	if (e != OK)
		return (epoch_stop(st, e, "the sync of an arena"));
	rwlock_write(&st->epoch);
	e = st->stopped ? ERR_FAILSTOP : commit_exclusive(st);
	if (e != OK)
		e = epoch_stop(st, e, "a commit");
	rwlock_drop(&st->epoch);
	TRY(e);
	e = db_sync(st);
	if (e != OK)
		return (epoch_stop(st, e, "the sync of the WAL"));
	alloc_epoch_durable(st);
	st->durable_epoch = epoch;
	st->n.epochs++;
	/* The KMS refuses further data keys by itself until its log is on
	 * disk; the files' state does not depend on it. */
	if (st->kms != NULL && kms_flush(st->kms) != OK)
		log_warn("store %s: the audit log could not be written: %s",
		    st->dir, err_detail(ERR_IO));
	return (OK);
}

/* The same, and afterwards every slot is in its place on the disk, and no row
 * of redo is left. */
static enum err
commit_whole(struct store *st, uint64_t epoch)
{
	const bool off = st->redo->off;

	st->redo->off = true;
	const enum err e = commit_now(st, epoch);

	st->redo->off = off;
	return (e);
}

static uint64_t
open_epoch(struct store *st, bool *ret_changed)
{
	LOCK_SCOPE(&st->db);
	*ret_changed = st->in_txn || st->idirty != 0;
	return (st->epoch_no);
}

enum err
epoch_commit(struct store *st)
{
	bool changed;
	const uint64_t mine = open_epoch(st, &changed);

	if (st->readonly)
		return (OK);
	LOCK_SCOPE(&st->commit);
	if (st->stopped)
		return (ERR_FAILSTOP);
	/* Group commit: somebody else's may have held all of mine. */
	if (st->durable_epoch >= mine)
		return (OK);
	const uint64_t now = open_epoch(st, &changed);
	if (!changed)
		return (OK);
	return (commit_now(st, now));
}

enum err
epoch_with(struct store *st,
    enum err (*fn)(struct store *st, uint64_t epoch, void *arg), void *arg)
{
	bool changed;

	LOCK_SCOPE(&st->commit);
	if (st->stopped)
		return (ERR_FAILSTOP);
	const uint64_t now = open_epoch(st, &changed);
	if ((changed || redo_waits(st)) && !st->readonly)
		TRY(commit_whole(st, now));
	return (fn(st, st->durable_epoch, arg));
}

/* ---- The maintenance thread ----------------------------------------------------- */

/* Returns false when the store closes. */
static bool
wait_work(struct store *st, uint64_t ns)
{
	LOCK_SCOPE(&st->state);
	if (!st->stopping && !st->kick)
		(void)lock_wait_for(&st->state, &st->state_cond, ns);
	st->kick = false;
	return (!st->stopping);
}

static void
sync_ahead(struct store *st)
{
	if (st->dirty_bytes - st->synced_bytes <= SYNC_AHEAD)
		return;
	LOCK_SCOPE(&st->commit);
	/* A commit sets both to zero. */
	st->synced_bytes = (uint64_t)st->dirty_bytes;
	const enum err e = alloc_sync(st);
	if (e != OK)
		(void)epoch_stop(st, e, "the sync of an arena");
}

/* Free some of what is dead; true when there is more, which then waits for a
 * commit: what one transaction frees is bounded. */
static bool
drain_some(struct store *st)
{
	enum err e = OK;

	for (unsigned i = 0; i < DRAIN_STEPS && st->have_dead; i++) {
		e = drain_step(st);
		if (e != OK)
			break;
	}
	if (e != OK && e != ERR_NOENT)
		log_warn("store %s: space could not be freed and will be "
			 "later: %s",
		    st->dir, err_detail(e));
	return (e == OK && st->have_dead);
}

/* Is the disk so full that the WAL's space is better used for content? */
static bool
scarce(struct store *st)
{
	struct statvfs v;

	return (
	    sys->statvfs(st->dir, &v) == 0 && v.f_bavail < v.f_blocks / SCARCE);
}

static void
commit_now_and_then(struct store *st)
{
	bool changed, shrink;

	(void)open_epoch(st, &changed);
	/* An error has stopped the store and said so. */
	if (changed && epoch_commit(st) != OK)
		err_clear();
	shrink = db_shrinkable(st) && scarce(st);
	if ((db_wal_bytes(st) > WAL_HOME || shrink) &&
	    db_checkpoint(st, false) != OK)
		log_warn(
		    "store %s: the WAL could not be brought home", st->dir);
	if (shrink) {
		LOCK_SCOPE(&st->db);
		db_shrink(st);
	}
}

static void *
maint_main(void *arg)
{
	struct store *st = arg;
	const uint64_t period = (uint64_t)st->opts.commit_secs * 1000000000u;
	uint64_t last = clock_mono_ns(), now = last;

	while (wait_work(st, now - last < period ? period - (now - last) : 1)) {
		bool more;

		now = clock_mono_ns();
		if (st->stopped) {
			last = now;
			continue;
		}
		sync_ahead(st);
		more = drain_some(st);
		if (more)
			epoch_kick(st);
		if (now - last < period && !more)
			continue;
		if (now - last >= period)
			reap_again(st);
		last = now;
		commit_now_and_then(st);
	}
	return (NULL);
}

enum err
epoch_start(struct store *st)
{
	if (st->readonly)
		return (OK);
	if (pthread_create(&st->maint, NULL, maint_main, st) != 0)
		return (ERR_NOMEM);
	st->maint_on = true;
	return (OK);
}

void
epoch_end(struct store *st)
{
	if (!st->maint_on)
		return;
	lock_take(&st->state);
	st->stopping = true;
	(void)pthread_cond_broadcast(&st->state_cond);
	lock_drop(&st->state);
	(void)pthread_join(st->maint, NULL);
	st->maint_on = false;
}

enum err
epoch_last(struct store *st)
{
	bool changed;

	LOCK_SCOPE(&st->commit);
	if (st->readonly)
		return (OK);
	if (st->stopped)
		return (ERR_FAILSTOP);
	const uint64_t now = open_epoch(st, &changed);
	return (changed || redo_waits(st) ? commit_whole(st, now) : OK);
}

enum err
store_sync(struct store *st)
{
	return (epoch_commit(st));
}

enum err
store_fsync(struct store *st, uint64_t ino)
{
	struct inode *ip = NULL;
	enum err e;

	st->n.fsyncs++;
	TRY(epoch_commit(st));
	if (!st->late)
		return (OK);
	lock_take(&st->db);
	ip = inode_peek(st, ino);
	lock_drop(&st->db);
	if (ip == NULL)
		return (OK);
	rwlock_write(&ip->lock);
	e = late_error(ip, NULL);
	rwlock_drop(&ip->lock);
	inode_unpin(st, ip);
	return (e);
}

enum err
store_fsync_file(struct store_file *f)
{
	struct store *st = f->st;

	st->n.fsyncs++;
	TRY(epoch_commit(st));
	if (!st->late)
		return (OK);
	RWLOCK_WRITE_SCOPE(&f->ip->lock);
	return (late_error(f->ip, f));
}
