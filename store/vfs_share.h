/*
 * vfs_share: locks and WAL index that several processes share.
 *
 * A keystore may be open in a mount and in commands beside it, so the locks of
 * its nodes (struct vfs_node, ${common}) are also taken in the kernel, on the
 * bytes that SQLite's own VFS uses, and the index of its WAL is a mapped file
 * beside it: whatever sqlite3 opens it with gets along.  They are OFD locks,
 * which closing some other descriptor of the file does not drop.
 *
 * The mapped file's blocks are owned before they are touched, and kept in place
 * where the filesystem would write elsewhere: a full disk is an error here and
 * no SIGBUS.
 *
 * All with vfs_lock held, for a node that no other file of this process holds a
 * conflicting lock on; SQLite's result codes, SQLITE_BUSY when another process
 * does.
 */
#ifndef STORE_VFS_SHARE_H
#define STORE_VFS_SHARE_H

#include "store/vfs_internal.h"

/* The database file.  SHARED when nobody in this process has it yet. */
int vfs_share_lock(struct vfs_node *n, int level);
/* From above SHARED to SHARED, or all the process holds. */
void vfs_share_unlock(struct vfs_node *n, int level);
int vfs_share_reserved(const struct vfs_node *n, int *ret);

/* The index: open it (the first opener of all processes finds it empty, and the
 * WAL mended, see vfs_wal_mend()), map one more region, lock, and let go of it
 * all. */
int vfs_share_shm_open(struct vfs_node *n);
int vfs_share_shm_map(
    struct vfs_node *n, unsigned index, size_t size, bool extend, void **ret);
int vfs_share_shm_lock(
    const struct vfs_node *n, int first, int count, bool excl);
void vfs_share_shm_unlock(const struct vfs_node *n, int first, int count);
void vfs_share_shm_close(struct vfs_node *n, bool remove);

#endif
