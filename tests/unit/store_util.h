/*
 * store_util: a directory of its own for each test of the store, removed with
 * all it holds.
 */
#ifndef TESTS_UNIT_STORE_UTIL_H
#define TESTS_UNIT_STORE_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/err.h"

#define assert_ok(e)                                                 \
	do {                                                         \
		const enum err ok_e_ = (e);                          \
		if (ok_e_ != OK)                                     \
			fail_msg("%s: %s (%s)", #e, err_name(ok_e_), \
			    err_detail(ok_e_));                      \
	} while (0)
#define assert_err(e, want) assert_string_equal(err_name(e), err_name(want))

struct tmpdir {
	char path[64];
};

static inline int
tmpdir_unlink(const char *path, const struct stat *sb UNUSED, int type UNUSED,
    struct FTW *ftw UNUSED)
{
	return (remove(path));
}

static inline void
tmpdir_remove(struct tmpdir *d)
{
	(void)nftw(d->path, tmpdir_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline struct tmpdir
tmpdir_make(void)
{
	struct tmpdir d = { "/tmp/ssefs-unit-store-XXXXXX" };

	assert_non_null(mkdtemp(d.path));
	return (d);
}
#define CLEANUP_TMPDIR CLEANUP(tmpdir_remove)

/* Copy a file as it is now: what a crash would find. */
static inline void
copy_file(const char *from_dir, const char *to_dir, const char *name)
{
	char from[256], to[256];
	static char block[1 << 16];
	ssize_t n;

	(void)snprintf(from, sizeof(from), "%s/%s", from_dir, name);
	(void)snprintf(to, sizeof(to), "%s/%s", to_dir, name);
	int in CLEANUP_CLOSE = open(from, O_RDONLY | O_CLOEXEC);
	int out CLEANUP_CLOSE = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, block, sizeof(block))) > 0)
		assert_int_equal(write(out, block, (size_t)n), n);
	assert_int_equal(n, 0);
}

static inline off_t
file_size(const char *dir, const char *name)
{
	char path[256];
	struct stat sb;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return (stat(path, &sb) == 0 ? sb.st_size : -1);
}

#endif
