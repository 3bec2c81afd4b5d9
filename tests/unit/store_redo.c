/* store: blocks that are durable in table ring before they are in their slots. */
#include "store_fixture.h"

#include <sqlite3.h>

#include "crypto/digest.h"
#include "lib/base/buf.h"

#include "store/redo.h"

#define BYTES ((size_t)20000) /* five blocks */

static void
put(struct store *st, uint64_t ino, uint64_t off, int c, size_t len)
{
	struct store_file *f = NULL;
	uint8_t *buf CLEANUP_FREE = malloc(len);

	assert_non_null(buf);
	memset(buf, c, len);
	assert_ok(store_open(st, &who, ino, &f));
	assert_ok(store_write(f, off, buf, len, 0));
	store_release(f);
}

/* Is all of it ${c}? */
static void
holds(struct store *st, uint64_t ino, uint64_t off, int c, size_t len)
{
	struct store_file *f = NULL;
	uint8_t *buf CLEANUP_FREE = malloc(len);
	size_t n = 0;

	assert_non_null(buf);
	assert_ok(store_open(st, &who, ino, &f));
	assert_ok(store_read(f, off, buf, len, &n));
	store_release(f);
	assert_int_equal(n, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(buf[i], c);
}

/* What a crash leaves of an open store, in a directory of its own; without
 * ${arena} nothing of what was written to the arena has come to the disk. */
static void
crash(const struct fixture *f, const char *to, bool arena)
{
	static const char *const names[] = { "meta.db", "meta.db-wal",
		"arena-0", "lock" };
	char path[256];

	assert_int_equal(mkdir(to, 0700), 0);
	for (size_t i = 0; i < COUNTOF(names); i++)
		copy_file(f->dir, to, names[i]);
	(void)snprintf(path, sizeof(path), "%s/arena-0", to);
	if (!arena)
		assert_int_equal(truncate(path, 0), 0);
}

static void
sql(const char *dir, const char *text)
{
	char path[256];
	sqlite3 *c = NULL;

	(void)snprintf(path, sizeof(path), "%s/meta.db", dir);
	assert_int_equal(sqlite3_open(path, &c), SQLITE_OK);
	assert_int_equal(sqlite3_exec(c, text, NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(c);
}

static void
clean(struct store *st)
{
	struct store_check_result r;

	assert_ok(store_check(st, false, on_problem, NULL, &r));
	assert_int_equal(r.problems, 0);
}

#define CRASHED(to)   \
	char to[128]; \
	(void)snprintf(to, sizeof(to), "%s/crashed", f->d.path)

static void
test_without_the_arena(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t a = mkfile(st, f->bkt, "a");
	struct store *back = NULL;
	CRASHED(to);
	const struct store_opts o = { .dir = to };

	put(st, a, 0, 'a', BYTES);
	assert_ok(store_fsync(st, a));
	assert_int_equal(st->redo->nrows, 5);
	put(st, a, 4096, 'b', 4096);
	assert_ok(store_fsync(st, a));
	/* The block that was replaced has no row any more. */
	assert_int_equal(st->redo->nrows, 5);
	crash(f, to, false);
	assert_ok(store_open_dir(&o, &back));
	holds(back, a, 0, 'a', 4096);
	holds(back, a, 4096, 'b', 4096);
	holds(back, a, 8192, 'a', BYTES - 8192);
	clean(back);
	/* The first commit drops what is in its place. */
	put(back, a, 0, 'c', 10);
	assert_ok(store_fsync(back, a));
	assert_int_equal(back->redo->nrows, 1);
	assert_ok(store_close_dir(back));
}

static void
test_read_only(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t a = mkfile(st, f->bkt, "a");
	struct store *back = NULL;
	CRASHED(to);
	const struct store_opts o = { .dir = to, .readonly = true };

	put(st, a, 0, 'a', BYTES);
	assert_ok(store_fsync(st, a));
	crash(f, to, false);
	assert_ok(store_open_dir(&o, &back));
	holds(back, a, 0, 'a', BYTES);
	clean(back);
	assert_ok(store_close_dir(back));
	/* It was left as it was. */
	assert_int_equal(file_size(to, "arena-0"), 0);
}

static void
test_many(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t a = mkfile(st, f->bkt, "a");
	struct store *back = NULL;
	uint32_t most = 0;
	CRASHED(to);
	const struct store_opts o = { .dir = to };

	for (unsigned i = 0; i < 3 * REDO_ROWS; i++) {
		put(st, a, (uint64_t)i * 4096, 'a', 4096);
		assert_ok(store_fsync(st, a));
		assert_true(st->redo->nrows <= REDO_ROWS);
		if (st->redo->nrows > most)
			most = st->redo->nrows;
	}
	assert_int_equal(most, REDO_ROWS);
	/* More than a commit's share goes to the arenas alone. */
	put(st, a, 0, 'b', (size_t)(REDO_SLOTS + 1) * 4096);
	assert_ok(store_fsync(st, a));
	assert_int_equal(st->redo->nrows, 0);
	put(st, a, 0, 'c', 4096);
	assert_ok(store_fsync(st, a));
	crash(f, to, true);
	assert_ok(store_open_dir(&o, &back));
	holds(back, a, 0, 'c', 4096);
	holds(back, a, 4096, 'b', (size_t)REDO_SLOTS * 4096);
	clean(back);
	assert_ok(store_close_dir(back));
}

/* A closed store has no rows, and the format that older programs read. */
static void
test_closed(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t a = mkfile(st, f->bkt, "a");

	put(st, a, 0, 'a', BYTES);
	assert_ok(store_fsync(st, a));
	assert_int_equal(db_format(st), STORE_FORMAT + STORE_RING);
	assert_ok(store_close_dir(st));
	sql(f->dir, "CREATE TABLE x(v CHECK(v)); INSERT INTO x "
		    "SELECT format = 1 FROM super; INSERT INTO x SELECT "
		    "substr(data, 1, 8) = zeroblob(8) FROM ring WHERE "
		    "place = 0; DROP TABLE x");
	/* One of an older program. */
	sql(f->dir, "DROP TABLE ring");
	fixture_open(f);
	holds(f->st, a, 0, 'a', BYTES);
	put(f->st, a, 0, 'b', 4096);
	assert_ok(store_fsync(f->st, a));
	assert_int_equal(f->st->redo->nrows, 1);
	reopen(f);
	holds(f->st, a, 0, 'b', 4096);
}

/* Rows of former generations stand on, and do not count. */
static void
test_generations(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t a = mkfile(st, f->bkt, "a");
	struct store *back = NULL;
	CRASHED(to);
	const struct store_opts o = { .dir = to };

	put(st, a, 0, 'a', BYTES);
	assert_ok(store_fsync(st, a));
	assert_int_equal(st->redo->nrows, 5);
	/* More than a commit's share: the arenas are synced. */
	put(st, a, 0, 'b', (size_t)(REDO_SLOTS + 1) * 4096);
	assert_ok(store_fsync(st, a));
	assert_int_equal(st->redo->nrows, 0);
	put(st, a, 8192, 'c', 4096);
	assert_ok(store_fsync(st, a));
	assert_int_equal(st->redo->nrows, 1);
	crash(f, to, true);
	sql(to, "CREATE TABLE x(v CHECK(v)); INSERT INTO x "
		"SELECT count(*) = 6 FROM ring; DROP TABLE x");
	assert_ok(store_open_dir(&o, &back));
	assert_int_equal(back->redo->nrows, 1);
	holds(back, a, 0, 'b', 8192);
	holds(back, a, 8192, 'c', 4096);
	clean(back);
	assert_ok(store_close_dir(back));
}

/* A row goes where one was dropped, and those that are dropped without a
 * successor are gone. */
static void
test_places(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t a = mkfile(st, f->bkt, "a");
	struct store *back = NULL;
	CRASHED(to);
	const struct store_opts o = { .dir = to };
	const struct store_attr cut = { .size = 8192 };
	uint64_t was[REDO_ROWS];

	put(st, a, 0, 'a', BYTES);
	assert_ok(store_fsync(st, a));
	memcpy(was, st->redo->row, sizeof(was));
	put(st, a, 8192, 'b', 4096);
	assert_ok(store_fsync(st, a));
	for (unsigned i = 0; i < REDO_ROWS; i++)
		assert_int_equal(st->redo->row[i] != was[i], i == 2);
	assert_ok(store_setattr(
	    st, &who, a, STORE_SET_SIZE, &cut, &(struct store_attr){ 0 }));
	assert_ok(store_fsync(st, a));
	assert_int_equal(st->redo->nrows, 2);
	crash(f, to, false);
	assert_ok(store_open_dir(&o, &back));
	assert_int_equal(back->redo->nrows, 2);
	holds(back, a, 0, 'a', 8192);
	clean(back);
	assert_ok(store_close_dir(back));
}

/* What an fsync after one block costs: pages of the WAL. */
static void
test_pages(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t a = mkfile(st, f->bkt, "a");
	const uint64_t frame = 8192 + 24;

	put(st, a, 0, 'a', (size_t)100 * 4096);
	assert_ok(store_fsync(st, a));
	for (unsigned i = 0; i < REDO_ROWS - 1; i++) {
		put(st, a, (uint64_t)(i % 90) * 4096, 'b', 4096);
		assert_ok(store_fsync(st, a));
	}
	put(st, a, 0, 'b', (size_t)(REDO_SLOTS + 1) * 4096);
	assert_ok(store_fsync(st, a));
	for (unsigned i = 0; i < 20; i++) {
		const uint64_t before = db_wal_bytes(st);

		put(st, a, (uint64_t)(i + 40) * 4096, 'c', 4096);
		assert_ok(store_fsync(st, a));
		/* super, the inode, two of its node, the bitmap, the row; and
		 * at first the generation. */
		assert_in_range(db_wal_bytes(st) - before, frame, 7 * frame);
	}
}

static void
count_bad(void *arg, const struct store_problem *p)
{
	*(unsigned *)arg += strcmp(p->invariant, "I13") == 0;
}

/* A row of ${slot}, whole in itself, at ${place}. */
static void
forge(const char *dir, int place, uint64_t slot)
{
	uint8_t data[4116] = { 0 };
	char path[256];
	sqlite3 *c = NULL;
	sqlite3_stmt *s = NULL;

	(void)snprintf(path, sizeof(path), "%s/meta.db", dir);
	assert_int_equal(sqlite3_open(path, &c), SQLITE_OK);
	assert_int_equal(
	    sqlite3_prepare_v2(
		c, "SELECT data FROM ring WHERE place = 0", -1, &s, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	assert_int_equal(sqlite3_column_bytes(s, 0), 12);
	put_u64(data + 4096, slot);
	memcpy(data + 4104, sqlite3_column_blob(s, 0), 8);
	put_u32(data + 4112, crc32c(0, data, 4112));
	assert_int_equal(sqlite3_finalize(s), SQLITE_OK);
	assert_int_equal(
	    sqlite3_prepare_v2(
		c, "INSERT OR REPLACE INTO ring VALUES(?1, ?2)", -1, &s, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_bind_int(s, 1, place), SQLITE_OK);
	assert_int_equal(
	    sqlite3_bind_blob(s, 2, data, sizeof(data), SQLITE_STATIC),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_DONE);
	assert_int_equal(sqlite3_finalize(s), SQLITE_OK);
	(void)sqlite3_close(c);
}

static void
one_damage(const char *text, int place, uint64_t slot)
{
	FIXTURE(f, false);
	const uint64_t a = mkfile(st, f->bkt, "a");
	struct store *back = NULL;
	struct store_check_result r;
	unsigned bad = 0;
	CRASHED(to);
	struct store_opts o = { .dir = to };

	put(st, a, 0, 'a', 4096);
	assert_ok(store_fsync(st, a));
	crash(f, to, true);
	if (text != NULL)
		sql(to, text);
	else
		forge(to, place, slot);
	assert_err(store_open_dir(&o, &back), ERR_CORRUPT);
	o.check = true;
	assert_ok(store_open_dir(&o, &back));
	assert_ok(store_check(back, true, count_bad, &bad, &r));
	assert_int_equal(bad, 1);
	assert_ok(store_close_dir(back));
	o.check = false;
	assert_ok(store_open_dir(&o, &back));
	holds(back, a, 0, 'a', 4096);
	clean(back);
	assert_ok(store_close_dir(back));
}

static void
test_damaged(void **state UNUSED)
{
	static const char *const how[] = {
		"UPDATE ring SET data = zeroblob(4116) WHERE place = 1",
		"UPDATE ring SET data = 'text' WHERE place = 1",
		"UPDATE ring SET place = 129 WHERE place = 1",
		"INSERT INTO ring SELECT 2, data FROM ring WHERE place = 1",
		"UPDATE ring SET data = zeroblob(12) WHERE place = 0",
		"UPDATE ring SET data = 'text' WHERE place = 0",
		"UPDATE ring SET place = -1 WHERE place = 0",
		"DELETE FROM ring WHERE place = 0",
	};

	for (size_t i = 0; i < COUNTOF(how); i++)
		one_damage(how[i], 0, 0);
	one_damage(NULL, 2, UINT64_MAX);
	one_damage(NULL, 2, UINT64_C(1) << 40);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_the_arena),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_damaged),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
