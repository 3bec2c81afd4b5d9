/*
 * dir: reading directories.
 *
 * Rows come in the order of their names, joined with the table of inodes.  An
 * inode in core may be newer than its row, or have none yet: it goes first.
 */
#include <string.h>
#include <sys/stat.h>

#include "lib/base/log.h"
#include "store/ns.h"

/* The position after ${after}, as a row's key; ${ret} has room for it. */
static enum err
start_key(const char *after, size_t len, bool isdir, char *ret, size_t *ret_len)
{
	*ret_len = 0;
	if (after == NULL)
		return (OK);
	if (len > STORE_NAME_MAX)
		return (ERR_NAMETOOLONG);
	memcpy(ret, after, len);
	ret[len] = '/';
	*ret_len = len + (isdir ? 1 : 0);
	return (OK);
}

/* The attributes of the inode in the row that ${s} stands on. */
static enum err
row_attr(struct store *st, sqlite3_stmt *s, bool all, struct store_attr *ret)
{
	const uint64_t ino = (uint64_t)sqlite3_column_int64(s, 1);
	struct inode *const ip = inode_peek(st, ino);

	memset(ret, 0, sizeof(*ret));
	ret->ino = ino;
	if (ip != NULL) {
		if (all)
			inode_attr(ip, ret);
		else
			ret->mode = ip->mode & S_IFMT;
		inode_put(st, ip);
		return (OK);
	}
	if (sqlite3_column_type(s, 2) == SQLITE_NULL)
		return (ERR_NOENT);
	if (all)
		return (inode_row_attr(s, 2, ino, ret));
	ret->mode = (uint32_t)sqlite3_column_int64(s, 2) & S_IFMT;
	return (OK);
}

/* Copy a row's name without its mark; false when it is none. */
static bool
row_name(sqlite3_stmt *s, char ret[static STORE_NAME_MAX + 1], size_t *ret_len)
{
	const int n = sqlite3_column_bytes(s, 0);
	const char *const p = sqlite3_column_blob(s, 0);
	size_t len = (size_t)n;

	if (n > 0 && p[n - 1] == '/')
		len--;
	if (n <= 0 || len == 0 || len > STORE_NAME_MAX)
		return (false);
	memcpy(ret, p, len);
	ret[len] = '\0';
	*ret_len = len;
	return (true);
}

/* Hand out the row; *ret_more is what the callback said. */
static enum err
emit(struct store *st, sqlite3_stmt *s, bool all,
    bool (*cb)(void *arg, const struct store_dirent *e), void *arg,
    bool *ret_more)
{
	char name[STORE_NAME_MAX + 1];
	struct store_dirent d = { .name = name };
	enum err e;

	*ret_more = true;
	e = row_attr(st, s, all, &d.attr);
	if (e != OK && e != ERR_NOENT)
		return (e);
	if (e == ERR_NOENT || !row_name(s, name, &d.len)) {
		/* The other names stay within reach. */
		log_error("directory entry for inode %llu is damaged; run "
			  "fsck",
		    (unsigned long long)d.attr.ino);
		return (OK);
	}
	*ret_more = cb(arg, &d);
	return (OK);
}

enum err
store_readdir(struct store *st, uint64_t dir, const char *after,
    size_t afterlen, bool after_isdir, size_t limit, bool want_attr,
    bool (*cb)(void *arg, const struct store_dirent *e), void *arg)
{
	const enum stmt which = want_attr ? ST_DENT_NEXT_ATTR : ST_DENT_NEXT;
	char start[STORE_NAME_MAX + 1];
	size_t startlen;
	sqlite3_stmt *s;
	bool more = true;
	enum err e;

	TRY(start_key(after, afterlen, after_isdir, start, &startlen));
	LOCK_SCOPE(&st->db);
	PIN(dp);
	TRY(pin_dir(st, dir, &dp));
	s = db_stmt(st, which);
	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)dir);
	bind_bytes(s, 2, start, startlen);
	(void)sqlite3_bind_int64(
	    s, 3, limit > INT32_MAX ? INT32_MAX : (sqlite3_int64)limit);
	do {
		e = db_row(st, which);
		if (e == OK)
			e = emit(st, s, want_attr, cb, arg, &more);
	} while (e == OK && more);
	db_done(st, which);
	return (e == ERR_NOENT ? OK : e);
}
