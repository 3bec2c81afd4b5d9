/* store/vfs: the WAL's size, locks, refusals, faults. */
#include "store_util.h"

#include <errno.h>

#include "lib/base/sys.h"
#include "store/store_internal.h"

#define STEP (4 << 20)

static void
close_db(sqlite3 **c)
{
	(void)sqlite3_close(*c);
}
#define CLEANUP_DB CLEANUP(close_db)

static int
run(sqlite3 *c, const char *sql)
{
	return (sqlite3_exec(c, sql, NULL, NULL, NULL));
}

static sqlite3 *
open_db(const struct tmpdir *d)
{
	char path[128];
	sqlite3 *c = NULL;

	(void)snprintf(path, sizeof(path), "%s/t.db", d->path);
	assert_ok(vfs_register());
	assert_int_equal(sqlite3_open_v2(path, &c,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
				 SQLITE_OPEN_NOMUTEX,
			     VFS_NAME),
	    SQLITE_OK);
	assert_int_equal(
	    run(c,
		"PRAGMA journal_mode=WAL;"
		"PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;"
		"PRAGMA temp_store=MEMORY;"
		"CREATE TABLE IF NOT EXISTS t(i INTEGER PRIMARY KEY, b BLOB);"),
	    SQLITE_OK);
	return (c);
}

static int
count(sqlite3 *c)
{
	sqlite3_stmt *s = NULL;
	int n = -1;

	if (sqlite3_prepare_v2(c, "SELECT count(*) FROM t", -1, &s, NULL) ==
		SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int(s, 0);
	(void)sqlite3_finalize(s);
	return (n);
}

static void
test_wal_grows_in_steps(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	sqlite3 *c = open_db(&d);

	assert_int_equal(file_size(d.path, "t.db-wal"), STEP);
	assert_int_equal(
	    run(c, "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL "
		   "SELECT i+1 FROM r WHERE i<6000) "
		   "INSERT INTO t SELECT i, zeroblob(1000) FROM r"),
	    SQLITE_OK);
	assert_int_equal(file_size(d.path, "t.db-wal"), 2 * STEP);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
	/* It stays, and means nothing any more. */
	assert_int_equal(file_size(d.path, "t.db-wal"), 2 * STEP);
	c = open_db(&d);
	assert_int_equal(count(c), 6000);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
}

/* What a crash leaves: the WAL with a tail of zeros, or of older frames. */
static void
test_recovery(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	sqlite3 *c CLEANUP_DB = open_db(&d);
	int round;

	for (round = 1; round <= 6; round++) {
		struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();
		sqlite3 *r;

		assert_int_equal(
		    run(c, "INSERT INTO t(b) VALUES"
			   "(zeroblob(60000 / (SELECT 1+count(*) FROM t)))"),
		    SQLITE_OK);
		assert_int_equal(
		    run(c, "BEGIN IMMEDIATE;"
			   "INSERT INTO t(b) VALUES(zeroblob(100))"),
		    SQLITE_OK);
		copy_file(d.path, e.path, "t.db");
		copy_file(d.path, e.path, "t.db-wal");
		assert_int_equal(run(c, "ROLLBACK"), SQLITE_OK);
		r = open_db(&e);
		assert_int_equal(count(r), round);
		assert_int_equal(run(r, "PRAGMA integrity_check"), SQLITE_OK);
		assert_int_equal(sqlite3_close(r), SQLITE_OK);
		if (round % 2 == 0)
			assert_int_equal(
			    sqlite3_wal_checkpoint_v2(
				c, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL),
			    SQLITE_OK);
	}
}

static void
test_two_connections(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	sqlite3 *a CLEANUP_DB = open_db(&d);
	sqlite3 *b CLEANUP_DB = open_db(&d);
	int frames, home;

	assert_int_equal(run(a, "BEGIN IMMEDIATE;"
				"INSERT INTO t VALUES(1, NULL)"),
	    SQLITE_OK);
	assert_int_equal(run(b, "BEGIN IMMEDIATE"), SQLITE_BUSY);
	assert_int_equal(count(b), 0);
	assert_int_equal(run(b, "BEGIN; SELECT * FROM t"), SQLITE_OK);
	assert_int_equal(run(a, "COMMIT"), SQLITE_OK);
	assert_int_equal(count(b), 0);
	/* The reader keeps the last frames from going home. */
	assert_int_equal(sqlite3_wal_checkpoint_v2(a, NULL,
			     SQLITE_CHECKPOINT_PASSIVE, &frames, &home),
	    SQLITE_OK);
	assert_true(home < frames);
	assert_int_equal(run(b, "COMMIT"), SQLITE_OK);
	assert_int_equal(count(b), 1);
	assert_int_equal(run(a, "BEGIN IMMEDIATE;"
				"INSERT INTO t VALUES(2, NULL)"),
	    SQLITE_OK);
	/* A checkpoint goes on beside a writer. */
	assert_int_equal(sqlite3_wal_checkpoint_v2(b, NULL,
			     SQLITE_CHECKPOINT_PASSIVE, &frames, &home),
	    SQLITE_OK);
	assert_int_equal(home, frames);
	assert_int_equal(run(a, "COMMIT"), SQLITE_OK);
	assert_int_equal(run(b, "INSERT INTO t VALUES(3, NULL)"), SQLITE_OK);
	assert_int_equal(count(a), 3);
}

static void
test_refuses_temporary_files(void **state UNUSED)
{
	sqlite3_vfs *v;
	sqlite3_file *f CLEANUP_FREE = NULL;

	assert_ok(vfs_register());
	v = sqlite3_vfs_find(VFS_NAME);
	assert_non_null(v);
	assert_ptr_not_equal(sqlite3_vfs_find(NULL), v);
	f = calloc(1, (size_t)v->szOsFile);
	assert_non_null(f);
	assert_int_equal(v->xOpen(v, NULL, f,
			     SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_CREATE |
				 SQLITE_OPEN_READWRITE,
			     NULL),
	    SQLITE_CANTOPEN);
	assert_int_equal(v->xOpen(v, "/tmp/x", f,
			     SQLITE_OPEN_SUBJOURNAL | SQLITE_OPEN_CREATE |
				 SQLITE_OPEN_READWRITE,
			     NULL),
	    SQLITE_CANTOPEN);
	assert_null(f->pMethods);
}

static void
test_full_disk(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	sqlite3 *c CLEANUP_DB = open_db(&d);
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/t.db", d.path);
	sys_fault_set("fallocate", 1, ENOSPC, 1);
	assert_ok(vfs_wal_reserve(path, false, 1 << 20));
	assert_err(vfs_wal_reserve(path, false, 8 << 20), ERR_NOSPC);
	assert_int_equal(
	    run(c, "INSERT INTO t VALUES(1, zeroblob(5000000))"), SQLITE_FULL);
	assert_int_equal(run(c, "INSERT INTO t VALUES(2, NULL)"), SQLITE_OK);
	(void)sys_fault_clear();
	assert_int_equal(count(c), 1);
	assert_ok(vfs_wal_reserve(path, false, 8 << 20));
	assert_true(file_size(d.path, "t.db-wal") >= 8 << 20);
	/* A filesystem that knows no fallocate. */
	sys_fault_set("fallocate", 1, EOPNOTSUPP, 1);
	assert_int_equal(
	    run(c, "INSERT INTO t VALUES(1, zeroblob(20000000))"), SQLITE_OK);
	(void)sys_fault_clear();
}

static void
test_failed_sync_stays(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	sqlite3 *c CLEANUP_DB = open_db(&d);
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/t.db", d.path);
	assert_int_equal(run(c, "INSERT INTO t VALUES(1, NULL)"), SQLITE_OK);
	assert_ok(vfs_wal_sync(path));
	sys_fault_set("fdatasync", 1, EIO, 0);
	assert_err(vfs_wal_sync(path), ERR_IO);
	(void)sys_fault_clear();
	assert_err(vfs_wal_sync(path), ERR_IO);
	assert_int_not_equal(sqlite3_wal_checkpoint_v2(c, NULL,
				 SQLITE_CHECKPOINT_PASSIVE, NULL, NULL),
	    SQLITE_OK);
	assert_err(vfs_wal_sync("/nonexistent"), ERR_IO);
}

/* Each call fails once in turn: an error or the right answer, and the database
 * is whole afterwards. */
static void
test_each_fault(void **state UNUSED)
{
	unsigned nth;

	for (nth = 1; nth < 200; nth++) {
		struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
		sqlite3 *c = open_db(&d);
		unsigned seen;
		int rc;

		sys_fault_set("*", nth, EIO, 0);
		rc = run(c, "INSERT INTO t VALUES(1, zeroblob(50000))");
		if (rc == SQLITE_OK)
			rc = sqlite3_wal_checkpoint_v2(
			    c, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
		seen = sys_fault_clear();
		(void)sqlite3_close(c);
		c = open_db(&d);
		assert_in_range(count(c), rc == SQLITE_OK ? 1 : 0, 1);
		(void)sqlite3_close(c);
		if (seen < nth)
			return;
	}
	fail_msg("more calls than expected");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wal_grows_in_steps),
		cmocka_unit_test(test_recovery),
		cmocka_unit_test(test_two_connections),
		cmocka_unit_test(test_refuses_temporary_files),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_failed_sync_stays),
		cmocka_unit_test(test_each_fault),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
