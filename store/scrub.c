/*
 * scrub: reading everything back while the store is in use.
 *
 * Inodes are visited by rising number: their rows (scrub_row.c), and the content
 * of files.  Then the names (scrub_names.c).  The segments that lie under several
 * files once, through the first file that has them; damaged ones through every
 * file, so that each is named.  Without keys the CRCs of
 * records, map nodes and blocks are checked, with keys their tags as well.
 *
 * A piece of work is one map node and the blocks it names (256 KiB).  A piece
 * of a file's own segment is done under its lock, shared: what a row of table
 * node names is then what the file holds, unless the node is dirty in core,
 * which is then taken instead.  Frozen segments never change but may die, and
 * their slots be used again: damage found there counts only when the segment
 * is still in its table afterwards.  No lock is held between pieces, and
 * st->db never while the arenas are read.
 */
#include <string.h>

#include "lib/base/clock.h"

#include "store/acl.h"
#include "store/scrub_internal.h"

#define BATCH SCRUB_BATCH
#define SEEN_MAX ((size_t)1 << 22) /* more are read again, not forgotten */
#define QUEUE_MAX ((size_t)1 << 20)

/* Positions are numbers: rows whose keys are none are passed over. */
static const char inodes_sql[] =
    "SELECT ino FROM inode WHERE ino>=?1 ORDER BY ino LIMIT ?2";
static const char bases_sql[] =
    "SELECT start, seg, off FROM base WHERE owner=?3 AND start>?1"
    " AND typeof(start)='integer' ORDER BY start LIMIT ?2";
static const char segs_sql[] =
    "SELECT seg FROM segment WHERE seg>=?1 ORDER BY seg LIMIT ?2";
static const char dirs_sql[] =
    "SELECT parent FROM dentry WHERE parent>=?1 AND"
    " parent<=9223372036854775807 AND typeof(parent)='integer'"
    " ORDER BY parent LIMIT ?2";
/* Texts, numbers and the empty name come before all names. */
static const char names_sql[] = "SELECT name, ino FROM dentry WHERE parent=?1"
				" AND name>?2 ORDER BY name LIMIT ?3";
static const char odd_sql[] =
    "SELECT 1 FROM dentry WHERE parent=?1 AND name<=x'' LIMIT 1";
static const char target_sql[] =
    "SELECT mode, nlink, parent FROM inode WHERE ino=?1";
static const char xattrs_sql[] =
    "SELECT name, length(value), is_acl, CASE WHEN is_acl THEN"
    " CASE WHEN length(value)<=4096 THEN value END END FROM (SELECT name,"
    " value, name IN (CAST('" STORE_ACL_ACCESS
    "' AS BLOB), CAST('" STORE_ACL_DEFAULT
    "' AS BLOB)) AS is_acl FROM xattr WHERE ino=?1 LIMIT ?2)";

/* ---- Lists --------------------------------------------------------------------- */

/* Up to ${limit} rows, BATCH at most, of one of our statements; ${owner} only
 * for bases.  st->db is held by nobody afterwards, as the statement is reset.
 * Rows before damage are good. */
static enum err
list(struct scrub *s, sqlite3_stmt *q, int64_t from, unsigned limit,
    uint64_t owner, int64_t (*ret)[3], unsigned *ret_n)
{
	const int cols = sqlite3_column_count(q);
	unsigned n = 0;
	enum err e;

	LOCK_SCOPE(&s->st->db);
	sqlite3_bind_int64(q, 1, from);
	sqlite3_bind_int64(q, 2, limit);
	if (q == s->bases)
		sqlite3_bind_int64(q, 3, (int64_t)owner);
	while ((e = db_step(s->st, q)) == OK && n < limit) {
		for (int i = 0; i < cols; i++)
			ret[n][i] = sqlite3_column_int64(q, i);
		n++;
	}
	(void)sqlite3_reset(q);
	*ret_n = n;
	return (e == ERR_NOENT || (e == ERR_CORRUPT && n != 0) ? OK : e);
}

/* From ${*at} on nothing can be listed: the next number from which something
 * can, or nothing is left.  ERR_NOENT: there is none. */
static enum err
pass_over(struct scrub *s, sqlite3_stmt *q, int64_t *at)
{
	int64_t v[1][3], bad = *at, good, step = 1;
	unsigned n;
	enum err e;

	do {
		if (bad > (int64_t)COUNTER_MAX)
			return (ERR_NOENT);
		good = bad < 0 ? 0 : bad + step;
		e = list(s, q, good, 1, 0, v, &n);
		if (e == ERR_CORRUPT) {
			bad = good;
			step = 2 * step;
		}
	} while (e == ERR_CORRUPT);
	while (e == OK && bad >= 0 && good - bad > 1) {
		const int64_t mid = bad + (good - bad) / 2;

		e = list(s, q, mid, 1, 0, v, &n);
		if (e == ERR_CORRUPT)
			bad = mid;
		else
			good = mid;
		e = e == ERR_CORRUPT ? OK : e;
	}
	*at = good;
	return (e);
}

enum err
scrub_walk(struct scrub *s, sqlite3_stmt *q, unsigned limit, const char *lost,
    enum err (*fn)(struct scrub *s, int64_t number, void *arg), void *arg)
{
	int64_t v[BATCH][3], from = INT64_MIN;
	unsigned n = 1;
	enum err e;

	while (n != 0 && !s->stopped) {
		e = list(s, q, from, limit, 0, v, &n);
		if (e == ERR_CORRUPT) {
			if (lost != NULL)
				scrub_bad(s, 0, 0, e, lost);
			e = pass_over(s, q, &from);
			if (e == ERR_NOENT)
				return (OK);
			n = 1;
			TRY(e);
			continue;
		}
		TRY(e);
		for (unsigned i = 0; i < n && !s->stopped; i++) {
			e = fn(s, v[i][0], arg);
			if (e != OK)
				return (e == ERR_NOENT ? OK : e);
		}
		if (n != 0 && v[n - 1][0] == INT64_MAX)
			return (OK);
		if (n != 0)
			from = v[n - 1][0] + 1;
	}
	return (OK);
}

/* Index of ${segno} in the set, or where it belongs. */
static size_t
set_at(const struct segset *t, uint64_t segno)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		const size_t mid = (lo + hi) / 2;

		if (t->v[mid] < segno)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo);
}

static bool
set_has(const struct segset *t, uint64_t segno)
{
	const size_t i = set_at(t, segno);

	return (i < t->n && t->v[i] == segno);
}

static enum err
set_add(struct segset *t, uint64_t segno)
{
	const size_t i = set_at(t, segno);

	if (t->n >= SEEN_MAX || set_has(t, segno))
		return (OK);
	if ((t->n & (t->n - 1)) == 0) {
		uint64_t *v =
		    realloc(t->v, (t->n == 0 ? 1 : 2 * t->n) * sizeof(*v));

		if (v == NULL)
			return (ERR_NOMEM);
		t->v = v;
	}
	memmove(&t->v[i + 1], &t->v[i], (t->n - i) * sizeof(t->v[0]));
	t->v[i] = segno;
	t->n++;
	return (OK);
}

static enum err
queue_add(struct scrub *s, uint64_t segno, int64_t shift)
{
	for (size_t i = 0; i < s->nqueue; i++)
		if (s->queue[i].segno == segno)
			return (OK);
	/* More than that are left to the last pass. */
	if (s->nqueue >= QUEUE_MAX)
		return (OK);
	if ((s->nqueue & (s->nqueue - 1)) == 0) {
		struct item *v = realloc(s->queue,
		    (s->nqueue == 0 ? 1 : 2 * s->nqueue) * sizeof(*v));

		if (v == NULL)
			return (ERR_NOMEM);
		s->queue = v;
	}
	s->queue[s->nqueue++] = (struct item){ segno, shift };
	return (OK);
}

/* Queue what lies under segment ${owner}. */
static enum err
queue_bases(struct scrub *s, uint64_t owner, int64_t shift)
{
	int64_t v[BATCH][3], after = -1;
	unsigned n;

	do {
		TRY(list(s, s->bases, after, BATCH, owner, v, &n));
		for (unsigned i = 0; i < n; i++) {
			after = v[i][0];
			TRY(queue_add(
			    s, (uint64_t)v[i][1], shift + v[i][0] - v[i][2]));
		}
	} while (n != 0);
	return (OK);
}

/* ---- Files --------------------------------------------------------------------- */

/* Pin the inode, with its keys when they are asked for and to be had. ip stays
 * NULL when it is gone or too damaged. */
static enum err
place_open(struct scrub *s, struct place *p)
{
	struct store *st = s->st;
	enum err e = ERR_STALE, told = OK;

	if (s->o->keys) {
		e = store_open(st, s->o->who, p->ino, &p->f);
		if (e == OK) {
			p->ip = p->f->ip;
			p->keys = true;
			return (OK);
		}
		if (e == ERR_NOMEM || e == ERR_STALE)
			return (e == ERR_STALE ? OK : e);
		scrub_refused(s, p, e);
		told = e;
	}
	lock_take(&st->db);
	e = inode_get(st, p->ino, &p->ip);
	lock_drop(&st->db);
	if (e == ERR_CORRUPT && told != ERR_CORRUPT)
		scrub_bad(s, p->ino, 0, e, err_detail(e));
	return (e == ERR_STALE || e == ERR_CORRUPT ? OK : e);
}

static void
place_close(struct scrub *s, struct place *p)
{
	struct store *st = s->st;

	lock_take(&st->db);
	const bool orphan = p->ip->orphan && p->ip->nlink == 0;
	lock_drop(&st->db);
	if (p->f != NULL)
		store_release(p->f);
	else
		inode_unpin(st, p->ip);
	/* Whoever wanted to reap it meanwhile found it in use. */
	if (orphan)
		store_reap(st, p->ino);
}

/* A segment under the file's own. */
static enum err
shared_segment(struct scrub *s, struct place *p, const struct item *it)
{
	const uint64_t bad = s->r->bad;
	struct place q = *p;

	/* One that is damaged is named by each of its files. */
	if (set_has(&s->seen, it->segno) && !set_has(&s->damaged, it->segno))
		return (OK);
	q.frozen = true;
	q.segno = it->segno;
	q.shift = it->shift;
	TRY(scrub_segment(s, &q, NODE_LEVELS - 1));
	p->keys = q.keys;
	if (s->r->bad != bad)
		TRY(set_add(&s->damaged, it->segno));
	/* Another file may have the keys that this one lacks. */
	if (q.keys || !s->o->keys)
		TRY(set_add(&s->seen, it->segno));
	return (OK);
}

static enum err
shared_segments(struct scrub *s, struct place *p)
{
	uint64_t owner;

	s->nqueue = 0;
	scrub_lock(s, p);
	owner = p->ip->obj->has_bases ? p->ip->obj->seg.no : 0;
	scrub_unlock(p);
	if (owner == 0)
		return (OK);
	TRY(queue_bases(s, owner, 0));
	for (size_t i = 0; i < s->nqueue && !s->stopped; i++) {
		const struct item it = s->queue[i];

		TRY(shared_segment(s, p, &it));
		TRY(queue_bases(s, it.segno, it.shift));
	}
	return (OK);
}

static enum err
file(struct scrub *s, struct place *p)
{
	uint8_t depth;
	enum err e;

	s->r->files++;
	TRY(place_open(s, p));
	if (p->ip == NULL)
		return (OK);
	scrub_lock(s, p);
	e = scrub_record(s, p);
	p->segno = p->ip->obj->seg.no;
	depth = p->ip->obj->seg.depth;
	scrub_unlock(p);
	scrub_found(s, p);
	if (e == OK && p->segno != 0)
		e = scrub_segment(s, p, depth);
	if (e == OK && !s->stopped)
		e = shared_segments(s, p);
	place_close(s, p);
	scrub_progress(s, false);
	return (e);
}

static enum err
inode(struct scrub *s, int64_t ino, void *arg UNUSED)
{
	struct place p = { .ino = (uint64_t)ino };
	bool is_file = false;
	enum err e;

	if (ino <= 0 || ino > (int64_t)INO_MAX) {
		scrub_bad(
		    s, p.ino, 0, ERR_CORRUPT, "no inode has such a number");
		return (OK);
	}
	e = scrub_row(s, &p, &is_file);
	if (e == OK && is_file)
		e = file(s, &p);
	/* Pages of the database that are damaged. */
	if (e == ERR_CORRUPT) {
		scrub_bad(s, p.ino, 0, e, err_detail(e));
		e = OK;
	}
	TRY(e);
	return (scrub_settle(s));
}

/* A frozen segment. */
static enum err
segment(struct scrub *s, int64_t segno, void *arg UNUSED)
{
	struct place p = { .frozen = true, .segno = (uint64_t)segno };

	if (segno <= 0 || set_has(&s->seen, p.segno))
		return (OK);
	return (scrub_segment(s, &p, NODE_LEVELS - 1));
}

/* ---- The whole ----------------------------------------------------------------- */

static enum err
prepare(struct scrub *s)
{
	struct store *st = s->st;

	const struct {
		const char *sql;
		sqlite3_stmt **to;
	} all[] = { { inodes_sql, &s->inodes }, { bases_sql, &s->bases },
		{ segs_sql, &s->segs }, { dirs_sql, &s->dirs },
		{ names_sql, &s->names }, { odd_sql, &s->odd },
		{ target_sql, &s->target }, { xattrs_sql, &s->xattrs } };

	s->plain = calloc(1, BLOCK);
	s->tell = tell_new();
	if (s->plain == NULL || s->tell == NULL)
		return (ERR_NOMEM);
	s->total = alloc_used(st) * BLOCK;
	s->next_ns = s->said_ns = clock_mono_ns();
	LOCK_SCOPE(&st->db);
	for (size_t i = 0; i < COUNTOF(all); i++)
		TRY(db_prepare(st, all[i].sql, all[i].to));
	return (OK);
}

static void
release(struct scrub *s)
{
	lock_take(&s->st->db);
	sqlite3_stmt *const all[] = { s->inodes, s->bases, s->segs, s->dirs,
		s->names, s->odd, s->target, s->xattrs };
	for (size_t i = 0; i < COUNTOF(all); i++)
		(void)sqlite3_finalize(all[i]);
	lock_drop(&s->st->db);
	if (s->plain != NULL)
		secret_wipe(s->plain, BLOCK);
	free(s->plain);
	free(s->seen.v);
	free(s->damaged.v);
	free(s->queue);
	tell_free(s->tell);
}

enum err
store_scrub(struct store *st, const struct store_scrub_opts *o,
    struct store_scrub_result *ret)
{
	struct scrub *s = calloc(1, sizeof(*s));
	enum err e;

	if (s == NULL)
		return (ERR_NOMEM);
	memset(ret, 0, sizeof(*ret));
	s->st = st;
	s->o = o;
	s->r = ret;
	/* New files enter the table at their first commit. */
	e = epoch_commit(st);
	if (e == OK)
		e = prepare(s);
	if (e == OK)
		e = scrub_walk(s, s->inodes, BATCH,
		    "meta.db is damaged: some inodes cannot be read", inode,
		    NULL);
	/* Those that no file led to. */
	if (e == OK)
		e = scrub_walk(s, s->segs, BATCH,
		    "meta.db is damaged: some shared segments cannot be read",
		    segment, NULL);
	if (e == OK)
		e = scrub_check_names(s);
	e = scrub_end(s, e);
	if (e == OK && !s->stopped)
		scrub_progress(s, true);
	release(s);
	free(s);
	return (e);
}
