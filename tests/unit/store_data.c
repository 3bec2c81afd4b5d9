/* store: content.  Changes that fail half-way, files that share segments, and
 * keys that go out of use at the wrong moment; fsck looks at every store at the
 * end. */
#include "store_fixture.h"

#include <errno.h>

#include <sqlite3.h>
#include <unistd.h>

#include "crypto/digest.h"
#include "lib/base/buf.h"
#include "lib/base/sys.h"
#include "store/store_internal.h"

#define KIB 1024u
#define MIB (1024u * KIB)

static uint8_t data[4 * MIB], got[4 * MIB];

static void
pattern(unsigned seed, size_t len)
{
	uint32_t v = seed * 2654435761u + 1;

	for (size_t i = 0; i < len; i++) {
		v = v * 1664525u + 1013904223u;
		data[i] = (uint8_t)(v >> 24);
	}
}

static struct store_file *
open_(struct store *st, uint64_t ino)
{
	struct store_file *f = NULL;

	assert_ok(store_open(st, &who, ino, &f));
	return (f);
}

static void
put(struct store *st, uint64_t ino, uint64_t off, unsigned seed, size_t len)
{
	struct store_file *f = open_(st, ino);

	pattern(seed, len);
	assert_ok(store_write(f, off, data, len, 0));
	store_release(f);
}

/* The bytes at ${off} are those that put() with ${seed} wrote. */
static void
holds(struct store *st, uint64_t ino, uint64_t off, unsigned seed, size_t len)
{
	struct store_file *f = open_(st, ino);
	size_t n;

	pattern(seed, len);
	assert_ok(store_read(f, off, got, len, &n));
	assert_int_equal(n, len);
	assert_memory_equal(got, data, len);
	store_release(f);
}

static void
zeros(struct store *st, uint64_t ino, uint64_t off, size_t len)
{
	struct store_file *f = open_(st, ino);
	size_t n;

	assert_ok(store_read(f, off, got, len, &n));
	assert_int_equal(n, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(got[i], 0);
	store_release(f);
}

static void
copy(struct store *st, uint64_t from, uint64_t foff, uint64_t to, uint64_t toff,
    uint64_t len)
{
	struct store_file *a = open_(st, from), *b = open_(st, to);
	uint64_t n;

	assert_ok(store_copy(a, foff, b, toff, len, &n));
	assert_int_equal(n, len);
	store_release(a);
	store_release(b);
}

static enum err
truncate_(struct store *st, uint64_t ino, uint64_t size)
{
	const struct store_attr in = { .size = size };
	struct store_attr a;

	return (store_setattr(st, &who, ino, STORE_SET_SIZE, &in, &a));
}

static uint64_t
blocks(struct store *st, uint64_t ino)
{
	return (attr(st, ino).blocks / 8);
}

/* ---- The arenas' space -------------------------------------------------- */

/* Bytes that the store's arena owns on the disk. */
static uint64_t
arena_owns(const struct fixture *f)
{
	char path[128];
	struct stat sb;

	(void)snprintf(path, sizeof(path), "%s/arena-0", f->dir);
	assert_int_equal(stat(path, &sb), 0);
	return ((uint64_t)sb.st_blocks * 512);
}

/* What was there before the mount goes back to the disk when it is removed, not
 * first when the store is closed. */
static void
test_old_space_comes_back(void **state UNUSED)
{
	FIXTURE(f, true);
	const uint64_t ino = mkfile(st, f->bkt, "a");

	for (uint64_t i = 0; i < 8; i++)
		put(st, ino, i * MIB, 1, MIB);
	reopen(f);
	assert_true(arena_owns(f) >= 8192 * KIB);
	uint64_t gone;
	bool last;

	assert_ok(store_unlink(f->st, f->bkt, "a", 1, &gone, &last));
	assert_true(last);
	store_reap(f->st, gone);
	assert_ok(store_sync(f->st));
	for (int i = 0; i < 12000 && f->st->have_dead; i++) {
		epoch_kick(f->st);
		(void)usleep(5000);
	}
	assert_ok(store_sync(f->st));
	assert_true(arena_owns(f) < 2048 * KIB);
}

static void
alloc_rows(const struct fixture *f, const char *sql)
{
	char path[128];
	sqlite3 *c = NULL;

	(void)snprintf(path, sizeof(path), "%s/meta.db", f->dir);
	assert_int_equal(
	    sqlite3_open_v2(path, &c, SQLITE_OPEN_READWRITE, VFS_NAME),
	    SQLITE_OK);
	assert_int_equal(sqlite3_exec(c, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
}

/* A table that calls live blocks free does not have them punched: a repair finds
 * them where they were. */
static void
test_false_table_punches_nothing(void **state UNUSED)
{
	FIXTURE(f, true);
	const uint64_t ino = mkfile(st, f->bkt, "a");
	size_t n;

	for (uint64_t i = 0; i < 4; i++)
		put(st, ino, i * MIB, 1, MIB);
	assert_ok(store_close_dir(f->st));
	alloc_rows(f, "CREATE TABLE kept AS SELECT * FROM alloc;"
		      "UPDATE alloc SET bits = zeroblob(4096)");
	fixture_open(f);
	assert_ok(store_close_dir(f->st));
	alloc_rows(f, "DELETE FROM alloc; INSERT INTO alloc SELECT * FROM kept;"
		      "DROP TABLE kept");
	fixture_open(f);
	pattern(1, 64 * KIB);
	struct store_file *h = open_(f->st, ino);
	assert_ok(store_read(h, 0, got, 64 * KIB, &n));
	assert_int_equal(n, 64 * KIB);
	assert_memory_equal(got, data, 64 * KIB);
	store_release(h);
}

/* ---- Failures half-way -------------------------------------------------- */

static void
test_punch_fails(void **state UNUSED)
{
	FIXTURE(f, true);
	const uint64_t ino = mkfile(st, f->bkt, "a");
	struct store_file *h;

	put(st, ino, 0, 1, 64 * KIB);
	assert_ok(store_sync(st));
	h = open_(st, ino);
	/* The first edge is written, the second is not. */
	sys_fault_set("pwrite", 2, EIO, 0);
	assert_err(store_fallocate(h,
		       STORE_FALLOC_PUNCH | STORE_FALLOC_KEEP_SIZE, 100, 20000),
	    ERR_IO);
	(void)sys_fault_clear();
	store_release(h);
	assert_ok(store_sync(st));
	/* The first edge's old slot is free now: others get it. */
	for (unsigned i = 0; i < 20; i++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "b%u", i);
		put(st, mkfile(st, f->bkt, name), 0, 2, 5000);
		assert_ok(store_sync(st));
	}
	reopen(f);
	pattern(1, 64 * KIB);
	h = open_(f->st, ino);
	size_t n;
	assert_ok(store_read(h, 0, got, 64 * KIB, &n));
	assert_memory_equal(got, data, 100);
	assert_memory_equal(got + 20100, data + 20100, 64 * KIB - 20100);
	store_release(h);
}

static void
test_write_fails(void **state UNUSED)
{
	FIXTURE(f, true);
	const uint64_t ino = mkfile(st, f->bkt, "a");
	struct store_file *h;
	struct kms_desc d;

	assert_ok(kms_key_create(store_kms(st), &who, "k", &d));
	assert_ok(store_sse_set(st, &who, ino, SSE_KMS, d.arn));
	assert_ok(store_sync(st));
	/* A segment is made for a write that fails; then the key goes out of
	 * use and comes back: the segment must still have its own key. */
	h = open_(st, ino);
	pattern(3, 9000);
	sys_fault_set("pwrite", 1, EIO, 0);
	assert_err(store_write(h, 0, data, 9000, 0), ERR_IO);
	(void)sys_fault_clear();
	assert_int_equal(attr(st, ino).size, 0);
	assert_ok(kms_key_disable(store_kms(st), &who, d.arn));
	assert_err(store_write(h, 0, data, 9000, 0), ERR_KEYREVOKED);
	assert_ok(kms_key_enable(store_kms(st), &who, d.arn));
	assert_ok(store_write(h, 0, data, 9000, 0));
	store_release(h);
	holds(st, ino, 0, 3, 9000);
	reopen(f);
	holds(f->st, ino, 0, 3, 9000);
}

/* Every call that can fail, fails once; what was there stays or is gone as a
 * whole, and the store is in order. */
static void
test_copy_fails(void **state UNUSED)
{
	static const char *const calls[] = { "pwrite", "fallocate" };

	for (unsigned c = 0; c < COUNTOF(calls); c++) {
		for (unsigned nth = 1; nth < 5; nth++) {
			FIXTURE(f, true);
			const uint64_t a = mkfile(st, f->bkt, "a");
			const uint64_t b = mkfile(st, f->bkt, "b");
			struct store_file *x, *y;
			uint64_t n;

			put(st, a, 0, 1, 200 * KIB + 7);
			put(st, b, 0, 2, 900);
			assert_ok(store_sync(st));
			x = open_(st, a);
			y = open_(st, b);
			sys_fault_set(calls[c], nth, ENOSPC, 0);
			const enum err e =
			    store_copy(x, 0, y, 64 * KIB, 200 * KIB + 7, &n);
			(void)sys_fault_clear();
			store_release(x);
			store_release(y);
			holds(st, b, 0, 2, 900);
			if (e == OK)
				holds(st, b, 64 * KIB, 1, (size_t)n);
			holds(st, a, 0, 1, 200 * KIB + 7);
			reopen(f);
			holds(f->st, a, 0, 1, 200 * KIB + 7);
			holds(f->st, b, 0, 2, 900);
		}
	}
}

/* Keys are taken from open files also when the store has stopped. */
static void
test_stopped_store_gives_keys_up(void **state UNUSED)
{
	struct fixture *f = fixture_new(true);
	struct store *const st = f->st;
	const uint64_t ino = mkfile(st, f->bkt, "a");
	struct store_file *h;
	struct kms_desc d;
	size_t n;

	assert_ok(kms_key_create(store_kms(st), &who, "k", &d));
	assert_ok(store_sse_set(st, &who, ino, SSE_KMS, d.arn));
	put(st, ino, 0, 1, 9000);
	assert_ok(store_sync(st));
	h = open_(st, ino);
	assert_ok(store_write(h, 0, "x", 1, 0));
	sys_fault_set("fdatasync", 1, EIO, 1);
	assert_err(store_sync(st), ERR_FAILSTOP);
	(void)sys_fault_clear();
	assert_ok(store_read(h, 0, got, 10, &n));
	assert_ok(kms_key_disable(store_kms(st), &who, d.arn));
	assert_true(store_read(h, 0, got, 10, &n) != OK);
	store_release(h);
	assert_err(store_close_dir(st), ERR_FAILSTOP);
	tmpdir_remove(&f->d);
	free(f);
}

/* ---- Sharing ------------------------------------------------------------ */

static void
test_copies_of_copies(void **state UNUSED)
{
	FIXTURE(f, true);
	uint64_t ino[10];
	char name[8];

	for (unsigned i = 0; i < COUNTOF(ino); i++) {
		(void)snprintf(name, sizeof(name), "c%u", i);
		ino[i] = mkfile(st, f->bkt, name);
	}
	put(st, ino[0], 0, 1, MIB + 100);
	for (unsigned i = 1; i < COUNTOF(ino); i++) {
		copy(st, ino[i - 1], 0, ino[i], 0, MIB + 100);
		/* Each differs from the one it is a copy of. */
		put(st, ino[i], i * 64 * KIB, 100 + i, 5000);
	}
	assert_int_equal(blocks(st, ino[3]), 257);
	reopen(f);
	/* The middle goes first, then both ends. */
	for (unsigned k = 0; k < COUNTOF(ino); k++) {
		const unsigned i = (k + 5) % COUNTOF(ino);

		for (unsigned j = 1; j <= i; j++)
			holds(f->st, ino[i], j * 64 * KIB, 100 + j, 5000);
		(void)snprintf(name, sizeof(name), "c%u", i);
		assert_ok(rm(f->st, f->bkt, name));
		assert_ok(store_sync(f->st));
	}
}

static void
test_shared_then_changed(void **state UNUSED)
{
	FIXTURE(f, true);
	const uint64_t a = mkfile(st, f->bkt, "a"), b = mkfile(st, f->bkt, "b");
	const unsigned punch = STORE_FALLOC_PUNCH | STORE_FALLOC_KEEP_SIZE;
	struct store_file *h;

	put(st, a, 0, 1, MIB);
	copy(st, a, 0, b, 0, MIB);
	assert_int_equal(blocks(st, a), 256);
	assert_int_equal(blocks(st, b), 256);
	put(st, b, 0, 2, 128 * KIB);
	assert_int_equal(blocks(st, b), 256);
	h = open_(st, b);
	/* In what is its own, what is shared, and across. */
	assert_ok(store_fallocate(h, punch, 4096, 4096));
	assert_ok(store_fallocate(h, punch, 512 * KIB, 64 * KIB));
	assert_ok(store_fallocate(h, punch, 120 * KIB, 16 * KIB));
	store_release(h);
	assert_int_equal(blocks(st, b), 256 - 1 - 16 - 4);
	assert_ok(truncate_(st, b, 700 * KIB + 1));
	assert_ok(truncate_(st, b, 2 * MIB));
	zeros(st, b, 700 * KIB + 1, 64 * KIB);
	zeros(st, b, 512 * KIB, 64 * KIB);
	reopen(f);
	zeros(f->st, b, 700 * KIB + 1, 64 * KIB);
	zeros(f->st, b, 120 * KIB, 16 * KIB);
	holds(f->st, a, 0, 1, MIB);
	assert_ok(truncate_(f->st, a, 0));
	assert_int_equal(blocks(f->st, a), 0);
	copy(f->st, b, 0, a, 0, 2 * MIB);
	assert_ok(rm(f->st, f->bkt, "b"));
	zeros(f->st, a, 700 * KIB + 1, 64 * KIB);
}

/* A file copied in pieces has one base, and is still deleted whole. */
static void
test_copied_in_pieces(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t a = mkfile(st, f->bkt, "a"), b = mkfile(st, f->bkt, "b");

	put(st, a, 0, 1, 4 * MIB);
	for (unsigned i = 0; i < 32; i++)
		copy(st, a, i * 128 * KIB, b, i * 128 * KIB, 128 * KIB);
	holds(st, b, 0, 1, 4 * MIB);
	assert_int_equal(blocks(st, b), 1024);
	assert_ok(rm(st, f->bkt, "a"));
	reopen(f);
	holds(f->st, b, 0, 1, 4 * MIB);
}

static void
test_sparse_stays_sparse(void **state UNUSED)
{
	FIXTURE(f, true);
	const uint64_t a = mkfile(st, f->bkt, "a"), b = mkfile(st, f->bkt, "b");
	const uint64_t far = (uint64_t)1 << 40;
	struct store_file *h;
	uint64_t at;

	put(st, a, 0, 1, 256 * KIB);
	put(st, a, far, 2, 256 * KIB);
	copy(st, a, far, b, 0, 256 * KIB);
	h = open_(st, a);
	assert_ok(store_seek(h, 0, false, &at));
	assert_int_equal(at, 256 * KIB);
	assert_ok(store_seek(h, at, true, &at));
	assert_int_equal(at, far);
	assert_ok(store_seek(h, at, false, &at));
	assert_int_equal(at, far + 256 * KIB);
	store_release(h);
	assert_int_equal(blocks(st, a), 128);
	assert_int_equal(blocks(st, b), 64);
	/* Into a hole of what is shared, and onto data. */
	put(st, a, MIB, 3, 64 * KIB);
	put(st, a, 0, 3, 64 * KIB);
	assert_int_equal(blocks(st, a), 144);
}

/* ---- Truncation --------------------------------------------------------- */

/* Nothing comes back where much was cut off, written again at once, after a
 * start, and over the border of the cut. */
static void
test_cut_and_grow(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t ino = mkfile(st, f->bkt, "a");
	const uint64_t step = 256 * KIB;

	for (unsigned round = 0; round < 3; round++) {
		/* One block in each of 1500 nodes. */
		for (unsigned i = 0; i < 1500; i++)
			put(f->st, ino, i * step, i + 1, 4096);
		if (round > 0)
			assert_ok(store_sync(f->st));
		assert_ok(truncate_(f->st, ino, 5 * step + 100));
		if (round == 2)
			reopen(f);
		put(f->st, ino, 4 * step, 7, 8192);
		put(f->st, ino, 900 * step, 9, 4096);
		zeros(f->st, ino, 5 * step + 100, 4 * MIB);
		zeros(f->st, ino, 899 * step, step);
		zeros(f->st, ino, 900 * step - 4096, 4096);
		holds(f->st, ino, 900 * step, 9, 4096);
		holds(f->st, ino, 5 * step, 6, 100);
		assert_int_equal(attr(f->st, ino).size, 900 * step + 4096);
	}
}

static void
test_largest(void **state UNUSED)
{
	FIXTURE(f, true);
	const uint64_t ino = mkfile(st, f->bkt, "a");
	struct store_file *h;
	uint64_t at;

	put(st, ino, STORE_SIZE_MAX - 5000, 1, 5000);
	assert_int_equal(attr(st, ino).size, STORE_SIZE_MAX);
	h = open_(st, ino);
	assert_err(store_write(h, STORE_SIZE_MAX, "x", 1, 0), ERR_FBIG);
	assert_err(store_write(h, 0, "x", 1, STORE_WRITE_APPEND), ERR_FBIG);
	assert_err(store_fallocate(h, 0, STORE_SIZE_MAX - 1, 2), ERR_FBIG);
	assert_ok(store_seek(h, 0, true, &at));
	assert_int_equal(at, STORE_SIZE_MAX - 8192);
	store_release(h);
	reopen(f);
	holds(f->st, ino, STORE_SIZE_MAX - 5000, 1, 5000);
	assert_ok(truncate_(f->st, ino, 4097));
	zeros(f->st, ino, 0, 4097);
	assert_ok(truncate_(f->st, ino, STORE_SIZE_MAX));
	zeros(f->st, ino, STORE_SIZE_MAX - 8192, 8192);
	assert_int_equal(blocks(f->st, ino), 0);
}

/* ---- An edited database ------------------------------------------------- */

static void
sql(sqlite3 *c, const char *text)
{
	assert_int_equal(sqlite3_exec(c, text, NULL, NULL, NULL), SQLITE_OK);
}

/* Make the list of bases of inode ${ino}, which is not encrypted, right in the
 * eyes of its record. */
static void
reseal(sqlite3 *c, uint64_t ino)
{
	uint8_t rec[4096], sum[SHA256_LEN], num[32];
	struct sha256_ctx ctx;
	sqlite3_stmt *s;
	int len, bases = 0;

	assert_int_equal(
	    sqlite3_prepare_v2(
		c, "SELECT obj FROM inode WHERE ino=?1", -1, &s, NULL),
	    SQLITE_OK);
	sqlite3_bind_int64(s, 1, (sqlite3_int64)ino);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	len = sqlite3_column_bytes(s, 0);
	memcpy(rec, sqlite3_column_blob(s, 0), (size_t)len);
	sqlite3_finalize(s);
	sha256_begin(&ctx);
	assert_int_equal(sqlite3_prepare_v2(c,
			     "SELECT start, len, seg, off, rec FROM base"
			     " WHERE owner=?1 ORDER BY start",
			     -1, &s, NULL),
	    SQLITE_OK);
	sqlite3_bind_int64(s, 1, (sqlite3_int64)get_u64(rec + 8));
	for (; sqlite3_step(s) == SQLITE_ROW; bases++) {
		for (int i = 0; i < 4; i++)
			put_u64(
			    num + 8 * i, (uint64_t)sqlite3_column_int64(s, i));
		sha256_add(&ctx, num, sizeof(num));
		sha256_add(&ctx, sqlite3_column_blob(s, 4), 60);
	}
	sqlite3_finalize(s);
	assert_true(bases > 0);
	sha256_end(&ctx, sum);
	rec[2] |= 4;
	memcpy(rec + 80, sum, 16);
	put_u32(rec + 156,
	    crc32c(crc32c(0, rec, 156), rec + 160, (size_t)len - 160));
	assert_int_equal(
	    sqlite3_prepare_v2(
		c, "UPDATE inode SET obj=?2 WHERE ino=?1", -1, &s, NULL),
	    SQLITE_OK);
	sqlite3_bind_int64(s, 1, (sqlite3_int64)ino);
	sqlite3_bind_blob(s, 2, rec, len, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(s), SQLITE_DONE);
	sqlite3_finalize(s);
}

/* A plain file whose list is edited to name an encrypted file's segment does
 * not lend it out; impossible numbers are refused. */
static void
test_edited_lists(void **state UNUSED)
{
	static const char *const edits[] = {
		"UPDATE base SET seg=(SELECT max(seg) FROM segment)"
		" WHERE owner=(SELECT min(owner) FROM base)",
		"UPDATE base SET len=-1 WHERE owner=(SELECT min(owner)"
		" FROM base)",
		"UPDATE base SET off=1<<40 WHERE owner=(SELECT min(owner)"
		" FROM base)",
		"UPDATE base SET start=9223372036854775807, len=5"
		" WHERE owner=(SELECT min(owner) FROM base)"
	};

	for (unsigned i = 0; i < COUNTOF(edits); i++) {
		struct fixture *f = fixture_new(true);
		const uint64_t a = mkfile(f->st, f->bkt, "a");
		const uint64_t b = mkfile(f->st, f->bkt, "b");
		const uint64_t c = mkfile(f->st, f->bkt, "c");
		const uint64_t d = mkfile(f->st, f->bkt, "d");
		struct store_file *h, *x = NULL;
		char path[128];
		sqlite3 *db;

		assert_ok(store_sse_set(f->st, &who, a, SSE_NONE, NULL));
		assert_ok(store_sse_set(f->st, &who, b, SSE_NONE, NULL));
		put(f->st, a, 0, 1, 256 * KIB);
		copy(f->st, a, 0, b, 0, 256 * KIB);
		put(f->st, c, 0, 2, 256 * KIB);
		copy(f->st, c, 0, d, 0, 256 * KIB);
		assert_ok(store_close_dir(f->st));
		(void)snprintf(path, sizeof(path), "%s/meta.db", f->dir);
		assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
		sql(db, edits[i]);
		reseal(db, a);
		sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
		sqlite3_close(db);
		fixture_open(f);
		h = open_(f->st, c);
		assert_err(store_open(f->st, &who, a, &x), ERR_CORRUPT);
		store_release(h);
		holds(f->st, b, 0, 1, 256 * KIB);
		holds(f->st, d, 0, 2, 256 * KIB);
		assert_ok(store_close_dir(f->st));
		tmpdir_remove(&f->d);
		free(f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_old_space_comes_back),
		cmocka_unit_test(test_false_table_punches_nothing),
		cmocka_unit_test(test_punch_fails),
		cmocka_unit_test(test_write_fails),
		cmocka_unit_test(test_copy_fails),
		cmocka_unit_test(test_stopped_store_gives_keys_up),
		cmocka_unit_test(test_copies_of_copies),
		cmocka_unit_test(test_shared_then_changed),
		cmocka_unit_test(test_copied_in_pieces),
		cmocka_unit_test(test_sparse_stays_sparse),
		cmocka_unit_test(test_cut_and_grow),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_edited_lists),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
