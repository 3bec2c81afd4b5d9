/* store/scrub: damage of every kind is found, and named by its file; what is
 * changed meanwhile is not taken for damage. */
#include "store_util.h"

#include <pthread.h>
#include <stdatomic.h>

#include "crypto/digest.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "store/object.h"

#define MIB ((size_t)1 << 20)

static const struct kms_who who = { .user = "root", .agent = "test" };

struct env {
	struct tmpdir d;
	char dir[80];
	struct store *st;
};

static void
env_open(struct env *v, bool readonly)
{
	const struct store_opts o = { .dir = v->dir, .readonly = readonly };

	assert_ok(store_open_dir(&o, &v->st));
}

static void
env_close(struct env *v)
{
	if (v->st != NULL)
		assert_ok(store_close_dir(v->st));
	v->st = NULL;
}

static struct env
env_make(void)
{
	struct env v = { .d = tmpdir_make() };

	(void)snprintf(v.dir, sizeof(v.dir), "%s/s", v.d.path);
	const struct store_init in = { .dir = v.dir };
	assert_ok(store_create_dir(&in));
	env_open(&v, false);
	assert_ok(store_bucket_create(v.st, &who, "kms", "KMS", 0, 0, 0755));
	assert_ok(store_bucket_create(v.st, &who, "none", "None", 0, 0, 0755));
	return (v);
}

static void
env_remove(struct env *v)
{
	env_close(v);
	tmpdir_remove(&v->d);
}
#define CLEANUP_ENV CLEANUP(env_remove)

static struct store_file *
make(struct env *v, const char *bucket, const char *name)
{
	const struct store_new new = { .mode = S_IFREG | 0600 };
	struct store_file *f = NULL;
	struct store_attr a;
	uint64_t dir;

	assert_ok(store_bucket_find(v->st, bucket, &dir));
	assert_ok(
	    store_make(v->st, &who, dir, name, strlen(name), &new, &a, &f));
	return (f);
}

static void
fill(struct store_file *f, uint64_t off, size_t len, int c)
{
	uint8_t *p CLEANUP_FREE = malloc(len);

	assert_non_null(p);
	memset(p, c, len);
	assert_ok(store_write(f, off, p, len, 0));
}

static uint64_t
file_of(struct env *v, const char *bucket, const char *name, size_t len)
{
	struct store_file *f = make(v, bucket, name);
	const uint64_t ino = store_file_ino(f);

	for (size_t off = 0; off < len; off += 32 * MIB)
		fill(f, off, len - off < 32 * MIB ? len - off : 32 * MIB, 'a');
	store_release(f);
	return (ino);
}

/* ---- Damage -------------------------------------------------------------------- */

static sqlite3 *
db(struct env *v)
{
	char path[128];
	sqlite3 *c = NULL;

	assert_null(v->st);
	(void)snprintf(path, sizeof(path), "%s/meta.db", v->dir);
	assert_int_equal(
	    sqlite3_open_v2(path, &c, SQLITE_OPEN_READWRITE, VFS_NAME),
	    SQLITE_OK);
	return (c);
}

static size_t
get(sqlite3 *c, const char *sql, uint8_t *ret, size_t room)
{
	sqlite3_stmt *q = NULL;
	size_t len;

	assert_int_equal(sqlite3_prepare_v2(c, sql, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	len = (size_t)sqlite3_column_bytes(q, 0);
	assert_true(len > 0 && len <= room);
	memcpy(ret, sqlite3_column_blob(q, 0), len);
	(void)sqlite3_finalize(q);
	return (len);
}

static void
set(sqlite3 *c, const char *sql, const uint8_t *p, size_t len)
{
	sqlite3_stmt *q = NULL;

	assert_int_equal(sqlite3_prepare_v2(c, sql, -1, &q, NULL), SQLITE_OK);
	sqlite3_bind_blob(q, 1, p, (int)len, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(q), SQLITE_DONE);
	assert_int_equal(sqlite3_changes(c), 1);
	(void)sqlite3_finalize(q);
}

static uint64_t
seg_of(sqlite3 *c, uint64_t ino)
{
	uint8_t rec[OBJ_REC_MAX];
	char sql[96];

	(void)snprintf(sql, sizeof(sql), "SELECT obj FROM inode WHERE ino=%llu",
	    (unsigned long long)ino);
	(void)get(c, sql, rec, sizeof(rec));
	return (get_u64(rec + 8));
}

/* Change a byte of an inode's record. */
static void
flip_record(struct env *v, uint64_t ino, size_t at, bool mend_crc)
{
	uint8_t rec[OBJ_REC_MAX];
	char sql[96];
	sqlite3 *c = db(v);

	(void)snprintf(sql, sizeof(sql), "SELECT obj FROM inode WHERE ino=%llu",
	    (unsigned long long)ino);
	const size_t len = get(c, sql, rec, sizeof(rec));
	rec[at] ^= 1;
	if (mend_crc)
		put_u32(
		    rec + OBJ_HEAD - 4, crc32c(crc32c(0, rec, OBJ_HEAD - 4),
					    rec + OBJ_HEAD, len - OBJ_HEAD));
	(void)snprintf(sql, sizeof(sql),
	    "UPDATE inode SET obj=?1 WHERE ino=%llu", (unsigned long long)ino);
	set(c, sql, rec, len);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
}

/* Change a byte of a node's row; returns the slot of its first entry. */
static uint64_t
flip_node(struct env *v, uint64_t segno, int level, int idx, size_t at,
    uint8_t bits, bool mend_crc)
{
	uint8_t row[NODE_ROW_MAX];
	char where[64], sql[128];
	sqlite3 *c = db(v);
	uint64_t slot;

	(void)snprintf(where, sizeof(where), "seg=%llu AND level=%d AND idx=%d",
	    (unsigned long long)segno, level, idx);
	(void)snprintf(
	    sql, sizeof(sql), "SELECT row FROM node WHERE %s", where);
	const size_t len = get(c, sql, row, sizeof(row));
	slot =
	    (uint64_t)row[NODE_HEAD + 28] << 32 | get_u32(row + NODE_HEAD + 29);
	row[at] ^= bits;
	if (mend_crc)
		put_u32(row + 4, crc32c(crc32c(0, row, 4), row + 8, len - 8));
	(void)snprintf(
	    sql, sizeof(sql), "UPDATE node SET row=?1 WHERE %s", where);
	set(c, sql, row, len);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
	return (slot);
}

static void
flip_slot(struct env *v, uint64_t slot)
{
	char path[128];
	uint8_t b;

	(void)snprintf(path, sizeof(path), "%s/arena-0", v->dir);
	int fd CLEANUP_CLOSE = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &b, 1, (off_t)(slot * BLOCK + 77)), 1);
	b ^= 0x40;
	assert_int_equal(pwrite(fd, &b, 1, (off_t)(slot * BLOCK + 77)), 1);
}

/* ---- Scrubbing ----------------------------------------------------------------- */

struct seen {
	unsigned n, calls, stop_after;
	uint64_t first, ino, off, done, total;
	enum err e;
	char what[128], path[STORE_SHOWN_MAX + 1];
};

static void
on_bad(void *arg, const struct store_damage *d)
{
	struct seen *s = arg;

	if (s->n++ == 0)
		s->first = d->ino;
	s->ino = d->ino;
	s->off = d->off;
	s->e = d->e;
	(void)snprintf(s->what, sizeof(s->what), "%s", d->what);
	(void)snprintf(s->path, sizeof(s->path), "%s",
	    d->path == NULL ? "(none)" : d->path);
}

static bool
on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct seen *s = arg;

	s->done = done;
	s->total = total;
	return (++s->calls != s->stop_after);
}

static struct store_scrub_result
scrub(struct env *v, bool keys, struct seen *s)
{
	const struct store_scrub_opts o = { .keys = keys,
		.who = &who,
		.progress = on_progress,
		.bad = on_bad,
		.arg = s };
	struct store_scrub_result r;

	memset(s, 0, sizeof(*s));
	assert_ok(store_scrub(v->st, &o, &r));
	assert_int_equal(r.bad, s->n);
	return (r);
}

static void
expect_bad(struct env *v, bool keys, uint64_t ino, uint64_t off, enum err e)
{
	struct seen s;
	const struct store_scrub_result r = scrub(v, keys, &s);

	if (r.bad != 1 || s.ino != ino || s.off != off || s.e != e)
		fail_msg("%llu bad, the last: inode %llu at %llu: %s: %s",
		    (unsigned long long)r.bad, (unsigned long long)s.ino,
		    (unsigned long long)s.off, err_name(s.e), s.what);
}

static void
expect_clean(struct env *v, bool keys)
{
	struct seen s;
	const struct store_scrub_result r = scrub(v, keys, &s);

	if (r.bad != 0)
		fail_msg("inode %llu at %llu: %s", (unsigned long long)s.ino,
		    (unsigned long long)s.off, s.what);
}

static void
test_clean(void **state UNUSED)
{
	struct env v CLEANUP_ENV = env_make();
	struct seen s;

	(void)file_of(&v, "kms", "empty", 0);
	(void)file_of(&v, "kms", "inline", 100);
	(void)file_of(&v, "kms", "small", 5000);
	(void)file_of(&v, "none", "plain", 3 * MIB);
	(void)file_of(&v, "kms", "large", 33 * MIB);
	for (int keys = 0; keys < 2; keys++) {
		const struct store_scrub_result r = scrub(&v, keys != 0, &s);

		assert_int_equal(r.files, 5);
		assert_int_equal(r.blocks, 2 + 768 + 33 * 256);
		assert_int_equal(r.bytes, r.blocks * BLOCK);
		assert_int_equal(r.bad, 0);
		assert_int_equal(r.skipped, 0);
		assert_true(s.calls >= 1);
		assert_int_equal(s.done, r.bytes);
		assert_int_equal(s.total, r.bytes);
	}
	env_close(&v);
	env_open(&v, true);
	expect_clean(&v, false);
	expect_clean(&v, true);
}

static void
test_block(void **state UNUSED)
{
	static const char *const bucket[] = { "kms", "none" };

	for (int i = 0; i < 2; i++) {
		struct env v CLEANUP_ENV = env_make();
		uint64_t ino, slot;
		sqlite3 *c;

		(void)file_of(&v, bucket[i], "before", 70000);
		ino = file_of(&v, bucket[i], "damaged", MIB);
		(void)file_of(&v, bucket[i], "after", 70000);
		env_close(&v);
		c = db(&v);
		const uint64_t seg = seg_of(c, ino);
		assert_int_equal(sqlite3_close(c), SQLITE_OK);
		slot = flip_node(&v, seg, 0, 2, 0, 0, true);
		flip_slot(&v, slot + 3);
		env_open(&v, false);
		expect_bad(&v, false, ino, (128 + 3) * BLOCK, ERR_AUTH);
		expect_bad(&v, true, ino, (128 + 3) * BLOCK, ERR_AUTH);
	}
}

static void
test_small_file(void **state UNUSED)
{
	struct env v CLEANUP_ENV = env_make();
	const uint64_t ino = file_of(&v, "kms", "f", 3 * BLOCK);
	uint8_t rec[OBJ_REC_MAX];
	char sql[96];
	sqlite3 *c;

	/* Its map stands in the record. */
	env_close(&v);
	c = db(&v);
	(void)snprintf(sql, sizeof(sql), "SELECT obj FROM inode WHERE ino=%llu",
	    (unsigned long long)ino);
	(void)get(c, sql, rec, sizeof(rec));
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
	assert_int_equal(rec[2], OBJ_F_EMBED);
	const uint8_t *m = rec + OBJ_HEAD + get_u16(rec + 4) + 40;
	flip_slot(&v, (uint64_t)m[28] << 32 | get_u32(m + 29));
	env_open(&v, false);
	expect_bad(&v, false, ino, BLOCK, ERR_AUTH);
	expect_bad(&v, true, ino, BLOCK, ERR_AUTH);
}

static void
test_node(void **state UNUSED)
{
	struct env v CLEANUP_ENV = env_make();
	const uint64_t ino = file_of(&v, "kms", "f", 70 * MIB);
	uint64_t seg;
	sqlite3 *c;

	(void)file_of(&v, "kms", "other", MIB);
	env_close(&v);
	c = db(&v);
	seg = seg_of(c, ino);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);

	/* Damage shows without keys … */
	(void)flip_node(&v, seg, 0, 1, 50, 0x10, false);
	env_open(&v, false);
	expect_bad(&v, false, ino, 64 * BLOCK, ERR_CORRUPT);
	expect_bad(&v, true, ino, 64 * BLOCK, ERR_CORRUPT);
	env_close(&v);
	/* … and malice, which mends the checksum, with them: here the nonce
	 * of a block. */
	(void)flip_node(&v, seg, 0, 1, 50, 0x10, true);
	(void)flip_node(&v, seg, 0, 1, NODE_HEAD, 1, true);
	env_open(&v, false);
	expect_clean(&v, false);
	struct seen s;
	assert_true(scrub(&v, true, &s).bad != 0);
	assert_int_equal(s.ino, ino);
	env_close(&v);
	(void)flip_node(&v, seg, 0, 1, NODE_HEAD, 1, true);
	env_open(&v, false);
	expect_clean(&v, true);
	env_close(&v);

	/* The same above: 280 chunks have a root with two children. */
	(void)flip_node(&v, seg, 2, 0, 20, 1, false);
	env_open(&v, false);
	expect_bad(&v, false, ino, 0, ERR_CORRUPT);
	env_close(&v);
	(void)flip_node(&v, seg, 2, 0, 20, 1, true);
	(void)flip_node(&v, seg, 1, 1, NODE_HEAD + 3, 1, true);
	env_open(&v, false);
	expect_clean(&v, false);
	assert_true(scrub(&v, true, &s).bad != 0);
	assert_int_equal(s.ino, ino);
}

static void
test_missing_node(void **state UNUSED)
{
	struct env v CLEANUP_ENV = env_make();
	const uint64_t ino = file_of(&v, "kms", "f", 2 * MIB);
	char sql[96];
	sqlite3 *c;

	env_close(&v);
	c = db(&v);
	(void)snprintf(sql, sizeof(sql),
	    "DELETE FROM node WHERE seg=%llu AND "
	    "level=0 AND idx=3",
	    (unsigned long long)seg_of(c, ino));
	assert_int_equal(sqlite3_exec(c, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
	env_open(&v, false);
	expect_bad(&v, true, ino, 3 * 64 * BLOCK, ERR_CORRUPT);
}

static void
test_record(void **state UNUSED)
{
	struct env v CLEANUP_ENV = env_make();
	const uint64_t ino = file_of(&v, "kms", "f", 500);

	(void)file_of(&v, "kms", "other", 500);
	env_close(&v);
	flip_record(&v, ino, 100, false);
	env_open(&v, false);
	expect_bad(&v, false, ino, 0, ERR_CORRUPT);
	expect_bad(&v, true, ino, 0, ERR_CORRUPT);
	env_close(&v);
	/* The sealed count of blocks, with a checksum that fits. */
	flip_record(&v, ino, 100, true);
	flip_record(&v, ino, 55, true);
	env_open(&v, false);
	expect_clean(&v, false);
	expect_bad(&v, true, ino, 0, ERR_CORRUPT);
}

static void
test_disabled_key(void **state UNUSED)
{
	struct env v CLEANUP_ENV = env_make();
	const uint64_t ino = file_of(&v, "kms", "f", MIB);
	struct store_sse sse;
	struct store_scrub_result r;
	struct seen s;

	(void)file_of(&v, "none", "g", MIB);
	assert_ok(store_sse_get(v.st, ino, &sse));
	assert_ok(kms_key_disable(store_kms(v.st), &who, sse.arn));
	r = scrub(&v, true, &s);
	assert_int_equal(r.bad, 0);
	assert_int_equal(r.skipped, 1);
	assert_int_equal(r.blocks, 512);
	r = scrub(&v, false, &s);
	assert_int_equal(r.skipped, 0);
	assert_ok(kms_key_enable(store_kms(v.st), &who, sse.arn));
	r = scrub(&v, true, &s);
	assert_int_equal(r.skipped, 0);
}

static void
test_shared(void **state UNUSED)
{
	struct env v CLEANUP_ENV = env_make();
	struct store_file *a = make(&v, "kms", "a"), *b = make(&v, "kms", "b");
	const uint64_t ino = store_file_ino(a), other = store_file_ino(b);
	struct store_scrub_result r;
	uint64_t n, slot;
	struct seen s;

	fill(a, 0, 2 * MIB, 'x');
	assert_ok(store_copy(a, 0, b, 0, 2 * MIB, &n));
	assert_int_equal(n, 2 * MIB);
	fill(a, 0, 64 * 4096, 'y');
	store_release(a);
	store_release(b);
	for (int keys = 0; keys < 2; keys++) {
		r = scrub(&v, keys != 0, &s);
		assert_int_equal(r.bad, 0);
		assert_int_equal(r.blocks, 512 + 64);
		assert_int_equal(s.total, (512 + 64) * BLOCK);
	}
	env_close(&v);
	slot = flip_node(&v, 1, 0, 1, 0, 0, true);
	flip_slot(&v, slot);
	env_open(&v, false);
	/* Each file that shows the damage is named. */
	for (int keys = 0; keys < 2; keys++) {
		r = scrub(&v, keys != 0, &s);
		assert_int_equal(r.bad, 2);
		assert_int_equal(s.first, ino);
		assert_int_equal(s.ino, other);
		assert_int_equal(s.off, 64 * BLOCK);
		assert_int_equal(s.e, ERR_AUTH);
	}
}

static void
test_rate_and_stop(void **state UNUSED)
{
	struct env v CLEANUP_ENV = env_make();
	struct seen s = { .stop_after = 2 };
	const struct store_scrub_opts o = {
		.rate = MIB, .progress = on_progress, .arg = &s
	};
	struct store_scrub_result r;

	(void)file_of(&v, "kms", "f", 20 * MIB);
	const uint64_t t0 = clock_mono_ns();
	assert_ok(store_scrub(v.st, &o, &r));
	const uint64_t ms = (clock_mono_ns() - t0) / 1000000;
	assert_int_equal(s.calls, 2);
	assert_true(ms >= 2000 && ms < 10000);
	assert_true(r.bytes >= MIB && r.bytes < 10 * MIB);
}

/* ---- While others work ----------------------------------------------------------- */

struct busy {
	struct env *v;
	atomic_bool stop;
	unsigned rounds;
};

static void *
busy_main(void *arg)
{
	struct busy *b = arg;
	unsigned seed = 1;

	while (!b->stop) {
		struct store_file *f = make(b->v, "kms", "busy");
		struct store_file *g = make(b->v, "kms", "copy");
		uint64_t dir, ino, n;
		bool gone;

		fill(f, 0, 4 * MIB, 'b');
		for (int i = 0; i < 40; i++)
			fill(f, (uint64_t)(rand_r(&seed) % 1000) * BLOCK,
			    3 * BLOCK, i);
		assert_ok(store_sync(b->v->st));
		assert_ok(store_copy(f, 0, g, 0, 4 * MIB, &n));
		for (int i = 0; i < 40; i++)
			fill(g, (uint64_t)(rand_r(&seed) % 1000) * BLOCK,
			    3 * BLOCK, i);
		assert_ok(store_sync(b->v->st));
		store_release(f);
		store_release(g);
		assert_ok(store_bucket_find(b->v->st, "kms", &dir));
		assert_ok(store_unlink(b->v->st, dir, "busy", 4, &ino, &gone));
		store_reap(b->v->st, ino);
		assert_ok(store_unlink(b->v->st, dir, "copy", 4, &ino, &gone));
		store_reap(b->v->st, ino);
		assert_ok(store_sync(b->v->st));
		b->rounds++;
	}
	return (NULL);
}

static void
test_online(void **state UNUSED)
{
	struct env v CLEANUP_ENV = env_make();
	struct busy b = { .v = &v };
	const uint64_t end = clock_mono_ns() + 4000000000u;
	pthread_t t;

	(void)file_of(&v, "kms", "still", 4 * MIB);
	assert_int_equal(pthread_create(&t, NULL, busy_main, &b), 0);
	for (int i = 0; clock_mono_ns() < end; i++)
		expect_clean(&v, i % 2 != 0);
	b.stop = true;
	(void)pthread_join(t, NULL);
	assert_true(b.rounds > 0);

	/* What died while it was read left nothing behind. */
	env_close(&v);
	sqlite3 *c = db(&v);
	uint8_t n[8];
	assert_int_equal(
	    get(c, "SELECT CAST(count(*) AS TEXT) FROM orphan", n, sizeof(n)),
	    1);
	assert_int_equal(n[0], '0');
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_block),
		cmocka_unit_test(test_small_file),
		cmocka_unit_test(test_node),
		cmocka_unit_test(test_missing_node),
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_disabled_key),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_rate_and_stop),
		cmocka_unit_test(test_online),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
