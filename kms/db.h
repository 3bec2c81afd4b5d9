/*
 * db: the keystore's SQLite connection.
 *
 * A connection is used by one thread at a time (the caller's lock).  Errors
 * of SQLite come back as enum err with a sentence.
 */
#ifndef KMS_DB_H
#define KMS_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

struct db {
	sqlite3 *h;
};

/* Open the existing file ${path} through the VFS named ${vfs} (NULL the
 * default). */
enum err kdb_open(struct db *db, const char *path, const char *vfs) MUSTCHECK;
void kdb_close(struct db *db);

/* Run statements that give no rows and take no values. */
enum err kdb_exec(struct db *db, const char *sql) MUSTCHECK;

/*
 * kdb_query(db, &ret, sql, types, ...):
 * Prepare one statement and bind its values: ${types} has a letter for each,
 * 'i' int64_t, 't' const char *, 'b' const void * and size_t.
 */
enum err kdb_query(struct db *db, sqlite3_stmt **ret, const char *sql,
    const char *types, ...) MUSTCHECK;
/* The same, run to its end, rows thrown away. */
enum err kdb_run(
    struct db *db, const char *sql, const char *types, ...) MUSTCHECK;
/* To the next row; *ret_row false at the end. */
enum err kdb_step(struct db *db, sqlite3_stmt *st, bool *ret_row) MUSTCHECK;

/* Columns, checked: ERR_CORRUPT when not of that type and length. */
enum err kdb_col_blob(
    sqlite3_stmt *st, int col, void *ret, size_t len) MUSTCHECK;
/* Any length up to ${max}, but not 0; the caller frees it. */
enum err kdb_col_bytes(sqlite3_stmt *st, int col, size_t max, uint8_t **ret,
    size_t *ret_len) MUSTCHECK;
enum err kdb_col_text(
    sqlite3_stmt *st, int col, char *ret, size_t size) MUSTCHECK;
enum err kdb_col_int(sqlite3_stmt *st, int col, int64_t min, int64_t max,
    int64_t *ret) MUSTCHECK;

static inline void
kdb_stmt_cleanup(sqlite3_stmt **st)
{
	(void)sqlite3_finalize(*st);
}
#define CLEANUP_STMT CLEANUP(kdb_stmt_cleanup)

/* End what is left of a transaction that could not be rolled back, for want of
 * memory say, and would stand in the way of every later one. */
enum err kdb_settle(struct db *db) MUSTCHECK;

/* A transaction, rolled back at the end of its scope unless committed. */
struct kdb_tx {
	struct db *db;
};
enum err kdb_begin(struct db *db, struct kdb_tx *ret) MUSTCHECK;
enum err kdb_begin_read(struct db *db, struct kdb_tx *ret) MUSTCHECK;
enum err kdb_commit(struct kdb_tx *tx) MUSTCHECK;
void kdb_rollback(struct kdb_tx *tx);
#define CLEANUP_TX CLEANUP(kdb_rollback)

#endif
