/*
 * frozen: segments that are shared: in core, in table segment, and how a segment
 * becomes one.
 *
 * Table segment, column rec (96 bytes):
 *
 *    0  1 version (1)          8  8 blocks sealed     48 16 hash of its bases
 *    1  1 level of the root   16 16 uuid              64 28 seal: nonce, tag
 *    2  1 cipher (0, 1)       32 16 tag of the root   92  4 zero
 *    3  1 has bases
 *    4  4 CRC32C of the record without these four bytes
 *
 * The seal is AES-256-GCM under the segment's map key over no plaintext, with
 * "ssefs segment 1" || bytes 0..3 || bytes 8..63 as associated data.
 */
#include <string.h>

#include "crypto/digest.h"
#include "crypto/rand.h"
#include "lib/base/buf.h"

#include "store/share_internal.h"

#define SEG_SEALED 64u
#define SEG_LABEL "ssefs segment 1"
#define ASIDE_BATCHES 8u /* freed by a write itself */

/* ---- In core ------------------------------------------------------------ */

void
frozen_put(struct store *st, struct seg *s)
{
	struct frozen *f = frozen_of(s);
	struct frozen **pp = &st->frozen;

	if (--f->users != 0)
		return;
	while (*pp != f)
		pp = &(*pp)->next;
	*pp = f->next;
	list_put(st, &f->seg);
	seg_clear(&f->seg);
	free(f);
}

void
share_close(struct store *st)
{
	/* Inodes are gone, so that nothing uses a frozen segment. */
	while (st->frozen != NULL) {
		st->frozen->users = 1;
		frozen_put(st, &st->frozen->seg);
	}
}

static size_t
seg_ad(const uint8_t *rec, uint8_t *ret)
{
	const size_t n = strlen(SEG_LABEL);

	memcpy(ret, SEG_LABEL, n);
	memcpy(ret + n, rec, 4);
	memcpy(ret + n + 4, rec + 8, SEG_SEALED - 8);
	return (n + SEG_SEALED - 4);
}

static uint32_t
seg_crc(const uint8_t *rec)
{
	return (crc32c(crc32c(0, rec, 4), rec + 8, SEG_REC - 8));
}

enum err
seg_rec_parse(const uint8_t *rec, size_t len, struct seg_rec *ret)
{
	if (rec == NULL || len != SEG_REC || rec[0] != 1 ||
	    rec[1] >= NODE_LEVELS || rec[2] > 1 || rec[3] > 1 ||
	    get_u32(rec + 4) != seg_crc(rec))
		return (ERR_CORRUPT);
	*ret = (struct seg_rec){
		.depth = rec[1],
		.cipher = rec[2] == 1,
		.has_bases = rec[3] == 1,
		.sealed = get_u64(rec + 8),
		.uuid = rec + 16,
		.root = rec + 32,
		.bases_tag = rec + 48,
		.nonce = rec + SEG_SEALED,
		.tag = rec + SEG_SEALED + AEAD_NONCELEN,
	};
	return (OK);
}

/* Read the row of a frozen segment.  st->db held. */
static enum err
frozen_row(struct store *st, uint64_t segno, uint8_t rec[static SEG_REC],
    struct seg_rec *ret)
{
	sqlite3_stmt *q = db_stmt(st, ST_SEG_GET);
	enum err e;

	sqlite3_bind_int64(q, 1, (int64_t)segno);
	e = db_row(st, ST_SEG_GET);
	if (e == ERR_NOENT)
		return (ERR_CORRUPT);
	TRY(e);
	if (sqlite3_column_bytes(q, 1) != (int)SEG_REC)
		e = ERR_CORRUPT;
	else
		memcpy(rec, sqlite3_column_blob(q, 1), SEG_REC);
	db_done(st, ST_SEG_GET);
	TRY(e);
	return (seg_rec_parse(rec, SEG_REC, ret));
}

/* A segment that is in core may be had by those only who have its key. */
static enum err
frozen_allowed(struct seg *owner, const struct frozen *f, const uint8_t *sealed)
{
	struct key *k CLEANUP_KEY = NULL;

	/* One that is being loaded lies under itself. */
	if (f->loading || f->seg.cipher != owner->cipher)
		return (ERR_CORRUPT);
	if (!owner->cipher)
		return (OK);
	TRY(base_open(owner, &f->seg, sealed, &k));
	return (
	    secret_cmp(k->b, f->seg.ck->b, KEY_LEN) == 0 ? OK : ERR_CORRUPT);
}

/* Fill in a frozen segment from its row and its owner's sealed key. */
static enum err
frozen_fill(struct store *st, struct frozen *f, const uint8_t *rec,
    const struct seg_rec *r, struct seg *owner, const uint8_t *sealed,
    unsigned level)
{
	struct seg *s = &f->seg;
	uint8_t ad[128], tag[AEAD_TAGLEN];

	_Static_assert(sizeof(SEG_LABEL) + SEG_SEALED <= sizeof(ad), "fits");
	s->st = st;
	s->frozen = true;
	s->depth = r->depth;
	s->cipher = r->cipher;
	s->sealed = r->sealed;
	memcpy(s->uuid, r->uuid, UUID_LEN);
	memcpy(s->root, r->root, AEAD_TAGLEN);
	memcpy(f->bases_tag, r->bases_tag, AEAD_TAGLEN);
	if (s->cipher != owner->cipher)
		return (ERR_CORRUPT);
	if (s->cipher) {
		struct aead *k;

		TRY(base_open(owner, s, sealed, &s->ck));
		TRY(seg_map_key(s, &k));
		const enum err e = aead_open(
		    k, r->nonce, ad, seg_ad(rec, ad), NULL, 0, r->tag, tag);
		if (e != OK)
			return (e == ERR_AUTH ? ERR_CORRUPT : e);
		TRY(seg_keys(s));
	}
	if (r->has_bases)
		return (list_load(st, s, f->bases_tag, level + 1, &f->depth));
	return (OK);
}

enum err
frozen_get(struct store *st, uint64_t segno, struct seg *owner,
    const uint8_t *sealed, unsigned level, struct seg **ret)
{
	struct frozen *f = st->frozen;
	uint8_t rec[SEG_REC];
	struct seg_rec r;
	enum err e;

	while (f != NULL && f->seg.no != segno)
		f = f->next;
	if (f != NULL) {
		TRY(frozen_allowed(owner, f, sealed));
		f->users++;
		*ret = &f->seg;
		return (OK);
	}
	if (level > DEPTH_MAX)
		return (ERR_CORRUPT);
	TRY(frozen_row(st, segno, rec, &r));
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return (ERR_NOMEM);
	f->seg.no = segno;
	f->users = 1;
	f->loading = true;
	f->next = st->frozen;
	st->frozen = f;
	e = frozen_fill(st, f, rec, &r, owner, sealed, level);
	f->loading = false;
	if (e != OK) {
		frozen_put(st, &f->seg);
		return (e);
	}
	*ret = &f->seg;
	return (OK);
}

/* ---- Freezing ----------------------------------------------------------- */

/* Write the row of a segment that becomes frozen, with no reference yet. */
static enum err
frozen_write(struct store *st, struct seg *s, const uint8_t *bases_tag)
{
	uint8_t rec[SEG_REC] = { 0 }, ad[128];

	rec[0] = 1;
	rec[1] = s->depth;
	rec[2] = s->cipher;
	rec[3] = s->nbases != 0;
	put_u64(rec + 8, s->sealed);
	memcpy(rec + 16, s->uuid, UUID_LEN);
	memcpy(rec + 32, s->root, AEAD_TAGLEN);
	memcpy(rec + 48, bases_tag, AEAD_TAGLEN);
	if (s->cipher) {
		struct aead *k;

		TRY(seg_map_key(s, &k));
		rand_bytes(rec + SEG_SEALED, AEAD_NONCELEN);
		TRY(aead_seal(k, rec + SEG_SEALED, ad, seg_ad(rec, ad), NULL, 0,
		    NULL, rec + SEG_SEALED + AEAD_NONCELEN));
	}
	put_u32(rec + 4, seg_crc(rec));
	LOCK_SCOPE(&st->db);
	TRY(db_begin(st));
	sqlite3_stmt *q = db_stmt(st, ST_SEG_PUT);
	sqlite3_bind_int64(q, 1, (int64_t)s->no);
	sqlite3_bind_int64(q, 2, 0);
	sqlite3_bind_blob(q, 3, rec, SEG_REC, SQLITE_STATIC);
	return (db_run(st, ST_SEG_PUT));
}

/*
 * Freeze the segment of an open object, which goes on with an empty one above
 * it.  A failure after the first write stops the store: its state in core and
 * in the transaction may differ then.
 */
static enum err
freeze(struct store *st, struct inode *ip)
{
	struct obj *o = ip->obj;
	struct frozen *f = calloc(1, sizeof(*f));
	struct base b = { .len = (ip->size + BLOCK - 1) / BLOCK };
	enum err e;

	if (f == NULL)
		return (ERR_NOMEM);
	o->seg.frozen = true;
	e = map_unembed(st, &o->seg);
	if (e == OK)
		e = map_seal(st, &o->seg);
	if (e == OK)
		e = frozen_write(st, &o->seg, o->bases_tag);
	if (e != OK) {
		o->seg.frozen = false;
		free(f);
		obj_failed(st, ip, 0);
		return (e);
	}
	map_move(st, &o->seg, &f->seg);
	f->users = 1; /* ours, until the base holds it */
	f->depth = o->under;
	memcpy(f->bases_tag, o->bases_tag, AEAD_TAGLEN);
	memset(o->bases_tag, 0, sizeof(o->bases_tag));
	lock_take(&st->db);
	f->next = st->frozen;
	st->frozen = f;
	lock_drop(&st->db);
	e = obj_new_seg(st, o);
	if (e == OK)
		e = base_prepare(o, &f->seg, &b);
	if (e == OK)
		e = base_add(st, o, &f->seg, b);
	lock_take(&st->db);
	frozen_put(st, &f->seg);
	lock_drop(&st->db);
	if (e != OK)
		return (epoch_stop(st, e, "the sharing of a segment"));
	obj_changed(st, ip, ip->size, 0, 0);
	return (OK);
}

enum err
seg_step_aside(struct store *st, struct inode *ip, uint64_t chunk)
{
	bool clear = true;

	TRY(drain_segment(st, &ip->obj->seg, chunk, ASIDE_BATCHES, &clear));
	/* Too deep already: the write frees it all itself. */
	if (clear || ip->obj->under >= DEPTH_MAX - 1)
		return (OK);
	return (freeze(st, ip));
}

enum err
share_source(struct store *st, struct inode *ip, uint64_t blk, uint64_t n,
    struct seg **ret, uint64_t *ret_off)
{
	struct seg *s = &ip->obj->seg;
	uint64_t at, end, node;

	/* An untouched copy is shared as what it is a copy of. */
	if (base_next(s, blk, &at, &end) == OK && at == blk && end >= blk + n) {
		const enum err e = map_next(st, s, blk / CHUNK_ENTRIES, &node);

		if (e == ERR_NOENT ||
		    (e == OK && node * CHUNK_ENTRIES >= blk + n))
			return (base_find(st, s, blk, ret, ret_off));
		if (e != OK)
			return (e);
	}
	if (ip->obj->under >= DEPTH_MAX - 1)
		return (ERR_LIMIT);
	TRY(freeze(st, ip));
	return (base_find(st, &ip->obj->seg, blk, ret, ret_off));
}
