/*
 * vfs_share: what SQLite's own VFS does with fcntl, done with OFD locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/sys.h"
#include "store/store_internal.h"
#include "store/vfs_share.h"

/* Bytes of the database file that stand for locks. */
#define PENDING 0x40000000
#define RESERVED (PENDING + 1)
#define SHARED (PENDING + 2)
#define SHARED_LEN 510
#define ALL_LEN (SHARED_LEN + 2)

/* And of the index: one for each of SQLite's locks, and one that every process
 * holds which has the index open. */
#define SHM_LOCKS 120
#define SHM_ALIVE (SHM_LOCKS + SQLITE_SHM_NLOCK)

static int
os_lock(int fd, int op, short type, off_t at, off_t len)
{
	struct flock l = { .l_type = type,
		.l_whence = SEEK_SET,
		.l_start = at,
		.l_len = len };

	if (sys_map_lock(fd, op, &l) == 0) {
		/* F_OFD_GETLK: is there such a lock in the way? */
		return (op == F_OFD_GETLK && l.l_type != F_UNLCK ? SQLITE_BUSY
								 : SQLITE_OK);
	}
	return (errno == EAGAIN || errno == EACCES ? SQLITE_BUSY
						   : SQLITE_IOERR_LOCK);
}

static int
take(int fd, short type, off_t at, off_t len)
{
	return (os_lock(fd, F_OFD_SETLK, type, at, len));
}

static void
drop(int fd, off_t at, off_t len)
{
	(void)os_lock(fd, F_OFD_SETLK, F_UNLCK, at, len);
}

/* ---- The database file -------------------------------------------------- */

int
vfs_share_lock(struct vfs_node *n, int level)
{
	int rc;

	switch (level) {
	case SQLITE_LOCK_SHARED:
		/* Waits for a writer that waits for readers. */
		rc = take(n->fd, F_RDLCK, PENDING, 1);
		if (rc != SQLITE_OK)
			return (rc);
		rc = take(n->fd, F_RDLCK, SHARED, SHARED_LEN);
		drop(n->fd, PENDING, 1);
		return (rc);
	case SQLITE_LOCK_RESERVED:
		return (take(n->fd, F_WRLCK, RESERVED, 1));
	case SQLITE_LOCK_PENDING:
		return (take(n->fd, F_WRLCK, PENDING, 1));
	default:
		return (take(n->fd, F_WRLCK, SHARED, SHARED_LEN));
	}
}

void
vfs_share_unlock(struct vfs_node *n, int level)
{
	if (level == SQLITE_LOCK_NONE) {
		drop(n->fd, PENDING, ALL_LEN);
		return;
	}
	/* From a write lock to a read lock: nothing can be in the way. */
	(void)take(n->fd, F_RDLCK, SHARED, SHARED_LEN);
	drop(n->fd, PENDING, 2);
}

int
vfs_share_reserved(const struct vfs_node *n, int *ret)
{
	const int rc = os_lock(n->fd, F_OFD_GETLK, F_WRLCK, RESERVED, 1);

	*ret = rc == SQLITE_BUSY;
	return (rc == SQLITE_BUSY ? SQLITE_OK : rc);
}

/* ---- The index ---------------------------------------------------------- */

/*
 * Whoever finds nobody else begins with an empty index: what is in it may be of
 * processes that died.  They may have died of a sync that failed, after which
 * the WAL is not on the disk as the kernel shows it.
 */
static int
first_empties(const struct vfs_node *n)
{
	const int fd = n->shm_fd;
	int rc = os_lock(fd, F_OFD_GETLK, F_WRLCK, SHM_ALIVE, 1);

	if (rc == SQLITE_OK) {
		rc = take(fd, F_WRLCK, SHM_ALIVE, 1);
		if (rc == SQLITE_OK && sys_map_ftruncate(fd, 0) != 0)
			rc = SQLITE_IOERR_SHMOPEN;
		if (rc == SQLITE_OK)
			sys_in_place(fd);
		if (rc == SQLITE_OK)
			rc = vfs_wal_mend(n, true);
	} else if (rc == SQLITE_BUSY) {
		rc = SQLITE_OK;
	}
	/* Busy when another has found the same, and is at it. */
	return (rc == SQLITE_OK ? take(fd, F_RDLCK, SHM_ALIVE, 1) : rc);
}

static bool
shm_name(const struct vfs_node *n, char ret[static PATH_MAX])
{
	return (snprintf(ret, PATH_MAX, "%s-shm", n->path) < PATH_MAX);
}

int
vfs_share_shm_open(struct vfs_node *n)
{
	char path[PATH_MAX];
	struct stat sb;
	int rc;

	if (!shm_name(n, path))
		return (SQLITE_CANTOPEN);
	n->shm_fd = sys_map_open(
	    path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (n->shm_fd < 0)
		return (vfs_rc(errno, SQLITE_CANTOPEN));
	rc = sys_map_fstat(n->shm_fd, &sb) != 0 || !S_ISREG(sb.st_mode)
		 ? SQLITE_CANTOPEN
		 : first_empties(n);
	if (rc != SQLITE_OK) {
		(void)close(n->shm_fd);
		n->shm_fd = -1;
	}
	return (rc);
}

/* The file owns its first ${end} bytes, zeros where it is new. */
static int
shm_own(int fd, off_t have, off_t end)
{
	static const uint8_t zero[4096];

	if (sys_map_fallocate(fd, have, end - have) == 0)
		return (SQLITE_OK);
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return (vfs_rc(errno, SQLITE_IOERR_SHMSIZE));
	for (off_t at = have; at < end; at += (off_t)sizeof(zero)) {
		const size_t len = end - at < (off_t)sizeof(zero)
				       ? (size_t)(end - at)
				       : sizeof(zero);

		if (pwrite(fd, zero, len, at) != (ssize_t)len)
			return (vfs_rc(errno, SQLITE_IOERR_SHMSIZE));
	}
	return (SQLITE_OK);
}

int
vfs_share_shm_map(
    struct vfs_node *n, unsigned index, size_t size, bool extend, void **ret)
{
	const off_t at = (off_t)index * (off_t)size;
	const off_t end = at + (off_t)size;
	struct stat sb;
	void *p;
	int rc;

	*ret = NULL;
	if (sys_map_fstat(n->shm_fd, &sb) != 0)
		return (SQLITE_IOERR_SHMSIZE);
	if (sb.st_size < end) {
		if (!extend)
			return (SQLITE_OK);
		rc = shm_own(n->shm_fd, sb.st_size, end);
		if (rc != SQLITE_OK)
			return (rc);
	}
	p = sys_map(n->shm_fd, at, size);
	if (p == NULL)
		return (SQLITE_IOERR_SHMMAP);
	n->region_size = size;
	*ret = p;
	return (SQLITE_OK);
}

int
vfs_share_shm_lock(const struct vfs_node *n, int first, int count, bool excl)
{
	return (take(
	    n->shm_fd, excl ? F_WRLCK : F_RDLCK, SHM_LOCKS + first, count));
}

void
vfs_share_shm_unlock(const struct vfs_node *n, int first, int count)
{
	drop(n->shm_fd, SHM_LOCKS + first, count);
}

void
vfs_share_shm_close(struct vfs_node *n, bool remove)
{
	char path[PATH_MAX];

	if (n->shm_fd < 0)
		return;
	if (remove && shm_name(n, path))
		(void)unlink(path);
	(void)close(n->shm_fd);
	n->shm_fd = -1;
}
