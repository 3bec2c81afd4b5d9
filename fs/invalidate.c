#include "fs/fs.h"
#include "lib/base/log.h"

static void
revoke_one(void *arg, uint64_t ino)
{
	struct fs *fs = arg;

	/* -ENOENT: the kernel has forgotten it meanwhile. */
	(void)fuse_lowlevel_notify_inval_inode(fs->se, fs_node(fs, ino), 0, 0);
}

/* Runs on a thread of the store, not of the loop: dropping a page may wait
 * until a request for it has been answered. */
void
fs_revoke(void *arg, uint32_t keyref)
{
	struct fs *fs = arg;

	LOCK_SCOPE(&fs->revoke);
	if (fs->ending)
		return;
	if (inodes_each_key(fs->inodes, keyref, revoke_one, fs) != OK)
		log_error("fs: a key went out of use, but its files' cached "
			  "pages could not be dropped: out of memory");
}
