/*
 * store: opening and closing a store; its lock; reaping; what it says about
 * itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/log.h"
#include "lib/base/sys.h"

#include "store/redo.h"
#include "store/object.h"

#define PATH_LEN 4096
#define DIRTY_MAX ((size_t)256 << 20)
#define MAP_CACHE ((size_t)24 << 20)
#define DB_CACHE ((size_t)40 << 20)
#define INODE_CACHE 16384u
#define COMMIT_SECS 5u
#define LOCK_CLOSED "closed\n" /* in the place of the owner's pid */

static enum err
path_of(const char *dir, const char *name, char ret[static PATH_LEN])
{
	if ((size_t)snprintf(ret, PATH_LEN, "%s/%s", dir, name) >= PATH_LEN)
		return (ERR_NAMETOOLONG);
	return (OK);
}

enum err
store_prepare(void)
{
	TRY(vfs_register());
	kms_set_vfs(VFS_COMMON);
	return (OK);
}

/* ---- The lock ------------------------------------------------------------------ */

static enum err
lock_dir(struct store *st)
{
	char path[PATH_LEN], text[32] = { 0 };
	ssize_t n;

	TRY(path_of(st->dir, "lock", path));
	st->lockfd =
	    sys->open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (st->lockfd < 0)
		return (err_fail(
		    err_from_errno(errno), "%s: %s", path, strerror(errno)));
	if (sys->lock(st->lockfd) != 0) {
		if (errno != EAGAIN)
			return (err_fail(err_from_errno(errno), "%s: %s", path,
			    strerror(errno)));
		n = sys->pread(st->lockfd, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		text[strcspn(text, "\n")] = '\0';
		return (err_fail(ERR_LOCKED,
		    "%s is in use by process %s "
		    "(unmount it, or end that server, first)",
		    st->dir, text));
	}
	n = sys->pread(st->lockfd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	st->was_closed = strcmp(text, LOCK_CLOSED) == 0;
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	/* In the place of the old text: on a full disk there is no other.  It is
	 * for people only, so that none is better than no store. */
	const enum err e = sys_pwrite_full(st->lockfd, text, (size_t)n, 0);
	if (e != OK && e != ERR_NOSPC)
		return (e);
	if (sys->ftruncate(st->lockfd, e == OK ? n : 0) != 0)
		return (err_from_errno(errno));
	/* Otherwise a power cut could make it seem closed. */
	if (st->was_closed && sys->fdatasync(st->lockfd) != 0)
		return (err_from_errno(errno));
	return (OK);
}

/* All is on the disk.  Whoever opens it next trims once more if this fails. */
static void
lock_closed(struct store *st)
{
	if (sys_pwrite_full(st->lockfd, LOCK_CLOSED, strlen(LOCK_CLOSED), 0) ==
	    OK)
		(void)sys->ftruncate(st->lockfd, (off_t)strlen(LOCK_CLOSED));
	else
		err_clear();
}

/* ---- Opening ------------------------------------------------------------------- */

static void
store_free(struct store *st)
{
	if (st == NULL)
		return;
	epoch_end(st);
	/* Before the store's parts go: it calls into them. */
	kms_close(st->kms);
	inode_close(st);
	share_close(st);
	keyrefs_close(st);
	askers_close(st);
	map_close(st);
	alloc_close(st);
	redo_close(st);
	db_close(st);
	if (st->lockfd >= 0)
		(void)sys->close(st->lockfd);
	lock_destroy(&st->commit);
	rwlock_destroy(&st->epoch);
	lock_destroy(&st->db);
	lock_destroy(&st->map_lock);
	lock_destroy(&st->alloc_lock);
	lock_destroy(&st->state);
	(void)pthread_cond_destroy(&st->state_cond);
	free(st->dir);
	free(st);
}

static void
store_cleanup(struct store **st)
{
	store_free(*st);
}

static struct store *
store_new(const struct store_opts *o)
{
	struct store *st = calloc(1, sizeof(*st));

	if (st == NULL)
		return (NULL);
	st->lockfd = -1;
	st->opts = *o;
	if (st->opts.commit_secs == 0)
		st->opts.commit_secs = COMMIT_SECS;
	if (st->opts.dirty_max == 0)
		st->opts.dirty_max = DIRTY_MAX;
	if (st->opts.map_cache == 0)
		st->opts.map_cache = MAP_CACHE;
	if (st->opts.db_cache == 0)
		st->opts.db_cache = DB_CACHE;
	if (st->opts.inode_cache == 0)
		st->opts.inode_cache = INODE_CACHE;
	st->readonly = o->readonly;
	lock_init(&st->commit, RANK_STORE_COMMIT, "store commit");
	rwlock_init(&st->epoch, RANK_STORE_EPOCH, "store epoch");
	lock_init(&st->db, RANK_STORE_DB, "store db");
	lock_init(&st->map_lock, RANK_STORE_MAP, "store map");
	lock_init(&st->alloc_lock, RANK_STORE_ALLOC, "store alloc");
	lock_init(&st->state, RANK_STORE_STATE, "store state");
	lock_cond_init(&st->state_cond);
	/* The VFS knows the database by its full path. */
	st->dir = realpath(o->dir, NULL);
	if (st->dir == NULL) {
		store_free(st);
		return (NULL);
	}
	return (st);
}

static enum err
open_kms(struct store *st)
{
	char path[PATH_LEN];
	struct stat sb;

	TRY(path_of(st->dir, "keys.db", path));
	if (sys->stat(path, &sb) != 0) {
		if (errno == ENOENT)
			return (OK); /* made with no_kms */
		return (err_from_errno(errno));
	}
	TRY(kms_open(path, st->opts.root, &st->kms));
	/* Whoever could put a plain database of his own here would decide what
	 * the store shows.  The keystore's word cannot be forged. */
	if (kms_is_sealing(st->kms) == st->sealed)
		return (OK);
	return (err_fail(ERR_CORRUPT,
	    st->sealed ? "keys.db is not of a store with sealed metadata"
		       : "meta.db is not sealed, but the keystore says that "
			 "it must be: it was exchanged"));
}

/* What lost its last name before the last stop is freed now. */
static enum err
reap_orphans(struct store *st)
{
	int64_t ino = 0;
	enum err e = OK;

	while (e == OK && !st->readonly) {
		lock_take(&st->db);
		sqlite3_stmt *q = db_stmt(st, ST_ORPHAN_NEXT);
		sqlite3_bind_int64(q, 1, ino);
		e = db_row(st, ST_ORPHAN_NEXT);
		if (e == OK) {
			ino = sqlite3_column_int64(q, 0);
			db_done(st, ST_ORPHAN_NEXT);
		}
		lock_drop(&st->db);
		if (e == OK)
			store_reap(st, (uint64_t)ino);
	}
	return (e == ERR_NOENT ? OK : e);
}

/* Keys may have become due while nobody had the store open. */
static void
run_timer(struct store *st)
{
	enum err e;

	kms_set_uses(st->kms, uses_count, st);
	e = kms_timer(st->kms);
	if (e != OK)
		log_warn(
		    "store %s: keys that are due: %s", st->dir, err_detail(e));
}

enum err
store_open_dir(const struct store_opts *o, struct store **ret)
{
	struct store *st CLEANUP(store_cleanup) = NULL;
	char path[PATH_LEN];
	struct stat sb;
	bool half;

	TRY(store_half_made(o->dir, &half));
	if (half)
		return (err_fail(ERR_NOTSTORE,
		    "the making of the store %s was cut off: call ssefs init "
		    "again",
		    o->dir));
	TRY(path_of(o->dir, "meta.db", path));
	if (sys->stat(path, &sb) != 0 && (errno == ENOENT || errno == ENOTDIR))
		return (err_fail(ERR_NOTSTORE,
		    "%s is not an ssefs store "
		    "(make one with: ssefs init --store %s)",
		    o->dir, o->dir));
	st = store_new(o);
	if (st == NULL)
		return (ERR_NOMEM);
	TRY(lock_dir(st));
	/* A process that was killed may have made an arena and not synced its
	 * name; from now on its blocks count. */
	if (!st->readonly)
		TRY(sys_sync_dir(st->dir));
	TRY(inode_open(st));
	TRY(map_open(st));
	TRY(db_look(st));
	/* Without its key nothing can be said about a sealed one. */
	if (st->sealed)
		TRY(open_kms(st));
	TRY(db_open(st));
	uuid_format(st->uuid, st->uuid_text);
	TRY(alloc_open(st));
	TRY(redo_open(st));
	if (!st->sealed && !o->no_keys)
		TRY(open_kms(st));
	/* A crash leaves space reserved, or freed and not given back.  Not in a
	 * store that may be damaged: what seems free may not be. */
	if (!st->readonly && !o->check && !st->was_closed)
		alloc_trim(st, true);
	st->have_dead = !o->check;
	if (!o->check)
		TRY(reap_orphans(st));
	TRY(epoch_start(st));
	if (st->kms != NULL && !o->check)
		run_timer(st);
	if (st->kms != NULL)
		TRY(kms_watch(st->kms, revoke_look, st));
	*ret = steal(st);
	return (OK);
}

enum err
store_close_dir(struct store *st)
{
	enum err e;

	epoch_end(st);
	e = epoch_last(st);
	if (e == OK && !st->readonly && !st->opts.check)
		alloc_trim(st, false);
	if (e == OK && !st->readonly && !st->opts.check)
		lock_closed(st);
	store_free(st);
	return (e);
}

struct kms *
store_kms(struct store *st)
{
	return (st->kms);
}

/* ---- Reaping -------------------------------------------------------------------- */

/* The rows that go with an inode. st->db held. */
static enum err
reap_rows(struct store *st, struct inode *ip)
{
	static const enum stmt all[] = { ST_XATTR_DELALL, ST_DFLT_DEL,
		ST_LINK_DEL, ST_ORPHAN_DEL };

	TRY(db_begin(st));
	for (unsigned i = 0; i < COUNTOF(all); i++) {
		/* Most inodes have none of these. */
		if ((all[i] == ST_XATTR_DELALL && ip->xattrs == 0) ||
		    (all[i] == ST_DFLT_DEL && !S_ISDIR(ip->mode)) ||
		    (all[i] == ST_LINK_DEL && !S_ISLNK(ip->mode)) ||
		    (all[i] == ST_ORPHAN_DEL && !ip->orphan_row))
			continue;
		sqlite3_stmt *q = db_stmt(st, all[i]);
		sqlite3_bind_int64(q, 1, (int64_t)ip->ino);
		TRY(db_run(st, all[i]));
	}
	keyref_use(st, ip->keyref, -1);
	return (inode_erase(st, ip));
}

static enum err
reap(struct store *st, struct inode *ip)
{
	RWLOCK_WRITE_SCOPE(&ip->lock);
	/* Nobody else has it pinned, so nobody gives it a name meanwhile. */
	if (ip->obj != NULL)
		TRY(content_drop(st, ip));
	LOCK_SCOPE(&st->db);
	return (reap_rows(st, ip));
}

void
store_reap(struct store *st, uint64_t ino)
{
	struct inode *ip = NULL;
	enum err e;

	if (epoch_enter(st) != OK)
		return;
	lock_take(&st->db);
	e = inode_get(st, ino, &ip);
	if (e == OK && (!ip->orphan || ip->nlink != 0 || ip->pins != 1)) {
		/* A flush or a scrub may have it for a moment; an open file
		 * for long: the maintenance thread comes back to it. */
		ip->reap = ip->orphan && ip->nlink == 0;
		if (ip->reap)
			st->want_reap = true;
		inode_put(st, ip);
		ip = NULL;
	}
	lock_drop(&st->db);
	if (e == OK && ip != NULL) {
		e = reap(st, ip);
		inode_unpin(st, ip);
	}
	epoch_leave(st);
	if (e != OK && e != ERR_STALE)
		log_warn("store %s: inode %llu is freed at the next start: %s",
		    st->dir, (unsigned long long)ino, err_detail(e));
}

void
reap_again(struct store *st)
{
	if (!atomic_exchange(&st->want_reap, false))
		return;
	for (uint32_t b = 0; b < inode_buckets(); b++) {
		uint64_t after = 0;
		struct inode *ip;

		while ((ip = inode_next(st, b, &after)) != NULL) {
			lock_take(&st->db);
			const bool again = ip->reap && ip->nlink == 0;

			ip->reap = false;
			inode_put(st, ip);
			lock_drop(&st->db);
			if (again)
				store_reap(st, after);
		}
	}
}

/* ---- What it says ---------------------------------------------------------------- */

enum err
store_statfs(struct store *st, struct store_stat *ret)
{
	struct statvfs v;
	uint64_t own, avail, left;

	if (sys->statvfs(st->dir, &v) != 0)
		return (err_from_errno(errno));
	own = alloc_free_bytes(st);
	ret->bytes_total = (uint64_t)v.f_blocks * v.f_frsize;
	ret->bytes_free = (uint64_t)v.f_bfree * v.f_frsize + own;
	avail = (uint64_t)v.f_bavail * v.f_frsize;
	left = arena_left(&v);
	ret->bytes_avail = (avail > left ? avail - left : 0) + own;
	/* An inode here is a row of some 600 bytes with its name. */
	ret->inodes_free = ret->bytes_avail / 600;
	LOCK_SCOPE(&st->db);
	ret->inodes = ret->inodes_free + st->next_ino;
	return (OK);
}

void
store_counters(struct store *st, struct store_counters *ret)
{
	*ret = (struct store_counters){
		.epochs = st->n.epochs,
		.fsyncs = st->n.fsyncs,
		.reads = st->n.reads,
		.writes = st->n.writes,
		.read_bytes = st->n.read_bytes,
		.write_bytes = st->n.write_bytes,
		.kms_calls = st->n.kms_calls,
		.map_hits = st->n.map_hits,
		.map_misses = st->n.map_misses,
		.dirty_bytes = st->dirty_bytes,
	};
}
