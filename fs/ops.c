/* The table of operations, the connection's settings, and common replies. */
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/fs.h"

/*
 * Settings of the connection.
 *
 * ATOMIC_O_TRUNC: one request instead of two, and the file is truncated only
 * after its key has been asked for.  EXPLICIT_INVAL_DATA instead of
 * AUTO_INVAL_DATA: nothing changes behind the kernel's back.  No splice: every
 * byte passes through the cipher.  HANDLE_KILLPRIV in its first form would have
 * us clear set-id bits for privileged writers too; rawio.c asks for the second.
 * Locks stay with the kernel, as no other machine shares the files.
 * EXPORT_SUPPORT: file handles of name_to_handle_at(2) stay good when the kernel
 * has forgotten the inode.  DONT_MASK: a directory's default ACL counts instead of the umask.  POSIX_ACL
 * makes the kernel check permissions, so it is left out where it is not to,
 * and where the owner or the mode that it is shown are not the true ones.
 */
static void
op_init(void *userdata, struct fuse_conn_info *conn)
{
	const unsigned on = FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC |
			    FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
			    FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS |
			    FUSE_CAP_CACHE_SYMLINKS |
			    FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_DONT_MASK |
			    FUSE_CAP_EXPORT_SUPPORT;
	const unsigned off = FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS |
			     FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
			     FUSE_CAP_SPLICE_READ | FUSE_CAP_IOCTL_DIR |
			     FUSE_CAP_AUTO_INVAL_DATA |
			     FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_POSIX_ACL |
			     FUSE_CAP_HANDLE_KILLPRIV;
	struct fs *fs = userdata;
	const struct fs_opts *o = fs->opts;

	conn->want |= on & conn->capable;
	conn->want &= ~off;
	fs->acl = o->default_permissions && !o->has_uid && !o->has_gid &&
		  !o->has_umask && (conn->capable & FUSE_CAP_POSIX_ACL) != 0;
	if (fs->acl)
		conn->want |= FUSE_CAP_POSIX_ACL;
	conn->max_write = FS_IO_MAX;
	conn->max_readahead = FS_IO_MAX;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
}

/* No flush, access, ioctl, poll, bmap: libfuse answers ENOSYS, and the kernel
 * does not ask again. */
const struct fuse_lowlevel_ops *
fs_ops(void)
{
	static const struct fuse_lowlevel_ops ops = {
		.init = op_init,
		.lookup = op_lookup,
		.forget = op_forget,
		.forget_multi = op_forget_multi,
		.getattr = op_getattr,
		.setattr = op_setattr,
		.readlink = op_readlink,
		.mknod = op_mknod,
		.mkdir = op_mkdir,
		.unlink = op_unlink,
		.rmdir = op_rmdir,
		.symlink = op_symlink,
		.rename = op_rename,
		.link = op_link,
		.open = op_open,
		.read = op_read,
		.write = op_write,
		.release = op_release,
		.fsync = op_fsync,
		.opendir = op_opendir,
		.readdir = op_readdir,
		.readdirplus = op_readdirplus,
		.releasedir = op_releasedir,
		.fsyncdir = op_fsyncdir,
		.statfs = op_statfs,
		.setxattr = op_setxattr,
		.getxattr = op_getxattr,
		.listxattr = op_listxattr,
		.removexattr = op_removexattr,
		.create = op_create,
		.fallocate = op_fallocate,
		.copy_file_range = op_copy_file_range,
		.lseek = op_lseek,
	};

	return (&ops);
}

void
fs_stat(const struct fs *fs, const struct store_attr *a, struct stat *ret)
{
	const struct fs_opts *o = fs->opts;

	*ret = (struct stat){
		.st_ino = a->ino,
		.st_mode = a->mode,
		.st_nlink = a->nlink,
		.st_uid = o->has_uid ? o->uid : a->uid,
		.st_gid = o->has_gid ? o->gid : a->gid,
		.st_rdev = a->rdev,
		.st_size = (off_t)a->size,
		.st_blksize = FS_BLOCK,
		.st_blocks = (blkcnt_t)a->blocks,
		.st_atim = a->atime,
		.st_mtim = a->mtime,
		.st_ctim = a->ctime,
	};
	if (o->has_umask && !S_ISLNK(a->mode))
		ret->st_mode = (a->mode & (mode_t)S_IFMT) | (0777 & ~o->umask);
}

unsigned
fs_flags(const struct store_attr *a)
{
	if (S_ISREG(a->mode) && (a->mode & (S_ISUID | S_ISGID)) != 0)
		return (INODE_SETID);
	return (0);
}

void
fs_reply_err(fuse_req_t req, enum err e)
{
	lock_assert_none();
	(void)fuse_reply_err(req, fs_errno(e));
}

void
fs_reply_attr(fuse_req_t req, const struct store_attr *a)
{
	const struct fs *fs = fs_of(req);
	struct stat st;

	lock_assert_none();
	fs_stat(fs, a, &st);
	(void)fuse_reply_attr(req, &st, FS_TIMEOUT);
}

void
fs_entry(const struct fs *fs, const struct store_attr *a,
    struct fuse_entry_param *ret)
{
	*ret = (struct fuse_entry_param){
		.ino = fs_node(fs, a->ino),
		.attr_timeout = FS_TIMEOUT,
		.entry_timeout = FS_TIMEOUT,
	};
	fs_stat(fs, a, &ret->attr);
}

void
fs_reply_entry(fuse_req_t req, const struct store_attr *a, unsigned flags)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param entry;
	const enum err e =
	    inodes_hold(fs->inodes, a->ino, a->keyref, flags | fs_flags(a));

	if (e != OK) {
		fs_reply_err(req, e);
		return;
	}
	lock_assert_none();
	fs_entry(fs, a, &entry);
	if (fuse_reply_entry(req, &entry) != 0)
		fs_drop(fs, a->ino, 1);
}

void
fs_drop(struct fs *fs, uint64_t ino, uint64_t n)
{
	if (inodes_drop(fs->inodes, ino, n))
		store_reap(fs->store, ino);
}

void
fs_gone(struct fs *fs, uint64_t ino)
{
	if (inodes_gone(fs->inodes, ino))
		store_reap(fs->store, ino);
}

/* A negative offset leaves the pages alone, so this cannot wait for a page that
 * waits for us: it may be called inside an operation on the file. */
void
fs_stale_attr(struct fs *fs, uint64_t ino)
{
	(void)fuse_lowlevel_notify_inval_inode(fs->se, fs_node(fs, ino), -1, 0);
}

static bool
in_group(fuse_req_t req, gid_t gid)
{
	gid_t list[1024] UNINIT;
	int n = 0;

	if (fuse_req_ctx(req)->gid == gid)
		return (true);
	n = fuse_req_getgroups(req, (int)COUNTOF(list), list);
	for (int i = 0; i < n && i < (int)COUNTOF(list); i++)
		if (list[i] == gid)
			return (true);
	return (false);
}

static bool
same_userns(pid_t pid)
{
	char path[64], mine[64] = "", his[64] = "";

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	return (readlink("/proc/self/ns/user", mine, sizeof(mine) - 1) > 0 &&
		readlink(path, his, sizeof(his) - 1) > 0 &&
		strcmp(mine, his) == 0);
}

/*
 * Has the caller CAP_FSETID, so that set-id bits stay?  Asked only when there
 * are some, as /proc has to tell.  Where it does not (another pid namespace)
 * root is taken to have it.
 */
static bool
may_keep_setid(fuse_req_t req)
{
	const struct fuse_ctx *const c = fuse_req_ctx(req);
	unsigned long long caps = 0;
	char path[64], line[256];
	bool found = false;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)c->pid);
	f = c->pid > 0 ? fopen(path, "re") : NULL;
	if (f == NULL)
		return (c->uid == 0);
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = sscanf(line, "CapEff: %llx", &caps) == 1;
	(void)fclose(f);
	if (!found)
		return (c->uid == 0);
	/* A namespace's own root has none over files outside of it. */
	return ((caps >> CAP_FSETID & 1) != 0 && same_userns(c->pid));
}

/* The setgid bit of a file that its group may not execute goes too when the
 * caller is outside the group. */
unsigned
fs_kill_fields(fuse_req_t req, const struct store_attr *a)
{
	if ((a->mode & (S_ISGID | S_IXGRP)) == S_ISGID &&
	    !in_group(req, a->gid) && !may_keep_setid(req))
		return (STORE_SET_KILLPRIV | STORE_SET_KILLSGID);
	return (STORE_SET_KILLPRIV);
}

/* FALLOCATE and COPY_FILE_RANGE carry no flag that asks. */
void
fs_kill_setid(fuse_req_t req, uint64_t ino, bool asked)
{
	struct fs *fs = fs_of(req);
	const struct kms_who who = fs_who(req);
	struct store_attr a;

	if ((inodes_flags(fs->inodes, ino) & INODE_SETID) == 0)
		return;
	if (!asked && (!fs->raw.killpriv || may_keep_setid(req)))
		return;
	if (store_getattr(fs->store, ino, &a) != OK ||
	    store_setattr(
		fs->store, &who, ino, fs_kill_fields(req, &a), &a, &a) != OK)
		return;
	inodes_mark(fs->inodes, ino, fs_flags(&a), INODE_SETID, 0);
	fs_stale_attr(fs, ino);
}
