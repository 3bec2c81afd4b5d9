/*
 * scrub: reading everything back while the store is in use.
 *
 * Inodes are visited by rising number, the segments that lie under several
 * files once, through the first file that has them.  Without keys the CRCs of
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
#include <sys/stat.h>
#include <time.h>

#include "crypto/digest.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"

#include "store/object.h"

#define BATCH 256 /* rows listed with st->db held */
#define SECOND ((uint64_t)1000000000)
#define FOUND_MAX (CHUNK_ENTRIES + 4u)
#define SEEN_MAX ((size_t)1 << 22) /* more are read again, not forgotten */
#define QUEUE_MAX ((size_t)1 << 20)
#define IDX_MAX ((uint64_t)1 << 40) /* of any node */

static const char inodes_sql[] =
    "SELECT ino FROM inode WHERE ino>?1 AND (mode & 61440)=32768"
    " ORDER BY ino LIMIT ?2";
static const char bases_sql[] =
    "SELECT start, seg, off FROM base WHERE owner=?3 AND start>?1"
    " ORDER BY start LIMIT ?2";
static const char segs_sql[] =
    "SELECT seg FROM segment WHERE seg>?1 ORDER BY seg LIMIT ?2";

struct finding {
	uint64_t off;
	enum err e;
	const char *what;
};

/* A frozen segment to be visited; its block b shows, or would show, as block
 * b + shift of the file. */
struct item {
	uint64_t segno;
	int64_t shift;
};

struct scrub {
	struct store *st;
	const struct store_scrub_opts *o;
	struct store_scrub_result *r;
	sqlite3_stmt *inodes, *bases, *segs; /* st->db */
	uint8_t *plain; /* a block in clear, wiped at the end */
	uint64_t *seen; /* frozen segments done, sorted */
	size_t nseen;
	struct item *queue;
	size_t nqueue;
	struct finding found[FOUND_MAX];
	unsigned nfound;
	uint64_t piece; /* bytes read by the piece */
	uint64_t total, next_ns, said_ns;
	bool stopped;
};

/* What is being read, and by what right. */
struct place {
	uint64_t ino;
	struct inode *ip;     /* pinned; NULL: a segment nobody was found for */
	struct store_file *f; /* NULL: the file was not opened */
	bool keys;            /* ${f} has its keys */
	bool tags;            /* the segment's map can be followed */
	bool locked;
	bool frozen;
	uint64_t segno;
	int64_t shift;
};

/* ---- Telling ------------------------------------------------------------------- */

static void
tell_bad(
    struct scrub *s, uint64_t ino, uint64_t off, enum err e, const char *what)
{
	s->r->bad++;
	if (s->o->bad != NULL)
		s->o->bad(s->o->arg, ino, off, e, what);
}

static void
tell_progress(struct scrub *s, bool last)
{
	const uint64_t now = clock_mono_ns();

	if (s->o->progress == NULL || (!last && now - s->said_ns < SECOND))
		return;
	s->said_ns = now;
	if (s->r->bytes > s->total)
		s->total = s->r->bytes;
	if (!s->o->progress(s->o->arg, s->r->bytes, s->total))
		s->stopped = true;
}

/* Between pieces: keep to the rate, say how far it is. */
static void
pace(struct scrub *s)
{
	uint64_t now = clock_mono_ns();

	if (s->o->rate != 0) {
		/* Time that was not used is not made up for. */
		if (s->next_ns < now)
			s->next_ns = now;
		s->next_ns += s->piece * SECOND / s->o->rate;
	}
	s->piece = 0;
	tell_progress(s, false);
	while (!s->stopped && s->o->rate != 0 && now < s->next_ns) {
		const uint64_t ns = s->next_ns - now;
		const struct timespec t = {
			.tv_sec = ns < SECOND ? 0 : 1,
			.tv_nsec = ns < SECOND ? (long)ns : 0,
		};

		(void)nanosleep(&t, NULL);
		tell_progress(s, false);
		now = clock_mono_ns();
	}
}

/* Note damage of the piece at block ${blk}; told when no lock is held. */
static void
note(struct scrub *s, const struct place *p, uint64_t blk, enum err e,
    const char *what)
{
	const int64_t at = (int64_t)blk + p->shift;

	if (s->nfound < FOUND_MAX)
		s->found[s->nfound++] = (struct finding){
			.off = at < 0 ? 0 : (uint64_t)at * BLOCK,
			.e = e,
			.what = what,
		};
}

static enum err
seg_alive(struct store *st, uint64_t segno)
{
	LOCK_SCOPE(&st->db);
	sqlite3_stmt *q = db_stmt(st, ST_SEG_GET);

	sqlite3_bind_int64(q, 1, (int64_t)segno);
	TRY(db_row(st, ST_SEG_GET));
	db_done(st, ST_SEG_GET);
	return (OK);
}

static void
tell_found(struct scrub *s, const struct place *p)
{
	const unsigned n = s->nfound;

	s->nfound = 0;
	if (n == 0 || (p->frozen && seg_alive(s->st, p->segno) == ERR_NOENT))
		return;
	for (unsigned i = 0; i < n; i++)
		tell_bad(s, p->ino, s->found[i].off, s->found[i].e,
		    s->found[i].what);
}

/* ---- Blocks -------------------------------------------------------------------- */

static bool
slots_ok(struct store *st, uint64_t slot, uint32_t n)
{
	/* Asked first, since looking for a file may make it. */
	return ((slot + n - 1) / GROUP_SLOTS < alloc_groups(st) &&
		alloc_slot_ok(st, slot) && alloc_slot_ok(st, slot + n - 1));
}

static uint32_t
run_length(const struct ment *m, uint32_t n)
{
	const uint64_t first = ment_slot(m);
	uint32_t i = 1;

	while (i < n && ment_state(&m[i]) == MENT_DATA &&
	       ment_slot(&m[i]) == first + i && (first + i) % ARENA_SLOTS != 0)
		i++;
	return (i);
}

/* ${sg} NULL: without keys. */
static void
block_check(struct scrub *s, const struct place *p, struct seg *sg,
    uint64_t blk, const struct ment *m, const uint8_t *in)
{
	uint8_t ad[BLOCK_AD];
	struct aead *k;

	s->r->blocks++;
	s->r->bytes += BLOCK;
	s->piece += BLOCK;
	if (crc32c(0, in, BLOCK) != get_u32(m->crc)) {
		note(s, p, blk, ERR_AUTH, "a block's checksum is wrong");
		return;
	}
	if (sg == NULL || !sg->cipher)
		return;
	k = seg_blk(sg, m->kidx);
	block_ad(sg, blk, m->kidx, ad);
	if (k == NULL)
		note(s, p, blk, ERR_CORRUPT,
		    "a block names a key that does not exist");
	else if (aead_open(k, m->nonce, ad, sizeof(ad), in, BLOCK, m->tag,
		     s->plain) != OK)
		note(s, p, blk, ERR_AUTH, "a block's tag is wrong");
}

static enum err
blocks_check(struct scrub *s, const struct place *p, struct seg *sg,
    uint64_t blk, const uint8_t *ents, uint32_t count)
{
	const struct ment *m = (const struct ment *)(const void *)ents;
	uint8_t *in = file_scratch();
	uint32_t n;

	if (in == NULL)
		return (ERR_NOMEM);
	for (uint32_t i = 0; i < count; i += n) {
		enum err e = ERR_CORRUPT;

		n = 1;
		if (ment_state(&m[i]) == MENT_ABSENT)
			continue;
		const uint64_t slot = ment_slot(&m[i]);
		n = run_length(&m[i], count - i);
		/* When the run cannot be read, its blocks are one by one. */
		if (n > 1 && (!slots_ok(s->st, slot, n) ||
				 alloc_read(s->st, slot, n, in) != OK))
			n = 1;
		else
			e = OK;
		if (n == 1)
			e = slots_ok(s->st, slot, 1)
				? alloc_read(s->st, slot, 1, in)
				: ERR_CORRUPT;
		for (uint32_t j = 0; e == OK && j < n; j++)
			block_check(s, p, sg, blk + i + j, &m[i + j],
			    in + (size_t)j * BLOCK);
		if (e != OK)
			note(s, p, blk + i, e,
			    e == ERR_CORRUPT ? "a block lies outside the arenas"
					     : "a block cannot be read");
	}
	return (OK);
}

/* ---- Nodes --------------------------------------------------------------------- */

struct row {
	uint64_t idx;
	size_t len;
	uint8_t b[NODE_ROW_MAX];
};

/* The first node's row at or after ${from}; ERR_NOENT when there is none, or
 * only such as wait for the drain. */
static enum err
row_fetch(struct store *st, uint64_t segno, uint8_t level, uint64_t from,
    struct row *ret)
{
	const uint64_t width = (uint64_t)1 << (8 * level);
	uint64_t dead = UINT64_MAX;
	enum err e;

	LOCK_SCOPE(&st->db);
	sqlite3_stmt *q = db_stmt(st, ST_DEAD_HAS);
	sqlite3_bind_int64(q, 1, (int64_t)segno);
	e = db_row(st, ST_DEAD_HAS);
	if (e == OK) {
		dead =
		    ((uint64_t)sqlite3_column_int64(q, 0) + width - 1) / width;
		db_done(st, ST_DEAD_HAS);
	} else if (e != ERR_NOENT) {
		return (e);
	}
	q = db_stmt(st, ST_NODE_FROM);
	sqlite3_bind_int64(q, 1, (int64_t)segno);
	sqlite3_bind_int(q, 2, level);
	sqlite3_bind_int64(q, 3, (int64_t)from);
	sqlite3_bind_int64(q, 4, 1);
	TRY(db_row(st, ST_NODE_FROM));
	ret->idx = (uint64_t)sqlite3_column_int64(q, 0);
	ret->len = (size_t)sqlite3_column_bytes(q, 1);
	if (ret->len > sizeof(ret->b))
		ret->len = 0;
	if (ret->len != 0)
		memcpy(ret->b, sqlite3_column_blob(q, 1), ret->len);
	db_done(st, ST_NODE_FROM);
	return (ret->idx >= dead ? ERR_NOENT : OK);
}

/* The node if it is dirty in core, pinned, else NULL. */
static struct node *
dirty_node(struct store *st, struct seg *sg, uint8_t level, uint64_t idx)
{
	struct node *n = NULL;

	/* With a dirty node the object is open. */
	if (sg == NULL || sg->dirty[level] == NULL ||
	    map_get(st, sg, level, idx, &n) != OK || n == NULL)
		return (NULL);
	if (n->dirty)
		return (n);
	map_put(st, n);
	return (NULL);
}

/* Check a row against the tree above it. */
static enum err
row_verify(
    struct store *st, struct seg *sg, uint64_t idx, const struct node_row *r)
{
	static const uint8_t none[AEAD_TAGLEN];
	const unsigned c = (unsigned)(idx % NODE_FANOUT);
	uint8_t want[AEAD_TAGLEN] = { 0 };
	struct node *up = NULL;

	if (r->level == sg->depth) {
		if (idx == 0)
			memcpy(want, sg->root, AEAD_TAGLEN);
	} else if (r->level < sg->depth) {
		TRY(map_get(
		    st, sg, (uint8_t)(r->level + 1), idx / NODE_FANOUT, &up));
		if (up != NULL && c < up->count)
			memcpy(want, up->ents + c * AEAD_TAGLEN, AEAD_TAGLEN);
		map_put(st, up);
	}
	/* What the tree does not lead to is no content, but fsck's matter. */
	if (memcmp(want, none, AEAD_TAGLEN) == 0)
		return (OK);
	return (node_verify(sg, r->level, idx, r, want));
}

/* Check one node from its row (NULL: there is none) or, when dirty, from core.
 * ${keys} NULL: without keys. */
static enum err
node_check(struct scrub *s, const struct place *p, struct seg *sg,
    struct seg *keys, uint8_t level, uint64_t idx, const struct row *row)
{
	const uint64_t blk = (idx << (8 * level)) * CHUNK_ENTRIES;
	struct node *n = dirty_node(s->st, sg, level, idx);
	struct node_row r = { .count = 0 };
	enum err e = OK;

	if (row == NULL && n == NULL)
		note(s, p, blk, ERR_CORRUPT, "a map node is missing");
	else if (row != NULL && node_parse(row->b, row->len, level, &r) != OK)
		note(s, p, blk, ERR_CORRUPT, "a map node is damaged");
	else if (n == NULL && keys != NULL &&
		 row_verify(s->st, keys, idx, &r) != OK)
		note(s, p, blk, ERR_CORRUPT, "a map node was altered");
	if (level == 0 && n != NULL)
		e = blocks_check(s, p, keys, blk, n->ents, n->count);
	else if (level == 0 && r.ents != NULL)
		e = blocks_check(s, p, keys, blk, r.ents, r.count);
	map_put(s->st, n);
	return (e);
}

/* ---- Segments ------------------------------------------------------------------ */

static struct seg *
frozen_find(struct seg *s, uint64_t segno)
{
	for (size_t i = 0; i < s->nbases; i++) {
		struct seg *u = s->bases[i].seg;

		if (u != NULL && s->bases[i].segno != segno)
			u = frozen_find(u, segno);
		if (u != NULL)
			return (u);
	}
	return (NULL);
}

/* The file cannot be opened with its key. */
static void
key_refused(struct scrub *s, const struct place *p, enum err e)
{
	if (e == ERR_CORRUPT || e == ERR_AUTH)
		tell_bad(s, p->ino, 0, e, err_detail(e));
	else
		s->r->skipped++;
}

static void
place_lock(struct scrub *s, struct place *p)
{
	if (p->keys) {
		const enum err e = file_lock(p->f, false);

		p->locked = e == OK;
		p->keys = e == OK;
		if (e == OK)
			return;
		key_refused(s, p, e);
	}
	rwlock_read(&p->ip->lock);
	p->locked = true;
}

static void
place_unlock(struct place *p)
{
	if (p->locked)
		rwlock_drop(&p->ip->lock);
	p->locked = false;
}

/* Lock what must be; ERR_NOENT when the segment is no longer the file's.
 * ${ret}, NULL perhaps, is the segment in core. */
static enum err
place_seg(struct scrub *s, struct place *p, struct seg **ret)
{
	*ret = NULL;
	if (p->ip == NULL || (p->frozen && !p->keys))
		return (OK);
	place_lock(s, p);
	if (p->frozen) {
		if (p->keys)
			*ret = frozen_find(&p->ip->obj->seg, p->segno);
		p->tags = p->tags && *ret != NULL;
		return (OK);
	}
	*ret = &p->ip->obj->seg;
	return ((*ret)->no == p->segno ? OK : ERR_NOENT);
}

/* One node from *${from} on, which moves on. ERR_NOENT: there is none. */
static enum err
piece_locked(struct scrub *s, struct place *p, struct seg *sg, uint8_t level,
    uint64_t *from)
{
	struct seg *keys = p->keys && p->tags ? sg : NULL;
	const bool mapped = keys != NULL && level == 0;
	struct row row = { .idx = 0 };
	uint64_t idx = *from;
	enum err e = OK;

	if (mapped) {
		e = map_next(s->st, sg, *from, &idx);
		if (e == ERR_CORRUPT || e == ERR_AUTH) {
			/* Go on without the tree. */
			note(s, p, *from * CHUNK_ENTRIES, e,
			    "a map node was altered");
			p->tags = false;
			return (OK);
		}
		TRY(e);
	}
	e = row_fetch(s->st, p->segno, level, idx, &row);
	if (e != OK && (e != ERR_NOENT || !mapped))
		return (e);
	if (!mapped)
		idx = row.idx;
	if (idx >= IDX_MAX) {
		note(s, p, 0, ERR_CORRUPT, "a map node has no possible place");
		return (ERR_NOENT);
	}
	*from = idx + 1;
	return (node_check(s, p, sg, keys, level, idx,
	    e == OK && row.idx == idx ? &row : NULL));
}

static enum err
piece(struct scrub *s, struct place *p, uint8_t level, uint64_t *from)
{
	struct seg *sg;
	enum err e = place_seg(s, p, &sg);

	if (e == OK)
		e = piece_locked(s, p, sg, level, from);
	place_unlock(p);
	tell_found(s, p);
	if (e == ERR_CORRUPT) {
		tell_bad(s, p->ino, 0, e, err_detail(e));
		e = ERR_NOENT;
	}
	return (e);
}

static enum err
segment(struct scrub *s, struct place *p, uint8_t depth)
{
	p->tags = true;
	for (uint8_t level = 0; level <= depth; level++) {
		uint64_t from = 0;
		enum err e = OK;

		while (e == OK && !s->stopped) {
			e = piece(s, p, level, &from);
			pace(s);
		}
		if (e != OK && e != ERR_NOENT)
			return (e);
	}
	return (OK);
}

/* ---- Lists --------------------------------------------------------------------- */

/* Up to BATCH rows of one of our statements; ${owner} only for bases.  st->db
 * is held by nobody afterwards, as the statement is reset. */
static enum err
list(struct scrub *s, sqlite3_stmt *q, int64_t after, uint64_t owner,
    int64_t (*ret)[3], unsigned *ret_n)
{
	const int cols = sqlite3_column_count(q);
	unsigned n = 0;
	int rc;

	LOCK_SCOPE(&s->st->db);
	sqlite3_bind_int64(q, 1, after);
	sqlite3_bind_int(q, 2, BATCH);
	if (q == s->bases)
		sqlite3_bind_int64(q, 3, (int64_t)owner);
	while ((rc = sqlite3_step(q)) == SQLITE_ROW && n < BATCH) {
		for (int i = 0; i < cols; i++)
			ret[n][i] = sqlite3_column_int64(q, i);
		n++;
	}
	(void)sqlite3_reset(q);
	*ret_n = n;
	return (rc == SQLITE_DONE ? OK : db_err(rc));
}

/* Index of ${segno} among the segments seen, or where it belongs. */
static size_t
seen_at(const struct scrub *s, uint64_t segno)
{
	size_t lo = 0, hi = s->nseen;

	while (lo < hi) {
		const size_t mid = (lo + hi) / 2;

		if (s->seen[mid] < segno)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo);
}

static bool
seen_has(const struct scrub *s, uint64_t segno)
{
	const size_t i = seen_at(s, segno);

	return (i < s->nseen && s->seen[i] == segno);
}

static enum err
seen_add(struct scrub *s, uint64_t segno)
{
	const size_t i = seen_at(s, segno);

	if (s->nseen >= SEEN_MAX || seen_has(s, segno))
		return (OK);
	if ((s->nseen & (s->nseen - 1)) == 0) {
		uint64_t *v = realloc(
		    s->seen, (s->nseen == 0 ? 1 : 2 * s->nseen) * sizeof(*v));

		if (v == NULL)
			return (ERR_NOMEM);
		s->seen = v;
	}
	memmove(
	    &s->seen[i + 1], &s->seen[i], (s->nseen - i) * sizeof(s->seen[0]));
	s->seen[i] = segno;
	s->nseen++;
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

/* Queue what lies under segment ${owner} and was not seen yet. */
static enum err
queue_bases(struct scrub *s, uint64_t owner, int64_t shift)
{
	int64_t v[BATCH][3], after = -1;
	unsigned n;

	do {
		TRY(list(s, s->bases, after, owner, v, &n));
		for (unsigned i = 0; i < n; i++) {
			after = v[i][0];
			if (!seen_has(s, (uint64_t)v[i][1]))
				TRY(queue_add(s, (uint64_t)v[i][1],
				    shift + v[i][0] - v[i][2]));
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
		key_refused(s, p, e);
		told = e;
	}
	lock_take(&st->db);
	e = inode_get(st, p->ino, &p->ip);
	lock_drop(&st->db);
	if (e == ERR_CORRUPT && told != ERR_CORRUPT)
		tell_bad(s, p->ino, 0, e, err_detail(e));
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
		note(s, p, 0, ERR_CORRUPT, "the object record is damaged");
	else if (parsed->size != size)
		note(s, p, 0, ERR_CORRUPT, "the file's size was altered");
	else if (!same)
		note(s, p, 0, ERR_CORRUPT, "the object record was altered");
	obj_free(parsed);
	return (OK);
}

/* The segments under the file's own. */
static enum err
shared_segments(struct scrub *s, struct place *p)
{
	struct place q;
	uint64_t owner;

	s->nqueue = 0;
	place_lock(s, p);
	owner = p->ip->obj->has_bases ? p->ip->obj->seg.no : 0;
	place_unlock(p);
	if (owner == 0)
		return (OK);
	TRY(queue_bases(s, owner, 0));
	for (size_t i = 0; i < s->nqueue && !s->stopped; i++) {
		q = *p;
		q.frozen = true;
		q.segno = s->queue[i].segno;
		q.shift = s->queue[i].shift;
		TRY(segment(s, &q, NODE_LEVELS - 1));
		TRY(queue_bases(s, q.segno, q.shift));
		p->keys = q.keys;
		/* Another file may have the keys that this one lacks. */
		if (q.keys || !s->o->keys)
			TRY(seen_add(s, q.segno));
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
	place_lock(s, &p);
	e = row_check(s, &p);
	p.segno = p.ip->obj->seg.no;
	depth = p.ip->obj->seg.depth;
	place_unlock(&p);
	tell_found(s, &p);
	if (e == OK && p.segno != 0)
		e = segment(s, &p, depth);
	if (e == OK && !s->stopped)
		e = shared_segments(s, &p);
	place_close(s, &p);
	tell_progress(s, false);
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
			if (!seen_has(s, p.segno))
				TRY(segment(s, &p, NODE_LEVELS - 1));
		}
	}
	return (OK);
}

/* ---- The whole ----------------------------------------------------------------- */

static enum err
prepare(struct scrub *s)
{
	struct store *st = s->st;
	uint8_t bits[GROUP_SLOTS / 8];

	s->plain = calloc(1, BLOCK);
	if (s->plain == NULL)
		return (ERR_NOMEM);
	for (uint64_t g = 0; g < alloc_groups(st); g++) {
		TRY(alloc_bits(st, g, bits));
		for (size_t i = 0; i < sizeof(bits); i++)
			s->total += (unsigned)__builtin_popcount(bits[i]) *
				    (uint64_t)BLOCK;
	}
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
	free(s->seen);
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
		tell_progress(s, true);
	release(s);
	free(s);
	return (e);
}
