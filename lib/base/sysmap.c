/*
 * sysmap: files that are mapped, which are Linux's own whatever ${sys} is; the
 * table is only asked whether a call shall fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/sys.h"

int
sys_map_open(const char *path, int flags, mode_t mode)
{
	return sys->mapped("open") != 0 ? -1
					: open(path, flags | O_CLOEXEC, mode);
}

int
sys_map_fstat(int fd, struct stat *st)
{
	return sys->mapped("fstat") != 0 ? -1 : fstat(fd, st);
}

int
sys_map_ftruncate(int fd, off_t len)
{
	return sys->mapped("ftruncate") != 0 ? -1 : ftruncate(fd, len);
}

int
sys_map_fallocate(int fd, off_t off, off_t len)
{
	return sys->mapped("fallocate") != 0 ? -1 : fallocate(fd, 0, off, len);
}

int
sys_map_lock(int fd, int op, struct flock *l)
{
	if (l->l_type != F_UNLCK && sys->mapped("lock") != 0)
		return -1;
	return fcntl(fd, op, l);
}

void *
sys_map(int fd, off_t off, size_t len)
{
	if (sys->mapped("mmap") != 0)
		return NULL;
	void *const p =
	    mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, off);

	return p == MAP_FAILED ? NULL : p;
}
