/*
 * db: meta.db, its statements and its transactions.
 *
 * One connection does all the work, under st->db; a second one brings WAL
 * frames home while the first goes on.  The WAL is synced by the committer
 * (db_sync) after it has let go of every lock, therefore synchronous=NORMAL:
 * SQLite itself syncs only around a checkpoint.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"
#include "store/db_internal.h"
#include "store/redo.h"
#include "store/schema.h"
#include "store/vfs_seal.h"

#define PAGE SEAL_PAGESIZE
#define FRAME (PAGE + 24) /* a page in the WAL */

/* What a change, a dirty inode and a dirty map node are taken to need in the
 * WAL, and how much is asked for at once. */
#define ROOM_CHANGE 2048u
#define ROOM_INODE 1024u
#define ROOM_NODE 4096u
#define ROOM_STEP ((uint64_t)4 << 20)
#define ROOM_REDO \
	((uint64_t)9 << 17) /* a commit's rows of table ring: 129 pages */
#define ROOM_LOOKS 64u
#define ROOM_CALLS 256u /* operations that one reservation lets pass */

struct db {
	sqlite3 *main;
	sqlite3 *ckpt; /* NULL when the store is open for reading only */
	char *path;
	sqlite3_stmt *stmt[ST_COUNT_];
	uint64_t changes; /* db_begin() calls of the open transaction */
	unsigned looks;   /* new inodes until the disk is looked at */
	unsigned room;    /* operations that still have room in the WAL, … */
	uint64_t later; /* … reserved when this was to come with the commit */
	/* Frames in the WAL, and how many of them are home. */
	uint64_t wal_round; /* that these are of */
	atomic_uint_fast64_t wal_frames, wal_home;
};

/* ---- Opening ------------------------------------------------------------ */

/* Called after each commit with the number of frames in the WAL. */
static int
on_commit(void *arg, sqlite3 *c, const char *name, int frames)
{
	struct db *const db = arg;
	const uint64_t round = vfs_wal_rounds(db->path);

	(void)c;
	(void)name;
	/* Begun anew, nothing of it is home, however long it is by now. */
	if (round != db->wal_round)
		atomic_store(&db->wal_home, 0);
	db->wal_round = round;
	atomic_store(&db->wal_frames, (uint64_t)frames);
	return (SQLITE_OK);
}

static enum err
check_super(struct store *st, sqlite3_stmt *s)
{
	const sqlite3_int64 format = sqlite3_column_int64(s, 0);
	const int base = st->sealed ? STORE_FORMAT_SEALED : STORE_FORMAT;

	if (format > STORE_FORMAT_MAX)
		return (err_fail(ERR_VERSION,
		    "the store has format %lld, this "
		    "program (" SSEFS_VERSION ") knows formats up to %d",
		    (long long)format, STORE_FORMAT_MAX));
	if ((format != base && format != base + STORE_REDO &&
		format != base + STORE_RING) ||
	    sqlite3_column_bytes(s, 1) != UUID_LEN ||
	    sqlite3_column_int64(s, 2) < 0 ||
	    sqlite3_column_int64(s, 2) > (sqlite3_int64)COUNTER_MAX ||
	    sqlite3_column_int64(s, 3) <= STORE_ROOT ||
	    sqlite3_column_int64(s, 3) > (sqlite3_int64)INO_MAX ||
	    sqlite3_column_int64(s, 4) < 1 ||
	    sqlite3_column_int64(s, 4) > (sqlite3_int64)COUNTER_MAX)
		return (err_fail(ERR_CORRUPT, "meta.db: super is damaged"));
	memcpy(st->uuid, sqlite3_column_blob(s, 1), UUID_LEN);
	uuid_format(st->uuid, st->uuid_text);
	st->durable_epoch = (uint64_t)sqlite3_column_int64(s, 2);
	st->epoch_no = st->durable_epoch + 1;
	st->next_ino = (uint64_t)sqlite3_column_int64(s, 3);
	st->next_seg = (uint64_t)sqlite3_column_int64(s, 4);
	return (OK);
}

/* The format is looked at before any other table: a newer one may lack them. */
static enum err
load_super(struct store *st, sqlite3 *c)
{
	sqlite3_stmt *s CLEANUP(db_stmt_close) = NULL;
	int rc;

	rc = sqlite3_prepare_v2(c, stmt_sql[ST_SUPER_GET], -1, &s, NULL);
	if (rc == SQLITE_ERROR)
		return (err_fail(ERR_NOTSTORE, "meta.db: %s", db_why(c)));
	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	if (rc != SQLITE_ROW)
		return (err_fail(rc == SQLITE_DONE ? ERR_CORRUPT : db_err(rc),
		    "meta.db: %s", db_why(c)));
	return (check_super(st, s));
}

/* A number given out twice would write one file over another. */
static enum err
counters_raise(struct store *st)
{
	uint64_t ino, seg;

	TRY(db_row(st, ST_TOP));
	ino = (uint64_t)sqlite3_column_int64(st->sql->stmt[ST_TOP], 0);
	seg = (uint64_t)sqlite3_column_int64(st->sql->stmt[ST_TOP], 1);
	db_done(st, ST_TOP);
	if (ino < INO_MAX && ino >= st->next_ino)
		st->next_ino = ino + 1;
	if (seg < COUNTER_MAX && seg >= st->next_seg)
		st->next_seg = seg + 1;
	return (OK);
}

static enum err
prepare_all(struct db *db)
{
	int i, rc;

	for (i = 0; i < ST_COUNT_; i++) {
		rc = sqlite3_prepare_v3(db->main, stmt_sql[i], -1,
		    SQLITE_PREPARE_PERSISTENT, &db->stmt[i], NULL);
		if (rc == SQLITE_ERROR)
			return (err_fail(
			    ERR_CORRUPT, "meta.db: %s", db_why(db->main)));
		if (rc != SQLITE_OK)
			return (err_fail(
			    db_err(rc), "meta.db: %s", db_why(db->main)));
	}
	return (OK);
}

static void
db_free(struct db **p)
{
	struct db *const db = *p;
	int i;

	if (db == NULL)
		return;
	for (i = 0; i < ST_COUNT_; i++)
		(void)sqlite3_finalize(db->stmt[i]);
	db_conn_close(&db->ckpt);
	db_conn_close(&db->main);
	vfs_seal_drop(db->path);
	free(db->path);
	free(db);
	*p = NULL;
}

static enum err
check_file(const char *path)
{
	struct stat sb;

	if (sys->stat(path, &sb) == 0)
		return (S_ISREG(sb.st_mode)
			    ? OK
			    : err_fail(ERR_NOTSTORE, "%s: not a file", path));
	return (err_fail(errno == ENOENT ? ERR_NOTSTORE : err_from_errno(errno),
	    "%s: %s", path, strerror(errno)));
}

enum err
db_look(struct store *st)
{
	char *path CLEANUP_FREE = NULL;

	if (asprintf(&path, "%s/meta.db", st->dir) < 0)
		return (ERR_NOMEM);
	return (vfs_seal_look(path, &st->sealed, st->uuid));
}

static enum err
unlock(struct store *st, const char *path)
{
	struct key *key CLEANUP_KEY = key_new();

	if (key == NULL)
		return (ERR_NOMEM);
	if (st->kms == NULL)
		return (err_fail(ERR_ROOTKEY,
		    "meta.db is sealed, and keys.db, which has its key, is "
		    "not there"));
	TRY(kms_metadata_key(st->kms, st->uuid, key));
	return (vfs_seal_add(path, key, st->uuid));
}

enum err
db_open(struct store *st)
{
	struct db *db CLEANUP(db_free) = calloc(1, sizeof(*db));
	const int flags =
	    st->readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;

	if (db == NULL || asprintf(&db->path, "%s/meta.db", st->dir) < 0)
		return (ERR_NOMEM);
	TRY(check_file(db->path));
	if (st->sealed)
		TRY(unlock(st, db->path));
	TRY(db_conn_open(db->path, flags, st->opts.db_cache, &db->main));
	TRY(db_expect(db->main, "PRAGMA application_id", SCHEMA_APP_ID));
	TRY(vfs_seal_check(db->path));
	TRY(load_super(st, db->main));
	TRY(db_expect(db->main, "PRAGMA journal_mode", "wal"));
	TRY(prepare_all(db));
	(void)sqlite3_wal_hook(db->main, on_commit, db);
	if (!st->readonly) {
		TRY(db_conn_open(db->path, flags, 65536, &db->ckpt));
		/* A connection that never read does not know of the WAL. */
		TRY(db_expect(
		    db->ckpt, "PRAGMA application_id", SCHEMA_APP_ID));
	}
	st->sql = steal(db);
	TRY(counters_raise(st));
	/* What a crash left in the WAL goes home before anything else; on a
	 * full disk it stays where it is, and removing goes on. */
	enum err e = st->readonly ? OK : vfs_wal_renew(st->sql->path);
	if (e == OK && !st->readonly)
		e = db_checkpoint(st, true);
	if (e == ERR_NOSPC) {
		log_warn("store %s: the disk is full: remove files to go on",
		    st->dir);
		return (OK);
	}
	return (e);
}

void
db_close(struct store *st)
{
	if (st->sql == NULL)
		return;
	if (st->in_txn)
		(void)sqlite3_step(db_stmt(st, ST_ROLLBACK));
	else if (!st->readonly && !atomic_load(&st->stopped)) {
		if (db_checkpoint(st, true) == OK)
			db_shrink(st);
		else
			log_warn("meta.db: the last checkpoint failed; the "
				 "next start reads the WAL");
	}
	st->in_txn = false;
	db_free(&st->sql);
}

/* ---- Statements --------------------------------------------------------- */

sqlite3_stmt *
db_stmt(struct store *st, enum stmt s)
{
	sqlite3_stmt *const p = st->sql->stmt[s];

	(void)sqlite3_reset(p);
	(void)sqlite3_clear_bindings(p);
	return (p);
}

/*
 * A statement failed.  When memory or the disk failed it, SQLite has undone the
 * whole transaction, for which a look-up is enough: what was changed in this
 * epoch is gone from the tables and nothing of it may be committed any more.
 */
static void
undone(struct store *st, enum err e)
{
	if (st->in_txn && sqlite3_get_autocommit(st->sql->main) != 0)
		(void)epoch_stop(st, e, "a look at the metadata");
}

static enum err
failed(struct store *st, int rc)
{
	const enum err e =
	    err_fail(rc == SQLITE_ROW ? ERR_INTERNAL : db_err(rc),
		"meta.db: %s", db_why(st->sql->main));

	undone(st, e);
	return (e);
}

enum err
db_run(struct store *st, enum stmt s)
{
	sqlite3_stmt *const p = st->sql->stmt[s];
	enum err e;
	int rc;

	/* The transaction may be gone already: what another thread still
	 * writes would be committed by itself. */
	if (atomic_load(&st->stopped))
		return (ERR_FAILSTOP);
	rc = sqlite3_step(p);
	if (rc == SQLITE_DONE) {
		(void)sqlite3_reset(p);
		return (OK);
	}
	e = err_fail(rc == SQLITE_ROW ? ERR_INTERNAL : db_err(rc),
	    "meta.db: %s", db_why(st->sql->main));
	e = epoch_stop(st, e, "a change of the metadata");
	(void)sqlite3_reset(p);
	return (e);
}

enum err
db_step(struct store *st, sqlite3_stmt *s)
{
	const int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW)
		return (OK);
	return (rc == SQLITE_DONE ? ERR_NOENT : failed(st, rc));
}

enum err
db_row(struct store *st, enum stmt s)
{
	sqlite3_stmt *const p = st->sql->stmt[s];
	const enum err e = db_step(st, p);

	if (e != OK)
		(void)sqlite3_reset(p);
	return (e);
}

void
db_done(struct store *st, enum stmt s)
{
	(void)sqlite3_reset(st->sql->stmt[s]);
	/* So does a column for which there was no memory. */
	undone(st, ERR_NOMEM);
}

enum err
db_prepare(struct store *st, const char *text, sqlite3_stmt **ret)
{
	const int rc = sqlite3_prepare_v2(st->sql->main, text, -1, ret, NULL);

	if (rc != SQLITE_OK)
		return (
		    err_fail(db_err(rc), "meta.db: %s", db_why(st->sql->main)));
	return (OK);
}

/* ---- Transactions ------------------------------------------------------- */

enum err
db_room(struct store *st)
{
	struct db *const db = st->sql;
	/* Pages that were changed are in the cache, which has a size, or in the
	 * WAL already; what comes with the commit is added. */
	const uint64_t pages = db->changes * ROOM_CHANGE;
	const uint64_t later =
	    (uint64_t)st->idirty * ROOM_INODE + st->dirty_nodes * ROOM_NODE;
	const uint64_t need =
	    later + 2 * ROOM_STEP +
	    (pages < st->opts.db_cache ? pages : st->opts.db_cache);
	/* SQLite begins the WAL anew once all of it is home. */
	const bool anew = !st->in_txn && atomic_load(&db->wal_frames) ==
					     atomic_load(&db->wal_home);

	if (db->room != 0 && later <= db->later + ROOM_STEP) {
		db->room--;
		return (OK);
	}
	enum err e = vfs_wal_reserve(db->path, anew, need);
	if (e == ERR_NOSPC && alloc_hold_break(st))
		e = vfs_wal_reserve(db->path, anew, need);
	TRY(e);
	db->room = ROOM_CALLS;
	db->later = later;
	return (OK);
}

bool
db_room_redo(struct store *st)
{
	LOCK_SCOPE(&st->db);
	struct db *const db = st->sql;
	const uint64_t pages = db->changes * ROOM_CHANGE;

	if (vfs_wal_reserve(db->path, false,
		2 * ROOM_STEP + ROOM_REDO +
		    (pages < st->opts.db_cache ? pages : st->opts.db_cache)) ==
	    OK)
		return (true);
	err_clear();
	return (false);
}

int
db_format(const struct store *st)
{
	return ((st->sealed ? STORE_FORMAT_SEALED : STORE_FORMAT) +
		(redo_waits(st) ? STORE_RING : 0));
}

/* By how much meta.db will grow when all is home. */
static enum err
growth(struct store *st, uint64_t *ret)
{
	sqlite3_stmt *s CLEANUP(db_stmt_close) = NULL;
	struct stat sb;
	uint64_t size;

	TRY(db_prepare(st, "PRAGMA page_count", &s));
	TRY(db_step(st, s));
	size = (uint64_t)sqlite3_column_int64(s, 0) * PAGE;
	if (sys->stat(st->sql->path, &sb) != 0)
		return (err_from_errno(errno));
	*ret = size > (uint64_t)sb.st_size ? size - (uint64_t)sb.st_size : 0;
	return (OK);
}

enum err
db_room_new(struct store *st)
{
	struct db *const db = st->sql;
	uint64_t more = 0;

	TRY(db_room(st));
	if (db->looks == 0) {
		TRY(growth(st, &more));
		if (!arena_room(st, more, 2))
			return (ERR_NOSPC);
		db->looks = ROOM_LOOKS;
	}
	db->looks--;
	return (OK);
}

enum err
db_begin(struct store *st)
{
	st->sql->changes++;
	if (st->in_txn)
		return (OK);
	(void)db_stmt(st, ST_BEGIN);
	TRY(db_run(st, ST_BEGIN));
	st->in_txn = true;
	return (OK);
}

enum err
db_commit(struct store *st)
{
	if (!st->in_txn)
		return (OK);
	(void)db_stmt(st, ST_COMMIT);
	TRY(db_run(st, ST_COMMIT));
	st->in_txn = false;
	st->sql->changes = 0;
	st->sql->room = 0;
	return (OK);
}

enum err
db_sync(struct store *st)
{
	return (vfs_wal_sync(st->sql->path));
}

enum err
db_checkpoint(struct store *st, bool full)
{
	struct db *const db = st->sql;
	sqlite3 *const c = full ? db->main : db->ckpt;
	int rc, frames = -1, home = -1;

	if (c == NULL)
		return (ERR_ROFS);
	rc = sqlite3_wal_checkpoint_v2(
	    c, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &home);
	/* Busy: the other connection is at it. */
	if (rc == SQLITE_BUSY)
		return (OK);
	if (rc != SQLITE_OK)
		return (
		    err_fail(db_err(rc), "meta.db: checkpoint: %s", db_why(c)));
	if (full && frames >= 0)
		atomic_store(&db->wal_frames, (uint64_t)frames);
	if (home >= 0)
		atomic_store(&db->wal_home, (uint64_t)home);
	return (OK);
}

bool
db_shrinkable(struct store *st)
{
	return (vfs_wal_large(st->sql->path));
}

void
db_shrink(struct store *st)
{
	struct db *const db = st->sql;
	int rc;

	if (st->in_txn || db_wal_bytes(st) != 0 || !db_shrinkable(st))
		return;
	/* Another time, when somebody reads an older state. */
	(void)sqlite3_busy_timeout(db->main, 0);
	rc = sqlite3_wal_checkpoint_v2(
	    db->main, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	(void)sqlite3_busy_timeout(db->main, DB_BUSY_MS);
	if (rc != SQLITE_OK)
		return;
	atomic_store(&db->wal_frames, 0);
	atomic_store(&db->wal_home, 0);
	db->room = 0;
}

uint64_t
db_wal_bytes(struct store *st)
{
	const uint64_t frames = atomic_load(&st->sql->wal_frames);

	if (frames == atomic_load(&st->sql->wal_home))
		return (0);
	return (frames * FRAME);
}
