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

/* The attributes of the inode in the row that ${s} stands on, and the directory
 * that it says holds it (0: not known).  ERR_CORRUPT. */
static enum err
row_attr(struct store *st, sqlite3_stmt *s, bool all, struct store_attr *ret,
    uint64_t *ret_parent)
{
	const uint64_t ino = (uint64_t)sqlite3_column_int64(s, 1);
	struct inode *const ip = inode_peek(st, ino);

	memset(ret, 0, sizeof(*ret));
	ret->ino = ino;
	*ret_parent = 0;
	if (ip != NULL) {
		*ret_parent = ip->parent;
		if (all)
			inode_attr(ip, ret);
		else
			ret->mode = ip->mode & S_IFMT;
		inode_put(st, ip);
		return (OK);
	}
	if (sqlite3_column_type(s, 2) == SQLITE_NULL)
		return (ERR_CORRUPT);
	if (all) {
		*ret_parent = (uint64_t)sqlite3_column_int64(s, 2 + 8);
		return (inode_row_attr(s, 2, ino, ret));
	}
	ret->mode = (uint32_t)sqlite3_column_int64(s, 2) & S_IFMT;
	return (OK);
}

/* Copy a row's name without its mark; false when it is none. */
static bool
row_name(sqlite3_stmt *s, struct dname *ret, bool *ret_isdir)
{
	const int n = sqlite3_column_bytes(s, 0);
	const char *const p = sqlite3_column_blob(s, 0);

	*ret_isdir = n > 0 && p[n - 1] == '/';
	if (n <= 0 || dname_set(ret, p, (size_t)n - (*ret_isdir ? 1 : 0)) != OK)
		return (false);
	ret->b[ret->len] = '\0';
	return (true);
}

/* The row as an entry; ERR_CORRUPT when it cannot be one. */
static enum err
row_entry(struct store *st, uint64_t dir, sqlite3_stmt *s, bool all,
    struct dname *name, struct store_dirent *ret)
{
	uint64_t parent;
	bool isdir;

	TRY(row_attr(st, s, all, &ret->attr, &parent));
	if (!row_name(s, name, &isdir) ||
	    !dent_fits(dir, isdir, ret->attr.ino, ret->attr.mode,
		parent != 0 ? parent : dir))
		return (ERR_CORRUPT);
	ret->name = name->b;
	ret->len = name->len;
	return (OK);
}

/* Hand out the row; *ret_more is what the callback said. */
static enum err
emit(struct store *st, uint64_t dir, sqlite3_stmt *s, bool all,
    bool (*cb)(void *arg, const struct store_dirent *e), void *arg,
    bool *ret_more)
{
	struct store_dirent d = { .len = 0 };
	struct dname name;
	enum err e;

	*ret_more = true;
	e = row_entry(st, dir, s, all, &name, &d);
	if (e == ERR_CORRUPT) {
		/* The other names stay within reach. */
		log_error("directory entry for inode %llu is damaged; run "
			  "fsck",
		    (unsigned long long)d.attr.ino);
		return (OK);
	}
	TRY(e);
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
			e = emit(st, dir, s, want_attr, cb, arg, &more);
	} while (e == OK && more);
	db_done(st, which);
	return (e == ERR_NOENT ? OK : e);
}

void
store_listed(struct store *st, uint64_t dir)
{
	LOCK_SCOPE(&st->db);
	PIN(dp);
	if (pin_dir(st, dir, &dp) == OK)
		attr_accessed(st, dp.ip);
	else
		err_clear();
}
