/*
 * db_conn: connections to meta.db, and what SQLite's errors mean.
 */
#include <stdio.h>
#include <string.h>

#include "store/db_internal.h"

enum err
db_err(int rc)
{
	if (rc == SQLITE_IOERR_NOMEM)
		return (ERR_NOMEM);
	if (rc == SQLITE_IOERR_DATA)
		return (ERR_CORRUPT);
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return (OK);
	case SQLITE_NOMEM:
		return (ERR_NOMEM);
	case SQLITE_FULL:
		return (ERR_NOSPC);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_CONSTRAINT:
	case SQLITE_FORMAT:
	case SQLITE_SCHEMA:
	case SQLITE_MISMATCH:
		return (ERR_CORRUPT);
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
	case SQLITE_PROTOCOL:
		return (ERR_IO);
	case SQLITE_READONLY:
		return (ERR_ROFS);
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return (ERR_ACCESS);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return (ERR_BUSY);
	case SQLITE_TOOBIG:
		return (ERR_2BIG);
	default:
		return (ERR_INTERNAL);
	}
}

enum err
db_unread(sqlite3_stmt *s)
{
	return (sqlite3_errcode(sqlite3_db_handle(s)) == SQLITE_NOMEM
		    ? ERR_NOMEM
		    : ERR_CORRUPT);
}

/* ---- Connections -------------------------------------------------------- */

void
db_conn_close(sqlite3 **c)
{
	(void)sqlite3_close_v2(*c);
	*c = NULL;
}

void
db_stmt_close(sqlite3_stmt **s)
{
	(void)sqlite3_finalize(*s);
}

const char *
db_why(sqlite3 *c)
{
	if (sqlite3_extended_errcode(c) == SQLITE_IOERR_DATA)
		return ("it was damaged or altered");
	return (sqlite3_errmsg(c));
}

enum err
db_sql(sqlite3 *c, const char *text)
{
	const int rc = sqlite3_exec(c, text, NULL, NULL, NULL);

	if (rc != SQLITE_OK)
		return (err_fail(db_err(rc), "meta.db: %s", db_why(c)));
	return (OK);
}

enum err
db_conn_open(const char *path, int flags, size_t cache, sqlite3 **ret)
{
	sqlite3 *c CLEANUP(db_conn_close) = NULL;
	char text[64];
	int rc;

	TRY(vfs_register());
	rc = sqlite3_open_v2(path, &c,
	    flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, VFS_NAME);
	if (rc != SQLITE_OK)
		return (err_fail(db_err(rc), "%s: cannot be opened: %s", path,
		    c != NULL ? db_why(c) : sqlite3_errstr(rc)));
	(void)sqlite3_busy_timeout(c, DB_BUSY_MS);
	(void)sqlite3_db_config(c, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(c, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	(void)sqlite3_db_config(c, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	(void)sqlite3_db_config(c, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	TRY(db_sql(c,
	    "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
	    "PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;"
	    "PRAGMA foreign_keys=OFF; PRAGMA synchronous=NORMAL;"
	    "PRAGMA secure_delete=FAST; PRAGMA wal_autocheckpoint=0;"));
	(void)snprintf(
	    text, sizeof(text), "PRAGMA cache_size=-%zu", cache / 1024);
	TRY(db_sql(c, text));
	*ret = steal(c);
	return (OK);
}

enum err
db_expect(sqlite3 *c, const char *text, const char *want)
{
	sqlite3_stmt *s CLEANUP(db_stmt_close) = NULL;
	const unsigned char *got;
	int rc;

	rc = sqlite3_prepare_v2(c, text, -1, &s, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	if (rc != SQLITE_ROW)
		return (err_fail(rc == SQLITE_DONE ? ERR_CORRUPT : db_err(rc),
		    "meta.db: %s", db_why(c)));
	got = sqlite3_column_text(s, 0);
	if (got == NULL && db_unread(s) == ERR_NOMEM)
		return (ERR_NOMEM);
	if (got == NULL || strcmp((const char *)got, want) != 0)
		return (err_fail(
		    ERR_NOTSTORE, "meta.db: not the database of a store"));
	return (OK);
}
