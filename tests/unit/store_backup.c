/* store/backup: a copy of one moment of a store in use; what was altered or
 * removed is told; held slots stay, and cost nobody his space. */
#include "store_backup.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "lib/base/sys.h"

/* ---- Holding -------------------------------------------------------------- */

static enum err
seize(struct store *st, uint64_t epoch UNUSED, void *arg UNUSED)
{
	return (alloc_hold(st));
}

/* The slots of the first group that are in use, and their bytes. */
static unsigned
slots(struct store *st, uint64_t *ret, unsigned max)
{
	static uint8_t bits[GROUP_SLOTS / 8];
	unsigned n = 0;

	assert_ok(alloc_bits(st, 0, bits));
	for (uint64_t i = 1; i < GROUP_SLOTS && n < max; i++)
		if ((bits[i / 8] >> (i % 8) & 1) != 0)
			ret[n++] = i;
	return (n);
}

/* Is the slot handed out to one who wants it? */
static bool
takes(struct store *st, uint64_t slot)
{
	uint64_t got = 0;
	uint32_t n = 0;

	assert_ok(alloc_take(st, slot, 1, &got, &n));
	alloc_give(st, got, n, true);
	return (got == slot);
}

static void
test_hold(void **state UNUSED)
{
	FIXTURE(f, true);
	const uint64_t a = mkfile(st, f->bkt, "a");
	static uint8_t was[300][BLOCK], is[BLOCK];
	uint64_t s[300];
	unsigned n;

	fill(st, a, 'a', 1 << 20);
	assert_ok(epoch_with(st, seize, NULL));
	assert_err(epoch_with(st, seize, NULL), ERR_BUSY);
	n = slots(st, s, 300);
	assert_int_equal(n, 256);
	for (unsigned i = 0; i < n; i++)
		assert_ok(alloc_read(st, s[i], 1, was[i]));
	/* Gone, and its place is asked for. */
	assert_ok(rm(st, f->bkt, "a"));
	assert_ok(store_sync(st));
	for (unsigned i = 0; i < n; i++)
		assert_false(takes(st, s[i]));
	fill(st, mkfile(st, f->bkt, "b"), 'b', 8 << 20);
	assert_ok(rm(st, f->bkt, "b"));
	assert_ok(store_sync(st));
	for (unsigned i = 0; i < n; i++) {
		assert_ok(alloc_read(st, s[i], 1, is));
		assert_memory_equal(is, was[i], BLOCK);
	}
	assert_true(alloc_held(st));
	/* Given back, they are free. */
	alloc_unhold(st, 0);
	alloc_unhold_all(st);
	assert_false(alloc_held(st));
	for (unsigned i = 0; i < n; i++)
		assert_true(takes(st, s[i]));
	assert_ok(epoch_with(st, seize, NULL));
	alloc_unhold_all(st);
}

/* A full disk: the writer gets the space, the backup ends. */
static void
test_hold_full(void **state UNUSED)
{
	FIXTURE(f, true);
	const uint64_t a = mkfile(st, f->bkt, "a");
	uint64_t b;

	fill(st, a, 'a', 8 << 20);
	assert_ok(epoch_with(st, seize, NULL));
	assert_ok(rm(st, f->bkt, "a"));
	assert_ok(store_sync(st));
	b = mkfile(st, f->bkt, "b");
	/* What is reserved is used up first. */
	fill(st, b, 'b', 24 << 20);
	sys_fault_set("fallocate", 1, ENOSPC, 1);
	fill(st, mkfile(st, f->bkt, "c"), 'c', 4 << 20);
	(void)sys_fault_clear();
	assert_false(alloc_held(st));
	assert_false(alloc_hold_break(st));
}

/* ---- One moment ------------------------------------------------------------ */

struct busy {
	struct fixture *f;
	uint64_t a, b, big;
	atomic_bool stop;
};

/* a is always as new as b, or newer by one. */
static void *
writer(void *arg)
{
	struct busy *w = arg;
	struct store *st = w->f->st;
	char text[8192];

	for (unsigned i = 1; !w->stop; i++) {
		(void)snprintf(text, sizeof(text), "%08u", i);
		memset(text + 8, 'x' + (int)(i % 3), sizeof(text) - 8);
		put(st, w->a, 0, text, sizeof(text));
		put(st, w->b, 0, text, sizeof(text));
		put(st, w->big, (uint64_t)(i % 600) * 4096, text, 4096);
		if (i % 16 == 0) {
			const uint64_t ino = mkfile(st, w->f->bkt, "tmp");

			fill(st, ino, 't', 300000);
			assert_ok(rm(st, w->f->bkt, "tmp"));
		}
		if (i % 64 == 0)
			assert_ok(store_sync(st));
	}
	return (NULL);
}

static void
look_at(const char *place, uint64_t epoch, const char *to, struct busy *w)
{
	struct store *st = restored(place, epoch, to);
	char a[8193] = "", b[8193] = "";

	assert_int_equal(get(st, w->a, 0, a, 8192), 8192);
	assert_int_equal(get(st, w->b, 0, b, 8192), 8192);
	const int x = atoi(a), y = atoi(b);
	if (x != y && x != y + 1)
		fail_msg("epoch %llu: %d, %d", (unsigned long long)epoch, x, y);
	for (int i = 8; i < 8192; i++) {
		assert_int_equal(a[i], 'x' + x % 3);
		assert_int_equal(b[i], 'x' + y % 3);
	}
	assert_ok(store_close_dir(st));
	remove_tree(to);
}

static void
test_moment(void **state UNUSED)
{
	FIXTURE(f, true);
	struct busy w = { .f = f };
	uint64_t epoch[4], copied[4];
	pthread_t t;
	PATHS(f);

	w.a = mkfile(st, f->bkt, "a");
	w.b = mkfile(st, f->bkt, "b");
	w.big = mkfile(st, f->bkt, "big");
	fill(st, w.a, 'x', 8192);
	fill(st, w.b, 'x', 8192);
	put(st, w.a, 0, "00000000", 8);
	put(st, w.b, 0, "00000000", 8);
	fill(st, w.big, 'B', 16 << 20);
	assert_int_equal(pthread_create(&t, NULL, writer, &w), 0);
	for (int i = 0; i < 4; i++) {
		const struct backup_opts o = { .rate = i == 0 ? 64 << 20 : 0 };
		struct backup_result r;

		assert_ok(backup_make(st, place, &o, &r));
		assert_false(r.same);
		epoch[i] = r.epoch;
		copied[i] = r.copied;
		(void)usleep(20000);
	}
	w.stop = true;
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_true(copied[0] >= 4096);
	assert_true(copied[1] < 3000);
	assert_int_equal(damage(place), 0);
	for (int i = 0; i < 4; i++)
		look_at(place, epoch[i], to, &w);
	look_at(place, 0, to, &w);
}

/* ---- What is copied --------------------------------------------------------- */

static void
test_new_only(void **state UNUSED)
{
	FIXTURE(f, true);
	const struct store_new plain = { .mode = S_IFREG | 0644,
		.sse = "None" };
	struct store_attr n;
	struct backup_result r;
	static char got[1 << 20];
	PATHS(f);

	const uint64_t a = mkfile(st, f->bkt, "a");
	assert_ok(store_make(st, &who, f->bkt, "n", 1, &plain, &n, NULL));
	fill(st, a, 'a', 1 << 20);
	fill(st, n.ino, 'n', 1 << 20);
	r = backup(st, place);
	assert_int_equal(r.blocks, 512);
	assert_int_equal(r.copied, 512);
	r = backup(st, place);
	assert_true(r.same);
	/* Two blocks of each, and one that is not encrypted to what it was. */
	put(st, a, 8192, "new", 3);
	put(st, a, 40960, "new", 3);
	put(st, n.ino, 8192, "new", 3);
	put(st, n.ino, 40960, "n", 1);
	reopen(f);
	r = backup(f->st, place);
	assert_int_equal(r.blocks, 512);
	assert_in_range(r.copied, 3, 4);
	/* Freed and used again: another content in the same slots. */
	assert_ok(rm(f->st, f->bkt, "n"));
	assert_ok(store_sync(f->st));
	assert_ok(store_make(f->st, &who, f->bkt, "n", 1, &plain, &n, NULL));
	fill(f->st, n.ino, 'm', 1 << 20);
	r = backup(f->st, place);
	assert_int_equal(r.blocks, 512);
	assert_int_equal(damage(place), 0);
	struct store *back = restored(place, 0, to);
	assert_int_equal(get(back, n.ino, 0, got, sizeof(got)), sizeof(got));
	for (size_t i = 0; i < sizeof(got); i++)
		assert_int_equal(got[i], 'm');
	assert_int_equal(get(back, a, 8192, got, 4), 4);
	assert_memory_equal(got, "newa", 4);
	assert_ok(store_close_dir(back));
	/* Into an empty place only. */
	assert_err(try_restore(place, 0, to), ERR_EXIST);
	assert_err(try_restore(place, 99999, "/nonexistent/x"), ERR_NOENT);
}

/* Damage in the store is told, copied, and told again. */
static void
test_damaged_store(void **state UNUSED)
{
	FIXTURE(f, true);
	struct told t = { 0, "" };
	const struct backup_opts o = { .bad = on_bad, .arg = &t };
	const uint64_t a = mkfile(st, f->bkt, "a");
	struct backup_result r;
	uint8_t block[BLOCK];
	uint64_t s[300];
	PATHS(f);

	fill(st, a, 'a', 1 << 20);
	assert_ok(store_sync(st));
	assert_int_equal(slots(st, s, 300), 256);
	assert_ok(alloc_read(st, s[7], 1, block));
	block[5] ^= 1;
	assert_ok(alloc_write(st, s[7], 1, block));
	assert_ok(backup_make(st, place, &o, &r));
	assert_int_equal(r.bad, 1);
	assert_int_equal(t.n, 1);
	assert_int_equal(damage(place), 1);
	/* The same state once more is not called good for that. */
	assert_ok(backup_make(st, place, &o, &r));
	assert_true(r.same);
	assert_int_equal(r.bad, 1);
	assert_int_equal(t.n, 2);
	assert_ok(try_restore(place, 0, to));
	block[5] ^= 1;
	assert_ok(alloc_write(st, s[7], 1, block));
	/* Healed: the next one has it right. */
	put(st, a, 0, "x", 1);
	r = backup(st, place);
	assert_int_equal(r.copied, 2);
}

/* ---- Altered ---------------------------------------------------------------- */

static void
flip(const char *place, uint64_t epoch, const char *name, off_t at)
{
	char path[256];
	uint8_t b;

	(void)snprintf(path, sizeof(path), "%s/%llu/%s", place,
	    (unsigned long long)epoch, name);
	int fd CLEANUP_CLOSE = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	if (at < 0)
		at = lseek(fd, 0, SEEK_END) / 2;
	assert_int_equal(pread(fd, &b, 1, at), 1);
	b ^= 1;
	assert_int_equal(pwrite(fd, &b, 1, at), 1);
}

static void
test_altered(void **state UNUSED)
{
	static const char *const files[] = { "manifest", "meta.db", "index",
		"blocks", "keys.db", "keys.db-audit.log" };
	FIXTURE(f, true);
	const uint64_t a = mkfile(st, f->bkt, "a");
	uint64_t epoch[2];
	char path[256], other[256];
	PATHS(f);

	fill(st, a, 'a', 100000);
	epoch[0] = backup(st, place).epoch;
	put(st, a, 5000, "new", 3);
	epoch[1] = backup(st, place).epoch;
	for (size_t i = 0; i < COUNTOF(files); i++)
		for (int k = 0; k < 2; k++) {
			flip(place, epoch[k], files[i], -1);
			if (damage(place) == 0)
				fail_msg("%s of backup %d", files[i], k);
			const enum err e = try_restore(place, 0, to);
			/* The last needs only the blocks of the first, but
			 * does not stand on a damaged one. */
			assert_err(e, ERR_CORRUPT);
			assert_int_equal(access(to, F_OK), -1);
			flip(place, epoch[k], files[i], -1);
		}
	assert_int_equal(damage(place), 0);
	/* A backup that others stand on is removed, or exchanged. */
	(void)snprintf(
	    path, sizeof(path), "%s/%llu", place, (unsigned long long)epoch[0]);
	(void)snprintf(other, sizeof(other), "%s/other", f->d.path);
	assert_int_equal(rename(path, other), 0);
	assert_int_not_equal(damage(place), 0);
	assert_err(try_restore(place, 0, to), ERR_CORRUPT);
	assert_int_equal(rename(other, path), 0);
	/* Cut short, and longer. */
	(void)snprintf(path, sizeof(path), "%s/%llu/blocks", place,
	    (unsigned long long)epoch[1]);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_not_equal(damage(place), 0);
	assert_err(try_restore(place, 0, to), ERR_CORRUPT);
	assert_ok(try_restore(place, epoch[0], to));
}

/* What stands in the place of a file: nobody waits for somebody to write to it. */
static void
test_fifos(void **state UNUSED)
{
	static const char *const files[] = { "manifest", "meta.db", "index",
		"blocks", "keys.db", "keys.db-audit.log" };
	FIXTURE(f, true);
	const uint64_t a = mkfile(st, f->bkt, "a");
	const struct backup_opts o = { .bad = NULL };
	struct backup_result r;
	char path[256], kept[256];
	PATHS(f);

	fill(st, a, 'a', 100000);
	const uint64_t epoch = backup(st, place).epoch;
	(void)snprintf(kept, sizeof(kept), "%s/kept", f->d.path);
	(void)alarm(120);
	for (size_t i = 0; i < COUNTOF(files); i++) {
		(void)snprintf(path, sizeof(path), "%s/%llu/%s", place,
		    (unsigned long long)epoch, files[i]);
		assert_int_equal(rename(path, kept), 0);
		assert_int_equal(mkfifo(path, 0600), 0);
		r.bad = 0;
		if (backup_verify(place, &o, &r) == OK && r.bad == 0)
			fail_msg("%s is a fifo", files[i]);
		assert_true(try_restore(place, 0, to) != OK);
		assert_int_equal(access(to, F_OK), -1);
		assert_int_equal(rename(kept, path), 0);
	}
	(void)alarm(0);
	assert_int_equal(damage(place), 0);
}

/* ---- Places that are refused --------------------------------------------------- */

static void
test_refused(void **state UNUSED)
{
	FIXTURE(f, false);
	const struct backup_opts o = { .rate = 0 };
	struct fixture *g CLEANUP(fixture_free) = fixture_new(false);
	struct backup_result r;
	char path[256];
	PATHS(f);

	assert_err(backup_verify(place, &o, &r), ERR_NOENT);
	(void)snprintf(path, sizeof(path), "%s/bk", f->dir);
	assert_err(backup_make(st, path, &o, &r), ERR_INVAL);
	assert_int_equal(unlink(strcat(path, "/lock")), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(rmdir(path), 0);
	assert_err(backup_make(st, f->d.path, &o, &r), ERR_EXIST);
	(void)backup(st, place);
	assert_err(backup_make(g->st, place, &o, &r), ERR_EXIST);
	/* The store is put back to an older state, and goes on. */
	copy_file(f->dir, f->d.path, "meta.db");
	copy_file(f->dir, f->d.path, "meta.db-wal");
	(void)mkfile(st, f->bkt, "later");
	const uint64_t epoch = backup(st, place).epoch;
	assert_ok(store_close_dir(st));
	copy_file(f->d.path, f->dir, "meta.db");
	copy_file(f->d.path, f->dir, "meta.db-wal");
	fixture_open(f);
	assert_err(backup_make(f->st, place, &o, &r), ERR_EXIST);
	(void)mkfile(f->st, f->bkt, "other");
	const enum err e = backup_make(f->st, place, &o, &r);
	if (e != OK)
		assert_err(e, ERR_EXIST);
	else
		assert_true(r.epoch > epoch);
	assert_int_equal(damage(place), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_hold_full),
		cmocka_unit_test(test_new_only),
		cmocka_unit_test(test_damaged_store),
		cmocka_unit_test(test_altered),
		cmocka_unit_test(test_fifos),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_moment),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
