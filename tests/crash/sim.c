/*
 * sim: the table of system calls of the mounted disk.
 *
 * Descriptors begin far above any of the kernel's, so that a call that goes to
 * the wrong table fails.  One plain lock: calls come from under locks of every
 * rank.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/sys.h"

#include "tests/crash/cut.h"
#include "tests/crash/disk.h"

#define FD_FIRST 1000000
#define FDS 64
#define SYNC_NS 500000 /* what a sync takes when others are at work */

struct fd {
	bool used;
	int file;
	char path[DISK_PATH];
};

static struct {
	pthread_mutex_t lock;
	char root[256];
	struct disk *d;
	struct iolog *log;
	struct fd fd[FDS];
	size_t die_at;
	bool dead;
	unsigned fail_sync;
	bool failed;
	atomic_bool crowd;
	uid_t uid;
	gid_t gid;
} sim = { .lock = PTHREAD_MUTEX_INITIALIZER, .die_at = SIZE_MAX };

static void
unlock(pthread_mutex_t **m)
{
	(void)pthread_mutex_unlock(*m);
}
#define SIM_SCOPE                                            \
	pthread_mutex_t *sim_scope_ CLEANUP(unlock) UNUSED = \
	    ((void)pthread_mutex_lock(&sim.lock), &sim.lock)

static int
fails(int errnum)
{
	errno = errnum;
	return (-1);
}

/* ${path} below the root; false when it is not there. */
static bool
below(const char *path, char ret[static DISK_PATH])
{
	const char *root = strncmp(path, SIM_ROOT, strlen(SIM_ROOT)) == 0
			       ? SIM_ROOT
			       : sim.root;
	const size_t len = strlen(root);

	if (strncmp(path, root, len) != 0 ||
	    (path[len] != '/' && path[len] != '\0') ||
	    strlen(path + len) > DISK_PATH)
		return (false);
	(void)snprintf(ret, DISK_PATH, "%.*s", DISK_PATH - 1,
	    path[len] == '/' ? path + len + 1 : "");
	return (true);
}

static struct fd *
get(int fd)
{
	if (sim.d == NULL || fd < FD_FIRST || fd >= FD_FIRST + FDS ||
	    !sim.fd[fd - FD_FIRST].used)
		return (NULL);
	return (&sim.fd[fd - FD_FIRST]);
}

static struct image *
image_of(int fd)
{
	const struct fd *f = get(fd);

	return (f != NULL && f->file >= 0 ? sim.d->file[f->file] : NULL);
}

/* Do it and note it; false, with errno set, when the process is dead. */
static bool
change(const struct io *io)
{
	struct iolog *l = sim.log;

	if (l != NULL && l->n >= sim.die_at)
		sim.dead = true;
	if (sim.dead) {
		errno = EIO;
		return (false);
	}
	io_apply(sim.d, io);
	if (l == NULL)
		return (true);
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 256 : 2 * l->cap;
		l->v = realloc(l->v, l->cap * sizeof(*l->v));
		if (l->v == NULL)
			abort();
	}
	l->v[l->n] = *io;
	if (io->kind == IO_WRITE) {
		l->v[l->n].data = malloc((size_t)io->len);
		if (l->v[l->n].data == NULL)
			abort();
		memcpy(l->v[l->n].data, io->data, (size_t)io->len);
	}
	l->n++;
	return (true);
}

static int
change_name(enum io_kind kind, int file, const char *path, const char *to)
{
	struct io io = { .kind = kind, .file = file };

	(void)snprintf(io.path, sizeof(io.path), "%s", path);
	if (to != NULL)
		(void)snprintf(io.to, sizeof(io.to), "%s", to);
	return (change(&io) ? 0 : -1);
}

static void
pause_for(long ns)
{
	const struct timespec t = { 0, ns };

	(void)nanosleep(&t, NULL);
}

/* Others go on, now and then. */
static void
pause_a_little(void)
{
	static _Thread_local uint64_t rnd;

	if (!sim.crowd)
		return;
	if (rnd == 0)
		rnd = (uint64_t)(uintptr_t)&rnd;
	if (rnd_next(&rnd, 8) == 0)
		pause_for(20000);
}

/* How far a sync that begins now will reach. */
static size_t
sync_begin(void)
{
	const size_t n = sim_changes();

	if (!sim.crowd)
		return (SIZE_MAX);
	pause_for(SYNC_NS);
	return (n);
}

/* ---- The calls ---------------------------------------------------------------- */

static int
fd_new(int file, const char *path)
{
	for (int i = 0; i < FDS; i++) {
		if (sim.fd[i].used)
			continue;
		sim.fd[i] = (struct fd){ .used = true, .file = file };
		(void)snprintf(
		    sim.fd[i].path, sizeof(sim.fd[i].path), "%s", path);
		return (FD_FIRST + i);
	}
	return (fails(EMFILE));
}

/* The file or directory of a name; -2: none. */
static int
file_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	const struct disk_name *n;
	char dir[DISK_PATH];

	if (path[0] == '\0')
		return (DISK_DIR);
	if (slash != NULL) {
		(void)snprintf(
		    dir, sizeof(dir), "%.*s", (int)(slash - path), path);
		if (disk_find(sim.d, dir) == NULL)
			return (-2);
	}
	n = disk_find(sim.d, path);
	return (n == NULL ? -2 : n->file);
}

static int
sim_open(const char *path, int flags, mode_t mode UNUSED)
{
	char p[DISK_PATH];
	int file;

	SIM_SCOPE;
	if (sim.d == NULL || !below(path, p))
		return (fails(ENOENT));
	file = file_of(p);
	if (file == DISK_DIR && (flags & O_ACCMODE) != O_RDONLY)
		return (fails(EISDIR));
	if (file >= 0 && (flags & O_DIRECTORY) != 0)
		return (fails(ENOTDIR));
	if (file != -2 && (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return (fails(EEXIST));
	if (file == -2 && (flags & O_CREAT) == 0)
		return (fails(ENOENT));
	if (file == -2) {
		file = sim.d->nfiles;
		if (change_name(IO_LINK, file, p, NULL) != 0)
			return (-1);
	}
	return (fd_new(file, p));
}

static int
sim_close(int fd)
{
	struct fd *f;

	SIM_SCOPE;
	f = get(fd);
	if (f == NULL)
		return (fails(EBADF));
	f->used = false;
	return (0);
}

static ssize_t
sim_pread(int fd, void *buf, size_t len, off_t off)
{
	const struct image *im;

	SIM_SCOPE;
	im = image_of(fd);
	if (im == NULL)
		return (fails(EBADF));
	if ((uint64_t)off >= im->size)
		return (0);
	if (len > im->size - (uint64_t)off)
		len = (size_t)(im->size - (uint64_t)off);
	image_read(im, (uint64_t)off, buf, len);
	return ((ssize_t)len);
}

static off_t
sim_seek_data(int fd, off_t off)
{
	SIM_SCOPE;
	return (image_of(fd) == NULL ? fails(EBADF) : off);
}

static ssize_t
sim_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	struct io io = { .kind = IO_WRITE, .off = (uint64_t)off, .len = len };

	pause_a_little();
	SIM_SCOPE;
	if (image_of(fd) == NULL)
		return (fails(EBADF));
	io.file = get(fd)->file;
	io.data = (uint8_t *)(uintptr_t)buf;
	return (len == 0 || change(&io) ? (ssize_t)len : -1);
}

static ssize_t
sim_pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	ssize_t done = 0;

	for (int i = 0; i < n; i++) {
		const ssize_t r =
		    sim_pwrite(fd, iov[i].iov_base, iov[i].iov_len, off + done);

		if (r < 0)
			return (done > 0 ? done : r);
		done += r;
	}
	return (done);
}

/* The keystore's files are SQLite's own matter outside of this simulation. */
static bool
of_keystore(const struct fd *f)
{
	return (strstr(f->path, "keys.db") != NULL);
}

static int
sync_file(const struct fd *f, size_t begin)
{
	struct io io = { .kind = IO_SYNC, .file = f->file, .len = begin };

	if (sim.fail_sync > 0 && !of_keystore(f) && --sim.fail_sync == 0) {
		io.kind = IO_SYNC_FAIL;
		sim.failed = true;
		(void)change(&io);
		return (fails(EIO));
	}
	return (change(&io) ? 0 : -1);
}

static int
sim_fdatasync(int fd)
{
	const size_t begin = sync_begin();
	const struct fd *f;

	SIM_SCOPE;
	f = get(fd);
	return (f == NULL || f->file < 0 ? fails(EBADF) : sync_file(f, begin));
}

static int
sim_fsync(int fd)
{
	const size_t begin = sync_begin();
	const struct fd *f;

	SIM_SCOPE;
	f = get(fd);
	if (f == NULL)
		return (fails(EBADF));
	if (f->file >= 0)
		return (sync_file(f, begin));
	return (change_name(IO_SYNC_DIR, DISK_DIR, f->path, NULL));
}

/* Make it ${size} bytes; only ever longer with ${grow}. */
static int
resize(int fd, uint64_t size, bool grow)
{
	const struct image *im = image_of(fd);
	struct io io = { .kind = IO_SIZE, .len = size };

	if (im == NULL)
		return (fails(EBADF));
	if (size == im->size || (grow && size < im->size))
		return (0);
	io.file = get(fd)->file;
	return (change(&io) ? 0 : -1);
}

static int
sim_ftruncate(int fd, off_t len)
{
	SIM_SCOPE;
	return (resize(fd, (uint64_t)len, false));
}

static int
sim_fallocate(int fd, int mode, off_t off, off_t len)
{
	struct io io = {
		.kind = IO_PUNCH, .off = (uint64_t)off, .len = (uint64_t)len
	};
	const struct image *im;

	SIM_SCOPE;
	im = image_of(fd);
	if (im == NULL)
		return (fails(EBADF));
	io.file = get(fd)->file;
	if (mode == 0)
		return (resize(fd, (uint64_t)(off + len), true));
	if (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return (fails(EOPNOTSUPP));
	if (io.off >= im->size)
		return (0);
	if (io.len > im->size - io.off)
		io.len = im->size - io.off;
	return (change(&io) ? 0 : -1);
}

static int
stat_of(int file, struct stat *st)
{
	*st = (struct stat){ .st_dev = 1,
		.st_ino = (ino_t)(file + 10),
		.st_uid = sim.uid,
		.st_gid = sim.gid,
		.st_nlink = 1,
		.st_mode = S_IFDIR | 0700 };
	if (file >= 0) {
		st->st_mode = S_IFREG | 0600;
		st->st_size = (off_t)sim.d->file[file]->size;
	}
	return (0);
}

static int
sim_fstat(int fd, struct stat *st)
{
	const struct fd *f;

	SIM_SCOPE;
	f = get(fd);
	return (f == NULL ? fails(EBADF) : stat_of(f->file, st));
}

static int
sim_stat(const char *path, struct stat *st)
{
	char p[DISK_PATH];
	int file;

	SIM_SCOPE;
	if (sim.d == NULL || !below(path, p))
		return (fails(ENOENT));
	file = file_of(p);
	return (file == -2 ? fails(ENOENT) : stat_of(file, st));
}

static int
sim_unlink(const char *path)
{
	char p[DISK_PATH];

	SIM_SCOPE;
	if (sim.d == NULL || !below(path, p) || file_of(p) == -2)
		return (fails(ENOENT));
	return (change_name(IO_UNLINK, DISK_DIR, p, NULL));
}

static int
sim_rename(const char *from, const char *to)
{
	char p[DISK_PATH], q[DISK_PATH];

	SIM_SCOPE;
	if (sim.d == NULL || !below(from, p) || !below(to, q) ||
	    file_of(p) == -2)
		return (fails(ENOENT));
	return (change_name(IO_RENAME, DISK_DIR, p, q));
}

static int
sim_mkdir(const char *path, mode_t mode UNUSED)
{
	char p[DISK_PATH];

	SIM_SCOPE;
	if (sim.d == NULL || !below(path, p))
		return (fails(ENOENT));
	if (file_of(p) != -2)
		return (fails(EEXIST));
	return (change_name(IO_LINK, DISK_DIR, p, NULL));
}

static int
sim_statvfs(const char *path UNUSED, struct statvfs *st)
{
	*st = (struct statvfs){ .f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = 1u << 28,
		.f_bfree = 1u << 27,
		.f_bavail = 1u << 27,
		.f_files = 1u << 20,
		.f_ffree = 1u << 20 };
	return (0);
}

static int
sim_lock(int fd)
{
	SIM_SCOPE;
	return (get(fd) == NULL ? fails(EBADF) : 0);
}

static int
sim_mapped(const char *call UNUSED)
{
	return (0);
}

static const struct sys_ops sim_ops = {
	.mapped = sim_mapped,
	.open = sim_open,
	.close = sim_close,
	.pread = sim_pread,
	.seek_data = sim_seek_data,
	.pwrite = sim_pwrite,
	.pwritev = sim_pwritev,
	.fdatasync = sim_fdatasync,
	.fsync = sim_fsync,
	.ftruncate = sim_ftruncate,
	.fallocate = sim_fallocate,
	.fstat = sim_fstat,
	.stat = sim_stat,
	.unlink = sim_unlink,
	.rename = sim_rename,
	.mkdir = sim_mkdir,
	.statvfs = sim_statvfs,
	.lock = sim_lock,
};

/* ---- Mounting ------------------------------------------------------------------ */

void
sim_start(const char *root)
{
	(void)snprintf(sim.root, sizeof(sim.root), "%s", root);
	sim.uid = geteuid();
	sim.gid = getegid();
	sys_install(&sim_ops);
}

void
sim_mount(struct disk *d, struct iolog *log)
{
	SIM_SCOPE;
	sim.d = d;
	sim.log = log;
	sim.die_at = SIZE_MAX;
	sim.dead = sim.failed = false;
	sim.crowd = false;
	sim.fail_sync = 0;
}

void
sim_unmount(void)
{
	SIM_SCOPE;
	for (int i = 0; i < FDS; i++)
		if (sim.fd[i].used) {
			(void)printf("# left open: %s\n", sim.fd[i].path);
			abort();
		}
	sim.d = NULL;
	sim.log = NULL;
}

void
sim_die_at(size_t n)
{
	SIM_SCOPE;
	sim.die_at = n;
	sim.dead = false;
}

bool
sim_dead(void)
{
	SIM_SCOPE;
	return (sim.dead);
}

void
sim_fail_sync(unsigned n)
{
	SIM_SCOPE;
	sim.fail_sync = n;
}

bool
sim_failed(void)
{
	SIM_SCOPE;
	return (sim.failed);
}

void
sim_crowd(void)
{
	sim.crowd = true;
}

size_t
sim_changes(void)
{
	SIM_SCOPE;
	return (sim.log != NULL ? sim.log->n : 0);
}
