/*
 * scrub_names: names, which lead to what is there and belongs there.
 *
 * Directories are gone through by rising number, the names of each in their
 * order, some at a time with st->db held: what a row says, and what the inode
 * says that it leads to, are of one moment then.
 */
#include <string.h>
#include <sys/stat.h>

#include "store/ns.h"
#include "store/scrub_internal.h"

/* ---- Walking --------------------------------------------------------------- */

/* The next names of ${dir} after *${after}, which moves on.  ${ret_more}: there
 * may be others. */
static enum err
some_names(struct scrub *s, uint64_t dir, sqlite3_value **after,
    struct visit *v, bool *ret_more)
{
	sqlite3_stmt *const q = s->names;
	enum err e = OK;
	unsigned n = 0;

	LOCK_SCOPE(&s->st->db);
	(void)sqlite3_bind_int64(q, 1, (sqlite3_int64)dir);
	if (*after == NULL)
		(void)sqlite3_bind_zeroblob(q, 2, 0);
	else
		(void)sqlite3_bind_value(q, 2, *after);
	(void)sqlite3_bind_int64(q, 3, SCRUB_BATCH);
	while (e == OK && !v->enough) {
		e = db_step(s->st, q);
		if (e != OK)
			break;
		n++;
		sqlite3_value_free(*after);
		*after = sqlite3_value_dup(sqlite3_column_value(q, 0));
		e = *after == NULL
			? ERR_NOMEM
			: v->name(s, v, dir, sqlite3_value_blob(*after),
			      (size_t)sqlite3_value_bytes(*after),
			      (uint64_t)sqlite3_column_int64(q, 1));
	}
	(void)sqlite3_reset(q);
	*ret_more =
	    !v->enough && (n == SCRUB_BATCH || (n != 0 && e == ERR_CORRUPT));
	return (e == ERR_NOENT || (e == ERR_CORRUPT && n != 0) ? OK : e);
}

static void
value_free(sqlite3_value **v)
{
	sqlite3_value_free(*v);
}

enum err
scrub_names_in(struct scrub *s, uint64_t dir, struct visit *v)
{
	sqlite3_value *after CLEANUP(value_free) = NULL;
	bool more = true;

	while (more && !s->stopped) {
		const enum err e = some_names(s, dir, &after, v, &more);

		if (e == ERR_CORRUPT) {
			if (v->check)
				scrub_bad(s, dir, 0, e,
				    "some of its names cannot be read");
			return (OK);
		}
		TRY(e);
		scrub_progress(s, false);
		if (v->check)
			TRY(scrub_settle(s));
	}
	return (OK);
}

static enum err check_dir(struct scrub *s, uint64_t dir);

static enum err
dir_names(struct scrub *s, int64_t dir, void *arg)
{
	struct visit *v = arg;

	if (v->enough)
		return (ERR_NOENT);
	if (v->check)
		TRY(check_dir(s, (uint64_t)dir));
	return (scrub_names_in(s, (uint64_t)dir, v));
}

enum err
scrub_names(struct scrub *s, struct visit *v)
{
	return (scrub_walk(s, s->dirs, 1,
	    v->check ? "meta.db is damaged: some names cannot be read" : NULL,
	    dir_names, v));
}

/* ---- Checking -------------------------------------------------------------- */

enum err
scrub_target(struct scrub *s, uint64_t ino, struct target *ret)
{
	struct inode *ip = inode_peek(s->st, ino);
	sqlite3_stmt *const q = s->target;
	enum err e;

	if (ip != NULL) {
		*ret = (struct target){ ip->mode, ip->nlink, ip->parent };
		e = ip->gone ? ERR_NOENT : OK;
		inode_put(s->st, ip);
		return (e);
	}
	if (ino == 0 || ino > INO_MAX)
		return (ERR_NOENT);
	(void)sqlite3_bind_int64(q, 1, (sqlite3_int64)ino);
	e = db_step(s->st, q);
	if (e == OK)
		*ret = (struct target){
			.mode = (uint32_t)sqlite3_column_int64(q, 0),
			.nlink = (uint32_t)sqlite3_column_int64(q, 1),
			.parent = (uint64_t)sqlite3_column_int64(q, 2),
		};
	(void)sqlite3_reset(q);
	return (e);
}

/* The directory itself, and its names that no look-up can ask for. */
static enum err
check_dir(struct scrub *s, uint64_t dir)
{
	struct target t;
	enum err e;

	LOCK_SCOPE(&s->st->db);
	/* It may have been emptied and removed meanwhile. */
	e = dir_empty(s->st, dir);
	if (e != ERR_NOTEMPTY)
		return (e == ERR_CORRUPT ? OK : e);
	e = scrub_target(s, dir, &t);
	if (e == ERR_NOENT)
		scrub_bad(s, dir, 0, ERR_CORRUPT,
		    "names stand in this directory, which is not there");
	else if (e == OK && !S_ISDIR(t.mode))
		scrub_bad(s, dir, 0, ERR_CORRUPT,
		    "names stand in it, and it is no directory");
	else if (e != OK && e != ERR_CORRUPT)
		return (e);
	(void)sqlite3_bind_int64(s->odd, 1, (sqlite3_int64)dir);
	e = db_step(s->st, s->odd);
	(void)sqlite3_reset(s->odd);
	if (e == OK)
		scrub_bad(s, dir, 0, ERR_CORRUPT,
		    "names in it are empty or not stored as bytes");
	return (e == ERR_NOENT || e == ERR_CORRUPT ? OK : e);
}

static enum err
check_name(struct scrub *s, struct visit *v UNUSED, uint64_t dir,
    const char *name, size_t len, uint64_t ino)
{
	const bool isdir = len > 0 && name[len - 1] == '/';
	const char *what = NULL;
	struct dname key;
	struct target t;
	enum err e;

	if (dname_set(&key, name, len - (isdir ? 1 : 0)) != OK)
		what = "this name is none";
	e = what == NULL ? scrub_target(s, ino, &t) : OK;
	if (what != NULL)
		;
	else if (e == ERR_NOENT)
		what = "this name refers to an inode that is not there";
	else if (e == ERR_CORRUPT)
		what = "this name refers to an inode that cannot be read";
	else if (e != OK)
		return (e);
	else if (!dent_fits(dir, isdir, ino, t.mode, t.parent))
		what = "this name refers to an inode that does not belong here";
	else if (t.nlink == 0)
		what = "it has this name and a link count of 0";
	if (what != NULL)
		scrub_bad_name(s, dir, name, len, ino, what);
	return (OK);
}

enum err
scrub_check_names(struct scrub *s)
{
	struct visit v = { .name = check_name, .check = true };

	return (scrub_names(s, &v));
}
