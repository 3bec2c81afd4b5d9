/*
 * vfs_shm: file locks and shared memory of the SQLite VFS.
 *
 * One process owns a store (its lock file says so), therefore the locks that
 * SQLite's connections need stand in this process's memory, and so does the
 * index of the WAL: nothing here touches a disk.
 */
#include <stdlib.h>
#include <string.h>

#include "store/store_internal.h"
#include "store/vfs_internal.h"

/* ---- Locks of the database file ----------------------------------------- */

static bool
may_lock(const struct vfs_node *n, const struct vfs_file *f, int level)
{
	if (n->exclusive != NULL && n->exclusive != f)
		return (false);
	if (level == SQLITE_LOCK_SHARED)
		return (n->pending == NULL || n->pending == f);
	return (n->reserved == NULL || n->reserved == f);
}

int
vfs_x_lock(sqlite3_file *file, int level)
{
	struct vfs_file *const f = (struct vfs_file *)(void *)file;
	struct vfs_node *const n = f->node;

	LOCK_SCOPE(&vfs_lock);
	if (f->level >= level)
		return (SQLITE_OK);
	if (!may_lock(n, f, level))
		return (SQLITE_BUSY);
	switch (level) {
	case SQLITE_LOCK_SHARED:
		n->shared++;
		break;
	case SQLITE_LOCK_RESERVED:
		n->reserved = f;
		break;
	default:
		/* A writer that waits for readers keeps new ones out. */
		n->reserved = f;
		n->pending = f;
		if (n->shared > 1) {
			f->level = SQLITE_LOCK_PENDING;
			return (SQLITE_BUSY);
		}
		n->exclusive = f;
		break;
	}
	f->level = level;
	return (SQLITE_OK);
}

int
vfs_x_unlock(sqlite3_file *file, int level)
{
	struct vfs_file *const f = (struct vfs_file *)(void *)file;
	struct vfs_node *const n = f->node;

	LOCK_SCOPE(&vfs_lock);
	if (f->level <= level)
		return (SQLITE_OK);
	if (n->exclusive == f)
		n->exclusive = NULL;
	if (n->pending == f)
		n->pending = NULL;
	if (n->reserved == f)
		n->reserved = NULL;
	if (level == SQLITE_LOCK_NONE)
		n->shared--;
	f->level = level;
	return (SQLITE_OK);
}

int
vfs_x_check_reserved(sqlite3_file *file, int *ret)
{
	struct vfs_file *const f = (struct vfs_file *)(void *)file;

	LOCK_SCOPE(&vfs_lock);
	*ret = f->node->reserved != NULL;
	return (SQLITE_OK);
}

/* ---- Shared memory ------------------------------------------------------ */

#define REGION_MAX 65536u /* 2 GiB of WAL index: far beyond any WAL */

static int
regions_grow(struct vfs_node *n, unsigned count, size_t size)
{
	void **r;

	if (count > REGION_MAX)
		return (SQLITE_FULL);
	r = realloc(n->region, count * sizeof(*r));
	if (r == NULL)
		return (SQLITE_IOERR_NOMEM);
	n->region = r;
	while (n->nregion < count) {
		r[n->nregion] = calloc(1, size);
		if (r[n->nregion] == NULL)
			return (SQLITE_IOERR_NOMEM);
		n->nregion++;
	}
	return (SQLITE_OK);
}

int
vfs_x_shm_map(
    sqlite3_file *file, int index, int size, int extend, void volatile **ret)
{
	struct vfs_file *const f = (struct vfs_file *)(void *)file;
	struct vfs_node *const n = f->node;
	int rc = SQLITE_OK;

	*ret = NULL;
	LOCK_SCOPE(&vfs_lock);
	if (!f->shm) {
		f->shm = true;
		n->shm_users++;
	}
	if ((unsigned)index >= n->nregion) {
		if (!extend)
			return (SQLITE_OK);
		rc = regions_grow(n, (unsigned)index + 1, (size_t)size);
	}
	if (rc == SQLITE_OK)
		*ret = n->region[index];
	return (rc);
}

static void
shm_drop(struct vfs_file *f, int i)
{
	const unsigned bit = 1u << i;

	if ((f->shm_excl & bit) != 0)
		f->node->shm_lock[i] = 0;
	else if ((f->shm_shared & bit) != 0)
		f->node->shm_lock[i]--;
	f->shm_excl &= ~bit;
	f->shm_shared &= ~bit;
}

/* Whether ${f} may take lock ${i}: its own shared hold is no obstacle. */
static bool
shm_free(const struct vfs_file *f, int i, bool excl)
{
	const int mine = (f->shm_shared & 1u << i) != 0 ? 1 : 0;

	if ((f->shm_excl & 1u << i) != 0)
		return (true);
	if (excl)
		return (f->node->shm_lock[i] == mine);
	return (f->node->shm_lock[i] >= 0);
}

int
vfs_x_shm_lock(sqlite3_file *file, int first, int n, int flags)
{
	struct vfs_file *const f = (struct vfs_file *)(void *)file;
	const bool excl = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
	int i;

	LOCK_SCOPE(&vfs_lock);
	if ((flags & SQLITE_SHM_UNLOCK) != 0) {
		for (i = first; i < first + n; i++)
			shm_drop(f, i);
		return (SQLITE_OK);
	}
	for (i = first; i < first + n; i++)
		if (!shm_free(f, i, excl))
			return (SQLITE_BUSY);
	for (i = first; i < first + n; i++) {
		if (((f->shm_excl | f->shm_shared) & 1u << i) != 0 && !excl)
			continue;
		if (excl) {
			f->node->shm_lock[i] = -1;
			f->shm_excl |= 1u << i;
			f->shm_shared &= ~(1u << i);
		} else {
			f->node->shm_lock[i]++;
			f->shm_shared |= 1u << i;
		}
	}
	return (SQLITE_OK);
}

void
vfs_x_shm_barrier(sqlite3_file *file)
{
	(void)file;
	atomic_thread_fence(memory_order_seq_cst);
}

int
vfs_x_shm_unmap(sqlite3_file *file, int delete_it)
{
	struct vfs_file *const f = (struct vfs_file *)(void *)file;
	struct vfs_node *const n = f->node;
	int i;

	(void)delete_it;
	LOCK_SCOPE(&vfs_lock);
	if (!f->shm)
		return (SQLITE_OK);
	for (i = 0; i < SQLITE_SHM_NLOCK; i++)
		shm_drop(f, i);
	f->shm = false;
	if (--n->shm_users > 0)
		return (SQLITE_OK);
	while (n->nregion > 0)
		free(n->region[--n->nregion]);
	free(n->region);
	n->region = NULL;
	return (SQLITE_OK);
}
