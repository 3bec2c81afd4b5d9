/*
 * share: what lies under a segment, so that a copy moves no data.
 *
 * A segment that is to be shared is frozen (frozen.c): it is never written
 * again, and its object goes on with a fresh, empty segment that has the frozen
 * one as its base.  The copy gets a base as well (copy.c).  Writes go to the
 * segment on top; a base shows where the top holds nothing.
 *
 * Table base, column rec (60 bytes): the base's content key, sealed under the
 * owner's base key with "ssefs base 1" || owner's uuid || base's uuid as
 * associated data; zeros without cipher.  The list of an owner is hashed
 * (SHA-256, 16 bytes kept: start, len, segment, off, rec of each) and the hash
 * is sealed with the owner's record.
 */
#include <string.h>

#include "crypto/digest.h"
#include "lib/base/buf.h"

#include "store/share_internal.h"

#define BASE_LABEL "ssefs base 1"
#define BASES_MAX 4096u            /* of one segment; more is copied */
#define BASES_HARD (4 * BASES_MAX) /* holes make two bases of one */

/* ---- Looking ------------------------------------------------------------ */

static void
list_hash(const struct seg *s, uint8_t ret[static AEAD_TAGLEN])
{
	uint8_t sum[SHA256_LEN], f[32];
	struct sha256_ctx c;

	memset(ret, 0, AEAD_TAGLEN);
	if (s->nbases == 0)
		return;
	sha256_begin(&c);
	for (size_t i = 0; i < s->nbases; i++) {
		put_u64(f, s->bases[i].start);
		put_u64(f + 8, s->bases[i].len);
		put_u64(f + 16, s->bases[i].segno);
		put_u64(f + 24, s->bases[i].off);
		sha256_add(&c, f, sizeof(f));
		sha256_add(&c, s->bases[i].rec, WRAPPED_LEN);
	}
	sha256_end(&c, sum);
	memcpy(ret, sum, AEAD_TAGLEN);
}

/* Index of the first base that ends after ${blk}. */
static size_t
list_find(const struct seg *s, uint64_t blk)
{
	size_t lo = 0, hi = s->nbases;

	while (lo < hi) {
		const size_t mid = (lo + hi) / 2;

		if (s->bases[mid].start + s->bases[mid].len <= blk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo);
}

enum err
base_next(const struct seg *s, uint64_t blk, uint64_t *ret, uint64_t *ret_end)
{
	const size_t i = list_find(s, blk);

	if (i == s->nbases)
		return (ERR_NOENT);
	*ret = s->bases[i].start > blk ? s->bases[i].start : blk;
	*ret_end = s->bases[i].start + s->bases[i].len;
	return (OK);
}

enum err
base_find(struct store *st, struct seg *s, uint64_t blk, struct seg **ret,
    uint64_t *ret_blk)
{
	const size_t i = list_find(s, blk);

	(void)st;
	*ret = NULL;
	if (i == s->nbases || s->bases[i].start > blk)
		return (OK);
	*ret = s->bases[i].seg;
	*ret_blk = blk - s->bases[i].start + s->bases[i].off;
	return (*ret == NULL ? ERR_CORRUPT : OK);
}

static enum err
list_room(struct seg *s, size_t more)
{
	const size_t n = s->nbases + more;
	struct base *v;

	if (n > BASES_HARD)
		return (ERR_LIMIT);
	if (n <= s->bases_cap)
		return (OK);
	v = realloc(s->bases, (n + n / 2) * sizeof(*v));
	if (v == NULL)
		return (ERR_NOMEM);
	s->bases = v;
	s->bases_cap = n + n / 2;
	return (OK);
}

enum err
base_room(struct seg *s)
{
	return (s->nbases == 0 ? OK : list_room(s, 1));
}

/* ---- Keys of bases ------------------------------------------------------ */

static size_t
base_ad(const struct seg *owner, const struct seg *under, uint8_t *ret)
{
	const size_t n = strlen(BASE_LABEL);

	memcpy(ret, BASE_LABEL, n);
	memcpy(ret + n, owner->uuid, UUID_LEN);
	memcpy(ret + n + UUID_LEN, under->uuid, UUID_LEN);
	return (n + 2 * UUID_LEN);
}

enum err
base_open(struct seg *owner, const struct seg *under, const uint8_t *sealed,
    struct key **ret)
{
	struct key *k CLEANUP_KEY = key_new();
	uint8_t ad[128];

	if (k == NULL)
		return (ERR_NOMEM);
	TRY(seg_base_key(owner));
	TRY(aead_open_msg(owner->basek, ad, base_ad(owner, under, ad), sealed,
	    WRAPPED_LEN, k->b));
	*ret = steal(k);
	return (OK);
}

static enum err
base_seal(struct seg *owner, const struct seg *under, uint8_t *rec)
{
	uint8_t ad[128];

	memset(rec, 0, WRAPPED_LEN);
	if (!owner->cipher)
		return (OK);
	TRY(seg_base_key(owner));
	return (aead_seal_msg(owner->basek, ad, base_ad(owner, under, ad),
	    under->ck->b, KEY_LEN, rec));
}

/* ---- Loading ------------------------------------------------------------ */

/* The caller's bases no longer use their segments.  st->db held. */
void
list_put(struct store *st, struct seg *s)
{
	for (size_t i = 0; i < s->nbases; i++) {
		if (s->bases[i].seg != NULL)
			frozen_put(st, s->bases[i].seg);
		s->bases[i].seg = NULL;
	}
}

/* Numbers that make sense: the hash vouches for nothing without cipher. */
static enum err
list_check(const struct seg *s)
{
	uint64_t from = 0;

	for (size_t i = 0; i < s->nbases; i++) {
		const struct base *b = &s->bases[i];

		if (b->start < from || b->start >= BLOCKS_MAX || b->len == 0 ||
		    b->len > BLOCKS_MAX - b->start || b->off >= BLOCKS_MAX ||
		    b->len > BLOCKS_MAX - b->off || b->segno == 0 ||
		    b->segno > INT64_MAX)
			return (ERR_CORRUPT);
		from = b->start + b->len;
	}
	return (OK);
}

/* The deepest chain of segments under one. */
static unsigned
list_depth(const struct seg *s)
{
	unsigned most = 0;

	for (size_t i = 0; i < s->nbases; i++) {
		const unsigned d = frozen_of(s->bases[i].seg)->depth + 1;

		if (d > most)
			most = d;
	}
	return (most);
}

enum err
list_load(struct store *st, struct seg *s,
    const uint8_t hash[static AEAD_TAGLEN], unsigned level, unsigned *ret_depth)
{
	uint8_t now[AEAD_TAGLEN];
	enum err e;

	sqlite3_stmt *q = db_stmt(st, ST_BASE_LIST);
	sqlite3_bind_int64(q, 1, (int64_t)s->no);
	while ((e = db_row(st, ST_BASE_LIST)) == OK) {
		e = sqlite3_column_bytes(q, 4) == (int)WRAPPED_LEN
			? list_room(s, 1)
			: ERR_CORRUPT;
		if (e != OK)
			break;
		struct base *b = &s->bases[s->nbases++];

		memset(b, 0, sizeof(*b));
		b->start = (uint64_t)sqlite3_column_int64(q, 0);
		b->len = (uint64_t)sqlite3_column_int64(q, 1);
		b->segno = (uint64_t)sqlite3_column_int64(q, 2);
		b->off = (uint64_t)sqlite3_column_int64(q, 3);
		memcpy(b->rec, sqlite3_column_blob(q, 4), WRAPPED_LEN);
	}
	db_done(st, ST_BASE_LIST);
	if (e != ERR_NOENT)
		return (e);
	list_hash(s, now);
	if (memcmp(now, hash, AEAD_TAGLEN) != 0)
		return (err_fail(ERR_CORRUPT, "the list of shared segments "
					      "was altered"));
	TRY(list_check(s));
	for (size_t i = 0; i < s->nbases; i++)
		TRY(frozen_get(st, s->bases[i].segno, s, s->bases[i].rec, level,
		    &s->bases[i].seg));
	*ret_depth = list_depth(s);
	return (*ret_depth > DEPTH_MAX ? ERR_CORRUPT : OK);
}

enum err
base_load(struct store *st, struct obj *o)
{
	LOCK_SCOPE(&st->db);
	o->under = 0;
	return (list_load(st, &o->seg, o->bases_tag, 0, &o->under));
}

void
base_unload(struct store *st, struct seg *s)
{
	list_put(st, s);
	free(s->bases);
	s->bases = NULL;
	s->nbases = s->bases_cap = 0;
}

/* ---- Changing ----------------------------------------------------------- */

static enum err
refs_add(struct store *st, uint64_t segno, int delta)
{
	TRY(db_begin(st));
	sqlite3_stmt *q = db_stmt(st, ST_SEG_REFS);
	sqlite3_bind_int64(q, 1, (int64_t)segno);
	sqlite3_bind_int(q, 2, delta);
	return (db_run(st, ST_SEG_REFS));
}

/* A frozen segment lost a reference: with the last it dies. st->db held. */
static enum err
refs_drop(struct store *st, uint64_t segno)
{
	int64_t refs;

	TRY(refs_add(st, segno, -1));
	sqlite3_stmt *q = db_stmt(st, ST_SEG_GET);
	sqlite3_bind_int64(q, 1, (int64_t)segno);
	const enum err e = db_row(st, ST_SEG_GET);
	if (e != OK)
		return (e == ERR_NOENT ? ERR_CORRUPT : e);
	refs = sqlite3_column_int64(q, 0);
	db_done(st, ST_SEG_GET);
	if (refs > 0)
		return (OK);
	TRY(base_release(st, segno));
	q = db_stmt(st, ST_SEG_DEL);
	sqlite3_bind_int64(q, 1, (int64_t)segno);
	TRY(db_run(st, ST_SEG_DEL));
	return (drain_add(st, segno, 0));
}

enum err
base_release(struct store *st, uint64_t owner)
{
	for (;;) {
		uint64_t segno, start;
		sqlite3_stmt *q = db_stmt(st, ST_BASE_LIST);

		sqlite3_bind_int64(q, 1, (int64_t)owner);
		const enum err e = db_row(st, ST_BASE_LIST);
		if (e != OK)
			return (e == ERR_NOENT ? OK : e);
		start = (uint64_t)sqlite3_column_int64(q, 0);
		segno = (uint64_t)sqlite3_column_int64(q, 2);
		db_done(st, ST_BASE_LIST);
		TRY(db_begin(st));
		q = db_stmt(st, ST_BASE_DEL);
		sqlite3_bind_int64(q, 1, (int64_t)owner);
		sqlite3_bind_int64(q, 2, (int64_t)start);
		TRY(db_run(st, ST_BASE_DEL));
		TRY(refs_drop(st, segno));
	}
}

/* Put the list of a segment into the table.  st->db held. */
static enum err
list_write(struct store *st, const struct seg *s)
{
	TRY(db_begin(st));
	sqlite3_stmt *q = db_stmt(st, ST_BASE_DELALL);
	sqlite3_bind_int64(q, 1, (int64_t)s->no);
	TRY(db_run(st, ST_BASE_DELALL));
	for (size_t i = 0; i < s->nbases; i++) {
		const struct base *b = &s->bases[i];

		q = db_stmt(st, ST_BASE_PUT);
		sqlite3_bind_int64(q, 1, (int64_t)s->no);
		sqlite3_bind_int64(q, 2, (int64_t)b->start);
		sqlite3_bind_int64(q, 3, (int64_t)b->len);
		sqlite3_bind_int64(q, 4, (int64_t)b->segno);
		sqlite3_bind_int64(q, 5, (int64_t)b->off);
		sqlite3_bind_blob(
		    q, 6, b->rec, (int)WRAPPED_LEN, SQLITE_STATIC);
		TRY(db_run(st, ST_BASE_PUT));
	}
	return (OK);
}

/* The list changed: hash and table follow at once, references were adjusted by
 * the caller. st->db held. */
static enum err
list_changed(struct store *st, struct obj *o)
{
	list_hash(&o->seg, o->bases_tag);
	o->has_bases = o->seg.nbases != 0;
	o->under = list_depth(&o->seg);
	return (list_write(st, &o->seg));
}

/* What is left of a base outside of [from, to); false: nothing. */
static bool
base_cut(struct base *b, uint64_t from, uint64_t to)
{
	const uint64_t end = b->start + b->len;

	if (b->start >= from && end <= to)
		return (false);
	if (b->start < from && end > from) {
		b->len = from - b->start;
	} else if (b->start < to && end > to) {
		b->off += to - b->start;
		b->len = end - to;
		b->start = to;
	}
	return (true);
}

/* In the table first: a failure leaves the list in core as it was, and the
 * store stopped.  st->db held. */
static enum err
trim_refs(
    struct store *st, const struct seg *s, size_t i, uint64_t from, uint64_t to)
{
	for (; i < s->nbases && s->bases[i].start < to; i++) {
		struct base b = s->bases[i];

		if (!base_cut(&b, from, to))
			TRY(refs_drop(st, b.segno));
	}
	return (OK);
}

/* A hole in the middle of base ${i} makes two of it.  st->db held, room for one
 * more. */
static enum err
base_split(
    struct store *st, struct obj *o, size_t i, uint64_t from, uint64_t to)
{
	struct seg *s = &o->seg;
	struct base *a = &s->bases[i], *b = &s->bases[i + 1];

	TRY(refs_add(st, a->segno, 1));
	memmove(b, a, (s->nbases - i) * sizeof(*a));
	s->nbases++;
	frozen_of(a->seg)->users++;
	a->len = from - a->start;
	b->off += to - b->start;
	b->len -= to - b->start;
	b->start = to;
	return (list_changed(st, o));
}

enum err
base_trim(struct store *st, struct obj *o, uint64_t from, uint64_t to)
{
	struct seg *s = &o->seg;
	size_t i = list_find(s, from), out;
	enum err e;

	if (i == s->nbases || s->bases[i].start >= to)
		return (OK);
	TRY(list_room(s, 1));
	LOCK_SCOPE(&st->db);
	if (s->bases[i].start < from &&
	    s->bases[i].start + s->bases[i].len > to)
		return (base_split(st, o, i, from, to));
	e = trim_refs(st, s, i, from, to);
	if (e != OK)
		return (epoch_stop(st, e, "releasing a shared segment"));
	for (out = i; i < s->nbases; i++) {
		struct base b = s->bases[i];

		if (base_cut(&b, from, to))
			s->bases[out++] = b;
		else
			frozen_put(st, b.seg);
	}
	s->nbases = out;
	return (list_changed(st, o));
}

enum err
base_prepare(struct obj *o, const struct seg *under, struct base *ret)
{
	/* One for a hole in what is there, one for the new one. */
	if (o->seg.nbases + 2 > BASES_MAX)
		return (ERR_LIMIT);
	TRY(list_room(&o->seg, 2));
	return (base_seal(&o->seg, under, ret->rec));
}

/* Does ${b} go on where ${a} ends? */
static bool
base_follows(const struct base *a, const struct base *b)
{
	return (a->segno == b->segno && a->start + a->len == b->start &&
		a->off + a->len == b->off);
}

enum err
base_add(struct store *st, struct obj *o, struct seg *under, struct base b)
{
	struct seg *s = &o->seg;
	const size_t i = list_find(s, b.start);

	b.segno = under->no;
	b.seg = under;
	LOCK_SCOPE(&st->db);
	/* A copy made in pieces is one. */
	if (i > 0 && base_follows(&s->bases[i - 1], &b)) {
		s->bases[i - 1].len += b.len;
		return (list_changed(st, o));
	}
	TRY(refs_add(st, under->no, 1));
	memmove(&s->bases[i + 1], &s->bases[i],
	    (s->nbases - i) * sizeof(s->bases[0]));
	s->bases[i] = b;
	s->nbases++;
	frozen_of(under)->users++;
	return (list_changed(st, o));
}
