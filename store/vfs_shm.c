/*
 * vfs_shm: file locks and shared memory of the SQLite VFS.
 *
 * One process owns a store (its lock file says so), therefore the locks that
 * SQLite's connections need stand in this process's memory, and so does the
 * index of the WAL: nothing here touches a disk.  A common database's locks are
 * settled among the process's own connections first, then with other processes
 * (vfs_share.h).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "store/store_internal.h"
#include "store/vfs_share.h"

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

/* A writer that waits for readers keeps new ones out. */
static int
lock_all(struct vfs_node *n, struct vfs_file *f)
{
	int rc = SQLITE_OK;

	if (n->common && n->pending != f)
		rc = vfs_share_lock(n, SQLITE_LOCK_PENDING);
	if (rc != SQLITE_OK)
		return (rc);
	n->reserved = f;
	n->pending = f;
	f->level = SQLITE_LOCK_PENDING;
	if (n->shared > 1)
		return (SQLITE_BUSY);
	if (n->common)
		rc = vfs_share_lock(n, SQLITE_LOCK_EXCLUSIVE);
	if (rc == SQLITE_OK)
		n->exclusive = f;
	return (rc);
}

int
vfs_x_lock(sqlite3_file *file, int level)
{
	struct vfs_file *const f = (struct vfs_file *)(void *)file;
	struct vfs_node *const n = f->node;
	int rc = SQLITE_OK;

	LOCK_SCOPE(&vfs_lock);
	if (f->level >= level)
		return (SQLITE_OK);
	if (!may_lock(n, f, level))
		return (SQLITE_BUSY);
	switch (level) {
	case SQLITE_LOCK_SHARED:
		if (n->common && n->shared == 0)
			rc = vfs_share_lock(n, level);
		if (rc == SQLITE_OK)
			n->shared++;
		break;
	case SQLITE_LOCK_RESERVED:
		if (n->common)
			rc = vfs_share_lock(n, level);
		if (rc == SQLITE_OK)
			n->reserved = f;
		break;
	default:
		rc = lock_all(n, f);
		break;
	}
	if (rc == SQLITE_OK)
		f->level = level;
	return (rc);
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
	if (n->common && n->shared == 0)
		vfs_share_unlock(n, SQLITE_LOCK_NONE);
	else if (n->common && f->level > SQLITE_LOCK_SHARED)
		vfs_share_unlock(n, SQLITE_LOCK_SHARED);
	f->level = level;
	return (SQLITE_OK);
}

int
vfs_x_check_reserved(sqlite3_file *file, int *ret)
{
	struct vfs_file *const f = (struct vfs_file *)(void *)file;

	LOCK_SCOPE(&vfs_lock);
	*ret = f->node->reserved != NULL;
	return (f->node->common && !*ret ? vfs_share_reserved(f->node, ret)
					 : SQLITE_OK);
}

/* ---- Shared memory ------------------------------------------------------ */

#define REGION_MAX 65536u /* 2 GiB of WAL index: far beyond any WAL */
#define SHM_WRITE 0       /* SQLite's lock of who appends to the WAL */

/* So many regions; without ${extend} those that another process has made. */
static int
regions_grow(struct vfs_node *n, unsigned count, size_t size, bool extend)
{
	void **r;

	if (count > REGION_MAX)
		return (SQLITE_FULL);
	r = realloc(n->region, count * sizeof(*r));
	if (r == NULL)
		return (SQLITE_IOERR_NOMEM);
	n->region = r;
	while (n->nregion < count) {
		void **const p = &r[n->nregion];
		int rc = SQLITE_OK;

		if (n->common)
			rc = vfs_share_shm_map(n, n->nregion, size, extend, p);
		else
			*p = calloc(1, size);
		if (rc != SQLITE_OK || (*p == NULL && n->common))
			return (rc);
		if (*p == NULL)
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
	if (n->common && n->shm_fd < 0)
		rc = vfs_share_shm_open(n);
	if (rc != SQLITE_OK)
		return (rc);
	if (!f->shm) {
		f->shm = true;
		n->shm_users++;
	}
	if ((unsigned)index >= n->nregion && (extend != 0 || n->common))
		rc = regions_grow(
		    n, (unsigned)index + 1, (size_t)size, extend != 0);
	if (rc == SQLITE_OK && (unsigned)index < n->nregion)
		*ret = n->region[index];
	return (rc);
}

static void
shm_drop(struct vfs_file *f, int i)
{
	const unsigned bit = 1u << i;

	if (((f->shm_excl | f->shm_shared) & bit) == 0)
		return;
	if ((f->shm_excl & bit) != 0)
		f->node->shm_lock[i] = 0;
	else
		f->node->shm_lock[i]--;
	if (f->node->common && f->node->shm_lock[i] == 0)
		vfs_share_shm_unlock(f->node, i, 1);
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

/* What a common database needs of other processes before ${f} may take these. */
static int
shm_settle(const struct vfs_file *f, int first, int n, bool excl)
{
	const struct vfs_node *const node = f->node;
	int rc;

	if (!node->common || (!excl && node->shm_lock[first] > 0))
		return (SQLITE_OK);
	rc = vfs_share_shm_lock(node, first, n, excl);
	if (rc != SQLITE_OK || first != SHM_WRITE || !excl)
		return (rc);
	/* Nobody else writes to the WAL now. */
	rc = vfs_wal_mend(node, false);
	if (rc != SQLITE_OK)
		vfs_share_shm_unlock(node, first, n);
	return (rc);
}

int
vfs_x_shm_lock(sqlite3_file *file, int first, int n, int flags)
{
	struct vfs_file *const f = (struct vfs_file *)(void *)file;
	const bool excl = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
	int i, rc;

	LOCK_SCOPE(&vfs_lock);
	if ((flags & SQLITE_SHM_UNLOCK) != 0) {
		for (i = first; i < first + n; i++)
			shm_drop(f, i);
		return (SQLITE_OK);
	}
	for (i = first; i < first + n; i++)
		if (!shm_free(f, i, excl))
			return (SQLITE_BUSY);
	rc = shm_settle(f, first, n, excl);
	if (rc != SQLITE_OK)
		return (rc);
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

	LOCK_SCOPE(&vfs_lock);
	if (!f->shm)
		return (SQLITE_OK);
	for (i = 0; i < SQLITE_SHM_NLOCK; i++)
		shm_drop(f, i);
	f->shm = false;
	if (--n->shm_users > 0)
		return (SQLITE_OK);
	while (n->nregion > 0) {
		void *const p = n->region[--n->nregion];

		if (n->common)
			(void)munmap(p, n->region_size);
		else
			free(p);
	}
	free(n->region);
	n->region = NULL;
	if (n->common)
		vfs_share_shm_close(n, delete_it != 0);
	return (SQLITE_OK);
}
