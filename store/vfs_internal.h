/*
 * vfs_internal: what the two files of the SQLite VFS share.
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

struct vfs_node {
	struct vfs_node *next;
	char *path;
	int fd;
	unsigned refs;
	bool is_wal;
	bool readonly;
	bool unlinked;       /* deleted while open: nobody finds it again */
	atomic_bool dir_new; /* created: the directory wants a sync */
	atomic_bool failed;  /* a sync failed: none is tried again (rule 3) */

	/* The WAL: bytes the file has, bytes that mean something, and where
	 * the last write ended (SQLite goes on there, or at 0). */
	atomic_uint_fast64_t have, used, pos;

	/* Locks of a main database file. */
	unsigned shared;
	const struct vfs_file *reserved, *pending, *exclusive;

	/* Shared memory of a database in WAL mode. */
	void **region;
	unsigned nregion;
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
};

/* Guards every node's fields that are not atomic, and the list of nodes. */
extern struct lock vfs_lock;

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
