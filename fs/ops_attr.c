/* Attributes, references, symlink targets, the filesystem's figures. */
#include <sys/statvfs.h>

#include "fs/fs.h"
#include "lib/base/clock.h"

/* Replies: none. */
void
op_forget(fuse_req_t req, fuse_ino_t node, uint64_t nlookup)
{
	struct fs *fs = fs_of(req);

	fs_drop(fs, fs_ino(fs, node), nlookup);
	lock_assert_none();
	fuse_reply_none(req);
}

/* Replies: none. */
void
op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct fs *fs = fs_of(req);

	for (size_t i = 0; i < count; i++)
		fs_drop(fs, fs_ino(fs, forgets[i].ino), forgets[i].nlookup);
	lock_assert_none();
	fuse_reply_none(req);
}

/* Replies: attr, err. */
void
op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	const uint64_t ino = fs_ino(fs, node);
	struct store_attr a;
	const enum err e = store_getattr(fs->store, ino, &a);

	(void)fi;
	if (e != OK) {
		fs_reply_err(req, e);
		return;
	}
	inodes_mark(fs->inodes, ino, fs_flags(&a), INODE_SETID, 0);
	fs_reply_attr(req, &a);
}

/* The store's fields for ${to_set}. */
static unsigned
setattr_fields(const struct stat *st, int to_set, struct store_attr *ret)
{
	const struct timespec now = clock_wall();
	unsigned what = 0;

	*ret = (struct store_attr){
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = (uint64_t)st->st_size,
		.atime = st->st_atim,
		.mtime = st->st_mtim,
	};
	if ((to_set & FUSE_SET_ATTR_MODE) != 0)
		what |= STORE_SET_MODE;
	if ((to_set & FUSE_SET_ATTR_UID) != 0)
		what |= STORE_SET_UID;
	if ((to_set & FUSE_SET_ATTR_GID) != 0)
		what |= STORE_SET_GID;
	if ((to_set & FUSE_SET_ATTR_SIZE) != 0)
		what |= STORE_SET_SIZE;
	if ((to_set & FUSE_SET_ATTR_ATIME) != 0)
		what |= STORE_SET_ATIME;
	if ((to_set & FUSE_SET_ATTR_MTIME) != 0)
		what |= STORE_SET_MTIME;
	if ((to_set & FUSE_SET_ATTR_ATIME_NOW) != 0) {
		what |= STORE_SET_ATIME;
		ret->atime = now;
	}
	if ((to_set & FUSE_SET_ATTR_MTIME_NOW) != 0) {
		what |= STORE_SET_MTIME;
		ret->mtime = now;
	}
	return (what);
}

/*
 * Nothing to set.  The kernel asks so for chown(2) of -1 and -1, which changes
 * ctime and takes set-id bits; it has not looked who asks, as anybody may ask.
 * And it asks so before a write that takes set-id bits, which says so itself.
 * So the bits go here only for those who might have removed them.
 */
static enum err
set_nothing(fuse_req_t req, uint64_t ino, struct store_attr *ret)
{
	struct fs *fs = fs_of(req);
	const uid_t uid = fuse_req_ctx(req)->uid;
	const struct kms_who who = fs_who(req);
	const struct store_attr none = { .ino = ino };

	TRY(store_getattr(fs->store, ino, ret));
	if (uid != 0 && uid != ret->uid &&
	    (ret->mode & (S_ISUID | S_ISGID)) != 0)
		return (OK);
	return (store_setattr(
	    fs->store, &who, ino, fs_kill_fields(req, ret), &none, ret));
}

static enum err
set_some(fuse_req_t req, uint64_t ino, unsigned what,
    const struct store_attr *in, struct store_attr *ret)
{
	struct fs *fs = fs_of(req);
	const struct kms_who who = fs_who(req);

	if (rawio_kill()) {
		TRY(store_getattr(fs->store, ino, ret));
		what |= fs_kill_fields(req, ret);
	}
	return (store_setattr(fs->store, &who, ino, what, in, ret));
}

/* Replies: attr, err. */
void
op_setattr(fuse_req_t req, fuse_ino_t node, struct stat *attr, int to_set,
    struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	const uint64_t ino = fs_ino(fs, node);
	struct store_attr in, a;
	const unsigned what = setattr_fields(attr, to_set, &in);
	const enum err e = what == 0 ? set_nothing(req, ino, &a)
				     : set_some(req, ino, what, &in, &a);

	(void)fi;
	if (e != OK) {
		fs_reply_err(req, e);
		return;
	}
	inodes_mark(fs->inodes, ino, fs_flags(&a), INODE_SETID, 0);
	fs_reply_attr(req, &a);
}

/* Replies: readlink, err. */
void
op_readlink(fuse_req_t req, fuse_ino_t node)
{
	struct fs *fs = fs_of(req);
	char target[STORE_SYMLINK_MAX + 1];
	const enum err e = store_readlink(fs->store, fs_ino(fs, node), target);

	if (e != OK) {
		fs_reply_err(req, e);
		return;
	}
	lock_assert_none();
	(void)fuse_reply_readlink(req, target);
}

/* Replies: statfs, err. */
void
op_statfs(fuse_req_t req, fuse_ino_t node)
{
	struct fs *fs = fs_of(req);
	struct store_stat s;
	struct statvfs v;
	const enum err e = store_statfs(fs->store, &s);

	(void)node;
	if (e != OK) {
		fs_reply_err(req, e);
		return;
	}
	v = (struct statvfs){
		.f_bsize = FS_BLOCK,
		.f_frsize = FS_BLOCK,
		.f_blocks = s.bytes_total / FS_BLOCK,
		.f_bfree = s.bytes_free / FS_BLOCK,
		.f_bavail = s.bytes_avail / FS_BLOCK,
		.f_files = s.inodes,
		.f_ffree = s.inodes_free,
		.f_favail = s.inodes_free,
		.f_namemax = STORE_NAME_MAX,
	};
	lock_assert_none();
	(void)fuse_reply_statfs(req, &v);
}
