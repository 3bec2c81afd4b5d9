/*
 * write: from bytes to blocks, always to new slots.
 *
 * A write is all or nothing: ciphertext goes to new slots first, map entries
 * change only when all of it is in the arenas and all nodes are at hand.
 */
#include <limits.h>
#include <string.h>

#include "crypto/digest.h"
#include "crypto/rand.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"

#include "store/crew.h"
#include "store/write_internal.h"

#define WRITE_MAX ((size_t)64 << 20) /* bytes of one call */
#define PIECE_BLOCKS 32u /* sealed and written by one processor at a time */
_Static_assert(PIECE_BLOCKS <= RUN_BLOCKS, "a piece fits the scratch space");

void
plan_release(struct store *st, struct plan *p)
{
	for (size_t i = 0; i < p->nnodes; i++)
		map_put(st, p->node[i]);
	free(p->node);
	free(p->m);
	if (p->use_head)
		secret_wipe(p->head, BLOCK);
	if (p->use_tail)
		secret_wipe(p->tail, BLOCK);
}

static const uint8_t *
plan_block(const struct plan *p, uint64_t i)
{
	if (i == 0 && p->use_head)
		return (p->head);
	if (i == p->n - 1 && p->use_tail)
		return (p->tail);
	return (p->buf + i * BLOCK - p->lead);
}

/* Complete blocks that are written in part with what they hold. */
static enum err
plan_edges(struct store *st, struct seg *s, struct plan *p)
{
	const size_t end = p->lead + p->len;

	if (p->lead != 0 || end < BLOCK) {
		size_t n = BLOCK - p->lead;

		if (n > p->len)
			n = p->len;
		p->use_head = true;
		TRY(blocks_read(st, s, p->first, 1, p->head));
		memcpy(p->head + p->lead, p->buf, n);
	}
	if (end % BLOCK != 0 && (p->n > 1 || !p->use_head)) {
		p->use_tail = true;
		TRY(blocks_read(st, s, p->first + p->n - 1, 1, p->tail));
		memcpy(p->tail, p->buf + p->len - end % BLOCK, end % BLOCK);
	}
	return (OK);
}

static enum err
block_seal(struct seg *s, unsigned kidx, uint64_t blk, const uint8_t *in,
    uint8_t *out, struct ment *m)
{
	uint8_t ad[BLOCK_AD];

	m->state[1] = MENT_DATA;
	if (s->cipher) {
		m->kidx = (uint8_t)kidx;
		rand_bytes(m->nonce, sizeof(m->nonce));
		block_ad(s, blk, m->kidx, ad);
		TRY(aead_seal(seg_blk(s, kidx), m->nonce, ad, sizeof(ad), in,
		    BLOCK, out, m->tag));
	} else {
		memcpy(out, in, BLOCK);
	}
	put_u32(m->crc, crc32c(0, out, BLOCK));
	return (OK);
}

/* Seal ${n} blocks of the plan from block ${i} on, whose slots are in a row, and
 * write them. */
static enum err
run_write(
    struct store *st, struct seg *s, struct plan *p, uint64_t i, uint32_t n)
{
	uint8_t *out = file_scratch();

	if (out == NULL)
		return (ERR_NOMEM);
	for (uint32_t k = 0; k < n; k++)
		TRY(block_seal(s, p->kidx, p->first + i + k,
		    plan_block(p, i + k), out + (size_t)k * BLOCK,
		    &p->m[i + k]));
	return (alloc_write(st, ment_slot(&p->m[i]), n, out));
}

struct pieces {
	struct store *st;
	struct seg *s;
	struct plan *p;
};

/* Piece ${x} of a plan: PIECE_BLOCKS blocks, in as many runs as their slots
 * make. */
static enum err
piece_write(void *arg, size_t x)
{
	const struct pieces *w = arg;
	struct plan *p = w->p;
	uint64_t i = x * PIECE_BLOCKS;
	const uint64_t end = i + PIECE_BLOCKS < p->n ? i + PIECE_BLOCKS : p->n;

	while (i < end) {
		const uint64_t slot = ment_slot(&p->m[i]);
		uint32_t n = 1;

		while (i + n < end && ment_slot(&p->m[i + n]) == slot + n &&
		       (slot + n) % ARENA_SLOTS != 0)
			n++;
		TRY(run_write(w->st, w->s, p, i, n));
		i += n;
	}
	return (OK);
}

/* Space, nodes and key are there: only the disk itself can refuse now.  What
 * stat shows, and who sets it next, does not wait for the file's lock: it is
 * changed before the answer. */
static void
early_accept(struct store *st, const struct plan *p)
{
	struct early *early = p->early;

	if (early == NULL)
		return;
	early->gained = p->gained;
	early->accepted = true;
	obj_changed(st, early->ip, early->size, p->gained, early->changed);
	early->answer(early->arg);
}

/* Ciphertext of the whole plan to new slots; on error none is kept. */
static enum err
plan_store(struct store *st, struct seg *s, struct plan *p)
{
	struct pieces w = { st, s, p };
	uint64_t hint = p->first == s->hint_blk ? s->hint : 0;
	uint64_t i = 0;
	enum err e = OK;

	while (e == OK && i < p->n) {
		const uint64_t want =
		    p->n - i < RUN_BLOCKS ? p->n - i : RUN_BLOCKS;
		uint64_t slot = 0;
		uint32_t got = 0;

		e = alloc_take(st, hint, (uint32_t)want, &slot, &got);
		for (uint32_t k = 0; e == OK && k < got; k++)
			ment_set_slot(&p->m[i + k], slot + k);
		if (e != OK)
			break;
		i += got;
		hint = slot + got;
	}
	/* Also what fails below has used the key. */
	s->sealed += i;
	if (e == OK)
		early_accept(st, p);
	if (e == OK)
		e = crew_run((size_t)((p->n + PIECE_BLOCKS - 1) / PIECE_BLOCKS),
		    piece_write, &w);
	if (e == OK) {
		s->hint = hint;
		s->hint_blk = p->first + p->n;
		return (OK);
	}
	while (i-- > 0)
		alloc_give(st, ment_slot(&p->m[i]), 1, true);
	return (e);
}

/* Pin and make room in every node that the plan changes. */
static enum err
plan_nodes(struct store *st, struct seg *s, struct plan *p)
{
	const uint64_t last = p->first + p->n - 1;
	const uint64_t c0 = p->first / CHUNK_ENTRIES;
	const uint64_t c1 = last / CHUNK_ENTRIES;

	p->node = calloc((size_t)(c1 - c0 + 1), sizeof(*p->node));
	if (p->node == NULL)
		return (ERR_NOMEM);
	for (uint64_t c = c0; c <= c1; c++) {
		const uint16_t count =
		    c == c1 ? (uint16_t)(last % CHUNK_ENTRIES + 1)
			    : CHUNK_ENTRIES;

		TRY(map_touch(st, s, c, count, &p->node[p->nnodes]));
		p->nnodes++;
	}
	return (OK);
}

/* The entry of block ${i} of the plan, in a node that is pinned. */
static struct ment *
plan_entry(const struct plan *p, uint64_t i, struct node **ret_node)
{
	const uint64_t blk = p->first + i;

	*ret_node = p->node[blk / CHUNK_ENTRIES - p->first / CHUNK_ENTRIES];
	return ((struct ment *)(void *)(*ret_node)->ents + blk % CHUNK_ENTRIES);
}

/* Blocks of the plan that hold nothing yet, also not under the segment. */
static enum err
plan_count(struct store *st, struct seg *s, struct plan *p)
{
	struct bref b[CHUNK_ENTRIES] UNINIT;
	struct node *node;

	for (uint64_t i = 0; s->nbases == 0 && i < p->n; i++)
		p->gained += ment_state(plan_entry(p, i, &node)) != MENT_DATA;
	for (uint64_t i = 0; s->nbases != 0 && i < p->n; i += COUNTOF(b)) {
		const uint32_t n = p->n - i < COUNTOF(b) ? (uint32_t)(p->n - i)
							 : (uint32_t)COUNTOF(b);

		TRY(blocks_find(st, s, p->first + i, n, b));
		for (uint32_t k = 0; k < n; k++)
			p->gained += b[k].seg == NULL;
	}
	return (OK);
}

void
plan_apply(struct store *st, struct plan *p, int64_t *ret_delta)
{
	for (uint64_t i = 0; i < p->n; i++) {
		const unsigned c = (unsigned)((p->first + i) % CHUNK_ENTRIES);
		struct node *n;
		struct ment *m = plan_entry(p, i, &n);

		if (ment_state(m) == MENT_DATA)
			alloc_give(st, ment_slot(m), 1, node_fresh(st, n, c));
		*m = p->m[i];
		node_set_fresh(st, n, c);
	}
	*ret_delta += p->gained;
}

void
plan_undo(struct store *st, struct plan *p)
{
	for (uint64_t i = 0; i < p->n; i++)
		alloc_give(st, ment_slot(&p->m[i]), 1, true);
}

enum err
plan_make(struct store *st, struct obj *o, uint64_t off, const uint8_t *buf,
    size_t len, uint8_t edge[static 2][BLOCK], struct plan *p)
{
	struct seg *s = &o->seg;
	bool clear;

	p->first = off / BLOCK;
	p->n = (off + len - 1) / BLOCK - p->first + 1;
	p->buf = buf;
	p->lead = (size_t)(off % BLOCK);
	p->len = len;
	p->head = edge[0];
	p->tail = edge[1];
	p->m = calloc((size_t)p->n, sizeof(*p->m));
	if (p->m == NULL)
		return (ERR_NOMEM);
	/* A cut range that is not drained yet must not come back to life. */
	TRY(drain_segment(
	    st, s, (p->first + p->n - 1) / CHUNK_ENTRIES, UINT_MAX, &clear));
	TRY(seg_next_key(s, p->n, &p->kidx));
	TRY(plan_edges(st, s, p));
	TRY(plan_nodes(st, s, p));
	TRY(plan_count(st, s, p));
	return (plan_store(st, s, p));
}

enum err
blocks_write(struct store *st, struct obj *o, uint64_t off, const uint8_t *buf,
    size_t len, struct early *early, int64_t *ret_delta)
{
	uint8_t edge[2][BLOCK] UNINIT;
	struct plan p = { .early = early };
	const enum err e = plan_make(st, o, off, buf, len, edge, &p);

	if (e == OK)
		plan_apply(st, &p, ret_delta);
	plan_release(st, &p);
	return (e);
}

enum err
inline_convert(struct store *st, struct inode *ip)
{
	struct obj *o = ip->obj;
	int64_t delta = 0;
	enum err e;

	if (o->seg.no == 0)
		TRY(obj_new_seg(st, o));
	if (!o->has_inline)
		return (OK);
	e = blocks_write(st, o, 0, o->inl, o->inl_len, NULL, &delta);
	if (e != OK) {
		/* No record can hold both. */
		obj_no_seg(st, o);
		return (e);
	}
	secret_wipe(o->inl, INLINE_MAX);
	free(o->inl);
	o->inl = NULL;
	o->inl_len = 0;
	o->has_inline = false;
	obj_changed(st, ip, ip->size, delta, 0);
	return (OK);
}

static enum err
inline_write(
    struct obj *o, uint64_t off, const uint8_t *buf, size_t len, uint64_t size)
{
	if (o->inl == NULL)
		o->inl = calloc(1, INLINE_MAX);
	if (o->inl == NULL)
		return (ERR_NOMEM);
	memcpy(o->inl + off, buf, len);
	o->has_inline = true;
	o->inl_len = (uint16_t)size;
	return (OK);
}

/* Exclusive, open. */
static enum err
write_locked(struct store *st, struct inode *ip, uint64_t off,
    const uint8_t *buf, size_t len, unsigned flags, struct early *early)
{
	struct obj *o = ip->obj;
	const uint64_t before = ip->size;
	const unsigned changed =
	    CHANGED_TIMES |
	    ((flags & STORE_WRITE_KILLPRIV) != 0 ? CHANGED_KILLPRIV : 0);
	uint64_t size = before;
	int64_t delta = 0;
	enum err e;

	/* The commit of what this adds must find room in the WAL. */
	lock_take(&st->db);
	e = db_room(st);
	lock_drop(&st->db);
	TRY(e);
	if ((flags & STORE_WRITE_APPEND) != 0)
		off = size;
	if (off > STORE_SIZE_MAX || len > STORE_SIZE_MAX - off)
		return (ERR_FBIG);
	if (off + len > size)
		size = off + len;
	if (o->seg.no == 0 && size <= INLINE_MAX) {
		/* Bytes of the buffer beyond the old size are zeros. */
		TRY(inline_write(o, off, buf, len, size));
	} else {
		e = inline_convert(st, ip);
		if (e == OK)
			e = seg_step_aside(
			    st, ip, (off + len - 1) / BLOCK / CHUNK_ENTRIES);
		if (early != NULL) {
			early->ip = ip;
			early->size = size;
			early->changed = changed;
		}
		if (e == OK)
			e = blocks_write(st, o, off, buf, len, early, &delta);
		if (early != NULL && early->accepted) {
			if (e != OK)
				obj_changed(st, ip, before, -early->gained, 0);
			return (e);
		}
		if (e != OK) {
			obj_failed(st, ip, delta);
			return (e);
		}
	}
	obj_changed(st, ip, size, delta, changed);
	return (OK);
}

enum err
late_error(struct inode *ip, struct store_file *f)
{
	if (f != NULL ? f->late_told == ip->late_no
		      : ip->late_no == 0 || ip->late_known)
		return (OK);
	if (f != NULL)
		f->late_told = ip->late_no;
	ip->late_known = true;
	return (ip->late);
}

/* The writer learns it from its next write too; others see no trace of it but
 * the old bytes. */
static void
late_set(struct store_file *f, enum err e)
{
	struct inode *ip = f->ip;

	log_error("store: inode %llu: a write that was answered failed: %s; "
		  "its writer's next write and whoever calls fsync get the "
		  "error; look at the disk, then write it again",
	    (unsigned long long)ip->ino, err_text(e));
	f->st->late = true;
	f->late = e;
	ip->late = e;
	ip->late_no++;
	ip->late_known = false;
}

static enum err
file_write(struct store_file *f, uint64_t off, const void *buf, size_t len,
    unsigned flags, struct early *early)
{
	struct store *st = f->st;
	struct inode *ip = f->ip;
	enum err e;

	if (len > WRITE_MAX)
		return (ERR_INVAL);
	if (len == 0)
		return (OK);
	EPOCH_SCOPE(st);
	TRY(file_lock(f, true));
	e = f->late;
	f->late = OK;
	if (e == OK)
		e = write_locked(st, ip, off, buf, len, flags, early);
	if (e != OK && early != NULL && early->accepted)
		late_set(f, e);
	rwlock_drop(&ip->lock);
	/* From here on ${f} may be gone when the write was answered. */
	TRY(e);
	st->dirty_bytes += len;
	st->n.writes++;
	st->n.write_bytes += len;
	return (OK);
}

enum err
store_write(struct store_file *f, uint64_t off, const void *buf, size_t len,
    unsigned flags)
{
	return (file_write(f, off, buf, len, flags, NULL));
}

enum err
store_write_early(struct store_file *f, uint64_t off, const void *buf,
    size_t len, unsigned flags, void (*answer)(void *arg), void *arg,
    bool *ret_answered)
{
	struct early early = { .answer = answer, .arg = arg };
	struct store *st = f->st; /* whoever was answered may close ${f} */
	enum err e;

	f->early = true;
	e = file_write(f, off, buf, len, flags, &early);
	*ret_answered = early.accepted;
	/* Whoever was not answered waits for this call. */
	if (early.accepted)
		arena_ahead(st);
	return (e);
}
