/*
 * The reserve on disk.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "kms/reserve.h"
#include "kms/sysfd.h"

#define ROOM ((off_t)256 << 10)

static int
reserve_open(const char *path, int flags)
{
	char name[PATH_MAX + 16];

	(void)snprintf(name, sizeof(name), "%s-reserve", path);
	return sys->open(
	    name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0600);
}

void
reserve_take(const char *path)
{
	int fd CLEANUP_SYSFD = reserve_open(path, O_CREAT);
	struct stat st;

	if (fd < 0 || sys->fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
	    st.st_size >= ROOM)
		return;
	/* What is there in part is of no use to anybody. */
	if (sys->fallocate(fd, 0, 0, ROOM) != 0)
		(void)sys->ftruncate(fd, 0);
}

bool
reserve_needed(const char *path)
{
	struct statvfs v;

	return sys->statvfs(path, &v) == 0 &&
	       (uint64_t)v.f_bavail * v.f_frsize < (uint64_t)ROOM;
}

bool
reserve_give(const char *path)
{
	int fd CLEANUP_SYSFD = reserve_open(path, 0);
	struct stat st;

	if (fd < 0 || sys->fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
	    st.st_size == 0 || sys->ftruncate(fd, 0) != 0)
		return false;
	/* Filesystems that never write in place have the room after that. */
	(void)syncfs(fd);
	return true;
}
