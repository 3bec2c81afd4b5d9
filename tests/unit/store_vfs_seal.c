/* store/vfs_seal: what SQLite writes to a sealed database and its WAL can be
 * read again, by nobody else, and what was altered is an error. */
#include "store_util.h"

#include <errno.h>
#include <ftw.h>

#include "lib/base/buf.h"
#include "lib/base/sys.h"
#include "store/store_internal.h"
#include "store/vfs_seal.h"

#define CANARY "canary-4f9c2b"
#define ROWS 400
#define LONG "CAST(hex(zeroblob(20000)) AS BLOB)"

static const uint8_t uuid[UUID_LEN] = { 1, 2, 3, 4 };

static struct key *
the_key(void)
{
	struct key *key = key_new();

	assert_non_null(key);
	memset(key->b, 7, sizeof(key->b));
	return (key);
}

static void
path_of(const struct tmpdir *d, const char *name, char ret[static 128])
{
	(void)snprintf(ret, 128, "%s/%s", d->path, name);
}

static void
make_db(const struct tmpdir *d)
{
	struct key *key CLEANUP_KEY = the_key();
	char path[128];

	path_of(d, "meta.db", path);
	assert_ok(db_create_sealed(path, uuid, key));
}

static int
run(sqlite3 *c, const char *sql)
{
	return (sqlite3_exec(c, sql, NULL, NULL, NULL));
}

/* NULL when it cannot be opened for being damaged. */
static sqlite3 *
try_open(const struct tmpdir *d)
{
	struct key *key CLEANUP_KEY = the_key();
	char path[128];
	sqlite3 *c = NULL;
	int rc;

	path_of(d, "meta.db", path);
	assert_ok(vfs_seal_add(path, key, uuid));
	rc = sqlite3_open_v2(path, &c,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
	    VFS_NAME);
	if (rc == SQLITE_OK)
		(void)sqlite3_db_config(
		    c, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (rc == SQLITE_OK)
		rc = run(c,
		    "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;"
		    "PRAGMA temp_store=MEMORY; PRAGMA cache_size=12;"
		    "SELECT count(*) FROM super");
	if (rc == SQLITE_OK && vfs_seal_check(path) != OK)
		rc = SQLITE_CORRUPT;
	if (rc == SQLITE_OK)
		return (c);
	assert_true(db_err(rc) == ERR_CORRUPT);
	(void)sqlite3_close(c);
	vfs_seal_drop(path);
	return (NULL);
}

static sqlite3 *
open_db(const struct tmpdir *d)
{
	sqlite3 *c = try_open(d);

	assert_non_null(c);
	return (c);
}

static void
close_db(const struct tmpdir *d, sqlite3 *c)
{
	char path[128];

	path_of(d, "meta.db", path);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
	vfs_seal_drop(path);
}

static void
sync_wal(const struct tmpdir *d)
{
	char path[128];

	path_of(d, "meta.db", path);
	assert_ok(vfs_wal_sync(path));
}

static int
checkpoint(sqlite3 *c, int *ret_frames)
{
	return (sqlite3_wal_checkpoint_v2(
	    c, NULL, SQLITE_CHECKPOINT_PASSIVE, ret_frames, NULL));
}

/* One transaction that writes most pages more than once, out of order. */
static int
change(sqlite3 *c, int round)
{
	char sql[512];

	(void)snprintf(sql, sizeof(sql),
	    "BEGIN IMMEDIATE;"
	    "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM r"
	    " WHERE i<%d) INSERT OR REPLACE INTO xattr SELECT i*7919%%%d,"
	    " CAST('" CANARY "' AS BLOB), CAST('%d " CANARY
	    "' || hex(zeroblob(150)) AS BLOB) FROM r;"
	    "UPDATE xattr SET value=value || CAST('x' AS BLOB);",
	    ROWS, ROWS, round);
	return (run(c, sql));
}

static void
commit(sqlite3 *c, int round)
{
	assert_int_equal(change(c, round), SQLITE_OK);
	assert_int_equal(run(c, "COMMIT"), SQLITE_OK);
}

/* The round that all rows are of; 0: no rows; -1: an error; anything else than
 * what was written fails. */
static int
content(sqlite3 *c)
{
	sqlite3_stmt *s = NULL;
	int round = 0, rows = 0, rc;

	rc = sqlite3_prepare_v2(
	    c, "SELECT ino, name, value FROM xattr ORDER BY ino", -1, &s, NULL);
	while (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		const char *v = sqlite3_column_blob(s, 2);
		const int is = atoi(v);

		assert_int_equal(sqlite3_column_int(s, 0), rows);
		assert_memory_equal(sqlite3_column_blob(s, 1), CANARY, 13);
		assert_true(rows == 0 || is == round);
		assert_non_null(strstr(v, CANARY));
		round = is;
		rows++;
		rc = SQLITE_OK;
	}
	(void)sqlite3_finalize(s);
	if (rc != SQLITE_DONE)
		return (-1);
	assert_true(rows == 0 || rows == ROWS);
	/* A long value, in pages of its own. */
	rc = sqlite3_prepare_v2(c,
	    "SELECT count(*) FROM symlink WHERE target<>" LONG, -1, &s, NULL);
	rc = rc == SQLITE_OK ? sqlite3_step(s) : rc;
	assert_true(rc != SQLITE_ROW || sqlite3_column_int(s, 0) == 0);
	(void)sqlite3_finalize(s);
	return (rc == SQLITE_ROW ? round : -1);
}

static uint8_t *
slurp(const struct tmpdir *d, const char *name, size_t *ret_len)
{
	const off_t len = file_size(d->path, name);
	uint8_t *p = malloc((size_t)len + 1);
	char path[128];

	path_of(d, name, path);
	int fd CLEANUP_CLOSE = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, p, (size_t)len, 0), len);
	*ret_len = (size_t)len;
	return (p);
}

static void
spill(const struct tmpdir *d, const char *name, const void *p, size_t len,
    off_t off)
{
	char path[128];

	path_of(d, name, path);
	int fd CLEANUP_CLOSE = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, p, len, off), len);
}

static void
flip(const struct tmpdir *d, const char *name, off_t off)
{
	char path[128];
	uint8_t b;

	path_of(d, name, path);
	int fd CLEANUP_CLOSE = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &b, 1, off), 1);
	b ^= 0x10;
	assert_int_equal(pwrite(fd, &b, 1, off), 1);
}

static void
copy_db(const struct tmpdir *from, const struct tmpdir *to)
{
	copy_file(from->path, to->path, "meta.db");
	copy_file(from->path, to->path, "meta.db-log");
}

/* What a program finds in files of ${d}; -1: an error. */
static int
content_of(const struct tmpdir *d)
{
	sqlite3 *c = try_open(d);
	int r;

	if (c == NULL)
		return (-1);
	r = content(c);
	if (run(c, "PRAGMA integrity_check") != SQLITE_OK)
		r = -1;
	close_db(d, c);
	return (r);
}

static bool
in_clear(const struct tmpdir *d)
{
	static const char *const files[] = { "meta.db", "meta.db-log",
		"meta.db-wal" };
	bool found = false;

	for (size_t i = 0; i < COUNTOF(files); i++) {
		size_t len;

		if (file_size(d->path, files[i]) < 0)
			continue;
		uint8_t *p CLEANUP_FREE = slurp(d, files[i], &len);

		found = found || memmem(p, len, "canary", 6) != NULL ||
			memmem(p, len, "TABLE xattr", 11) != NULL;
	}
	return (found);
}

/* ---- Cases ---------------------------------------------------------------- */

static void
test_reads_what_it_wrote(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	sqlite3 *c;

	make_db(&d);
	c = open_db(&d);
	for (int round = 1; round <= 8; round++) {
		commit(c, round);
		assert_int_equal(content(c), round);
		assert_false(in_clear(&d));
		assert_int_equal(change(c, 100 + round), SQLITE_OK);
		assert_false(in_clear(&d));
		assert_int_equal(run(c, "ROLLBACK"), SQLITE_OK);
		assert_int_equal(content(c), round);
		if (round % 3 == 0)
			assert_int_equal(checkpoint(c, NULL), SQLITE_OK);
		assert_false(in_clear(&d));
		if (round % 4 == 0) {
			close_db(&d, c);
			c = open_db(&d);
		}
		assert_int_equal(content(c), round);
	}
	close_db(&d, c);
	assert_int_equal(file_size(d.path, "meta.db-journal"), -1);
}

/* The search above finds it where nothing is sealed. */
static void
test_plain_is_in_clear(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	sqlite3 *c = NULL;
	char path[128];

	path_of(&d, "meta.db", path);
	assert_ok(db_create(path, uuid));
	assert_int_equal(
	    sqlite3_open_v2(path, &c, SQLITE_OPEN_READWRITE, VFS_NAME),
	    SQLITE_OK);
	assert_int_equal(run(c, "PRAGMA temp_store=MEMORY"), SQLITE_OK);
	commit(c, 1);
	assert_true(in_clear(&d));
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
}

/* What a process that died had committed is brought home by the next one: it
 * must then be there for good. */
static void
brought_home(const struct tmpdir *d, int round)
{
	sqlite3 *c = open_db(d);
	int frames = 0;

	assert_int_equal(checkpoint(c, &frames), SQLITE_OK);
	close_db(d, c);
	assert_int_equal(content_of(d), round);
	assert_true(frames > 0);
	flip(d, "meta.db-log", WAL_FRONT + (off_t)frames * FRAME_LEN - 5000);
	assert_int_equal(content_of(d), -1);
}

/* A process that died: files as they are at any moment. */
static void
test_after_a_crash(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	sqlite3 *c;

	make_db(&d);
	c = open_db(&d);
	for (int round = 1; round <= 8; round++) {
		struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();
		struct tmpdir f CLEANUP_TMPDIR = tmpdir_make();

		commit(c, round);
		copy_db(&d, &e);
		assert_int_equal(content_of(&e), round);
		brought_home(&e, round);
		if (round % 2 == 0)
			sync_wal(&d);
		assert_int_equal(change(c, 100), SQLITE_OK);
		copy_db(&d, &f);
		assert_int_equal(run(c, "ROLLBACK"), SQLITE_OK);
		assert_int_equal(content_of(&f), round);
		if (round % 3 == 0)
			assert_int_equal(checkpoint(c, NULL), SQLITE_OK);
	}
	close_db(&d, c);
}

/* What was not synced may be lost in any part; what was must be there. */
static void
test_torn_and_damaged_log(void **state UNUSED)
{
	static const uint8_t zero[FRAME_LEN];
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	int durable = 0, all = 0;
	sqlite3 *c;

	make_db(&d);
	c = open_db(&d);
	commit(c, 1);
	sync_wal(&d);
	{
		struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();
		sqlite3 *r;

		copy_db(&d, &e);
		r = open_db(&e);
		assert_int_equal(checkpoint(r, &durable), SQLITE_OK);
		close_db(&e, r);
	}
	/* Frames of a transaction that was not finished count for nothing, even
	 * if they were synced. */
	assert_int_equal(change(c, 2), SQLITE_OK);
	sync_wal(&d);
	{
		struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();

		copy_db(&d, &e);
		spill(&e, "meta.db-log", zero, sizeof(zero),
		    WAL_FRONT + (off_t)durable * FRAME_LEN);
		assert_int_equal(content_of(&e), 1);
	}
	assert_int_equal(run(c, "ROLLBACK"), SQLITE_OK);
	commit(c, 2);
	for (int frame = 0; frame < durable + 8; frame++) {
		struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();
		const off_t off = WAL_FRONT + (off_t)frame * FRAME_LEN;
		const bool lost = frame % 2 == 0;

		copy_db(&d, &e);
		if (lost)
			spill(&e, "meta.db-log", zero, sizeof(zero), off);
		else
			flip(&e, "meta.db-log", off + frame * 97 % FRAME_LEN);
		assert_int_equal(content_of(&e), frame < durable ? -1 : 1);
	}
	assert_true(durable > 10);
	/* The same when all of it is home: the log is still read. */
	assert_int_equal(checkpoint(c, &all), SQLITE_OK);
	close_db(&d, c);
	assert_true(all > durable + 8);
	for (int frame = 0; frame < all; frame += 3) {
		struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();

		copy_db(&d, &e);
		flip(&e, "meta.db-log",
		    WAL_FRONT + (off_t)frame * FRAME_LEN +
			frame * 97 % FRAME_LEN);
		assert_int_equal(content_of(&e), -1);
	}
}

/* A bit in every page of the database, and in everything before them. */
static void
test_flipped_bits(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	unsigned pages = 0, seen = 0;
	sqlite3 *c;

	make_db(&d);
	c = open_db(&d);
	commit(c, 1);
	assert_int_equal(checkpoint(c, NULL), SQLITE_OK);
	{
		struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();

		/* Power failed as it was brought home: the WAL has it whole. */
		copy_db(&d, &e);
		flip(&e, "meta.db", SEAL_FRONT + 50);
		assert_int_equal(content_of(&e), 1);
	}
	/* A new round of the WAL that hides few pages. */
	assert_int_equal(run(c, "UPDATE super SET epoch=5"), SQLITE_OK);
	sync_wal(&d);
	close_db(&d, c);
	const off_t end = file_size(d.path, "meta.db");
	for (off_t off = SEAL_FRONT; off < end; off += SEAL_PAGESIZE) {
		struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();

		copy_db(&d, &e);
		flip(&e, "meta.db", off + (off * 31 / SEAL_PAGESIZE) % 8192);
		pages++;
		seen += content_of(&e) == -1;
	}
	/* Pages of other tables are not looked at here. */
	assert_true(pages > 30 && seen >= pages - 16 && seen <= pages);
	for (off_t off = SEAL_MARKS; off < SEAL_MARKS + 3 * SEAL_STEP;
	     off += 11) {
		struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();

		if (off % SEAL_STEP > SEAL_MARKLEN + SEAL_TRAILER)
			continue;
		copy_db(&d, &e);
		flip(&e, "meta.db", off);
		assert_int_equal(content_of(&e), 1);
	}
	for (unsigned at = 0; at < 2; at++) {
		struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();

		copy_db(&d, &e);
		flip(&e, "meta.db-log", at * SEAL_STEP + 20);
		/* One of them is of an older round, and of no account. */
		assert_int_equal(content_of(&e), at == 1 ? 1 : -1);
	}
}

static void
test_exchanged_pages(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();
	sqlite3 *c;
	size_t len;

	make_db(&d);
	c = open_db(&d);
	commit(c, 1);
	assert_int_equal(
	    run(c, "INSERT INTO symlink VALUES(7, " LONG ")"), SQLITE_OK);
	assert_int_equal(checkpoint(c, NULL), SQLITE_OK);
	assert_int_equal(run(c, "UPDATE super SET epoch=5"), SQLITE_OK);
	close_db(&d, c);
	copy_db(&d, &e);
	assert_int_equal(content_of(&e), 1);
	uint8_t *p CLEANUP_FREE = slurp(&d, "meta.db", &len);
	const size_t pages = (len - SEAL_FRONT) / SEAL_PAGESIZE;
	const size_t a = pages - 3, b = pages - 5;
	spill(&e, "meta.db", p + SEAL_FRONT + a * SEAL_PAGESIZE, SEAL_PAGESIZE,
	    SEAL_FRONT + (off_t)b * SEAL_PAGESIZE);
	assert_int_equal(content_of(&e), -1);
	copy_db(&d, &e);
	/* Cut off: whole pages, a part of one, everything. */
	for (size_t cut = 1; cut < len - SEAL_FRONT; cut = cut * 3 + 4096) {
		char path[128];

		copy_db(&d, &e);
		path_of(&e, "meta.db", path);
		assert_int_equal(truncate(path, (off_t)(len - cut)), 0);
		assert_int_equal(content_of(&e), -1);
		spill(&e, "meta.db", p, len, 0);
	}
}

/* The log, or its header, of another time. */
static void
test_replayed_log(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	struct tmpdir old CLEANUP_TMPDIR = tmpdir_make();
	struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();
	char path[128];
	sqlite3 *c;
	size_t len;

	make_db(&d);
	c = open_db(&d);
	commit(c, 1);
	assert_int_equal(checkpoint(c, NULL), SQLITE_OK);
	copy_db(&d, &old);
	for (int round = 2; round <= 5; round++) {
		commit(c, round);
		sync_wal(&d);
		assert_int_equal(checkpoint(c, NULL), SQLITE_OK);
	}
	close_db(&d, c);
	copy_db(&d, &e);
	assert_int_equal(content_of(&e), 5);
	copy_file(old.path, e.path, "meta.db-log");
	assert_int_equal(content_of(&e), -1);
	copy_db(&d, &e);
	uint8_t *p CLEANUP_FREE = slurp(&old, "meta.db-log", &len);
	spill(&e, "meta.db-log", p, WAL_FRONT, 0);
	assert_int_equal(content_of(&e), -1);
	/* Both files are an older store, which nothing here can tell. */
	assert_int_equal(content_of(&old), 1);
	path_of(&e, "meta.db-log", path);
	for (off_t keep = 0; keep < WAL_FRONT + 8 * FRAME_LEN; keep += 5000) {
		copy_db(&d, &e);
		assert_int_equal(truncate(path, keep), 0);
		assert_int_equal(content_of(&e), -1);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(content_of(&e), -1);
	}
}

/* One page of another time (THREATS.md): its tag is right.  What is read is of
 * that time or this, or the pages disagree; it is nothing that never was. */
static void
test_replayed_page(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	struct tmpdir old CLEANUP_TMPDIR = tmpdir_make();
	struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();
	unsigned missed = 0;
	size_t len, now;
	sqlite3 *c;

	make_db(&d);
	c = open_db(&d);
	commit(c, 1);
	assert_int_equal(checkpoint(c, NULL), SQLITE_OK);
	copy_db(&d, &old);
	commit(c, 2);
	sync_wal(&d);
	assert_int_equal(checkpoint(c, NULL), SQLITE_OK);
	close_db(&d, c);
	uint8_t *p CLEANUP_FREE = slurp(&old, "meta.db", &len);
	uint8_t *q CLEANUP_FREE = slurp(&d, "meta.db", &now);
	for (size_t at = SEAL_FRONT; at + SEAL_PAGESIZE <= len && at < now;
	     at += SEAL_PAGESIZE) {
		int got;

		copy_db(&d, &e);
		spill(&e, "meta.db", p + at, SEAL_PAGESIZE, (off_t)at);
		got = content_of(&e);
		assert_true(got == -1 || got == 1 || got == 2);
		missed +=
		    memcmp(p + at, q + at, SEAL_PAGESIZE) != 0 && got != -1;
	}
	/* If all were found, THREATS.md would have to say so. */
	assert_int_not_equal(missed, 0);
}

static int
epoch_of(sqlite3 *c)
{
	sqlite3_stmt *s = NULL;
	int r = -1;

	/* From the files, not from pages in core. */
	(void)sqlite3_db_release_memory(c);
	if (sqlite3_prepare_v2(c, "SELECT epoch FROM super", -1, &s, NULL) ==
		SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		r = sqlite3_column_int(s, 0);
	(void)sqlite3_finalize(s);
	return (r);
}

/* A frame of an older round put back while the log is in use. */
static void
test_replayed_while_open(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	sqlite3 *c;
	size_t len;

	make_db(&d);
	c = open_db(&d);
	assert_int_equal(checkpoint(c, NULL), SQLITE_OK);
	assert_int_equal(run(c, "UPDATE super SET epoch=5"), SQLITE_OK);
	assert_int_equal(checkpoint(c, NULL), SQLITE_OK);
	uint8_t *p CLEANUP_FREE = slurp(&d, "meta.db-log", &len);
	assert_int_equal(run(c, "UPDATE super SET epoch=6"), SQLITE_OK);
	assert_int_equal(epoch_of(c), 6);
	spill(&d, "meta.db-log", p + WAL_FRONT, FRAME_LEN, WAL_FRONT);
	assert_int_equal(epoch_of(c), -1);
	close_db(&d, c);
}

/*
 * SQLite would write a journal's pages into the database, where they would be
 * sealed as if they were ours.
 */
static void
test_no_journal(void **state UNUSED)
{
	static uint8_t journal[4096 + 4 + SEAL_PAGESIZE + 4] =
	    "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7";
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	char path[128];
	size_t len;
	sqlite3 *c;

	make_db(&d);
	c = open_db(&d);
	commit(c, 1);
	assert_int_equal(checkpoint(c, NULL), SQLITE_OK);
	close_db(&d, c);
	uint8_t *p CLEANUP_FREE = slurp(&d, "meta.db", &len);
	/* One record: page 3, zeros, whose checksum is what it began with. */
	put_u32(journal + 8, 1);
	put_u32(journal + 16, (uint32_t)((len - SEAL_FRONT) / SEAL_PAGESIZE));
	put_u32(journal + 20, 4096);
	put_u32(journal + 24, SEAL_PAGESIZE);
	put_u32(journal + 4096, 3);
	path_of(&d, "meta.db-journal", path);
	int fd CLEANUP_CLOSE = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, journal, sizeof(journal)), sizeof(journal));
	assert_int_equal(content_of(&d), 1);
	uint8_t *now CLEANUP_FREE = slurp(&d, "meta.db", &len);
	assert_memory_equal(p + SEAL_FRONT, now + SEAL_FRONT, len - SEAL_FRONT);
	assert_int_equal(file_size(d.path, "meta.db-journal"), sizeof(journal));
}

/* Patterns of writing that would put something into the wrong place. */
static void
test_unknown_writes(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	static const int sizes[] = { 1, 24, 100, 512, 4096, 8191, 8192, 8216 };
	uint8_t buf[9000];
	sqlite3_file *f[2];
	sqlite3 *c;

	make_db(&d);
	c = open_db(&d);
	commit(c, 1);
	assert_int_equal(
	    sqlite3_file_control(c, NULL, SQLITE_FCNTL_FILE_POINTER, &f[0]),
	    SQLITE_OK);
	assert_int_equal(
	    sqlite3_file_control(c, NULL, SQLITE_FCNTL_JOURNAL_POINTER, &f[1]),
	    SQLITE_OK);
	memset(buf, 'b', sizeof(buf));
	for (size_t i = 0; i < COUNTOF(sizes); i++)
		for (int off = 8192 + 100; off < 8192 + 200; off += 7)
			for (int k = 0; k < 2; k++)
				assert_int_not_equal(
				    f[k]->pMethods->xWrite(
					f[k], buf, sizes[i], off),
				    SQLITE_OK);
	/* A page whose reserved bytes are in use. */
	assert_int_not_equal(
	    f[0]->pMethods->xWrite(f[0], buf, 8192, 8192), SQLITE_OK);
	close_db(&d, c);
	assert_int_equal(content_of(&d), 1);
}

static const struct sys_ops *below;
static uint8_t (*nonces)[24];
static size_t nnonces, room;

/* Every message that is written ends in salt, nonce and tag. */
static ssize_t
census(int fd, const void *buf, size_t len, off_t off)
{
	const uint8_t *const p = buf;

	if (len == SEAL_PAGESIZE || len == FRAME_LEN ||
	    len == SEAL_MARKLEN + SEAL_TRAILER ||
	    len == 8 + WAL_HDR + SEAL_TRAILER) {
		assert_true(nnonces < room);
		memcpy(nonces[nnonces++], p + len - SEAL_TRAILER, 24);
	}
	return (below->pwrite(fd, buf, len, off));
}

static int
by_bytes(const void *a, const void *b)
{
	return (memcmp(a, b, 24));
}

/* No nonce is used twice under one key: over runs, rollbacks, and two copies
 * of one store that go different ways. */
static void
test_census_of_nonces(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	struct sys_ops counting = *sys;
	struct tmpdir e CLEANUP_TMPDIR = tmpdir_make();

	make_db(&d);
	below = sys;
	counting.pwrite = census;
	room = 200000;
	nonces = malloc(room * sizeof(*nonces));
	assert_non_null(nonces);
	copy_db(&d, &e);
	sys_install(&counting);
	for (int round = 1; round <= 6; round++) {
		const struct tmpdir *at = round % 2 == 0 ? &d : &e;
		sqlite3 *c = open_db(at);

		commit(c, round);
		assert_int_equal(change(c, 9), SQLITE_OK);
		assert_int_equal(run(c, "ROLLBACK"), SQLITE_OK);
		sync_wal(at);
		if (round % 3 != 0)
			assert_int_equal(checkpoint(c, NULL), SQLITE_OK);
		close_db(at, c);
		if (round == 4) {
			sys_install(below);
			copy_db(&d, &e);
			sys_install(&counting);
		}
	}
	sys_install(below);
	qsort(nonces, nnonces, 24, by_bytes);
	assert_true(nnonces > 500);
	for (size_t i = 1; i < nnonces; i++)
		assert_memory_not_equal(nonces[i - 1], nonces[i], 24);
	free(nonces);
}

/* Every call of a commit and a checkpoint fails once: old or new, no third. */
static void
test_each_fault(void **state UNUSED)
{
	static const char *const calls[] = { "pwrite", "pread", "fdatasync" };

	for (size_t k = 0; k < COUNTOF(calls); k++) {
		unsigned seen = 1;

		/* The first time around, they are counted only. */
		for (unsigned nth = 0; nth <= seen; nth += nth < 12 ? 1 : 17) {
			struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
			char path[128];
			sqlite3 *c;
			int rc, now;

			make_db(&d);
			c = open_db(&d);
			commit(c, 1);
			path_of(&d, "meta.db", path);
			sys_fault_set(calls[k], nth, EIO, 0);
			rc = change(c, 2);
			if (rc == SQLITE_OK)
				rc = run(c, "COMMIT");
			if (rc == SQLITE_OK && vfs_wal_sync(path) != OK)
				rc = SQLITE_IOERR;
			if (rc == SQLITE_OK)
				rc = checkpoint(c, NULL);
			now = (int)sys_fault_clear();
			if (nth == 0)
				seen = (unsigned)now;
			close_db(&d, c);
			now = content_of(&d);
			assert_true(now == 2 || (now == 1 && rc != SQLITE_OK));
		}
		assert_true(seen > 2);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_what_it_wrote),
		cmocka_unit_test(test_plain_is_in_clear),
		cmocka_unit_test(test_after_a_crash),
		cmocka_unit_test(test_torn_and_damaged_log),
		cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_exchanged_pages),
		cmocka_unit_test(test_replayed_log),
		cmocka_unit_test(test_replayed_page),
		cmocka_unit_test(test_replayed_while_open),
		cmocka_unit_test(test_no_journal),
		cmocka_unit_test(test_unknown_writes),
		cmocka_unit_test(test_census_of_nonces),
		cmocka_unit_test(test_each_fault),
	};

	assert_ok(secret_init());
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
