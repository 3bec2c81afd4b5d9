/* disk: see disk.h. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "lib/base/attrs.h"
#include "lib/base/sys.h"

#include "tests/fault/disk.h"

#define FDS 1024

static const char *const call_names[CALL_COUNT_] = { "open", "pread", "pwrite",
	"fdatasync", "fsync", "ftruncate", "fallocate", "fstat", "stat",
	"unlink", "rename", "mkdir", "statvfs", "lock", "mapped" };
static const char *const file_names[FILE_COUNT_] = { "arena", "meta.db", "wal",
	"keys", "lock", "directory" };

static struct {
	pthread_mutex_t lock;
	enum disk_call call;
	enum disk_file file;
	unsigned nth, hits;
	int errnum;
	bool forever, slow, off;
	unsigned seen[CALL_COUNT_][FILE_COUNT_];
} plan = { .lock = PTHREAD_MUTEX_INITIALIZER, .off = true };

/* What each descriptor is open on. */
static atomic_int kind[FDS];

const char *
disk_call_name(enum disk_call c)
{
	return (call_names[c]);
}

const char *
disk_file_name(enum disk_file f)
{
	return (file_names[f]);
}

static enum disk_file
file_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	const size_t n = strlen(name);

	if (strncmp(name, "arena-", 6) == 0)
		return (FILE_ARENA);
	if (strcmp(name, "meta.db") == 0)
		return (FILE_META);
	if (strcmp(name, "meta.db-wal") == 0 ||
	    strcmp(name, "meta.db-log") == 0)
		return (FILE_WAL);
	if (strncmp(name, "keys.db", 7) == 0 ||
	    (n > 4 && strcmp(name + n - 4, ".key") == 0))
		return (FILE_KEYS);
	return (strcmp(name, "lock") == 0 ? FILE_LOCK : FILE_DIR);
}

static enum disk_file
file_at(int fd)
{
	return (fd >= 0 && fd < FDS ? (enum disk_file)kind[fd] : FILE_DIR);
}

/* Count a call; true, with errno set, when it is to fail. */
static bool
fails(enum disk_call c, enum disk_file f)
{
	bool hit = false, slow = false;
	int errnum = 0;

	(void)pthread_mutex_lock(&plan.lock);
	if (!plan.off) {
		const unsigned n = ++plan.seen[c][f];

		hit = c == plan.call && f == plan.file && plan.nth != 0 &&
		      (n == plan.nth || (plan.forever && n > plan.nth));
		plan.hits += hit;
		errnum = plan.errnum;
		slow = plan.slow;
	}
	(void)pthread_mutex_unlock(&plan.lock);
	if (hit && slow)
		(void)nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
	if (hit)
		errno = errnum;
	return (hit);
}

void
disk_fail(enum disk_call c, enum disk_file f, unsigned nth, int errnum,
    bool forever, bool slow)
{
	(void)pthread_mutex_lock(&plan.lock);
	plan.call = c;
	plan.file = f;
	plan.nth = nth;
	plan.errnum = errnum;
	plan.forever = forever;
	plan.slow = slow;
	plan.hits = 0;
	plan.off = false;
	memset(plan.seen, 0, sizeof(plan.seen));
	(void)pthread_mutex_unlock(&plan.lock);
}

void
disk_pause(bool off)
{
	(void)pthread_mutex_lock(&plan.lock);
	plan.off = off;
	(void)pthread_mutex_unlock(&plan.lock);
}

void
disk_mend(void)
{
	(void)pthread_mutex_lock(&plan.lock);
	plan.nth = 0;
	(void)pthread_mutex_unlock(&plan.lock);
}

unsigned
disk_seen(enum disk_call c, enum disk_file f)
{
	(void)pthread_mutex_lock(&plan.lock);
	const unsigned n = plan.seen[c][f];
	(void)pthread_mutex_unlock(&plan.lock);
	return (n);
}

unsigned
disk_hits(void)
{
	(void)pthread_mutex_lock(&plan.lock);
	const unsigned n = plan.hits;
	(void)pthread_mutex_unlock(&plan.lock);
	return (n);
}

/* ---- The table ---------------------------------------------------------- */

static int
d_open(const char *path, int flags, mode_t mode)
{
	const enum disk_file f = file_of(path);

	if (fails(CALL_OPEN, f))
		return (-1);
	const int fd = sys_linux.open(path, flags, mode);
	if (fd >= 0 && fd < FDS)
		kind[fd] = (int)f;
	return (fd);
}

static ssize_t
d_pread(int fd, void *buf, size_t len, off_t off)
{
	return (fails(CALL_PREAD, file_at(fd))
		    ? -1
		    : sys_linux.pread(fd, buf, len, off));
}

static ssize_t
d_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	if (!fails(CALL_PWRITE, file_at(fd)))
		return (sys_linux.pwrite(fd, buf, len, off));
	const int errnum = errno;
	if (len > 1 && sys_linux.pwrite(fd, buf, len / 2, off) < 0)
		errno = 0;
	errno = errnum;
	return (-1);
}

static int
d_fdatasync(int fd)
{
	return (fails(CALL_FDATASYNC, file_at(fd)) ? -1 : 0);
}

static int
d_fsync(int fd)
{
	return (fails(CALL_FSYNC, file_at(fd)) ? -1 : 0);
}

static int
d_ftruncate(int fd, off_t len)
{
	return (fails(CALL_FTRUNCATE, file_at(fd))
		    ? -1
		    : sys_linux.ftruncate(fd, len));
}

static int
d_fallocate(int fd, int mode, off_t off, off_t len)
{
	struct stat st;

	if (fails(CALL_FALLOCATE, file_at(fd)))
		return (-1);
	if (mode != 0)
		return (sys_linux.fallocate(fd, mode, off, len));
	/* Reserving is what takes the time here. */
	if (sys_linux.fstat(fd, &st) != 0 || st.st_size >= off + len)
		return (0);
	return (sys_linux.ftruncate(fd, off + len));
}

static int
d_fstat(int fd, struct stat *st)
{
	return (fails(CALL_FSTAT, file_at(fd)) ? -1 : sys_linux.fstat(fd, st));
}

static int
d_stat(const char *path, struct stat *st)
{
	return (
	    fails(CALL_STAT, file_of(path)) ? -1 : sys_linux.stat(path, st));
}

static int
d_unlink(const char *path)
{
	return (
	    fails(CALL_UNLINK, file_of(path)) ? -1 : sys_linux.unlink(path));
}

static int
d_rename(const char *from, const char *to)
{
	return (
	    fails(CALL_RENAME, file_of(to)) ? -1 : sys_linux.rename(from, to));
}

static int
d_mkdir(const char *path, mode_t mode)
{
	return (fails(CALL_MKDIR, file_of(path)) ? -1
						 : sys_linux.mkdir(path, mode));
}

static int
d_statvfs(const char *path, struct statvfs *st)
{
	return (fails(CALL_STATVFS, file_of(path))
		    ? -1
		    : sys_linux.statvfs(path, st));
}

static int
d_lock(int fd)
{
	return (fails(CALL_LOCK, file_at(fd)) ? -1 : sys_linux.lock(fd));
}

/* The keystore's index and its epoch are all there are. */
static int
d_mapped(const char *call)
{
	const bool space =
	    strcmp(call, "open") == 0 || strcmp(call, "fallocate") == 0;

	return (fails(space ? CALL_MAPPED : CALL_LOCK, FILE_KEYS) ? -1 : 0);
}

void
disk_install(void)
{
	static struct sys_ops ops;

	ops = sys_linux;
	ops.open = d_open;
	ops.pread = d_pread;
	ops.seek_data = sys_linux.seek_data;
	ops.pwrite = d_pwrite;
	ops.fdatasync = d_fdatasync;
	ops.fsync = d_fsync;
	ops.ftruncate = d_ftruncate;
	ops.fallocate = d_fallocate;
	ops.fstat = d_fstat;
	ops.stat = d_stat;
	ops.unlink = d_unlink;
	ops.rename = d_rename;
	ops.mkdir = d_mkdir;
	ops.statvfs = d_statvfs;
	ops.lock = d_lock;
	ops.mapped = d_mapped;
	sys_install(&ops);
}
