/*
 * What the tools change in a mounted store reaches the kernel from here.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/face.h"

static enum err
face_stats(void *arg, struct buf *out)
{
	struct fs *fs = arg;
	size_t inodes = 0, bytes = 0;

	inodes_usage(fs->inodes, &inodes, &bytes);
	return (buf_printf(
	    out, "row inodes %zu\nrow inode_bytes %zu\n", inodes, bytes));
}

/* The kernel may remember for a day that there is no such bucket. */
static void
face_made(void *arg, const char *name)
{
	struct fs *fs = arg;

	if (fs->root != STORE_ROOT)
		return;
	lock_assert_none();
	(void)fuse_lowlevel_notify_inval_entry(
	    fs->se, FUSE_ROOT_ID, name, strlen(name));
	fs_stale_attr(fs, STORE_ROOT);
}

static enum err
face_may_remove(void *arg, uint64_t ino)
{
	const struct fs *fs = arg;

	if (ino == fs->root)
		return (err_fail(ERR_BUSY, "it is mounted; unmount it first"));
	return (OK);
}

/*
 * As op_rmdir: what the kernel still refers to lives on without a name.  The
 * kernel is told last: a look-up that found the bucket holds the directory's
 * lock until it has been answered, and the notice waits for that lock.
 */
static void
face_removed(void *arg, const char *name, uint64_t ino)
{
	struct fs *fs = arg;
	const size_t len = strlen(name);
	int rc = 0;

	fs_gone(fs, ino);
	if (fs->root != STORE_ROOT)
		return;
	lock_assert_none();
	rc = fuse_lowlevel_notify_delete(
	    fs->se, FUSE_ROOT_ID, fs_node(fs, ino), name, len);
	/* -ENOENT: the kernel knows no such name. */
	if (rc != 0)
		(void)fuse_lowlevel_notify_inval_entry(
		    fs->se, FUSE_ROOT_ID, name, len);
	fs_stale_attr(fs, STORE_ROOT);
}

static void
face_changed(void *arg, uint64_t ino)
{
	lock_assert_none();
	fs_stale_attr(arg, ino);
}

/* Below the mount itself, each write would wait for us. */
static enum err
face_may_fill(void *arg, const char *dir)
{
	const struct fs *fs = arg;
	struct stat mine, there;
	const char *slash = strrchr(dir, '/');
	char up[CONTROL_FIELD + 1];

	if (slash == NULL)
		return (OK);
	(void)snprintf(up, sizeof(up), "%.*s", (int)(slash - dir) + 1, dir);
	if (stat(fs->opts->mountpoint, &mine) != 0 ||
	    (stat(dir, &there) != 0 && stat(up, &there) != 0))
		return (OK);
	if (mine.st_dev == there.st_dev)
		return (err_fail(ERR_INVAL, "%s lies in the mount", dir));
	return (OK);
}

void
fs_face(struct fs *fs, struct control_face *ret)
{
	*ret = (struct control_face){
		.ending = "the filesystem is being unmounted",
		.arg = fs,
		.made = face_made,
		.may_remove = face_may_remove,
		.removed = face_removed,
		.changed = face_changed,
		.may_fill = face_may_fill,
		.stats = face_stats,
	};
}
