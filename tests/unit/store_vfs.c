/* store/vfs: the WAL's size, locks, refusals, faults. */
#include "store_util.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* A large WAL is cut to what is kept, and keeps that, on a disk that is full. */
static void
test_cut_keeps_room(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();
	sqlite3 *c = open_db(&d);
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/t.db", d.path);
	/* A state in the part that stays, and others behind it. */
	assert_int_equal(run(c, "INSERT INTO t VALUES(7, NULL)"), SQLITE_OK);
	assert_int_equal(
	    run(c, "INSERT INTO t VALUES(1, zeroblob(22000000))"), SQLITE_OK);
	assert_int_equal(run(c, "DELETE FROM t"), SQLITE_OK);
	assert_true(vfs_wal_large(path));
	sys_fault_set("fallocate", 1, ENOSPC, 1);
	assert_int_equal(sqlite3_wal_checkpoint_v2(
			     c, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
	    SQLITE_OK);
	assert_int_equal(file_size(d.path, "t.db-wal"), 16 << 20);
	copy_file(d.path, e.path, "t.db");
	copy_file(d.path, e.path, "t.db-wal");
	sqlite3 *r = open_db(&e);
	assert_int_equal(count(r), 0);
	assert_int_equal(sqlite3_close(r), SQLITE_OK);
	assert_int_equal(
	    run(c, "INSERT INTO t VALUES(2, zeroblob(9000000))"), SQLITE_OK);
	(void)sys_fault_clear();
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
	c = open_db(&d);
	assert_int_equal(count(c), 1);
	assert_int_equal(run(c, "PRAGMA integrity_check"), SQLITE_OK);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
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

/* ---- Several processes ------------------------------------------------- */

#define ADDERS 4
#define ADDS 40

/* Its own connection to the database, for ${vfs}. */
static sqlite3 *
open_common(const char *path, const char *vfs)
{
	sqlite3 *c = NULL;

	if (vfs_register() != OK ||
	    sqlite3_open_v2(path, &c,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
		    SQLITE_OPEN_NOMUTEX,
		vfs) != SQLITE_OK ||
	    sqlite3_busy_timeout(c, 60000) != SQLITE_OK ||
	    run(c,
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
		"PRAGMA wal_autocheckpoint=20; PRAGMA temp_store=MEMORY;"
		"CREATE TABLE IF NOT EXISTS t(i INTEGER PRIMARY KEY, b BLOB);"
		"CREATE TABLE IF NOT EXISTS n(v INTEGER);") != SQLITE_OK)
		_exit(9);
	return (c);
}

/* Add to the one counter, now and then with a connection made anew. */
static void
add_many(const char *path, const char *vfs)
{
	sqlite3 *c = open_common(path, vfs);

	for (int i = 0; i < ADDS; i++) {
		if (run(c,
			"BEGIN IMMEDIATE; UPDATE n SET v = v + 1;"
			"INSERT INTO t(b) VALUES(randomblob(3000)); COMMIT") !=
		    SQLITE_OK)
			_exit(1);
		if (i % 8 == 7) {
			(void)sqlite3_close(c);
			c = open_common(path, vfs);
		}
	}
	_exit(sqlite3_close(c) == SQLITE_OK ? 0 : 2);
}

static pid_t
adder(const char *path, const char *vfs)
{
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		add_many(path, vfs);
	return (pid);
}

static int
number(sqlite3 *c, const char *sql)
{
	sqlite3_stmt *s = NULL;
	int n = -1;

	if (sqlite3_prepare_v2(c, sql, -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int(s, 0);
	(void)sqlite3_finalize(s);
	return (n);
}

/* A process that dies with everything locked. */
static void
die_holding(const char *path)
{
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		sqlite3 *c = open_common(path, VFS_COMMON);

		if (run(c, "BEGIN EXCLUSIVE; UPDATE n SET v = v + 1000;") !=
		    SQLITE_OK)
			_exit(1);
		(void)kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* No addition is lost among processes, one of which has SQLite's own VFS. */
static void
test_processes(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	pid_t pid[ADDERS];
	char path[128];
	sqlite3 *c;
	int status;

	(void)snprintf(path, sizeof(path), "%s/t.db", d.path);
	c = open_common(path, VFS_COMMON);
	assert_int_equal(run(c, "INSERT INTO n VALUES(0)"), SQLITE_OK);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
	for (int i = 0; i < ADDERS; i++)
		pid[i] = adder(path, i == 0 ? "unix" : VFS_COMMON);
	die_holding(path);
	for (int i = 0; i < ADDERS; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	c = open_common(path, VFS_COMMON);
	assert_int_equal(number(c, "SELECT v FROM n"), ADDERS * ADDS);
	assert_int_equal(count(c), ADDERS * ADDS);
	assert_int_equal(run(c, "PRAGMA integrity_check"), SQLITE_OK);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
	/* The last one took the WAL and its index along. */
	assert_int_equal(file_size(d.path, "t.db-wal"), -1);
	assert_int_equal(file_size(d.path, "t.db-shm"), -1);
}

static bool
locks_out(const char *path, const char *vfs)
{
	const pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		sqlite3 *c = NULL;

		_exit(sqlite3_open_v2(path, &c, SQLITE_OPEN_READWRITE, vfs) !=
				  SQLITE_OK ||
			      run(c, "BEGIN IMMEDIATE") == SQLITE_BUSY
			  ? 5
			  : 6);
	}
	return (waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5);
}

/* Two connections of one process, and others: a lock of one is held until that
 * one lets go, whatever the other closes. */
static void
test_closing_drops_no_lock(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	char path[128];
	sqlite3 *a, *b;

	(void)snprintf(path, sizeof(path), "%s/t.db", d.path);
	a = open_common(path, VFS_COMMON);
	b = open_common(path, VFS_COMMON);
	assert_int_equal(count(b), 0);
	assert_int_equal(run(a, "BEGIN IMMEDIATE"), SQLITE_OK);
	assert_int_equal(sqlite3_close(b), SQLITE_OK);
	assert_true(locks_out(path, VFS_COMMON));
	assert_true(locks_out(path, "unix"));
	assert_int_equal(run(a, "COMMIT"), SQLITE_OK);
	assert_false(locks_out(path, VFS_COMMON));
	assert_int_equal(sqlite3_close(a), SQLITE_OK);
	/* A rollback journal. */
	a = open_common(path, VFS_COMMON);
	assert_int_equal(run(a, "PRAGMA journal_mode=DELETE"), SQLITE_OK);
	assert_int_equal(
	    run(a, "BEGIN EXCLUSIVE; INSERT INTO t VALUES(9, NULL)"),
	    SQLITE_OK);
	assert_true(locks_out(path, VFS_COMMON));
	assert_int_equal(run(a, "COMMIT"), SQLITE_OK);
	assert_false(locks_out(path, "unix"));
	assert_int_equal(count(a), 1);
	assert_int_equal(sqlite3_close(a), SQLITE_OK);
}

static off_t wal_low, wal_high; /* what is written to a WAL, header aside */
static ssize_t
noting_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	char link[64], name[256] = "";

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, name, sizeof(name) - 1) > 4 &&
	    strcmp(name + strlen(name) - 4, "-wal") == 0) {
		if (off < wal_low)
			wal_low = off;
		if (off + (off_t)len > wal_high)
			wal_high = off + (off_t)len;
	}
	return (sys_linux.pwrite(fd, buf, len, off));
}

/* The kernel calls clean what a failed sync should have written: the frames are
 * written once more before others follow them, by this process or the next. */
static void
test_common_wal_is_mended(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	struct sys_ops ops = sys_linux;
	char path[128];
	sqlite3 *c;
	off_t end;

	(void)snprintf(path, sizeof(path), "%s/t.db", d.path);
	c = open_common(path, VFS_COMMON);
	assert_int_equal(
	    run(c, "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0"),
	    SQLITE_OK);
	assert_int_equal(run(c, "INSERT INTO t VALUES(1, NULL)"), SQLITE_OK);
	sys_fault_set("fdatasync", 1, EIO, 0);
	assert_int_not_equal(
	    run(c, "INSERT INTO t VALUES(2, randomblob(9000))"), SQLITE_OK);
	(void)sys_fault_clear();
	end = file_size(d.path, "t.db-wal");
	ops.pwrite = noting_pwrite;
	wal_low = INT64_MAX;
	wal_high = 0;
	sys_install(&ops);
	assert_int_equal(run(c, "INSERT INTO t VALUES(3, NULL)"), SQLITE_OK);
	assert_int_equal(wal_low, 0);
	assert_true(wal_high > 4096);
	/* Not twice. */
	wal_low = INT64_MAX;
	assert_int_equal(run(c, "INSERT INTO t VALUES(4, NULL)"), SQLITE_OK);
	assert_true(wal_low > 0);
	/* Nothing goes home out of a WAL that is not on the disk. */
	sys_fault_set("fdatasync", 1, EIO, 0);
	assert_int_not_equal(
	    run(c, "INSERT INTO t VALUES(5, NULL)"), SQLITE_OK);
	(void)sys_fault_clear();
	assert_int_not_equal(sqlite3_wal_checkpoint_v2(c, NULL,
				 SQLITE_CHECKPOINT_PASSIVE, NULL, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
	assert_true(file_size(d.path, "t.db-wal") >= end);
	/* The process after it does not know. */
	wal_low = INT64_MAX;
	c = open_common(path, VFS_COMMON);
	assert_int_equal(wal_low, 0);
	assert_in_range(count(c), 3, 5);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
	sys_install(&sys_linux);
}

/* Small enough for the index's second region to find no room. */
static void
test_common_full_disk(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	struct rlimit old, low;
	char path[128];
	sqlite3 *c;

	(void)snprintf(path, sizeof(path), "%s/t.db", d.path);
	c = open_common(path, VFS_COMMON);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = 20000;
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	/* Its index cannot be made: an error, no signal. */
	assert_int_equal(
	    sqlite3_open_v2(path, &c, SQLITE_OPEN_READWRITE, VFS_COMMON),
	    SQLITE_OK);
	assert_int_equal(count(c), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(count(c), 0);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
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
		cmocka_unit_test(test_cut_keeps_room),
		cmocka_unit_test(test_failed_sync_stays),
		cmocka_unit_test(test_each_fault),
		cmocka_unit_test(test_processes),
		cmocka_unit_test(test_closing_drops_no_lock),
		cmocka_unit_test(test_common_wal_is_mended),
		cmocka_unit_test(test_common_full_disk),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
