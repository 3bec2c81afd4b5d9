/*
 * xattr: names and values that users hang on inodes.
 *
 * An inode's row counts them, so that the common inode without any costs no
 * query.
 */
#include <string.h>

#include "store/acl.h"
#include "store/ns.h"

static enum err
check_name(const char *name)
{
	const size_t n = strnlen(name, STORE_XATTR_NAME_MAX + 1);

	return (n == 0 || n > STORE_XATTR_NAME_MAX ? ERR_RANGE : OK);
}

static sqlite3_stmt *
bind(struct store *st, enum stmt which, uint64_t ino, const char *name)
{
	sqlite3_stmt *const s = db_stmt(st, which);

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)ino);
	if (name != NULL)
		bind_bytes(s, 2, name, strlen(name));
	return (s);
}

/* Stand on the row of an attribute: ERR_NODATA when there is none. */
static enum err
find(struct store *st, const struct inode *ip, const char *name,
    sqlite3_stmt **ret)
{
	enum err e;

	if (ip->xattrs == 0)
		return (ERR_NODATA);
	*ret = bind(st, ST_XATTR_GET, ip->ino, name);
	e = db_row(st, ST_XATTR_GET);
	return (e == ERR_NOENT ? ERR_NODATA : e);
}

enum err
xattr_read(struct store *st, const struct inode *ip, const char *name,
    void *buf, size_t size, size_t *ret_len)
{
	sqlite3_stmt *s;
	enum err e = OK;
	size_t n;

	TRY(find(st, ip, name, &s));
	n = (size_t)sqlite3_column_bytes(s, 0);
	if (size != 0 && n > size)
		e = ERR_RANGE;
	else if (size != 0 && n > 0)
		memcpy(buf, sqlite3_column_blob(s, 0), n);
	db_done(st, ST_XATTR_GET);
	*ret_len = n;
	return (e);
}

enum err
store_xattr_get(struct store *st, uint64_t ino, const char *name, void *buf,
    size_t size, size_t *ret_len)
{
	TRY(check_name(name));
	LOCK_SCOPE(&st->db);
	PIN(ip);
	TRY(pin_get(st, ino, &ip));
	return (xattr_read(st, ip.ip, name, buf, size, ret_len));
}

/* Bytes of all names and values of an inode. */
static enum err
total(struct store *st, const struct inode *ip, size_t *ret)
{
	sqlite3_stmt *s;

	*ret = 0;
	if (ip->xattrs == 0)
		return (OK);
	s = bind(st, ST_XATTR_SUM, ip->ino, NULL);
	TRY(db_row(st, ST_XATTR_SUM));
	*ret = (size_t)sqlite3_column_int64(s, 0);
	db_done(st, ST_XATTR_SUM);
	return (OK);
}

enum err
xattr_may_set(struct store *st, const struct inode *ip, const char *name,
    size_t len, unsigned flags, bool *ret_new)
{
	size_t sum, old = 0;
	sqlite3_stmt *s;
	enum err e;

	e = find(st, ip, name, &s);
	*ret_new = e == ERR_NODATA;
	if (e == OK) {
		old = strlen(name) + (size_t)sqlite3_column_bytes(s, 0);
		db_done(st, ST_XATTR_GET);
		if ((flags & STORE_XATTR_CREATE) != 0)
			return (ERR_EXIST);
	} else if (e != ERR_NODATA || (flags & STORE_XATTR_REPLACE) != 0) {
		return (e);
	}
	TRY(total(st, ip, &sum));
	if (sum - old + strlen(name) + len > STORE_XATTR_TOTAL)
		return (ERR_NOSPC);
	return (OK);
}

enum err
xattr_write(struct store *st, struct inode *ip, const char *name,
    const void *value, size_t len, bool fresh)
{
	sqlite3_stmt *const s = bind(st, ST_XATTR_PUT, ip->ino, name);

	bind_bytes(s, 3, value, len);
	TRY(db_run(st, ST_XATTR_PUT));
	if (fresh)
		ip->xattrs++;
	return (OK);
}

enum err
xattr_drop(struct store *st, struct inode *ip, const char *name)
{
	(void)bind(st, ST_XATTR_DEL, ip->ino, name);
	TRY(db_run(st, ST_XATTR_DEL));
	ip->xattrs--;
	return (OK);
}

enum err
store_xattr_set(struct store *st, uint64_t ino, const char *name,
    const void *value, size_t len, unsigned flags)
{
	bool fresh;

	TRY(check_name(name));
	if (len > STORE_XATTR_MAX)
		return (ERR_2BIG);
	if (acl_name(name))
		return (acl_set(st, ino, name, value, len, flags));
	EPOCH_SCOPE(st);
	LOCK_SCOPE(&st->db);
	PIN(ip);
	TRY(pin_get(st, ino, &ip));
	TRY(xattr_may_set(st, ip.ip, name, len, flags, &fresh));
	TRY(db_room(st));
	TRY(db_begin(st));
	TRY(xattr_write(st, ip.ip, name, value, len, fresh));
	inode_touch(st, ip.ip, false);
	return (OK);
}

enum err
store_xattr_remove(struct store *st, uint64_t ino, const char *name)
{
	sqlite3_stmt *s;

	TRY(check_name(name));
	EPOCH_SCOPE(st);
	LOCK_SCOPE(&st->db);
	PIN(ip);
	TRY(pin_get(st, ino, &ip));
	TRY(find(st, ip.ip, name, &s));
	db_done(st, ST_XATTR_GET);
	TRY(db_begin(st));
	TRY(xattr_drop(st, ip.ip, name));
	inode_touch(st, ip.ip, false);
	return (OK);
}

enum err
store_xattr_list(struct store *st, uint64_t ino,
    void (*cb)(void *arg, const char *name, size_t len), void *arg)
{
	char name[STORE_XATTR_NAME_MAX + 1];
	sqlite3_stmt *s;
	enum err e;

	LOCK_SCOPE(&st->db);
	PIN(ip);
	TRY(pin_get(st, ino, &ip));
	if (ip.ip->xattrs == 0)
		return (OK);
	s = bind(st, ST_XATTR_LIST, ino, NULL);
	for (;;) {
		e = db_row(st, ST_XATTR_LIST);
		if (e != OK)
			break;
		const int n = sqlite3_column_bytes(s, 0);
		if (n <= 0 || n > STORE_XATTR_NAME_MAX ||
		    memchr(sqlite3_column_blob(s, 0), '\0', (size_t)n) !=
			NULL) {
			db_done(st, ST_XATTR_LIST);
			return (ERR_CORRUPT);
		}
		memcpy(name, sqlite3_column_blob(s, 0), (size_t)n);
		name[n] = '\0';
		cb(arg, name, (size_t)n);
	}
	return (e == ERR_NOENT ? OK : e);
}
