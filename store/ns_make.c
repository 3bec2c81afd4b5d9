/*
 * ns_make: new files.
 *
 * A regular file's data key may come from far away.  It is asked for with no
 * lock held, from a default that was looked up before; the directory is then
 * looked at again.  A default changed in between counts for the next file.
 */
#include <string.h>
#include <sys/stat.h>

#include "store/acl.h"
#include "store/ns.h"
#include "store/object.h"

struct making {
	const struct store_new *new;
	const struct dname *key; /* NULL: no name */
	const char *dflt;        /* of a new bucket, or NULL */
	struct obj *obj;         /* regular files; owned */
	char arn[KMS_ARN_MAX];   /* its master key's, or "" */
	uint32_t mode;           /* what it gets of new->mode */
	/* Its lists, or NULL; owned. */
	struct acl *access, *dfltacl;
};

static void
making_cleanup(struct making *m)
{
	obj_free(m->obj);
	free(m->access);
	free(m->dfltacl);
}

static enum err
check_new(const struct store_new *new, bool named, bool open)
{
	size_t n;

	switch (new->mode &S_IFMT) {
	case S_IFREG:
		return (OK);
	case S_IFLNK:
		n = new->target == NULL
			? 0
			: strnlen(new->target, STORE_SYMLINK_MAX + 1);
		if (n > STORE_SYMLINK_MAX)
			return (ERR_NAMETOOLONG);
		if (n == 0)
			return (ERR_INVAL);
		break;
	case S_IFDIR:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		break;
	default:
		return (ERR_INVAL);
	}
	return (named && !open ? OK : ERR_INVAL);
}

/* The default that a new file in ${dir} follows, into STORE_DEFAULT_MAX bytes
 * at ${ret}. */
static enum err
copy_default(struct store *st, uint64_t dir, char *ret)
{
	const char *text;

	LOCK_SCOPE(&st->db);
	PIN(dp);
	TRY(pin_live_dir(st, dir, &dp));
	if (dir == STORE_ROOT)
		return (ERR_PERM);
	TRY(dflt_effective(st, dp.ip, &text));
	if (strlen(text) >= STORE_DEFAULT_MAX)
		return (ERR_CORRUPT);
	(void)stpcpy(ret, text);
	return (OK);
}

static enum err
make_obj(
    struct store *st, const struct kms_who *who, uint64_t dir, struct making *m)
{
	char text[STORE_DEFAULT_MAX];
	const char *sse = m->new->sse, *keyname;
	enum sse method;

	if (st->readonly)
		return (ERR_ROFS);
	if (sse == NULL) {
		TRY(copy_default(st, dir, text));
		sse = text;
	}
	TRY(sse_parse(sse, &method, &keyname));
	return (obj_make(st, who, method, keyname, &m->obj, m->arn));
}

static enum err
check_place(struct store *st, const struct inode *dp, const struct making *m)
{
	struct dent d;
	enum err e;

	if (dp->ino == STORE_ROOT) {
		if (m->key == NULL || !S_ISDIR(m->new->mode))
			return (ERR_PERM);
		if (!store_bucket_name_ok(m->key->b, m->key->len))
			return (err_fail(
			    ERR_INVAL, "not a valid name for a bucket"));
	}
	if (m->key == NULL)
		return (OK);
	e = dent_find(st, dp->ino, m->key, &d);
	if (e != ERR_NOENT)
		return (e == OK ? ERR_EXIST : e);
	if (S_ISDIR(m->new->mode) && dp->nlink == UINT32_MAX)
		return (ERR_MLINK);
	return (OK);
}

/* The permissions that it gets: by the directory's default list, or by the
 * umask. */
static enum err
inherit(struct store *st, struct inode *dp, struct making *m)
{
	bool plain = false;

	m->mode = m->new->mode;
	if (S_ISLNK(m->mode))
		return (OK);
	TRY(acl_load(st, dp, STORE_ACL_DEFAULT, &m->access));
	if (m->access == NULL) {
		m->mode &= ~(m->new->umask & 0777);
		return (OK);
	}
	if (S_ISDIR(m->mode)) {
		m->dfltacl = malloc(sizeof(*m->dfltacl));
		if (m->dfltacl == NULL)
			return (ERR_NOMEM);
		*m->dfltacl = *m->access;
	}
	acl_narrow(m->access, m->mode);
	m->mode = (m->mode & ~(uint32_t)0777) | acl_mode(m->access, &plain);
	if (plain) {
		free(m->access);
		m->access = NULL;
	}
	return (OK);
}

static void
fill(struct inode *ip, const struct inode *dp, const struct store_new *new)
{
	const bool isdir = S_ISDIR(new->mode);

	ip->uid = new->uid;
	ip->gid = new->gid;
	if ((dp->mode & S_ISGID) != 0) {
		ip->gid = dp->gid;
		if (isdir)
			ip->mode |= S_ISGID;
	}
	if (S_ISCHR(new->mode) || S_ISBLK(new->mode))
		ip->rdev = new->rdev;
	if (S_ISLNK(new->mode))
		ip->size = strlen(new->target);
	if (isdir) {
		ip->size = 4096;
		ip->parent = dp->ino;
	}
	ip->bucket = dp->ino == STORE_ROOT ? ip->ino : dp->bucket;
	ip->nlink = isdir ? 2 : 1;
}

/* The rows that a new inode has beside its own. */
static enum err
add_rows(struct store *st, struct inode *ip, const struct making *m)
{
	sqlite3_stmt *s;

	if (S_ISLNK(ip->mode)) {
		s = db_stmt(st, ST_LINK_PUT);
		(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)ip->ino);
		bind_bytes(s, 2, m->new->target, ip->size);
		TRY(db_run(st, ST_LINK_PUT));
	}
	if (ip->bucket == ip->ino)
		TRY(dflt_put(st, ip,
		    m->dflt != NULL   ? m->dflt
		    : st->kms != NULL ? "KMS"
				      : "None"));
	if (m->access != NULL)
		TRY(acl_put(st, ip, STORE_ACL_ACCESS, m->access, true));
	if (m->dfltacl != NULL)
		TRY(acl_put(st, ip, STORE_ACL_DEFAULT, m->dfltacl, true));
	if (m->key != NULL)
		return (OK);
	ip->nlink = 0;
	ip->orphan = true;
	return (OK);
}

static enum err
insert(struct store *st, struct inode *dp, struct making *m, struct pin *ret)
{
	uint32_t keyref = 0;
	struct inode *ip;

	if (m->obj != NULL)
		TRY(obj_still_ok(st, m->obj, m->arn));
	TRY(db_room_new(st));
	TRY(db_begin(st));
	if (m->arn[0] != '\0')
		TRY(keyref_get(st, m->arn, &keyref));
	TRY(inode_new(st, m->mode, &ret->ip));
	ret->st = st;
	ip = ret->ip;
	fill(ip, dp, m->new);
	ip->keyref = keyref;
	keyref_use(st, keyref, 1);
	ip->obj = steal(m->obj);
	ip->obj_dirty = ip->obj != NULL;
	TRY(add_rows(st, ip, m));
	if (m->key != NULL) {
		TRY(dent_add(st, dp->ino, m->key, S_ISDIR(ip->mode), ip->ino));
		if (S_ISDIR(ip->mode))
			dp->nlink++;
		inode_touch(st, dp, true);
	}
	inode_dirty(st, ip);
	return (OK);
}

/* Make it.  ${ret_ip} is pinned when ${keep}. */
static enum err
place(struct store *st, uint64_t dir, struct making *m, bool keep,
    struct store_attr *ret, struct inode **ret_ip)
{
	EPOCH_SCOPE(st);
	LOCK_SCOPE(&st->db);
	PIN(dp);
	PIN(ip);
	TRY(pin_live_dir(st, dir, &dp));
	TRY(check_place(st, dp.ip, m));
	TRY(inherit(st, dp.ip, m));
	TRY(insert(st, dp.ip, m, &ip));
	inode_attr(ip.ip, ret);
	if (keep)
		*ret_ip = steal(ip.ip);
	return (OK);
}

enum err
ns_make(struct store *st, const struct kms_who *who, uint64_t dir,
    const char *name, size_t len, const struct store_new *new, const char *dflt,
    struct store_attr *ret, struct store_file **ret_file)
{
	struct making m CLEANUP(making_cleanup) = { .new = new, .dflt = dflt };
	const uint64_t at = file_epoch(st);
	struct inode *ip = NULL;
	struct dname key;

	TRY(check_new(new, name != NULL, ret_file != NULL));
	if (name != NULL) {
		TRY(dname_set(&key, name, len));
		m.key = &key;
	}
	if (S_ISREG(new->mode))
		TRY(make_obj(st, who, dir, &m));
	TRY(place(st, dir, &m, ret_file != NULL, ret, &ip));
	if (ret_file == NULL)
		return (OK);
	return (file_new(st, who, ip, at, true, ret_file));
}

enum err
store_make(struct store *st, const struct kms_who *who, uint64_t dir,
    const char *name, size_t len, const struct store_new *new,
    struct store_attr *ret, struct store_file **ret_file)
{
	return (ns_make(st, who, dir, name, len, new, NULL, ret, ret_file));
}
