/* Names: look-up, making, linking, removing, renaming. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fs/fs.h"

/* "." and ".." are asked for by node, when a file handle is opened whose inode
 * the kernel has forgotten: "." of whatever it is.  So a file without names is
 * about to be freed, not open.  A handle does not lead out of the bucket that
 * is mounted. */
static enum err
lookup(struct fs *fs, uint64_t ino, const char *name, struct store_attr *ret)
{
	const bool dot = strcmp(name, ".") == 0;

	if (!dot && strcmp(name, "..") != 0)
		return (store_lookup(fs->store, ino, name, strlen(name), ret));
	if (dot || ino == fs->root)
		TRY(store_getattr(fs->store, ino, ret));
	else
		TRY(store_lookup(fs->store, ino, "..", 2, ret));
	if (ret->nlink == 0 ||
	    (fs->root != STORE_ROOT && ret->bucket != fs->root))
		return (ERR_STALE);
	return (OK);
}

/* A name that was looked for in vain is remembered by the kernel too: node 0
 * with a timeout.  Replies: entry, err. */
void
op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	const struct fuse_entry_param none = { .entry_timeout = FS_TIMEOUT };
	struct store_attr a;
	const enum err e = lookup(fs, fs_ino(fs, parent), name, &a);

	if (e == OK) {
		fs_reply_entry(req, &a, 0);
	} else if (e == ERR_NOENT) {
		lock_assert_none();
		(void)fuse_reply_entry(req, &none);
	} else {
		fs_reply_err(req, e);
	}
}

static struct store_new
new_inode(const struct fs *fs, uint32_t mode, const struct fuse_ctx *ctx)
{
	return ((struct store_new){
	    .mode = mode,
	    .umask = ctx->umask,
	    .uid = ctx->uid,
	    .gid = ctx->gid,
	    .sse = S_ISREG(mode) ? fs->opts->sse : NULL,
	});
}

/* What is new has no xattr but an ACL until setxattr says so. */
static unsigned
new_flags(const struct store_attr *a)
{
	return (INODE_NOCAPS | (a->xattrs == 0 ? INODE_NOXATTR : 0));
}

/* Replies: entry, err. */
static void
make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
    dev_t rdev, const char *target)
{
	struct fs *fs = fs_of(req);
	struct store_new in = new_inode(fs, mode, fuse_req_ctx(req));
	const struct kms_who who = fs_who(req);
	struct store_attr a;
	enum err e = OK;

	in.rdev = (uint32_t)rdev;
	in.target = target;
	e = store_make(fs->store, &who, fs_ino(fs, parent), name, strlen(name),
	    &in, &a, NULL);
	if (e != OK)
		fs_reply_err(req, e);
	else
		fs_reply_entry(req, &a, new_flags(&a));
}

/* Replies: entry, err. */
void
op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
    dev_t rdev)
{
	make(req, parent, name, mode, rdev, NULL);
}

/* In the directory of buckets this makes a bucket.  Replies: entry, err. */
void
op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	make(req, parent, name, (mode & 07777) | S_IFDIR, 0, NULL);
}

/* Replies: entry, err. */
void
op_symlink(
    fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	make(req, parent, name, S_IFLNK | 0777, 0, target);
}

/* Two references to what was just made and opened: the kernel's look-up and the
 * handle's. */
static enum err
adopt(struct fs *fs, const struct store_attr *a, unsigned flags,
    struct store_file *file, struct handle **ret)
{
	enum err e =
	    inodes_hold(fs->inodes, a->ino, a->keyref, flags | fs_flags(a));

	if (e != OK) {
		store_release(file);
		return (e);
	}
	e = inodes_hold(fs->inodes, a->ino, INODE_SAME_KEY, 0);
	if (e == OK) {
		e = handle_open(&fs->handles, a->ino, file, ret);
		if (e == OK)
			return (OK);
		fs_drop(fs, a->ino, 1);
	}
	store_release(file);
	fs_drop(fs, a->ino, 1);
	return (e);
}

static void
disown(struct fs *fs, struct handle *h)
{
	const uint64_t ino = h->ino;

	handle_close(&fs->handles, h);
	fs_drop(fs, ino, 2);
}

/* Replies: create, err. */
void
op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
    struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	const struct store_new in =
	    new_inode(fs, (mode & 07777) | S_IFREG, fuse_req_ctx(req));
	const struct kms_who who = fs_who(req);
	struct fuse_entry_param entry;
	struct store_file *file = NULL;
	struct store_attr a;
	struct handle *h = NULL;
	enum err e = store_make(fs->store, &who, fs_ino(fs, parent), name,
	    strlen(name), &in, &a, &file);

	if (e == OK)
		e = adopt(fs, &a, new_flags(&a), file, &h);
	if (e != OK) {
		fs_reply_err(req, e);
		return;
	}
	fi->fh = (uintptr_t)h;
	fi->keep_cache = 1;
	fi->direct_io = fs->opts->direct_io;
	fs_entry(fs, &a, &entry);
	lock_assert_none();
	if (fuse_reply_create(req, &entry, fi) != 0)
		disown(fs, h);
}

/* O_TMPFILE, for rawio.  The file has no name from the start; linkat(2) may
 * give it one. */
int
fs_tmpfile(void *arg, const struct rawio_tmpfile *in, struct rawio_made *ret)
{
	struct fs *fs = arg;
	const struct fuse_ctx ctx = {
		.uid = in->uid,
		.gid = in->gid,
		.umask = in->umask,
	};
	const struct store_new new =
	    new_inode(fs, (in->mode & 07777) | S_IFREG, &ctx);
	const struct kms_who who = fs_who_uid(fs, in->uid);
	struct store_file *file = NULL;
	struct store_attr a;
	struct handle *h = NULL;
	enum err e = store_make(
	    fs->store, &who, fs_ino(fs, in->dir), NULL, 0, &new, &a, &file);

	if (e == OK)
		e = adopt(fs, &a, new_flags(&a) | INODE_GONE, file, &h);
	lock_assert_none();
	if (e != OK)
		return (fs_errno(e));
	ret->node = fs_node(fs, a.ino);
	fs_stat(fs, &a, &ret->st);
	ret->fh = (uintptr_t)h;
	ret->direct_io = fs->opts->direct_io;
	return (0);
}

void
fs_untmpfile(void *arg, const struct rawio_made *made)
{
	disown(arg, (struct handle *)(uintptr_t)made->fh);
}

/* Replies: entry, err. */
void
op_link(
    fuse_req_t req, fuse_ino_t node, fuse_ino_t newparent, const char *newname)
{
	struct fs *fs = fs_of(req);
	const uint64_t ino = fs_ino(fs, node);
	struct store_attr a;
	const enum err e = store_link(fs->store, ino, fs_ino(fs, newparent),
	    newname, strlen(newname), &a);

	if (e != OK) {
		fs_reply_err(req, e);
		return;
	}
	inodes_mark(fs->inodes, ino, 0, INODE_GONE, 0);
	fs_reply_entry(req, &a, 0);
}

/* Replies: err. */
void
op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	uint64_t ino = 0;
	bool gone = false;
	const enum err e = store_unlink(
	    fs->store, fs_ino(fs, parent), name, strlen(name), &ino, &gone);

	if (e == OK && gone)
		fs_gone(fs, ino);
	fs_reply_err(req, e);
}

/* In the directory of buckets this removes a bucket.  Replies: err. */
void
op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	uint64_t ino = 0;
	const enum err e = store_rmdir(
	    fs->store, fs_ino(fs, parent), name, strlen(name), &ino);

	if (e == OK)
		fs_gone(fs, ino);
	fs_reply_err(req, e);
}

/* Replies: err. */
void
op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
    fuse_ino_t newparent, const char *newname, unsigned int flags)
{
	struct fs *fs = fs_of(req);
	unsigned how = 0;
	uint64_t gone = 0;
	enum err e = ERR_INVAL;

	if ((flags & RENAME_NOREPLACE) != 0)
		how |= STORE_RENAME_NOREPLACE;
	if ((flags & RENAME_EXCHANGE) != 0)
		how |= STORE_RENAME_EXCHANGE;
	if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) == 0)
		e = store_rename(fs->store, fs_ino(fs, parent), name,
		    strlen(name), fs_ino(fs, newparent), newname,
		    strlen(newname), how, &gone);
	if (e == OK && gone != 0)
		fs_gone(fs, gone);
	fs_reply_err(req, e);
}
