#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/loop.h"
#include "fs/rawio.h"

/* Flags of INIT that libfuse does not know. */
#define EXTRA (FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT)
#define ALLOW_MMAP (1ULL << 36) /* FUSE_DIRECT_IO_ALLOW_MMAP */
#define EXTRA2 ((uint32_t)(ALLOW_MMAP >> 32))

/* One mount per process; libfuse's hooks get only the session's user data,
 * which belongs to the operations. */
static struct rawio *installed;

/* The request that this thread is serving. */
static _Thread_local bool serving_kill;
static _Thread_local bool serving_init;

static ssize_t
raw_read(int fd, void *buf, size_t len, void *userdata)
{
	(void)userdata;
	/* libfuse does not know how long the loop's buffer is. */
	if (len > LOOP_REQUEST_MAX)
		len = LOOP_REQUEST_MAX;
	return (read(fd, buf, len));
}

/*
 * libfuse's answers.  The one to INIT gets the flags that libfuse does not
 * know; its sizes and positions are the protocol's, checked before use.
 */
static ssize_t
raw_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fuse_init_out out;
	struct iovec v[2];

	(void)userdata;
	if (!serving_init || count != 2 ||
	    iov[0].iov_len != sizeof(struct fuse_out_header) ||
	    iov[1].iov_len != sizeof(out))
		return (writev(fd, iov, count));
	memcpy(&out, iov[1].iov_base, sizeof(out));
	out.flags |= installed->offered;
	if (installed->offered2 != 0) {
		out.flags |= FUSE_INIT_EXT;
		out.flags2 |= installed->offered2;
	}
	installed->killpriv =
	    (installed->offered & FUSE_HANDLE_KILLPRIV_V2) != 0;
	installed->setxattr_ext = (installed->offered & FUSE_SETXATTR_EXT) != 0;
	v[0] = iov[0];
	v[1].iov_base = &out;
	v[1].iov_len = sizeof(out);
	return (writev(fd, v, 2));
}

enum err
rawio_install(struct fuse_session *se, struct rawio *r)
{
	static const struct fuse_custom_io io = {
		.read = raw_read,
		.writev = raw_writev,
	};

	installed = r;
	if (fuse_session_custom_io(se, &io, fuse_session_fd(se)) != 0)
		return (ERR_NOMEM);
	return (OK);
}

bool
rawio_kill(void)
{
	return (serving_kill);
}

/* True when the kernel took it. */
static bool
raw_answer(int fd, uint64_t unique, int errnum, const void *body, size_t len)
{
	struct fuse_out_header h = {
		.len = (uint32_t)(sizeof(h) + len),
		.error = -errnum,
		.unique = unique,
	};
	struct iovec v[2] = {
		{ &h, sizeof(h) },
		{ (void *)(uintptr_t)body, len },
	};

	return (writev(fd, v, len == 0 ? 1 : 2) >= 0);
}

static void
raw_attr(const struct stat *st, struct fuse_attr *ret)
{
	*ret = (struct fuse_attr){
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.blocks = (uint64_t)st->st_blocks,
		.atime = (uint64_t)st->st_atim.tv_sec,
		.mtime = (uint64_t)st->st_mtim.tv_sec,
		.ctime = (uint64_t)st->st_ctim.tv_sec,
		.atimensec = (uint32_t)st->st_atim.tv_nsec,
		.mtimensec = (uint32_t)st->st_mtim.tv_nsec,
		.ctimensec = (uint32_t)st->st_ctim.tv_nsec,
		.mode = st->st_mode,
		.nlink = (uint32_t)st->st_nlink,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.rdev = (uint32_t)st->st_rdev,
		.blksize = (uint32_t)st->st_blksize,
	};
}

/* The name in the request is the kernel's placeholder and is not looked at. */
static void
raw_tmpfile(struct rawio *r, int fd, const struct fuse_in_header *h,
    const struct fuse_create_in *in)
{
	const struct rawio_tmpfile req = {
		.dir = h->nodeid,
		.mode = in->mode,
		.umask = in->umask,
		.uid = h->uid,
		.gid = h->gid,
		.flags = in->flags,
	};
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;
	struct rawio_made made;
	int errnum = 0;

	memset(&made, 0, sizeof(made));
	errnum = r->tmpfile(r->arg, &req, &made);
	if (errnum != 0) {
		(void)raw_answer(fd, h->unique, errnum, NULL, 0);
		return;
	}
	memset(&out, 0, sizeof(out));
	out.entry.nodeid = made.node;
	out.entry.entry_valid = (uint64_t)r->timeout;
	out.entry.attr_valid = (uint64_t)r->timeout;
	raw_attr(&made.st, &out.entry.attr);
	out.open.fh = made.fh;
	out.open.open_flags =
	    made.direct_io ? FOPEN_DIRECT_IO : FOPEN_KEEP_CACHE;
	if (!raw_answer(fd, h->unique, 0, &out, sizeof(out)))
		r->untmpfile(r->arg, &made);
}

/* Copy the fixed part of a request; false when it is too short. */
static bool
raw_args(const void *mem, size_t len, void *ret, size_t size)
{
	if (len < sizeof(struct fuse_in_header) + size)
		return (false);
	memcpy(ret, (const uint8_t *)mem + sizeof(struct fuse_in_header), size);
	return (true);
}

static void
raw_init(struct rawio *r, const void *mem, size_t len)
{
	struct fuse_init_in in = { 0 };

	serving_init = true;
	if (!raw_args(mem, len, &in, offsetof(struct fuse_init_in, flags2)) ||
	    in.major != FUSE_KERNEL_VERSION || in.minor < 33)
		return;
	r->offered = in.flags & EXTRA;
	if ((in.flags & FUSE_INIT_EXT) != 0 &&
	    raw_args(mem, len, &in, sizeof(in)))
		r->offered2 = in.flags2 & EXTRA2;
}

/* The name and its NUL, then the value, stand after the fixed part. */
static void
raw_setxattr(struct rawio *r, int fd, const struct fuse_in_header *h,
    const void *mem, size_t len)
{
	const size_t head = sizeof(*h) + sizeof(struct fuse_setxattr_in);
	struct fuse_setxattr_in in;
	struct rawio_setxattr req;
	size_t n = 0;

	if (!raw_args(mem, len, &in, sizeof(in))) {
		(void)raw_answer(fd, h->unique, EIO, NULL, 0);
		return;
	}
	req = (struct rawio_setxattr){
		.node = h->nodeid,
		.uid = h->uid,
		.name = (const char *)mem + head,
		.size = in.size,
		.flags = (int)in.flags,
		.kill_sgid =
		    (in.setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) != 0,
	};
	n = strnlen(req.name, len - head);
	if (n == len - head || len - head - n - 1 < in.size) {
		(void)raw_answer(fd, h->unique, EIO, NULL, 0);
		return;
	}
	req.value = req.name + n + 1;
	(void)raw_answer(fd, h->unique, r->setxattr(r->arg, &req), NULL, 0);
}

bool
rawio_request(struct rawio *r, int fd, const void *mem, size_t len)
{
	struct fuse_in_header h;
	union {
		struct fuse_write_in write;
		struct fuse_open_in open;
		struct fuse_create_in create;
		struct fuse_setattr_in setattr;
	} in;

	serving_kill = false;
	serving_init = false;
	if (len < sizeof(h))
		return (false);
	memcpy(&h, mem, sizeof(h));
	switch (h.opcode) {
	case FUSE_WRITE:
		if (r->killpriv && raw_args(mem, len, &in, sizeof(in.write)))
			serving_kill = (in.write.write_flags &
					   FUSE_WRITE_KILL_SUIDGID) != 0;
		return (false);
	case FUSE_OPEN:
		if (r->killpriv && raw_args(mem, len, &in, sizeof(in.open)))
			serving_kill =
			    (in.open.open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
		return (false);
	case FUSE_SETATTR:
		if (r->killpriv && raw_args(mem, len, &in, sizeof(in.setattr)))
			serving_kill =
			    (in.setattr.valid & FATTR_KILL_SUIDGID) != 0;
		return (false);
	case FUSE_SETXATTR:
		if (r->setxattr_ext)
			raw_setxattr(r, fd, &h, mem, len);
		return (r->setxattr_ext);
	case FUSE_INIT:
		raw_init(r, mem, len);
		return (false);
	case FUSE_INTERRUPT:
		(void)raw_answer(fd, h.unique, ENOSYS, NULL, 0);
		return (true);
	case FUSE_TMPFILE:
		if (!raw_args(mem, len, &in, sizeof(in.create)))
			(void)raw_answer(fd, h.unique, EIO, NULL, 0);
		else
			raw_tmpfile(r, fd, &h, &in.create);
		return (true);
	default:
		return (false);
	}
}
