/* store/backup: what was cut off at any call is no backup, and in nobody's way;
 * any call may fail. */
#include "store_backup.h"

#include <errno.h>
#include <sys/wait.h>

#include "lib/base/sys.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif
#ifndef THREAD_SANITIZER
#define THREAD_SANITIZER 0
#endif

static unsigned calls, last_call;

/* The process ends at call number ${last_call} that changes anything. */
static void
step(void)
{
	if (++calls == last_call)
		_exit(7);
}

static ssize_t
step_pwrite(int fd, const void *p, size_t n, off_t at)
{
	step();
	return (sys_linux.pwrite(fd, p, n, at));
}

static int
step_open(const char *path, int flags, mode_t mode)
{
	if ((flags & O_CREAT) != 0)
		step();
	return (sys_linux.open(path, flags, mode));
}

static int
step_rename(const char *a, const char *b)
{
	step();
	return (sys_linux.rename(a, b));
}

static int
step_unlink(const char *path)
{
	step();
	return (sys_linux.unlink(path));
}

static int
step_fdatasync(int fd)
{
	step();
	return (sys_linux.fdatasync(fd));
}

static int
step_fsync(int fd)
{
	step();
	return (sys_linux.fsync(fd));
}

/* A backup in a process of its own; true: it came to its end. */
static bool
backup_until(const char *dir, const char *place, unsigned n)
{
	const pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct store_opts so = { .dir = dir, .no_keys = true };
		const struct backup_opts o = { .rate = 0 };
		struct sys_ops ops = sys_linux;
		struct backup_result r;
		struct store *st = NULL;

		if (store_open_dir(&so, &st) != OK)
			_exit(1);
		ops.pwrite = step_pwrite;
		ops.open = step_open;
		ops.rename = step_rename;
		ops.unlink = step_unlink;
		ops.fdatasync = step_fdatasync;
		ops.fsync = step_fsync;
		sys_install(&ops);
		calls = 0;
		last_call = n;
		_exit(backup_make(st, place, &o, &r) == OK ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 7);
	return (WEXITSTATUS(status) == 0);
}

static void
test_cut_off(void **state UNUSED)
{
#if defined(__SANITIZE_THREAD__) || THREAD_SANITIZER
	/* It lets no child that was forked start threads. */
	skip();
#endif
	FIXTURE(f, false);
	const uint64_t a = mkfile(st, f->bkt, "a");
	const struct store_opts o = { .dir = f->dir };
	struct backup_result r;
	uint64_t first, second;
	unsigned n = 0, whole = 0;
	bool done = false;
	char got[4];
	PATHS(f);

	fill(st, a, 'a', 50000);
	first = backup(st, place).epoch;
	put(st, a, 0, "new", 3);
	assert_ok(store_sync(st));
	assert_ok(store_close_dir(st));
	while (!done) {
		assert_true(n < 1000);
		char path[256];
		const struct backup_opts bo = { .rate = 0 };

		done = backup_until(f->dir, place, ++n);
		/* Nothing but whole backups, whatever was cut off. */
		assert_int_equal(damage(place), 0);
		assert_ok(backup_verify(place, &bo, &r));
		assert_in_range(r.backups, 1, 2);
		if (r.backups == 1)
			assert_true(r.epoch == first);
		else
			whole++;
		if (r.backups == 2 && !done) {
			/* Cut off after it was whole: again without it. */
			(void)snprintf(path, sizeof(path), "%s/%llu", place,
			    (unsigned long long)r.epoch);
			remove_tree(path);
		}
	}
	assert_true(n > 15);
	assert_true(whole < 5);
	second = r.epoch;
	assert_true(second > first);
	assert_ok(store_open_dir(&o, &f->st));
	struct store *back = restored(place, second, to);
	assert_int_equal(get(back, a, 0, got, 4), 4);
	assert_memory_equal(got, "newa", 4);
	assert_ok(store_close_dir(back));
}

/* Any call fails once: an error or a backup, and nothing in the way of the
 * next. */
static void
test_faults(void **state UNUSED)
{
	static const char *const kinds[] = { "pwrite", "pread", "fdatasync",
		"fsync", "open", "rename", "unlink", "ftruncate" };
	FIXTURE(f, false);
	const uint64_t a = mkfile(st, f->bkt, "a");
	struct told t = { 0, "" };
	const struct backup_opts o = { .bad = on_bad, .arg = &t };
	struct backup_result r;
	PATHS(f);

	fill(st, a, 'a', 50000);
	/* So that no later one begins with a commit. */
	(void)backup(st, place);
	remove_tree(place);
	for (size_t k = 0; k < COUNTOF(kinds); k++)
		for (unsigned n = 1; n < 100; n++) {
			t.n = 0;
			sys_fault_set(kinds[k], n, EIO, 0);
			const enum err e = backup_make(st, place, &o, &r);
			const unsigned seen = sys_fault_clear();

			assert_false(st->stopped);
			assert_false(alloc_held(st));
			if (access(place, F_OK) != 0)
				continue;
			if (e == OK && t.n == 0)
				assert_int_equal(damage(place), 0);
			else if (e != OK)
				assert_err(
				    backup_verify(place, &o, &r), ERR_NOENT);
			if (e == OK)
				remove_tree(place);
			if (seen < n)
				break;
		}
	(void)backup(st, place);
	assert_int_equal(damage(place), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_faults),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
