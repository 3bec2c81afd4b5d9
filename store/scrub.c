/*
 * scrub: reading everything back while the store is in use.
 *
 * Inodes are visited by rising number, the segments that lie under several
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

#include "store/scrub_internal.h"

#define BATCH 256                  /* rows listed with st->db held */
#define SEEN_MAX ((size_t)1 << 22) /* more are read again, not forgotten */
#define QUEUE_MAX ((size_t)1 << 20)

static const char inodes_sql[] =
    "SELECT ino FROM inode WHERE ino>?1 AND (mode & 61440)=32768"
    " ORDER BY ino LIMIT ?2";
static const char bases_sql[] =
    "SELECT start, seg, off FROM base WHERE owner=?3 AND start>?1"
    " AND typeof(start)='integer' ORDER BY start LIMIT ?2";
static const char segs_sql[] =
    "SELECT seg FROM segment WHERE seg>?1 ORDER BY seg LIMIT ?2";

/* ---- Lists --------------------------------------------------------------------- */

/* Up to BATCH rows of one of our statements; ${owner} only for bases.  st->db
 * is held by nobody afterwards, as the statement is reset. */
static enum err
list(struct scrub *s, sqlite3_stmt *q, int64_t after, uint64_t owner,
    int64_t (*ret)[3], unsigned *ret_n)
{
	const int cols = sqlite3_column_count(q);
	unsigned n = 0;
	enum err e;

	LOCK_SCOPE(&s->st->db);
	sqlite3_bind_int64(q, 1, after);
	sqlite3_bind_int(q, 2, BATCH);
	if (q == s->bases)
		sqlite3_bind_int64(q, 3, (int64_t)owner);
	while ((e = db_step(s->st, q)) == OK && n < BATCH) {
		for (int i = 0; i < cols; i++)
			ret[n][i] = sqlite3_column_int64(q, i);
		n++;
	}
	(void)sqlite3_reset(q);
	*ret_n = n;
	return (e == ERR_NOENT ? OK : e);
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
		TRY(list(s, s->bases, after, owner, v, &n));
		for (unsigned i = 0; i < n; i++) {
			after = v[i][0];
			TRY(queue_add(
			    s, (uint64_t)v[i][1], shift + v[i][0] - v[i][2]));
		}
	} while (n == BATCH);
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

/* The inode's row: its record must parse and be the one in use. */
static enum err
row_check(struct scrub *s, const struct place *p)
{
	const struct obj *o = p->ip->obj;
	uint8_t rec[OBJ_REC_MAX];
	struct obj *parsed = NULL;
	struct store *st = s->st;
	size_t len;
	uint64_t size;

	lock_take(&st->db);
	sqlite3_stmt *q = db_stmt(st, ST_INODE_GET);
	sqlite3_bind_int64(q, 1, (int64_t)p->ino);
	enum err e = db_row(st, ST_INODE_GET);
	if (e != OK) {
		lock_drop(&st->db);
		return (e == ERR_NOENT ? OK : e);
	}
	size = (uint64_t)sqlite3_column_int64(q, 5);
	len = (size_t)sqlite3_column_bytes(q, 12);
	if (len > sizeof(rec))
		len = 0;
	if (len != 0)
		memcpy(rec, sqlite3_column_blob(q, 12), len);
	db_done(st, ST_INODE_GET);
	const bool same = p->ip->obj_dirty ||
			  (o->reclen == len && memcmp(o->rec, rec, len) == 0);
	lock_drop(&st->db);

	e = obj_parse(len != 0 ? rec : NULL, len, &parsed);
	if (e == ERR_NOMEM)
		return (e);
	if (e != OK)
		scrub_note(
		    s, p, 0, ERR_CORRUPT, "the object record is damaged");
	else if (parsed->size != size)
		scrub_note(s, p, 0, ERR_CORRUPT, "the file's size was altered");
	else if (!same)
		scrub_note(
		    s, p, 0, ERR_CORRUPT, "the object record was altered");
	obj_free(parsed);
	return (OK);
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
file(struct scrub *s, uint64_t ino)
{
	struct place p = { .ino = ino };
	uint8_t depth;
	enum err e;

	s->r->files++;
	TRY(place_open(s, &p));
	if (p.ip == NULL)
		return (OK);
	scrub_lock(s, &p);
	e = row_check(s, &p);
	p.segno = p.ip->obj->seg.no;
	depth = p.ip->obj->seg.depth;
	scrub_unlock(&p);
	scrub_found(s, &p);
	if (e == OK && p.segno != 0)
		e = scrub_segment(s, &p, depth);
	if (e == OK && !s->stopped)
		e = shared_segments(s, &p);
	place_close(s, &p);
	scrub_progress(s, false);
	return (e);
}

static enum err
all_files(struct scrub *s)
{
	int64_t v[BATCH][3], after = 0;
	unsigned n;

	do {
		TRY(list(s, s->inodes, after, 0, v, &n));
		for (unsigned i = 0; i < n && !s->stopped; i++) {
			TRY(file(s, (uint64_t)v[i][0]));
			after = v[i][0];
		}
	} while (n == BATCH && !s->stopped);
	return (OK);
}

/* Frozen segments that no file led to. */
static enum err
all_segments(struct scrub *s)
{
	int64_t v[BATCH][3], after = 0;
	unsigned n = BATCH;

	while (n == BATCH && !s->stopped) {
		TRY(list(s, s->segs, after, 0, v, &n));
		for (unsigned i = 0; i < n && !s->stopped; i++) {
			struct place p = { .frozen = true,
				.segno = (uint64_t)v[i][0] };

			after = v[i][0];
			if (!set_has(&s->seen, p.segno))
				TRY(scrub_segment(s, &p, NODE_LEVELS - 1));
		}
	}
	return (OK);
}

/* ---- The whole ----------------------------------------------------------------- */

static enum err
prepare(struct scrub *s)
{
	struct store *st = s->st;

	s->plain = calloc(1, BLOCK);
	if (s->plain == NULL)
		return (ERR_NOMEM);
	s->total = alloc_used(st) * BLOCK;
	s->next_ns = s->said_ns = clock_mono_ns();
	LOCK_SCOPE(&st->db);
	sqlite3 *c = sqlite3_db_handle(db_stmt(st, ST_SUPER_GET));
	int rc = sqlite3_prepare_v2(c, inodes_sql, -1, &s->inodes, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(c, bases_sql, -1, &s->bases, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(c, segs_sql, -1, &s->segs, NULL);
	return (db_err(rc));
}

static void
release(struct scrub *s)
{
	lock_take(&s->st->db);
	(void)sqlite3_finalize(s->inodes);
	(void)sqlite3_finalize(s->bases);
	(void)sqlite3_finalize(s->segs);
	lock_drop(&s->st->db);
	if (s->plain != NULL)
		secret_wipe(s->plain, BLOCK);
	free(s->plain);
	free(s->seen.v);
	free(s->damaged.v);
	free(s->queue);
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
		e = all_files(s);
	if (e == OK)
		e = all_segments(s);
	if (e == OK && !s->stopped)
		scrub_progress(s, true);
	release(s);
	free(s);
	return (e);
}
