#include <string.h>
#include <sys/stat.h>

#include "store/acl.h"
#include "store/ns.h"

#define ACL_VERSION 2u
#define PERMS 0777u

enum tag {
	TAG_USER_OBJ = 0x01,
	TAG_USER = 0x02,
	TAG_GROUP_OBJ = 0x04,
	TAG_GROUP = 0x08,
	TAG_MASK = 0x10,
	TAG_OTHER = 0x20
};

/* ---- Lists --------------------------------------------------------------- */

static unsigned
le16(const uint8_t *p)
{
	return ((unsigned)p[0] | (unsigned)p[1] << 8);
}

static size_t
count(const struct acl *a)
{
	return ((a->len - ACL_HEAD) / ACL_ENTRY);
}

static unsigned
tag(const struct acl *a, size_t i)
{
	return (le16(a->b + ACL_HEAD + i * ACL_ENTRY));
}

static unsigned
perm(const struct acl *a, size_t i)
{
	return (le16(a->b + ACL_HEAD + i * ACL_ENTRY + 2));
}

static void
set_perm(struct acl *a, size_t i, unsigned bits)
{
	a->b[ACL_HEAD + i * ACL_ENTRY + 2] = (uint8_t)(bits & 7);
	a->b[ACL_HEAD + i * ACL_ENTRY + 3] = 0;
}

/* May an entry ${next} follow an entry ${last} (0: none)? */
static bool
in_order(unsigned last, unsigned next)
{
	switch (next) {
	case TAG_USER_OBJ:
		return (last == 0);
	case TAG_USER:
	case TAG_GROUP_OBJ:
		return (last == TAG_USER_OBJ || last == TAG_USER);
	case TAG_GROUP:
	case TAG_MASK:
		return (last == TAG_GROUP_OBJ || last == TAG_GROUP);
	case TAG_OTHER:
		return (last == TAG_GROUP_OBJ || last == TAG_MASK);
	default:
		return (false);
	}
}

static bool
sound(const struct acl *a)
{
	unsigned last = 0;
	bool named = false, mask = false;

	for (size_t i = 0; i < count(a); i++) {
		if (!in_order(last, tag(a, i)) || perm(a, i) > 7)
			return (false);
		last = tag(a, i);
		named = named || last == TAG_USER || last == TAG_GROUP;
		mask = mask || last == TAG_MASK;
	}
	return (last == TAG_OTHER && (mask || !named));
}

enum err
acl_parse(struct acl *ret, const void *p, size_t len)
{
	if (len > ACL_MAX)
		return (ERR_2BIG);
	if (len < ACL_HEAD || (len - ACL_HEAD) % ACL_ENTRY != 0)
		return (ERR_INVAL);
	memcpy(ret->b, p, len);
	ret->len = len;
	if (le16(ret->b) != ACL_VERSION || le16(ret->b + 2) != 0)
		return (ERR_INVAL);
	return (sound(ret) ? OK : ERR_INVAL);
}

/* Where the entry of a class of the mode stands in it: the mask, when there is
 * one, is the group class.  -1: in no class. */
static int
shift(const struct acl *a, size_t i)
{
	/* The mask stands just before the last entry. */
	const bool masked = tag(a, count(a) - 2) == TAG_MASK;

	switch (tag(a, i)) {
	case TAG_USER_OBJ:
		return (6);
	case TAG_MASK:
		return (3);
	case TAG_GROUP_OBJ:
		return (masked ? -1 : 3);
	case TAG_OTHER:
		return (0);
	default:
		return (-1);
	}
}

uint32_t
acl_mode(const struct acl *a, bool *ret_plain)
{
	uint32_t mode = 0;

	*ret_plain = count(a) == 3;
	for (size_t i = 0; i < count(a); i++)
		if (shift(a, i) >= 0)
			mode |= (uint32_t)perm(a, i) << shift(a, i);
	return (mode);
}

const char *
acl_wrong(bool access, uint32_t mode, const void *p, size_t len)
{
	struct acl a UNINIT;
	bool plain = false;

	if (p == NULL || acl_parse(&a, p, len) != OK)
		return (access ? "its access ACL is none"
			       : "its default ACL is none");
	if (S_ISLNK(mode) || (!access && !S_ISDIR(mode)))
		return ("it is nothing that has such an ACL");
	if (access && acl_mode(&a, &plain) != (mode & PERMS))
		return ("its ACL stands for another mode than it has");
	return (NULL);
}

void
acl_chmod(struct acl *a, uint32_t mode)
{
	for (size_t i = 0; i < count(a); i++)
		if (shift(a, i) >= 0)
			set_perm(a, i, mode >> shift(a, i));
}

void
acl_narrow(struct acl *a, uint32_t mode)
{
	for (size_t i = 0; i < count(a); i++)
		if (shift(a, i) >= 0)
			set_perm(a, i, perm(a, i) & mode >> shift(a, i));
}

/* ---- Lists of inodes ----------------------------------------------------- */

bool
acl_name(const char *name)
{
	return (strcmp(name, STORE_ACL_ACCESS) == 0 ||
		strcmp(name, STORE_ACL_DEFAULT) == 0);
}

enum err
acl_load(struct store *st, struct inode *ip, const char *name, struct acl **ret)
{
	struct acl *a CLEANUP_FREE = NULL;
	uint8_t b[ACL_MAX] UNINIT;
	size_t len = 0;
	enum err e;

	*ret = NULL;
	if (ip->xattrs == 0)
		return (OK);
	e = xattr_read(st, ip, name, b, sizeof(b), &len);
	if (e == ERR_NODATA)
		return (OK);
	if (e != OK && e != ERR_RANGE)
		return (e);
	a = malloc(sizeof(*a));
	if (a == NULL)
		return (ERR_NOMEM);
	if (e == ERR_RANGE || acl_parse(a, b, len) != OK)
		return (err_fail(ERR_CORRUPT, "inode %llu: its %s is damaged",
		    (unsigned long long)ip->ino, name));
	*ret = steal(a);
	return (OK);
}

enum err
acl_put(struct store *st, struct inode *ip, const char *name,
    const struct acl *a, bool fresh)
{
	return (xattr_write(st, ip, name, a->b, a->len, fresh));
}

/* An access list without named entries is the permission bits in other words,
 * and is not kept beside them. */
static enum err
set_locked(struct store *st, struct inode *ip, const char *name,
    const struct acl *a, unsigned flags)
{
	const bool access = strcmp(name, STORE_ACL_ACCESS) == 0;
	bool fresh = false, plain = false;
	const uint32_t bits = acl_mode(a, &plain);

	if (S_ISLNK(ip->mode))
		return (ERR_NOTSUP);
	if (!access && !S_ISDIR(ip->mode))
		return (ERR_ACCESS);
	TRY(xattr_may_set(st, ip, name, a->len, flags, &fresh));
	plain = plain && access;
	if (!plain)
		TRY(db_room(st));
	TRY(db_begin(st));
	if (!plain)
		TRY(acl_put(st, ip, name, a, fresh));
	else if (!fresh)
		TRY(xattr_drop(st, ip, name));
	if (access) {
		ip->mode = (ip->mode & ~PERMS) | bits;
		if ((flags & STORE_XATTR_KILL_SGID) != 0)
			ip->mode &= ~(uint32_t)S_ISGID;
	}
	inode_touch(st, ip, false);
	return (OK);
}

enum err
acl_set(struct store *st, uint64_t ino, const char *name, const void *value,
    size_t len, unsigned flags)
{
	struct acl a UNINIT;

	TRY(acl_parse(&a, value, len));
	EPOCH_SCOPE(st);
	LOCK_SCOPE(&st->db);
	PIN(ip);
	TRY(pin_get(st, ino, &ip));
	return (set_locked(st, ip.ip, name, &a, flags));
}
