/*
 * attr: attributes of inodes.
 */
#include <sys/stat.h>

#include "store/acl.h"
#include "store/ns.h"
#include "store/object.h"

#define RELATIME_SECS (24 * 3600)

enum err
store_getattr(struct store *st, uint64_t ino, struct store_attr *ret)
{
	LOCK_SCOPE(&st->db);
	PIN(ip);
	TRY(pin_get(st, ino, &ip));
	inode_attr(ip.ip, ret);
	return (OK);
}

/* What a change of owner, a write or a truncation takes from a file.  Without
 * the group's execute bit S_ISGID means mandatory locking, and stays. */
static uint32_t
without_priv(uint32_t mode)
{
	if (S_ISDIR(mode))
		return (mode);
	mode &= ~(uint32_t)S_ISUID;
	if ((mode & S_IXGRP) != 0)
		mode &= ~(uint32_t)S_ISGID;
	return (mode);
}

static void
apply(struct inode *ip, unsigned what, const struct store_attr *in)
{
	if ((what & STORE_SET_UID) != 0)
		ip->uid = in->uid;
	if ((what & STORE_SET_GID) != 0)
		ip->gid = in->gid;
	if ((what & (STORE_SET_UID | STORE_SET_GID | STORE_SET_KILLPRIV)) != 0)
		ip->mode = without_priv(ip->mode);
	if ((what & STORE_SET_KILLSGID) != 0 && !S_ISDIR(ip->mode))
		ip->mode &= ~(uint32_t)S_ISGID;
	if ((what & STORE_SET_MODE) != 0)
		ip->mode = (ip->mode & S_IFMT) | (in->mode & 07777);
	if ((what & STORE_SET_ATIME) != 0)
		ip->atime = in->atime;
	if ((what & STORE_SET_MTIME) != 0)
		ip->mtime = in->mtime;
	ip->ctime = (what & STORE_SET_CTIME) != 0 ? in->ctime : inode_now();
}

static enum err
check_size(const struct inode *ip, uint64_t size)
{
	if (S_ISDIR(ip->mode))
		return (ERR_ISDIR);
	if (!S_ISREG(ip->mode))
		return (ERR_INVAL);
	return (size > STORE_SIZE_MAX ? ERR_FBIG : OK);
}

/* A pin that is put back without st->db held. */
static void
unpin(struct pin *p)
{
	if (p->ip != NULL)
		inode_unpin(p->st, p->ip);
}

/* st->db held. */
static enum err
change(struct store *st, struct inode *ip, unsigned what,
    const struct store_attr *in)
{
	struct acl *acl CLEANUP_FREE = NULL;

	if ((what & STORE_SET_MODE) != 0)
		TRY(acl_load(st, ip, STORE_ACL_ACCESS, &acl));
	TRY(db_begin(st));
	if (acl != NULL) {
		acl_chmod(acl, in->mode);
		TRY(acl_put(st, ip, STORE_ACL_ACCESS, acl, false));
	}
	apply(ip, what, in);
	inode_dirty(st, ip);
	return (OK);
}

enum err
store_setattr(struct store *st, const struct kms_who *who, uint64_t ino,
    unsigned what, const struct store_attr *in, struct store_attr *ret)
{
	EPOCH_SCOPE(st);
	struct pin ip CLEANUP(unpin) = { NULL, NULL };
	lock_take(&st->db);
	const enum err e = pin_get(st, ino, &ip);
	lock_drop(&st->db);

	TRY(e);
	if ((what & STORE_SET_SIZE) != 0) {
		TRY(check_size(ip.ip, in->size));
		TRY(data_truncate(st, who, ip.ip, in->size));
	}
	LOCK_SCOPE(&st->db);
	if (what != 0)
		TRY(change(st, ip.ip, what, in));
	inode_attr(ip.ip, ret);
	return (OK);
}

static bool
not_after(const struct timespec *a, const struct timespec *b)
{
	if (a->tv_sec != b->tv_sec)
		return (a->tv_sec < b->tv_sec);
	return (a->tv_nsec <= b->tv_nsec);
}

/* As Linux's relatime: a reader who asks "was it read since it changed" gets
 * the right answer, and reading costs a write once a day at most. */
static void
relatime(struct store *st, struct inode *ip)
{
	const struct timespec now = inode_now();

	if (!not_after(&ip->atime, &ip->mtime) &&
	    !not_after(&ip->atime, &ip->ctime) &&
	    now.tv_sec - ip->atime.tv_sec < RELATIME_SECS)
		return;
	ip->atime = now;
	inode_dirty(st, ip);
}

static bool
counts(const struct store *st)
{
	return (
	    !st->readonly && !st->opts.noatime && !atomic_load(&st->stopped));
}

void
attr_touch_atime(struct store *st, struct inode *ip)
{
	if (!counts(st))
		return;
	LOCK_SCOPE(&st->db);
	relatime(st, ip);
}

void
attr_accessed(struct store *st, struct inode *ip)
{
	if (counts(st) && !(S_ISDIR(ip->mode) && st->opts.nodiratime))
		relatime(st, ip);
}
