/*
 * ns: names.
 *
 * A change first looks at everything it needs, then opens the transaction and
 * writes rows; what fails after that is the disk's failure, and the store
 * stops.  Therefore no function here undoes anything.
 */
#include <string.h>
#include <sys/stat.h>

#include "store/ns.h"
#include "store/object.h"

/* ---- Pins --------------------------------------------------------------- */

enum err
pin_get(struct store *st, uint64_t ino, struct pin *ret)
{
	TRY(inode_get(st, ino, &ret->ip));
	ret->st = st;
	return (OK);
}

enum err
pin_dir(struct store *st, uint64_t ino, struct pin *ret)
{
	const enum err e = pin_get(st, ino, ret);

	if (e != OK)
		return (e == ERR_STALE ? ERR_NOENT : e);
	return (S_ISDIR(ret->ip->mode) ? OK : ERR_NOTDIR);
}

enum err
pin_live_dir(struct store *st, uint64_t ino, struct pin *ret)
{
	TRY(pin_dir(st, ino, ret));
	return (ret->ip->nlink > 0 ? OK : ERR_NOENT);
}

enum err
pin_child(struct store *st, uint64_t ino, struct pin *ret)
{
	const enum err e = pin_get(st, ino, ret);

	if (e == ERR_STALE)
		return (epoch_damage(
		    st, err_fail(ERR_CORRUPT,
			    "a name refers to inode %llu, which does not exist",
			    (unsigned long long)ino)));
	return (e);
}

/* ---- Rows of dentry ----------------------------------------------------- */

void
bind_bytes(sqlite3_stmt *s, int i, const void *p, size_t n)
{
	if (n == 0)
		(void)sqlite3_bind_zeroblob(s, i, 0);
	else
		(void)sqlite3_bind_blob64(s, i, p, n, SQLITE_STATIC);
}

enum err
dname_set(struct dname *ret, const char *name, size_t len)
{
	if (len > STORE_NAME_MAX)
		return (ERR_NAMETOOLONG);
	if (len == 0 || memchr(name, '\0', len) != NULL ||
	    memchr(name, '/', len) != NULL || (len == 1 && name[0] == '.') ||
	    (len == 2 && name[0] == '.' && name[1] == '.'))
		return (ERR_INVAL);
	memcpy(ret->b, name, len);
	ret->b[len] = '/';
	ret->b[len + 1] = '\0';
	ret->len = len;
	return (OK);
}

static size_t
key_len(const struct dname *name, bool isdir)
{
	return (name->len + (isdir ? 1 : 0));
}

enum err
dent_find(
    struct store *st, uint64_t dir, const struct dname *name, struct dent *ret)
{
	sqlite3_stmt *const s = db_stmt(st, ST_DENT_GET);

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)dir);
	bind_bytes(s, 2, name->b, name->len);
	bind_bytes(s, 3, name->b, name->len + 1);
	TRY(db_row(st, ST_DENT_GET));
	ret->isdir = (size_t)sqlite3_column_bytes(s, 0) == name->len + 1;
	ret->ino = (uint64_t)sqlite3_column_int64(s, 1);
	db_done(st, ST_DENT_GET);
	return (OK);
}

bool
dent_fits(
    uint64_t dir, bool isdir, uint64_t ino, uint32_t mode, uint64_t parent)
{
	return (ino > STORE_ROOT && S_ISDIR(mode) == isdir &&
		(!isdir || parent == dir));
}

enum err
pin_named(struct store *st, uint64_t dir, const struct dent *d, struct pin *ret)
{
	TRY(pin_child(st, d->ino, ret));
	if (!dent_fits(dir, d->isdir, d->ino, ret->ip->mode, ret->ip->parent))
		return (err_fail(ERR_CORRUPT,
		    "a name in directory %llu refers to inode %llu, which "
		    "does not belong there",
		    (unsigned long long)dir, (unsigned long long)d->ino));
	return (OK);
}

static enum err
dent_write(struct store *st, enum stmt which, uint64_t dir,
    const struct dname *name, bool isdir, uint64_t ino)
{
	sqlite3_stmt *const s = db_stmt(st, which);

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)dir);
	bind_bytes(s, 2, name->b, key_len(name, isdir));
	if (which != ST_DENT_DEL)
		(void)sqlite3_bind_int64(s, 3, (sqlite3_int64)ino);
	return (db_run(st, which));
}

enum err
dent_add(struct store *st, uint64_t dir, const struct dname *name, bool isdir,
    uint64_t ino)
{
	return (dent_write(st, ST_DENT_ADD, dir, name, isdir, ino));
}

enum err
dent_set(struct store *st, uint64_t dir, const struct dname *name, bool isdir,
    uint64_t ino)
{
	return (dent_write(st, ST_DENT_SET, dir, name, isdir, ino));
}

enum err
dent_del(struct store *st, uint64_t dir, const struct dname *name, bool isdir)
{
	return (dent_write(st, ST_DENT_DEL, dir, name, isdir, 0));
}

enum err
dir_empty(struct store *st, uint64_t dir)
{
	sqlite3_stmt *const s = db_stmt(st, ST_DENT_ANY);
	enum err e;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)dir);
	e = db_row(st, ST_DENT_ANY);
	if (e != OK)
		return (e == ERR_NOENT ? OK : e);
	db_done(st, ST_DENT_ANY);
	return (ERR_NOTEMPTY);
}

/* ---- Inodes ------------------------------------------------------------- */

enum err
links_check(const struct inode *ip)
{
	if (!S_ISDIR(ip->mode) && ip->nlink == 0)
		return (err_fail(ERR_CORRUPT,
		    "inode %llu has a name and a link count of 0",
		    (unsigned long long)ip->ino));
	return (OK);
}

void
links_drop(struct inode *dir)
{
	/* Damage makes it too low; fsck counts anew. */
	if (dir->nlink > 2)
		dir->nlink--;
}

void
inode_touch(struct store *st, struct inode *ip, bool mtime)
{
	ip->ctime = inode_now();
	if (mtime)
		ip->mtime = ip->ctime;
	inode_dirty(st, ip);
}

enum err
inode_unname(struct store *st, struct inode *dir, struct inode *ip)
{
	if (S_ISDIR(ip->mode)) {
		TRY(dflt_drop(st, ip));
		links_drop(dir);
		ip->nlink = 0;
	} else {
		ip->nlink--;
	}
	/* The row in table orphan follows when the inode is flushed: most are
	 * reaped before. */
	if (ip->nlink == 0)
		ip->orphan = true;
	inode_touch(st, dir, true);
	inode_touch(st, ip, false);
	return (OK);
}

/* ---- Looking up --------------------------------------------------------- */

enum err
store_lookup(struct store *st, uint64_t dir, const char *name, size_t len,
    struct store_attr *ret)
{
	const bool dot = len == 1 && name[0] == '.';
	const bool dotdot = len == 2 && name[0] == '.' && name[1] == '.';
	struct dname key;
	struct dent d;

	LOCK_SCOPE(&st->db);
	PIN(dp);
	PIN(ip);
	TRY(pin_dir(st, dir, &dp));
	if (dot || dotdot) {
		TRY(pin_child(st, dot ? dir : dp.ip->parent, &ip));
	} else {
		TRY(dname_set(&key, name, len));
		TRY(dent_find(st, dir, &key, &d));
		TRY(pin_named(st, dir, &d, &ip));
	}
	inode_attr(ip.ip, ret);
	return (OK);
}

enum err
store_parent(struct store *st, uint64_t dir, uint64_t *ret)
{
	LOCK_SCOPE(&st->db);
	PIN(dp);
	TRY(pin_dir(st, dir, &dp));
	*ret = dp.ip->parent;
	return (OK);
}

enum err
store_readlink(struct store *st, uint64_t ino, char *ret)
{
	sqlite3_stmt *s;
	enum err e;
	int n;

	LOCK_SCOPE(&st->db);
	PIN(ip);
	TRY(pin_get(st, ino, &ip));
	if (!S_ISLNK(ip.ip->mode))
		return (ERR_INVAL);
	s = db_stmt(st, ST_LINK_GET);
	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)ino);
	e = db_row(st, ST_LINK_GET);
	if (e != OK)
		return (e == ERR_NOENT ? ERR_CORRUPT : e);
	n = sqlite3_column_bytes(s, 0);
	if (n <= 0 || n > STORE_SYMLINK_MAX ||
	    memchr(sqlite3_column_blob(s, 0), '\0', (size_t)n) != NULL) {
		e = ERR_CORRUPT;
	} else {
		memcpy(ret, sqlite3_column_blob(s, 0), (size_t)n);
		ret[n] = '\0';
	}
	db_done(st, ST_LINK_GET);
	if (e == OK)
		attr_accessed(st, ip.ip);
	return (e);
}

/* ---- Links -------------------------------------------------------------- */

enum err
store_link(struct store *st, uint64_t ino, uint64_t dir, const char *name,
    size_t len, struct store_attr *ret)
{
	struct dname key;
	struct dent d;
	enum err e;

	TRY(dname_set(&key, name, len));
	EPOCH_SCOPE(st);
	LOCK_SCOPE(&st->db);
	PIN(dp);
	PIN(ip);
	TRY(pin_live_dir(st, dir, &dp));
	e = pin_get(st, ino, &ip);
	if (e != OK)
		return (e == ERR_STALE ? ERR_NOENT : e);
	if (S_ISDIR(ip.ip->mode) || dir == STORE_ROOT)
		return (ERR_PERM);
	if (ip.ip->bucket != dp.ip->bucket)
		return (ERR_XDEV);
	e = dent_find(st, dir, &key, &d);
	if (e != ERR_NOENT)
		return (e == OK ? ERR_EXIST : e);
	if (ip.ip->nlink >= STORE_LINK_MAX)
		return (ERR_MLINK);
	TRY(db_room(st));
	TRY(db_begin(st));
	TRY(dent_add(st, dir, &key, false, ino));
	if (ip.ip->orphan)
		ip.ip->orphan = false;
	ip.ip->nlink++;
	inode_touch(st, ip.ip, false);
	inode_touch(st, dp.ip, true);
	inode_attr(ip.ip, ret);
	return (OK);
}

enum err
store_unlink(struct store *st, uint64_t dir, const char *name, size_t len,
    uint64_t *ret_ino, bool *ret_gone)
{
	struct dname key;
	struct dent d;

	TRY(dname_set(&key, name, len));
	EPOCH_SCOPE(st);
	LOCK_SCOPE(&st->db);
	PIN(dp);
	PIN(ip);
	TRY(pin_dir(st, dir, &dp));
	TRY(dent_find(st, dir, &key, &d));
	if (d.isdir)
		return (ERR_ISDIR);
	TRY(pin_named(st, dir, &d, &ip));
	TRY(links_check(ip.ip));
	TRY(db_begin(st));
	TRY(dent_del(st, dir, &key, false));
	TRY(inode_unname(st, dp.ip, ip.ip));
	*ret_ino = d.ino;
	*ret_gone = ip.ip->nlink == 0;
	return (OK);
}

enum err
store_rmdir(struct store *st, uint64_t dir, const char *name, size_t len,
    uint64_t *ret_ino)
{
	struct dname key;
	struct dent d;

	TRY(dname_set(&key, name, len));
	EPOCH_SCOPE(st);
	LOCK_SCOPE(&st->db);
	PIN(dp);
	PIN(ip);
	TRY(pin_dir(st, dir, &dp));
	TRY(dent_find(st, dir, &key, &d));
	if (!d.isdir)
		return (ERR_NOTDIR);
	TRY(pin_named(st, dir, &d, &ip));
	TRY(dir_empty(st, d.ino));
	TRY(db_begin(st));
	TRY(dent_del(st, dir, &key, true));
	TRY(inode_unname(st, dp.ip, ip.ip));
	*ret_ino = d.ino;
	return (OK);
}
