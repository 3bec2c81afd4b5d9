/*
 * trunc: taking blocks away: truncate, holes, and fallocate.
 */
#include <string.h>
#include <sys/stat.h>

#include "store/write_internal.h"

#define COUNT_EXACT 65536u /* blocks of a shared range */
#define CUT_INLINE 1024u   /* level-0 nodes dropped at once; beyond: drained */

/* Entries [from, to) of one node become absent. */
static int64_t
entries_drop(struct store *st, struct node *n, unsigned from, unsigned to)
{
	struct ment *m = (struct ment *)(void *)n->ents;
	int64_t lost = 0;

	for (unsigned i = from; i < to && i < n->count; i++) {
		if (ment_state(&m[i]) != MENT_DATA)
			continue;
		alloc_give(st, ment_slot(&m[i]), 1, node_fresh(st, n, i));
		memset(&m[i], 0, sizeof(m[i]));
		lost++;
	}
	return (lost);
}

/* Blocks of [from, to) that a base shows.  Of a large range all are counted
 * that a base covers: holes too, which obj_changed() puts up with. */
static enum err
blocks_under(
    struct store *st, struct seg *s, uint64_t from, uint64_t to, uint64_t *ret)
{
	struct bref b[CHUNK_ENTRIES] UNINIT;
	uint64_t at, end;

	*ret = 0;
	while (base_next(s, from, &at, &end) == OK && at < to) {
		const uint64_t n = (end < to ? end : to) - at;
		const uint32_t m =
		    n < COUNTOF(b) ? (uint32_t)n : (uint32_t)COUNTOF(b);

		if (n > COUNT_EXACT) {
			*ret += n;
			from = at + n;
			continue;
		}
		TRY(blocks_find(st, s, at, m, b));
		for (uint32_t i = 0; i < m; i++)
			*ret += b[i].seg != NULL && b[i].seg != s;
		from = at + m;
	}
	return (OK);
}

/* ---- Cuts --------------------------------------------------------------- */

/*
 * A range of a file that becomes zeros: the whole blocks in it go, the parts of
 * blocks at its ends are written anew.  First all is done that can fail, so
 * that a range is never zeros in part.
 */
struct cut {
	uint64_t from, to; /* blocks that go */
	struct node **node;
	size_t nnodes, room;
	uint64_t under; /* of them, what a base shows */
	struct plan plan[2];
	uint8_t edge[2][2][BLOCK];
	bool made[2];
};

static void
cut_release(struct store *st, struct cut *c)
{
	for (size_t i = 0; i < c->nnodes; i++)
		map_put(st, c->node[i]);
	free(c->node);
	for (unsigned i = 0; i < COUNTOF(c->plan); i++)
		plan_release(st, &c->plan[i]);
}

/* Part of one block, as edge ${i}. */
static enum err
cut_edge(struct store *st, struct obj *o, struct cut *c, unsigned i,
    uint64_t off, size_t len)
{
	static const uint8_t zero[BLOCK];
	struct bref b;

	if (len == 0)
		return (OK);
	TRY(blocks_find(st, &o->seg, off / BLOCK, 1, &b));
	if (b.seg == NULL)
		return (OK);
	TRY(plan_make(st, o, off, zero, len, c->edge[i], &c->plan[i]));
	c->made[i] = true;
	return (OK);
}

/* Pin the nodes that hold what goes. */
static enum err
cut_nodes(struct store *st, struct obj *o, struct cut *c)
{
	uint64_t chunk = c->from / CHUNK_ENTRIES;
	enum err e;

	while ((e = map_next(st, &o->seg, chunk, &chunk)) == OK &&
	       chunk * CHUNK_ENTRIES < c->to) {
		if (c->nnodes == c->room) {
			const size_t n = c->room == 0 ? 16 : 2 * c->room;
			struct node **v = realloc(c->node, n * sizeof(*v));

			if (v == NULL)
				return (ERR_NOMEM);
			c->node = v;
			c->room = n;
		}
		TRY(map_touch(st, &o->seg, chunk, 0, &c->node[c->nnodes]));
		c->nnodes++;
		chunk++;
	}
	return (e == ERR_NOENT ? OK : e);
}

/* Blocks [from, to) as a whole. */
static enum err
cut_blocks(
    struct store *st, struct obj *o, struct cut *c, uint64_t from, uint64_t to)
{
	if (from >= to)
		return (OK);
	c->from = from;
	c->to = to;
	TRY(blocks_under(st, &o->seg, from, to, &c->under));
	TRY(base_room(&o->seg));
	return (cut_nodes(st, o, c));
}

/* Bytes [off, end) of a file of ${size}, of which the last block may go whole
 * with the end. */
static enum err
cut_bytes(struct store *st, struct obj *o, struct cut *c, uint64_t off,
    uint64_t end, uint64_t size)
{
	const uint64_t b0 = (off + BLOCK - 1) / BLOCK;
	uint64_t b1 = end / BLOCK;

	if (end >= size)
		b1 = (end + BLOCK - 1) / BLOCK;
	if (b0 > b1) /* within one block */
		return (cut_edge(st, o, c, 0, off, (size_t)(end - off)));
	if (off % BLOCK != 0)
		TRY(cut_edge(st, o, c, 0, off, BLOCK - off % BLOCK));
	if (end < size)
		TRY(cut_edge(st, o, c, 1, b1 * BLOCK, end % BLOCK));
	return (cut_blocks(st, o, c, b0, b1));
}

static enum err
cut_apply(struct store *st, struct obj *o, struct cut *c, int64_t *ret_delta)
{
	/* What fails here has stopped the store. */
	if (c->from < c->to)
		TRY(base_trim(st, o, c->from, c->to));
	*ret_delta -= (int64_t)c->under;
	for (size_t i = 0; i < c->nnodes; i++) {
		const uint64_t b0 = c->node[i]->idx * CHUNK_ENTRIES;

		*ret_delta -= entries_drop(st, c->node[i],
		    c->from > b0 ? (unsigned)(c->from - b0) : 0,
		    c->to - b0 < CHUNK_ENTRIES ? (unsigned)(c->to - b0)
					       : CHUNK_ENTRIES);
	}
	for (unsigned i = 0; i < COUNTOF(c->plan); i++)
		if (c->made[i])
			plan_apply(st, &c->plan[i], ret_delta);
	return (OK);
}

static void
cut_undo(struct store *st, struct cut *c)
{
	for (unsigned i = 0; i < COUNTOF(c->plan); i++)
		if (c->made[i])
			plan_undo(st, &c->plan[i]);
}

/* Finish a cut whose making gave ${e}. */
static enum err
cut_end(struct store *st, struct obj *o, struct cut *c, enum err e,
    int64_t *ret_delta)
{
	if (e == OK)
		e = cut_apply(st, o, c, ret_delta);
	else
		cut_undo(st, c);
	cut_release(st, c);
	return (e);
}

enum err
blocks_drop(struct store *st, struct obj *o, uint64_t from, uint64_t to,
    int64_t *ret_delta)
{
	struct cut c = { 0 };

	return (cut_end(st, o, &c, cut_blocks(st, o, &c, from, to), ret_delta));
}

/* More level-0 nodes from ${first} on than are worth dropping one by one? */
static enum err
many_nodes(struct store *st, struct seg *s, uint64_t first, bool *ret)
{
	unsigned n = 0;
	enum err e;

	while ((e = map_next(st, s, first, &first)) == OK && n <= CUT_INLINE) {
		first++;
		n++;
	}
	*ret = n > CUT_INLINE;
	return (e == ERR_NOENT ? OK : e);
}

/* The slots and rows of an object's segment, and its bases. */
static enum err
segment_drop(struct store *st, struct obj *o)
{
	const uint64_t segno = o->seg.no;
	enum err e = OK;

	if (o->seg.embedded && !map_dirty(&o->seg))
		for (unsigned i = 0; i < o->seg.nemb; i++)
			if (ment_state(&o->seg.emb[i]) == MENT_DATA)
				alloc_give(
				    st, ment_slot(&o->seg.emb[i]), 1, false);
	TRY(map_give_dirty(st, &o->seg, 0));
	lock_take(&st->db);
	if (o->has_bases) {
		base_unload(st, &o->seg);
		e = base_release(st, segno);
		o->has_bases = false;
	}
	/* Most small files have no row of theirs. */
	if (e == OK && o->seg.rowed)
		e = drain_add(st, segno, 0);
	lock_drop(&st->db);
	return (e);
}

enum err
content_drop(struct store *st, struct inode *ip)
{
	struct obj *o = ip->obj;
	enum err e;

	if (o->inl != NULL)
		secret_wipe(o->inl, INLINE_MAX);
	free(o->inl);
	o->inl = NULL;
	o->inl_len = 0;
	o->has_inline = false;
	if (o->seg.no == 0)
		return (OK);
	/* Slots are given back one after the other: there is no way back. */
	e = segment_drop(st, o);
	if (e != OK)
		return (epoch_stop(st, e, "freeing a file's content"));
	obj_no_seg(st, o);
	return (OK);
}

static enum err
shrink(struct store *st, struct inode *ip, uint64_t size, int64_t *ret_delta)
{
	struct obj *o = ip->obj;
	const uint64_t blk = (size + BLOCK - 1) / BLOCK;
	const uint64_t chunk = (blk + CHUNK_ENTRIES - 1) / CHUNK_ENTRIES;
	struct cut c = { 0 };
	bool many;
	enum err e;

	if (o->has_inline) {
		memset(o->inl + size, 0, INLINE_MAX - size);
		o->inl_len = (uint16_t)size;
		return (OK);
	}
	TRY(many_nodes(st, &o->seg, chunk, &many));
	if (!many) {
		e = cut_bytes(st, o, &c, size, BLOCKS_MAX * BLOCK, ip->size);
		return (cut_end(st, o, &c, e, ret_delta));
	}
	e = cut_bytes(
	    st, o, &c, size, chunk * CHUNK_ENTRIES * BLOCK, UINT64_MAX);
	if (e == OK)
		e = base_room(&o->seg);
	if (e == OK)
		e = map_cut(st, &o->seg, chunk);
	e = cut_end(st, o, &c, e, ret_delta);
	TRY(e);
	/* What is counted in the cut range is not known without reading it
	 * all: obj_changed() puts the count right to what can be left. */
	e = base_trim(st, o, blk, BLOCKS_MAX);
	o->seg.maybe_dead = true;
	lock_take(&st->db);
	if (e == OK)
		e = drain_add(st, o->seg.no, chunk);
	lock_drop(&st->db);
	/* The nodes are cut off: without the note their slots were lost. */
	return (e == OK ? OK : epoch_stop(st, e, "truncating a file"));
}

static enum err
truncate_locked(struct store *st, struct inode *ip, uint64_t size)
{
	struct obj *o = ip->obj;
	int64_t delta = 0;
	enum err e = OK;

	if (size == 0 && ip->size != 0) {
		e = content_drop(st, ip);
		delta = -(int64_t)ip->blocks;
	} else if (size < ip->size) {
		e = shrink(st, ip, size, &delta);
	} else if (size > ip->size && o->has_inline) {
		if (size > INLINE_MAX)
			e = inline_convert(st, ip);
		else
			o->inl_len = (uint16_t)size;
	}
	if (e != OK) {
		obj_failed(st, ip, delta);
		return (e);
	}
	obj_changed(st, ip, size, delta, CHANGED_TIMES);
	return (OK);
}

enum err
data_truncate(struct store *st, const struct kms_who *who, struct inode *ip,
    uint64_t size)
{
	if (S_ISDIR(ip->mode))
		return (ERR_ISDIR);
	if (!S_ISREG(ip->mode))
		return (ERR_INVAL);
	if (size > STORE_SIZE_MAX)
		return (ERR_FBIG);
	RWLOCK_WRITE_SCOPE(&ip->lock);
	TRY(file_may_cut(st, who, ip));
	return (truncate_locked(st, ip, size));
}

/* Zeros in [off, end), both within the size. */
static enum err
punch(struct store *st, struct inode *ip, uint64_t off, uint64_t end,
    int64_t *ret_delta)
{
	struct obj *o = ip->obj;
	struct cut c = { 0 };

	if (o->has_inline) {
		memset(o->inl + off, 0, (size_t)(end - off));
		return (OK);
	}
	if (o->seg.no == 0)
		return (OK);
	const enum err e = cut_bytes(st, o, &c, off, end, ip->size);
	return (cut_end(st, o, &c, e, ret_delta));
}

static enum err
falloc_locked(struct store *st, struct inode *ip, unsigned mode, uint64_t off,
    uint64_t len)
{
	const bool zero =
	    (mode & (STORE_FALLOC_PUNCH | STORE_FALLOC_ZERO)) != 0;
	uint64_t size = ip->size, end = off + len;
	struct store_stat sf;
	int64_t delta = 0;
	enum err e = OK;

	if (zero && off < ip->size)
		e = punch(st, ip, off, end < size ? end : size, &delta);
	if (!zero) {
		/* Copy-on-write keeps no promise per block: say now when it
		 * could not be kept at all. */
		TRY(store_statfs(st, &sf));
		if (len > sf.bytes_avail && end > size)
			return (ERR_NOSPC);
	}
	if (e == OK && end > size &&
	    (mode & (STORE_FALLOC_KEEP_SIZE | STORE_FALLOC_PUNCH)) == 0) {
		if (ip->obj->has_inline && end > INLINE_MAX)
			e = inline_convert(st, ip);
		else if (ip->obj->has_inline)
			ip->obj->inl_len = (uint16_t)end;
		size = end;
	}
	if (e != OK) {
		obj_failed(st, ip, delta);
		return (e);
	}
	obj_changed(st, ip, size, delta, CHANGED_TIMES);
	return (OK);
}

enum err
store_fallocate(struct store_file *f, unsigned mode, uint64_t off, uint64_t len)
{
	struct store *st = f->st;
	enum err e;

	if (len == 0)
		return (ERR_INVAL);
	if (off > STORE_SIZE_MAX || len > STORE_SIZE_MAX - off)
		return (ERR_FBIG);
	EPOCH_SCOPE(st);
	TRY(file_lock(f, true));
	e = falloc_locked(st, f->ip, mode, off, len);
	rwlock_drop(&f->ip->lock);
	return (e);
}
