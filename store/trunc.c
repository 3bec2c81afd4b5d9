/*
 * trunc: taking blocks away: truncate, holes, and fallocate.
 */
#include <string.h>
#include <sys/stat.h>

#include "store/object.h"

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

enum err
blocks_drop(struct store *st, struct obj *o, uint64_t from, uint64_t to,
    int64_t *ret_delta)
{
	struct seg *s = &o->seg;
	uint64_t chunk = from / CHUNK_ENTRIES, under = 0;
	enum err e;

	if (from >= to)
		return (OK);
	TRY(blocks_under(st, s, from, to, &under));
	TRY(base_trim(st, o, from, to));
	*ret_delta -= (int64_t)under;
	while ((e = map_next(st, s, chunk, &chunk)) == OK &&
	       chunk * CHUNK_ENTRIES < to) {
		const uint64_t b0 = chunk * CHUNK_ENTRIES;
		struct node *n = NULL;

		TRY(map_touch(st, s, chunk, 0, &n));
		*ret_delta -=
		    entries_drop(st, n, from > b0 ? (unsigned)(from - b0) : 0,
			to - b0 < CHUNK_ENTRIES ? (unsigned)(to - b0)
						: CHUNK_ENTRIES);
		map_put(st, n);
		chunk++;
	}
	return (e == ERR_NOENT ? OK : e);
}

/* Bytes [off, off+len) within one block become zeros. */
static enum err
block_zero(struct store *st, struct obj *o, uint64_t off, size_t len,
    int64_t *ret_delta)
{
	static const uint8_t zero[BLOCK];
	struct bref b;

	if (len == 0 || o->seg.no == 0)
		return (OK);
	TRY(blocks_find(st, &o->seg, off / BLOCK, 1, &b));
	if (b.seg == NULL)
		return (OK);
	return (blocks_write(st, o, off, zero, len, NULL, ret_delta));
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
	bool many;
	enum err e;

	if (o->has_inline) {
		memset(o->inl + size, 0, INLINE_MAX - size);
		o->inl_len = (uint16_t)size;
		return (OK);
	}
	if (size % BLOCK != 0)
		TRY(block_zero(st, o, size, BLOCK - size % BLOCK, ret_delta));
	TRY(many_nodes(st, &o->seg, chunk, &many));
	if (!many)
		return (blocks_drop(st, o, blk, BLOCKS_MAX, ret_delta));
	TRY(blocks_drop(st, o, blk, chunk * CHUNK_ENTRIES, ret_delta));
	/* What is counted in the cut range is not known without reading it
	 * all: obj_changed() puts the count right to what can be left. */
	TRY(base_trim(st, o, blk, BLOCKS_MAX));
	TRY(map_cut(st, &o->seg, chunk));
	o->seg.maybe_dead = true;
	lock_take(&st->db);
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
	TRY(obj_unlock(st, who, ip));
	return (truncate_locked(st, ip, size));
}

/* Zeros in [off, end), both within the size. */
static enum err
punch(struct store *st, struct inode *ip, uint64_t off, uint64_t end,
    int64_t *ret_delta)
{
	struct obj *o = ip->obj;
	const uint64_t b0 = (off + BLOCK - 1) / BLOCK, b1 = end / BLOCK;

	if (o->has_inline) {
		memset(o->inl + off, 0, (size_t)(end - off));
		return (OK);
	}
	if (o->seg.no == 0)
		return (OK);
	if (b0 > b1) /* within one block */
		return (block_zero(st, o, off, (size_t)(end - off), ret_delta));
	if (off % BLOCK != 0)
		TRY(block_zero(st, o, off, BLOCK - off % BLOCK, ret_delta));
	/* A last block that ends with the file may go whole. */
	if (end == ip->size && end % BLOCK != 0)
		return (blocks_drop(st, o, b0, b1 + 1, ret_delta));
	if (end % BLOCK != 0)
		TRY(block_zero(st, o, b1 * BLOCK, end % BLOCK, ret_delta));
	return (blocks_drop(st, o, b0, b1, ret_delta));
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
