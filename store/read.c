/*
 * read: from blocks to bytes.
 *
 * Every block is verified before any byte of the request is returned.  Runs of
 * neighbouring slots are read with one call.
 */
#include <string.h>

#include "crypto/digest.h"
#include "lib/base/buf.h"

#include "store/crew.h"
#include "store/object.h"

#define PIECE_BLOCKS 64u /* opened by one processor at a time */

void
block_ad(const struct seg *s, uint64_t blk, uint8_t kidx,
    uint8_t ret[static BLOCK_AD])
{
	memcpy(ret, s->uuid, UUID_LEN);
	put_u64(ret + UUID_LEN, blk);
	put_u32(ret + UUID_LEN + 8, BLOCK);
	ret[UUID_LEN + 12] = kidx;
}

/* One block that the segment itself does not hold. */
static enum err
find_under(struct store *st, struct seg *s, uint64_t blk, struct bref *ret)
{
	struct seg *under = NULL;
	uint64_t ublk = 0;

	ret->seg = NULL;
	if (s->nbases == 0)
		return (OK);
	TRY(base_find(st, s, blk, &under, &ublk));
	if (under == NULL)
		return (OK);
	return (blocks_find(st, under, ublk, 1, ret));
}

enum err
blocks_find(
    struct store *st, struct seg *s, uint64_t blk, uint32_t n, struct bref *ret)
{
	for (uint32_t i = 0; i < n;) {
		const uint64_t chunk = (blk + i) / CHUNK_ENTRIES;
		unsigned c = (unsigned)((blk + i) % CHUNK_ENTRIES);
		struct node *node = NULL;
		const struct ment *m = NULL;

		TRY(map_get(st, s, 0, chunk, &node));
		if (node != NULL)
			m = (const struct ment *)(const void *)node->ents;
		for (; c < CHUNK_ENTRIES && i < n; c++, i++) {
			enum err e = OK;

			if (m != NULL && c < node->count &&
			    ment_state(&m[c]) == MENT_DATA) {
				ret[i].seg = s;
				ret[i].blk = blk + i;
				ret[i].m = m[c];
			} else {
				e = find_under(st, s, blk + i, &ret[i]);
			}
			if (e != OK) {
				map_put(st, node);
				return (e);
			}
		}
		map_put(st, node);
	}
	return (OK);
}

static enum err
block_open(const struct bref *b, const uint8_t *in, uint8_t *out)
{
	uint8_t ad[BLOCK_AD];
	struct aead *k;
	enum err e;

	if (!b->seg->cipher) {
		if (crc32c(0, in, BLOCK) != get_u32(b->m.crc))
			return (err_fail(ERR_AUTH, "a block was altered"));
		if (in != out)
			memcpy(out, in, BLOCK);
		return (OK);
	}
	k = seg_blk(b->seg, b->m.kidx);
	if (k == NULL)
		return (ERR_CORRUPT);
	block_ad(b->seg, b->blk, b->m.kidx, ad);
	e = aead_open(k, b->m.nonce, ad, sizeof(ad), in, BLOCK, b->m.tag, out);
	return (e == ERR_AUTH ? err_fail(e, "a block was altered") : e);
}

/* Blocks in a row of slots, beginning with b[0]. */
static uint32_t
run_length(const struct bref *b, uint32_t n)
{
	uint32_t i = 1;
	const uint64_t first = ment_slot(&b[0].m);

	while (i < n && b[i].seg != NULL && ment_slot(&b[i].m) == first + i &&
	       (first + i) % ARENA_SLOTS != 0)
		i++;
	return (i);
}

static enum err
run_read(struct store *st, const struct bref *b, uint32_t n, uint8_t *out)
{
	/* What needs no decryption is read to where it goes. */
	uint8_t *in = b->seg->cipher ? file_scratch() : out;

	if (in == NULL)
		return (ERR_NOMEM);
	TRY(alloc_read(st, ment_slot(&b->m), n, in));
	for (uint32_t i = 0; i < n; i++)
		TRY(block_open(
		    &b[i], in + (size_t)i * BLOCK, out + (size_t)i * BLOCK));
	return (OK);
}

/* Blocks that were found, to ${out}. */
static enum err
refs_read(struct store *st, const struct bref *b, uint32_t n, uint8_t *out)
{
	for (uint32_t i = 0, k; i < n; i += k) {
		k = 1;
		if (b[i].seg == NULL) {
			memset(out + (size_t)i * BLOCK, 0, BLOCK);
			continue;
		}
		k = run_length(&b[i], n - i);
		TRY(run_read(st, &b[i], k, out + (size_t)i * BLOCK));
	}
	return (OK);
}

struct pieces {
	struct store *st;
	const struct bref *b;
	uint32_t n;
	uint8_t *out;
};

static enum err
piece_read(void *arg, size_t x)
{
	const struct pieces *r = arg;
	const uint32_t i = (uint32_t)x * PIECE_BLOCKS;

	return (refs_read(r->st, &r->b[i],
	    r->n - i < PIECE_BLOCKS ? r->n - i : PIECE_BLOCKS,
	    r->out + (size_t)i * BLOCK));
}

enum err
blocks_read(
    struct store *st, struct seg *s, uint64_t blk, uint64_t n, uint8_t *ret)
{
	struct bref b[RUN_BLOCKS] UNINIT;

	while (n != 0) {
		const uint32_t m = n < RUN_BLOCKS ? (uint32_t)n : RUN_BLOCKS;
		struct pieces r = { st, b, m, ret };

		TRY(blocks_find(st, s, blk, m, b));
		/* Without cipher there is little to share out. */
		if (s->cipher && m > PIECE_BLOCKS)
			TRY(crew_run((m + PIECE_BLOCKS - 1) / PIECE_BLOCKS,
			    piece_read, &r));
		else
			TRY(refs_read(st, b, m, ret));
		blk += m;
		n -= m;
		ret += (size_t)m * BLOCK;
	}
	return (OK);
}

/* Bytes that do not begin or end on blocks. */
static enum err
read_edges(
    struct store *st, struct seg *s, uint64_t off, uint8_t *buf, size_t len)
{
	uint8_t tmp[BLOCK] UNINIT;
	enum err e = OK;

	while (e == OK && len != 0) {
		const size_t in = (size_t)(off % BLOCK);
		size_t n = BLOCK - in < len ? BLOCK - in : len;

		if (in == 0 && len >= BLOCK) {
			n = len / BLOCK * BLOCK;
			e = blocks_read(st, s, off / BLOCK, n / BLOCK, buf);
		} else {
			e = blocks_read(st, s, off / BLOCK, 1, tmp);
			if (e == OK)
				memcpy(buf, tmp + in, n);
			secret_wipe(tmp, sizeof(tmp));
		}
		off += n;
		buf += n;
		len -= n;
	}
	return (e);
}

static enum err
read_locked(struct store *st, struct inode *ip, uint64_t off, uint8_t *buf,
    size_t room, size_t len)
{
	struct obj *o = ip->obj;
	const uint64_t n = (len + BLOCK - 1) / BLOCK;

	if (o->has_inline) {
		memcpy(buf, o->inl + off, len);
		return (OK);
	}
	if (o->seg.no == 0 && o->seg.nbases == 0) {
		memset(buf, 0, len);
		return (OK);
	}
	/* Beyond the end a block is zeros: it may be read whole. */
	if (off % BLOCK == 0 && n * BLOCK <= room)
		return (blocks_read(st, &o->seg, off / BLOCK, n, buf));
	return (read_edges(st, &o->seg, off, buf, len));
}

enum err
store_read(
    struct store_file *f, uint64_t off, void *buf, size_t len, size_t *ret_len)
{
	struct store *st = f->st;
	struct inode *ip = f->ip;
	const size_t room = len;
	enum err e = OK;

	*ret_len = 0;
	TRY(file_lock(f, false));
	if (off >= ip->size)
		len = 0;
	else if (len > ip->size - off)
		len = (size_t)(ip->size - off);
	if (len != 0)
		e = read_locked(st, ip, off, buf, room, len);
	rwlock_drop(&ip->lock);
	if (e != OK) {
		memset(buf, 0, room);
		return (e);
	}
	st->n.reads++;
	st->n.read_bytes += len;
	if (!f->noatime)
		attr_touch_atime(st, ip);
	*ret_len = len;
	return (OK);
}

/* The first block of [blk, end) that may hold data, by what the maps' nodes
 * above the lowest say; ${end} when none does. */
static enum err
data_hint(
    struct store *st, struct seg *s, uint64_t blk, uint64_t end, uint64_t *ret)
{
	uint64_t chunk, at, to;
	enum err e = map_next(st, s, blk / CHUNK_ENTRIES, &chunk);

	*ret = end;
	if (e == OK && chunk * CHUNK_ENTRIES < end)
		*ret =
		    chunk * CHUNK_ENTRIES < blk ? blk : chunk * CHUNK_ENTRIES;
	else if (e != OK && e != ERR_NOENT)
		return (e);
	for (uint64_t b = blk; base_next(s, b, &at, &to) == OK && at < *ret;
	     b = to) {
		struct seg *under = NULL;
		uint64_t first = 0, hit = 0;
		const uint64_t n = (to < *ret ? to : *ret) - at;

		TRY(base_find(st, s, at, &under, &first));
		if (under == NULL)
			return (ERR_CORRUPT);
		TRY(data_hint(st, under, first, first + n, &hit));
		if (hit - first < n) {
			*ret = at + (hit - first);
			break;
		}
	}
	return (OK);
}

/* The first block in [blk, end) that holds data, or does not. */
static enum err
seek_block(struct store *st, struct seg *s, uint64_t blk, uint64_t end,
    bool data, uint64_t *ret)
{
	struct bref b[CHUNK_ENTRIES] UNINIT;

	for (;;) {
		uint32_t n;

		if (data)
			TRY(data_hint(st, s, blk, end, &blk));
		if (blk >= end)
			return (ERR_NOENT);
		n = end - blk < CHUNK_ENTRIES ? (uint32_t)(end - blk)
					      : CHUNK_ENTRIES;
		TRY(blocks_find(st, s, blk, n, b));
		for (uint32_t i = 0; i < n; i++)
			if ((b[i].seg != NULL) == data) {
				*ret = blk + i;
				return (OK);
			}
		blk += n;
	}
}

enum err
store_seek(struct store_file *f, uint64_t off, bool data, uint64_t *ret)
{
	struct inode *ip = f->ip;
	uint64_t blk = 0;
	enum err e;

	TRY(file_lock(f, false));
	struct rwlock *held CLEANUP(rwlock_drop_cleanup) UNUSED = &ip->lock;
	if (off >= ip->size)
		return (ERR_NXIO);
	if (ip->obj->has_inline) {
		*ret = data ? off : ip->size;
		return (OK);
	}
	e = seek_block(f->st, &ip->obj->seg, off / BLOCK,
	    (ip->size + BLOCK - 1) / BLOCK, data, &blk);
	if (e == ERR_NOENT) {
		if (data)
			return (ERR_NXIO);
		*ret = ip->size;
		return (OK);
	}
	TRY(e);
	*ret = blk * BLOCK < off ? off : blk * BLOCK;
	if (*ret > ip->size)
		*ret = ip->size;
	return (OK);
}
