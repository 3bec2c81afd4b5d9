/*
 * vfs_internal: what the files of the SQLite VFS share.
 *
 * A node is one file that is open in this process.  All of SQLite's handles of
 * a file share the node: its descriptor, its locks and its shared memory.
 */
#ifndef STORE_VFS_INTERNAL_H
#define STORE_VFS_INTERNAL_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/lock.h"

struct vfs_file;
struct vfs_seal;
struct seal_buf;

struct vfs_node {
	struct vfs_node *next;
	char *path;
	int fd;
	unsigned refs;
	bool is_wal; /* of a database that is ours alone */
	bool readonly;
	bool common;           /* to several processes: vfs_share.h */
	bool common_wal;       /* its WAL */
	bool unlinked;         /* deleted while open: nobody finds it again */
	struct vfs_seal *seal; /* of a sealed database; NULL: plain */
	atomic_bool dir_new;   /* created: the directory wants a sync */
	atomic_bool failed;    /* a sync failed: none is tried again (rule 3);
				* of a common WAL: until it is written anew */

	/* The WAL: bytes the file has, bytes that mean something, and where
	 * the last write ended (SQLite goes on there, or at 0). */
	atomic_uint_fast64_t have, used, pos;
	atomic_uint_fast64_t rounds; /* times SQLite began it anew */

	/* Locks of a main database file. */
	unsigned shared;
	const struct vfs_file *reserved, *pending, *exclusive;

	/* Shared memory of a database in WAL mode. */
	int shm_fd; /* common: the file that is mapped */
	void **region;
	unsigned nregion;
	size_t region_size; /* of the mapped ones */
	unsigned shm_users;
	int shm_lock[SQLITE_SHM_NLOCK]; /* -1 exclusive, else shared holders */
};

struct vfs_file {
	sqlite3_file base;
	struct vfs_node *node;
	int level; /* SQLITE_LOCK_* held */
	bool delete_at_end;
	bool shm;            /* counted in node->shm_users */
	unsigned shm_shared; /* bit per lock held */
	unsigned shm_excl;
	struct seal_buf *buf; /* sealed databases */
};

/* Guards every node's fields that are not atomic, and the list of nodes. */
extern struct lock vfs_lock;

/* store/vfs.c: the node of a file that is open, NULL: none; drop a reference.
 * Both with vfs_lock held. */
struct vfs_node *vfs_node_find(const char *path);
void vfs_node_put(struct vfs_node *n);
/* The result code of an errno value; ${ioerr} unless it is a full disk. */
int vfs_rc(int errnum, int ioerr);

/* store/vfs_wal.c: make the WAL own at least ${want} bytes, a step more when
 * there is room. */
int vfs_wal_grow(struct vfs_node *n, uint64_t want);
/* SQLite has no use any more for what is in the WAL: what it owns beyond
 * WAL_KEEP goes back to the disk. */
void vfs_wal_cut(struct vfs_node *n);
/* vfs_lock held, and nobody writes to the WAL of the common database ${n}: its
 * frames are written once more if a sync of them failed, or ${always}. */
int vfs_wal_mend(const struct vfs_node *n, bool always);

/*
 * store/vfs.c: the bytes of a file as they are on the disk, for sealed ones.
 * SQLite's result codes; a read past the end is SQLITE_IOERR_SHORT_READ and
 * the rest is zero.
 */
int vfs_node_read(
    const struct vfs_node *n, void *buf, size_t len, uint64_t off);
int vfs_node_write(
    struct vfs_node *n, const void *buf, size_t len, uint64_t off);
int vfs_node_sync(struct vfs_node *n);

/* store/vfs_shm.c: locks and shared memory, for the io_methods. */
int vfs_x_lock(sqlite3_file *file, int level);
int vfs_x_unlock(sqlite3_file *file, int level);
int vfs_x_check_reserved(sqlite3_file *file, int *ret);
int vfs_x_shm_map(
    sqlite3_file *file, int index, int size, int extend, void volatile **ret);
int vfs_x_shm_lock(sqlite3_file *file, int first, int n, int flags);
void vfs_x_shm_barrier(sqlite3_file *file);
int vfs_x_shm_unmap(sqlite3_file *file, int delete_it);

#endif
