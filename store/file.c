/*
 * file: open files.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "store/object.h"

#define FLUSH_KEEP 512u /* dirty inodes left to the committer */

static _Thread_local uint8_t *scratch;
static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void
scratch_free(void *p)
{
	free(p);
	scratch = NULL;
}

static void
scratch_setup(void)
{
	if (pthread_key_create(&scratch_key, scratch_free) != 0)
		abort();
}

uint8_t *
file_scratch(void)
{
	if (scratch == NULL) {
		(void)pthread_once(&scratch_once, scratch_setup);
		scratch = aligned_alloc(BLOCK, (size_t)RUN_BLOCKS * BLOCK);
		(void)pthread_setspecific(scratch_key, scratch);
	}
	return (scratch);
}

uint64_t
file_epoch(const struct store *st)
{
	return (st->kms != NULL ? kms_epoch(st->kms) : 0);
}

static enum err
key_arn(struct store *st, const struct inode *ip, char *ret)
{
	LOCK_SCOPE(&st->db);

	return (keyref_arn(st, ip->keyref, ret));
}

/* From now on a change in the KMS that takes the key from the asker is told to
 * the kernel. */
static enum err
mark(struct store_file *f)
{
	LOCK_SCOPE(&f->st->db);

	if (f->ip->obj == NULL || f->ip->obj->method == SSE_NONE)
		return (OK);
	return (keyref_used_by(f->st, f->ip->keyref, f->asker->bit));
}

/* A change that came since the KMS was asked is not missed. */
static enum err
use(struct store *st, const struct kms_who *who, struct store_file *f)
{
	enum err e;

	lock_take(&st->db);
	e = asker_get(st, who, &f->asker);
	lock_drop(&st->db);
	TRY(e);
	TRY(mark(f));
	RWLOCK_READ_SCOPE(&f->ip->lock);
	/* A failure that nobody knows of is everybody's. */
	f->late_told = f->ip->late_no;
	if (f->ip->late_no != 0 && !f->ip->late_known)
		f->late_told--;
	return (file_ask(f));
}

enum err
file_new(struct store *st, const struct kms_who *who, struct inode *ip,
    uint64_t at, bool made, struct store_file **ret)
{
	struct store_file *f = calloc(1, sizeof(*f));
	enum err e = ERR_NOMEM;

	if (f != NULL) {
		f->st = st;
		f->ip = ip;
		f->made = made;
		f->at = at;
		e = use(st, who, f);
	}
	if (e != OK) {
		inode_unpin(st, ip);
		free(f);
		return (e);
	}
	*ret = f;
	return (OK);
}

enum err
file_ask(struct store_file *f)
{
	const uint64_t now = file_epoch(f->st);
	char arn[KMS_ARN_MAX];
	struct obj_ctx c;

	if (now == atomic_load_explicit(&f->at, memory_order_relaxed))
		return (OK);
	if (f->ip->obj == NULL || f->ip->obj->method == SSE_NONE)
		return (OK);
	TRY(mark(f));
	TRY(key_arn(f->st, f->ip, arn));
	obj_ctx(f->st, f->ip->obj->uuid, &c);
	if (kms_still(f->st->kms, &f->asker->who, arn, c.pair, COUNTOF(c.pair),
		f->made) != OK)
		/* That it was refused is recorded. */
		TRY(kms_check(
		    f->st->kms, &f->asker->who, arn, c.pair, COUNTOF(c.pair)));
	atomic_store_explicit(&f->at, now, memory_order_relaxed);
	return (OK);
}

enum err
file_may_cut(struct store *st, const struct kms_who *who, struct inode *ip)
{
	const struct kms_who by = asker_who(st, who);
	char arn[KMS_ARN_MAX];
	struct obj_ctx c;

	if (ip->gone || ip->obj == NULL || !ip->obj->open ||
	    ip->obj->method == SSE_NONE)
		return (obj_unlock(st, who, ip));
	/* Nothing is read: who may write files under the key may cut them. */
	TRY(key_arn(st, ip, arn));
	obj_ctx(st, ip->obj->uuid, &c);
	if (kms_still(st->kms, &by, arn, c.pair, COUNTOF(c.pair), true) == OK)
		return (OK);
	return (kms_check(st->kms, &by, arn, c.pair, COUNTOF(c.pair)));
}

/* Ask the KMS whether the key may be used, load it when it is not there. */
static enum err
authorise(struct store *st, const struct kms_who *who, struct inode *ip)
{
	const struct kms_who by = asker_who(st, who);
	char arn[KMS_ARN_MAX];
	struct obj_ctx c;

	RWLOCK_WRITE_SCOPE(&ip->lock);
	if (ip->obj == NULL)
		return (ERR_CORRUPT);
	if (!ip->obj->open)
		return (obj_unlock(st, who, ip));
	if (ip->obj->method == SSE_NONE)
		return (OK);
	TRY(key_arn(st, ip, arn));
	obj_ctx(st, ip->obj->uuid, &c);
	st->n.kms_calls++;
	return (kms_check(st->kms, &by, arn, c.pair, COUNTOF(c.pair)));
}

enum err
store_open(struct store *st, const struct kms_who *who, uint64_t ino,
    struct store_file **ret)
{
	const uint64_t at = file_epoch(st);
	struct inode *ip;
	enum err e;

	lock_take(&st->db);
	e = inode_get(st, ino, &ip);
	if (e == OK && !S_ISREG(ip->mode)) {
		e = S_ISDIR(ip->mode) ? ERR_ISDIR : ERR_INVAL;
		inode_put(st, ip);
	}
	lock_drop(&st->db);
	TRY(e);
	e = authorise(st, who, ip);
	if (e != OK) {
		inode_unpin(st, ip);
		return (e);
	}
	return (file_new(st, who, ip, at, false, ret));
}

void
store_release(struct store_file *f)
{
	struct store *st;

	if (f == NULL)
		return;
	st = f->st;
	if (f->early) {
		/* The last write may be at work yet. */
		rwlock_write(&f->ip->lock);
		rwlock_drop(&f->ip->lock);
	}
	inode_unpin(st, f->ip);
	free(f);
	/* The work of a commit is spread over the closes before it; an error
	 * leaves the inode dirty, and the committer meets it again. */
	if (!st->readonly && !st->stopped && epoch_enter(st) == OK) {
		if (inode_flush_some(st, FLUSH_KEEP) != OK)
			err_clear();
		epoch_leave(st);
	}
}

void
store_file_noatime(struct store_file *f)
{
	f->noatime = true;
}

uint64_t
store_file_ino(const struct store_file *f)
{
	return (f->ip->ino);
}

enum err
file_lock(struct store_file *f, bool exclusive)
{
	struct inode *ip = f->ip;

	for (;;) {
		enum err e;

		if (exclusive)
			rwlock_write(&ip->lock);
		else
			rwlock_read(&ip->lock);
		if (ip->obj->open && !ip->gone) {
			e = file_ask(f);
			if (e != OK)
				rwlock_drop(&ip->lock);
			return (e);
		}
		if (!exclusive) {
			rwlock_drop(&ip->lock);
			rwlock_write(&ip->lock);
		}
		/* The keys were dropped: the KMS says whether they may come
		 * back. */
		e = obj_unlock(f->st, &f->asker->who, ip);
		if (e != OK || exclusive) {
			if (e != OK)
				rwlock_drop(&ip->lock);
			return (e);
		}
		rwlock_drop(&ip->lock);
	}
}
