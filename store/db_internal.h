/*
 * db_internal: what db.c, which uses meta.db, db_conn.c and db_make.c share.
 */
#ifndef STORE_DB_INTERNAL_H
#define STORE_DB_INTERNAL_H

#include "store/store_internal.h"

#define DB_BUSY_MS 5000 /* that a connection waits for another */

/* A connection to the database ${path}, with ${cache} bytes of pages, that
 * trusts nothing in it.  ${flags}: SQLITE_OPEN_*. */
enum err db_conn_open(
    const char *path, int flags, size_t cache, sqlite3 **ret) MUSTCHECK;
void db_conn_close(sqlite3 **c);
void db_stmt_close(sqlite3_stmt **s);
/* A new file ${path}: the front of a sealed database, and no page yet. */
enum err db_front(const char *path, const uint8_t uuid[static UUID_LEN],
    const struct key *key) MUSTCHECK;
/* What went wrong last, in words. */
const char *db_why(sqlite3 *c);
/* Run statements that give no rows. */
enum err db_sql(sqlite3 *c, const char *text) MUSTCHECK;
/* The answer of a query with one row and one column is ${want}; ERR_NOTSTORE
 * when it is another. */
enum err db_expect(sqlite3 *c, const char *text, const char *want) MUSTCHECK;

#endif
