/*
 * sys: the one door to the disk for arenas, SQLite and small files.
 *
 * Every call goes through the table ${sys}, so that tests replace the disk
 * (simulated crashes) or make the Nth call fail.  Descriptors are whatever
 * the table's open returns: pass them to calls of the same table only.
 *
 * Calls behave as their namesakes of Linux: -1 and errno on failure.  The
 * sys_*_full helpers loop over short transfers and EINTR and return enum err.
 * Thread-safe: a table is exchanged whole (fault points are set while other
 * threads run), and a call that has begun ends in the table it began with.
 * sys_install(), which changes what descriptors mean, is for the start of a
 * process.
 */
#ifndef LIB_BASE_SYS_H
#define LIB_BASE_SYS_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "lib/base/err.h"

struct sys_ops {
	int (*open)(const char *path, int flags, mode_t mode);
	int (*close)(int fd);
	ssize_t (*pread)(int fd, void *buf, size_t len, off_t off);
	/* The next byte from ${off} on that is not of a hole; ENXIO: none. */
	off_t (*seek_data)(int fd, off_t off);
	ssize_t (*pwrite)(int fd, const void *buf, size_t len, off_t off);
	ssize_t (*pwritev)(int fd, const struct iovec *iov, int n, off_t off);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd);
	int (*ftruncate)(int fd, off_t len);
	int (*fallocate)(int fd, int mode, off_t off, off_t len);
	int (*fstat)(int fd, struct stat *st);
	int (*stat)(const char *path, struct stat *st);
	int (*unlink)(const char *path);
	int (*rename)(const char *from, const char *to);
	int (*mkdir)(const char *path, mode_t mode);
	int (*statvfs)(const char *path, struct statvfs *st);
	/* Exclusive advisory lock of the whole file, held by the description
	 * (OFD lock); EAGAIN when another holds it. */
	int (*lock)(int fd);
	/* Asked before a ${call} ("open", "mmap", …) of a file that is mapped
	 * (sys_map_open() and what follows it): 0, or -1 and errno: it fails. */
	int (*mapped)(const char *call);
};

/* The table in force: Linux's own unless replaced. */
extern const struct sys_ops *_Atomic sys;
extern const struct sys_ops sys_linux;
void sys_install(const struct sys_ops *ops);

/*
 * Fault points: make the ${nth} call (1 = the next) of the kind named ${call}
 * ("pwrite", "fdatasync", …; "*" any) fail with ${errnum}; every later one as
 * well when ${forever}.  With ${nth} 0 none fails: they are only counted.
 * sys_fault_clear() ends it and returns how many matching calls were seen
 * since it was set.
 */
void sys_fault_set(const char *call, unsigned nth, int errnum, int forever);
unsigned sys_fault_clear(void);

/* All ${len} bytes; ERR_CORRUPT when the file ends before. */
enum err sys_pread_full(int fd, void *buf, size_t len, uint64_t off) MUSTCHECK;
enum err sys_pwrite_full(
    int fd, const void *buf, size_t len, uint64_t off) MUSTCHECK;

/*
 * Filesystems that write elsewhere (btrfs) need room for every change of a block,
 * and give a SIGBUS when a mapped one finds none: ask them not to for the file
 * ${fd} of Linux's own, which is still empty.  Others do not mind.
 */
void sys_in_place(int fd);

/*
 * Files that several processes map, and so files of Linux whatever the table is,
 * which is only asked whether the call shall fail.  As their namesakes: fcntl
 * for locks, and mmap of all of it, to be read and written by all: NULL and errno.
 */
int sys_map_open(const char *path, int flags, mode_t mode) MUSTCHECK;
int sys_map_fstat(int fd, struct stat *st) MUSTCHECK;
int sys_map_ftruncate(int fd, off_t len) MUSTCHECK;
int sys_map_fallocate(int fd, off_t off, off_t len) MUSTCHECK;
int sys_map_lock(int fd, int op, struct flock *l) MUSTCHECK;
void *sys_map(int fd, off_t off, size_t len) MUSTCHECK;

/* fsync the directory ${path}. */
enum err sys_sync_dir(const char *path) MUSTCHECK;
/* fsync the directory that holds ${path}. */
enum err sys_sync_parent(const char *path) MUSTCHECK;

/*
 * Read a whole small file, at most ${max} bytes, without following a link in
 * the last component.
 */
enum err sys_read_file(
    const char *path, size_t max, uint8_t **ret, size_t *ret_len) MUSTCHECK;
/*
 * Make ${path} hold ${data}: written beside it, synced, renamed over it, the
 * directory synced.  With ${excl} an existing file is ERR_EXIST.
 */
enum err sys_write_file(const char *path, const void *data, size_t len,
    mode_t mode, int excl) MUSTCHECK;

#endif
