/* store/db: making, opening, transactions, what is refused. */
#include "store_util.h"

#include <errno.h>

#include "lib/base/sys.h"
#include "store/store_internal.h"

static const uint8_t uuid[UUID_LEN] = { 1, 2, 3, 4 };

static void
make_db(const struct tmpdir *d)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/meta.db", d->path);
	assert_ok(db_create(path, uuid));
}

static enum err
open_db(struct store *st, struct tmpdir *d, bool readonly)
{
	memset(st, 0, sizeof(*st));
	lock_init(&st->db, RANK_STORE_DB, "db");
	st->dir = d->path;
	st->readonly = readonly;
	st->opts.db_cache = 1 << 20;
	return (db_open(st));
}

/* Change the database behind the store's back. */
static void
meddle(const struct tmpdir *d, const char *sql)
{
	char path[128];
	sqlite3 *c = NULL;

	(void)snprintf(path, sizeof(path), "%s/meta.db", d->path);
	assert_int_equal(
	    sqlite3_open_v2(path, &c, SQLITE_OPEN_READWRITE, VFS_NAME),
	    SQLITE_OK);
	assert_int_equal(sqlite3_exec(c, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
}

static void
add_names(struct store *st, int from, int n)
{
	char name[32];
	int i;

	for (i = from; i < from + n; i++) {
		const int len = snprintf(name, sizeof(name), "n%07d", i);

		assert_ok(db_room(st));
		assert_ok(db_begin(st));
		sqlite3_stmt *const s = db_stmt(st, ST_DENT_ADD);
		(void)sqlite3_bind_int64(s, 1, STORE_ROOT);
		(void)sqlite3_bind_blob(s, 2, name, len, SQLITE_STATIC);
		(void)sqlite3_bind_int64(s, 3, i + 2);
		assert_ok(db_run(st, ST_DENT_ADD));
	}
}

static long
count_names(struct store *st)
{
	sqlite3_stmt *const s = db_stmt(st, ST_DENT_NEXT);
	long n = 0;

	(void)sqlite3_bind_int64(s, 1, STORE_ROOT);
	(void)sqlite3_bind_zeroblob(s, 2, 0);
	(void)sqlite3_bind_int64(s, 3, INT32_MAX);
	while (db_row(st, ST_DENT_NEXT) == OK)
		n++;
	return (n);
}

static void
test_create_and_open(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	struct store st;

	assert_err(open_db(&st, &d, false), ERR_NOTSTORE);
	make_db(&d);
	assert_ok(open_db(&st, &d, false));
	assert_memory_equal(st.uuid, uuid, UUID_LEN);
	assert_string_equal(
	    st.uuid_text, "01020304-0000-0000-0000-000000000000");
	assert_int_equal(st.epoch_no, 1);
	assert_int_equal(st.next_ino, STORE_ROOT + 1);
	assert_int_equal(st.next_seg, 1);
	sqlite3_stmt *const s = db_stmt(&st, ST_INODE_GET);
	(void)sqlite3_bind_int64(s, 1, STORE_ROOT);
	assert_ok(db_row(&st, ST_INODE_GET));
	assert_int_equal(sqlite3_column_int64(s, 0), S_IFDIR | 0755);
	assert_int_equal(sqlite3_column_int64(s, 1), 2);
	assert_int_equal(sqlite3_column_bytes(s, 7), 48);
	assert_int_equal(sqlite3_column_int64(s, 8), STORE_ROOT);
	db_done(&st, ST_INODE_GET);
	db_close(&st);
	assert_null(st.sql);
}

static void
test_refuses_what_is_not_ours(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	char path[128], big[9000];
	struct store st;

	make_db(&d);
	meddle(&d, "UPDATE super SET format=7");
	assert_err(open_db(&st, &d, false), ERR_VERSION);
	assert_non_null(strstr(err_detail(ERR_VERSION), "format 7"));
	assert_non_null(strstr(err_detail(ERR_VERSION), "up to 6"));
	meddle(&d, "UPDATE super SET format=1, uuid=x'00'");
	assert_err(open_db(&st, &d, false), ERR_CORRUPT);
	meddle(&d, "PRAGMA application_id=1");
	assert_err(open_db(&st, &d, false), ERR_NOTSTORE);

	(void)snprintf(path, sizeof(path), "%s/meta.db-wal", d.path);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/meta.db", d.path);
	memset(big, 'x', sizeof(big));
	int fd CLEANUP_CLOSE = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, big, sizeof(big)), sizeof(big));
	assert_err(open_db(&st, &d, false), ERR_CORRUPT);
}

static void
test_transactions(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();
	struct store st, other;

	make_db(&d);
	assert_ok(open_db(&st, &d, false));
	assert_int_equal(db_wal_bytes(&st), 0);
	add_names(&st, 0, 20000);
	assert_true(st.in_txn);
	assert_ok(db_commit(&st));
	assert_false(st.in_txn);
	assert_ok(db_commit(&st));
	assert_ok(db_sync(&st));
	assert_true(db_wal_bytes(&st) > 100000);
	add_names(&st, 20000, 10);
	copy_file(d.path, e.path, "meta.db");
	copy_file(d.path, e.path, "meta.db-wal");

	/* After a crash: what was committed. */
	assert_ok(open_db(&other, &e, false));
	assert_int_equal(count_names(&other), 20000);
	assert_int_equal(db_wal_bytes(&other), 0);
	db_close(&other);

	/* Not committed, hence gone. */
	db_close(&st);
	assert_ok(open_db(&st, &d, false));
	assert_int_equal(count_names(&st), 20000);
	db_close(&st);
}

static void
test_checkpoints(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	struct store st;
	int round;

	make_db(&d);
	assert_ok(open_db(&st, &d, false));
	for (round = 0; round < 40; round++) {
		add_names(&st, round * 1000, 1000);
		if (round % 2 == 0)
			assert_ok(db_checkpoint(&st, false));
		assert_ok(db_commit(&st));
		assert_ok(db_sync(&st));
		assert_ok(db_checkpoint(&st, round % 3 == 0));
		assert_int_equal(db_wal_bytes(&st), 0);
	}
	/* Brought home each time, the WAL began anew each time. */
	assert_true(file_size(d.path, "meta.db-wal") <= 16 << 20);
	db_close(&st);
	assert_ok(open_db(&st, &d, true));
	assert_int_equal(count_names(&st), 40000);
	assert_err(db_checkpoint(&st, false), ERR_ROFS);
	db_close(&st);
}

static void
test_names_in_order(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	struct store st;
	sqlite3_stmt *s;

	make_db(&d);
	meddle(&d, "INSERT INTO dentry VALUES(1, CAST('a' AS BLOB), 5),"
		   "(1, CAST('a/' AS BLOB), 6), (1, CAST('a.b' AS BLOB), 7)");
	assert_ok(open_db(&st, &d, false));
	s = db_stmt(&st, ST_DENT_GET);
	(void)sqlite3_bind_int64(s, 1, STORE_ROOT);
	(void)sqlite3_bind_blob(s, 2, "a", 1, SQLITE_STATIC);
	(void)sqlite3_bind_blob(s, 3, "a/", 2, SQLITE_STATIC);
	assert_ok(db_row(&st, ST_DENT_GET));
	assert_int_equal(sqlite3_column_int64(s, 1), 6);
	assert_ok(db_row(&st, ST_DENT_GET));
	assert_int_equal(sqlite3_column_int64(s, 1), 5);
	assert_err(db_row(&st, ST_DENT_GET), ERR_NOENT);
	assert_int_equal(count_names(&st), 3);
	db_close(&st);
}

static void
test_full_disk_is_told_early(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	struct store st;

	make_db(&d);
	assert_ok(open_db(&st, &d, false));
	assert_ok(db_room(&st));
	st.dirty_nodes = 10000;
	sys_fault_set("fallocate", 1, ENOSPC, 1);
	assert_err(db_room(&st), ERR_NOSPC);
	/* What removes goes on. */
	assert_ok(db_begin(&st));
	assert_ok(db_commit(&st));
	(void)sys_fault_clear();
	assert_ok(db_room(&st));
	db_close(&st);
}

static void
test_failure_stops(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	struct store st;

	make_db(&d);
	assert_ok(open_db(&st, &d, false));
	add_names(&st, 0, 100);
	sys_fault_set("pwrite", 1, EIO, 0);
	assert_err(db_commit(&st), ERR_FAILSTOP);
	(void)sys_fault_clear();
	assert_true(st.stopped);
	db_close(&st);
	assert_ok(open_db(&st, &d, false));
	assert_int_equal(count_names(&st), 0);
	db_close(&st);
}

/* A round of the WAL that comes to be as long as the last one is not home. */
static void
test_equal_rounds(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	struct store st;

	make_db(&d);
	assert_ok(open_db(&st, &d, false));
	for (int i = 0; i < 4; i++) {
		add_names(&st, i, 1);
		assert_ok(db_commit(&st));
		assert_true(db_wal_bytes(&st) > 0);
		assert_ok(db_checkpoint(&st, true));
		assert_int_equal(db_wal_bytes(&st), 0);
	}
	db_close(&st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_and_open),
		cmocka_unit_test(test_refuses_what_is_not_ours),
		cmocka_unit_test(test_transactions),
		cmocka_unit_test(test_checkpoints),
		cmocka_unit_test(test_names_in_order),
		cmocka_unit_test(test_full_disk_is_told_early),
		cmocka_unit_test(test_failure_stops),
		cmocka_unit_test(test_equal_rounds),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
