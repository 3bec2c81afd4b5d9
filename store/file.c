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

enum err
file_new(struct store *st, const struct kms_who *who, struct inode *ip,
    struct store_file **ret)
{
	struct store_file *f = calloc(1, sizeof(*f));

	if (f == NULL) {
		inode_unpin(st, ip);
		return (ERR_NOMEM);
	}
	f->st = st;
	f->ip = ip;
	(void)snprintf(f->tenant, sizeof(f->tenant), "%s",
	    who->tenant != NULL ? who->tenant : KMS_TENANT_DEFAULT);
	(void)snprintf(f->user, sizeof(f->user), "%s", who->user);
	(void)snprintf(f->agent, sizeof(f->agent), "%s", who->agent);
	f->who = (struct kms_who){
		.tenant = f->tenant, .user = f->user, .agent = f->agent
	};
	*ret = f;
	return (OK);
}

/* Ask the KMS whether the key may be used, load it when it is not there. */
static enum err
authorise(struct store *st, const struct kms_who *who, struct inode *ip)
{
	char arn[KMS_ARN_MAX];

	RWLOCK_WRITE_SCOPE(&ip->lock);
	if (ip->obj == NULL)
		return (ERR_CORRUPT);
	if (!ip->obj->open)
		return (obj_unlock(st, who, ip));
	if (ip->obj->method == SSE_NONE)
		return (OK);
	lock_take(&st->db);
	const enum err e = keyref_arn(st, ip->keyref, arn);
	lock_drop(&st->db);
	TRY(e);
	st->n.kms_calls++;
	return (kms_check(st->kms, who, arn));
}

enum err
store_open(struct store *st, const struct kms_who *who, uint64_t ino,
    struct store_file **ret)
{
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
	return (file_new(st, who, ip, ret));
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
		if (exclusive)
			rwlock_write(&ip->lock);
		else
			rwlock_read(&ip->lock);
		if (ip->obj->open && !ip->gone)
			return (OK);
		if (!exclusive) {
			rwlock_drop(&ip->lock);
			rwlock_write(&ip->lock);
		}
		/* The keys were dropped: the KMS says whether they may come
		 * back. */
		const enum err e = obj_unlock(f->st, &f->who, ip);
		if (e != OK) {
			rwlock_drop(&ip->lock);
			return (e);
		}
		if (exclusive)
			return (OK);
		rwlock_drop(&ip->lock);
	}
}
