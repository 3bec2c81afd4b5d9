/*
 * db_copy: meta.db as it was at one epoch, while the store goes on.
 *
 * A connection of its own has a read transaction open, which it began between
 * two commits.  SQLite keeps in the WAL what that transaction may want, so the
 * WAL is not begun anew until it ends: it is for copying the database and
 * nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"
#include "lib/base/buf.h"
#include "lib/base/sys.h"

#include "store/db_internal.h"
#include "store/vfs_seal.h"

#define STEP_PAGES 256 /* 2 MiB between looks at the clock */
#define CACHE ((size_t)2 << 20)

struct db_snap {
	struct store *st;
	sqlite3 *c;
};

static void
snap_cleanup(struct db_snap **s)
{
	db_snap_close(*s);
}

static void
stmt_cleanup(sqlite3_stmt **s)
{
	(void)sqlite3_finalize(*s);
}

void
db_read_close(sqlite3 **c)
{
	(void)sqlite3_close_v2(*c);
	*c = NULL;
}
#define CLEANUP_DB CLEANUP(db_read_close)

static enum err
fail(sqlite3 *c, const char *path)
{
	return (err_fail(
	    db_err(sqlite3_errcode(c)), "%s: %s", path, sqlite3_errmsg(c)));
}

enum err
db_read_open(const char *path, sqlite3 **ret)
{
	return (db_conn_open(path, SQLITE_OPEN_READONLY, CACHE, ret));
}

static enum err
epoch_of(sqlite3 *c, const char *path, uint64_t *ret)
{
	sqlite3_stmt *s CLEANUP(stmt_cleanup) = NULL;

	if (sqlite3_prepare_v2(c, "SELECT epoch FROM super WHERE one=1", -1, &s,
		NULL) != SQLITE_OK ||
	    sqlite3_step(s) != SQLITE_ROW)
		return (fail(c, path));
	*ret = (uint64_t)sqlite3_column_int64(s, 0);
	return (OK);
}

enum err
db_snap_open(struct store *st, uint64_t epoch, struct db_snap **ret)
{
	struct db_snap *s CLEANUP(snap_cleanup) = calloc(1, sizeof(*s));
	char *path CLEANUP_FREE = NULL;
	uint64_t is = 0;

	if (s == NULL)
		return (ERR_NOMEM);
	s->st = st;
	if (asprintf(&path, "%s/meta.db", st->dir) < 0) {
		path = NULL;
		return (ERR_NOMEM);
	}
	TRY(db_read_open(path, &s->c));
	if (sqlite3_exec(s->c, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
		return (fail(s->c, path));
	/* The first look begins the transaction. */
	TRY(epoch_of(s->c, path, &is));
	if (is != epoch)
		return (err_fail(ERR_CORRUPT,
		    "meta.db: its epoch is %llu where %llu was expected",
		    (unsigned long long)is, (unsigned long long)epoch));
	*ret = steal(s);
	return (OK);
}

void
db_snap_close(struct db_snap *s)
{
	if (s == NULL)
		return;
	db_read_close(&s->c);
	free(s);
}

static enum err
copy_pages(struct db_snap *s, sqlite3 *to, const char *path,
    bool (*more)(void *arg), void *arg)
{
	sqlite3_backup *b = sqlite3_backup_init(to, "main", s->c, "main");
	bool go = true;
	int rc = SQLITE_OK;

	if (b == NULL)
		return (fail(to, path));
	while (rc == SQLITE_OK && go) {
		rc = sqlite3_backup_step(b, STEP_PAGES);
		go = more == NULL || more(arg);
	}
	(void)sqlite3_backup_finish(b);
	if (rc == SQLITE_DONE)
		return (OK);
	if (rc == SQLITE_OK)
		return (err_fail(ERR_BUSY, "it was stopped"));
	return (err_fail(db_err(rc), "%s: %s", path, sqlite3_errstr(rc)));
}

static enum err
sync_file(const char *path)
{
	const int fd = sys->open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
	enum err e = OK;

	if (fd < 0 || sys->fdatasync(fd) != 0)
		e = err_fail(
		    err_from_errno(errno), "%s: %s", path, strerror(errno));
	if (fd >= 0)
		(void)sys->close(fd);
	return (e);
}

/* A new database, sealed as the store's own is. */
static enum err
open_new(struct store *st, const char *path, sqlite3 **ret)
{
	struct key *key CLEANUP_KEY = NULL;
	int reserve = SEAL_RESERVE;

	if (st->sealed) {
		key = key_new();
		if (key == NULL)
			return (ERR_NOMEM);
		TRY(kms_metadata_key(st->kms, st->uuid, key));
		TRY(db_front(path, st->uuid, key));
		TRY(vfs_seal_add(path, key, st->uuid));
	}
	TRY(db_conn_open(
	    path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, CACHE, ret));
	/* A copy that is cut off is thrown away: it needs no journal on disk. */
	TRY(db_sql(*ret, "PRAGMA page_size=8192; PRAGMA journal_mode=MEMORY;"
			 "PRAGMA synchronous=OFF"));
	if (st->sealed &&
	    sqlite3_file_control(
		*ret, NULL, SQLITE_FCNTL_RESERVE_BYTES, &reserve) != SQLITE_OK)
		return (ERR_INTERNAL);
	return (OK);
}

enum err
db_snap_copy(
    struct db_snap *s, const char *path, bool (*more)(void *arg), void *arg)
{
	sqlite3 *to CLEANUP_DB = NULL;

	TRY(open_new(s->st, path, &to));
	TRY(copy_pages(s, to, path, more, arg));
	db_read_close(&to);
	return (sync_file(path));
}

void
db_copy_drop(const char *path)
{
	vfs_seal_drop(path);
}

/* ---- What it holds ---------------------------------------------------------- */

static void
add_value(struct sha256_ctx *h, sqlite3_stmt *s, int col)
{
	const int type = sqlite3_column_type(s, col);
	uint8_t head[16];

	put_u64(head, (uint64_t)type);
	if (type == SQLITE_INTEGER) {
		put_u64(head + 8, (uint64_t)sqlite3_column_int64(s, col));
		sha256_add(h, head, 16);
		return;
	}
	/* Before its length is asked for. */
	const void *p = sqlite3_column_blob(s, col);
	const size_t len = (size_t)sqlite3_column_bytes(s, col);

	put_u64(head + 8, len);
	sha256_add(h, head, 16);
	if (len != 0)
		sha256_add(h, p, len);
}

static enum err
add_table(sqlite3 *c, struct sha256_ctx *h, const char *sql)
{
	sqlite3_stmt *s CLEANUP(stmt_cleanup) = NULL;
	int rc = sqlite3_prepare_v2(c, sql, -1, &s, NULL);

	if (rc != SQLITE_OK)
		return (db_err(rc));
	sha256_add(h, sql, strlen(sql));
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		for (int i = 0; i < sqlite3_column_count(s); i++)
			add_value(h, s, i);
	return (rc == SQLITE_DONE ? OK : db_err(rc));
}

enum err
db_state(sqlite3 *c, uint8_t ret[static SHA256_LEN])
{
	static const char *const all[] = { "SELECT * FROM super",
		"SELECT * FROM inode ORDER BY ino",
		"SELECT * FROM dentry ORDER BY parent, name",
		"SELECT * FROM symlink ORDER BY ino",
		"SELECT * FROM xattr ORDER BY ino, name",
		"SELECT * FROM dflt ORDER BY ino",
		"SELECT * FROM node ORDER BY seg, level, idx",
		"SELECT * FROM segment ORDER BY seg",
		"SELECT * FROM base ORDER BY owner, start",
		"SELECT * FROM alloc ORDER BY grp",
		"SELECT * FROM orphan ORDER BY ino",
		"SELECT * FROM dead ORDER BY seg, first",
		"SELECT * FROM keyref ORDER BY id" };
	struct sha256_ctx h;

	sha256_begin(&h);
	for (size_t i = 0; i < COUNTOF(all); i++)
		TRY(add_table(c, &h, all[i]));
	sha256_end(&h, ret);
	return (OK);
}
