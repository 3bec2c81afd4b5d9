/* Content: open, read, write, sync, space, holes, copies. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/fs.h"
#include "lib/base/clock.h"

/* One request copies at most this much, so that it ends in good time even when
 * nothing can be shared; callers go on with the rest. */
#define COPY_MAX ((size_t)64 << 20)
#define EARLY_BYTES 131072u /* a write of this size is answered early */

/*
 * open(O_TRUNC).  Comes after the key was asked for.  The times change even
 * when the file was empty.  Without rawio's negotiation the kernel leaves
 * set-id bits to us here and does not say whether the writer is privileged;
 * only root is taken to be.
 */
static enum err
open_truncate(fuse_req_t req, uint64_t ino)
{
	struct fs *fs = fs_of(req);
	const struct store_attr in = { .mtime = clock_wall() };
	const struct kms_who who = fs_who(req);
	unsigned what = STORE_SET_SIZE | STORE_SET_MTIME;
	struct store_attr a;

	if (rawio_kill() ||
	    (!fs->raw.killpriv && fuse_req_ctx(req)->uid != 0)) {
		TRY(store_getattr(fs->store, ino, &a));
		what |= fs_kill_fields(req, &a);
	}
	TRY(store_setattr(fs->store, &who, ino, what, &in, &a));
	if ((inodes_flags(fs->inodes, ino) & INODE_SETID) != 0) {
		inodes_mark(fs->inodes, ino, fs_flags(&a), INODE_SETID, 0);
		fs_stale_attr(fs, ino);
	}
	return (OK);
}

static enum err
open_file(fuse_req_t req, uint64_t ino, int flags, struct handle **ret)
{
	struct fs *fs = fs_of(req);
	const struct kms_who who = fs_who(req);
	struct store_file *file = NULL;
	enum err e = OK;

	TRY(store_open(fs->store, &who, ino, &file));
	if ((flags & O_NOATIME) != 0)
		store_file_noatime(file);
	if ((flags & O_TRUNC) != 0)
		e = open_truncate(req, ino);
	if (e == OK)
		e = inodes_hold(fs->inodes, ino, INODE_SAME_KEY, 0);
	if (e != OK) {
		store_release(file);
		return (e);
	}
	e = handle_open(&fs->handles, ino, file, ret);
	if (e != OK) {
		store_release(file);
		fs_drop(fs, ino, 1);
	}
	return (e);
}

static void
close_file(struct fs *fs, struct handle *h)
{
	const uint64_t ino = h->ino;

	handle_close(&fs->handles, h);
	fs_drop(fs, ino, 1);
}

/* Replies: open, err. */
void
op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = NULL;
	const enum err e = open_file(req, fs_ino(fs, node), fi->flags, &h);

	if (e != OK) {
		fs_reply_err(req, e);
		return;
	}
	fi->fh = (uintptr_t)h;
	fi->keep_cache = 1;
	fi->direct_io = fs->opts->direct_io;
	lock_assert_none();
	if (fuse_reply_open(req, fi) != 0)
		close_file(fs, h);
}

/* Replies: err. */
void
op_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	(void)node;
	close_file(fs_of(req), fs_handle(fi));
	fs_reply_err(req, OK);
}

/* Replies: buf, err. */
void
op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	void *buf = loop_buffer();
	size_t len = 0;
	enum err e = OK;

	(void)node;
	if (size > FS_IO_MAX)
		size = FS_IO_MAX;
	e = store_read(fs_handle(fi)->file, (uint64_t)off, buf, size, &len);
	if (e != OK) {
		fs_reply_err(req, e);
		return;
	}
	lock_assert_none();
	(void)fuse_reply_buf(req, buf, len);
}

/* Of ${len} bytes at ${off}, those below the largest size: write(2) takes what
 * there is room for.  From that size on all of them, for an error. */
static size_t
below_limit(uint64_t off, size_t len)
{
	if (off < STORE_SIZE_MAX && len > STORE_SIZE_MAX - off)
		return ((size_t)(STORE_SIZE_MAX - off));
	return (len);
}

struct early {
	fuse_req_t req;
	size_t size;
};

/* With the file's lock held, unlike any other reply: it waits for nothing, and
 * whoever the client sends next waits for the file, not for the client. */
static void
write_answer(void *arg)
{
	const struct early *a = arg;

	(void)fuse_reply_write(a->req, a->size);
}

/*
 * A long write is answered as soon as nothing but the disk can refuse it, so
 * that the client fills its next one while this is sealed and written.
 *
 * The kernel's offset counts, also with O_APPEND: it holds the inode's lock and
 * knows the size, as nobody else writes.  Appending at the store's idea of the
 * end would put the pieces of one large direct write, which arrive together,
 * into any order.
 *
 * Replies: write, err.
 */
void
op_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size,
    off_t off, struct fuse_file_info *fi)
{
	const struct handle *h = fs_handle(fi);
	/* After the answer neither the request nor the handle may be there. */
	struct fs *fs = fs_of(req);
	const uint64_t ino = h->ino;
	const bool kill = rawio_kill();
	const unsigned flags = kill ? STORE_WRITE_KILLPRIV : 0;
	struct early early = { req, 0 };
	bool answered = false;
	enum err e;

	(void)node;
	size = below_limit((uint64_t)off, size);
	early.size = size;
	if (size >= EARLY_BYTES && !kill)
		e = store_write_early(h->file, (uint64_t)off, buf, size, flags,
		    write_answer, &early, &answered);
	else
		e = store_write(h->file, (uint64_t)off, buf, size, flags);
	if (answered) {
		/* The kernel took the bytes for written. */
		if (e != OK)
			fs_stale(fs, ino);
		return;
	}
	if (e != OK) {
		fs_reply_err(req, e);
		return;
	}
	if (kill)
		fs_kill_setid(req, h->ino, true);
	lock_assert_none();
	(void)fuse_reply_write(req, size);
}

/* Replies: err. */
void
op_fsync(
    fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi)
{
	const enum err e = store_fsync_file(fs_handle(fi)->file);

	(void)node;
	(void)datasync;
	lock_assert_none();
	(void)fuse_reply_err(req, fs_errno_sync(e));
}

/* Replies: err. */
void
op_fsyncdir(
    fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	const enum err e = store_fsync(fs->store, fs_ino(fs, node));

	(void)datasync;
	(void)fi;
	lock_assert_none();
	(void)fuse_reply_err(req, fs_errno_sync(e));
}

/* The store's flags for those of fallocate(2). */
static enum err
falloc_mode(int mode, unsigned *ret)
{
	*ret = 0;
	switch (mode) {
	case 0:
		return (OK);
	case FALLOC_FL_KEEP_SIZE:
		*ret = STORE_FALLOC_KEEP_SIZE;
		return (OK);
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
		*ret = STORE_FALLOC_PUNCH | STORE_FALLOC_KEEP_SIZE;
		return (OK);
	case FALLOC_FL_ZERO_RANGE:
		*ret = STORE_FALLOC_ZERO;
		return (OK);
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		*ret = STORE_FALLOC_ZERO | STORE_FALLOC_KEEP_SIZE;
		return (OK);
	default:
		return (ERR_NOTSUP);
	}
}

/* Replies: err. */
void
op_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset,
    off_t length, struct fuse_file_info *fi)
{
	struct handle *h = fs_handle(fi);
	unsigned how = 0;
	enum err e = falloc_mode(mode, &how);

	(void)node;
	if (e == OK && (offset < 0 || length <= 0))
		e = ERR_INVAL;
	if (e == OK)
		e = store_fallocate(
		    h->file, how, (uint64_t)offset, (uint64_t)length);
	if (e == OK)
		fs_kill_setid(req, h->ino, false);
	fs_reply_err(req, e);
}

/* The kernel asks for SEEK_DATA and SEEK_HOLE only.  Replies: lseek, err. */
void
op_lseek(fuse_req_t req, fuse_ino_t node, off_t off, int whence,
    struct fuse_file_info *fi)
{
	uint64_t pos = 0;
	enum err e = ERR_INVAL;

	(void)node;
	if (off < 0)
		e = ERR_NXIO;
	else if (whence == SEEK_DATA || whence == SEEK_HOLE)
		e = store_seek(fs_handle(fi)->file, (uint64_t)off,
		    whence == SEEK_DATA, &pos);
	if (e != OK) {
		fs_reply_err(req, e);
		return;
	}
	lock_assert_none();
	(void)fuse_reply_lseek(req, (off_t)pos);
}

/* Replies: write, err. */
void
op_copy_file_range(fuse_req_t req, fuse_ino_t node_in, off_t off_in,
    struct fuse_file_info *fi_in, fuse_ino_t node_out, off_t off_out,
    struct fuse_file_info *fi_out, size_t len, int flags)
{
	struct handle *out = fs_handle(fi_out);
	uint64_t done = 0;
	enum err e = ERR_INVAL;

	(void)node_in;
	(void)node_out;
	if (len > COPY_MAX)
		len = COPY_MAX;
	if (flags == 0 && off_in >= 0 && off_out >= 0)
		e = store_copy(fs_handle(fi_in)->file, (uint64_t)off_in,
		    out->file, (uint64_t)off_out,
		    below_limit((uint64_t)off_out, len), &done);
	if (e != OK) {
		fs_reply_err(req, e);
		return;
	}
	fs_kill_setid(req, out->ino, false);
	lock_assert_none();
	(void)fuse_reply_write(req, (size_t)done);
}
