/*
 * scrub_names: names, which lead to what is there and belongs there.
 *
 * Directories are gone through by rising number, the names of each in their
 * order, some at a time with st->db held: what a row says, and what the inode
 * says that it leads to, are of one moment then.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/buf.h"

#include "store/ns.h"
#include "store/scrub_internal.h"

/* ---- Walking --------------------------------------------------------------- */

/* A place among the names of a directory: after these bytes. */
struct spot {
	uint8_t *b;
	size_t len, room;
};

static void
spot_release(struct spot *p)
{
	free(p->b);
}

static enum err
spot_set(struct spot *p, const void *name, size_t len)
{
	if (len > p->room) {
		uint8_t *b = realloc(p->b, len);

		if (b == NULL)
			return (ERR_NOMEM);
		p->b = b;
		p->room = len;
	}
	memcpy(p->b, name, len);
	p->len = len;
	return (OK);
}

static void
spot_bind(
    struct scrub *s, uint64_t dir, const void *b, size_t len, unsigned limit)
{
	(void)sqlite3_bind_int64(s->names, 1, (sqlite3_int64)dir);
	bind_bytes(s->names, 2, b, len);
	(void)sqlite3_bind_int64(s->names, 3, limit);
}

/* The row that s->names stands on. */
static enum err
one_name(struct scrub *s, uint64_t dir, struct visit *v, struct spot *next)
{
	const size_t len = (size_t)sqlite3_column_bytes(s->names, 0);
	const void *name = sqlite3_column_blob(s->names, 0);

	if (name == NULL)
		return (db_unread(s->names));
	TRY(spot_set(next, name, len));
	return (v->name(
	    s, v, dir, name, len, (uint64_t)sqlite3_column_int64(s->names, 1)));
}

/* The next names of ${dir} after ${at}, which moves on to the last that is
 * whole.  ERR_NOENT: these were the last. */
static enum err
some_names(struct scrub *s, uint64_t dir, struct spot *at, struct visit *v)
{
	struct spot next CLEANUP(spot_release) = { .b = NULL };
	unsigned n = 0;
	enum err e = OK;

	LOCK_SCOPE(&s->st->db);
	spot_bind(s, dir, at->b, at->len, SCRUB_BATCH);
	while (e == OK && !v->enough) {
		e = db_step(s->st, s->names);
		if (e != OK)
			break;
		n++;
		e = one_name(s, dir, v, &next);
	}
	(void)sqlite3_reset(s->names);
	if (n != 0) {
		const struct spot last = *at;

		*at = next;
		next = last;
	}
	return (e == ERR_NOENT && n == SCRUB_BATCH ? OK : e);
}

/* Can the names after these bytes be read, or are there none? */
static enum err
probe(struct scrub *s, uint64_t dir, const uint8_t *b, size_t len)
{
	enum err e;

	LOCK_SCOPE(&s->st->db);
	spot_bind(s, dir, b, len, 1);
	e = db_step(s->st, s->names);
	(void)sqlite3_reset(s->names);
	return (e == ERR_NOENT ? OK : e);
}

/* As pass_over() of numbers, with the 8 bytes of ${at} from the ${k}th on. */
static enum err
pass_window(struct scrub *s, uint64_t dir, struct spot *at, size_t k)
{
	uint8_t key[STORE_NAME_MAX + 16] = { 0 };
	uint64_t bad, good, step = 1;
	enum err e;

	if (at->len != 0)
		memcpy(key, at->b, at->len < k + 8 ? at->len : k + 8);
	bad = get_u64(key + k);
	do {
		if (step == 0 || bad > UINT64_MAX - step)
			return (ERR_CORRUPT);
		good = bad + step;
		put_u64(key + k, good);
		e = probe(s, dir, key, k + 8);
		if (e == ERR_CORRUPT) {
			bad = good;
			step *= 2;
		}
	} while (e == ERR_CORRUPT);
	while (e == OK && good - bad > 1) {
		const uint64_t mid = bad + (good - bad) / 2;

		put_u64(key + k, mid);
		e = probe(s, dir, key, k + 8);
		if (e == ERR_CORRUPT)
			bad = mid;
		else
			good = mid;
		e = e == ERR_CORRUPT ? OK : e;
	}
	TRY(e);
	put_u64(key + k, good);
	return (spot_set(at, key, k + 8));
}

/* Go on behind damage of the database's pages: names that begin as the last
 * one does are left as few as can be.  ERR_CORRUPT: nothing is behind it. */
static enum err
pass_names(struct scrub *s, uint64_t dir, struct spot *at)
{
	size_t k = at->len < STORE_NAME_MAX ? at->len : STORE_NAME_MAX;
	enum err e;

	do {
		k = k > 4 ? k - 4 : 0;
		e = pass_window(s, dir, at, k);
	} while (e == ERR_CORRUPT && k != 0);
	return (e);
}

enum err
scrub_names_in(struct scrub *s, uint64_t dir, struct visit *v)
{
	struct spot at CLEANUP(spot_release) = { .b = NULL };
	bool told = !v->check;
	enum err e = OK;

	while (e == OK && !v->enough && !s->stopped) {
		e = some_names(s, dir, &at, v);
		if (e == ERR_CORRUPT) {
			if (!told)
				scrub_bad(s, dir, 0, e,
				    "some of its names cannot be read");
			told = true;
			e = pass_names(s, dir, &at);
		}
		scrub_progress(s, false);
		if (e == OK && v->check)
			e = scrub_settle(s);
	}
	return (e == ERR_NOENT || e == ERR_CORRUPT ? OK : e);
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
