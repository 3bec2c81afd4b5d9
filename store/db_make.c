/*
 * db_make: a new meta.db, plain or sealed.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"

#include "store/db_internal.h"
#include "store/schema.h"
#include "store/vfs_seal.h"

static enum err
add_super(sqlite3 *c, int format, const uint8_t uuid[static UUID_LEN])
{
	sqlite3_stmt *s CLEANUP(db_stmt_close) = NULL;
	int rc;

	rc = sqlite3_prepare_v2(c, SCHEMA_SUPER_ADD, -1, &s, NULL);
	if (rc != SQLITE_OK)
		return (db_err(rc));
	(void)sqlite3_bind_int(s, 1, format);
	(void)sqlite3_bind_blob(s, 2, uuid, UUID_LEN, SQLITE_STATIC);
	(void)sqlite3_bind_int64(s, 3, STORE_ROOT + 1);
	(void)sqlite3_bind_int64(s, 4, clock_wall().tv_sec);
	return (db_err(sqlite3_step(s)));
}

/* The directory of buckets belongs to whoever made the store. */
static enum err
add_root(sqlite3 *c)
{
	sqlite3_stmt *s CLEANUP(db_stmt_close) = NULL;
	const struct timespec now = clock_wall();
	uint8_t times[48];
	int i, rc;

	rc = sqlite3_prepare_v2(c, stmt_sql[ST_INODE_PUT], -1, &s, NULL);
	if (rc != SQLITE_OK)
		return (db_err(rc));
	for (i = 0; i < 4; i++) {
		put_u64(times + 12 * i, (uint64_t)now.tv_sec);
		put_u32(times + 12 * i + 8, (uint32_t)now.tv_nsec);
	}
	for (i = 6; i <= 13; i++)
		(void)sqlite3_bind_int(s, i, 0);
	(void)sqlite3_bind_int64(s, 1, STORE_ROOT);
	(void)sqlite3_bind_int64(s, 2, S_IFDIR | 0755);
	(void)sqlite3_bind_int(s, 3, 2);
	(void)sqlite3_bind_int64(s, 4, getuid());
	(void)sqlite3_bind_int64(s, 5, getgid());
	(void)sqlite3_bind_int64(s, 7, 4096);
	(void)sqlite3_bind_blob(s, 9, times, sizeof(times), SQLITE_STATIC);
	(void)sqlite3_bind_int64(s, 10, STORE_ROOT);
	return (db_err(sqlite3_step(s)));
}

static enum err
conn_new(const char *path, sqlite3 **ret)
{
	TRY(db_conn_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
	    (size_t)1 << 20, ret));
	return (db_sql(*ret, "PRAGMA page_size=8192"));
}

static enum err
fill(sqlite3 *c, int format, const uint8_t *uuid)
{
	TRY(db_expect(c, "PRAGMA journal_mode=WAL", "wal"));
	TRY(db_sql(c, "BEGIN IMMEDIATE"));
	TRY(db_sql(c, schema_super));
	TRY(db_sql(c, schema_sql));
	TRY(add_super(c, format, uuid));
	TRY(add_root(c));
	TRY(db_sql(c, "COMMIT"));
	return (db_err(sqlite3_wal_checkpoint_v2(
	    c, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL)));
}

enum err
db_create(const char *path, const uint8_t uuid[static UUID_LEN])
{
	sqlite3 *c CLEANUP(db_conn_close) = NULL;

	TRY(conn_new(path, &c));
	return (fill(c, STORE_FORMAT, uuid));
}

/* What programs see that do not know of sealing, or have no key. */
static enum err
front_make(const char *path, const uint8_t *uuid)
{
	sqlite3 *c CLEANUP(db_conn_close) = NULL;

	TRY(conn_new(path, &c));
	TRY(db_sql(c, "PRAGMA journal_mode=MEMORY; PRAGMA user_version=2"));
	TRY(db_sql(c, schema_super));
	return (add_super(c, STORE_FORMAT_SEALED, uuid));
}

static enum err
create_sealed(const char *path, const uint8_t *uuid)
{
	sqlite3 *c CLEANUP(db_conn_close) = NULL;
	int reserve = SEAL_RESERVE;

	TRY(conn_new(path, &c));
	TRY(db_sql(c, "PRAGMA journal_mode=MEMORY"));
	if (sqlite3_file_control(
		c, NULL, SQLITE_FCNTL_RESERVE_BYTES, &reserve) != SQLITE_OK)
		return (ERR_INTERNAL);
	return (fill(c, STORE_FORMAT_SEALED, uuid));
}

enum err
db_front(const char *path, const uint8_t uuid[static UUID_LEN],
    const struct key *key)
{
	TRY(front_make(path, uuid));
	return (vfs_seal_format(path, key, uuid));
}

enum err
db_create_sealed(const char *path, const uint8_t uuid[static UUID_LEN],
    const struct key *key)
{
	enum err e;

	TRY(db_front(path, uuid, key));
	TRY(vfs_seal_add(path, key, uuid));
	e = create_sealed(path, uuid);
	vfs_seal_drop(path);
	return (e);
}
