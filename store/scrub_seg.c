/*
 * scrub_seg: reading one segment back, a map node at a time.  Why it finds no
 * damage in what changes meanwhile is said in scrub.c.
 */
#include <string.h>
#include <time.h>

#include "crypto/digest.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"

#include "store/scrub_internal.h"

#define SECOND ((uint64_t)1000000000)
#define IDX_MAX ((uint64_t)1 << 40) /* of any node */

/* ---- Telling ------------------------------------------------------------------- */

void
scrub_progress(struct scrub *s, bool last)
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
	scrub_progress(s, false);
	while (!s->stopped && s->o->rate != 0 && now < s->next_ns) {
		const uint64_t ns = s->next_ns - now;
		const struct timespec t = {
			.tv_sec = ns < SECOND ? 0 : 1,
			.tv_nsec = ns < SECOND ? (long)ns : 0,
		};

		(void)nanosleep(&t, NULL);
		scrub_progress(s, false);
		now = clock_mono_ns();
	}
}

/* Note damage of the piece at block ${blk}; told when no lock is held. */
void
scrub_note(struct scrub *s, const struct place *p, uint64_t blk, enum err e,
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

void
scrub_found(struct scrub *s, const struct place *p)
{
	const unsigned n = s->nfound;

	s->nfound = 0;
	if (n == 0 || (p->frozen && seg_alive(s->st, p->segno) == ERR_NOENT))
		return;
	for (unsigned i = 0; i < n; i++)
		scrub_bad(s, p->ino, s->found[i].off, s->found[i].e,
		    s->found[i].what);
}

/* ---- Blocks -------------------------------------------------------------------- */

/* Where the disk does not say, reading them tells its error. */
static bool
slots_ok(struct store *st, uint64_t slot, uint32_t n)
{
	bool first = true, last = true;

	/* Asked first, since looking for a file may make it. */
	if ((slot + n - 1) / GROUP_SLOTS >= alloc_groups(st))
		return (false);
	if (alloc_slot_ok(st, slot, &first) != OK ||
	    alloc_slot_ok(st, slot + n - 1, &last) != OK) {
		err_clear();
		return (true);
	}
	return (first && last);
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
static enum err
block_check(struct scrub *s, const struct place *p, struct seg *sg,
    uint64_t blk, const struct ment *m, const uint8_t *in)
{
	uint8_t ad[BLOCK_AD];
	struct aead *k;
	enum err e;

	s->r->blocks++;
	s->r->bytes += BLOCK;
	s->piece += BLOCK;
	if (crc32c(0, in, BLOCK) != get_u32(m->crc)) {
		scrub_note(s, p, blk, ERR_AUTH, "a block's checksum is wrong");
		return (OK);
	}
	if (sg == NULL || !sg->cipher)
		return (OK);
	k = seg_blk(sg, m->kidx);
	block_ad(sg, blk, m->kidx, ad);
	if (k == NULL) {
		scrub_note(s, p, blk, ERR_CORRUPT,
		    "a block names a key that does not exist");
		return (OK);
	}
	e = aead_open(k, m->nonce, ad, sizeof(ad), in, BLOCK, m->tag, s->plain);
	if (e != ERR_AUTH)
		return (e);
	scrub_note(s, p, blk, ERR_AUTH, "a block's tag is wrong");
	return (OK);
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
			TRY(block_check(s, p, sg, blk + i + j, &m[i + j],
			    in + (size_t)j * BLOCK));
		if (e != OK)
			scrub_note(s, p, blk + i, e,
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
	enum err e = OK, told = OK;

	if (row == NULL && n == NULL)
		scrub_note(s, p, blk, ERR_CORRUPT, "a map node is missing");
	else if (row != NULL && node_parse(row->b, row->len, level, &r) != OK)
		scrub_note(s, p, blk, ERR_CORRUPT, "a map node is damaged");
	else if (n == NULL && keys != NULL)
		told = row_verify(s->st, keys, idx, &r);
	if (told == ERR_CORRUPT || told == ERR_AUTH)
		scrub_note(s, p, blk, ERR_CORRUPT, "a map node was altered");
	else
		TRY(told);
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
void
scrub_refused(struct scrub *s, const struct place *p, enum err e)
{
	if (e == ERR_CORRUPT || e == ERR_AUTH)
		scrub_bad(s, p->ino, 0, e, err_detail(e));
	else
		s->r->skipped++;
}

void
scrub_lock(struct scrub *s, struct place *p)
{
	if (p->keys) {
		const enum err e = file_lock(p->f, false);

		p->locked = e == OK;
		p->keys = e == OK;
		if (e == OK)
			return;
		scrub_refused(s, p, e);
	}
	rwlock_read(&p->ip->lock);
	p->locked = true;
}

void
scrub_unlock(struct place *p)
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
	scrub_lock(s, p);
	if (p->frozen) {
		if (p->keys)
			*ret = frozen_find(&p->ip->obj->seg, p->segno);
		p->tags = p->tags && *ret != NULL;
		return (OK);
	}
	*ret = &p->ip->obj->seg;
	return ((*ret)->no == p->segno ? OK : ERR_NOENT);
}

/* A map that stands in the object record, which was checked. */
static enum err
embedded_check(
    struct scrub *s, const struct place *p, struct seg *sg, struct seg *keys)
{
	struct node *n = dirty_node(s->st, sg, 0, 0);
	const enum err e = n != NULL
			       ? blocks_check(s, p, keys, 0, n->ents, n->count)
			       : blocks_check(s, p, keys, 0,
				     (const uint8_t *)sg->emb, sg->nemb);

	map_put(s->st, n);
	return (e);
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

	if (!p->frozen && sg->embedded) {
		if (level != 0 || *from != 0)
			return (ERR_NOENT);
		*from = 1;
		return (embedded_check(s, p, sg, keys));
	}
	if (mapped) {
		e = map_next(s->st, sg, *from, &idx);
		if (e == ERR_CORRUPT || e == ERR_AUTH) {
			/* Go on without the tree. */
			scrub_note(s, p, *from * CHUNK_ENTRIES, e,
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
		scrub_note(
		    s, p, 0, ERR_CORRUPT, "a map node has no possible place");
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
	scrub_unlock(p);
	scrub_found(s, p);
	if (e == ERR_CORRUPT) {
		scrub_bad(s, p->ino, 0, e, err_detail(e));
		e = ERR_NOENT;
	}
	return (e);
}

enum err
scrub_segment(struct scrub *s, struct place *p, uint8_t depth)
{
	p->tags = true;
	for (uint8_t level = 0; level <= depth; level++) {
		uint64_t from = 0;
		enum err e = OK;

		while (e == OK && !s->stopped) {
			e = piece(s, p, level, &from);
			pace(s);
			if (e == OK)
				e = scrub_settle(s);
		}
		if (e != OK && e != ERR_NOENT)
			return (e);
	}
	return (OK);
}
