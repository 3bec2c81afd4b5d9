/* lib/base/sys: faults, short transfers, locks, small files. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/sys.h"

static char dir[64], path[128], tmp[128];

static int
setup(void **state UNUSED)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/ssefs-unit-sys-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/file", dir);
	(void)snprintf(tmp, sizeof(tmp), "%s/file.new", dir);
	return 0;
}

static int
teardown(void **state UNUSED)
{
	(void)unlink(path);
	(void)unlink(tmp);
	return rmdir(dir);
}

static void
test_faults(void **state UNUSED)
{
	assert_ptr_equal(sys, &sys_linux);
	int fd CLEANUP_CLOSE = sys->open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);

	sys_fault_set("pwrite", 2, ENOSPC, 0);
	assert_int_equal(sys->pwrite(fd, "a", 1, 0), 1);
	assert_int_equal(sys->fdatasync(fd), 0);
	assert_int_equal(sys->pwrite(fd, "a", 1, 0), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(sys->pwrite(fd, "a", 1, 0), 1);
	assert_int_equal(sys_fault_clear(), 3);
	assert_ptr_equal(sys, &sys_linux);
	assert_int_equal(sys_fault_clear(), 0);

	sys_fault_set("*", 1, EIO, 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sys->fsync(fd), -1);
		assert_int_equal(errno, EIO);
	}
	assert_int_equal(sys_pwrite_full(fd, "a", 1, 0), ERR_IO);
	assert_int_equal(sys_sync_dir(dir), ERR_IO);
	assert_int_equal(sys_fault_clear(), 5);

	/* 0 only counts. */
	sys_fault_set("fsync", 0, EIO, 1);
	assert_int_equal(sys_sync_dir(dir), OK);
	assert_int_equal(sys_fault_clear(), 1);
}

static ssize_t
short_pread(int fd, void *buf, size_t len, off_t off)
{
	static int calls;

	if (calls++ % 3 == 0) {
		errno = EINTR;
		return -1;
	}
	return pread(fd, buf, len < 3 ? len : 3, off);
}

static ssize_t
short_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	static int calls;

	if (calls++ % 3 == 0) {
		errno = EINTR;
		return -1;
	}
	return pwrite(fd, buf, len < 3 ? len : 3, off);
}

static void
test_short_transfers(void **state UNUSED)
{
	static const char text[] = "0123456789abcdef";
	struct sys_ops ops = sys_linux;
	char back[16];
	int fd CLEANUP_CLOSE = sys->open(path, O_RDWR | O_CREAT, 0600);

	ops.pread = short_pread;
	ops.pwrite = short_pwrite;
	sys_install(&ops);
	assert_int_equal(sys_pwrite_full(fd, text, 16, 5), OK);
	assert_int_equal(sys_pread_full(fd, back, 16, 5), OK);
	assert_memory_equal(back, text, 16);
	/* One byte past the end. */
	assert_int_equal(sys_pread_full(fd, back, 16, 6), ERR_CORRUPT);
	assert_int_equal(sys_pread_full(fd, back, 1, UINT64_MAX), ERR_INVAL);
	assert_int_equal(sys_pwrite_full(fd, back, 2, INT64_MAX), ERR_INVAL);
	/* Faults wrap what is installed. */
	sys_fault_set("pread", 2, EIO, 0);
	assert_int_equal(sys_pread_full(fd, back, 16, 5), ERR_IO);
	assert_true(sys_fault_clear() >= 2);
	assert_ptr_equal(sys, &ops);
	sys_install(&sys_linux);
}

static void
test_lock(void **state UNUSED)
{
	int a CLEANUP_CLOSE = sys->open(path, O_RDWR | O_CREAT, 0600);
	int b CLEANUP_CLOSE = sys->open(path, O_RDWR, 0);

	assert_int_equal(sys->lock(a), 0);
	/* Held by the description, so even this process is another. */
	assert_int_equal(sys->lock(b), -1);
	assert_int_equal(errno, EAGAIN);
	(void)close(a);
	a = -1;
	assert_int_equal(sys->lock(b), 0);
}

static void
check_file(const char *want)
{
	uint8_t *p CLEANUP_FREE = NULL;
	size_t len = 0;

	assert_int_equal(sys_read_file(path, 100, &p, &len), OK);
	assert_int_equal(len, strlen(want));
	assert_string_equal((char *)p, want);
	assert_int_equal(access(tmp, F_OK), -1);
}

static void
test_files(void **state UNUSED)
{
	uint8_t *p = NULL;
	size_t len = 0;
	struct stat st;

	assert_int_equal(sys_read_file(path, 100, &p, &len), ERR_NOENT);
	assert_int_equal(sys_write_file(path, "one", 3, 0600, 1), OK);
	check_file("one");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(sys_write_file(path, "two", 3, 0600, 1), ERR_EXIST);
	check_file("one");
	assert_int_equal(sys_write_file(path, "", 0, 0600, 0), OK);
	check_file("");
	assert_int_equal(sys_write_file(path, "three", 5, 0600, 0), OK);
	check_file("three");
	assert_int_equal(sys_read_file(path, 4, &p, &len), ERR_LIMIT);
	assert_int_equal(sys_read_file(dir, 4, &p, &len), ERR_INVAL);
	assert_non_null(strstr(err_detail(ERR_INVAL), dir));
}

static void
test_links_are_refused(void **state UNUSED)
{
	uint8_t *p = NULL;
	size_t len = 0;

	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(sys_read_file(path, 1 << 20, &p, &len), ERR_INVAL);
	assert_null(p);
	assert_int_equal(unlink(path), 0);
	/* Nor is a planted temporary file written through. */
	assert_int_equal(symlink("victim", tmp), 0);
	assert_int_equal(sys_write_file(path, "x", 1, 0600, 0), ERR_INVAL);
}

static void
test_temporary_files(void **state UNUSED)
{
	/* One left by a crash is replaced, a living writer's is respected. */
	int fd CLEANUP_CLOSE = sys->open(tmp, O_RDWR | O_CREAT, 0644);
	assert_int_equal(sys->pwrite(fd, "stale text", 10, 0), 10);
	assert_int_equal(sys->lock(fd), 0);
	assert_int_equal(sys_write_file(path, "new", 3, 0600, 0), ERR_BUSY);
	assert_int_equal(access(tmp, F_OK), 0);
	(void)close(fd);
	fd = -1;
	assert_int_equal(sys_write_file(path, "new", 3, 0600, 0), OK);
	check_file("new");
}

/* Whatever call fails: the old text or the new, and no litter. */
static void
test_every_fault_of_write_file(void **state UNUSED)
{
	unsigned calls;

	assert_int_equal(sys_write_file(path, "old", 3, 0600, 0), OK);
	sys_fault_set("*", 0, 0, 0);
	assert_int_equal(sys_write_file(path, "old", 3, 0600, 0), OK);
	calls = sys_fault_clear();
	assert_true(calls > 5);
	for (unsigned i = 1; i <= calls; i++) {
		uint8_t *p CLEANUP_FREE = NULL;
		size_t len = 0;

		sys_fault_set("*", i, EIO, 0);
		const enum err e = sys_write_file(path, "new", 3, 0600, 0);
		(void)sys_fault_clear();
		assert_int_equal(sys_read_file(path, 100, &p, &len), OK);
		assert_int_equal(len, 3);
		if (e == OK)
			assert_memory_equal(p, "new", 3);
		assert_int_equal(access(tmp, F_OK), -1);
		assert_int_equal(sys_write_file(path, "old", 3, 0600, 0), OK);
	}
}

int
main(void)
{
#define FRESH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		FRESH(test_faults),
		FRESH(test_short_transfers),
		FRESH(test_lock),
		FRESH(test_files),
		FRESH(test_links_are_refused),
		FRESH(test_temporary_files),
		FRESH(test_every_fault_of_write_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
