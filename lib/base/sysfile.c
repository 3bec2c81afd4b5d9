/*
 * sysfile: whole transfers and small files, on top of the table ${sys}.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lib/base/sys.h"

#define TMP_SUFFIX ".new"
/* How often a stale or contended temporary file is tried again. */
#define TMP_TRIES 8

static void
cleanup_sys_close(int *fd)
{
	if (*fd >= 0)
		(void)sys->close(*fd);
}
#define CLEANUP_SYS_CLOSE CLEANUP(cleanup_sys_close)

/* Record what could not be done to ${path}, from errno. */
static enum err
fail_path(const char *what, const char *path)
{
	const int errnum = errno;

	return err_fail(
	    err_from_errno(errnum), "%s: %s: %s", path, what, strerror(errnum));
}

enum err
sys_pread_full(int fd, void *buf, size_t len, uint64_t off)
{
	uint8_t *p = buf;

	if (off > INT64_MAX || len > INT64_MAX - off)
		return ERR_INVAL;
	while (len > 0) {
		const ssize_t n = sys->pread(fd, p, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_from_errno(errno);
		if (n == 0)
			return ERR_CORRUPT;
		p += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return OK;
}

enum err
sys_pwrite_full(int fd, const void *buf, size_t len, uint64_t off)
{
	const uint8_t *p = buf;

	if (off > INT64_MAX || len > INT64_MAX - off)
		return ERR_INVAL;
	while (len > 0) {
		const ssize_t n = sys->pwrite(fd, p, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_from_errno(errno);
		if (n == 0)
			return ERR_IO;
		p += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return OK;
}

void
sys_in_place(int fd)
{
	int flags = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0)
		return;
	flags |= FS_NOCOW_FL;
	(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

enum err
sys_sync_dir(const char *path)
{
	int fd CLEANUP_SYS_CLOSE = sys->open(path, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return fail_path("cannot open the directory", path);
	if (sys->fsync(fd) != 0)
		return fail_path("cannot sync the directory", path);
	return OK;
}

enum err
sys_sync_parent(const char *path)
{
	char *copy CLEANUP_FREE = strdup(path);

	if (copy == NULL)
		return ERR_NOMEM;
	return sys_sync_dir(dirname(copy));
}

enum err
sys_read_file(const char *path, size_t max, uint8_t **ret, size_t *ret_len)
{
	struct stat st;
	/* O_NONBLOCK: a fifo put in the file's place must not hang us. */
	int fd CLEANUP_SYS_CLOSE =
	    sys->open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);

	if (fd < 0)
		return fail_path("cannot open", path);
	if (sys->fstat(fd, &st) != 0)
		return fail_path("cannot stat", path);
	if (!S_ISREG(st.st_mode))
		return err_fail(ERR_INVAL, "%s: not a regular file", path);
	if ((uint64_t)st.st_size > max)
		return err_fail(
		    ERR_LIMIT, "%s: larger than %zu bytes", path, max);
	const size_t len = (size_t)st.st_size;
	uint8_t *p = malloc(len + 1);
	if (p == NULL)
		return ERR_NOMEM;
	const enum err e = sys_pread_full(fd, p, len, 0);
	if (e != OK) {
		/* The file may be a key. */
		explicit_bzero(p, len);
		free(p);
		return err_fail(e, "%s: cannot read: %s", path, err_text(e));
	}
	p[len] = '\0';
	*ret = p;
	*ret_len = len;
	return OK;
}

/* Is ${fd} still the file at ${path}? */
static enum err
is_at(int fd, const char *path, bool *ret)
{
	struct stat a, b;

	*ret = false;
	if (sys->fstat(fd, &a) != 0)
		return fail_path("cannot stat", path);
	if (sys->stat(path, &b) != 0)
		return errno == ENOENT ? OK : fail_path("cannot stat", path);
	*ret = a.st_dev == b.st_dev && a.st_ino == b.st_ino;
	return OK;
}

/* Remove the temporary file ${tmp} unless a living writer has it locked. */
static enum err
drop_stale(const char *tmp)
{
	int fd CLEANUP_SYS_CLOSE =
	    sys->open(tmp, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0);
	bool there;

	if (fd < 0)
		return errno == ENOENT ? OK : fail_path("cannot open", tmp);
	if (sys->lock(fd) != 0)
		return errno != EAGAIN
			   ? fail_path("cannot lock", tmp)
			   : err_fail(ERR_BUSY,
				 "%s: being written by another process", tmp);
	TRY(is_at(fd, tmp, &there));
	if (there && sys->unlink(tmp) != 0 && errno != ENOENT)
		return fail_path("cannot remove", tmp);
	return OK;
}

/*
 * Make and lock the temporary file.  It is the lock of all writers of one
 * path: whoever holds it may look whether the target exists and rename.
 */
static enum err
open_tmp(const char *tmp, mode_t mode, int *ret_fd)
{
	for (int i = 0; i < TMP_TRIES; i++) {
		int fd CLEANUP_SYS_CLOSE = sys->open(
		    tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
		if (fd < 0 && errno != EEXIST)
			return fail_path("cannot create", tmp);
		if (fd < 0) {
			TRY(drop_stale(tmp));
			continue;
		}
		/* Another writer may have taken ours for a stale one in the
		 * moment before it was locked. */
		if (sys->lock(fd) != 0) {
			if (errno == EAGAIN)
				continue;
			const enum err e = fail_path("cannot lock", tmp);
			(void)sys->unlink(tmp);
			return e;
		}
		bool ours;
		const enum err e = is_at(fd, tmp, &ours);
		if (e != OK) {
			(void)sys->unlink(tmp);
			return e;
		}
		if (ours) {
			*ret_fd = fd;
			fd = -1;
			return OK;
		}
	}
	return err_fail(ERR_BUSY, "%s: being written by another process", tmp);
}

/* Fill the locked temporary file ${fd} and put it in ${path}'s place. */
static enum err
fill_and_rename(int fd, const char *tmp, const char *path, const void *data,
    size_t len, bool excl)
{
	struct stat st;

	if (excl) {
		if (sys->stat(path, &st) == 0)
			return err_fail(ERR_EXIST, "%s: exists already", path);
		if (errno != ENOENT)
			return fail_path("cannot stat", path);
	}
	const enum err e = sys_pwrite_full(fd, data, len, 0);
	if (e != OK)
		return err_fail(e, "%s: cannot write: %s", tmp, err_text(e));
	if (sys->fsync(fd) != 0)
		return fail_path("cannot sync", tmp);
	if (sys->rename(tmp, path) != 0)
		return fail_path("cannot rename to its place", tmp);
	return OK;
}

enum err
sys_write_file(
    const char *path, const void *data, size_t len, mode_t mode, int excl)
{
	char *tmp CLEANUP_FREE = NULL;
	int fd CLEANUP_SYS_CLOSE = -1;

	if (asprintf(&tmp, "%s%s", path, TMP_SUFFIX) < 0) {
		tmp = NULL;
		return ERR_NOMEM;
	}
	TRY(open_tmp(tmp, mode, &fd));
	const enum err e = fill_and_rename(fd, tmp, path, data, len, excl != 0);
	if (e != OK) {
		(void)sys->unlink(tmp);
		return e;
	}
	return sys_sync_parent(path);
}
