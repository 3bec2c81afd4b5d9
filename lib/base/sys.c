/*
 * sys: faults are a second table that wraps the one in force.  It is switched
 * in by sys_fault_set() and out by sys_fault_clear(), so that a process
 * without faults pays nothing for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/sys.h"

/* ---- Linux --------------------------------------------------------------- */

static int
linux_open(const char *path, int flags, mode_t mode)
{
	return open(path, flags | O_CLOEXEC, mode);
}

static int
linux_lock(int fd)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
		return 0;
	if (errno == EACCES)
		errno = EAGAIN;
	return -1;
}

static int
linux_fstat(int fd, struct stat *st)
{
	return fstat(fd, st);
}

static int
linux_stat(const char *path, struct stat *st)
{
	return stat(path, st);
}

static off_t
linux_seek_data(int fd, off_t off)
{
	return lseek(fd, off, SEEK_DATA);
}

static int
linux_mapped(const char *call UNUSED)
{
	return 0;
}

const struct sys_ops sys_linux = {
	.open = linux_open,
	.close = close,
	.pread = pread,
	.seek_data = linux_seek_data,
	.pwrite = pwrite,
	.pwritev = pwritev,
	.fdatasync = fdatasync,
	.fsync = fsync,
	.ftruncate = ftruncate,
	.fallocate = fallocate,
	.fstat = linux_fstat,
	.stat = linux_stat,
	.unlink = unlink,
	.rename = rename,
	.mkdir = mkdir,
	.statvfs = statvfs,
	.lock = linux_lock,
	.mapped = linux_mapped,
};

/* ---- Faults -------------------------------------------------------------- */

const struct sys_ops *_Atomic sys = &sys_linux;

/* The table that faults wrap, and the fault in force; a plain mutex, because
 * system calls are made under locks of every rank. */
static const struct sys_ops *below = &sys_linux;
static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	bool on;
	bool forever;
	unsigned nth;
	unsigned seen;
	int errnum;
	char call[16];
} fault;

/* Count the call ${name}; true, with errno set, when it is to fail. */
static bool
faulty(const char *name)
{
	bool hit = false;
	int errnum = 0;

	(void)pthread_mutex_lock(&fault_lock);
	if (fault.on &&
	    (strcmp(fault.call, "*") == 0 || strcmp(fault.call, name) == 0)) {
		fault.seen++;
		hit = fault.nth > 0 &&
		      (fault.seen == fault.nth ||
			  (fault.forever && fault.seen > fault.nth));
		errnum = fault.errnum;
	}
	(void)pthread_mutex_unlock(&fault_lock);
	if (hit)
		errno = errnum;
	return hit;
}

static const struct sys_ops *
table_below(void)
{
	return __atomic_load_n(&below, __ATOMIC_ACQUIRE);
}

#define FAULTY(name, type, params, args)                              \
	static type faulty_##name params                              \
	{                                                             \
		return faulty(#name) ? -1 : table_below()->name args; \
	}

FAULTY(
    open, int, (const char *path, int flags, mode_t mode), (path, flags, mode))
FAULTY(pread, ssize_t, (int fd, void *buf, size_t len, off_t off),
    (fd, buf, len, off))
FAULTY(seek_data, off_t, (int fd, off_t off), (fd, off))
FAULTY(pwrite, ssize_t, (int fd, const void *buf, size_t len, off_t off),
    (fd, buf, len, off))
FAULTY(pwritev, ssize_t, (int fd, const struct iovec *iov, int n, off_t off),
    (fd, iov, n, off))
FAULTY(fdatasync, int, (int fd), (fd))
FAULTY(fsync, int, (int fd), (fd))
FAULTY(ftruncate, int, (int fd, off_t len), (fd, len))
FAULTY(fallocate, int, (int fd, int mode, off_t off, off_t len),
    (fd, mode, off, len))
FAULTY(fstat, int, (int fd, struct stat *st), (fd, st))
FAULTY(stat, int, (const char *path, struct stat *st), (path, st))
FAULTY(unlink, int, (const char *path), (path))
FAULTY(rename, int, (const char *from, const char *to), (from, to))
FAULTY(mkdir, int, (const char *path, mode_t mode), (path, mode))
FAULTY(statvfs, int, (const char *path, struct statvfs *st), (path, st))
FAULTY(lock, int, (int fd), (fd))
FAULTY(mapped, int, (const char *call), (call))

/* As on Linux, the descriptor is gone also when close reports an error. */
static int
faulty_close(int fd)
{
	const bool hit = faulty("close");
	const int errnum = errno;
	const int rc = table_below()->close(fd);

	if (!hit)
		return rc;
	errno = errnum;
	return -1;
}

static const struct sys_ops sys_faulty = {
	.open = faulty_open,
	.close = faulty_close,
	.pread = faulty_pread,
	.seek_data = faulty_seek_data,
	.pwrite = faulty_pwrite,
	.pwritev = faulty_pwritev,
	.fdatasync = faulty_fdatasync,
	.fsync = faulty_fsync,
	.ftruncate = faulty_ftruncate,
	.fallocate = faulty_fallocate,
	.fstat = faulty_fstat,
	.stat = faulty_stat,
	.unlink = faulty_unlink,
	.rename = faulty_rename,
	.mkdir = faulty_mkdir,
	.statvfs = faulty_statvfs,
	.lock = faulty_lock,
	.mapped = faulty_mapped,
};

void
sys_install(const struct sys_ops *ops)
{
	(void)pthread_mutex_lock(&fault_lock);
	__atomic_store_n(&below, ops, __ATOMIC_RELEASE);
	if (!fault.on)
		atomic_store(&sys, ops);
	(void)pthread_mutex_unlock(&fault_lock);
}

void
sys_fault_set(const char *call, unsigned nth, int errnum, int forever)
{
	(void)pthread_mutex_lock(&fault_lock);
	fault.on = true;
	fault.forever = forever != 0;
	fault.nth = nth;
	fault.seen = 0;
	fault.errnum = errnum;
	(void)snprintf(fault.call, sizeof(fault.call), "%s", call);
	atomic_store(&sys, &sys_faulty);
	(void)pthread_mutex_unlock(&fault_lock);
}

unsigned
sys_fault_clear(void)
{
	(void)pthread_mutex_lock(&fault_lock);
	const unsigned seen = fault.on ? fault.seen : 0;
	fault.on = false;
	atomic_store(&sys, below);
	(void)pthread_mutex_unlock(&fault_lock);
	return seen;
}
