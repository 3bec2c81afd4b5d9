/*
 * revoke: keys that go out of use, for everybody or for some, and the encryption
 * of a file.
 */
#include <string.h>
#include <sys/stat.h>

#include "lib/base/log.h"

#include "store/object.h"

/* ---- Revocation ----------------------------------------------------------------- */

/* Write what the object has, then forget its keys; these go in any case, also
 * when the store has stopped and what is dirty is lost with them.  ip->lock
 * exclusive. */
static void
drop_one(struct store *st, struct inode *ip)
{
	const enum err e = st->stopped ? OK : inode_flush(st, ip);

	if (e != OK)
		(void)epoch_stop(st, e, "the release of a key");
	LOCK_SCOPE(&st->db);
	ip->obj->lost = ip->obj_dirty;
	obj_lock(st, ip->obj);
}

/* Drop the keys of every inode in core under master key ${ref}.  With the
 * epoch held exclusively. */
static void
drop_keys(struct store *st, uint32_t ref)
{
	for (uint32_t b = 0; b < inode_buckets(); b++) {
		uint64_t after = 0;
		struct inode *ip;

		while ((ip = inode_next(st, b, &after)) != NULL) {
			rwlock_write(&ip->lock);
			if (ip->keyref == ref && ip->obj != NULL &&
			    ip->obj->open)
				drop_one(st, ip);
			rwlock_drop(&ip->lock);
			inode_unpin(st, ip);
		}
	}
}

/* For everybody the keys go.  When only some have lost it, what others use is
 * left; but the kernel must ask again for every page, so that each file that
 * is open is asked for its own right. */
static void
revoke_one(struct store *st, uint32_t ref, bool all)
{
	void (*cb)(void *arg, uint32_t keyref);
	void *arg;

	if (all) {
		rwlock_write(&st->epoch);
		drop_keys(st, ref);
		rwlock_drop(&st->epoch);
	}
	lock_take(&st->state);
	cb = st->revoke_cb;
	arg = st->revoke_arg;
	lock_drop(&st->state);
	if (cb != NULL)
		cb(arg, ref);
}

void
revoke_look(void *arg)
{
	struct store *st = arg;
	size_t pos = 0;

	for (;;) {
		uint32_t ref = 0;
		bool all = false;

		lock_take(&st->db);
		const bool any = keyrefs_revoked(st, &pos, &ref, &all);
		lock_drop(&st->db);
		if (!any)
			return;
		revoke_one(st, ref, all);
	}
}

void
store_on_revoke(
    struct store *st, void (*cb)(void *arg, uint32_t keyref), void *arg)
{
	LOCK_SCOPE(&st->state);
	st->revoke_arg = arg;
	st->revoke_cb = cb;
}

/* ---- The encryption of a file ------------------------------------------------------ */

enum err
store_sse_get(struct store *st, uint64_t ino, struct store_sse *ret)
{
	struct inode *ip;
	enum err e;

	memset(ret, 0, sizeof(*ret));
	LOCK_SCOPE(&st->db);
	TRY(inode_get(st, ino, &ip));
	if (!S_ISREG(ip->mode) || ip->obj == NULL) {
		inode_put(st, ip);
		return (ERR_INVAL);
	}
	ret->method = ip->obj->method;
	e = ret->method == SSE_KMS ? keyref_arn(st, ip->keyref, ret->arn) : OK;
	inode_put(st, ip);
	return (e);
}

static enum err
sse_replace(struct store *st, struct inode *ip, struct obj **o, const char *arn)
{
	uint32_t ref = 0;

	RWLOCK_WRITE_SCOPE(&ip->lock);
	if (ip->gone)
		return (ERR_STALE);
	if (ip->size != 0)
		return (err_fail(ERR_PERM, "the encryption of a file with data "
					   "cannot be changed"));
	lock_take(&st->db);
	enum err e = obj_still_ok(st, *o, arn);
	if (e == OK && (*o)->method != SSE_NONE)
		e = keyref_get(st, arn, &ref);
	if (e == OK)
		keyref_use(st, ref, 1);
	lock_drop(&st->db);
	TRY(e);
	/* An empty file may still have a segment, from a write that failed. */
	TRY(content_drop(st, ip));
	LOCK_SCOPE(&st->db);
	keyref_use(st, ip->keyref, -1);
	ip->keyref = ref;
	obj_free(ip->obj);
	ip->obj = steal(*o);
	ip->obj->seg.st = st;
	ip->ctime = inode_now();
	inode_dirty(st, ip);
	ip->obj_dirty = true;
	return (OK);
}

enum err
store_sse_set(struct store *st, const struct kms_who *who, uint64_t ino,
    enum sse method, const char *keyname)
{
	char arn[KMS_ARN_MAX];
	struct inode *ip;
	struct obj *o = NULL;
	uint64_t size;
	enum err e;

	if (keyname != NULL && method != SSE_KMS)
		return (ERR_INVAL);
	EPOCH_SCOPE(st);
	lock_take(&st->db);
	e = inode_get(st, ino, &ip);
	if (e == OK && !S_ISREG(ip->mode)) {
		inode_put(st, ip);
		e = ERR_INVAL;
	}
	size = e == OK ? ip->size : 0;
	lock_drop(&st->db);
	TRY(e);
	if (size != 0)
		e = err_fail(ERR_PERM, "the encryption of a file with data "
				       "cannot be changed");
	else
		e = obj_make(st, who, method, keyname, &o, arn);
	if (e == OK)
		e = sse_replace(st, ip, &o, arn);
	obj_free(o);
	inode_unpin(st, ip);
	return (e);
}
