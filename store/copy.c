/*
 * copy: from file to file, sharing whole blocks where it can.
 */
#include <string.h>

#include "lib/base/buf.h"

#include "store/share_internal.h"

#define SHARE_MIN 16u /* blocks: less is copied */
#define COPY_BUF ((size_t)1 << 20)

/* Share whole blocks.  ERR_LIMIT: they must be copied instead. */
static enum err
share(struct store *st, struct inode *from, uint64_t fblk, struct inode *to,
    uint64_t tblk, uint64_t n, uint64_t size)
{
	struct obj *o = to->obj;
	struct base b = { .start = tblk, .len = n };
	struct seg *under = NULL;
	/* At most what the source holds: its holes are shared as well. */
	const uint64_t gain = n < from->blocks ? n : from->blocks;
	int64_t delta = 0;
	enum err e;

	lock_take(&st->db);
	e = db_room(st);
	lock_drop(&st->db);
	TRY(e);
	TRY(share_source(st, from, fblk, n, &under, &b.off));
	e = inline_convert(st, to);
	if (e == OK)
		e = base_prepare(o, under, &b);
	if (e == OK)
		e = blocks_drop(st, o, tblk, tblk + n, &delta);
	if (e == OK)
		e = base_add(st, o, under, b);
	if (e != OK) {
		obj_failed(st, to, delta);
		return (e);
	}
	obj_changed(st, to, size, delta + (int64_t)gain, CHANGED_TIMES);
	return (OK);
}

/* Blocks of [off, off+len) that can be shared: all in whole blocks, the last
 * one also when both files end with it. */
static uint64_t
shareable(const struct inode *from, uint64_t foff, const struct inode *to,
    uint64_t toff, uint64_t len)
{
	const struct obj *a = from->obj, *b = to->obj;

	if (from == to || foff % BLOCK != 0 || toff % BLOCK != 0 ||
	    a->seg.no == 0 ||
	    (a->method == SSE_NONE) != (b->method == SSE_NONE))
		return (0);
	const uint64_t n = foff + len == from->size && toff + len >= to->size
			       ? (len + BLOCK - 1) / BLOCK
			       : len / BLOCK;
	return (n >= SHARE_MIN ? n : 0);
}

static enum err
copy_bytes(struct store_file *from, uint64_t foff, struct store_file *to,
    uint64_t toff, uint64_t len, uint64_t *ret)
{
	uint8_t *buf CLEANUP_FREE = malloc(COPY_BUF);
	enum err e = buf == NULL ? ERR_NOMEM : OK;

	*ret = 0;
	while (e == OK && len != 0) {
		size_t n = len < COPY_BUF ? (size_t)len : COPY_BUF;

		e = store_read(from, foff, buf, n, &n);
		if (e != OK || n == 0)
			break;
		e = store_write(to, toff, buf, n, 0);
		if (e != OK)
			break;
		foff += n;
		toff += n;
		len -= n;
		*ret += n;
	}
	if (buf != NULL)
		secret_wipe(buf, COPY_BUF);
	/* What was copied counts, as with write(2). */
	return (*ret != 0 ? OK : e);
}

/* Both exclusive and open; *${ret} bytes were shared, perhaps 0. */
static enum err
share_locked(struct store_file *from, uint64_t foff, struct store_file *to,
    uint64_t toff, uint64_t len, uint64_t *ret)
{
	struct store *st = from->st;
	uint64_t n, size;
	enum err e;

	*ret = 0;
	if (foff >= from->ip->size)
		return (OK);
	if (len > from->ip->size - foff)
		len = from->ip->size - foff;
	n = shareable(from->ip, foff, to->ip, toff, len);
	if (n == 0)
		return (OK);
	if (len > n * BLOCK)
		len = n * BLOCK;
	size = toff + len > to->ip->size ? toff + len : to->ip->size;
	if (size > STORE_SIZE_MAX)
		return (ERR_FBIG);
	e = share(st, from->ip, foff / BLOCK, to->ip, toff / BLOCK, n, size);
	if (e == ERR_LIMIT)
		return (OK);
	if (e == OK)
		*ret = len;
	return (e);
}

static enum err
try_share(struct store_file *from, uint64_t foff, struct store_file *to,
    uint64_t toff, uint64_t len, uint64_t *ret)
{
	struct store *st = from->st;
	enum err e;

	EPOCH_SCOPE(st);
	rwlock_write_pair(&from->ip->lock, &to->ip->lock);
	e = obj_unlock(st, &from->asker->who, from->ip);
	if (e == OK)
		e = obj_unlock(st, &to->asker->who, to->ip);
	if (e == OK)
		e = file_ask(from);
	if (e == OK)
		e = file_ask(to);
	if (e == OK)
		e = share_locked(from, foff, to, toff, len, ret);
	rwlock_drop_pair(&from->ip->lock, &to->ip->lock);
	return (e);
}

enum err
store_copy(struct store_file *from, uint64_t from_off, struct store_file *to,
    uint64_t to_off, uint64_t len, uint64_t *ret_len)
{
	uint64_t shared = 0, copied = 0;

	struct store_attr a;

	*ret_len = 0;
	if (to_off > STORE_SIZE_MAX)
		return (ERR_FBIG);
	/* The end is the source's before the copy, which may extend it. */
	TRY(store_getattr(from->st, from->ip->ino, &a));
	if (from_off >= a.size)
		return (OK);
	if (len > a.size - from_off)
		len = a.size - from_off;
	if (from->ip == to->ip && from_off < to_off + len &&
	    to_off < from_off + len)
		return (ERR_INVAL);
	TRY(try_share(from, from_off, to, to_off, len, &shared));
	if (shared < len) {
		const enum err e = copy_bytes(from, from_off + shared, to,
		    to_off + shared, len - shared, &copied);

		if (shared == 0 && e != OK)
			return (e);
	}
	*ret_len = shared + copied;
	return (OK);
}
