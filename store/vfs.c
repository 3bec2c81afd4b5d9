/*
 * vfs: SQLite's door to the disk.
 *
 * Everything passes through lib/base/sys, so that a simulated disk or a fault
 * point sees the database exactly as it sees the arenas.  The WAL is grown in
 * steps ahead of its use and never shrinks: writing again into blocks that the
 * file owns makes a commit's fdatasync about three times cheaper than growing
 * the file does.  What lies behind the end of the log, zeros or frames of an
 * earlier round, carries other salts, and recovery stops there.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/rand.h"
#include "lib/base/clock.h"
#include "lib/base/sys.h"
#include "store/store_internal.h"
#include "store/vfs_internal.h"
#include "store/vfs_seal.h"

#define SECTOR 4096

struct lock vfs_lock;

static struct vfs_node *nodes;
static atomic_ulong read_failures;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_rc = SQLITE_ERROR;

static struct vfs_file *
file_of(sqlite3_file *f)
{
	return ((struct vfs_file *)(void *)f);
}

int
vfs_rc(int errnum, int ioerr)
{
	if (errnum == ENOSPC || errnum == EDQUOT)
		return (SQLITE_FULL);
	if (errnum == ENOMEM)
		return (SQLITE_IOERR_NOMEM);
	return (ioerr);
}

/* Where the file that SQLite calls ${path} stands, NULL: nowhere.  ${buf} has
 * PATH_MAX bytes.  vfs_lock. */
static const char *
on_disk(const char *path, char *buf)
{
	return (vfs_seal_of(path) == NULL ? path : vfs_seal_name(path, buf));
}

/* ---- Nodes -------------------------------------------------------------- */

struct vfs_node *
vfs_node_find(const char *path)
{
	struct vfs_node *n;

	for (n = nodes; n != NULL; n = n->next)
		if (!n->unlinked && strcmp(n->path, path) == 0)
			return (n);
	return (NULL);
}

void
vfs_node_put(struct vfs_node *n)
{
	struct vfs_node **p;

	if (--n->refs > 0)
		return;
	for (p = &nodes; *p != n; p = &(*p)->next)
		continue;
	*p = n->next;
	if (n->seal != NULL && n->seal->main == n)
		n->seal->main = NULL;
	vfs_seal_unref(n->seal);
	(void)sys->close(n->fd);
	free(n->path);
	free(n);
}

/* Open ${path}; *ret_new when it was made, *ret_ro when it only can be read. */
static int
open_fd(const char *path, int flags, bool *ret_new, bool *ret_ro)
{
	/* Nothing is waited for that an attacker put here, such as a fifo. */
	const int common = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int fd = -1;

	*ret_new = false;
	*ret_ro = (flags & SQLITE_OPEN_READWRITE) == 0;
	if (!*ret_ro)
		fd = sys->open(path, O_RDWR | common, 0600);
	if (fd < 0 && !*ret_ro && errno == ENOENT &&
	    (flags & SQLITE_OPEN_CREATE) != 0) {
		fd = sys->open(path, O_RDWR | O_CREAT | common, 0600);
		*ret_new = fd >= 0;
	}
	if (fd < 0 && (*ret_ro || errno == EACCES || errno == EROFS)) {
		*ret_ro = true;
		fd = sys->open(path, O_RDONLY | common, 0);
	}
	return (fd);
}

static int
node_make(const char *path, int flags, bool common, struct vfs_node **ret)
{
	struct vfs_node *n CLEANUP_FREE = calloc(1, sizeof(*n));
	char *copy CLEANUP_FREE = strdup(path);
	char buf[PATH_MAX];
	const char *name = on_disk(path, buf);
	struct stat sb;
	bool fresh;

	if (n == NULL || copy == NULL)
		return (SQLITE_NOMEM);
	if (name == NULL)
		return (SQLITE_CANTOPEN);
	n->fd = open_fd(name, flags, &fresh, &n->readonly);
	if (n->fd < 0)
		return (vfs_rc(errno, SQLITE_CANTOPEN));
	if (sys->fstat(n->fd, &sb) != 0) {
		(void)sys->close(n->fd);
		return (SQLITE_IOERR_FSTAT);
	}
	n->common = common;
	n->common_wal = common && (flags & SQLITE_OPEN_WAL) != 0;
	n->is_wal = !common && (flags & SQLITE_OPEN_WAL) != 0;
	n->shm_fd = -1;
	atomic_init(&n->dir_new, fresh);
	atomic_init(&n->failed, false);
	atomic_init(&n->have, (uint64_t)sb.st_size);
	atomic_init(&n->used, (uint64_t)sb.st_size);
	atomic_init(&n->pos, (uint64_t)sb.st_size);
	atomic_init(&n->rounds, 0);
	n->path = steal(copy);
	n->next = nodes;
	nodes = n;
	*ret = steal(n);
	return (SQLITE_OK);
}

/* ---- Methods of a file -------------------------------------------------- */

static int x_delete(sqlite3_vfs *vfs, const char *path, int sync_dir);

static int
x_close(sqlite3_file *file)
{
	struct vfs_file *const f = file_of(file);
	char *gone CLEANUP_FREE = NULL;

	(void)vfs_x_shm_unmap(file, 0);
	(void)vfs_x_unlock(file, SQLITE_LOCK_NONE);
	if (f->delete_at_end)
		gone = strdup(f->node->path);
	vfs_seal_close(f);
	lock_take(&vfs_lock);
	vfs_node_put(f->node);
	f->node = NULL;
	lock_drop(&vfs_lock);
	if (gone != NULL)
		(void)x_delete(NULL, gone, 0);
	return (SQLITE_OK);
}

int
vfs_node_read(const struct vfs_node *n, void *buf, size_t len, uint64_t off)
{
	uint8_t *const p = buf;
	size_t done = 0;

	while (done < len) {
		const ssize_t r = sys->pread(
		    n->fd, p + done, len - done, (off_t)off + (off_t)done);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0) {
			atomic_fetch_add(&read_failures, 1);
			return (SQLITE_IOERR_READ);
		}
		if (r == 0)
			break;
		done += (size_t)r;
	}
	if (done == len)
		return (SQLITE_OK);
	memset(p + done, 0, len - done);
	return (SQLITE_IOERR_SHORT_READ);
}

unsigned long
vfs_read_failures(void)
{
	return (atomic_load(&read_failures));
}

static int
x_read(sqlite3_file *file, void *buf, int len, sqlite3_int64 off)
{
	struct vfs_file *const f = file_of(file);

	if (f->node->seal != NULL)
		return (vfs_seal_read(f, buf, (size_t)len, (uint64_t)off));
	return (vfs_node_read(f->node, buf, (size_t)len, (uint64_t)off));
}

int
vfs_node_write(struct vfs_node *n, const void *buf, size_t len, uint64_t off)
{
	const uint64_t end = off + len;
	enum err e;
	int rc;

	if (n->is_wal) {
		rc = vfs_wal_grow(n, end);
		if (rc != SQLITE_OK)
			return (rc);
	}
	e = sys_pwrite_full(n->fd, buf, len, off);
	if (e != OK)
		return (e == ERR_NOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE);
	if (n->is_wal) {
		atomic_store(&n->pos, end);
		if (end > atomic_load(&n->used))
			atomic_store(&n->used, end);
	}
	return (SQLITE_OK);
}

static int
x_write(sqlite3_file *file, const void *buf, int len, sqlite3_int64 off)
{
	struct vfs_file *const f = file_of(file);

	if (f->node->is_wal && off == 0)
		atomic_fetch_add(&f->node->rounds, 1);
	if (f->node->seal != NULL)
		return (vfs_seal_write(f, buf, (size_t)len, (uint64_t)off));
	return (vfs_node_write(f->node, buf, (size_t)len, (uint64_t)off));
}

static int
x_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct vfs_node *const n = file_of(file)->node;

	if (n->is_wal) {
		if (size == 0)
			vfs_wal_cut(n);
		return (SQLITE_OK);
	}
	if (n->seal != NULL)
		size += SEAL_FRONT;
	if (sys->ftruncate(n->fd, (off_t)size) != 0)
		return (vfs_rc(errno, SQLITE_IOERR_TRUNCATE));
	return (SQLITE_OK);
}

/* The directory that holds ${path}, into ${ret} of PATH_MAX bytes. */
static void
dir_of(const char *path, char *ret)
{
	char *slash;

	(void)snprintf(ret, PATH_MAX, "%s", path);
	slash = strrchr(ret, '/');
	if (slash == ret)
		slash++;
	if (slash != NULL)
		*slash = '\0';
}

/*
 * After a failed fdatasync the kernel calls the pages clean and the next one
 * succeeds without having written them.  So the first failure stays.  SQLite
 * brings home anew what is in a WAL, so that a common database's failure, which
 * would end the use of all keys, is told once; its WAL's is mended.
 */
int
vfs_node_sync(struct vfs_node *n)
{
	char dir[PATH_MAX];

	if (atomic_load(&n->failed))
		return (SQLITE_IOERR_FSYNC);
	if (sys->fdatasync(n->fd) != 0) {
		atomic_store(&n->failed, !n->common || n->common_wal);
		return (SQLITE_IOERR_FSYNC);
	}
	if (!atomic_exchange(&n->dir_new, false))
		return (SQLITE_OK);
	dir_of(n->path, dir);
	if (sys_sync_dir(dir) == OK)
		return (SQLITE_OK);
	atomic_store(&n->failed, !n->common || n->common_wal);
	atomic_store(&n->dir_new, true);
	return (SQLITE_IOERR_DIR_FSYNC);
}

static int
x_sync(sqlite3_file *file, int flags)
{
	struct vfs_node *const n = file_of(file)->node;

	(void)flags;
	/* SQLite syncs the WAL before it brings frames home. */
	if (n->seal != NULL && n->is_wal)
		return (vfs_seal_sync(n, true));
	return (vfs_node_sync(n));
}

static int
x_file_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	const struct vfs_node *const n = file_of(file)->node;
	struct stat sb;

	if (n->is_wal)
		sb.st_size = (off_t)atomic_load(&n->used);
	else if (sys->fstat(n->fd, &sb) != 0)
		return (SQLITE_IOERR_FSTAT);
	*ret = sb.st_size;
	if (n->seal != NULL)
		*ret = (sqlite3_int64)vfs_seal_size(n, (uint64_t)*ret);
	return (SQLITE_OK);
}

static int
x_file_control(sqlite3_file *file, int op, void *arg)
{
	const struct vfs_node *const n = file_of(file)->node;

	if (op == SQLITE_FCNTL_COMMIT_PHASETWO && n->seal != NULL)
		vfs_seal_committed(n->seal);
	if (op != SQLITE_FCNTL_PERSIST_WAL || n->common)
		return (SQLITE_NOTFOUND);
	/* The WAL stays when the last connection closes. */
	*(int *)arg = 1;
	return (SQLITE_OK);
}

static int
x_sector_size(sqlite3_file *file)
{
	(void)file;
	return (SECTOR);
}

static int
x_device(sqlite3_file *file)
{
	(void)file;
	return (SQLITE_IOCAP_POWERSAFE_OVERWRITE);
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = x_close,
	.xRead = x_read,
	.xWrite = x_write,
	.xTruncate = x_truncate,
	.xSync = x_sync,
	.xFileSize = x_file_size,
	.xLock = vfs_x_lock,
	.xUnlock = vfs_x_unlock,
	.xCheckReservedLock = vfs_x_check_reserved,
	.xFileControl = x_file_control,
	.xSectorSize = x_sector_size,
	.xDeviceCharacteristics = x_device,
	.xShmMap = vfs_x_shm_map,
	.xShmLock = vfs_x_shm_lock,
	.xShmBarrier = vfs_x_shm_barrier,
	.xShmUnmap = vfs_x_shm_unmap,
};

/* ---- Methods of the VFS ------------------------------------------------- */

static int
x_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
    int *ret_flags)
{
	struct vfs_file *const f = file_of(file);
	const bool common = vfs->pAppData != NULL;
	struct vfs_node *n;
	int rc;

	memset(f, 0, sizeof(*f));
	/* Nothing temporary reaches a disk: temp_store is MEMORY, and whatever
	 * asks all the same is refused. */
	if (path == NULL ||
	    (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL |
			 SQLITE_OPEN_WAL)) == 0)
		return (SQLITE_CANTOPEN);
	LOCK_SCOPE(&vfs_lock);
	n = vfs_node_find(path);
	if (n == NULL) {
		rc = node_make(path, flags, common, &n);
		if (rc != SQLITE_OK)
			return (rc);
		n->seal = vfs_seal_of(path);
		vfs_seal_ref(n->seal);
	}
	if (n->common != common)
		return (SQLITE_CANTOPEN);
	n->refs++;
	f->node = n;
	rc = n->seal == NULL ? SQLITE_OK : vfs_seal_open(f);
	if (rc != SQLITE_OK) {
		vfs_node_put(n);
		return (rc);
	}
	f->delete_at_end = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
	f->base.pMethods = &methods;
	if (ret_flags != NULL && n->readonly)
		flags =
		    (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) |
		    SQLITE_OPEN_READONLY;
	if (ret_flags != NULL)
		*ret_flags = flags;
	return (SQLITE_OK);
}

static int
x_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
	struct vfs_node *n;
	char dir[PATH_MAX], buf[PATH_MAX];
	const char *name;

	(void)vfs;
	lock_take(&vfs_lock);
	n = vfs_node_find(path);
	if (n != NULL)
		n->unlinked = true;
	name = on_disk(path, buf);
	lock_drop(&vfs_lock);
	if (name == NULL)
		return (SQLITE_IOERR_DELETE_NOENT);
	if (sys->unlink(name) != 0)
		return (errno == ENOENT ? SQLITE_IOERR_DELETE_NOENT
					: SQLITE_IOERR_DELETE);
	if (!sync_dir)
		return (SQLITE_OK);
	dir_of(path, dir);
	return (sys_sync_dir(dir) == OK ? SQLITE_OK : SQLITE_IOERR_DIR_FSYNC);
}

static int
x_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
	struct stat sb;

	char buf[PATH_MAX];
	const char *name;

	(void)vfs;
	*ret = 0;
	lock_take(&vfs_lock);
	name = on_disk(path, buf);
	lock_drop(&vfs_lock);
	if (name == NULL)
		return (SQLITE_OK);
	if (sys->stat(name, &sb) != 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return (SQLITE_OK);
		return (SQLITE_IOERR_ACCESS);
	}
	/* An empty journal or WAL counts as none. */
	*ret = flags != SQLITE_ACCESS_EXISTS || !S_ISREG(sb.st_mode) ||
	       sb.st_size > 0;
	return (SQLITE_OK);
}

static int
x_full_pathname(sqlite3_vfs *vfs, const char *path, int size, char *ret)
{
	char cwd[PATH_MAX] = "";
	int n;

	(void)vfs;
	if (path[0] != '/' && getcwd(cwd, sizeof(cwd)) == NULL)
		return (SQLITE_CANTOPEN);
	n = snprintf(
	    ret, (size_t)size, "%s%s%s", cwd, path[0] == '/' ? "" : "/", path);
	return (n < size ? SQLITE_OK : SQLITE_CANTOPEN);
}

static int
x_randomness(sqlite3_vfs *vfs, int len, char *ret)
{
	(void)vfs;
	rand_bytes(ret, (size_t)len);
	return (len);
}

static int
x_sleep(sqlite3_vfs *vfs, int us)
{
	const struct timespec ts = { us / 1000000,
		(long)(us % 1000000) * 1000 };

	(void)vfs;
	(void)nanosleep(&ts, NULL);
	return (us);
}

/* Milliseconds since the Julian epoch. */
static int
x_time64(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
	const struct timespec ts = clock_wall();

	(void)vfs;
	*ret = (sqlite3_int64)210866760000000 +
	       (sqlite3_int64)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	return (SQLITE_OK);
}

static int
x_time(sqlite3_vfs *vfs, double *ret)
{
	sqlite3_int64 ms;

	(void)x_time64(vfs, &ms);
	*ret = (double)ms / 86400000.0;
	return (SQLITE_OK);
}

static int
x_last_error(sqlite3_vfs *vfs, int size, char *ret)
{
	(void)vfs;
	(void)size;
	(void)ret;
	return (errno);
}

static sqlite3_vfs vfs_ops = {
	.iVersion = 2,
	.szOsFile = sizeof(struct vfs_file),
	.mxPathname = PATH_MAX - 1,
	.zName = VFS_NAME,
	.xOpen = x_open,
	.xDelete = x_delete,
	.xAccess = x_access,
	.xFullPathname = x_full_pathname,
	.xRandomness = x_randomness,
	.xSleep = x_sleep,
	.xCurrentTime = x_time,
	.xGetLastError = x_last_error,
	.xCurrentTimeInt64 = x_time64,
};

static sqlite3_vfs common_ops;

static void
register_once(void)
{
	lock_init(&vfs_lock, RANK_VFS, "vfs");
	/* Counting its memory would cost SQLite a lock per allocation.  It
	 * refuses when it already runs; then it counts. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	common_ops = vfs_ops;
	common_ops.zName = VFS_COMMON;
	common_ops.pAppData = &common_ops;
	once_rc = sqlite3_vfs_register(&vfs_ops, 0);
	if (once_rc == SQLITE_OK)
		once_rc = sqlite3_vfs_register(&common_ops, 0);
}

enum err
vfs_register(void)
{
	(void)pthread_once(&once, register_once);
	return (db_err(once_rc));
}
