/*
 * SQLite, held tight: typed columns, bounded waits, no memory-mapped pages.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "kms/db.h"

#define BUSY_MS 10000

static enum err
db_err(struct db *db, int rc)
{
	const char *what = sqlite3_errstr(rc & 0xff);

	switch (rc & 0xff) {
	case SQLITE_NOMEM:
		return ERR_NOMEM;
	case SQLITE_FULL:
		return err_fail(ERR_NOSPC, "keystore: %s", what);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_MISMATCH:
		return err_fail(ERR_CORRUPT, "keystore: %s", what);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_fail(
		    ERR_TIMEDOUT, "keystore: another process holds it");
	case SQLITE_CONSTRAINT:
		return err_fail(ERR_EXIST, "keystore: it exists already");
	case SQLITE_ERROR:
		return err_fail(ERR_CORRUPT, "keystore: %s",
		    db->h == NULL ? what : sqlite3_errmsg(db->h));
	default:
		return err_fail(ERR_IO, "keystore: %s", what);
	}
}

enum err
kdb_open(struct db *db, const char *path, const char *vfs)
{
	int rc;
	enum err e;

	if (vfs != NULL && sqlite3_vfs_find(vfs) == NULL)
		return err_fail(ERR_INTERNAL, "no SQLite VFS named %s", vfs);
	rc = sqlite3_open_v2(path, &db->h,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
	    vfs);
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(db->h, BUSY_MS);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(
		    db->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	/* An editor of the file must not leave orders for later. */
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(
		    db->h, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(
		    db->h, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	e = rc == SQLITE_OK ? OK : db_err(db, rc);
	if (e == OK)
		e = kdb_exec(db,
		    "PRAGMA mmap_size=0; PRAGMA trusted_schema=OFF;"
		    "PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY;"
		    "PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;");
	if (e != OK)
		kdb_close(db);
	return e;
}

void
kdb_close(struct db *db)
{

	(void)sqlite3_close_v2(db->h);
	db->h = NULL;
}

enum err
kdb_exec(struct db *db, const char *sql)
{
	const int rc = sqlite3_exec(db->h, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? OK : db_err(db, rc);
}

static enum err
query(struct db *db, sqlite3_stmt **ret, const char *sql, const char *types,
    va_list ap)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int rc;

	rc = sqlite3_prepare_v2(db->h, sql, -1, &st, NULL);
	for (int i = 1; rc == SQLITE_OK && *types != '\0'; types++, i++) {
		if (*types == 'i') {
			rc = sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
		} else if (*types == 't') {
			rc = sqlite3_bind_text(st, i, va_arg(ap, const char *),
			    -1, SQLITE_TRANSIENT);
		} else {
			const void *p = va_arg(ap, const void *);
			const size_t len = va_arg(ap, size_t);

			rc = sqlite3_bind_blob64(
			    st, i, p, len, SQLITE_TRANSIENT);
		}
	}
	if (rc != SQLITE_OK)
		return db_err(db, rc);
	*ret = steal(st);
	return OK;
}

enum err
kdb_query(
    struct db *db, sqlite3_stmt **ret, const char *sql, const char *types, ...)
{
	va_list ap;
	enum err e;

	va_start(ap, types);
	e = query(db, ret, sql, types, ap);
	va_end(ap);
	return e;
}

enum err
kdb_run(struct db *db, const char *sql, const char *types, ...)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = true;
	va_list ap;
	enum err e;

	va_start(ap, types);
	e = query(db, &st, sql, types, ap);
	va_end(ap);
	while (e == OK && row)
		e = kdb_step(db, st, &row);
	return e;
}

enum err
kdb_step(struct db *db, sqlite3_stmt *st, bool *ret_row)
{
	const int rc = sqlite3_step(st);

	*ret_row = rc == SQLITE_ROW;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? OK : db_err(db, rc);
}

static enum err
bad_column(void)
{

	return err_fail(ERR_CORRUPT, "keystore: a row is damaged");
}

enum err
kdb_col_blob(sqlite3_stmt *st, int col, void *ret, size_t len)
{
	const void *p = sqlite3_column_blob(st, col);

	if (sqlite3_column_type(st, col) != SQLITE_BLOB || p == NULL ||
	    (size_t)sqlite3_column_bytes(st, col) != len)
		return bad_column();
	memcpy(ret, p, len);
	return OK;
}

enum err
kdb_col_bytes(
    sqlite3_stmt *st, int col, size_t max, uint8_t **ret, size_t *ret_len)
{
	const void *p = sqlite3_column_blob(st, col);
	const int len = sqlite3_column_bytes(st, col);

	if (sqlite3_column_type(st, col) != SQLITE_BLOB || len <= 0 ||
	    (size_t)len > max)
		return err_fail(ERR_CORRUPT, "keystore: malformed %s",
		    sqlite3_column_name(st, col));
	if (p == NULL)
		return ERR_NOMEM;
	*ret = malloc((size_t)len);
	if (*ret == NULL)
		return ERR_NOMEM;
	memcpy(*ret, p, (size_t)len);
	*ret_len = (size_t)len;
	return OK;
}

enum err
kdb_col_text(sqlite3_stmt *st, int col, char *ret, size_t size)
{
	const unsigned char *p = sqlite3_column_text(st, col);
	size_t len;

	if (p == NULL && sqlite3_errcode(sqlite3_db_handle(st)) == SQLITE_NOMEM)
		return ERR_NOMEM;
	if (sqlite3_column_type(st, col) != SQLITE_TEXT || p == NULL)
		return bad_column();
	len = (size_t)sqlite3_column_bytes(st, col);
	if (len >= size || memchr(p, 0, len) != NULL)
		return bad_column();
	memcpy(ret, p, len);
	ret[len] = '\0';
	return OK;
}

enum err
kdb_col_int(sqlite3_stmt *st, int col, int64_t min, int64_t max, int64_t *ret)
{
	const int64_t v = sqlite3_column_int64(st, col);

	if (sqlite3_column_type(st, col) != SQLITE_INTEGER || v < min ||
	    v > max)
		return bad_column();
	*ret = v;
	return OK;
}

enum err
kdb_settle(struct db *db)
{

	return sqlite3_get_autocommit(db->h) != 0 ? OK
						  : kdb_exec(db, "ROLLBACK");
}

enum err
kdb_begin(struct db *db, struct kdb_tx *ret)
{

	TRY(kdb_settle(db));
	TRY(kdb_exec(db, "BEGIN IMMEDIATE"));
	ret->db = db;
	return OK;
}

enum err
kdb_begin_read(struct db *db, struct kdb_tx *ret)
{

	TRY(kdb_settle(db));
	TRY(kdb_exec(db, "BEGIN"));
	ret->db = db;
	return OK;
}

enum err
kdb_commit(struct kdb_tx *tx)
{

	TRY(kdb_exec(tx->db, "COMMIT"));
	tx->db = NULL;
	return OK;
}

void
kdb_rollback(struct kdb_tx *tx)
{

	if (tx->db != NULL)
		(void)sqlite3_exec(tx->db->h, "ROLLBACK", NULL, NULL, NULL);
	tx->db = NULL;
}
